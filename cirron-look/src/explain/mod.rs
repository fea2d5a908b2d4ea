//! Where the time of slow calls went, as far as it is known.
//!
//! ```text
//! spools -> survey (one reading) -> the slow ones -> read again, with what is below them -> parts   -> words, JSON
//!              |                                                                          usual   ---^
//!              '-- streams beside them, where there are times of tokens ----------------> stalls  ---^
//! ```
//! It promises sums and no causes: parts of a call follow one another and make up the whole; what was done for it is told
//! by how much of that it covers; beside it stand the medians of its like. What is not known is said, with the reason.

mod gaps;
mod parts;
mod unknown;
mod usual;
mod words;

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Serialize;

use crate::request::Request;
use crate::requests::Spools;
use crate::survey::Population;
use crate::survey::calls::{Call, Kind};
use crate::survey::chosen::{chosen, fields};
use crate::survey::collect::{self, Collected, Wanted};
pub use gaps::{Gap, Gaps};
pub use parts::{Done, Part};
pub use usual::{Compared, Usual};
pub use words::words;

/// Calls that are explained where nobody says how many.
pub const DEFAULT_LIMIT: usize = 5;

/// Bytes of an id from which its beginning is enough.
pub const MIN_ID_BYTES: usize = 6;

/// Which calls.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Which {
    /// The slowest.
    #[default]
    Slowest,
    /// Those that took longer, the slowest first.
    SlowerThan(Duration),
    /// Those of an id, or of one that begins so: `request_id`, or the span's.
    Id(String),
}

/// Calls explained.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Explained {
    /// The slowest first.
    pub calls: Vec<Told>,
    /// How many were asked for: there may be more than are explained.
    pub matched: usize,
    /// What they were chosen from.
    pub chosen_from: usize,
    /// What of the spool was not read, a sentence each.
    pub left_out: Vec<String>,
}

/// A call explained. What is not known is absent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Told {
    /// `request_id`.
    pub request_id: Option<String>,
    /// The span's id.
    pub span_id: String,
    /// What was called.
    pub endpoint: String,
    /// The model that answered, else the one that was asked for.
    pub model: Option<String>,
    /// The process's executable.
    pub process: Option<String>,
    /// Its number.
    pub pid: Option<u64>,
    /// Wall clock.
    pub start_ns: u64,
    /// `http.response.status_code`.
    pub status: Option<u16>,
    /// `error.type`.
    pub error_type: Option<String>,
    /// `cirron.aborted_by`.
    pub aborted_by: Option<String>,
    /// From its first byte to its answer's end.
    pub latency_ms: Option<f64>,
    /// Before that: until the process read it.
    pub waited_ms: Option<f64>,
    /// What it consists of, one behind the other.
    pub parts: Vec<Part>,
    /// What was done for it, by kind.
    pub done: Vec<Done>,
    /// Its share that none of its calls covers (`overhead_ms`).
    pub own_ms: Option<f64>,
    /// Of what that is a share.
    pub own_of: Option<String>,
    /// Input tokens.
    pub tokens_in: Option<u64>,
    /// Output tokens.
    pub tokens_out: Option<u64>,
    /// The output tokens were counted by the agent.
    pub is_estimated: bool,
    /// From one token to the next.
    pub per_token_ms: Option<f64>,
    /// Between its tokens.
    pub gaps: Gaps,
    /// Its like at that time.
    pub usual: Usual,
    /// What is not known, and why: a sentence each.
    pub unknown: Vec<String>,
}

/// There is no such call.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "no request of this spool has the id {0}, or one that begins so\n  \
     `cirron-agent explain` without an id names the slowest ones; `tree -v` shows all"
)]
pub struct NoSuchRequest(pub String);

/// Explains.
pub fn explain(spools: &Spools, which: &Which, limit: usize) -> Result<Explained, NoSuchRequest> {
    let wanted = Wanted {
        id: match which {
            Which::Id(id) => Some(id.clone()),
            Which::Slowest | Which::SlowerThan(_) => None,
        },
        orphans: true,
    };
    let (all, left) = collect::collect(spools, wanted);
    let population = Population::from_collected(&all);
    let mut calls: Vec<&Call> = match which {
        Which::Id(_) => all
            .calls
            .iter()
            .filter(|call| all.found.contains(&call.key))
            .collect(),
        Which::Slowest | Which::SlowerThan(_) => all
            .calls
            .iter()
            .filter(|call| population.has(call))
            .collect(),
    };
    let chosen_from = calls.len();
    let latency = |call: &Call| f64::from(call.latency_ms().unwrap_or(0.0));
    match which {
        Which::Id(id) if calls.is_empty() => return Err(NoSuchRequest(id.clone())),
        Which::Id(_) => {}
        Which::Slowest => calls.retain(|call| call.latency_ms().is_some()),
        Which::SlowerThan(least) => calls.retain(|call| latency(call) > least.as_secs_f64() * 1e3),
    }
    let matched = calls.len();
    calls.sort_by(|a, b| {
        latency(b)
            .total_cmp(&latency(a))
            .then(a.start_ns.cmp(&b.start_ns))
    });
    calls.truncate(limit);
    let found = chosen(spools, &all, &calls);
    let told = found.requests.iter().filter_map(|request| {
        let call = calls
            .iter()
            .find(|call| call.key == crate::key::Key::new(&request.id))?;
        Some(tell(spools, &all, call, request))
    });
    let mut left_out = left.sentences();
    let told = told.collect();
    if all.past > 0 {
        left_out.push(format!(
            "left out: rows of calls past the first {}: {}",
            collect::MAX_CALLS,
            all.past
        ));
    }
    if found.past + usize::try_from(all.links_past).unwrap_or(usize::MAX) > 0 {
        let n = found.past as u64 + all.links_past;
        left_out.push(format!(
            "left out: scopes below others for which there was no room: {n}"
        ));
    }
    if all.orphans_past > 0 {
        left_out.push(format!(
            "left out: scopes that may be part of a call, for which there was no room: {}",
            all.orphans_past
        ));
    }
    Ok(Explained {
        calls: told,
        matched,
        chosen_from,
        left_out,
    })
}

fn tell(spools: &Spools, all: &Collected, call: &Call, request: &Request) -> Told {
    let figures = &request.figures;
    let session = all.sessions.get(&call.parent);
    let beside = beside(all, call);
    let (streams, unlooked) = match figures.chunks_ms.is_empty() {
        true => (Vec::new(), 0),
        false => {
            let (streams, unlooked) = streams(&beside);
            (fields(spools, &streams), unlooked)
        }
    };
    let latency_ms = call.latency_ms().map(f64::from);
    // The row's own figure has more digits than the column.
    let latency_ms = latency_ms.map(|ms| {
        let own = figures
            .duration_ms
            .or(request.length_ns().map(|ns| ns as f64 / 1e6));
        own.unwrap_or(ms)
    });
    Told {
        request_id: request.request_id.clone(),
        span_id: request.id.clone(),
        endpoint: all.endpoints.name(call.endpoint).to_owned(),
        model: request.model().map(str::to_owned),
        process: session
            .map(|session| session.name.clone())
            .filter(|name| !name.is_empty()),
        pid: session.and_then(|session| u64::try_from(session.pid?).ok()),
        start_ns: request.start_ns,
        status: request.status,
        error_type: request.error_type.clone(),
        aborted_by: request.aborted_by.clone(),
        latency_ms,
        waited_ms: figures.queue_ms,
        parts: parts::parts(request, latency_ms),
        done: parts::done(request, latency_ms),
        own_ms: figures.overhead_ms,
        own_of: figures.overhead_of.clone(),
        tokens_in: figures.input_tokens,
        tokens_out: figures.output_tokens,
        is_estimated: figures.is_estimated,
        per_token_ms: figures.tpot_ms,
        gaps: Gaps {
            streams_unlooked: unlooked,
            ..gaps::gaps(request, &streams, beside.len())
        },
        usual: usual::usual(all, call, &beside),
        unknown: unknown::sentences(all, call, request),
    }
}

/// Calls of the same process that were in flight while it was, without itself.
fn beside<'c>(all: &'c Collected, call: &Call) -> Vec<&'c Call> {
    let end = |call: &Call| {
        if call.is_open() {
            u64::MAX
        } else {
            call.end_ns
        }
    };
    all.calls
        .iter()
        .filter(|other| is_beside(other, call) && other.key != call.key)
        .filter(|other| other.start_ns <= end(call) && end(other) >= call.start_ns)
        .collect()
}

/// Whether two calls are of one process: those that it served hang below its session.
fn is_beside(other: &Call, call: &Call) -> bool {
    let is_same_way = other.kind == call.kind;
    match call.kind {
        Kind::Served => is_same_way && other.parent == call.parent,
        Kind::Made | Kind::Turn | Kind::Unknown => is_same_way,
    }
}

/// Streams whose tokens are looked at beside a call: more say nothing more of a stall. Of how many others that is, is told.
const MAX_STREAMS: usize = 200;

/// Those, and how many others there were.
fn streams<'c>(beside: &[&'c Call]) -> (Vec<&'c Call>, usize) {
    let streams = beside
        .iter()
        .copied()
        .filter(|call| call.ttft_ms().is_some());
    let mut streams: Vec<&Call> = streams.collect();
    let unlooked = streams.len().saturating_sub(MAX_STREAMS);
    streams.truncate(MAX_STREAMS);
    (streams, unlooked)
}
