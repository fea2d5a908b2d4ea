//! The daemon, and what it takes.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::{paths, sh};

/// Until it says that it looks for targets, and until it has ended.
const LIMIT: Duration = Duration::from_secs(60);

/// Ticks of a second, in procfs: the kernel's ABI.
const TICKS: f64 = 100.0;

/// It runs.
pub(super) struct Agent {
    child: Child,
    log: PathBuf,
    began: Instant,
}

/// What it takes, at a moment.
pub(super) struct Sample {
    at: Duration,
    cpu_s: f64,
    pss_kib: u64,
    anonymous_kib: u64,
    descriptors: usize,
    threads: usize,
}

impl Agent {
    pub(super) fn start(dir: &Path, rule: String) -> Result<Agent> {
        let (config, log) = (dir.join("agent.toml"), dir.join("log"));
        fs::write(&config, rule)?;
        let child = Command::new(paths::agent())
            .args(["daemon", "--config"])
            .arg(&config)
            .arg("--output-dir")
            .arg(dir)
            .stdin(Stdio::null())
            .stderr(fs::File::create(&log)?)
            .spawn()
            .context("the agent cannot be started")?;
        let mut agent = Agent {
            child,
            log,
            began: Instant::now(),
        };
        let until = Instant::now() + LIMIT;
        while !agent.said()?.contains("looking for targets") {
            if agent.child.try_wait()?.is_some() || Instant::now() > until {
                bail!("the agent says: {}", agent.said()?);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(agent)
    }

    fn said(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.log)?).into_owned())
    }

    pub(super) fn sample(&self) -> Result<Sample> {
        let proc = PathBuf::from(format!("/proc/{}", self.child.id()));
        let stat = fs::read_to_string(proc.join("stat")).context("the agent has ended")?;
        let fields: Vec<&str> = stat
            .rsplit(") ")
            .next()
            .unwrap_or_default()
            .split(' ')
            .collect();
        // Fields 14 and 15 of the line; the first two are before the last bracket.
        let ticks = |at: usize| {
            fields
                .get(at - 3)
                .and_then(|field| field.parse::<f64>().ok())
        };
        let cpu = ticks(14).zip(ticks(15)).context("its stat has no times")?;
        let rollup = fs::read_to_string(proc.join("smaps_rollup"))?;
        let kib = |name: &str| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Ok(Sample {
            at: self.began.elapsed(),
            cpu_s: (cpu.0 + cpu.1) / TICKS,
            pss_kib: kib("Pss:").context("no Pss")?,
            anonymous_kib: kib("Pss_Anon:").context("no Pss_Anon")?,
            descriptors: fs::read_dir(proc.join("fd"))?.count(),
            threads: fs::read_dir(proc.join("task"))?.count(),
        })
    }

    /// Ends it; what it said last.
    pub(super) fn end(&mut self) -> Result<String> {
        sh::signal("INT", self.child.id())?;
        let until = Instant::now() + LIMIT;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > until {
                bail!("the agent does not end");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(self
            .said()?
            .lines()
            .next_back()
            .unwrap_or_default()
            .to_owned())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sample {
    /// Percent of a core since then.
    pub(super) fn share_since(&self, first: &Sample) -> f64 {
        let time = (self.at - first.at).as_secs_f64().max(f64::MIN_POSITIVE);
        100.0 * (self.cpu_s - first.cpu_s) / time
    }

    /// Descriptors or threads, by more than what comes and goes with targets that are looked at.
    pub(super) fn grew_since(&self, first: &Sample) -> bool {
        self.descriptors > first.descriptors + 32 || self.threads > first.threads + 4
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:4.0} s: {:.1} s of a core, {:.1} MiB ({:.1} anonymous), {} descriptors, {} threads",
            self.at.as_secs_f64(),
            self.cpu_s,
            self.pss_kib as f64 / 1024.0,
            self.anonymous_kib as f64 / 1024.0,
            self.descriptors,
            self.threads
        )
    }
}
