//! Answers whose last bytes found the ring full, on connections whose end was told.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::process::Guard;
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::{stacks, wait};

pub(crate) const TESTS: &[Test] = &[Test {
    name: "an_answer_whose_tail_found_the_ring_full_was_aborted_by_nobody",
    need: Need::Stacks,
    run: lost_tails,
}];

/// Of each kind. The ring of 1 MiB takes the answers of four; what is left takes no part of an answer, and all that is
/// told of these connections besides.
const CONNECTIONS: usize = 10;
const LIMIT: Duration = Duration::from_secs(20);

/// Asks, and reads to the end.
fn ask(mut conn: impl Read + Write) -> Result<()> {
    conn.write_all(b"GET /long HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    conn.read_to_end(&mut answer)?;
    ensure!(answer.len() > 236_000, "{} bytes", answer.len());
    Ok(())
}

fn lost_tails() -> Result<String> {
    let dir = tempfile::tempdir()?;
    let (port, path) = (free_port()?, dir.path().join("socket"));
    let mut command = Command::new(stacks::venv("python")?);
    command
        .arg(stacks::here().join("servers/python/closing.py"))
        .arg(port.to_string())
        .arg(&path);
    let server = Guard::spawn(command)?;
    wait::until("the server", LIMIT, || {
        UnixStream::connect(&path).ok().map(drop)
    })?;
    wait::listener(port)?;
    let agent = Agent::attach(&[server.pid()], &["--ring-mib", "1"])?;
    agent.signal(libc::SIGSTOP);
    for _ in 0..CONNECTIONS {
        ask(TcpStream::connect((Ipv4Addr::LOCALHOST, port))?)?;
        ask(UnixStream::connect(&path)?)?;
    }
    agent.signal(libc::SIGCONT);
    let report = agent.finish()?;
    let count = |of: &str, name: &str| {
        let count = report.summary[of][name].as_u64();
        count.with_context(|| format!("no {name}: {}", report.summary))
    };
    let spans = report.spool.requests();
    let long: Vec<_> = spans.iter().filter(|s| s.path() == "/long").collect();
    ensure!(long.len() == 2 * CONNECTIONS, "{}", report.spool.describe());
    for span in &long {
        let aborted = span.text("cirron.aborted_by");
        ensure!(aborted.is_none(), "whole, not aborted: {span:?}");
    }
    let partial = long.iter().filter(|s| s.is("cirron.partial")).count();
    ensure!(partial >= CONNECTIONS, "{partial} partial");
    // Everything that was dropped is a hole of its length.
    let (dropped, lost) = (
        count("kernel", "ring_full_bytes")?,
        count("engine", "lost_bytes")?,
    );
    ensure!(count("kernel", "events_lost")? == 0, "{}", report.summary);
    ensure!(dropped == lost, "{dropped} bytes dropped, {lost} lost");
    Ok(format!("{partial} of {} partial", long.len()))
}
