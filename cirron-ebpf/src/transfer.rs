//! Calls that moved bytes: how their buffers lie, and the way from a call to the records of its bytes.
//!
//! `syscalls` says by its number what a call was, `flow` where its bytes lie in the connection, `iov` copies them.

use cirron_common::{
    Counter,
    record::{close, direction, flag},
};

use crate::{
    emit::{self, Call},
    flow::{self, Caller},
    iov::{self, Buffers},
    maps::count,
    socket,
};

const EPIPE: i64 = 32;
const ECONNRESET: i64 = 104;

/// How a call's buffers are laid out.
pub const NOTHING: u32 = 0;
pub const FLAT: u32 = 1;
pub const VECTOR: u32 = 2;
pub const MESSAGE: u32 = 3;
pub const MESSAGES: u32 = 4;
pub const BYPASS: u32 = 5;

/// A call that moved bytes.
pub struct Transfer {
    pub shape: u32,
    pub dir: u8,
    /// Buffer, iovecs, `struct user_msghdr` or `struct mmsghdr`.
    pub base: u64,
    /// Bytes asked for, iovecs, or messages moved; 0 where a return of 0 means nothing.
    pub count: u64,
}

/// The one path of all transfers: the verifier walks it once.
///
/// `shape` comes by itself, not inside of `transfer`: verifiers before 6.8 lose sight of a constant that
/// a function reads from its caller's stack, take two shapes for the same, and cut off the branch of the
/// one that they came to later. On 6.1 `sendmsg` and `recvmsg` were lost that way.
#[inline(never)]
pub fn take(caller: &Caller, fd: i32, transfer: &Transfer, shape: u32, ret: i64) {
    let _ = try_take(caller, fd, transfer, shape, ret);
}

#[inline(always)]
fn try_take(caller: &Caller, fd: i32, transfer: &Transfer, shape: u32, ret: i64) -> Option<()> {
    if shape == NOTHING {
        return None;
    }
    if ret <= 0 {
        if ret == 0 && transfer.dir == direction::INBOUND && transfer.count > 0 {
            tell_half_end(caller, fd, close::READ_EOF);
        } else if ret == -EPIPE || ret == -ECONNRESET {
            tell_peer_gone(caller, fd);
        }
        return None;
    }
    let mut total = ret as u64;
    if shape == MESSAGES {
        total = iov::cirron_messages_len(transfer.base, total);
    }
    let mut call = caller.call(0, 0, transfer.dir);
    let socket = socket::from_fd(fd)?;
    let pos = flow::take_bytes(caller, &socket, fd, &mut call, total)?;
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

/// Bytes that never were in the target's memory.
#[inline(never)]
pub fn bypass(caller: &Caller, fd: i32, dir: u8, ret: i64) {
    if ret <= 0 {
        return;
    }
    let mut call = caller.call(0, 0, dir);
    let Some(socket) = socket::from_fd(fd) else {
        return;
    };
    if let Some(pos) = flow::take_bytes(caller, &socket, fd, &mut call, ret as u64) {
        count(Counter::BypassBytes, ret as u64);
        emit::gap(&call, pos, ret as u64, flag::BYPASS);
    }
}

/// One direction of the connection behind `fd` ended. Apart, for its part of the stack, as are the others that are rare.
#[inline(never)]
pub fn tell_half_end(caller: &Caller, fd: i32, why: u64) -> Option<()> {
    flow::tell_half_end(caller, &socket::from_fd(fd)?, why)
}

/// A call on `fd` failed, since the peer has closed.
#[inline(never)]
fn tell_peer_gone(caller: &Caller, fd: i32) -> Option<()> {
    flow::tell_peer_gone(caller, &socket::from_fd(fd)?)
}
