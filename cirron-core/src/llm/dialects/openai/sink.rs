//! From the scalars of a response's JSON to the [`Event`] under way and the facts of all.

use super::event::{Choice, Event};
use super::usage;
use crate::body::json::{Container, JsonSink, Path, Scalar, Walk};
use crate::llm::count::count;
use crate::llm::facts::{MAX_CHOICES, ResponseFacts, say};

pub(super) struct Sink<'a> {
    pub(super) facts: &'a mut ResponseFacts,
    pub(super) event: &'a mut Event,
}

impl JsonSink for Sink<'_> {
    fn begin(&mut self, path: &Path, container: Container) -> Walk {
        if usage::place(path).is_some_and(|at| path.depth() == at) {
            self.event.in_usage = true;
        }
        let (base, key) = root(path);
        match (key, path.depth() - base, container) {
            (b"error", 1, Container::Object) => self.event.error = true,
            (b"choices", 1, Container::Array) => self.event.choices = true,
            (b"choices", 2, _) => self.event.choice = Choice::default(),
            (b"choices", 3, _) if path.key(2) == Some(b"logprobs") => return Walk::Skip,
            (b"data", 3, _) if path.key(2) == Some(b"embedding") => {
                self.event.embedding = true;
                return Walk::Skip;
            }
            (_, _, _) => {}
        }
        Walk::Into
    }

    fn end(&mut self, path: &Path, _: Container) {
        if usage::place(path).is_some_and(|at| path.depth() == at) {
            self.event.in_usage = false;
        }
        let (base, key) = root(path);
        if key == b"choices" && path.depth() - base == 2 {
            let choice = std::mem::take(&mut self.event.choice);
            let place = path.index(base + 1).and_then(|i| i64::try_from(i).ok());
            let index = choice.index.or(place).unwrap_or(0);
            if let Some(reason) = choice.finish {
                self.facts.finished(index, &reason);
            }
            if choice.usage.is_some() && self.event.of_choices.len() < MAX_CHOICES {
                self.event.of_choices.push((index, choice.usage));
            }
        }
    }

    fn scalar(&mut self, path: &Path, value: Scalar<'_>) {
        let (base, key) = root(path);
        if let Some(at) = usage::place(path) {
            let usage = match key {
                b"choices" => &mut self.event.choice.usage,
                _ => &mut self.event.usage,
            };
            return usage::member(usage, path, at, value);
        }
        match (key, path.depth() - base) {
            (b"choices", _) => self.choice(path, base, value),
            (b"timings" | b"perf_metrics", 2) => {
                usage::aside(&mut self.event.aside, path.key(base + 1), value);
            }
            (b"error", _) => self.error(path.key(base + 1), value),
            (b"data", 3) => match path.key(2) {
                Some(b"embedding") => self.event.embedding = true,
                Some(b"b64_json" | b"url") => self.event.image = true,
                _ => {}
            },
            (b"item", 2) if path.key(1) == Some(b"type") => self.event.item_call = is_call(value),
            (b"output", 3) if path.key(base + 2) == Some(b"type") && base == 0 => {
                self.event.tool_calls += u64::from(is_call(value));
            }
            (b"incomplete_details", 2) if path.key(base + 1) == Some(b"reason") => {
                if let Scalar::Str { prefix, .. } = value {
                    say(&mut self.event.incomplete, prefix);
                }
            }
            (_, 1) => {
                usage::aside(&mut self.event.aside, Some(key), value);
                self.member(base, key, value);
            }
            (_, _) => {}
        }
    }
}

/// Where the members of the response stand: the responses API wraps it in its events.
fn root(path: &Path) -> (usize, &[u8]) {
    let base = usize::from(path.depth() > 1 && path.key(0) == Some(b"response"));
    (base, path.key(base).unwrap_or_default())
}

impl Sink<'_> {
    fn member(&mut self, base: usize, key: &[u8], value: Scalar<'_>) {
        let event = &mut *self.event;
        match (key, value) {
            (b"model", Scalar::Str { prefix, .. }) => say(&mut self.facts.model, prefix),
            (b"id", Scalar::Str { prefix, .. }) => say(&mut self.facts.id, prefix),
            (b"object", Scalar::Str { prefix, .. }) => prefix.clone_into(&mut event.object),
            (b"status", Scalar::Str { prefix, .. }) => say(&mut event.status, prefix),
            (b"type", Scalar::Str { prefix, .. }) if base == 0 => {
                prefix.clone_into(&mut event.kind);
            }
            (b"delta", value) if base == 0 => event.delta = value.is_text(),
            (b"b64_json" | b"audio", value) if base == 0 => event.delta |= value.is_text(),
            (b"text", value) if base == 0 => event.text = value.is_text(),
            (b"code", Scalar::Str { prefix: code, .. } | Scalar::Num(code)) if base == 0 => {
                say(&mut event.error_code, code);
            }
            (_, _) => {}
        }
    }

    fn choice(&mut self, path: &Path, base: usize, value: Scalar<'_>) {
        let event = &mut *self.event;
        let key = |i: usize| path.key(base + i).unwrap_or_default();
        match path.depth() - base {
            3 => match (key(2), value) {
                (b"index", value) => event.choice.index = count(value),
                (b"finish_reason", Scalar::Str { prefix, .. }) => {
                    say(&mut event.choice.finish, prefix);
                }
                (b"text", value) => event.content.answer |= value.is_text(),
                (_, _) => {}
            },
            4 if matches!(key(2), b"delta" | b"message") => match key(3) {
                b"content" | b"refusal" => event.content.answer |= value.is_text(),
                b"reasoning_content" | b"reasoning" => event.content.reasoning |= value.is_text(),
                _ => {}
            },
            // `function_call` was the one call before there were several.
            5 if key(3) == b"function_call" => self.call(key(4), value),
            // Lists of texts: Mistral's, and the audio of OpenAI's.
            5 if key(3) == b"audio" => event.content.answer |= value.is_text(),
            6 if key(3) == b"content" && key(5) == b"text" => {
                event.content.answer |= value.is_text();
            }
            8 if key(3) == b"content" && key(5) == b"thinking" && key(7) == b"text" => {
                event.content.reasoning |= value.is_text();
            }
            7 if key(3) == b"tool_calls" => self.call(key(6), value),
            _ => {}
        }
    }

    fn call(&mut self, key: &[u8], value: Scalar<'_>) {
        if matches!(key, b"name" | b"arguments" | b"input") && value.is_text() {
            self.event.content.tool = true;
            // The name comes once, the arguments in pieces.
            self.event.tool_calls += u64::from(key == b"name");
        }
    }

    /// `key` is `None` where the error is a text: that it is one is all we say of it.
    fn error(&mut self, key: Option<&[u8]>, value: Scalar<'_>) {
        let event = &mut *self.event;
        match (key, value) {
            (None, value @ Scalar::Str { .. }) => event.error |= value.is_text(),
            (Some(b"type"), Scalar::Str { prefix, len, .. }) if len > 0 => {
                event.error = true;
                say(&mut event.error_type, prefix);
            }
            (Some(b"code"), Scalar::Str { prefix: code, .. } | Scalar::Num(code)) => {
                event.error = true;
                say(&mut event.error_code, code);
            }
            (_, _) => {}
        }
    }
}

/// Whether an item of the responses API, by its `type`, calls a tool.
fn is_call(kind: Scalar<'_>) -> bool {
    kind.as_str().is_some_and(|kind| kind.ends_with("_call"))
}
