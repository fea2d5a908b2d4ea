//! A server whose TLS library does what no library of these machines' servers can be made to do.
//!
//! `tlszoo PORT_FILE FILE` listens on a TCP port (written to `PORT_FILE`) and answers each request
//! with `FILE`. Its functions have OpenSSL's names, arguments and results, and stand in the
//! executable with symbols, as in Node. It is ours, for two ways:
//!
//! - nobody shakes hands: the first `SSL_read` calls `SSL_do_handshake` inside, as BoringSSL's does.
//! - the answer's body goes by `SSL_sendfile`. That needs kernel TLS, which the kernels of these
//!   machines are built without; the bytes on the socket are plaintext here, as the system calls of a
//!   program with kernel TLS have it.
#![expect(clippy::unwrap_used, reason = "a tool of the tests")]

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, RawFd};

/// What client and server say first: the beginning of a record of a handshake.
const HELLO: [u8; 6] = [0x16, 3, 3, 0, 1, 0];

/// A connection's object.
struct Ssl {
    fd: RawFd,
    has_shaken: bool,
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::fs::write(&args[1], port.to_string()).unwrap();
    for stream in listener.incoming() {
        serve(&stream.unwrap(), &args[2]);
    }
}

fn serve(stream: &TcpStream, path: &str) {
    let mut ssl = Ssl {
        fd: stream.as_raw_fd(),
        has_shaken: false,
    };
    SSL_set_accept_state(&mut ssl);
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    while !request.ends_with(b"\r\n\r\n") {
        let n = SSL_read(&mut ssl, buffer.as_mut_ptr(), 4096);
        let Ok(n @ 1..) = usize::try_from(n) else {
            return;
        };
        request.extend_from_slice(&buffer[..n]);
    }
    let file = File::open(path).unwrap();
    let len = file.metadata().unwrap().len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: {len}\r\n\r\n"
    );
    let head_len = i32::try_from(head.len()).unwrap();
    assert_eq!(SSL_write(&mut ssl, head.as_ptr(), head_len), head_len);
    let mut at = 0;
    while at < len {
        let n = SSL_sendfile(&mut ssl, file.as_raw_fd(), at, len - at, 0);
        at += u64::try_from(n).unwrap();
    }
    SSL_shutdown(&mut ssl);
    SSL_free(&mut ssl);
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn SSL_set_accept_state(ssl: &mut Ssl) {
    ssl.has_shaken = false;
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn SSL_do_handshake(ssl: &mut Ssl) -> i32 {
    let mut hello = HELLO;
    // SAFETY: a valid buffer of this length.
    let n = unsafe { libc::recv(ssl.fd, hello.as_mut_ptr().cast(), 6, libc::MSG_WAITALL) };
    assert_eq!((n, hello), (6, HELLO));
    // SAFETY: the same.
    let sent = unsafe { libc::send(ssl.fd, hello.as_ptr().cast(), 6, 0) };
    assert_eq!(sent, 6);
    ssl.has_shaken = true;
    1
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn SSL_read(ssl: &mut Ssl, buffer: *mut u8, len: i32) -> i32 {
    if !ssl.has_shaken && SSL_do_handshake(ssl) <= 0 {
        return -1;
    }
    let len = usize::try_from(len).unwrap();
    // SAFETY: the caller's buffer.
    let n = unsafe { libc::recv(ssl.fd, buffer.cast(), len, 0) };
    i32::try_from(n).unwrap()
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn SSL_write(ssl: &mut Ssl, buffer: *const u8, len: i32) -> i32 {
    if !ssl.has_shaken && SSL_do_handshake(ssl) <= 0 {
        return -1;
    }
    let len = usize::try_from(len).unwrap();
    // SAFETY: the caller's buffer.
    let n = unsafe { libc::send(ssl.fd, buffer.cast(), len, 0) };
    i32::try_from(n).unwrap()
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn SSL_sendfile(ssl: &mut Ssl, file: RawFd, at: u64, len: u64, _flags: i32) -> isize {
    let mut at = libc::off_t::try_from(at).unwrap();
    let len = usize::try_from(len).unwrap();
    // SAFETY: two open descriptors and an offset of ours.
    let n = unsafe { libc::sendfile(ssl.fd, file, &raw mut at, len) };
    assert!(n > 0, "sendfile");
    n
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn SSL_shutdown(ssl: &mut Ssl) -> i32 {
    i32::from(ssl.has_shaken)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn SSL_free(ssl: &mut Ssl) {
    ssl.fd = -1;
}
