//! How much may be read of files that are searched, in sum over all processes, and how fast.
//!
//! ```text
//!             n bytes are read              the bucket is empty: sleeps until it is level again
//! full bucket ----------------> less full --------------------------------------------------> filled at BYTES_PER_S
//! ```
//! Beside the bucket stands the sum of an hour, behind which nothing is read until it is over, and that of the process
//! that is searched. It knows nothing of files.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Bytes that are read at once where nothing was read before: an executable with its TLS library in it. A command may
/// be over in a moment.
pub(super) const BURST_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes in a second behind it: a hundredth of a processor, and of a disk.
pub(super) const BYTES_PER_S: u64 = 32 * 1024 * 1024;
/// Bytes of a process that are read in all. PyTorch's libraries have 2.3 GB, and none of them has TLS.
pub(super) const MAX_PROCESS_BYTES: u64 = 512 * 1024 * 1024;
/// Bytes in an hour, of all processes: the different files of some dozen large programs, four minutes of reading. Each
/// file is searched once, so that only new ones come.
pub(super) const MAX_HOUR_BYTES: u64 = 8 * 1024 * 1024 * 1024;
/// How long that is.
pub(super) const HOUR: Duration = Duration::from_secs(3_600);

/// Time as the allowance needs it: the machine's, or a test's.
pub(super) trait Clock: Send {
    /// Now.
    fn now(&self) -> Instant;
    /// Lets time pass.
    fn sleep(&self, time: Duration);
}

/// The machine's.
#[derive(Debug)]
pub(super) struct RealClock;

impl Clock for RealClock {
    fn now(&self) -> Instant {
        Instant::now()
    }
    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// See the module.
pub(super) struct Allowance {
    clock: Box<dyn Clock>,
    /// Bytes in the bucket, as of `filled`.
    bucket: Cell<u64>,
    filled: Cell<Instant>,
    hour: Cell<Instant>,
    hour_left: Cell<u64>,
    process_left: Cell<u64>,
}

impl Allowance {
    /// Nothing was read yet.
    pub(super) fn new(clock: Box<dyn Clock>) -> Allowance {
        let now = clock.now();
        Allowance {
            clock,
            bucket: Cell::new(BURST_BYTES),
            filled: Cell::new(now),
            hour: Cell::new(now),
            hour_left: Cell::new(MAX_HOUR_BYTES),
            process_left: Cell::new(MAX_PROCESS_BYTES),
        }
    }

    /// Another process is searched from now on.
    pub(super) fn begin_process(&self) {
        self.process_left.set(MAX_PROCESS_BYTES);
        let now = self.clock.now();
        if now.saturating_duration_since(self.hour.get()) >= HOUR {
            self.hour.set(now);
            self.hour_left.set(MAX_HOUR_BYTES);
        }
    }

    /// Nothing more of this process may be read now.
    pub(super) fn is_spent(&self) -> bool {
        self.process_left.get() == 0 || self.hour_left.get() == 0
    }

    /// Notes what was read. Sleeps where that was too fast.
    pub(super) fn take(&self, bytes: u64) {
        for left in [&self.hour_left, &self.process_left] {
            left.set(left.get().saturating_sub(bytes));
        }
        let now = self.clock.now();
        let filled = now.saturating_duration_since(self.filled.get()).as_nanos();
        let more = filled * u128::from(BYTES_PER_S) / 1_000_000_000;
        let more = u64::try_from(more).unwrap_or(BURST_BYTES).min(BURST_BYTES);
        if more > 0 {
            self.filled.set(now);
        }
        let level = self.bucket.get().saturating_add(more).min(BURST_BYTES);
        let missing = bytes.saturating_sub(level);
        self.bucket.set(level.saturating_sub(bytes));
        if missing > 0 {
            let time = Duration::from_nanos(missing * 1_000_000_000 / BYTES_PER_S);
            self.clock.sleep(time);
            // It was not filled meanwhile, but for what was missing.
            self.filled.set(now + time);
        }
    }

    /// Waits for something else.
    pub(super) fn sleep(&self, time: Duration) {
        self.clock.sleep(time);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A clock that only sleeping moves.
    #[derive(Clone)]
    pub(in crate::driver::searcher) struct Still(
        pub(in crate::driver::searcher) Arc<Mutex<Instant>>,
    );

    impl Still {
        pub(in crate::driver::searcher) fn new() -> Still {
            Still(Arc::new(Mutex::new(Instant::now())))
        }
    }

    impl Clock for Still {
        fn now(&self) -> Instant {
            self.0.lock().map_or_else(|e| *e.into_inner(), |now| *now)
        }
        fn sleep(&self, time: Duration) {
            if let Ok(mut now) = self.0.lock() {
                *now += time;
            }
        }
    }

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn the_burst_is_for_all_processes_and_comes_again_with_time() {
        let clock = Still::new();
        let allowance = Allowance::new(Box::new(clock.clone()));
        let start = clock.now();
        let slept = || clock.now() - start;
        for _ in 0..BURST_BYTES / MIB {
            allowance.take(MIB);
        }
        assert_eq!(slept(), Duration::ZERO);
        // A second process has none of its own.
        allowance.begin_process();
        for _ in 0..320 {
            allowance.take(MIB);
        }
        assert_eq!(
            slept().as_millis(),
            320 * 1000 * u128::from(MIB) / u128::from(BYTES_PER_S)
        );
        clock.sleep(Duration::from_secs(60));
        let rested = slept();
        for _ in 0..BURST_BYTES / MIB {
            allowance.take(MIB);
        }
        assert_eq!(slept(), rested);
        allowance.take(32 * MIB);
        assert_eq!(slept() - rested, Duration::from_secs(1));
    }

    #[test]
    fn a_process_and_an_hour_have_their_sums() {
        let clock = Still::new();
        let allowance = Allowance::new(Box::new(clock.clone()));
        let mut read = 0;
        while read < MAX_HOUR_BYTES {
            assert!(!allowance.is_spent());
            allowance.take(MAX_PROCESS_BYTES / 2);
            assert_eq!(
                allowance.is_spent(),
                read + MAX_PROCESS_BYTES / 2 == MAX_HOUR_BYTES
            );
            allowance.take(MAX_PROCESS_BYTES / 2);
            assert!(allowance.is_spent());
            read += MAX_PROCESS_BYTES;
            allowance.begin_process();
        }
        assert!(allowance.is_spent(), "the hour's is");
        clock.sleep(HOUR);
        allowance.begin_process();
        assert!(!allowance.is_spent());
    }
}
