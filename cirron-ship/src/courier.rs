//! Brings a spool's batches to one destination.
//!
//! ```text
//!          .--------------------------------------------------------------.
//!          v                                                              |
//!  turn: next name --none--> Idle                                         |
//!          | read      gone: counted, damaged: given up ----> settled ----| saved in the ledger
//!          | send      Sent, GiveUp -------------------------> settled ---'
//!          '---------- Retry --> Wait: FIRST_BACKOFF, doubled to MAX_BACKOFF, or as the destination said
//! ```
//! It has no clock and never sleeps: the time is handed in, what to do next is handed out ([`Turn`]). A batch in memory is
//! let go while it waits.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::batch::{Batch, Name, Unusable};
use crate::counts::Counts;
use crate::destination::{Destination, Outcome, Reason};
use crate::follow::Follower;
use crate::ledger::Ledger;
use crate::place::Place;

/// Before a batch is tried for the second time.
pub const FIRST_BACKOFF: Duration = Duration::from_millis(500);

/// Before any further try: the SDK's `MAX_BACKOFF_SEC`.
pub const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// The longest that a destination may make us wait: the SDK's `MAX_RETRY_AFTER_SEC`.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Batches that are said to be given up for one reason. The counters go on.
const MAX_SAID: u64 = 20;

/// When it is.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Of a clock that is never set.
    pub mono: Duration,
    /// Of the wall.
    pub wall: SystemTime,
}

impl Now {
    fn wall_ns(self) -> i128 {
        let since = self.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)
    }
}

/// What is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Another turn.
    Again,
    /// Nothing until then, on the clock that is never set.
    Wait(Duration),
    /// There is no batch.
    Idle,
}

/// Brings batches to a destination.
pub struct Courier<D> {
    place: Arc<Place>,
    follower: Follower,
    ledger: Arc<Mutex<Ledger>>,
    destination: D,
    counts: Arc<Counts>,
    /// Failed tries of the next batch.
    tries: u32,
    /// When the next try is.
    due: Duration,
    is_said: bool,
}

impl<D: Destination> Courier<D> {
    /// For what `follower` finds and `ledger` does not have.
    pub fn new(
        place: Arc<Place>,
        follower: Follower,
        ledger: Arc<Mutex<Ledger>>,
        destination: D,
        counts: Arc<Counts>,
    ) -> Courier<D> {
        Courier {
            place,
            follower,
            ledger,
            destination,
            counts,
            tries: 0,
            due: Duration::ZERO,
            is_said: false,
        }
    }

    /// One step.
    ///
    /// # Errors
    /// Where the spool's directory cannot be read.
    pub fn turn(&mut self, now: Now) -> io::Result<Turn> {
        if now.mono < self.due {
            return Ok(Turn::Wait(self.due));
        }
        let next = self.follower.next(&mut lock(&self.ledger), now.wall_ns())?;
        self.count_behind();
        let Some(name) = next else {
            return Ok(Turn::Idle);
        };
        let (outcome, changed_ns) = match Batch::read(&self.place, &name) {
            Ok(batch) => (
                self.destination.send(&batch, now.wall),
                Some(batch.changed_ns()),
            ),
            Err(Unusable::Gone) => {
                self.counts.now().batches_vanished += 1;
                self.settle(&name, None);
                return Ok(Turn::Again);
            }
            Err(e @ Unusable::Unreadable(_)) => (
                Outcome::Retry {
                    after: None,
                    why: format!("{}: {e}", name.as_str()),
                },
                None,
            ),
            Err(e @ (Unusable::TooLarge | Unusable::Damaged(_) | Unusable::NoFile)) => (
                Outcome::GiveUp {
                    reason: Reason::Damaged,
                    why: e.to_string(),
                },
                Some(now.wall_ns()),
            ),
        };
        match outcome {
            Outcome::Sent { bytes } => {
                let mut counts = self.counts.now();
                counts.batches_sent += 1;
                counts.bytes_sent += bytes;
                drop(counts);
                if std::mem::take(&mut self.is_said) {
                    tracing::warn!("{} takes batches again", self.destination.place());
                }
                self.settle(&name, changed_ns);
                Ok(Turn::Again)
            }
            Outcome::GiveUp { reason, why } => {
                self.say_given_up(&name, reason, &why);
                self.counts.give_up(reason);
                let kept = lock(&self.ledger).give_up(&name, reason);
                if let Err(e) = kept {
                    self.ledger_failed(&e);
                }
                self.settle(&name, changed_ns);
                Ok(Turn::Again)
            }
            Outcome::Retry { after, why } => {
                self.counts.now().retries += 1;
                let wait = after.unwrap_or_else(|| backoff(self.tries, &name));
                self.tries = self.tries.saturating_add(1);
                // Measured from the begin of the try, which may have taken its time.
                self.due = now.mono + wait.min(MAX_RETRY_AFTER);
                if !std::mem::replace(&mut self.is_said, true) {
                    let place = self.destination.place();
                    tracing::warn!("{place} takes no batch: {why}; they wait in the spool");
                }
                tracing::debug!("{}: {why}; again in {wait:?}", name.as_str());
                Ok(Turn::Wait(self.due))
            }
        }
    }

    /// Waits for a batch to come, not longer than `limit`.
    pub fn wait(&self, limit: Duration) {
        self.follower.wait(limit);
    }

    /// Its destination.
    pub fn destination(&self) -> &D {
        &self.destination
    }

    fn settle(&mut self, name: &Name, changed_ns: Option<i128>) {
        self.tries = 0;
        let mut ledger = lock(&self.ledger);
        ledger.settle(name, changed_ns);
        let kept = ledger.save();
        drop(ledger);
        self.follower.done(name);
        self.count_behind();
        if let Err(e) = kept {
            self.ledger_failed(&e);
        }
    }

    fn ledger_failed(&self, e: &io::Error) {
        let mut counts = self.counts.now();
        counts.ledger_errors += 1;
        if counts.ledger_errors == 1 {
            let name = self.destination.name();
            tracing::warn!(
                "the ledger of {name} cannot be written: {e}; after a restart batches are sent again"
            );
        }
    }

    fn count_behind(&self) {
        let mut counts = self.counts.now();
        counts.behind_batches = self.follower.behind();
        counts.oldest_ns = self.follower.first().map(Name::created_ns);
    }

    fn say_given_up(&self, name: &Name, reason: Reason, why: &str) {
        let before = self
            .counts
            .now()
            .given_up
            .get(reason.name())
            .copied()
            .unwrap_or(0);
        let (name, place) = (name.as_str(), self.destination.place());
        let most = match reason {
            // One word does for all: they have the same key.
            Reason::NotAllowed => 1,
            Reason::Damaged | Reason::Refused | Reason::TooLarge | Reason::Unexpected => MAX_SAID,
        };
        if before < most {
            let more = if before + 1 == most {
                "; further ones are counted"
            } else {
                ""
            };
            tracing::warn!("{name} is given up, {place} will not have it: {why}{more}");
        }
    }
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Before the next try, after `tries` failed ones before this. Longer by up to a quarter, by the batch's id, so that many
/// agents do not come back in one moment.
fn backoff(tries: u32, name: &Name) -> Duration {
    let doubled = FIRST_BACKOFF.saturating_mul(1 << tries.min(6));
    let spread = name
        .id()
        .bytes()
        .fold(tries, |sum, b| sum.wrapping_mul(31) ^ u32::from(b))
        % 256;
    (doubled + doubled.mul_f64(f64::from(spread) / 1024.0)).min(MAX_BACKOFF)
}

#[cfg(test)]
#[path = "courier_tests.rs"]
mod tests;
