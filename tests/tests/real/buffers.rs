//! Servers that send many buffers in one call.

use std::time::Duration;

use anyhow::{Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::calls::curl;
use cirron_tests::expect;
use cirron_tests::raw::Raw;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack};
use serde_json::json;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "three_hundred_events_that_node_writes_in_one_turn",
        need: Need::Stacks,
        run: one_turn,
    },
    Test {
        name: "what_piled_up_in_uvloop_while_its_client_paused",
        need: Need::Stacks,
        run: paused,
    },
];

fn one_turn() -> Result<String> {
    let server = Server::start(Stack::Node)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let body =
        json!({"model": "m", "stream": true, "messages": [], "x_tokens": 300, "x_usage": true});
    let json = "Content-Type: application/json";
    let url = server.url("/v1/chat/completions");
    curl(&["-H", json, "-d", &body.to_string(), &url])?;
    server.truth_of(1)?;
    let report = agent.finish()?;
    // Its times are those of the turn's end: nothing left the server before.
    let spans = report.spool.requests();
    ensure!(spans.len() == 1, "{}", report.spool.describe());
    expect::untouched(spans[0])?;
    let tokens = spans[0].mark("completion_tokens");
    ensure!(tokens == Some(300.0), "{tokens:?} tokens");
    Ok(String::new())
}

fn paused() -> Result<String> {
    let server = Server::start(Stack::UvicornHttptools)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    // More than the socket's buffers take, in pieces so small that a call has as many as the kernel takes.
    let body = json!({"model": "m", "stream": true, "messages": [], "x_tokens": 20_000, "x_pad": 200, "x_usage": true});
    let mut client = Raw::post(server.port, "/v1/chat/completions", &body)?;
    std::thread::sleep(Duration::from_secs(2));
    client.read_to_end(Duration::from_secs(60))?;
    let truth = server.truth_of(1)?;
    let report = agent.finish()?;
    let figures = expect::matches(&report.spool, &truth)?;
    Ok(figures.summary())
}
