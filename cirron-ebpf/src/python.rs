//! Which context of Python's (`contextvars`) a thread is in, and that one is made or freed.
//!
//! Stands behind `flow` and `tls`, for records of bytes and of new connections, behind `probed`, and behind the programs on the
//! functions that make and free contexts. The agent has found out where a thread keeps what it runs ([`Interpreter`]); a process of which it
//! has not has no entry, and pays a look into a map. It reads the target's memory and never writes there; what cannot be
//! read is not told.
//!
//! The pointer to the thread's state stays in the thread's own storage while the interpreter's lock is released, as in a
//! system call.

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_get_attach_cookie, bpf_get_current_pid_tgid, bpf_probe_read_user},
    programs::ProbeContext,
};
use cirron_common::{python::Interpreter, record::ContextLife};

use crate::{
    emit::{self, Call},
    goroutine,
    maps::INTERPRETERS,
    operand,
};

/// From an object to the pointer to its type.
const TYPE_AT: u64 = 8;

/// What a thread runs.
#[repr(C)]
struct Current {
    context: u64,
    /// It lies behind the pointer to the context in each version of CPython.
    version: u64,
}

/// Writes to `call` what its thread runs, where that is known. Apart, for its part of the stack.
#[inline(never)]
pub fn note(call: &mut Call) {
    let tgid = (call.pid_tgid >> 32) as u32;
    if let Some(interpreter) = INTERPRETERS.get_ptr_mut(&tgid) {
        let _ = look(call, interpreter);
    }
}

#[inline(always)]
fn look(call: &mut Call, interpreter: *mut Interpreter) -> Option<()> {
    let storage = goroutine::thread_storage()?;
    // SAFETY: a live map value; which thread's storage the agent gets does not matter.
    let (slot, at) = unsafe {
        if (*interpreter).thread == 0 {
            (*interpreter).thread = storage;
        }
        ((*interpreter).slot, (*interpreter).context)
    };
    if at == 0 {
        return None;
    }
    // SAFETY: the helper checks the address.
    let state =
        unsafe { bpf_probe_read_user(storage.wrapping_add_signed(slot) as *const u64) }.ok()?;
    if state == 0 {
        return None;
    }
    // SAFETY: as above.
    let current = unsafe { bpf_probe_read_user(state.wrapping_add(at) as *const Current) }.ok()?;
    call.context = current.context;
    call.version = current.version;
    Some(())
}

/// A context was made, or is freed: the cookie is the number of the register that points to it.
#[inline(always)]
pub fn tell(ctx: &ProbeContext, kind: u8) -> Option<u32> {
    let pid_tgid = bpf_get_current_pid_tgid();
    let interpreter = INTERPRETERS.get_ptr_mut(&((pid_tgid >> 32) as u32))?;
    // SAFETY: the program's own context.
    let register = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) } as u8;
    let context = operand::register(ctx.regs, register);
    // SAFETY: a live map value.
    let (known, is_known) = unsafe { ((*interpreter).kind, (*interpreter).context != 0) };
    // SAFETY: the helper checks the address.
    let its = unsafe { bpf_probe_read_user(context.wrapping_add(TYPE_AT) as *const u64) };
    // It failed, or is no context: a function that ours ends in was called by another one.
    if !is_known || its != Ok(known) {
        return None;
    }
    let mut call = Call::of_runtime(pid_tgid);
    look(&mut call, interpreter);
    // The interpreter's lock is held: one thread at a time is here.
    // SAFETY: a live map value.
    let number = unsafe {
        let number = (*interpreter).told;
        (*interpreter).told = number + 1;
        number
    };
    emit::context_life(&call, kind, ContextLife { context, number });
    None
}
