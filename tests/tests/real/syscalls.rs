//! Every system call that moves bytes of a stream, each with exact sizes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::expect::untouched;
use cirron_tests::process::Guard;
use cirron_tests::runner::{Need, Test};
use cirron_tests::spool::Span;
use cirron_tests::wait::until;
use cirron_tests::{CANARY, zoo};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "every_call_that_moves_bytes_is_seen_over_tcp",
        need: Need::Bpf,
        run: || every_way(false),
    },
    Test {
        name: "every_call_that_moves_bytes_is_seen_over_unix_sockets",
        need: Need::Bpf,
        run: || every_way(true),
    },
];

/// Buffers of one call whose bytes are captured: all that the kernel takes, but for messages of several.
const CAPTURED_BUFFERS: usize = 1_152;

fn every_way(unix: bool) -> Result<String> {
    let dir = tempfile::tempdir()?;
    let (port_file, socket) = (dir.path().join("port"), dir.path().join("socket"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_zoo"));
    command.arg(&port_file).arg(&socket);
    let server = Guard::spawn_logged(command, &dir.path().join("zoo.log"))?;
    let port: u16 = until("the zoo's port", Duration::from_secs(5), || {
        std::fs::read_to_string(&port_file).ok()?.parse().ok()
    })?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    // Unix sockets have no MSG_TRUNC that throws bytes away, and copy as others do.
    let ways = zoo::WAYS
        .iter()
        .filter(|(way, _)| !(unix && *way == "truncated"));
    for (way, length) in ways.clone() {
        let got = if unix {
            ask(UnixStream::connect(&socket)?, way, *length)
        } else {
            ask(TcpStream::connect(("127.0.0.1", port))?, way, *length)
        };
        let got = got.with_context(|| format!("{way}: {}", log(dir.path())))?;
        ensure!(
            got == zoo::answer(way),
            "{way}: the client got {} bytes of {}",
            got.len(),
            zoo::answer(way).len()
        );
    }
    let report = agent.finish()?;
    let requests = report.spool.requests();
    let mut wrong = Vec::new();
    for (way, length) in ways.clone() {
        let path = format!("/{way}/v1/chat/completions");
        let mut found = requests.iter().filter(|s| s.path() == path);
        match (found.next(), found.next()) {
            (Some(span), None) => {
                if let Err(e) = check(span, way, *length) {
                    wrong.push(format!("{way}: {e:#}: {span:?}"));
                }
            }
            (first, _) => wrong.push(format!(
                "{way}: {}",
                if first.is_some() { "twice" } else { "missing" }
            )),
        }
    }
    ensure!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), report.stderr);
    ensure!(
        requests.len() == ways.count(),
        "{}",
        report.spool.describe()
    );
    let sends = report.summary["kernel"]["io_uring_transfers"].as_u64();
    let has_rings = !log(dir.path()).contains("no io_uring");
    ensure!(
        sends.is_some_and(|n| (n > 0) == has_rings),
        "io_uring: {sends:?}"
    );
    ensure!(
        report.stderr.contains("by io_uring, which") == has_rings,
        "not said: {}",
        report.stderr
    );
    Ok(format!(
        "{} ways, {} by io_uring",
        requests.len(),
        sends.unwrap_or(0)
    ))
}

fn log(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("zoo.log")).unwrap_or_default()
}

fn ask(mut stream: impl Read + Write, way: &str, length: usize) -> Result<Vec<u8>> {
    let head = format!(
        "POST /{way}/v1/chat/completions?q={CANARY} HTTP/1.1\r\nHost: zoo\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(zoo::question(length).as_bytes())?;
    let mut got = Vec::new();
    stream.read_to_end(&mut got)?;
    Ok(got)
}

fn check(span: &Span, way: &str, length: usize) -> Result<()> {
    if way == "io_uring" && span.status().is_none() {
        // Its answer went by unseen; the request did not.
        ensure!(span.is("cirron.partial"), "not partial");
        return Ok(());
    }
    let body = zoo::body(way).len();
    let size = |n: usize| i64::try_from(n).ok();
    ensure!(span.status() == Some(200), "status");
    ensure!(
        span.int("http.request.body.size") == size(length),
        "request's size"
    );
    ensure!(
        span.int("http.response.body.size") == size(body),
        "response's size"
    );
    let lost = match way {
        "sendfile" => body,
        "splice" => body + length,
        "truncated" => length,
        // What stands behind the last buffer that was looked at, of two in each message.
        "thousand_messages" => {
            let whole = zoo::answer(way).len();
            whole - whole.div_ceil(1_000) * CAPTURED_BUFFERS / 2
        }
        // All but the first 8 MiB and the last 64 KiB.
        "huge_write" => zoo::answer(way).len() - 129 * 65_536,
        _ => 0,
    };
    let usage_seen = !matches!(way, "thousand_messages" | "sendfile" | "splice");
    #[expect(clippy::cast_precision_loss, reason = "a length of a name")]
    let tokens = Some(way.len() as f64).filter(|_| usage_seen);
    ensure!(span.mark("completion_tokens") == tokens, "usage");
    if lost == 0 {
        return untouched(span);
    }
    ensure!(span.is("cirron.partial"), "not partial");
    ensure!(
        span.int("cirron.lost_bytes") == size(lost),
        "lost_bytes is not {lost}"
    );
    Ok(())
}
