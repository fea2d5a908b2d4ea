//! What the process that ships says of itself, as figures beside the agent's.

use std::sync::atomic::{AtomicU64, Ordering};

use cirron_ship::counts::Totals;

use super::{PushCounts, TraceCounts};
use crate::prometheus::{Figure, ServerCounts};

/// The counters of a destination.
pub(super) fn of_ship(destination: &str, totals: &Totals, now_ns: u64) -> Vec<Figure> {
    let counters = [
        (
            "batches_sent",
            "Batches that a destination has.",
            totals.batches_sent,
        ),
        (
            "bytes_sent",
            "Bytes that went out for batches.",
            totals.bytes_sent,
        ),
        ("retries", "Tries that were to be repeated.", totals.retries),
        (
            "batches_vanished",
            "Batches that the spool's cap removed before they were sent.",
            totals.batches_vanished,
        ),
        (
            "restarts",
            "Times that a destination's thread had to be started again.",
            totals.restarts,
        ),
        (
            "ledger_errors",
            "Times that a ledger could not be written.",
            totals.ledger_errors,
        ),
    ];
    let named = |figure: Figure| figure.with("destination", destination);
    let counter = |(name, help, value): (&str, &str, u64)| {
        named(Figure::counter(&format!("cirron_ship_{name}"), help, value))
    };
    let mut out: Vec<Figure> = counters.into_iter().map(counter).collect();
    let help = "Batches that a destination will never have.";
    for (reason, count) in &totals.given_up {
        out.push(
            named(Figure::counter("cirron_ship_given_up", help, *count)).with("reason", reason),
        );
    }
    let help = "Batches in the spool that a destination does not have yet.";
    let behind = totals.behind_batches as f64;
    out.push(named(Figure::gauge(
        "cirron_ship_behind_batches",
        help,
        behind,
    )));
    let help = "Seconds since the oldest batch was made that a destination does not have yet.";
    let mut behind = Figure::gauge("cirron_ship_behind_seconds", help, totals.behind_s(now_ns));
    behind.unit = Some("seconds");
    out.push(named(behind));
    out
}

/// What became of spans.
pub(super) fn of_traces(counts: &TraceCounts) -> Vec<Figure> {
    all(&[
        (
            "cirron_otlp_spans_sent",
            "Spans in messages that a collector took.",
            &counts.spans_sent,
        ),
        (
            "cirron_otlp_spans_rejected",
            "Spans that a collector left out of messages that it took.",
            &counts.spans_rejected,
        ),
        (
            "cirron_otlp_spans_refused",
            "Spans in messages that a collector refused.",
            &counts.spans_refused,
        ),
    ])
}

/// What became of exports of series.
pub(super) fn of_push(counts: &PushCounts) -> Vec<Figure> {
    all(&[
        (
            "cirron_otlp_metrics_sent",
            "Messages of series that a collector took.",
            &counts.sent,
        ),
        (
            "cirron_otlp_metrics_dropped",
            "Messages of series that did not arrive in time; the next one has it all.",
            &counts.dropped,
        ),
        (
            "cirron_otlp_metrics_refused",
            "Messages of series that a collector refused.",
            &counts.refused,
        ),
        (
            "cirron_otlp_points_rejected",
            "Points that a collector left out of messages that it took.",
            &counts.points_rejected,
        ),
    ])
}

/// What the server that is scraped did.
pub(super) fn of_server(counts: &ServerCounts) -> Vec<Figure> {
    all(&[
        (
            "cirron_metrics_scrapes",
            "Scrapes that were answered whole.",
            &counts.scrapes,
        ),
        (
            "cirron_metrics_connections_refused",
            "Connections that were closed, since there were too many.",
            &counts.refused,
        ),
        (
            "cirron_metrics_connections_cut",
            "Connections that ended before their answer was whole.",
            &counts.cut,
        ),
    ])
}

fn all(counters: &[(&str, &str, &AtomicU64)]) -> Vec<Figure> {
    let figure = |(name, help, counter): &(&str, &str, &AtomicU64)| {
        Figure::counter(name, help, counter.load(Ordering::Relaxed))
    };
    counters.iter().map(figure).collect()
}
