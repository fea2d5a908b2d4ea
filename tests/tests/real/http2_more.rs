//! HTTP/2 of other makes than Python's: Go's, Node's and nghttp2's, as servers and as clients, and
//! nginx in front of a stream. Padded frames and headers in CONTINUATION among them.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::CANARY;
use cirron_tests::agent::{Agent, Report};
use cirron_tests::calls::{Seen, openai_http2_at};
use cirron_tests::expect;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack, certificate};
use cirron_tests::spool::Span;
use cirron_tests::stacks;
use cirron_tests::truth::Truth;
use serde_json::json;

use super::tls::calls;
use super::tls_more;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "http2_go_server_by_prior_knowledge",
        need: Need::Stacks,
        run: || server(Stack::GoH2),
    },
    Test {
        name: "http2_go_server_over_https",
        need: Need::Stacks,
        run: || server(Stack::GoTls),
    },
    Test {
        name: "http2_node_server_by_prior_knowledge",
        need: Need::Stacks,
        run: || server(Stack::NodeH2),
    },
    Test {
        name: "http2_node_server_over_https",
        need: Need::Stacks,
        run: || server(Stack::NodeTlsH2),
    },
    Test {
        name: "http2_go_client_is_seen",
        need: Need::Stacks,
        run: || client(&[Stack::NodeH2, Stack::NodeTlsH2], go_client),
    },
    Test {
        name: "http2_node_client_is_seen",
        need: Need::Stacks,
        run: || client(&[Stack::GoH2, Stack::GoTls], node_client),
    },
    Test {
        name: "http2_nghttp_is_served_and_seen",
        need: Need::Stacks,
        run: by_nghttp,
    },
    Test {
        name: "http2_h2load_is_served",
        need: Need::Stacks,
        run: by_h2load,
    },
    Test {
        name: "http2_of_connections_that_end_with_their_response",
        need: Need::Stacks,
        run: short_connections,
    },
    Test {
        name: "http2_nginx_in_front_of_a_stream",
        need: Need::Stacks,
        run: nginx,
    },
];

/// `path` of the server, by its scheme.
fn at(server: &Server, stack: Stack, path: &str) -> String {
    if stack.is_tls() {
        server.https(path)
    } else {
        server.url(path)
    }
}

fn is_http2(span: &&Span) -> bool {
    span.text("network.protocol.version") == Some("2")
}

/// By httpx's client and by Node's, on a connection each, all calls at once.
fn server(stack: Stack) -> Result<String> {
    let server = Server::start(stack)?;
    let agent = Agent::attach(&[server.pid()], &["-v"])?;
    let base = at(&server, stack, "/v1");
    let mut seen = openai_http2_at(&base, 8, &calls())?;
    let output = node_client(&server, stack)?.output()?;
    seen.extend(printed(&output)?);
    let truth = server.truth_of(16)?;
    let report = agent.finish()?;
    let figures = expect::matches_slow(&report.spool, &truth, &seen)
        .with_context(|| report.stderr.clone())?;
    let requests = report.spool.requests();
    ensure!(requests.iter().all(is_http2), "{requests:?}");
    Ok(figures.summary())
}

fn printed(output: &Output) -> Result<Vec<Seen>> {
    let error = || String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{}", error());
    serde_json::from_slice(&output.stdout).with_context(error)
}

/// Makes the calls of [`calls`] at once, with Node's http2.
fn node_client(server: &Server, stack: Stack) -> Result<Command> {
    let plan = server.dir.path().join("plan.json");
    let text = json!({"base_url": at(server, stack, "/v1"), "calls": calls(), "long": 2000});
    std::fs::write(&plan, text.to_string())?;
    let mut command = Command::new("node");
    command
        .arg(stacks::here().join("clients/node/http2.js"))
        .arg(plan)
        .env("SSL_CERT_FILE", certificate());
    Ok(command)
}

/// Makes eight calls, three at a time, with Go's net/http.
fn go_client(server: &Server, stack: Stack) -> Result<Command> {
    let mut command = Command::new(stacks::go_server(true)?);
    command
        .arg("client")
        .arg(at(server, stack, "/v1/chat/completions"))
        .env("HTTP2", "1")
        .env("SSL_CERT_FILE", certificate());
    Ok(command)
}

/// The command in the agent's hands, until it has ended.
fn watched(command: &Command) -> Result<Report> {
    let set = |(name, value): (_, Option<_>)| value.map(|value| (name, value));
    let inherited: Vec<_> = command.get_envs().filter_map(set).collect();
    Agent::run(&["-v"], command, |agent| {
        agent.envs(inherited);
    })?
    .ended(Duration::from_secs(30))
}

/// A client as the target: each of its calls, with the server's own figures.
fn client(stacks: &[Stack], command: impl Fn(&Server, Stack) -> Result<Command>) -> Result<String> {
    let mut made = 0;
    for stack in stacks {
        let server = Server::start(*stack)?;
        let report = watched(&command(&server, *stack)?)?;
        let truth = server.truth_of(8)?;
        are_calls(&report, &truth).with_context(|| format!("{stack:?}: {}", report.stderr))?;
        made += truth.len();
    }
    Ok(format!("{made} calls"))
}

fn are_calls(report: &Report, truth: &[Truth]) -> Result<()> {
    let spans = report.spool.client_calls();
    ensure!(
        spans.len() == truth.len() && report.spool.requests().is_empty(),
        "{} calls: {}",
        truth.len(),
        report.spool.describe()
    );
    for t in truth {
        let span = expect::span_of(&spans, t)?;
        is_call(span, t).with_context(|| format!("{t:?}\n  {span:?}"))?;
    }
    Ok(())
}

/// From a client's write to its handler's entry, at most: a server of one thread shakes hands with the client's other connections
/// meanwhile. 27 to 37 ms were seen of Node with three busy programs on its two processors.
const BEFORE_HANDLER_MS: f64 = 200.0;
/// Node's wall clock has milliseconds.
const WALL_CLOCK_MS: f64 = 2.0;

#[expect(clippy::cast_precision_loss, reason = "token counts and ns of a test")]
fn is_call(span: &Span, t: &Truth) -> Result<()> {
    expect::untouched(span)?;
    ensure!(is_http2(&span), "another version");
    ensure!(
        span.status() == Some(200) && span.path() == t.path,
        "path or status"
    );
    for name in ["gen_ai.request.model", "gen_ai.response.model"] {
        ensure!(span.text(name) == t.model.as_deref(), "{name}");
    }
    ensure!(span.mark("output_tokens") == told(t), "output_tokens");
    let prompt = t.usage.then_some(t.prompt_tokens).flatten();
    ensure!(
        span.mark("input_tokens") == prompt.map(|n| n as f64),
        "input_tokens"
    );
    let first = span.mark("time_to_first_token_ms");
    ensure!(first.is_some() == t.stream, "a first token, or none");
    // The client's write is before the handler's entry, its read after the handler's write.
    if let Some((first, handler)) = first.zip(t.ttft_ns) {
        let off = first - handler as f64 / 1e6;
        ensure!(
            off >= -expect::TTFT_BELOW_MS,
            "time to first token too early by {off:.3} ms"
        );
        // What passed before the handler's entry is in the client's figure, and true.
        let before = (t.start_wall_ns - span.start_ns) as f64 / 1e6;
        ensure!(
            before >= -WALL_CLOCK_MS,
            "begins {:.3} ms behind its handler",
            -before
        );
        expect::in_time("handler's entry", before, BEFORE_HANDLER_MS)?;
        let behind = off - before.max(0.0);
        expect::in_time("first token", behind, expect::TTFT_WORST_MS)?;
    }
    Ok(())
}

/// The tokens that the wire tells: none where an answer in one piece has no usage.
#[expect(clippy::cast_precision_loss, reason = "token counts")]
fn told(t: &Truth) -> Option<f64> {
    let tokens = t.tokens.filter(|_| t.stream || t.usage);
    tokens.map(|n| n as f64)
}

/// A request's body, in a file of the server's.
fn body(server: &Server, stream: bool) -> Result<String> {
    let path = server.dir.path().join("body.json");
    let body = json!({"model": "ng", "stream": stream, "messages": [], "x_tokens": 6, "x_prompt_tokens": 4, "x_ttft_ms": 30, "x_interval_ms": 3, "x_usage": true});
    std::fs::write(&path, body.to_string())?;
    Ok(path.to_str().context("path")?.to_owned())
}

/// nghttp: padding, CONTINUATION, priorities, four streams of one connection.
fn nghttp(server: &Server, stack: Stack) -> Result<Command> {
    let mut command = Command::new("nghttp");
    command.args(["-y", "-n", "--padding=200", "--continuation", "-m", "4"]);
    command.args(["-H", "content-type: application/json", "-H"]);
    command.arg(format!("x-ask: {CANARY}"));
    command.args(["-d", &body(server, true)?]);
    command.arg(at(server, stack, "/v1/chat/completions"));
    Ok(command)
}

fn by_nghttp() -> Result<String> {
    let mut calls = 0;
    for stack in [Stack::NodeH2, Stack::GoTls] {
        let mut server = Server::start(stack)?;
        let agent = Agent::attach(&[server.pid()], &["-v"])?;
        quiet(&mut nghttp(&server, stack)?)?;
        let truth = server.truth_of(4)?;
        let report = agent.finish()?;
        let served = || format!("{stack:?}: {}", report.stderr);
        expect::matches(&report.spool, &truth).with_context(served)?;
        let requests = report.spool.requests();
        ensure!(requests.iter().all(is_http2), "{requests:?}");
        server.forget()?;
        let report = watched(&nghttp(&server, stack)?)?;
        let truth = server.truth_of(4)?;
        let made = || format!("to {stack:?}: {}", report.stderr);
        are_calls(&report, &truth).with_context(made)?;
        calls += 2 * truth.len();
    }
    Ok(format!("{calls} calls"))
}

fn quiet(command: &mut Command) -> Result<()> {
    let output = command.stdout(Stdio::null()).output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {error}");
    Ok(())
}

/// This number of calls by h2load, over the connections that `more` asks for.
fn h2load(server: &Server, stack: Stack, calls: usize, more: &[&str]) -> Result<Command> {
    let mut command = Command::new("h2load");
    command.args(["-n", &calls.to_string()]).args(more);
    command.args(["-H", "content-type: application/json"]);
    command.args(["-d", &body(server, false)?]);
    command.arg(at(server, stack, "/v1/chat/completions"));
    Ok(command)
}

/// Three hundred calls, ten at once on each of two connections.
fn by_h2load() -> Result<String> {
    const CALLS: usize = 300;
    let mut rates = Vec::new();
    for stack in [Stack::GoH2, Stack::NodeTlsH2] {
        let server = Server::start(stack)?;
        let agent = Agent::attach(&[server.pid()], &["-v"])?;
        let output = h2load(&server, stack, CALLS, &["-c", "2", "-m", "10"])?.output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(text.contains(&format!("{CALLS} succeeded")), "{text}");
        let truth = server.truth_of(CALLS)?;
        let report = agent.finish()?;
        let served = || format!("{stack:?}: {}", report.stderr);
        expect::matches(&report.spool, &truth).with_context(served)?;
        let requests = report.spool.requests();
        ensure!(requests.iter().all(is_http2), "{requests:?}");
        rates.push(requests.len());
    }
    Ok(format!("{} calls", rates.iter().sum::<usize>()))
}

/// A connection for each call: the client ends it as soon as it has the response, so that another
/// goroutine of the server closes while the write is on its way out.
fn short_connections() -> Result<String> {
    const CALLS: usize = 400;
    let server = Server::start(Stack::GoTls)?;
    let agent = Agent::attach(&[server.pid()], &["-v"])?;
    let connections = ["-c", &CALLS.to_string(), "-m", "1", "-r", "100"];
    quiet(&mut h2load(&server, Stack::GoTls, CALLS, &connections)?)?;
    let truth = server.truth_of(CALLS)?;
    let report = agent.finish()?;
    let served = || report.stderr.clone();
    expect::matches(&report.spool, &truth).with_context(served)?;
    Ok(format!("{} calls", truth.len()))
}

/// HTTP/2 in TLS in front, HTTP/1 behind: both of its sides are seen, and both are right.
fn nginx() -> Result<String> {
    let ask = |port: u16| {
        let base = format!("https://127.0.0.1:{port}/v1");
        openai_http2_at(&base, 8, &calls()).map(drop)
    };
    let (report, truth) = tls_more::front(tls_more::nginx_conf("ssl http2"), ask)?;
    let (served, made) = (report.spool.requests(), report.spool.client_calls());
    ensure!(served.iter().all(is_http2), "{served:?}");
    ensure!(!made.iter().any(is_http2), "{made:?}");
    for t in &truth {
        let id = |s: &&&Span| s.text("gen_ai.response.id") == t.id.as_deref();
        let tokens = |side: &[&Span]| side.iter().find(id).and_then(|s| s.mark("output_tokens"));
        ensure!(
            tokens(&served) == told(t) && tokens(&made) == told(t),
            "{t:?}: {:?} and {:?}",
            tokens(&served),
            tokens(&made)
        );
    }
    Ok(format!("{} calls", truth.len()))
}
