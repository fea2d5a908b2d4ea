//! Connections that change hands: who answers got the descriptor without a call that shows it, or somebody
//! holds one without using it.

use std::ffi::CString;
use std::os::fd::{AsRawFd as _, IntoRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::io::{read, read_all, write, write_all};

/// Longer than an end may be told behind its time.
const PAUSE: Duration = Duration::from_millis(800);

/// Runs `work` in a child, which then ends without closing anything.
pub(crate) fn child(work: impl FnOnce()) -> libc::pid_t {
    // SAFETY: this process has one thread.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        work();
        // SAFETY: ends the child without touching the parent's state.
        unsafe { libc::_exit(0) };
    }
    pid
}

/// The child answers what the parent accepted and has closed long ago.
pub(crate) fn forked_away(stream: OwnedFd, body: &mut [u8], whole: &[u8]) {
    let fd = stream.as_raw_fd();
    child(|| {
        std::thread::sleep(PAUSE);
        answer(fd, body, whole);
    });
}

/// A child that existed before answers, which gets the descriptor in a message; that lies unread for a while.
pub(crate) fn passed_on(stream: OwnedFd, body: &mut [u8], whole: &[u8]) {
    let (ours, its) = UnixDatagram::pair().unwrap();
    let accepted = stream.as_raw_fd();
    child(|| {
        // SAFETY: the child's copy of it, so that only the message holds the connection.
        unsafe { libc::close(accepted) };
        std::thread::sleep(PAUSE);
        let fd = passed(its.as_raw_fd(), None);
        std::thread::sleep(PAUSE);
        answer(fd, body, whole);
        // SAFETY: an open descriptor that nobody else here knows.
        unsafe { libc::close(fd) };
    });
    std::thread::sleep(Duration::from_millis(50));
    passed(ours.as_raw_fd(), Some(accepted));
}

/// A child takes the descriptor out of this process.
pub(crate) fn fetched(stream: OwnedFd, body: &mut [u8], whole: &[u8]) {
    let (ours, its) = UnixDatagram::pair().unwrap();
    // SAFETY: no arguments.
    let parent = unsafe { libc::getpid() };
    let fd = stream.as_raw_fd();
    child(|| {
        // SAFETY: plain numbers; the child's copy is closed first.
        let fd = unsafe {
            libc::close(fd);
            let pidfd = libc::syscall(libc::SYS_pidfd_open, parent, 0);
            libc::syscall(libc::SYS_pidfd_getfd, pidfd, fd, 0)
        };
        its.send(b"got").unwrap();
        std::thread::sleep(PAUSE);
        answer(RawFd::try_from(fd).unwrap(), body, whole);
    });
    ours.recv(&mut [0; 3]).unwrap();
}

/// Answered and closed here; a program that a child became holds the connection on, and never looks at it.
pub(crate) fn left_to_a_sleeper(stream: OwnedFd, body: &mut [u8], whole: &[u8]) {
    let fd = stream.as_raw_fd();
    let arguments = ["sleep", "0.8"].map(|a| CString::new(a).unwrap());
    let pointers = [
        arguments[0].as_ptr(),
        arguments[1].as_ptr(),
        std::ptr::null(),
    ];
    child(|| {
        // SAFETY: a list that ends with a null pointer.
        unsafe {
            libc::fcntl(fd, libc::F_SETFD, 0);
            libc::execvp(pointers[0], pointers.as_ptr());
        }
    });
    std::thread::sleep(Duration::from_millis(100));
    answer(fd, body, whole);
}

/// The child answers and calls exec, which closes the connection: it is to be closed then.
pub(crate) fn closed_by_exec(stream: OwnedFd, body: &mut [u8], whole: &[u8]) {
    let fd = stream.into_raw_fd();
    let arguments = ["sleep", "0.8"].map(|a| CString::new(a).unwrap());
    let pointers = [
        arguments[0].as_ptr(),
        arguments[1].as_ptr(),
        std::ptr::null(),
    ];
    child(|| {
        answer(fd, body, whole);
        // SAFETY: a list that ends with a null pointer.
        unsafe { libc::execvp(pointers[0], pointers.as_ptr()) };
    });
    // SAFETY: nobody owns it any more.
    unsafe { libc::close(fd) };
}

/// The child closes its descriptor in the middle of the answer and ends; the parent goes on with it.
pub(crate) fn taken_back(stream: OwnedFd, body: &mut [u8], whole: &[u8]) {
    let fd = stream.as_raw_fd();
    let (start, rest) = whole.split_at(whole.len() / 2);
    let pid = child(|| {
        answer(fd, body, start);
        // SAFETY: the child's copy.
        unsafe { libc::close(fd) };
    });
    // SAFETY: our own child.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
    std::thread::sleep(PAUSE);
    write_all(rest, |part| write(fd, part));
}

fn answer(fd: RawFd, body: &mut [u8], whole: &[u8]) {
    read_all(body, |part| read(fd, part));
    write_all(whole, |part| write(fd, part));
}

/// Sends `descriptor` over `socket`, or receives one.
fn passed(socket: RawFd, descriptor: Option<RawFd>) -> RawFd {
    let mut byte = [0_u8; 1];
    let mut io = libc::iovec {
        iov_base: byte.as_mut_ptr().cast(),
        iov_len: 1,
    };
    let mut control = [0_u64; 4];
    // SAFETY: all zeros is an empty header.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut io;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    // SAFETY: the header, and the room behind it, are those of one control message of one descriptor.
    unsafe {
        message.msg_controllen = libc::CMSG_SPACE(4) as usize;
        let head = libc::CMSG_FIRSTHDR(&raw const message);
        let Some(descriptor) = descriptor else {
            assert_eq!(libc::recvmsg(socket, &raw mut message, 0), 1);
            return libc::CMSG_DATA(head).cast::<RawFd>().read_unaligned();
        };
        (*head).cmsg_level = libc::SOL_SOCKET;
        (*head).cmsg_type = libc::SCM_RIGHTS;
        (*head).cmsg_len = libc::CMSG_LEN(4) as usize;
        libc::CMSG_DATA(head)
            .cast::<RawFd>()
            .write_unaligned(descriptor);
        assert_eq!(libc::sendmsg(socket, &raw const message, 0), 1);
        descriptor
    }
}
