//! Every dialect that has an official client, by that client against a server that gives the
//! documented responses: what the client's own objects say is what is recorded, on both sides.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::expect;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack};
use cirron_tests::spool::Span;
use cirron_tests::stacks;
use serde_json::Value;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "official_clients_are_served",
        need: Need::Stacks,
        run: || served(python),
    },
    Test {
        name: "official_clients_are_the_target",
        need: Need::Stacks,
        run: || called(python),
    },
    Test {
        name: "official_node_clients_are_served",
        need: Need::Stacks,
        run: || served(node),
    },
    Test {
        name: "official_node_clients_are_the_target",
        need: Need::Stacks,
        run: || called(node),
    },
];

/// Makes the command that calls a server with all clients of a language.
type Clients = fn(&Server) -> Result<Command>;

/// Between two events of the server's, ms (`STEP` of `app_documented.py`).
const STEP_MS: f64 = 20.0;

fn python(server: &Server) -> Result<Command> {
    let mut command = Command::new(stacks::venv("python")?);
    command
        .arg(stacks::here().join("clients/documented.py"))
        .arg(server.url(""));
    Ok(command)
}

fn node(server: &Server) -> Result<Command> {
    let mut command = Command::new("node");
    command
        .arg(stacks::here().join("clients/node/documented.js"))
        .arg(server.url(""))
        .env("NODE_CLIENTS", stacks::node_clients()?);
    Ok(command)
}

fn served(client: Clients) -> Result<String> {
    let server = Server::start(Stack::Documented)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let output = client(&server)?.output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report = agent.finish()?;
    same(
        &String::from_utf8_lossy(&output.stdout),
        report.spool.requests(),
    )
}

fn called(client: Clients) -> Result<String> {
    let server = Server::start(Stack::Documented)?;
    let command = client(&server)?;
    let inherited: Vec<_> = command
        .get_envs()
        .filter_map(|(k, v)| Some((k, v?)))
        .collect();
    let report = Agent::run(&["--output", "spool"], &command, |agent| {
        agent.envs(inherited);
    })?
    .ended(Duration::from_secs(120))?;
    same(&report.stdout, report.spool.client_calls())
}

/// What the clients printed, in order, against the spans.
fn same(printed: &str, mut spans: Vec<&Span>) -> Result<String> {
    let told: Vec<Value> = printed
        .lines()
        .filter(|l| l.starts_with("{\"dialect\""))
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    spans.sort_by_key(|s| s.start_ns);
    ensure!(
        told.len() == spans.len() && told.len() > 10,
        "{} calls, {} spans: {printed} {spans:?}",
        told.len(),
        spans.len()
    );
    let mut dialects: Vec<&str> = Vec::new();
    for (t, span) in told.iter().zip(&spans) {
        one(t, span).with_context(|| format!("{t}\n  {span:?}"))?;
        dialects.extend(t["dialect"].as_str());
    }
    dialects.sort_unstable();
    dialects.dedup();
    Ok(format!("{} calls: {}", told.len(), dialects.join(", ")))
}

fn one(t: &Value, span: &Span) -> Result<()> {
    // Mistral's client closes its connection at `[DONE]`, before the body's last chunk.
    expect::untouched(span)?;
    ensure!(Some(span.path()) == t["path"].as_str(), "another path");
    for (attr, key) in [
        ("gen_ai.provider.name", "dialect"),
        ("gen_ai.operation.name", "operation"),
        ("gen_ai.response.finish_reasons", "finish"),
        ("gen_ai.response.model", "model"),
    ] {
        if let Some(said) = t[key].as_str() {
            ensure!(span.text(attr) == Some(said), "{attr}");
        }
    }
    for (mark, key) in [("input_tokens", "input"), ("output_tokens", "output")] {
        ensure!(span.mark(mark) == t[key].as_f64(), "{mark}");
    }
    ensure!(span.text("cirron.figures") == Some("complete"), "figures");
    let first = span.mark("time_to_first_token_ms");
    ensure!(first.is_some() == (t["stream"] == true), "first token");
    // Events come a step apart: two with content, at least, are so far from each other.
    if t["texts"].as_f64().is_some_and(|texts| texts > 1.0) {
        let apart = span
            .mark("max_inter_token_ms")
            .context("no time between tokens")?;
        ensure!(apart > STEP_MS * 0.8, "events {apart} ms apart");
        ensure!(span.text("cirron.stream.burst").is_none(), "a burst");
    }
    Ok(())
}
