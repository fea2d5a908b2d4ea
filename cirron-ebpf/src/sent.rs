//! What the kernel knows of a TCP connection at the end of a call: which bytes it has taken and not sent
//! (`MSG_MORE`, `TCP_CORK`, Nagle, a closed window), when it sent the last, and when the last came.
//!
//! Read from `struct tcp_sock`, at ends of calls that are hooked anyway. A socket that is no TCP has no such structure, and
//! nothing is told of it.

use aya_ebpf::helpers::generated::bpf_jiffies64;
use cirron_common::{
    conn::{ConnState, unsent as holds},
    record::{direction, flag},
};

use crate::{
    config::config,
    emit::{self, Call},
    maps::CONNS,
    socket::{FdSocket, kernel},
};

/// What [`Call::told`] says of a call with `MSG_MORE`, until it has a meaning of its own: its callers' stack is short.
pub const MORE: u32 = 1;
const IPPROTO_TCP: u16 = 6;
/// `TCP_NAGLE_CORK`
const CORK: u8 = 2;
/// Ticks past which the time of an arrival is not known: the counter goes round.
const MAX_TICKS: u32 = 1 << 24;

/// The `struct tcp_sock` of a socket; 0: it has none. MPTCP's and others' structures differ.
#[inline(always)]
pub fn tcp_of(socket: &FdSocket) -> u64 {
    if config!(tcp_known) == 0 {
        return 0;
    }
    find_tcp(socket).unwrap_or(0)
}

#[inline(always)]
fn find_tcp(socket: &FdSocket) -> Option<u64> {
    let sock: u64 = kernel(socket.file, config!(file_private))?;
    let sk: u64 = kernel(sock, config!(socket_sk))?;
    let protocol: u16 = kernel(sk, config!(sk_protocol))?;
    (protocol == IPPROTO_TCP).then_some(sk)
}

/// Bytes came by this call: since when they had been there.
#[inline(never)]
pub fn received(call: &mut Call, state: *mut ConnState) {
    look(call, state, false);
    // SAFETY: a live map value.
    let tcp = unsafe { (*state).tcp };
    if tcp == 0 {
        return;
    }
    // SAFETY: as above.
    let noted = unsafe { core::mem::replace(&mut (*state).clock_ns, 0) };
    let Some((at_ns, flags)) = arrived(tcp, noted, call.ts_ns) else {
        return;
    };
    call.flags |= flags;
    call.told = in_us(call.ts_ns.saturating_sub(at_ns));
    // SAFETY: a live map value.
    unsafe {
        (*state).arrived_ns = at_ns;
        (*state).arrived_flags = flags as u64;
    }
}

#[inline(always)]
fn in_us(ns: u64) -> u32 {
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
fn arrived(tcp: u64, noted: u64, now_ns: u64) -> Option<(u64, u8)> {
    let last: u32 = kernel(tcp, config!(icsk_lrcvtime))?;
    let (from, upto) = tick_of(last, now_ns)?;
    // Whoever counts the ticks may be late, then and now.
    let late = config!(tick_ns) as u64;
    if noted + late >= from && noted < upto + late && noted <= now_ns {
        return Some((noted, flag::WAITED));
    }
    Some(((from + upto) / 2, flag::WAITED | flag::COARSE))
}

/// The call wrote the last `len` bytes. [`MORE`] in its `told` says that it asked the kernel to wait for others.
#[inline(never)]
pub fn sent(call: &mut Call, state: *mut ConnState, len: u64) {
    let more = call.told == MORE;
    call.told = 0;
    // SAFETY: a live map value.
    let (tcp, end) = unsafe { ((*state).tcp, (*state).outbound_pos) };
    if tcp != 0 {
        let _ = try_sent(call, state, tcp, end.saturating_sub(len), end, more);
    }
}

#[inline(always)]
fn try_sent(
    call: &mut Call,
    state: *mut ConnState,
    tcp: u64,
    begin: u64,
    end: u64,
    more: bool,
) -> Option<()> {
    let write_seq: u32 = kernel(tcp, config!(tcp_write_seq))?;
    let unsent = unsent(tcp, write_seq)?;
    if unsent == 0 {
        // The thread may have lost its processor since.
        let at_ns: u64 = kernel(tcp, config!(tcp_wstamp))?;
        if at_ns != 0 && at_ns < call.ts_ns {
            call.ts_ns = at_ns;
        }
    }
    // SAFETY: a live map value.
    let before = unsafe { (*state).held };
    if before != holds::NOTHING {
        let look = Look {
            tcp,
            write_seq,
            unsent,
            begin,
            end,
            by_call: true,
        };
        freed(call, state, &look);
    }
    if unsent == 0 {
        // SAFETY: as above.
        unsafe { (*state).held = holds::NOTHING };
        return None;
    }
    let mss: u32 = kernel(tcp, config!(tcp_mss))?;
    let acked: u32 = kernel(tcp, config!(tcp_snd_una))?;
    let window: u32 = kernel(tcp, config!(tcp_snd_wnd))?;
    let closed = write_seq.wrapping_sub(acked) > window;
    // A long tail under an open window is on its way: as fast as the network takes it.
    if unsent >= mss && !closed && before == holds::NOTHING {
        return None;
    }
    let byte: u8 = kernel(tcp, config!(tcp_nonagle))?;
    let corked = more || (byte >> (config!(tcp_nonagle_shift) & 7)) & CORK != 0;
    // SAFETY: as above.
    unsafe {
        (*state).sent_pos = end.saturating_sub(unsent as u64);
        (*state).held_ns = call.ts_ns;
        (*state).held = if corked && !closed {
            holds::BY_TARGET
        } else {
            holds::BY_PEER
        };
        call.told = (*state).sent_pos as u32;
    }
    call.flags |= flag::HELD;
    None
}

/// Bytes that the kernel has taken and not sent; `None` where that cannot be.
#[inline(always)]
fn unsent(tcp: u64, write_seq: u32) -> Option<u32> {
    let next: u32 = kernel(tcp, config!(tcp_snd_nxt))?;
    let unsent = write_seq.wrapping_sub(next);
    (unsent <= i32::MAX as u32).then_some(unsent)
}

/// Looks whether what is held has gone: at a call that wrote nothing. `by_call`: it may have let it go.
#[inline(never)]
pub fn look(call: &Call, state: *mut ConnState, by_call: bool) -> Option<()> {
    // SAFETY: a live map value.
    let (tcp, held, end) = unsafe { ((*state).tcp, (*state).held, (*state).outbound_pos) };
    if tcp == 0 || held == holds::NOTHING {
        return None;
    }
    let write_seq: u32 = kernel(tcp, config!(tcp_write_seq))?;
    let look = Look {
        tcp,
        write_seq,
        unsent: unsent(tcp, write_seq)?,
        begin: end,
        end,
        by_call,
    };
    freed(call, state, &look);
    None
}

/// A look at a connection that holds bytes.
struct Look {
    tcp: u64,
    write_seq: u32,
    unsent: u32,
    /// Where the bytes end that were held before.
    begin: u64,
    /// Where all end.
    end: u64,
    by_call: bool,
}

/// Tells which of the bytes that were held have gone since, and when.
#[inline(never)]
fn freed(call: &Call, state: *mut ConnState, look: &Look) {
    let gone = look.end.saturating_sub(look.unsent as u64);
    let upto = if gone < look.begin { gone } else { look.begin };
    // SAFETY: a live map value.
    let was = unsafe { (*state).sent_pos };
    if upto <= was {
        // SAFETY: as above.
        unsafe { (*state).held_ns = call.ts_ns };
        return;
    }
    let at_ns = left_at(call, state, look, upto).unwrap_or(0);
    let all = upto == look.begin;
    // SAFETY: as above.
    unsafe {
        (*state).sent_pos = upto;
        (*state).held_ns = call.ts_ns;
        if all {
            (*state).held = holds::NOTHING;
        }
    }
    emit::sent(call, upto, at_ns, all);
}

/// When the bytes before `upto` went; 0: between this call and the one before.
#[inline(always)]
fn left_at(call: &Call, state: *mut ConnState, look: &Look, upto: u64) -> Option<u64> {
    // SAFETY: a live map value.
    let (held, since_ns) = unsafe { ((*state).held, (*state).held_ns) };
    // What has been acknowledged carries the time at which it was sent.
    let end_seq: u32 = kernel(look.tcp, config!(tcp_rack_end_seq))?;
    if look.write_seq.wrapping_sub(end_seq) as u64 == look.end.saturating_sub(upto) {
        let sent_us: u64 = kernel(look.tcp, config!(tcp_rack_mstamp))?;
        let at_ns = sent_us.wrapping_mul(1000);
        if at_ns + 1000 > since_ns && at_ns <= call.ts_ns {
            return Some(at_ns);
        }
    }
    if look.by_call && held == holds::BY_TARGET {
        return Some(call.ts_ns);
    }
    if look.end.saturating_sub(look.unsent as u64) > look.begin {
        return None;
    }
    // The last that was sent is what was held.
    let last: u32 = kernel(look.tcp, config!(tcp_lsndtime))?;
    let (from, upto) = tick_of(last, call.ts_ns)?;
    let from = if from > since_ns { from } else { since_ns };
    Some((from + upto) / 2)
}

/// The tick that `jiffies` counted `at`, up to `now_ns`.
#[inline(always)]
fn tick_of(at: u32, now_ns: u64) -> Option<(u64, u64)> {
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

/// The target has no more to write: a FIN follows, and takes along what no peer holds back.
#[inline(always)]
pub fn closing(call: &Call, state: *mut ConnState) -> Option<()> {
    // SAFETY: a live map value.
    let (tcp, held, end) = unsafe { ((*state).tcp, (*state).held, (*state).outbound_pos) };
    if tcp == 0 || held == holds::NOTHING {
        return None;
    }
    let write_seq: u32 = kernel(tcp, config!(tcp_write_seq))?;
    let acked: u32 = kernel(tcp, config!(tcp_snd_una))?;
    let window: u32 = kernel(tcp, config!(tcp_snd_wnd))?;
    if write_seq.wrapping_sub(acked) > window {
        return look(call, state, false);
    }
    // SAFETY: as above.
    unsafe { (*state).held = holds::NOTHING };
    emit::sent(call, end, call.ts_ns, true);
    None
}

/// A TLS library moved plaintext of an object that uses the socket `ino` (0: not known): what is known of that. The
/// object's position says nothing of the socket's, so that all of a write is held whose ciphertext is not sent whole.
#[inline(never)]
pub fn inside(call: &mut Call, ino: u64, pos: u64) -> Option<()> {
    if ino == 0 {
        return None;
    }
    let state = CONNS.get_ptr(&ino)?;
    // SAFETY: a live map value.
    let (held, at_ns, flags) =
        unsafe { ((*state).held, (*state).arrived_ns, (*state).arrived_flags) };
    if call.direction == direction::OUTBOUND {
        if held != holds::NOTHING {
            call.flags |= flag::HELD;
            call.told = pos as u32;
        }
    } else if at_ns != 0 {
        call.flags |= flags as u8;
        call.told = in_us(call.ts_ns.saturating_sub(at_ns));
    }
    None
}
