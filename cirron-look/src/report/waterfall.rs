//! One call as a waterfall: itself, what was done for it, each below the other where it happened.

use std::fmt::Write as _;

use crate::report::html::text;
use crate::request::{Kind, Request};
use crate::units::{count, ms, plural};

/// Rows of a waterfall; a call with more has its longest ones drawn.
const MAX_ROWS: usize = 24;

/// Share of a call that a bar needs to be seen.
const LEAST_SHARE: f64 = 0.004;

/// Depth to which names are moved to the right.
const MAX_INDENT: usize = 6;

/// What is drawn of a call besides its own row.
struct Row<'r> {
    depth: usize,
    request: &'r Request,
}

/// A call, its figures in a line, and its rows.
pub(crate) fn waterfall(call: &Request, now_ns: u64) -> String {
    let end_ns = call.end_ns.unwrap_or(now_ns).max(call.start_ns);
    let mut rows = Vec::new();
    below(call, 0, &mut rows);
    let all = rows.len();
    if all > MAX_ROWS {
        let mut lengths: Vec<u64> = rows.iter().map(|row| length(row.request, end_ns)).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        let least = lengths.get(MAX_ROWS - 1).copied().unwrap_or(0);
        rows.retain(|row| length(row.request, end_ns) >= least);
        rows.truncate(MAX_ROWS);
    }
    // A wait that is too short to be seen beside the call is told in its figures alone.
    let seen_ms = end_ns.saturating_sub(call.start_ns) as f64 / 1e6 * LEAST_SHARE;
    let queue_ms = call
        .figures
        .queue_ms
        .filter(|ms| *ms >= seen_ms)
        .unwrap_or(0.0);
    let from = call.start_ns.saturating_sub((queue_ms * 1e6) as u64);
    let to = rows
        .iter()
        .filter_map(|row| row.request.end_ns)
        .fold(end_ns, u64::max);
    let scale = Span { from, to };
    let mut out = String::from("<div class=fall>");
    own_row(&mut out, call, &scale, end_ns, queue_ms);
    for row in &rows {
        let request = row.request;
        let end = request.end_ns.unwrap_or(end_ns);
        let what = name(request);
        let told = what.replace("<small>", "").replace("</small>", "");
        let indent = (row.depth.min(MAX_INDENT) + 1) * 12;
        let _ = write!(
            out,
            "<div class=what style=\"padding-left:{indent}px\" title=\"{told}\">{what}</div>\
             <div class=track>{}</div><div class=n>{}</div>",
            scale.bar("", request.start_ns, end, &told),
            length_text(request),
        );
    }
    let _ = write!(
        out,
        "<div class=foot><span>{}</span><span>{}</span></div></div>",
        if queue_ms > 0.0 {
            format!("−{}", ms(queue_ms))
        } else {
            "0".to_owned()
        },
        ms(to.saturating_sub(call.start_ns) as f64 / 1e6)
    );
    if all > rows.len() {
        let _ = write!(
            out,
            "<p class=key>The {} longest of {} scopes below it.</p>",
            rows.len(),
            count(all as u64)
        );
    }
    out
}

fn own_row(out: &mut String, call: &Request, scale: &Span, end_ns: u64, queue_ms: f64) {
    let mut track = String::new();
    if queue_ms > 0.0 {
        let told = format!("waited {} before the process read it", ms(queue_ms));
        track.push_str(&scale.bar("before", scale.from, call.start_ns, &told));
    }
    track.push_str(&scale.bar("own", call.start_ns, end_ns, "the call"));
    if let Some(ttft) = call.figures.ttft_ms {
        let at = scale.percent(call.start_ns.saturating_add((ttft * 1e6) as u64));
        let _ = write!(
            track,
            "<u style=\"left:{at:.2}%\" title=\"first token after {}\"></u>",
            ms(ttft)
        );
    }
    let name = call.name.as_str();
    let _ = write!(
        out,
        "<div class=what>{}</div><div class=track>{track}</div><div class=n>{}</div>",
        text(name),
        length_text(call)
    );
}

fn below<'r>(request: &'r Request, depth: usize, rows: &mut Vec<Row<'r>>) {
    for child in &request.children {
        rows.push(Row {
            depth,
            request: child,
        });
        below(child, depth + 1, rows);
    }
}

fn length(request: &Request, now_ns: u64) -> u64 {
    let end = request.end_ns.unwrap_or(now_ns);
    end.saturating_sub(request.start_ns)
}

fn length_text(request: &Request) -> String {
    request
        .length_ns()
        .map_or_else(|| "open".to_owned(), |ns| ms(ns as f64 / 1e6))
}

/// Its kind, and what was called where.
pub(crate) fn name(request: &Request) -> String {
    let mut out = text(&request.name);
    if let Some(index) = request.index {
        let _ = write!(out, "[{index}]");
    }
    let at = |out: &mut String| {
        if let Some(host) = &request.server_address {
            let _ = write!(out, " {}", text(host));
            if let Some(port) = request.server_port {
                let _ = write!(out, ":{port}");
            }
        }
    };
    match request.kind {
        Kind::HttpClient => {
            let _ = write!(out, " <small>{}", text(&request.endpoint));
            at(&mut out);
            out.push_str("</small>");
        }
        Kind::NetClient => {
            out.push_str(" <small>");
            if let Some(protocol) = request.attr("cirron.net.protocol") {
                out.push_str(&text(&protocol.to_string()));
            }
            at(&mut out);
            out.push_str("</small>");
        }
        Kind::Request | Kind::Response | Kind::Scope => {}
    }
    out
}

/// The figures of a call, in a line.
pub(crate) fn facts(call: &Request) -> String {
    let mut parts: Vec<String> = Vec::new();
    let figures = &call.figures;
    let mut time = |what: &str, value: Option<f64>| {
        if let Some(value) = value {
            parts.push(format!("{what} <b>{}</b>", ms(value)));
        }
    };
    time("first token", figures.ttft_ms);
    time("per token", figures.tpot_ms);
    time("longest gap", figures.max_gap_ms);
    time("waited to be read", figures.queue_ms);
    let about = if figures.is_estimated { "~" } else { "" };
    let more = if figures.is_lower_bound { "+" } else { "" };
    if let Some(tokens) = figures.input_tokens {
        parts.push(format!("<b>{}</b> tokens in", count(tokens)));
    }
    if let Some(tokens) = figures.output_tokens {
        parts.push(format!("<b>{about}{}{more}</b> out", count(tokens)));
    }
    if let Some(status) = call.status {
        parts.push(format!("status <b>{status}</b>"));
    }
    if let Some(error) = call.error_type.as_deref() {
        parts.push(format!("error <b>{}</b>", text(error)));
    }
    if let Some(who) = call.aborted_by.as_deref() {
        parts.push(format!("aborted by <b>{}</b>", text(who)));
    }
    if call.is_partial {
        parts.push("<b>partial</b>".to_owned());
    }
    if let Some(lost) = call.lost_bytes {
        parts.push(format!("{} lost", plural(lost, "byte", "bytes")));
    }
    parts.join(" · ")
}

/// From the left edge to the right.
struct Span {
    from: u64,
    to: u64,
}

impl Span {
    fn percent(&self, at: u64) -> f64 {
        let width = self.to.saturating_sub(self.from).max(1) as f64;
        (at.saturating_sub(self.from) as f64 / width * 100.0).min(100.0)
    }

    fn bar(&self, class: &str, from: u64, to: u64, told: &str) -> String {
        let (left, right) = (self.percent(from), self.percent(to));
        format!(
            "<i class=\"{class}\" style=\"left:{left:.2}%;width:{:.2}%\" title=\"{told}\"></i>",
            (right - left).max(0.0)
        )
    }
}
