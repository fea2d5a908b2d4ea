//! The buffers of one call: a flat buffer, an iovec array, or an array of messages.
//!
//! One bounded loop walks all three: each step takes one chunk of the current buffer, and before it
//! the next iovec and the next message where one is due. What is left after the last step is a gap, except for its last
//! [`CHUNK`] of a flat buffer: usage stands at the tail of a response.
//!
//! The verifier walks every step of a loop: the steps are those of a global function, which it walks once, and which is
//! called again where a call has more buffers than most.

use aya_ebpf::helpers::bpf_probe_read_user;
use cirron_common::{Counter, record::flag};

use crate::{
    emit::{self, CHUNK, Call},
    maps::count,
};

/// Messages and iovecs that the kernel takes in one call (`include/uapi/linux/uio.h`).
const UIO_MAXIOV: u64 = 1024;

/// Bytes copied of one call: more than a response of text has, and a quarter of the ring.
const MAX_BYTES: u64 = 128 * CHUNK;

/// Steps of one part of the walk. The verifier walks each of them.
const STEPS: u32 = 128;

/// Parts of a walk: a step for each buffer that the kernel takes, and for each chunk of [`MAX_BYTES`].
/// Only messages of more than one buffer each can have more.
const PARTS: u64 = (UIO_MAXIOV + MAX_BYTES / CHUNK) / STEPS as u64;

#[repr(C)]
#[derive(Clone, Copy)]
struct Iovec {
    base: u64,
    len: u64,
}

/// `struct user_msghdr`, then `msg_len` of `struct mmsghdr`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Mmsghdr {
    name: u64,
    name_len: u64,
    iov: u64,
    iov_len: u64,
    control: u64,
    control_len: u64,
    flags: u32,
    _pad: u32,
    msg_len: u32,
    _pad2: u32,
}

/// Where the walk stands.
#[derive(Clone, Copy)]
pub struct Buffers {
    /// Current buffer.
    base: u64,
    left: u64,
    /// Further iovecs.
    iov: u64,
    iovs: u64,
    /// Further messages.
    msg: u64,
    msgs: u64,
    /// Bytes of the current message (or the call) still to be found.
    remaining: u64,
}

impl Buffers {
    /// `len` bytes at `base`.
    #[inline(always)]
    pub fn flat(base: u64, len: u64) -> Self {
        Buffers {
            base,
            left: len,
            iov: 0,
            iovs: 0,
            msg: 0,
            msgs: 0,
            remaining: len,
        }
    }

    /// The first `total` bytes of `iovs` iovecs at `iov`.
    #[inline(always)]
    pub fn vector(iov: u64, iovs: u64, total: u64) -> Self {
        Buffers {
            base: 0,
            left: 0,
            iov,
            iovs,
            msg: 0,
            msgs: 0,
            remaining: total,
        }
    }

    /// The first `total` bytes of the message at `msg` (`struct user_msghdr`).
    #[inline(always)]
    pub fn message(msg: u64, total: u64) -> Option<Self> {
        // SAFETY: the helper checks the address.
        let iov: Iovec = unsafe { bpf_probe_read_user((msg + 16) as *const Iovec) }.ok()?;
        Some(Buffers::vector(iov.base, iov.len, total))
    }

    /// `msgs` messages at `msg` (`struct mmsghdr`), each with its own length.
    #[inline(always)]
    pub fn messages(msg: u64, msgs: u64) -> Self {
        Buffers {
            base: 0,
            left: 0,
            iov: 0,
            iovs: 0,
            msg,
            msgs,
            remaining: 0,
        }
    }
}

/// Sum of `msg_len` over the messages of one call. A global function to the verifier.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn cirron_messages_len(msg: u64, msgs: u64) -> u64 {
    let mut total = 0;
    for i in 0..UIO_MAXIOV {
        if i >= msgs {
            break;
        }
        // SAFETY: the helper checks the address.
        let len = unsafe { bpf_probe_read_user((msg + i * 64 + 56) as *const u32) }.unwrap_or(0);
        total += len as u64;
    }
    total
}

/// Emits the `total` bytes of `buffers`, from position `from`.
#[inline(always)]
pub fn walk(call: &Call, buffers: &mut Buffers, from: u64, total: u64) {
    let end = from + total;
    let mut pos = from;
    for _ in 0..PARTS {
        pos = cirron_walk(call, buffers, pos, from + MAX_BYTES);
        if pos >= end {
            return;
        }
    }
    cirron_rest(call, buffers, pos, end);
}

/// [`STEPS`] of the walk: emits what `buffers` has from position `from`, up to `limit` at most, and returns
/// the position that it came to.
///
/// A global function to the verifier: walked once, with nothing known of its arguments.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn cirron_walk(call: *const Call, buffers: *mut Buffers, from: u64, limit: u64) -> u64 {
    if call.is_null() || buffers.is_null() {
        return from;
    }
    // SAFETY: not null, and the verifier checks callers for whole structures.
    let (call, b) = unsafe { (&*call, &mut *buffers) };
    let mut pos = from;
    for _ in 0..STEPS {
        if b.left == 0 && (b.remaining == 0 || b.iovs == 0) {
            if b.msgs == 0 {
                break;
            }
            // SAFETY: the helper checks the address.
            let Ok(next) = (unsafe { bpf_probe_read_user(b.msg as *const Mmsghdr) }) else {
                break;
            };
            b.msg += 64;
            b.msgs -= 1;
            b.iov = next.iov;
            b.iovs = next.iov_len;
            b.remaining = next.msg_len as u64;
        }
        if b.left == 0 && b.iovs > 0 {
            // SAFETY: the helper checks the address.
            let Ok(next) = (unsafe { bpf_probe_read_user(b.iov as *const Iovec) }) else {
                break;
            };
            b.iov += 16;
            b.iovs -= 1;
            b.base = next.base;
            b.left = if next.len > b.remaining {
                b.remaining
            } else {
                next.len
            };
        }
        if b.left > 0 {
            let n = if b.left > CHUNK { CHUNK } else { b.left };
            if pos + n > limit {
                break;
            }
            emit::cirron_emit_chunk(call, pos, b.base, n);
            pos += n;
            b.base += n;
            b.left -= n;
            b.remaining -= n;
        }
    }
    pos
}

/// What no step came to, from `pos` to `end`. A global function to the verifier.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn cirron_rest(call: *const Call, buffers: *const Buffers, pos: u64, end: u64) -> u64 {
    if call.is_null() || buffers.is_null() {
        return 1;
    }
    // SAFETY: not null, and the verifier checks callers for whole structures.
    let (call, b) = unsafe { (&*call, &*buffers) };
    let tail = if b.left > 0 && b.left == end - pos {
        if b.left > CHUNK { CHUNK } else { b.left }
    } else {
        0
    };
    let lost = end - pos - tail;
    if lost > 0 {
        count(Counter::OverLimitBytes, lost);
        emit::gap(call, pos, lost, flag::OVER_LIMIT);
    }
    if tail > 0 {
        emit::cirron_emit_chunk(call, pos + lost, b.base + lost, tail);
    }
    0
}
