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
const KINDS: [&str; 4] = [
    "write of 200 bytes to /dev/null",
    "write and read of 200 bytes on a Unix socket pair, each",
    "write and read of 200 bytes over TCP, each",
    "question of 200 bytes and its answer over TCP, together",
];

/// What the agent does meanwhile, in the order of the columns.
const STATES: [State; 4] = [
    State::Away,
    State::Bystander,
    State::Target,
    State::NetScopes,
];

#[derive(Clone, Copy)]
enum State {
    /// There is none.
    Away,
    /// It is attached to another process.
    Bystander,
    Target,
    /// The same with `--net-scopes`: the connection over TCP is one that carries no HTTP.
    NetScopes,
}

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
        let asked = asks(&mut here, &mut there, &mut buffer)?;
        println!("{file} {unix} {tcp} {asked}");
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

/// What asks and what answers are one process: both ends are the target's.
fn asks(from: &mut TcpStream, to: &mut TcpStream, buffer: &mut [u8]) -> Result<f64> {
    to.set_nodelay(true)?;
    let began = Instant::now();
    for _ in 0..CALLS / 4 {
        from.write_all(black_box(buffer))?;
        to.read_exact(black_box(buffer))?;
        to.write_all(black_box(buffer))?;
        from.read_exact(black_box(buffer))?;
    }
    Ok(began.elapsed().as_nanos() as f64 / f64::from(CALLS / 4))
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
        Ok([next()?, next()?, next()?, next()?])
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
    let mut rows: [Vec<Figures>; STATES.len()] = Default::default();
    let mut scopes = 0.0;
    for round in 0..rounds {
        for i in 0..STATES.len() {
            let at = (round as usize + i) % STATES.len();
            let pid = caller.child.id();
            let agent = match STATES[at] {
                State::Away => None,
                State::Bystander => Some(Agent::attach(other.child.id(), Places::Computed)?),
                State::Target => Some(Agent::attach(pid, Places::Computed)?),
                State::NetScopes => Some(Agent::attach_asking(pid, &["--net-scopes"])?),
            };
            rows[at].push(caller.round()?);
            if let Some(agent) = agent {
                scopes += agent.stop()?.net_scopes;
            }
        }
    }
    println!("\n### One system call, and a question to a database, ns\n");
    println!(
        "| call | without the agent | not a target | added | target | added | with --net-scopes | added |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for (i, name) in KINDS.iter().enumerate() {
        let column = |at: usize| rows[at].iter().map(|r| r[i]).collect::<Vec<f64>>();
        let plain = column(0);
        let mut line = format!("| {name} | {}", spread(&plain, 0));
        for at in 1..STATES.len() {
            let own = column(at);
            let added = median(&own) - median(&plain);
            line.push_str(&format!(" | {} | {added:.0}", spread(&own, 0)));
        }
        println!("{line} |");
    }
    println!("\n{scopes:.0} net.client scopes were written.");
    Ok(())
}
