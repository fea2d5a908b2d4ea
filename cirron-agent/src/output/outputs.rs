//! All sinks together: opened, fed by the core, asked for their counts, ended.
//!
//! ```text
//! Outputs::open --> start --> ToSinks  (the core's end: hands on)  --queue--> a thread for each sink
//!                        '--> Sinks    (everybody else's: counts, end)
//! ```
//! A session root is written twice with the same id; its start on the wall clock is the one it
//! was first written with, however the clock was set since.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use cirron_core::id::Id;

use super::queue::{LIST_BYTES, List, Queue};
use super::sink::{Opening, Pressure, Sink, SinkReport};
use super::{Finished, Timed, worker};
use crate::privileges::Rights;
use crate::spool::json::WallTimes;

/// How long the end waits for sinks that nobody waits for otherwise.
pub const END_LIMIT: Duration = Duration::from_secs(1);

/// The sinks that were asked for, before their threads run.
#[derive(Default)]
pub struct Outputs {
    sinks: Vec<Box<dyn Sink>>,
    queue_bytes: usize,
}

/// How the sinks are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As the table says; each is flushed at this interval.
    Live(Duration),
    /// A replay waits for all: its file does not run away. No clock decides where a batch ends.
    Replay,
}

impl Outputs {
    /// Opens each of the plan's.
    pub fn open(opening: &Opening<'_>) -> anyhow::Result<Outputs> {
        let kinds = &opening.plan.kinds;
        let sinks = kinds
            .iter()
            .map(|kind| (kind.open)(opening))
            .collect::<anyhow::Result<_>>()?;
        Ok(Outputs {
            sinks,
            queue_bytes: opening.plan.queue_bytes,
        })
    }

    /// Starts a thread for each, with the rights that it needs.
    pub fn start(self, pace: Pace, rights: Rights) -> anyhow::Result<(ToSinks, Sinks)> {
        let mut all = Vec::new();
        for sink in self.sinks {
            let kind = sink.kind();
            let (pressure, interval) = match pace {
                Pace::Live(interval) => (kind.pressure, Some(interval)),
                Pace::Replay => (Pressure::Waits, None),
            };
            let queue = Arc::new(Queue::new(&*sink, pressure, self.queue_bytes));
            let theirs = Arc::clone(&queue);
            let thread = std::thread::Builder::new()
                .name(format!("cirron-{}", sink.name()))
                .spawn(move || {
                    if kind.writes_files {
                        rights.keep_for_files();
                    } else {
                        rights.keep_nothing();
                    }
                    worker::run(sink, &theirs, interval);
                })
                .with_context(|| format!("the {} thread cannot be started", kind.name))?;
            all.push(Started {
                queue,
                pressure,
                thread,
            });
        }
        let to_sinks = ToSinks {
            queues: all.iter().map(|one| Arc::clone(&one.queue)).collect(),
            starts: HashMap::new(),
        };
        Ok((to_sinks, Sinks { all }))
    }
}

/// Where the core hands scopes to. Its end ends the sinks.
pub struct ToSinks {
    queues: Vec<Arc<Queue>>,
    /// Wall-clock starts of open session roots.
    starts: HashMap<Id, u64>,
}

impl ToSinks {
    /// Hands scopes to every sink; waits where one may push back.
    pub fn hand_on(&mut self, scopes: impl IntoIterator<Item = Finished>) {
        let mut list = Vec::new();
        let mut bytes = 0;
        for scope in scopes {
            let times = self.times(&scope);
            bytes += scope.bytes();
            list.push(Timed { scope, times });
            if bytes >= LIST_BYTES {
                self.put(std::mem::take(&mut list), std::mem::take(&mut bytes));
            }
        }
        self.put(list, bytes);
    }

    fn put(&self, scopes: Vec<Timed>, bytes: usize) {
        let list = Arc::new(List { scopes, bytes });
        for queue in &self.queues {
            queue.put(&list);
        }
    }

    fn times(&mut self, scope: &Finished) -> WallTimes {
        let mut times = WallTimes::new(&scope.span, &scope.anchor);
        let id = scope.span.id;
        match times.end_ns {
            None => times.start_ns = *self.starts.entry(id).or_insert(times.start_ns),
            Some(end) => {
                times.start_ns = self.starts.remove(&id).unwrap_or(times.start_ns);
                times.end_ns = Some(end.max(times.start_ns));
            }
        }
        times
    }

    /// Whether there were sinks, and none of them can write any more.
    pub fn is_pointless(&self) -> bool {
        !self.queues.is_empty() && self.queues.iter().all(|queue| queue.is_closed())
    }

    /// The first sink that the agent is there for and that panicked.
    pub fn failed(&self) -> Option<&'static str> {
        failed(&self.queues)
    }
}

fn failed(queues: &[Arc<Queue>]) -> Option<&'static str> {
    let failed = queues.iter().find(|queue| queue.has_failed());
    failed.map(|queue| queue.name())
}

impl Drop for ToSinks {
    fn drop(&mut self) {
        self.queues.iter().for_each(|queue| queue.end());
    }
}

#[derive(Debug)]
struct Started {
    queue: Arc<Queue>,
    pressure: Pressure,
    thread: JoinHandle<()>,
}

/// The sinks that run.
#[derive(Debug)]
pub struct Sinks {
    all: Vec<Started>,
}

impl Sinks {
    /// Their counts at any time, from any thread.
    pub fn counts(&self) -> SinkCounts {
        SinkCounts {
            queues: self.all.iter().map(|one| Arc::clone(&one.queue)).collect(),
        }
    }

    /// Waits until everything is written; for sinks that nobody waits for, a bounded time. The core has
    /// ended before.
    pub fn finish(self) -> Vec<SinkReport> {
        let counts = self.counts();
        let (waited, others): (Vec<_>, Vec<_>) = self
            .all
            .into_iter()
            .partition(|one| one.pressure == Pressure::Waits);
        for one in waited {
            // A sink's panic is known to its queue; there is no other.
            let _ = one.thread.join();
        }
        for one in others {
            one.queue.abandon(END_LIMIT);
        }
        counts.reports()
    }
}

/// Asks the sinks that run for their counts.
#[derive(Clone, Debug)]
pub struct SinkCounts {
    queues: Vec<Arc<Queue>>,
}

impl SinkCounts {
    /// Those of each, in the table's order.
    pub fn reports(&self) -> Vec<SinkReport> {
        self.queues.iter().map(|queue| queue.report()).collect()
    }

    /// The first sink that the agent is there for and that panicked.
    pub fn failed(&self) -> Option<&'static str> {
        failed(&self.queues)
    }
}

#[cfg(test)]
#[path = "outputs_tests.rs"]
mod tests;
