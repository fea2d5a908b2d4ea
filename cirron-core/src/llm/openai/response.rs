//! The response's body, whole or event by event.

use crate::body::json::{Container, Finish, JsonSink, Path, Scalar, Scanner, Walk};
use crate::llm::facts::{Content, ResponseFacts, Usage, say};

/// Members that are looked for behind a hole: usage stands at the end of a body.
const RESYNC_KEYS: &[&str] = &["usage", "error"];

/// Reads responses as they pass.
#[derive(Debug)]
pub struct ResponseReader {
    scanner: Scanner,
    facts: ResponseFacts,
    event: Event,
}

/// Of the document under way.
#[derive(Debug, Default)]
struct Event {
    content: Content,
    /// `object`, `type`, and whether `delta` has text: they mean something together, in any order.
    object: String,
    kind: String,
    delta: bool,
    choices: bool,
    choice: Choice,
    error: bool,
    error_type: Option<String>,
    error_code: Option<String>,
    /// Of the responses API.
    status: Option<String>,
    incomplete: Option<String>,
    usage: Usage,
    tool_calls: u64,
    embedding: bool,
}

#[derive(Debug, Default)]
struct Choice {
    index: Option<i64>,
    finish: Option<String>,
}

impl Default for ResponseReader {
    fn default() -> Self {
        ResponseReader {
            scanner: Scanner::new(RESYNC_KEYS),
            facts: ResponseFacts::default(),
            event: Event::default(),
        }
    }
}

impl ResponseReader {
    /// What was said so far.
    pub fn facts(&self) -> &ResponseFacts {
        &self.facts
    }

    /// A whole event of a stream. Gives what it carries.
    pub fn event(&mut self, data: &[u8]) -> Content {
        self.scanner.reset();
        self.push(data);
        self.finish()
    }

    /// The next bytes of a document.
    pub fn push(&mut self, bytes: &[u8]) {
        let ResponseReader {
            scanner,
            facts,
            event,
        } = self;
        scanner.push(bytes, &mut Sink { facts, event });
    }

    /// Bytes of the document are missing here.
    pub fn gap(&mut self) {
        self.scanner.gap();
    }

    /// The document's end. Gives what it carries.
    pub fn finish(&mut self) -> Content {
        let ResponseReader {
            scanner,
            facts,
            event,
        } = self;
        let finish = scanner.finish(&mut Sink { facts, event });
        let event = std::mem::take(event);
        match finish {
            Finish::Complete | Finish::Incomplete => event.settle(facts),
            Finish::Bad => Content::default(),
        }
    }
}

impl Event {
    /// What the document means, now that all its members are known.
    fn settle(self, facts: &mut ResponseFacts) -> Content {
        let mut content = self.content;
        let kind = self.kind.as_str();
        if self.delta && kind.starts_with("response.") && kind.ends_with(".delta") {
            if kind.contains("reasoning") {
                content.reasoning = true;
            } else if kind.contains("call") {
                content.tool = true;
            } else {
                content.answer = true;
            }
        }
        let operation = match self.object.as_str() {
            "chat.completion" | "chat.completion.chunk" | "response" => Some("chat"),
            "text_completion" => Some("text_completion"),
            "list" if self.embedding => Some("embeddings"),
            _ if kind.starts_with("response.") => Some("chat"),
            _ => None,
        };
        facts.operation = operation.or(facts.operation);
        facts.shaped |= operation.is_some() || (self.choices && facts.model.is_some());
        if self.usage.is_some() {
            facts.usage = self.usage;
        }
        facts.tool_calls += self.tool_calls;
        let ended = matches!(
            self.status.as_deref(),
            Some("completed" | "incomplete" | "failed" | "cancelled")
        );
        if let Some(status) = self.status.filter(|_| ended) {
            facts.finished(0, self.incomplete.as_deref().unwrap_or(&status));
        }
        // Errors of vLLM's own, and those of the responses API's stream, stand at the top.
        let at_top = match (self.object.as_str(), kind) {
            ("error", "") | (_, "error") => Some(None),
            ("error", kind) => Some(Some(kind.to_owned())),
            (_, _) => None,
        };
        if self.error || at_top.is_some() {
            let named = self.error_type.or(at_top.flatten()).or(self.error_code);
            facts.error = Some(named.unwrap_or_else(|| "error".to_owned()));
        }
        content
    }
}

struct Sink<'a> {
    facts: &'a mut ResponseFacts,
    event: &'a mut Event,
}

impl JsonSink for Sink<'_> {
    fn begin(&mut self, path: &Path, container: Container) -> Walk {
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
        let (base, key) = root(path);
        if key == b"choices"
            && path.depth() - base == 2
            && let Some(reason) = self.event.choice.finish.take()
        {
            let place = path.index(base + 1).and_then(|i| i64::try_from(i).ok());
            let index = self.event.choice.index.or(place).unwrap_or(0);
            self.facts.finished(index, &reason);
        }
    }

    fn scalar(&mut self, path: &Path, value: Scalar<'_>) {
        let (base, key) = root(path);
        match (key, path.depth() - base) {
            (b"choices", _) => self.choice(path, base, value),
            (b"usage", 2..) => self.usage(path, base, value),
            (b"error", _) => self.error(path.key(base + 1), value),
            (b"data", 3) if path.key(2) == Some(b"embedding") => self.event.embedding = true,
            (b"item", 2) if path.key(1) == Some(b"type") => self.output_item(value),
            (b"output", 3) if path.key(base + 2) == Some(b"type") && base == 0 => {
                self.output_item(value);
            }
            (b"incomplete_details", 2) if path.key(base + 1) == Some(b"reason") => {
                self.event.incomplete = value.as_str().map(str::to_owned);
            }
            (_, 1) => self.member(base, key, value),
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
            (b"status", Scalar::Str { prefix, .. }) => event.status = Some(prefix.to_owned()),
            (b"type", Scalar::Str { prefix, .. }) if base == 0 => {
                prefix.clone_into(&mut event.kind);
            }
            (b"delta", value) if base == 0 => event.delta = value.is_text(),
            (b"code", Scalar::Str { prefix: code, .. } | Scalar::Num(code)) if base == 0 => {
                event.error_code = Some(code.to_owned());
            }
            (_, _) => {}
        }
    }

    fn choice(&mut self, path: &Path, base: usize, value: Scalar<'_>) {
        let event = &mut *self.event;
        let key = |i: usize| path.key(base + i).unwrap_or_default();
        match path.depth() - base {
            3 => match (key(2), value) {
                (b"index", Scalar::Num(n)) => event.choice.index = n.parse().ok(),
                (b"finish_reason", Scalar::Str { prefix, .. }) => {
                    event.choice.finish = Some(prefix.to_owned());
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

    fn output_item(&mut self, value: Scalar<'_>) {
        let call = value.as_str().is_some_and(|kind| kind.ends_with("_call"));
        // An item is told of when it is added and again when it is done.
        let told = self.event.kind.ends_with("output_item.done");
        self.event.tool_calls += u64::from(call && !told);
    }

    fn usage(&mut self, path: &Path, base: usize, value: Scalar<'_>) {
        let Scalar::Num(number) = value else { return };
        let Ok(number) = number.parse() else { return };
        let usage = &mut self.event.usage;
        let key = path.key(base + 1).unwrap_or_default();
        let slot = match (path.depth() - base, key, path.key(base + 2)) {
            (2, b"prompt_tokens" | b"input_tokens", _) => &mut usage.input,
            (2, b"completion_tokens" | b"output_tokens", _) => &mut usage.output,
            (2, b"total_tokens", _) => &mut usage.total,
            (3, b"prompt_tokens_details" | b"input_tokens_details", Some(b"cached_tokens")) => {
                &mut usage.cached
            }
            (
                3,
                b"completion_tokens_details" | b"output_tokens_details",
                Some(b"reasoning_tokens"),
            ) => &mut usage.reasoning,
            (_, _, _) => return,
        };
        *slot = Some(number);
    }

    /// `key` is `None` where the error is a text: that it is one is all we say of it.
    fn error(&mut self, key: Option<&[u8]>, value: Scalar<'_>) {
        let event = &mut *self.event;
        match (key, value) {
            (None, Scalar::Str { .. }) => event.error = true,
            (Some(b"type"), Scalar::Str { prefix, len, .. }) if len > 0 => {
                event.error = true;
                event.error_type = Some(prefix.to_owned());
            }
            (Some(b"code"), Scalar::Str { prefix: code, .. } | Scalar::Num(code)) => {
                event.error = true;
                event.error_code = Some(code.to_owned());
            }
            (_, _) => {}
        }
    }
}
