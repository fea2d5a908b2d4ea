//! What the core holds in sum, and who holds most of it.
//!
//! ```text
//!  connection touched -> Conn::held_bytes -> Budget::set -> over the limit? -> the largest gives up
//! ```
//! Sums are estimates, kept true by `cirron-core/tests/memory.rs` against an allocator that counts. Connections
//! stand in classes of a power of two, so that most touches change a number only. A client that wants much
//! for itself is found first; where all are small, whichever of the largest class has the highest key goes.

use std::collections::BTreeSet;

use super::Key;
use crate::limits::{DEFAULT_MAX_MEMORY_BYTES, MIN_MAX_MEMORY_BYTES};

/// Bytes of a connection besides what it reports: its entries in the maps and in the time-outs.
pub(super) const CONN_OVERHEAD_BYTES: usize = 256;

/// The sum over all connections, and its limit.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    total: usize,
    peak: usize,
    by_class: BTreeSet<(u32, Key)>,
}

/// The class of a size.
fn class(bytes: usize) -> u32 {
    bytes.max(1).ilog2()
}

impl Budget {
    /// `limit`: bytes; `None`: the default.
    pub(super) fn new(limit: Option<usize>) -> Budget {
        let limit = limit.unwrap_or(DEFAULT_MAX_MEMORY_BYTES);
        Budget {
            limit: limit.max(MIN_MAX_MEMORY_BYTES),
            total: 0,
            peak: 0,
            by_class: BTreeSet::new(),
        }
    }

    /// A connection held `before` bytes (0: it is new) and holds `now` (0: it is gone).
    pub(super) fn set(&mut self, key: Key, before: usize, now: usize) {
        self.total = self.total - before + now;
        self.peak = self.peak.max(self.total);
        if class(before) != class(now) || before == 0 || now == 0 {
            if before > 0 {
                self.by_class.remove(&(class(before), key));
            }
            if now > 0 {
                self.by_class.insert((class(now), key));
            }
        }
    }

    /// One of those that hold most, while all hold too much.
    pub(super) fn too_much(&self) -> Option<Key> {
        let (_, key) = self.by_class.last().filter(|_| self.total > self.limit)?;
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

    #[test]
    fn the_sum_is_exact_and_the_largest_is_found_while_it_is_too_much() {
        let mut budget = Budget::new(Some(LIMIT));
        budget.set(A, 0, 1_000);
        budget.set(B, 0, LIMIT);
        assert_eq!(budget.too_much(), Some(B), "over the limit by A's");
        budget.set(B, LIMIT, 10);
        assert_eq!((budget.too_much(), budget.total()), (None, 1_010));
        budget.set(A, 1_000, LIMIT + 1);
        assert_eq!(budget.too_much(), Some(A));
        budget.set(A, LIMIT + 1, 0);
        budget.set(B, 10, 0);
        assert_eq!((budget.too_much(), budget.total()), (None, 0));
        assert_eq!(budget.peak(), LIMIT + 1_000);
        assert!(budget.by_class.is_empty());
    }

    #[test]
    fn a_limit_that_is_too_small_for_anything_is_raised() {
        assert_eq!(Budget::new(Some(1)).limit, MIN_MAX_MEMORY_BYTES);
        assert_eq!(Budget::new(None).limit, DEFAULT_MAX_MEMORY_BYTES);
    }
}
