//! The systemd unit: that systemd takes every line of it, and that a capture works with what it leaves.
//!
//! `assets/service/run.sh` starts it under systemd's own code, on machines without systemd too: servers of another user
//! are found and read, over HTTP and HTTPS, whose library lies where the unit sees nothing, and what was seen is shipped.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::super::Work;
use super::super::binary::Built;
use crate::{paths, sh};

/// Below it the manager keeps its state: not /tmp, of which the unit has one of its own.
const STATE: &str = "/var/lib/cirron-agent-dist-check";

const UNIT: &str = "deploy/packages/cirron-agent.service";

pub(super) fn check(work: &Work, built: &Built) -> Result<String> {
    let exposure = verified(work, built)?;
    remove()?;
    let done = started(built);
    remove()?;
    Ok(format!("{}; {exposure}", done?))
}

/// What systemd says of it without starting it.
fn verified(work: &Work, built: &Built) -> Result<String> {
    let unit = fs::read_to_string(paths::root().join(UNIT))?;
    // It asks whether the program and its pages are there.
    let unit: String = unit
        .replace("/usr/bin/cirron-agent", &built.program.to_string_lossy())
        .lines()
        .filter(|line| !line.starts_with("Documentation="))
        .map(|line| format!("{line}\n"))
        .collect();
    let path = work.scratch.join("cirron-agent.service");
    fs::write(&path, unit)?;
    let verified = work
        .command("systemd-analyze")
        .arg("verify")
        .arg(&path)
        .output()?;
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    // Of the machine's own units it says what it likes.
    let ours: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("cirron-agent"))
        .collect();
    ensure!(ours.is_empty(), "systemd-analyze verify: {ours:?}");
    let mut security = work.command("systemd-analyze");
    let judged = security
        .args(["security", "--offline=true", "--no-pager"])
        .arg(&path)
        .output()?;
    let judged = String::from_utf8_lossy(&judged.stdout).into_owned();
    let last = judged
        .lines()
        .rev()
        .find(|line| line.contains("exposure"))
        .context("no judgement")?;
    Ok(last.trim_start_matches(['→', ' ']).trim().to_owned())
}

/// What came of it: the summary line.
fn started(built: &Built) -> Result<String> {
    let at = |name: &str| paths::root().join(name);
    let mut run = Command::new("unshare");
    run.args(["--mount", "--propagation", "private", "bash"]);
    run.arg(at("xtask/assets/service/run.sh"))
        .arg(&built.program);
    run.arg(at(UNIT))
        .arg(at("deploy/packages/cirron-agent.toml"));
    run.arg(at("xtask/assets/service/server.py")).arg(STATE);
    let said = sh::output(&mut sh::as_root(&run)?)?;
    let has = |what: &str| said.lines().any(|line| line.contains(what));
    // What the agent gives up itself, the unit's CAP_SYS_ADMIN among it where the kernel asks for none.
    for what in [
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "Result=success",
        "ExecMainStatus=0",
    ] {
        ensure!(has(what), "no {what:?} in:\n{said}");
    }
    ensure!(
        has("cirron-agent.toml is taken: 2 rules"),
        "the reload is not said:\n{said}"
    );
    ensure!(
        has("batches: ") && !has("batches: 0"),
        "nothing was shipped:\n{said}"
    );
    ensure!(
        has("2 CapEff: 0000000000000000"),
        "the process that ships has rights, or is not there:\n{said}"
    );
    let last = said.lines().last().unwrap_or_default();
    ensure!(
        last.contains("6 exchanges (6 requests served") && last.contains("nothing was lost"),
        "six requests, three of them over HTTPS, and:\n{said}"
    );
    Ok(last.to_owned())
}

fn remove() -> Result<()> {
    if Path::new(STATE).exists() {
        sh::run_quietly(&mut sh::as_root(Command::new("rm").args(["-rf", STATE]))?)?;
    }
    Ok(())
}
