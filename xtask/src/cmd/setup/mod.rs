//! `cargo xtask setup`: finds out what is missing, says what it will install and why, and
//! installs it. With everything there it takes well under a second.
//!
//! The other commands call it, so that none of them needs another command first.

mod ebpf;
pub(crate) mod programs;
mod tools;

pub(crate) use ebpf::ensure as ebpf_toolchain;
pub(crate) use tools::{
    BARE_TARGET, ensure_bare_target as bare_target, ensure_rust_tools as rust_tools,
    ensure_test_tools as test_tools,
};

use anyhow::Result;

use crate::sh;

/// What to set up.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only what building the agent needs
    #[arg(long)]
    build_only: bool,
}

/// Installs what is missing.
pub(crate) fn run(options: &Options) -> Result<()> {
    ebpf_toolchain()?;
    if !options.build_only {
        rust_tools()?;
        test_tools()?;
    }
    say("all there");
    Ok(())
}

/// A line to the user that begins with where it comes from.
pub(crate) fn say(text: &str) {
    eprintln!("setup: {text}");
}

/// Says why, shows the command, runs it with root's rights.
pub(crate) fn install_as_root(why: &str, command: &std::process::Command) -> Result<()> {
    say(&format!(
        "will run, as root, {why}:\n    {}",
        sh::shown(command)
    ));
    sh::run_quietly(&mut sh::as_root(command)?)
}
