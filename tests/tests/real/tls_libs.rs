//! TLS libraries of other ages and makes: OpenSSL 1.1 and the newest, BoringSSL; and what only some
//! callers do: early data, `SSL_write_ex2`, a handshake inside a read, `SSL_sendfile`.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::CANARY;
use cirron_tests::agent::{Agent, Report, binary};
use cirron_tests::expect;
use cirron_tests::process::Guard;
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack, certificate, key};
use cirron_tests::stacks;
use cirron_tests::wait::{self, until};
use serde_json::json;

use crate::tls::server;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "https_openssl_1_1_server",
        need: Need::Stacks,
        run: || server(Stack::Python39Tls),
    },
    Test {
        name: "https_openssl_1_1_client",
        need: Need::Stacks,
        run: || urllib("python39-root"),
    },
    Test {
        name: "https_newest_openssl_server",
        need: Need::Stacks,
        run: || server(Stack::PythonSidTls),
    },
    Test {
        name: "https_newest_openssl_client",
        need: Need::Stacks,
        run: || urllib("python-sid-root"),
    },
    Test {
        name: "https_boringssl_client_over_http1",
        need: Need::Stacks,
        run: || boringssl(Stack::UvloopTls, "1.1"),
    },
    Test {
        name: "https_boringssl_client_over_http2",
        need: Need::Stacks,
        run: || boringssl(Stack::HypercornTlsH2, "2"),
    },
    Test {
        name: "https_openssl_1_1_inside_a_module",
        need: Need::Stacks,
        run: openssl_1_1_inside,
    },
    Test {
        name: "https_openssl_1_0_inside_a_module",
        need: Need::Stacks,
        run: openssl_1_0_inside,
    },
    Test {
        name: "https_early_data_is_seen_on_both_sides",
        need: Need::Stacks,
        run: early_data,
    },
    Test {
        name: "https_objects_that_take_the_place_of_freed_ones",
        need: Need::Stacks,
        run: freed,
    },
    Test {
        name: "a_handshake_inside_a_read_and_a_body_by_sendfile_inside_tls",
        need: Need::Bpf,
        run: zoo,
    },
];

/// Streams and whole answers, each with its own figures: bodies, one a line.
fn plan() -> String {
    let one = |i: u32| {
        json!({"model": format!("t{i}"), "stream": i != 3, "messages": [{"role": "user", "content": CANARY}],
            "x_tokens": 5 + i, "x_prompt_tokens": 10 + i, "x_ttft_ms": 40 + 7 * i, "x_interval_ms": 6, "x_usage": i.is_multiple_of(2)})
        .to_string() + "\n"
    };
    (0..8).map(one).collect()
}

/// Lines of [`plan`].
const CALLS: usize = 8;

/// What became of a client.
struct Ran {
    report: Report,
    /// What it printed.
    log: String,
    /// What `doctor` said about it.
    doctor: String,
}

/// Runs `script` of `clients/` by `program` in `root`; it makes calls of `server`. It waits for a file
/// until its TLS library is attached to, so that nothing of it is missed.
fn client(
    server: &Server,
    root: &Path,
    program: &[&Path],
    script: &str,
    library: &str,
    more: &[&str],
) -> Result<Ran> {
    let dir = tempfile::tempdir_in(root.join("tmp"))?;
    let outside = |name: &str| dir.path().join(name);
    let inside = |name: &str| -> Result<PathBuf> {
        Ok(Path::new("/").join(outside(name).strip_prefix(root)?))
    };
    std::fs::write(outside("plan"), plan())?;
    std::fs::copy(certificate(), outside("cert.pem"))?;
    let from = stacks::here().join("clients").join(script);
    std::fs::copy(from, outside(script))?;
    let [program, arguments @ ..] = program else {
        anyhow::bail!("no program")
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .arg(inside(script)?)
        .arg(server.https("/v1"))
        .args([inside("cert.pem")?, inside("go")?, inside("plan")?])
        .args(more);
    let mut target = Guard::spawn_logged(command, &outside("log"))?;
    let log = || std::fs::read_to_string(outside("log")).unwrap_or_default();
    let maps = format!("/proc/{}/maps", target.pid());
    until(library, Duration::from_secs(10), || {
        let maps = std::fs::read_to_string(&maps).ok()?;
        maps.contains(library).then_some(())
    })
    .with_context(log)?;
    let doctor = doctor(target.pid())?;
    let agent = Agent::attach(&[target.pid()], &["-v"])?;
    std::fs::write(outside("go"), "")?;
    let status = target.wait(Duration::from_secs(20)).with_context(log)?;
    ensure!(status.success(), "{}", log());
    let report = agent.ended(Duration::from_secs(10))?;
    Ok(Ran {
        report,
        log: log(),
        doctor,
    })
}

/// What `doctor` says about a process.
pub(crate) fn doctor(pid: u32) -> Result<String> {
    let output = Command::new(binary())
        .args(["doctor", "--pid", &pid.to_string()])
        .output()?;
    Ok(String::from_utf8(output.stdout)?)
}

impl Ran {
    /// `doctor` and `-v` say how many places of a library are watched, and at what price.
    fn said(&self, library: &str) -> Result<()> {
        for (who, text) in [("doctor", &self.doctor), ("-v", &self.report.stderr)] {
            let line = text
                .lines()
                .find(|line| line.contains(library) && line.contains(" places in "))
                .with_context(|| format!("{who} does not say what is watched: {text}"))?;
            ensure!(line.contains("single-stepped"), "{who}: {line}");
        }
        Ok(())
    }
}

/// Every call that the server served was recorded once by its client, with its own figures.
fn all_calls(server: &Server, report: &Report, version: &str) -> Result<String> {
    let truth = server.truth_of(CALLS)?;
    let spans = report.spool.client_calls();
    ensure!(
        spans.len() == CALLS && truth.len() == CALLS && report.spool.requests().is_empty(),
        "{} served\n{}\n{}",
        truth.len(),
        report.spool.describe(),
        report.stderr
    );
    for t in &truth {
        let span = expect::span_of(&spans, t)?;
        expect::untouched(span)?;
        #[expect(clippy::cast_precision_loss, reason = "a few tokens")]
        let tokens = t.tokens.filter(|_| t.usage || t.stream).map(|n| n as f64);
        let port = Some(i64::from(server.port));
        ensure!(
            span.status() == Some(200)
                && span.text("url.scheme") == Some("https")
                && span.text("network.protocol.version") == Some(version)
                && span.int("server.port").is_none_or(|p| Some(p) == port)
                && span.text("gen_ai.request.model") == t.model.as_deref()
                && span.mark("output_tokens") == tokens,
            "{t:?}\n  {span:?}"
        );
        let first = span.mark("time_to_first_token_ms");
        ensure!(first.is_some() == t.stream, "{span:?}");
        // The client sees it later than the server has it, never before.
        #[expect(clippy::cast_precision_loss, reason = "ns of a test")]
        if let (Some(first), Some(ttft)) = (first, t.ttft_ns) {
            ensure!(first >= ttft as f64 / 1e6, "{first} ms for {t:?}");
        }
    }
    let linked = spans.iter().filter(|s| s.int("server.port").is_some());
    Ok(format!(
        "{CALLS} calls, sockets of {} known",
        linked.count()
    ))
}

/// Python's own client, in a root directory with an OpenSSL of its own.
fn urllib(root: &str) -> Result<String> {
    let server = Server::start(Stack::UvloopTls)?;
    let root = stacks::python_root(root)?;
    let program = [Path::new("chroot"), &root, Path::new(stacks::PYTHON)];
    let ran = client(&server, &root, &program, "sse_urllib.py", "libssl.so", &[])?;
    ran.said("libssl.so")?;
    all_calls(&server, &ran.report, "1.1")
}

/// A Python of the stacks with a module that has a library inside, with local symbols only.
fn module(server: &Server, script: &str, library: &str, which: &str) -> Result<Ran> {
    let python = stacks::venv("python")?;
    client(
        server,
        Path::new("/"),
        &[&python],
        script,
        library,
        &[which],
    )
}

/// curl_cffi: curl on BoringSSL.
fn boringssl(stack: Stack, version: &str) -> Result<String> {
    let server = Server::start(stack)?;
    let library = "_wrapper.abi3.so";
    let ran = module(&server, "curl_cffi_client.py", library, version)?;
    // curl's own numbers of the versions.
    let spoken = if version == "2" { "3" } else { "2" };
    ensure!(ran.log.trim() == spoken, "spoken: {}", ran.log);
    ran.said(library)?;
    all_calls(&server, &ran.report, version)
}

/// nassl: OpenSSL 1.1 on memory BIOs.
fn openssl_1_1_inside() -> Result<String> {
    let server = Server::start(Stack::UvloopTls)?;
    let ran = module(&server, "nassl_client.py", "_nassl.cpython", "modern")?;
    ran.said("_nassl.cpython")?;
    all_calls(&server, &ran.report, "1.1")
}

/// nassl's other module: OpenSSL 1.0, whose `SSL_read` ends in a jump through its object's method.
fn openssl_1_0_inside() -> Result<String> {
    let server = Server::start(Stack::UvloopTls)?;
    let ran = module(&server, "nassl_client.py", "_nassl_legacy", "legacy")?;
    ran.said("_nassl_legacy")?;
    all_calls(&server, &ran.report, "1.1")
}

/// nginx reads early data by `SSL_read_early_data`, `openssl s_client` writes it by
/// `SSL_write_early_data`. That it was taken is the client's word: nginx's own (`$ssl_early_data`) holds
/// only while the handshake goes on, and that may be over before it is asked (1 of 60 without the agent).
fn early_data() -> Result<String> {
    let upstream = Server::start(Stack::UvicornH11)?;
    let port = free_port()?;
    let dir = tempfile::tempdir()?;
    let file = |name: &str| dir.path().join(name);
    let at = dir.path().display();
    std::fs::write(
        file("nginx.conf"),
        format!(
            "daemon off; master_process off; user root; pid {at}/pid; error_log {at}/error.log;\nevents {{}}\nhttp {{ access_log {at}/access.log; client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.3; ssl_early_data on;\n location / {{ proxy_pass http://127.0.0.1:{}; proxy_buffering off; }} }} }}\n",
            certificate().display(),
            key().display(),
            upstream.port
        ),
    )?;
    let mut nginx = Command::new("nginx");
    nginx
        .arg("-p")
        .arg(dir.path())
        .arg("-c")
        .arg(file("nginx.conf"));
    let nginx = Guard::spawn_logged(nginx, &file("nginx.log"))?;
    wait::listener(port)?;
    let body = plan().lines().next().context("a call")?.to_owned();
    std::fs::write(
        file("request"),
        format!(
            "POST /v1/chat/completions?q={CANARY} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    )?;
    let s_client = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-ign_eof", "-tls1_3", "-connect"]);
        command.arg(format!("127.0.0.1:{port}")).args(arguments);
        command
    };
    let session = file("session");
    let session = session.to_str().context("path")?;
    let request = file("request");
    let request = request.to_str().context("path")?;
    // A session to resume: its tickets come with the answer.
    let mut first = s_client(&["-sess_out", session])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut stdin = first.stdin.take().context("stdin")?;
    stdin.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    first.wait()?;
    drop(stdin);
    let agent = Agent::attach(&[nginx.pid()], &["-v"])?;
    let command = s_client(&["-sess_in", session, "-early_data", request]);
    // It prints what it gets, too.
    let said = File::create(file("said"))?;
    let to_file = |c: &mut Command| {
        c.stdout(said);
    };
    let client = Agent::run(&["-v"], &command, to_file)?.ended(Duration::from_secs(20))?;
    let said = std::fs::read_to_string(file("said"))?;
    let truth = upstream.truth_of(2)?;
    // It is written once the request is over, for nginx: behind the client's end.
    until("nginx's log", Duration::from_secs(10), || {
        let text = std::fs::read_to_string(file("access.log")).ok()?;
        (text.lines().count() == 2).then_some(())
    })?;
    let report = agent.finish()?;
    ensure!(
        said.contains("Early data was accepted"),
        "no early data: {said}"
    );
    let truth = truth.iter().find(|t| t.llm).context("no call served")?;
    for (side, spans, text) in [
        ("server", report.spool.requests(), &report.stderr),
        ("client", client.spool.client_calls(), &client.stderr),
    ] {
        let [span] = spans[..] else {
            anyhow::bail!("{side}: {} spans: {spans:?}\n{text}", spans.len())
        };
        expect::untouched(span).context(side)?;
        ensure!(
            span.text("gen_ai.response.id") == truth.id.as_deref()
                && span.status() == Some(200)
                && span.text("url.scheme") == Some("https")
                && span.int("http.request.body.size") == i64::try_from(body.len()).ok()
                && span.int("server.port") == Some(i64::from(port)),
            "{side}: {span:?}"
        );
    }
    Ok(String::new())
}

/// `openssl s_time` makes an object for each connection, says goodbye by `SSL_shutdown`, frees it, and
/// the next one lies at the same address.
fn freed() -> Result<String> {
    let server = Server::start(Stack::UvloopTls)?;
    let mut command = Command::new("openssl");
    command.args([
        "s_time", "-new", "-time", "1", "-www", "/health", "-connect",
    ]);
    command.arg(format!("127.0.0.1:{}", server.port));
    let report = Agent::run(&["-v"], &command, |_| {})?.ended(Duration::from_secs(20))?;
    let served = server.truth_at_rest()?.len();
    let spans = report.spool.client_calls();
    ensure!(
        spans.len() == served && served > 20,
        "{} of {served}\n{}\n{}",
        spans.len(),
        report.spool.describe(),
        report.stderr
    );
    let mut ports = std::collections::BTreeSet::new();
    for span in &spans {
        ensure!(span.status() == Some(200), "{span:?}");
        expect::untouched(span)?;
        ports.insert(
            span.int("client.port")
                .with_context(|| format!("{span:?}"))?,
        );
    }
    ensure!(ports.len() == served, "{} ports", ports.len());
    let objects = report.summary["engine"]["tls_objects"].as_u64();
    Ok(format!("{served} connections by {objects:?} objects"))
}

/// The bytes of the handshake that this server wants.
const HELLO: [u8; 6] = [0x16, 3, 3, 0, 1, 0];

/// Our own server, since no other shakes hands in its first read or has `SSL_sendfile` here: each
/// exchange once, its head read, its body a hole of exact length.
fn zoo() -> Result<String> {
    const BODY_BYTES: usize = 300_000;
    const CALLS: usize = 3;
    let dir = tempfile::tempdir()?;
    let (port_file, file) = (dir.path().join("port"), dir.path().join("file"));
    std::fs::write(&file, "f".repeat(BODY_BYTES))?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_tlszoo"));
    command.arg(&port_file).arg(&file);
    let target = Guard::spawn_logged(command, &dir.path().join("log"))?;
    let port: u16 = until("the port", Duration::from_secs(5), || {
        std::fs::read_to_string(&port_file).ok()?.parse().ok()
    })?;
    let agent = Agent::attach(&[target.pid()], &["-v"])?;
    for _ in 0..CALLS {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.write_all(&HELLO)?;
        let mut hello = HELLO;
        stream.read_exact(&mut hello)?;
        write!(stream, "GET /file?q={CANARY} HTTP/1.1\r\nHost: a\r\n\r\n")?;
        let mut got = Vec::new();
        stream.read_to_end(&mut got)?;
        ensure!(got.len() > BODY_BYTES, "{} bytes", got.len());
    }
    let report = agent.finish()?;
    let spans = report.spool.requests();
    ensure!(
        spans.len() == CALLS && report.spool.client_calls().is_empty(),
        "{}\n{}",
        report.spool.describe(),
        report.stderr
    );
    let body = i64::try_from(BODY_BYTES).ok();
    for span in spans {
        ensure!(
            span.status() == Some(200)
                && span.path() == "/file"
                && span.text("url.scheme") == Some("https")
                && crate::tls::is_linked(span)
                && span.int("server.port") == Some(i64::from(port))
                && span.int("http.response.body.size") == body
                && span.int("cirron.lost_bytes") == body,
            "{span:?}"
        );
    }
    let by_sendfile = report.summary["kernel"]["bypass_bytes"].as_u64();
    Ok(format!("{by_sendfile:?} bytes by sendfile"))
}
