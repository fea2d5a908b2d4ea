//! TLS libraries: what a uprobe is told about its place, and what the kernel side keeps of an SSL
//! object.
//!
//! A connection inside a TLS library is keyed by process and object address; its records carry the
//! address in `conn`, the time it was first seen in `epoch`, and [`crate::record::source::TLS`].

/// Which function a place belongs to, by what its arguments and result mean.
pub mod op {
    /// `int f(ssl, buf, num)`, bytes read: `SSL_read`.
    pub const READ: u64 = 1;
    /// `int f(ssl, buf, num)`, bytes written: `SSL_write`.
    pub const WRITE: u64 = 2;
    /// `int f(ssl, buf, num, size_t *n)`, 1 is success: `SSL_read_ex`, `SSL_read_early_data`.
    pub const READ_EX: u64 = 3;
    /// `int f(ssl, buf, num, size_t *n)`, 1 is success: `SSL_write_ex`, `SSL_write_early_data`.
    pub const WRITE_EX: u64 = 4;
    /// `int f(ssl, buf, num, flags, size_t *n)`, 1 is success: `SSL_write_ex2`.
    pub const WRITE_EX2: u64 = 5;
    /// `ssize_t f(session, buf, num)`, bytes read: `gnutls_record_recv`, Go's `(*Conn).Read`.
    pub const READ_LONG: u64 = 6;
    /// `ssize_t f(session, buf, num, ...)`, bytes written: `gnutls_record_send`,
    /// `send2`, Go's `(*Conn).Write`.
    pub const WRITE_LONG: u64 = 7;
    /// `ssize_t f(ssl, fd, offset, size, flags)`, bytes that never were in memory: `SSL_sendfile`.
    pub const SENDFILE: u64 = 8;
    /// `f(ssl, ...)`: moves no plaintext, but reads and writes the socket: `SSL_do_handshake`.
    pub const HANDSHAKE: u64 = 9;
    /// `f(ssl)`: begins as a server: `SSL_set_accept_state`, `SSL_accept`.
    pub const BEGIN_SERVER: u64 = 10;
    /// `f(ssl)`: begins as a client: `SSL_set_connect_state`, `SSL_connect`.
    pub const BEGIN_CLIENT: u64 = 11;
    /// `f(ssl)`: the object is gone: `SSL_free`, `gnutls_deinit`.
    pub const FREE: u64 = 12;
    /// `f(ssl)`: no more is written: `SSL_shutdown`, `gnutls_bye`.
    pub const SHUTDOWN: u64 = 13;
    /// `f(ssl)`: the object is used anew: `SSL_clear`.
    pub const CLEAR: u64 = 14;
}

/// The attach cookie: an [`op`], and how deep in the function's frame the place lies.
pub mod cookie {
    const OP_BITS: u32 = 8;

    /// `depth`: bytes that the stack pointer stands at the place below where it stood at the
    /// function's first instruction.
    pub const fn of(op: u64, depth: u32) -> u64 {
        (depth as u64) << OP_BITS | op
    }

    /// Its [`super::op`].
    pub const fn op(cookie: u64) -> u64 {
        cookie & ((1 << OP_BITS) - 1)
    }

    /// Its depth.
    pub const fn depth(cookie: u64) -> u64 {
        cookie >> OP_BITS
    }
}

/// Bits of a value of the process filter.
pub mod target {
    /// Places in a TLS library of this process are watched.
    pub const TLS: u32 = 1;
}

/// An SSL object of a process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SslKey {
    /// Address of the object.
    pub object: u64,
    /// Process id.
    pub tgid: u64,
}

/// A goroutine of a process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GoKey {
    /// Address of its `runtime.g`, which it keeps in `r14`.
    pub goroutine: u64,
    /// Process id.
    pub tgid: u64,
}

/// What is known of it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SslState {
    /// When it was first seen, monotonic ns: its generation.
    pub epoch: u64,
    /// Plaintext bytes read so far.
    pub inbound_pos: u64,
    /// Plaintext bytes written so far.
    pub outbound_pos: u64,
    /// Inode number of the socket that it was seen to use; 0: none.
    pub socket: u64,
}

/// A call under way.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SslCall {
    /// Address of the object.
    pub object: u64,
    /// The caller's buffer.
    pub buffer: u64,
    /// Where the length will be, for the calls that have an out-pointer.
    pub length_at: u64,
    /// One of [`op`].
    pub op: u64,
    /// Where the stack pointer stood at the function's first instruction: a return elsewhere is
    /// another call's. 0 in Go, whose stacks move.
    pub stack: u64,
}
