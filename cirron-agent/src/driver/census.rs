//! What procfs says of the targets, asked on a thread of its own: reading a process's environment takes the lock of
//! its address space, which that process may hold for as long as it likes.
//!
//! ```text
//! core --facts(), waited for a moment--> questions --> clerk --> answers --take()--> core
//!      --follow(), forget(), dying()---> changes ----->  ^ |
//!                                                        '-'  each second: who lives still?
//! ```
//! Questions come before everything else, so that a process which is over in a moment has its facts. Where an answer
//! is late the core goes on without it, waits for no other until it has come, and takes it then. In sum it waits for a
//! tenth of its time. An answer about a process names its visit, since the kernel gives the same number to another process later.
//!
//! What the answers mean is the core's matter ([`super::core`]); what is read is [`crate::discovery`]'s.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cirron_core::engine::ProcessFacts;
use cirron_core::time::MonoNs;

use super::counts::Counts;

mod clerk;

pub use clerk::Clerk;

/// Time that the core waits for an answer: it takes a tenth of a millisecond, and a few turns of others where the
/// processors are busy (of 2 000 on two processors with five threads that want them, the median took 0.12 ms, one in a
/// hundred 0.34 ms or more, the worst 1.6 ms).
pub const PATIENCE: Duration = Duration::from_millis(20);
/// Time that the core waits for the answers of many, one behind the other. The ring has room for what comes meanwhile:
/// at 20 000 calls a second for 1.6 s.
const MAX_PATIENCE: Duration = Duration::from_millis(100);
/// Behind it the core waits for this part of its time, whatever it asks and however slow the answers are: as much is
/// lost to it where processes come and go as fast as they can.
const PATIENCE_SHARE: u32 = 10;
/// With less than this the core does not wait at all: it would spend what it has on answers that take longer, and never
/// have enough for one.
const LEAST_PATIENCE: Duration = Duration::from_millis(5);
/// Questions, changes and ends of processes that wait, of each: the kernel side holds as many targets.
const MAX_WAITING: usize = 8192;

/// One stay of a process among the targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Visit(u64);

/// A question for facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Which: a process may be asked for more than once.
    number: u64,
    tgid: u32,
    /// Its parent, whose facts are taken where it is gone already.
    parent: Option<u32>,
}

/// What there is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Facts that came late; `None`: the process was gone.
    Facts {
        /// The process.
        tgid: u32,
        /// Of the question.
        number: u64,
        /// What was read.
        facts: Option<ProcessFacts>,
    },
    /// A process that nobody named waits for the agent's end.
    WaitsForUs {
        /// The process.
        tgid: u32,
        /// Its stay.
        visit: Visit,
    },
    /// A process has ended.
    Gone {
        /// The process.
        tgid: u32,
        /// Its stay.
        visit: Visit,
        /// When it was asked for.
        at: MonoNs,
    },
    /// A process that has ended has let go of its descriptors.
    HasLetGo {
        /// The process.
        tgid: u32,
    },
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The facts; `None`: the process is gone.
    Told(Option<ProcessFacts>),
    /// The answer comes later, with this number.
    Later(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// `is_found`: nobody named it.
    Follow {
        visit: Visit,
        is_found: bool,
    },
    Forget,
}

/// How long the core may wait now.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// As of `at`; it comes back with time.
    left: Duration,
    at: Instant,
}

impl Patience {
    fn left(self, now: Instant) -> Duration {
        let back = now.saturating_duration_since(self.at) / PATIENCE_SHARE;
        (self.left + back).min(MAX_PATIENCE)
    }

    /// The core has waited from `since` to `now`.
    fn spend(&mut self, since: Instant, now: Instant) {
        let waited = now.saturating_duration_since(since);
        self.left = self.left(now).saturating_sub(waited);
        self.at = now;
    }
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            left: MAX_PATIENCE,
            at: Instant::now(),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    next_number: u64,
    patience: Patience,
    questions: VecDeque<Question>,
    changes: BTreeMap<u32, Change>,
    dying: BTreeSet<u32>,
    answers: Vec<Answer>,
    /// Questions that were not answered in time.
    late: BTreeSet<u64>,
    is_closed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change; none may have come where it returns, and no longer than until `until`.
    fn wait<'a>(&self, state: MutexGuard<'a, State>, until: Instant) -> MutexGuard<'a, State> {
        let left = until.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout(state, left);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The core's end. The clerk ends with it.
#[derive(Debug)]
pub struct Census {
    shared: Arc<Shared>,
    counts: Arc<Counts>,
}

impl Census {
    /// Nobody answers before the [`Clerk`] runs.
    pub fn new(counts: Arc<Counts>) -> Census {
        let shared = Arc::default();
        Census { shared, counts }
    }

    /// Whoever answers.
    pub fn clerk(&self, processes: Box<dyn crate::discovery::Processes>) -> Clerk {
        Clerk::new(Arc::clone(&self.shared), processes)
    }

    /// Asks for the facts of a process. Where it is gone those of `parent` are given, whose environment it had unless
    /// it called exec.
    pub fn facts(&self, tgid: u32, parent: Option<u32>) -> Asked {
        let mut state = self.shared.lock();
        if state.questions.len() >= MAX_WAITING {
            Counts::add(&self.counts.unasked);
            return Asked::Told(None);
        }
        let number = state.next_number;
        state.next_number += 1;
        state.questions.push_back(Question {
            number,
            tgid,
            parent,
        });
        self.shared.changed.notify_all();
        let since = Instant::now();
        let left = state.patience.left(since);
        let until = match left >= LEAST_PATIENCE {
            true => since + left.min(PATIENCE),
            false => since,
        };
        let answer = loop {
            if let Some(facts) = take_facts(&mut state.answers, number) {
                break Asked::Told(facts);
            }
            if !state.late.is_empty() || until <= Instant::now() {
                state.late.insert(number);
                break Asked::Later(number);
            }
            state = self.shared.wait(state, until);
        };
        state.patience.spend(since, Instant::now());
        answer
    }

    /// Whether a process lives is asked for from now on. `is_found`: nobody named it, and it may wait for us.
    pub fn follow(&self, tgid: u32, is_found: bool) -> Visit {
        let mut state = self.shared.lock();
        let visit = Visit(state.next_number);
        state.next_number += 1;
        self.change(&mut state, tgid, Change::Follow { visit, is_found });
        visit
    }

    /// That is over.
    pub fn forget(&self, tgid: u32) {
        let mut state = self.shared.lock();
        self.change(&mut state, tgid, Change::Forget);
    }

    /// A process has ended: it is asked until it has let go of its descriptors, and not for ever.
    pub fn dying(&self, tgid: u32) {
        let mut state = self.shared.lock();
        if state.dying.len() < MAX_WAITING {
            state.dying.insert(tgid);
        } else {
            Counts::add(&self.counts.unasked);
        }
        self.shared.changed.notify_all();
    }

    /// What was said since.
    pub fn take(&self) -> Vec<Answer> {
        let mut state = self.shared.lock();
        let answers = std::mem::take(&mut state.answers);
        for answer in &answers {
            if let Answer::Facts { number, .. } = answer {
                state.late.remove(number);
            }
        }
        answers
    }

    fn change(&self, state: &mut State, tgid: u32, change: Change) {
        if state.changes.len() < MAX_WAITING || state.changes.contains_key(&tgid) {
            state.changes.insert(tgid, change);
        } else {
            Counts::add(&self.counts.unasked);
        }
        self.shared.changed.notify_all();
    }
}

impl Drop for Census {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
    }
}

fn take_facts(answers: &mut Vec<Answer>, wanted: u64) -> Option<Option<ProcessFacts>> {
    let is_it = |a: &Answer| matches!(a, Answer::Facts { number, .. } if *number == wanted);
    let at = answers.iter().position(is_it)?;
    match answers.remove(at) {
        Answer::Facts { facts, .. } => Some(facts),
        Answer::WaitsForUs { .. } | Answer::Gone { .. } | Answer::HasLetGo { .. } => None,
    }
}

#[cfg(test)]
mod tests;
