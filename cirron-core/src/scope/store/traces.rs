//! Which trace a scope is part of, and which call a request answers.
//!
//! ```text
//!  call C of request R --the same exchange, as its connection shows--> request S of another process
//!      S stays below its own session, and names C (`cirron.caller.span_id`)
//!      trace of a scope:  what its own `traceparent` says, else that of its caller, else of its parent, else the one that
//!                         every `traceparent` within it says, else it begins one whose number is its own id
//! ```
//! A request waits with its call where that one's parent is presumed ([`super::waiting`]): its trace is decided with it, and
//! no line is written that would have to be taken back. A trace is written of scopes that a call joins to others, of what is
//! around these, and of those that a header names one for. Of scopes that ended it is kept, of so many
//! ([`MAX_ENDED_TRACES`]); past that a scope that began in one of them has none that is known. It finds no ends itself.

use std::collections::VecDeque;

use super::waiting::Finished;
use super::{Entry, IdMap, Store};
use crate::id::Id;
use crate::limits::{MAX_ENDED_TRACES, MAX_SCOPE_DEPTH};
use crate::scope::{evidence, names};

/// The trace that headers of what is within a scope name: of a program that begins one itself, nobody else says it.
///
/// ```text
///  None --a header names T--> One(T) --another names U--> Several
///    |                          '---- a line says T is its trace ----> Fixed(T)
///    '---------- a line says its own id is its trace ---------------> Fixed(own id)     (what was written holds)
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Within {
    #[default]
    None,
    One(Id),
    Several,
    /// It was written of what is part of it.
    Fixed(Id),
}

impl Within {
    fn name(&mut self, trace: Id) {
        *self = match *self {
            Within::None => Within::One(trace),
            Within::One(one) if one != trace => Within::Several,
            same @ (Within::One(_) | Within::Several | Within::Fixed(_)) => same,
        };
    }

    /// The one that it is, as far as is known.
    fn trace(self) -> Option<Id> {
        match self {
            Within::One(trace) | Within::Fixed(trace) => Some(trace),
            Within::None | Within::Several => None,
        }
    }
}

/// What joins a scope to one of another process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    /// Of a request: the call that it answers.
    pub(super) caller: Option<Id>,
    /// Of a call: the request that answers it.
    pub(super) callee: Option<Id>,
    /// One of the scopes within it is joined.
    pub(super) is_around: bool,
    pub(super) within: Within,
}

impl Ends {
    fn is_joined(&self) -> bool {
        self.caller.is_some() || self.callee.is_some() || self.is_around
    }

    fn note(&mut self, inner: Inner) {
        self.is_around |= inner.is_joined;
        match (inner.within, self.within) {
            (Within::One(trace), _) => self.within.name(trace),
            (Within::Several, Within::None | Within::One(_)) => self.within = Within::Several,
            (Within::Several, Within::Several | Within::Fixed(_))
            | (Within::None | Within::Fixed(_), _) => {}
        }
    }
}

/// What a scope is to know of one that is part of it.
#[derive(Clone, Copy)]
struct Inner {
    is_joined: bool,
    within: Within,
}

impl Inner {
    fn is_any(self) -> bool {
        self.is_joined || matches!(self.within, Within::One(_) | Within::Several)
    }
}

/// Traces of scopes that have ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    traces: IdMap<Id>,
    order: VecDeque<Id>,
    forgotten: u64,
}

impl Ended {
    fn keep(&mut self, id: Id, trace: Id) {
        if self.order.len() >= MAX_ENDED_TRACES
            && let Some(oldest) = self.order.pop_front()
        {
            self.traces.remove(&oldest);
            self.forgotten += 1;
        }
        self.traces.insert(id, trace);
        self.order.push_back(id);
    }
}

/// The trace of a scope.
#[derive(Clone, Copy)]
struct Trace {
    id: Id,
    /// Others are part of it, or a header names it.
    is_shared: bool,
    /// The open scope that it is decided by, being the outermost.
    by: Option<Id>,
}

impl Trace {
    /// A header names it, or a line that was written.
    fn said(id: Id) -> Trace {
        Trace {
            id,
            is_shared: true,
            by: None,
        }
    }

    /// Of a scope that is part of none: its own, or what all headers within it name.
    fn begun(own: Id, within: Within, by: Option<Id>) -> Trace {
        Trace {
            id: within.trace().unwrap_or(own),
            is_shared: within.trace().is_some(),
            by,
        }
    }
}

impl Store {
    /// A call and a request are the two ends of one exchange. False: one of them is over or not going to be written, or is
    /// another one's already.
    pub(crate) fn join_ends(&mut self, call: Id, request: Id) -> bool {
        let free = |id: Id| {
            let entry = self.open.get(&id)?;
            let ends = entry.ends.as_deref().copied().unwrap_or_default();
            let is_free = ends.caller.is_none() && ends.callee.is_none();
            (is_free && entry.withheld.is_none()).then_some(())
        };
        if free(call).and(free(request)).is_none() {
            return false;
        }
        if let Some(entry) = self.open.get_mut(&call) {
            entry.ends.get_or_insert_default().callee = Some(request);
        }
        if let Some(entry) = self.open.get_mut(&request) {
            entry.ends.get_or_insert_default().caller = Some(call);
        }
        true
    }

    /// Traces that were not kept for want of room.
    pub(crate) fn traces_forgotten(&self) -> u64 {
        self.ended.forgotten
    }

    /// No scope that is told from now on is part of one.
    pub(crate) fn forget_traces(&mut self) {
        self.ended.traces = IdMap::default();
        self.ended.order = VecDeque::new();
    }

    /// Bytes of traces that are kept.
    pub(super) fn traces_bytes(&self) -> usize {
        self.ended.order.len() * 2 * size_of::<(Id, Id, Id)>()
    }

    /// A call is not written: the request that answers it names nobody.
    pub(super) fn leave_callee(&mut self, ends: Option<&Ends>) {
        let callee = ends.and_then(|ends| ends.callee);
        let callee = callee.and_then(|id| self.open.get_mut(&id)?.ends.as_deref_mut());
        if let Some(ends) = callee {
            ends.caller = None;
        }
    }

    /// What is around a joined scope is in its trace. `own` closes, `rest` waited for that, each behind its parent.
    pub(super) fn note_around(&mut self, own: &mut Finished, rest: &mut [Finished]) {
        for at in (0..rest.len()).rev() {
            let Some((one, before)) = rest.get_mut(..=at).and_then(<[_]>::split_last_mut) else {
                continue;
            };
            let Some((parent, inner)) = one.tells_parent() else {
                continue;
            };
            let mut others = before.iter_mut().chain(std::iter::once(&mut *own));
            if let Some(parent) = others.find(|other| other.span.id == parent) {
                parent.ends.note(inner);
            } else {
                self.note_open(parent, inner);
            }
        }
        if let Some((parent, inner)) = own.tells_parent() {
            self.note_open(parent, inner);
        }
    }

    fn note_open(&mut self, id: Id, inner: Inner) {
        if let Some(entry) = self.open.get_mut(&id) {
            entry.ends.get_or_insert_default().note(inner);
        }
    }

    /// Writes on a span which trace it is part of, where it shares one, and who called.
    pub(super) fn write_trace(&mut self, one: &mut Finished) {
        let own = one.span.id;
        let trace = match (one.said, one.up()) {
            (Some(said), _) => Some(Trace::said(said)),
            (None, Some(up)) => self.trace_of(up),
            (None, None) => Some(Trace::begun(own, one.ends.within, None)),
        };
        let attrs = &mut one.span.attrs;
        if let Some(caller) = one.ends.caller {
            attrs.insert(names::CALLER_SPAN_ID, caller.to_string().into());
            attrs.insert(names::CALLER_BY, evidence::CONNECTION.into());
        }
        if let Some(trace) = trace.filter(|trace| trace.is_shared || one.ends.is_joined()) {
            attrs.insert(names::TRACE_ID, trace.id.to_string().into());
            self.ended.keep(own, trace.id);
            if let Some(entry) = trace.by.and_then(|id| self.open.get_mut(&id)) {
                entry.ends.get_or_insert_default().within = Within::Fixed(trace.id);
            }
        }
    }

    /// `None`: it, or what is around it, ended too long ago.
    fn trace_of(&self, id: Id) -> Option<Trace> {
        let (mut next, mut is_shared) = (id, false);
        for _ in 0..MAX_SCOPE_DEPTH {
            if let Some(trace) = self.ended.traces.get(&next) {
                return Some(Trace::said(*trace));
            }
            let Some(entry) = self.open.get(&next) else {
                // It shared none, or that is not known any more.
                let mut trace = Trace::begun(next, Within::None, None);
                trace.is_shared = is_shared;
                return (self.ended.forgotten == 0).then_some(trace);
            };
            is_shared |= entry.ends.as_deref().is_some_and(Ends::is_joined);
            if let Some(said) = entry.said() {
                return Some(Trace::said(said));
            }
            let Some(up) = entry.up() else {
                let within = entry.ends.as_deref().map(|ends| ends.within);
                let mut trace = Trace::begun(next, within.unwrap_or_default(), Some(next));
                trace.is_shared |= is_shared;
                return Some(trace);
            };
            next = up;
        }
        None
    }
}

impl Finished {
    /// What it is part of, or who called it.
    pub(super) fn up(&self) -> Option<Id> {
        self.span.parent_id.or(self.ends.caller)
    }

    /// What its parent is to know of it, where it is certain that it is its parent.
    fn tells_parent(&self) -> Option<(Id, Inner)> {
        let parent = self.span.parent_id.filter(|_| !self.is_presumed)?;
        let inner = match self.said {
            Some(said) => Inner {
                is_joined: false,
                within: Within::One(said),
            },
            None => Inner {
                is_joined: self.ends.is_joined(),
                within: self.ends.within,
            },
        };
        inner.is_any().then_some((parent, inner))
    }
}

impl Entry {
    /// As [`Finished::up`].
    pub(super) fn up(&self) -> Option<Id> {
        let caller = self.ends.as_deref().and_then(|ends| ends.caller);
        self.origin.start.parent.or(caller)
    }

    /// The trace that a header of it names.
    pub(super) fn said(&self) -> Option<Id> {
        self.content.as_deref()?.trace()
    }
}
