//! Recordings: every input of the engine, in order, in a file that a replay feeds it again.
//!
//! ```text
//! head   "cirron-recording"  version u16  record ABI u16  byte order u8 (1 little)  0 0 0
//! entry  kind u8  length u32  payload, until the file ends
//! ```
//! The frame and the records have versions of their own, each raised for itself and each checked for itself.
//! Numbers of the frame are little-endian; records are verbatim, as the kernel side wrote them.
//! The core is deterministic, so a replay gives the spans that the live run gave, byte for byte
//! with the same ids. A recording holds whatever passed by, prompts included: mode 0600.

pub mod reader;
pub mod replay;
pub mod writer;

use cirron_core::engine::{EngineConfig, ProcessFacts};
use cirron_core::rules::{Problem, Rules};
use cirron_core::time::MonoNs;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Anchor;

/// First bytes of a recording.
pub const MAGIC: &[u8; 16] = b"cirron-recording";

/// Raised when the frame or an entry changes its meaning; the meaning of a record has a version of its own. 2: all
/// rules, and changes of it.
pub const VERSION: u16 = 2;

/// The oldest that is read.
pub const OLDEST_VERSION: u16 = 1;

/// Bytes of the head.
pub const HEAD_LEN: usize = 24;

/// Bytes of one entry. The largest is an environment's `CONFIG` of 64 KiB or a record of at most
/// some hundred KiB; a longer length is a corrupt file, and must not be allocated.
pub const MAX_ENTRY_BYTES: u32 = 16 * 1024 * 1024;

pub(crate) const BYTE_ORDER: u8 = if cfg!(target_endian = "little") { 1 } else { 2 };

/// An input of the engine.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// How the engine was made; first.
    Config(ConfigEntry),
    /// Both clocks, from here on.
    Anchor(Anchor),
    /// `handle_process`
    Process(ProcessFacts),
    /// `handle_rules`
    Rules(RulesEntry),
    /// `handle_record`
    Record(Vec<u8>),
    /// `handle_timeout`
    Timeout(MonoNs),
    /// `handle_shutdown`
    Shutdown(MonoNs),
}

/// An [`EngineConfig`] in a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfigEntry {
    /// Of version 1: all rules.
    #[serde(default, skip_serializing)]
    chunk_timing: bool,
    /// Since version 2.
    #[serde(default)]
    rules: RulesEntry,
    /// Since there is a limit.
    #[serde(default)]
    max_memory_bytes: Option<usize>,
}

impl From<&EngineConfig> for ConfigEntry {
    fn from(config: &EngineConfig) -> ConfigEntry {
        // Destructured, so that a new setting must be noticed here.
        let EngineConfig {
            rules,
            max_memory_bytes,
        } = config;
        ConfigEntry {
            chunk_timing: false,
            rules: RulesEntry(rules.clone()),
            max_memory_bytes: *max_memory_bytes,
        }
    }
}

impl From<ConfigEntry> for EngineConfig {
    fn from(entry: ConfigEntry) -> EngineConfig {
        EngineConfig {
            rules: match entry.chunk_timing {
                true => Rules::of_chunk_timing(),
                false => entry.rules.0,
            },
            max_memory_bytes: entry.max_memory_bytes,
        }
    }
}

/// A [`Rules`] in a file: its layers, as they were written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Value>", into = "Vec<Value>")]
pub struct RulesEntry(pub Rules);

impl From<RulesEntry> for Vec<Value> {
    fn from(entry: RulesEntry) -> Vec<Value> {
        entry.0.layers().cloned().collect()
    }
}

impl TryFrom<Vec<Value>> for RulesEntry {
    type Error = String;

    fn try_from(layers: Vec<Value>) -> Result<RulesEntry, String> {
        let read = Rules::read(layers).map(RulesEntry);
        read.map_err(|problems| {
            let said: Vec<String> = problems.iter().map(Problem::to_string).collect();
            said.join("; ")
        })
    }
}

/// A [`ProcessFacts`] in a file.
#[derive(Serialize, Deserialize)]
pub(crate) struct ProcessEntry {
    tgid: u32,
    explicit: bool,
    env: std::collections::BTreeMap<String, String>,
    exe: Option<String>,
    /// These four: since a recording can hold them.
    #[serde(default)]
    container: Option<String>,
    #[serde(default)]
    workload: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    target: Option<String>,
    #[serde(default)]
    blind: Vec<String>,
}

impl From<ProcessFacts> for ProcessEntry {
    fn from(facts: ProcessFacts) -> ProcessEntry {
        let ProcessFacts {
            tgid,
            explicit,
            env,
            exe,
            container,
            workload,
            target,
            blind,
        } = facts;
        ProcessEntry {
            tgid,
            explicit,
            env,
            exe,
            container,
            workload,
            target,
            blind,
        }
    }
}

impl From<ProcessEntry> for ProcessFacts {
    fn from(entry: ProcessEntry) -> ProcessFacts {
        let ProcessEntry {
            tgid,
            explicit,
            env,
            exe,
            container,
            workload,
            target,
            blind,
        } = entry;
        ProcessFacts {
            tgid,
            explicit,
            env,
            exe,
            container,
            workload,
            target,
            blind,
        }
    }
}

/// Values of an entry's kind.
pub(crate) mod kind {
    pub(crate) const CONFIG: u8 = 1;
    pub(crate) const ANCHOR: u8 = 2;
    pub(crate) const PROCESS: u8 = 3;
    pub(crate) const RECORD: u8 = 4;
    pub(crate) const TIMEOUT: u8 = 5;
    pub(crate) const SHUTDOWN: u8 = 6;
    pub(crate) const RULES: u8 = 7;
}

#[cfg(test)]
mod tests;
