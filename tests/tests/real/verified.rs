//! How much of the kernel's programs the verifier walks: each start waits for that, and it may refuse what goes past its limit.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::process::Guard;
use cirron_tests::runner::{Need, Test};

pub(crate) const TESTS: &[Test] = &[Test {
    name: "the_verifier_walks_a_fifth_of_its_limit_at_most",
    need: Need::Bpf,
    run: walked,
}];

/// Of the million instructions that `BPF_COMPLEXITY_LIMIT_INSNS` allows for one program. Other kernels walk some more of the same
/// program, and a start costs about 2 us of a processor for each.
const MOST: u64 = 200_000;

/// Instructions that were walked for the program behind a descriptor, as `/proc/PID/fdinfo` tells them. `None`: it is none.
fn instructions(fdinfo: &str) -> Option<u64> {
    fdinfo
        .lines()
        .find_map(|line| line.strip_prefix("verified_insns:"))?
        .trim()
        .parse()
        .ok()
}

fn walked() -> Result<String> {
    let mut command = Command::new("sleep");
    command.arg("infinity");
    let target = Guard::spawn(command)?;
    let agent = Agent::attach(&[target.pid()], &[])?;
    let programs: Vec<u64> = fs::read_dir(format!("/proc/{}/fdinfo", agent.pid()))?
        .flatten()
        .filter_map(|file| instructions(&fs::read_to_string(file.path()).ok()?))
        .collect();
    agent.finish()?;
    let most = *programs.iter().max().context("no program")?;
    ensure!(
        most <= MOST,
        "the verifier walked {most} instructions of a program: does a branch go on through all that follows?"
    );
    Ok(format!(
        "{} programs, {most} instructions of the largest, {} of all",
        programs.len(),
        programs.iter().sum::<u64>()
    ))
}
