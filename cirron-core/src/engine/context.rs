//! Which thread or goroutine works for which exchange, as far as the records of reads and writes say.
//!
//! Who read bytes of a request works for it from then on: until another reads more of it or answers it, until it moves
//! bytes of another connection that it serves or closes this one, until the exchange or its process ends. Whether that is
//! enough to call what it does part of the request: [`super::serving`]. Bytes that waited for others are handed on while another record is handled,
//! perhaps of another reader. So a piece counts for a reader only if it has the time of that reader's own record.

use cirron_common::record::flag;

use super::Engine;
use super::lineage::Moment;
use super::shared::Shared;
use crate::id::Id;
use crate::record::{Data, Head};
use crate::scope::{Context, Work, evidence};
use crate::time::MonoNs;

/// Who made a record of bytes, and when.
#[derive(Clone, Copy)]
pub(super) struct Mover {
    at: MonoNs,
    pid: u32,
    tid: u32,
    /// A goroutine, as in the record; 0: none is known.
    goroutine: u64,
    /// As `cirron_common::record::flag::STRAIGHT` says.
    is_straight: bool,
    /// What it ran in, of Python.
    moment: Option<Moment>,
}

impl Mover {
    pub(super) fn new(head: &Head, data: &Data<'_>) -> Mover {
        Mover {
            at: head.ts,
            pid: head.tgid,
            tid: head.tid,
            goroutine: head.goroutine().unwrap_or(0),
            is_straight: data.flags & flag::STRAIGHT != 0,
            moment: Moment::new(head),
        }
    }

    /// It writes where it has read, and has waited for nothing else since.
    pub(super) fn is_straight(self) -> bool {
        self.is_straight
    }

    /// It made the record whose time is `ts`: what came with that is its.
    pub(super) fn made(self, ts: MonoNs) -> bool {
        self.at == ts
    }

    /// In which context of Python's, where that is known.
    pub(super) fn moment(self) -> Option<Moment> {
        self.moment
    }

    /// The goroutine where that is known, else the thread.
    pub(super) fn context(self) -> Context {
        self.goroutine().unwrap_or(self.thread())
    }

    fn thread(self) -> Context {
        let Mover { pid, tid, .. } = self;
        Context::Thread { pid, tid }
    }

    fn goroutine(self) -> Option<Context> {
        let Mover { pid, goroutine, .. } = self;
        (goroutine != 0).then_some(Context::Goroutine { pid, id: goroutine })
    }

    /// It reads or answers on a connection on which these are open: it works for none of another one any more.
    pub(super) fn turns_to<'a>(
        self,
        open: impl Iterator<Item = &'a Id> + Clone,
        shared: &mut Shared,
    ) {
        for context in std::iter::once(self.thread()).chain(self.goroutine()) {
            let work = shared.contexts.scope(context);
            if let Some(scope) = work
                && open.clone().all(|id| *id != scope)
            {
                shared.contexts.end(context);
                shared.serving.turned(scope, context);
            }
        }
    }

    /// A head that is complete, or bytes of a body.
    pub(super) fn works_for(self, scope: Id, ts: MonoNs, acceptor: u32, shared: &mut Shared) {
        if !self.made(ts) {
            return;
        }
        let work = Work {
            scope,
            evidence: evidence::READ,
            at: ts,
        };
        let context = match self.goroutine() {
            // The thread runs many.
            Some(goroutine) => {
                shared.contexts.end(self.thread());
                goroutine
            }
            None => self.thread(),
        };
        let before = shared.contexts.scope(context);
        let behind = before.is_some_and(|before| before != scope);
        shared.serving.read(scope, context, acceptor, behind);
        if before != Some(scope) {
            // Whoever read of it before has handed it over.
            shared.contexts.end_scope(scope);
            // What it read before on this connection is not over.
            if let Some(before) = before {
                shared.serving.several(before);
                shared.serving.several(scope);
            }
        }
        shared.contexts.begin(context, work);
    }
}

impl Engine {
    /// What a thread or a goroutine works for, where that is known.
    pub fn work(&self, context: Context) -> Option<Work> {
        self.shared.contexts.work(context)
    }

    /// Contexts that are known to work for something.
    pub fn known_contexts(&self) -> usize {
        self.shared.contexts.len()
    }
}
