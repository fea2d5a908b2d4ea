//! The threads: one for each destination, and one that removes what all of them have.
//!
//! ```text
//!  start --> Following --end(Drain)--> Draining: until nothing is left, or the first batch must wait
//!        '-> Once: until nothing is left    |
//!              '--end(Now)--> over <--------'
//! ```
//! The panic of a destination's thread is counted; it is started again after a wait, from its ledger, and no other one
//! notices. A spool that was wiped and made again ends all of it ([`Ended::Vanished`]): whoever started it starts anew.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crate::counts::Counts;
use crate::courier::{Courier, MAX_BACKOFF, Now, Turn};
use crate::destination::Destination;
use crate::follow::Follower;
use crate::ledger::{Ledger, NoLedger};
use crate::place::Place;
use crate::remove::{LOOK_INTERVAL, Remove, remove};

/// Between two looks at whether to end, and at a spool without inotify.
const TICK: Duration = Duration::from_millis(250);

/// Between two looks at whether the spool is the one that it was.
const PLACE_INTERVAL: Duration = Duration::from_secs(1);

/// Before a thread that panicked is started again; doubled up to [`MAX_BACKOFF`].
const RESTART_WAIT: Duration = Duration::from_secs(1);

/// Makes a destination: again, after a panic.
pub type Make = Box<dyn Fn() -> Box<dyn Destination> + Send>;

/// What to do.
pub struct Plan {
    /// Where the spool is: `DIR` of `DIR/spool`.
    pub output_dir: PathBuf,
    /// Where to.
    pub destinations: Vec<Make>,
    /// What becomes of what was sent.
    pub remove: Remove,
    /// What was given up is tried again.
    pub again: bool,
    /// To end when all is sent.
    pub once: bool,
}

/// How far the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum End {
    /// When somebody says so.
    Open = 0,
    /// When nothing is left.
    Once = 1,
    /// When nothing is left, or a batch must wait.
    Drain = 2,
    /// At once.
    Now = 3,
}

/// How far the end is, shared.
#[derive(Debug)]
struct Ending(AtomicU8);

impl Ending {
    fn get(&self) -> End {
        match self.0.load(Ordering::Relaxed) {
            0 => End::Open,
            1 => End::Once,
            2 => End::Drain,
            _ => End::Now,
        }
    }

    /// It never goes back.
    fn set(&self, end: End) {
        self.0.fetch_max(end as u8, Ordering::Relaxed);
    }
}

/// How a destination's thread ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// Another directory is there now.
    #[error("the spool was removed, or another one is in its place")]
    Vanished,
    /// The directory cannot be read.
    #[error("the spool cannot be read: {0}")]
    Unreadable(io::Error),
}

/// A destination that is sent to.
#[derive(Debug)]
pub struct Shipped {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub place: String,
    /// Its counters.
    pub counts: Arc<Counts>,
    thread: Option<JoinHandle<Result<(), Ended>>>,
}

/// All of it.
#[derive(Debug)]
pub struct Shipper {
    shipped: Vec<Shipped>,
    ending: Arc<Ending>,
    removed: Arc<Mutex<u64>>,
}

impl Shipper {
    /// Starts.
    ///
    /// # Errors
    /// Where a ledger cannot be had; nothing is started then.
    pub fn start(plan: Plan, place: &Arc<Place>) -> Result<Shipper, NoLedger> {
        let end = if plan.once { End::Once } else { End::Open };
        let ending = Arc::new(Ending(AtomicU8::new(end as u8)));
        let (mut ledgers, mut threads, mut shipped) = (Vec::new(), Vec::new(), Vec::new());
        for make in plan.destinations {
            let destination = make();
            let mut ledger = Ledger::open(Arc::clone(place), destination.name())?;
            if plan.again {
                let io = |why| NoLedger::Io {
                    name: destination.name().to_owned(),
                    done: "written",
                    why,
                };
                let many = ledger.again().map_err(io)?;
                tracing::info!("{many} batches are tried again at {}", destination.place());
            }
            let ledger = Arc::new(Mutex::new(ledger));
            ledgers.push(Arc::clone(&ledger));
            let one = Shipped {
                name: destination.name().to_owned(),
                place: destination.place(),
                counts: Arc::default(),
                thread: None,
            };
            threads.push(Thread {
                make,
                destination: Some(destination),
                place: Arc::clone(place),
                output_dir: plan.output_dir.clone(),
                ledger,
                counts: Arc::clone(&one.counts),
                ending: Arc::clone(&ending),
                began: Instant::now(),
            });
            shipped.push(one);
        }
        let io = |name: &str| {
            let name = name.to_owned();
            move |why| NoLedger::Io {
                name,
                done: "served by a thread",
                why,
            }
        };
        for (one, thread) in shipped.iter_mut().zip(threads) {
            let spawned = std::thread::Builder::new()
                .name("cirron-courier".into())
                .spawn(move || thread.run())
                .map_err(io(&one.name))?;
            one.thread = Some(spawned);
        }
        let removed = Arc::new(Mutex::new(0));
        if let Remove::After(after) = plan.remove {
            let (place, ending) = (Arc::clone(place), Arc::clone(&ending));
            let count = Arc::clone(&removed);
            std::thread::Builder::new()
                .name("cirron-remove".into())
                .spawn(move || removing(&place, &ledgers, after, &ending, &count))
                .map_err(io("removal"))?;
        }
        Ok(Shipper {
            shipped,
            ending,
            removed,
        })
    }

    /// The destinations.
    pub fn shipped(&self) -> &[Shipped] {
        &self.shipped
    }

    /// Batches that were removed, since all destinations have them.
    pub fn removed(&self) -> u64 {
        *self
            .removed
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// To end so.
    pub fn end(&self, end: End) {
        self.ending.set(end);
    }

    /// Whether all threads have ended.
    pub fn is_over(&self) -> bool {
        let is_over = |one: &Shipped| one.thread.as_ref().is_none_or(JoinHandle::is_finished);
        self.shipped.iter().all(is_over)
    }

    /// Whether one has ended before it was told to: then it ended wrongly.
    pub fn has_failed(&self) -> bool {
        let is_over = |one: &Shipped| one.thread.as_ref().is_none_or(JoinHandle::is_finished);
        self.ending.get() == End::Open && self.shipped.iter().any(is_over)
    }

    /// How they ended, where they have; a thread that is in the middle of a send is not waited for.
    ///
    /// # Errors
    /// The first that ended wrongly.
    pub fn finish(&mut self) -> Result<(), Ended> {
        for one in &mut self.shipped {
            if let Some(thread) = one.thread.take_if(|thread| thread.is_finished()) {
                thread.join().unwrap_or(Ok(()))?;
            }
        }
        Ok(())
    }
}

/// What a destination's thread is made of.
struct Thread {
    make: Make,
    destination: Option<Box<dyn Destination>>,
    place: Arc<Place>,
    output_dir: PathBuf,
    ledger: Arc<Mutex<Ledger>>,
    counts: Arc<Counts>,
    ending: Arc<Ending>,
    began: Instant,
}

impl Thread {
    fn run(mut self) -> Result<(), Ended> {
        let mut wait = RESTART_WAIT;
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.ship())) {
                Ok(ended) => return ended,
                Err(_) => {
                    self.counts.now().restarts += 1;
                    tracing::error!(
                        "a thread that ships panicked; report it. It starts again in {wait:?}"
                    );
                }
            }
            let until = Instant::now() + wait;
            while Instant::now() < until {
                if self.ending.get() >= End::Drain {
                    return Ok(());
                }
                std::thread::sleep(TICK);
            }
            wait = (wait * 2).min(MAX_BACKOFF);
        }
    }

    fn ship(&mut self) -> Result<(), Ended> {
        let destination = self.destination.take().unwrap_or_else(|| (self.make)());
        let place = Arc::clone(&self.place);
        let follower = Follower::new(Arc::clone(&place), &self.output_dir);
        let (ledger, counts) = (Arc::clone(&self.ledger), Arc::clone(&self.counts));
        let mut courier = Courier::new(place, follower, ledger, destination, counts);
        let mut looked = Instant::now();
        loop {
            let end = self.ending.get();
            if end == End::Now {
                return Ok(());
            }
            if looked.elapsed() >= PLACE_INTERVAL {
                looked = Instant::now();
                if !self.place.is_there() {
                    return Err(Ended::Vanished);
                }
            }
            let now = Now {
                mono: self.began.elapsed(),
                wall: SystemTime::now(),
            };
            match courier.turn(now).map_err(Ended::Unreadable)? {
                Turn::Again => {}
                Turn::Idle if end >= End::Once => return Ok(()),
                Turn::Idle => courier.wait(TICK),
                Turn::Wait(_) if end >= End::Drain => return Ok(()),
                Turn::Wait(until) => {
                    let left = until.saturating_sub(self.began.elapsed());
                    std::thread::sleep(left.min(TICK));
                }
            }
        }
    }
}

fn removing(
    place: &Place,
    ledgers: &[Arc<Mutex<Ledger>>],
    after: Duration,
    ending: &Ending,
    count: &Mutex<u64>,
) {
    let mut looked: Option<Instant> = None;
    while ending.get() < End::Drain {
        if looked.is_none_or(|at| at.elapsed() >= LOOK_INTERVAL) {
            looked = Some(Instant::now());
            match remove(place, ledgers, after, SystemTime::now()) {
                Ok(many) => {
                    *count
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner) += many;
                }
                Err(e) => tracing::info!("what was sent cannot be removed: {e}"),
            }
        }
        std::thread::sleep(TICK);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::batch::Batch;
    use crate::destination::Outcome;
    use crate::testing::Spool;

    /// Takes everything, refuses everything, or panics at first.
    struct Kind(&'static str, Arc<AtomicUsize>);

    impl Destination for Kind {
        fn name(&self) -> &str {
            self.0
        }

        fn place(&self) -> String {
            self.0.to_owned()
        }

        fn send(&mut self, _: &Batch, _: SystemTime) -> Outcome {
            let before = self.1.fetch_add(1, Ordering::SeqCst);
            match self.0 {
                "dead" => Outcome::Retry {
                    after: None,
                    why: "dead".to_owned(),
                },
                "panics" if before == 0 => panic!("as the test wants"),
                _ => Outcome::Sent { bytes: 1 },
            }
        }
    }

    fn start(spool: &Spool, names: &[&'static str], once: bool, remove: Remove) -> Shipper {
        let make = |name: &'static str| -> Make {
            let tries = Arc::new(AtomicUsize::new(0));
            Box::new(move || Box::new(Kind(name, Arc::clone(&tries))))
        };
        let plan = Plan {
            output_dir: spool.dir.path().to_owned(),
            destinations: names.iter().map(|name| make(name)).collect(),
            remove,
            again: false,
            once,
        };
        Shipper::start(plan, &spool.place).unwrap()
    }

    fn until(what: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !what() {
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn sent(shipper: &Shipper, n: usize) -> u64 {
        shipper.shipped()[n].counts.totals().batches_sent
    }

    #[test]
    fn neither_a_dead_destination_nor_one_that_panics_holds_another_or_loses_a_batch() {
        let spool = Spool::new();
        (1..4).for_each(|time| drop(spool.batch(time)));
        let mut shipper = start(&spool, &["dead", "fine", "panics"], false, Remove::Never);
        until(|| sent(&shipper, 1) == 3 && sent(&shipper, 2) == 3);
        assert_eq!(shipper.shipped()[2].counts.totals().restarts, 1);
        spool.batch(4);
        let behind = |shipper: &Shipper| shipper.shipped()[0].counts.totals().behind_batches;
        // The dead one hears of the last batch when it tries again.
        until(|| sent(&shipper, 1) == 4 && behind(&shipper) == 4);
        assert_eq!((sent(&shipper, 0), shipper.has_failed()), (0, false));
        shipper.end(End::Drain);
        until(|| shipper.is_over());
        shipper.finish().unwrap();
        assert_eq!(behind(&shipper), 4);
    }

    #[test]
    fn a_spool_that_is_another_one_ends_it() {
        let spool = Spool::new();
        let mut shipper = start(&spool, &["fine"], false, Remove::Never);
        std::fs::rename(spool.dir.path().join("spool"), spool.dir.path().join("x")).unwrap();
        std::fs::create_dir(spool.dir.path().join("spool")).unwrap();
        until(|| shipper.has_failed());
        assert!(matches!(shipper.finish(), Err(Ended::Vanished)));
    }

    #[test]
    fn what_all_have_is_removed_and_nothing_else() {
        let spool = Spool::new();
        (1..4).for_each(|time| drop(spool.batch(time)));
        spool.put(4, b"no batch");
        let shipper = start(
            &spool,
            &["fine", "dead"],
            false,
            Remove::After(Duration::ZERO),
        );
        until(|| sent(&shipper, 0) == 3);
        std::thread::sleep(LOOK_INTERVAL + TICK * 2);
        assert_eq!(shipper.removed(), 0);
        shipper.end(End::Now);
        until(|| shipper.is_over());
        drop(shipper);
        // A thread that removes holds ledgers until it sees the end.
        std::thread::sleep(TICK * 3);
        let shipper = start(&spool, &["fine"], false, Remove::After(Duration::ZERO));
        until(|| shipper.removed() == 3);
        let left: Vec<_> = std::fs::read_dir(spool.dir.path().join("spool"))
            .unwrap()
            .collect();
        assert_eq!(left.len(), 1, "what was given up stays");
    }

    #[test]
    fn once_ends_when_all_is_sent() {
        let spool = Spool::new();
        (1..4).for_each(|time| drop(spool.batch(time)));
        let mut shipper = start(&spool, &["fine"], true, Remove::Never);
        until(|| shipper.is_over());
        shipper.finish().unwrap();
        assert_eq!(sent(&shipper, 0), 3);
    }
}
