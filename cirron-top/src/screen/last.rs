//! The last requests of an endpoint, the newest first.

use cirron_look::figures::{date_time, length, squeezed};
use cirron_look::request::Request;
use cirron_spool::shown::shown;
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::{Line as TextLine, Text};
use ratatui::widgets::{Cell, Row, Table, TableState};

use super::Styles;
use crate::board::LineKey;
use crate::text::ms;

const TITLES: [&str; 8] = [
    "BEGAN", "STATUS", "TTFT", "LATENCY", "TPOT", "IN", "OUT", "NOTE",
];
const WIDTHS: [u16; 7] = [8, 6, 7, 7, 7, 6, 6];

pub(super) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    key: &LineKey,
    requests: &[Request],
    at: usize,
    styles: Styles,
) {
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
    let rows = requests.iter().map(|request| {
        let row = Row::new(cells(request).into_iter().enumerate().map(|(at, cell)| {
            let cell = Text::raw(cell);
            Cell::new(if (1..7).contains(&at) {
                cell.right_aligned()
            } else {
                cell
            })
        }));
        if request.has_failed() {
            row.style(styles.bad)
        } else {
            row
        }
    });
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
        &mut TableState::default().with_selected(Some(at)),
    );
}

fn cells(request: &Request) -> [String; TITLES.len()] {
    let count = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let began = date_time(request.start_ns);
    [
        began
            .split_once(' ')
            .map_or("", |(_, time)| time)
            .to_owned(),
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
