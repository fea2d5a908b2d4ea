//! Descriptors of targets, and the connections that they lead to: for `close`, whose descriptor leads nowhere any more
//! when it returns.
//!
//! A descriptor is noted by the first call on it. One that no call showed is not known here: what counts is the
//! socket's own count of its holders.

use cirron_common::record::close;

use crate::{
    flow::{self, AF_UNIX, Caller},
    maps::{CONNS, FDS, fd_key},
    socket,
};

/// Descriptors looked at for one `close_range`; the ends of TCP connections are seen elsewhere.
const CLOSE_RANGE_FDS: u32 = 1024;

/// Notes that `fd` leads to the connection. Apart, for its part of the stack.
#[inline(never)]
pub fn bind(tgid: u32, fd: i32, ino: u64) {
    let key = fd_key(tgid, fd);
    // SAFETY: compared at once.
    if unsafe { FDS.get(&key) } != Some(&ino) {
        let _ = FDS.insert(key, ino, 0);
    }
}

/// A descriptor is gone. The last one of a Unix socket ends its connection; TCP's end is told by
/// its state. There may be descriptors that we never saw in a call (of a fork, passed in a message): the
/// socket's file counts them. A global function to the verifier.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn cirron_forget_fd(caller: *const Caller, fd: i32) -> u64 {
    if caller.is_null() {
        return 1;
    }
    // SAFETY: not null, and the verifier checks callers for a whole `Caller`.
    let caller = unsafe { &*caller };
    let key = fd_key(caller.tgid(), fd);
    // SAFETY: copied at once.
    let Some(ino) = (unsafe { FDS.get(&key) }).copied() else {
        return 0;
    };
    let _ = FDS.remove(&key);
    let Some(state) = CONNS.get_ptr(&ino) else {
        return 0;
    };
    // SAFETY: a live map value.
    let (file, family) = unsafe { ((*state).file, (*state).family) };
    if family == AF_UNIX {
        let why = if socket::cirron_holders(file, ino) != 0 {
            close::HELD
        } else {
            close::FD_CLOSED
        };
        flow::end(caller, ino, state, why);
    }
    0
}

#[inline(never)]
pub fn forget_range(caller: &Caller, first: u32, last: u32) {
    for i in 0..CLOSE_RANGE_FDS {
        let fd = first.wrapping_add(i);
        if fd > last {
            break;
        }
        cirron_forget_fd(caller, fd as i32);
    }
}

#[inline(never)]
pub fn bind_copy(caller: &Caller, from: i32, to: i32) -> Option<i32> {
    if to < 0 || to == from {
        return None;
    }
    // dup2 and dup3 close what stood at the new number.
    cirron_forget_fd(caller, to);
    // SAFETY: copied at once.
    let ino = *unsafe { FDS.get(&fd_key(caller.tgid(), from)) }?;
    bind(caller.tgid(), to, ino);
    None
}
