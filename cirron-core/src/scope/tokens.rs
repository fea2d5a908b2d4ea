//! Times of the events that carried content.

use crate::llm::Content;
use crate::time::MonoNs;

/// Of one stream.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenTimes {
    pub(super) first: Option<MonoNs>,
    pub(super) first_reasoning: Option<MonoNs>,
    pub(super) first_answer: Option<MonoNs>,
    pub(super) last: Option<MonoNs>,
    pub(super) count: u64,
    pub(super) largest_gap_ns: u64,
    /// One for each content event after the first, where asked for: when, and ns since the one
    /// before.
    pub(super) points: Vec<(MonoNs, u64)>,
}

impl TokenTimes {
    /// An event that was complete at `ts`.
    pub(super) fn take(&mut self, ts: MonoNs, content: Content, keep_points: bool) {
        if !content.is_some() {
            return;
        }
        if let Some(last) = self.last {
            let gap = ts.since(last);
            self.largest_gap_ns = self.largest_gap_ns.max(gap);
            if keep_points && self.points.len() < crate::limits::MAX_CHUNK_POINTS {
                self.points.push((ts, gap));
            }
        }
        let first_of = |slot: &mut Option<MonoNs>, is: bool| {
            if is && slot.is_none() {
                *slot = Some(ts);
            }
        };
        first_of(&mut self.first, true);
        first_of(&mut self.first_reasoning, content.reasoning);
        first_of(&mut self.first_answer, content.answer);
        self.last = Some(ts);
        self.count += 1;
    }
}
