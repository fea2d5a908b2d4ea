//! `cargo xtask bench`: what the agent costs. Every figure in `docs/performance.md` comes from here.

mod joins;
mod look;
mod overhead;
mod pipeline;
mod probe;
mod report;
mod stats;

pub(crate) use overhead::syscalls;

use anyhow::Result;

/// Which benchmark.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    which: Which,
}

#[derive(clap::Subcommand)]
enum Which {
    /// A real server under load, with and without the agent in turns, and the price of single calls
    Overhead(overhead::Options),
    /// The core alone: records in, spans out
    Pipeline,
    /// A page about a spool of a million calls: time, size, memory
    Report(report::Options),
    /// A spool of 1 GB: its tree, with filters, and each export
    Look(look::Options),
    /// Calls of real servers below their requests, ten thousand of each: how many are known; none may be wrong
    Joins(joins::Options),
    /// A site of cirron-probe, untraced and traced
    Probe,
}

/// Runs it.
pub(crate) fn run(options: &Options) -> Result<()> {
    match &options.which {
        Which::Overhead(options) => overhead::run(options),
        Which::Pipeline => pipeline::run(),
        Which::Look(options) => look::run(options),
        Which::Probe => probe::run(),
        Which::Joins(options) => joins::run(options),
        Which::Report(options) => report::run(options),
    }
}
