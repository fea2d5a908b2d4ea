//! Where batches go: what every destination is to its courier.

use std::time::{Duration, SystemTime};

use crate::batch::Batch;

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is there.
    Sent {
        /// Bytes that went out for it, as they were sent.
        bytes: u64,
    },
    /// It is to be tried again.
    Retry {
        /// In so much time at the earliest, where the destination said so.
        after: Option<Duration>,
        /// Why.
        why: String,
    },
    /// It will never be taken.
    GiveUp {
        /// A word for the counters.
        reason: Reason,
        /// Why.
        why: String,
    },
}

/// Why a batch is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The file is no batch.
    Damaged,
    /// The destination refuses it: 400.
    Refused,
    /// It is too large for the destination: 413.
    TooLarge,
    /// The key is not taken: 401, 403.
    NotAllowed,
    /// An answer that means nothing to us.
    Unexpected,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 5] = [
        Reason::Damaged,
        Reason::Refused,
        Reason::TooLarge,
        Reason::NotAllowed,
        Reason::Unexpected,
    ];

    /// As counters and files have it.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Damaged => "damaged",
            Reason::Refused => "refused",
            Reason::TooLarge => "too_large",
            Reason::NotAllowed => "not_allowed",
            Reason::Unexpected => "unexpected",
        }
    }
}

/// Takes batches, one after the other, on a thread of its own.
pub trait Destination: Send {
    /// Its name, in counters and as its ledger's file: letters, digits, `-`. Another place is another name, so that it gets
    /// everything.
    fn name(&self) -> &str;

    /// Where that is, for people. No key is in it.
    fn place(&self) -> String;

    /// Sends one; may wait, for a bounded time. `now` is the wall clock.
    fn send(&mut self, batch: &Batch, now: SystemTime) -> Outcome;
}

impl<D: Destination + ?Sized> Destination for Box<D> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn place(&self) -> String {
        (**self).place()
    }

    fn send(&mut self, batch: &Batch, now: SystemTime) -> Outcome {
        (**self).send(batch, now)
    }
}
