//! A session as a line: which process, when, and what was called how often.

use std::collections::HashMap;

use super::index::{At, Index, NOTES};
use super::rows::Row;
use crate::endpoint::{EndpointId, Way};
use crate::figures::{columns, date_time, ended, length};
use cirron_spool::rows::Scalar;
use cirron_spool::shown::shown;

/// Endpoints of a session that are listed with `-v`.
pub(super) const MAX_LISTED: usize = 100;

/// The session's line, without what was called: `cirron.session uvicorn, pid 42 — 12.3s from ...`.
pub(super) fn head(row: &Row) -> String {
    let start = date_time(row.start_ns);
    let when = match row.end_ns {
        Some(end) => {
            let length = length(end.saturating_sub(row.start_ns));
            format!("{length} from {start} UTC")
        }
        None => format!("open since {start} UTC"),
    };
    let who = who(|name| row.attr(name).map(Scalar::to_string));
    shown(&format!("{who} — {when}")).into_owned()
}

/// The process of a session, by its attributes: `cirron.session uvicorn, pid 42`.
pub(super) fn who(attr: impl Fn(&str) -> Option<String>) -> String {
    let who = process(attr);
    let space = if who.is_empty() { "" } else { " " };
    format!("cirron.session{space}{who}")
}

/// The same without what it is: `uvicorn, pid 42`.
pub(super) fn process(attr: impl Fn(&str) -> Option<String>) -> String {
    let mut who: Vec<String> = Vec::new();
    who.extend(attr("process.executable.name"));
    who.extend(attr("pid").map(|pid| format!("pid {pid}")));
    who.join(", ")
}

/// What was called, the most often first, each way by itself.
pub(super) fn called<'a>(
    index: &Index,
    children: impl Iterator<Item = &'a At>,
) -> Vec<(Way, Vec<String>)> {
    let mut counts: HashMap<EndpointId, (usize, usize)> = HashMap::new();
    for span in children.filter_map(|at| index.spans.get(*at as usize)) {
        let (count, failed) = counts.entry(span.endpoint).or_default();
        *count += 1;
        *failed += usize::from(span.has_failed);
    }
    let mut all: Vec<_> = counts
        .into_iter()
        .map(|(id, counts)| (index.endpoints.name(id), counts))
        .collect();
    all.sort_by(
        |((way, name), (count, _)), ((other_way, other_name), (other, _))| {
            (way, other, name).cmp(&(other_way, count, other_name))
        },
    );
    let mut ways: Vec<(Way, Vec<String>)> = Vec::new();
    for ((way, name), (count, failed)) in all {
        let text = match failed {
            0 => format!("{count} {name}"),
            _ => format!("{count} {name} ({failed} failed)"),
        };
        match ways.last_mut() {
            Some((last, list)) if *last == way => list.push(text),
            _ => ways.push((way, vec![text])),
        }
    }
    ways
}

fn verb(way: Way) -> &'static str {
    match way {
        Way::Served => "served",
        Way::Called => "called",
        Way::Scope => "scopes",
    }
}

/// The lines of a session, each within `width`: its own, one for each way of calls, its notes.
pub(super) fn lines(row: &Row, called: &[(Way, Vec<String>)], width: usize) -> Vec<String> {
    let mut lines = vec![ended(&head(row), width)];
    if called.is_empty() {
        lines.push("  nothing seen".to_owned());
    }
    for (way, list) in called {
        let mut line = format!("  {} ", verb(*way));
        let begin = line.len();
        for (at, text) in list.iter().enumerate() {
            let rest = list.len() - at;
            let more = format!(", {rest} more paths");
            let comma = if at > 0 { ", " } else { "" };
            // The last needs no room for what would say that there are more.
            let room = if rest == 1 { 0 } else { more.len() };
            if columns(&line) + comma.len() + columns(text) + room <= width {
                line.push_str(comma);
                line.push_str(text);
            } else if line.len() == begin {
                let room = width.saturating_sub(columns(&line) + more.len());
                line.push_str(&crate::figures::squeezed(text, room));
                if rest > 1 {
                    line.push_str(&format!(", {} more paths", rest - 1));
                }
                break;
            } else {
                line.push_str(&more);
                break;
            }
        }
        lines.push(ended(&line, width));
    }
    lines.extend(note(row).map(|note| ended(&format!("  {note}"), width)));
    lines
}

/// What could not be read of its TLS.
fn note(row: &Row) -> Option<String> {
    let count = |name| {
        row.attr(name)
            .filter(|n| n.is_truthy())
            .map(Scalar::to_string)
    };
    let mut notes = Vec::new();
    notes.extend(count(NOTES[1]).map(|n| format!("{n} TLS connections could not be read")));
    notes.extend(count(NOTES[2]).map(|n| format!("{n} TLS connections showed no plaintext")));
    notes.extend(count(NOTES[0]).map(|which| format!("TLS that cannot be read: {which}")));
    (!notes.is_empty()).then(|| shown(&notes.join("; ")).into_owned())
}

/// All that was called, a line each, for `-v`.
pub(super) fn list(called: &[(Way, Vec<String>)]) -> Vec<String> {
    let mut lines = Vec::new();
    for (way, list) in called {
        lines.extend(
            list.iter()
                .take(MAX_LISTED)
                .map(|text| format!("{} {text}", verb(*way))),
        );
        if list.len() > MAX_LISTED {
            lines.push(format!("... and {} more paths", list.len() - MAX_LISTED));
        }
    }
    lines
}
