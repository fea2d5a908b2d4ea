//! Records as the kernel side writes them, made by hand.

use cirron_common::conn::{ConnInfo, Positions, role};
use cirron_common::record::{evidence, flag, source};

use crate::record::{Body, Data, Direction, Head, Link, Record, encode};
use crate::time::MonoNs;

/// The process of these records.
pub const TGID: u32 = 42;

/// A connection that was accepted from the start, and its records.
#[derive(Clone, Copy, Debug)]
pub struct ConnRecords {
    /// Inode number of its socket.
    pub conn: u64,
    /// Its generation.
    pub epoch: u64,
    /// One of `cirron_common::record::source`.
    pub source: u8,
}

/// Of an IPv4 connection that was accepted.
const INFO: ConnInfo = ConnInfo {
    family: 2,
    role: role::ACCEPTED,
    late: 0,
    local_port: 8000,
    peer_port: 40_000,
    local_addr: [0; 16],
    peer_addr: [0; 16],
    netns: 0,
    first_seq: 0,
};

impl ConnRecords {
    /// Of a socket.
    pub const fn socket(inode: u64) -> ConnRecords {
        ConnRecords {
            conn: inode,
            epoch: 100,
            source: source::SOCKET,
        }
    }

    fn record(&self, ts_ns: u64, body: Body<'_>) -> Vec<u8> {
        let head = Head {
            ts: MonoNs(ts_ns),
            source: self.source,
            conn: self.conn,
            epoch: self.epoch,
            context: 0,
            version: 0,
            tgid: TGID,
            tid: TGID,
        };
        encode(&Record { head, body })
    }

    /// `CONN_OPEN`: accepted, IPv4.
    pub fn open(&self, ts_ns: u64) -> Vec<u8> {
        self.record(ts_ns, Body::Open(INFO))
    }

    /// `DATA` at `pos`; `len` bytes went by, `bytes` were captured.
    pub fn data(
        &self,
        direction: Direction,
        pos: u64,
        ts_ns: u64,
        bytes: &[u8],
        len: u64,
    ) -> Vec<u8> {
        let data = Data {
            len,
            ..whole(direction, pos, bytes)
        };
        self.record(ts_ns, Body::Data(data))
    }

    /// `DATA` that was written whole, of which the kernel had sent what lies before `sent`.
    pub fn held(&self, pos: u64, ts_ns: u64, bytes: &[u8], sent: u64) -> Vec<u8> {
        let data = Data {
            flags: flag::HELD,
            told: low(sent),
            ..whole(Direction::Outbound, pos, bytes)
        };
        self.record(ts_ns, Body::Data(data))
    }

    /// `SENT`: what lay before `pos` has gone, `at_ns` or, 0, before this record; `all`: nothing is held.
    pub fn sent(&self, ts_ns: u64, pos: u64, at_ns: u64, all: bool) -> Vec<u8> {
        let at = (at_ns != 0).then_some(MonoNs(at_ns));
        let upto = pos;
        self.record(ts_ns, Body::Sent { upto, at, all })
    }

    /// `DATA` that was read whole, and had lain in the socket for `waited_us`; `slack_us`: how well that is known.
    pub fn waited(
        &self,
        pos: u64,
        ts_ns: u64,
        bytes: &[u8],
        waited_us: u32,
        slack_us: u16,
    ) -> Vec<u8> {
        let data = Data {
            flags: flag::WAITED | if slack_us > 0 { flag::COARSE } else { 0 },
            told: waited_us,
            slack_us,
            ..whole(Direction::Inbound, pos, bytes)
        };
        self.record(ts_ns, Body::Data(data))
    }

    /// `CONN_LINK`: this object uses `socket`.
    pub fn link(&self, ts_ns: u64, socket: &ConnRecords) -> Vec<u8> {
        let link = Link {
            socket: (socket.conn, socket.epoch),
            evidence: evidence::CALL,
            info: ConnInfo::default(),
        };
        self.record(ts_ns, Body::Link(link))
    }

    /// `CONN_CLOSE` with one of `cirron_common::record::close`.
    pub fn close(&self, ts_ns: u64, why: u64) -> Vec<u8> {
        self.record(ts_ns, Body::Close { why, at: None })
    }

    /// The same, with the number of bytes of each direction that had passed before the end.
    pub fn close_at(&self, ts_ns: u64, why: u64, inbound: u64, outbound: u64) -> Vec<u8> {
        let at = Some(Positions { inbound, outbound });
        self.record(ts_ns, Body::Close { why, at })
    }
}

/// Bytes that were captured whole.
fn whole(direction: Direction, pos: u64, bytes: &[u8]) -> Data<'_> {
    Data {
        pos,
        len: bytes.len() as u64,
        direction,
        flags: 0,
        told: 0,
        slack_us: 0,
        bytes,
    }
}

/// The low half of a position.
fn low(pos: u64) -> u32 {
    u32::try_from(pos & u64::from(u32::MAX)).unwrap_or_default()
}

/// A record about a process.
pub fn process(tgid: u32, ts_ns: u64, body: Body<'_>) -> Vec<u8> {
    let head = Head {
        ts: MonoNs(ts_ns),
        source: source::PROCESS,
        tgid,
        tid: tgid,
        ..Head::default()
    };
    encode(&Record { head, body })
}

/// `PROC_EXIT` of [`TGID`].
pub fn exit(ts_ns: u64) -> Vec<u8> {
    process(TGID, ts_ns, Body::Exit)
}

/// `PROC_RELEASE` of a process.
pub fn release(tgid: u32, ts_ns: u64) -> Vec<u8> {
    process(tgid, ts_ns, Body::Release)
}

/// The same record, by another process.
///
/// # Panics
/// Where these bytes are no record.
pub fn by(record: &[u8], tgid: u32) -> Vec<u8> {
    edited(record, |record| record.head.tgid = tgid)
}

/// The same record, but for what `edit` changes.
///
/// # Panics
/// Where these bytes are no record.
#[expect(clippy::expect_used, reason = "for tests")]
pub fn edited(record: &[u8], edit: impl FnOnce(&mut Record<'_>)) -> Vec<u8> {
    let mut record = Record::decode(record).expect("a record");
    edit(&mut record);
    encode(&record)
}
