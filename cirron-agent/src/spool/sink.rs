//! The spool as an output: when a batch is written, and what is written again after a loss.
//!
//! A reader needs the session root of every span. So when a batch is lost or evicted, or the
//! directory was wiped, the roots of the open sessions (and closes that were in the lost batch)
//! go into the next batch again; readers merge them by id. A failure costs its batch, is counted,
//! and is said once for each kind of failure; it never reaches the capture.

use std::collections::{BTreeMap, HashSet};
use std::io;

use anyhow::Context;
use cirron_core::id::Id;

use super::batch::Batch;
use super::dir::SpoolDir;
use super::json::write_span;
use super::stamp::Stamp;
use crate::output::Timed;
use crate::output::sink::{Count, Opening, Pressure, Sink, SinkKind, Stats};

/// Closed session roots kept for another try. Past it the oldest is given up.
const MAX_CLOSES_KEPT: usize = 1_024;

/// Counts of the spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpoolStats {
    /// Batches written.
    pub batches_written: u64,
    /// Their bytes.
    pub bytes_written: u64,
    /// Their spans, session roots included each time.
    pub spans_written: u64,
    /// Their marks.
    pub marks_written: u64,
    /// Batches that could not be written.
    pub batches_lost: u64,
    /// Spans of those batches, without session roots: those are tried again.
    pub spans_lost: u64,
    /// Sealed batches removed to stay under the cap.
    pub batches_evicted: u64,
    /// Orphaned temporary files removed.
    pub orphans_swept: u64,
    /// How often the directory had to be made again.
    pub dirs_recreated: u64,
    /// Scopes that could not be written as JSON.
    pub unwritable: u64,
}

/// Its row in the table of sinks. The capture waits for it: it is what the agent is there for.
pub const KIND: SinkKind = SinkKind {
    name: "spool",
    help: "JSON batches in `<output-dir>/spool`",
    pressure: Pressure::Waits,
    writes_files: true,
    wants: |_| true,
    open,
};

fn open(opening: &Opening<'_>) -> anyhow::Result<Box<dyn Sink>> {
    let path = opening
        .plan
        .spool_dir
        .clone()
        .context("the spool has no place")?;
    let dir = SpoolDir::open(path.clone(), opening.plan.spool_max_bytes, opening.owner)
        .with_context(|| {
            format!(
                "the spool {} cannot be made\n  name another place with --output-dir DIR",
                path.display()
            )
        })?;
    Ok(Box::new(SpoolSink::new(dir, (opening.stamp)())))
}

impl SpoolStats {
    /// As every sink tells its counts.
    pub fn told(self, settled: u64) -> Stats {
        // Destructured, so that a new count must be noticed here.
        let SpoolStats {
            batches_written,
            bytes_written,
            spans_written,
            marks_written,
            batches_lost,
            spans_lost,
            batches_evicted,
            orphans_swept,
            dirs_recreated,
            unwritable,
        } = self;
        Stats {
            settled,
            counts: vec![
                Count::plain("batches_written", batches_written),
                Count::plain("bytes_written", bytes_written),
                Count::plain("spans_written", spans_written),
                Count::plain("marks_written", marks_written),
                Count::loss(
                    "batches_evicted",
                    batches_evicted,
                    "batch removed to keep the spool within its size (see --spool-max-bytes)",
                    "batches removed to keep the spool within its size (see --spool-max-bytes)",
                ),
                Count::loss(
                    "batches_lost",
                    batches_lost,
                    "batch that could not be written",
                    "batches that could not be written",
                ),
                Count::plain("spans_lost", spans_lost),
                Count::plain("orphans_swept", orphans_swept),
                Count::plain("dirs_recreated", dirs_recreated),
            ],
            dropped: Count::loss(
                "scopes_dropped",
                unwritable,
                "scope that did not get into the spool",
                "scopes that did not get into the spool",
            ),
        }
    }
}

/// Collects scopes and writes them.
pub struct SpoolSink {
    dir: SpoolDir,
    stamp: Box<dyn Stamp>,
    batch: Batch,
    stats: SpoolStats,
    /// Roots of open sessions, as written.
    open: BTreeMap<Id, Vec<u8>>,
    /// Roots that closed in the current batch, as written.
    closes: Vec<Vec<u8>>,
    rewrite_roots: bool,
    /// Number of scopes in the current batch.
    batch_scopes: u64,
    /// Number of scopes that are written, or lost and counted.
    settled: u64,
    /// Session roots among the new spans of the current batch: those are not lost with it.
    batch_roots: usize,
    said: HashSet<io::ErrorKind>,
    said_evicted: bool,
}

impl SpoolSink {
    /// A sink into `dir`.
    pub fn new(dir: SpoolDir, stamp: Box<dyn Stamp>) -> SpoolSink {
        SpoolSink {
            dir,
            stamp,
            batch: Batch::default(),
            stats: SpoolStats::default(),
            open: BTreeMap::new(),
            closes: Vec::new(),
            rewrite_roots: false,
            batch_scopes: 0,
            settled: 0,
            batch_roots: 0,
            said: HashSet::new(),
            said_evicted: false,
        }
    }

    fn remember_root(&mut self, Timed { scope, times }: &Timed) {
        let mut json = Vec::new();
        if write_span(&mut json, &scope.span, *times).is_err() {
            return;
        }
        if times.end_ns.is_none() {
            self.open.insert(scope.span.id, json);
        } else {
            self.open.remove(&scope.span.id);
            if self.closes.len() >= MAX_CLOSES_KEPT {
                self.closes.remove(0);
            }
            self.closes.push(json);
        }
    }

    fn say_once(&mut self, evicted: u64, recreated: bool) {
        let path = self.dir.path().display();
        if evicted > 0 && !self.said_evicted {
            self.said_evicted = true;
            tracing::warn!(
                "the spool {path} is at its cap: its oldest batches are removed; \
                 raise CIRRON_SPOOL_MAX_BYTES to keep more"
            );
        }
        if recreated && self.said.insert(io::ErrorKind::NotFound) {
            tracing::warn!("the spool {path} had vanished and was made again");
        }
    }
}

impl Sink for SpoolSink {
    fn kind(&self) -> &'static SinkKind {
        &KIND
    }

    /// Writes the batch when it is full.
    fn accept(&mut self, timed: &Timed) {
        let Timed { scope, times } = timed;
        if let Err(e) = self
            .batch
            .push(&scope.span, *times, &scope.marks, &scope.anchor)
        {
            // Only a serializer of ours could fail on memory.
            tracing::error!("a span could not be written as JSON: {e}");
            self.stats.unwritable += 1;
            self.settled += 1;
            return;
        }
        self.batch_scopes += 1;
        if scope.span.parent_id.is_none() {
            self.batch_roots += 1;
            self.remember_root(timed);
        }
        if self.batch.is_full() {
            self.flush();
        }
    }

    /// Writes what there is; nothing where there is nothing.
    fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let scopes = self.batch.span_count().saturating_sub(self.batch_roots) as u64;
        if self.rewrite_roots {
            for json in self.open.values().chain(&self.closes) {
                self.batch.push_written_span(json);
            }
        }
        let (created_ns, id) = self.stamp.stamp();
        let spans = self.batch.span_count() as u64;
        match self.dir.write(&self.batch, created_ns, id) {
            Ok(written) => {
                self.closes.clear();
                // A wiped directory took earlier roots with it, an eviction may have.
                self.rewrite_roots = written.recreated || written.evicted > 0;
                self.stats.batches_written += 1;
                self.stats.bytes_written += written.bytes;
                self.stats.spans_written += spans;
                self.stats.marks_written += self.batch.mark_count() as u64;
                self.stats.batches_evicted += written.evicted;
                self.stats.orphans_swept += written.swept;
                self.stats.dirs_recreated += u64::from(written.recreated);
                self.say_once(written.evicted, written.recreated);
            }
            Err(e) => {
                self.rewrite_roots = true;
                self.stats.batches_lost += 1;
                self.stats.spans_lost += scopes;
                if self.said.insert(e.kind()) {
                    let path = self.dir.path().display();
                    tracing::warn!(
                        "a batch was lost: cannot write to {path}: {e}; \
                         the capture goes on, further losses are counted"
                    );
                }
            }
        }
        self.batch.clear();
        self.batch_roots = 0;
        self.settled += std::mem::take(&mut self.batch_scopes);
    }

    fn stats(&self) -> Stats {
        self.stats.told(self.settled)
    }
}

#[cfg(test)]
#[path = "sink_tests.rs"]
mod tests;
