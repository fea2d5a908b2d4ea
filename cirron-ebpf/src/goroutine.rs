//! Which goroutine a system call is made by, in a process that is known to run Go.
//!
//! Stands behind `flow`, for records of plain sockets. Go's code keeps the running goroutine (`runtime.g`) in `r14` and in
//! the thread's own storage, 8 bytes below what `fs` points to (Go's `src/cmd/internal/obj/x86/obj6.go`). C code that a Go
//! program calls leaves anything in `r14`, and C's own threads have nothing in that place: where the two agree it is a
//! goroutine, else nothing is told. It reads the thread's memory and no other's.

use aya_ebpf::helpers::{bpf_get_current_task, bpf_probe_read_user};

use crate::{config::config, socket::kernel};

/// Of a thread's own storage, below its end.
const G_BELOW_FS: u64 = 8;

/// `r14`, if it is the goroutine that runs on this thread; else 0. Apart, for its part of the stack.
#[inline(never)]
pub fn running(r14: u64) -> u64 {
    match on_thread() {
        Some(goroutine) if goroutine == r14 => goroutine,
        _ => 0,
    }
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
