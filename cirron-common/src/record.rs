//! The record: a fixed header, then `cap_len` bytes of payload.
//!
//! `pos` advances by `orig_len` even when the record is dropped, so a drop is a hole at an exact
//! place. Numbers are host-endian. Kinds and directions are plain integers, never Rust enums, since
//! they come from kernel memory.

/// First 64 bytes of each ring-buffer record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordHeader {
    /// [`crate::ABI_VERSION`] of the program that wrote it.
    pub abi: u16,
    /// One of [`kind`].
    pub kind: u8,
    /// One of [`direction`].
    pub direction: u8,
    /// One of [`source`].
    pub source: u8,
    /// Bits of [`flag`].
    pub flags: u8,
    /// With [`flag::COARSE`]: the width of what `told` is the middle of, in us.
    pub slack_us: u16,
    /// `CLOCK_MONOTONIC` in ns. A read's return; a write's return or, where the kernel says when it sent
    /// the last byte of it, that.
    pub ts_ns: u64,
    /// The socket's inode number, or the address of the TLS library's object; 0 for process records.
    pub conn: u64,
    /// When the kernel side first saw this connection (monotonic ns): its generation.
    pub epoch: u64,
    /// Byte position in this direction of the first byte of this record.
    pub pos: u64,
    /// Bytes that went by.
    pub orig_len: u64,
    /// Bytes that follow this header: a prefix of what went by.
    pub cap_len: u32,
    /// What the kernel tells of the socket; its meaning is that of [`flag::HELD`] or [`flag::WAITED`],
    /// without either it has none.
    pub told: u32,
    /// Process id, in the initial pid namespace.
    pub tgid: u32,
    /// Thread id, in the initial pid namespace.
    pub tid: u32,
}

/// Bytes of a [`RecordHeader`].
pub const HEADER_LEN: usize = 64;
const _: () = assert!(core::mem::size_of::<RecordHeader>() == HEADER_LEN);
const _: () = assert!(core::mem::align_of::<RecordHeader>() == 8);

/// Values of [`RecordHeader::kind`]. Readers skip and count what they do not know.
pub mod kind {
    /// Stream bytes; `cap_len < orig_len` means that the tail was not captured.
    pub const DATA: u8 = 1;
    /// A connection was seen for the first time; the payload is a [`crate::ConnInfo`].
    pub const CONN_OPEN: u8 = 2;
    /// The connection ended or half-ended; `orig_len` is one of [`super::close`].
    pub const CONN_CLOSE: u8 = 3;
    /// A target forked; `orig_len` is the child's tgid.
    pub const PROC_FORK: u8 = 4;
    /// A target called exec.
    pub const PROC_EXEC: u8 = 5;
    /// The last thread of a target exited.
    pub const PROC_EXIT: u8 = 6;
    /// A TLS object was seen to use a socket: `orig_len` is the socket's inode number, `pos` its
    /// epoch; the payload is the socket's [`crate::ConnInfo`].
    pub const CONN_LINK: u8 = 7;
    /// A target mapped something executable: a library may be new.
    pub const PROC_MMAP: u8 = 8;
    /// Bytes that the kernel held back ([`super::flag::HELD`]) were seen to have gone: those before `pos`.
    /// `orig_len` is when the last of them went, monotonic ns; 0: at some time before this record.
    pub const SENT: u8 = 9;
    /// A process is a target no more, though it lives. The programs never write it, the agent does.
    pub const PROC_RELEASE: u8 = 10;
}

/// Values of [`RecordHeader::direction`], from the target's point of view.
pub mod direction {
    /// Not a stream record.
    pub const NONE: u8 = 0;
    /// The target read it.
    pub const INBOUND: u8 = 1;
    /// The target wrote it.
    pub const OUTBOUND: u8 = 2;
}

/// Values of [`RecordHeader::source`].
pub mod source {
    /// A socket system call.
    pub const SOCKET: u8 = 1;
    /// The process life-cycle tracepoints.
    pub const PROCESS: u8 = 2;
    /// The TCP state tracepoint.
    pub const TCP_STATE: u8 = 3;
    /// A function of a TLS library: plaintext.
    pub const TLS: u8 = 4;
}

/// Bits of [`RecordHeader::flags`].
pub mod flag {
    /// The bytes passed by uncaptured by design (`sendfile`, `splice`, `MSG_TRUNC`).
    pub const BYPASS: u8 = 1;
    /// Copying from the target's memory failed.
    pub const FAULT: u8 = 2;
    /// Past the limit of bytes, iovecs or messages copied for one call.
    pub const OVER_LIMIT: u8 = 4;
    /// Of a [`super::kind::CONN_LINK`]: told by what the thread sent next, and by its length.
    pub const BY_LENGTHS: u8 = 8;
    /// Of outbound [`super::kind::DATA`]: at the call's end the kernel had not sent all of it. `told` is the position
    /// up to which it had, its low 32 bits.
    pub const HELD: u8 = 16;
    /// Of inbound [`super::kind::DATA`]: `told` is for how many us the last bytes that had come had lain
    /// in the socket.
    pub const WAITED: u8 = 32;
    /// With [`WAITED`]: not exactly known; `slack_us` says how well.
    pub const COARSE: u8 = 128;
    /// Of [`super::kind::SENT`]: nothing is held any more.
    pub const ALL: u8 = 64;
}

/// Values of `orig_len` in a [`kind::CONN_CLOSE`] record.
pub mod close {
    /// The connection's socket is closed: its last descriptor is gone. Told of Unix sockets only.
    pub const FD_CLOSED: u64 = 1;
    /// The peer sent FIN: it will send no more.
    pub const PEER_FIN: u64 = 2;
    /// The peer reset the connection.
    pub const PEER_RESET: u64 = 3;
    /// The target closed the connection for good, or shut its sending side.
    pub const LOCAL_CLOSE: u64 = 4;
    /// A read returned 0: the target has seen the peer's end.
    pub const READ_EOF: u64 = 5;
    /// The connection timed out or failed in the network.
    pub const NET_ERROR: u64 = 6;
    /// The target shut its sending side (`shutdown(SHUT_WR)`); it may still read.
    pub const LOCAL_SHUT_WRITE: u64 = 7;
    /// No end: the target closed a descriptor, or ended, and somebody else holds the socket. Of a close it
    /// is told of Unix sockets only.
    pub const HELD: u64 = 8;
    /// The event of its end was lost: the kernel does not have the socket any more. The programs never
    /// write it, the agent does.
    pub const LOST: u64 = 9;
    /// The kernel side does not follow the connection any more: it had no room for all, and this one was used least
    /// recently. Whether it has ended is not known; if it goes on, it does so as another generation. As [`LOST`],
    /// written by the agent only.
    pub const EVICTED: u64 = 10;
}
