//! The reader thread: from the ring to the core's channel, and nothing else.
//!
//! When the channel is full it waits; the ring then fills, and the kernel side drops whole records
//! and counts them. Each batch says up to which time everything has been read, so that the core
//! never lets its clock run ahead of records that still lie in the ring.

use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use cirron_core::time::{MS, MonoNs};

use super::source::RecordSource;
use super::stop::{Reason, Stop};
use crate::clock;

/// How long one read waits for records. It bounds how late a lone record is seen; its timestamp
/// is the kernel's and does not suffer.
const READ_TIMEOUT: Duration = Duration::from_millis(25);

/// Time between two reads of a ring that was empty, at least. What the kernel side wakes this thread for at once
/// (a process that maps something, forks or ends) may come a hundred thousand times a second.
const MIN_READ_INTERVAL: Duration = Duration::from_millis(2);

/// Bytes of one batch. Large enough that a busy ring is emptied in few steps, small enough that
/// [`super::BATCHES_IN_FLIGHT`] of them are little memory.
pub const BATCH_BYTES: usize = 2 * 1024 * 1024;

/// Time between a record's stamp and its appearance in the ring, generously: a task may be
/// preempted in between only for as long as its program runs.
const COMMIT_SLACK_NS: u64 = MS;

/// How long the ring may take to be emptied at the end. 32 MiB take far less.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// What goes to the core.
#[derive(Debug)]
pub struct Batch {
    /// Records, as [`crate::kernel::records`] reads them; may be empty.
    pub bytes: Vec<u8>,
    /// All records stamped before this have been handed over; `None` where more are waiting.
    pub watermark: Option<MonoNs>,
}

/// Runs until the end; returns why it failed, where it did.
pub fn run(
    mut source: Box<dyn RecordSource>,
    to_core: &SyncSender<Batch>,
    recycled: &Receiver<Vec<u8>>,
    stop: &Stop,
) -> anyhow::Result<()> {
    let mut quiet_since: Option<Instant> = None;
    let mut emptied_at: Option<Instant> = None;
    loop {
        if stop.is_forced() {
            return Ok(());
        }
        // Looked at before the read: only what is read after it proves the ring empty.
        if quiet_since.is_none() && stop.is_quiet() {
            quiet_since = Some(Instant::now());
        }
        let timeout = if quiet_since.is_some() {
            Duration::ZERO
        } else {
            READ_TIMEOUT
        };
        if let Some(at) = emptied_at.filter(|_| quiet_since.is_none()) {
            std::thread::sleep(MIN_READ_INTERVAL.saturating_sub(at.elapsed()));
        }
        let mut bytes = recycled.try_recv().unwrap_or_default();
        bytes.clear();
        let before = clock::now();
        let count = match source.read(timeout, &mut bytes, BATCH_BYTES) {
            Ok(count) => count,
            Err(e) => {
                stop.request(Reason::Failure);
                return Err(e.context("the ring buffer cannot be read"));
            }
        };
        // It stopped for want of records, not of room: no record is half a batch long.
        let emptied = bytes.len() < BATCH_BYTES / 2;
        emptied_at = emptied.then(Instant::now);
        let watermark = emptied.then_some(MonoNs(before.0.saturating_sub(COMMIT_SLACK_NS)));
        if to_core.send(Batch { bytes, watermark }).is_err() {
            return Ok(());
        }
        if let Some(since) = quiet_since {
            if count == 0 {
                return Ok(());
            }
            if since.elapsed() > DRAIN_LIMIT {
                tracing::warn!(
                    "the ring was not empty after {DRAIN_LIMIT:?}; its rest is given up"
                );
                return Ok(());
            }
        }
    }
}
