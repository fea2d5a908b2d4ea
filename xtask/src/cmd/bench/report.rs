//! `cargo xtask bench report`: a page about a spool that is made first, as the bench of `cirron-look` runs it.

use anyhow::Result;

use crate::sh;

/// Of what.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Calls of the spool; a million take 4 GB of disk while it runs
    #[arg(long, default_value_t = 1_000_000)]
    calls: u64,
}

pub(super) fn run(options: &Options) -> Result<()> {
    let calls = options.calls.to_string();
    sh::run(&mut sh::cargo([
        "bench",
        "--locked",
        "--package",
        "cirron-look",
        "--bench",
        "report",
        "--",
        "--calls",
        &calls,
    ]))
}
