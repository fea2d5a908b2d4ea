//! One reading of spools that keeps few numbers of each call, and what is computed of these.
//!
//! ```text
//! batches -> Collected (calls, names, sessions, links) -> stats, load -> report, explain
//!                       |
//!                       '-> chosen: the files that a few calls and what is below them stand in, read again
//! ```
//! For what looks at all calls of a spool at once: [`crate::requests`] gives them one by one, whole, in two readings.

pub(crate) mod calls;
pub(crate) mod chosen;
pub(crate) mod collect;
pub(crate) mod load;
pub(crate) mod names;
pub(crate) mod stats;

use crate::requests::Spools;
use calls::{Call, Flags, Kind};
use collect::Collected;

/// Which calls are looked at: those of models where there are any, and those that were served where there are any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Population {
    /// Calls of models that processes served.
    ServedModels,
    /// Calls of models that processes made.
    MadeModels,
    /// Exchanges that processes served.
    Served,
    /// Exchanges that processes made.
    Made,
}

impl Population {
    /// That of what was read.
    pub(crate) fn from_collected(all: &Collected) -> Population {
        let order = [
            Population::ServedModels,
            Population::MadeModels,
            Population::Served,
        ];
        let has_some = |population: &Population| all.calls.iter().any(|call| population.has(call));
        order.into_iter().find(has_some).unwrap_or(Population::Made)
    }

    /// Whether a call is of it.
    pub(crate) fn has(self, call: &Call) -> bool {
        let is_served = matches!(call.kind, Kind::Served | Kind::Turn);
        let is_made = call.kind == Kind::Made;
        match self {
            Population::ServedModels => is_served && is_of_model(call),
            Population::MadeModels => is_made && is_of_model(call),
            Population::Served => is_served,
            Population::Made => is_made,
        }
    }

    /// In words: one, and several.
    pub(crate) fn words(self) -> (&'static str, &'static str) {
        match self {
            Population::ServedModels => ("call of a model", "calls of models"),
            Population::MadeModels => ("call made to a model", "calls made to models"),
            Population::Served => ("request", "requests"),
            Population::Made => ("call made", "calls made"),
        }
    }
}

/// The SDK's own spans name no operation, but have such figures.
fn is_of_model(call: &Call) -> bool {
    call.has(Flags::MODEL) || call.ttft_ms().is_some() || call.tokens_out().is_some()
}

/// Reads spools.
pub(crate) fn read(spools: &Spools) -> (Collected, cirron_spool::read::Left) {
    collect::collect(spools, collect::Wanted::default())
}
