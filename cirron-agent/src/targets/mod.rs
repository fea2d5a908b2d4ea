//! Targets that nobody named: processes of this machine that a rule chooses, found while they come and go.
//!
//! ```text
//!  kernel: PROC_LISTEN -> core -> listeners --.
//!                                             v
//!  every SCAN_INTERVAL: all of /proc ------> finder --looked: procfs, asked late--> TargetRules (core)
//!  the file changed: all rules anew ---------^  |
//!                                               '-- Commands: add, release --> the core
//! ```
//! A process is asked about when it begins to listen, which is when a server is about to serve, and again by a scan of all
//! processes, which finds what began before the agent, what got its sockets from another process, and what listens on
//! Unix sockets. A process that was chosen stays a target until it ends or the rules change; its session begins with
//! its first exchange, so that one which speaks no HTTP has none. Nothing is written to a process, and none is stopped.
//!
//! What the rules are is `cirron_core::rules`' matter, how a process is watched [`crate::driver`]'s.

pub mod finder;
pub mod listening;
pub mod looked;
mod runtime;

use serde_json::Value;

use crate::config::toml_value;

/// The rules that come with the agent, behind those of the file.
const SHIPPED: &str = include_str!("shipped.toml");

/// They, as a file's are.
pub fn shipped() -> Value {
    // A test reads them; they are part of the program.
    toml_value(SHIPPED).unwrap_or_default()
}

#[cfg(test)]
mod tests;
