//! What is sent, by TLS and through proxies: certificates of an authority that the test makes by `openssl`, a receiver that
//! asks who calls, and a proxy that counts.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::binary;
use cirron_tests::process::Guard;
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::{stacks, wait};
use serde_json::Value;

pub(crate) const TESTS: &[Test] = &[Test {
    name: "spans_and_batches_are_sent_by_tls_to_whom_they_trust_and_through_proxies",
    need: Need::Stacks,
    run: by_tls,
}];

/// For a shipper to do what it has to.
const PATIENCE: Duration = Duration::from_secs(20);

/// An authority, and whom it knows.
struct Authority(tempfile::TempDir);

impl Authority {
    fn new() -> Result<Authority> {
        let authority = Authority(tempfile::tempdir()?);
        authority.openssl("ca", &["-addext", "basicConstraints=critical,CA:TRUE"])?;
        for (name, usage) in [("server", "serverAuth"), ("client", "clientAuth")] {
            let usage = format!("extendedKeyUsage={usage}");
            let (ca, key) = (authority.path("ca.pem"), authority.path("ca.key"));
            let more = [
                "-addext",
                "subjectAltName=DNS:localhost,IP:127.0.0.1",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
                "-addext",
                &usage,
                "-CA",
                ca.to_str().context("a path")?,
                "-CAkey",
                key.to_str().context("a path")?,
            ];
            authority.openssl(name, &more)?;
        }
        Ok(authority)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A certificate of that name, and its key.
    fn openssl(&self, name: &str, more: &[&str]) -> Result<()> {
        let output = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
            .args(["ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
            .args(["-subj", &format!("/CN={name}"), "-keyout"])
            .arg(self.path(&format!("{name}.key")))
            .arg("-out")
            .arg(self.path(&format!("{name}.pem")))
            .args(more)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "openssl: {said}");
        Ok(())
    }
}

/// A receiver that speaks TLS. `asks`: it wants a certificate of who calls.
struct Receiver {
    grpc: u16,
    http: u16,
    out: tempfile::NamedTempFile,
    _guard: Guard,
}

impl Receiver {
    fn start(authority: &Authority, asks: bool) -> Result<Receiver> {
        let (grpc, http, out) = (free_port()?, free_port()?, tempfile::NamedTempFile::new()?);
        let mut command = Command::new(stacks::venv("python")?);
        command
            .arg(stacks::here().join("servers/python/otlp_receiver.py"))
            .args([grpc.to_string(), http.to_string()])
            .arg(out.path())
            .arg("--tls")
            .args([authority.path("server.pem"), authority.path("server.key")])
            .args(asks.then(|| authority.path("ca.pem")))
            // Clients that are refused are said there.
            .stderr(Stdio::null())
            .stdin(Stdio::null());
        let guard = Guard::spawn(command)?;
        wait::listener(grpc)?;
        wait::listener(http)?;
        Ok(Receiver {
            grpc,
            http,
            out,
            _guard: guard,
        })
    }

    /// Its lines of a signal and a way.
    fn count(&self, via: &str, signal: &str) -> Result<usize> {
        let text = std::fs::read_to_string(self.out.path())?;
        let lines: Vec<Value> = text
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?;
        let is_it = |line: &&Value| line["via"] == via && line["signal"] == signal;
        Ok(lines.iter().filter(is_it).count())
    }
}

/// A proxy that takes `CONNECT`, and counts what it was asked for.
fn proxy() -> Result<(u16, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let count = Arc::clone(&count);
            // A client that goes away is none of ours.
            std::thread::spawn(move || _ = tunnel(stream, &count));
        }
    });
    Ok((port, asked))
}

fn tunnel(mut client: TcpStream, asked: &AtomicUsize) -> Result<()> {
    let mut from = BufReader::new(client.try_clone()?);
    let mut line = String::new();
    from.read_line(&mut line)?;
    let to = line
        .strip_prefix("CONNECT ")
        .and_then(|line| line.split(' ').next())
        .context("no CONNECT")?
        .to_owned();
    while from.read_line(&mut line)? > 2 {}
    asked.fetch_add(1, Ordering::SeqCst);
    let server = TcpStream::connect(to.replace("localhost", "127.0.0.1"))?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let (mut up, mut down) = (server.try_clone()?, server);
    let back = std::thread::spawn(move || std::io::copy(&mut down, &mut client));
    std::io::copy(&mut from, &mut up)?;
    up.shutdown(std::net::Shutdown::Write)?;
    let _ = back.join();
    Ok(())
}

/// `cirron-agent ship` of a spool that nobody has sent yet, with these variables.
fn ship(dir: &Path, variables: &[(&str, &str)]) -> Result<Command> {
    match std::fs::remove_dir_all(dir.join("ship")) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
        _ => {}
    }
    let mut command = Command::new(binary());
    command
        .args(["ship", "--once", "--output-dir"])
        .arg(dir)
        .stdin(Stdio::null());
    for name in ["CIRRON_RUN_ID", "CIRRON_API_KEY", "HTTPS_PROXY", "NO_PROXY"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    Ok(command)
}

fn sent(dir: &Path, variables: &[(&str, &str)]) -> Result<()> {
    let output = ship(dir, variables)?.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let is_sent = output.status.success() && said.contains("1 batch sent to https://localhost:");
    ensure!(is_sent, "{variables:?}: {said}");
    Ok(())
}

/// It waits for somebody whom it trusts, or who trusts it.
fn refused(dir: &Path, variables: &[(&str, &str)]) -> Result<()> {
    let log = tempfile::NamedTempFile::new()?;
    let _guard = Guard::spawn_logged(ship(dir, variables)?, log.path())?;
    let said = || std::fs::read_to_string(log.path()).unwrap_or_default();
    let waits = || said().contains("takes no batch").then_some(());
    wait::until("words about it", PATIENCE, waits)
        .with_context(|| format!("{variables:?}: {}", said()))
}

/// Where spans go.
fn to(endpoint: &str) -> (&'static str, &str) {
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint)
}

fn by_tls() -> Result<String> {
    let dir = tempfile::tempdir()?;
    let recording = stacks::here().join("corpus/uvicorn-h11.recording");
    let replayed = Command::new(binary())
        .args(["replay", "--output", "spool", "--output-dir"])
        .arg(dir.path())
        .arg(recording)
        .output()?;
    ensure!(replayed.status.success(), "{replayed:?}");
    let authority = Authority::new()?;
    let (open, asking) = (
        Receiver::start(&authority, false)?,
        Receiver::start(&authority, true)?,
    );
    let path = |name: &str| authority.path(name).display().to_string();
    let (ca, certificate, key) = (path("ca.pem"), path("client.pem"), path("client.key"));
    let trust = ("OTEL_EXPORTER_OTLP_CERTIFICATE", ca.as_str());
    let own = [
        (
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
            certificate.as_str(),
        ),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", key.as_str()),
    ];
    for (via, protocol) in [("grpc", "grpc"), ("http", "http/protobuf")] {
        let endpoint = |receiver: &Receiver| match via {
            "grpc" => format!("https://localhost:{}", receiver.grpc),
            _ => format!("https://localhost:{}/v1/traces", receiver.http),
        };
        let protocol = ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
        let (to_open, to_asking) = (endpoint(&open), endpoint(&asking));
        sent(dir.path(), &[protocol, to(&to_open), trust])?;
        let known = [protocol, to(&to_asking), trust, own[0], own[1]];
        sent(dir.path(), &known)?;
        // A server whose certificate is not trusted, and a client without a certificate of its own.
        refused(dir.path(), &[protocol, to(&to_open)])?;
        refused(dir.path(), &[protocol, to(&to_asking), trust])?;
        let came = (open.count(via, "traces")?, asking.count(via, "traces")?);
        ensure!(came == (1, 1), "{via}: {came:?}");
    }
    let endpoint = format!("https://localhost:{}", open.http);
    let (proxy, asked) = proxy()?;
    let proxy = format!("http://127.0.0.1:{proxy}");
    let account = [
        ("CIRRON_API_KEY", "ck_test"),
        ("CIRRON_API_ENDPOINT", endpoint.as_str()),
    ];
    let system = ("SSL_CERT_FILE", ca.as_str());
    let through = ("HTTPS_PROXY", proxy.as_str());
    sent(dir.path(), &[&account[..], &[system]].concat())?;
    refused(dir.path(), &account)?;
    ensure!(asked.load(Ordering::SeqCst) == 0);
    sent(dir.path(), &[&account[..], &[system, through]].concat())?;
    ensure!(asked.load(Ordering::SeqCst) == 1, "not through the proxy");
    let but = ("NO_PROXY", "localhost");
    sent(
        dir.path(),
        &[&account[..], &[system, through, but]].concat(),
    )?;
    ensure!(asked.load(Ordering::SeqCst) == 1, "through the proxy");
    let batches = open.count("http", "batch")?;
    ensure!(batches == 3, "{batches} batches");
    Ok("gRPC, HTTP and Cirron's, 5 refusals, a proxy".to_owned())
}
