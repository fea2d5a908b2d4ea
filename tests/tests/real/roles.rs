//! The target as a client, and as both.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::calls::{call, openai, openai_command};
use cirron_tests::expect;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack};
use serde_json::{Value, json};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "a_client_is_seen_from_its_first_byte",
        need: Need::Stacks,
        run: client,
    },
    Test {
        name: "a_gateway_is_both_and_never_mixed_up",
        need: Need::Stacks,
        run: gateway,
    },
];

#[expect(clippy::cast_precision_loss, reason = "token counts")]
fn client() -> Result<String> {
    let server = Server::start(Stack::UvicornH11)?;
    let calls: Vec<Value> = (0..6)
        .map(|i| call("chat", &format!("m{i}"), i > 1, json!({"x_tokens": 5 + i, "x_ttft_ms": 30 + 10 * i, "x_interval_ms": 5, "x_usage": i % 2 == 0 || i < 2})))
        .chain([call("chat", "bad", false, json!({"x_status": 400}))])
        .collect();
    let plan = server.dir.path().join("plan.json");
    std::fs::write(
        &plan,
        json!({"base_url": server.url("/v1"), "concurrency": 3, "calls": calls}).to_string(),
    )?;
    let mut command = openai_command()?;
    command.arg(&plan);
    let report = Agent::run(&[], &command, |_| {})?.ended(Duration::from_secs(30))?;
    let truth = server.truth_of(7)?;
    let spans = report.spool.client_calls();
    ensure!(
        report.spool.requests().is_empty(),
        "a client's calls named request: {}",
        report.spool.describe()
    );
    ensure!(
        spans.len() == 7,
        "{} calls recorded: {}",
        spans.len(),
        report.spool.describe()
    );
    let mut offs = Vec::new();
    for t in truth.iter().filter(|t| t.id.is_some()) {
        let span = expect::span_of(&spans, t)?;
        expect::untouched(span)?;
        ensure!(
            span.mark("output_tokens") == t.tokens.map(|n| n as f64),
            "{span:?}"
        );
        ensure!(
            span.text("gen_ai.request.model") == t.model.as_deref(),
            "{span:?}"
        );
        ensure!(
            span.int("server.port") == Some(i64::from(server.port))
                && span.text("server.address") == Some("127.0.0.1"),
            "address: {span:?}"
        );
        if let Some(first) = t.ttft_ns {
            offs.push(
                span.mark("time_to_first_token_ms")
                    .context("no time to first token")?
                    - first as f64 / 1e6,
            );
        }
    }
    // The client's clock starts before the server has anything, so the figure is never below.
    ensure!(offs.iter().all(|o| *o >= -0.3), "{offs:.2?}");
    let worst = offs.iter().copied().fold(0.0, f64::max);
    expect::in_time("time to first token", worst, 30.0)?;
    ensure!(
        spans.iter().any(|s| s.status() == Some(400)),
        "the error is missing"
    );
    Ok(format!(
        "time to first token less the server's: {offs:.2?} ms"
    ))
}

#[expect(clippy::cast_precision_loss, reason = "token counts")]
fn gateway() -> Result<String> {
    let behind = Server::start(Stack::UvicornHttptools)?;
    let gateway = Server::start_with(Stack::Gateway, &[("UPSTREAM", &behind.url(""))])?;
    let agent = Agent::attach(&[gateway.pid()], &[])?;
    let calls: Vec<Value> =
        (0..12).map(|i| call("chat", &format!("gw-m{i}"), i % 4 != 0, json!({"x_tokens": 5 + i, "x_prompt_tokens": 50 + i, "x_ttft_ms": 20, "x_interval_ms": 8, "x_usage": true}))).collect();
    openai(gateway.port, 6, &calls)?;
    let truth = behind.truth_of(12)?;
    let report = agent.finish()?;
    let (served, made) = (report.spool.requests(), report.spool.client_calls());
    ensure!(
        served.len() == 12 && made.len() == 12,
        "{} served, {} made: {}",
        served.len(),
        made.len(),
        report.spool.describe()
    );
    for t in &truth {
        let model = t.model.as_deref().context("model")?;
        let outer = format!("gw-{model}");
        let one = served
            .iter()
            .find(|s| s.text("gen_ai.request.model") == Some(&outer))
            .with_context(|| format!("no request {outer}"))?;
        let two = made
            .iter()
            .find(|s| s.text("gen_ai.request.model") == Some(model))
            .with_context(|| format!("no call {model}"))?;
        for span in [one, two] {
            expect::untouched(span)?;
            ensure!(
                span.mark("completion_tokens") == t.tokens.map(|n| n as f64),
                "{span:?}"
            );
            ensure!(
                span.mark("prompt_tokens") == t.prompt_tokens.map(|n| n as f64),
                "{span:?}"
            );
        }
        ensure!(
            one.text("gen_ai.response.model") == Some(&outer)
                && two.text("gen_ai.response.model") == Some(model),
            "models crossed"
        );
        ensure!(
            one.start_ns <= two.start_ns && one.end_ns >= two.end_ns.map(|e| e - 20_000_000),
            "the call lies outside its request"
        );
        ensure!(
            two.int("server.port") == Some(i64::from(behind.port))
                && one.int("server.port") == Some(i64::from(gateway.port)),
            "ports"
        );
    }
    Ok(String::new())
}
