//! The own share of a request that calls others: `overhead_ms`.
//!
//! Of its whole time, from its first byte to the end of its answer, what none of its calls covers. Of the time to its first
//! token the same, where a call that streams covers until its own first token came, and any other one until its end: what
//! lies between the model's token and ours is ours. Calls that overlap are counted once. Of a request with no call that is
//! known to be its there is no such figure.

use super::marks::Marks;
use super::names as n;
use super::span::Attrs;
use super::store::Call;
use crate::time::{MS, MonoNs};

/// Times of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) start: MonoNs,
    pub(super) first_token: Option<MonoNs>,
    pub(super) end: Option<MonoNs>,
}

/// Writes the shares.
pub(super) fn write(times: Times, calls: &[Call], marks: &mut Marks<'_>) {
    if calls.is_empty() {
        return;
    }
    let mut share = |of: &'static str, until: MonoNs, covers: &dyn Fn(&Call) -> Option<MonoNs>| {
        let covered = calls.iter().map(|call| {
            let end = covers(call).unwrap_or(until);
            (call.start, end)
        });
        let own = uncovered(times.start, until, covered.collect());
        let mut attrs = Attrs::new();
        attrs.insert(n::OVERHEAD_OF, of.into());
        marks.float(n::OVERHEAD, own as f64 / MS as f64, attrs, until);
    };
    if let Some(first) = times.first_token {
        share(n::TIME_TO_FIRST_TOKEN, first, &|call| {
            call.first_token.or(call.end)
        });
    }
    if let Some(end) = times.end {
        share(n::REQUEST_DURATION, end, &|call| call.end);
    }
}

/// Ns between `from` and `until` that are in none of the spans.
fn uncovered(from: MonoNs, until: MonoNs, mut spans: Vec<(MonoNs, MonoNs)>) -> u64 {
    spans.sort_unstable();
    let mut own = 0;
    let mut at = from;
    for (start, end) in spans {
        own += start.min(until).since(at);
        at = at.max(end.min(until));
    }
    own + until.since(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_call_covers_is_counted_once() {
        let at = |from, until, spans: &[(u64, u64)]| {
            let spans = spans.iter().map(|(a, b)| (MonoNs(*a), MonoNs(*b)));
            uncovered(MonoNs(from), MonoNs(until), spans.collect())
        };
        assert_eq!(at(10, 100, &[]), 90);
        assert_eq!(at(10, 100, &[(20, 50)]), 60);
        // One within the other, overlapping, out of order.
        assert_eq!(at(10, 100, &[(40, 60), (20, 50), (30, 35)]), 50);
        // Beyond both ends.
        assert_eq!(at(10, 100, &[(0, 20), (90, 300)]), 70);
        assert_eq!(at(10, 100, &[(200, 300)]), 90);
        assert_eq!(at(10, 10, &[(0, 20)]), 0);
    }
}
