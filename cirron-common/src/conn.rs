//! What the kernel side knows of a connection.

use crate::record::direction;

/// Payload of a `CONN_OPEN` record. Absent facts are 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnInfo {
    /// `AF_INET` (2), `AF_INET6` (10) or `AF_UNIX` (1).
    pub family: u16,
    /// One of [`role`]: by the call that began it, or, of one that is `late`, by what the kernel keeps of it.
    pub role: u8,
    /// 1 where the connection existed before we saw it, so that its start is unknown.
    pub late: u8,
    /// Host-endian; 0 where there is none.
    pub local_port: u16,
    /// Host-endian; 0 where there is none.
    pub peer_port: u16,
    /// Network order; an IPv4 address takes the first four bytes.
    pub local_addr: [u8; 16],
    /// As `local_addr`. Of a Unix socket that was accepted the inode number of the socket which connected, 8 bytes.
    pub peer_addr: [u8; 16],
    /// Number of the network namespace that the socket is in.
    pub netns: u32,
    /// Of a TCP connection that was accepted or connected: the sequence number of the first byte that the end which
    /// connected sends. Both ends know it, and another connection of the same addresses has another one.
    pub first_seq: u32,
}

/// Bytes of a [`ConnInfo`].
pub const CONN_INFO_LEN: usize = 48;
/// The same up to version 4 of the records, which had neither namespace nor sequence number.
pub const CONN_INFO_LEN_4: usize = 40;
const _: () = assert!(core::mem::size_of::<ConnInfo>() == CONN_INFO_LEN);

/// Values of [`ConnInfo::role`].
pub mod role {
    /// Not known.
    pub const UNKNOWN: u8 = 0;
    /// The target accepted it.
    pub const ACCEPTED: u8 = 1;
    /// The target connected.
    pub const CONNECTED: u8 = 2;
}

/// How far the two directions of a stream have come.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    /// Bytes read so far.
    pub inbound: u64,
    /// Bytes written so far.
    pub outbound: u64,
}

impl Positions {
    /// Of a stream that has moved nothing.
    pub const START: Positions = Positions {
        inbound: 0,
        outbound: 0,
    };

    /// Of a stream whose bytes nobody counted.
    pub const UNKNOWN: Positions = Positions {
        inbound: u64::MAX,
        outbound: u64::MAX,
    };

    /// `None` of [`Positions::UNKNOWN`].
    pub const fn known(self) -> Option<Positions> {
        if self.inbound == u64::MAX || self.outbound == u64::MAX {
            None
        } else {
            Some(self)
        }
    }

    /// `len` bytes pass in a [`direction`]. Gives where they begin.
    #[inline(always)]
    pub const fn advance(&mut self, direction: u8, len: u64) -> u64 {
        let pos = if direction == direction::INBOUND {
            &mut self.inbound
        } else {
            &mut self.outbound
        };
        let begin = *pos;
        *pos = begin + len;
        begin
    }

    /// Nothing has passed.
    #[inline(always)]
    pub const fn is_start(&self) -> bool {
        self.inbound + self.outbound == 0
    }
}

/// Value of the connection map, key: socket inode number.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnState {
    /// When it was first seen, monotonic ns; part of every record's key.
    pub epoch: u64,
    /// Where its bytes stand.
    pub at: Positions,
    /// Last tgid that used it.
    pub tgid: u32,
    /// Last descriptor that used it.
    pub fd: i32,
    /// Its `struct file *`, which counts who holds it. It may be freed, and be another file's by now.
    pub file: u64,
    /// One of the address families of [`ConnInfo::family`].
    pub family: u32,
    /// 1: the kernel has taken bytes and not sent them, as far as is known.
    pub held: u32,
    /// Its `struct tcp_sock`; 0: it has none, or this kernel's is not known.
    pub tcp: u64,
    /// When the last bytes came that a read has found, monotonic ns; 0: not known.
    pub arrived_ns: u64,
    /// The clock of the TCP connection as the read under way found it; 0: not noted.
    pub clock_ns: u64,
    /// Where `held` is not 0, the position in `at.outbound` up to which the kernel has sent.
    pub sent_pos: u64,
    /// When that was last so, monotonic ns.
    pub held_ns: u64,
    /// Segments with data that had been sent then.
    pub held_segments: u32,
    /// Bits of [`crate::record::flag`] that belong to `arrived_ns`.
    pub arrived_flags: u32,
    /// Who has read of it.
    pub turn: Turn,
}

const _: () = assert!(core::mem::size_of::<ConnState>() == 120);

/// Who has read since the last write, of a socket or of an object of Go's.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// A context as in a record, or `tgid << 32 | tid`.
    pub reader: u64,
    /// Its turn then: the value of [`crate::maps::TURNS`].
    pub began_ns: u64,
    /// Bits of [`turn`].
    pub bits: u64,
}

impl Turn {
    /// Nobody.
    pub const NONE: Turn = Turn {
        reader: 0,
        began_ns: 0,
        bits: 0,
    };
}

/// Bits of [`Turn::bits`].
pub mod turn {
    /// `reader` has read all that was read since the last write, in one turn.
    pub const WHOLE: u64 = 1;
    /// Somebody else has read as well, or it was read in several turns, or by a call that does not wait.
    pub const MIXED: u64 = 2;
    /// It was written since: the next read begins anew.
    pub const WRITTEN: u64 = 4;
}

/// Who runs: key of [`crate::maps::TURNS`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runner {
    /// A context as in a record; 0: the thread.
    pub context: u64,
    /// As the helper gives them; of a context without the thread.
    pub pid_tgid: u64,
}

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, no padding (asserted by its size), every bit pattern is valid.
unsafe impl aya::Pod for ConnState {}

/// What the program `socket_check` returns of a connection: one of these, or [`held::RELEASED`] and how
/// many hold its socket: descriptors, messages that it is passed in, calls that it is used by.
pub mod held {
    /// It is not in the map, or the map's is of another generation.
    pub const UNKNOWN: u32 = 0;
    /// Nobody holds it: it is closed.
    pub const RELEASED: u32 = 1;
    /// Holders are not counted further.
    pub const MAX_HOLDERS: u32 = 1_000;
}

/// Whether bytes that were held and `others` behind them left together, where all of them were sent in `segments` of `mss`
/// bytes at most: certain where the two would have made more segments apart. Two that fill more than one segment between
/// them may make as many either way.
#[inline(always)]
pub const fn share_a_segment(segments: u32, held: u64, others: u64, mss: u32) -> bool {
    let mss = mss as u64;
    mss != 0 && (segments as u64) < held.div_ceil(mss) + others.div_ceil(mss)
}

#[cfg(test)]
mod tests {
    use super::{Positions, direction, share_a_segment};

    #[test]
    fn bytes_left_together_where_apart_they_would_have_made_more_segments() {
        // One segment for both, or one each: a timer or an acknowledgement let the first go.
        assert!(share_a_segment(1, 100, 50, 1448));
        assert!(!share_a_segment(2, 100, 50, 1448));
        // What was held is the head of a full segment.
        assert!(share_a_segment(1, 1000, 448, 1448));
        // Two segments either way.
        assert!(!share_a_segment(2, 1000, 500, 1448));
        // A long write.
        assert!(share_a_segment(139, 100, 200_000, 1448));
        assert!(!share_a_segment(140, 100, 200_000, 1448));
        // A segment that was sent again counts: nothing is concluded.
        assert!(!share_a_segment(3, 100, 50, 1448));
        assert!(!share_a_segment(0, 100, 50, 0), "not known");
    }

    #[test]
    fn only_positions_that_somebody_counted_are_known() {
        assert_eq!(Positions::UNKNOWN.known(), None);
        assert_eq!(Positions::START.known(), Some(Positions::START));
    }

    #[test]
    fn each_direction_has_a_position_of_its_own() {
        let mut at = Positions::START;
        assert!(at.is_start());
        assert_eq!(at.advance(direction::INBOUND, 5), 0);
        assert!(!at.is_start());
        assert_eq!(at.advance(direction::OUTBOUND, 7), 0);
        assert_eq!(at.advance(direction::INBOUND, 1), 5);
        assert_eq!((at.inbound, at.outbound), (6, 7));
    }
}
