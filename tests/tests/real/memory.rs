//! The agent's own memory, by its process's peak, beside clients that want it.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::{Agent, peak_kib};
use cirron_tests::expect;
use cirron_tests::runner::{Need, Test};
use cirron_tests::stacks;
use cirron_tests::wait::until_every;

pub(crate) const TESTS: &[Test] = &[Test {
    name: "clients_cannot_make_the_agent_grow_past_its_budget",
    need: Need::Stacks,
    run: hostile,
}];

const LIMIT: Duration = Duration::from_secs(60);
/// 64 MiB of budget; the ring's 32 MiB, which are mapped twice; batches on their way to the core and scopes on theirs to
/// the spool; and what the agent is without any traffic. Without a budget (4 GiB of it) it takes 574 MiB.
const PEAK_MIB: u64 = 256;

fn hostile() -> Result<String> {
    let mut command = Command::new(stacks::venv("python")?);
    command.arg(stacks::here().join("servers/python/hostile.py"));
    let agent = Agent::run(&[], &command, |_| {})?;
    let mut peak = 0;
    // A process that has ended has none.
    let pace = Duration::from_millis(20);
    until_every(pace, "the agent's end", LIMIT, || {
        match peak_kib(agent.pid()) {
            Some(kib) => {
                peak = peak.max(kib / 1024);
                None
            }
            None => Some(()),
        }
    })?;
    let report = agent.ended(LIMIT)?;
    ensure!(report.stdout.contains("served"), "{}", report.stderr);
    let engine = &report.summary["engine"];
    let count = |name: &str| engine[name].as_u64().context("a counter");
    let (bodies, connections) = (count("given_up_bodies")?, count("given_up_connections")?);
    let held = report.summary["peak_held_bytes"].as_u64().unwrap_or(0) >> 20;
    let told = format!(
        "peak {peak} MiB, {held} MiB of them budgeted; {bodies} bodies and {connections} connections given up"
    );
    ensure!(peak <= PEAK_MIB, "{told}");
    ensure!(held <= 64 && bodies + connections > 1_000, "{told}");
    for name in ["/honest/before", "/honest/behind"] {
        let spans = report.spool.requests();
        let span = spans.iter().find(|s| s.text("url.path") == Some(name));
        expect::untouched(span.with_context(|| format!("no {name}; {told}"))?)?;
    }
    Ok(told)
}
