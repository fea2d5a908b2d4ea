//! Processes that the attach thread is to look at, and those that have ended.
//!
//! The core names a process each time that it maps something: a target that does so in a loop would
//! grow a queue without end and cost a processor. So a process stands here once, there is room for as
//! many as there can be targets, and one that has cost much waits a while before its next turn. What a process
//! held is let go first, before whoever has its number now is looked at. Who has made processes targets can wait until
//! each has been looked at, before anybody is told so.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cirron_core::time::MonoNs;

/// Processes that wait. The kernel side holds as many targets.
const MAX_PENDING: usize = 8192;
/// Time that looking at a process may take at once: a large one maps hundreds of libraries while it
/// starts, and its list of them takes milliseconds to read.
const BURST: Duration = Duration::from_secs(1);
/// Behind it a process gets this part of a processor's time.
const SHARE: u32 = 20;
/// What a process is remembered for is over by then.
const MAX_REST: Duration = Duration::from_secs(60);

/// A process that has mapped something executable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// The process.
    pub tgid: u32,
    /// When, at first.
    pub at: MonoNs,
}

/// What the attach thread is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Todo {
    /// Look at a process.
    Look(Mapped),
    /// A process has ended, or is no target any more.
    LetGo(u32),
    /// Time has passed, as asked for.
    Tick,
}

/// What a process has cost.
#[derive(Clone, Copy, Debug)]
struct Cost {
    /// As of `at`; it is forgiven with time.
    spent: Duration,
    at: Instant,
}

impl Cost {
    fn at(self, now: Instant) -> Duration {
        let forgiven = now.saturating_duration_since(self.at) / SHARE;
        self.spent.saturating_sub(forgiven)
    }
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Mapped>,
    /// No more than there were targets.
    gone: BTreeSet<u32>,
    /// The one that is looked at now.
    looked_at: Option<u32>,
    costs: HashMap<u32, Cost>,
    passed_over: u64,
    is_closed: bool,
}

impl State {
    /// When this one may be looked at.
    fn due(&self, tgid: u32, now: Instant) -> Instant {
        let cost = self.costs.get(&tgid).map_or(Duration::ZERO, |c| c.at(now));
        let over = cost.saturating_sub(BURST).saturating_mul(SHARE);
        now + over.min(MAX_REST)
    }

    /// Whether one of these is looked at now, or is to be.
    fn is_due(&self, tgids: &BTreeSet<u32>, now: Instant) -> bool {
        let its = |tgid: u32| tgids.contains(&tgid);
        let waiting = self.waiting.iter().map(|mapped| mapped.tgid);
        self.looked_at.is_some_and(its)
            || waiting.filter(|t| its(*t)).any(|t| self.due(t, now) <= now)
    }

    /// The first one whose time has come; else the time of the next.
    fn next(&mut self, now: Instant) -> Result<Mapped, Option<Instant>> {
        let dues = self.waiting.iter().map(|m| self.due(m.tgid, now));
        let Some((at, due)) = dues.enumerate().min_by_key(|(_, due)| *due) else {
            return Err(None);
        };
        match self.waiting.remove(at) {
            Some(mapped) if due <= now => Ok(mapped),
            Some(mapped) => {
                self.waiting.insert(at, mapped);
                Err(Some(due))
            }
            None => Err(None),
        }
    }
}

/// The queue: one end names processes, the other looks at them.
#[derive(Clone, Debug, Default)]
pub struct Pending(Arc<(Mutex<State>, Condvar)>);

impl Pending {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names a process. `false` where nobody looks any more.
    pub fn push(&self, mapped: Mapped) -> bool {
        let mut state = self.lock();
        if state.is_closed {
            return false;
        }
        if state.waiting.iter().all(|m| m.tgid != mapped.tgid) {
            if state.waiting.len() < MAX_PENDING {
                state.waiting.push_back(mapped);
            } else {
                state.passed_over += 1;
            }
        }
        drop(state);
        self.0.1.notify_all();
        true
    }

    /// A process has ended, or is no target any more. It is not looked at.
    pub fn let_go(&self, tgid: u32) {
        let mut state = self.lock();
        state.waiting.retain(|mapped| mapped.tgid != tgid);
        if !state.is_closed {
            state.gone.insert(tgid);
        }
        drop(state);
        self.0.1.notify_all();
    }

    /// Waits for something to do, no longer than `tick`; `None` at the end.
    pub fn pop(&self, tick: Option<Duration>) -> Option<Todo> {
        let until = tick.map(|tick| Instant::now() + tick);
        let mut state = self.lock();
        loop {
            if state.is_closed {
                return None;
            }
            if let Some(tgid) = state.gone.pop_first() {
                return Some(Todo::LetGo(tgid));
            }
            let now = Instant::now();
            let due = match state.next(now) {
                Ok(mapped) => {
                    state.looked_at = Some(mapped.tgid);
                    return Some(Todo::Look(mapped));
                }
                Err(due) => due,
            };
            if until.is_some_and(|until| until <= now) {
                return Some(Todo::Tick);
            }
            state = match due.into_iter().chain(until).min() {
                None => self.0.1.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(next) => {
                    let wait = self.0.1.wait_timeout(state, next - now);
                    wait.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Waits until each of these was looked at that was named before, or has had its share of time for now, or nobody
    /// looks any more; no longer than `limit`. `false`: that is over.
    pub fn wait_for(&self, tgids: &BTreeSet<u32>, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            if state.is_closed || !state.is_due(tgids, now) {
                return true;
            }
            let Some(left) = until.checked_duration_since(now) else {
                return false;
            };
            let waited = self.0.1.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A process was looked at, and what that has cost.
    pub fn spent(&self, tgid: u32, took: Duration) {
        let now = Instant::now();
        let mut state = self.lock();
        if state.costs.len() >= MAX_PENDING {
            state.costs.retain(|_, cost| cost.at(now) > Duration::ZERO);
        }
        if state.costs.len() >= MAX_PENDING {
            state.costs.clear();
        }
        let before = state.costs.get(&tgid);
        let spent = before.map_or(Duration::ZERO, |c| c.at(now)) + took;
        state.costs.insert(tgid, Cost { spent, at: now });
        state.looked_at = None;
        drop(state);
        self.0.1.notify_all();
    }

    /// Processes for which there was no room.
    pub fn passed_over(&self) -> u64 {
        self.lock().passed_over
    }

    /// Nobody names any more, or nobody looks.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.0.1.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(tgid: u32) -> Mapped {
        Mapped {
            tgid,
            at: MonoNs(tgid.into()),
        }
    }

    #[test]
    fn a_process_waits_once_however_often_it_is_named() {
        let pending = Pending::default();
        for _ in 0..1_000_000 {
            pending.push(mapped(1));
        }
        pending.push(mapped(2));
        assert_eq!(pending.lock().waiting.len(), 2);
        assert_eq!(pending.pop(None), Some(Todo::Look(mapped(1))));
        assert_eq!(pending.pop(None), Some(Todo::Look(mapped(2))));
        assert_eq!(pending.passed_over(), 0);
    }

    #[test]
    fn processes_past_the_bound_are_counted() {
        let pending = Pending::default();
        for tgid in 0..u32::try_from(MAX_PENDING).unwrap_or_default() + 7 {
            pending.push(mapped(tgid));
        }
        assert_eq!(pending.passed_over(), 7);
        assert_eq!(pending.lock().waiting.len(), MAX_PENDING);
    }

    #[test]
    fn one_that_cost_much_waits_and_others_do_not() {
        let pending = Pending::default();
        pending.spent(1, BURST + Duration::from_millis(10));
        pending.spent(2, BURST / 2);
        let now = Instant::now();
        let due = pending.lock().due(1, now) - now;
        let rest = Duration::from_millis(10) * SHARE;
        assert!(
            due <= rest && due + Duration::from_millis(50) > rest,
            "{due:?}"
        );
        pending.push(mapped(1));
        pending.push(mapped(2));
        assert_eq!(pending.pop(None), Some(Todo::Look(mapped(2))));
        assert_eq!(pending.pop(None), Some(Todo::Look(mapped(1))));
        assert!(now.elapsed() >= due);
    }

    /// What one process costs is bounded by its share, however much it asks for.
    #[test]
    fn in_the_long_run_a_process_has_its_share() {
        let (mut state, start) = (State::default(), Instant::now());
        let (mut now, mut spent) = (start, Duration::ZERO);
        let look = Duration::from_millis(40);
        while now < start + Duration::from_secs(1000) {
            let due = state.due(1, now);
            now = due + look;
            spent += look;
            let before = state.costs.get(&1).map_or(Duration::ZERO, |c| c.at(now));
            let cost = Cost {
                spent: before + look,
                at: now,
            };
            state.costs.insert(1, cost);
        }
        assert!(spent < Duration::from_secs(53), "{spent:?}");
        assert!(spent > Duration::from_secs(48), "{spent:?}");
    }

    #[test]
    fn what_a_process_held_is_let_go_before_its_number_s_next_owner_is_looked_at() {
        let pending = Pending::default();
        pending.push(mapped(2));
        pending.push(mapped(1));
        pending.let_go(1);
        pending.let_go(1);
        pending.push(mapped(1));
        let tick = Some(Duration::from_millis(1));
        let all: Vec<Todo> = std::iter::from_fn(|| pending.pop(tick)).take(4).collect();
        assert_eq!(
            all,
            [
                Todo::LetGo(1),
                Todo::Look(mapped(2)),
                Todo::Look(mapped(1)),
                Todo::Tick
            ]
        );
    }

    #[test]
    fn the_end_is_told_to_both_ends() {
        let pending = Pending::default();
        let other = pending.clone();
        let waits = std::thread::spawn(move || other.pop(None));
        pending.close();
        assert_eq!(waits.join().unwrap_or(Some(Todo::Tick)), None);
        assert!(!pending.push(mapped(1)));
    }

    #[test]
    fn who_waits_for_processes_waits_until_each_has_had_its_turn_and_for_no_other() {
        let (pending, short) = (Pending::default(), Duration::from_millis(20));
        let ours = BTreeSet::from([1, 2]);
        assert!(pending.wait_for(&ours, short));
        for tgid in [1, 2, 3] {
            pending.push(mapped(tgid));
        }
        assert!(!pending.wait_for(&ours, short), "both wait");
        assert_eq!(pending.pop(None), Some(Todo::Look(mapped(1))));
        pending.let_go(2);
        assert!(!pending.wait_for(&ours, short), "one is looked at");
        let other = pending.clone();
        let waits = std::thread::spawn(move || other.wait_for(&ours, Duration::from_secs(60)));
        // What is left of it is for later: it has had its share.
        pending.push(mapped(1));
        pending.spent(1, BURST + Duration::from_secs(1));
        assert!(waits.join().unwrap_or(false), "3 is none of them");
        let ours = BTreeSet::from([3]);
        assert!(!pending.wait_for(&ours, short));
        pending.close();
        assert!(pending.wait_for(&ours, short), "nobody looks any more");
    }

    #[test]
    fn what_is_remembered_of_costs_is_bounded() {
        let pending = Pending::default();
        for tgid in 0..u32::try_from(MAX_PENDING).unwrap_or_default() * 3 {
            pending.spent(tgid, Duration::from_nanos(1));
        }
        assert!(pending.lock().costs.len() <= MAX_PENDING);
    }
}
