//! `sys_exit`: at a call's return the saved registers still hold its arguments.
//!
//! One hook for every call, no entry hook and no argument map. Calls that matter are told by their
//! number first, so that everybody else's calls leave after one load and a few compares.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use cirron_common::{
    Counter,
    conn::{ConnState, role},
    record::{close, direction, flag, kind, source},
    tls::{op, target},
};

use crate::{
    arch::{PtRegs, USER32_CS, nr},
    emit::{self, Call},
    gotls,
    iov::{self, Buffers},
    maps::{CONNS, FDS, MUTED, TARGETS, count, fd_key},
    sent,
    socket::{self, Blank, FdSocket},
    tls,
};

const EINPROGRESS: i64 = 115;
const EPIPE: i64 = 32;
const ECONNRESET: i64 = 104;
const IPPROTO_TCP: u64 = 6;
const TCP_NODELAY: u64 = 1;
const TCP_CORK: u64 = 3;
const MSG_OOB: u64 = 1;
const MSG_PEEK: u64 = 2;
const MSG_TRUNC: u64 = 0x20;
const MSG_MORE: u64 = 0x8000;
const SPLICE_F_MORE: u64 = 4;
const MSG_ERRQUEUE: u64 = 0x2000;
const SHUT_RD: u64 = 0;
const F_DUPFD: u64 = 0;
const F_DUPFD_CLOEXEC: u64 = 1030;
const CLOSE_RANGE_CLOEXEC: u64 = 4;
const AF_UNIX: u32 = 1;
const PROT_EXEC: u64 = 4;
/// Descriptors looked at for one `close_range`; the ends of TCP connections are seen elsewhere.
const CLOSE_RANGE_FDS: u32 = 1024;

/// A call of a target.
#[derive(Clone, Copy)]
struct Ctx {
    ts_ns: u64,
    pid_tgid: u64,
    /// Bits of [`cirron_common::tls::target`].
    target: u32,
    /// In a Go program the goroutine; anything in another.
    goroutine: u64,
    /// The stack pointer.
    sp: u64,
}

impl Ctx {
    #[inline(always)]
    fn tgid(&self) -> u32 {
        (self.pid_tgid >> 32) as u32
    }

    #[inline(always)]
    fn call(&self, conn: u64, epoch: u64, direction: u8) -> Call {
        Call {
            ts_ns: self.ts_ns,
            conn,
            epoch,
            pid_tgid: self.pid_tgid,
            told: 0,
            flags: 0,
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
    let (goroutine, sp) = unsafe { ((*regs).r14, (*regs).sp) };
    if cs == USER32_CS {
        count(Counter::CompatCalls, 1);
        return None;
    }
    let ctx = Ctx {
        // SAFETY: a helper without arguments.
        ts_ns: unsafe { bpf_ktime_get_ns() },
        pid_tgid,
        target,
        goroutine,
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
            more: 0,
        },
        nr::WRITE => Transfer {
            shape: FLAT,
            dir: direction::OUTBOUND,
            base: a1,
            count: 1,
            more: 0,
        },
        nr::SENDTO => Transfer {
            shape: unless(a3, MSG_OOB, FLAT),
            dir: direction::OUTBOUND,
            base: a1,
            count: 1,
            more: asks(a3, MSG_MORE),
        },
        nr::RECVFROM => Transfer {
            shape: received(a3, FLAT),
            dir: direction::INBOUND,
            base: a1,
            count: a2,
            more: 0,
        },
        nr::READV | nr::PREADV2 => Transfer {
            shape: VECTOR,
            dir: direction::INBOUND,
            base: a1,
            count: a2,
            more: 0,
        },
        nr::WRITEV | nr::PWRITEV2 => Transfer {
            shape: VECTOR,
            dir: direction::OUTBOUND,
            base: a1,
            count: a2,
            more: 0,
        },
        nr::RECVMSG => Transfer {
            shape: received(a2, MESSAGE),
            dir: direction::INBOUND,
            base: a1,
            count: 1,
            more: 0,
        },
        nr::SENDMSG => Transfer {
            shape: unless(a2, MSG_OOB, MESSAGE),
            dir: direction::OUTBOUND,
            base: a1,
            count: 1,
            more: asks(a2, MSG_MORE),
        },
        nr::RECVMMSG => Transfer {
            shape: received(a3, MESSAGES),
            dir: direction::INBOUND,
            base: a1,
            count: messages,
            more: 0,
        },
        nr::SENDMMSG => Transfer {
            shape: unless(a3, MSG_OOB, MESSAGES),
            dir: direction::OUTBOUND,
            base: a1,
            count: messages,
            more: asks(a3, MSG_MORE),
        },
        nr::SENDFILE => Transfer {
            shape: BYPASS,
            dir: direction::OUTBOUND,
            base: 0,
            count: 0,
            more: 0,
        },
        nr::SPLICE => {
            // SAFETY: as above.
            let more = asks(unsafe { (*regs).r9 }, SPLICE_F_MORE);
            bypass(&ctx, fd, direction::INBOUND, ret, 0);
            bypass(&ctx, a2 as i32, direction::OUTBOUND, ret, more);
            return None;
        }
        nr::ACCEPT | nr::ACCEPT4 => return fresh(&ctx, ret as i32, role::ACCEPTED),
        nr::CONNECT => {
            if ret != 0 && ret != -EINPROGRESS {
                return None;
            }
            return fresh(&ctx, fd, role::CONNECTED);
        }
        nr::CLOSE => {
            cirron_closed(&ctx, fd);
            return None;
        }
        nr::CLOSE_RANGE => {
            if ret == 0 && a2 & CLOSE_RANGE_CLOEXEC == 0 {
                closed_range(&ctx, a0 as u32, a1 as u32);
            }
            return None;
        }
        nr::SHUTDOWN => {
            if ret != 0 || a1 == SHUT_RD {
                return None;
            }
            return ended(&ctx, fd, close::LOCAL_SHUT_WRITE);
        }
        nr::SETSOCKOPT => {
            if ret == 0 && a1 == IPPROTO_TCP && (a2 == TCP_CORK || a2 == TCP_NODELAY) {
                uncorked(&ctx, fd);
            }
            return None;
        }
        nr::FCNTL if a1 != F_DUPFD && a1 != F_DUPFD_CLOEXEC => return None,
        nr::MMAP => {
            // SAFETY: as above.
            let file = unsafe { (*regs).r8 } as i32;
            if a2 & PROT_EXEC != 0 && file >= 0 && ret > 0 {
                emit::process(kind::PROC_MMAP, ctx.ts_ns, ctx.pid_tgid, 0);
            }
            return None;
        }
        nr::DUP | nr::DUP2 | nr::DUP3 | nr::FCNTL => return duplicated(&ctx, fd, ret as i32),
        _ => return None,
    };
    transferred(&ctx, fd, &transfer, transfer.shape, ret);
    None
}

/// How a call's buffers are laid out.
const NOTHING: u32 = 0;
const FLAT: u32 = 1;
const VECTOR: u32 = 2;
const MESSAGE: u32 = 3;
const MESSAGES: u32 = 4;
const BYPASS: u32 = 5;

/// A call that moved bytes.
struct Transfer {
    shape: u32,
    dir: u8,
    /// Buffer, iovecs, `struct user_msghdr` or `struct mmsghdr`.
    base: u64,
    /// Bytes asked for, iovecs, or messages moved; 0 where a return of 0 means nothing.
    count: u64,
    /// [`sent::MORE`], where the kernel was asked to wait for more before it sends.
    more: u32,
}

#[inline(always)]
fn asks(flags: u64, more: u64) -> u32 {
    if flags & more != 0 { sent::MORE } else { 0 }
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
fn received(flags: u64, shape: u32) -> u32 {
    if flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE) != 0 {
        NOTHING
    } else if flags & MSG_TRUNC != 0 {
        BYPASS
    } else {
        shape
    }
}

/// The one path of all transfers: the verifier walks it once.
///
/// `shape` comes by itself, not inside of `transfer`: verifiers before 6.8 lose sight of a constant that
/// a function reads from its caller's stack, take two shapes for the same, and cut off the branch of the
/// one that they came to later. On 6.1 `sendmsg` and `recvmsg` were lost that way.
#[inline(never)]
fn transferred(ctx: &Ctx, fd: i32, transfer: &Transfer, shape: u32, ret: i64) {
    let _ = try_transferred(ctx, fd, transfer, shape, ret);
}

#[inline(always)]
fn try_transferred(ctx: &Ctx, fd: i32, transfer: &Transfer, shape: u32, ret: i64) -> Option<()> {
    if shape == NOTHING {
        return None;
    }
    if ret <= 0 {
        if ret == 0 && transfer.dir == direction::INBOUND && transfer.count > 0 {
            ended(ctx, fd, close::READ_EOF);
        } else if ret == -EPIPE || ret == -ECONNRESET {
            left(ctx, fd);
        }
        return None;
    }
    let mut total = ret as u64;
    if shape == MESSAGES {
        total = iov::cirron_messages_len(transfer.base, total);
    }
    let mut call = ctx.call(0, 0, transfer.dir);
    call.told = transfer.more;
    let pos = advance(ctx, fd, &mut call, total)?;
    copy(&call, transfer, shape, pos, total);
    None
}

/// Copies what a call moved. Apart, for its part of the stack.
#[inline(never)]
fn copy(call: &Call, transfer: &Transfer, shape: u32, pos: u64, total: u64) {
    let mut buffers = match shape {
        FLAT => Buffers::flat(transfer.base, total),
        VECTOR => Buffers::vector(transfer.base, transfer.count, total),
        MESSAGE => Buffers::message(transfer.base, total).unwrap_or(Buffers::flat(0, 0)),
        MESSAGES => Buffers::messages(transfer.base, transfer.count),
        _ => {
            count(Counter::BypassBytes, total);
            emit::gap(call, pos, total, flag::BYPASS);
            return;
        }
    };
    iov::walk(call, &mut buffers, pos, total);
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
            bind(ctx.tgid(), fd, socket.ino);
        }
        return Some((socket, state));
    }
    introduce(ctx, &socket, fd, role::UNKNOWN)?;
    Some((socket, CONNS.get_ptr_mut(&socket.ino)?))
}

/// Notes that `fd` leads to the connection. Apart, for its part of the stack.
#[inline(never)]
fn bind(tgid: u32, fd: i32, ino: u64) {
    let key = fd_key(tgid, fd);
    // SAFETY: compared at once.
    if unsafe { FDS.get(&key) } != Some(&ino) {
        let _ = FDS.insert(key, ino, 0);
    }
}

/// A connection of which nothing is known; not on the stack, which is short.
static NEW: ConnState = ConnState {
    epoch: 0,
    inbound_pos: 0,
    outbound_pos: 0,
    tgid: 0,
    fd: 0,
    file: 0,
    family: 0,
    held: 0,
    tcp: 0,
    arrived_ns: 0,
    clock_ns: 0,
    sent_pos: 0,
    held_ns: 0,
    arrived_flags: 0,
};

/// Enters a connection in the maps and tells the reader.
#[inline(never)]
fn introduce(ctx: &Ctx, socket: &FdSocket, fd: i32, role: u8) -> Option<()> {
    let mut blank = Blank::default();
    let info = &mut blank.0;
    if !socket::info(socket, role, info) {
        return None;
    }
    if CONNS.insert(socket.ino, &NEW, 0).is_err() {
        count(Counter::ConnMapFull, 1);
        return None;
    }
    let state = CONNS.get_ptr_mut(&socket.ino)?;
    // SAFETY: a live map value.
    unsafe {
        (*state).epoch = ctx.ts_ns;
        (*state).tgid = ctx.tgid();
        (*state).fd = fd;
        (*state).file = socket.file;
        (*state).family = info.family as u32;
        (*state).tcp = sent::tcp_of(socket);
    }
    bind(ctx.tgid(), fd, socket.ino);
    emit::open(&ctx.call(socket.ino, ctx.ts_ns, direction::NONE), info);
    Some(())
}

/// A connection that has just begun. Apart, for its part of the stack, as are the others that are rare.
#[inline(never)]
fn fresh(ctx: &Ctx, fd: i32, role: u8) -> Option<i32> {
    let socket = socket::from_fd(fd)?;
    if role == role::CONNECTED && CONNS.get_ptr(&socket.ino).is_some() {
        // The second call of a non-blocking connect.
        return None;
    }
    introduce(ctx, &socket, fd, role)?;
    None
}

/// What is in `call`, not in `ctx`, need not be kept on the stack a second time.
#[inline(always)]
fn event_of(call: &Call, object: u64, op: u64) -> tls::TlsEvent {
    tls::TlsEvent {
        ts_ns: call.ts_ns,
        pid_tgid: call.pid_tgid,
        object,
        op,
    }
}

/// Takes `len` bytes of position: where they begin; whose they are goes to `call`. `None` if muted.
#[inline(always)]
fn advance(ctx: &Ctx, fd: i32, call: &mut Call, len: u64) -> Option<u64> {
    let dir = call.direction;
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
    call.conn = socket.ino;
    call.epoch = epoch;
    if dir == direction::INBOUND {
        sent::received(call, state);
    } else {
        sent::sent(call, state, len);
    }
    // The two keys lie on the stack already: it is short.
    let inside = || {
        tls::call_of(call.pid_tgid, ctx.sp).or_else(|| gotls::call_of(call.pid_tgid, ctx.goroutine))
    };
    if ctx.target & target::TLS != 0
        && let Some(inside) = inside()
        && tls::link(
            &event_of(call, inside.object, inside.op),
            &socket,
            call.epoch,
            0,
        )
        .is_some()
    {
        // Its plaintext is taken inside the library.
        let _ = MUTED.insert(&socket.ino, &call.epoch, 0);
        count(Counter::MutedBytes, len);
        return None;
    }
    // SAFETY: the value is copied at once.
    if unsafe { MUTED.get(&socket.ino) } == Some(&call.epoch) {
        if call.direction == direction::OUTBOUND {
            let object = tls::sent(call.pid_tgid, socket.ino, len);
            if object != 0 {
                let event = event_of(call, object, op::WRITE);
                let _ = tls::link(&event, &socket, call.epoch, flag::BY_LENGTHS);
            }
        }
        count(Counter::MutedBytes, len);
        return None;
    }
    Some(pos)
}

/// Bytes that never were in the target's memory.
#[inline(never)]
fn bypass(ctx: &Ctx, fd: i32, dir: u8, ret: i64, more: u32) {
    if ret <= 0 {
        return;
    }
    let mut call = ctx.call(0, 0, dir);
    call.told = more;
    if let Some(pos) = advance(ctx, fd, &mut call, ret as u64) {
        count(Counter::BypassBytes, ret as u64);
        emit::gap(&call, pos, ret as u64, flag::BYPASS);
    }
}

/// One direction of the connection behind `fd` ended: a read of nothing, or a shutdown.
#[inline(never)]
fn ended(ctx: &Ctx, fd: i32, why: u64) -> Option<i32> {
    let socket = socket::from_fd(fd)?;
    let state = CONNS.get_ptr(&socket.ino)?;
    // SAFETY: a live map value.
    let epoch = unsafe { (*state).epoch };
    end(ctx, socket.ino, epoch, why);
    None
}

/// A call on `fd` failed, since the peer has closed: only its error tells so where no TCP state does.
#[inline(never)]
fn left(ctx: &Ctx, fd: i32) -> Option<i32> {
    let socket = socket::from_fd(fd)?;
    let state = CONNS.get_ptr(&socket.ino)?;
    // SAFETY: a live map value.
    let (epoch, family) = unsafe { ((*state).epoch, (*state).family) };
    if family == AF_UNIX && socket::is_shut(&socket)? {
        end(ctx, socket.ino, epoch, close::PEER_RESET);
    }
    None
}

/// An option was set that may let go what the kernel holds back.
#[inline(never)]
fn uncorked(ctx: &Ctx, fd: i32) -> Option<()> {
    let socket = socket::from_fd(fd)?;
    let state = CONNS.get_ptr_mut(&socket.ino)?;
    // SAFETY: a live map value.
    let epoch = unsafe { (*state).epoch };
    sent::look(
        &ctx.call(socket.ino, epoch, direction::OUTBOUND),
        state,
        true,
    )
}

#[inline(never)]
fn end(ctx: &Ctx, conn: u64, epoch: u64, why: u64) {
    emit::event(
        &ctx.call(conn, epoch, direction::NONE),
        kind::CONN_CLOSE,
        0,
        why,
        0,
    );
}

/// A descriptor is gone. The last one of a Unix socket ends its connection; TCP's end is told by
/// its state. There may be descriptors that we never saw in a call (of a fork, passed in a message): the
/// socket's file counts them. A global function to the verifier.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn cirron_closed(ctx: *const Ctx, fd: i32) -> u64 {
    if ctx.is_null() {
        return 1;
    }
    // SAFETY: not null, and the verifier checks callers for a whole `Ctx`.
    let ctx = unsafe { &*ctx };
    let key = fd_key(ctx.tgid(), fd);
    // SAFETY: copied at once.
    let Some(ino) = (unsafe { FDS.get(&key) }).copied() else {
        return 0;
    };
    let _ = FDS.remove(&key);
    let Some(state) = CONNS.get_ptr(&ino) else {
        return 0;
    };
    // SAFETY: a live map value.
    let (epoch, file, family) = unsafe { ((*state).epoch, (*state).file, (*state).family) };
    if family == AF_UNIX {
        let why = if socket::cirron_holders(file, ino) != 0 {
            close::HELD
        } else {
            close::FD_CLOSED
        };
        end(ctx, ino, epoch, why);
    }
    0
}

#[inline(never)]
fn closed_range(ctx: &Ctx, first: u32, last: u32) {
    for i in 0..CLOSE_RANGE_FDS {
        let fd = first.wrapping_add(i);
        if fd > last {
            break;
        }
        cirron_closed(ctx, fd as i32);
    }
}

#[inline(never)]
fn duplicated(ctx: &Ctx, from: i32, to: i32) -> Option<i32> {
    if to < 0 || to == from {
        return None;
    }
    // dup2 and dup3 close what stood at the new number.
    cirron_closed(ctx, to);
    // SAFETY: copied at once.
    let ino = *unsafe { FDS.get(&fd_key(ctx.tgid(), from)) }?;
    bind(ctx.tgid(), to, ino);
    None
}
