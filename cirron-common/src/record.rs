//! The record: a fixed header, then `payload_len` bytes of payload, whose type is that of the kind.
//!
//! ```text
//! header 56 | DATA       Data 24, then the bytes that were captured
//!           | CONN_OPEN  ConnInfo 48
//!           | CONN_CLOSE Close 24
//!           | CONN_LINK  Link 72
//!           | SENT       Sent 24
//!           | PROC_FORK  Fork 8
//!           | CONTEXT_MADE, CONTEXT_ENDED  ContextLife 16
//!           | PROBE_SPEC, PROBE_HIT: see `hit`
//!           | SECRET: see `secret`
//!           | others     nothing
//! ```
//!
//! A position advances by [`Data::len`] even when the record is dropped, so a drop is a hole at an exact
//! place. Numbers are host-endian. Kinds and directions are plain integers, never Rust enums, since
//! they come from kernel memory. Offsets are asserted here, so that neither side can move a field alone.

use crate::ConnInfo;
use crate::conn::Positions;

/// First 56 bytes of each record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordHeader {
    /// [`crate::ABI_VERSION`] of the program that wrote it.
    pub abi: u16,
    /// One of [`kind`].
    pub kind: u8,
    /// One of [`source`].
    pub source: u8,
    /// Bytes of the payload. What the ring holds behind them is the unused rest of a size class.
    pub payload_len: u32,
    /// `CLOCK_MONOTONIC` in ns. Which moment it is, is said at each [`kind`].
    pub ts_ns: u64,
    /// The socket's inode number, or the address of the TLS library's object; 0 for process records.
    pub conn: u64,
    /// When the kernel side first saw this connection (monotonic ns): its generation.
    pub epoch: u64,
    /// What ran on the thread, where that is known: in Go programs the goroutine, with [`GOID`] its number, else the address of
    /// its `runtime.g`; in Python the address of the current `contextvars.Context`, 0 where the thread has none yet. 0
    /// elsewhere: the thread is all that is known.
    pub context: u64,
    /// Process id, in the initial pid namespace.
    pub tgid: u32,
    /// Thread id, in the initial pid namespace.
    pub tid: u32,
    /// Of Python's contexts: a number that the thread raises each time that it enters or leaves one, never 0. 0: what ran has no
    /// such number, it is a goroutine or not known.
    pub version: u64,
}

/// In [`RecordHeader::context`]: the rest is the number of a goroutine (`goid`), which a program gives once. No address of
/// a program has this bit.
pub const GOID: u64 = 1 << 63;

/// Bytes of a [`RecordHeader`].
pub const HEADER_LEN: usize = 56;
/// Bytes of a [`RecordHeader`] of versions 3 and 4, which ends before its `version`.
pub const HEADER_LEN_4: usize = 48;

/// Payload of [`kind::DATA`], before the bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Data {
    /// Byte position in this direction of the first byte of this record.
    pub pos: u64,
    /// Bytes that went by. The payload has a prefix of them.
    pub len: u64,
    /// What the kernel tells of the socket; its meaning is that of [`flag::HELD`] or [`flag::WAITED`],
    /// without either it has none.
    pub told: u32,
    /// With [`flag::COARSE`]: the width of what `told` is the middle of, in us.
    pub slack_us: u16,
    /// One of [`direction`].
    pub direction: u8,
    /// Bits of [`flag`].
    pub flags: u8,
}

/// Payload of [`kind::CONN_CLOSE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Close {
    /// One of [`close`].
    pub why: u64,
    /// Where the two directions stood: every record of bytes before these positions was told already, is about to be,
    /// or found no room. Bytes of a call that has not returned are not counted. [`Positions::UNKNOWN`] where bytes
    /// pass untold, or nobody counted them.
    pub at: Positions,
}

/// Payload of [`kind::CONN_LINK`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// The socket's inode number.
    pub socket: u64,
    /// Its generation.
    pub socket_epoch: u64,
    /// One of [`evidence`].
    pub evidence: u64,
    /// Its addresses.
    pub info: ConnInfo,
}

/// Payload of [`kind::SENT`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// The bytes before this position of what the target writes have gone.
    pub upto: u64,
    /// When the last of them went, monotonic ns; 0: at some time before this record.
    pub at_ns: u64,
    /// 1: nothing is held any more.
    pub all: u64,
}

/// Payload of [`kind::PROC_FORK`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fork {
    /// The child's process id.
    pub child: u64,
}

/// Payload of [`kind::CONTEXT_MADE`] and [`kind::CONTEXT_ENDED`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContextLife {
    /// Address of the one that was made, or has ended.
    pub context: u64,
    /// How many such records its process was to have before this one, so that one that found no room shows; 0 at the first.
    pub number: u64,
}

/// Bytes of a [`Data`].
pub const DATA_LEN: usize = 24;
/// Bytes of a [`Close`].
pub const CLOSE_LEN: usize = 24;
/// Bytes of a [`Close`] of version 3, which has no positions.
pub const CLOSE_LEN_3: usize = 8;
/// Bytes of a [`Link`].
pub const LINK_LEN: usize = 72;
/// Bytes of a [`Link`] up to version 4, whose addresses are shorter.
pub const LINK_LEN_4: usize = 64;
/// Bytes of a [`Sent`].
pub const SENT_LEN: usize = 24;
/// Bytes of a [`Fork`].
pub const FORK_LEN: usize = 8;
/// Bytes of a [`ContextLife`].
pub const CONTEXT_LIFE_LEN: usize = 16;

macro_rules! layout {
    ($type:ident, $len:expr; $($field:ident at $at:literal),*) => {
        const _: () = assert!(core::mem::size_of::<$type>() == $len);
        const _: () = assert!(core::mem::align_of::<$type>() == 8);
        $(const _: () = assert!(core::mem::offset_of!($type, $field) == $at);)*
    };
}

layout!(RecordHeader, HEADER_LEN; abi at 0, kind at 2, source at 3, payload_len at 4, ts_ns at 8, conn at 16,
    epoch at 24, context at 32, tgid at 40, tid at 44, version at 48);
layout!(Data, DATA_LEN; pos at 0, len at 8, told at 16, slack_us at 20, direction at 22, flags at 23);
layout!(Close, CLOSE_LEN; why at 0, at at 8);
layout!(Link, LINK_LEN; socket at 0, socket_epoch at 8, evidence at 16, info at 24);
layout!(Sent, SENT_LEN; upto at 0, at_ns at 8, all at 16);
layout!(Fork, FORK_LEN; child at 0);
layout!(ContextLife, CONTEXT_LIFE_LEN; context at 0, number at 8);

/// Values of [`RecordHeader::kind`], and the moment of each one's stamp. Readers skip and count what they do not know.
pub mod kind {
    /// Stream bytes; fewer captured than [`super::Data::len`] means that the tail was not.
    ///
    /// Stamped: a read, at its return. A write, when the kernel sent its last byte, where the kernel says so and nothing
    /// of it is left to be sent; else at its return. Inside a TLS library a read at its return, a write of at most one TLS
    /// record when it began, a longer one at its return.
    pub const DATA: u8 = 1;
    /// A connection was seen for the first time, at this moment; that is its `epoch`.
    pub const CONN_OPEN: u8 = 2;
    /// The connection ended or half-ended, stamped when the hook saw it: the return of the call, or the change of
    /// the TCP state.
    pub const CONN_CLOSE: u8 = 3;
    /// A target forked, stamped inside of the call.
    pub const PROC_FORK: u8 = 4;
    /// A target called exec, stamped when the new program was in place.
    pub const PROC_EXEC: u8 = 5;
    /// The last thread of a target exited, stamped before it lets go of its descriptors.
    pub const PROC_EXIT: u8 = 6;
    /// A TLS object was seen to use a socket; stamped as the bytes that showed it.
    pub const CONN_LINK: u8 = 7;
    /// A target mapped something executable: a library may be new. Stamped at the call's return.
    pub const PROC_MMAP: u8 = 8;
    /// Bytes that the kernel held back ([`super::flag::HELD`]) were seen to have gone, at this moment; when they went
    /// is [`super::Sent::at_ns`].
    pub const SENT: u8 = 9;
    /// A process is a target no more, though it lives. The programs never write it, the agent does.
    pub const PROC_RELEASE: u8 = 10;
    /// What the hits of one number mean ([`crate::hit::Spec`]). As the one before, written by the agent only.
    pub const PROBE_SPEC: u8 = 11;
    /// A thread of a target has come to a probe that a rule put there ([`crate::hit::Hit`]), at this moment.
    pub const PROBE_HIT: u8 = 12;
    /// What can run on a thread was made: a context of Python's, a goroutine. The header's `context` is what ran then and made
    /// it. Stamped inside of the function that makes it.
    pub const CONTEXT_MADE: u8 = 13;
    /// One has ended, and its address may be another's from now on. The header's `context` is what ran then. Stamped inside
    /// of the function that frees it.
    pub const CONTEXT_ENDED: u8 = 14;
    /// An option of a connection was set on which nothing has passed yet, by a thread of Python's whose context is known: a
    /// server that is told of a new connection does so. Stamped at the call's return.
    pub const CONN_TUNED: u8 = 15;
    /// A thread of a target has exited that has come to a probe at which something begins, and others of its process live.
    pub const THREAD_EXIT: u8 = 16;
    /// A process, a target or not, begins to listen on a TCP socket ([`crate::KernelConfig::tells_listeners`]). Stamped
    /// inside of the call.
    pub const PROC_LISTEN: u8 = 17;
    /// A TLS library announces a secret of a connection ([`crate::secret::Secret`]), stamped inside of the call. The core never
    /// gets it, and no recording has it.
    pub const SECRET: u8 = 18;
}

/// Values of [`Data::direction`], from the target's point of view.
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
    /// A probe that a rule put into a program.
    pub const PROBE: u8 = 5;
    /// A function of a program's runtime.
    pub const RUNTIME: u8 = 6;
}

/// Bits of [`Data::flags`].
pub mod flag {
    /// The bytes passed by uncaptured by design (`sendfile`, `splice`, `MSG_TRUNC`).
    pub const BYPASS: u8 = 1;
    /// Copying from the target's memory failed.
    pub const FAULT: u8 = 2;
    /// Past the limit of bytes, iovecs or messages copied for one call.
    pub const OVER_LIMIT: u8 = 4;
    /// Outbound: the thread (in Go programs the goroutine) that writes has read all that was read here since the write
    /// before, by calls that wait for bytes, and has not waited for several things at once since (`poll`, `select`,
    /// `epoll_wait`). Without it nothing is known.
    pub const STRAIGHT: u8 = 8;
    /// Outbound: at the call's end the kernel had not sent all of it. `told` is the position
    /// up to which it had, its low 32 bits.
    pub const HELD: u8 = 16;
    /// Inbound: `told` is for how many us the last bytes that had come had lain in the socket.
    pub const WAITED: u8 = 32;
    /// With [`WAITED`]: not exactly known; `slack_us` says how well.
    pub const COARSE: u8 = 128;
}

/// Values of [`Link::evidence`].
pub mod evidence {
    /// A call inside the object's function moved bytes of the socket.
    pub const CALL: u64 = 0;
    /// What the thread sent next, and its length.
    pub const LENGTHS: u64 = 1;
    /// A secret of the object opened what passed on the socket. The programs never write it, the agent does.
    pub const SECRET: u64 = 2;
}

/// Values of [`Close::why`].
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
