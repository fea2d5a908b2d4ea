//! `report` and `explain` on the spool of a real server: their figures are the spool's.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::CANARY;
use cirron_tests::agent::binary;
use cirron_tests::spool::{Span, Spool};
use serde_json::Value;

/// Of a spool whose requests are all calls of a model that ended well, with `tokens` of output in sum.
pub(crate) fn figures(dir: &Path, spool: &Spool, tokens: u64) -> Result<()> {
    let requests = spool.requests();
    let page_file = dir.join("page.html");
    let page_name = page_file.to_str().context("a path")?;
    let spool_name = dir.to_str().context("a path")?;
    run(&["report", spool_name, "-o", page_name, "--slo", "latency=1m"])?;
    let page = std::fs::read_to_string(&page_file)?;
    for want in [
        format!("{} calls of models in ", requests.len()),
        format!("<b>{tokens}</b><span>tokens out</span>"),
        format!(
            "<b>100\u{a0}%</b><span>good</span><small>of {} judged",
            requests.len()
        ),
    ] {
        ensure!(page.contains(&want), "{want} is not on the page: {page}");
    }
    ensure!(!page.contains(CANARY), "contents are on the page");

    let explained: Value =
        serde_json::from_str(&run(&["explain", "--json", "--limit", "9", spool_name])?)?;
    let calls = explained["calls"].as_array().context("calls")?;
    ensure!(calls.len() == requests.len(), "{explained}");
    for call in calls {
        let id = call["request_id"].as_str().context("an id")?;
        let of_spool = requests
            .iter()
            .find(|request| request.text("request_id") == Some(id));
        let request = of_spool.with_context(|| format!("{id} is not in the spool"))?;
        let latency = call["latency_ms"].as_f64().context("a latency")?;
        ensure!(
            (latency - latency_ms(request)).abs() < 1e-3,
            "{call}: {request:?}"
        );
        let parts = call["parts"].as_array().context("parts")?;
        let sum: f64 = parts.iter().filter_map(|part| part["ms"].as_f64()).sum();
        ensure!((sum - latency).abs() < 1e-6, "parts of another sum: {call}");
        ensure!(
            call["waited_ms"].as_f64() == request.mark("time_in_queue_ms"),
            "{call}"
        );
        let is_stream = request.mark("time_to_first_token_ms").is_some();
        ensure!(
            parts.iter().any(|part| part["to"] == "first_token") == is_stream,
            "{call}"
        );
    }
    let id = calls[0]["request_id"].as_str().context("an id")?;
    let words = run(&["explain", spool_name, "--request", &id[..8]])?;
    ensure!(words.contains(id) && words.contains("not known"), "{words}");
    Ok(())
}

fn latency_ms(request: &Span) -> f64 {
    let span = request.end_ns.map_or(0, |end| end - request.start_ns) as f64 / 1e6;
    request.mark("request_duration_ms").unwrap_or(span)
}

fn run(args: &[&str]) -> Result<String> {
    let output = Command::new(binary()).args(args).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{args:?}: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}
