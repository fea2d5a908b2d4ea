//! What was reported of a call's tokens, against what was seen of its answer.
//!
//! ```text
//!   report, content, content, end        told before there was any: the events count
//!   content + report, content, end       told on the way: the report, and the events behind it
//!   content, content, report, end        told of all
//! ```
//! A report of all is believed; any other gives way to an estimate. The last report of an answer that
//! broke off (a hole behind it, an error, no end) is a lower bound.

use super::tokens::TokenTimes;
use crate::llm::{ResponseFacts, Usage};
use crate::time::MonoNs;

/// The reports of a response so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    last: Report,
    /// The client may have left then: what was reported until that.
    leaving: Option<(MonoNs, Report)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Report {
    usage: Usage,
    /// How many said what the answer has.
    count: u64,
    /// Events with content that had come with the last of these.
    covers: u64,
    /// The last of these broke off.
    cut: bool,
    /// The stream may have broken off since: a hole, an error.
    broken_off: bool,
    failed: bool,
}

/// What is believed of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Believed {
    /// What was reported.
    pub(super) usage: Usage,
    /// A lower bound: the answer may have gone on.
    pub(super) at_least: bool,
    /// Tokens of a stream whose report is missing, or does not cover it.
    pub(super) estimate: Option<u64>,
    /// An error ended the stream: how long it took is that of no answer.
    pub(super) failed: bool,
}

impl Told {
    /// What is told with, or behind, the last event of the answer.
    pub(super) fn at_end(facts: &ResponseFacts, tokens: &TokenTimes) -> Told {
        let mut told = Told::default();
        told.event(Some(MonoNs(0)), facts, tokens.count);
        told
    }

    /// An event ended, with which `content` events with content have come. `ts`: when, where it was
    /// whole.
    pub(super) fn event(&mut self, ts: Option<MonoNs>, facts: &ResponseFacts, content: u64) {
        self.last.event(facts, content, ts.is_some());
        if let Some((from, before)) = &mut self.leaving
            && ts.is_some_and(|ts| ts <= *from)
        {
            before.event(facts, content, true);
        }
    }

    /// Events may be missing here.
    pub(super) fn lose(&mut self) {
        self.last.broken_off = true;
        if let Some((_, before)) = &mut self.leaving {
            before.broken_off = true;
        }
    }

    /// The client may have left: what is told later than `from` is told to nobody, if it has.
    pub(super) fn leave(&mut self, from: MonoNs) {
        self.leaving.get_or_insert((from, self.last));
    }

    /// Whether it has left is known now.
    pub(super) fn settle(&mut self, has_left: bool) {
        self.leaving = self.leaving.filter(|_| has_left);
    }

    /// What was reported last. `to_nobody`: what was said of the answer behind the client's leaving
    /// counts tokens that were made for nobody.
    fn report(&self, to_nobody: bool) -> Report {
        match self.leaving.filter(|_| to_nobody) {
            Some((_, then)) => Report {
                usage: Usage {
                    output: then.usage.output,
                    total: then.usage.total,
                    reasoning: then.usage.reasoning,
                    audio_output: then.usage.audio_output,
                    ..self.last.usage
                },
                ..then
            },
            None => self.last,
        }
    }

    /// What of it is believed. `ended`: all that the answer had to say has come; `unbroken`: no event
    /// can be missing before that; `aside`: what was told elsewhere, of all of the answer.
    pub(super) fn believed(
        &self,
        tokens: &TokenTimes,
        is_stream: bool,
        ended: bool,
        unbroken: bool,
        aside: &Usage,
    ) -> Believed {
        let mut report = self.report(is_stream && tokens.to_nobody > 0);
        let seen = tokens.count;
        let covers = !is_stream || report.covers >= seen || aside.output.is_some();
        if report.covers < seen && aside.output.is_some() {
            (report.usage.output, report.usage.total) = (None, None);
        }
        let usage = report.usage.or(aside);
        let mut usage = usage.believed(seen > 0, tokens.reasons);
        // A 0 is no lower bound.
        if usage.output == Some(0) && !(ended && unbroken) {
            (usage.output, usage.total) = (None, None);
        }
        let mut estimate = Some(seen).filter(|n| is_stream && *n > 0 && usage.output.is_none());
        if !covers && usage.output.is_some() {
            estimate = Some(report.estimate(usage.output, seen, unbroken));
            usage = Usage {
                output: None,
                total: None,
                reasoning: None,
                audio_output: None,
                ..usage
            };
        }
        let broke_off = report.cut || is_stream && report.broken_off;
        // A sum alone may have been told before the content that a hole took.
        if is_stream && report.broken_off && usage.output.is_none() {
            usage.total = None;
        }
        Believed {
            usage,
            at_least: !ended || broke_off && usage.output.is_some() && aside.output.is_none(),
            estimate,
            failed: is_stream && report.failed,
        }
    }
}

impl Report {
    fn event(&mut self, facts: &ResponseFacts, content: u64, whole: bool) {
        self.usage = facts.usage;
        if facts.reports != self.count {
            self.count = facts.reports;
            self.covers = content;
            self.cut = facts.report_cut;
            // One that is not whole may stand before the hole that took the rest of it.
            self.broken_off &= !whole;
        } else if facts.error.is_some() && !self.failed {
            // Who tells of an error counts no further.
            self.broken_off = true;
        }
        self.failed = facts.error.is_some();
    }

    /// `told` counts what came until the report, and `seen` events came in all.
    fn estimate(&self, told: Option<i64>, seen: u64, unbroken: bool) -> u64 {
        let told = told.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        // What was lost may be in the report; it may as well have been told before the first event.
        if !unbroken {
            return told.max(seen);
        }
        match self.covers {
            0 => seen,
            covers => told.max(covers).saturating_add(seen - covers.min(seen)),
        }
    }
}

#[cfg(test)]
mod tests;
