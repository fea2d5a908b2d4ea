//! The containers that are known, and those that somebody wants to know of.
//!
//! ```text
//!            told() for the first time    looked at on disk   the list of pods has it, or a runtime that is not Kubernetes'
//!  (nothing) ----------------> awaited ------------------------------------------------------------> known
//!                                 |  no answer for MAX_WAIT            a list of then has it not, MAX_LATE later: no pod's
//!                                 '----------------> unknown --------- any answer ------------------> known
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cirron_containers::About;
use cirron_containers::asker::Settings;
use cirron_core::engine::ProcessFacts;
use cirron_core::rules::{Kubernetes, Workload};

use crate::driver::counts::Counts;

/// A kubelet lists a container's id a second or two behind its start (it looks at its runtime once a second). A list that
/// was asked for so long behind the first question, and has not the container, will not have it.
const MAX_LATE: Duration = Duration::from_secs(10);

/// Behind it a rule that needs the answer is decided without: a kubelet that restarts is away for some seconds, and a server
/// that is watched only then has lost its first requests anyway.
const MAX_WAIT: Duration = Duration::from_secs(15);

/// Containers that are kept. A list has 4 096 at most; past it those go that nobody asked for the longest time.
const MAX_KNOWN: usize = 8_192;

/// What is written of a container's processes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// What is known.
    pub about: About,
    /// As attributes.
    attributes: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Entry {
    told: Option<Arc<Told>>,
    /// Its runtime's state was looked at.
    was_looked_at: bool,
    /// When somebody asked for it first.
    wanted: Option<Instant>,
    /// When it was asked for, or in a list, for the last time.
    used: Instant,
    /// It was counted as one that nobody named in time.
    is_counted: bool,
}

#[derive(Debug, Default)]
struct State {
    all: HashMap<String, Entry>,
    /// Ids that nobody has looked at.
    unseen: BTreeSet<String>,
    /// Somebody answers; else nothing will ever be known.
    has_helper: bool,
    /// A kubelet is asked.
    asks_kubernetes: bool,
    /// When the last question was put that was answered.
    listed: Option<Instant>,
    /// Which labels are written.
    settings: Kubernetes,
    /// Whom to ask from now on, or that nobody is; until the helper has taken it.
    new: Option<Option<Settings>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    version: AtomicU64,
    counts: Arc<Counts>,
}

/// The containers of this machine, as far as they are known.
#[derive(Clone, Debug, Default)]
pub struct Containers(Arc<Shared>);

impl Containers {
    /// None yet. `settings`: which labels are written.
    pub fn new(settings: Kubernetes, counts: Arc<Counts>) -> Containers {
        let state = State {
            settings,
            ..State::default()
        };
        Containers(Arc::new(Shared {
            state: Mutex::new(state),
            counts,
            ..Shared::default()
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a container. Where nothing is, it is looked for from now on.
    pub fn told(&self, id: &str) -> Option<Arc<Told>> {
        let (mut state, now) = (self.lock(), Instant::now());
        self.want(&mut state, id, now).told.clone()
    }

    fn want<'s>(&self, state: &'s mut State, id: &str, now: Instant) -> &'s mut Entry {
        if !state.all.contains_key(id) {
            make_room(state);
            state.unseen.insert(id.to_owned());
            self.0.changed.notify_all();
        }
        let entry = state
            .all
            .entry(id.to_owned())
            .or_insert_with(|| Entry::new(now));
        entry.wanted.get_or_insert(now);
        entry.used = now;
        entry
    }

    /// How much is known of it.
    pub fn workload(&self, id: &str) -> Workload {
        self.workload_at(id, Instant::now())
    }

    fn workload_at(&self, id: &str, now: Instant) -> Workload {
        let mut state = self.lock();
        if !state.has_helper {
            return Workload::Known;
        }
        let (asks, listed) = (state.asks_kubernetes, state.listed);
        let entry = self.want(&mut state, id, now);
        let since = entry.wanted.unwrap_or(now);
        let is_whole = entry
            .told
            .as_ref()
            .is_some_and(|told| told.about.is_whole());
        let is_absent = listed.is_some_and(|at| at >= since + MAX_LATE);
        match () {
            () if is_whole || (entry.was_looked_at && (!asks || is_absent)) => Workload::Known,
            () if now < since + MAX_WAIT => Workload::Awaited,
            () => {
                if !std::mem::replace(&mut entry.is_counted, true) {
                    Counts::add(&self.0.counts.containers_unknown);
                }
                Workload::Unknown
            }
        }
    }

    /// Puts what is known of a process's container into its facts. Where nothing is they keep what they have.
    ///
    /// What labels and annotations say as variables do, the process's own environment says better: it is what the
    /// process itself goes by, the SDK in it too, and may differ between the processes of a pod.
    pub fn complete(&self, facts: &mut ProcessFacts) {
        let Some(told) = facts.container.as_deref().and_then(|id| self.told(id)) else {
            return;
        };
        facts.workload.clone_from(&told.attributes);
        for (name, value) in told.about.pod.iter().flat_map(|pod| &pod.env) {
            let its = facts.env.entry(name.clone()).or_default();
            if its.is_empty() {
                its.clone_from(value);
            }
        }
    }

    /// Counts up when more is known.
    pub fn version(&self) -> u64 {
        self.0.version.load(Ordering::Relaxed)
    }

    /// What the helper does from now on is to be had.
    pub(super) fn begin(&self, asks_kubernetes: bool) {
        let mut state = self.lock();
        state.has_helper = true;
        state.asks_kubernetes = asks_kubernetes;
        // What another said is no answer of this one.
        state.listed = None;
    }

    /// Nobody answers for Kubernetes any more.
    pub(super) fn give_up_kubernetes(&self) {
        self.lock().asks_kubernetes = false;
    }

    /// Other labels are written from now on, and another is asked, or nobody. What is known of pods stays.
    pub fn set(&self, settings: Kubernetes, asks: Option<Settings>) {
        let mut state = self.lock();
        for entry in state.all.values_mut() {
            if let Some(told) = &mut entry.told {
                *told = tell(told.about.clone(), &settings);
            }
        }
        state.settings = settings;
        state.new = Some(asks);
        drop(state);
        self.0.changed.notify_all();
        self.0.version.fetch_add(1, Ordering::Relaxed);
    }

    /// What was set since the last time.
    pub(super) fn take_new(&self) -> Option<Option<Settings>> {
        self.lock().new.take()
    }

    /// Waits for ids that nobody has looked at, or for settings that are new, until `until`.
    pub(super) fn next(&self, until: Instant) -> BTreeSet<String> {
        let mut state = self.lock();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if !state.unseen.is_empty() || state.new.is_some() || left.is_zero() {
                return std::mem::take(&mut state.unseen);
            }
            let waited = self.0.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether the answer of a kubelet is waited for, and whether any container was ever asked for.
    pub(super) fn waits(&self) -> (bool, bool) {
        let (state, now) = (self.lock(), Instant::now());
        let is_wanted = |entry: &&Entry| entry.wanted.is_some();
        let is_open = |entry: &Entry| {
            let is_whole = entry
                .told
                .as_ref()
                .is_some_and(|told| told.about.is_whole());
            let since = entry.wanted.unwrap_or(now);
            !is_whole && now < since + MAX_WAIT
        };
        let mut wanted = state.all.values().filter(is_wanted).peekable();
        let is_any = wanted.peek().is_some();
        (wanted.any(is_open), is_any)
    }

    /// What the state of the runtimes says of one that was asked for.
    pub(super) fn looked(&self, id: &str, about: Option<About>) {
        let mut state = self.lock();
        let told = about.map(|about| tell(about, &state.settings));
        let Some(entry) = state.all.get_mut(id) else {
            return;
        };
        entry.was_looked_at = true;
        // A list of pods knows more.
        if entry.told.is_none() && told.is_some() {
            entry.told = told;
            self.0.version.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A list of pods, asked for at `asked`. What it has no more is kept: a process of it may have something to say.
    pub(super) fn listed(&self, containers: BTreeMap<String, About>, asked: Instant) {
        let mut state = self.lock();
        state.listed = Some(asked);
        let now = Instant::now();
        let mut is_other = false;
        for (id, about) in containers {
            let told = tell(about, &state.settings);
            if !state.all.contains_key(&id) {
                make_room(&mut state);
            }
            let entry = state.all.entry(id).or_insert_with(|| Entry::new(now));
            entry.used = now;
            if entry.told.as_ref() != Some(&told) {
                is_other |= entry.wanted.is_some();
                entry.told = Some(told);
            }
        }
        drop(state);
        if is_other {
            self.0.version.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn tell(about: About, settings: &Kubernetes) -> Arc<Told> {
    let attributes = about.attributes(|label| settings.writes_label(label));
    Arc::new(Told { about, attributes })
}

impl Entry {
    fn new(now: Instant) -> Entry {
        Entry {
            told: None,
            was_looked_at: false,
            wanted: None,
            used: now,
            is_counted: false,
        }
    }
}

/// Before one more is known. The sixteenth part goes at once, so that finding them is worth a look at all.
fn make_room(state: &mut State) {
    if state.all.len() < MAX_KNOWN {
        return;
    }
    let mut used: Vec<Instant> = state.all.values().map(|entry| entry.used).collect();
    used.sort_unstable();
    if let Some(oldest) = used.get(MAX_KNOWN / 16) {
        state.all.retain(|_, entry| entry.used > *oldest);
    }
}

#[cfg(test)]
#[path = "known_tests.rs"]
mod tests;
