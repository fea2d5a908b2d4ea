//! `cargo xtask soak`: many targets of one daemon, of which a share is restarted each minute.
//!
//! ```text
//! servers (Python's own, one process each) <--requests, each with a path of its own-- this
//!    ^ found by a rule                                                                 |
//! daemon --> spool  ----------------- each path that was answered must be there -------'
//! ```
//! It says what was asked and what was recorded, and what the agent took: processor time, memory (PSS, with what is the
//! agent's alone), descriptors and threads, at the first minute and at the end. It fails where a request is missing or
//! where descriptors or threads grew; memory and processor time are figures, and are compared with the issue's in words.

mod agent;
mod servers;
mod spool;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use self::agent::{Agent, Sample};
use self::servers::Servers;
use crate::{host, sh};

/// For servers that were there before to be found, and for the last batches to be written.
const SETTLE: Duration = Duration::from_secs(5);

/// How many, how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Servers at once
    #[arg(long, default_value_t = 300)]
    targets: usize,
    /// Of a hundred, how many are restarted each minute
    #[arg(long, default_value_t = 30)]
    restarts: usize,
    /// Minutes
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Requests a second, to one server after the other
    #[arg(long, default_value_t = 20)]
    rate: usize,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if !host::is_root() {
        bail!("the daemon needs root\n  sudo -E cargo xtask soak");
    }
    sh::build_agent()?;
    let dir = std::env::temp_dir().join(format!("cirron-soak-{}", std::process::id()));
    std::fs::create_dir(&dir).context("a directory of its own")?;
    let done = soak(options, &dir);
    std::fs::remove_dir_all(&dir).context("its directory cannot be removed")?;
    done
}

fn soak(options: &Options, dir: &std::path::Path) -> Result<ExitCode> {
    let mut servers = Servers::start(dir, options.targets)?;
    let mut agent = Agent::start(dir, servers.rule())?;
    println!("{} servers run; the daemon looks for them", options.targets);
    std::thread::sleep(SETTLE);
    let mut asked: BTreeSet<String> = BTreeSet::new();
    let mut samples: Vec<Sample> = vec![agent.sample()?];
    let began = Instant::now();
    let end = Duration::from_secs(options.minutes * 60);
    let restart_every = match options.targets * options.restarts {
        0 => end * 2,
        share => Duration::from_secs_f64(60.0 * 100.0 / share as f64),
    };
    let (mut next_restart, mut next_ask, mut next_sample) =
        (Duration::ZERO, Duration::ZERO, Duration::from_secs(60));
    let (mut restarted, mut turn) = (0, 0);
    while began.elapsed() < end {
        let now = began.elapsed();
        if now >= next_restart {
            servers.restart()?;
            restarted += 1;
            next_restart += restart_every;
        }
        if now >= next_ask {
            asked.extend(servers.ask(turn)?);
            turn += 1;
            next_ask += Duration::from_secs_f64(1.0 / options.rate.max(1) as f64);
        }
        if now >= next_sample {
            let sample = agent.sample()?;
            println!("{sample}");
            samples.push(sample);
            next_sample += Duration::from_secs(60);
        }
        let next = next_restart.min(next_ask).min(next_sample);
        std::thread::sleep(
            next.saturating_sub(began.elapsed())
                .min(Duration::from_millis(50)),
        );
    }
    std::thread::sleep(SETTLE);
    samples.push(agent.sample()?);
    let said = agent.end()?;
    let recorded = spool::paths(&dir.join("spool"))?;
    let missing: Vec<&String> = asked.difference(&recorded).collect();
    println!("{said}");
    println!(
        "{} requests answered, {} of them recorded; {restarted} restarts of {} servers in {} min",
        asked.len(),
        asked.len() - missing.len(),
        options.targets,
        options.minutes
    );
    let (first, last) = (
        samples.get(1).unwrap_or(&samples[0]),
        &samples[samples.len() - 1],
    );
    println!("first minute: {first}\nat the end:   {last}");
    println!("{:.2} % of a core between them", last.share_since(first));
    if !missing.is_empty() {
        println!(
            "missing, the first ten: {:?}",
            &missing[..missing.len().min(10)]
        );
        return Ok(ExitCode::FAILURE);
    }
    if last.grew_since(first) {
        println!("descriptors or threads grew");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
