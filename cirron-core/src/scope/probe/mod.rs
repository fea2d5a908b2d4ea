//! Scopes and marks that probes tell of: those of the provider `cirron` (`docs/probes.md`), of other USDT probes by a rule,
//! and functions that are entered and left.
//!
//! ```text
//!  PROBE_SPEC --> what a number means
//!  PROBE_HIT  --> begin: a parent is looked for, the store opens a scope --> marks --> end: the store writes it
//! ```
//! Where a parent comes from, in this order: the program names it; the thread works for a scope that another producer began;
//! the context (Python's `contextvars`) was made for a request ([`Made`]), or works for a scope of it; the thread works for a
//! request ([`super::place`]). A frame of a function closes with its exit, or at the latest when a
//! frame around it is left or another is entered at its place in the stack. The stack of a goroutine moves: places in it are told from
//! its end where its number is known, else its frames are told apart by their order: an exit closes the innermost of its
//! function, and those within. It promises that every scope
//! that was opened is closed, at the latest with its process, and counts whatever it leaves out ([`ProbeCounts`]). It has
//! no clock, and trusts no length.

mod begin;
mod content;
mod made;
mod marks;
mod process;
mod values;

use std::collections::HashMap;

use cirron_common::hit::role;

use self::content::{CpuTime, End, ProbeScope};
use self::made::Turn;
pub(crate) use self::made::{Made, Noted};
pub(crate) use self::process::Key as ScopeKey;
use self::process::{Entry, Found, Process, What};
use self::values::{Slot, label, named, readable};
use super::label::Label;
use super::place::{Place, by};
use super::store::{Belongs, Join, NewMark, Start};
use super::{Context, Store, evidence};
use crate::id::Id;
use crate::limits::MAX_PROBES;
use crate::record::{Head, Hit, Spec, Text};
use crate::time::MonoNs;

/// What was left out, and what was told of something that is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProbeCounts {
    /// Scopes that were not opened: too many were open, or within one another.
    pub scopes_left_out: u64,
    /// Marks that had no room, or came behind their scope's end.
    pub marks_left_out: u64,
    /// Marks of which it is not known whose they are.
    pub marks_unplaced: u64,
    /// Ends, entries and marks of scopes whose beginning was not seen.
    pub unseen: u64,
    /// Hits, names, values and attributes that could not be read.
    pub unread: u64,
    /// What programs said that their own library left out.
    pub told_left_out: u64,
}

/// What hits of one number mean.
#[derive(Debug)]
struct Known {
    image: u64,
    role: u8,
    name: Label,
    slots: Vec<Slot>,
    /// When it was learned, or hit last, counted in [`Probes::uses`].
    used: u64,
}

impl Known {
    /// Which text is the value at `index`; where the values were not described, the `usual` one.
    fn text_index(&self, index: usize, usual: usize) -> usize {
        let is_text = |slot: &Slot| slot.form == cirron_common::hit::form::TEXT;
        match self.slots.get(index) {
            Some(slot) if is_text(slot) => {
                let before = self.slots.iter().take(index);
                before.filter(|slot| is_text(slot)).count()
            }
            _ => usual,
        }
    }
}

/// A hit, and what is known around it.
#[derive(Clone, Copy)]
pub(crate) struct Reached<'a> {
    pub(crate) head: &'a Head,
    pub(crate) hit: &'a Hit<'a>,
    /// The process's.
    pub(crate) rank: i64,
    /// The request that the thread or goroutine works for.
    pub(crate) place: Place,
    /// What its context of Python's was made for.
    pub(crate) made: Made,
    /// The number of that context, where it is known.
    pub(crate) task: Option<u64>,
}

impl Reached<'_> {
    fn context(&self) -> Context {
        Context::running(self.head)
    }

    /// Of the thread; of one that runs many goroutines it says nothing.
    fn cpu(&self) -> Option<CpuTime> {
        let Context::Thread { tid, .. } = self.context() else {
            return None;
        };
        let (ns, at) = (self.hit.cpu_ns()?, self.head.ts);
        Some(CpuTime { tid, ns, at })
    }
}

/// All probes, and the scopes that they opened.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    known: HashMap<u32, Known>,
    /// Number of specs and hits so far.
    uses: u64,
    processes: HashMap<u32, Process>,
    /// Number of open scopes.
    open: usize,
    /// Bytes of their contents.
    content_bytes: usize,
    /// Bytes of what is known of processes.
    process_bytes: usize,
    /// Of the hit that is read now.
    noted: Noted,
    counts: ProbeCounts,
}

impl Probes {
    /// What was left out so far.
    pub(crate) fn counts(&self) -> ProbeCounts {
        self.counts
    }

    /// Bytes that all of it holds, about.
    pub(crate) fn held_bytes(&self) -> usize {
        self.content_bytes + self.process_bytes
    }

    /// What hits of one number mean.
    pub(crate) fn learn(&mut self, spec: &Spec<'_>) {
        self.uses += 1;
        if self.known.len() >= MAX_PROBES && !self.known.contains_key(&spec.probe) {
            // Most likely of a file that is gone: on a node images come and go.
            let oldest = self.known.iter().min_by_key(|(_, known)| known.used);
            if let Some(oldest) = oldest.map(|(probe, _)| *probe) {
                self.known.remove(&oldest);
            }
        }
        let slots = spec.values().map(|value| Slot {
            form: value.form,
            name: label(value.name),
        });
        let known = Known {
            image: spec.image,
            role: spec.role,
            name: label(spec.name),
            slots: slots.collect(),
            used: self.uses,
        };
        self.known.insert(spec.probe, known);
    }

    /// A probe was reached. Gives what contexts have to know of it.
    pub(crate) fn reach(&mut self, at: &Reached<'_>, store: &mut Store) -> Noted {
        // Taken out for the time of the work, so that the rest can be changed.
        let Some(mut known) = self.known.remove(&at.hit.probe()) else {
            self.counts.unread += 1;
            return Noted::default();
        };
        self.uses += 1;
        known.used = self.uses;
        let pid = at.head.tgid;
        let before = self.bytes_of(pid);
        match known.role {
            role::SCOPE_BEGIN => self.tell_begin(&known, at, true, store),
            role::SCOPE_OPEN => self.tell_begin(&known, at, false, store),
            role::REQUEST_BEGIN => self.tell_request(&known, at, true, store),
            role::REQUEST_OPEN => self.tell_request(&known, at, false, store),
            role::SCOPE_ENTER => self.enter(&known, at, store),
            role::SCOPE_EXIT => self.exit(&known, at, store),
            role::SCOPE_END => self.tell_end(&known, at, store),
            role::MARK => self.tell_mark(&known, at, store),
            role::DROPPED => self.tell_left_out(&known, at),
            role::BEGIN => self.begin(&known, at, store),
            role::END => self.end(&known, at, store),
            role::POINT => self.point(&known, at, store),
            role::ENTER => self.call(&known, at, store),
            role::EXIT => self.leave(&known, at, store),
            role::LANDED => self.land(at, store),
            // Of a later version.
            _ => self.counts.unread += 1,
        }
        self.known.insert(at.hit.probe(), known);
        if self.processes.get(&pid).is_some_and(Process::is_empty) {
            self.processes.remove(&pid);
        }
        self.process_bytes = self.process_bytes + self.bytes_of(pid) - before;
        std::mem::take(&mut self.noted)
    }

    /// A process has ended, is another program, or is a target no more: its open scopes end here.
    pub(crate) fn end_process(&mut self, pid: u32, ts: MonoNs, store: &mut Store) {
        let Some(process) = self.processes.remove(&pid) else {
            return;
        };
        self.open -= process.open();
        self.process_bytes -= process.held_bytes();
        for scope in process.all() {
            self.close(scope, (ts, None), End::LeftOpen, store);
        }
    }

    /// A thread is over: what it began without a number is too, and it works for nothing any more.
    pub(crate) fn end_thread(&mut self, thread: Context, ts: MonoNs, store: &mut Store) {
        let pid = thread.pid();
        let Some(process) = self.processes.get_mut(&pid) else {
            return;
        };
        let before = process.held_bytes();
        let open = process.leave(thread);
        let (after, is_empty) = (process.held_bytes(), process.is_empty());
        self.process_bytes = self.process_bytes + after - before;
        if is_empty {
            self.processes.remove(&pid);
        }
        self.close_all(open, ts, End::Unwound, store);
    }

    /// The agent ends.
    pub(crate) fn end_all(&mut self, ts: MonoNs, store: &mut Store) {
        let mut pids: Vec<u32> = self.processes.keys().copied().collect();
        pids.sort_unstable();
        for pid in pids {
            self.end_process(pid, ts, store);
        }
    }

    fn bytes_of(&self, pid: u32) -> usize {
        self.processes.get(&pid).map_or(0, Process::held_bytes)
    }

    fn process(&mut self, pid: u32) -> &mut Process {
        self.processes.entry(pid).or_default()
    }

    /// What a thread works for, but for scopes of `image`, which names its own, and for what other tasks began on it.
    fn worked_for(&self, context: Context, image: Option<u64>, turn: Turn) -> Option<&Entry> {
        let entries = self.processes.get(&context.pid())?.entries(context);
        let is_other = |entry: &&Entry| match entry.what {
            What::Told((of, _)) => Some(of) != image,
            What::Begun(_) => turn.may_be_within(entry),
            What::Frame { .. } => true,
        };
        entries.iter().rev().find(is_other)
    }

    /// Where what a context does belongs: the innermost of the scopes and the request that it works for.
    pub(crate) fn around(
        &self,
        context: Context,
        place: Place,
        made: Made,
        task: Option<u64>,
    ) -> (Option<Id>, Join) {
        let turn = Turn::new(place, made, task);
        self.innermost(context, None, place, false, turn)
    }

    /// The same, but for scopes of `image`. Of a frame, frames are around it by their place in the stack. Any other scope may
    /// be one whose end was lost: where threads serve requests its end has to confirm what is part of it.
    fn innermost(
        &self,
        context: Context,
        image: Option<u64>,
        place: Place,
        is_frame: bool,
        turn: Turn,
    ) -> (Option<Id>, Join) {
        let entry = self
            .worked_for(context, image, turn)
            .filter(|entry| match place {
                Place::Request(_, since) => entry.began >= since,
                Place::Nowhere | Place::Unknown(_) => true,
            });
        let Some(entry) = entry else {
            return place.parent(context);
        };
        let is_sure = match (place, &entry.what) {
            (Place::Nowhere, _) => true,
            (_, What::Frame { .. }) => is_frame,
            (_, What::Told(_) | What::Begun(_)) => false,
        };
        let join = match is_sure {
            true => Join::By(by(context)),
            false => Join::Presumed(by(context)),
        };
        (Some(entry.scope), join)
    }

    fn close(
        &mut self,
        scope: Id,
        (ts, cpu): (MonoNs, Option<CpuTime>),
        end: End,
        store: &mut Store,
    ) {
        self.content_bytes -= store.held_bytes(scope).min(self.content_bytes);
        if let Some(content) = store.get_mut::<ProbeScope>(scope) {
            content.end = end;
            content.ended = cpu;
        }
        let doubt = match end {
            End::Told | End::Failed | End::Cancelled => None,
            End::Unwound | End::LeftOpen => Some(evidence::END_NOT_SEEN),
        };
        store.close_in_doubt(scope, ts, doubt);
    }

    fn close_all(&mut self, scopes: Vec<Id>, ts: MonoNs, end: End, store: &mut Store) {
        self.open -= scopes.len();
        for scope in scopes {
            self.close(scope, (ts, None), end, store);
        }
    }
}

#[cfg(test)]
mod tests;
