//! What the core holds in sum, and who gives up first where that is too much.
//!
//! ```text
//!  connection touched -> Conn::share -> Budget::set -> over the limit? -> the least useful gives up
//!  process introduced -> Budget::set_shared ---------^
//! ```
//! Sums are estimates, kept true by `cirron-core/tests/memory.rs` against an allocator that counts. Whoever wants
//! much for itself goes first, the largest before others. Where all are small, those go that are not read, then
//! those that are idle or have sent half a head, then those with an open exchange, each time the larger and newer
//! ones first: a flood of connections takes no place from what was there before it. Connections stand in classes
//! of a power of two, so that most touches change a number only. Sessions and contexts are counted and give nothing up
//! here: their numbers have limits of their own.

use std::collections::BTreeSet;

use super::Key;
use crate::limits::{DEFAULT_MAX_MEMORY_BYTES, MIN_MAX_MEMORY_BYTES};

/// Bytes of a connection besides what it reports: its entries in the maps and in the time-outs, and in the lists
/// of sockets that the shell asks the kernel for.
pub(super) const CONN_OVERHEAD_BYTES: usize = 320;

/// A connection that holds more is large, 256 KiB as a power of two: a head, its body's decoder and the tokens of a
/// long answer take less.
const LARGE_CLASS: u32 = 18;

/// What a connection is of use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Usefulness {
    /// An exchange is open on it.
    Open,
    /// No exchange is open: it is idle, or a head is not complete.
    Idle,
    /// It is not read: only its end is waited for.
    Unread,
}

/// What a connection holds, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) bytes: usize,
    pub(super) usefulness: Usefulness,
}

/// Who gives up first is last in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_large: bool,
    usefulness: Usefulness,
    class: u32,
}

impl Share {
    fn rank(self) -> Rank {
        let class = self.bytes.max(1).ilog2();
        let is_large = class >= LARGE_CLASS;
        Rank {
            is_large,
            // Among large ones only the size counts.
            usefulness: if is_large {
                Usefulness::Open
            } else {
                self.usefulness
            },
            class,
        }
    }
}

/// The sum over all connections and sessions, and its limit.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    total: usize,
    shared: usize,
    peak: usize,
    by_rank: BTreeSet<(Rank, Key)>,
}

impl Budget {
    /// `limit`: bytes; `None`: the default.
    pub(super) fn new(limit: Option<usize>) -> Budget {
        let limit = limit.unwrap_or(DEFAULT_MAX_MEMORY_BYTES);
        Budget {
            limit: limit.max(MIN_MAX_MEMORY_BYTES),
            total: 0,
            shared: 0,
            peak: 0,
            by_rank: BTreeSet::new(),
        }
    }

    /// What a connection held (`None`: it is new) and holds (`None`: it is gone).
    pub(super) fn set(&mut self, key: Key, before: Option<Share>, now: Option<Share>) {
        let bytes = |share: Option<Share>| share.map_or(0, |s| s.bytes);
        self.total = self.total - bytes(before) + bytes(now);
        self.peak = self.peak.max(self.total);
        let (before, now) = (before.map(Share::rank), now.map(Share::rank));
        if before != now {
            if let Some(before) = before {
                self.by_rank.remove(&(before, key));
            }
            if let Some(now) = now {
                self.by_rank.insert((now, key));
            }
        }
    }

    /// Bytes that no connection holds: those of sessions and contexts.
    pub(super) fn set_shared(&mut self, bytes: usize) {
        self.total = self.total - self.shared + bytes;
        self.shared = bytes;
        self.peak = self.peak.max(self.total);
    }

    /// The one that is to give up, while all hold too much.
    pub(super) fn too_much(&self) -> Option<Key> {
        let (_, key) = self.by_rank.last().filter(|_| self.total > self.limit)?;
        Some(*key)
    }

    /// Bytes held.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// The most that was held.
    pub(super) fn peak(&self) -> usize {
        self.peak
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Key = (1, 1);
    const B: Key = (2, 1);
    const LIMIT: usize = MIN_MAX_MEMORY_BYTES;

    fn share(bytes: usize, usefulness: Usefulness) -> Option<Share> {
        Some(Share { bytes, usefulness })
    }

    fn idle(bytes: usize) -> Option<Share> {
        share(bytes, Usefulness::Idle)
    }

    #[test]
    fn the_sum_is_exact_and_the_largest_is_found_while_it_is_too_much() {
        let mut budget = Budget::new(Some(LIMIT));
        budget.set(A, None, idle(1_000));
        budget.set(B, None, idle(LIMIT));
        assert_eq!(budget.too_much(), Some(B), "over the limit by A's");
        budget.set(B, idle(LIMIT), idle(10));
        assert_eq!((budget.too_much(), budget.total()), (None, 1_010));
        budget.set(A, idle(1_000), idle(LIMIT + 1));
        assert_eq!(budget.too_much(), Some(A));
        budget.set(A, idle(LIMIT + 1), None);
        budget.set(B, idle(10), None);
        assert_eq!((budget.too_much(), budget.total()), (None, 0));
        assert_eq!(budget.peak(), LIMIT + 1_000);
        assert!(budget.by_rank.is_empty());
    }

    #[test]
    fn the_large_go_first_then_the_less_useful_then_the_larger_and_newer() {
        use Usefulness::{Idle, Open, Unread};
        let mut budget = Budget::new(Some(LIMIT));
        // Of sessions, so that all is too much whatever goes.
        budget.set_shared(2 * LIMIT);
        let shares = [
            (1, share(300 * 1024, Unread)),
            (2, share(900 * 1024, Open)),
            (3, share(2_000, Open)),
            (4, share(2_000, Open)),
            (5, share(9_000, Open)),
            (6, share(2_000, Idle)),
            (7, share(9_000, Idle)),
            (8, share(500, Unread)),
        ];
        for (inode, share) in shares {
            budget.set((inode, 1), None, share);
        }
        let mut order = Vec::new();
        while let Some(key) = budget.too_much() {
            order.push(key.0);
            let share = shares.iter().find(|(inode, _)| *inode == key.0);
            budget.set(key, share.and_then(|(_, share)| *share), None);
        }
        assert_eq!(order, [2, 1, 8, 7, 6, 5, 4, 3]);
    }

    #[test]
    fn sessions_are_part_of_the_sum() {
        let mut budget = Budget::new(Some(LIMIT));
        budget.set(A, None, idle(1_000));
        budget.set_shared(LIMIT);
        assert_eq!(budget.too_much(), Some(A));
        budget.set_shared(500);
        assert_eq!((budget.too_much(), budget.total()), (None, 1_500));
    }

    #[test]
    fn a_limit_that_is_too_small_for_anything_is_raised() {
        assert_eq!(Budget::new(Some(1)).limit, MIN_MAX_MEMORY_BYTES);
        assert_eq!(Budget::new(None).limit, DEFAULT_MAX_MEMORY_BYTES);
    }
}
