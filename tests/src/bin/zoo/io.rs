//! Thin names for system calls, and loops over them.

use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::thread::sleep;
use std::time::Duration;

pub(crate) fn read(fd: RawFd, bytes: &mut [u8]) -> isize {
    // SAFETY: a valid buffer of this length.
    unsafe { libc::read(fd, bytes.as_mut_ptr().cast(), bytes.len()) }
}

pub(crate) fn write(fd: RawFd, bytes: &[u8]) -> isize {
    // SAFETY: a valid buffer of this length.
    unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) }
}

pub(crate) fn recv(fd: RawFd, bytes: &mut [u8], flags: i32) -> isize {
    // SAFETY: a valid buffer of this length.
    unsafe { libc::recv(fd, bytes.as_mut_ptr().cast(), bytes.len(), flags) }
}

pub(crate) fn send(fd: RawFd, bytes: &[u8]) -> isize {
    // SAFETY: a valid buffer of this length.
    unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), 0) }
}

/// Until all bytes are there; a call that would block is tried again.
pub(crate) fn read_all(bytes: &mut [u8], mut get: impl FnMut(&mut [u8]) -> isize) {
    let mut at = 0;
    while at < bytes.len() {
        match usize::try_from(get(&mut bytes[at..])) {
            Ok(n) => {
                assert!(n > 0, "the client left");
                at += n;
            }
            Err(_) => sleep(Duration::from_millis(1)),
        }
    }
}

/// Until all bytes are gone; a call that would block is tried again.
pub(crate) fn write_all(mut bytes: &[u8], mut put: impl FnMut(&[u8]) -> isize) {
    while !bytes.is_empty() {
        match usize::try_from(put(bytes)) {
            Ok(n) => bytes = &bytes[n..],
            Err(_) => sleep(Duration::from_millis(1)),
        }
    }
}

/// Moves bytes without showing them to the process.
pub(crate) fn splice(from: RawFd, to: RawFd, len: usize) -> usize {
    let none = std::ptr::null_mut();
    // SAFETY: two open descriptors, no offsets.
    let moved = unsafe { libc::splice(from, none, to, none, len, 0) };
    usize::try_from(moved).unwrap()
}

pub(crate) fn pipe() -> (OwnedFd, OwnedFd) {
    let mut fds = [0; 2];
    // SAFETY: a valid array.
    assert_eq!(unsafe { libc::pipe(fds.as_mut_ptr()) }, 0);
    // SAFETY: just opened, and nobody else's.
    unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) }
}

/// `count` pieces of about the same size, each behind `empty` iovecs of no bytes.
pub(crate) fn iovecs(bytes: &mut [u8], count: usize, empty: usize) -> Vec<libc::iovec> {
    let size = bytes.len().div_ceil(count);
    let mut all = Vec::new();
    for part in bytes.chunks_mut(size) {
        let nothing = libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        };
        all.extend(std::iter::repeat_n(nothing, empty));
        all.push(libc::iovec {
            iov_base: part.as_mut_ptr().cast(),
            iov_len: part.len(),
        });
    }
    all
}

/// A message of these buffers.
pub(crate) fn message(iovecs: &mut [libc::iovec]) -> libc::msghdr {
    // SAFETY: all zeros is an empty header.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = iovecs.as_mut_ptr();
    message.msg_iovlen = iovecs.len();
    message
}

/// All `parts` in one `recvmmsg` or `sendmmsg`.
pub(crate) fn messages(fd: RawFd, parts: &mut [&mut [u8]], receive: bool) {
    let mut buffers: Vec<_> = parts.iter_mut().map(|p| iovecs(p, 2, 0)).collect();
    let header = |b: &mut Vec<libc::iovec>| libc::mmsghdr {
        msg_hdr: message(b),
        msg_len: 0,
    };
    let mut all: Vec<libc::mmsghdr> = buffers.iter_mut().map(header).collect();
    let count = u32::try_from(all.len()).unwrap();
    // SAFETY: the headers and what they point to outlive the call.
    let done = unsafe {
        if receive {
            let wait = libc::MSG_WAITALL;
            libc::recvmmsg(fd, all.as_mut_ptr(), count, wait, std::ptr::null_mut())
        } else {
            libc::sendmmsg(fd, all.as_mut_ptr(), count, 0)
        }
    };
    assert_eq!(u32::try_from(done), Ok(count));
}
