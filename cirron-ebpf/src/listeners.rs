//! Processes that begin to listen on TCP, targets or not: somebody looks for targets among them.
//!
//! Stands behind the change of a socket's state, inside of the call of the process. Each record wakes the reader, and a process
//! without any right can call `listen` all the time: [`LISTENERS_A_SECOND`] records are written in a second, and the
//! calls past that are counted.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use cirron_common::{Counter, maps::LISTENERS_A_SECOND, record::kind};

use crate::{
    config::config,
    emit,
    maps::{LISTENERS, add, count},
    thinning::SECOND_NS,
};

/// The process that runs begins to listen on a socket.
#[inline(always)]
pub fn tell() -> Option<()> {
    if config!(tells_listeners) == 0 {
        return None;
    }
    // SAFETY: no arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let listeners = LISTENERS.get_ptr_mut(0)?;
    // SAFETY: a live map value. Processes that begin a second at once tell a few more.
    unsafe {
        if now_ns.wrapping_sub((*listeners).since_ns) >= SECOND_NS {
            (*listeners).since_ns = now_ns;
            (*listeners).told = 0;
        }
        if (*listeners).told >= LISTENERS_A_SECOND {
            count(Counter::ListenersLeftOut, 1);
            return None;
        }
        add(&raw mut (*listeners).told, 1);
    }
    emit::process(kind::PROC_LISTEN, now_ns, bpf_get_current_pid_tgid());
    Some(())
}
