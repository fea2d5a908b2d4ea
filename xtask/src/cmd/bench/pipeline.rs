//! `cargo xtask bench pipeline`: the core alone, as `cargo bench` of the agent's package runs it.

use anyhow::Result;

use crate::cmd::setup;
use crate::sh;

pub(super) fn run() -> Result<()> {
    setup::ebpf_toolchain()?;
    sh::run(&mut sh::cargo([
        "bench",
        "--locked",
        "--package",
        "cirron-agent",
        "--bench",
        "pipeline",
    ]))
}
