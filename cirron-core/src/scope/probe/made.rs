//! What a probe's context of Python's (`contextvars`) was made for, and what is learned of contexts by probes.
//!
//! Many tasks are in work on one thread, so that nesting by the thread is wrong between them. A program names what is around
//! a scope where that is a scope of its own; where it names nothing, the request follows from the context. What is so placed
//! is presumed, and judged by the engine when the request is over (`engine/lineage`). It decides nothing.

use super::process::{Entry, Found, Key, What};
use super::{Id, Join, Place, Probes, Reached, Store, evidence};
use crate::scope::Context;

/// What the context of a record was made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Made {
    /// No context is known.
    #[default]
    NotKnown,
    /// One is known, and no request that it was made for.
    ForNone,
    /// It may be for this open request.
    For {
        request: Id,
        /// The innermost scope that it works for, which is within that one, and the file that tells of it.
        within: Option<(u64, Id)>,
    },
}

/// What contexts have to know of a hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Noted {
    /// A scope or mark that is presumed to be of the request that its context was made for.
    pub(crate) presumed: Option<Id>,
    /// What the context works for from now on, if that changes.
    pub(crate) works_for: Option<Option<Key>>,
}

impl Made {
    /// It is for this request.
    pub(super) fn is_for(self, scope: Id) -> bool {
        matches!(self, Made::For { request, .. } if request == scope)
    }
}

/// Whose turn it is on a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The thread's own.
    Thread,
    /// One of many tasks'; `None`: it is not known which.
    Task(Option<u64>),
}

impl Turn {
    pub(super) fn new(place: Place, made: Made, task: Option<u64>) -> Turn {
        let has_tasks = made != Made::NotKnown || place == Place::Unknown(evidence::EVENT_LOOP);
        match has_tasks {
            true => Turn::Task(task),
            false => Turn::Thread,
        }
    }

    /// What is done now may be part of a scope that was begun on the thread.
    pub(super) fn may_be_within(self, begun: &Entry) -> bool {
        match self {
            Turn::Thread => true,
            Turn::Task(task) => task.is_some() && begun.task == task,
        }
    }
}

impl Probes {
    /// Where what is done at a probe belongs that names nothing around it. Frames of the thread's stack are around it, and
    /// scopes that claim the thread; those of other providers may have begun in another task.
    pub(super) fn place(&self, at: &Reached<'_>, image: Option<u64>) -> (Option<Id>, Join) {
        self.place_of(at, image, false)
    }

    /// The same; `is_frame`: of a function that is entered.
    pub(super) fn place_of(
        &self,
        at: &Reached<'_>,
        image: Option<u64>,
        is_frame: bool,
    ) -> (Option<Id>, Join) {
        let turn = Turn::new(at.place, at.made, at.task);
        let by_thread = || self.innermost(at.context(), image, at.place, is_frame, turn);
        let Made::For { request, within } = at.made else {
            return by_thread();
        };
        match self
            .worked_for(at.context(), image, turn)
            .map(|entry| &entry.what)
        {
            Some(What::Told(_) | What::Frame { .. }) => by_thread(),
            Some(What::Begun(_)) | None => {
                let within = within.filter(|(file, _)| Some(*file) != image);
                let scope = within.map_or(request, |(_, scope)| scope);
                (Some(scope), Join::Presumed(evidence::CONTEXT_DESCENT))
            }
        }
    }

    /// Within `request`, the open scope that a context works for which began `key` last. A request of the program is none: where it
    /// is the one that was seen on the wire, they become one.
    pub(crate) fn within(
        &self,
        context: Context,
        key: Key,
        request: Id,
        store: &Store,
    ) -> Option<(u64, Id)> {
        let Found::Open(scope, _) = self.processes.get(&context.pid())?.find(key) else {
            return None;
        };
        let is_its = store.is_within(scope, request) && !store.is_told_request(scope);
        is_its.then_some((key.0, scope))
    }

    /// Something begins by this hit. `key`: it is a scope, and the context works for it.
    pub(super) fn note(&mut self, id: Id, join: Join, key: Option<Key>) {
        if join == Join::Presumed(evidence::CONTEXT_DESCENT) {
            self.noted.presumed = Some(id);
        }
        if key.is_some() {
            self.noted.works_for = Some(key);
        }
    }
}
