//! `report`, `explain`, `export` and `tree`'s filters on the spool of a real server: their figures are the spool's.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::CANARY;
use cirron_tests::agent::binary;
use cirron_tests::spool::{Span, Spool};
use cirron_tests::stacks;
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

/// What `export` writes says the same to readers that know nothing of the agent, and `tree` draws what its filters leave.
pub(crate) fn exports(dir: &Path, spool: &Spool) -> Result<()> {
    let spool_name = dir.to_str().context("a path")?;
    let formats = ["csv", "jsonl", "otlp", "parquet", "perfetto"];
    let files = formats.map(|format| dir.join(format!("export.{format}")));
    for (format, file) in formats.iter().zip(&files) {
        let file = file.to_str().context("a path")?;
        run(&["export", "--format", format, "-o", file, spool_name])?;
        let written = std::fs::read(file)?;
        let canary = CANARY.as_bytes();
        ensure!(
            !written.windows(canary.len()).any(|part| part == canary),
            "contents in {format}"
        );
    }
    let mut python = Command::new(stacks::venv("python")?);
    python.arg(stacks::here().join("clients/exports.py"));
    python.args(&files[..3]);
    let mut found: Value = serde_json::from_str(&output(python)?)?;
    let (parquet, perfetto) = by_others(&files[3], &files[4])?;
    found["parquet"] = parquet;
    found["perfetto"] = perfetto;
    let requests = spool.requests();
    for format in &formats {
        let all = found[format].as_object().context("no requests")?;
        ensure!(all.len() == requests.len(), "{format}: {found}");
        for request in &requests {
            let id = request.text("request_id").context("an id")?;
            let [status, tokens, time_ms] = [0, 1, 2].map(|at| all[id][at].as_f64());
            ensure!(status == Some(200.0), "{format}: {found}");
            ensure!(
                tokens == request.mark("output_tokens"),
                "{format}: {found}: {request:?}"
            );
            let span_ms = request
                .end_ns
                .map(|end| (end - request.start_ns) as f64 / 1e6);
            let near = time_ms
                .zip(span_ms)
                .is_some_and(|(a, b)| (a - b).abs() < 1e-3);
            ensure!(near, "{format}: {found}: {request:?}");
        }
    }
    let drawn = run(&["tree", "--output-dir", spool_name, "--status", "2xx"])?;
    ensure!(
        drawn.matches("  request POST").count() == requests.len(),
        "{drawn}"
    );
    let drawn = run(&["tree", "--output-dir", spool_name, "--status", "error"])?;
    ensure!(!drawn.contains("request POST"), "{drawn}");
    Ok(())
}

/// What Arrow reads of a Parquet file, and Perfetto's own trace processor of a trace: status, output tokens and time in ms
/// by request id.
fn by_others(parquet: &Path, trace: &Path) -> Result<(Value, Value)> {
    let clients = stacks::here().join("clients");
    let mut python = Command::new(stacks::readers()?);
    python.arg(clients.join("exports_parquet.py")).arg(parquet);
    let read: Value = serde_json::from_str(&output(python)?)?;
    let mut node = Command::new("node");
    node.arg(clients.join("trace_processor.js"))
        .arg(read["perfetto"].as_str().context("no trace processor")?)
        .arg(trace)
        .arg("select count(*) as n from stats where severity in ('error', 'data_loss') and value > 0")
        .arg(
            "select extract_arg(arg_set_id, 'debug.request_id') as id, \
             extract_arg(arg_set_id, 'debug.status') as status, \
             extract_arg(arg_set_id, 'debug.output_tokens') as tokens, dur / 1e6 as ms \
             from slice where id is not null",
        );
    let said = output(node)?;
    let (faults, rows) = said.split_once('\n').context("two answers")?;
    ensure!(faults == r#"[{"n":0}]"#, "Perfetto finds fault: {faults}");
    let rows: Vec<Value> = serde_json::from_str(rows)?;
    let by_id = rows.iter().filter_map(|row| {
        let id = row["id"].as_str()?.to_owned();
        let cells = ["status", "tokens", "ms"].map(|name| row[name].clone());
        Some((id, Value::from(cells.to_vec())))
    });
    Ok((read["parquet"].clone(), Value::Object(by_id.collect())))
}

fn latency_ms(request: &Span) -> f64 {
    let span = request.end_ns.map_or(0, |end| end - request.start_ns) as f64 / 1e6;
    request.mark("request_duration_ms").unwrap_or(span)
}

/// What a verb says.
pub(crate) fn run(args: &[&str]) -> Result<String> {
    let mut command = Command::new(binary());
    command.args(args);
    output(command)
}

/// What a program prints, if it does not fail.
fn output(mut command: Command) -> Result<String> {
    let output = command.output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}
