//! What goes on of an endpoint, the oldest first, and its last requests, the newest first.

use cirron_look::figures::{date_time, length, squeezed};
use cirron_look::request::Request;
use cirron_spool::shown::shown;
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::{Line as TextLine, Text};
use ratatui::widgets::{Cell, Row, Table, TableState};

use super::Styles;
use crate::board::LineKey;
use crate::live::Open;
use crate::text::ms;

const TITLES: [&str; 8] = [
    "BEGAN", "STATUS", "TTFT", "LATENCY", "TPOT", "IN", "OUT", "NOTE",
];
const WIDTHS: [u16; 7] = [8, 6, 7, 7, 7, 6, 6];

/// Rows of what goes on: those that hang are among the oldest. The last requests shall have room too.
const MAX_OPEN_ROWS: usize = 6;

/// What is drawn.
pub(super) struct Shown<'a> {
    pub(super) key: &'a LineKey,
    pub(super) goes_on: &'a [Open],
    /// When that was.
    pub(super) wall_ns: u64,
    pub(super) requests: &'a [Request],
    pub(super) at: usize,
    pub(super) styles: Styles,
}

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, its: &Shown<'_>) {
    let Shown {
        key,
        requests,
        styles,
        ..
    } = *its;
    let about = squeezed(&shown(&key.endpoint), usize::from(area.width));
    frame.render_widget(
        TextLine::styled(about, styles.title),
        Rect { height: 1, ..area },
    );
    let area = Rect {
        y: area.y + 1,
        height: area.height.saturating_sub(1),
        ..area
    };
    let head = Row::new(TITLES.iter().enumerate().map(|(at, title)| {
        let title = TextLine::styled(*title, styles.title);
        Cell::new(if (1..7).contains(&at) {
            title.right_aligned()
        } else {
            title
        })
    }));
    let row = |cells: [String; TITLES.len()]| {
        Row::new(cells.into_iter().enumerate().map(|(at, cell)| {
            let cell = Text::raw(cell);
            Cell::new(if (1..7).contains(&at) {
                cell.right_aligned()
            } else {
                cell
            })
        }))
    };
    let open = open_rows(its.goes_on, its.wall_ns);
    let before = open.len();
    let ended = requests.iter().map(|request| {
        let row = row(cells(request));
        if request.has_failed() {
            row.style(styles.bad)
        } else {
            row
        }
    });
    let rows = open.into_iter().map(row).chain(ended);
    let widths = WIDTHS
        .iter()
        .map(|width| Constraint::Length(*width))
        .chain([Constraint::Min(4)]);
    let table = Table::new(rows, widths)
        .header(head)
        .column_spacing(1)
        .row_highlight_style(styles.marked);
    frame.render_stateful_widget(
        table,
        area,
        &mut TableState::default().with_selected(Some(before + its.at)),
    );
}

/// The oldest that go on, and how many more there are.
fn open_rows(goes_on: &[Open], wall_ns: u64) -> Vec<[String; TITLES.len()]> {
    let more = goes_on.len().saturating_sub(MAX_OPEN_ROWS);
    let shown = goes_on.iter().take(MAX_OPEN_ROWS).enumerate();
    let rows = shown.map(|(at, open)| {
        let is_last = at + 1 == MAX_OPEN_ROWS && more > 0;
        let more = if is_last {
            format!(", and {more} more")
        } else {
            String::new()
        };
        let none = || "-".to_owned();
        [
            time(wall_ns.saturating_sub(open.age_ns)),
            "open".to_owned(),
            ms(open.first_token_ns.map(|ns| ns as f64 / 1e6)),
            length(open.age_ns),
            none(),
            none(),
            open.tokens.map_or_else(none, |n| n.to_string()),
            format!("goes on, pid {}{more}", open.pid),
        ]
    });
    rows.collect()
}

fn time(wall_ns: u64) -> String {
    let whole = date_time(wall_ns);
    whole
        .split_once(' ')
        .map_or("", |(_, time)| time)
        .to_owned()
}

fn cells(request: &Request) -> [String; TITLES.len()] {
    let count = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |n| n.to_string());
    [
        time(request.start_ns),
        count(request.status.map(u64::from)),
        ms(request.figures.ttft_ms),
        request.length_ns().map_or_else(|| "-".to_owned(), length),
        ms(request.figures.tpot_ms),
        count(request.figures.input_tokens),
        count(request.figures.output_tokens),
        note(request),
    ]
}

/// What is special about it.
fn note(request: &Request) -> String {
    let mut notes: Vec<String> = Vec::new();
    notes.extend(
        request
            .aborted_by
            .as_ref()
            .map(|who| format!("aborted by {}", shown(who))),
    );
    notes.extend(
        request
            .error_type
            .as_ref()
            .map(|what| shown(what).into_owned()),
    );
    if request.is_partial {
        notes.push("partial".to_owned());
    }
    if request.is_late {
        notes.push("joined late".to_owned());
    }
    notes.join(", ")
}
