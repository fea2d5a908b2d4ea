//! The programs on tracepoints, and the one that the agent runs itself: where they begin. What they do is in the module
//! that each calls. The table of all programs is in `main`.

use aya_ebpf::{
    helpers::generated::{bpf_get_current_task_btf, bpf_task_pt_regs},
    macros::{btf_tracepoint, tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext, TracePointContext},
};

use crate::{arch, process, socket, syscalls, tcp, uring};

/// `void sys_exit(struct pt_regs *regs, long ret)`
#[btf_tracepoint(function = "sys_exit")]
pub fn socket_syscall_exit(ctx: BtfTracePointContext) -> i32 {
    let regs: *const arch::PtRegs = ctx.arg(0);
    let ret: i64 = ctx.arg(1);
    syscalls::try_syscall_exit(regs, ret).unwrap_or(0)
}

/// The same on `raw_syscalls:sys_exit`, where nobody is preempted in it: the loader says when.
#[tracepoint]
pub fn socket_syscall_perf(_ctx: TracePointContext) -> u32 {
    // SAFETY: the registers of the current task, which lie at the end of its stack for as long as it lives.
    let regs = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) } as *const arch::PtRegs;
    // SAFETY: a BTF-typed pointer: the verifier allows reads within `struct pt_regs`.
    let ret = unsafe { (*regs).ax } as i64;
    let _ = syscalls::try_syscall_exit(regs, ret);
    // Nobody listens to the event itself.
    0
}

/// `void inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)`
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn tcp_state_change(ctx: BtfTracePointContext) -> i32 {
    let sk: u64 = ctx.arg(0);
    let old: i32 = ctx.arg(1);
    let new: i32 = ctx.arg(2);
    tcp::try_state_change(sk, old, new).unwrap_or(0)
}

/// `void tcp_rcv_space_adjust(struct sock *sk)`
#[btf_tracepoint(function = "tcp_rcv_space_adjust")]
pub fn tcp_reading(ctx: BtfTracePointContext) -> i32 {
    tcp::try_reading(ctx.arg(0)).unwrap_or(0)
}

/// `void sched_process_fork(struct task_struct *parent, struct task_struct *child)`
#[btf_tracepoint(function = "sched_process_fork")]
pub fn process_fork(ctx: BtfTracePointContext) -> i32 {
    process::try_fork(&ctx, ctx.arg(0), ctx.arg(1)).unwrap_or(0)
}

/// `void sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`
#[btf_tracepoint(function = "sched_process_exec")]
pub fn process_exec(ctx: BtfTracePointContext) -> i32 {
    process::try_exec(&ctx).unwrap_or(0)
}

/// `void sched_process_exit(struct task_struct *p)`, from 6.16 with `bool group_dead`
#[btf_tracepoint(function = "sched_process_exit")]
pub fn process_exit(ctx: BtfTracePointContext) -> i32 {
    process::try_exit(&ctx, ctx.arg(0)).unwrap_or(0)
}

/// `void io_uring_submit_req(struct io_kiocb *req)`
#[btf_tracepoint(function = "io_uring_submit_req")]
pub fn uring_submit(ctx: BtfTracePointContext) -> i32 {
    uring::try_submit(ctx.arg(0)).unwrap_or(0)
}

/// Attached to nothing: the agent runs it, with a connection's inode number and generation. aya's macro for
/// these programs gives back nothing.
#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tp")]
pub fn socket_check(ctx: *mut core::ffi::c_void) -> u32 {
    let ctx = RawTracePointContext::new(ctx);
    socket::check(ctx.arg(0), ctx.arg(1))
}
