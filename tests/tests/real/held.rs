//! Times that only the kernel knows: of bytes that it holds back, and of requests that wait for a read.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::{Agent, Report};
use cirron_tests::runner::{Need, Test};
use cirron_tests::spool::Span;
use cirron_tests::{CANARY, stacks};
use serde_json::Value;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "held_bytes_have_the_time_at_which_they_were_sent",
        need: Need::Stacks,
        run: held,
    },
    Test {
        name: "the_wait_for_a_read_is_a_figure",
        need: Need::Stacks,
        run: waited,
    },
];

const LIMIT: Duration = Duration::from_secs(30);
/// Between the server's own clock and the agent's; two processors are shared by all that runs here.
const TOLERANCE_MS: f64 = 5.0;

/// What the process says of each of its exchanges, and what was recorded of it.
fn rows() -> Result<(Report, Vec<Value>)> {
    let mut command = Command::new(stacks::venv("python")?);
    command
        .arg(stacks::here().join("servers/python/held.py"))
        .arg(CANARY);
    let report = Agent::run(&[], &command, |_| {})?.ended(LIMIT)?;
    let line = report.stdout.lines().find(|line| line.starts_with('['));
    let rows: Vec<Value> = serde_json::from_str(line.context("it said nothing")?)?;
    Ok((report, rows))
}

fn pairs<'a>(report: &'a Report, rows: &'a [Value]) -> Result<Vec<(&'a Span, &'a Value)>> {
    let mut spans = report.spool.requests();
    spans.sort_by_key(|span| span.start_ns);
    ensure!(spans.len() == rows.len(), "{}", report.spool.describe());
    Ok(spans.into_iter().zip(rows).collect())
}

fn near(span: &Span, mark: &str, truth: Option<f64>, tolerance: f64) -> Result<f64> {
    let (told, truth) = span
        .mark(mark)
        .zip(truth)
        .with_context(|| format!("no {mark}: {span:?}"))?;
    let off = (told - truth).abs();
    ensure!(off <= tolerance, "{mark}: {told}, not {truth}: {span:?}");
    Ok(off)
}

fn held() -> Result<String> {
    let (report, rows) = rows()?;
    let mut worst: f64 = 0.0;
    for (span, row) in pairs(&report, &rows)? {
        let is_window = row["name"] == "window";
        let is_held = span.text("cirron.times") == Some("held");
        // Something else than the next call let the first token go: when, the acknowledgement of that token tells, if
        // it is still the last at the call.
        let may_be_held = ["timer_then_call", "ack_then_call"]
            .contains(&row["name"].as_str().context("no name")?);
        if may_be_held && is_held {
            worst = worst.max(near(
                span,
                "request_duration_ms",
                row["end"].as_f64(),
                TOLERANCE_MS,
            )?);
            continue;
        }
        ensure!(is_held == is_window, "{row}: {span:?}");
        for (mark, truth) in [
            ("time_to_first_byte_ms", "first_byte"),
            ("time_to_first_token_ms", "first_token"),
            ("request_duration_ms", "end"),
        ] {
            // What is within an open window leaves at once, whether the client reads or not.
            if is_window && mark == "time_to_first_byte_ms" {
                continue;
            }
            worst = worst.max(near(span, mark, row[truth].as_f64(), TOLERANCE_MS)?);
        }
    }
    Ok(format!("{} exchanges, {worst:.2} ms at most", rows.len()))
}

fn waited() -> Result<String> {
    let (report, rows) = rows()?;
    let mut worst: f64 = 0.0;
    for (span, row) in pairs(&report, &rows)? {
        let mark = span.marks("time_in_queue_ms").next();
        let coarse = mark.and_then(|m| m.attrs.get("resolution_ms")?.as_f64());
        let tolerance = TOLERANCE_MS + coarse.unwrap_or_default() / 2.0;
        let truth = row["waited"].as_f64();
        worst = worst.max(near(span, "time_in_queue_ms", truth, tolerance)?);
    }
    Ok(format!("{} requests, {worst:.2} ms at most", rows.len()))
}
