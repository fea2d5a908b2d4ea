//! One request: its facts, and when what was below it was done.

use cirron_look::figures::{length, squeezed};
use cirron_look::request::Request;
use cirron_spool::shown::shown;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line as TextLine;
use ratatui::widgets::Paragraph;

use super::Styles;
use crate::text::ms;

/// Lines of a waterfall.
const MAX_ROWS: usize = 200;
/// Columns of a name and of a length, before its bar.
const NAME: usize = 28;
const LENGTH: usize = 8;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, request: &Request, styles: Styles) {
    let mut lines = vec![
        TextLine::styled(shown(&request.endpoint).into_owned(), styles.title),
        TextLine::raw(facts(request)),
        TextLine::raw(times(request)),
        TextLine::raw(tokens(request)),
    ];
    let width = usize::from(area.width).saturating_sub(NAME + LENGTH + 2);
    let mut rows = Vec::new();
    push(&mut rows, request, request, 0, width);
    if request.children.is_empty() {
        rows.push("nothing is known of what was done inside".to_owned());
    }
    lines.extend(rows.into_iter().map(TextLine::raw));
    frame.render_widget(Paragraph::new(lines), area);
}

fn facts(request: &Request) -> String {
    let mut facts: Vec<String> = Vec::new();
    let mut fact = |name: &str, value: Option<String>| {
        facts.extend(value.map(|value| format!("{name} {}", shown(&value))))
    };
    fact("request", request.request_id.clone());
    fact("pid", request.pid.map(|pid| pid.to_string()));
    fact("model", request.model().map(str::to_owned));
    fact("status", request.status.map(|status| status.to_string()));
    fact("error", request.error_type.clone());
    fact("aborted by", request.aborted_by.clone());
    facts.join("  ")
}

fn times(request: &Request) -> String {
    let f = &request.figures;
    format!(
        "first byte {}  first token {}  per token {}  longest gap {}",
        ms(f.ttfb_ms),
        ms(f.ttft_ms),
        ms(f.tpot_ms),
        ms(f.max_gap_ms),
    )
}

fn tokens(request: &Request) -> String {
    let f = &request.figures;
    let count = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |n| n.to_string());
    format!(
        "tokens {} in, {} out",
        count(f.input_tokens),
        count(f.output_tokens)
    )
}

/// A line for a scope and each one below it: name, length, and a bar where it lies in the whole. `|` is the first token.
fn push(rows: &mut Vec<String>, whole: &Request, scope: &Request, depth: usize, width: usize) {
    if rows.len() >= MAX_ROWS {
        return;
    }
    let name = format!("{}{}", "  ".repeat(depth), shown(name(scope)));
    let name = squeezed(&name, NAME);
    let pad = NAME.saturating_sub(cirron_look::figures::columns(&name));
    let long = scope.length_ns().map_or_else(|| "open".to_owned(), length);
    rows.push(format!(
        "{name}{} {long:>LENGTH$} {}",
        " ".repeat(pad),
        bar(whole, scope, width)
    ));
    for child in &scope.children {
        push(rows, whole, child, depth + 1, width);
    }
}

fn name(scope: &Request) -> &str {
    match scope.endpoint.is_empty() {
        true => &scope.name,
        false => &scope.endpoint,
    }
}

fn bar(whole: &Request, scope: &Request, width: usize) -> String {
    let total = whole.length_ns().unwrap_or_default().max(1) as f64;
    let column = |ns: u64| {
        let share = ns.saturating_sub(whole.start_ns) as f64 / total;
        ((share * width as f64) as usize).min(width.saturating_sub(1))
    };
    let from = column(scope.start_ns);
    let to = column(scope.end_ns.unwrap_or(scope.start_ns)).max(from);
    let first = scope
        .figures
        .ttft_ms
        .map(|ms| column(scope.start_ns.saturating_add((ms * 1e6) as u64)));
    (0..width.min(to + 1))
        .map(|at| match at {
            at if at < from => ' ',
            at if Some(at) == first => '|',
            _ => '=',
        })
        .collect()
}
