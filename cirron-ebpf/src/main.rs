//! The kernel side of cirron-agent.
//!
//! BTF-typed tracepoint programs write records (`cirron_common::record`) to one ring buffer:
//!
//! | program | sees |
//! | --- | --- |
//! | `socket_syscall_exit`, or `socket_syscall_perf` | every socket call of a target, with its bytes |
//! | `tcp_state_change` | ends of TCP connections: who closed, FIN or RST |
//! | `tcp_reading` | when the bytes came that a target reads |
//! | `process_fork`, `process_exec`, `process_exit` | the life of targets and their children |
//! | `c_enter`, `c_exit` | calls of functions with C's convention: plaintext inside TLS libraries; uprobes, attached where a target has one |
//! | `go_enter`, `go_exit` | the same with Go's: its `crypto/tls`, and who asks by its HTTP client |
//! | `context_made`, `context_ended` | the lives of Python's contexts, where somebody asked for them |
//! | `goroutine_made`, `goroutine_ended` | the same of Go's goroutines |
//! | `probe_hit` | probes that a rule put there: USDT probes, those of `cirron-probe` |
//! | `socket_check` | nothing; the agent runs it, to learn whether a connection's socket is held |
//! | `uring_submit` | sends and receives by io_uring, whose bytes it cannot see |
//!
//! It filters before it copies: the call's number, then the process, then "is it a stream socket".
//! It observes only: nothing here writes to a target's memory or changes a call's result.
#![no_std]
#![no_main]
// Instructions of the kernel's machine, for what the language has no operation for.
#![feature(asm_experimental_arch)]

mod arch;
mod arrived;
mod called;
mod config;
mod ctls;
mod emit;
mod fds;
mod flow;
mod gohttp;
mod golives;
mod goroutine;
mod gotls;
mod iov;
mod listeners;
mod maps;
mod operand;
mod probed;
mod process;
mod python;
mod secrets;
mod sent;
mod socket;
mod syscalls;
mod tcp;
mod thinning;
mod tls;
mod tracepoints;
mod transfer;
mod turns;
mod uprobes;
mod uring;

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
