//! The kernel/user ABI of cirron-agent: what the eBPF programs write and the agent reads.
//!
//! `no_std`, no dependencies. Feature `user` adds aya's `Pod` for what crosses in maps and
//! globals. Every layout is checked at compile time. A change of what is in a record raises [`ABI_VERSION`]; maps
//! and cookies are shared by an agent and the programs built into it, and have no version.
//!
//! It does not interpret anything: decoding a record, with its checks, is
//! `cirron_core::record`.
#![no_std]

pub mod config;
pub mod conn;
pub mod counters;
pub mod hit;
pub mod maps;
pub mod operand;
pub mod python;
pub mod record;
pub mod secret;
pub mod shape;
pub mod signature;
pub mod tls;

pub use config::KernelConfig;
pub use conn::{ConnInfo, ConnState};
pub use counters::Counter;
pub use operand::Operand;
pub use record::RecordHeader;
pub use shape::Shape;
pub use signature::Signature;

/// Raised whenever a layout or a meaning of records changes. A record with another version is
/// counted and skipped.
pub const ABI_VERSION: u16 = 5;

/// The oldest version whose records are still read, since recordings have them; `cirron_core::record` knows how they
/// lie. Versions 1 and 2 had one header of 64 bytes for all kinds, whose length and position meant what the kind said; up to
/// version 3 an end had no positions, up to version 4 a header no version of a context, and a connection no network
/// namespace.
pub const OLDEST_ABI_VERSION: u16 = 1;

/// Whether records of version `abi` are read.
pub const fn reads_abi(abi: u16) -> bool {
    abi >= OLDEST_ABI_VERSION && abi <= ABI_VERSION
}
