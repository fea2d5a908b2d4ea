//! The SDK reads the spool back.

use std::process::Command;

use anyhow::{Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::calls::{call, openai};
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack};
use cirron_tests::stacks;
use serde_json::{Value, json};

pub(crate) const TESTS: &[Test] = &[Test {
    name: "the_sdk_reads_the_spool_back_and_so_do_report_and_explain",
    need: Need::Stacks,
    run: sdk,
}];

fn sdk() -> Result<String> {
    let server = Server::start(Stack::UvicornH11)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let calls: Vec<Value> = (0..5)
        .map(|i| {
            call(
                "chat",
                "m",
                i > 2,
                json!({"x_tokens": 4, "x_usage": true, "x_ttft_ms": 10, "x_interval_ms": 3}),
            )
        })
        .collect();
    openai(server.port, 2, &calls)?;
    agent.spool_until("five requests while the agent runs", |s| {
        (s.requests().len() == 5).then_some(())
    })?;
    let live = render(agent.dir())?;
    ensure!(
        live["roots"].as_array().is_some_and(|r| r.len() == 1),
        "while it runs: {live}"
    );
    let report = agent.finish()?;
    let tree = render(report.dir.path())?;
    let roots = tree["roots"].as_array().unwrap();
    ensure!(
        roots.len() == 1 && roots[0]["name"] == "cirron.session",
        "{tree}"
    );
    let children = roots[0]["children"].as_array().unwrap();
    ensure!(
        children.len() == 5 && children.iter().all(|c| c["name"] == "request"),
        "{tree}"
    );
    let marks: i64 = children.iter().filter_map(|c| c["marks"].as_i64()).sum();
    let ours: usize = report.spool.requests().iter().map(|s| s.marks.len()).sum();
    ensure!(
        usize::try_from(marks)? == ours && ours >= 5 * 5,
        "{marks} marks for the SDK, {ours} written"
    );
    ensure!(tree["text_lines"] == 6, "{tree}");
    // And so do our own readers.
    crate::look::figures(report.dir.path(), &report.spool, 5 * 4)?;
    crate::look::exports(report.dir.path(), &report.spool)?;
    Ok(format!("{} spans, {ours} marks", report.spool.spans.len()))
}

fn render(dir: &std::path::Path) -> Result<Value> {
    let output = Command::new(stacks::venv("python")?)
        .arg(stacks::here().join("clients/read_back.py"))
        .arg(dir)
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}
