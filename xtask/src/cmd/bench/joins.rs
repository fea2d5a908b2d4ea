//! `cargo xtask bench joins`: how many calls of real servers are known to be part of their request. A wrong one fails.
//!
//! The tests of the suite, with more requests: what is rare shows in thousands.

use anyhow::Result;

use crate::cmd::test::real;
use crate::cmd::{setup, stacks};
use crate::sh;

/// What the tests' names have in them.
const NAMES: [&str; 2] = ["calls_of", "calls_for"];

/// How many.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Requests of each client, of which there are 16, 32 or 64
    #[arg(long, default_value_t = 160)]
    each: u32,
    /// Only the tests with this in their names
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,
}

pub(super) fn run(options: &Options) -> Result<()> {
    setup::ebpf_toolchain()?;
    setup::test_tools()?;
    stacks::ensure();
    sh::build_agent()?;
    match &options.filter {
        Some(name) => real(&[name], options.each),
        None => real(&NAMES, options.each),
    }
}
