//! `sys_exit`: at a call's return the saved registers still hold its arguments.
//!
//! One hook for every call, no entry hook and no argument map. Calls that matter are told by their
//! number first, so that everybody else's calls leave after one load and a few compares.
//!
//! It decodes: which call it was, and what of its arguments matters. What follows from that is `transfer`'s where bytes
//! moved, `fds`'s where a descriptor came or went, and `flow`'s.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use cirron_common::{
    Counter,
    conn::role,
    record::{close, direction, kind},
};

use crate::{
    arch::{PtRegs, USER32_CS, nr},
    emit, fds,
    flow::{self, Caller},
    maps::{TARGETS, count},
    socket,
    transfer::{
        BYPASS, FLAT, MESSAGE, MESSAGES, NOTHING, Transfer, VECTOR, bypass, take, tell_half_end,
    },
    turns,
};

const EINPROGRESS: i64 = 115;
const IPPROTO_TCP: u64 = 6;
const TCP_NODELAY: u64 = 1;
const TCP_CORK: u64 = 3;
const MSG_OOB: u64 = 1;
const MSG_PEEK: u64 = 2;
const MSG_TRUNC: u64 = 0x20;
const MSG_DONTWAIT: u64 = 0x40;
const MSG_ERRQUEUE: u64 = 0x2000;
const SHUT_RD: u64 = 0;
const F_DUPFD: u64 = 0;
const F_DUPFD_CLOEXEC: u64 = 1030;
const CLOSE_RANGE_CLOEXEC: u64 = 4;
const PROT_EXEC: u64 = 4;

#[inline(always)]
pub fn try_syscall_exit(regs: *const PtRegs, ret: i64) -> Option<i32> {
    // SAFETY: a BTF-typed pointer: the verifier allows reads within `struct pt_regs`.
    let nr = unsafe { (*regs).orig_ax };
    match nr {
        nr::READ
        | nr::WRITE
        | nr::CLOSE
        | nr::MMAP
        | nr::READV
        | nr::WRITEV
        | nr::DUP
        | nr::DUP2
        | nr::SENDFILE
        | nr::FCNTL
        | nr::CONNECT
        | nr::ACCEPT
        | nr::SENDTO
        | nr::RECVFROM
        | nr::SENDMSG
        | nr::RECVMSG
        | nr::SHUTDOWN
        | nr::SETSOCKOPT
        | nr::SPLICE
        | nr::ACCEPT4
        | nr::DUP3
        | nr::RECVMMSG
        | nr::SENDMMSG
        | nr::PREADV2
        | nr::PWRITEV2
        | nr::CLOSE_RANGE => {}
        nr::EPOLL_WAIT
        | nr::EPOLL_PWAIT
        | nr::EPOLL_PWAIT2
        | nr::SELECT
        | nr::PSELECT6
        | nr::POLL
        | nr::PPOLL => return turns::note_wait(regs),
        _ => return None,
    }
    let pid_tgid = bpf_get_current_pid_tgid();
    let tgid = (pid_tgid >> 32) as u32;
    // SAFETY: a live map value.
    let target = unsafe { *TARGETS.get_ptr(&tgid)? };
    // SAFETY: as above.
    let (cs, a0, a1, a2, a3) =
        unsafe { ((*regs).cs, (*regs).di, (*regs).si, (*regs).dx, (*regs).r10) };
    // SAFETY: as above.
    let (r14, sp) = unsafe { ((*regs).r14, (*regs).sp) };
    if cs == USER32_CS {
        count(Counter::CompatCalls, 1);
        return None;
    }
    let caller = Caller {
        // SAFETY: a helper without arguments.
        ts_ns: unsafe { bpf_ktime_get_ns() },
        pid_tgid,
        target,
        is_hasty: is_hasty(nr, a2, a3) as u32,
        r14,
        sp,
    };
    let fd = a0 as i32;
    // What the calls of many messages return.
    let messages = if ret > 0 { ret as u64 } else { 0 };
    let transfer = match nr {
        nr::READ => Transfer {
            shape: FLAT,
            dir: direction::INBOUND,
            base: a1,
            count: a2,
        },
        nr::WRITE => Transfer {
            shape: FLAT,
            dir: direction::OUTBOUND,
            base: a1,
            count: 1,
        },
        nr::SENDTO => Transfer {
            shape: unless(a3, MSG_OOB, FLAT),
            dir: direction::OUTBOUND,
            base: a1,
            count: 1,
        },
        nr::RECVFROM => Transfer {
            shape: unless_peeked(a3, FLAT),
            dir: direction::INBOUND,
            base: a1,
            count: a2,
        },
        nr::READV | nr::PREADV2 => Transfer {
            shape: VECTOR,
            dir: direction::INBOUND,
            base: a1,
            count: a2,
        },
        nr::WRITEV | nr::PWRITEV2 => Transfer {
            shape: VECTOR,
            dir: direction::OUTBOUND,
            base: a1,
            count: a2,
        },
        nr::RECVMSG => Transfer {
            shape: unless_peeked(a2, MESSAGE),
            dir: direction::INBOUND,
            base: a1,
            count: 1,
        },
        nr::SENDMSG => Transfer {
            shape: unless(a2, MSG_OOB, MESSAGE),
            dir: direction::OUTBOUND,
            base: a1,
            count: 1,
        },
        nr::RECVMMSG => Transfer {
            shape: unless_peeked(a3, MESSAGES),
            dir: direction::INBOUND,
            base: a1,
            count: messages,
        },
        nr::SENDMMSG => Transfer {
            shape: unless(a3, MSG_OOB, MESSAGES),
            dir: direction::OUTBOUND,
            base: a1,
            count: messages,
        },
        nr::SENDFILE => Transfer {
            shape: BYPASS,
            dir: direction::OUTBOUND,
            base: 0,
            count: 0,
        },
        nr::SPLICE => {
            bypass(&caller, fd, direction::INBOUND, ret);
            bypass(&caller, a2 as i32, direction::OUTBOUND, ret);
            return None;
        }
        nr::ACCEPT | nr::ACCEPT4 => return begin(&caller, ret as i32, role::ACCEPTED),
        nr::CONNECT => {
            if ret != 0 && ret != -EINPROGRESS {
                return None;
            }
            return begin(&caller, fd, role::CONNECTED);
        }
        nr::CLOSE => {
            fds::cirron_forget_fd(&caller, fd);
            return None;
        }
        nr::CLOSE_RANGE => {
            if ret == 0 && a2 & CLOSE_RANGE_CLOEXEC == 0 {
                fds::forget_range(&caller, a0 as u32, a1 as u32);
            }
            return None;
        }
        nr::SHUTDOWN => {
            if ret != 0 || a1 == SHUT_RD {
                return None;
            }
            tell_half_end(&caller, fd, close::LOCAL_SHUT_WRITE);
            return None;
        }
        nr::SETSOCKOPT => {
            if ret == 0 && a1 == IPPROTO_TCP && (a2 == TCP_CORK || a2 == TCP_NODELAY) {
                note_option(&caller, fd);
            }
            return None;
        }
        nr::FCNTL if a1 != F_DUPFD && a1 != F_DUPFD_CLOEXEC => return None,
        nr::MMAP => {
            // SAFETY: as above.
            let file = unsafe { (*regs).r8 } as i32;
            if a2 & PROT_EXEC != 0 && file >= 0 && ret > 0 {
                emit::process(kind::PROC_MMAP, caller.ts_ns, caller.pid_tgid);
            }
            return None;
        }
        nr::DUP | nr::DUP2 | nr::DUP3 | nr::FCNTL => {
            return fds::bind_copy(&caller, fd, ret as i32);
        }
        _ => return None,
    };
    take(&caller, fd, &transfer, transfer.shape, ret);
    None
}

/// A read that does not wait for bytes, whatever its socket is. Of several messages the first alone is waited for, if any.
#[inline(always)]
fn is_hasty(nr: u64, a2: u64, a3: u64) -> bool {
    match nr {
        nr::RECVFROM => a3 & MSG_DONTWAIT != 0,
        nr::RECVMSG => a2 & MSG_DONTWAIT != 0,
        nr::RECVMMSG | nr::PREADV2 | nr::SPLICE => true,
        _ => false,
    }
}

#[inline(always)]
fn unless(flags: u64, unwanted: u64, shape: u32) -> u32 {
    if flags & unwanted != 0 {
        NOTHING
    } else {
        shape
    }
}

/// Peeked bytes will be read again, `MSG_TRUNC` drops them without a copy.
#[inline(always)]
fn unless_peeked(flags: u64, shape: u32) -> u32 {
    if flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE) != 0 {
        NOTHING
    } else if flags & MSG_TRUNC != 0 {
        BYPASS
    } else {
        shape
    }
}

/// A connection that has just begun. Apart, for its part of the stack, as are the others that are rare.
#[inline(never)]
fn begin(caller: &Caller, fd: i32, role: u8) -> Option<i32> {
    flow::begin(caller, &socket::from_fd(fd)?, fd, role)?;
    None
}

/// An option was set that may let go what the kernel holds back.
#[inline(never)]
fn note_option(caller: &Caller, fd: i32) -> Option<()> {
    flow::note_option(caller, &socket::from_fd(fd)?)
}
