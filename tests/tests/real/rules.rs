//! Rules from the target's own environment and from the agent's file: a server of the standard library's, restarted
//! with another environment while the file changes.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::calls::curl;
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::spool::Span;
use cirron_tests::wait::{listener, until};
use serde_json::json;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "rules_of_the_target_and_of_a_file_that_changes",
        need: Need::Bpf,
        run: restarted,
    },
    Test {
        name: "sighup_reads_the_file_again_and_a_wrong_one_is_said",
        need: Need::Bpf,
        run: hung_up,
    },
];

/// A service: scores by JSON, probes, and an end when it is told to.
const SERVER: &str = r#"
import json, os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.answer({"ok": True})
        if self.path == "/quit":
            self.wfile.flush()
            os._exit(0)
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer({"result": {"score": asked["params"]["heat"] * 2, "text": "zq7canary"}})
    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Served-By", "n1")
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"#;

fn url(port: u16, path: &str) -> String {
    format!("http://127.0.0.1:{port}{path}")
}

fn score(port: u16, user: u32) -> Result<()> {
    let url = url(port, &format!("/users/{user}/score"));
    let body = r#"{"params": {"heat": 0.5, "prompt": "zq7canary"}}"#;
    let (tenant, secret) = ("x-tenant: t7", "authorization: Bearer zq7canary");
    curl(&["-d", body, "-H", tenant, "-H", secret, &url]).map(drop)
}

fn restarted() -> Result<String> {
    let port = free_port()?;
    let first = json!({"cirron": {"rules": [
        {"path": "/healthz", "ignore": true},
        {"name": "own", "marks": {"score": "result.score"}},
    ]}, "threshold": 0.5});
    let second = json!({"cirron": {"rules": [{"name": "after"}, {"pth": "/x", "ignore": true}]}});
    let dir = tempfile::tempdir()?;
    let (server, file) = (dir.path().join("server.py"), dir.path().join("agent.toml"));
    std::fs::write(&server, SERVER)?;
    std::fs::write(
        &file,
        "[[rules]]\npath = '/users/{id}/score'\nrequest_headers = 'x-tenant'\nresponse_headers = 'x-served-by'\n",
    )?;
    let config = file.to_str().context("a path")?;
    // As a platform restarts a deployment: one after the other, each with its own environment.
    let script = r#"CONFIG="$1" python3 "$3" "$4"; CONFIG="$2" python3 "$3" "$4""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", &first.to_string(), &second.to_string()]);
    command.arg(&server).arg(port.to_string());
    let agent = Agent::run(&["--config", config], &command, |_| {})?;
    let limit = Duration::from_secs(10);
    listener(port)?;
    curl(&[&url(port, "/healthz")])?;
    score(port, 1)?;
    agent.spool_until("the first score", |spool| {
        spool
            .requests()
            .iter()
            .any(|s| s.path() == "/users/1/score")
            .then_some(())
    })?;
    std::fs::write(
        &file,
        "[[rules]]\npath = '/users/*/score'\nname = 'file'\n[[rules]]\npath = '/quit'\nignore = true\n",
    )?;
    until("the change", limit, || {
        agent
            .stderr()
            .contains("agent.toml is taken: 2 rules")
            .then_some(())
    })?;
    score(port, 2)?;
    curl(&[&url(port, "/quit")])?;
    until("the restart", limit, || score(port, 3).ok())?;
    curl(&[&url(port, "/healthz"), &url(port, "/quit")])?;
    let report = agent.ended(Duration::from_secs(20))?;

    let told = || report.spool.describe();
    let requests = report.spool.requests();
    let of = |path: &str| -> Result<&Span> {
        let mut all = requests.iter().filter(|s| s.path() == path);
        let one = all.next().with_context(|| format!("{path}: {}", told()))?;
        ensure!(all.next().is_none(), "{path} twice: {}", told());
        Ok(one)
    };
    let score = |span: &Span| span.mark("score");
    let one = of("/users/1/score")?;
    ensure!(
        one.text("cirron.name") == Some("own") && score(one) == Some(1.0),
        "{one:?}"
    );
    ensure!(
        one.text("http.route") == Some("/users/{id}/score"),
        "{one:?}"
    );
    ensure!(
        one.text("http.request.header.x-tenant") == Some("t7"),
        "{one:?}"
    );
    ensure!(
        one.text("http.response.header.x-served-by") == Some("n1"),
        "{one:?}"
    );
    let two = of("/users/2/score")?;
    ensure!(
        two.text("cirron.name") == Some("file") && score(two) == Some(1.0),
        "{two:?}"
    );
    ensure!(two.text("http.route").is_none(), "{two:?}");
    ensure!(
        two.text("http.request.header.x-tenant").is_none(),
        "{two:?}"
    );
    // The new process has its own values, and none of the old one's.
    let three = of("/users/3/score")?;
    ensure!(
        three.text("cirron.name") == Some("file") && score(three).is_none(),
        "{three:?}"
    );
    ensure!(three.pid != one.pid, "{}", told());
    let probe = of("/healthz")?;
    ensure!(
        probe.pid == three.pid && probe.text("cirron.name") == Some("after"),
        "{probe:?}"
    );
    ensure!(requests.len() == 4, "{}", told());
    let ignored: Vec<_> = report
        .spool
        .sessions()
        .iter()
        .filter_map(|s| s.int("cirron.ignored_exchanges"))
        .collect();
    ensure!(ignored.iter().sum::<i64>() == 3, "{ignored:?} {}", told());
    let engine = &report.summary["engine"];
    ensure!(
        engine["ignored_exchanges"] == 3 && engine["config_problems"] == 1,
        "{engine}"
    );
    let said = "not taken of its CONFIG: cirron.rules[1].pth: there is no such key\n  did you mean `path`?";
    ensure!(
        report.stderr.matches(said).count() == 1,
        "{}",
        report.stderr
    );
    Ok(String::new())
}

fn hung_up() -> Result<String> {
    let port = free_port()?;
    let dir = tempfile::tempdir()?;
    let (server, file) = (dir.path().join("server.py"), dir.path().join("agent.toml"));
    std::fs::write(&server, SERVER)?;
    std::fs::write(&file, "[[rules]]\nsample = 1000000\n")?;
    let config = file.to_str().context("a path")?;
    let mut command = Command::new("python3");
    command.arg(&server).arg(port.to_string());
    let agent = Agent::run(&["--config", config], &command, |_| {})?;
    listener(port)?;
    for user in 0..20 {
        score(port, user)?;
    }
    let said = |what: &str| {
        until(what, Duration::from_secs(5), || {
            agent.stderr().contains(what).then_some(())
        })
    };
    agent.signal(libc::SIGHUP);
    said("agent.toml is taken: 1 rule")?;
    std::fs::write(&file, "[[rules]]\nsampel = 2\n")?;
    said("agent.toml:2:1: rules[0].sampel: there is no such key\n  did you mean `sample`?")?;
    score(port, 100)?;
    std::fs::write(&file, "")?;
    said("agent.toml is taken: 0 rules")?;
    score(port, 200)?;
    curl(&[&url(port, "/quit")])?;
    let report = agent.ended(Duration::from_secs(20))?;
    let paths: Vec<&str> = report.spool.requests().iter().map(|s| s.path()).collect();
    ensure!(paths == ["/users/200/score", "/quit"], "{paths:?}");
    let engine = &report.summary["engine"];
    ensure!(
        engine["requests"] == 23 && engine["sampled_out_exchanges"] == 21,
        "{engine}"
    );
    Ok(String::new())
}
