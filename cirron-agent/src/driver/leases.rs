//! Which files targets have mapped, what is known of each, and the probes in it: leased for as long as a process
//! maps it.
//!
//! ```text
//!          hold                   the last holder has gone                LINGER is over, or too many are idle
//! unknown ------> held, by processes ---------------------> idle, since --------------------------------------> closed
//!                        ^------------------ hold --------------'
//! ```
//! A file is one whatever its names: the list of mappings names it by device and inode number, which on overlayfs
//! (from Linux 6.8 on) are those of the layer's mount, so that one file of an image is several. What is opened tells
//! ([`crate::probes::identity`]).
//!
//! The attach thread alone makes and closes leases. A child's are taken over from its parent by the core thread.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::kernel::Attachment;
use crate::probes::identity::FileKey;
use crate::probes::images::FileId;

/// Files that are remembered. Each target of a hundred has some of its own.
const MAX_FILES: usize = 16 * 1024;
/// Files that are watched. Each costs the kernel memory. A machine's programs share their libraries; containers
/// bring their own.
const MAX_WATCHED: usize = 1024;
/// Time that a file which nobody maps is kept: a program that is run again and again is watched from its start, and
/// does not cost its probes each time. An overlay cannot be unmounted meanwhile.
pub const LINGER: Duration = Duration::from_secs(10);
/// Watched files that nobody maps. Behind it the longest idle one is closed at once.
const MAX_IDLE: usize = 64;

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// No function of the tables is in it; whether a library that cannot be read is, is not known.
    Unsearched,
    /// Such a library is.
    Blind(&'static str),
    /// It is watched.
    Watched,
    /// Nothing is in it.
    Nothing,
}

/// Of a file that a process has mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It is held from now on.
    Held,
    /// It was, and nobody holds it: the number may be another file's by now.
    Doubtful,
    /// It was never looked at.
    No,
}

#[derive(Debug)]
struct Entry {
    key: FileKey,
    /// As the lists of mappings name it.
    names: Vec<FileId>,
    seen: Seen,
    attachments: Vec<Attachment>,
    /// Number of processes that map it, each by one of its names at least.
    holders: usize,
    idle_since: Option<Instant>,
}

impl Entry {
    fn is_watched(&self) -> bool {
        self.seen == Seen::Watched || !self.attachments.is_empty()
    }
}

type Slot = u64;

/// One look at a process, or its fork; each has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookId(u64);

/// What a process holds.
#[derive(Debug)]
struct Process {
    held: HashSet<Slot>,
    last_look: LookId,
}

#[derive(Debug, Default)]
struct State {
    next: Slot,
    entries: BTreeMap<Slot, Entry>,
    names: HashMap<FileId, Slot>,
    /// What each process holds. One that was looked at stands here, though it holds nothing.
    processes: HashMap<u32, Process>,
    next_look: u64,
    /// Whose list is being looked through.
    looking: Option<u32>,
}

impl State {
    fn new_look(&mut self) -> LookId {
        self.next_look += 1;
        LookId(self.next_look)
    }

    fn process(&mut self, tgid: u32) -> &mut Process {
        let last_look = self.new_look();
        self.processes.entry(tgid).or_insert_with(|| Process {
            held: HashSet::new(),
            last_look,
        })
    }

    fn hold(&mut self, tgid: u32, slot: Slot) {
        if !self.entries.contains_key(&slot) {
            return;
        }
        let is_new = self.process(tgid).held.insert(slot);
        if let Some(entry) = self.entries.get_mut(&slot).filter(|_| is_new) {
            entry.holders += 1;
            entry.idle_since = None;
        }
    }

    fn drop_holds(&mut self, slots: impl IntoIterator<Item = Slot>, now: Instant) {
        for slot in slots {
            if let Some(entry) = self.entries.get_mut(&slot) {
                entry.holders = entry.holders.saturating_sub(1);
                if entry.holders == 0 {
                    entry.idle_since = Some(now);
                }
            }
        }
    }

    fn remove(&mut self, slot: Slot) -> Vec<Attachment> {
        let Some(entry) = self.entries.remove(&slot) else {
            return Vec::new();
        };
        for name in &entry.names {
            self.names.remove(name);
        }
        entry.attachments
    }

    /// Those that nobody holds, the longest idle first.
    fn idle(&self, which: impl Fn(&Entry) -> bool) -> Vec<(Instant, Slot)> {
        let idle = self.entries.iter().filter(|(_, entry)| which(entry));
        let mut idle: Vec<(Instant, Slot)> = idle
            .filter_map(|(slot, entry)| Some((entry.idle_since?, *slot)))
            .collect();
        idle.sort_unstable();
        idle
    }

    fn watched(&self) -> usize {
        let watched = |entry: &&Entry| entry.is_watched();
        self.entries.values().filter(watched).count()
    }
}

/// See the module. The handle is shared.
#[derive(Clone, Debug, Default)]
pub struct Leases(Arc<Mutex<State>>);

impl Leases {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files of a process are looked through from now on.
    pub fn begin(&self, tgid: u32) {
        let mut state = self.lock();
        state.looking = Some(tgid);
        state.process(tgid);
    }

    /// They were. What it holds and is not among `names` is mapped no more; without a list it ended.
    pub fn end(&self, tgid: u32, names: Option<&[FileId]>, now: Instant) {
        let mut state = self.lock();
        state.looking = None;
        let mapped: HashSet<Slot> = names
            .into_iter()
            .flatten()
            .filter_map(|name| state.names.get(name).copied())
            .collect();
        let last_look = state.new_look();
        let Some(process) = state.processes.get_mut(&tgid) else {
            return;
        };
        process.last_look = last_look;
        let gone: Vec<Slot> = process
            .held
            .extract_if(|slot| !mapped.contains(slot))
            .collect();
        if names.is_none() {
            state.processes.remove(&tgid);
        }
        state.drop_holds(gone, now);
    }

    /// A process maps the file of that name.
    pub fn hold(&self, tgid: u32, name: FileId) -> Known {
        let mut state = self.lock();
        let Some(slot) = state.names.get(&name).copied() else {
            return Known::No;
        };
        let entry = state.entries.get(&slot);
        // A probe keeps the file's number from being given away.
        let doubtful = |e: &Entry| e.holders == 0 && e.attachments.is_empty();
        if entry.is_some_and(doubtful) {
            return Known::Doubtful;
        }
        state.hold(tgid, slot);
        Known::Held
    }

    /// The file of that name was opened, and is `key`. `true`: it is known, and held from now on.
    pub fn hold_opened(&self, tgid: u32, name: FileId, key: &FileKey) -> bool {
        let mut state = self.lock();
        if let Some(slot) = state.names.get(&name).copied() {
            let entry = state.entries.get(&slot);
            if entry.is_some_and(|entry| !entry.key.is_same(key)) {
                // Nobody holds it: it was doubtful.
                state.remove(slot);
            }
        }
        let mut all = state.entries.iter_mut();
        let Some((slot, entry)) = all.find(|(_, entry)| entry.key.is_same(key)) else {
            return false;
        };
        if !entry.names.contains(&name) {
            entry.names.push(name);
        }
        let slot = *slot;
        state.names.insert(name, slot);
        state.hold(tgid, slot);
        true
    }

    /// A file that was not known was looked at for a process. Gives the attachments back where there is no room.
    pub fn add(
        &self,
        tgid: u32,
        name: FileId,
        key: FileKey,
        seen: Seen,
        attachments: Vec<Attachment>,
    ) -> Option<Vec<Attachment>> {
        let mut state = self.lock();
        if state.entries.len() >= MAX_FILES {
            // They are looked at again when they are mapped again.
            for (_, slot) in state.idle(|entry| !entry.is_watched()) {
                state.remove(slot);
            }
        }
        if state.entries.len() >= MAX_FILES {
            return Some(attachments);
        }
        let slot = state.next;
        state.next += 1;
        let entry = Entry {
            key,
            names: vec![name],
            seen,
            attachments,
            holders: 0,
            idle_since: None,
        };
        state.entries.insert(slot, entry);
        state.names.insert(name, slot);
        state.hold(tgid, slot);
        None
    }

    /// A process maps a Go program that is watched ([`Attachment::go`]).
    pub fn go(&self, tgid: u32) -> Option<u8> {
        let state = self.lock();
        let held = state
            .processes
            .get(&tgid)
            .map(|process| &process.held)
            .into_iter()
            .flatten();
        let mut entries = held.filter_map(|slot| state.entries.get(slot));
        entries.find_map(|entry| entry.attachments.iter().find_map(Attachment::go))
    }

    /// A process maps a library whose secrets are read.
    pub fn announces(&self, tgid: u32) -> bool {
        let state = self.lock();
        let held = state.processes.get(&tgid).map(|process| &process.held);
        let mut entries = held
            .into_iter()
            .flatten()
            .filter_map(|slot| state.entries.get(slot));
        entries.any(|entry| entry.attachments.iter().any(Attachment::announces))
    }

    /// What is known of the file of that name.
    pub fn get(&self, name: FileId) -> Option<Seen> {
        let state = self.lock();
        let entry = state.entries.get(state.names.get(&name)?)?;
        Some(entry.seen)
    }

    /// Which file that is.
    pub fn key(&self, name: FileId) -> Option<FileKey> {
        let state = self.lock();
        let entry = state.entries.get(state.names.get(&name)?)?;
        Some(entry.key.clone())
    }

    /// The last look at a process; `None` where there was none.
    pub fn last_look(&self, tgid: u32) -> Option<LookId> {
        Some(self.lock().processes.get(&tgid)?.last_look)
    }

    /// It was searched.
    pub fn set(&self, name: FileId, seen: Seen) {
        let mut state = self.lock();
        if let Some(slot) = state.names.get(&name).copied()
            && let Some(entry) = state.entries.get_mut(&slot)
        {
            entry.seen = seen;
        }
    }

    /// A process forked: its child maps what it does. `false`: what that is, is not known yet.
    pub fn fork(&self, parent: u32, child: u32) -> bool {
        let mut state = self.lock();
        let Some(process) = state.processes.get(&parent) else {
            return false;
        };
        let held = process.held.clone();
        let is_whole = state.looking != Some(parent);
        state.process(child);
        for slot in held {
            state.hold(child, slot);
        }
        is_whole
    }

    /// There is room for one more that is watched. Where an idle one has to go for it, that is to be closed.
    pub fn may_watch(&self) -> (bool, Vec<Attachment>) {
        let mut state = self.lock();
        if state.watched() < MAX_WATCHED {
            return (true, Vec::new());
        }
        let idle = state.idle(Entry::is_watched);
        let idle = idle.first().map(|(_, slot)| state.remove(*slot));
        (idle.is_some(), idle.unwrap_or_default())
    }

    /// Forgets what nobody has held for long, and gives what is to be closed.
    pub fn take_idle(&self, now: Instant) -> Vec<Attachment> {
        let mut state = self.lock();
        let is_over = |since: &Instant| now.saturating_duration_since(*since) >= LINGER;
        let watched = state.idle(Entry::is_watched);
        let surplus = watched.len().saturating_sub(MAX_IDLE);
        let mut over: Vec<Slot> = watched
            .iter()
            .take(surplus)
            .map(|(_, slot)| *slot)
            .collect();
        let idle = state.idle(|_| true);
        over.extend(
            idle.iter()
                .filter(|(since, _)| is_over(since))
                .map(|(_, slot)| *slot),
        );
        over.into_iter()
            .flat_map(|slot| state.remove(slot))
            .collect()
    }

    /// Some file is idle: [`Leases::take_idle`] is to be asked for soon.
    pub fn has_idle(&self) -> bool {
        self.lock().entries.values().any(|e| e.idle_since.is_some())
    }
}

#[cfg(test)]
mod tests;
