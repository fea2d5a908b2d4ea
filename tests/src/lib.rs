//! Harness of the real-server suite: it starts unmodified servers, the agent and clients, and reads
//! back what each says happened.
//!
//! The servers write their own truth (`servers/`), the agent its spool; the tests in `tests/real`
//! compare the two. Everything started here dies with its guard. Nothing here knows how the agent
//! works inside: it sees the command line, the files, and `/proc`.
#![expect(clippy::missing_errors_doc, reason = "every error is a failed test")]

pub mod agent;
pub mod base64;
pub mod below;
pub mod calls;
pub mod code;
pub mod contract;
pub mod coverage;
pub mod databases;
pub mod expect;
pub mod ingest;
pub mod postgres;
pub mod process;
pub mod raw;
pub mod runner;
pub mod servers;
pub mod spool;
pub mod stacks;
pub mod truth;
pub mod vm;
pub mod wait;
pub mod zoo;

/// The text that prompts, completions, header values and query strings carry in every test, and
/// that must never reach the disk or the log.
pub const CANARY: &str = "zq7canary";
