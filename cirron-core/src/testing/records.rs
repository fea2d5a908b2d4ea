//! Records as the kernel side writes them, made by hand.

use cirron_common::conn::{ConnInfo, role};
use cirron_common::record::{HEADER_LEN, flag, kind, source};
use cirron_common::{ABI_VERSION, RecordHeader};

use crate::stream::Direction;

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

impl ConnRecords {
    fn header(&self, kind: u8, ts_ns: u64) -> RecordHeader {
        RecordHeader {
            abi: ABI_VERSION,
            kind,
            source: self.source,
            ts_ns,
            conn: self.conn,
            epoch: self.epoch,
            tgid: TGID,
            tid: TGID,
            ..RecordHeader::default()
        }
    }

    /// `CONN_OPEN`: accepted, IPv4.
    pub fn open(&self, ts_ns: u64) -> Vec<u8> {
        let info = ConnInfo {
            family: 2,
            role: role::ACCEPTED,
            local_port: 8000,
            peer_port: 40_000,
            ..ConnInfo::default()
        };
        let mut payload = info.family.to_ne_bytes().to_vec();
        payload.extend([info.role, info.late]);
        payload.extend(info.local_port.to_ne_bytes());
        payload.extend(info.peer_port.to_ne_bytes());
        payload.extend(info.local_addr);
        payload.extend(info.peer_addr);
        bytes(&self.header(kind::CONN_OPEN, ts_ns), &payload)
    }

    /// `DATA` at `pos`; `orig_len` bytes went by, `payload` was captured.
    pub fn data(
        &self,
        direction: Direction,
        pos: u64,
        ts_ns: u64,
        payload: &[u8],
        orig_len: u64,
    ) -> Vec<u8> {
        use cirron_common::record::direction::{INBOUND, OUTBOUND};
        let mut header = self.header(kind::DATA, ts_ns);
        header.direction = match direction {
            Direction::Inbound => INBOUND,
            Direction::Outbound => OUTBOUND,
        };
        header.pos = pos;
        header.orig_len = orig_len;
        bytes(&header, payload)
    }

    /// `DATA` that was written whole, of which the kernel had sent what lies before `sent`.
    pub fn held(&self, pos: u64, ts_ns: u64, payload: &[u8], sent: u64) -> Vec<u8> {
        let mut header = self.header(kind::DATA, ts_ns);
        header.direction = cirron_common::record::direction::OUTBOUND;
        header.flags = flag::HELD;
        header.pos = pos;
        header.orig_len = payload.len() as u64;
        header.told = low(sent);
        bytes(&header, payload)
    }

    /// `SENT`: what lay before `pos` has gone, `at_ns` or, 0, before this record; `all`: nothing is held.
    pub fn sent(&self, ts_ns: u64, pos: u64, at_ns: u64, all: bool) -> Vec<u8> {
        let mut header = self.header(kind::SENT, ts_ns);
        header.direction = cirron_common::record::direction::OUTBOUND;
        header.flags = if all { flag::ALL } else { 0 };
        header.pos = pos;
        header.orig_len = at_ns;
        bytes(&header, &[])
    }

    /// `DATA` that was read whole, and had lain in the socket for `waited_us`; `slack_us`: how well that is known.
    pub fn waited(
        &self,
        pos: u64,
        ts_ns: u64,
        payload: &[u8],
        waited_us: u32,
        slack_us: u16,
    ) -> Vec<u8> {
        let mut header = self.header(kind::DATA, ts_ns);
        header.direction = cirron_common::record::direction::INBOUND;
        header.flags = flag::WAITED | if slack_us > 0 { flag::COARSE } else { 0 };
        header.pos = pos;
        header.orig_len = payload.len() as u64;
        header.told = waited_us;
        header.slack_us = slack_us;
        bytes(&header, payload)
    }

    /// `CONN_LINK`: this object uses `socket`.
    pub fn link(&self, ts_ns: u64, socket: &ConnRecords) -> Vec<u8> {
        let mut header = self.header(kind::CONN_LINK, ts_ns);
        header.orig_len = socket.conn;
        header.pos = socket.epoch;
        bytes(&header, &[0; cirron_common::conn::CONN_INFO_LEN])
    }

    /// `CONN_CLOSE` with one of `cirron_common::record::close`.
    pub fn close(&self, ts_ns: u64, why: u64) -> Vec<u8> {
        let mut header = self.header(kind::CONN_CLOSE, ts_ns);
        header.orig_len = why;
        bytes(&header, &[])
    }
}

/// The low half of a position.
fn low(pos: u64) -> u32 {
    u32::try_from(pos & u64::from(u32::MAX)).unwrap_or_default()
}

/// `PROC_EXIT` of [`TGID`].
pub fn exit(ts_ns: u64) -> Vec<u8> {
    process(kind::PROC_EXIT, TGID, ts_ns)
}

/// `PROC_RELEASE` of a process.
pub fn release(tgid: u32, ts_ns: u64) -> Vec<u8> {
    process(kind::PROC_RELEASE, tgid, ts_ns)
}

fn process(kind: u8, tgid: u32, ts_ns: u64) -> Vec<u8> {
    let header = RecordHeader {
        abi: ABI_VERSION,
        kind,
        source: source::PROCESS,
        ts_ns,
        tgid,
        tid: tgid,
        ..RecordHeader::default()
    };
    bytes(&header, &[])
}

/// A record's bytes; `cap_len` is that of the payload.
pub fn bytes(header: &RecordHeader, payload: &[u8]) -> Vec<u8> {
    let RecordHeader {
        abi,
        kind,
        direction,
        source,
        flags,
        slack_us,
        ts_ns,
        conn,
        epoch,
        pos,
        orig_len,
        cap_len: _,
        told,
        tgid,
        tid,
    } = *header;
    let mut out = Vec::with_capacity(HEADER_LEN + payload.len());
    out.extend(abi.to_ne_bytes());
    out.extend([kind, direction, source, flags]);
    out.extend(slack_us.to_ne_bytes());
    for word in [ts_ns, conn, epoch, pos, orig_len] {
        out.extend(word.to_ne_bytes());
    }
    out.extend(
        u32::try_from(payload.len())
            .unwrap_or(u32::MAX)
            .to_ne_bytes(),
    );
    out.extend(told.to_ne_bytes());
    out.extend(tgid.to_ne_bytes());
    out.extend(tid.to_ne_bytes());
    out.extend_from_slice(payload);
    out
}
