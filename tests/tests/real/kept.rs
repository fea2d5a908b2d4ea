//! The rights that the agent keeps while it runs, and that they suffice.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::{self, Agent};
use cirron_tests::calls::curl;
use cirron_tests::process::{Guard, children};
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{certificate, key};
use cirron_tests::wait::{self, until};

use crate::plain::Plain;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "while_it_runs_it_has_few_rights",
        need: Need::Bpf,
        run: few,
    },
    Test {
        name: "with_few_rights_another_user_s_late_library_is_attached_to",
        need: Need::Bpf,
        run: late_library,
    },
    Test {
        name: "a_command_has_the_rights_that_it_would_have_without_us",
        need: Need::Bpf,
        run: command,
    },
    Test {
        name: "with_few_rights_a_command_of_another_user_is_signalled",
        need: Need::Bpf,
        run: signalled,
    },
];

/// CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_PERFMON, CAP_BPF, CAP_CHECKPOINT_RESTORE.
const CAPTURE: u64 = 1 << 2 | 1 << 19 | 1 << 38 | 1 << 39 | 1 << 40;

/// CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, of the threads that write files of another user.
const FILES: u64 = 1 << 0 | 1 << 1 | 1 << 3;

/// Another user.
const NOBODY: [&str; 6] = [
    "setpriv",
    "--reuid",
    "65534",
    "--regid",
    "65534",
    "--clear-groups",
];

fn status(of: &Path, name: &str) -> Result<String> {
    let text = std::fs::read_to_string(of.join("status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    Ok(line
        .with_context(|| format!("no {name}"))?
        .trim_start_matches(':')
        .trim()
        .to_owned())
}

fn hex(of: &Path, name: &str) -> Result<u64> {
    Ok(u64::from_str_radix(&status(of, name)?, 16)?)
}

/// Whether every thread of the agent has no more than it needs.
fn check(pid: u32, files: u64) -> Result<()> {
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?.path();
        let name = status(&task, "Name")?;
        let most = match name.as_str() {
            "cirron-spool" | "cirron-summary" => files,
            "cirron-log" | "cirron-reader" | "cirron-stdout" | "cirron-record"
            | "cirron-command" => 0,
            _ => CAPTURE,
        };
        for set in ["CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"] {
            let has = hex(&task, set)?;
            ensure!(has & !most == 0, "{name}: {set} {has:x}");
        }
        for (what, want) in [("NoNewPrivs", "1"), ("Seccomp", "2")] {
            let is = status(&task, what)?;
            ensure!(is == want, "{name}: {what} {is}");
        }
    }
    Ok(())
}

fn few() -> Result<String> {
    let server = Plain::start(&[])?;
    let settled = |agent: &Agent, files| {
        // `attached` is said before the last thread has begun.
        let mut why = Ok(());
        until("few rights", Duration::from_secs(5), || {
            why = check(agent.pid(), files);
            why.is_ok().then_some(())
        })
        .or(why)
    };
    let dir = tempfile::tempdir()?;
    let record = dir.path().join("recording");
    let agent = Agent::attach(
        &[server.pid()],
        &[
            "--output",
            "spool,stdout",
            "--record",
            &record.to_string_lossy(),
        ],
    )?;
    settled(&agent, 0)?;
    server.call(3)?;
    let report = agent.finish()?;
    ensure!(
        report.spool.requests().len() == 3,
        "{}",
        report.spool.describe()
    );
    ensure!(!report.stderr.contains("cannot be d"), "{}", report.stderr);

    // Under sudo, in a directory of whoever typed it.
    let args = ["--pid".to_owned(), server.pid().to_string()];
    let agent = Agent::start(&args, |command| {
        command.env("SUDO_UID", "12345").env("SUDO_GID", "23456");
    })?;
    settled(&agent, FILES)?;
    // As if the directory had been theirs all along; and it is made again where it vanishes.
    std::os::unix::fs::chown(agent.dir(), Some(12345), Some(23456))?;
    std::fs::set_permissions(agent.dir(), std::fs::Permissions::from_mode(0o700))?;
    std::fs::remove_dir_all(agent.dir().join("spool"))?;
    server.call(3)?;
    let report = agent.finish()?;
    ensure!(
        report.spool.requests().len() == 3,
        "{}",
        report.spool.describe()
    );
    Ok(String::new())
}

/// A server that maps its TLS library when it is asked to. Python's own HTTP server would bring it along.
const LATE: &str = "
import socket, sys, threading
cert, key, plain, tls = sys.argv[1:]
ANSWER = b'HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\nconnection: close\\r\\n\\r\\nok'
def answer(connection):
    asked = connection.recv(4096)
    if asked:
        connection.sendall(ANSWER)
    connection.close()
    return asked
def serve(listener):
    import ssl
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(cert, key)
    while True:
        try:
            answer(c.wrap_socket(listener.accept()[0], server_side=True))
        except OSError:
            pass
listener = socket.create_server(('127.0.0.1', int(plain)))
while True:
    if answer(listener.accept()[0]).startswith(b'GET /go '):
        other = socket.create_server(('127.0.0.1', int(tls)))
        threading.Thread(target=serve, args=(other,), daemon=True).start()
";

fn late_library() -> Result<String> {
    let dir = tempfile::tempdir()?;
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755))?;
    let mut copies = Vec::new();
    for (from, name) in [(certificate(), "cert"), (key(), "key")] {
        let to = dir.path().join(name);
        std::fs::copy(from, &to)?;
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o644))?;
        copies.push(to);
    }
    let (plain, tls) = (free_port()?, free_port()?);
    let mut command = Command::new(NOBODY[0]);
    command
        .args(&NOBODY[1..])
        .args(["env", "PATH=/usr/bin:/bin", "python3", "-c", LATE])
        .args(&copies)
        .args([plain.to_string(), tls.to_string()])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let server = Guard::spawn(command)?;
    wait::listener(plain)?;
    let agent = Agent::attach(&[server.pid()], &["-v"])?;
    let has = |agent: &Agent| hex(Path::new(&format!("/proc/{}", agent.pid())), "CapEff");
    until("few rights", Duration::from_secs(5), || {
        (has(&agent).ok()? == CAPTURE).then_some(())
    })?;
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", server.pid()))?;
    ensure!(!maps.contains("libssl"), "it has libssl already");
    curl(&[&format!("http://127.0.0.1:{plain}/go")])?;
    // The attach is later than the mapping.
    until("its TLS library watched", Duration::from_secs(10), || {
        agent.stderr().contains("functions watched").then_some(())
    })
    .with_context(|| agent.stderr())?;
    for _ in 0..3 {
        curl(&["-k", &format!("https://127.0.0.1:{tls}/secret")])?;
    }
    agent.spool_until("four requests", |spool| {
        (spool.requests().len() >= 4).then_some(())
    })?;
    let report = agent.finish()?;
    let requests = report.spool.requests();
    let https = requests
        .iter()
        .filter(|r| r.path() == "/secret" && r.text("url.scheme") == Some("https"));
    ensure!(
        https.count() == 3,
        "{} {}",
        report.spool.describe(),
        report.stderr
    );
    Ok(String::new())
}

fn command() -> Result<String> {
    let script = "grep -E 'Cap(Eff|Prm|Bnd|Inh)|NoNewPrivs|Seccomp:' /proc/self/status; \
                  ulimit -c; umask";
    let words = ["bash", "-c", script];
    let dir = tempfile::tempdir()?;
    let with = Command::new(agent::binary())
        .args(["run", "--output-dir"])
        .arg(dir.path())
        .arg("--")
        .args(words)
        .output()?;
    let without = Command::new(words[0]).args(&words[1..]).output()?;
    ensure!(
        with.stdout == without.stdout && without.stdout.len() > 100,
        "{} {}",
        String::from_utf8_lossy(&with.stdout),
        String::from_utf8_lossy(&without.stdout)
    );
    Ok(String::new())
}

fn signalled() -> Result<String> {
    let mut command = Command::new(NOBODY[0]);
    command.args(&NOBODY[1..]).args(["sleep", "60"]);
    let agent = Agent::run(&[], &command, |_| {})?;
    until("the command", Duration::from_secs(10), || {
        let runs = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).ok();
        let children = children(agent.pid()).ok()?;
        let mut names = children.iter().filter_map(runs);
        names.any(|name| name == "sleep\n").then_some(())
    })?;
    cirron_tests::process::kill(agent.pid(), libc::SIGTERM);
    agent.ended_with(128 + libc::SIGTERM, Duration::from_secs(10))?;
    Ok(String::new())
}
