//! The command line as meant: defaults, environment and flags resolved into what to do.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use cirron_core::engine::EngineConfig;

use super::lowargs::{Command, CommonArgs, IdKind, LowArgs};
use crate::kernel::{Links, LoadOptions};
use crate::output::OutputKind;
use crate::output::tree::{Drawing, width};
use crate::spool::{DEFAULT_FLUSH_INTERVAL_S, DEFAULT_MAX_BYTES};

/// Shortest flush interval. Below it the spool is mostly file names.
const MIN_FLUSH_INTERVAL: Duration = Duration::from_millis(10);

/// Longest; a reader waits that long for what happened.
const MAX_FLUSH_INTERVAL: Duration = Duration::from_secs(3600);

/// What to do.
#[derive(Clone, Debug)]
pub enum Todo {
    /// Watch running processes.
    Attach {
        /// Which.
        pids: Vec<u32>,
        /// How.
        capture: Capture,
    },
    /// Start a command and watch it.
    Run {
        /// The command and its arguments.
        command: Vec<OsString>,
        /// How.
        capture: Capture,
    },
    /// Feed a recording.
    Replay {
        /// The recording.
        file: PathBuf,
        /// Ids.
        ids: IdKind,
        /// Where to.
        outputs: OutputPlan,
    },
    /// Check.
    Doctor {
        /// Processes to check as well.
        pids: Vec<u32>,
        /// For the attempt to load.
        load: LoadOptions,
    },
    /// Draw a spool.
    Tree {
        /// Its directory.
        spool_dir: PathBuf,
        /// How.
        drawing: Drawing,
    },
}

/// How to capture.
#[derive(Clone, Debug)]
pub struct Capture {
    /// For the kernel side.
    pub load: LoadOptions,
    /// For the engine.
    pub engine: EngineConfig,
    /// Where scopes go.
    pub outputs: OutputPlan,
    /// When to end.
    pub duration: Option<Duration>,
    /// The recording.
    pub record: Option<PathBuf>,
    /// The counters.
    pub summary_json: Option<PathBuf>,
}

/// Where scopes go.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputPlan {
    /// The spool's directory.
    pub spool_dir: Option<PathBuf>,
    /// Lines on standard output.
    pub stdout: bool,
    /// Between two batches.
    pub flush_interval: Duration,
    /// The spool's cap.
    pub spool_max_bytes: u64,
}

/// Resolves; an error is one of usage.
pub fn resolve(args: LowArgs, env: &dyn Fn(&str) -> Option<String>) -> Result<Todo, String> {
    let LowArgs {
        pids,
        common,
        command,
    } = args;
    match command {
        None => {
            if pids.is_empty() {
                return Err(
                    "nothing to watch: name a process with --pid PID, or start one with \
                            `run -- CMD`"
                        .to_owned(),
                );
            }
            let pids: BTreeSet<u32> = pids.into_iter().collect();
            if pids.contains(&0) {
                return Err("there is no process 0".to_owned());
            }
            Ok(Todo::Attach {
                pids: pids.into_iter().collect(),
                capture: capture(common, env)?,
            })
        }
        Some(Command::Doctor { pids: more }) => {
            let pids: BTreeSet<u32> = pids.into_iter().chain(more).collect();
            Ok(Todo::Doctor {
                pids: pids.into_iter().collect(),
                load: load_options(&common, env),
            })
        }
        Some(command) if !pids.is_empty() => {
            let name = match command {
                Command::Run { .. } => "run",
                Command::Replay { .. } => "replay",
                Command::Doctor { .. } => "doctor",
                Command::Tree { .. } => "tree",
            };
            Err(format!("--pid and `{name}` exclude each other"))
        }
        Some(Command::Run { command }) => Ok(Todo::Run {
            command,
            capture: capture(common, env)?,
        }),
        Some(Command::Replay { file, ids }) => {
            let outputs = outputs(&common, OutputKind::Stdout, env);
            Ok(Todo::Replay { file, ids, outputs })
        }
        Some(Command::Tree { limit }) => Ok(Todo::Tree {
            spool_dir: output_dir(&common, env).join("spool"),
            drawing: Drawing {
                limit,
                verbose: common.verbose > 0,
                width: width(),
            },
        }),
    }
}

fn capture(common: CommonArgs, env: &dyn Fn(&str) -> Option<String>) -> Result<Capture, String> {
    Ok(Capture {
        load: load_options(&common, env),
        engine: EngineConfig {
            chunk_timing: common.chunk_timing,
        },
        outputs: outputs(&common, OutputKind::Spool, env),
        duration: common.duration.as_deref().map(parse_duration).transpose()?,
        record: common.record,
        summary_json: common.summary_json,
    })
}

/// `CIRRON_UPROBE_LINKS=single` makes one link for each place, as on kernels that know no other:
/// for the tests and for comparing, and no option of ours.
fn load_options(common: &CommonArgs, env: &dyn Fn(&str) -> Option<String>) -> LoadOptions {
    let default = cirron_common::maps::RING_BYTES;
    LoadOptions {
        ring_bytes: common
            .ring_mib
            .map_or(default, |mib| mib.saturating_mul(1024 * 1024)),
        follow_children: !common.no_children,
        links: match env("CIRRON_UPROBE_LINKS").as_deref() {
            Some("single") => Links::Single,
            Some(_) | None => Links::Fewest,
        },
    }
}

fn output_dir(common: &CommonArgs, env: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    common
        .output_dir
        .clone()
        .or_else(|| set(env, "CIRRON_OUTPUT_DIR").map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("./.cirron"))
}

fn outputs(
    common: &CommonArgs,
    default: OutputKind,
    env: &dyn Fn(&str) -> Option<String>,
) -> OutputPlan {
    let asked = if common.output.is_empty() {
        &[default][..]
    } else {
        &common.output
    };
    let none = asked.contains(&OutputKind::None);
    let has = |kind| !none && asked.contains(&kind);
    // As in the SDK: what does not parse is as if it were not set.
    let interval = set(env, "CIRRON_FLUSH_INTERVAL")
        .and_then(|text| text.trim().parse::<f64>().ok())
        .filter(|seconds| seconds.is_finite() && *seconds > 0.0)
        .unwrap_or(DEFAULT_FLUSH_INTERVAL_S);
    OutputPlan {
        spool_dir: has(OutputKind::Spool).then(|| output_dir(common, env).join("spool")),
        stdout: has(OutputKind::Stdout),
        flush_interval: Duration::try_from_secs_f64(interval)
            .unwrap_or(MAX_FLUSH_INTERVAL)
            .clamp(MIN_FLUSH_INTERVAL, MAX_FLUSH_INTERVAL),
        spool_max_bytes: set(env, "CIRRON_SPOOL_MAX_BYTES")
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(DEFAULT_MAX_BYTES),
    }
}

/// A variable that is set to something.
fn set(env: &dyn Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    env(name).filter(|value| !value.is_empty())
}

/// `10s`, `500ms`, `1.5m`, `2h`, and a bare number as seconds.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let scale = match unit {
        "ms" => 1e-3,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(bad_duration(text)),
    };
    let seconds = number.parse::<f64>().map_err(|_| bad_duration(text))? * scale;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|length| !length.is_zero() && *length <= MAX_DURATION)
        .ok_or_else(|| bad_duration(text))
}

/// Longest `--duration`; longer than any capture, short enough for every timer.
const MAX_DURATION: Duration = Duration::from_secs(365 * 24 * 3600);

fn bad_duration(text: &str) -> String {
    format!("--duration {text}: not a time; write it as 10s, 500ms, 5m or 1h")
}

#[cfg(test)]
#[path = "hiargs_tests.rs"]
mod tests;
