//! Ends and beginnings in the middle of a stream.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::calls::curl;
use cirron_tests::contract;
use cirron_tests::expect;
use cirron_tests::raw::Raw;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack};
use cirron_tests::spool::{Span, Spool};
use serde_json::json;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "attached_in_the_middle_of_a_stream",
        need: Need::Stacks,
        run: late,
    },
    Test {
        name: "attached_in_the_middle_of_lines_and_of_an_array",
        need: Need::Stacks,
        run: late_documents,
    },
    Test {
        name: "a_connection_older_than_the_attach_is_joined",
        need: Need::Stacks,
        run: old_connection,
    },
    Test {
        name: "the_target_is_killed_in_the_middle_of_a_stream",
        need: Need::Stacks,
        run: target_killed,
    },
    Test {
        name: "the_agent_is_killed_in_the_middle_of_a_stream",
        need: Need::Stacks,
        run: agent_killed,
    },
    Test {
        name: "the_agent_is_stopped_in_the_middle_of_a_stream",
        need: Need::Stacks,
        run: agent_stopped,
    },
    Test {
        name: "the_client_goes_away_in_the_middle_of_a_stream",
        need: Need::Stacks,
        run: client_gone,
    },
    Test {
        name: "a_server_that_writes_on_when_its_client_has_gone",
        need: Need::Stacks,
        run: written_to_nobody,
    },
    Test {
        name: "a_client_that_only_shuts_its_sending_side_has_had_all",
        need: Need::Stacks,
        run: half_closed,
    },
    Test {
        name: "http2_a_stream_that_its_client_cancels",
        need: Need::Stacks,
        run: cancelled,
    },
];

const LIMIT: Duration = Duration::from_secs(20);

/// A stream of `tokens` tokens at 50 a second, read up to its fifth.
fn begun(server: &Server, tokens: usize) -> Result<Raw> {
    let body = json!({"model": "m", "stream": true, "messages": [], "x_tokens": tokens, "x_ttft_ms": 30, "x_interval_ms": 20, "x_usage": true});
    let mut raw = Raw::post(server.port, "/v1/chat/completions", &body)?;
    ensure!(raw.read_tokens(5, LIMIT)?, "the stream ended");
    Ok(raw)
}

fn only(spool: &Spool) -> Result<&Span> {
    let requests = spool.requests();
    ensure!(
        requests.len() == 1,
        "{} requests: {}",
        requests.len(),
        spool.describe()
    );
    Ok(requests[0])
}

fn late() -> Result<String> {
    let server = Server::start(Stack::UvicornHttptools)?;
    let mut raw = begun(&server, 120)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let already = raw.tokens();
    ensure!(already < 100, "attached too late: {already}");
    ensure!(raw.read_to_end(LIMIT)? == 120, "the client lost tokens");
    server.truth_of(1)?;
    curl(&[&server.url("/health")])?;
    let report = agent.finish()?;
    let requests = report.spool.requests();
    ensure!(requests.len() == 2, "{}", report.spool.describe());
    let span = requests[0];
    ensure!(
        span.is("cirron.late_attach") && span.is("cirron.partial"),
        "it does not say so: {span:?}"
    );
    ensure!(
        span.mark("completion_tokens") == Some(120.0) && span.mark("prompt_tokens") == Some(7.0),
        "usage: {span:?}"
    );
    for name in [
        "time_to_first_token_ms",
        "request_duration_ms",
        "time_to_first_byte_ms",
    ] {
        ensure!(
            span.mark(name).is_none(),
            "{name} cannot be known: {span:?}"
        );
    }
    ensure!(span.text("gen_ai.response.model") == Some("m"), "{span:?}");
    ensure!(!span.attrs.contains_key("cirron.aborted_by"), "{span:?}");
    expect::untouched(requests[1])?;
    Ok(format!("{already} of 120 tokens had gone by"))
}

/// Ollama's lines and Gemini's array: events a second apart, the first before the attach.
fn late_documents() -> Result<String> {
    let server = Server::start_with(Stack::Documented, &[("STEP", "1.5")])?;
    let messages = json!({"model": "m", "messages": []});
    let contents = json!({"contents": []});
    let array = "/v1beta/models/gemini-2.5-flash:streamGenerateContent";
    let calls = [
        ("/api/chat", messages, "llama3.2"),
        (array, contents, "text"),
    ];
    let mut streams = Vec::new();
    for (path, body, sign) in &calls {
        let mut raw = Raw::post(server.port, path, body)?;
        raw.read_until(sign.as_bytes(), 1, LIMIT)?;
        streams.push(raw);
    }
    let agent = Agent::attach(&[server.pid()], &[])?;
    for raw in &mut streams {
        raw.read_to_end(LIMIT)?;
    }
    agent.spool_until("both", |s| (s.requests().len() == 2).then_some(()))?;
    let report = agent.finish()?;
    for span in report.spool.requests() {
        ensure!(
            span.text("cirron.figures") == Some("late_attach"),
            "{span:?}"
        );
        let provider = span.text("gen_ai.provider.name").context("no provider")?;
        let usage = ["input_tokens", "output_tokens"].map(|name| span.mark(name));
        let known = match provider {
            "ollama" => [Some(26.0), Some(7.0)],
            "gcp.gemini" => [Some(4.0), Some(13.0)],
            other => anyhow::bail!("{other}"),
        };
        ensure!(usage == known, "{span:?}");
    }
    Ok(String::new())
}

fn old_connection() -> Result<String> {
    let server = Server::start(Stack::UvicornHttptools)?;
    let get = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut raw = Raw::send(server.port, get)?;
    raw.read_until(b"{\"ok\":true}", 1, LIMIT)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    for n in 2..=3 {
        raw.send_more(get)?;
        raw.read_until(b"{\"ok\":true}", n, LIMIT)?;
    }
    let report = agent.finish()?;
    let requests = report.spool.requests();
    ensure!(requests.len() == 2, "{}", report.spool.describe());
    for span in requests {
        expect::untouched(span)?;
        ensure!(
            span.path() == "/health" && span.status() == Some(200),
            "{span:?}"
        );
        ensure!(
            span.int("server.port") == Some(i64::from(server.port)),
            "its address is known from the socket: {span:?}"
        );
    }
    Ok(String::new())
}

fn target_killed() -> Result<String> {
    let mut server = Server::start(Stack::UvicornHttptools)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let mut raw = begun(&server, 200)?;
    server.process().signal(libc::SIGKILL);
    let got = raw.read_to_end(LIMIT)?;
    server.process().wait(LIMIT)?;
    let report = agent
        .ended(Duration::from_secs(10))
        .context("the agent did not end with its last target")?;
    let span = only(&report.spool)?;
    ensure!(
        span.text("cirron.aborted_by") == Some("server") && span.is("cirron.partial"),
        "{span:?}"
    );
    ensure!(
        span.mark("time_to_first_token_ms")
            .is_some_and(|v| (29.0..200.0).contains(&v)),
        "{span:?}"
    );
    estimate(span, got)?;
    ensure!(report.spool.sessions()[0].end_ns.is_some(), "open session");
    Ok(format!("{got} tokens"))
}

/// The count of a cut stream is an estimate, and near what the client got.
#[expect(clippy::cast_precision_loss, reason = "a few tokens")]
fn estimate(span: &Span, got: usize) -> Result<()> {
    let count = span
        .mark("output_tokens")
        .with_context(|| format!("no output_tokens: {span:?}"))?;
    ensure!(
        (count - got as f64).abs() <= 2.0,
        "{count} tokens recorded, {got} received"
    );
    ensure!(
        span.marks("output_tokens")
            .all(|m| m.attrs.get("estimated").is_some_and(|v| v == true)),
        "not called an estimate"
    );
    ensure!(span.mark("completion_tokens").is_none(), "usage never came");
    Ok(())
}

fn agent_killed() -> Result<String> {
    let server = Server::start(Stack::UvicornHttptools)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    curl(&[&server.url("/health")])?;
    agent.spool_until("the finished request", |s| {
        (s.requests().len() == 1).then_some(())
    })?;
    let mut raw = begun(&server, 60)?;
    let dir = agent.kill()?;
    ensure!(raw.read_to_end(LIMIT)? == 60, "the client lost tokens");
    server.truth_of(2)?;
    curl(&[&server.url("/health")])?;
    let spool = Spool::read(dir.path())?;
    ensure!(
        spool.requests().len() == 1 && spool.sessions().len() == 1,
        "{}",
        spool.describe()
    );
    contract::private(dir.path())?;
    // And another agent finds its way.
    let agent = Agent::attach(&[server.pid()], &[])?;
    curl(&[&server.url("/health")])?;
    let report = agent.finish()?;
    expect::untouched(only(&report.spool)?)?;
    Ok(String::new())
}

fn agent_stopped() -> Result<String> {
    let server = Server::start(Stack::UvicornHttptools)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let mut raw = begun(&server, 60)?;
    let report = agent.finish()?;
    let got = raw.tokens();
    ensure!(raw.read_to_end(LIMIT)? == 60, "the client lost tokens");
    let span = only(&report.spool)?;
    ensure!(
        span.text("cirron.aborted_by") == Some("agent") && span.is("cirron.partial"),
        "{span:?}"
    );
    let count = span.mark("output_tokens").context("no output_tokens")?;
    ensure!(
        (5.0..60.0).contains(&count),
        "{count} tokens, {got} read by then"
    );
    Ok(String::new())
}

/// A client reads some tokens of `stack` and goes away: how many it read, and the scope of that call.
fn hung_up(stack: Stack) -> Result<(usize, Span)> {
    let server = Server::start(stack)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let mut raw = begun(&server, 200)?;
    let got = raw.tokens();
    raw.hang_up();
    agent.spool_until("the cut request", |s| {
        (s.requests().len() == 1).then_some(())
    })?;
    let report = agent.finish()?;
    let span = only(&report.spool)?;
    ensure!(
        span.text("cirron.aborted_by") == Some("client") && span.is("cirron.partial"),
        "{span:?}"
    );
    estimate(span, got)?;
    Ok((got, span.clone()))
}

fn client_gone() -> Result<String> {
    hung_up(Stack::UvicornHttptools)?;
    Ok(String::new())
}

/// gunicorn's threads learn that a client has gone when the second write since fails: the first is
/// taken by the kernel, and by nobody else.
fn written_to_nobody() -> Result<String> {
    let (got, span) = hung_up(Stack::GunicornThreads)?;
    let for_nobody = span.mark(FOR_NOBODY).context("nothing for nobody")?;
    ensure!((1.0..=2.0).contains(&for_nobody), "{for_nobody} for nobody");
    Ok(format!("{got} read, {for_nobody} for nobody"))
}

const FOR_NOBODY: &str = "output_tokens_after_client_left";

fn half_closed() -> Result<String> {
    let server = Server::start(Stack::GunicornThreads)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    // One is over before a reset could be ruled out, one goes on for longer than that.
    for tokens in [15, 90] {
        let mut raw = begun(&server, tokens)?;
        raw.shut_write()?;
        let got = raw.read_to_end(LIMIT)?;
        ensure!(got == tokens, "the client got {got} of {tokens}");
    }
    agent.spool_until("both", |s| (s.requests().len() == 2).then_some(()))?;
    let report = agent.finish()?;
    for (span, tokens) in report.spool.requests().iter().zip([15.0, 90.0]) {
        expect::untouched(span)?;
        ensure!(span.text("cirron.figures") == Some("complete"), "{span:?}");
        ensure!(span.mark("output_tokens") == Some(tokens), "{span:?}");
        ensure!(span.mark(FOR_NOBODY).is_none(), "{span:?}");
    }
    Ok(String::new())
}

/// Reads five events of a stream, cancels it, and prints how many it had read; then asks for another
/// on the same connection.
const CANCEL: &str = r#"
const session = require('http2').connect(process.argv[1]);
const ask = (tokens, limit, done) => {
  const stream = session.request({ ':method': 'POST', ':path': '/v1/chat/completions', 'content-type': 'application/json' });
  let text = '';
  stream.on('data', (piece) => {
    text += piece;
    if (text.split('"content"').length > limit) stream.close(8);
  });
  stream.on('error', () => {});
  stream.on('close', () => done(text.split('"content"').length - 1));
  stream.end(JSON.stringify({ model: 'm', stream: true, messages: [], x_tokens: tokens, x_ttft_ms: 30, x_interval_ms: 20, x_usage: true }));
};
ask(200, 6, (read) => ask(4, 1e9, () => { console.log(read); session.close(); }));
"#;

fn cancelled() -> Result<String> {
    let server = Server::start(Stack::Hypercorn)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let mut node = std::process::Command::new("node");
    let output = node.args(["-e", CANCEL, &server.url("")]).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let read: f64 = said.trim().parse().with_context(|| format!("{output:?}"))?;
    agent.spool_until("both", |s| (s.requests().len() == 2).then_some(()))?;
    let report = agent.finish()?;
    let mut requests = report.spool.requests();
    requests.sort_by_key(|s| s.start_ns);
    let [cut, whole] = requests[..] else {
        anyhow::bail!("{} requests", requests.len());
    };
    ensure!(
        cut.text("cirron.aborted_by") == Some("client") && cut.is("cirron.partial"),
        "{cut:?}"
    );
    let count = cut.mark("output_tokens").context("no output_tokens")?;
    ensure!((count - read).abs() <= 2.0, "{count} counted, {read} read");
    expect::untouched(whole)?;
    ensure!(whole.mark("output_tokens") == Some(4.0), "{whole:?}");
    Ok(format!(
        "{read} read, {} for nobody",
        cut.mark(FOR_NOBODY).unwrap_or(0.0)
    ))
}
