//! What is known of one process: its scopes by number, and what each of its threads and goroutines works for.
//!
//! ```text
//!  node   (file, id)   open --end--> ended, remembered for who names it as a parent --more ended--> forgotten
//!  entry  of a thread  added by begin, enter, a function's entry; taken out by exit, end, a frame around it
//! ```
//! It keeps no more than it may ([`crate::limits`]); who adds is told when there is no room. It knows no store.

use std::collections::{HashMap, VecDeque};

use crate::id::Id;
use crate::limits::{MAX_ENDED_PROBE_SCOPES, MAX_SCOPE_DEPTH};
use crate::scope::Context;
use crate::scope::label::Label;
use crate::time::MonoNs;

/// A scope of the provider `cirron`: the file that has its probe, and its number.
pub(crate) type Key = (u64, u64);

/// What is around a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Up {
    /// Nothing that is known.
    Nothing,
    /// Its program named it.
    Told(Key),
    /// By evidence.
    Scope(Id),
}

/// A scope that has a number.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) scope: Id,
    pub(super) up: Up,
    pub(super) depth: usize,
    is_open: bool,
    /// Who works for it.
    workers: Vec<Context>,
}

/// What a thread works for.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) scope: Id,
    pub(super) began: MonoNs,
    pub(super) what: What,
    /// The task that began it: a context of Python's that is known.
    pub(super) task: Option<u64>,
}

#[derive(Debug, PartialEq)]
pub(super) enum What {
    /// A scope of the provider `cirron`.
    Told(Key),
    /// One that another provider's probe of this name began.
    Begun(Label),
    /// A function's frame: where the stack stood at its entry.
    Frame { stack: u64, name: Label },
}

/// What a parent's number leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// An open scope that its program named, and its depth.
    Open(Id, usize),
    /// It has ended, and this is around it.
    Around(Id, usize),
    /// All of its ancestors have ended.
    Ended,
    /// Its beginning was not seen, or it ended so long ago that it is forgotten.
    NotSeen,
}

/// One process.
#[derive(Debug, Default)]
pub(super) struct Process {
    nodes: HashMap<Key, Node>,
    ended: VecDeque<Key>,
    workers: HashMap<Context, Vec<Entry>>,
    /// What a file's copy of the library said it left out, by file and reason: how often so far.
    pub(super) left_out: HashMap<Key, u64>,
    /// Number of open scopes.
    open: usize,
}

/// Bytes of a node or an entry, about: its place in a table that has just grown, and what it points at.
const ENTRY_BYTES: usize = 2 * (size_of::<(Key, Node)>() + size_of::<Entry>() + 64);

impl Process {
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.workers.is_empty() && self.left_out.is_empty()
    }

    /// Number of scopes that are open.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Bytes that it holds, about.
    pub(super) fn held_bytes(&self) -> usize {
        (self.nodes.len() + self.open + self.left_out.len()) * ENTRY_BYTES
    }

    /// What a number leads to: of one that has ended its nearest ancestor that has not.
    pub(super) fn find(&self, key: Key) -> Found {
        let mut next = key;
        // Ancestors that have ended are no more than are remembered.
        for _ in 0..=MAX_ENDED_PROBE_SCOPES {
            let Some(node) = self.nodes.get(&next) else {
                break;
            };
            if node.is_open {
                return Found::Open(node.scope, node.depth);
            }
            match node.up {
                Up::Nothing => return Found::Ended,
                Up::Told(up) => next = up,
                Up::Scope(scope) => return Found::Around(scope, node.depth),
            }
        }
        Found::NotSeen
    }

    /// What its program named as being around a scope.
    pub(super) fn named_around(&self, key: Key) -> Option<Key> {
        match self.nodes.get(&key)?.up {
            Up::Told(up) => Some(up),
            Up::Nothing | Up::Scope(_) => None,
        }
    }

    /// An open scope by its number.
    pub(super) fn open_node(&self, key: Key) -> Option<Id> {
        let node = self.nodes.get(&key).filter(|node| node.is_open)?;
        Some(node.scope)
    }

    /// Whether a scope of that number was seen, and has ended.
    pub(super) fn has_ended(&self, key: Key) -> bool {
        self.nodes.get(&key).is_some_and(|node| !node.is_open)
    }

    /// A scope with a number begins.
    pub(super) fn add(&mut self, key: Key, scope: Id, up: Up, depth: usize) {
        self.open += 1;
        let node = Node {
            scope,
            up,
            depth,
            is_open: true,
            workers: Vec::new(),
        };
        self.nodes.insert(key, node);
    }

    /// It ends; every thread that worked for it does so no more.
    pub(super) fn end(&mut self, key: Key) -> Option<Id> {
        let node = self.nodes.get_mut(&key).filter(|node| node.is_open)?;
        node.is_open = false;
        let scope = node.scope;
        for worker in std::mem::take(&mut node.workers) {
            self.retain(worker, |entry| entry.what != What::Told(key));
        }
        self.open -= 1;
        self.ended.push_back(key);
        if self.ended.len() > MAX_ENDED_PROBE_SCOPES
            && let Some(oldest) = self.ended.pop_front()
            && self.has_ended(oldest)
        {
            self.nodes.remove(&oldest);
        }
        Some(scope)
    }

    /// A thread works for a scope from now on, within what it worked for before. False: it works for as many as are kept.
    pub(super) fn enter(&mut self, worker: Context, entry: Entry) -> bool {
        let entries = self.workers.entry(worker).or_default();
        if entries.len() >= MAX_SCOPE_DEPTH {
            return false;
        }
        if let What::Told(key) = entry.what
            && let Some(node) = self.nodes.get_mut(&key)
            && !node.workers.contains(&worker)
        {
            node.workers.push(worker);
        }
        entries.push(entry);
        true
    }

    /// The same of a scope without a number, which begins and is open as long as it is worked for.
    pub(super) fn begin(&mut self, worker: Context, entry: Entry) {
        if self.enter(worker, entry) {
            self.open += 1;
        }
    }

    /// Its innermost entry of that scope is taken out.
    pub(super) fn exit(&mut self, worker: Context, key: Key) {
        let Some(entries) = self.workers.get_mut(&worker) else {
            return;
        };
        let told = What::Told(key);
        if let Some(at) = entries.iter().rposition(|entry| entry.what == told) {
            entries.remove(at);
        }
        if !entries.iter().any(|entry| entry.what == told)
            && let Some(node) = self.nodes.get_mut(&key)
        {
            node.workers.retain(|other| *other != worker);
        }
        self.tidy(worker);
    }

    /// What a thread works for, the innermost last.
    pub(super) fn entries(&self, worker: Context) -> &[Entry] {
        self.workers.get(&worker).map_or(&[], Vec::as_slice)
    }

    /// Scopes without a number end, the innermost first; those of numbers stay.
    pub(super) fn take(
        &mut self,
        worker: Context,
        which: impl Fn(usize, &Entry) -> bool,
    ) -> Vec<Id> {
        let mut index = 0;
        let mut gone = Vec::new();
        self.retain(worker, |entry| {
            let goes = !matches!(entry.what, What::Told(_)) && which(index, entry);
            index += 1;
            if goes {
                gone.push(entry.scope);
            }
            !goes
        });
        self.open -= gone.len();
        gone.reverse();
        gone
    }

    /// It works for nothing any more, and its scopes without a number end, the innermost first.
    pub(super) fn leave(&mut self, worker: Context) -> Vec<Id> {
        let gone = self.take(worker, |_, _| true);
        while let Some(What::Told(key)) = self.entries(worker).last().map(|entry| &entry.what) {
            let key = *key;
            self.exit(worker, key);
        }
        gone
    }

    /// All that are open, the one that began last first.
    pub(super) fn all(&self) -> Vec<Id> {
        let told = self.nodes.values().filter(|node| node.is_open);
        let told = told.map(|node| (node.depth, node.scope));
        let entries = self.workers.values().flatten();
        let begun = entries.filter(|entry| !matches!(entry.what, What::Told(_)));
        let begun = begun.map(|entry| (MAX_SCOPE_DEPTH + 1, entry.scope));
        let mut all: Vec<_> = told.chain(begun).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.into_iter().map(|(_, scope)| scope).collect()
    }

    fn retain(&mut self, worker: Context, keep: impl FnMut(&Entry) -> bool) {
        if let Some(entries) = self.workers.get_mut(&worker) {
            entries.retain(keep);
            self.tidy(worker);
        }
    }

    fn tidy(&mut self, worker: Context) {
        if self.workers.get(&worker).is_some_and(Vec::is_empty) {
            self.workers.remove(&worker);
        }
    }
}
