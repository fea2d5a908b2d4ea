//! What the kernel knows at the end of a call of bytes that a target has written to a TCP connection: which it has taken
//! and not sent (`MSG_MORE`, `TCP_CORK`, Nagle, a closed window), and when it sent the last.
//!
//! Stands behind `flow`, at ends of calls that are hooked anyway, and reads `struct tcp_sock`. A socket that is no TCP has no
//! such structure, and nothing is told of it. What of a write is held is told with its record, and that it has gone by a
//! `SENT` record of the call that finds it so: with a time where that is known, without one where it is not. Nothing is
//! concluded from what a call asked for: an acknowledgement, a timer or the call itself may have let go what was held.
//!
//! ```text
//! nothing held ──a write that leaves unsent bytes──▶ held ──a call that finds them gone──▶ nothing held
//!                                                    └─▶ held: found so again, or in part gone
//! ```

use cirron_common::{
    conn::{ConnState, share_a_segment},
    record::{direction, flag},
};

use crate::{
    arrived::{in_us, tick_of},
    config::config,
    emit::{self, Call},
    maps::CONNS,
    socket::{FdSocket, kernel},
    turns,
};

const IPPROTO_TCP: u16 = 6;

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

/// The call wrote the last `len` bytes: stamps it with when the kernel sent them, or notes that it holds some.
#[inline(never)]
pub fn stamp_write(call: &mut Call, state: *mut ConnState, len: u64) {
    // SAFETY: a live map value.
    let (tcp, end) = unsafe { ((*state).tcp, (*state).at.outbound) };
    if tcp != 0 {
        let _ = try_stamp_write(call, state, tcp, end.saturating_sub(len), end);
    }
}

#[inline(always)]
fn try_stamp_write(
    call: &mut Call,
    state: *mut ConnState,
    tcp: u64,
    begin: u64,
    end: u64,
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
    if before != 0 {
        let look = Look {
            tcp,
            write_seq,
            unsent,
            begin,
            end,
        };
        tell_gone(call, state, &look);
    }
    if unsent == 0 {
        // SAFETY: as above.
        unsafe { (*state).held = 0 };
        return None;
    }
    // A long tail under an open window is on its way: as fast as the network takes it.
    if before == 0 {
        let mss: u32 = kernel(tcp, config!(tcp_mss))?;
        if unsent >= mss && !is_closed(tcp, write_seq)? {
            return None;
        }
    }
    // SAFETY: as above.
    unsafe {
        (*state).held = 1;
        (*state).sent_pos = end.saturating_sub(unsent as u64);
        call.told = (*state).sent_pos as u32;
    }
    call.flags |= flag::HELD;
    note(call, state, tcp);
    None
}

/// Bytes are held now: when that was seen, and how many segments had been sent.
#[inline(always)]
fn note(call: &Call, state: *mut ConnState, tcp: u64) {
    let segments: u32 = kernel(tcp, config!(tcp_data_segs)).unwrap_or(0);
    // SAFETY: a live map value.
    unsafe {
        (*state).held_ns = call.ts_ns;
        (*state).held_segments = segments;
    }
}

/// The peer's window does not take all that was written.
#[inline(always)]
fn is_closed(tcp: u64, write_seq: u32) -> Option<bool> {
    let acked: u32 = kernel(tcp, config!(tcp_snd_una))?;
    let window: u32 = kernel(tcp, config!(tcp_snd_wnd))?;
    Some(write_seq.wrapping_sub(acked) > window)
}

/// Bytes that the kernel has taken and not sent; `None` where that cannot be.
#[inline(always)]
fn unsent(tcp: u64, write_seq: u32) -> Option<u32> {
    let next: u32 = kernel(tcp, config!(tcp_snd_nxt))?;
    let unsent = write_seq.wrapping_sub(next);
    (unsent <= i32::MAX as u32).then_some(unsent)
}

/// Looks whether what is held has gone: at a call that wrote nothing.
#[inline(never)]
pub fn look(call: &Call, state: *mut ConnState) -> Option<()> {
    // SAFETY: a live map value.
    let (tcp, held, end) = unsafe { ((*state).tcp, (*state).held, (*state).at.outbound) };
    if tcp == 0 || held == 0 {
        return None;
    }
    let write_seq: u32 = kernel(tcp, config!(tcp_write_seq))?;
    let look = Look {
        tcp,
        write_seq,
        unsent: unsent(tcp, write_seq)?,
        begin: end,
        end,
    };
    tell_gone(call, state, &look);
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
}

impl Look {
    /// Up to where all has gone.
    #[inline(always)]
    fn gone(&self) -> u64 {
        self.end.saturating_sub(self.unsent as u64)
    }
}

/// Tells which of the bytes that were held have gone since, and when.
#[inline(never)]
fn tell_gone(call: &Call, state: *mut ConnState, look: &Look) {
    let gone = look.gone();
    let upto = if gone < look.begin { gone } else { look.begin };
    // SAFETY: a live map value.
    let was = unsafe { (*state).sent_pos };
    if upto <= was {
        note(call, state, look.tcp);
        return;
    }
    let at_ns = left_at(call, state, look, upto).unwrap_or(0);
    let all = upto == look.begin;
    // SAFETY: as above.
    unsafe {
        (*state).sent_pos = upto;
        if all {
            (*state).held = 0;
        }
    }
    note(call, state, look.tcp);
    emit::sent(call, upto, at_ns, all);
}

/// When the bytes before `upto` went; 0: between this call and the one before.
#[inline(always)]
fn left_at(call: &Call, state: *mut ConnState, look: &Look, upto: u64) -> Option<u64> {
    // SAFETY: a live map value.
    let since_ns = unsafe { (*state).held_ns };
    // What has been acknowledged carries the time at which it was sent.
    let end_seq: u32 = kernel(look.tcp, config!(tcp_rack_end_seq))?;
    if look.write_seq.wrapping_sub(end_seq) as u64 == look.end.saturating_sub(upto) {
        let sent_us: u64 = kernel(look.tcp, config!(tcp_rack_mstamp))?;
        let at_ns = sent_us.wrapping_mul(1000);
        if at_ns + 1000 > since_ns && at_ns <= call.ts_ns {
            return Some(at_ns);
        }
    }
    if look.gone() > look.begin {
        return is_together(state, look)?.then_some(call.ts_ns);
    }
    // The last that was sent is what was held.
    let last: u32 = kernel(look.tcp, config!(tcp_lsndtime))?;
    let (from, upto) = tick_of(last, call.ts_ns)?;
    // When anything was sent, also an acknowledgement. Whoever counts the ticks may be late, then and now.
    let any_ns: u64 = kernel(look.tcp, config!(tcp_wstamp))?;
    let late = config!(tick_ns) as u64;
    if any_ns + late >= from && any_ns < upto + late && any_ns > since_ns && any_ns <= call.ts_ns {
        return Some(any_ns);
    }
    let from = if from > since_ns { from } else { since_ns };
    Some((from + upto) / 2)
}

/// Whether what was held has left in a segment with bytes of this call: then the call has let it go.
#[inline(always)]
fn is_together(state: *mut ConnState, look: &Look) -> Option<bool> {
    let mss: u32 = kernel(look.tcp, config!(tcp_mss))?;
    let segments: u32 = kernel(look.tcp, config!(tcp_data_segs))?;
    // SAFETY: a live map value.
    let (was, noted) = unsafe { ((*state).sent_pos, (*state).held_segments) };
    let (held, others) = (look.begin - was, look.gone() - look.begin);
    let segments = segments.wrapping_sub(noted);
    Some(share_a_segment(segments, held, others, mss))
}

/// The target has no more to write: a FIN follows, and takes along what no peer holds back.
#[inline(always)]
pub fn tell_with_fin(call: &Call, state: *mut ConnState) -> Option<()> {
    // SAFETY: a live map value.
    let (tcp, held, end) = unsafe { ((*state).tcp, (*state).held, (*state).at.outbound) };
    if tcp == 0 || held == 0 {
        return None;
    }
    let write_seq: u32 = kernel(tcp, config!(tcp_write_seq))?;
    // What has gone before goes with no FIN.
    if unsent(tcp, write_seq)? == 0 || is_closed(tcp, write_seq)? {
        return look(call, state);
    }
    // SAFETY: as above.
    unsafe { (*state).held = 0 };
    emit::sent(call, end, call.ts_ns, true);
    None
}

/// A TLS library moved plaintext of an object that uses the socket `ino` (0: not known): what is known of that. The
/// object's position says nothing of the socket's, so that all of a write is held whose ciphertext is not sent whole.
#[inline(never)]
pub fn stamp_plaintext(call: &mut Call, ino: u64, pos: u64) -> Option<()> {
    if ino == 0 {
        return None;
    }
    let state = CONNS.get_ptr(&ino)?;
    // SAFETY: a live map value.
    let (held, at_ns, flags) =
        unsafe { ((*state).held, (*state).arrived_ns, (*state).arrived_flags) };
    if call.direction == direction::OUTBOUND {
        // Go's object knows by itself.
        if call.context == 0 {
            // SAFETY: as above.
            call.flags |= turns::straight(call, unsafe { &raw const (*state).turn });
        }
        if held != 0 {
            call.flags |= flag::HELD;
            call.told = pos as u32;
        }
    } else if at_ns != 0 {
        call.flags |= flags as u8;
        call.told = in_us(call.ts_ns.saturating_sub(at_ns));
    }
    None
}
