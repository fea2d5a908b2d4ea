//! Counters over time of a trace: what changes is collected, and written in the order of time at the end.

use std::collections::HashMap;

use super::lanes::Track;

/// Changes that are held, 32 bytes each: four for a request, so that a spool of 1 GB has fewer.
pub(super) const MAX_CHANGES: usize = 4_000_000;

/// What is counted, of each process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Counter {
    /// Requests that it serves.
    Served,
    /// Calls that it makes.
    Called,
    /// Output tokens a second, each stream's spread evenly from its first token to its end. In thousandths.
    Rate,
    /// Output tokens of requests that have ended, from the beginning on.
    Tokens,
}

impl Counter {
    /// Its name on the page.
    pub(super) fn name(self) -> &'static str {
        match self {
            Counter::Served => "requests in progress",
            Counter::Called => "calls in progress",
            Counter::Rate => "output tokens/s, spread over each stream",
            Counter::Tokens => "output tokens so far",
        }
    }

    /// A value as it is shown.
    pub(super) fn shown(self, value: i64) -> f64 {
        match self {
            Counter::Rate => value as f64 / 1e3,
            Counter::Served | Counter::Called | Counter::Tokens => value as f64,
        }
    }
}

/// A change at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Change {
    ns: u64,
    process: Track,
    counter: Counter,
    by: i64,
}

/// All changes so far.
#[derive(Debug, Default)]
pub(super) struct Counters {
    changes: Vec<Change>,
    /// Requests that are not counted, since there was no room.
    pub(super) left_out: usize,
}

impl Counters {
    /// Adds what a request does, all of it or nothing: a beginning without its end would count on for ever.
    pub(super) fn add(&mut self, process: Track, all: &[(Counter, u64, i64)]) {
        if self.changes.len() + all.len() > MAX_CHANGES {
            self.left_out += 1;
            return;
        }
        let changes = all.iter().map(|(counter, ns, by)| Change {
            ns: *ns,
            process,
            counter: *counter,
            by: *by,
        });
        self.changes.extend(changes);
    }

    /// The values in the order of time, one for each moment at which one changes.
    pub(super) fn each(
        mut self,
        mut give: impl FnMut(u64, Track, Counter, i64) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        self.changes.sort_unstable();
        let mut values: HashMap<(Track, Counter), i64> = HashMap::new();
        let mut changes = self.changes.iter().peekable();
        while let Some(change) = changes.next() {
            let value = values.entry((change.process, change.counter)).or_default();
            *value = value.saturating_add(change.by);
            let is = |next: &&&Change| {
                (next.ns, next.process, next.counter) == (change.ns, change.process, change.counter)
            };
            if changes.peek().filter(is).is_none() {
                give(change.ns, change.process, change.counter, *value)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn values_come_in_the_order_of_time_once_a_moment() {
        let mut counters = Counters::default();
        counters.add(1, &[(Counter::Served, 5, 1), (Counter::Served, 9, -1)]);
        counters.add(1, &[(Counter::Served, 2, 1), (Counter::Served, 5, -1)]);
        counters.add(2, &[(Counter::Served, 5, 1)]);
        let mut got = Vec::new();
        let give = |ns, process, _, value| {
            got.push((ns, process, value));
            Ok(())
        };
        counters.each(give).unwrap();
        assert_eq!(got, [(2, 1, 1), (5, 1, 1), (5, 2, 1), (9, 1, 0)]);
    }
}
