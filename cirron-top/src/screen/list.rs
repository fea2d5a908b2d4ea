//! Endpoints and models, a line each, in as many columns as fit.

use cirron_look::figures::squeezed;
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::{Line as TextLine, Text};
use ratatui::widgets::{Cell, Paragraph, Row, Table, TableState};

use super::Styles;
use crate::board::LineKey;
use crate::text::{ms, name, rate, tokens};
use crate::view::{Choice, Line, Sort};

/// Columns that the name has at least: a path and the end of a model's name.
const MIN_NAME: u16 = 36;

/// A column: its title, its width, how much it is wanted (the least first), by what it sorts, and its cell.
struct Column {
    title: &'static str,
    width: u16,
    rank: u8,
    sort: Option<Sort>,
    cell: fn(&Line) -> String,
}

/// In the order in which they stand.
const COLUMNS: [Column; 14] = [
    column("REQ/S", 6, 0, Some(Sort::Requests), |l| {
        rate(l.figures.requests_per_s)
    }),
    column("OPEN", 4, 1, Some(Sort::Open), |l| {
        l.open.map_or_else(|| "-".to_owned(), |n| n.to_string())
    }),
    column("TTFT50", 7, 6, None, |l| ms(l.figures.ttft_ms.p50)),
    column("TTFT95", 7, 2, Some(Sort::FirstToken), |l| {
        ms(l.figures.ttft_ms.p95)
    }),
    column("TTFT99", 7, 11, None, |l| ms(l.figures.ttft_ms.p99)),
    column("LAT50", 7, 7, None, |l| ms(l.figures.latency_ms.p50)),
    column("LAT95", 7, 3, Some(Sort::Latency), |l| {
        ms(l.figures.latency_ms.p95)
    }),
    column("LAT99", 7, 10, None, |l| ms(l.figures.latency_ms.p99)),
    column("TPOT50", 7, 8, None, |l| ms(l.figures.tpot_ms.p50)),
    column("IN/S", 6, 9, None, |l| tokens(l.figures.input_per_s)),
    column("OUT/S", 6, 4, Some(Sort::Tokens), |l| {
        tokens(l.figures.output_per_s)
    }),
    column("ERR", 4, 5, Some(Sort::Errors), |l| {
        l.figures.failed.to_string()
    }),
    column("ABRT", 4, 12, None, |l| l.figures.aborted.to_string()),
    column("PART", 4, 13, None, |l| l.figures.partial.to_string()),
];

const fn column(
    title: &'static str,
    width: u16,
    rank: u8,
    sort: Option<Sort>,
    cell: fn(&Line) -> String,
) -> Column {
    Column {
        title,
        width,
        rank,
        sort,
        cell,
    }
}

/// What is drawn.
pub(super) struct Shown<'a> {
    pub(super) lines: &'a [&'a Line],
    pub(super) marked: Option<&'a LineKey>,
    pub(super) choice: &'a Choice,
    pub(super) styles: Styles,
}

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, shown: &Shown<'_>) {
    if shown.lines.is_empty() {
        let words = match &*shown.choice.filter {
            "" => "Nothing ended in this time.",
            _ => "No endpoint or model has this text. Esc in the filter (/) drops it.",
        };
        frame.render_widget(Paragraph::new(words), area);
        return;
    }
    let columns = fitting(area.width);
    let taken: u16 = columns.iter().map(|column| column.width + 1).sum();
    let name_width = area.width.saturating_sub(taken);
    let title = |column: &&Column| {
        let style = match column.sort == Some(shown.choice.sort) {
            true => shown.styles.marked,
            false => shown.styles.title,
        };
        Cell::new(TextLine::styled(column.title, style).right_aligned())
    };
    let head = [Cell::new(TextLine::styled(
        "ENDPOINT  MODEL",
        shown.styles.title,
    ))];
    let head = Row::new(head.into_iter().chain(columns.iter().map(title)));
    let rows = shown.lines.iter().map(|line| {
        let way = if line.key.is_call { "> " } else { "" };
        let name = squeezed(&format!("{way}{}", name(line)), usize::from(name_width));
        let cells = columns
            .iter()
            .map(|column| Cell::new(Text::raw((column.cell)(line)).right_aligned()));
        let row = Row::new([Cell::new(name)].into_iter().chain(cells));
        match line.figures.failed {
            0 => row,
            _ => row.style(shown.styles.bad),
        }
    });
    let widths = [Constraint::Length(name_width)];
    let widths = widths.into_iter().chain(
        columns
            .iter()
            .map(|column| Constraint::Length(column.width)),
    );
    let table = Table::new(rows, widths)
        .header(head)
        .column_spacing(1)
        .row_highlight_style(shown.styles.marked);
    let at = shown
        .lines
        .iter()
        .position(|line| Some(&line.key) == shown.marked);
    frame.render_stateful_widget(table, area, &mut TableState::default().with_selected(at));
}

/// The columns that are wanted most, as many as leave the name its room.
fn fitting(width: u16) -> Vec<&'static Column> {
    let mut ranked: Vec<&Column> = COLUMNS.iter().collect();
    ranked.sort_by_key(|column| column.rank);
    let mut left = width.saturating_sub(MIN_NAME);
    let fits = ranked.iter().take_while(|column| {
        let fits = left > column.width;
        left = left.saturating_sub(column.width + 1);
        fits
    });
    let most = fits.count() as u8;
    COLUMNS.iter().filter(|column| column.rank < most).collect()
}
