//! What every dialect fills in. Absent means that it was not said; an empty text says nothing.

use super::errors::{UNNAMED_ERROR, is_absent_class};
pub(crate) use super::usage::Usage;
use crate::body::json::Scalar;

/// Choices of one response whose finish reasons are kept; OpenAI's own limit for `n`. Past it the
/// reasons of further choices are not kept.
pub(crate) const MAX_CHOICES: usize = 128;

/// What a response, or one event of a stream, carries of content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// Text, a refusal, speech.
    pub answer: bool,
    /// Reasoning that the server shows.
    pub reasoning: bool,
    /// A call of a tool, or a part of its arguments.
    pub tool: bool,
}

impl Content {
    /// Any of them: a role, a ping or a usage report is none.
    pub(crate) fn is_some(self) -> bool {
        self != Content::default()
    }

    /// What either carries.
    #[must_use]
    pub(crate) fn or(self, other: Content) -> Content {
        Content {
            answer: self.answer || other.answer,
            reasoning: self.reasoning || other.reasoning,
            tool: self.tool || other.tool,
        }
    }
}

/// What the request's body says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestFacts {
    /// It has a body of the dialect's shape.
    pub shaped: bool,
    /// The model asked for.
    pub model: Option<String>,
    /// Its version, where one is asked for.
    pub model_version: Option<String>,
    /// Whether a stream was asked for.
    pub stream: Option<bool>,
    /// Choices asked for.
    pub choices: Option<i64>,
    /// It has a list of prompts: how many answers it asks for is not counted.
    pub prompts: bool,
    /// Whether it asks for usage, where that comes only when it is asked for.
    pub usage: Option<bool>,
}

/// What a response, or all events of a stream, say together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResponseFacts {
    /// It has the dialect's shape.
    pub shaped: bool,
    /// The model that answered.
    pub model: Option<String>,
    /// Its version.
    pub model_version: Option<String>,
    /// The response's id.
    pub id: Option<String>,
    /// What was reported last.
    pub usage: Usage,
    /// It was reported as OpenAI's chat completions do, `usage` with `prompt_tokens` and `completion_tokens`,
    /// or by a reader of their dialects.
    pub openai_usage: bool,
    /// Reports of the answer's tokens so far. One that content came behind is no report of all.
    pub reports: u64,
    /// The last of them broke off: it may have had more to say.
    pub report_cut: bool,
    /// Results that it is the sum of; fewer than two are one.
    pub results: u64,
    /// Finish reason by choice, in the order of the choices.
    pub finish: Vec<(i64, String)>,
    /// Class of the error that the body tells of.
    pub error: Option<String>,
    /// Documents that are not what the dialect writes: no JSON.
    pub unreadable: u64,
    /// It says that nobody serves this path: whoever says so need not be a server of models.
    pub absent_path: bool,
    /// `gen_ai.operation.name`, where the shape tells it.
    pub operation: Option<&'static str>,
    /// Calls of tools.
    pub tool_calls: u64,
}

impl ResponseFacts {
    /// An error of this class is told.
    pub(crate) fn fails(&mut self, class: Option<String>) {
        let class = class.filter(|class| is_said(class));
        let class = class.unwrap_or_else(|| UNNAMED_ERROR.to_owned());
        self.absent_path |= is_absent_class(&class);
        self.error = Some(class);
    }

    /// A document that reports `usage`; `cut`: it broke off in the middle of that.
    pub(crate) fn report(&mut self, usage: &Usage, cut: bool) {
        self.usage.take(usage);
        self.note_report(usage.output, cut);
    }

    /// A document that reported `output` tokens, which `usage` has by now.
    pub(crate) fn note_report(&mut self, output: Option<i64>, cut: bool) {
        // A 0 behind a count is told by who did not count to the end.
        let counts = |n| n > 0 || self.usage.output == Some(0);
        if output.is_some_and(counts) {
            self.reports += 1;
            self.report_cut = cut;
        }
    }

    /// Bytes of what may be long: the reasons of many choices.
    pub(crate) fn held_bytes(&self) -> usize {
        let text = self.finish.first().map_or(0, |(_, text)| text.capacity());
        self.finish.capacity() * (text + size_of::<(i64, String)>())
    }

    /// The finish reason of a choice; a later one replaces it.
    pub(crate) fn note_finish(&mut self, choice: i64, reason: &str) {
        if !is_said(reason) {
            return;
        }
        match self.finish.binary_search_by_key(&choice, |(i, _)| *i) {
            Ok(at) => {
                if let Some((_, old)) = self.finish.get_mut(at) {
                    reason.clone_into(old);
                }
            }
            Err(at) if self.finish.len() < MAX_CHOICES => {
                self.finish.insert(at, (choice, reason.to_owned()));
            }
            Err(_) => {}
        }
    }
}

/// Whether a reason or a class says something. DashScope calls the reason of a choice that goes on `null`;
/// others (LiteLLM) write their own language's word for it.
pub(crate) fn is_said(text: &str) -> bool {
    !matches!(text.trim(), "" | "null" | "None")
}

/// What a member of a request switches on or off. Servers in Python take a text or a number for it.
pub(crate) fn switch(value: Scalar<'_>) -> Option<bool> {
    let text = match value {
        Scalar::Bool(on) => return Some(on),
        Scalar::Num(text) => text,
        Scalar::Str { .. } => value.as_str()?,
        Scalar::Null => return None,
    };
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Sets `slot` to `text`, without a copy where it says so already: every event repeats it. An empty
/// one is not said.
pub(super) fn say(slot: &mut Option<String>, text: &str) {
    if !text.trim().is_empty() && slot.as_deref() != Some(text) {
        *slot = Some(text.to_owned());
    }
}
