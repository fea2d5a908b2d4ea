//! What the kernel knows at the end of a read of the bytes that it found: since when they had lain in the socket.
//!
//! Stands behind `flow`, at ends of calls that are hooked anyway, and reads `struct tcp_sock`. It tells the wait with the read's
//! record: exactly, or to a few ticks. Nothing is told of a socket that is no TCP, and nothing that the kernel does not say.

use aya_ebpf::helpers::generated::bpf_jiffies64;
use cirron_common::{conn::ConnState, record::flag};

use crate::{config::config, emit::Call, sent, socket::kernel};

/// Ticks past which the time of an arrival is not known: the counter goes round.
const MAX_TICKS: u32 = 1 << 24;

/// Bytes came by this call: stamps it with since when they had been there.
#[inline(never)]
pub fn stamp_read(call: &mut Call, state: *mut ConnState) {
    sent::look(call, state);
    // SAFETY: a live map value.
    let tcp = unsafe { (*state).tcp };
    if tcp == 0 {
        return;
    }
    // SAFETY: as above.
    let noted = unsafe { core::mem::replace(&mut (*state).clock_ns, 0) };
    let Some((at_ns, flags)) = last_arrival(tcp, noted, call.ts_ns) else {
        return;
    };
    call.flags |= flags;
    call.told = in_us(call.ts_ns.saturating_sub(at_ns));
    // SAFETY: a live map value.
    unsafe {
        (*state).arrived_ns = at_ns;
        (*state).arrived_flags = flags as u32;
    }
}

#[inline(always)]
pub fn in_us(ns: u64) -> u32 {
    let us = ns / 1000;
    if us > u32::MAX as u64 {
        u32::MAX
    } else {
        us as u32
    }
}

/// When the last bytes came, and how exactly that is known. A counter of ticks says it always; the connection's
/// clock, as `noted` before the read, says it to the nanosecond, if it was not at work since.
#[inline(always)]
fn last_arrival(tcp: u64, noted: u64, now_ns: u64) -> Option<(u64, u8)> {
    let last: u32 = kernel(tcp, config!(icsk_lrcvtime))?;
    let (from, upto) = tick_of(last, now_ns)?;
    // Whoever counts the ticks may be late, then and now.
    let late = config!(tick_ns) as u64;
    if noted + late >= from && noted < upto + late && noted <= now_ns {
        return Some((noted, flag::WAITED));
    }
    Some(((from + upto) / 2, flag::WAITED | flag::COARSE))
}

/// The tick that `jiffies` counted `at`, up to `now_ns`.
#[inline(always)]
pub fn tick_of(at: u32, now_ns: u64) -> Option<(u64, u64)> {
    // SAFETY: no arguments.
    let ticks = unsafe { bpf_jiffies64() as u32 };
    let ago = ticks.wrapping_sub(at);
    let tick = config!(tick_ns) as u64;
    if ago > MAX_TICKS || tick == 0 {
        return None;
    }
    let into = now_ns.wrapping_sub(config!(tick_phase_ns) as u64) % tick;
    let from = now_ns.saturating_sub(into + ago as u64 * tick);
    let upto = from + tick;
    Some((from, if upto < now_ns { upto } else { now_ns }))
}
