//! Bodies of every framing and size.

use std::io::Write as _;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::calls::{call, curl, openai};
use cirron_tests::expect;
use cirron_tests::raw::Raw;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack};
use serde_json::json;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "compressed_answers_are_decoded",
        need: Need::Stacks,
        run: compressed,
    },
    Test {
        name: "answers_without_body_keep_the_connection_in_step",
        need: Need::Stacks,
        run: bodiless,
    },
    Test {
        name: "pipelined_requests_are_paired_in_order",
        need: Need::Stacks,
        run: pipelined,
    },
    Test {
        name: "expect_100_continue",
        need: Need::Stacks,
        run: continued,
    },
    Test {
        name: "sendfile_is_counted_as_lost",
        need: Need::Stacks,
        run: sendfile,
    },
    Test {
        name: "a_stream_of_20000_events",
        need: Need::Stacks,
        run: long_stream,
    },
    Test {
        name: "a_5_mb_json_answer",
        need: Need::Stacks,
        run: big_json,
    },
];

/// Resident memory of the agent stays below this in the two large cases.
const PEAK_KIB: u64 = 160 * 1024;

const JSON: &str = "Content-Type: application/json";

fn compressed() -> Result<String> {
    let gzip = Server::start(Stack::UvicornGzip)?;
    let aiohttp = Server::start(Stack::Aiohttp)?;
    let agent = Agent::attach(&[gzip.pid(), aiohttp.pid()], &[])?;
    let calls: Vec<_> = (0..4)
        .map(|i| {
            call(
                "chat",
                "z",
                i % 2 == 1,
                json!({"x_tokens": 30 + i, "x_ttft_ms": 30, "x_interval_ms": 4, "x_usage": true}),
            )
        })
        .collect();
    openai(gzip.port, 1, &calls)?;
    for coding in ["gzip", "deflate"] {
        let body = json!({"model": coding, "x_tokens": 25, "x_compress": coding, "messages": []});
        let out = curl(&[
            "-i",
            "--compressed",
            "-H",
            JSON,
            "-d",
            &body.to_string(),
            &aiohttp.url("/v1/chat/completions"),
        ])?;
        let text = String::from_utf8_lossy(&out.stdout).to_lowercase();
        ensure!(
            text.contains(&format!("content-encoding: {coding}")),
            "not compressed: {text}"
        );
    }
    let mut truth = gzip.truth_of(4)?;
    truth.extend(aiohttp.truth_of(2)?);
    let report = agent.finish()?;
    // gzip holds the first token back until its block is flushed, so times are not compared here.
    for t in &mut truth {
        let span = report
            .spool
            .requests()
            .into_iter()
            .find(|s| s.text("gen_ai.response.id") == t.id.as_deref())
            .with_context(|| format!("no request for {t:?}: {}", report.spool.describe()))?
            .clone();
        expect::untouched(&span)?;
        #[expect(clippy::cast_precision_loss, reason = "token counts")]
        let tokens = t.tokens.map(|n| n as f64);
        ensure!(span.mark("completion_tokens") == tokens, "{span:?}");
        ensure!(
            span.text("gen_ai.response.model") == t.model.as_deref(),
            "{span:?}"
        );
    }
    ensure!(
        report.spool.requests().len() == 6,
        "{}",
        report.spool.describe()
    );
    Ok(String::new())
}

fn bodiless() -> Result<String> {
    let server = Server::start(Stack::UvicornHttptools)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    // One connection: a body taken for granted after HEAD, 204 or 304 would swallow the next answer.
    curl(&[
        "-I",
        &server.url("/health"),
        "--next",
        "-sS",
        &server.url("/nothing"),
        "--next",
        "-sS",
        &server.url("/unchanged"),
        "--next",
        "-sS",
        &server.url("/health"),
    ])?;
    curl(&[&server.url("/unchanged"), &server.url("/health")])?;
    let truth = server.truth_of(6)?;
    let report = agent.finish()?;
    expect::matches(&report.spool, &truth)?;
    let statuses: Vec<_> = report
        .spool
        .requests()
        .iter()
        .map(|s| s.status().unwrap_or(0))
        .collect();
    ensure!(statuses == [200, 204, 304, 200, 304, 200], "{statuses:?}");
    Ok(String::new())
}

fn pipelined() -> Result<String> {
    let server = Server::start(Stack::Node)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let mut bytes = Vec::new();
    for i in 0..6 {
        let body = json!({"model": format!("p{i}"), "messages": [], "x_tokens": 5 + i, "x_usage": true, "x_ttft_ms": 20}).to_string();
        write!(
            bytes,
            "POST /v1/chat/completions HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
    }
    let mut raw = Raw::send(server.port, &bytes)?;
    raw.read_until(b"HTTP/1.1 200", 6, std::time::Duration::from_secs(5))?;
    let truth = server.truth_of(6)?;
    raw.hang_up();
    let report = agent.finish()?;
    let requests = report.spool.requests();
    ensure!(requests.len() == 6, "{}", report.spool.describe());
    for t in &truth {
        let span = requests
            .iter()
            .find(|s| s.text("gen_ai.request.model") == t.model.as_deref())
            .with_context(|| format!("no request for {t:?}"))?;
        expect::untouched(span)?;
        ensure!(
            span.text("gen_ai.response.id") == t.id.as_deref(),
            "answers crossed: {span:?}"
        );
        #[expect(clippy::cast_precision_loss, reason = "token counts")]
        let tokens = t.tokens.map(|n| n as f64);
        ensure!(span.mark("completion_tokens") == tokens, "{span:?}");
    }
    Ok(String::new())
}

fn continued() -> Result<String> {
    let server = Server::start(Stack::UvicornH11)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(&vec![b'x'; 300_000])?;
    let path = format!("@{}", file.path().display());
    let out = curl(&[
        "-i",
        "-H",
        "Expect: 100-continue",
        "-H",
        "Content-Type: text/plain",
        "--data-binary",
        &path,
        &server.url("/echo"),
        "--next",
        "-sS",
        &server.url("/health"),
    ])?;
    ensure!(
        String::from_utf8_lossy(&out.stdout).contains("100 Continue"),
        "no 100 Continue: {}",
        String::from_utf8_lossy(&out.stdout)
    );
    let truth = server.truth_of(2)?;
    let report = agent.finish()?;
    expect::matches(&report.spool, &truth)?;
    let echo = report.spool.requests()[0];
    ensure!(
        echo.int("http.request.body.size") == Some(300_000),
        "{echo:?}"
    );
    Ok(String::new())
}

fn sendfile() -> Result<String> {
    const SIZE: usize = 3_000_000;
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(&vec![b'x'; SIZE])?;
    let server = Server::start_with(
        Stack::Aiohttp,
        &[("SEND_FILE", file.path().to_str().context("path")?)],
    )?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let out = curl(&[&server.url("/file"), &server.url("/health")])?;
    ensure!(out.stdout.len() > SIZE, "file not served");
    server.truth_of(2)?;
    let report = agent.finish()?;
    let requests = report.spool.requests();
    ensure!(requests.len() == 2, "{}", report.spool.describe());
    let (file, health) = (requests[0], requests[1]);
    let size = i64::try_from(SIZE)?;
    ensure!(
        file.path() == "/file" && file.status() == Some(200),
        "{file:?}"
    );
    ensure!(
        file.int("http.response.body.size") == Some(size),
        "body size: {file:?}"
    );
    ensure!(
        file.int("cirron.lost_bytes") == Some(size) && file.is("cirron.partial"),
        "loss: {file:?}"
    );
    ensure!(health.path() == "/health", "{health:?}");
    expect::untouched(health)?;
    Ok(String::new())
}

fn long_stream() -> Result<String> {
    const EVENTS: usize = 20_000;
    let server = Server::start(Stack::UvicornHttptools)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let body = json!({"model": "long", "stream": true, "x_tokens": EVENTS, "x_ttft_ms": 50, "x_usage": true, "messages": []});
    let mut raw = Raw::post(server.port, "/v1/chat/completions", &body)?;
    let tokens = raw.read_to_end(std::time::Duration::from_secs(60))?;
    ensure!(tokens == EVENTS, "the client got {tokens}");
    let truth = server.truth_of(1)?;
    let report = agent.finish()?;
    let figures = expect::matches(&report.spool, &truth)?;
    let span = report.spool.requests()[0];
    ensure!(
        span.marks("output_tokens")
            .all(|m| m.attrs.get("estimated").is_none()),
        "an estimate, though usage came"
    );
    peak(report.peak_kib).map(|p| format!("{}; agent's peak {p} MiB", figures.summary()))
}

fn big_json() -> Result<String> {
    let server = Server::start(Stack::UvicornHttptools)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let body = json!({"model": "big", "x_tokens": 1000, "x_pad": 5000, "x_prompt_tokens": 11, "messages": []});
    let out = curl(&[
        "-H",
        JSON,
        "-d",
        &body.to_string(),
        &server.url("/v1/chat/completions"),
    ])?;
    ensure!(
        out.stdout.len() > 5_000_000,
        "only {} bytes",
        out.stdout.len()
    );
    let truth = server.truth_of(1)?;
    let report = agent.finish()?;
    expect::matches(&report.spool, &truth).with_context(|| report.summary.to_string())?;
    ensure!(
        report.spool.requests()[0].int("http.response.body.size")
            == i64::try_from(out.stdout.len()).ok(),
        "body size"
    );
    peak(report.peak_kib).map(|p| format!("{} bytes; agent's peak {p} MiB", out.stdout.len()))
}

fn peak(kib: Option<u64>) -> Result<u64> {
    let kib = kib.context("VmHWM")?;
    ensure!(
        kib < PEAK_KIB,
        "the agent's peak was {kib} KiB, more than {PEAK_KIB}"
    );
    Ok(kib / 1024)
}
