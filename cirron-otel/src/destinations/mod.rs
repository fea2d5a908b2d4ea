//! Where a spool's batches go from here: OTLP's traces, and the metrics that are scraped or pushed.
//!
//! ```text
//! Courier --batch--> Traces: rows -> ended -> messages -> transport --- each at least once, by the courier's ledger
//! Courier --batch--> Feed --> Hub: series <-- Prometheus' server
//!                              ^        \---- Push: each minute, all of them
//!        the agent's status ---'
//! ```

mod figures;
mod hub;
mod plan;
mod push;
mod traces;

use std::path::Path;

use cirron_spool::read::Batches;

pub use hub::{Feed, Further, Hub, SILENCE};
pub use plan::{DEFAULT_PORT, Failed, Plan, Running, parse_listen};
pub use push::{Push, PushCounts};
pub use traces::{TraceCounts, Traces};

use crate::prometheus::{Figure, ServerCounts};
use cirron_look::joined::Joiner;

/// Every figure of the process that ships, as it is before anything was done: for documents.
pub fn own_figures() -> Vec<Figure> {
    let mut given_up = cirron_ship::counts::Totals::default();
    given_up.given_up.insert("refused", 0);
    let mut all = Hub::new(0, None, false).figures();
    all.extend(hub::at_times());
    all.extend(figures::of_ship("", &given_up, 0));
    all.extend(figures::of_traces(&TraceCounts::default()));
    all.extend(figures::of_push(&PushCounts::default()));
    all.extend(figures::of_server(&ServerCounts::default()));
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

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
