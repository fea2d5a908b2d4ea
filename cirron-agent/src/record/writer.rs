//! Writing a recording. A failure ends the recording, is said once, and never the capture.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use cirron_core::engine::{EngineConfig, ProcessFacts};
use cirron_core::time::MonoNs;
use serde::Serialize;

use super::{BYTE_ORDER, ConfigEntry, MAGIC, MAX_ENTRY_BYTES, ProcessEntry, VERSION, kind};
use crate::clock::Anchor;
use crate::discovery::owner::Owner;

/// Bytes collected before they are written.
const BUFFER_BYTES: usize = 256 * 1024;

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
    out: Option<BufWriter<Box<dyn Write + Send>>>,
    stats: RecordingStats,
}

impl Recorder {
    /// A new file that only its owner may read; an existing file is emptied.
    pub fn create(path: &Path, owner: Option<Owner>) -> io::Result<Recorder> {
        let file: File = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        // An existing file keeps its mode on open.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        file.set_permissions(mode)?;
        if let Some(owner) = owner {
            owner.take_file(&file)?;
        }
        Recorder::new(Box::new(file))
    }

    /// A recording into `out`.
    pub fn new(out: Box<dyn Write + Send>) -> io::Result<Recorder> {
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, out);
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        out.write_all(&cirron_common::ABI_VERSION.to_le_bytes())?;
        out.write_all(&[BYTE_ORDER, 0, 0, 0])?;
        Ok(Recorder {
            out: Some(out),
            stats: RecordingStats::default(),
        })
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
        if let Some(mut out) = self.out.take()
            && let Err(e) = out.flush()
        {
            self.fail(&e);
        }
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
        let Some(out) = &mut self.out else {
            self.stats.entries_lost += 1;
            return;
        };
        let len = u32::try_from(payload.len())
            .ok()
            .filter(|len| *len <= MAX_ENTRY_BYTES);
        let put = match len {
            Some(len) => out
                .write_all(&[kind])
                .and_then(|()| out.write_all(&len.to_le_bytes()))
                .and_then(|()| out.write_all(payload)),
            None => Err(io::Error::other(
                "an entry is longer than a recording holds",
            )),
        };
        match put {
            Ok(()) => self.stats.entries += 1,
            Err(e) => {
                self.stats.entries_lost += 1;
                self.fail(&e);
            }
        }
    }

    /// Counts so far; entries that wait in memory are among those written.
    pub fn stats(&self) -> RecordingStats {
        self.stats
    }

    fn fail(&mut self, e: &io::Error) {
        tracing::warn!(
            "the recording ends here, after {} entries: {e}; the capture goes on",
            self.stats.entries
        );
        // What is buffered would fail again when dropped; nothing more is written.
        if let Some(out) = self.out.take() {
            let _ = out.into_parts();
        }
    }
}
