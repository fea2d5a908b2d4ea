//! Usage at the top of events that have one choice each: is it that of the choice, or of all so far?
//!
//! vLLM reports so with each event (`continuous_usage_stats`), others with the last event of each choice. A
//! report of all follows in most streams, and is believed. Where none does, the counts of several choices
//! tell:
//! ```text
//!   another choice had content, and its count is no larger than the one before   of the choice
//!   it is less than the events with content that came                            of the choice
//!   each choice reports once, when it ends                                       of the choice
//!   else                                                                         of all so far
//! ```

use super::event::Event;
use crate::llm::facts::{MAX_CHOICES, Usage};

/// One choice.
#[derive(Clone, Copy, Debug)]
struct Told {
    index: i64,
    usage: Usage,
    reports: u32,
    /// All of them came with its end.
    at_end: bool,
}

/// What was told so far. See the module.
#[derive(Debug, Default)]
pub(super) struct OneByOne {
    told: Vec<Told>,
    /// More choices than are told apart.
    more: bool,
    /// A choice that had an event; and whether another had.
    first: Option<i64>,
    several: bool,
    /// Events with content.
    contents: u64,
    /// The report before: its choice, its count, and the events with content by then.
    before: Option<(i64, i64, u64)>,
    /// The counts show that they are those of choices.
    shown: bool,
    /// A report of all came.
    of_all: bool,
}

impl OneByOne {
    /// One more event.
    pub(super) fn take(&mut self, event: &Event) {
        self.contents += u64::from(event.content.is_some());
        if event.choice_count == 1 {
            let index = event.last_choice;
            self.several |= *self.first.get_or_insert(index) != index;
        }
        if !event.usage.is_some() {
            return;
        }
        if event.choice_count != 1 {
            self.of_all = true;
            return;
        }
        let index = event.last_choice;
        if let Some(output) = event.usage.output {
            let contents = i64::try_from(self.contents).unwrap_or(i64::MAX);
            let fewer = |(of, count, by): (i64, i64, u64)| {
                of != index && self.contents > by && output <= count
            };
            self.shown |= self.several && output < contents || self.before.is_some_and(fewer);
            self.before = Some((index, output, self.contents));
        }
        let room = self.told.len() < MAX_CHOICES;
        let known = self.told.iter().position(|told| told.index == index);
        match known.and_then(|at| self.told.get_mut(at)) {
            Some(told) => {
                told.usage.take(&event.usage);
                told.reports += 1;
                told.at_end &= event.finishes;
            }
            None if room => {
                if self.told.is_empty() {
                    // Most answers are one choice.
                    self.told.reserve_exact(1);
                }
                self.told.push(Told {
                    index,
                    usage: event.usage,
                    reports: 1,
                    at_end: event.finishes,
                });
            }
            None => self.more = true,
        }
    }

    /// What the choices report together, if it is theirs; `None` if it is that of all.
    pub(super) fn sum(&self) -> Option<Usage> {
        let (first, others) = self.told.split_first()?;
        let at_ends = self
            .told
            .iter()
            .all(|told| told.at_end && told.reports == 1);
        if self.of_all || self.more || others.is_empty() || !(self.shown || at_ends) {
            return None;
        }
        let mut sum = first.usage;
        others.iter().for_each(|told| sum.add_other(&told.usage));
        Some(sum)
    }
}
