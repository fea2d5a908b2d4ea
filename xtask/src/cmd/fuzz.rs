//! `cargo xtask fuzz`: feeds mutated corpus inputs to the fuzz targets for a while. It needs no
//! nightly and no sanitizer; the package `cirron-fuzz` holds the targets and the mutator.

use anyhow::Result;

use crate::sh;

/// How long, and which.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Seconds for each target
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Another seed, other inputs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this target
    target: Option<String>,
}

/// Runs the targets.
pub(crate) fn run(options: &Options) -> Result<()> {
    // One target reads recordings, which is the agent's, and so builds it.
    super::setup::ebpf_toolchain()?;
    let mut fuzz = sh::cargo([
        "run",
        "--release",
        "--locked",
        "--package",
        "cirron-fuzz",
        "--",
    ]);
    fuzz.args([
        "--seconds",
        &options.seconds.to_string(),
        "--seed",
        &options.seed.to_string(),
    ]);
    fuzz.args(options.target.iter());
    sh::run(&mut fuzz)
}
