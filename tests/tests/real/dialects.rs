//! Dialects by official clients against real servers: the figures are those that the client got.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::expect;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack, certificate};
use cirron_tests::spool::Span;
use cirron_tests::stacks;
use serde_json::Value;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "anthropic_messages_of_llama_server",
        need: Need::Stacks,
        run: messages_served,
    },
    Test {
        name: "client_of_messages_leaves_before_the_count",
        need: Need::Stacks,
        run: messages_left,
    },
    Test {
        name: "https_anthropic_client_is_seen",
        need: Need::Stacks,
        run: messages_called,
    },
];

fn client(base_url: &str) -> Result<Command> {
    let mut command = Command::new(stacks::venv("python")?);
    command
        .arg(stacks::here().join("clients/messages.py"))
        .arg(base_url);
    Ok(command)
}

/// What the client printed, against the spans.
fn same(printed: &str, spans: &[&Span]) -> Result<String> {
    let told: Vec<Value> = printed
        .lines()
        .filter(|l| l.starts_with('{'))
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    ensure!(told.len() == 4 && spans.len() == 4, "{printed} {spans:?}");
    for t in &told {
        let span = spans
            .iter()
            .find(|s| s.text("gen_ai.response.id") == t["id"].as_str())
            .with_context(|| format!("no call {t}: {spans:?}"))?;
        expect::untouched(span)?;
        for (mark, figure) in [("input_tokens", "input"), ("output_tokens", "output")] {
            ensure!(
                span.mark(mark) == t[figure].as_f64(),
                "{mark} of {t}: {span:?}"
            );
        }
        ensure!(
            span.text("gen_ai.provider.name") == Some("anthropic")
                && span.text("gen_ai.operation.name") == Some("chat")
                && span.text("gen_ai.response.finish_reasons") == t["stop"].as_str(),
            "{t}: {span:?}"
        );
        ensure!(
            span.mark("time_to_first_token_ms").is_some() == (t["stream"] == true),
            "{t}: {span:?}"
        );
    }
    Ok(format!("{} calls", told.len()))
}

fn messages_served() -> Result<String> {
    let server = Server::start(Stack::Llama)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let output = client(&server.url(""))?.output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report = agent.finish()?;
    same(
        &String::from_utf8_lossy(&output.stdout),
        &report.spool.requests(),
    )
}

/// `message_start` says 0 tokens of the answer, and `message_delta` does not come.
fn messages_left() -> Result<String> {
    let server = Server::start(Stack::Llama)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let body = r#"{"model":"x","max_tokens":3500,"stream":true,"ignore_eos":true,"messages":[{"role":"user","content":"count"}]}"#;
    let output = Command::new("curl")
        .args(["-sN", "--max-time", "0.25", "-d", body])
        .arg(server.url("/v1/messages"))
        .output()?;
    let read = String::from_utf8_lossy(&output.stdout);
    let read = read.matches("event: content_block_delta").count();
    ensure!(read > 1 && output.status.code() == Some(28), "{output:?}");
    let report = agent.finish()?;
    let requests = report.spool.requests();
    let span = requests.first().context("no request")?;
    let output = span.marks("output_tokens").next();
    let output = output.with_context(|| format!("no output: {span:?}"))?;
    let counted = output.value.as_f64().unwrap_or_default();
    ensure!(
        counted >= read as f64 && output.attrs["estimated"] == true,
        "{read} events read: {span:?}"
    );
    ensure!(
        span.mark("completion_tokens").is_none()
            && span.mark("tokens_per_second").is_none()
            && span.mark("input_tokens").is_some()
            && span.text("cirron.figures") == Some("partial")
            && span.text("cirron.aborted_by") == Some("client"),
        "{span:?}"
    );
    Ok(format!("{counted} events, of which {read} were read"))
}

fn messages_called() -> Result<String> {
    let server = Server::start(Stack::LlamaTls)?;
    let command = client(&server.https(""))?;
    let report = Agent::run(&["--output", "spool"], &command, |c| {
        c.env("SSL_CERT_FILE", certificate());
    })?
    .ended(Duration::from_secs(60))?;
    same(&report.stdout, &report.spool.client_calls())
}
