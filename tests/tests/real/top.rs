//! `top`: what it says of a server that is called, in JSON and on a terminal, and whom the agent's socket answers.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::{self, Agent};
use cirron_tests::runner::{Need, Test};
use cirron_tests::wait::until;
use serde_json::Value;

use crate::plain::Plain;

pub(crate) const TESTS: &[Test] = &[Test {
    name: "top_says_what_a_server_does_now_to_whom_may_ask",
    need: Need::Bpf,
    run: top,
}];

/// Requests, all for what is not there.
const REQUESTS: usize = 300;

/// For the screen to show something.
const LIMIT: Duration = Duration::from_secs(20);

fn once(more: &[&str], run_dir: &Path) -> Result<Output> {
    let mut command = Command::new(agent::binary());
    command.args(["top", "--once", "--json"]).args(more);
    command.env("CIRRON_RUN_DIR", run_dir);
    command.output().context("top")
}

fn json(more: &[&str], run_dir: &Path) -> Result<Value> {
    let output = once(more, run_dir)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).context(said)
}

fn line<'v>(view: &'v Value, endpoint: &str) -> Option<&'v Value> {
    let mut lines = view["endpoints"].as_array()?.iter();
    lines.find(|line| line["endpoint"] == endpoint)
}

fn top() -> Result<String> {
    let dir = tempfile::tempdir()?;
    let run_dir = dir.path().join("run");
    let server = Plain::start(&[])?;
    let args = ["--pid".to_owned(), server.pid().to_string()];
    let agent = Agent::start(&args, |command| {
        command.env("CIRRON_RUN_DIR", &run_dir);
    })?;
    server.call(REQUESTS)?;
    let view = until("all requests in top", LIMIT, || {
        // With no spool named it asks the agents, which say what they write.
        let view = json(&[], &run_dir).ok()?;
        (line(&view, "GET /none")?["requests"] == REQUESTS).then_some(view)
    })?;
    let none = line(&view, "GET /none").context("no line")?;
    ensure!(
        none["failed"] == REQUESTS && none["way"] == "served",
        "{none}"
    );
    ensure!(
        none["latency_ms"]["p99"].is_f64() && none["time_to_first_token_ms"]["p50"].is_null(),
        "{none}"
    );
    ensure!(
        view["open"] == 0 && view["agents"][0]["targets"] == 1,
        "{view}"
    );

    // Whoever may not ask is told what to do.
    let other = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(agent::binary())
        .args(["top", "--once"])
        .env("CIRRON_RUN_DIR", &run_dir)
        .current_dir("/")
        .output()?;
    let said = String::from_utf8_lossy(&other.stderr);
    ensure!(
        !other.status.success() && said.contains("no agent answers here"),
        "{said}"
    );

    on_a_terminal(agent.dir(), &run_dir)?;
    agent.finish()?;
    ensure!(
        std::fs::read_dir(&run_dir)?.next().is_none(),
        "a socket is left"
    );

    // A capture of its own, which goes with it.
    let pid = server.pid().to_string();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let calls = std::thread::spawn(move || {
        // Until the view has been said: when the capture begins is its own affair.
        while stopped.recv_timeout(Duration::from_millis(200)) == Err(RecvTimeoutError::Timeout) {
            server.call(1)?;
        }
        anyhow::Ok(server)
    });
    let view = json(&["--pid", &pid, "--window", "3s"], &run_dir)?;
    drop(stop);
    let _server = calls.join().ok().context("the calls")??;
    let requests = line(&view, "GET /none").and_then(|line| line["requests"].as_u64());
    ensure!(requests.is_some_and(|n| (3..=20).contains(&n)), "{view}");
    ensure!(
        std::fs::read_dir(&run_dir)?.next().is_none(),
        "a socket is left"
    );
    Ok(String::new())
}

/// A terminal of 80 columns and 24 lines, without colours.
struct Tmux(String);

impl Tmux {
    fn start(command: &str) -> Result<Tmux> {
        let tmux = Tmux(format!("cirron-test-{}", std::process::id()));
        tmux.run(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "80",
            "-y",
            "24",
            command,
        ])?;
        Ok(tmux)
    }

    fn run(&self, args: &[&str]) -> Result<String> {
        let output = Command::new("tmux")
            .args(["-L", &self.0])
            .args(args)
            .env("TERM", "xterm")
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "tmux {args:?}: {said}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn shows(&self, what: &str) -> Result<String> {
        until(what, LIMIT, || {
            let screen = self.run(&["capture-pane", "-p"]).ok()?;
            screen.contains(what).then_some(screen)
        })
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = self.run(&["kill-server"]);
    }
}

fn on_a_terminal(output_dir: &Path, run_dir: &Path) -> Result<()> {
    let program = agent::binary();
    let command = format!(
        "NO_COLOR=1 CIRRON_RUN_DIR={} {} top --output-dir {}",
        run_dir.display(),
        program.display(),
        output_dir.display()
    );
    let tmux = Tmux::start(&command)?;
    tmux.shows("GET /none")?;
    // The agent speaks once a second.
    let screen = tmux.shows("1 target")?;
    ensure!(
        screen.lines().all(|line| line.chars().count() <= 80),
        "{screen}"
    );
    for text in ["ENDPOINT", "REQ/S", "TTFT95", "LAT95", "ERR", "q quit"] {
        ensure!(screen.contains(text), "no {text} in\n{screen}");
    }
    tmux.run(&["send-keys", "Enter"])?;
    let screen = tmux.shows("STATUS")?;
    ensure!(screen.contains("404"), "{screen}");
    tmux.run(&["send-keys", "Enter"])?;
    tmux.shows("nothing is known of what was done inside")?;
    tmux.run(&["send-keys", "Escape"])?;
    tmux.shows("STATUS")?;
    tmux.run(&["send-keys", "q"])?;
    until("its end", LIMIT, || {
        tmux.run(&["list-sessions"]).is_err().then_some(())
    })?;
    Ok(())
}
