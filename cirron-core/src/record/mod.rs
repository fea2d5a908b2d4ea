//! Records: a checked view of the bytes that came from the kernel.
//!
//! Any bytes give a [`Record`] or a [`DecodeError`]; nothing here trusts a length or a kind. A record has one shape for all
//! who read it, whichever version of the programs wrote it: [`current`] knows how today's lie, [`old`] how those of
//! recordings do. It interprets nothing: what a record means for a connection is the engine's.

mod current;
mod direction;
mod old;
mod probe;
mod secret;

use cirron_common::conn::{CONN_INFO_LEN, CONN_INFO_LEN_4, ConnInfo, Positions};
use cirron_common::reads_abi;
use cirron_common::record::source;

pub use current::encode;
pub use direction::Direction;
pub use probe::{Hit, HitParts, Spec, Text, Value};
pub use secret::Secret;

use crate::time::MonoNs;

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Shorter than a header.
    #[error("record of {0} bytes is shorter than its header")]
    Short(usize),
    /// Written by another version of the programs.
    #[error("record of abi version {0}")]
    Abi(u16),
    /// The payload is shorter than the header says, or than its kind needs.
    #[error("record promises {promised} bytes of payload and has {present}")]
    Payload {
        /// What the header says, or the kind.
        promised: usize,
        /// Bytes after the header.
        present: usize,
    },
    /// Of no kind that we know.
    #[error("record of kind {0}")]
    Kind(u8),
    /// Stream bytes that went in no direction.
    #[error("record of direction {0}")]
    Direction(u8),
}

/// What all records have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// When; which moment that is, `cirron_common::record::kind` says.
    pub ts: MonoNs,
    /// One of `cirron_common::record::source`.
    pub source: u8,
    /// The connection: inode number of its socket or address of its object; 0: it is about a process.
    pub conn: u64,
    /// The connection's generation.
    pub epoch: u64,
    /// What ran on the thread, where that is known: a goroutine's address, or that of a context of Python's; 0: the thread is
    /// all that is known.
    pub context: u64,
    /// Of Python's contexts: what the thread counts up whenever it enters or leaves one; 0: what ran is none.
    pub version: u64,
    /// Process id.
    pub tgid: u32,
    /// Thread id.
    pub tid: u32,
}

impl Head {
    /// The connection and its generation.
    pub fn key(&self) -> (u64, u64) {
        (self.conn, self.epoch)
    }

    /// The goroutine that made it, where that is known.
    pub fn goroutine(&self) -> Option<u64> {
        (self.context != 0 && self.version == 0).then_some(self.context)
    }

    /// The process that did what this record tells. A TCP state changes for whoever used the socket last, who may
    /// have ended long ago.
    pub fn actor(&self) -> Option<u32> {
        (self.tgid != 0 && self.source != source::TCP_STATE).then_some(self.tgid)
    }
}

/// Stream bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    /// Position of the first.
    pub pos: u64,
    /// How many went by.
    pub len: u64,
    /// Where to.
    pub direction: Direction,
    /// Bits of `cirron_common::record::flag`.
    pub flags: u8,
    /// See the flags.
    pub told: u32,
    /// See the flags.
    pub slack_us: u16,
    /// Those that were captured: a prefix.
    pub bytes: &'a [u8],
}

/// A TLS object uses a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The socket and its generation.
    pub socket: (u64, u64),
    /// One of `cirron_common::record::evidence`.
    pub evidence: u64,
    /// The socket's addresses.
    pub info: ConnInfo,
}

/// What a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// Stream bytes.
    Data(Data<'a>),
    /// A connection is seen for the first time.
    Open(ConnInfo),
    /// A connection ended or half-ended.
    Close {
        /// One of `cirron_common::record::close`.
        why: u64,
        /// The bytes before these positions had passed; `None`: how many had is not known.
        at: Option<Positions>,
    },
    /// A TLS object uses a socket.
    Link(Link),
    /// Bytes that the kernel held back have gone.
    Sent {
        /// Those before this position.
        upto: u64,
        /// When the last of them went; `None`: at some time before the record.
        at: Option<MonoNs>,
        /// Nothing is held any more.
        all: bool,
    },
    /// An option of a connection was set on which nothing has passed.
    Tuned,
    /// What can run on a thread was made, by what ran there.
    ContextMade {
        /// Its address.
        context: u64,
        /// Such records of its process before this one.
        number: u64,
    },
    /// What could run on a thread has ended.
    ContextEnded {
        /// Its address.
        context: u64,
        /// Such records of its process before this one.
        number: u64,
    },
    /// A target forked.
    Fork {
        /// The child's process id.
        child: u64,
    },
    /// A target called exec.
    Exec,
    /// The last thread of a target exited.
    Exit,
    /// A thread exited that may have scopes open, and others of its process live.
    ThreadExit,
    /// A process, a target or not, begins to listen on a socket.
    Listen,
    /// A target mapped something executable.
    Mmap,
    /// A process is a target no more, though it lives.
    Release,
    /// A TLS library announced a secret of a connection. The shell's; the engine is never told.
    Secret(Secret<'a>),
    /// What the hits of a probe mean.
    Spec(Spec<'a>),
    /// A thread came to a probe that a rule put there.
    Hit(Hit<'a>),
}

/// A record, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What all have.
    pub head: Head,
    /// What it tells.
    pub body: Body<'a>,
}

impl<'a> Record<'a> {
    /// Checks and views `bytes`.
    pub fn decode(bytes: &'a [u8]) -> Result<Record<'a>, DecodeError> {
        let abi = bytes
            .first_chunk()
            .map(|b| u16::from_ne_bytes(*b))
            .ok_or(DecodeError::Short(bytes.len()))?;
        match abi {
            abi if !reads_abi(abi) => Err(DecodeError::Abi(abi)),
            old::FIRST | old::HELD => old::decode(bytes),
            _ => current::decode(abi, bytes),
        }
    }
}

/// Reads numbers of a fixed part whose length was checked.
struct Fixed<'a>(&'a [u8]);

impl Fixed<'_> {
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let bytes = self.0.get(at..).and_then(|rest| rest.first_chunk());
        // Every place lies within a part that was checked, or behind one that older programs wrote.
        bytes.copied().unwrap_or([0; N])
    }

    fn u8(&self, at: usize) -> u8 {
        u8::from_ne_bytes(self.array(at))
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_ne_bytes(self.array(at))
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.array(at))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.array(at))
    }

    fn conn_info(&self, at: usize) -> ConnInfo {
        ConnInfo {
            family: self.u16(at),
            role: self.u8(at + 2),
            late: self.u8(at + 3),
            local_port: self.u16(at + 4),
            peer_port: self.u16(at + 6),
            local_addr: self.array(at + 8),
            peer_addr: self.array(at + 24),
            // Nothing is there in records of before version 5.
            netns: self.u32(at + CONN_INFO_LEN_4),
            first_seq: self.u32(at + CONN_INFO_LEN_4 + 4),
        }
    }
}

/// The first `len` bytes of a payload, and the rest.
fn fixed(payload: &[u8], len: usize) -> Result<(Fixed<'_>, &[u8]), DecodeError> {
    match payload.split_at_checked(len) {
        Some((fixed, rest)) => Ok((Fixed(fixed), rest)),
        None => Err(DecodeError::Payload {
            promised: len,
            present: payload.len(),
        }),
    }
}

fn conn_info(payload: &[u8]) -> Result<ConnInfo, DecodeError> {
    let len = match payload.len() {
        CONN_INFO_LEN_4 => CONN_INFO_LEN_4,
        _ => CONN_INFO_LEN,
    };
    Ok(fixed(payload, len)?.0.conn_info(0))
}

fn direction_of(number: u8) -> Result<Direction, DecodeError> {
    use cirron_common::record::direction::{INBOUND, OUTBOUND};
    match number {
        INBOUND => Ok(Direction::Inbound),
        OUTBOUND => Ok(Direction::Outbound),
        other => Err(DecodeError::Direction(other)),
    }
}

#[cfg(test)]
mod tests;
