//! Which open scope a thread or a goroutine works for: an index from contexts of execution to scopes.
//!
//! ```text
//!  --reads of a scope's request--> [entry] --reads of another's--> [entry of that one]
//!                                     |--the head of its scope's answer, or another reads more of it-------> gone
//!                                     |--it moves bytes of another connection that it serves---------------> gone
//!                                     |--its scope ends, its process ends or calls exec, it ends itself----> gone
//!                                     +--reads of several at once--> [several]: it is known for none
//! ```
//! The engine fills it with what records say (`engine/context.rs`); a later producer adds its own evidence. It promises
//! that an entry never outlives its scope or its process, and that what is held is bounded
//! ([`MAX_CONTEXTS`]); what found no place is counted. It joins nothing: whether the evidence of an entry is enough
//! to call one scope the parent of another is for who asks.
//!
//! # What a new thread or goroutine of an old name inherits
//!
//! No record tells of the end of a thread or a goroutine. So an entry by [`super::evidence::READ`] is taken away by all
//! that shows, or may show, that the context does something else by now: who answers has been handed the request or
//! has read it himself, and what he does behind that nothing tells. A new context of that name has nothing of the old
//! one as soon as it serves anything. What is left is the time from a read to the head of the answer: a context
//! that ends in it, and whose name is given again in it, to one that is seen at nothing but calls of its own. A thread's
//! number is given again when the kernel has given all others, 32 768 at least, and a number that a process was given is
//! a thread's no more ([`Contexts::end_process`]). A goroutine's number is never given again. Its address is, at once: an
//! entry of one that is known by its address alone is evidence for nothing.

use std::collections::{BTreeSet, HashMap};

use cirron_common::record::GOID;

use crate::id::Id;
use crate::limits::MAX_CONTEXTS;
use crate::record::Head;
use crate::time::MonoNs;

/// What executes code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Context {
    /// A thread of the kernel's.
    Thread {
        /// Its process.
        pid: u32,
        /// Its number.
        tid: u32,
    },
    /// A goroutine.
    Goroutine {
        /// Its process.
        pid: u32,
        /// Its number, or the address of its `g`, as `cirron_common::record::GOID` says.
        id: u64,
    },
}

impl Context {
    /// What made a record: the goroutine where that is known, else the thread.
    pub(crate) fn running(head: &Head) -> Context {
        let (pid, tid) = (head.tgid, head.tid);
        match head.goroutine() {
            None => Context::Thread { pid, tid },
            Some(id) => Context::Goroutine { pid, id },
        }
    }

    /// A goroutine of which only the address is known: by now another one may be there.
    pub(crate) fn is_reused(self) -> bool {
        matches!(self, Context::Goroutine { id, .. } if id & GOID == 0)
    }

    /// Its process.
    pub fn pid(self) -> u32 {
        match self {
            Context::Thread { pid, .. } | Context::Goroutine { pid, .. } => pid,
        }
    }

    /// Whether it is over where a process of that number has ended or begins: it is of that process, or a thread that
    /// had the number.
    fn ends_with(self, number: u32) -> bool {
        self.pid() == number || matches!(self, Context::Thread { tid, .. } if tid == number)
    }
}

/// What a context works for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// An open scope.
    pub scope: Id,
    /// How that is known: one of [`super::evidence`].
    pub evidence: &'static str,
    /// The time of what last showed it.
    pub at: MonoNs,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    work: Work,
    /// The same moment showed another scope as well.
    several: bool,
}

/// Bytes of an entry, about: its places in a table that has just grown and in a tree whose nodes are not full.
const CONTEXT_BYTES: usize = 2 * (size_of::<(Context, Entry)>() + size_of::<(Id, Context)>());

/// Places of a table that is kept when nothing is in it any more.
const KEPT_CAPACITY: usize = 1_024;

/// All contexts that work for an open scope, as far as is known.
#[derive(Debug, Default)]
pub(crate) struct Contexts {
    entries: HashMap<Context, Entry, foldhash::fast::RandomState>,
    by_scope: BTreeSet<(Id, Context)>,
    not_kept: u64,
}

impl Contexts {
    /// `context` works for an open scope from now on, and for no other.
    pub(crate) fn begin(&mut self, context: Context, work: Work) {
        let is_full = self.entries.len() >= MAX_CONTEXTS;
        let several = match self.entries.get_mut(&context) {
            Some(entry) if entry.work.scope == work.scope => {
                entry.several &= entry.work.at == work.at;
                entry.work = work;
                return;
            }
            Some(entry) => {
                let before = entry.work;
                self.by_scope.remove(&(before.scope, context));
                before.at == work.at
            }
            None if is_full => {
                self.not_kept += 1;
                return;
            }
            None => false,
        };
        self.entries.insert(context, Entry { work, several });
        self.by_scope.insert((work.scope, context));
    }

    /// It works for nothing that is known: it has ended, has turned to something else, or is a new one of that name.
    pub(crate) fn end(&mut self, context: Context) {
        if let Some(entry) = self.entries.remove(&context) {
            self.by_scope.remove(&(entry.work.scope, context));
            self.tidy();
        }
    }

    /// Nobody works for a scope any more, as far as is known: it is over, or is another's matter by now.
    pub(crate) fn end_scope(&mut self, scope: Id) {
        let least = Context::Thread { pid: 0, tid: 0 };
        while let Some(next) = self.by_scope.range((scope, least)..).next().copied()
            && next.0 == scope
        {
            self.by_scope.remove(&next);
            self.entries.remove(&next.1);
        }
        self.tidy();
    }

    /// A process has ended, is another program, or is a new one of that number.
    pub(crate) fn end_process(&mut self, pid: u32) {
        self.by_scope.retain(|(_, context)| !context.ends_with(pid));
        self.entries.retain(|context, _| !context.ends_with(pid));
        self.tidy();
    }

    /// What a context works for, where that is known.
    pub(crate) fn work(&self, context: Context) -> Option<Work> {
        let entry = self.entries.get(&context)?;
        (!entry.several).then_some(entry.work)
    }

    /// The scope of which it read last, whether or not of others as well.
    pub(crate) fn scope(&self, context: Context) -> Option<Id> {
        self.entries.get(&context).map(|entry| entry.work.scope)
    }

    /// Contexts that are known to work for something.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Those that found no place.
    pub(crate) fn not_kept(&self) -> u64 {
        self.not_kept
    }

    /// Bytes that they hold, about.
    pub(crate) fn held_bytes(&self) -> usize {
        self.entries.len() * CONTEXT_BYTES
    }

    fn tidy(&mut self) {
        if self.entries.is_empty() && self.entries.capacity() > KEPT_CAPACITY {
            self.entries = HashMap::default();
        }
    }
}

#[cfg(test)]
mod tests;
