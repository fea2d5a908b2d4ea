//! `sys_exit`: at a call's return the saved registers still hold its arguments.
//!
//! One hook for every call, no entry hook and no argument map. Calls that matter are told by their
//! number first, so that everybody else's calls leave after one load and a few compares.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use cirron_common::{
    Counter,
    conn::{ConnState, role},
    record::{close, direction, flag, kind, source},
};

use crate::{
    arch::{PtRegs, USER32_CS, nr},
    emit::{self, Call},
    iov::{self, Buffers},
    maps::{CONNS, FDS, MUTED, TARGETS, count, fd_key},
    socket::{self, FdSocket},
};

const EINPROGRESS: i64 = 115;
const MSG_OOB: u64 = 1;
const MSG_PEEK: u64 = 2;
const MSG_TRUNC: u64 = 0x20;
const MSG_ERRQUEUE: u64 = 0x2000;
const SHUT_RD: u64 = 0;
/// Descriptors looked at for one `close_range`.
const CLOSE_RANGE_FDS: u32 = 64;

/// A call of a target.
#[derive(Clone, Copy)]
struct Ctx {
    ts_ns: u64,
    pid_tgid: u64,
    nr: u64,
}

impl Ctx {
    #[inline(always)]
    fn tgid(&self) -> u32 {
        (self.pid_tgid >> 32) as u32
    }

    #[inline(always)]
    fn call(&self, conn: u64, epoch: u64, fd: i32, direction: u8) -> Call {
        Call {
            ts_ns: self.ts_ns,
            conn,
            epoch,
            pid_tgid: self.pid_tgid,
            fd,
            syscall: self.nr as u16,
            direction,
            source: source::SOCKET,
        }
    }
}

#[inline(always)]
pub fn try_syscall_exit(regs: *const PtRegs, ret: i64) -> Option<i32> {
    // SAFETY: a BTF-typed pointer: the verifier allows reads within `struct pt_regs`.
    let nr = unsafe { (*regs).orig_ax };
    match nr {
        nr::READ | nr::WRITE | nr::CLOSE | nr::READV | nr::WRITEV | nr::DUP | nr::DUP2
        | nr::SENDFILE | nr::CONNECT | nr::ACCEPT | nr::SENDTO | nr::RECVFROM | nr::SENDMSG
        | nr::RECVMSG | nr::SHUTDOWN | nr::SPLICE | nr::ACCEPT4 | nr::DUP3 | nr::RECVMMSG
        | nr::SENDMMSG | nr::PREADV2 | nr::PWRITEV2 | nr::CLOSE_RANGE => {}
        _ => return None,
    }
    let pid_tgid = bpf_get_current_pid_tgid();
    let tgid = (pid_tgid >> 32) as u32;
    TARGETS.get_ptr(&tgid)?;
    // SAFETY: as above.
    let (cs, a0, a1, a2, a3) =
        unsafe { ((*regs).cs, (*regs).di, (*regs).si, (*regs).dx, (*regs).r10) };
    if cs == USER32_CS {
        count(Counter::CompatCalls, 1);
        return None;
    }
    // SAFETY: no arguments.
    let ctx = Ctx { ts_ns: unsafe { bpf_ktime_get_ns() }, pid_tgid, nr };
    let fd = a0 as i32;
    match nr {
        nr::READ => flat(&ctx, fd, direction::INBOUND, a1, a2, ret),
        nr::WRITE => flat(&ctx, fd, direction::OUTBOUND, a1, 1, ret),
        nr::SENDTO => {
            if a3 & MSG_OOB != 0 {
                return None;
            }
            flat(&ctx, fd, direction::OUTBOUND, a1, 1, ret)
        }
        nr::RECVFROM => {
            if a3 & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE) != 0 {
                return None;
            }
            if a3 & MSG_TRUNC != 0 {
                return bypass(&ctx, fd, direction::INBOUND, ret);
            }
            flat(&ctx, fd, direction::INBOUND, a1, a2, ret)
        }
        nr::READV | nr::PREADV2 => vector(&ctx, fd, direction::INBOUND, a1, a2, ret),
        nr::WRITEV | nr::PWRITEV2 => vector(&ctx, fd, direction::OUTBOUND, a1, a2, ret),
        nr::RECVMSG => {
            if a2 & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE) != 0 {
                return None;
            }
            if a2 & MSG_TRUNC != 0 {
                return bypass(&ctx, fd, direction::INBOUND, ret);
            }
            message(&ctx, fd, direction::INBOUND, a1, ret)
        }
        nr::SENDMSG => {
            if a2 & MSG_OOB != 0 {
                return None;
            }
            message(&ctx, fd, direction::OUTBOUND, a1, ret)
        }
        nr::RECVMMSG => {
            if a3 & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE) != 0 {
                return None;
            }
            messages(&ctx, fd, direction::INBOUND, a1, ret)
        }
        nr::SENDMMSG => messages(&ctx, fd, direction::OUTBOUND, a1, ret),
        nr::SENDFILE => bypass(&ctx, fd, direction::OUTBOUND, ret),
        nr::SPLICE => {
            bypass(&ctx, fd, direction::INBOUND, ret);
            bypass(&ctx, a2 as i32, direction::OUTBOUND, ret)
        }
        nr::ACCEPT | nr::ACCEPT4 => fresh(&ctx, ret as i32, role::ACCEPTED),
        nr::CONNECT => {
            if ret != 0 && ret != -EINPROGRESS {
                return None;
            }
            fresh(&ctx, fd, role::CONNECTED)
        }
        nr::CLOSE => closed(&ctx, fd),
        nr::CLOSE_RANGE => {
            if ret == 0 {
                closed_range(&ctx, a0 as u32, a1 as u32);
            }
            None
        }
        nr::SHUTDOWN => {
            if ret != 0 || a1 == SHUT_RD {
                return None;
            }
            let socket = socket::from_fd(fd)?;
            let state = CONNS.get_ptr(&socket.ino)?;
            // SAFETY: a live map value.
            let epoch = unsafe { (*state).epoch };
            end(&ctx, socket.ino, epoch, fd, close::LOCAL_SHUT_WRITE);
            None
        }
        nr::DUP | nr::DUP2 | nr::DUP3 => duplicated(&ctx, fd, ret as i32),
        _ => None,
    }
}

/// The connection behind `fd`, made known on first sight.
#[inline(always)]
fn connection(ctx: &Ctx, fd: i32) -> Option<(FdSocket, *mut ConnState)> {
    let socket = socket::from_fd(fd)?;
    if let Some(state) = CONNS.get_ptr_mut(&socket.ino) {
        // SAFETY: a live map value.
        let known = unsafe { (*state).fd == fd && (*state).tgid == ctx.tgid() };
        if !known {
            // SAFETY: as above.
            unsafe {
                (*state).fd = fd;
                (*state).tgid = ctx.tgid();
            }
            let _ = FDS.insert(fd_key(ctx.tgid(), fd), socket.ino, 0);
        }
        return Some((socket, state));
    }
    introduce(ctx, &socket, fd, role::UNKNOWN)?;
    Some((socket, CONNS.get_ptr_mut(&socket.ino)?))
}

/// Enters a connection in the maps and tells the reader.
#[inline(never)]
fn introduce(ctx: &Ctx, socket: &FdSocket, fd: i32, role: u8) -> Option<()> {
    let info = socket::info(socket, role)?;
    let state =
        ConnState { epoch: ctx.ts_ns, inbound_pos: 0, outbound_pos: 0, tgid: ctx.tgid(), fd };
    if CONNS.insert(socket.ino, state, 0).is_err() {
        count(Counter::ConnMapFull, 1);
        return None;
    }
    let _ = FDS.insert(fd_key(ctx.tgid(), fd), socket.ino, 0);
    emit::open(&ctx.call(socket.ino, ctx.ts_ns, fd, direction::NONE), &info);
    Some(())
}

/// A connection that has just begun.
#[inline(always)]
fn fresh(ctx: &Ctx, fd: i32, role: u8) -> Option<i32> {
    let socket = socket::from_fd(fd)?;
    if role == role::CONNECTED && CONNS.get_ptr(&socket.ino).is_some() {
        // The second call of a non-blocking connect.
        return None;
    }
    introduce(ctx, &socket, fd, role)?;
    None
}

/// Takes `len` bytes of position: the call to emit under and where they begin. `None` if muted.
#[inline(always)]
fn advance(ctx: &Ctx, fd: i32, dir: u8, len: u64) -> Option<(Call, u64)> {
    let (socket, state) = connection(ctx, fd)?;
    // SAFETY: a live map value; one call at a time moves one direction of a socket, since the
    // application must order its own reads and writes.
    let (epoch, pos) = unsafe {
        let pos = if dir == direction::INBOUND {
            &mut (*state).inbound_pos
        } else {
            &mut (*state).outbound_pos
        };
        let at = *pos;
        *pos = at + len;
        ((*state).epoch, at)
    };
    count(Counter::StreamBytes, len);
    // SAFETY: the value is copied at once.
    if unsafe { MUTED.get(&socket.ino) } == Some(&epoch) {
        count(Counter::MutedBytes, len);
        return None;
    }
    Some((ctx.call(socket.ino, epoch, fd, dir), pos))
}

/// A call with one buffer. `asked` tells the end of a stream from an empty read.
#[inline(always)]
fn flat(ctx: &Ctx, fd: i32, dir: u8, base: u64, asked: u64, ret: i64) -> Option<i32> {
    if ret <= 0 {
        return ended(ctx, fd, dir, asked, ret);
    }
    let (call, pos) = advance(ctx, fd, dir, ret as u64)?;
    walk(&call, Buffers::flat(base, ret as u64), pos, ret as u64);
    None
}

#[inline(always)]
fn vector(ctx: &Ctx, fd: i32, dir: u8, iov: u64, iovs: u64, ret: i64) -> Option<i32> {
    if ret <= 0 {
        return ended(ctx, fd, dir, iovs, ret);
    }
    let (call, pos) = advance(ctx, fd, dir, ret as u64)?;
    walk(&call, Buffers::vector(iov, iovs, ret as u64), pos, ret as u64);
    None
}

#[inline(always)]
fn message(ctx: &Ctx, fd: i32, dir: u8, msg: u64, ret: i64) -> Option<i32> {
    if ret <= 0 {
        return ended(ctx, fd, dir, 1, ret);
    }
    let (call, pos) = advance(ctx, fd, dir, ret as u64)?;
    match Buffers::message(msg, ret as u64) {
        Some(buffers) => walk(&call, buffers, pos, ret as u64),
        None => {
            count(Counter::Fault, 1);
            count(Counter::FaultBytes, ret as u64);
            emit::gap(&call, pos, ret as u64, flag::FAULT);
        }
    }
    None
}

#[inline(always)]
fn messages(ctx: &Ctx, fd: i32, dir: u8, msg: u64, ret: i64) -> Option<i32> {
    if ret <= 0 {
        return None;
    }
    let total = iov::messages_len(msg, ret as u64);
    if total == 0 {
        return None;
    }
    let (call, pos) = advance(ctx, fd, dir, total)?;
    walk(&call, Buffers::messages(msg, ret as u64), pos, total);
    None
}

/// The walk, as one subprogram for all four shapes.
#[inline(never)]
fn walk(call: &Call, mut buffers: Buffers, pos: u64, total: u64) {
    iov::walk(call, &mut buffers, pos, total);
}

/// Bytes that never were in the target's memory.
#[inline(never)]
fn bypass(ctx: &Ctx, fd: i32, dir: u8, ret: i64) -> Option<i32> {
    if ret <= 0 {
        return None;
    }
    let (call, pos) = advance(ctx, fd, dir, ret as u64)?;
    count(Counter::BypassBytes, ret as u64);
    emit::gap(&call, pos, ret as u64, flag::BYPASS);
    None
}

/// A read of nothing: the peer's end.
#[inline(always)]
fn ended(ctx: &Ctx, fd: i32, dir: u8, asked: u64, ret: i64) -> Option<i32> {
    if ret != 0 || dir != direction::INBOUND || asked == 0 {
        return None;
    }
    let socket = socket::from_fd(fd)?;
    let state = CONNS.get_ptr(&socket.ino)?;
    // SAFETY: a live map value.
    let epoch = unsafe { (*state).epoch };
    end(ctx, socket.ino, epoch, fd, close::READ_EOF);
    None
}

#[inline(never)]
fn end(ctx: &Ctx, conn: u64, epoch: u64, fd: i32, why: u64) {
    emit::event(&ctx.call(conn, epoch, fd, direction::NONE), kind::CONN_CLOSE, 0, why, 0);
}

#[inline(never)]
fn closed(ctx: &Ctx, fd: i32) -> Option<i32> {
    let key = fd_key(ctx.tgid(), fd);
    // SAFETY: copied at once.
    let ino = *unsafe { FDS.get(&key) }?;
    let _ = FDS.remove(&key);
    let state = CONNS.get_ptr(&ino)?;
    // SAFETY: a live map value.
    let epoch = unsafe { (*state).epoch };
    end(ctx, ino, epoch, fd, close::FD_CLOSED);
    None
}

#[inline(never)]
fn closed_range(ctx: &Ctx, first: u32, last: u32) {
    for i in 0..CLOSE_RANGE_FDS {
        let fd = first.wrapping_add(i);
        if fd > last {
            break;
        }
        closed(ctx, fd as i32);
    }
}

#[inline(always)]
fn duplicated(ctx: &Ctx, from: i32, to: i32) -> Option<i32> {
    if to < 0 || to == from {
        return None;
    }
    // dup2 and dup3 close what stood at the new number.
    closed(ctx, to);
    // SAFETY: copied at once.
    let ino = *unsafe { FDS.get(&fd_key(ctx.tgid(), from)) }?;
    let _ = FDS.insert(fd_key(ctx.tgid(), to), ino, 0);
    None
}
