//! The ways to read a request's body and to write its answer.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, IntoRawFd as _, OwnedFd, RawFd};
use std::time::Duration;

use cirron_tests::zoo::{answer, filler};

use crate::holders;
use crate::io::{
    iovecs, message, messages, pipe, read, read_all, recv, send, splice, write, write_all,
};

/// Answers the request whose head was read.
pub(crate) fn serve(stream: OwnedFd, way: &str, length: usize) {
    let fd = stream.as_raw_fd();
    let mut body = vec![0; length];
    let mut whole = answer(way);
    match way {
        "read_write" | "large_write" | "huge_write" => plain(fd, &mut body, &whole),
        "recvfrom_sendto" => {
            read_all(&mut body, |part| recv(fd, part, 0));
            write_all(&whole, |part| send(fd, part));
        }
        "peek" => {
            recv(fd, &mut body, libc::MSG_PEEK);
            recv(fd, &mut body, libc::MSG_PEEK | libc::MSG_WAITALL);
            read_all(&mut body, |part| recv(fd, part, libc::MSG_WAITALL));
            write_all(&whole, |part| write(fd, part));
        }
        "truncated" => {
            // TCP throws these bytes away.
            let flags = libc::MSG_TRUNC | libc::MSG_WAITALL;
            assert_eq!(usize::try_from(recv(fd, &mut body, flags)), Ok(length));
            write_all(&whole, |part| write(fd, part));
        }
        "readv_writev" => vectors(fd, &mut body, &mut whole, 41, 0),
        "sixty_iovecs" => vectors(fd, &mut body, &mut whole, 60, 0),
        "empty_iovecs" => vectors(fd, &mut body, &mut whole, 20, 2),
        "many_iovecs" => vectors(fd, &mut body, &mut whole, 800, 0),
        // As many as the kernel takes, half of them empty.
        "iov_max" => vectors(fd, &mut body, &mut whole, 512, 1),
        "preadv2_pwritev2" => {
            let io = iovecs(&mut body, 3, 0);
            // SAFETY: the vectors outlive the call; -1: no offset, as a socket wants.
            let got = unsafe { libc::preadv2(fd, io.as_ptr(), 3, -1, 0) };
            assert_eq!(usize::try_from(got), Ok(length));
            let io = iovecs(&mut whole, 3, 0);
            // SAFETY: as above.
            let put = unsafe { libc::pwritev2(fd, io.as_ptr(), 3, -1, 0) };
            assert_eq!(usize::try_from(put), Ok(whole.len()));
        }
        "recvmsg_sendmsg" => {
            let mut io = iovecs(&mut body, 5, 1);
            let mut header = message(&mut io);
            // SAFETY: the header and what it points to outlive the call.
            let got = unsafe { libc::recvmsg(fd, &raw mut header, libc::MSG_WAITALL) };
            assert_eq!(usize::try_from(got), Ok(length));
            let mut io = iovecs(&mut whole, 7, 1);
            let header = message(&mut io);
            // SAFETY: as above.
            let put = unsafe { libc::sendmsg(fd, &raw const header, 0) };
            assert_eq!(usize::try_from(put), Ok(whole.len()));
        }
        "recvmmsg_sendmmsg" => {
            let (one, two) = body.split_at_mut(length / 3);
            messages(fd, &mut [one, two], true);
            let (one, rest) = whole.split_at_mut(10);
            let (two, three) = rest.split_at_mut(50);
            messages(fd, &mut [one, two, three], false);
        }
        "two_hundred_messages" => many_messages(fd, &mut body, &mut whole, 200),
        "thousand_messages" => many_messages(fd, &mut body, &mut whole, 1_000),
        "sendfile" => {
            read_all(&mut body, |part| read(fd, part));
            let rest = after_head(fd, &whole);
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(rest).unwrap();
            file.rewind().unwrap();
            let mut at = 0;
            // SAFETY: two open descriptors and a valid offset.
            let sent = unsafe { libc::sendfile(fd, file.as_raw_fd(), &raw mut at, rest.len()) };
            assert_eq!(usize::try_from(sent), Ok(rest.len()));
        }
        "splice" => spliced(fd, length, &whole),
        "dup" => duplicated(stream, &mut body, &whole),
        "close_range" => {
            plain(fd, &mut body, &whole);
            let fd = stream.into_raw_fd();
            // SAFETY: only this descriptor, which nobody owns any more.
            unsafe { libc::syscall(libc::SYS_close_range, fd, fd, 0) };
        }
        "shutdown" => {
            plain(fd, &mut body, &whole);
            // SAFETY: an open socket.
            unsafe { libc::shutdown(fd, libc::SHUT_WR) };
            while read(fd, &mut [0; 100]) > 0 {}
        }
        "forked_child" => {
            read_all(&mut body, |part| read(fd, part));
            let (start, rest) = whole.split_at(20);
            write_all(start, |part| write(fd, part));
            // SAFETY: the child only writes and exits.
            let child = unsafe { libc::fork() };
            if child == 0 {
                write_all(rest, |part| write(fd, part));
                // SAFETY: ends the child without touching the parent's state.
                unsafe { libc::_exit(0) };
            }
            // SAFETY: our own child.
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        }
        "forked_away" => holders::forked_away(stream, &mut body, &whole),
        "passed_on" => holders::passed_on(stream, &mut body, &whole),
        "fetched" => holders::fetched(stream, &mut body, &whole),
        "left_to_a_sleeper" => holders::left_to_a_sleeper(stream, &mut body, &whole),
        "closed_by_exec" => holders::closed_by_exec(stream, &mut body, &whole),
        "taken_back" => holders::taken_back(stream, &mut body, &whole),
        "nonblocking" => {
            // SAFETY: an open descriptor.
            unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) };
            plain(fd, &mut body, &whole);
        }
        "io_uring" => {
            read_all(&mut body, |part| read(fd, part));
            if !uring_send(fd, &whole) {
                println!("no io_uring here");
                write_all(&whole, |part| write(fd, part));
            }
        }
        other => panic!("no such way: {other}"),
    }
}

fn plain(fd: RawFd, body: &mut [u8], whole: &[u8]) {
    read_all(body, |part| read(fd, part));
    write_all(whole, |part| write(fd, part));
}

fn vectors(fd: RawFd, body: &mut [u8], whole: &mut [u8], count: usize, empty: usize) {
    let io = iovecs(body, 4, empty);
    // SAFETY: the vectors outlive the call.
    let got = unsafe { libc::readv(fd, io.as_ptr(), i32::try_from(io.len()).unwrap()) };
    assert_eq!(usize::try_from(got), Ok(body.len()));
    let io = iovecs(whole, count, empty);
    // SAFETY: as above.
    let put = unsafe { libc::writev(fd, io.as_ptr(), i32::try_from(io.len()).unwrap()) };
    assert_eq!(usize::try_from(put), Ok(whole.len()));
}

/// The answer in one call of `count` messages, of two buffers each.
fn many_messages(fd: RawFd, body: &mut [u8], whole: &mut [u8], count: usize) {
    read_all(body, |part| read(fd, part));
    let size = whole.len().div_ceil(count);
    let mut parts: Vec<&mut [u8]> = whole.chunks_mut(size).collect();
    messages(fd, &mut parts, false);
}

/// Writes the answer up to its filler, which is left to the caller.
fn after_head(fd: RawFd, whole: &[u8]) -> &[u8] {
    let (start, rest) = whole.split_at(whole.len() - filler().len());
    write_all(start, |part| write(fd, part));
    rest
}

/// The body goes by in a pipe, and so does the filler of the answer.
fn spliced(fd: RawFd, length: usize, whole: &[u8]) {
    let (input, output) = pipe();
    let mut left = length;
    while left > 0 {
        let n = splice(fd, output.as_raw_fd(), left);
        let mut reader = File::from(input.try_clone().unwrap());
        reader.read_exact(&mut vec![0; n]).unwrap();
        left -= n;
    }
    let rest = after_head(fd, whole);
    for part in rest.chunks(32_768) {
        let mut writer = File::from(output.try_clone().unwrap());
        writer.write_all(part).unwrap();
        assert_eq!(splice(input.as_raw_fd(), fd, part.len()), part.len());
    }
}

/// Sends by a ring; false where the kernel has none.
fn uring_send(fd: RawFd, mut bytes: &[u8]) -> bool {
    let Ok(mut ring) = io_uring::IoUring::new(2) else {
        return false;
    };
    while !bytes.is_empty() {
        let len = u32::try_from(bytes.len()).unwrap();
        let send = io_uring::opcode::Send::new(io_uring::types::Fd(fd), bytes.as_ptr(), len);
        // SAFETY: the bytes outlive the wait below.
        unsafe { ring.submission().push(&send.build()).unwrap() };
        ring.submit_and_wait(1).unwrap();
        let sent = ring.completion().next().unwrap().result();
        bytes = &bytes[usize::try_from(sent).unwrap()..];
    }
    true
}

/// Three descriptors, one after the other, lead to the connection.
fn duplicated(stream: OwnedFd, body: &mut [u8], whole: &[u8]) {
    read_all(body, |part| read(stream.as_raw_fd(), part));
    // SAFETY: an open descriptor; the new one is ours.
    let second = unsafe { OwnedFd::from_raw_fd(libc::dup(stream.as_raw_fd())) };
    drop(stream);
    let (start, rest) = whole.split_at(20);
    write_all(start, |part| write(second.as_raw_fd(), part));
    // SAFETY: as above.
    let third = unsafe { libc::fcntl(second.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 100) };
    // SAFETY: as above.
    let third = unsafe { OwnedFd::from_raw_fd(third) };
    drop(second);
    std::thread::sleep(Duration::from_millis(60));
    write_all(rest, |part| write(third.as_raw_fd(), part));
}
