//! Counts of what was not done with targets and their files. Shared by the threads that look at them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// Questions about processes for which there was no room.
    pub unasked: AtomicU64,
    /// Processes whose Python tells no contexts: nothing in their memory, or several things, looked like one, or too many
    /// were to be looked at.
    pub uncalibrated: AtomicU64,
    /// Functions, and pairs of probes by `--usdt`, that were detached: a process hit them far too often.
    pub detached: AtomicU64,
    /// Processes that a rule chose and that could not become targets, once for each try.
    pub targets_refused: AtomicU64,
    /// Questions for pods that a kubelet or API server did not answer.
    pub pods_unanswered: AtomicU64,
    /// Containers of the last answer past those that are taken.
    pub containers_left_out: AtomicU64,
    /// Containers that a rule of targets asks about, and of which nobody said in time what they are.
    pub containers_unknown: AtomicU64,
    /// Processes that had ended when their facts came.
    pub late: AtomicU64,
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
            unasked,
            uncalibrated,
            detached,
            targets_refused,
            pods_unanswered,
            containers_left_out,
            containers_unknown,
            late,
        } = self;
        [
            ("files_unopened", unopened),
            ("processes_unlisted", unlisted),
            ("files_cut", cut),
            ("files_unwatched", unwatched),
            ("files_panicked", panicked),
            ("processes_unlooked", unlooked),
            ("processes_unsearched", unsearched),
            ("processes_unasked", unasked),
            ("probes_detached", detached),
            ("processes_uncalibrated", uncalibrated),
            ("targets_refused", targets_refused),
            ("pods_unanswered", pods_unanswered),
            ("containers_left_out", containers_left_out),
            ("containers_unknown", containers_unknown),
            ("facts_late", late),
        ]
        .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
        .into()
    }
}
