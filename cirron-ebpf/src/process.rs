//! The life of targets: their children become targets at fork, before they run.

use aya_ebpf::{
    EbpfContext,
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns},
};
use aya_log_ebpf::debug;
use cirron_common::{Counter, record::kind, tls::target};

use crate::{
    config::config,
    emit,
    maps::{BEGINNERS, INTERPRETERS, TARGETS, count},
    socket::kernel,
};

/// `parent` and `child` are `struct task_struct *`.
#[inline(always)]
pub fn try_fork(ctx: &impl EbpfContext, parent: u64, child: u64) -> Option<i32> {
    let parent: u32 = kernel(parent, config!(task_tgid))?;
    // SAFETY: a live map value.
    let flags = unsafe { *TARGETS.get_ptr(&parent)? };
    let child: u32 = kernel(child, config!(task_tgid))?;
    if child == parent || flags & target::CHILDREN == 0 {
        return None;
    }
    if TARGETS.insert(child, flags, 0).is_err() {
        count(Counter::TargetMapFull, 1);
    }
    if flags & target::PYTHON != 0 {
        // The child has the same memory, and no thread but one.
        // SAFETY: a live map value.
        let _ = unsafe { INTERPRETERS.get(&parent) }
            .map(|interpreter| INTERPRETERS.insert(child, interpreter, 0));
        if let Some(own) = INTERPRETERS.get_ptr_mut(&child) {
            // SAFETY: as above.
            unsafe { (*own).told = 0 };
        }
    }
    debug!(ctx, "target {} forked {}", parent, child);
    // SAFETY: no arguments.
    emit::fork(
        unsafe { bpf_ktime_get_ns() },
        bpf_get_current_pid_tgid(),
        child,
    );
    None
}

#[inline(always)]
pub fn try_exec(ctx: &impl EbpfContext) -> Option<i32> {
    let pid_tgid = bpf_get_current_pid_tgid();
    let tgid = (pid_tgid >> 32) as u32;
    let flags = TARGETS.get_ptr_mut(&tgid)?;
    // What it runs now is not known yet.
    // SAFETY: a live map value.
    unsafe { *flags &= !target::RUNS };
    let _ = INTERPRETERS.remove(&tgid);
    debug!(ctx, "target {} called exec", tgid);
    // SAFETY: no arguments.
    emit::process(kind::PROC_EXEC, unsafe { bpf_ktime_get_ns() }, pid_tgid);
    None
}

/// `task` is the `struct task_struct *` that exits: the process is gone with its last thread. Of another thread it is told
/// where a scope of it may be open.
#[inline(always)]
pub fn try_exit(ctx: &impl EbpfContext, task: u64) -> Option<i32> {
    let pid_tgid = bpf_get_current_pid_tgid();
    let tgid = (pid_tgid >> 32) as u32;
    TARGETS.get_ptr(&tgid)?;
    let signal: u64 = kernel(task, config!(task_signal))?;
    let live: i32 = kernel(signal, config!(signal_live))?;
    if live > 0 {
        if BEGINNERS.remove(&pid_tgid).is_ok() {
            // SAFETY: no arguments.
            emit::process(kind::THREAD_EXIT, unsafe { bpf_ktime_get_ns() }, pid_tgid);
        }
        return None;
    }
    let _ = TARGETS.remove(&tgid);
    let _ = INTERPRETERS.remove(&tgid);
    debug!(ctx, "target {} exited", tgid);
    // SAFETY: no arguments.
    emit::process(kind::PROC_EXIT, unsafe { bpf_ktime_get_ns() }, pid_tgid);
    None
}
