//! HTTP/2 by unmodified clients against unmodified servers: the same figures as over HTTP/1.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::calls::{call, curl, openai_http2_at};
use cirron_tests::expect;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack, certificate};
use serde_json::{Value, json};

use super::tls::calls;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "http2_openai_client_on_hypercorn_by_prior_knowledge",
        need: Need::Stacks,
        run: || server(Stack::Hypercorn),
    },
    Test {
        name: "http2_openai_client_on_hypercorn_over_https",
        need: Need::Stacks,
        run: || server(Stack::HypercornTlsH2),
    },
    Test {
        name: "http2_a_hundred_streams_at_once",
        need: Need::Stacks,
        run: hundred,
    },
    Test {
        name: "http2_curl_by_prior_knowledge_and_over_https",
        need: Need::Stacks,
        run: by_curl,
    },
];

fn server(stack: Stack) -> Result<String> {
    let server = Server::start(stack)?;
    let base = if stack.is_tls() {
        server.https("/v1")
    } else {
        server.url("/v1")
    };
    let agent = Agent::attach(&[server.pid()], &["-v"])?;
    let mut seen = openai_http2_at(&base, 1, &calls())?;
    // One after the other: hypercorn takes a millisecond of its own for each frame.
    seen.extend(openai_http2_at(&base, 1, &calls())?);
    let truth = server.truth_of(16)?;
    let report = agent.finish()?;
    let figures = expect::matches_slow(&report.spool, &truth, &seen)
        .with_context(|| report.stderr.clone())?;
    for span in report.spool.requests() {
        ensure!(
            span.text("network.protocol.version") == Some("2"),
            "{span:?}"
        );
    }
    Ok(figures.summary())
}

/// Each of a hundred streams of one connection has its own model, tokens and times. How long
/// hypercorn needs for all of them is its own: a first token is after its handler's, and before its
/// client's.
fn hundred() -> Result<String> {
    const STREAMS: usize = 100;
    let server = Server::start(Stack::Hypercorn)?;
    let agent = Agent::attach(&[server.pid()], &["-v"])?;
    let plan: Vec<Value> = (0..STREAMS)
        .map(|i| {
            let extra = json!({"x_tokens": 5 + i % 17, "x_prompt_tokens": 10 + i, "x_ttft_ms": 300 + i, "x_interval_ms": 20});
            call("chat", &format!("m{i}"), true, extra)
        })
        .collect();
    let seen = openai_http2_at(&server.url("/v1"), STREAMS, &plan)?;
    let truth = server.truth_of(STREAMS)?;
    let report = agent.finish()?;
    let requests = report.spool.requests();
    ensure!(requests.len() == STREAMS, "{}", report.stderr);
    let ports: BTreeSet<_> = requests.iter().map(|s| s.int("client.port")).collect();
    ensure!(ports.len() == 1, "connections from {ports:?}");
    let first = requests.iter().filter_map(|s| s.end_ns).min();
    let last = requests.iter().map(|s| s.start_ns).max();
    ensure!(last < first, "all of them were open at once");
    for t in &truth {
        let id = t.id.as_deref().context("no id")?;
        let span = requests
            .iter()
            .find(|s| s.text("gen_ai.response.id") == Some(id))
            .with_context(|| format!("no request {id}"))?;
        let client = seen.iter().find(|s| s.id.as_deref() == Some(id));
        let client = client.with_context(|| format!("no answer {id}"))?;
        let text = || format!("{t:?} {client:?}\n  {span:?}");
        expect::untouched(span)?;
        let model = span.text("gen_ai.request.model");
        ensure!(model == Some(client.model.as_str()), text());
        let tokens = span.mark("output_tokens").with_context(text)?;
        ensure!(Some(tokens) == t.tokens.map(|n| n as f64), text());
        ensure!(tokens == client.chunks as f64, text());
        let recorded = span.mark("time_to_first_token_ms").with_context(text)?;
        let handler = t.ttft_ns.with_context(text)? as f64 / 1e6;
        ensure!(recorded >= handler - expect::TTFT_BELOW_MS, text());
        ensure!(recorded <= client.first_ms.with_context(text)?, text());
    }
    Ok(format!("{STREAMS} streams of one connection"))
}

/// nghttp2's frames and header compression, by curl.
fn by_curl() -> Result<String> {
    let body = r#"{"model":"m","messages":[],"x_tokens":9,"x_prompt_tokens":4}"#;
    let mut calls = 0;
    for stack in [Stack::Hypercorn, Stack::HypercornTlsH2] {
        let server = Server::start(stack)?;
        let agent = Agent::attach(&[server.pid()], &["-v"])?;
        let (base, version) = if stack.is_tls() {
            (server.https(""), "--http2")
        } else {
            (server.url(""), "--http2-prior-knowledge")
        };
        let chat = format!("{base}/v1/chat/completions");
        let ca = certificate();
        let ca = ca.to_str().context("path")?;
        let json = "content-type: application/json";
        // Over plain TCP curl 7.88 cannot use a connection again after prior knowledge.
        let again = if stack.is_tls() { 1 } else { 2 };
        for _ in 0..again {
            let mut arguments = vec![version, "--cacert", ca, "-H", json, "-d", body];
            arguments.extend(vec![chat.as_str(); 3 - again]);
            curl(&arguments)?;
        }
        let truth = server.truth_of(2)?;
        let report = agent.finish()?;
        expect::matches(&report.spool, &truth).with_context(|| report.stderr.clone())?;
        for span in report.spool.requests() {
            ensure!(
                span.text("network.protocol.version") == Some("2"),
                "{span:?}"
            );
        }
        calls += truth.len();
    }
    Ok(format!("{calls} calls"))
}
