//! Token counts as they are reported, and what of them can be believed.

use super::count::{counted, fill, sum};

/// Token counts as the server reported them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Tokens of the prompt.
    pub input: Option<i64>,
    /// Tokens of the answer, reasoning included.
    pub output: Option<i64>,
    /// Both, as reported.
    pub total: Option<i64>,
    /// Of the prompt's tokens, those that came from a cache.
    pub cached: Option<i64>,
    /// Of the answer's tokens, those of its reasoning.
    pub reasoning: Option<i64>,
    /// Of the prompt's tokens, those of sound.
    pub audio_input: Option<i64>,
    /// Of the answer's tokens, those of sound.
    pub audio_output: Option<i64>,
}

impl Usage {
    /// Something was reported.
    pub(crate) fn is_some(&self) -> bool {
        *self != Usage::default()
    }

    /// A later report. It need not say all again: what it leaves out stays, and a 0 replaces no count.
    pub(crate) fn take(&mut self, told: &Usage) {
        let before = (self.input, self.output);
        for (slot, told) in self.each().into_iter().zip(told.each_told()) {
            fill(slot, told);
        }
        // A sum that was told before is that of the counts before.
        if told.total.is_none() && before != (self.input, self.output) {
            self.total = None;
        }
    }

    /// What is not said here, as `other` says it.
    pub(crate) fn or(mut self, other: &Usage) -> Usage {
        for (slot, other) in self.each().into_iter().zip(other.each_told()) {
            *slot = counted(*slot, other);
        }
        self
    }

    /// Of one of several answers to the same prompt, in one response: the answers add up.
    pub(crate) fn add_other(&mut self, other: &Usage) {
        self.output = sum(self.output, other.output);
        self.reasoning = sum(self.reasoning, other.reasoning);
        self.audio_output = sum(self.audio_output, other.audio_output);
        for (slot, told) in [
            (&mut self.input, other.input),
            (&mut self.cached, other.cached),
            (&mut self.audio_input, other.audio_input),
        ] {
            fill(slot, told);
        }
        self.total = None;
    }

    /// What of it can be believed. `content`: some was seen; `reasoning`: so was some of it.
    ///
    /// A prompt has tokens, and so has content: a 0 there is told by who did not count. Without
    /// content a 0 may be true (an embedding, an answer that was filtered).
    #[must_use]
    pub(crate) fn believed(self, content: bool, reasoning: bool) -> Usage {
        let mut usage = self.with_reasoning();
        let counts_nothing = usage.input == Some(0);
        let nothing = |n: &i64| *n > 0;
        usage.input = usage.input.filter(nothing);
        if content || counts_nothing {
            usage.output = usage.output.filter(nothing);
        }
        if reasoning || counts_nothing {
            usage.reasoning = usage.reasoning.filter(nothing);
        }
        if counts_nothing {
            usage.cached = usage.cached.filter(nothing);
            usage.audio_input = usage.audio_input.filter(nothing);
            usage.audio_output = usage.audio_output.filter(nothing);
        }
        // A sum of one of them, where the other was not counted, is none.
        let left_out = (counts_nothing && usage.total <= usage.output)
            || (content && usage.output.is_none() && usage.total <= usage.input);
        let known = sum(usage.input, usage.output);
        usage.total = usage.total.filter(|_| !left_out);
        usage.total = usage.total.filter(|n| *n > 0 && Some(*n) >= known);
        usage
    }

    /// Some leave the reasoning out of the answer's tokens. The reported sum shows it; without a
    /// sum, more reasoning than answer does.
    fn with_reasoning(mut self) -> Usage {
        let (Some(output), Some(reasoning)) = (self.output, self.reasoning) else {
            return self;
        };
        let with = output.saturating_add(reasoning);
        let left_out = match (self.input, self.total) {
            (Some(input), Some(total)) => {
                total != input.saturating_add(output) && total == input.saturating_add(with)
            }
            _ => self.total.is_none() && output > 0 && reasoning > output,
        };
        if left_out {
            self.output = Some(with);
        }
        self
    }

    fn each(&mut self) -> [&mut Option<i64>; 7] {
        let Usage {
            input,
            output,
            total,
            cached,
            reasoning,
            audio_input,
            audio_output,
        } = self;
        [
            input,
            output,
            total,
            cached,
            reasoning,
            audio_input,
            audio_output,
        ]
    }

    fn each_told(mut self) -> [Option<i64>; 7] {
        self.each().map(|slot| *slot)
    }
}

#[cfg(test)]
mod tests;
