//! Ends of TCP connections, as the kernel knows them: FIN, RST, and which side.
//!
//! Runs in any context, also in a softirq on behalf of nobody: it looks only at connections that
//! the socket program entered in the map, never at the current process.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use cirron_common::record::{close, direction, kind, source};

use crate::{
    config::config,
    emit::{self, Call},
    maps::CONNS,
    socket::{SHUTDOWN_MASK, kernel},
};

const TCP_ESTABLISHED: i32 = 1;
const TCP_FIN_WAIT1: i32 = 4;
const TCP_CLOSE: i32 = 7;
const TCP_CLOSE_WAIT: i32 = 8;
const TCP_LAST_ACK: i32 = 9;
const EPIPE: i32 = 32;
const ECONNRESET: i32 = 104;

#[inline(always)]
pub fn try_state_change(sk: u64, old: i32, new: i32) -> Option<i32> {
    if new != TCP_CLOSE && new != TCP_CLOSE_WAIT && new != TCP_FIN_WAIT1 && new != TCP_LAST_ACK {
        return None;
    }
    let socket: u64 = kernel(sk, config!(sk_socket))?;
    if socket == 0 {
        return None;
    }
    let ino: u64 = kernel(socket + config!(socket_inode) as u64, config!(inode_ino))?;
    let state = CONNS.get_ptr(&ino)?;
    // SAFETY: a live map value.
    let (epoch, tgid, fd) = unsafe { ((*state).epoch, (*state).tgid, (*state).fd) };
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
    let call = Call {
        // SAFETY: no arguments.
        ts_ns: unsafe { bpf_ktime_get_ns() },
        conn: ino,
        epoch,
        pid_tgid: (tgid as u64) << 32 | bpf_get_current_pid_tgid() as u32 as u64,
        fd,
        syscall: 0,
        direction: direction::NONE,
        source: source::TCP_STATE,
    };
    emit::event(&call, kind::CONN_CLOSE, 0, why, 0);
    None
}
