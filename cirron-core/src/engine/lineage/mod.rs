//! Which request a call was made for, in programs that keep many in work on one thread: by Python's contexts (`contextvars`),
//! of which each task and callback of an event loop has one, and by Go's goroutines that others make.
//!
//! ```text
//!  a read, an accept, a context made --process--> what each context was made for
//!  a call in a context --candidate--> one request in progress --its end, and those of the contexts--> judge --> verdict
//!
//!  the call's context began the answer                                            --> context
//!  each context from there up to the one that began the answer, or to a read of
//!  the request, has ended by then, and none began another's                       --> context_descent
//!  else                                                                           --> unknown, with the reason
//! ```
//! A task that serves all requests of a connection, whose bytes another one reads, tells for the first of them alone: what it does
//! while the next one waits may still be for the one before, behind its answer. Of what it makes then, the task that begins the
//! answer, or that starts who does, is the next one's.
//! Scopes and marks that probes tell of are judged as calls are; a context works for the scope that was begun in it last, and
//! one that it makes does so too, until another one is begun there (`told`).
//! Of goroutines the same are told (`goroutine`, `goroutine_descent`), with less: nothing is concluded from what a thread read
//! last, as a connection is read by the goroutine that serves it; the number of a goroutine is never given again, so that the
//! record of a life that is lost takes from what is known and adds nothing.
//!
//! Stands beside [`super::serving`], which tells the same of threads. A context is passed on where the program passes it on: to a
//! task, a thread of `asyncio.to_thread`, a callback. Who began the answer is exact. Descent is true as well ("who started it"),
//! and says nothing of the purpose: of a task that one request starts, and that calls for others as well and ends before the
//! first is answered, the calls are taken to be the first one's. A worker that outlives the request tells for none.
//!
//! It promises no parent by time alone, and none where records were lost: lives of contexts are numbered, and a version that a
//! thread counts up says whether anything ran between a read and what was made. What it holds is bounded ([`MAX_NODES`]).

mod judge;
mod node;
mod process;

use std::collections::{BTreeSet, HashMap, HashSet};

use cirron_common::record::GOID;

pub(super) use self::judge::Held;
use self::judge::Request;
use self::node::{Kind, Node, Number, Of};
use self::process::Process;
use super::conn::Slot;
use crate::id::Id;
use crate::limits::{MAX_NODES, MAX_PRESUMED, MAX_PROCESSES};
use crate::record::Head;
use crate::scope::{ScopeKey, evidence};
use crate::time::MonoNs;

/// A connection, and no other that has its number later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Connection(u64);

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Bytes of a socket.
    Socket,
    /// Of an object of a TLS library.
    Plaintext,
}

/// Who did something, and in what context.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pid: u32,
    tid: u32,
    context: u64,
    /// 0: the context is a goroutine.
    version: u64,
    has_room: bool,
}

impl Moment {
    /// `None`: no context is known.
    pub(super) fn new(head: &Head) -> Option<Moment> {
        let is_known = head.version != 0 || head.context & GOID != 0;
        is_known.then_some(Moment {
            pid: head.tgid,
            tid: head.tid,
            context: head.context,
            version: head.version,
            has_room: true,
        })
    }

    /// The context is a goroutine.
    pub(super) fn is_goroutine(self) -> bool {
        self.kind() == Kind::Goroutines
    }

    fn kind(self) -> Kind {
        match self.version {
            0 => Kind::Goroutines,
            _ => Kind::Contexts,
        }
    }
}

/// All contexts, and the calls that were made in them.
#[derive(Debug, Default)]
pub(super) struct Lineage {
    processes: HashMap<u32, Process>,
    requests: HashMap<Id, Request>,
    /// Requests that are over, and wait for contexts to end: when that is given up.
    due: BTreeSet<(MonoNs, Id)>,
    /// Bytes of their scopes.
    held_bytes: usize,
    connections: HashMap<Slot, Connection>,
    /// Those of them on which a request was in progress.
    used: HashSet<Connection>,
    next_connection: u64,
    asked: BTreeSet<u32>,
    nodes: usize,
    /// Of all requests.
    presumed: usize,
    not_kept: u64,
}

impl Lineage {
    fn process(&mut self, at: &mut Moment) -> Option<&mut Process> {
        at.has_room = self.nodes < MAX_NODES;
        // Goroutines are known by number in any case: whether their ends are told, the first such record says.
        if at.kind() == Kind::Contexts {
            self.introduce(*at);
        }
        let process = self.processes.get_mut(&at.pid);
        process.filter(|process| process.kind == at.kind())
    }

    /// The process becomes a known one, if there is room: the lives of its contexts are told.
    fn introduce(&mut self, at: Moment) {
        if !self.processes.contains_key(&at.pid) && self.processes.len() < MAX_PROCESSES {
            self.processes.insert(at.pid, Process::new(at.kind()));
        }
    }

    /// Lets `work` change a process, and counts its contexts anew.
    fn change<T>(
        &mut self,
        mut at: Moment,
        work: impl FnOnce(&mut Process, Moment) -> T,
    ) -> Option<T> {
        let process = self.process(&mut at)?;
        let before = process.nodes.len();
        let done = work(process, at);
        let after = process.nodes.len();
        self.nodes = self.nodes + after - before;
        Some(done)
    }

    /// Once of each process: that its contexts are wanted.
    pub(super) fn asks(&mut self, pid: u32) -> bool {
        self.asked.len() < MAX_PROCESSES && self.asked.insert(pid)
    }

    /// Bytes of a connection were read; `is_served`: they are a client's.
    pub(super) fn read(&mut self, slot: Slot, what: Read, is_served: bool, at: Moment) {
        let connection = self.connection(slot);
        self.change(at, |process, at| {
            process.read(connection, what, is_served, at);
        });
    }

    /// A connection was accepted.
    pub(super) fn accept(&mut self, slot: Slot, at: Moment) {
        self.forget_connection(slot);
        let connection = self.connection(slot);
        self.change(at, |process, at| process.accept(connection, at));
    }

    /// An option of an accepted connection was set on which nothing had passed.
    pub(super) fn tune(&mut self, slot: Slot, at: Moment) {
        let connection = self.connection(slot);
        self.change(at, |process, at| process.tune(connection, at));
    }

    /// A connection is over: what has its number from now on is another one.
    pub(super) fn forget_connection(&mut self, slot: Slot) {
        if let Some(connection) = self.connections.remove(&slot) {
            self.used.remove(&connection);
        }
    }

    fn connection(&mut self, slot: Slot) -> Connection {
        *self.connections.entry(slot).or_insert_with(|| {
            self.next_connection += 1;
            Connection(self.next_connection)
        })
    }

    /// A context was made. `number`: of the record.
    pub(super) fn made(&mut self, context: u64, number: u64, at: Moment) {
        self.introduce(at);
        let is_full = self.nodes >= MAX_NODES;
        self.not_kept += u64::from(is_full);
        self.change(at, |process, at| {
            process.count(number);
            process.make(context, at);
        });
    }

    /// A context has ended. Gives the request whose calls wait for that.
    pub(super) fn ended(
        &mut self,
        context: u64,
        number: u64,
        ts: MonoNs,
        at: Moment,
    ) -> Option<Id> {
        self.introduce(at);
        self.change(at, |process, _| {
            process.count(number);
            process.end(context, ts)
        })
        .flatten()
    }

    /// A request begins.
    pub(super) fn begin(&mut self, request: Id, slot: Slot, pid: u32) {
        if !self.processes.contains_key(&pid) {
            return;
        }
        let connection = self.connection(slot);
        if let Some(process) = self.processes.get_mut(&pid) {
            process.open.entry(connection).or_default().push(request);
            let is_first = self.used.insert(connection);
            let known = Request::new(pid, connection, is_first);
            self.requests.insert(request, known);
        }
    }

    /// A request is in progress that may have begun before contexts were known: nothing tells what was made for it.
    pub(super) fn note_late(&mut self, request: Id, slot: Slot, pid: u32) {
        if !self.requests.contains_key(&request) {
            self.begin(request, slot, pid);
            self.refuse(request, evidence::BEGAN_BEFORE);
        }
    }

    /// The first byte of its answer was written; `by`: by whom, where that is known. What is told first counts: bytes that the
    /// kernel holds back are told when they are written, and read when they have gone.
    pub(super) fn answered(&mut self, request: Id, by: Option<Moment>) {
        let known = self.requests.get_mut(&request);
        let Some(known) = known.filter(|known| !known.is_answered) else {
            return;
        };
        known.is_answered = true;
        let connection = known.connection;
        let Some(at) = by else { return };
        let writer = self.change(at, |process, at| {
            let writer = process.sight(at.context, at.has_room)?;
            let node = process.nodes.get_mut(&writer)?;
            node.answer(request, connection);
            Some((writer, process.outermost(writer, request)))
        });
        if let (Some((writer, outermost)), Some(request)) =
            (writer.flatten(), self.requests.get_mut(&request))
        {
            (request.answered_by, request.answered_in) = (Some(writer), outermost);
        }
    }

    /// Nothing is known to be made for it, for this reason.
    pub(super) fn refuse(&mut self, request: Id, why: &'static str) {
        if let Some(request) = self.requests.get_mut(&request) {
            request.refused = Some(why);
        }
    }

    /// The request that what is done in a context now may be for.
    pub(super) fn candidate(&self, at: Moment) -> Option<Id> {
        let process = self.processes.get(&at.pid)?;
        let node = process.nodes.get(&process.number(at.context)?)?;
        // A goroutine that serves a connection itself works for that one.
        if process.kind == Kind::Goroutines && node.reads != Of::None {
            return None;
        }
        let line = node.line?;
        let open = process.in_progress(line.connection).ok()??;
        let is_its = line.request.is_none_or(|own| own == open);
        (is_its && node.may_serve(open)).then_some(open)
    }

    /// The scope that a context works for, as far as probes told in it, or in what made it until then.
    pub(super) fn told(&self, at: Moment) -> Option<ScopeKey> {
        let process = self.processes.get(&at.pid)?;
        process.nodes.get(&process.number(at.context)?)?.told
    }

    /// A probe told that a context works for a scope, or for none, from now on.
    pub(super) fn works_for(&mut self, at: Moment, key: Option<ScopeKey>) {
        if let Some(process) = self.processes.get_mut(&at.pid)
            && let Some(number) = process.number(at.context)
            && let Some(node) = process.nodes.get_mut(&number)
        {
            node.told = key;
        }
    }

    /// The number of a context that is known: that of no other one, at whatever address.
    pub(super) fn number(&self, at: Moment) -> Option<u64> {
        self.processes.get(&at.pid)?.number(at.context)
    }

    /// `one`, a call, a scope or a mark, begins in a context, and is presumed to be for `request`. False: there are too many.
    pub(super) fn presume(&mut self, one: Id, request: Id, at: Moment) -> bool {
        let Some(request) = self.requests.get_mut(&request) else {
            return true;
        };
        if request.calls.len() >= MAX_PRESUMED {
            return false;
        }
        let process = self.processes.get_mut(&at.pid);
        let number = process.and_then(|process| {
            let number = process.number(at.context)?;
            process.nodes.get_mut(&number)?.needed_by += 1;
            Some(number)
        });
        if let Some(number) = number {
            self.presumed += 1;
            request.calls.push((one, number));
        }
        true
    }

    /// When [`Lineage::due`] wants to be asked.
    pub(super) fn poll_timeout(&self) -> Option<MonoNs> {
        self.due.first().map(|(at, _)| *at)
    }

    /// A request whose wait is over.
    pub(super) fn due(&self, now: MonoNs) -> Option<Id> {
        let (at, id) = *self.due.first()?;
        (at <= now).then_some(id)
    }

    /// Requests of a process that wait.
    pub(super) fn waiting(&self, pid: Option<u32>) -> Vec<Id> {
        let its = |id: &Id| {
            let request = self.requests.get(id);
            request.is_some_and(|request| pid.is_none_or(|pid| request.pid == pid))
        };
        self.due.iter().map(|(_, id)| *id).filter(its).collect()
    }

    /// A process has ended, is another program, or is a new one of that number. Those that wait were judged.
    pub(super) fn end_process(&mut self, pid: u32) {
        self.asked.remove(&pid);
        if let Some(process) = self.processes.remove(&pid) {
            self.nodes -= process.nodes.len();
            self.requests.retain(|_, request| {
                let stays = request.pid != pid;
                self.presumed -= if stays { 0 } else { request.calls.len() };
                stays
            });
        }
    }

    /// Contexts that found no place.
    pub(super) fn not_kept(&self) -> u64 {
        self.not_kept
    }

    /// Bytes that it holds, about.
    pub(super) fn held_bytes(&self) -> usize {
        let nodes = self.nodes * 2 * size_of::<(u64, Number, Number, Node)>();
        let presumed = self.presumed * 2 * size_of::<(Id, Number)>();
        let requests = self.requests.len() * 2 * size_of::<(Id, Request)>();
        nodes + requests + presumed + self.held_bytes
    }

    fn refusal(&self, request: &Request) -> Option<&'static str> {
        let is_known = self.processes.contains_key(&request.pid);
        request
            .refused
            .or((!is_known).then_some(evidence::RECORDS_LOST))
    }

    fn hold(&mut self, id: Id, held: Held) {
        if let Some(request) = self.requests.get_mut(&id) {
            self.due.insert((held.due, id));
            self.held_bytes += held.bytes;
            request.held = Some(held);
        }
    }
}

#[cfg(test)]
mod goroutine_tests;
#[cfg(test)]
mod tests;
