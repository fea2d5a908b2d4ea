//! A server that answers one request per connection, each time through other system calls.
//!
//! `zoo PORT_FILE SOCKET` listens on a TCP port (written to `PORT_FILE`) and on a Unix socket. The
//! request's path names the way: `POST /read_write/v1/chat/completions`. It is ours, since no server of others would
//! use `recvmmsg` on a stream.
#![expect(clippy::unwrap_used, reason = "a tool of the tests")]

mod holders;
mod io;
mod ways;

use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let unix = UnixListener::bind(&args[2]).unwrap();
    let port = tcp.local_addr().unwrap().port();
    std::fs::write(&args[1], port.to_string()).unwrap();
    let listeners = [tcp.as_raw_fd(), unix.as_raw_fd()];
    loop {
        let mut polls = listeners.map(|fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        });
        // SAFETY: a valid array for the duration of the call.
        unsafe { libc::poll(polls.as_mut_ptr(), 2, -1) };
        for poll in polls.iter().filter(|p| p.revents != 0) {
            let none = std::ptr::null_mut();
            // SAFETY: a listening socket; no address is asked for.
            let fd = unsafe { libc::accept4(poll.fd, none, none.cast(), libc::SOCK_CLOEXEC) };
            assert!(fd >= 0, "accept4");
            let (way, length) = head(fd);
            // SAFETY: just opened, and nobody else's.
            ways::serve(unsafe { OwnedFd::from_raw_fd(fd) }, &way, length);
        }
    }
}

/// Reads the head byte by byte, so that the body is left to the way that the head names.
fn head(fd: RawFd) -> (String, usize) {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0; 1];
        assert_eq!(io::read(fd, &mut byte), 1);
        bytes.push(byte[0]);
    }
    let text = String::from_utf8(bytes).unwrap();
    let path = text.split([' ', '?']).nth(1).unwrap();
    let length = text
        .lines()
        .find_map(|l| l.strip_prefix("Content-Length: "))
        .map_or(0, |n| n.parse().unwrap());
    (path.split('/').nth(1).unwrap().to_owned(), length)
}
