//! What a terminal, a pager, a full disk or a shell may do to the agent without costing a record.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use cirron_tests::agent::{self, Agent};
use cirron_tests::process::Guard;
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::spool::Spool;
use cirron_tests::wait::{self, until};
use serde_json::Value;
use tempfile::TempDir;

use crate::plain::Plain;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "sigusr1_tells_the_summary_so_far_and_ends_nothing",
        need: Need::Bpf,
        run: so_far,
    },
    Test {
        name: "sigusr1_tells_the_exchanges_that_go_on",
        need: Need::Bpf,
        run: open_now,
    },
    Test {
        name: "a_log_that_cannot_be_written_costs_no_record",
        need: Need::Bpf,
        run: broken_log,
    },
    Test {
        name: "readers_that_stand_still_cost_their_own_lines",
        need: Need::Bpf,
        run: stuck_readers,
    },
    Test {
        name: "a_hangup_that_is_ignored_stays_ignored",
        need: Need::Bpf,
        run: nohup,
    },
    Test {
        name: "a_limit_of_file_sizes_ends_the_recording_alone",
        need: Need::Bpf,
        run: file_limit,
    },
    Test {
        name: "the_agent_is_not_its_own_target",
        need: Need::Bpf,
        run: own_shell,
    },
    Test {
        name: "its_memory_is_not_dumped_and_a_command_s_is",
        need: Need::Bpf,
        run: dumps,
    },
];

/// Requests of one test.
const REQUESTS: usize = 300;

/// The end by one signal, with readers that stand still for both streams: twice a second, and room.
const END: Duration = Duration::from_secs(8);

/// An agent whose streams are somebody else's.
struct Blind {
    guard: Guard,
    dir: TempDir,
}

impl Blind {
    /// Attaches, and waits for the session in its spool: its log may not be read.
    fn attach(pid: u32, more: &[&str], adapt: impl FnOnce(&mut Command)) -> Result<Blind> {
        let dir = tempfile::tempdir()?;
        let mut command = Command::new(agent::binary());
        command
            .args(["--pid", &pid.to_string(), "--output-dir"])
            .arg(dir.path())
            .arg("--summary-json")
            .arg(dir.path().join("summary.json"))
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        adapt(&mut command);
        let guard = Guard::spawn(command)?;
        let blind = Blind { guard, dir };
        until("a session", Duration::from_secs(20), || {
            let spool = Spool::read(blind.dir.path()).ok()?;
            (!spool.sessions().is_empty()).then_some(())
        })?;
        Ok(blind)
    }

    /// One SIGINT; its summary, and its requests in the spool.
    fn finish(mut self) -> Result<(Value, usize)> {
        self.guard.signal(libc::SIGINT);
        let began = Instant::now();
        let status = self.guard.wait(END)?;
        ensure!(status.success(), "{status} after {:?}", began.elapsed());
        let summary = std::fs::read(self.dir.path().join("summary.json"))?;
        Ok((
            serde_json::from_slice(&summary)?,
            requests(self.dir.path())?,
        ))
    }
}

fn requests(dir: &Path) -> Result<usize> {
    Ok(Spool::read(dir)?.requests().len())
}

fn so_far() -> Result<String> {
    let server = Plain::start(&[])?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let path = agent.dir().join("summary.json");
    for calls in 1..=2 {
        server.call(REQUESTS)?;
        let want = (calls * REQUESTS) as u64;
        until("the summary so far", Duration::from_secs(20), || {
            agent.signal(libc::SIGUSR1);
            // It is put in place whole: what is there can be read.
            let text = std::fs::read(&path).ok()?;
            let summary: Value = serde_json::from_slice(&text).unwrap();
            let is_open = summary["reason"].is_null() && summary["detach"].is_null();
            (is_open && summary["engine"]["requests"] == want).then_some(())
        })?;
    }
    let report = agent.finish()?;
    ensure!(
        report.stderr.contains("so far, after "),
        "{}",
        report.stderr
    );
    ensure!(report.summary["reason"] == "signal", "{}", report.summary);
    let requests = report.spool.requests().len();
    ensure!(requests == 2 * REQUESTS, "{requests}");
    Ok(String::new())
}

/// A stream that stands still behind its third token, until its client has said its last.
const STREAM: &str = r#"
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
delta = b'data: {"object":"chat.completion.chunk","model":"answered","choices":[{"index":0,"delta":{"content":"told"}}]}\n\n'
while True:
    client, _ = listener.accept()
    request = b""
    while not request.endswith(b"]}"):
        more = client.recv(65536)
        if not more:
            break
        request += more
    else:
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for _ in range(3):
            client.sendall(delta)
        while client.recv(65536):
            pass
        client.sendall(b"data: [DONE]\n\n")
    client.close()
"#;

fn open_now() -> Result<String> {
    let port = free_port()?;
    let mut command = Command::new("python3");
    command
        .args(["-c", STREAM, &port.to_string()])
        .stdin(Stdio::null());
    let server = Guard::spawn(command)?;
    wait::listener(port)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let said = |what: &str| {
        until(what, Duration::from_secs(20), || {
            agent.signal(libc::SIGUSR1);
            agent.stderr().contains(what).then_some(())
        })
    };
    said("nothing is open now")?;
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let body = r#"{"model":"asked","stream":true,"messages":[{"role":"user","content":"prompt"}]}"#;
    let head = "POST /v1/chat/completions?key=hidden HTTP/1.1\r\nHost: a\r\nX-Key: hidden\r\n";
    write!(client, "{head}Content-Length: {}\r\n\r\n{body}", body.len())?;
    said("1 exchange is open now:\n  request /v1/chat/completions, pid ")?;
    said(", model answered, first token after 0.")?;
    said(" s, about 3 tokens\n")?;
    client.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    ensure!(answer.ends_with("data: [DONE]\n\n"), "{answer}");
    let before = agent.stderr().len();
    until("the end of it", Duration::from_secs(20), || {
        agent.signal(libc::SIGUSR1);
        let stderr = agent.stderr();
        stderr
            .get(before..)?
            .contains("nothing is open now")
            .then_some(())
    })?;
    let report = agent.finish()?;
    for private in ["hidden", "prompt", "told"] {
        ensure!(!report.stderr.contains(private), "{}", report.stderr);
    }
    Ok(String::new())
}

/// A pipe that is full, and its reader.
fn full_pipe() -> Result<(std::io::PipeReader, Stdio)> {
    let (reader, writer) = std::io::pipe()?;
    let fd = OwnedFd::from(writer);
    non_blocking(&fd, true);
    let mut file = File::from(fd);
    while file.write(&[b'x'; 4096]).is_ok() {}
    let fd = OwnedFd::from(file);
    non_blocking(&fd, false);
    Ok((reader, fd.into()))
}

fn non_blocking(fd: &OwnedFd, on: bool) {
    use std::os::fd::AsRawFd as _;
    let mut on = libc::c_int::from(on);
    // SAFETY: the descriptor is open, and `on` is a valid int.
    unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONBIO, &raw mut on) };
}

fn broken_log() -> Result<String> {
    let mut said = Vec::new();
    for full_disk in [false, true] {
        let server = Plain::start(&[])?;
        let agent = Blind::attach(server.pid(), &["-vv"], |command| {
            let stderr: Stdio = if full_disk {
                File::options()
                    .write(true)
                    .open("/dev/full")
                    .unwrap()
                    .into()
            } else {
                // The reader is dropped at once: `2>&1 | tee log`, and Ctrl-C for both.
                std::io::pipe().unwrap().1.into()
            };
            command.stderr(stderr);
        })?;
        server.call(REQUESTS)?;
        let (summary, requests) = agent.finish()?;
        ensure!(requests == REQUESTS, "{requests} of {REQUESTS}");
        let lost = summary["log_lines_dropped"].as_u64();
        ensure!(lost.is_some_and(|lost| lost > 0), "{summary}");
        said.push(format!("{lost:?}"));
    }
    Ok(format!("lines of the log lost: {}", said.join(", ")))
}

fn stuck_readers() -> Result<String> {
    let server = Plain::start(&[])?;
    let (mut out, stdout) = full_pipe()?;
    let (_err, stderr) = full_pipe()?;
    let agent = Blind::attach(
        server.pid(),
        &["-v", "--output", "spool,stdout"],
        |command| {
            command.stdout(stdout).stderr(stderr);
        },
    )?;
    server.call(REQUESTS)?;
    let began = Instant::now();
    let (summary, requests) = agent.finish()?;
    let took = began.elapsed();
    ensure!(requests == REQUESTS, "{requests} of {REQUESTS}");
    let stdout = &summary["stdout"];
    let count = |name: &str| stdout[name].as_u64().unwrap_or(0) as usize;
    ensure!(
        count("lines_written") + count("lines_dropped") >= REQUESTS,
        "{summary}"
    );
    ensure!(count("lines_dropped") > 0, "{summary}");
    // What was in the pipe before is all that is there: a line is whole or not at all.
    let mut text = Vec::new();
    out.read_to_end(&mut text)?;
    ensure!(text.iter().all(|b| *b == b'x'), "half a line");
    Ok(format!("ended in {took:?}"))
}

/// Sets what a signal does in a child, before its exec.
fn disposed(command: &mut Command, number: i32, action: libc::sighandler_t) {
    // SAFETY: `signal` is async-signal-safe.
    unsafe {
        command.pre_exec(move || {
            libc::signal(number, action);
            Ok(())
        });
    }
}

fn nohup() -> Result<String> {
    let server = Plain::start(&[])?;
    let mut agent = Blind::attach(server.pid(), &[], |command| {
        disposed(command, libc::SIGHUP, libc::SIG_IGN);
    })?;
    agent.guard.signal(libc::SIGHUP);
    server.call(REQUESTS)?;
    ensure!(agent.guard.is_running()?, "it hung up");
    let (_, requests) = agent.finish()?;
    ensure!(requests == REQUESTS, "{requests} of {REQUESTS}");

    // A shell ignores SIGINT for what it starts in the background; whoever sends it means it.
    let agent = Blind::attach(server.pid(), &[], |command| {
        disposed(command, libc::SIGINT, libc::SIG_IGN);
    })?;
    agent.finish()?;

    // And without nohup it ends. (The suite itself may run under one.)
    let mut agent = Blind::attach(server.pid(), &[], |command| {
        disposed(command, libc::SIGHUP, libc::SIG_DFL);
    })?;
    agent.guard.signal(libc::SIGHUP);
    let status = agent.guard.wait(END)?;
    ensure!(status.success(), "{status}");
    Ok(String::new())
}

fn file_limit() -> Result<String> {
    let server = Plain::start(&[])?;
    let dir = tempfile::tempdir()?;
    let recording = dir.path().join("recording");
    let record = recording.to_string_lossy().into_owned();
    let limit = libc::rlimit {
        rlim_cur: 128 * 1024,
        rlim_max: 128 * 1024,
    };
    let args = ["--pid", &server.pid().to_string(), "--record", &record];
    let agent = Agent::start(&args.map(str::to_owned), |command| {
        command.env("CIRRON_FLUSH_INTERVAL", "0.02");
        // SAFETY: `setrlimit` is async-signal-safe.
        unsafe {
            command.pre_exec(move || {
                libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit);
                Ok(())
            });
        }
    })?;
    for round in 1..=3 {
        server.call(REQUESTS)?;
        agent.spool_until("the requests so far", |spool| {
            (spool.requests().len() >= round * REQUESTS).then_some(())
        })?;
    }
    let report = agent.finish()?;
    ensure!(
        report.stderr.contains("the recording ends here"),
        "{}",
        report.stderr
    );
    let requests = report.spool.requests().len();
    ensure!(requests == 3 * REQUESTS, "{requests} of {}", 3 * REQUESTS);
    ensure!(
        report.summary["recording"]["entries_lost"].as_u64() > Some(0),
        "{}",
        report.summary
    );
    let size = std::fs::metadata(&recording)?.len();
    ensure!(size <= limit.rlim_cur, "{size}");
    Ok(String::new())
}

fn own_shell() -> Result<String> {
    let dir = tempfile::tempdir()?;
    let script = format!(
        "'{}' --pid $$ --output-dir '{}' & echo $! > '{}/pid'; sleep 3; exit 0",
        agent::binary().display(),
        dir.path().display(),
        dir.path().display(),
    );
    let mut command = Command::new("bash");
    command
        .args(["-c", &script])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut shell = Guard::spawn(command)?;
    until("a session", Duration::from_secs(20), || {
        let spool = Spool::read(dir.path()).ok()?;
        (!spool.sessions().is_empty()).then_some(())
    })?;
    ensure!(shell.wait(Duration::from_secs(20))?.success(), "the shell");
    let pid = std::fs::read_to_string(dir.path().join("pid"))?;
    let pid: u32 = pid.trim().parse()?;
    until("its end", Duration::from_secs(10), || {
        // Its parent has gone, and whoever inherits it may never look: a zombie has ended.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        let over = stat.map_or(true, |stat| stat.contains(") Z "));
        over.then_some(())
    })?;
    let spool = Spool::read(dir.path())?;
    let sessions = spool.sessions();
    ensure!(sessions.len() == 1, "{}", spool.describe());
    Ok(String::new())
}

fn dumps() -> Result<String> {
    // What a command starts with is what it would have without us.
    // (The upper half of the mask is libc's own.)
    let script = "ulimit -c; grep SigIgn /proc/self/status | tail -c 8";
    let say = |command: &mut Command| -> Result<String> {
        // SAFETY: `setrlimit` is async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                let limit = libc::rlimit {
                    rlim_cur: 512 * 1024,
                    rlim_max: 512 * 1024,
                };
                libc::setrlimit(libc::RLIMIT_CORE, &raw const limit);
                Ok(())
            });
        }
        let output = command.output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let dir = tempfile::tempdir()?;
    let mut with = Command::new(agent::binary());
    with.arg("run")
        .arg("--output-dir")
        .arg(dir.path())
        .args(["--", "bash", "-c", script]);
    let mut without = Command::new("bash");
    without.args(["-c", script]);
    let (with, without) = (say(&mut with)?, say(&mut without)?);
    ensure!(
        with == without && with.lines().count() == 2,
        "{with:?} {without:?}"
    );

    // A replay holds bodies as well. As another user, so that the owner of its files in /proc tells:
    // of a process that is not dumped they are root's.
    let copy = dir.path().join("cirron-agent");
    std::fs::copy(agent::binary(), &copy)?;
    let fifo = dir.path().join("fifo");
    ensure!(
        Command::new("mkfifo").arg(&fifo).status()?.success(),
        "mkfifo"
    );
    for path in [dir.path(), &copy, &fifo] {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(&copy)
        .args(["replay", "--output", "none"])
        .arg(&fifo)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let replay = Guard::spawn(command)?;
    let proc = format!("/proc/{}", replay.pid());
    until("no core file", Duration::from_secs(5), || {
        let limits = std::fs::read_to_string(format!("{proc}/limits")).ok()?;
        let line = limits
            .lines()
            .find(|l| l.starts_with("Max core file size"))?;
        let soft = line.split_whitespace().nth(4)?;
        (soft == "0" && std::fs::metadata(format!("{proc}/environ")).ok()?.uid() == 0).then_some(())
    })?;
    Ok(String::new())
}
