//! Where those who speak this dialect put their counts, and by which names.
//!
//! ```text
//!   usage                    all; of the responses API also in `response`. In events of one choice each: that
//!                            of the choice, where the counts show it (see `one_by_one`)
//!   x_groq.usage             Groq, in the last event
//!   choices[i].usage         Moonshot, in the last event; also in its `delta` or `message`
//!   timings                  llama.cpp, where usage was not asked for
//!   perf_metrics             Fireworks, in the last event
//!   prompt_eval_count, ...   gateways that pass Ollama's and others' counts on, at the top
//! ```
//! Names in usage: those of chat completions and of the responses API, also as gateways in JavaScript
//! write them (`promptTokens`, `inputTokens`); at its top also `cached_tokens`
//! (Moonshot, Together), `prompt_cache_hit_tokens` (DeepSeek), `cache_read_input_tokens` (LiteLLM) and
//! `reasoning_tokens` (SGLang, Perplexity, NIM). Sources: their API references.

use super::event::Event;
use super::one_by_one::OneByOne;
use crate::body::json::{Path, Scalar};
use crate::llm::count::{count, fill, sum};
use crate::llm::facts::{MAX_CHOICES, ResponseFacts, Usage};

/// Segments of the path that leads to the usage that `path` is in, or is.
pub(super) fn place(path: &Path) -> Option<usize> {
    let base = usize::from(path.depth() > 1 && path.key(0) == Some(b"response"));
    let at = match path.key(base)? {
        b"usage" => base,
        b"x_groq" if base == 0 => 1,
        b"choices" if path.depth() > base + 2 => match path.key(base + 2)? {
            b"delta" | b"message" => base + 3,
            _ => base + 2,
        },
        _ => return None,
    };
    (path.key(at)? == b"usage").then_some(at + 1)
}

/// A member of the usage whose path has `at` segments.
pub(super) fn member(usage: &mut Usage, path: &Path, at: usize, value: Scalar<'_>) {
    let key = path.key(at).unwrap_or_default();
    let slot = match (path.depth() - at, key, path.key(at + 1)) {
        (1, b"prompt_tokens" | b"input_tokens" | b"promptTokens" | b"inputTokens", _) => {
            &mut usage.input
        }
        (1, b"completion_tokens" | b"output_tokens" | b"completionTokens" | b"outputTokens", _) => {
            &mut usage.output
        }
        (1, b"total_tokens" | b"totalTokens", _) => &mut usage.total,
        (1, b"reasoning_tokens" | b"reasoningTokens", _) => &mut usage.reasoning,
        (
            1,
            b"cached_tokens"
            | b"prompt_cache_hit_tokens"
            | b"cache_read_input_tokens"
            | b"cachedInputTokens",
            _,
        ) => &mut usage.cached,
        (2, group, Some(name)) => match (of_prompt(group), of_answer(group), name) {
            (true, _, b"cached_tokens") => &mut usage.cached,
            (true, _, b"audio_tokens") => &mut usage.audio_input,
            (_, true, b"reasoning_tokens") => &mut usage.reasoning,
            (_, true, b"audio_tokens") => &mut usage.audio_output,
            _ => return,
        },
        _ => return,
    };
    fill(slot, count(value));
}

fn of_prompt(group: &[u8]) -> bool {
    matches!(
        group,
        b"prompt_tokens_details" | b"input_tokens_details" | b"input_token_details"
    )
}

fn of_answer(group: &[u8]) -> bool {
    matches!(
        group,
        b"completion_tokens_details" | b"output_tokens_details" | b"output_token_details"
    )
}

/// Counts that stand elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Aside {
    usage: Usage,
    /// llama.cpp: of the prompt, what was computed. What came from the cache is not in it.
    computed: Option<i64>,
}

impl Aside {
    fn usage(&self) -> Usage {
        let mut usage = self.usage;
        fill(
            &mut usage.input,
            sum(
                self.computed,
                usage.cached.filter(|_| self.computed.is_some()),
            ),
        );
        usage
    }
}

/// A member of the document, or of `timings` or `perf_metrics` in it.
pub(super) fn read_aside(aside: &mut Aside, key: Option<&[u8]>, value: Scalar<'_>) {
    let usage = &mut aside.usage;
    let slot = match key {
        Some(b"prompt_n") => &mut aside.computed,
        Some(b"cache_n" | b"cached-prompt-tokens") => &mut usage.cached,
        Some(b"prompt_tokens" | b"prompt_eval_count" | b"prompt-tokens") => &mut usage.input,
        Some(b"predicted_n" | b"completion_tokens" | b"eval_count") => &mut usage.output,
        Some(b"total_tokens") => &mut usage.total,
        _ => return,
    };
    fill(slot, count(value));
}

/// What all documents so far reported.
#[derive(Debug, Default)]
pub(super) struct Reported {
    usage: Usage,
    aside: Usage,
    /// By choice.
    of_choices: Vec<(i64, Usage)>,
    /// Usage at the top of events that have one choice.
    one_by_one: OneByOne,
}

impl Reported {
    /// What one more reports.
    pub(super) fn take(&mut self, event: &Event, facts: &mut ResponseFacts) {
        let aside = event.aside.usage();
        self.one_by_one.take(event);
        if !event.usage.is_some() && !aside.is_some() && event.of_choices.is_empty() {
            return;
        }
        facts.openai_usage = true;
        self.usage.take(&event.usage);
        self.aside.take(&aside);
        for (index, usage) in &event.of_choices {
            let known = self.of_choices.iter().position(|(i, _)| i == index);
            let room = self.of_choices.len() < MAX_CHOICES;
            match known.and_then(|at| self.of_choices.get_mut(at)) {
                Some((_, of_it)) => of_it.take(usage),
                None if room => self.of_choices.push((*index, *usage)),
                None => {}
            }
        }
        let of_choices = event.of_choices.iter().map(|(_, usage)| usage.output);
        let outputs = of_choices.chain([event.usage.output, aside.output]);
        facts.usage = self.all();
        facts.note_report(outputs.flatten().max(), event.in_usage);
    }

    /// Usage of the whole comes before that of its choices, and both before what stands aside.
    fn all(&self) -> Usage {
        let mut of_choices = Usage::default();
        for (i, (_, usage)) in self.of_choices.iter().enumerate() {
            match i {
                0 => of_choices = *usage,
                _ => of_choices.add_other(usage),
            }
        }
        let all = self.one_by_one.sum().unwrap_or(self.usage);
        let places = [all, of_choices, self.aside];
        let [first, second, third] = &places;
        let mut usage = first.or(second).or(third);
        // A sum is that of the counts beside it.
        let counts = |place: &&Usage| place.output > Some(0);
        usage.total = places.iter().find(counts).unwrap_or(first).total;
        usage
    }
}
