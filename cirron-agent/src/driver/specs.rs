//! What hits of probes mean, on its way from the thread that attaches to the core.
//!
//! ```text
//! attach thread: push, then attach --> a hit, in a batch of the ring --> core: take, then the batch's records
//! ```
//! The core takes what is here whenever it has got a batch, before it looks into it: so it knows what a hit means before
//! it sees the first of that number, and nobody waits. Between two batches at most the probes of a few files come together.

use std::sync::{Arc, Mutex, PoisonError};

/// The records, in order. The handle is shared.
#[derive(Clone, Debug, Default)]
pub struct Specs(Arc<Mutex<Vec<Vec<u8>>>>);

impl Specs {
    /// One more. Hits of its number come only after this.
    pub fn push(&self, record: Vec<u8>) {
        self.lock().push(record);
    }

    /// All that came since the last time.
    pub fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
