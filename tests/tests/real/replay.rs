//! A recorded capture gives the same spans again.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use cirron_tests::agent::{self, Agent};
use cirron_tests::calls::{call, curl, openai};
use cirron_tests::contract;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack};
use cirron_tests::spool::{Span, Spool};
use serde_json::{Value, json};

pub(crate) const TESTS: &[Test] = &[Test {
    name: "a_recorded_capture_replays_to_the_same_spans",
    need: Need::Stacks,
    run: replay,
}];

fn replay() -> Result<String> {
    let server = Server::start(Stack::UvicornHttptools)?;
    let work = tempfile::tempdir()?;
    let file = work.path().join("capture.bin");
    let file = file.to_str().unwrap();
    let agent = Agent::attach(&[server.pid()], &["--record", file, "--chunk-timing"])?;
    let calls: Vec<Value> = (0..8).map(|i| call("chat", "m", i % 3 != 0, json!({"x_tokens": 4 + i, "x_usage": i % 2 == 0, "x_ttft_ms": 10, "x_interval_ms": 3}))).collect();
    openai(server.port, 4, &calls)?;
    curl(&[&server.url("/health"), &server.url("/nothing")])?;
    server.truth_of(10)?;
    let report = agent.finish()?;
    ensure!(
        report.spool.requests().len() == 10,
        "{}",
        report.spool.describe()
    );
    let mut again = Vec::new();
    for name in ["a", "b"] {
        let out = work.path().join(name);
        let output = Command::new(agent::binary())
            .args([
                "replay",
                file,
                "--ids",
                "sequential",
                "--output",
                "spool",
                "--output-dir",
            ])
            .arg(&out)
            .output()?;
        ensure!(
            output.status.success(),
            "replay: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        contract::private(&out)?;
        again.push(out);
    }
    let live = plain(&report.spool);
    let replayed = plain(&Spool::read(&again[0])?);
    for (a, b) in live.iter().zip(&replayed) {
        ensure!(a == b, "live and replayed differ:\n{a}\n{b}");
    }
    ensure!(
        live.len() == replayed.len(),
        "{} spans live, {} replayed",
        live.len(),
        replayed.len()
    );
    ensure!(
        ids(&again[0])? == ids(&again[1])?,
        "sequential ids differ from run to run"
    );
    Ok(format!("{} spans", live.len()))
}

fn ids(dir: &Path) -> Result<Vec<String>> {
    Ok(Spool::read(dir)?.spans.into_iter().map(|s| s.id).collect())
}

/// Spans as text, ids left out.
fn plain(spool: &Spool) -> Vec<String> {
    let one = |s: &Span| {
        let mut attrs = s.attrs.clone();
        attrs.remove("request_id");
        let marks: Vec<Value> = s
            .marks
            .iter()
            .map(|m| json!([m.name, m.value, m.attrs, m.ts_ns, m.kind]))
            .collect();
        json!([s.start_ns, s.name, s.end_ns, s.pid, attrs, marks]).to_string()
    };
    let mut all: Vec<String> = spool.spans.iter().map(one).collect();
    all.sort();
    all
}
