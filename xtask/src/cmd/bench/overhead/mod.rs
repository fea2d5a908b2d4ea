//! `cargo xtask bench overhead`: rounds in turns, without and with the agent, on one server that
//! runs throughout; then what single system calls cost a target and a bystander.
//!
//! The load comes from wrk: small POSTs on 16 connections (the server is saturated), and 64 streams
//! of 50 tokens a second (it is not, so its CPU time is compared). Nothing is asserted: figures are
//! printed, with their spread.

mod agent;
mod load;
mod server;
pub(crate) mod syscalls;

use anyhow::{Context as _, Result};

use super::stats::{median, spread};
use crate::cmd::{setup, stacks};
use crate::sh;
use agent::{Agent, Cost};
use load::{Load, Shape};
use server::Server;

/// How long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Rounds of each kind
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Seconds of load in each
    #[arg(long, default_value_t = 5)]
    seconds: u32,
}

pub(super) fn run(options: &Options) -> Result<()> {
    setup::ebpf_toolchain()?;
    setup::test_tools()?;
    stacks::ensure();
    sh::run(&mut sh::cargo([
        "build",
        "--release",
        "--locked",
        "--package",
        "cirron-agent",
    ]))?;
    println!("{}", machine());
    for shape in [Shape::SmallPosts, Shape::Streams] {
        server_rounds(shape, options).with_context(|| shape.title())?;
    }
    syscalls::compare(options.rounds)
}

fn machine() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    format!("kernel {}, {cpus} CPUs", kernel.trim())
}

/// One server, rounds in turns.
fn server_rounds(shape: Shape, options: &Options) -> Result<()> {
    let target = Server::start()?;
    let bystander = Server::start()?;
    let mut rows: [Vec<Load>; 3] = Default::default();
    let mut costs = Vec::new();
    let warm_up = Load::run(shape, &target, 2)?;
    eprintln!("warm-up: {:.0} requests/s", warm_up.per_second);
    for round in 0..options.rounds {
        // Each round begins with another kind, so that drift hits them alike.
        for i in 0..3 {
            let kind = (round as usize + i) % 3;
            let agent = (kind > 0)
                .then(|| Agent::attach(target.pid()))
                .transpose()?;
            let server = if kind == 2 { &bystander } else { &target };
            let load = Load::run(shape, server, options.seconds)?;
            eprintln!("{}: {load}", ["plain", "agent", "bystander"][kind]);
            rows[kind].push(load);
            if let Some(agent) = agent {
                let cost = agent.stop()?;
                if kind == 1 {
                    costs.push(cost);
                }
            }
        }
    }
    table(shape, &rows, &costs);
    Ok(())
}

/// A row's name, what it shows, and with how many decimals.
type Figure = (&'static str, fn(&Load) -> f64, usize);

fn table(shape: Shape, rows: &[Vec<Load>; 3], costs: &[Cost]) {
    let column =
        |kind: usize, of: fn(&Load) -> f64| -> Vec<f64> { rows[kind].iter().map(of).collect() };
    println!("\n### {}\n", shape.title());
    println!(
        "| | without | with the agent | of without | not a target, agent on another | of without |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    let figures: [Figure; 4] = [
        ("requests a second", |l| l.per_second, 0),
        ("p50, ms", |l| l.p50_ms, 2),
        ("p99, ms", |l| l.p99_ms, 2),
        ("server's CPU, µs a request", |l| l.cpu_us_per_request, 1),
    ];
    for (name, of, decimals) in figures {
        let [plain, agent, bystander] = [0, 1, 2].map(|kind| column(kind, of));
        println!(
            "| {name} | {} | {} | {:.3} | {} | {:.3} |",
            spread(&plain, decimals),
            spread(&agent, decimals),
            median(&agent) / median(&plain),
            spread(&bystander, decimals),
            median(&bystander) / median(&plain),
        );
    }
    let all = |of: fn(&Cost) -> f64| costs.iter().map(of).collect::<Vec<_>>();
    println!(
        "\nThe agent: {} CPU seconds a round, {} MiB at its peak; {:.0} exchanges recorded, wrk saw {:.0} to their end; {:.0} records and {:.0} bytes lost.",
        spread(&all(|c| c.cpu_s), 2),
        spread(&all(|c| c.peak_mib), 0),
        all(|c| c.recorded).iter().sum::<f64>(),
        rows[1].iter().map(|l| l.requests).sum::<f64>(),
        all(|c| c.lost_records).iter().sum::<f64>(),
        all(|c| c.lost_bytes).iter().sum::<f64>(),
    );
}
