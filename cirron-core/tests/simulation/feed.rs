//! An engine that is handed records with time in between, of which some are lost: for suites that judge what comes out by ids.

use cirron_core::engine::{Engine, Output};
use cirron_core::scope::{Mark, Span};
use cirron_core::time::{MS, MonoNs};

use crate::random::Random;

pub(crate) struct Feed {
    pub(crate) engine: Engine,
    pub(crate) random: Random,
    /// Time of the next record, ns.
    pub(crate) now: u64,
    /// Records in a million that do not arrive.
    pub(crate) lost_ppm: u64,
}

impl Feed {
    pub(crate) fn new(engine: Engine, seed: u64, lost_ppm: u64) -> Feed {
        Feed {
            engine,
            random: Random::new(seed),
            now: MS,
            lost_ppm,
        }
    }

    pub(crate) fn hand_in(&mut self, record: &[u8]) {
        self.now += 1_000 * self.random.between(1, 300);
        if !self.random.one_in_a_million(self.lost_ppm) {
            self.engine.handle_record(record);
        }
        let due = self.engine.poll_timeout();
        if due.is_some_and(|due| due.0 <= self.now) {
            self.engine.handle_timeout(MonoNs(self.now));
        }
    }

    /// Scopes that ended since the last time.
    pub(crate) fn scopes(&mut self) -> Vec<(Span, Vec<Mark>)> {
        let outputs = std::iter::from_fn(|| self.engine.poll_output());
        outputs.filter_map(Output::into_scope).collect()
    }

    /// The agent ends, this much later.
    pub(crate) fn stop(&mut self, later_ns: u64) -> Vec<(Span, Vec<Mark>)> {
        let now = MonoNs(self.now + later_ns);
        self.engine.handle_timeout(now);
        self.engine.handle_shutdown(now);
        self.scopes()
    }
}
