//! What an exchange that begins is part of, and what was done for one that ends.
//!
//! Stands between the exchanges of a connection ([`super::sink`]) and what is known of threads ([`super::serving`],
//! [`crate::scope::Contexts`]) and of Python's contexts ([`super::lineage`]), which are asked first: where a thread has many
//! requests in work only they can tell. A call that a target makes belongs to whoever wrote its request's first byte, and within a
//! request to the innermost scope that the program told of there. It decides nothing by time.

use super::context::Mover;
use super::forks::Purpose;
use super::lineage::Held;
use super::shared::Shared;
use crate::exchange::Role;
use crate::id::Id;
use crate::record::Head;
use crate::scope::{Context, ExchangeScope, Join, Made, Place, evidence};
use crate::time::MonoNs;

/// What an exchange that begins is.
#[derive(Clone, Copy)]
pub(super) struct Beginning {
    pub(super) role: Role,
    pub(super) late: bool,
    pub(super) ts: MonoNs,
    pub(super) pid: u32,
    /// Who made the record that is read now, where it is an outbound one.
    pub(super) writer: Option<Mover>,
}

impl Shared {
    /// The request that a thread or a goroutine works for, as far as is known.
    pub(super) fn place(&self, context: Context) -> Place {
        if !self.serving.serves(context.pid()) {
            return Place::Nowhere;
        }
        let last = self.contexts.scope(context);
        if let Some(why) = self.serving.doubts(context, last) {
            return Place::Unknown(why);
        }
        match (last, self.contexts.work(context)) {
            (Some(_), None) => Place::Unknown(evidence::SEVERAL),
            (_, work) => {
                let origin = work.and_then(|work| self.store.origin(work.scope));
                origin.map_or(Place::Unknown(evidence::NO_REQUEST), |origin| {
                    Place::Request(origin.id, origin.start.at)
                })
            }
        }
    }

    /// Parent of an exchange that begins, and how that is known.
    pub(super) fn parent(&mut self, begins: Beginning) -> (Option<Id>, Join) {
        match begins.role {
            Role::Server => {
                self.serving.note(begins.pid);
                return (None, Join::Plain);
            }
            Role::Client => {}
        }
        let writer = begins.writer.filter(|writer| writer.made(begins.ts));
        let Some(writer) = writer.filter(|_| !begins.late) else {
            let why = match begins.late {
                true => evidence::BEGAN_BEFORE,
                false => evidence::WRITER_UNKNOWN,
            };
            let serves = self.serving.serves(begins.pid);
            let join = if serves {
                Join::Unknown(why)
            } else {
                Join::Plain
            };
            return (None, join);
        };
        let context = writer.context();
        let made = self.made(context, writer.moment());
        if let Made::For { request, within } = made {
            let scope = within.map_or(request, |(_, scope)| scope);
            return (Some(scope), Join::Presumed(evidence::CONTEXT_DESCENT));
        }
        let number = |moment| self.lineage.number(moment);
        let task = writer.moment().and_then(number);
        let place = self.place(context);
        let around = self.probes.around(context, place, made, task);
        let started = writer.moment().filter(|moment| moment.is_goroutine());
        if around.0.is_none()
            && let Some(request) = started.and_then(|moment| self.lineage.candidate(moment))
        {
            return (Some(request), Join::Presumed(evidence::GOROUTINE_DESCENT));
        }
        match around {
            (None, Join::Plain) => self.parent_of_child(begins.pid),
            found => found,
        }
    }

    /// A process that serves nobody makes a call: part of the request that it was forked for, if it was for one.
    fn parent_of_child(&self, pid: u32) -> (Option<Id>, Join) {
        match self.forks.purpose(pid) {
            None => (None, Join::Plain),
            Some(Purpose::Unknown(why)) => (None, Join::Unknown(why)),
            Some(Purpose::Request(id)) => (Some(id), Join::Presumed(evidence::FORK)),
        }
    }

    /// A thread forked a process.
    pub(super) fn fork(&mut self, head: &Head, child: u32) {
        let place = self.place(Context::running(head));
        self.forks.forked(head.tgid, place, child);
    }

    /// A process is watched no more, though it lives.
    pub(super) fn release_child(&mut self, pid: u32) {
        if let Some((request, calls)) = self.forks.release(pid) {
            self.part(request, calls);
        }
    }

    /// Of these calls it is not known that they are part of the request.
    fn part(&mut self, request: Id, calls: Vec<Id>) {
        for call in calls {
            let verdict = Err(evidence::CHILD_OUTLIVES);
            self.store.decide(call, request, verdict);
        }
    }

    /// A call begins whose parent is presumed by the context of its writer, or since its process was forked for it.
    pub(super) fn note_call(&mut self, call: Id, join: Join, by: Option<Mover>) {
        if let Join::Presumed(evidence::CONTEXT_DESCENT | evidence::GOROUTINE_DESCENT) = join
            && let Some(moment) = by.and_then(Mover::moment)
            && let Some(request) = self.lineage.candidate(moment)
        {
            self.judge_later(call, request, moment);
        }
        if let Join::Presumed(evidence::FORK) = join
            && let Some(pid) = self.store.origin(call).map(|origin| origin.start.pid)
            && !self.forks.call(pid, call)
        {
            self.store.give_up_parent(call, evidence::TOO_MANY);
        }
    }

    /// A scope of an exchange is over, and is not written: nothing is part of it.
    pub(super) fn forget_exchange(&mut self, id: Id) {
        self.end_forks(id);
        self.lineage.leave_out(id);
        self.store.forget(id);
    }

    /// A request is over for the processes that were forked for it.
    fn end_forks(&mut self, id: Id) {
        let living = self.forks.end(id);
        self.part(id, living);
    }

    /// A scope of an exchange is over, at once or as soon as it is known which calls are part of it.
    pub(super) fn close_exchange(&mut self, id: Id, end: MonoNs, doubt: Option<&'static str>) {
        self.end_forks(id);
        let start = self.store.origin(id).map(|origin| origin.start.at);
        if !self.lineage.end(id) {
            return self.store.close_in_doubt(id, end, doubt);
        }
        let scope = self.store.get_mut::<ExchangeScope>(id);
        let is_whole = scope.is_some_and(|scope| scope.is_whole());
        if !is_whole || start.is_some_and(|start| self.lossy_until >= start) {
            self.lineage.refuse(id, evidence::RECORDS_LOST);
        }
        let held = Held::new(end, doubt, self.store.held_bytes(id));
        self.judge(id, held, false);
    }

    /// Whether it is known by now which calls were made for a request that is over.
    pub(super) fn judge(&mut self, id: Id, held: Held, is_late: bool) {
        let Some(verdicts) = self.lineage.judge(id, held, is_late) else {
            return;
        };
        for (call, verdict) in verdicts {
            self.store.decide(call, id, verdict);
        }
        self.store.close_in_doubt(id, held.end, held.doubt);
        self.take_lives();
    }

    /// The same of one that was held.
    pub(super) fn judge_held(&mut self, id: Id, is_late: bool) {
        if let Some(held) = self.lineage.held(id) {
            self.judge(id, held, is_late);
        }
    }

    /// Requests that wait, of all processes or of one, wait no longer.
    pub(super) fn judge_all(&mut self, pid: Option<u32>) {
        for id in self.lineage.waiting(pid) {
            self.judge_held(id, true);
        }
    }

    /// An exchange that a target served is over: what was presumed to be part of it is, or is not known to be.
    pub(super) fn doubt(&mut self, id: Id) -> Option<&'static str> {
        let scope = self.store.get_mut::<ExchangeScope>(id)?;
        let is_whole = scope.is_whole();
        match scope.role() {
            Role::Server => self.serving.end(id, is_whole),
            Role::Client => Some(evidence::NO_REQUEST),
        }
    }
}
