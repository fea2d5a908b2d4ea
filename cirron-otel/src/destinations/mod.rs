//! Where a spool's batches go from here: OTLP's traces, and the metrics that are scraped or pushed.
//!
//! ```text
//! Courier --batch--> Traces: rows -> ended -> messages -> transport --- each at least once, by the courier's ledger
//! Courier --batch--> Feed --> Hub: series <-- Prometheus' server
//!                              ^        \---- Push: each minute, all of them
//!        the agent's status ---'
//! ```

mod hub;
mod push;
mod traces;

use std::path::Path;

use cirron_spool::read::Batches;

pub use hub::{Feed, Further, Hub, SILENCE};
pub use push::{Push, PushCounts};
pub use traces::{TraceCounts, Traces};

use crate::joined::Joiner;

/// Tells a joiner of the sessions in a spool: those whose roots stand in batches that were sent before this process
/// began. What cannot be read is no session.
fn prime(joiner: &mut Joiner, spool: &Path) {
    let Ok(batches) = Batches::list(spool) else {
        return;
    };
    joiner.prime(true);
    let left = batches.read(joiner);
    joiner.prime(false);
    for sentence in left.sentences() {
        tracing::debug!("sessions of {}: {sentence}", spool.display());
    }
}
