//! What became of the batches of one destination, in numbers; read while its thread counts.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::destination::Reason;

/// Counters of a destination.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Batches that it has.
    pub batches_sent: u64,
    /// Bytes that went out for those.
    pub bytes_sent: u64,
    /// Tries that are to be repeated.
    pub retries: u64,
    /// Batches that it will never have, by the reason's name.
    pub given_up: BTreeMap<&'static str, u64>,
    /// Batches that were gone before they were sent: the spool's cap removed them.
    pub batches_vanished: u64,
    /// How often its thread had to be started again.
    pub restarts: u64,
    /// How often its ledger could not be written: what it had then may be sent again.
    pub ledger_errors: u64,
    /// Batches in the spool that it does not have yet.
    pub behind_batches: u64,
    /// When the oldest of those was made, nanoseconds since the epoch.
    pub oldest_ns: Option<u64>,
}

impl Totals {
    /// Seconds since the oldest batch that it does not have yet was made.
    pub fn behind_s(&self, wall_ns: u64) -> f64 {
        let since = self.oldest_ns.map_or(0, |ns| wall_ns.saturating_sub(ns));
        since as f64 / 1e9
    }

    /// Batches that it will never have.
    pub fn given_up_count(&self) -> u64 {
        self.given_up.values().sum()
    }
}

/// The counters, shared.
#[derive(Debug, Default)]
pub struct Counts(Mutex<Totals>);

impl Counts {
    /// As they are now.
    pub fn totals(&self) -> Totals {
        self.now().clone()
    }

    pub(crate) fn now(&self) -> MutexGuard<'_, Totals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn give_up(&self, reason: Reason) {
        *self.now().given_up.entry(reason.name()).or_default() += 1;
    }
}
