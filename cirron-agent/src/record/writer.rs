//! Writing a recording. A failure ends the recording, is said once, and never the capture.
//!
//! A file may push back as a disk does. A pipe may not: its reader could stand still, and has a
//! queue; what does not fit ends the recording, since a replay bears no hole.

use std::io::{self, Write};
use std::time::Duration;

use cirron_core::engine::{EngineConfig, ProcessFacts};
use cirron_core::rules::Rules;
use cirron_core::time::MonoNs;
use serde::Serialize;

use super::{
    BYTE_ORDER, ConfigEntry, MAGIC, MAX_ENTRY_BYTES, ProcessEntry, RulesEntry, VERSION, kind,
};
use crate::clock::Anchor;
use crate::files::place::Place;
use crate::output::lossy::{Lossy, Waiting};
use crate::privileges;

/// Bytes collected before they are written.
const BUFFER_BYTES: usize = 256 * 1024;

/// Bytes that wait for a pipe's reader: as many as the ring holds.
const QUEUE_BYTES: usize = 32 * 1024 * 1024;

/// How long the end waits for a pipe's reader to take the rest.
const END_LIMIT: Duration = Duration::from_secs(3);

/// Counts of a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RecordingStats {
    /// Entries that were written.
    pub entries: u64,
    /// Entries that were not, since it had ended before.
    pub entries_lost: u64,
}

/// Writes entries.
pub struct Recorder {
    out: Option<Out>,
    buffer: Vec<u8>,
    /// Entries in the buffer.
    buffered: u64,
    stats: RecordingStats,
}

enum Out {
    File(Box<dyn Write + Send>),
    Stream(Lossy),
}

impl Recorder {
    /// A new file that only its owner may read, in place of one that is there; or a pipe or device.
    pub fn create(place: &Place) -> io::Result<Recorder> {
        let mut opened = place.open()?;
        opened.settle()?;
        let is_stream = opened.is_stream;
        let file = opened.file.try_clone()?;
        if !is_stream {
            return Ok(Recorder::new(Box::new(file)));
        }
        let out = Box::new(Waiting(file));
        let lossy = Lossy::start("cirron-record", out, QUEUE_BYTES, privileges::keep_none)?;
        Ok(Recorder::to(Out::Stream(lossy)))
    }

    /// A recording into `out`.
    pub fn new(out: Box<dyn Write + Send>) -> Recorder {
        Recorder::to(Out::File(out))
    }

    fn to(out: Out) -> Recorder {
        let mut buffer = Vec::with_capacity(BUFFER_BYTES);
        buffer.extend_from_slice(MAGIC);
        buffer.extend_from_slice(&VERSION.to_le_bytes());
        buffer.extend_from_slice(&cirron_common::ABI_VERSION.to_le_bytes());
        buffer.extend_from_slice(&[BYTE_ORDER, 0, 0, 0]);
        Recorder {
            out: Some(out),
            buffer,
            buffered: 0,
            stats: RecordingStats::default(),
        }
    }

    /// How the engine was made.
    pub fn config(&mut self, config: &EngineConfig) {
        self.json(kind::CONFIG, &ConfigEntry::from(config));
    }

    /// Both clocks.
    pub fn anchor(&mut self, anchor: &Anchor) {
        let mut payload = [0; 16];
        payload[..8].copy_from_slice(&anchor.mono.0.to_le_bytes());
        payload[8..].copy_from_slice(&anchor.wall_ns.to_le_bytes());
        self.entry(kind::ANCHOR, &payload);
    }

    /// `handle_process`
    pub fn process(&mut self, facts: &ProcessFacts) {
        self.json(kind::PROCESS, &ProcessEntry::from(facts.clone()));
    }

    /// `handle_rules`
    pub fn rules(&mut self, rules: &Rules) {
        self.json(kind::RULES, &RulesEntry(rules.clone()));
    }

    /// `handle_record`
    pub fn record(&mut self, record: &[u8]) {
        self.entry(kind::RECORD, record);
    }

    /// `handle_timeout`
    pub fn timeout(&mut self, now: MonoNs) {
        self.entry(kind::TIMEOUT, &now.0.to_le_bytes());
    }

    /// `handle_shutdown`, the last entry.
    pub fn shutdown(&mut self, now: MonoNs) {
        self.entry(kind::SHUTDOWN, &now.0.to_le_bytes());
        self.write_out();
        if let Some(Out::Stream(lossy)) = &self.out {
            let lost = lossy.finish(END_LIMIT).lines_dropped;
            if lost > 0 {
                let why = lossy.take_error();
                let why = why.unwrap_or_else(|| "its reader did not take the rest".to_owned());
                self.stats.entries = self.stats.entries.saturating_sub(lost);
                self.stats.entries_lost += lost;
                self.fail(&io::Error::other(why));
            }
        }
        self.out = None;
    }

    fn json(&mut self, kind: u8, value: &impl serde::Serialize) {
        match serde_json::to_vec(value) {
            Ok(payload) => self.entry(kind, &payload),
            Err(e) => {
                self.stats.entries_lost += 1;
                self.fail(&e.into());
            }
        }
    }

    fn entry(&mut self, kind: u8, payload: &[u8]) {
        if self.out.is_none() {
            self.stats.entries_lost += 1;
            return;
        }
        let len = u32::try_from(payload.len())
            .ok()
            .filter(|len| *len <= MAX_ENTRY_BYTES);
        let Some(len) = len else {
            self.stats.entries_lost += 1;
            self.fail(&io::Error::other(
                "an entry is longer than a recording holds",
            ));
            return;
        };
        self.buffer.push(kind);
        self.buffer.extend_from_slice(&len.to_le_bytes());
        self.buffer.extend_from_slice(payload);
        self.buffered += 1;
        if self.buffer.len() >= BUFFER_BYTES {
            self.write_out();
        }
    }

    fn write_out(&mut self) {
        let entries = std::mem::take(&mut self.buffered);
        let put = match &mut self.out {
            None => return,
            Some(Out::File(out)) => {
                let put = out.write_all(&self.buffer).and_then(|()| out.flush());
                self.buffer.clear();
                put
            }
            Some(Out::Stream(lossy)) => {
                let text = std::mem::replace(&mut self.buffer, Vec::with_capacity(BUFFER_BYTES));
                let taken = lossy.put(text, entries);
                let failed = lossy.take_error();
                let failed = failed.or_else(|| (!taken).then(|| no_reader(lossy)));
                failed.map_or(Ok(()), |why| Err(io::Error::other(why)))
            }
        };
        match put {
            Ok(()) => self.stats.entries += entries,
            Err(e) => {
                self.stats.entries_lost += entries;
                self.fail(&e);
            }
        }
    }

    /// Counts so far, without what waits in memory.
    pub fn stats(&self) -> RecordingStats {
        self.stats
    }

    fn fail(&mut self, e: &io::Error) {
        tracing::warn!(
            "the recording ends here, after {} entries: {e}; the capture goes on",
            self.stats.entries
        );
        // Nothing more is written.
        self.out = None;
        self.stats.entries_lost += std::mem::take(&mut self.buffered);
        self.buffer = Vec::new();
    }
}

fn no_reader(lossy: &Lossy) -> String {
    let why = if lossy.is_closed() {
        "its reader has gone"
    } else {
        "its reader does not keep up"
    };
    why.to_owned()
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.write_out();
    }
}
