//! What one system call costs more: of a bystander, and of a target on a file and on a socket.
//!
//! The caller is a process of its own (`cargo xtask bench-calls`, hidden): it says that it is ready,
//! waits for a line, makes its calls, and prints nanoseconds for each kind, again and again.

use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::agent::{Agent, Places};
use crate::cmd::bench::stats::{median, spread};
use crate::sh;

/// Calls of each kind in a round.
const CALLS: u32 = 200_000;
/// Bytes of a call: a token's event.
const BYTES: usize = 200;
/// The kinds, in the order in which they are printed.
const KINDS: [&str; 3] = [
    "write of 200 bytes to /dev/null",
    "write and read of 200 bytes on a Unix socket pair, each",
    "write and read of 200 bytes over TCP, each",
];

/// Nanoseconds of a call, by kind.
type Figures = [f64; KINDS.len()];

/// The caller's side.
pub(crate) fn call() -> Result<()> {
    let (mut left, mut right) = UnixStream::pair()?;
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let mut here = TcpStream::connect(listener.local_addr()?)?;
    let (mut there, _) = listener.accept()?;
    here.set_nodelay(true)?;
    let mut null = std::fs::File::create("/dev/null")?;
    let mut buffer = [b'x'; BYTES];
    for line in std::io::stdin().lines() {
        line?;
        let began = Instant::now();
        for _ in 0..CALLS {
            null.write_all(black_box(&buffer))?;
        }
        let file = began.elapsed().as_nanos() as f64 / f64::from(CALLS);
        let unix = back_and_forth(&mut left, &mut right, &mut buffer)?;
        let tcp = back_and_forth(&mut here, &mut there, &mut buffer)?;
        println!("{file} {unix} {tcp}");
    }
    Ok(())
}

fn back_and_forth(from: &mut impl Write, to: &mut impl Read, buffer: &mut [u8]) -> Result<f64> {
    let began = Instant::now();
    for _ in 0..CALLS {
        from.write_all(black_box(buffer))?;
        to.read_exact(black_box(buffer))?;
    }
    Ok(began.elapsed().as_nanos() as f64 / f64::from(2 * CALLS))
}

struct Caller {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Caller {
    fn start() -> Result<Caller> {
        let mut command = sh::command(std::env::current_exe()?);
        command
            .arg("bench-calls")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let input = child.stdin.take().context("stdin")?;
        let output = BufReader::new(child.stdout.take().context("stdout")?);
        Ok(Caller {
            child,
            input,
            output,
        })
    }

    /// One round: ns for each kind.
    fn round(&mut self) -> Result<Figures> {
        writeln!(self.input)?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let mut numbers = line.split_whitespace().map(str::parse);
        let mut next = || numbers.next().context("no figure")?.context("no number");
        Ok([next()?, next()?, next()?])
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        // It is ours and has nothing to save.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Prints the table.
pub(super) fn compare(rounds: u32) -> Result<()> {
    let mut caller = Caller::start()?;
    let other = Caller::start()?;
    caller.round()?;
    let mut rows: [Vec<Figures>; 3] = Default::default();
    for round in 0..rounds {
        for i in 0..3 {
            let kind = (round as usize + i) % 3;
            let agent = match kind {
                1 => Some(Agent::attach(other.child.id(), Places::Computed)?),
                2 => Some(Agent::attach(caller.child.id(), Places::Computed)?),
                _ => None,
            };
            rows[kind].push(caller.round()?);
            if let Some(agent) = agent {
                agent.stop()?;
            }
        }
    }
    println!("\n### One system call, ns\n");
    println!("| call | without the agent | not a target | added | target | added |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (i, name) in KINDS.iter().enumerate() {
        let [plain, bystander, target] =
            [0, 1, 2].map(|kind| -> Vec<f64> { rows[kind].iter().map(|r| r[i]).collect() });
        println!(
            "| {name} | {} | {} | {:.0} | {} | {:.0} |",
            spread(&plain, 0),
            spread(&bystander, 0),
            median(&bystander) - median(&plain),
            spread(&target, 0),
            median(&target) - median(&plain),
        );
    }
    Ok(())
}
