//! Anthropic's messages: `/v1/messages`, streaming or not. Spoken by Anthropic, llama.cpp, vLLM and
//! LiteLLM.
//!
//! Usage comes in two parts of a stream: the prompt's with `message_start`, the answer's with
//! `message_delta`, which says what it is until then. What `message_start` says of the answer was told
//! before there was any, and is passed over. What was read from the prompt's cache,
//! or written to it, is not among `input_tokens` on the wire; here it is (`gen_ai.usage.input_tokens`
//! of OpenTelemetry counts all). Source: Anthropic's API reference, "Messages" and "Streaming
//! messages".

use crate::body::json::{Container, Finish, JsonSink, Path, Scalar, Scanner, Walk};
use crate::llm::calls::{Calls, Piece, Pieces};
use crate::llm::count::count;
use crate::llm::dialect::{Dialect, ReadRequest, ReadResponse, Route, Row, last_segment};
use crate::llm::errors::{ERROR_EVENT, ErrorMember};
use crate::llm::facts::{Content, RequestFacts, ResponseFacts, Usage, say, switch};

/// What is known of it.
pub(crate) const ROWS: &[Row] = &[Row {
    precedence: 400,
    dialect: DIALECT,
}];

/// The dialect's row.
pub(crate) const DIALECT: Dialect = Dialect {
    name: "anthropic",
    route,
    request: || Box::<RequestReader>::default(),
    response: || Box::<ResponseReader>::default(),
    headers: &[],
};

/// OpenAI's threads have messages too, of another shape. On Vertex AI the path names the model.
fn route(path: &str) -> Option<Route<'_>> {
    let (before, last) = last_segment(path);
    if last == "messages" {
        return Some(Route::to("chat"));
    }
    let (model, method) = last.split_once(':')?;
    let stream = match method {
        "rawPredict" => false,
        "streamRawPredict" => true,
        _ => return None,
    };
    before
        .ends_with("/publishers/anthropic/models")
        .then_some(Route {
            model: Some(model),
            stream: Some(stream),
            ..Route::to("chat")
        })
}

/// Reads a request: model, stream. Messages are passed over.
#[derive(Debug)]
struct RequestReader {
    scanner: Scanner,
    facts: Asked,
}

#[derive(Debug, Default)]
struct Asked {
    model: Option<String>,
    stream: Option<bool>,
    messages: bool,
    /// `max_tokens`, which no call can leave out.
    limited: bool,
}

impl Default for RequestReader {
    fn default() -> Self {
        RequestReader {
            scanner: Scanner::new(&[]),
            facts: Asked::default(),
        }
    }
}

impl ReadRequest for RequestReader {
    fn push(&mut self, bytes: &[u8]) {
        self.scanner.push(bytes, &mut self.facts);
    }

    fn gap(&mut self) {
        self.scanner.gap();
    }

    fn finish(&mut self) -> RequestFacts {
        let finish = self.scanner.finish(&mut self.facts);
        let asked = std::mem::take(&mut self.facts);
        let facts = RequestFacts {
            shaped: asked.messages && asked.limited,
            model: asked.model,
            stream: asked.stream,
            choices: None,
            ..RequestFacts::default()
        };
        match finish {
            // Without `stream` a whole request asks for none.
            Finish::Complete => RequestFacts {
                stream: facts.stream.or(Some(false)),
                ..facts
            },
            Finish::Incomplete => facts,
            Finish::Bad => RequestFacts::default(),
        }
    }
}

impl JsonSink for Asked {
    fn begin(&mut self, path: &Path, _: Container) -> Walk {
        if path.depth() == 0 {
            return Walk::Into;
        }
        self.messages |= path.depth() == 1 && path.key(0) == Some(b"messages");
        Walk::Skip
    }

    fn end(&mut self, _: &Path, _: Container) {}

    fn scalar(&mut self, path: &Path, value: Scalar<'_>) {
        if path.depth() != 1 {
            return;
        }
        match (path.key(0), value) {
            (Some(b"model"), Scalar::Str { prefix, .. }) => say(&mut self.model, prefix),
            (Some(b"stream"), value) => self.stream = switch(value),
            (Some(b"max_tokens"), Scalar::Num(_)) => self.limited = true,
            (_, _) => {}
        }
    }
}

/// Members that are looked for behind a hole.
const RESYNC_KEYS: &[&str] = &["usage"];

/// Reads responses as they pass.
#[derive(Debug)]
struct ResponseReader {
    scanner: Scanner,
    reading: Reading,
}

#[derive(Debug, Default)]
struct Reading {
    facts: ResponseFacts,
    event: Event,
    /// The event before was the last.
    last: bool,
    calls: Calls,
    /// Of the prompt, as told last: fresh, read from the cache, written to it.
    prompt: [Option<i64>; 3],
}

/// Of the document under way.
#[derive(Debug, Default)]
struct Event {
    kind: String,
    content: Content,
    stop: Option<String>,
    error: Option<String>,
    /// The framing calls it an error.
    fails: bool,
    /// The one that it has.
    member: ErrorMember,
    /// It speaks as the model.
    assistant: bool,
    /// Its content is a list.
    list: bool,
    /// Of the block under way, and of those that are over.
    piece: Piece,
    pieces: Pieces,
    /// Which block the event is of.
    index: Option<u64>,
    /// Of the prompt, as the usage that is under way tells it: one that breaks off tells a part.
    part: Option<[Option<i64>; 3]>,
    output: Option<i64>,
    /// The usage under way, or what told the output, broke off.
    cut: bool,
}

impl Event {
    /// Services of chats have messages too: one of a model says who speaks, and has a list of content
    /// or says what it took.
    fn is_of_a_model(&self) -> bool {
        let counts = self.output.is_some();
        match self.kind.as_str() {
            "message" => self.assistant && (self.list || counts),
            "message_start" => self.assistant || counts,
            "message_delta" => self.stop.is_some() || counts,
            kind => kind.starts_with("content_block_") && self.index.is_some(),
        }
    }

    /// A block is over, or the event that has but one.
    fn end_block(&mut self, index: Option<u64>) {
        let mut piece = std::mem::take(&mut self.piece);
        if piece.named {
            piece.index = index;
            self.pieces.push(piece);
        }
    }
}

impl Default for ResponseReader {
    fn default() -> Self {
        ResponseReader {
            scanner: Scanner::new(RESYNC_KEYS),
            reading: Reading::default(),
        }
    }
}

impl ReadResponse for ResponseReader {
    fn push(&mut self, bytes: &[u8]) {
        self.scanner.push(bytes, &mut self.reading);
    }

    fn gap(&mut self) {
        if self.scanner.is_done() {
            // What follows may be another document: this one has said what it had to say.
            self.finish("");
        }
        self.scanner.gap();
        self.reading.forget_part();
    }

    fn finish(&mut self, name: &str) -> Content {
        let finish = self.scanner.finish(&mut self.reading);
        self.scanner.reset();
        self.reading.forget_part();
        let mut event = std::mem::take(&mut self.reading.event);
        event.fails |= name == ERROR_EVENT;
        self.reading.last = finish == Finish::Complete && event.kind == "message_stop";
        match finish {
            Finish::Complete | Finish::Incomplete => self.reading.settle(event),
            Finish::Bad => {
                self.reading.facts.unreadable += 1;
                if event.fails {
                    self.reading.facts.fails(None);
                }
                Content::default()
            }
        }
    }

    fn facts(&self) -> &ResponseFacts {
        &self.reading.facts
    }

    fn is_last(&self) -> bool {
        self.reading.last
    }
}

impl Reading {
    fn settle(&mut self, mut event: Event) -> Content {
        event.end_block(event.index);
        let facts = &mut self.facts;
        if event.is_of_a_model() {
            facts.shaped = true;
            facts.operation = Some("chat");
        }
        if let Some(stop) = event.stop {
            facts.note_finish(0, &stop);
        }
        if event.kind == "error" || event.fails || event.member.is_told() {
            facts.fails(event.error);
            facts.absent_path |= event.member.is_absent_path();
        }
        facts.tool_calls += self.calls.take_all(event.pieces);
        let told = self.prompt.iter().flatten();
        let usage = Usage {
            input: told.copied().reduce(i64::saturating_add),
            cached: self.prompt[1],
            output: event.output.filter(|_| event.kind != "message_start"),
            ..Usage::default()
        };
        facts.report(&usage, event.cut);
        // Who passes on what Anthropic's own client makes of a stream repeats there what came before.
        let repeats = matches!(event.kind.as_str(), "content_block_stop" | "message_stop");
        Some(event.content).filter(|_| !repeats).unwrap_or_default()
    }

    /// The usage under way will not be told whole: a sum of what it told is too small.
    fn forget_part(&mut self) {
        self.event.cut |= self.event.part.take().is_some();
    }

    /// The usage under way was told whole. One that says of no part of the prompt that it has tokens
    /// says nothing of the prompt.
    fn take_part(&mut self) {
        let part = self.event.part.take().unwrap_or_default();
        let is_told = part.iter().flatten().any(|n| *n > 0);
        for (slot, told) in self.prompt.iter_mut().zip(part) {
            *slot = if is_told {
                told.or(*slot)
            } else {
                slot.or(told)
            };
        }
    }

    /// A block of content, or a part of one: `of` are the members below it.
    fn block(&mut self, key: &[u8], value: Scalar<'_>) {
        let event = &mut self.event;
        match (key, value) {
            (b"text", value) => event.content.answer |= value.is_text(),
            (b"thinking", value) => event.content.reasoning |= value.is_text(),
            (b"partial_json", value) => event.content.tool |= value.is_text(),
            // `tool_use`, `server_tool_use`, `mcp_tool_use`.
            (b"type", Scalar::Str { prefix, .. }) if prefix.ends_with("tool_use") => {
                event.content.tool = true;
                event.piece.named = true;
            }
            (b"id", Scalar::Str { prefix, .. }) => event.piece.note_id(prefix),
            (_, _) => {}
        }
    }

    fn usage(&mut self, key: &[u8], value: Scalar<'_>) {
        let Some(number) = count(value) else { return };
        let event = &mut self.event;
        let part = &mut event.part;
        let slot = match (key, part) {
            (b"output_tokens", _) => &mut event.output,
            (b"input_tokens", Some(part)) => &mut part[0],
            (b"cache_read_input_tokens", Some(part)) => &mut part[1],
            (b"cache_creation_input_tokens", Some(part)) => &mut part[2],
            _ => return,
        };
        *slot = Some(number);
    }
}

/// Where the members of the message stand: `message_start` wraps it.
fn base(path: &Path) -> usize {
    usize::from(path.depth() > 1 && path.key(0) == Some(b"message"))
}

fn is_usage(path: &Path) -> bool {
    let base = base(path);
    path.depth() == base + 1 && path.key(base) == Some(b"usage")
}

fn is_error(path: &Path) -> bool {
    path.depth() == 1 && path.key(0) == Some(b"error")
}

impl JsonSink for Reading {
    fn begin(&mut self, path: &Path, container: Container) -> Walk {
        let base = base(path);
        if is_usage(path) {
            self.forget_part();
            self.event.cut = false;
            self.event.part = Some(Default::default());
        }
        if is_error(path) {
            self.event.member.begin();
        }
        self.event.list |= path.depth() == base + 1
            && path.key(base) == Some(b"content")
            && container == Container::Array;
        // The arguments of a tool's call, and its results.
        let inside = path.depth() > base + 2 && path.key(base) == Some(b"content");
        match path.key(path.depth().saturating_sub(1)) {
            Some(b"input" | b"citations") => Walk::Skip,
            _ if inside && path.depth() > base + 3 => Walk::Skip,
            _ => Walk::Into,
        }
    }

    fn end(&mut self, path: &Path, _: Container) {
        if is_usage(path) {
            self.take_part();
        }
        if is_error(path) {
            self.event.member.end();
        }
        let base = base(path);
        let is_block = path.depth() == base + 2 && path.key(base) == Some(b"content");
        if is_block {
            self.event.end_block(path.index(base + 1));
        }
    }

    fn scalar(&mut self, path: &Path, value: Scalar<'_>) {
        let base = base(path);
        let key = |i: usize| path.key(base + i).unwrap_or_default();
        if path.key(0) == Some(b"error") {
            self.event.member.scalar(path.key(1), value);
        }
        match (path.depth() - base, key(0), key(1)) {
            (1, b"type", _) if base == 0 => {
                if let Scalar::Str { prefix, .. } = value {
                    prefix.clone_into(&mut self.event.kind);
                }
            }
            (1, b"role", _) => self.event.assistant |= value.as_str() == Some("assistant"),
            (1, b"index", _) if base == 0 => self.event.index = value.as_u64(),
            (1, b"model", _) => {
                if let Scalar::Str { prefix, .. } = value {
                    say(&mut self.facts.model, prefix);
                }
            }
            (1, b"id", _) => {
                if let Scalar::Str { prefix, .. } = value {
                    say(&mut self.facts.id, prefix);
                }
            }
            (1, b"stop_reason", _) | (2, b"delta", b"stop_reason") => {
                if let Scalar::Str { prefix, .. } = value {
                    say(&mut self.event.stop, prefix);
                }
            }
            (2, b"usage", name) => self.usage(name, value),
            (2, b"error", b"type") => {
                if let Scalar::Str { prefix, .. } = value {
                    say(&mut self.event.error, prefix);
                }
            }
            (2, b"delta" | b"content_block", name) => self.block(name, value),
            (3, b"content", _) => self.block(key(2), value),
            (_, _, _) => {}
        }
    }
}

#[cfg(test)]
mod tests;
