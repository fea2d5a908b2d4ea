//! Whether a thread that read a request does nothing else until it has answered it.
//!
//! ```text
//!  one exchange   read by T --answered by T, whole, T read of no other meanwhile--> clean: what T did was for it
//!                    |------anything else----------------------------------------> in doubt, with the reason
//!
//!  its process    [alone] --two are open at once--> [crowded] --32 clean ones, each beside another's--> [proven]
//!                    |                                    ^                                                 |
//!                    |                    1 024 of them --+                                                 |
//!                    +--a thread reads of a second while one is open, or another one answers---> [mixed] <--+
//! ```
//! Records cannot tell a thread that serves one request at a time from an event loop that happens to have one. So a process
//! has to show it. In `alone` the answer must be straight ([`flag::STRAIGHT`]: its writer read the request by calls that wait
//! for bytes, and waited for nothing else until then, which a loop does), or the thread that accepted the connection must be
//! another one than reads (a loop accepts for itself). In `crowded` nothing is joined by thread until enough requests were
//! served cleanly, during each of which another thread's ended cleanly too: one whose end was lost stays open, and shows
//! nothing; threads that hand work to each other by queues are not told apart sooner. `mixed` needs many more, one after
//! the other: what looked so may have been a record that was lost. All is judged when the request ends: a record that was
//! lost on the way has shown by then, as a hole.
//!
//! A goroutine that reads of a connection is made for that: if its answers are straight, what it did was for them, whatever
//! its process shows. It promises no parent by time alone. What it holds is bounded ([`MAX_CONTEXTS`], [`MAX_PROCESSES`]).
//!
//! [`flag::STRAIGHT`]: cirron_common::record::flag::STRAIGHT

use std::collections::HashMap;

use super::Map;
use crate::id::Id;
use crate::limits::{CLEAN_PROOFS, CLEAN_PROOFS_OF_MIXED, MAX_CONTEXTS, MAX_PROCESSES};
use crate::scope::{Context, evidence};

/// One exchange that a thread of a target serves.
#[derive(Clone, Copy, Debug)]
struct Served {
    reader: Context,
    /// Another thread accepted its connection.
    handed_in: bool,
    /// Number of clean ends in its process when it began.
    ends: u64,
    is_answered: bool,
    /// Something was written on its connection while it was open.
    has_written: bool,
    /// All of that was straight, and nothing was read behind it.
    is_straight: bool,
    /// Its connection was closed: its reader has done with it.
    is_left: bool,
    /// The kernel holds some of its answer back: it may go on when its reader has done with it.
    is_held: bool,
    /// Why it is not known what its reader does.
    doubt: Option<&'static str>,
}

/// The clean ends of a process.
#[derive(Clone, Copy, Debug, Default)]
struct CleanEnds {
    count: u64,
    /// Number and reader of the last.
    last: Option<(u64, Context)>,
    /// The same of the last by another reader than that.
    of_another: Option<(u64, Context)>,
}

impl CleanEnds {
    fn note(&mut self, reader: Context) {
        self.count += 1;
        if self.last.is_some_and(|(_, by)| by != reader) {
            self.of_another = self.last;
        }
        self.last = Some((self.count, reader));
    }

    /// Whether one of another reader came behind the one of number `since`.
    fn beside(&self, reader: Context, since: u64) -> bool {
        let both = self.last.into_iter().chain(self.of_another);
        both.into_iter()
            .any(|(number, by)| by != reader && number > since)
    }
}

/// How the threads of a process serve.
#[derive(Clone, Copy, Debug, Default)]
struct Process {
    /// Exchanges that are open.
    open: usize,
    /// Times that one began beside another.
    crowds: u64,
    ends: CleanEnds,
    /// Clean exchanges that were not alone, since the last that showed the opposite.
    proofs: u32,
    /// What was that, if there was one.
    mixed: Option<&'static str>,
}

impl Process {
    fn mix(&mut self, why: &'static str) {
        (self.mixed, self.proofs) = (Some(why), 0);
    }

    fn doubt(&self) -> Option<&'static str> {
        self.mixed.filter(|_| self.proofs <= CLEAN_PROOFS_OF_MIXED)
    }

    /// A thread serves one request at a time. `is_shown`: this exchange shows it, if it is the only one.
    fn is_proven(&self, is_shown: bool) -> bool {
        let is_alone = self.crowds == 0 && self.mixed.is_none();
        self.proofs > CLEAN_PROOFS || is_alone && is_shown
    }

    /// One that a thread served is over, and was served cleanly.
    fn note_clean(&mut self, served: &Served) {
        if let Context::Thread { .. } = served.reader {
            let was_beside = self.ends.beside(served.reader, served.ends);
            self.proofs = self.proofs.saturating_add(was_beside.into());
            self.ends.note(served.reader);
        }
    }

    /// What makes it doubtful that what the reader of a clean one did was for it.
    fn doubts(&self, served: &Served) -> Option<&'static str> {
        let is_straight = served.has_written && served.is_straight;
        match served.reader {
            Context::Thread { .. } => {
                let is_proven = self.is_proven(served.handed_in || is_straight);
                let unproven = (!is_proven).then_some(evidence::UNPROVEN);
                self.doubt().or(unproven)
            }
            Context::Goroutine { .. } => (!is_straight).then_some(evidence::UNPROVEN_GOROUTINE),
        }
    }
}

/// All exchanges that are served, and who serves them.
#[derive(Debug, Default)]
pub(super) struct Serving {
    served: Map<Id, Served>,
    processes: HashMap<u32, Process>,
}

impl Serving {
    /// A process serves a request.
    pub(super) fn note(&mut self, pid: u32) {
        if self.processes.len() < MAX_PROCESSES {
            self.processes.entry(pid).or_default();
        }
    }

    /// Whether it was seen to serve one.
    pub(super) fn serves(&self, pid: u32) -> bool {
        self.processes.contains_key(&pid)
    }

    /// `reader` read bytes of it. `acceptor`: the thread that accepted its connection; 0: not known. `behind`: another that
    /// it read on the same connection is open, which shows nothing of how threads serve.
    pub(super) fn read(&mut self, scope: Id, reader: Context, acceptor: u32, behind: bool) {
        if let Some(served) = self.served.get_mut(&scope) {
            if served.reader != reader {
                served.doubt.get_or_insert(evidence::HANDED_OVER);
                self.hands_over(reader);
            }
            return;
        }
        let Some(process) = self.processes.get_mut(&reader.pid()) else {
            return;
        };
        if self.served.len() >= MAX_CONTEXTS {
            return;
        }
        process.open += 1;
        process.crowds += u64::from(process.open > 1 && !behind);
        let handed_in = match reader {
            Context::Thread { tid, .. } => acceptor != 0 && acceptor != tid,
            Context::Goroutine { .. } => false,
        };
        let served = Served {
            reader,
            handed_in,
            ends: process.ends.count,
            is_answered: false,
            has_written: false,
            is_straight: true,
            is_left: false,
            is_held: false,
            doubt: None,
        };
        self.served.insert(scope, served);
    }

    /// Its reader read of another one, while it was open.
    pub(super) fn several(&mut self, scope: Id) {
        if let Some(served) = self.served.get_mut(&scope) {
            served.doubt.get_or_insert(evidence::SEVERAL);
        }
    }

    /// The same, on another connection: who does that waits for several.
    pub(super) fn turned(&mut self, scope: Id, reader: Context) {
        if self.served.get(&scope).is_some_and(|served| served.is_held) {
            return;
        }
        self.several(scope);
        if let Context::Thread { pid, .. } = reader
            && let Some(process) = self.processes.get_mut(&pid)
        {
            process.mix(evidence::EVENT_LOOP);
        }
    }

    /// Bytes were written on its connection.
    pub(super) fn writes(&mut self, scope: Id, is_straight: bool) {
        if let Some(served) = self.served.get_mut(&scope) {
            served.has_written = true;
            served.is_straight &= is_straight;
        }
    }

    /// Bytes were read on its connection. Behind something that was written, a new turn may have begun in between.
    pub(super) fn reads_on(&mut self, scope: Id) {
        if let Some(served) = self.served.get_mut(&scope) {
            served.is_straight &= !served.has_written;
        }
    }

    /// Its connection was closed by its process. It is open for us alone, until that is applied.
    pub(super) fn leave(&mut self, scope: Id) {
        if let Some(served) = self.served.get_mut(&scope)
            && !std::mem::replace(&mut served.is_left, true)
            && let Some(process) = self.processes.get_mut(&served.reader.pid())
        {
            process.open = process.open.saturating_sub(1);
        }
    }

    /// Some of its answer was written and is not sent.
    pub(super) fn hold(&mut self, scope: Id) {
        if let Some(served) = self.served.get_mut(&scope) {
            served.is_held = true;
        }
    }

    /// It is not one that a thread serves by itself.
    pub(super) fn doubt(&mut self, scope: Id, why: &'static str) {
        if let Some(served) = self.served.get_mut(&scope) {
            served.doubt.get_or_insert(why);
        }
    }

    /// Its answer began, by `writer` if that is known. True: its reader goes on to work for it.
    pub(super) fn answered(&mut self, scope: Id, writer: Option<Context>) -> bool {
        let Some(served) = self.served.get_mut(&scope) else {
            return false;
        };
        served.is_answered = true;
        let Some(writer) = writer else {
            served.doubt.get_or_insert(evidence::WRITER_UNKNOWN);
            return false;
        };
        if writer == served.reader {
            return true;
        }
        served.doubt.get_or_insert(evidence::HANDED_OVER);
        self.hands_over(writer);
        false
    }

    /// It goes on with what another one began to read. A process that was given a connection serves, too.
    fn hands_over(&mut self, context: Context) {
        if let Context::Thread { pid, .. } = context {
            self.note(pid);
            if let Some(process) = self.processes.get_mut(&pid) {
                process.mix(evidence::HANDED_OVER);
            }
        }
    }

    /// It is over. What makes it doubtful that what its reader did was for it, if anything does; `is_whole`: nothing of it
    /// was lost.
    pub(super) fn end(&mut self, scope: Id, is_whole: bool) -> Option<&'static str> {
        let Some(served) = self.served.remove(&scope) else {
            return Some(evidence::NO_REQUEST);
        };
        let process = self.processes.get_mut(&served.reader.pid())?;
        process.open = process.open.saturating_sub((!served.is_left).into());
        let lost = (!is_whole).then_some(evidence::RECORDS_LOST);
        let unanswered = (!served.is_answered).then_some(evidence::NOT_ANSWERED);
        let own = served.doubt.or(lost).or(unanswered);
        if own.is_some() {
            return own;
        }
        process.note_clean(&served);
        process.doubts(&served)
    }

    /// Why nothing that a context does is known to be for this one, so far.
    pub(super) fn doubts(&self, context: Context, scope: Option<Id>) -> Option<&'static str> {
        if context.is_reused() {
            return Some(evidence::GOROUTINE_END);
        }
        let own = scope.and_then(|scope| self.served.get(&scope)?.doubt);
        own.or_else(|| match context {
            Context::Thread { pid, .. } => self.processes.get(&pid).and_then(Process::doubt),
            Context::Goroutine { .. } => None,
        })
    }

    /// A process has ended, is another program, or is a new one of that number.
    pub(super) fn end_process(&mut self, pid: u32) {
        if self.processes.remove(&pid).is_some() {
            self.served.retain(|_, served| served.reader.pid() != pid);
        }
    }

    /// Bytes that it holds, about.
    pub(super) fn held_bytes(&self) -> usize {
        let served = self.served.len() * 2 * size_of::<(Id, Served)>();
        served + self.processes.len() * 2 * size_of::<(u32, Process)>()
    }
}

#[cfg(test)]
mod tests;
