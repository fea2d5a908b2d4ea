//! One document of a response: what its members mean together, in whatever order they came.

use super::choices::{Choice, Choices};
use super::usage::{Aside, Reported};
use crate::llm::calls::{Piece, Pieces};
use crate::llm::errors::ErrorMember;
use crate::llm::facts::{Content, ResponseFacts, Usage};

/// What a document calls itself, by its `object`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Object {
    /// Nothing, or an empty text.
    #[default]
    Unsaid,
    /// `chat.completion`, `chat.completion.chunk`, `response`
    Chat,
    /// `text_completion`
    Text,
    /// `list`
    List,
    /// `error`, vLLM's
    Error,
    /// Something else.
    Other,
}

impl Object {
    /// That of this name.
    pub(super) fn named(name: &str) -> Object {
        match name {
            "" => Object::Unsaid,
            "chat.completion" | "chat.completion.chunk" | "response" => Object::Chat,
            "text_completion" => Object::Text,
            "list" => Object::List,
            "error" => Object::Error,
            _ => Object::Other,
        }
    }
}

/// Of the document under way.
#[derive(Debug, Default)]
pub(super) struct Event {
    pub(super) content: Content,
    /// `object`, `type`, and whether `delta` has text: they mean something together, in any order.
    pub(super) object: Object,
    pub(super) kind: String,
    pub(super) delta: bool,
    pub(super) choices: bool,
    pub(super) choice: Choice,
    pub(super) error: ErrorMember,
    /// The framing calls it an error, or the reason why a choice ended.
    pub(super) fails: bool,
    /// It is a text, or the event is one: its class stands at the top, if anywhere.
    pub(super) error_at_top: bool,
    /// `message` at the top says that nobody serves this path.
    pub(super) absent_path: bool,
    pub(super) error_type: Option<String>,
    pub(super) error_code: Option<String>,
    /// Of the responses API.
    pub(super) status: Option<String>,
    pub(super) incomplete: Option<String>,
    pub(super) usage: Usage,
    /// Counts that stand beside, or instead of, usage.
    pub(super) aside: Aside,
    /// Choices of the event: how many, which was the last, and whether one ended.
    pub(super) choice_count: u32,
    pub(super) last_choice: i64,
    pub(super) finishes: bool,
    /// Usage of a choice by itself.
    pub(super) of_choices: Vec<(i64, Usage)>,
    /// The usage under way has not ended.
    pub(super) in_usage: bool,
    pub(super) tool_calls: u64,
    /// The item of the responses API that is under way, the one that stands by itself, and those of
    /// a whole response: named, where they call a tool.
    pub(super) item: Piece,
    pub(super) added: Option<Piece>,
    pub(super) output_index: Option<u64>,
    pub(super) items: Pieces,
    /// They stand in the response that an event wraps.
    pub(super) again: bool,
    pub(super) embedding: bool,
    pub(super) image: bool,
    /// `text` at the top, as a transcription has it.
    pub(super) text: bool,
}

/// Types of the events that end a stream; that of completions ends with `[DONE]`.
const LAST: [&str; 8] = [
    "response.completed",
    "response.incomplete",
    "response.failed",
    "response.cancelled",
    "transcript.text.done",
    "speech.audio.done",
    "image_generation.completed",
    "image_edit.completed",
];

impl Event {
    /// It ends its stream.
    pub(super) fn is_last(&self) -> bool {
        LAST.contains(&self.kind.as_str())
    }

    /// What the document means, now that all its members are known.
    pub(super) fn settle(
        mut self,
        facts: &mut ResponseFacts,
        reported: &mut Reported,
        choices: &mut Choices,
    ) -> Content {
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
        if self.delta && matches!(kind, "transcript.text.delta" | "speech.audio.delta") {
            content.answer = true;
        }
        // Each is a whole picture, if a rough one.
        if self.delta && kind.starts_with("image_") {
            content.answer = true;
        }
        let operation = match self.object {
            Object::Chat => Some("chat"),
            Object::Text => Some("text_completion"),
            Object::List if self.embedding => Some("embeddings"),
            Object::Unsaid | Object::List | Object::Error | Object::Other => {
                let drawn = self.image && self.object == Object::Unsaid;
                operation_of_event(kind).or(drawn.then_some("image_generation"))
            }
        };
        facts.operation = operation.or(facts.operation);
        // A transcription is told by its path: a text and how long the sound was, or its tokens.
        let transcript = self.text && self.usage.is_some();
        reported.take(&self, facts);
        facts.shaped |=
            operation.is_some() || transcript || (self.choices && facts.model.is_some());
        if let Some(mut item) = self.added {
            item.index = self.output_index.filter(|_| item.id.is_none());
            let told = item.index.is_some() || item.id.is_some();
            if told || !kind.ends_with("output_item.done") {
                self.items.push(item);
            }
        }
        // The whole response at the end tells again of those that its events told of.
        let again = self.again && facts.tool_calls > 0;
        let items = Some(self.items).filter(|_| !again).unwrap_or_default();
        facts.tool_calls += self.tool_calls + choices.calls.take_all(items);
        let ended = matches!(
            self.status.as_deref(),
            Some("completed" | "incomplete" | "failed" | "cancelled")
        );
        if let Some(status) = self.status.filter(|_| ended) {
            facts.note_finish(0, self.incomplete.as_deref().unwrap_or(&status));
        }
        // Errors of vLLM's own, and those of the responses API's stream, stand at the top.
        let at_top = match (self.object, kind) {
            (Object::Error, "") | (_, "error") => Some(None),
            (Object::Error, kind) => Some(Some(kind.to_owned())),
            (_, _) => None,
        };
        if self.fails || self.error.is_told() || at_top.is_some() {
            let beside = Some(self.kind)
                .filter(|kind| self.error_at_top && !matches!(kind.as_str(), "" | "error"));
            let named = self.error_type.or(at_top.flatten()).or(beside);
            facts.fails(named.or(self.error_code));
            facts.absent_path |= self.error.is_absent_path() || self.absent_path;
        }
        content
    }
}

/// The operation whose streams have events of this type.
fn operation_of_event(kind: &str) -> Option<&'static str> {
    const PREFIXES: [(&str, &str); 5] = [
        ("response.", "chat"),
        ("transcript.text.", "transcription"),
        ("speech.audio.", "speech"),
        ("image_generation.", "image_generation"),
        ("image_edit.", "image_generation"),
    ];
    let named = |(prefix, _): &&(&str, &str)| kind.starts_with(prefix);
    PREFIXES.iter().find(named).map(|(_, operation)| *operation)
}
