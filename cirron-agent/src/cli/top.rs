//! `top`: which spools and sockets are looked at, and the capture that it starts where a process is named.
//!
//! ```text
//! --pid          -> a capture of its own (this program again), with a spool that goes with it
//! --output-dir   -> that spool, and the agents that write it
//! neither        -> the agents that run, else ./.cirron/spool
//! ```

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use cirron_top::live::Live;
use cirron_top::run::{Options, ask};
use rustix::process::{Pid, Signal, kill_process};

use super::Failed;
use super::exit::Exit;
use crate::control;

/// The time that a capture has to attach: as long as it says so itself.
const ATTACH_LIMIT: Duration = Duration::from_secs(40);

/// The time that an agent has to say its first line, of the several that run.
const FIRST_LINE: Duration = Duration::from_secs(2);

/// The time that a capture has to end when it is told to; detaching takes a while on old kernels.
const END_LIMIT: Duration = Duration::from_secs(20);

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct TopPlan {
    /// Processes to capture.
    pub pids: Vec<u32>,
    /// The spool that was named.
    pub spool_dir: Option<PathBuf>,
    /// The spool where nobody is asked.
    pub default_dir: PathBuf,
    /// How long the figures reach back.
    pub window: Duration,
    /// Say it once.
    pub once: bool,
    /// As JSON.
    pub json: bool,
    /// Whether colours may be used.
    pub color: bool,
}

/// Shows it.
pub fn top(plan: &TopPlan) -> Result<Exit, Failed> {
    if !plan.once && std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        return Err(anyhow!(
            "this terminal has no cursor to move (TERM is dumb)\n  \
             `top --once` says the same in text, and `--once --json` for scripts"
        )
        .into());
    }
    let mut own = match &*plan.pids {
        [] => None,
        pids => Some(Own::start(pids)?),
    };
    let (spools, sockets) = match &own {
        Some(own) => (vec![own.dir.join("spool")], vec![own.socket.clone()]),
        None => sources(plan)?,
    };
    let options = Options {
        spools,
        sockets,
        window: plan.window,
        // A capture of our own has seen nothing yet.
        once: plan
            .once
            .then(|| own.as_ref().map_or(Duration::ZERO, |_| plan.window)),
        json: plan.json,
        color: plan.color,
    };
    let shown = cirron_top::run::run(&options, &mut || own.as_mut().is_none_or(Own::lives));
    let log = own.map(Own::end);
    match (shown, log) {
        (Err(e), _) => Err(anyhow::Error::new(e).into()),
        (Ok(()), Some(Err(e))) => Err(e.into()),
        (Ok(()), _) => Ok(Exit::Ok),
    }
}

/// The agents that run, and what they write.
fn sources(plan: &TopPlan) -> anyhow::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let all = control::sockets(&control::dir()).into_iter();
    let heard = all.filter_map(|path| ask(&path, FIRST_LINE).map(|live| (path, live)));
    if let Some(dir) = &plan.spool_dir {
        let writes = |live: &Live| {
            live.spool_dir
                .as_deref()
                .is_some_and(|other| is_same(Path::new(other), dir))
        };
        let sockets = heard.filter(|(_, live)| writes(live)).map(|(path, _)| path);
        return Ok((vec![dir.clone()], sockets.collect()));
    }
    let heard: Vec<(PathBuf, Live)> = heard.collect();
    if !heard.is_empty() {
        let mut spools: Vec<PathBuf> = heard
            .iter()
            .filter_map(|(_, live)| live.spool_dir.clone().map(PathBuf::from))
            .collect();
        spools.sort();
        spools.dedup();
        return Ok((spools, heard.into_iter().map(|(path, _)| path).collect()));
    }
    if plan.default_dir.is_dir() {
        return Ok((vec![plan.default_dir.clone()], Vec::new()));
    }
    Err(anyhow!(
        "no agent answers here, and there is no spool in {}\n  \
         watch a process with --pid PID, name a spool's place with --output-dir DIR, or run as the agent's user (root)",
        plan.default_dir.display()
    ))
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// A capture that was started for this view, and goes with it.
struct Own {
    child: Child,
    dir: PathBuf,
    socket: PathBuf,
}

impl Own {
    fn start(pids: &[u32]) -> Result<Own, Failed> {
        let dir = std::env::temp_dir().join(format!("cirron-top-{}", std::process::id()));
        let made = DirBuilder::new().mode(0o700).create(&dir);
        made.with_context(|| format!("{} cannot be made", dir.display()))?;
        let started = Own::start_in(&dir, pids);
        started.inspect_err(|_| drop(std::fs::remove_dir_all(&dir)))
    }

    fn start_in(dir: &Path, pids: &[u32]) -> Result<Own, Failed> {
        let log = File::create(dir.join("log")).context("the capture's log cannot be made")?;
        let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
        let exe = std::env::current_exe().context("this program cannot be found")?;
        let child = Command::new(exe)
            .args([
                "--pid",
                &pids.join(","),
                "--output",
                "spool",
                "--output-dir",
            ])
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("the capture cannot be started")?;
        let socket = control::dir().join(format!("{}.sock", child.id()));
        let mut own = Own {
            child,
            dir: dir.to_owned(),
            socket,
        };
        let until = Instant::now() + ATTACH_LIMIT;
        while Instant::now() < until {
            if let Ok(Some(status)) = own.child.try_wait() {
                let code = status.code().and_then(|code| u8::try_from(code).ok());
                return Err(Failed {
                    exit: code.map_or(Exit::Failure, Exit::Command),
                    error: anyhow!("the capture has ended: {}", own.said()),
                });
            }
            if std::os::unix::net::UnixStream::connect(&own.socket).is_ok() {
                return Ok(own);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let said = own.said();
        let _ = own.stop();
        Err(anyhow!("the capture did not attach within {ATTACH_LIMIT:?}: {said}").into())
    }

    fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it said last.
    fn said(&self) -> String {
        let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let at = log.len().saturating_sub(2_000);
        log.get(log.ceil_char_boundary(at)..)
            .unwrap_or_default()
            .trim()
            .to_owned()
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::INT);
        }
        let until = Instant::now() + END_LIMIT;
        while Instant::now() < until {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child.kill()?;
        self.child.wait()?;
        Err(anyhow!(
            "the capture did not end within {END_LIMIT:?}, and was killed"
        ))
    }

    /// Ends it. What it wrote is gone then.
    fn end(mut self) -> anyhow::Result<()> {
        let ended = self.stop();
        let _ = std::fs::remove_dir_all(&self.dir);
        ended
    }
}
