//! Time-outs of connections, by connection and by time: setting one, and finding those that are due,
//! takes no look at the others. A second of short connections leaves thousands that wait for their end.

use std::collections::BTreeSet;

use super::{Key, Map};
use crate::time::MonoNs;

/// One time-out at most for each connection.
#[derive(Debug, Default)]
pub(super) struct Timers {
    at: Map<Key, MonoNs>,
    by_time: BTreeSet<(MonoNs, Key)>,
}

impl Timers {
    /// Sets the time-out of `key`, or takes it away.
    pub(super) fn set(&mut self, key: Key, at: Option<MonoNs>) {
        let before = match at {
            Some(at) => self.at.insert(key, at),
            None => self.at.remove(&key),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, key));
        }
        if let Some(at) = at {
            self.by_time.insert((at, key));
        }
    }

    /// The first of all.
    pub(super) fn first(&self) -> Option<MonoNs> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Those at or before `now`, the earliest first.
    pub(super) fn due(&self, now: MonoNs) -> Vec<Key> {
        let due = self.by_time.iter().take_while(|(at, _)| *at <= now);
        due.map(|(_, key)| *key).collect()
    }

    pub(super) fn clear(&mut self) {
        self.at.clear();
        self.by_time.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_out_that_is_moved_or_taken_away_is_not_due_where_it_was() {
        let (a, b, c) = ((1, 1), (2, 1), (3, 1));
        let mut timers = Timers::default();
        timers.set(a, Some(MonoNs(30)));
        timers.set(b, Some(MonoNs(20)));
        timers.set(c, Some(MonoNs(10)));
        timers.set(a, Some(MonoNs(15)));
        timers.set(c, None);
        timers.set(c, None);
        assert_eq!(timers.first(), Some(MonoNs(15)));
        assert_eq!(timers.due(MonoNs(19)), [a]);
        assert_eq!(timers.due(MonoNs(30)), [a, b]);
        timers.set(a, None);
        timers.clear();
        assert_eq!((timers.first(), timers.due(MonoNs(99))), (None, vec![]));
    }
}
