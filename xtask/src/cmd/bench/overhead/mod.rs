//! `cargo xtask bench overhead`: rounds in turns, without and with the agent, on one server that
//! runs throughout; then what single system calls cost a target and a bystander.
//!
//! The load comes from wrk: small POSTs on 16 connections (the server is saturated), and 64 streams
//! of 50 tokens a second (it is not, so its CPU time is compared). Nothing is asserted: figures are
//! printed, with their spread.

mod agent;
mod load;
mod platform;
mod server;
pub(crate) mod syscalls;
mod tls;

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::stats::spread;
use crate::cmd::{setup, stacks};
use crate::sh;
use agent::{Agent, Cost, Places};
use load::{Load, Shape};
use server::Server;

/// How long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Pairs of rounds, without and with the agent
    #[arg(long, default_value_t = 8)]
    rounds: u32,
    /// Seconds of load in each
    #[arg(long, default_value_t = 4)]
    seconds: u32,
    /// Another build of the agent, which takes turns with this one instead of no agent
    #[arg(long, value_name = "PROGRAM", conflicts_with = "tls")]
    against: Option<PathBuf>,
    /// Two agents in turns: one that sends nothing, and one that ships to a platform that stalls and resets
    #[arg(long, conflicts_with_all = ["tls", "against"])]
    ship: bool,
    /// Servers over HTTPS instead, with probes on symbols and on computed places
    #[arg(long)]
    tls: bool,
    /// Only the price of single calls, and of a question to a database
    #[arg(long, conflicts_with_all = ["tls", "against"])]
    calls: bool,
}

impl Options {
    /// Heads of the columns of a comparison.
    fn columns(&self) -> &'static str {
        match self.against {
            None if self.ship => "sends nothing | ships | ships, of sends nothing, by pair",
            Some(_) => "the other build | this one | this, of the other, by pair",
            None => "without the agent | with it | with, of without, by pair",
        }
    }
}

pub(super) fn run(options: &Options) -> Result<()> {
    setup::ebpf_toolchain()?;
    setup::test_tools()?;
    stacks::ensure();
    sh::build_agent()?;
    println!("{}", machine());
    if options.tls {
        return tls::run(options);
    }
    if options.calls {
        return syscalls::compare(options.rounds);
    }
    for shape in [Shape::SmallPosts, Shape::Streams] {
        server_rounds(shape, options).with_context(|| shape.title())?;
    }
    // They compare with no agent.
    match options.against.is_some() || options.ship {
        true => Ok(()),
        false => syscalls::compare(options.rounds),
    }
}

fn machine() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    format!("kernel {}, {cpus} CPUs", kernel.trim())
}

/// The two comparisons of a shape: a server that is a target, and one that is not while the agent
/// is attached to another.
fn server_rounds(shape: Shape, options: &Options) -> Result<()> {
    let target = Server::start()?;
    let other = Server::start()?;
    println!("\n### {}\n", shape.title());
    println!("| | {} |", options.columns());
    println!("| --- | --- | --- | --- |");
    let pairs = Pairs::run(shape, &target, target.pid(), options)?;
    pairs.print("target");
    Pairs::run(shape, &other, target.pid(), options)?.print("not a target");
    if options.ship {
        print_costs(
            "The agent that sends nothing",
            &pairs.costs_without,
            &pairs.without,
        );
    } else if options.against.is_some() {
        print_costs("The other build", &pairs.costs_without, &pairs.without);
    }
    print_costs("The agent", &pairs.costs, &pairs.with);
    Ok(())
}

/// What an agent cost in its rounds.
fn print_costs(whose: &str, costs: &[Cost], loads: &[Load]) {
    let all = |figure: fn(&Cost) -> f64| costs.iter().map(figure).collect::<Vec<_>>();
    println!(
        "\n{whose}: {} CPU seconds a round, {} MiB at its peak; {:.0} exchanges recorded, wrk saw {:.0} to their end; {:.0} records and {:.0} bytes lost.",
        spread(&all(|c| c.cpu_s), 2),
        spread(&all(|c| c.peak_mib), 0),
        all(|c| c.recorded).iter().sum::<f64>(),
        loads.iter().map(|l| l.requests).sum::<f64>(),
        all(|c| c.lost_records).iter().sum::<f64>(),
        all(|c| c.lost_bytes).iter().sum::<f64>(),
    );
}

/// Loads without and with the agent, one right after the other, so that what drifts on the machine
/// hits both; the order turns from pair to pair.
struct Pairs {
    without: Vec<Load>,
    with: Vec<Load>,
    costs: Vec<Cost>,
    /// Of the other build of the agent, where there is one.
    costs_without: Vec<Cost>,
}

/// What a load shows.
type Figure = fn(&Load) -> f64;

impl Pairs {
    /// `loaded` is under load; the agent, where it is there, is attached to `attached`.
    fn run(shape: Shape, loaded: &Server, attached: u32, options: &Options) -> Result<Pairs> {
        let platform = options.ship.then(platform::start).transpose()?;
        let warm_up = Load::run(shape, loaded, 3)?;
        eprintln!("warm-up: {warm_up}");
        let mut pairs = Pairs {
            without: Vec::new(),
            with: Vec::new(),
            costs: Vec::new(),
            costs_without: Vec::new(),
        };
        for round in 0..options.rounds {
            for with_agent in [round % 2 == 0, round % 2 == 1] {
                let agent = match (with_agent, &options.against) {
                    (true, _) if options.ship => Some(Agent::attach_shipping(attached, platform)?),
                    (false, _) if options.ship => Some(Agent::attach(attached, Places::Computed)?),
                    (true, _) => Some(Agent::attach(attached, Places::Computed)?),
                    (false, Some(program)) => {
                        Some(Agent::attach_build(program, attached, Places::Computed)?)
                    }
                    (false, None) => None,
                };
                let load = Load::run(shape, loaded, options.seconds)?;
                eprintln!("{}: {load}", if with_agent { "with" } else { "without" });
                let (loads, costs) = match with_agent {
                    true => (&mut pairs.with, &mut pairs.costs),
                    false => (&mut pairs.without, &mut pairs.costs_without),
                };
                loads.push(load);
                if let Some(agent) = agent {
                    costs.push(agent.stop()?);
                }
            }
        }
        Ok(pairs)
    }

    fn print(&self, whom: &str) {
        let figures: [(&str, Figure, usize); 4] = [
            ("requests a second", |l| l.per_second, 0),
            ("p50, ms", |l| l.p50_ms, 2),
            ("p99, ms", |l| l.p99_ms, 2),
            ("server's CPU, µs a request", |l| l.cpu_us_per_request, 1),
        ];
        for (name, of, decimals) in figures {
            let column = |loads: &[Load]| loads.iter().map(of).collect::<Vec<f64>>();
            let (without, with) = (column(&self.without), column(&self.with));
            let ratios: Vec<f64> = with.iter().zip(&without).map(|(a, b)| a / b).collect();
            println!(
                "| {whom}: {name} | {} | {} | {} |",
                spread(&without, decimals),
                spread(&with, decimals),
                spread(&ratios, 3),
            );
        }
    }
}
