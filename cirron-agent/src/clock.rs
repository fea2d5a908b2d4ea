//! The clocks: monotonic for everything inside, wall clock at the spool's edge.
//!
//! The kernel side stamps records with `CLOCK_MONOTONIC`; the spool wants nanoseconds since the
//! epoch. An [`Anchor`] is one reading of both clocks; the driver takes a new one from time to
//! time, so that a clock that NTP slews or steps is followed. One span is converted with one
//! anchor, so its own times keep their order and distance whatever the wall clock does.

use std::time::Duration;

use cirron_core::time::MonoNs;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// How often the driver takes a new anchor. NTP slews by at most 500 ppm: 5 ms in 10 s.
pub const RESYNC_INTERVAL: Duration = Duration::from_secs(10);

/// Readings of which the tightest is kept: one may be cut in two by the scheduler.
const READINGS: usize = 5;

/// The monotonic and the wall clock at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anchor {
    /// `CLOCK_MONOTONIC`.
    pub mono: MonoNs,
    /// `CLOCK_REALTIME`, nanoseconds since the epoch.
    pub wall_ns: u64,
}

impl Anchor {
    /// Reads both clocks: the wall clock between two readings of the monotonic one, several
    /// times, and keeps the tightest pair.
    pub fn take() -> Anchor {
        let mut best = (u64::MAX, Anchor::default());
        for _ in 0..READINGS {
            let before = now();
            let wall_ns = wall_now_ns();
            let width = now().since(before);
            if width < best.0 {
                best = (
                    width,
                    Anchor {
                        mono: before.plus(width / 2),
                        wall_ns,
                    },
                );
            }
        }
        best.1
    }

    /// `at` on the wall clock, nanoseconds since the epoch.
    pub fn wall(&self, at: MonoNs) -> u64 {
        if at >= self.mono {
            self.wall_ns.saturating_add(at.since(self.mono))
        } else {
            self.wall_ns.saturating_sub(self.mono.since(at))
        }
    }
}

/// `CLOCK_MONOTONIC`, as `bpf_ktime_get_ns` reads it.
pub fn now() -> MonoNs {
    MonoNs(ns(clock_gettime(ClockId::Monotonic)))
}

/// `CLOCK_REALTIME`, nanoseconds since the epoch.
pub fn wall_now_ns() -> u64 {
    ns(clock_gettime(ClockId::Realtime))
}

fn ns(t: Timespec) -> u64 {
    let secs = u64::try_from(t.tv_sec).unwrap_or(0);
    secs.saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(t.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_survive_the_conversion_on_both_sides_of_the_anchor() {
        let anchor = Anchor {
            mono: MonoNs(1_000),
            wall_ns: 5_000_000,
        };
        assert_eq!(anchor.wall(MonoNs(1_000)), 5_000_000);
        assert_eq!(anchor.wall(MonoNs(1_250)), 5_000_250);
        assert_eq!(anchor.wall(MonoNs(400)), 4_999_400);
    }

    #[test]
    fn an_anchor_agrees_with_the_system_clock() {
        let anchor = Anchor::take();
        let system = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map(|d| d.as_nanos() as u64)
            .unwrap_or(0);
        assert!(system.abs_diff(anchor.wall(now())) < 50_000_000);
    }
}
