//! One call of a model, whoever carried it: what the marks and attributes of its answer are made of.
//!
//! An exchange has at most one ([`super::exchange_scope`]); a WebSocket may have many, one for each
//! response that its messages tell of ([`super::turns`]).

use super::names as n;
use super::span::{AttrValue, Attrs, text};
use super::tokens::TokenTimes;
use super::told::Believed;
use crate::llm::ResponseFacts;
use crate::llm::errors::UNNAMED_ERROR;
use crate::time::MonoNs;

/// A call whose answer was read.
#[derive(Debug)]
pub(super) struct ModelCall<'a> {
    /// The first byte of what asked for it.
    pub(super) start: MonoNs,
    /// That was not seen.
    pub(super) late: bool,
    /// The answer's first byte.
    pub(super) first_byte: Option<MonoNs>,
    /// When all that the answer had to say had come; `None`: it did not all come.
    pub(super) end: Option<MonoNs>,
    /// Name of the dialect.
    pub(super) source: &'static str,
    pub(super) facts: &'a ResponseFacts,
    pub(super) told: Believed,
    pub(super) tokens: &'a TokenTimes,
    pub(super) is_stream: bool,
    /// No event of it can be missing, up to where it was seen.
    pub(super) unbroken: bool,
    /// Bytes of request or answer were lost.
    pub(super) holed: bool,
    /// Another request came on its stream behind the first token: between two tokens there may be a time that was
    /// waited for that.
    pub(super) interrupted: bool,
    /// Its status says that there is no answer, or not all of one.
    pub(super) failed: bool,
}

impl ModelCall<'_> {
    /// How good its figures are: `cirron.figures`.
    pub(super) fn figures(&self) -> &'static str {
        if self.late {
            "late_attach"
        } else if self.end.is_none()
            || self.told.at_least
            || self.holed
            || !self.unbroken
            || self.failed
            || self.facts.error.is_some()
        {
            "partial"
        } else if self.told.estimate.is_some() {
            "estimated"
        } else {
            "complete"
        }
    }

    /// What the answer says of itself.
    pub(super) fn describe(&self, attrs: &mut Attrs) {
        let facts = self.facts;
        if let Some(model) = &facts.model {
            attrs.insert(n::RESPONSE_MODEL, text(model));
        }
        if let Some(version) = &facts.model_version {
            attrs.insert(n::MODEL_VERSION, text(version));
        }
        if let Some(id) = &facts.id {
            attrs.insert(n::RESPONSE_ID, text(id));
        }
        if !facts.finish.is_empty() {
            let reasons: Vec<&str> = facts.finish.iter().map(|(_, r)| r.as_str()).collect();
            attrs.insert(n::FINISH_REASONS, text(&reasons.join(",")));
        }
        if let Some(error) = &facts.error {
            let status = match attrs.get(n::STATUS) {
                Some(AttrValue::Int(status)) if *status >= 400 => Some(status.to_string()),
                _ => None,
            };
            // Of one that names no class the status is all that is known.
            let unnamed = (error == UNNAMED_ERROR).then(|| status.unwrap_or("_OTHER".to_owned()));
            attrs.insert(n::ERROR_TYPE, text(unnamed.as_ref().unwrap_or(error)));
            attrs.insert(n::ERROR, true.into());
        }
        for (name, count) in [
            (n::CACHED_TOKENS, self.told.usage.cached),
            (n::REASONING_TOKENS, self.told.usage.reasoning),
            (n::AUDIO_INPUT_TOKENS, self.told.usage.audio_input),
            (n::AUDIO_OUTPUT_TOKENS, self.told.usage.audio_output),
        ] {
            if let Some(count) = count {
                attrs.insert(name, count.into());
            }
        }
        if self.unbroken && self.is_stream && self.tokens.is_burst() {
            attrs.insert(n::BURST, true.into());
        }
        if facts.tool_calls > 0 && self.unbroken {
            attrs.insert(n::TOOL_CALLS, facts.tool_calls.into());
        }
    }
}
