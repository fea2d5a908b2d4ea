//! What must leave nothing behind, and transports other than TCP over IPv4.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::calls::curl;
use cirron_tests::expect;
use cirron_tests::process::Guard;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack};
use cirron_tests::stacks;
use cirron_tests::wait::{pause, until};
use serde_json::json;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "files_pipes_and_other_protocols_leave_nothing",
        need: Need::Stacks,
        run: noise,
    },
    Test {
        name: "http_over_a_unix_socket",
        need: Need::Stacks,
        run: unix,
    },
    Test {
        name: "http_over_ipv6",
        need: Need::Stacks,
        run: ipv6,
    },
];

fn noise() -> Result<String> {
    let bystander = Server::start(Stack::UvicornH11)?;
    let mut command = Command::new(stacks::venv("python")?);
    command.arg(stacks::here().join("servers/python/noise.py"));
    let log = bystander.dir.path().join("noise.log");
    let target = Guard::spawn_logged(command, &log)?;
    until("the first round of noise", Duration::from_secs(10), || {
        let said = std::fs::read_to_string(&log).ok()?;
        said.contains("round").then_some(())
    })?;
    // A second target proves that the agent sees what there is to see.
    let witness = Server::start(Stack::Node)?;
    let agent = Agent::attach(&[target.pid(), witness.pid()], &["-v"])?;
    for _ in 0..20 {
        curl(&[&bystander.url("/health")])?;
    }
    curl(&[&witness.url("/health")])?;
    let truth = witness.truth_of(1)?;
    pause("noise", Duration::from_millis(700));
    let report = agent.finish()?;
    expect::matches(&report.spool, &truth)?;
    ensure!(
        report.spool.spans.len() == 3 && report.spool.sessions().len() == 2,
        "{}",
        report.spool.describe()
    );
    Ok(String::new())
}

fn chat() -> String {
    json!({"model": "m", "stream": true, "messages": [], "x_tokens": 6, "x_ttft_ms": 30, "x_interval_ms": 5, "x_usage": true}).to_string()
}

fn unix() -> Result<String> {
    let server = Server::start(Stack::UvicornUnix)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let socket = server.socket();
    let socket = socket.to_str().context("path")?;
    curl(&[
        "--unix-socket",
        socket,
        "-H",
        "Content-Type: application/json",
        "-d",
        &chat(),
        "http://unix/v1/chat/completions",
    ])?;
    curl(&[
        "--unix-socket",
        socket,
        "http://unix/health",
        "http://unix/health",
    ])?;
    let truth = server.truth_of(3)?;
    let report = agent.finish()?;
    let figures = expect::matches(&report.spool, &truth)?;
    ensure!(
        report
            .spool
            .requests()
            .iter()
            .all(|s| s.int("server.port").is_none()),
        "a port on a Unix socket"
    );
    Ok(figures.summary())
}

fn ipv6() -> Result<String> {
    let server = Server::start(Stack::UvicornIpv6)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let base = format!("http://[::1]:{}", server.port);
    curl(&[
        "-H",
        "Content-Type: application/json",
        "-d",
        &chat(),
        &format!("{base}/v1/chat/completions"),
    ])?;
    curl(&[&format!("{base}/health")])?;
    let truth = server.truth_of(2)?;
    let report = agent.finish()?;
    let figures = expect::matches(&report.spool, &truth)?;
    for span in report.spool.requests() {
        ensure!(
            span.text("server.address") == Some("::1")
                && span.text("client.address") == Some("::1"),
            "{span:?}"
        );
        ensure!(
            span.int("server.port") == Some(i64::from(server.port)),
            "{span:?}"
        );
    }
    Ok(figures.summary())
}
