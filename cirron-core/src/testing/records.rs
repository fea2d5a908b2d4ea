//! Records as the kernel side writes them, made by hand.

use cirron_common::conn::{ConnInfo, role};
use cirron_common::record::{HEADER_LEN, kind, source};
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
            fd: 9,
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

    /// `CONN_CLOSE` with one of `cirron_common::record::close`.
    pub fn close(&self, ts_ns: u64, why: u64) -> Vec<u8> {
        let mut header = self.header(kind::CONN_CLOSE, ts_ns);
        header.orig_len = why;
        bytes(&header, &[])
    }
}

/// `PROC_EXIT` of [`TGID`].
pub fn exit(ts_ns: u64) -> Vec<u8> {
    let header = RecordHeader {
        abi: ABI_VERSION,
        kind: kind::PROC_EXIT,
        source: source::PROCESS,
        ts_ns,
        fd: -1,
        tgid: TGID,
        tid: TGID,
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
        syscall,
        ts_ns,
        conn,
        epoch,
        pos,
        orig_len,
        cap_len: _,
        fd,
        tgid,
        tid,
    } = *header;
    let mut out = Vec::with_capacity(HEADER_LEN + payload.len());
    out.extend(abi.to_ne_bytes());
    out.extend([kind, direction, source, flags]);
    out.extend(syscall.to_ne_bytes());
    for word in [ts_ns, conn, epoch, pos, orig_len] {
        out.extend(word.to_ne_bytes());
    }
    out.extend(
        u32::try_from(payload.len())
            .unwrap_or(u32::MAX)
            .to_ne_bytes(),
    );
    out.extend(fd.to_ne_bytes());
    out.extend(tgid.to_ne_bytes());
    out.extend(tid.to_ne_bytes());
    out.extend_from_slice(payload);
    out
}
