//! Time: nanoseconds of the kernel's monotonic clock, the only clock inside the core.
//!
//! The shell turns it into wall-clock time at the spool's edge.

use std::fmt;

/// Nanoseconds of `CLOCK_MONOTONIC`, as `bpf_ktime_get_ns` gives them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonoNs(pub u64);

/// One millisecond in nanoseconds.
pub const MS: u64 = 1_000_000;

impl MonoNs {
    /// Nanoseconds from `earlier` to `self`; 0 if `earlier` is later.
    pub fn since(self, earlier: MonoNs) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Milliseconds from `earlier` to `self`, as the marks give them.
    pub fn ms_since(self, earlier: MonoNs) -> f64 {
        self.since(earlier) as f64 / MS as f64
    }

    /// `self` plus `ns` nanoseconds, saturating.
    #[must_use]
    pub fn plus(self, ns: u64) -> MonoNs {
        MonoNs(self.0.saturating_add(ns))
    }
}

impl fmt::Display for MonoNs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ns", self.0)
    }
}
