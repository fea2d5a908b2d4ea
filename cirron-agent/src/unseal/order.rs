//! Records of one direction, put in order of their positions.
//!
//! Two threads of a target that use one socket may hand their records over in the other order. What is ahead waits for what
//! is missing, within the bounds that the core has for it; then the hole is final. Records go in and out as they came, with
//! their times and threads.

use std::collections::BTreeMap;

use cirron_core::limits::{MAX_REORDER_BYTES, REORDER_WINDOW_NS};
use cirron_core::time::MonoNs;

/// See the module.
#[derive(Debug, Default)]
pub struct Order {
    /// Where the next record begins.
    next: u64,
    /// By position.
    held: BTreeMap<u64, Held>,
    held_bytes: usize,
}

#[derive(Debug)]
struct Held {
    ts: MonoNs,
    len: u64,
    record: Vec<u8>,
}

impl Order {
    /// A record of `len` bytes at `pos`. True: it is its turn; what it let go is [`Order::pop`]'s.
    pub fn take(&mut self, pos: u64, len: u64, ts: MonoNs, record: &[u8]) -> bool {
        if pos <= self.next {
            self.next = self.next.max(pos.saturating_add(len));
            return true;
        }
        let record = record.to_vec();
        self.held_bytes += record.len();
        let held = Held { ts, len, record };
        if let Some(same) = self.held.insert(pos, held) {
            self.held_bytes -= same.record.len();
        }
        false
    }

    /// The next record that is not ahead of what is missing; at `now` one that has waited too long is not.
    pub fn pop(&mut self, now: Option<MonoNs>) -> Option<Vec<u8>> {
        let (pos, held) = self.held.first_key_value()?;
        let is_late = now.is_some_and(|now| held.ts.plus(REORDER_WINDOW_NS) <= now);
        let is_due = *pos <= self.next || is_late || self.held_bytes > MAX_REORDER_BYTES;
        if !is_due {
            return None;
        }
        let (pos, held) = self.held.pop_first()?;
        self.held_bytes -= held.record.len();
        self.next = self.next.max(pos.saturating_add(held.len));
        Some(held.record)
    }

    /// Some wait.
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Something is missing for longer than we wait.
    pub fn is_stale(&self, now: MonoNs) -> bool {
        let first = self.held.first_key_value();
        first.is_some_and(|(_, held)| held.ts.plus(REORDER_WINDOW_NS) <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(order: &mut Order, now: Option<MonoNs>) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| order.pop(now)).collect()
    }

    #[test]
    fn records_come_out_in_order_whatever_they_came_in() {
        let mut order = Order::default();
        let at = MonoNs(1);
        assert!(!order.take(20, 5, at, b"c"));
        assert!(!order.take(10, 10, at, b"b"));
        assert_eq!(order.pop(None), None);
        assert!(order.take(0, 10, at, b"a"));
        assert_eq!(drain(&mut order, None), [b"b", b"c"]);
        assert!(order.take(25, 1, at, b"d"));
        assert!(!order.is_holding());
    }

    #[test]
    fn what_is_missing_for_long_is_waited_for_no_more() {
        let mut order = Order::default();
        assert!(!order.take(10, 10, MonoNs(1), b"b"));
        let later = MonoNs(1).plus(REORDER_WINDOW_NS);
        assert!(!order.is_stale(MonoNs(1)));
        assert_eq!(order.pop(Some(MonoNs(1))), None);
        assert!(order.is_stale(later));
        assert_eq!(drain(&mut order, Some(later)), [b"b"]);
        assert!(order.take(20, 1, later, b"c"), "the hole is passed");
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut order = Order::default();
        let record = vec![0; 1 << 16];
        let mut given = 0;
        for n in 1..=100 {
            given += usize::from(order.take(n << 16, 1 << 16, MonoNs(1), &record));
            given += drain(&mut order, None).len();
        }
        assert!(given > 90, "{given}");
        assert!(order.held_bytes <= MAX_REORDER_BYTES);
    }
}
