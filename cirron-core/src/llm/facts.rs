//! What every dialect fills in. Absent means that it was not said.

/// Choices of one response whose finish reasons are kept; OpenAI's own limit for `n`. Past it the
/// reasons of further choices are not kept.
pub const MAX_CHOICES: usize = 128;

/// Token counts as the server reported them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
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
    pub fn is_some(&self) -> bool {
        *self != Usage::default()
    }
}

/// What a response, or one event of a stream, carries of content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Text, a refusal, speech.
    pub answer: bool,
    /// Reasoning that the server shows.
    pub reasoning: bool,
    /// A call of a tool, or a part of its arguments.
    pub tool: bool,
}

impl Content {
    /// Any of them: a role, a ping or a usage report is none.
    pub fn is_some(self) -> bool {
        self != Content::default()
    }

    /// What either carries.
    #[must_use]
    pub fn or(self, other: Content) -> Content {
        Content {
            answer: self.answer || other.answer,
            reasoning: self.reasoning || other.reasoning,
            tool: self.tool || other.tool,
        }
    }
}

/// What the request's body says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
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
}

/// What a response, or all events of a stream, say together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseFacts {
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
    /// Finish reason by choice, in the order of the choices.
    pub finish: Vec<(i64, String)>,
    /// Class of the error that the body tells of.
    pub error: Option<String>,
    /// `gen_ai.operation.name`, where the shape tells it.
    pub operation: Option<&'static str>,
    /// Calls of tools.
    pub tool_calls: u64,
}

impl ResponseFacts {
    /// The finish reason of a choice; a later one replaces it.
    pub fn finished(&mut self, choice: i64, reason: &str) {
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

/// Sets `slot` to `text`, without a copy where it says so already: every event repeats it.
pub(super) fn say(slot: &mut Option<String>, text: &str) {
    if slot.as_deref() != Some(text) {
        *slot = Some(text.to_owned());
    }
}
