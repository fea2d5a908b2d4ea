//! That a goroutine is made, by which one, and that it ends.
//!
//! Stands behind the programs in two functions of Go's runtime, which the agent attaches where a call of a Go program is below no
//! request. A goroutine has the number of its maker in its `runtime.g`, from Go 1.21 on. Processes of which nobody asked pay a look into a
//! map. What cannot be read is not told; it writes nothing to a target.

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, programs::ProbeContext};
use cirron_common::{
    operand::Register,
    record::{ContextLife, GOID, kind},
    tls::target,
};

use crate::{
    emit::{self, Call},
    goroutine,
    maps::TARGETS,
    operand,
};

/// The thread's identity and what is known of its process, where the lives of its goroutines are to be told.
#[inline(always)]
fn told_thread() -> Option<(u64, u32)> {
    let pid_tgid = bpf_get_current_pid_tgid();
    // SAFETY: a live map value.
    let flags = unsafe { *TARGETS.get_ptr(&((pid_tgid >> 32) as u32))? };
    (flags & target::GO_MAKER != 0).then_some((pid_tgid, flags))
}

/// A goroutine was made: `ctx` stands where `runtime.newproc1` returns it.
#[inline(always)]
pub fn try_made(ctx: &ProbeContext) -> Option<u32> {
    let (pid_tgid, flags) = told_thread()?;
    let made = operand::register(ctx.regs, Register::Rax as u8);
    let maker = goroutine::maker(made, flags)?;
    tell(
        kind::CONTEXT_MADE,
        pid_tgid,
        maker,
        goroutine::number(made, flags)?,
    )
}

/// A goroutine ends: `ctx` stands where `runtime.goexit1` begins, which it calls last.
#[inline(always)]
pub fn try_ended(ctx: &ProbeContext) -> Option<u32> {
    let (pid_tgid, flags) = told_thread()?;
    let ended = goroutine::number(operand::goroutine(ctx.regs), flags)?;
    tell(kind::CONTEXT_ENDED, pid_tgid, ended, ended)
}

#[inline(always)]
fn tell(kind: u8, pid_tgid: u64, by: u64, context: u64) -> Option<u32> {
    if context & GOID == 0 {
        return None;
    }
    let mut call = Call::of_runtime(pid_tgid);
    call.context = by;
    // Numbers are not given again: the records need none.
    emit::context_life(&call, kind, ContextLife { context, number: 0 });
    None
}
