//! What waits for one sink: bounded in bytes, filled by the core, emptied by the sink's thread.
//!
//! ```text
//!  Open --end()----> Ending --left()------> Over      the thread has written everything
//!    |                  '-----abandon()--> Over      it did not in time, and is left behind
//!    '--left(panicked)----------------------> Over
//! ```
//! A scope that is put in is settled by the sink, or counted as dropped: while nothing is under way
//! the sum is exact, whatever happens to the thread. Nothing here knows what a sink does.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Timed;
use super::sink::{Pressure, Sink, SinkKind, SinkReport, Stats};

/// Bytes of scopes that may wait for a sink: as many as the ring holds, some 6 000 calls of a model. Past it the
/// core waits, or the scopes are dropped. One list ([`LIST_BYTES`]) may always wait, however large.
pub const QUEUE_BYTES: usize = 32 * 1024 * 1024;

/// The same where the core may hold no more than `max_memory`: half of that. Who bounds the one means the other too.
pub fn queue_bytes(max_memory: usize) -> usize {
    (max_memory / 2).min(QUEUE_BYTES)
}

/// Bytes of scopes that go into a queue, or are dropped, together.
pub const LIST_BYTES: usize = 1024 * 1024;

/// Scopes that go to every sink, shared by their queues.
#[derive(Debug)]
pub struct List {
    /// In the order in which they ended.
    pub scopes: Vec<Timed>,
    /// The memory that they take.
    pub bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Ending,
    Over,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    lists: VecDeque<Arc<List>>,
    /// Bytes of the lists that wait, and of the one that the sink is at.
    bytes: usize,
    /// Number of scopes that were put in.
    taken: u64,
    /// Number of scopes that were not.
    refused: u64,
    stats: Stats,
    is_closed: bool,
    panicked: bool,
    said: bool,
}

/// The queue of one sink.
#[derive(Debug)]
pub struct Queue {
    kind: &'static SinkKind,
    pressure: Pressure,
    max_bytes: usize,
    state: Mutex<State>,
    changed: Condvar,
}

/// What the sink's thread does next.
#[derive(Debug)]
pub enum Next {
    /// Hands these to the sink.
    List(Arc<List>),
    /// Flushes.
    Due,
    /// Flushes for the last time, and ends.
    End,
}

impl Queue {
    /// An empty one for a sink that has taken nothing yet.
    pub fn new(sink: &dyn Sink, pressure: Pressure, max_bytes: usize) -> Queue {
        Queue {
            kind: sink.kind(),
            pressure,
            max_bytes,
            state: Mutex::new(State {
                phase: Phase::Open,
                lists: VecDeque::new(),
                bytes: 0,
                taken: 0,
                refused: 0,
                stats: sink.stats(),
                is_closed: false,
                panicked: false,
                said: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Nothing panics while it holds this.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        until: Option<Instant>,
    ) -> MutexGuard<'a, State> {
        let Some(until) = until else {
            return self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        };
        let left = until.saturating_duration_since(Instant::now());
        self.changed
            .wait_timeout(state, left)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    /// Its sink's name.
    pub fn name(&self) -> &'static str {
        self.kind.name
    }

    /// Whether its sink is given this scope.
    pub fn wants(&self, scope: &Timed) -> bool {
        (self.kind.wants)(&scope.scope)
    }

    /// Puts in what the sink wants of a list; waits for room where it may push back.
    pub fn put(&self, list: &Arc<List>) {
        let wanted = list.scopes.iter().filter(|scope| self.wants(scope)).count() as u64;
        if wanted == 0 {
            return;
        }
        let mut state = self.lock();
        let has_room =
            |state: &State| state.bytes == 0 || state.bytes + list.bytes <= self.max_bytes;
        while self.pressure == Pressure::Waits && state.phase == Phase::Open && !has_room(&state) {
            state = self.wait(state, None);
        }
        if state.phase == Phase::Open && has_room(&state) {
            state.taken += wanted;
            state.bytes += list.bytes;
            state.lists.push_back(Arc::clone(list));
            self.changed.notify_all();
            return;
        }
        state.refused += wanted;
        if state.phase == Phase::Open && !std::mem::replace(&mut state.said, true) {
            let name = self.kind.name;
            tracing::warn!(
                "the output {name} does not keep up, and loses scopes; \
                 the capture goes on, further losses are counted"
            );
        }
    }

    /// What comes next, at `due` at the latest.
    pub fn take(&self, due: Option<Instant>) -> Next {
        let mut state = self.lock();
        loop {
            if state.phase == Phase::Over {
                return Next::End;
            }
            if let Some(list) = state.lists.pop_front() {
                return Next::List(list);
            }
            if state.phase == Phase::Ending {
                return Next::End;
            }
            if due.is_some_and(|due| due <= Instant::now()) {
                return Next::Due;
            }
            state = self.wait(state, due);
        }
    }

    /// What the sink has done by now; `list` is the one that it was at.
    pub fn tell(&self, list: Option<&List>, stats: Stats, is_closed: bool) {
        let mut state = self.lock();
        if state.phase == Phase::Over {
            // It was left behind, and what it held was counted.
            return;
        }
        state.bytes -= list.map_or(0, |list| list.bytes);
        state.stats = stats;
        state.is_closed = is_closed;
        self.changed.notify_all();
    }

    /// Nothing more will be put in.
    pub fn end(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Ending;
        }
        self.changed.notify_all();
    }

    /// The thread has ended.
    pub fn left(&self, panicked: bool) {
        self.over(&mut self.lock(), panicked);
    }

    fn over(&self, state: &mut State, panicked: bool) {
        state.phase = Phase::Over;
        state.panicked |= panicked;
        state.lists.clear();
        state.bytes = 0;
        self.changed.notify_all();
    }

    /// Waits for the thread; past `limit` it is left behind, with what it has not settled.
    pub fn abandon(&self, limit: Duration) {
        let until = Instant::now() + limit;
        let mut state = self.lock();
        while state.phase != Phase::Over && Instant::now() < until {
            state = self.wait(state, Some(until));
        }
        self.over(&mut state, false);
    }

    /// Counts so far. What waits, or is under way, is dropped once it is over.
    pub fn report(&self) -> SinkReport {
        let state = self.lock();
        let not_settled = if state.phase == Phase::Over {
            state.taken.saturating_sub(state.stats.settled)
        } else {
            0
        };
        SinkReport::new(
            self.kind.name,
            state.stats.clone(),
            state.refused + not_settled,
            state.panicked,
        )
    }

    /// Whether the sink can write nothing any more.
    pub fn is_closed(&self) -> bool {
        let state = self.lock();
        state.is_closed || state.panicked
    }

    /// Whether a sink that the agent is there for has panicked.
    pub fn has_failed(&self) -> bool {
        self.kind.pressure == Pressure::Waits && self.lock().panicked
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
