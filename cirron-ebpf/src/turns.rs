//! Whether who answers on a connection is who read there, and waited for nothing else in between.
//!
//! ```text
//!  read that waits, by R --> WHOLE, R, its turn --read by another, in another turn, or one that does not wait--> MIXED
//!                              |--write by R in that turn: STRAIGHT                                                |
//!                              '--any write: WRITTEN, the next read begins anew <-----------------------------------'
//!  R waits for several at once (epoll_wait, select, poll of more than one): another turn
//!  another goroutine reads: it is R
//! ```
//! Stands behind `flow` and `syscalls`. An event loop waits for several between the read of a request and an answer that it
//! did not give at once, whatever its sockets are: what it does meanwhile may be for others. A thread that reads by a call
//! that waits and writes in the same turn has done nothing but what one request made it do, or what it did by itself
//! without waiting. Goroutines wait for bytes though their sockets do not. What is evicted or not known is not STRAIGHT.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use cirron_common::{
    conn::{Runner, Turn, turn},
    record::flag,
    tls::target,
};

use crate::{
    arch::{PtRegs, nr},
    config::config,
    emit::Call,
    goroutine,
    maps::{TARGETS, TURNS},
    socket::kernel,
};

const O_NONBLOCK: u32 = 0o4000;

#[inline(always)]
fn runner(context: u64, pid_tgid: u64) -> Runner {
    Runner {
        context,
        pid_tgid: match context {
            0 => pid_tgid,
            _ => pid_tgid >> 32,
        },
    }
}

/// Who made the call, as [`Turn::reader`].
#[inline(always)]
fn reader(call: &Call) -> u64 {
    match call.context {
        0 => call.pid_tgid,
        context => context,
    }
}

/// The turn of who made the call.
#[inline(always)]
fn turn_of(call: &Call) -> Option<u64> {
    // SAFETY: copied at once.
    unsafe { TURNS.get(&runner(call.context, call.pid_tgid)) }.copied()
}

/// Bytes came by this call. `file`: the socket's; `is_hasty`: as of the caller. Apart, for its part of the stack.
#[inline(never)]
pub fn note_read(call: &Call, to: *mut Turn, file: u64, is_hasty: u32) {
    // SAFETY: in a live map value.
    let (before, by) = unsafe { ((*to).bits, (*to).reader) };
    // Go's server has a goroutine that waits for the first byte of the next request: who reads on is who serves.
    let is_other = call.context != 0 && by != reader(call);
    let is_first = before == 0 || before & turn::WRITTEN != 0 || is_other;
    let waits = call.context != 0 || is_hasty == 0 && is_blocking(file);
    if !waits || !is_first && before != turn::WHOLE {
        // SAFETY: as above.
        unsafe { (*to).bits = turn::MIXED };
        return;
    }
    let began_ns = match turn_of(call) {
        Some(began_ns) => began_ns,
        None => {
            let key = runner(call.context, call.pid_tgid);
            // Kernels of our table take values from the stack alone.
            let began_ns = call.ts_ns;
            if TURNS.insert(&key, &began_ns, 0).is_err() {
                // SAFETY: as above.
                unsafe { (*to).bits = turn::MIXED };
                return;
            }
            began_ns
        }
    };
    // SAFETY: as above.
    unsafe {
        if is_first {
            (*to).reader = reader(call);
            (*to).began_ns = began_ns;
            (*to).bits = turn::WHOLE;
        } else if by != reader(call) || (*to).began_ns != began_ns {
            (*to).bits = turn::MIXED;
        }
    }
}

#[inline(always)]
fn is_blocking(file: u64) -> bool {
    kernel::<u32>(file, config!(file_flags)).is_some_and(|flags| flags & O_NONBLOCK == 0)
}

/// The call wrote.
#[inline(never)]
pub fn stamp_write(call: &mut Call, to: *mut Turn) {
    call.flags |= straight(call, to);
    // SAFETY: in a live map value.
    unsafe {
        if (*to).bits != 0 {
            (*to).bits |= turn::WRITTEN;
        }
    }
}

/// [`flag::STRAIGHT`] if the call's thread or goroutine is who has read, in the same turn; else 0.
#[inline(always)]
pub fn straight(call: &Call, of: *const Turn) -> u8 {
    // SAFETY: in a live map value.
    let (by, began_ns, bits) = unsafe { ((*of).reader, (*of).began_ns, (*of).bits) };
    if bits & turn::WHOLE == 0 || by != reader(call) || turn_of(call) != Some(began_ns) {
        return 0;
    }
    flag::STRAIGHT
}

/// A call waits for several at once, or may do so. Apart, for its part of the stack.
#[inline(never)]
pub fn note_wait(regs: *const PtRegs) -> Option<i32> {
    // SAFETY: a BTF-typed pointer: the verifier allows reads within `struct pt_regs`.
    let (nr, count, r14) = unsafe { ((*regs).orig_ax, (*regs).si, (*regs).r14) };
    if (nr == nr::POLL || nr == nr::PPOLL) && count <= 1 {
        return None;
    }
    let pid_tgid = bpf_get_current_pid_tgid();
    // SAFETY: a live map value.
    let flags = unsafe { *TARGETS.get_ptr(&((pid_tgid >> 32) as u32))? };
    let context = match flags & target::GO {
        0 => 0,
        _ => goroutine::running(r14, flags),
    };
    let turn = TURNS.get_ptr_mut(&runner(context, pid_tgid))?;
    // SAFETY: a live map value; a helper without arguments.
    unsafe { *turn = bpf_ktime_get_ns() };
    None
}
