//! HTTP/2 by an upgrade from HTTP/1 (h2c): unmodified clients ask for it, unmodified servers grant it,
//! and the figures are those of any other HTTP/2.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::calls::curl;
use cirron_tests::process::Guard;
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack};
use cirron_tests::spool::Span;
use cirron_tests::truth::Truth;
use cirron_tests::wait;
use cirron_tests::{CANARY, expect};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "h2c_upgrade_by_curl_and_nghttp_is_served",
        need: Need::Stacks,
        run: served,
    },
    Test {
        name: "h2c_upgrade_with_a_body_through_caddy_is_served",
        need: Need::Stacks,
        run: with_a_body,
    },
    Test {
        name: "h2c_upgrade_of_a_client_that_is_the_target",
        need: Need::Stacks,
        run: called,
    },
];

/// What both ends agreed on, and how many connections that took.
fn agreed(spans: &[&Span], connections: usize) -> Result<()> {
    for span in spans {
        expect::untouched(span)?;
        let version = span.text("network.protocol.version");
        ensure!(version == Some("2"), "{span:?}");
        ensure!(!span.is("cirron.upgraded"), "it is HTTP still: {span:?}");
    }
    let ports: BTreeSet<_> = spans.iter().map(|s| s.int("client.port")).collect();
    ensure!(ports.len() == connections, "connections from {ports:?}");
    Ok(())
}

/// hypercorn upgrades a request without a body; what follows on the connection are further streams.
fn served() -> Result<String> {
    let server = Server::start(Stack::Hypercorn)?;
    let agent = Agent::attach(&[server.pid()], &["-v"])?;
    let health = server.url(&format!("/health?q={CANARY}"));
    let nothing = server.url("/nothing");
    curl(&["--http2", &health, &nothing, &health])?;
    let output = Command::new("nghttp")
        .args(["-nu", "-H", &format!("x-ask: {CANARY}")])
        .args([&health, &nothing])
        .output()?;
    ensure!(
        output.status.success(),
        "nghttp: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let truth = server.truth_of(5)?;
    let report = agent.finish()?;
    let figures = expect::matches(&report.spool, &truth).with_context(|| report.stderr.clone())?;
    agreed(&report.spool.requests(), 2).with_context(|| report.stderr.clone())?;
    Ok(figures.summary())
}

/// Caddy that takes h2c, in front of `upstream`.
struct Front {
    guard: Guard,
    port: u16,
    _dir: tempfile::TempDir,
}

fn caddy(upstream: u16) -> Result<Front> {
    let port = free_port()?;
    let dir = tempfile::tempdir()?;
    let config = dir.path().join("Caddyfile");
    std::fs::write(
        &config,
        format!(
            "{{\n admin off\n auto_https off\n servers {{\n  protocols h1 h2c\n }}\n}}\nhttp://127.0.0.1:{port} {{\n bind 127.0.0.1\n reverse_proxy 127.0.0.1:{upstream}\n}}\n"
        ),
    )?;
    let mut command = Command::new("caddy");
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(&config)
        .env("HOME", dir.path())
        .env("XDG_DATA_HOME", dir.path())
        .env("XDG_CONFIG_HOME", dir.path());
    let guard = Guard::spawn_logged(command, &dir.path().join("front.log"))?;
    wait::listener(port)?;
    Ok(Front {
        guard,
        port,
        _dir: dir,
    })
}

const JSON: &str = "content-type: application/json";

fn chat(model: &str) -> String {
    format!(
        r#"{{"model":"{model}","messages":[{{"role":"user","content":"{CANARY}"}}],"stream":true,"x_tokens":9,"x_prompt_tokens":4,"x_ttft_ms":30,"x_interval_ms":5,"x_usage":true}}"#
    )
}

/// Two calls on one connection: the first asks on HTTP/1 with its body, the second is a stream.
fn two_calls(url: &str) -> Vec<String> {
    let call = |model: &str| -> Vec<String> {
        let out = ["--http2", "-sS", "-N", "-o", "/dev/null"];
        let body = chat(model);
        let arguments = [&out[..], &["-H", JSON, "-d", &body, url]].concat();
        arguments.into_iter().map(str::to_owned).collect()
    };
    [call("first"), vec!["--next".to_owned()], call("second")].concat()
}

#[expect(clippy::cast_precision_loss, reason = "token counts")]
fn model_calls(spans: &[&Span], truth: &[Truth]) -> Result<()> {
    ensure!(spans.len() == truth.len(), "{} spans", spans.len());
    for t in truth {
        let span = expect::span_of(spans, t)?;
        let text = || format!("{t:?}\n  {span:?}");
        expect::untouched(span)?;
        ensure!(span.status() == Some(200) && span.path() == t.path, text());
        ensure!(span.text("http.request.method") == Some("POST"), text());
        let model = span.text("gen_ai.request.model");
        ensure!(model == t.model.as_deref() && model.is_some(), text());
        let figures = span.text("cirron.figures");
        ensure!(figures == Some("complete"), text());
        for (mark, count) in [
            ("output_tokens", t.tokens),
            ("input_tokens", t.prompt_tokens),
        ] {
            ensure!(span.mark(mark) == count.map(|n| n as f64), text());
        }
        let first = span.mark("time_to_first_token_ms").with_context(text)?;
        let handler = t.ttft_ns.with_context(text)? as f64 / 1e6;
        ensure!(first >= handler - expect::TTFT_BELOW_MS, text());
        let byte = span.mark("time_to_first_byte_ms").with_context(text)?;
        ensure!(byte <= first, text());
    }
    Ok(())
}

fn with_a_body() -> Result<String> {
    let upstream = Server::start(Stack::UvicornH11)?;
    let front = caddy(upstream.port)?;
    let agent = Agent::attach(&[front.guard.pid()], &["-v"])?;
    let url = format!(
        "http://127.0.0.1:{}/v1/chat/completions?q={CANARY}",
        front.port
    );
    let arguments = two_calls(&url);
    curl(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    let truth = upstream.truth_of(2)?;
    let report = agent.finish()?;
    let said = || format!("{}\n{}", report.spool.describe(), report.stderr);
    let (served, made) = (report.spool.requests(), report.spool.client_calls());
    agreed(&served, 1).with_context(said)?;
    model_calls(&served, &truth).with_context(said)?;
    model_calls(&made, &truth).with_context(said)?;
    let plain = |s: &&Span| s.text("network.protocol.version") == Some("1.1");
    ensure!(made.iter().all(plain), said());
    Ok(format!("{} calls on one connection", truth.len()))
}

fn called() -> Result<String> {
    let upstream = Server::start(Stack::UvicornH11)?;
    let front = caddy(upstream.port)?;
    let url = format!(
        "http://127.0.0.1:{}/v1/chat/completions?q={CANARY}",
        front.port
    );
    let mut command = Command::new("curl");
    command.args(two_calls(&url));
    let report =
        Agent::run(&["--output", "spool"], &command, |_| {})?.ended(Duration::from_secs(60))?;
    let truth = upstream.truth_of(2)?;
    let said = || format!("{}\n{}", report.spool.describe(), report.stderr);
    let made = report.spool.client_calls();
    agreed(&made, 1).with_context(said)?;
    model_calls(&made, &truth).with_context(said)?;
    Ok(format!("{} calls on one connection", truth.len()))
}
