//! `--pid`, `run` and `daemon`: which processes are to be watched, and what is said of it. How is [`super::capture`]'s matter.

use std::collections::BTreeMap;
use std::ffi::OsString;

use anyhow::anyhow;
use cirron_core::engine::ProcessFacts;
use cirron_core::rules::TargetRules;
use rustix::process::Pid;

use super::capture::OpenCapture;
use super::command::Held;
use super::exit::Exit;
use super::hiargs::Capture;
use super::{Failed, say};
use crate::discovery::facts::{base_name, wanted};
use crate::discovery::{facts, short_name};
use crate::driver::supervise::restore_signals;
use crate::preflight::{self, report};

/// Watches running processes.
pub fn attach(pids: &[u32], capture: &Capture) -> Result<Exit, Failed> {
    check(pids)?;
    let open = OpenCapture::open(capture, false)?;
    let named: Vec<ProcessFacts> = pids
        .iter()
        .map(|pid| facts(*pid).ok_or_else(|| gone(*pid)))
        .collect::<Result<_, _>>()?;
    let capturing = open.start()?;
    let children = match capturing.add(named) {
        Ok(children) => children,
        Err(error) => {
            let error = capturing.give_up(error);
            return Err(match pids {
                // Of several that may be any; the refusal says which.
                [pid] if facts(*pid).is_none() => gone(*pid),
                _ => refused(error),
            });
        }
    };
    let names: Vec<String> = pids.iter().map(|pid| name(*pid)).collect();
    capturing.say_attached(&names.join(", "), children, "Ctrl-C stops");
    capturing.finish(None)?;
    Ok(Exit::Ok)
}

/// Watches what rules choose.
pub fn daemon(capture: &Capture) -> Result<Exit, Failed> {
    check(&[])?;
    let open = OpenCapture::open(capture, false)?;
    let rules = capture.targets.as_ref().map_or(0, TargetRules::count);
    capture.say_begun(
        &format!("looking for targets by {rules} rules"),
        "Ctrl-C stops",
    );
    open.start()?.finish(None)?;
    Ok(Exit::Ok)
}

/// Starts a command and watches it.
pub fn run(command: &[OsString], capture: &Capture) -> Result<Exit, Failed> {
    check(&[])?;
    let mut open = OpenCapture::open(capture, true)?;
    let name = command
        .first()
        .map(|program| program.to_string_lossy())
        .unwrap_or_default();
    let held = Held::fork(command)?;
    let pid = held.pid();
    // What it will be after its exec: the environment is ours, the program the command's.
    let own = std::fs::read("/proc/self/environ").unwrap_or_default();
    let facts = ProcessFacts {
        tgid: pid,
        explicit: true,
        env: wanted(&own),
        exe: base_name(&name),
        container: None,
        workload: BTreeMap::new(),
        target: None,
        blind: Vec::new(),
    };
    // It may be over in a moment: what it will map is looked at before.
    if let Some(program) = command.first() {
        open.look_ahead(pid, program);
    }
    // No thread of ours ran while it was forked.
    let capturing = open.start()?;
    if let Err(error) = capturing.add_held(facts) {
        return Err(refused(capturing.give_up(error)));
    }
    capturing.say_attached(
        &format!("pid {pid} ({name})"),
        0,
        "it ends with the command",
    );
    let started = held.release()?;
    capturing.finish(i32::try_from(pid).ok().and_then(Pid::from_raw))?;
    if !started.has_ended() {
        // A second Ctrl-C or --duration ended the capture; the command goes on without us.
        restore_signals();
        say(&format!("pid {pid} still runs, and is waited for"));
    }
    Ok(started.exit(&name)?)
}

fn check(pids: &[u32]) -> Result<(), Failed> {
    let checks = preflight::all(pids);
    let Some(text) = report::missing(&checks) else {
        return Ok(());
    };
    let exit = if report::only_targets_missing(&checks) {
        Exit::NoSuchProcess
    } else {
        Exit::CannotAttach
    };
    Err(Failed {
        exit,
        error: anyhow!(text),
    })
}

fn refused(error: anyhow::Error) -> Failed {
    Failed {
        exit: Exit::CannotAttach,
        error,
    }
}

fn gone(pid: u32) -> Failed {
    Failed {
        exit: Exit::NoSuchProcess,
        error: anyhow!("process {pid} ended before it could be attached to"),
    }
}

fn name(pid: u32) -> String {
    short_name(pid).map_or_else(
        || format!("pid {pid}"),
        |name| format!("pid {pid} ({name})"),
    )
}
