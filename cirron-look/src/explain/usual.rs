//! A call beside its like: the same endpoint and model, begun at about the same time.

use serde::Serialize;

use crate::figures::ranked;
use crate::survey::calls::{Call, Figure};
use crate::survey::collect::Collected;

/// How far before and behind a call its like are looked for first: long enough for a server of some load, short enough
/// that it is still the same load.
const WINDOW_NS: u64 = 300_000_000_000;

/// Calls from which a median says something; below, the whole spool is looked at.
const ENOUGH: usize = 20;

/// Calls below which there is no median to tell.
const LEAST: usize = 5;

/// A call's like.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Usual {
    /// How many: of the same endpoint and model, that ended well, without itself.
    pub calls: usize,
    /// All are of its own process: a gateway and the server behind it serve the same endpoint, and are not alike. Not so
    /// where its process had too few, as behind a restart.
    pub of_process: bool,
    /// Within how many seconds before and behind it they began; absent where that is the whole spool.
    pub within_s: Option<u64>,
    /// Its figures and their medians; none of too few.
    pub compared: Vec<Compared>,
}

/// A figure and the median of its like.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// `latency_ms`, `time_to_first_token_ms`, `time_per_output_token_ms`, `input_tokens`, `output_tokens`, `in_flight`.
    pub what: &'static str,
    /// The call's; absent where it is not known.
    pub own: Option<f64>,
    /// The median of those that have one.
    pub median: f64,
    /// How many these are.
    pub of: usize,
}

/// The like of a call; `beside` are the calls of its process that were in flight while it was.
pub(super) fn usual(all: &Collected, call: &Call, beside: &[&Call]) -> Usual {
    let is_like = |other: &&Call| {
        other.key != call.key
            && (other.kind, other.endpoint, other.model) == (call.kind, call.endpoint, call.model)
            && !other.has_failed()
            && !other.is_aborted()
            && !other.is_open()
    };
    let like: Vec<&Call> = all.calls.iter().filter(is_like).collect();
    let of_process = |other: &&&Call| other.parent == call.parent;
    let is_of_process = like.iter().filter(of_process).count() >= LEAST;
    let like = match is_of_process {
        true => like.iter().filter(of_process).copied().collect(),
        false => like,
    };
    let near: Vec<&Call> = like
        .iter()
        .copied()
        .filter(|other| other.start_ns.abs_diff(call.start_ns) <= WINDOW_NS)
        .collect();
    let is_near = near.len() >= ENOUGH;
    let like = if is_near { near } else { like };
    let within_s = is_near.then_some(WINDOW_NS / 1_000_000_000);
    if like.len() < LEAST {
        return Usual {
            calls: like.len(),
            of_process: is_of_process,
            within_s,
            compared: Vec::new(),
        };
    }
    let mut compared = Vec::new();
    let columns: [(&'static str, Figure); 5] = [
        ("latency_ms", Call::latency_ms),
        ("time_to_first_token_ms", Call::ttft_ms),
        ("time_per_output_token_ms", Call::tpot_ms),
        ("input_tokens", Call::tokens_in),
        ("output_tokens", Call::tokens_out),
    ];
    for (what, of) in columns {
        let values = like.iter().filter_map(|other| of(other)).map(f64::from);
        compared.extend(compare(what, of(call).map(f64::from), values.collect()));
    }
    // Itself counts, as it does for each of the others.
    let own = 1 + beside
        .iter()
        .filter(|other| is_open_at(other, call.start_ns))
        .count();
    let usual = in_flight(all, call, &like);
    compared.extend(compare("in_flight", Some(own as f64), usual));
    Usual {
        calls: like.len(),
        of_process: is_of_process,
        within_s,
        compared,
    }
}

fn compare(what: &'static str, own: Option<f64>, mut values: Vec<f64>) -> Option<Compared> {
    values.sort_by(f64::total_cmp);
    let median = ranked(&values, 0.5).filter(|_| values.len() >= LEAST)?;
    Some(Compared {
        what,
        own,
        median,
        of: values.len(),
    })
}

fn is_open_at(call: &Call, ns: u64) -> bool {
    call.start_ns <= ns && (call.is_open() || call.end_ns > ns)
}

/// How many calls of its process were in flight when each of these began.
fn in_flight(all: &Collected, call: &Call, like: &[&Call]) -> Vec<f64> {
    let of_process: Vec<&Call> = all
        .calls
        .iter()
        .filter(|other| super::is_beside(other, call))
        .collect();
    let load = crate::survey::load::in_flight(&of_process);
    let mut by_key: Vec<_> = of_process.iter().map(|call| call.key).zip(load).collect();
    by_key.sort_unstable();
    like.iter()
        .filter_map(|call| {
            let at = by_key
                .binary_search_by_key(&call.key, |(key, _)| *key)
                .ok()?;
            by_key.get(at).map(|(_, load)| f64::from(*load))
        })
        .collect()
}
