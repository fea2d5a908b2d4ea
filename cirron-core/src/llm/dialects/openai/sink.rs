//! From the scalars of a response's JSON to the [`Event`] under way and the facts of all.

use super::choices::{Choice, Choices};
use super::event::{Event, Object};
use super::usage;
use crate::body::json::{Container, JsonSink, Path, Scalar, Walk};
use crate::llm::errors::is_absent_path;
use crate::llm::facts::{MAX_CHOICES, ResponseFacts, is_said, say};

pub(super) struct Sink<'a> {
    pub(super) facts: &'a mut ResponseFacts,
    pub(super) event: &'a mut Event,
    pub(super) choices: &'a mut Choices,
}

impl JsonSink for Sink<'_> {
    fn begin(&mut self, path: &Path, container: Container) -> Walk {
        if usage::place(path).is_some_and(|at| path.depth() == at) {
            self.event.in_usage = true;
        }
        let (base, key) = root(path);
        match (key, path.depth() - base, container) {
            (b"error", 1, _) => self.event.error.begin(),
            (b"choices", 1, Container::Array) => self.event.choices = true,
            (b"choices", 2, _) => self.event.choice = Choice::default(),
            (b"choices", 3, _) if path.key(2) == Some(b"logprobs") => return Walk::Skip,
            (b"choices", 3, _) if path.key(base + 2) == Some(b"error") => self.event.error.begin(),
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
        match (key, path.depth() - base) {
            (b"choices", 2) => {
                let place = path.index(base + 1).and_then(|i| i64::try_from(i).ok());
                self.end_choice(place);
            }
            (b"choices", 3) if path.key(base + 2) == Some(b"error") => self.event.error.end(),
            (b"choices", 3..) => self.event.choice.end(path, base),
            (b"error", 1) => self.event.error.end(),
            (b"output", 2) | (b"item", 1) => {
                self.event.again |= base == 1;
                self.end_item(path.index(base + 1));
            }
            (_, _) => {}
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
            // OpenRouter's.
            (b"choices", depth @ 3..) if path.key(base + 2) == Some(b"error") => {
                self.error(path.key(base + 3), depth - 2, value);
            }
            (b"choices", _) => self.event.choice.scalar(path, base, value),
            (b"x_groq", 2) if path.key(1) == Some(b"error") => self.error(None, 1, value),
            // MiniMax, in every answer; 0 where all is well.
            (b"base_resp", 2) if path.key(base + 1) == Some(b"status_code") => {
                self.error(Some(b"code"), 2, value);
            }
            (b"timings" | b"perf_metrics", 2) => {
                usage::read_aside(&mut self.event.aside, path.key(base + 1), value);
            }
            (b"error", depth) => self.error(path.key(base + 1), depth, value),
            (b"data", 3) => match path.key(2) {
                Some(b"embedding") => self.event.embedding = true,
                Some(b"b64_json" | b"url") => self.event.image = true,
                _ => {}
            },
            (b"item", 2) if base == 0 => self.item(path.key(1), value),
            (b"output", 3) => self.item(path.key(base + 2), value),
            // Of a response that is no stream: what ends one repeats what its events brought.
            (b"output", 5) if base == 0 => match (path.key(2), path.key(4)) {
                (Some(b"content"), Some(b"text" | b"refusal")) => {
                    self.event.content.answer |= value.is_text();
                }
                (Some(b"summary"), Some(b"text")) => {
                    self.event.content.reasoning |= value.is_text();
                }
                (_, _) => {}
            },
            (b"incomplete_details", 2) if path.key(base + 1) == Some(b"reason") => {
                if let Scalar::Str { prefix, .. } = value {
                    say(&mut self.event.incomplete, prefix);
                }
            }
            (_, 1) => {
                usage::read_aside(&mut self.event.aside, Some(key), value);
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
    /// The choice under way is over; `place`: which it is in the list.
    pub(super) fn end_choice(&mut self, place: Option<i64>) {
        let mut choice = std::mem::take(&mut self.event.choice);
        let index = choice.index.or(place).unwrap_or(0);
        self.event.choice_count += 1;
        self.event.last_choice = index;
        self.event.finishes |= choice.finish.is_some();
        self.event.fails |= choice.finish.as_deref() == Some("error");
        let usage = std::mem::take(&mut choice.usage);
        if usage.is_some() && self.event.of_choices.len() < MAX_CHOICES {
            self.event.of_choices.push((index, usage));
        }
        // Of one that broke off before it said which it is.
        let known = choice.index.or(place).is_some();
        if let Some(reason) = choice.finish.as_ref().filter(|_| known) {
            self.facts.note_finish(index, reason);
        }
        let (content, calls) = self.choices.take(index, choice);
        self.event.content = self.event.content.or(content);
        self.event.tool_calls += calls;
    }

    /// A member of an item of the responses API.
    fn item(&mut self, key: Option<&[u8]>, value: Scalar<'_>) {
        let item = &mut self.event.item;
        match (key, value) {
            (Some(b"type"), value) => item.named = is_call(value),
            (Some(b"id"), Scalar::Str { prefix, .. }) => item.note_id(prefix),
            (_, _) => {}
        }
    }

    /// It is told of when it is added, when it is done, and in the whole response. `place`: which it
    /// is in that.
    fn end_item(&mut self, place: Option<u64>) {
        let mut item = std::mem::take(&mut self.event.item);
        match place {
            Some(_) => {
                self.event.content.tool |= item.named && !self.event.again;
                item.index = place.filter(|_| item.id.is_none());
            }
            // Its index stands beside it.
            None => {
                self.event.added = Some(item);
                return;
            }
        }
        self.event.items.push(item);
    }

    fn member(&mut self, base: usize, key: &[u8], value: Scalar<'_>) {
        let event = &mut *self.event;
        match (key, value) {
            (b"model", Scalar::Str { prefix, .. }) => say(&mut self.facts.model, prefix),
            (b"id", Scalar::Str { prefix, .. }) => say(&mut self.facts.id, prefix),
            (b"object", Scalar::Str { prefix, .. }) => event.object = Object::named(prefix),
            (b"status", Scalar::Str { prefix, .. }) => say(&mut event.status, prefix),
            (b"type", Scalar::Str { prefix, .. }) if base == 0 => {
                prefix.clone_into(&mut event.kind);
            }
            (b"output_index", value) => event.output_index = value.as_u64(),
            (b"delta", value) if base == 0 => event.delta = value.is_text(),
            (b"b64_json" | b"audio", value) if base == 0 => event.delta |= value.is_text(),
            (b"text", value) if base == 0 => event.text = value.is_text(),
            (b"error_type", Scalar::Str { prefix, .. }) if base == 0 => {
                say(&mut event.error_type, prefix);
            }
            (b"code", Scalar::Str { prefix: code, .. } | Scalar::Num(code))
                if base == 0 && value.says_something() =>
            {
                say(&mut event.error_code, code);
            }
            (b"message", Scalar::Str { prefix, .. }) if base == 0 => {
                event.absent_path = is_absent_path(prefix);
            }
            (_, _) => {}
        }
    }

    /// `key` is `None` where the error is no object: that it is one is all we say of it.
    fn error(&mut self, key: Option<&[u8]>, depth: usize, value: Scalar<'_>) {
        let event = &mut *self.event;
        event.error.scalar(key, value);
        match (key, value) {
            (_, _) if !value.says_something() => {}
            (Some(b"type" | b"code"), Scalar::Str { prefix, .. }) if !is_said(prefix) => {}
            (None, _) => event.error_at_top = true,
            (Some(b"type"), Scalar::Str { prefix, .. }) if depth == 2 => {
                say(&mut event.error_type, prefix);
            }
            (Some(b"code"), Scalar::Str { prefix: code, .. } | Scalar::Num(code)) if depth == 2 => {
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
