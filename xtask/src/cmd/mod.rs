//! One file for each command.

mod bench;
mod build_ebpf;
mod charts;
mod demo;
mod deny;
mod dist;
mod fuzz;
mod receivers;
mod setup;
mod soak;
mod stacks;
mod test;
mod vm;

use std::process::ExitCode;

use anyhow::Result;

/// What can be asked for.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Install what building and testing need, saying so first
    Setup(setup::Options),
    /// Install the real servers and clients that the tests drive
    Stacks,
    /// Build the eBPF object alone
    BuildEbpf,
    /// See the agent profile a small model server of ours: build, serve, attach, print the scopes
    Demo(demo::Options),
    /// Check licences, sources and known faults of every dependency
    Deny,
    /// Check formatting, lints, dependencies, and run all tests
    Test(test::Options),
    /// Make what is given away: binary, packages, image, checksums
    Dist(dist::Options),
    /// Check the Helm chart and the plain manifests
    Charts(charts::Options),
    /// Look for inputs that break a rule, guided by coverage
    Fuzz(fuzz::Options),
    /// Measure what the agent costs
    Bench(bench::Options),
    /// Send traces to Arize Phoenix and MLflow, and compare what they have with the spool
    Receivers,
    /// Watch hundreds of servers that come and go, and see that nothing is missed and nothing grows
    Soak(soak::Options),
    /// Boot Debian's kernels in an emulator, and see the agent at work on each
    Vm(vm::Options),
    /// The caller of the benchmark of single calls
    #[command(hide = true)]
    BenchCalls,
    /// The demo's model server; it knows nothing of the agent
    #[command(hide = true)]
    DemoServer(demo::server::Options),
    /// The demo's client
    #[command(hide = true)]
    DemoClient(demo::client::Options),
}

impl Command {
    /// Runs it.
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self {
            Self::Setup(options) => setup::run(&options).map(|()| ExitCode::SUCCESS),
            Self::Stacks => stacks::run(),
            Self::BuildEbpf => build_ebpf::run().map(|()| ExitCode::SUCCESS),
            Self::Demo(options) => demo::run(&options).map(|()| ExitCode::SUCCESS),
            Self::Deny => deny::run(),
            Self::Test(options) => test::run(&options),
            Self::Dist(options) => dist::run(&options),
            Self::Charts(options) => charts::run(&options),
            Self::Fuzz(options) => fuzz::run(&options).map(|()| ExitCode::SUCCESS),
            Self::Bench(options) => bench::run(&options).map(|()| ExitCode::SUCCESS),
            Self::Receivers => receivers::run(),
            Self::Soak(options) => soak::run(&options),
            Self::Vm(options) => vm::run(&options),
            Self::BenchCalls => bench::syscalls::call().map(|()| ExitCode::SUCCESS),
            Self::DemoServer(options) => demo::server::run(&options).map(|()| ExitCode::SUCCESS),
            Self::DemoClient(options) => demo::client::run(&options).map(|()| ExitCode::SUCCESS),
        }
    }
}
