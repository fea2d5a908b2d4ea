//! The engine: the whole core behind one `handle_*` / `poll_*` face.

use std::collections::BTreeMap;

use crate::id::Id;
use crate::scope::{Mark, Span};
use crate::time::MonoNs;

/// Settings of the engine.
#[derive(Clone, Debug, Default)]
pub struct EngineConfig {
    /// Write `chunk_ms` points for every process, whatever its own `CONFIG` says.
    pub chunk_timing: bool,
}

/// What the shell knows of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessFacts {
    /// Process id, as the kernel side gives it.
    pub tgid: u32,
    /// Named by the user: its session opens at once, not with its first exchange.
    pub explicit: bool,
    /// Variables of its environment that concern us (`CIRRON_*`, `RANK`, `LOCAL_RANK`, `CONFIG`).
    pub env: BTreeMap<String, String>,
    /// Base name of its executable, where readable.
    pub exe: Option<String>,
}

/// An output of the engine, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// A session root: open (`end` is `None`) or, same id, closed.
    Session(Span),
    /// A finished scope with its marks.
    Scope {
        /// The span.
        span: Span,
        /// Its marks.
        marks: Vec<Mark>,
    },
    /// The bytes of this connection are of no use: the kernel side may leave them alone.
    Mute {
        /// Socket inode.
        conn: u64,
        /// Its generation.
        epoch: u64,
    },
}

/// Counts of the engine, for the summary line. All since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Exchanges that ended, in both roles.
    pub exchanges: u64,
    /// Those that the target served.
    pub requests: u64,
    /// Those that the target made.
    pub client_calls: u64,
    /// Exchanges recognised as LLM calls.
    pub llm_calls: u64,
    /// Output tokens, reported or estimated.
    pub output_tokens: u64,
    /// Exchanges that a hole, a late attach or an early end touched.
    pub partial: u64,
    /// Stream bytes in holes.
    pub lost_bytes: u64,
    /// Connections seen.
    pub connections: u64,
    /// Connections that were TLS, HTTP/2 or anything else not parsed.
    pub opaque_connections: u64,
    /// Records that were not understood.
    pub bad_records: u64,
}

/// The core, whole. (Its body is being written; this is its face.)
pub struct Engine {
    _ids: Option<Id>,
}

impl Engine {
    /// One record of the ring, verbatim (header and payload).
    pub fn handle_record(&mut self, _record: &[u8]) {}
    /// Facts of a process; before the first record that names it.
    pub fn handle_process(&mut self, _facts: ProcessFacts) {}
    /// Time has come to `now`.
    pub fn handle_timeout(&mut self, _now: MonoNs) {}
    /// When `handle_timeout` wants to be called, at the latest.
    pub fn poll_timeout(&self) -> Option<MonoNs> {
        None
    }
    /// The next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }
    /// The end: open exchanges close as partial, sessions close.
    pub fn handle_shutdown(&mut self, _now: MonoNs) {}
    /// Counts.
    pub fn stats(&self) -> EngineStats {
        EngineStats::default()
    }
}
