//! Choices of a response: what one event says of each, and what of that is new.
//!
//! Events bring a choice in pieces, its `delta`; an answer that is whole has a `message`. Some
//! servers put both into an event, or end their stream with the whole message (MiniMax, Perplexity):
//! beside pieces it is no content.

use crate::body::json::{Path, Scalar};
use crate::llm::calls::{Calls, ONLY, Piece, Pieces};
use crate::llm::count::count;
use crate::llm::facts::{Content, MAX_CHOICES, Usage, is_said, say};
use crate::llm::repeats::{Repeats, Text};

/// Of one event.
#[derive(Debug, Default)]
pub(super) struct Choice {
    pub(super) index: Option<i64>,
    pub(super) finish: Option<String>,
    pub(super) usage: Usage,
    /// What it adds; of completions, `text` too.
    delta: Part,
    /// What it is.
    message: Part,
}

#[derive(Debug, Default)]
struct Part {
    content: Content,
    answer: Text,
    reasoning: Text,
    piece: Piece,
    pieces: Pieces,
}

impl Part {
    fn content(&self) -> Content {
        self.content.or(Content {
            answer: !self.answer.is_empty(),
            reasoning: !self.reasoning.is_empty(),
            tool: false,
        })
    }

    fn call(&mut self, key: &[u8], value: Scalar<'_>) {
        let Scalar::Str {
            prefix: text, cut, ..
        } = value
        else {
            return;
        };
        match key {
            b"name" if !text.is_empty() => self.piece.note_name(text),
            b"arguments" | b"input" => self.piece.note_arguments(text, cut),
            _ => return,
        }
        self.content.tool |= !text.is_empty();
    }

    fn end_call(&mut self) {
        let piece = std::mem::take(&mut self.piece);
        if piece != Piece::default() {
            self.pieces.push(piece);
        }
    }
}

impl Choice {
    /// A scalar whose path is that of a choice for its first `base` + 2 segments.
    pub(super) fn scalar(&mut self, path: &Path, base: usize, value: Scalar<'_>) {
        let key = |i: usize| path.key(base + i).unwrap_or_default();
        let depth = path.depth() - base;
        if depth == 3 {
            return match (key(2), value) {
                (b"index", value) => self.index = count(value),
                (b"finish_reason", Scalar::Str { prefix, .. }) if is_said(prefix) => {
                    say(&mut self.finish, prefix);
                }
                (b"text", value) => self.delta.answer.push(value),
                (_, _) => {}
            };
        }
        let part = match key(2) {
            b"delta" => &mut self.delta,
            b"message" => &mut self.message,
            _ => return,
        };
        match (depth, key(3)) {
            (4, b"content") => part.answer.push(value),
            (4, b"refusal") => part.content.answer |= value.is_text(),
            (4, b"reasoning_content" | b"reasoning") => part.reasoning.push(value),
            // It was the one call before there were several.
            (5, b"function_call") => {
                part.piece.index = Some(ONLY);
                part.call(key(4), value);
            }
            // Lists of texts: Mistral's, and the audio of OpenAI's.
            (5, b"audio") => part.content.answer |= value.is_text(),
            (6, b"content") if key(5) == b"text" => part.answer.push(value),
            // MiniMax, OpenRouter; some write it beside the text above.
            (6, b"reasoning_details") if matches!(key(5), b"text" | b"summary") => {
                part.content.reasoning |= value.is_text();
            }
            (8, b"content") if key(5) == b"thinking" && key(7) == b"text" => {
                part.reasoning.push(value);
            }
            (6, b"tool_calls") => match (key(5), value) {
                (b"index", value) => part.piece.index = value.as_u64(),
                (b"id", Scalar::Str { prefix, .. }) => part.piece.note_id(prefix),
                (_, _) => {}
            },
            (7, b"tool_calls") => part.call(key(6), value),
            (_, _) => {}
        }
    }

    /// A container in it ends.
    pub(super) fn end(&mut self, path: &Path, base: usize) {
        let key = |i: usize| path.key(base + i).unwrap_or_default();
        let depth = path.depth() - base;
        if (depth, key(3)) == (5, b"tool_calls") || (depth, key(3)) == (4, b"function_call") {
            self.delta.end_call();
            self.message.end_call();
        }
    }
}

/// Of all events so far.
#[derive(Debug, Default)]
pub(super) struct Choices {
    of: Vec<(i64, OfChoice)>,
    pub(super) calls: Calls,
}

#[derive(Debug, Default)]
struct OfChoice {
    /// Pieces of it came.
    deltas: bool,
    answer: Repeats,
    reasoning: Repeats,
}

impl Choices {
    /// One choice of an event that is over: what is new, and how many calls of tools.
    pub(super) fn take(&mut self, index: i64, choice: Choice) -> (Content, u64) {
        let Choice {
            mut delta,
            mut message,
            finish,
            ..
        } = choice;
        let known = self.of_index(index);
        let is_delta = delta.content().is_some();
        let deltas = known.as_ref().is_some_and(|known| known.deltas);
        let part = if is_delta || deltas {
            &mut delta
        } else {
            &mut message
        };
        let mut content = part.content();
        if let Some(known) = known {
            known.deltas |= is_delta;
            let ends = finish.is_some();
            content.answer = known.answer.piece(part.answer, ends) || part.content.answer;
            let is_beside = part.reasoning.is_empty() && part.content.reasoning;
            content.reasoning = known.reasoning.piece(part.reasoning, ends) || is_beside;
        }
        // One that broke off.
        part.end_call();
        let mut pieces = std::mem::take(&mut part.pieces);
        pieces.belong_to(index);
        (content, self.calls.take_all(pieces))
    }

    /// Past the bound nothing is known of a choice, and all that it says is new.
    fn of_index(&mut self, index: i64) -> Option<&mut OfChoice> {
        let at = match self.of.binary_search_by_key(&index, |(i, _)| *i) {
            Ok(at) => at,
            Err(at) if self.of.len() < MAX_CHOICES => {
                if self.of.is_empty() {
                    // Most answers are one choice.
                    self.of.reserve_exact(1);
                }
                self.of.insert(at, (index, OfChoice::default()));
                at
            }
            Err(_) => return None,
        };
        self.of.get_mut(at).map(|(_, of)| of)
    }
}
