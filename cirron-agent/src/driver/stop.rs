//! How the threads agree to stop.
//!
//! ```text
//! Running --request()--> Requested --note_quiet()--> Quiet        force() from any
//!         anybody                   core: the targets        --> Forced
//!                                   are let go; the reader
//!                                   empties the ring, ends
//! ```
//! The end then runs down the channels: reader, core, outputs.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

/// Why a capture ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Reason {
    /// SIGINT, SIGTERM or SIGHUP.
    Signal = 1,
    /// `--duration` is over.
    Duration = 2,
    /// The last target ended.
    TargetsGone = 3,
    /// Nobody reads standard output any more, and it was the only output.
    OutputClosed = 4,
    /// The ring could not be read, or a thread panicked.
    Failure = 5,
}

const REASONS: [Reason; 5] = [
    Reason::Signal,
    Reason::Duration,
    Reason::TargetsGone,
    Reason::OutputClosed,
    Reason::Failure,
];

const RUNNING: u8 = 0;
const REQUESTED: u8 = 1;
const QUIET: u8 = 2;
const FORCED: u8 = 3;

/// Shared by all threads.
#[derive(Debug, Default)]
pub struct Stop {
    state: AtomicU8,
    reason: AtomicU8,
    panicked: OnceLock<&'static str>,
}

impl Stop {
    /// Asks for the end; the first reason counts.
    pub fn request(&self, reason: Reason) {
        let _ = self
            .reason
            .compare_exchange(0, reason as u8, Ordering::SeqCst, Ordering::SeqCst);
        self.state.fetch_max(REQUESTED, Ordering::SeqCst);
    }

    /// A thread without which the capture is not whole has panicked.
    pub fn panicked(&self, thread: &'static str) {
        let _ = self.panicked.set(thread);
        self.request(Reason::Failure);
    }

    /// The first thread of which that was said.
    pub fn panicked_thread(&self) -> Option<&'static str> {
        self.panicked.get().copied()
    }

    /// The targets are let go: what is in the ring is all there will be.
    pub fn note_quiet(&self) {
        self.state.fetch_max(QUIET, Ordering::SeqCst);
    }

    /// Do not empty the ring any more.
    pub fn force(&self) {
        self.state.fetch_max(FORCED, Ordering::SeqCst);
    }

    /// Whether the end was asked for.
    pub fn is_requested(&self) -> bool {
        self.state.load(Ordering::SeqCst) > RUNNING
    }

    /// Whether the ring is to be emptied and left.
    pub fn is_quiet(&self) -> bool {
        self.state.load(Ordering::SeqCst) >= QUIET
    }

    /// Whether everything is to be left as it is.
    pub fn is_forced(&self) -> bool {
        self.state.load(Ordering::SeqCst) >= FORCED
    }

    /// Why.
    pub fn reason(&self) -> Option<Reason> {
        let number = self.reason.load(Ordering::SeqCst);
        REASONS.into_iter().find(|reason| *reason as u8 == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_counts_and_the_state_never_goes_back() {
        let stop = Stop::default();
        assert!(!stop.is_requested());
        assert_eq!(stop.reason(), None);
        for reason in REASONS {
            stop.request(reason);
        }
        assert_eq!(stop.reason(), Some(Reason::Signal));
        stop.note_quiet();
        stop.request(Reason::Duration);
        assert!(stop.is_quiet() && !stop.is_forced());
        stop.force();
        stop.note_quiet();
        assert!(stop.is_forced());
    }
}
