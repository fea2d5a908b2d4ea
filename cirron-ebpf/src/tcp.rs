//! Ends of TCP connections, as the kernel knows them: FIN, RST, and which side.
//!
//! Runs in any context, also in a softirq on behalf of nobody: it looks only at connections that
//! the socket program entered in the map, never at the current process.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use cirron_common::record::{close, source};

use crate::{
    config::config,
    emit::{self, Call},
    flow, listeners,
    maps::{CONNS, TARGETS},
    sent,
    socket::{SHUTDOWN_MASK, kernel},
};

const TCP_ESTABLISHED: i32 = 1;
const TCP_FIN_WAIT1: i32 = 4;
const TCP_CLOSE: i32 = 7;
const TCP_CLOSE_WAIT: i32 = 8;
const TCP_LAST_ACK: i32 = 9;
const TCP_LISTEN: i32 = 10;
const EPIPE: i32 = 32;
const ECONNRESET: i32 = 104;

#[inline(always)]
fn inode_of(sk: u64) -> Option<u64> {
    let socket: u64 = kernel(sk, config!(sk_socket))?;
    if socket == 0 {
        return None;
    }
    kernel(socket + config!(socket_inode) as u64, config!(inode_ino))
}

/// A target reads, and has copied the first bytes: the connection's clock still says when it last was at work,
/// which is when they came. Most kernels set it anew behind this.
#[inline(always)]
pub fn try_reading(sk: u64) -> Option<i32> {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    TARGETS.get_ptr(&tgid)?;
    if config!(tcp_known) == 0 {
        return None;
    }
    let state = CONNS.get_ptr_mut(&inode_of(sk)?)?;
    // SAFETY: a live map value.
    if unsafe { (*state).tcp == sk && (*state).clock_ns == 0 } {
        let clock_ns: u64 = kernel(sk, config!(tcp_clock))?;
        // SAFETY: as above.
        unsafe { (*state).clock_ns = clock_ns };
    }
    None
}

#[inline(always)]
pub fn try_state_change(sk: u64, old: i32, new: i32) -> Option<i32> {
    if new == TCP_LISTEN {
        let _ = listeners::tell();
        return None;
    }
    if new != TCP_CLOSE && new != TCP_CLOSE_WAIT && new != TCP_FIN_WAIT1 && new != TCP_LAST_ACK {
        return None;
    }
    let ino = inode_of(sk)?;
    let state = CONNS.get_ptr_mut(&ino)?;
    // SAFETY: a live map value.
    let (epoch, tgid) = unsafe { ((*state).epoch, (*state).tgid) };
    let shutdown: u8 = kernel(sk, config!(sk_shutdown))?;
    let why = match new {
        TCP_CLOSE_WAIT => close::PEER_FIN,
        TCP_FIN_WAIT1 | TCP_LAST_ACK => {
            // `close` sets both first thing.
            if shutdown == SHUTDOWN_MASK {
                close::LOCAL_CLOSE
            } else {
                close::LOCAL_SHUT_WRITE
            }
        }
        _ => {
            let err: i32 = kernel(sk, config!(sk_err))?;
            if err == ECONNRESET || err == EPIPE {
                close::PEER_RESET
            } else if err != 0 {
                close::NET_ERROR
            } else if shutdown == SHUTDOWN_MASK && (old == TCP_ESTABLISHED || old == TCP_CLOSE_WAIT)
            {
                close::LOCAL_CLOSE
            } else {
                close::PEER_FIN
            }
        }
    };
    // SAFETY: no arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let pid_tgid = (tgid as u64) << 32 | bpf_get_current_pid_tgid() as u32 as u64;
    let call = Call {
        conn: ino,
        epoch,
        ..Call::new(now_ns, pid_tgid, source::TCP_STATE)
    };
    if new == TCP_FIN_WAIT1 || new == TCP_LAST_ACK {
        sent::tell_with_fin(&call, state);
    } else {
        sent::look(&call, state);
    }
    // SAFETY: a live map value.
    let at = flow::tellable(ino, epoch, unsafe { (*state).at });
    emit::close(&call, why, at);
    None
}
