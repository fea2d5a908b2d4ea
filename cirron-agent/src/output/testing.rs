//! A sink of the tests' own: another module and one row of the table, and nothing else changed for it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::Timed;
use super::sink::{Count, Opening, Pressure, Sink, SinkKind, Stats};

/// Sleeps until it is woken, or panics if told so. Each test finds its own by the plan's spool directory.
pub(crate) const SLEEPER: SinkKind = SinkKind {
    name: "sleeper",
    help: "A test's",
    pressure: Pressure::Drops,
    writes_files: false,
    wants: |scope| scope.span.end.is_some(),
    open: |opening| Sleeper::open(opening, &SLEEPER),
};

/// The same, as one that the agent is there for.
pub(crate) const NEEDED: SinkKind = SinkKind {
    name: "needed",
    pressure: Pressure::Waits,
    wants: |_| true,
    open: |opening| Sleeper::open(opening, &NEEDED),
    ..SLEEPER
};

/// What the test tells the sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// Sleep over the next scope.
    #[default]
    Sleep,
    /// Take all.
    Take,
    /// Panic over the next scope.
    Panic,
}

/// The test's end of it.
#[derive(Default)]
pub(crate) struct Bed {
    order: Mutex<Order>,
    changed: Condvar,
}

static BEDS: Mutex<Option<HashMap<PathBuf, Arc<Bed>>>> = Mutex::new(None);

fn bed(place: PathBuf) -> Arc<Bed> {
    let mut beds = BEDS.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(beds.get_or_insert_default().entry(place).or_default())
}

impl Bed {
    /// That of the sink that is opened with this plan.
    pub(crate) fn of_plan(plan: &super::sink::OutputPlan) -> Arc<Bed> {
        bed(plan.spool_dir.clone().unwrap_or_default())
    }

    fn lock(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn order(&self, order: Order) {
        *self.lock() = order;
        self.changed.notify_all();
    }
}

struct Sleeper {
    kind: &'static SinkKind,
    bed: Arc<Bed>,
    taken: u64,
}

impl Sleeper {
    fn open(opening: &Opening<'_>, kind: &'static SinkKind) -> anyhow::Result<Box<dyn Sink>> {
        let bed = Bed::of_plan(opening.plan);
        Ok(Box::new(Sleeper {
            kind,
            bed,
            taken: 0,
        }))
    }
}

impl Sink for Sleeper {
    fn kind(&self) -> &'static SinkKind {
        self.kind
    }

    fn accept(&mut self, _: &Timed) {
        let mut order = self.bed.lock();
        while *order == Order::Sleep {
            order = self
                .bed
                .changed
                .wait(order)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let order = *order;
        assert!(order != Order::Panic, "as the test wants it");
        self.taken += 1;
    }

    fn flush(&mut self) {}

    fn stats(&self) -> Stats {
        Stats {
            settled: self.taken,
            counts: vec![Count::plain("taken", self.taken)],
            dropped: Count::loss("dropped", 0, "scope of a sleeper", "scopes of a sleeper"),
        }
    }
}
