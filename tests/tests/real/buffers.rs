//! Servers that send many buffers in one call.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use cirron_tests::CANARY;
use cirron_tests::agent::Agent;
use cirron_tests::calls::curl;
use cirron_tests::expect;
use cirron_tests::process::Guard;
use cirron_tests::raw::{Raw, free_port};
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack};
use cirron_tests::stacks;
use cirron_tests::wait::{self, pause};
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
    Test {
        name: "what_piled_up_in_the_newest_asyncio_while_its_client_paused",
        need: Need::Stacks,
        run: newest_asyncio,
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
    pause("a client that does not read", Duration::from_secs(2));
    client.read_to_end(Duration::from_secs(60))?;
    let truth = server.truth_of(1)?;
    let report = agent.finish()?;
    let figures = expect::matches(&report.spool, &truth)?;
    Ok(figures.summary())
}

/// Events that are more than the socket's buffers take, and than one call does.
const PILED: u32 = 20_000;

/// The standard library's own server of the newest Python: from 3.12 on it sends many buffers in one call.
fn newest_asyncio() -> Result<String> {
    let (root, port) = (stacks::python_root("python-sid-root")?, free_port()?);
    let script = std::fs::read_to_string(stacks::here().join("servers/python/piled.py"))?;
    let mut command = Command::new("chroot");
    command.arg(root).args([stacks::PYTHON, "-c", &script]);
    command.args([&port.to_string(), &PILED.to_string(), CANARY]);
    let server = Guard::spawn(command)?;
    wait::listener(port)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let body = json!({"model": "m", "stream": true, "messages": []});
    let mut client = Raw::post(port, "/v1/chat/completions", &body)?;
    pause("a client that does not read", Duration::from_secs(2));
    client.read_to_end(Duration::from_secs(60))?;
    let report = agent.finish()?;
    let spans = report.spool.requests();
    ensure!(spans.len() == 1, "{}", report.spool.describe());
    expect::untouched(spans[0])?;
    let tokens = spans[0].mark("completion_tokens");
    ensure!(tokens == Some(f64::from(PILED)), "{tokens:?} tokens");
    let largest = spans[0].mark("max_inter_token_ms");
    ensure!(largest.is_some_and(|ms| ms > 500.0), "{largest:?} ms");
    Ok(String::new())
}
