//! A span as the cells of a line: what a person looks for, each fact once.

use super::rows::Row;
use crate::figures::{length, length_of_ms};
use crate::request::Mark;
use cirron_spool::rows::Scalar;
use cirron_spool::shown::shown;

/// Columns of a line.
pub(super) const COLUMNS: usize = 9;

/// Their titles; shown where one of the figures' columns has something.
pub(super) const TITLES: [&str; COLUMNS] = [
    "",
    "",
    "time",
    "1st token",
    "tok/s",
    "tok in",
    "out",
    "model",
    "",
];

/// What is called, which gives way where a line is too long.
pub(super) const NAME: usize = 0;

/// The model, which gives way next.
pub(super) const MODEL: usize = 7;

/// Columns of figures: those between the time and the note.
pub(super) const FIGURES: std::ops::RangeInclusive<usize> = 3..=MODEL;

/// The cells of a span. `process`: that of a request which stands below the call of another.
pub(super) fn cells(row: &Row, is_orphan: bool, process: Option<&str>) -> [String; COLUMNS] {
    let text = |name| row.text(name).unwrap_or_default();
    let model = match text("gen_ai.response.model") {
        "" => text("gen_ai.request.model"),
        model => model,
    };
    let mut cells = [
        name(row),
        status(row),
        row.end_ns.map_or_else(
            || "open".to_owned(),
            |end| length(end.saturating_sub(row.start_ns)),
        ),
        figure(row, &["time_to_first_token_ms"], |mark| {
            number(&mark.value).map(length_of_ms)
        }),
        figure(row, &["tokens_per_second"], |mark| {
            number(&mark.value).map(|rate| format!("{rate:.1}"))
        }),
        figure(row, &["input_tokens", "prompt_tokens"], count),
        figure(row, &["output_tokens", "completion_tokens"], count),
        model.to_owned(),
        note(row, is_orphan, process),
    ];
    for cell in &mut cells {
        *cell = shown(cell).into_owned();
    }
    cells
}

/// The name, and what was called: of a call that was made, where.
pub(super) fn name(row: &Row) -> String {
    let mut out = row.name.clone();
    if let Some(index) = row.index {
        out.push_str(&format!("[{index}]"));
    }
    if let Some(method) = row.text("http.request.method") {
        out.push_str(&format!(" {method}"));
    }
    let mut target = String::new();
    if matches!(row.name.as_str(), "http.client" | "net.client")
        && let Some(host) = row.text("server.address")
    {
        target.push_str(host);
        if let Some(port) = row.attr("server.port") {
            target.push_str(&format!(":{port}"));
        }
    }
    target.push_str(row.text("url.path").unwrap_or_default());
    if !target.is_empty() {
        out.push_str(&format!(" {target}"));
    }
    out
}

/// gRPC's own status says more than the 200 around it.
fn status(row: &Row) -> String {
    ["rpc.response.status_code", "http.response.status_code"]
        .iter()
        .find_map(|name| row.attr(name))
        .map_or_else(String::new, Scalar::to_string)
}

fn number(value: &Scalar<'_>) -> Option<f64> {
    match value {
        Scalar::Int(v) => Some(*v as f64),
        Scalar::Float(v) => Some(*v),
        Scalar::Text(_) | Scalar::Bool(_) | Scalar::Null | Scalar::Other => None,
    }
}

fn count(mark: &Mark) -> Option<String> {
    let more = if mark.is_partial { "+" } else { "" };
    Some(format!("{}{more}", mark.value))
}

/// The first of the marks that is there, with a sign where it was counted by the agent.
fn figure(row: &Row, names: &[&str], text: impl Fn(&Mark) -> Option<String>) -> String {
    names
        .iter()
        .find_map(|name| row.mark(name))
        .map(|mark| {
            let about = if mark.is_estimated { "~" } else { "" };
            let text = text(mark).unwrap_or_else(|| mark.value.to_string());
            format!("{about}{text}")
        })
        .unwrap_or_default()
}

/// What else should be known before the figures are believed.
fn note(row: &Row, is_orphan: bool, process: Option<&str>) -> String {
    let mut notes: Vec<String> = Vec::new();
    notes.extend(process.map(|process| format!("in {process}")));
    if let Some(class) = row.attr("error.type").map(Scalar::to_string) {
        // A status that is an error is its own class.
        if class != status(row) {
            notes.push(class);
        }
    } else if row.has("error") {
        notes.push("error".to_owned());
    }
    let mut why: Vec<String> = Vec::new();
    if row.has("cirron.late_attach") {
        why.push("begun before the attach".to_owned());
    }
    if let Some(who) = row.text("cirron.aborted_by") {
        why.push(format!("aborted by {who}"));
    }
    let why = why.join(", ");
    match (row.has("cirron.partial"), why.is_empty()) {
        (true, true) => notes.push("partial".to_owned()),
        (true, false) => notes.push(format!("partial: {why}")),
        (false, true) => {}
        (false, false) => notes.push(why),
    }
    if row.text("cirron.figures") == Some("header_only") {
        notes.push("body not read".to_owned());
    }
    if row.has("cirron.stream.burst") {
        notes.push("in one burst".to_owned());
    }
    let messages = |name| row.attr(name).map(Scalar::to_string);
    if let (Some(asked), Some(answered)) = (
        messages("cirron.request.messages"),
        messages("cirron.response.messages"),
    ) {
        notes.push(format!("messages: {asked} in, {answered} out"));
    }
    if is_orphan {
        notes.push("its session is not in the spool".to_owned());
    }
    notes.join(", ")
}
