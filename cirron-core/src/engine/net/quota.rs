//! How many `net.client` scopes there may be: of one parent, and of one process.
//!
//! Asked by [`super`] when one would begin. A cache that is asked 50 000 times a second is one scope for each second where one
//! asks; where many ask in turns it is 50 000, and would fill the disk. What is past the bounds is measured and counted as any
//! other, and is no scope: so the sums on the session are true.

use std::collections::HashMap;

use super::super::shared::Shared;
use crate::id::Id;
use crate::limits::{MAX_NET_SCOPES, MAX_NET_SCOPES_OF_PARENT, MAX_PROCESSES};
use crate::scope::NetFigures;
use crate::time::{MS, MonoNs};

/// What is counted together.
const SECOND_NS: u64 = 1_000 * MS;

/// A process in one second of event time.
#[derive(Debug, Default)]
struct Second {
    number: u64,
    scopes: u32,
    of_parents: HashMap<Id, u32>,
}

/// All processes that have such scopes.
#[derive(Debug, Default)]
pub(in crate::engine) struct NetQuotas {
    processes: HashMap<u32, Second>,
    /// Parents of all of them.
    parents: usize,
}

impl NetQuotas {
    /// Whether one more may begin.
    pub(super) fn takes(&mut self, pid: u32, parent: Option<Id>, ts: MonoNs) -> bool {
        if self.processes.len() >= MAX_PROCESSES && !self.processes.contains_key(&pid) {
            return false;
        }
        let second = self.processes.entry(pid).or_default();
        let number = ts.0 / SECOND_NS;
        if second.number != number {
            self.parents -= second.of_parents.len();
            *second = Second {
                number,
                ..Second::default()
            };
        }
        if second.scopes >= MAX_NET_SCOPES {
            return false;
        }
        if let Some(parent) = parent {
            let count = second.of_parents.entry(parent).or_default();
            if *count >= MAX_NET_SCOPES_OF_PARENT {
                return false;
            }
            self.parents += usize::from(*count == 0);
            *count += 1;
        }
        second.scopes += 1;
        true
    }

    /// A process has ended, is another program, or is a new one of that number.
    pub(in crate::engine) fn end_process(&mut self, pid: u32) {
        if let Some(second) = self.processes.remove(&pid) {
            self.parents -= second.of_parents.len();
        }
    }

    /// Bytes that it holds, about.
    pub(in crate::engine) fn held_bytes(&self) -> usize {
        let parents = self.parents * 2 * size_of::<(Id, u32)>();
        self.processes.len() * 2 * size_of::<(u32, Second)>() + parents
    }
}

impl Shared {
    /// Turns of a process that are in no scope.
    pub(super) fn leave_out_turns(&mut self, pid: u32, turns: u64, figures: &NetFigures) {
        self.stats.net_turns_left_out += turns;
        let bytes = figures.sent + figures.received;
        self.sessions.count_left_out_turns(pid, turns, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_and_a_process_have_so_many_in_a_second_and_again_in_the_next() {
        let mut quotas = NetQuotas::default();
        let parent = |n: u32| Some(Id([n.to_be_bytes()[3]; 16]));
        let most = MAX_NET_SCOPES_OF_PARENT;
        for n in 0..most {
            assert!(quotas.takes(1, parent(1), MonoNs(5)), "{n}");
        }
        assert!(!quotas.takes(1, parent(1), MonoNs(SECOND_NS - 1)));
        assert!(quotas.takes(1, parent(2), MonoNs(5)));
        assert!(quotas.takes(2, parent(1), MonoNs(5)), "another process");
        assert!(quotas.takes(1, parent(1), MonoNs(SECOND_NS)));
        for n in 1..MAX_NET_SCOPES {
            assert!(quotas.takes(1, None, MonoNs(SECOND_NS)), "{n}");
        }
        assert!(!quotas.takes(1, None, MonoNs(SECOND_NS)));
        assert!(!quotas.takes(1, parent(3), MonoNs(SECOND_NS)));
        assert!(quotas.held_bytes() > 0);
        quotas.end_process(1);
        quotas.end_process(2);
        assert_eq!(quotas.held_bytes(), 0);
    }
}
