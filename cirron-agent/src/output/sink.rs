//! What an output is: a [`Sink`], and the row of the table ([`super::table`]) that makes one.
//!
//! It stands at the end of the pipeline: the core's scopes come in, files, lines or requests go out. A
//! sink may be slow, sleep or panic. It has a queue ([`super::queue`]) and a thread
//! ([`super::worker`]) of its own, so that this costs nobody else anything; it needs no lock, no queue
//! and no thread itself. It does not decide how much may wait for it.

use std::path::PathBuf;
use std::time::Duration;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Finished, Timed};
use crate::discovery::owner::Owner;
use crate::spool::stamp::MakeStamp;

/// Takes scopes on a thread of its own.
pub trait Sink: Send {
    /// Its row in the table.
    fn kind(&self) -> &'static SinkKind;
    /// Its name in `--output`, in the summary and in messages.
    fn name(&self) -> &'static str {
        self.kind().name
    }
    /// Takes one scope. It may wait as long as it likes.
    fn accept(&mut self, scope: &Timed);
    /// Writes what it holds; called at each flush interval, and last of all at the end.
    fn flush(&mut self);
    /// What it did so far.
    fn stats(&self) -> Stats;
    /// Whether nobody takes any more what it writes: it only counts then.
    fn is_closed(&self) -> bool {
        false
    }
}

/// Who waits where a queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// The core does, and behind it the capture. Only for what the agent is there for: its panic is the
    /// agent's end.
    Waits,
    /// Nobody does: what does not fit is dropped and counted.
    Drops,
}

/// A kind of sink: a row of the table.
pub struct SinkKind {
    /// What `--output` calls it; also the key of its counts in `--summary-json`.
    pub name: &'static str,
    /// Its line in `--help`.
    pub help: &'static str,
    /// Who waits for it in a live capture.
    pub pressure: Pressure,
    /// Whether its thread keeps the rights to write files of another user.
    pub writes_files: bool,
    /// Which scopes it is given.
    pub wants: fn(&Finished) -> bool,
    /// Makes one.
    pub open: fn(&Opening<'_>) -> anyhow::Result<Box<dyn Sink>>,
}

impl PartialEq for SinkKind {
    fn eq(&self, other: &SinkKind) -> bool {
        self.name == other.name
    }
}

impl std::fmt::Debug for SinkKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Which sinks were asked for, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputPlan {
    /// Each once.
    pub kinds: Vec<&'static SinkKind>,
    /// The spool's directory, where there is one.
    pub spool_dir: Option<PathBuf>,
    /// The spool's cap.
    pub spool_max_bytes: u64,
    /// Between two flushes.
    pub flush_interval: Duration,
    /// Bytes that may wait for each.
    pub queue_bytes: usize,
}

/// What a sink is made with.
pub struct Opening<'a> {
    /// What was asked for.
    pub plan: &'a OutputPlan,
    /// Who gets the files.
    pub owner: Option<Owner>,
    /// What names batches.
    pub stamp: MakeStamp,
}

/// One of a sink's counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Its key in `--summary-json`.
    pub name: &'static str,
    /// How many.
    pub value: u64,
    /// How one and how many are called in the last line, where they are a loss.
    pub loss: Option<(&'static str, &'static str)>,
}

impl Count {
    /// A count that only machines are told.
    pub fn plain(name: &'static str, value: u64) -> Count {
        Count {
            name,
            value,
            loss: None,
        }
    }

    /// A count of what was lost.
    pub fn loss(name: &'static str, value: u64, one: &'static str, many: &'static str) -> Count {
        Count {
            name,
            value,
            loss: Some((one, many)),
        }
    }
}

/// What a sink did so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Number of scopes that it is done with: written, or lost and counted. What it holds is not among
    /// them.
    pub settled: u64,
    /// What it counts.
    pub counts: Vec<Count>,
    /// The scopes that it lost. Those that never reached it, or that it still held when it was left
    /// behind, are added.
    pub dropped: Count,
}

/// What became of what a sink was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkReport {
    /// The sink's name.
    pub name: &'static str,
    /// The sink's counts, with what its queue dropped.
    pub counts: Vec<Count>,
}

impl SinkReport {
    /// The sink's own counts, scopes that it was not given or did not finish, and whether it panicked.
    pub fn new(name: &'static str, stats: Stats, not_settled: u64, panicked: bool) -> SinkReport {
        let Stats {
            settled: _,
            mut counts,
            mut dropped,
        } = stats;
        dropped.value += not_settled;
        let panics = Count::loss(
            "panics",
            u64::from(panicked),
            "panic of an output (report it)",
            "panics of an output (report it)",
        );
        counts.extend([dropped, panics]);
        SinkReport { name, counts }
    }

    /// A count by its key; 0 where the sink does not know it.
    pub fn count(&self, name: &str) -> u64 {
        self.counts
            .iter()
            .find(|count| count.name == name)
            .map_or(0, |count| count.value)
    }
}

impl Serialize for SinkReport {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(self.counts.len()))?;
        for count in &self.counts {
            map.serialize_entry(count.name, &count.value)?;
        }
        map.end()
    }
}
