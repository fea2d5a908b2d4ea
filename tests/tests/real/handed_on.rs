//! Unix connections that another process than the one that accepted them answers, and how they end.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::{Agent, Report};
use cirron_tests::calls::curl;
use cirron_tests::expect;
use cirron_tests::process::kill;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack};
use serde_json::json;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "slow_answers_of_node_s_cluster_over_a_unix_socket",
        need: Need::Stacks,
        run: || slow(Stack::NodeClusterUnix),
    },
    Test {
        name: "slow_answers_of_a_process_for_each_connection_over_a_unix_socket",
        need: Need::Stacks,
        run: || slow(Stack::ForkingUnix),
    },
    Test {
        name: "a_client_that_leaves_a_unix_socket_is_told_by_the_failing_write",
        need: Need::Stacks,
        run: leaves,
    },
    Test {
        name: "a_killed_process_ends_its_unix_connections_at_once",
        need: Need::Stacks,
        run: killed,
    },
];

fn chat(tokens: u32, first_ms: u32, interval_ms: u32) -> String {
    json!({"model": "m", "stream": true, "messages": [], "x_tokens": tokens, "x_ttft_ms": first_ms, "x_interval_ms": interval_ms, "x_usage": true}).to_string()
}

fn slow(stack: Stack) -> Result<String> {
    let server = Server::start(stack)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let socket = server.socket();
    let socket = socket.to_str().context("path")?;
    let body = chat(4, 900, 20);
    for _ in 0..4 {
        let url = "http://unix/v1/chat/completions";
        let json = "Content-Type: application/json";
        curl(&["--unix-socket", socket, "-H", json, "-d", &body, url])?;
    }
    let truth = server.truth_of(4)?;
    let report = agent.finish()?;
    let figures = expect::matches(&report.spool, &truth)?;
    Ok(figures.summary())
}

/// A call whose answer has begun.
fn begun(server: &Server, tokens: u32) -> Result<UnixStream> {
    let mut stream = UnixStream::connect(server.socket())?;
    let body = chat(tokens, 10, 20);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    ensure!(stream.read(&mut [0; 4_096])? > 0, "no answer");
    Ok(stream)
}

fn only(report: &Report, aborted_by: &str) -> Result<()> {
    let spans = report.spool.requests();
    ensure!(spans.len() == 1, "{}", report.spool.describe());
    ensure!(
        spans[0].text("cirron.aborted_by") == Some(aborted_by),
        "{:?}",
        spans[0]
    );
    Ok(())
}

/// The server only writes: nothing but its error says that the client is gone.
fn leaves() -> Result<String> {
    let server = Server::start(Stack::ForkingUnix)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    drop(begun(&server, 100)?);
    let truth = server.truth_of(1)?;
    ensure!(!truth[0].whole, "it was served whole");
    agent.spool_until("its exchange", |spool| {
        (!spool.requests().is_empty()).then_some(())
    })?;
    let report = agent.finish()?;
    only(&report, "client")?;
    Ok(String::new())
}

fn killed() -> Result<String> {
    let mut server = Server::start(Stack::ForkingUnix)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let mut stream = begun(&server, 1_000)?;
    let children = server.process().children()?;
    ensure!(children.len() == 1, "children {children:?}");
    kill(children[0], libc::SIGKILL);
    stream.read_to_end(&mut Vec::new())?;
    let since = Instant::now();
    agent.spool_until("the end of the exchange", |spool| {
        let ended = |s: &&cirron_tests::spool::Span| s.end_ns.is_some();
        spool.requests().into_iter().find(ended).map(drop)
    })?;
    let waited = since.elapsed();
    let report = agent.finish()?;
    only(&report, "server")?;
    Ok(format!("said within {waited:.1?}"))
}
