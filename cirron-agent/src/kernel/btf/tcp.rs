//! Offsets of what the kernel knows of a TCP connection: what it has sent, and when bytes came.
//!
//! Nobody promises these members. Where one is missing none is used, and the figures that rest on
//! them are absent.

use cirron_common::KernelConfig;
use std::thread::sleep;
use std::time::Duration;

use rustix::time::{ClockId, clock_getres, clock_gettime};

use super::types::Types;

/// Ticks that are looked at; each costs its length once, at the attach.
const PHASE_SAMPLES: u32 = 4;

/// The part of the configuration that is about TCP; `None` where a member is missing.
pub(super) fn offsets(types: &Types<'_>) -> Option<KernelConfig> {
    let in_tcp = |member: &str| types.offset("tcp_sock", member);
    let tick_ns = tick_ns()?;
    let lrcvtime = types.bits("inet_connection_sock", &["icsk_ack", "lrcvtime"])?;
    let in_rack = |member: &str| Some(types.bits("tcp_sock", &["rack", member])? / 8);
    Some(KernelConfig {
        sk_protocol: types.offset("sock", "sk_protocol")?,
        tcp_known: 1,
        tcp_rcv_nxt: in_tcp("rcv_nxt")?,
        tcp_received: in_tcp("bytes_received")?,
        tcp_write_seq: in_tcp("write_seq")?,
        tcp_snd_nxt: in_tcp("snd_nxt")?,
        tcp_snd_una: in_tcp("snd_una")?,
        tcp_snd_wnd: in_tcp("snd_wnd")?,
        tcp_mss: in_tcp("mss_cache")?,
        tcp_data_segs: in_tcp("data_segs_out")?,
        tcp_wstamp: in_tcp("tcp_wstamp_ns")?,
        tcp_clock: in_tcp("tcp_clock_cache")?,
        tcp_lsndtime: in_tcp("lsndtime")?,
        tcp_rack_mstamp: in_rack("mstamp")?,
        tcp_rack_end_seq: in_rack("end_seq")?,
        icsk_lrcvtime: lrcvtime / 8,
        tick_ns,
        tick_phase_ns: phase_ns(tick_ns),
        ..KernelConfig::default()
    })
}

/// What the coarse clock advances by is one `jiffies`.
fn tick_ns() -> Option<u32> {
    let tick = clock_getres(ClockId::MonotonicCoarse);
    u32::try_from(tick.tv_nsec).ok().filter(|ns| *ns > 0)
}

/// The coarse clock stands still from one tick to the next, at the time of the tick or, where the processor was
/// busy, a little behind it: the earliest of a few is taken.
fn phase_ns(tick_ns: u32) -> u32 {
    let tick = u64::from(tick_ns);
    let sample = || {
        sleep(Duration::from_nanos(tick));
        let at = clock_gettime(ClockId::MonotonicCoarse);
        let ns = at.tv_sec.unsigned_abs() * 1_000_000_000 + at.tv_nsec.unsigned_abs();
        ns % tick
    };
    let first = sample();
    // Behind the first or before it, whichever is nearer: the remainders go round.
    let nearest = (1..PHASE_SAMPLES).map(|_| (sample() + tick + tick / 2 - first) % tick);
    let earliest = nearest.min().unwrap_or(tick / 2).min(tick / 2);
    u32::try_from((first + earliest + tick / 2) % tick).unwrap_or_default()
}
