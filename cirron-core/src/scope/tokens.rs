//! Times of the events that carried content, and what a hole makes unknown of them.

use crate::limits::MAX_CHUNK_POINTS;
use crate::llm::Content;
use crate::time::MonoNs;

/// Time for each event below which a stream was not made as it was sent, ns. The fastest that serve
/// make some 3 000 tokens a second for one answer, that is 300 us for each.
const MAX_BURST_EVENT_NS: u64 = 50_000;

/// Least number of events in a burst: two or three may share a step of speculation.
const MIN_BURST_EVENTS: u64 = 4;

/// When something came for the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum First {
    /// It did not.
    #[default]
    Never,
    /// A hole may have taken it.
    Unknown,
    /// Then.
    At(MonoNs),
}

impl First {
    /// The time, where it is known.
    pub(super) fn at(self) -> Option<MonoNs> {
        match self {
            First::At(ts) => Some(ts),
            First::Never | First::Unknown => None,
        }
    }

    pub(super) fn take(&mut self, ts: MonoNs, is: bool) {
        if is && *self == First::Never {
            *self = First::At(ts);
        }
    }

    pub(super) fn hole(&mut self) {
        if *self == First::Never {
            *self = First::Unknown;
        }
    }
}

/// Of one stream.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenTimes {
    pub(super) first: First,
    pub(super) first_reasoning: First,
    pub(super) first_answer: First,
    pub(super) first_tool: First,
    /// Reasoning was seen at all.
    pub(super) reasons: bool,
    pub(super) last: Option<MonoNs>,
    pub(super) count: u64,
    pub(super) largest_gap_ns: u64,
    /// One for each content event after the first, where asked for: when, and ns since the one
    /// before. Up to the first hole: behind it neither the time nor the index is known.
    pub(super) points: Vec<(MonoNs, u64)>,
    broken: bool,
    /// Events that were written to a client that had left. In none of the others.
    pub(super) to_nobody: u64,
    leaving: Option<Box<Leaving>>,
}

/// The client may have left: what is so without the events since.
#[derive(Clone, Debug)]
struct Leaving {
    /// Later events came since.
    from: MonoNs,
    before: TokenTimes,
}

impl TokenTimes {
    /// Bytes of what may be long: its points.
    pub(super) fn held_bytes(&self) -> usize {
        let points = |t: &TokenTimes| t.points.capacity() * size_of::<(MonoNs, u64)>();
        points(self) + self.leaving.as_ref().map_or(0, |l| points(&l.before))
    }

    /// No more comes: the points are given up.
    pub(super) fn give_up(&mut self) {
        self.points = Vec::new();
        self.broken = true;
        if let Some(leaving) = &mut self.leaving {
            leaving.before.give_up();
        }
    }

    /// An event that was complete at `ts`.
    pub(super) fn take(&mut self, ts: MonoNs, content: Content, keep_points: bool) {
        if !content.is_some() {
            return;
        }
        if let Some(leaving) = &mut self.leaving
            && ts <= leaving.from
        {
            leaving.before.take(ts, content, keep_points);
        }
        if let Some(last) = self.last {
            let gap = ts.since(last);
            self.largest_gap_ns = self.largest_gap_ns.max(gap);
            if keep_points && !self.broken && self.points.len() < MAX_CHUNK_POINTS {
                self.points.push((ts, gap));
            }
        }
        self.first.take(ts, true);
        self.first_reasoning.take(ts, content.reasoning);
        self.first_answer.take(ts, content.answer);
        self.first_tool.take(ts, content.tool);
        self.reasons |= content.reasoning;
        self.last = Some(ts);
        self.count += 1;
    }

    /// The client may have left: what comes later than `from` is for nobody, if it has.
    pub(super) fn leave(&mut self, from: MonoNs) {
        if self.leaving.is_none() {
            let before = self.clone();
            self.leaving = Some(Box::new(Leaving { from, before }));
        }
    }

    /// Whether it has left is known now.
    pub(super) fn settle(&mut self, has_left: bool) {
        if let Some(leaving) = self.leaving.take().filter(|_| has_left) {
            let all = self.count;
            *self = leaving.before;
            self.to_nobody = all - self.count;
        }
    }

    /// All of them came at once: they were made before, and held.
    pub(super) fn is_burst(&self) -> bool {
        let (Some(first), Some(last)) = (self.first.at(), self.last) else {
            return false;
        };
        self.count >= MIN_BURST_EVENTS
            && last.since(first) < (self.count - 1).saturating_mul(MAX_BURST_EVENT_NS)
    }

    /// Events may be missing here.
    pub(super) fn hole(&mut self) {
        if let Some(leaving) = &mut self.leaving {
            leaving.before.hole();
        }
        self.broken = true;
        for first in [
            &mut self.first,
            &mut self.first_reasoning,
            &mut self.first_answer,
            &mut self.first_tool,
        ] {
            first.hole();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: Content = Content {
        answer: true,
        reasoning: false,
        tool: false,
    };
    const REASONING: Content = Content {
        answer: false,
        reasoning: true,
        tool: false,
    };

    #[test]
    fn a_hole_makes_unknown_what_was_not_yet_seen_and_leaves_the_rest() {
        let mut times = TokenTimes::default();
        times.take(MonoNs(5), REASONING, true);
        times.take(MonoNs(9), Content::default(), true);
        times.hole();
        times.take(MonoNs(20), ANSWER, true);
        assert_eq!(times.first, First::At(MonoNs(5)));
        assert_eq!(times.first_reasoning, First::At(MonoNs(5)));
        assert_eq!(times.first_answer, First::Unknown);
        assert_eq!(times.count, 2);
        assert!(times.points.is_empty());
    }

    #[test]
    fn points_stop_at_their_bound_and_the_rest_goes_on() {
        let mut times = TokenTimes::default();
        for i in 0..MAX_CHUNK_POINTS as u64 + 9 {
            times.take(MonoNs(i * i), ANSWER, true);
        }
        assert_eq!(times.points.len(), MAX_CHUNK_POINTS);
        assert_eq!(times.count, MAX_CHUNK_POINTS as u64 + 9);
        let last = MAX_CHUNK_POINTS as u64 + 8;
        assert_eq!(times.largest_gap_ns, last * last - (last - 1) * (last - 1));
    }
}
