//! gRPC by unmodified clients against servers of others: KServe's service by grpcio under Triton's own
//! client, the examples of Go's gRPC with every kind of stream; as the target, joined late, over TLS.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::{Agent, Report};
use cirron_tests::expect;
use cirron_tests::process::Guard;
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{certificate, key};
use cirron_tests::spool::{Span, Spool};
use cirron_tests::stacks;
use cirron_tests::wait;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "grpc_kserve_is_served",
        need: Need::Stacks,
        run: kserve_served,
    },
    Test {
        name: "grpc_kserve_client_is_the_target",
        need: Need::Stacks,
        run: kserve_called,
    },
    Test {
        name: "grpc_kserve_is_joined_late",
        need: Need::Stacks,
        run: kserve_late,
    },
    Test {
        name: "grpc_of_twenty_connections_is_joined_late_and_floods_nothing",
        need: Need::Stacks,
        run: many_late,
    },
    Test {
        name: "grpc_go_with_every_kind_of_stream",
        need: Need::Stacks,
        run: || go(false),
    },
    Test {
        name: "grpc_go_over_tls",
        need: Need::Stacks,
        run: || go(true),
    },
];

/// A message of grpcio's is on its way so long after its handler made it, ms; the next is made after 20.
const ON_ITS_WAY_MS: f64 = 15.0;

struct Kserve {
    server: Guard,
    port: u16,
    dir: TempDir,
}

fn listening(command: Command, port: u16, dir: &TempDir) -> Result<Guard> {
    let server = Guard::spawn_logged(command, &dir.path().join("log"))?;
    wait::listener(port)?;
    Ok(server)
}

impl Kserve {
    fn start() -> Result<Kserve> {
        let (port, dir) = (free_port()?, TempDir::new()?);
        let mut command = Command::new(stacks::venv("python")?);
        command
            .arg(stacks::here().join("servers/python/kserve_grpc.py"))
            .arg(port.to_string())
            .arg(dir.path().join("truth"));
        Ok(Kserve {
            server: listening(command, port, &dir)?,
            port,
            dir,
        })
    }

    fn client(&self) -> Result<Command> {
        self.client_of("kserve.py")
    }

    fn client_of(&self, script: &str) -> Result<Command> {
        let mut command = Command::new(stacks::venv("python")?);
        command
            .arg(stacks::here().join("clients").join(script))
            .arg(format!("127.0.0.1:{}", self.port));
        Ok(command)
    }

    /// What the handlers told, the last `count`.
    fn truth(&self, count: usize) -> Result<Vec<Value>> {
        let all = lines(&std::fs::read_to_string(self.dir.path().join("truth"))?)?;
        let from = all.len().checked_sub(count).context("too few calls")?;
        Ok(all[from..].to_vec())
    }
}

fn lines(printed: &str) -> Result<Vec<Value>> {
    let lines = printed.lines().filter(|l| l.starts_with('{'));
    Ok(lines.map(serde_json::from_str).collect::<Result<_, _>>()?)
}

fn kserve_served() -> Result<String> {
    let kserve = Kserve::start()?;
    let agent = Agent::attach(&[kserve.server.pid()], &[])?;
    let output = kserve.client()?.output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report = agent.finish()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    same(&kserve, &printed, report.spool.requests(), false)
}

fn kserve_called() -> Result<String> {
    let kserve = Kserve::start()?;
    let command = kserve.client()?;
    let report =
        Agent::run(&["--output", "spool"], &command, |_| {})?.ended(Duration::from_secs(120))?;
    same(&kserve, &report.stdout, report.spool.client_calls(), false)
}

fn kserve_late() -> Result<String> {
    let kserve = Kserve::start()?;
    let mut command = kserve.client()?;
    command.arg("wait");
    let (report, rest) = joined_late(&kserve, command)?;
    same(&kserve, &rest, report.spool.requests(), true)
}

/// Attaches once the client has said that it is joined, and lets it go on. What it printed then.
fn joined_late(kserve: &Kserve, mut command: Command) -> Result<(Report, String)> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut client = Guard::spawn(command)?;
    let stdout = client.child().stdout.take().context("stdout")?;
    let mut printed = BufReader::new(stdout);
    let mut line = String::new();
    printed.read_line(&mut line)?;
    ensure!(line == "joined\n", "the client said {line:?}");
    let agent = Agent::attach(&[kserve.server.pid()], &[])?;
    client
        .child()
        .stdin
        .take()
        .context("stdin")?
        .write_all(b"go\n")?;
    let mut rest = String::new();
    while printed.read_line(&mut rest)? > 0 {}
    Ok((agent.finish()?, rest))
}

/// Header fields of connections whose tables nobody saw: what can be named is, by messages and trailers, and what
/// cannot is counted, and no scope.
fn many_late() -> Result<String> {
    let kserve = Kserve::start()?;
    let (report, rest) = joined_late(&kserve, kserve.client_of("kserve_many.py")?)?;
    let made = lines(&rest)?.into_iter().next().context("no counts")?;
    let count = |kind: &str| made[kind].as_u64().context("no such calls");
    let [infer, absent, stream, live] = [
        count("infer")?,
        count("absent")?,
        count("stream")?,
        count("live")?,
    ];
    let spans = report.spool.requests();
    let with = |attr: &str, value: &str| {
        let has = |s: &&&Span| s.text(attr) == Some(value);
        spans.iter().filter(has).count() as u64
    };
    for (what, got, want) in [
        (
            "inference",
            with("gen_ai.operation.name", "inference"),
            infer,
        ),
        (
            "streams",
            with("gen_ai.operation.name", "text_completion"),
            stream,
        ),
        (
            "not found",
            with("rpc.response.status_code", "NOT_FOUND"),
            absent,
        ),
        ("all", spans.len() as u64, infer + absent + stream),
    ] {
        ensure!(
            got == want,
            "{what}: {got}, not {want}: {}",
            report.spool.describe()
        );
    }
    let engine = &report.summary["engine"];
    let unnamed = ["unnamed_exchanges", "unnamed_connections"].map(|name| engine[name].as_u64());
    ensure!(unnamed == [Some(live), Some(20)], "{unnamed:?} of {live}");
    Ok(format!(
        "{} of {} calls are scopes",
        spans.len(),
        infer + absent + stream + live
    ))
}

/// What client and handlers told, in order, against the spans. `late`: what stood in header fields
/// may be unknown, but not wrong.
fn same(kserve: &Kserve, printed: &str, mut spans: Vec<&Span>, late: bool) -> Result<String> {
    spans.sort_by_key(|s| s.start_ns);
    if !late {
        ensure!(!spans.is_empty(), "no call at all");
        let live = spans.remove(0);
        let method = live.text("rpc.method");
        ensure!(method == Some("inference.GRPCInferenceService/ServerLive"));
        ensure!(live.text("gen_ai.operation.name").is_none(), "{live:?}");
    }
    let told = lines(printed)?;
    ensure!(
        told.len() == 10 && spans.len() == 10,
        "{} calls, {} spans: {printed}",
        told.len(),
        spans.len()
    );
    let truth = kserve.truth(told.len())?;
    for ((client, handler), span) in told.iter().zip(&truth).zip(&spans) {
        one(client, handler, span, late)
            .with_context(|| format!("{client}\n  {handler}\n  {span:?}"))?;
    }
    let named = spans.iter().filter(|s| s.text("rpc.method").is_some());
    Ok(format!(
        "{} calls, the method of {} known",
        told.len(),
        named.count()
    ))
}

fn one(client: &Value, handler: &Value, span: &Span, late: bool) -> Result<()> {
    let is = |attr: &str, want: Option<&str>, may_lack: bool| {
        let got = span.text(attr);
        let right = got == want || may_lack && got.is_none();
        ensure!(right, "{attr}: {got:?}, not {want:?}");
        Ok(())
    };
    if !late {
        expect::untouched(span)?;
    }
    let method = client["method"].as_str().context("method")?;
    let full = format!("inference.GRPCInferenceService/{method}");
    is("rpc.system.name", Some("grpc"), false)?;
    is("rpc.method", Some(&full), late)?;
    let status = handler["status"].as_str();
    is("rpc.response.status_code", status, late)?;
    let failed = status.filter(|s| *s == "INTERNAL" || span.name == "http.client" && *s != "OK");
    is("error.type", failed, late)?;
    let sent = ["received", "received_bytes", "sent", "sent_bytes"];
    let written = [
        "cirron.request.messages",
        "cirron.request.message_bytes",
        "cirron.response.messages",
        "cirron.response.message_bytes",
    ];
    for (attr, key) in written.iter().zip(sent) {
        // Compressed ones are smaller on the wire than what protobuf counts.
        let smaller = client["compressed"] == true && key.ends_with("bytes");
        let (got, want) = (span.int(attr), handler[key].as_i64());
        ensure!(got == want || smaller && got < want, "{attr}: {got:?}");
    }
    let Some(model) = client["model"].as_str() else {
        return Ok(());
    };
    is("gen_ai.provider.name", Some("kserve_v2"), false)?;
    // A stream of texts is generated.
    let operation = match client["answers"].is_null() {
        true => "inference",
        false => "text_completion",
    };
    is("gen_ai.operation.name", Some(operation), false)?;
    is("gen_ai.request.model", Some(model), false)?;
    is("gen_ai.response.model", Some(model), false)?;
    is("cirron.model.version", client["version"].as_str(), false)?;
    is("gen_ai.response.id", client["id"].as_str(), false)?;
    let first = span.marks("time_to_first_message_ms").next();
    let first = first.context("no first message")?;
    let made = handler["first_wall_ns"].as_f64().context("made")?;
    #[expect(clippy::cast_precision_loss, reason = "under a microsecond")]
    let after_ms = (first.ts_ns as f64 - made) / 1e6;
    ensure!(
        after_ms >= -expect::TTFT_BELOW_MS,
        "first message {after_ms} ms after it was made"
    );
    expect::in_time("first message", after_ms, ON_ITS_WAY_MS)?;
    let answers = client["answers"].as_f64();
    ensure!(span.mark("output_tokens") == answers, "tokens");
    let token = span.mark("time_to_first_token_ms");
    ensure!(token == answers.and(span.mark("time_to_first_message_ms")));
    Ok(())
}

/// The example's server and client, both seen at once.
fn go(tls: bool) -> Result<String> {
    let (port, dir) = (free_port()?, TempDir::new()?);
    let mut server = Command::new(stacks::go_grpc_example("route_guide", "server")?);
    server.args(["-port", &port.to_string()]);
    let mut client = Command::new(stacks::go_grpc_example("route_guide", "client")?);
    client.args(["-server_addr", &format!("localhost:{port}")]);
    if tls {
        server.arg("-tls");
        server.arg("-cert_file").arg(certificate());
        server.arg("-key_file").arg(key());
        client.arg("-tls").arg("-ca_file").arg(certificate());
        client.args(["-server_host_override", "localhost"]);
    }
    let server = listening(server, port, &dir)?;
    let served = Agent::attach(&[server.pid()], &["-v"])?;
    let called = Agent::run(&["--output", "spool", "-v"], &client, |_| {})?
        .ended(Duration::from_secs(120))?;
    let served = served.finish()?;
    let printed = &called.stderr;
    let has = |text: &str| printed.matches(text).count();
    let points = printed
        .split_once("Traversing ")
        .and_then(|(_, rest)| rest.split(' ').next())
        .with_context(|| printed.clone())?;
    // Sent and received by the client, as its source and what it prints have it.
    let want = [
        ("GetFeature", 1, 1),
        ("GetFeature", 1, 1),
        ("ListFeatures", 1, has("Feature: name")),
        ("RecordRoute", points.parse()?, 1),
        ("RouteChat", 6, has("Got message")),
    ];
    ensure!(want[2].2 > 10 && want[4].2 > 6, "{printed}");
    for (spool, name) in [(&served.spool, "request"), (&called.spool, "http.client")] {
        go_calls(spool, name, &want).with_context(|| format!("{name}: {}", spool.describe()))?;
    }
    Ok(format!(
        "{} points sent, {} features and {} notes received, seen from both ends",
        points, want[2].2, want[4].2
    ))
}

fn go_calls(spool: &Spool, name: &str, want: &[(&str, usize, usize)]) -> Result<()> {
    let mut spans: Vec<&Span> = spool.named(name).collect();
    spans.sort_by_key(|s| s.start_ns);
    ensure!(spans.len() == want.len(), "{} calls", spans.len());
    for ((method, sent, received), span) in want.iter().zip(spans) {
        let told = format!("routeguide.RouteGuide/{method}");
        expect::untouched(span)?;
        ensure!(span.text("rpc.method") == Some(&told), "{span:?}");
        ensure!(span.text("rpc.response.status_code") == Some("OK"));
        let count = |name: &str| span.int(name).and_then(|n| usize::try_from(n).ok());
        ensure!(
            count("cirron.request.messages") == Some(*sent)
                && count("cirron.response.messages") == Some(*received),
            "not {sent} and {received} messages: {span:?}"
        );
        ensure!(span.text("gen_ai.operation.name").is_none(), "{span:?}");
        ensure!(span.mark("time_to_first_message_ms").is_some());
        let gaps = span.mark("max_inter_message_ms").is_some();
        ensure!(gaps == (*received > 1), "{span:?}");
    }
    Ok(())
}
