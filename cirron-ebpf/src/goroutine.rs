//! Which goroutine a system call is made by, in a process that is known to run Go.
//!
//! Stands behind `flow`, for records of plain sockets. Go's code keeps the running goroutine (`runtime.g`) in `r14` and in
//! the thread's own storage, 8 bytes below what `fs` points to (Go's `src/cmd/internal/obj/x86/obj6.go`). C code that a Go
//! program calls leaves anything in `r14`, and C's own threads have nothing in that place: where the two agree it is a
//! goroutine, else nothing is told. An address is given again, a number is not: it is told where the version of Go says
//! where it lies. It reads the thread's memory and no other's.

use aya_ebpf::helpers::{bpf_get_current_task, bpf_probe_read_user};

use cirron_common::{record::GOID, tls::target};

use crate::{config::config, socket::kernel};

/// Of a thread's own storage, below its end.
const G_BELOW_FS: u64 = 8;

/// `stack.hi` in `runtime.g`, which C's start-up code counts on.
const STACK_HI: u64 = 8;

/// The goroutine that runs on this thread, as in a record, if `r14` is its; else 0. `flags`: those of its process. Apart,
/// for its part of the stack.
#[inline(never)]
pub fn running(r14: u64, flags: u32) -> u64 {
    match on_thread() {
        Some(goroutine) if goroutine == r14 => number(goroutine, flags).unwrap_or(0),
        _ => 0,
    }
}

/// The number of the goroutine at that address, as in a record; the address where numbers are not known to lie. What runs
/// a thread's scheduler has the number 0, and is none.
#[inline(always)]
pub fn number(goroutine: u64, flags: u32) -> Option<u64> {
    let words = (flags & target::GOID) >> target::GOID_SHIFT;
    match words {
        0 => Some(goroutine),
        _ => number_at(goroutine, words),
    }
}

/// The number of the goroutine that made the one at that address, as in a record; `None` where that is not known.
#[inline(always)]
pub fn maker(goroutine: u64, flags: u32) -> Option<u64> {
    let words = (flags & target::GO_MAKER) >> target::GO_MAKER_SHIFT;
    (words != 0).then(|| number_at(goroutine, words)).flatten()
}

#[inline(always)]
fn number_at(goroutine: u64, words: u32) -> Option<u64> {
    let at = goroutine.wrapping_add(words as u64 * 8);
    // SAFETY: the helper checks the address.
    let number = unsafe { bpf_probe_read_user(at as *const u64) }.ok()?;
    (number != 0).then_some(GOID | number)
}

/// Where the stack of the goroutine at that address ends: what stands on it keeps its distance from there when the stack
/// moves.
#[inline(always)]
pub fn stack_top(goroutine: u64) -> Option<u64> {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_user(goroutine.wrapping_add(STACK_HI) as *const u64) }.ok()
}

#[inline(always)]
fn on_thread() -> Option<u64> {
    let fs = thread_storage()?;
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_user(fs.wrapping_sub(G_BELOW_FS) as *const u64) }.ok()
}

/// What `fs` points to: the end of the thread's own storage.
#[inline(always)]
pub fn thread_storage() -> Option<u64> {
    let offset = config!(task_fsbase);
    if offset == u32::MAX {
        return None;
    }
    // SAFETY: no arguments, always valid.
    let task = unsafe { bpf_get_current_task() };
    kernel(task, offset)
}
