//! Targets that nobody named: servers that were there before the agent, that start beside it, that are restarted, and
//! neighbours that no rule chooses.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::calls::curl;
use cirron_tests::process::Guard;
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::spool::Span;
use cirron_tests::wait::{listener, until};

pub(crate) const TESTS: &[Test] = &[Test {
    name: "targets_are_found_by_rules_as_they_come_and_go_and_neighbours_are_left_alone",
    need: Need::Bpf,
    run: found,
}];

/// Serves its own number, on a port or a path. With a third argument a child of it does the serving.
const SERVER: &str = r#"
import os, socket, socketserver, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def address_string(self):
        return "x"
    def do_GET(self):
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass

class Unix(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    pass

where = sys.argv[1]
server = Unix(where, Handler) if "/" in where else ThreadingHTTPServer(("127.0.0.1", int(where)), Handler)
if len(sys.argv) > 2:
    os.fork()
server.serve_forever()
"#;

struct Servers<'d>(&'d Path);

impl Servers<'_> {
    /// `more`: arguments; its environment says which rule is for it.
    fn start(&self, place: &str, marker: &str, more: &[&str]) -> Result<Guard> {
        let mut command = Command::new("python3");
        command.arg(self.0.join("server.py")).arg(place).args(more);
        command.env("CIRRON_TEST_MARKER", marker);
        let guard = Guard::spawn(command)?;
        match place.parse() {
            Ok(port) => listener(port)?,
            Err(_) => until("the socket", Duration::from_secs(10), || {
                Path::new(place).exists().then_some(())
            })?,
        }
        Ok(guard)
    }
}

fn ask(port: u16, path: &str) -> Result<()> {
    curl(&[&format!("http://127.0.0.1:{port}{path}")]).map(drop)
}

fn found() -> Result<String> {
    let dir = tempfile::tempdir()?;
    let servers = Servers(dir.path());
    std::fs::write(dir.path().join("server.py"), SERVER)?;
    let config = dir.path().join("agent.toml");
    // Other tests have servers of their own: each rule asks for the mark of this one.
    let mark = format!("m{}", std::process::id());
    let rule = |name: &str, marker: &str| {
        format!("[[targets]]\nname = '{name}'\nenv = {{ CIRRON_TEST_MARKER = '{marker}' }}\n")
    };
    let only = "shipped_targets = false\n";
    let ports: Vec<u16> = (0..5).map(|_| free_port()).collect::<Result<_>>()?;
    let [old, neighbour, left_out, new, late] = ports[..] else {
        unreachable!("five were asked for")
    };
    let exclusion = format!("[[targets]]\nport = {left_out}\nexclude = true\n");
    std::fs::write(
        &config,
        format!("{only}{exclusion}{}", rule("llama", &mark)),
    )?;
    let socket = dir.path().join("s").display().to_string();

    let place = |port: u16| port.to_string();
    let before = servers.start(&place(old), &mark, &["forks"])?;
    let neighbour_server = servers.start(&place(neighbour), "another", &[])?;
    let _left_out = servers.start(&place(left_out), &mark, &[])?;
    let unix = servers.start(&socket, &mark, &[])?;
    let args = ["daemon", "--config", &config.display().to_string()].map(str::to_owned);
    let agent = Agent::start(&args, |_| {})?;
    let said = |what: &str| {
        let has = || agent.stderr().contains(what).then_some(());
        until(what, Duration::from_secs(20), has)
    };
    said(&format!("watching pid {} (python3) as llama", before.pid()))?;
    said(&format!("watching pid {} (python3) as llama", unix.pid()))?;
    for path in ["/a", "/b", "/c", "/d", "/e", "/f"] {
        ask(old, path)?;
    }
    ask(neighbour, "/neighbour")?;
    ask(left_out, "/left-out")?;
    curl(&["--unix-socket", &socket, "http://x/unix"])?;
    // A rolling restart: the new one serves before the old one ends.
    let after = servers.start(&place(new), &mark, &[])?;
    said(&format!("watching pid {} (python3) as llama", after.pid()))?;
    ask(new, "/new")?;
    drop(before);
    // Other rules, without losing what goes on.
    std::fs::write(
        &config,
        format!(
            "{only}{}{}",
            rule("renamed", &mark),
            rule("other", "another")
        ),
    )?;
    said("agent.toml is taken: 2 rules")?;
    said(&format!(
        "watching pid {} (python3) as other",
        neighbour_server.pid()
    ))?;
    ask(neighbour, "/chosen")?;
    ask(new, "/renamed")?;
    std::fs::write(&config, format!("{only}{}", rule("other", "another")))?;
    said(&format!(
        "released pid {} (python3) as renamed",
        after.pid()
    ))?;
    ask(new, "/released")?;
    let late_server = servers.start(&place(late), "another", &[])?;
    said(&format!(
        "watching pid {} (python3) as other",
        late_server.pid()
    ))?;
    ask(late, "/late")?;
    // Anybody can listen as often as he likes.
    let flood =
        "import socket\nfor _ in range(2000):\n s = socket.socket()\n s.listen()\n s.close()";
    let status = Command::new("python3").args(["-c", flood]).status()?;
    ensure!(status.success(), "the flood ended with {status}");
    let report = agent.finish()?;

    let told = || format!("{}\n{}", report.spool.describe(), report.stderr);
    let mut paths: Vec<&str> = report.spool.requests().iter().map(|s| s.path()).collect();
    paths.sort_unstable();
    let want = [
        "/a", "/b", "/c", "/chosen", "/d", "/e", "/f", "/late", "/new", "/renamed", "/unix",
    ];
    ensure!(paths == want, "{paths:?}\n{}", told());
    // Parent and child of the first shared its requests; each process has one session.
    let requests = report.spool.requests();
    let sessions = report.spool.sessions();
    let session = |path: &str| -> Option<&Span> {
        let request = requests.iter().find(|s| s.path() == path)?;
        sessions
            .iter()
            .copied()
            .find(|s| Some(&s.id) == request.parent_id.as_ref())
    };
    for (path, target) in [
        ("/a", "llama"),
        ("/f", "llama"),
        ("/unix", "renamed"),
        ("/new", "renamed"),
        ("/chosen", "other"),
        ("/late", "other"),
    ] {
        let target_of = session(path).and_then(|s| s.text("cirron.target"));
        ensure!(
            target_of == Some(target),
            "{path}: {target_of:?}\n{}",
            told()
        );
    }
    ensure!(
        session("/new").map(|s| &s.id) == session("/renamed").map(|s| &s.id),
        "{}",
        told()
    );
    ensure!(
        report.summary["libraries"]["targets_refused"] == 0,
        "{}",
        report.summary
    );
    let left_out = report.summary["kernel"]["listeners_left_out"].as_u64();
    ensure!(left_out.is_some_and(|n| n > 1_000), "{}", report.summary);
    Ok(format!("{} of {} requests", paths.len(), want.len()))
}
