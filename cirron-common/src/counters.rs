//! The per-CPU counters, defined once: number, name, meaning.
//!
//! One for every way to lose, and a few that say how much work was done. The kernel side adds, the
//! agent sums over CPUs; the names are those printed by the summary.

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident = $n:literal, $text:literal;)*) => {
        /// Index into the per-CPU counter array.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter { $($(#[$doc])* $name = $n,)* }

        impl Counter {
            /// Every counter, in order of its number.
            pub const ALL: &'static [Counter] = &[$(Counter::$name,)*];

            /// The name that the summary and the metrics use.
            pub const fn name(self) -> &'static str {
                match self { $(Counter::$name => $text,)* }
            }
        }
    };
}

counters! {
    /// Records handed to the ring.
    Records = 0, "records";
    /// Stream bytes that passed, captured or not.
    StreamBytes = 1, "stream_bytes";
    /// Stream bytes copied into the ring.
    CapturedBytes = 2, "captured_bytes";
    /// Records that found the ring full.
    RingFull = 3, "ring_full_records";
    /// Stream bytes of those records.
    RingFullBytes = 4, "ring_full_bytes";
    /// Copies from the target's memory that failed.
    Fault = 5, "fault_records";
    /// Stream bytes of those copies.
    FaultBytes = 6, "fault_bytes";
    /// Bytes past the limit for one call (size, iovecs, messages).
    OverLimitBytes = 7, "over_limit_bytes";
    /// Bytes that passed by `sendfile`, `splice` or `MSG_TRUNC`.
    BypassBytes = 8, "bypass_bytes";
    /// Calls of 32-bit tasks, which are not decoded.
    CompatCalls = 9, "compat_calls";
    /// Connections that found the connection map full.
    ConnMapFull = 10, "conn_map_full";
    /// Children that found the target map full.
    TargetMapFull = 11, "target_map_full";
    /// Bytes of connections that the agent asked to leave alone.
    MutedBytes = 12, "muted_bytes";
    /// Process or connection events that found the ring full.
    EventsLost = 13, "events_lost";
    /// Sends and receives that targets hand to io_uring, whose bytes are not seen.
    IoUringTransfers = 14, "io_uring_transfers";
    /// Times that the kernel passed a program over, since the same one was running on that processor.
    /// The kernel counts it itself; what happened then was not seen.
    PassedOver = 15, "passed_over";
    /// Hits of probes by rules that found the ring full.
    ProbeHitsLost = 16, "probe_hits_lost";
    /// Hits of such probes that were left out, since the probe was hit too often.
    ProbeHitsLeftOut = 17, "probe_hits_left_out";
    /// Values and texts of such probes that could not be read of the target's memory.
    ProbeFaults = 18, "probe_faults";
    /// Processes that began to listen and were not told of, since too many did in a second: a scan finds them.
    ListenersLeftOut = 19, "listeners_left_out";
}

/// Length of the counter array.
pub const COUNTERS: u32 = 20;
const _: () = assert!(Counter::ALL.len() <= COUNTERS as usize);
