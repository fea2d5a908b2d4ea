//! What is known of the files that targets have mapped, and counts of what was not done with them.
//!
//! Shared by the thread that attaches and the one that searches.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::tls::images::FileId;

/// Files that are remembered. Each target of a hundred has some of its own.
const MAX_FILES: usize = 16 * 1024;
/// Files that are watched. Each costs the kernel memory until the end. A machine's programs share
/// their libraries; containers bring their own.
const MAX_WATCHED: usize = 1024;

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

/// By file. The handle is shared.
#[derive(Clone, Debug, Default)]
pub struct Files(Arc<Mutex<HashMap<FileId, Seen>>>);

impl Files {
    fn lock(&self) -> MutexGuard<'_, HashMap<FileId, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of it.
    pub fn get(&self, id: FileId) -> Option<Seen> {
        self.lock().get(&id).copied()
    }

    /// Remembers it. A watched file is never forgotten: attaching to it again would give everything
    /// twice.
    pub fn set(&self, id: FileId, seen: Seen) {
        let mut files = self.lock();
        if files.len() >= MAX_FILES {
            files.retain(|_, seen| *seen == Seen::Watched);
        }
        files.insert(id, seen);
    }

    /// There is room for one more that is watched.
    pub fn may_watch(&self) -> bool {
        let watched = |seen: &&Seen| **seen == Seen::Watched;
        self.lock().values().filter(watched).count() < MAX_WATCHED
    }
}

/// What was not done.
#[derive(Debug, Default)]
pub struct Counts {
    /// Files that could not be opened, once for each look.
    pub unopened: AtomicU64,
    /// Processes whose mappings could not be listed, once for each look.
    pub unlisted: AtomicU64,
    /// Files of which a part was left unread: a bound was met.
    pub cut: AtomicU64,
    /// Files with functions of the tables past the number that is watched.
    pub unwatched: AtomicU64,
    /// Files over which our code panicked.
    pub panicked: AtomicU64,
    /// Processes that were named when nobody looked at them any more.
    pub unlooked: AtomicU64,
    /// Processes whose libraries were not searched, or not to the end.
    pub unsearched: AtomicU64,
}

impl Counts {
    /// One more.
    pub fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// By name.
    pub fn by_name(&self) -> BTreeMap<&'static str, u64> {
        let Counts {
            unopened,
            unlisted,
            cut,
            unwatched,
            panicked,
            unlooked,
            unsearched,
        } = self;
        [
            ("files_unopened", unopened),
            ("processes_unlisted", unlisted),
            ("files_cut", cut),
            ("files_unwatched", unwatched),
            ("files_panicked", panicked),
            ("processes_unlooked", unlooked),
            ("processes_unsearched", unsearched),
        ]
        .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_forgotten_past_the_bound_and_watched_ones_never() {
        let files = Files::default();
        files.set((0, 0), Seen::Watched);
        for inode in 1..MAX_FILES as u64 * 3 {
            files.set((1, inode), Seen::Nothing);
            assert!(files.lock().len() <= MAX_FILES);
        }
        assert_eq!(files.get((0, 0)), Some(Seen::Watched));
    }

    #[test]
    fn watched_files_have_a_bound() {
        let files = Files::default();
        for inode in 0..MAX_WATCHED as u64 {
            assert!(files.may_watch());
            files.set((1, inode), Seen::Watched);
        }
        assert!(!files.may_watch());
    }
}
