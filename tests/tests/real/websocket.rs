//! WebSocket by unmodified clients against unmodified servers: messages counted, and each response
//! of OpenAI's Realtime API a scope of its own, by what the client's own objects say.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::expect;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack, certificate};
use cirron_tests::spool::{Span, Spool};
use cirron_tests::stacks;
use serde_json::Value;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "websocket_realtime_is_served",
        need: Need::Stacks,
        run: || served(Stack::Realtime),
    },
    Test {
        name: "websocket_realtime_is_served_over_https",
        need: Need::Stacks,
        run: || served(Stack::RealtimeTls),
    },
    Test {
        name: "websocket_realtime_client_is_the_target",
        need: Need::Stacks,
        run: || called(Stack::Realtime),
    },
    Test {
        name: "websocket_realtime_client_is_the_target_over_https",
        need: Need::Stacks,
        run: || called(Stack::RealtimeTls),
    },
    Test {
        name: "websocket_on_streams_of_http2_is_served",
        need: Need::Stacks,
        run: || served_on_streams(Stack::Hypercorn),
    },
    Test {
        name: "websocket_on_streams_of_http2_is_served_over_https",
        need: Need::Stacks,
        run: || served_on_streams(Stack::HypercornTlsH2),
    },
    Test {
        name: "websocket_on_streams_of_http2_client_is_the_target",
        need: Need::Stacks,
        run: called_on_streams,
    },
    Test {
        name: "websocket_still_open_has_its_responses_in_the_spool",
        need: Need::Stacks,
        run: open,
    },
];

fn client(server: &Server, stack: Stack) -> Result<Command> {
    client_by("realtime.py", server, stack)
}

fn client_by(script: &str, server: &Server, stack: Stack) -> Result<Command> {
    let mut command = Command::new(stacks::venv("python")?);
    command.arg(stacks::here().join("clients").join(script));
    if stack.is_tls() {
        command.arg(server.https("")).arg(certificate());
    } else {
        command.arg(server.url(""));
    }
    Ok(command)
}

fn served(stack: Stack) -> Result<String> {
    let server = Server::start(stack)?;
    let agent = Agent::attach(&[server.pid()], &["-v"])?;
    let output = client(&server, stack)?.output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report = agent.finish()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    same(&printed, &report.spool, "request").with_context(|| report.stderr.clone())
}

fn called(stack: Stack) -> Result<String> {
    let server = Server::start(stack)?;
    let command = client(&server, stack)?;
    let report =
        Agent::run(&["--output", "spool"], &command, |_| {})?.ended(Duration::from_secs(120))?;
    same(&report.stdout, &report.spool, "http.client").with_context(|| report.stderr.clone())
}

const ON_STREAMS: &str = "realtime_h2.py";

/// Extended CONNECT (RFC 8441): hypercorn, and h2 with wsproto.
fn served_on_streams(stack: Stack) -> Result<String> {
    let server = Server::start_with(stack, &[("APP", "app_realtime")])?;
    let agent = Agent::attach(&[server.pid()], &["-v"])?;
    let output = client_by(ON_STREAMS, &server, stack)?.output()?;
    ensure!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        server.log()
    );
    let report = agent.finish()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    same_streams(&printed, &report.spool, "request").with_context(|| report.stderr.clone())
}

fn called_on_streams() -> Result<String> {
    let server = Server::start_with(Stack::Hypercorn, &[("APP", "app_realtime")])?;
    let command = client_by(ON_STREAMS, &server, Stack::Hypercorn)?;
    let report =
        Agent::run(&["--output", "spool"], &command, |_| {})?.ended(Duration::from_secs(120))?;
    same_streams(&report.stdout, &report.spool, "http.client")
        .with_context(|| report.stderr.clone())
}

fn same_streams(printed: &str, spool: &Spool, name: &str) -> Result<String> {
    for span in spool.named(name) {
        ensure!(
            span.text("network.protocol.version") == Some("2")
                && span.text("http.request.method") == Some("CONNECT"),
            "{span:?}"
        );
    }
    same(printed, spool, name)
}

fn lines(printed: &str) -> Result<Vec<Value>> {
    let lines = printed.lines().filter(|l| l.starts_with('{'));
    Ok(lines.map(serde_json::from_str).collect::<Result<_, _>>()?)
}

fn same(printed: &str, spool: &Spool, name: &str) -> Result<String> {
    let (sockets, responses): (Vec<Value>, Vec<Value>) = lines(printed)?
        .into_iter()
        .partition(|l| l["socket"].is_string());
    let connections: Vec<&Span> = spool.named(name).collect();
    let nested: Vec<&Span> = spool.named("response").collect();
    ensure!(
        (sockets.len(), responses.len()) == (3, 4),
        "the client said: {printed}"
    );
    ensure!(
        (connections.len(), nested.len()) == (3, 4),
        "{}",
        spool.describe()
    );
    for (told, span) in sockets.iter().zip(&connections) {
        socket(told, span).with_context(|| format!("{told}\n  {span:?}"))?;
    }
    for told in &responses {
        let id = told["id"].as_str();
        let span = nested
            .iter()
            .find(|s| s.text("gen_ai.response.id") == id)
            .with_context(|| format!("no response {told}: {}", spool.describe()))?;
        response(told, span).with_context(|| format!("{told}\n  {span:?}"))?;
        let parent = span.parent_id.as_deref();
        ensure!(
            parent == Some(connections[0].id.as_str()),
            "below another: {span:?}"
        );
    }
    Ok("3 connections, 4 responses".to_owned())
}

fn socket(told: &Value, span: &Span) -> Result<()> {
    expect::untouched(span)?;
    ensure!(Some(span.path()) == told["socket"].as_str(), "another path");
    let status = told["status"].as_i64().unwrap_or(101);
    ensure!(span.status() == Some(status) && span.is("cirron.upgraded"));
    ensure!(span.text("network.protocol.name") == Some("websocket"));
    ensure!(
        span.int("cirron.request.messages") == told["sent"].as_i64(),
        "sent"
    );
    ensure!(
        span.int("cirron.response.messages") == told["received"].as_i64(),
        "received"
    );
    if let Some(bytes) = told["bytes"].as_i64() {
        ensure!(
            span.int("cirron.request.message_bytes") == Some(bytes),
            "bytes sent"
        );
        ensure!(
            span.int("cirron.response.message_bytes") == Some(bytes),
            "bytes received"
        );
    }
    ensure!(
        span.int("cirron.websocket.close_code") == told["code"].as_i64(),
        "code"
    );
    ensure!(span.text("cirron.websocket.closed_by") == Some("client"));
    for mark in [
        "time_to_first_message_ms",
        "time_to_last_message_ms",
        "max_inter_message_ms",
    ] {
        ensure!(span.mark(mark).is_some(), "no {mark}");
    }
    Ok(())
}

fn response(told: &Value, span: &Span) -> Result<()> {
    ensure!(!span.is("cirron.partial"), "partial");
    let figures = match told["status"] == "failed" {
        true => "partial",
        false => "complete",
    };
    ensure!(span.text("cirron.figures") == Some(figures), "figures");
    ensure!(span.text("gen_ai.provider.name") == Some("openai"));
    ensure!(span.text("gen_ai.response.model") == Some("gpt-realtime"));
    ensure!(
        span.text("gen_ai.response.finish_reasons") == told["status"].as_str(),
        "finish reason"
    );
    let error = (told["status"] == "failed").then_some("overloaded");
    ensure!(span.text("error.type") == error, "error");
    ensure!(
        span.int("gen_ai.usage.cache_read.input_tokens") == told["cached"].as_i64(),
        "cached"
    );
    for (mark, key) in [("input_tokens", "input"), ("output_tokens", "output")] {
        ensure!(span.mark(mark) == told[key].as_f64(), "{mark}");
    }
    let first = span
        .mark("time_to_first_token_ms")
        .context("no first token")?;
    if told["asked"] == true {
        ensure!(span.text("cirron.response.begin") == Some("asked"));
        let handler = told["handler_ms"].as_f64().context("handler")?;
        let client = told["first_ms"].as_f64().context("client")?;
        ensure!(
            first >= handler - expect::TTFT_BELOW_MS,
            "{first} before {handler}"
        );
        ensure!(first <= client, "{first} after {client}");
    } else {
        ensure!(span.text("cirron.response.begin") == Some("created"));
    }
    Ok(())
}

/// Whoever looks at a conversation of hours must not wait for its end.
fn open() -> Result<String> {
    let server = Server::start(Stack::Realtime)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let script = "import sys, time\nfrom openai import OpenAI\n\
        c = OpenAI(api_key='a', base_url=sys.argv[1], websocket_base_url=sys.argv[1].replace('http', 'ws'))\n\
        k = c.realtime.connect(model='gpt-realtime').enter()\n\
        k.send({'type': 'response.create', 'response': {}})\n\
        while k.recv().type != 'response.done': pass\n\
        time.sleep(60)\n";
    let mut command = Command::new(stacks::venv("python")?);
    command.args(["-c", script, &server.url("/v1")]);
    let mut client = cirron_tests::process::Guard::spawn(command)?;
    agent.spool_until("a response below an open request", |spool| {
        let response = spool.named("response").next()?;
        let request = spool
            .requests()
            .into_iter()
            .find(|r| response.parent_id.as_ref() == Some(&r.id) && r.end_ns.is_none())?;
        (request.path() == "/v1/realtime").then_some(())
    })?;
    client.child().kill()?;
    client.child().wait()?;
    let report = agent.finish()?;
    let requests = report.spool.requests();
    ensure!(requests.len() == 1, "{}", report.spool.describe());
    ensure!(
        requests[0].text("cirron.aborted_by") == Some("client"),
        "{:?}",
        requests[0]
    );
    Ok("a response, then a client that was killed".to_owned())
}
