//! The agent under test, as a user runs it.

use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Guard, waits};
use crate::spool::Spool;
use crate::wait::{until, until_every};
use crate::{CANARY, contract, stacks};

/// The binary: `CIRRON_AGENT_BIN`, else the release build of this workspace.
pub fn binary() -> PathBuf {
    match std::env::var_os("CIRRON_AGENT_BIN") {
        Some(path) => path.into(),
        None => stacks::here().join("../target/release/cirron-agent"),
    }
}

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    guard: Guard,
    dir: TempDir,
    stderr: Collected,
    stdout: Collected,
}

/// What is left of an agent that has ended.
#[derive(Debug)]
pub struct Report {
    /// Its output directory; goes with this value.
    pub dir: TempDir,
    /// What it wrote.
    pub spool: Spool,
    /// `--summary-json`.
    pub summary: Value,
    /// What it printed.
    pub stderr: String,
    /// What it printed.
    pub stdout: String,
    /// Largest resident size, where it could be read before the end.
    pub peak_kib: Option<u64>,
}

/// For what an agent has printed to be read once it has ended.
const OUTPUT_LIMIT: Duration = Duration::from_secs(1);

/// What a stream has said so far.
#[derive(Debug)]
struct Collected {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Collected {
    fn from_stream(stream: Option<impl Read + Send + 'static>) -> Collected {
        let text = Arc::new(Mutex::new(String::new()));
        let reader = stream.map(|stream| {
            let text = Arc::clone(&text);
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
                    text.push_str(&line);
                    text.push('\n');
                }
            })
        });
        Collected { text, reader }
    }

    fn read(&self) -> String {
        let text = self.text.lock();
        text.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Nobody can write to it any more, and all is read.
    fn is_over(&self) -> bool {
        self.reader.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

/// The line that says that nothing is missed from now on.
fn is_ready_line(line: &str) -> bool {
    let line = line.strip_prefix("cirron-agent: ").unwrap_or(line);
    ["attached", "looking for targets"]
        .iter()
        .any(|ready| line.starts_with(ready))
}

impl Agent {
    /// Attaches to `pids`, with further arguments, and waits until it is ready.
    pub fn attach(pids: &[u32], more: &[&str]) -> Result<Agent> {
        let mut args: Vec<String> = pids
            .iter()
            .flat_map(|p| ["--pid".to_owned(), p.to_string()])
            .collect();
        args.extend(more.iter().map(|a| (*a).to_owned()));
        Agent::start(&args, |_| {})
    }

    /// `cirron-agent run OPTIONS -- COMMAND`.
    pub fn run(
        options: &[&str],
        command: &Command,
        adapt: impl FnOnce(&mut Command),
    ) -> Result<Agent> {
        let mut args = vec!["run".to_owned()];
        args.extend(options.iter().map(|a| (*a).to_owned()));
        args.push("--".to_owned());
        args.push(command.get_program().to_string_lossy().into_owned());
        args.extend(command.get_args().map(|a| a.to_string_lossy().into_owned()));
        Agent::start(&args, adapt)
    }

    /// Starts it with `args` (before a `--`, if there is one, `--output-dir` and `--summary-json`
    /// are put in).
    pub fn start(args: &[String], adapt: impl FnOnce(&mut Command)) -> Result<Agent> {
        let dir = tempfile::tempdir()?;
        let mut command = Command::new(binary());
        let end = args.iter().position(|a| a == "--").unwrap_or(args.len());
        let (before, after) = args.split_at(end);
        command
            .args(before)
            .arg("--output-dir")
            .arg(dir.path())
            .arg("--summary-json")
            .arg(dir.path().join("summary.json"))
            .args(after);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for name in [
            "SUDO_UID",
            "SUDO_GID",
            "CIRRON_OUTPUT_DIR",
            "CIRRON_FLUSH_INTERVAL",
            "CIRRON_SPOOL_MAX_BYTES",
        ] {
            command.env_remove(name);
        }
        adapt(&mut command);
        let mut guard = Guard::spawn(command)?;
        let stderr = Collected::from_stream(guard.child().stderr.take());
        let stdout = Collected::from_stream(guard.child().stdout.take());
        let mut agent = Agent {
            guard,
            dir,
            stderr,
            stdout,
        };
        agent.wait_ready()?;
        Ok(agent)
    }

    fn wait_ready(&mut self) -> Result<()> {
        let (stderr, guard) = (&self.stderr, &mut self.guard);
        until("`attached` on stderr", Duration::from_secs(20), || {
            let ready = stderr.read().lines().any(is_ready_line);
            // A short `run` may be over by now: that is no failure, a missing line is.
            let mut is_over = || !guard.is_running().unwrap_or(false) && stderr.is_over();
            (ready || is_over()).then_some(())
        })
        .with_context(|| stderr.read())?;
        ensure!(
            self.stderr.read().lines().any(is_ready_line),
            "the agent did not attach: {}",
            self.stderr.read()
        );
        Ok(())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: libc::c_int) {
        self.guard.signal(signal);
    }

    /// Its output directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it has printed on stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.read()
    }

    /// Its spool as it is now, without the checks that hold only at the end.
    pub fn spool_now(&self) -> Result<Spool> {
        Spool::read(self.dir.path())
    }

    /// Waits until the spool, read while the agent runs, shows what `f` looks for.
    pub fn spool_until<T>(&self, what: &str, mut f: impl FnMut(&Spool) -> Option<T>) -> Result<T> {
        let pace = Duration::from_millis(50);
        until_every(pace, what, Duration::from_secs(10), || {
            f(&self.spool_now().ok()?)
        })
        .with_context(|| format!("spool: {:?}", self.spool_now().map(|s| s.describe())))
    }

    /// Kills it with SIGKILL and leaves what it wrote.
    pub fn kill(mut self) -> Result<TempDir> {
        self.guard.signal(libc::SIGKILL);
        self.guard.wait(Duration::from_secs(5))?;
        Ok(self.dir)
    }

    /// SIGINT, then [`Agent::ended`].
    pub fn finish(self) -> Result<Report> {
        self.guard.signal(libc::SIGINT);
        let peak = peak_kib(self.guard.pid());
        self.end(Duration::from_secs(20), peak, 0)
    }

    /// Waits for it to end by itself within `limit`, then as [`Agent::finish`].
    pub fn ended(self, limit: Duration) -> Result<Report> {
        self.end(limit, None, 0)
    }

    /// The same, with the exit status of the command that it ran.
    pub fn ended_with(self, code: i32, limit: Duration) -> Result<Report> {
        self.end(limit, None, code)
    }

    fn end(mut self, limit: Duration, peak_kib: Option<u64>, code: i32) -> Result<Report> {
        let pid = self.guard.pid();
        let told = || format!("{}{}", self.stderr.read(), waits(pid));
        let status: ExitStatus = self.guard.wait(limit).with_context(told)?;
        // What a command of its own left behind may hold them open.
        let _ = until("the end of its output", OUTPUT_LIMIT, || {
            (self.stderr.is_over() && self.stdout.is_over()).then_some(())
        });
        let (stderr, stdout) = (self.stderr.read(), self.stdout.read());
        if status.code() != Some(code) {
            bail!("the agent ended with {status}: {stderr}");
        }
        for (name, text) in [("stderr", &stderr), ("stdout", &stdout)] {
            ensure!(!text.contains(CANARY), "private text on {name}: {text}");
        }
        let text =
            std::fs::read_to_string(self.dir.path().join("summary.json")).context("no summary")?;
        let summary: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        // `--output stdout` and `none` write no spool, and say so.
        if !summary["spool_path"].is_null() {
            contract::check(self.dir.path()).with_context(|| format!("stderr: {stderr}"))?;
        }
        let spool = Spool::read(self.dir.path())?;
        Ok(Report {
            dir: self.dir,
            spool,
            summary,
            stderr,
            stdout,
            peak_kib,
        })
    }
}

/// `VmHWM` of a process.
pub fn peak_kib(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))?
        .trim()
        .split(' ')
        .next()?
        .parse()
        .ok()
}
