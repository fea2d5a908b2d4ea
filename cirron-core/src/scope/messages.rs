//! Messages of one end of an exchange that carries many: how many, how large, and when.

use super::span::{AttrValue, Attrs};
use super::tokens::First;
use crate::time::MonoNs;

/// Of one end, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Messages {
    /// Whole ones, on the wire.
    pub(super) count: u64,
    /// Their payload as sent, bytes.
    pub(super) bytes: u64,
    /// When the first was complete.
    pub(super) first: First,
    /// When the last was.
    pub(super) last: Option<MonoNs>,
    pub(super) largest_gap_ns: u64,
    /// There may be more: a hole, a late beginning, an early end.
    pub(super) at_least: bool,
}

impl Messages {
    /// One is complete.
    pub(super) fn take(&mut self, ts: MonoNs, bytes: u64) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        self.first.take(ts, true);
        if let Some(last) = self.last {
            self.largest_gap_ns = self.largest_gap_ns.max(ts.since(last));
        }
        self.last = Some(ts);
    }

    /// Some may be missing here.
    pub(super) fn hole(&mut self) {
        self.at_least = true;
        self.first.hole();
    }

    /// Counts under these names: messages, bytes.
    pub(super) fn describe(&self, names: [&'static str; 2], attrs: &mut Attrs) {
        for (name, count) in names.into_iter().zip([self.count, self.bytes]) {
            attrs.insert(name, AttrValue::from(count));
        }
    }
}
