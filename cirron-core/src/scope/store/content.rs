//! What a producer of scopes gives the store, and what it is given to work with.

use std::any::Any;
use std::fmt::Debug;

use super::Store;
use super::told_request::ToldRequest;
use super::waiting::Call;
use crate::id::{Id, IdSource};
use crate::scope::label::Label;
use crate::scope::marks::Marks;
use crate::scope::names;
use crate::scope::span::{Attrs, Span};
use crate::time::MonoNs;

/// Where and when a scope begins: known when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The scope that it is part of; `None`: the session of its process, which is the engine's.
    pub parent: Option<Id>,
    /// When.
    pub at: MonoNs,
    /// The target's process.
    pub pid: u32,
    /// The thread that began it.
    pub tid: u32,
    /// The target's rank.
    pub rank: i64,
    /// How it is known that it began, and when: one of [`super::super::evidence`].
    pub evidence: &'static str,
    /// How its parent is known.
    pub join: Join,
}

/// How the parent of a scope is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Join {
    /// By what it is: a response is part of its WebSocket, a request of its process. Nothing is written of that.
    #[default]
    Plain,
    /// By this (`cirron.parent.by`).
    By(&'static str),
    /// By this, if the parent's end confirms it: until then no word of it is written.
    Presumed(&'static str),
    /// The same, and its parent's end has confirmed it already.
    Confirmed(&'static str),
    /// There may be one, which is not known for this reason (`cirron.parent.unknown`).
    Unknown(&'static str),
}

impl Join {
    fn describe(self, attrs: &mut Attrs) {
        match self {
            Join::Plain => {}
            Join::By(by) | Join::Presumed(by) | Join::Confirmed(by) => {
                attrs.insert(names::PARENT_BY, by.into());
            }
            Join::Unknown(why) => {
                attrs.insert(names::PARENT_UNKNOWN, why.into());
            }
        }
    }
}

#[cfg(test)]
impl Start {
    /// The beginning of a test's scope: at 0, of process 1, in no other scope.
    pub(in crate::scope) fn at_zero() -> Start {
        Start {
            parent: None,
            at: MonoNs(0),
            pid: 1,
            tid: 1,
            rank: 0,
            evidence: crate::scope::evidence::BYTES,
            join: Join::Plain,
        }
    }
}

/// An open scope's id, and its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its own.
    pub id: Id,
    /// Its beginning.
    pub start: Start,
}

impl Origin {
    pub(super) fn span(
        &self,
        content: &dyn Content,
        end: Option<MonoNs>,
        attrs: Attrs,
        mark_ids: Vec<Id>,
    ) -> Span {
        Span {
            name: content.name(),
            index: content.index(),
            ..self.bare_span(end, attrs, mark_ids)
        }
    }

    /// Without a name.
    pub(super) fn bare_span(&self, end: Option<MonoNs>, attrs: Attrs, mark_ids: Vec<Id>) -> Span {
        let mut attrs = attrs;
        self.start.join.describe(&mut attrs);
        Span {
            id: self.id,
            name: Label::from(""),
            parent_id: self.start.parent,
            index: None,
            start: self.start.at,
            end,
            cpu_ns: None,
            thread_id: self.start.tid,
            pid: self.start.pid,
            rank: self.start.rank,
            attrs,
            mark_ids,
        }
    }
}

/// What the engine counts of a scope that is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScopeFacts {
    /// It is an LLM call, and no inference of another kind of model.
    pub is_llm: bool,
    /// Reported or counted.
    pub output_tokens: Option<u64>,
    /// A hole, a late attach or an early end touched it.
    pub partial: bool,
    /// It carries a `traceparent` that is none.
    pub bad_traceparent: bool,
}

/// A producer's state of one open scope.
pub(crate) trait Content: Any + Debug + Send {
    /// The span's name.
    fn name(&self) -> Label;

    /// Which of a series it is.
    fn index(&self) -> Option<i64> {
        None
    }

    /// The attributes that are known before its end: those of a span that is written open.
    fn describe(&self, attrs: &mut Attrs);

    /// What a live view shows of it now.
    fn about(&self) -> super::About;

    /// Bytes that it holds, about.
    fn held_bytes(&self) -> usize;

    /// It is a call that was made of somebody else, whose share of its parent's time is told apart.
    fn is_call(&self) -> bool {
        false
    }

    /// It is a request that its program tells, and perhaps one that was seen on the wire.
    fn told_request(&self) -> Option<ToldRequest> {
        None
    }

    /// The trace that it says it is part of.
    fn trace(&self) -> Option<Id> {
        None
    }

    /// It is over: writes its attributes and marks.
    fn finish(self: Box<Self>, closing: &mut Closing<'_>);
}

/// Attributes of an exchange that is an LLM call, most often; a larger list is no longer a small allocation (see
/// `USUAL_MARKS`).
const USUAL_ATTRS: usize = 21;

/// Where a scope that is over is written.
pub(crate) struct Closing<'a> {
    /// Its attributes.
    pub attrs: Attrs,
    /// What the engine counts of it.
    pub facts: ScopeFacts,
    /// Processor time that it took, ns, where that is known.
    pub cpu_ns: Option<u64>,
    /// Calls that were made for it, as far as is known.
    pub(in crate::scope) calls: Vec<Call>,
    pub(in crate::scope) marks: Marks<'a>,
}

impl<'a> Closing<'a> {
    pub(super) fn new(origin: Origin, end: MonoNs, ids: &'a mut dyn IdSource) -> Closing<'a> {
        Closing {
            attrs: Attrs::with_capacity(USUAL_ATTRS),
            facts: ScopeFacts::default(),
            cpu_ns: None,
            calls: Vec::new(),
            marks: Marks::new(ids, origin.id, end),
        }
    }
}

/// Where a producer that works on a scope finds that scope's children.
#[derive(Debug)]
pub(crate) struct Desk<'a> {
    store: &'a mut Store,
    parent: Origin,
}

impl<'a> Desk<'a> {
    pub(in crate::scope) fn new(store: &'a mut Store, parent: Origin) -> Desk<'a> {
        Desk { store, parent }
    }

    /// A child begins, of the same process and thread.
    pub(crate) fn open(
        &mut self,
        at: MonoNs,
        evidence: &'static str,
        content: Box<dyn Content>,
    ) -> Id {
        let start = Start {
            parent: Some(self.parent.id),
            at,
            evidence,
            join: Join::Plain,
            ..self.parent.start
        };
        self.store.open(start, content)
    }

    /// A child began earlier than was thought.
    pub(crate) fn begin_at(&mut self, id: Id, start: MonoNs) {
        self.store.begin_at(id, start);
    }

    /// The content of a child.
    pub(crate) fn get_mut<C: Content>(&mut self, id: Id) -> Option<&mut C> {
        self.store.get_mut(id)
    }

    /// Bytes that a child holds.
    pub(crate) fn held_bytes(&self, id: Id) -> usize {
        self.store.held_bytes(id)
    }

    /// A child is over. It is written when the work on its parent is done.
    pub(crate) fn close(&mut self, id: Id, end: MonoNs) {
        self.store.close(id, end);
    }
}
