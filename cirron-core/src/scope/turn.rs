//! One response that the messages of a session tell of, as the content of a scope.
//!
//! ```text
//!   Asked, Created or Late -> taken from as pieces come -> ended, by the server's word or with the session
//! ```
//! [`super::turns`] opens, feeds and closes it.

use super::call::ModelCall;
use super::label::Label;
use super::names as n;
use super::span::Attrs;
use super::store::{About, Closing, Content};
use super::tokens::TokenTimes;
use super::told::Told;
use super::{ScopeFacts, marks};
use crate::llm::{ResponseFacts, Usage};
use crate::time::MonoNs;

/// Bytes of the texts of one response, about: ids, a model, reasons.
const TURN_TEXT_BYTES: usize = 512;

/// What a response begins with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Begin {
    Asked(MonoNs),
    Created,
    /// Its beginning was not seen.
    Late,
}

/// A response under way, or over.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) begin: Begin,
    /// The server's first message about it.
    pub(super) first: MonoNs,
    /// The latest that was seen of it.
    pub(super) last: MonoNs,
    pub(super) tokens: TokenTimes,
    /// Messages about it may be missing.
    pub(super) broken: bool,
    /// Name of the session's dialect.
    source: &'static str,
    /// What the server said of it, most of it at its end.
    pub(super) facts: Box<ResponseFacts>,
    /// When the server said that; `None`: it did not.
    ended: Option<MonoNs>,
}

impl Turn {
    pub(super) fn new(begin: Begin, first: MonoNs, source: &'static str) -> Turn {
        let late = matches!(begin, Begin::Late);
        let mut tokens = TokenTimes::default();
        if late {
            tokens.hole();
        }
        Turn {
            begin,
            first,
            last: first,
            tokens,
            broken: late,
            source,
            facts: Box::default(),
            ended: None,
        }
    }

    /// When its times begin.
    pub(super) fn start(&self) -> MonoNs {
        match self.begin {
            Begin::Asked(asked) => asked,
            Begin::Created | Begin::Late => self.first,
        }
    }

    /// It is over. `at`: when the server said so.
    pub(super) fn end(&mut self, id: String, facts: Box<ResponseFacts>, at: Option<MonoNs>) {
        let model = self.facts.model.take();
        self.facts = facts;
        self.facts.model = self.facts.model.take().or(model);
        self.facts.id.get_or_insert(id);
        self.ended = at;
        self.last = at.unwrap_or(self.last);
    }
}

impl Content for Turn {
    fn name(&self) -> Label {
        n::RESPONSE.into()
    }

    fn describe(&self, attrs: &mut Attrs) {
        let begin = match self.begin {
            Begin::Asked(_) => "asked",
            Begin::Created => "created",
            Begin::Late => "late",
        };
        attrs.insert(n::PROVIDER, self.source.into());
        attrs.insert(n::RESPONSE_BEGIN, begin.into());
    }

    fn about(&self) -> About {
        About {
            endpoint: None,
            model: self.facts.model.clone(),
            first_token: self.tokens.first.at(),
            tokens: Some(self.tokens.count),
        }
    }

    fn held_bytes(&self) -> usize {
        size_of::<Turn>() + self.tokens.held_bytes() + TURN_TEXT_BYTES
    }

    fn finish(self: Box<Self>, closing: &mut Closing<'_>) {
        let turn = &*self;
        let late = matches!(turn.begin, Begin::Late);
        let told = Told::at_end(&turn.facts, &turn.tokens);
        let nothing = Usage::default();
        let (ended, unbroken) = (turn.ended.is_some(), !turn.broken);
        let told = told.believed(&turn.tokens, true, ended, unbroken, &nothing);
        let call = ModelCall {
            interrupted: false,
            failed: false,
            start: turn.start(),
            late,
            first_byte: matches!(turn.begin, Begin::Asked(_)).then_some(turn.first),
            end: turn.ended,
            source: turn.source,
            told,
            facts: &turn.facts,
            tokens: &turn.tokens,
            is_stream: true,
            unbroken,
            holed: false,
        };
        let partial = late || !ended || turn.broken;
        let attrs = &mut closing.attrs;
        turn.describe(attrs);
        let operation = turn.facts.operation.unwrap_or("chat");
        attrs.insert(n::OPERATION, operation.into());
        attrs.insert(n::FIGURES, call.figures().into());
        call.describe(attrs);
        if partial {
            attrs.insert(n::PARTIAL, true.into());
        }
        if late {
            attrs.insert(n::LATE_ATTACH, true.into());
        }
        closing.facts = ScopeFacts {
            is_llm: true,
            output_tokens: marks::write(&call, &mut closing.marks),
            partial,
            bad_traceparent: false,
        };
    }
}
