//! Who shares the time of a deployment whose price is by the hour.
//!
//! ```text
//! begin: the request's head --> open, one more        each moment is divided equally among those that are open
//! end ------------------------> open, one less, and what it had of the time
//! ```
//! A request has an equal part of each moment in which it is open. So all parts together are the time in which any is open,
//! and never more; what time nobody asks for anything is nobody's. It does not know what a request makes the processors do:
//! the part is a rule for dividing a bill, and says so (`basis: gpu_hour`).
//!
//! Times of different connections may come a little out of order: time does not go back here.

use std::collections::HashMap;

use crate::id::Id;
use crate::time::MonoNs;

/// Requests that are open at once in all deployments with such a price; as many connections are followed. One past it has no
/// part, and takes none.
const MAX_OPEN: usize = 65_536;

/// A deployment, as a number: of its rule and of what its process says.
pub(super) type Deployment = u64;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// Those in which a request is open.
    clocks: HashMap<Deployment, Clock>,
    /// By its scope: where it is open, and how far the clock was when it began.
    open: HashMap<Id, (Deployment, f64)>,
}

#[derive(Debug)]
struct Clock {
    at: MonoNs,
    /// Requests that are open.
    open: u32,
    /// What one that was open from the first on would have had, ns.
    part_ns: f64,
}

impl Clock {
    fn advance(&mut self, ts: MonoNs) {
        let passed = ts.since(self.at);
        self.part_ns += passed as f64 / f64::from(self.open.max(1));
        self.at = self.at.max(ts);
    }
}

impl Shares {
    /// The head of a request came that is served by that deployment.
    pub(super) fn begin(&mut self, request: Id, of: Deployment, ts: MonoNs) {
        if self.open.len() >= MAX_OPEN || self.open.contains_key(&request) {
            return;
        }
        let clock = self.clocks.entry(of).or_insert(Clock {
            at: ts,
            open: 0,
            part_ns: 0.0,
        });
        clock.advance(ts);
        clock.open += 1;
        self.open.insert(request, (of, clock.part_ns));
    }

    /// It is over. Gives its part of the time, ns.
    pub(super) fn end(&mut self, request: Id, ts: MonoNs) -> Option<f64> {
        let (of, began) = self.open.remove(&request)?;
        let clock = self.clocks.get_mut(&of)?;
        clock.advance(ts);
        clock.open -= 1;
        let part = clock.part_ns - began;
        if clock.open == 0 {
            self.clocks.remove(&of);
        }
        Some(part)
    }

    /// Bytes that it holds, about.
    pub(super) fn held_bytes(&self) -> usize {
        self.open.capacity() * size_of::<(Id, (Deployment, f64))>()
            + self.clocks.capacity() * size_of::<(Deployment, Clock)>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(n: u8) -> Id {
        Id([n; 16])
    }

    #[test]
    fn requests_that_are_open_at_once_have_equal_parts_of_that_time() {
        let mut shares = Shares::default();
        shares.begin(id(1), 7, MonoNs(0));
        shares.begin(id(2), 7, MonoNs(100));
        // Another deployment's time is its own.
        shares.begin(id(3), 8, MonoNs(100));
        assert_eq!(shares.end(id(1), MonoNs(300)), Some(200.0));
        assert_eq!(shares.end(id(2), MonoNs(400)), Some(200.0));
        assert_eq!(shares.end(id(3), MonoNs(400)), Some(300.0));
        assert_eq!(shares.end(id(3), MonoNs(500)), None, "twice");
        assert!(shares.clocks.is_empty() && shares.open.is_empty());
    }

    proptest! {
        #[test]
        fn all_parts_together_are_the_time_in_which_any_is_open(
            steps in prop::collection::vec((0_u8..8, 0_u64..1_000), 1..200)
        ) {
            let mut shares = Shares::default();
            let (mut now, mut busy, mut parts) = (0_u64, 0_u64, 0.0);
            let mut open = std::collections::BTreeSet::new();
            for (n, step) in steps {
                now += step;
                busy += if open.is_empty() { 0 } else { step };
                if open.remove(&n) {
                    parts += shares.end(id(n), MonoNs(now)).unwrap_or(f64::NAN);
                } else {
                    open.insert(n);
                    shares.begin(id(n), 1, MonoNs(now));
                }
            }
            for n in open {
                parts += shares.end(id(n), MonoNs(now)).unwrap_or(f64::NAN);
            }
            prop_assert!((parts - busy as f64).abs() < 1.0, "{parts} of {busy}");
        }
    }
}
