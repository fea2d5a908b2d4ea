//! The programs that come with TLS libraries: OpenSSL's, whose plaintext goes through the library's own
//! filter (`BIO_f_ssl`) and past its exported functions; LibreSSL's.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::CANARY;
use cirron_tests::agent::{Agent, Report};
use cirron_tests::expect;
use cirron_tests::process::Guard;
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack, certificate, key};
use cirron_tests::stacks;
use cirron_tests::wait;
use serde_json::json;

use crate::tls_libs::doctor;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "https_through_openssl_s_own_filter_as_a_server",
        need: Need::Stacks,
        run: || www(Path::new("openssl"), "libssl.so", Some("ssl_read_internal")),
    },
    Test {
        name: "https_through_openssl_s_own_filter_as_a_client",
        need: Need::Stacks,
        run: ocsp,
    },
    Test {
        name: "https_libressl_server",
        need: Need::Stacks,
        run: || www(&stacks::libressl()?, "libssl.so.26", None),
    },
    Test {
        name: "https_libressl_client",
        need: Need::Stacks,
        run: libressl_client,
    },
    Test {
        name: "https_connections_without_plaintext_are_counted",
        need: Need::Stacks,
        run: handshakes_only,
    },
];

/// Sizes of the files that are asked for: less than a TLS record, one, many.
const SIZES: [usize; 4] = [11, 1_000, 16_384, 300_000];

/// A server that gives the files of a folder.
struct Www {
    target: Guard,
    port: u16,
    dir: tempfile::TempDir,
}

impl Www {
    /// `openssl s_server -WWW`.
    fn start(openssl: &Path) -> Result<Www> {
        let dir = tempfile::tempdir()?;
        for size in SIZES {
            std::fs::write(dir.path().join(format!("of-{size}")), "f".repeat(size))?;
        }
        let port = free_port()?;
        let mut command = Command::new(openssl);
        command
            .args(["s_server", "-WWW", "-accept"])
            .arg(port.to_string())
            .arg("-cert")
            .arg(certificate())
            .arg("-key")
            .arg(key())
            .current_dir(dir.path());
        let target = Guard::spawn_logged(command, &dir.path().join("log"))?;
        let www = Www { target, port, dir };
        wait::listener(port).with_context(|| www.log())?;
        Ok(www)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// What curl gets.
    fn get(&self, file: &str) -> Result<usize> {
        let output = Command::new("curl")
            .args(["--silent", "--fail", "--tls-max", "1.2"])
            .args(["--header", &format!("X-Canary: {CANARY}"), "--cacert"])
            .arg(certificate())
            .arg(format!("https://localhost:{}/{file}", self.port))
            .output()?;
        ensure!(output.status.success(), "curl {file}: {}", self.log());
        Ok(output.stdout.len())
    }
}

/// Every file once, with its own size.
fn www(openssl: &Path, library: &str, function: Option<&str>) -> Result<String> {
    let www = Www::start(openssl)?;
    let doctor = doctor(www.target.pid())?;
    let watched =
        |line: &str| line.contains(library) && line.contains(function.unwrap_or("SSL_read "));
    ensure!(doctor.lines().any(watched), "{doctor}");
    let agent = Agent::attach(&[www.target.pid()], &["-v"])?;
    for size in SIZES {
        let got = www.get(&format!("of-{size}"))?;
        ensure!(got == size, "{got} of {size}");
    }
    let report = agent.finish()?;
    let spans = report.spool.requests();
    ensure!(
        spans.len() == SIZES.len() && report.spool.client_calls().is_empty(),
        "{}\n{}",
        report.spool.describe(),
        report.stderr
    );
    for (span, size) in spans.iter().zip(SIZES) {
        expect::untouched(span)?;
        ensure!(
            span.status() == Some(200)
                && span.path() == format!("/of-{size}")
                && span.text("url.scheme") == Some("https")
                && crate::tls::is_linked(span)
                && span.int("server.port") == Some(i64::from(www.port))
                && span.int("http.response.body.size") == i64::try_from(size).ok(),
            "{size}: {span:?}"
        );
    }
    Ok(format!("{} files", spans.len()))
}

/// `openssl ocsp` asks by HTTPS; the server knows of no such thing.
fn ocsp() -> Result<String> {
    let server = Server::start(Stack::UvloopTls)?;
    let mut command = Command::new("openssl");
    command.args(["ocsp", "-timeout", "5"]);
    command.arg("-issuer").arg(certificate());
    command.arg("-cert").arg(certificate());
    command.args(["-url", &server.https("/ocsp")]);
    // Its own exit status: it wanted another answer.
    let report = Agent::run(&["-v"], &command, |_| {})?.ended_with(1, Duration::from_secs(20))?;
    let spans = report.spool.client_calls();
    let [span] = spans[..] else {
        anyhow::bail!("{}\n{}", report.spool.describe(), report.stderr)
    };
    // It reads no further than the head.
    ensure!(
        span.status() == Some(404)
            && span.path() == "/ocsp"
            && !span.attrs.contains_key("cirron.lost_bytes")
            && !span.attrs.contains_key("cirron.late_attach")
            && span.text("http.request.method") == Some("POST")
            && span.text("url.scheme") == Some("https")
            && span.int("server.port") == Some(i64::from(server.port))
            && span.int("http.request.body.size").is_some_and(|n| n > 50),
        "{span:?}"
    );
    Ok(String::new())
}

/// LibreSSL's `s_client` sends two calls, a stream and a whole answer, on one connection.
fn libressl_client() -> Result<String> {
    let server = Server::start(Stack::UvloopTls)?;
    let dir = tempfile::tempdir()?;
    let requests = dir.path().join("requests");
    std::fs::write(&requests, two_calls())?;
    let mut command = Command::new(stacks::libressl()?);
    command.args(["s_client", "-quiet", "-connect"]);
    command.arg(format!("127.0.0.1:{}", server.port));
    let input = std::fs::File::open(&requests)?;
    let report = run_with(&command, input)?;
    let truth = server.truth_of(2)?;
    let spans = expect::only_client_calls(&report, 2)?;
    for t in &truth {
        let span = expect::span_of(&spans, t)?;
        expect::untouched(span)?;
        #[expect(clippy::cast_precision_loss, reason = "a few tokens")]
        let tokens = t.tokens.map(|n| n as f64);
        ensure!(
            span.status() == Some(200)
                && span.text("url.scheme") == Some("https")
                && span.int("server.port") == Some(i64::from(server.port))
                && span.mark("output_tokens") == tokens
                && span.mark("time_to_first_token_ms").is_some() == t.stream,
            "{t:?}\n  {span:?}"
        );
    }
    Ok(String::new())
}

/// Runs a client that reads `input` and prints what it gets.
fn run_with(command: &Command, input: std::fs::File) -> Result<Report> {
    let quiet = |c: &mut Command| {
        c.stdin(input).stdout(Stdio::null());
    };
    Agent::run(&["-v"], command, quiet)?.ended(Duration::from_secs(20))
}

fn two_calls() -> String {
    [(true, "keep-alive"), (false, "close")]
        .map(|(stream, connection)| {
            let body = json!({"model": "t", "stream": stream, "messages": [{"role": "user", "content": CANARY}],
                "x_tokens": 7, "x_prompt_tokens": 11, "x_ttft_ms": 40, "x_interval_ms": 5, "x_usage": true})
            .to_string();
            format!(
                "POST /v1/chat/completions?q={CANARY} HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        })
        .concat()
}

/// Connections that only shake hands, as those of a port check, beside one that asks.
fn handshakes_only() -> Result<String> {
    const CHECKS: i64 = 3;
    let server = Server::start(Stack::UvloopTls)?;
    let agent = Agent::attach(&[server.pid()], &["-v"])?;
    for _ in 0..CHECKS {
        let status = Command::new("openssl")
            .args(["s_client", "-connect"])
            .arg(format!("127.0.0.1:{}", server.port))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        ensure!(status.success(), "s_client: {status}");
    }
    let url = server.https("/health");
    let curl = Command::new("curl")
        .args(["--silent", "--fail", "--output", "/dev/null", "--cacert"])
        .arg(certificate())
        .arg(&url)
        .status()?;
    ensure!(curl.success(), "curl {url}: {curl}");
    let report = agent.finish()?;
    let sessions = report.spool.sessions();
    let silent: Vec<_> = sessions
        .iter()
        .filter_map(|s| s.int("cirron.tls.silent_connections"))
        .collect();
    ensure!(
        silent == [CHECKS] && report.spool.requests().len() == 1,
        "{silent:?}\n{}\n{}",
        report.spool.describe(),
        report.stderr
    );
    let said = format!("{CHECKS} TLS connections without plaintext");
    ensure!(report.stderr.contains(&said), "{}", report.stderr);
    Ok(String::new())
}
