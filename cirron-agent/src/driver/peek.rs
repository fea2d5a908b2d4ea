//! The few fields of a record that the shell itself looks at; decoding is the core's.

use std::mem::offset_of;

use cirron_common::record::{HEADER_LEN, kind, source};
use cirron_common::{ABI_VERSION, RecordHeader, reads_abi};
use cirron_core::time::MonoNs;

/// Of a record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peek {
    /// One of `cirron_common::record::kind`.
    pub kind: u8,
    /// One of `cirron_common::record::source`.
    pub source: u8,
    /// When.
    pub ts: MonoNs,
    /// The connection's inode number, and its generation.
    pub conn: u64,
    /// See `conn`.
    pub epoch: u64,
    /// Of a fork: the child. Of an end: one of `cirron_common::record::close`.
    pub orig_len: u64,
    /// Process id.
    pub tgid: u32,
}

impl Peek {
    /// The process that did what this record tells. A TCP state changes for whoever used the socket last, who may
    /// have ended long ago.
    pub fn actor(&self) -> Option<u32> {
        (self.tgid != 0 && self.source != source::TCP_STATE).then_some(self.tgid)
    }

    /// `None` where this is no record of our version; the core counts those.
    pub fn of(record: &[u8]) -> Option<Peek> {
        let header: &[u8; HEADER_LEN] = record.get(..HEADER_LEN)?.try_into().ok()?;
        let u16_at = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
        if !reads_abi(u16_at(offset_of!(RecordHeader, abi))) {
            return None;
        }
        let u64_at = |at: usize| Some(u64::from_ne_bytes(header.get(at..at + 8)?.try_into().ok()?));
        let tgid = offset_of!(RecordHeader, tgid);
        Some(Peek {
            kind: header[offset_of!(RecordHeader, kind)],
            source: header[offset_of!(RecordHeader, source)],
            ts: MonoNs(u64_at(offset_of!(RecordHeader, ts_ns))?),
            conn: u64_at(offset_of!(RecordHeader, conn))?,
            epoch: u64_at(offset_of!(RecordHeader, epoch))?,
            orig_len: u64_at(offset_of!(RecordHeader, orig_len))?,
            tgid: u32::from_ne_bytes(header.get(tgid..tgid + 4)?.try_into().ok()?),
        })
    }
}

/// A record of ours about a process, as the kernel side would have written it: for an exit whose
/// event was lost.
pub fn process_record(kind: u8, tgid: u32, ts: MonoNs) -> Vec<u8> {
    let mut record = record(kind, source::PROCESS, ts);
    put(
        &mut record,
        offset_of!(RecordHeader, tgid),
        &tgid.to_ne_bytes(),
    );
    put(
        &mut record,
        offset_of!(RecordHeader, tid),
        &tgid.to_ne_bytes(),
    );
    record
}

/// A record of ours about a connection's end, or that it is held: what was asked for, not seen. `why`: one
/// of `cirron_common::record::close`.
pub fn end_record((conn, epoch): (u64, u64), why: u64, ts: MonoNs) -> Vec<u8> {
    let mut record = record(kind::CONN_CLOSE, source::SOCKET, ts);
    let fields = [
        (offset_of!(RecordHeader, conn), conn),
        (offset_of!(RecordHeader, epoch), epoch),
        (offset_of!(RecordHeader, orig_len), why),
    ];
    for (at, value) in fields {
        put(&mut record, at, &value.to_ne_bytes());
    }
    record
}

fn record(kind: u8, of: u8, ts: MonoNs) -> Vec<u8> {
    let mut record = vec![0; HEADER_LEN];
    put(
        &mut record,
        offset_of!(RecordHeader, abi),
        &ABI_VERSION.to_ne_bytes(),
    );
    put(&mut record, offset_of!(RecordHeader, kind), &[kind]);
    put(&mut record, offset_of!(RecordHeader, source), &[of]);
    put(
        &mut record,
        offset_of!(RecordHeader, ts_ns),
        &ts.0.to_ne_bytes(),
    );
    record
}

fn put(record: &mut [u8], at: usize, bytes: &[u8]) {
    record[at..at + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use cirron_common::record::close;

    #[test]
    fn what_is_put_is_peeked_and_foreign_bytes_are_not() {
        let record = process_record(kind::PROC_EXIT, 7, MonoNs(9));
        let want = Peek {
            kind: kind::PROC_EXIT,
            source: source::PROCESS,
            ts: MonoNs(9),
            conn: 0,
            epoch: 0,
            orig_len: 0,
            tgid: 7,
        };
        assert_eq!(Peek::of(&record), Some(want));
        let end = Peek::of(&end_record((4, 5), close::HELD, MonoNs(9)));
        let want = Peek {
            kind: kind::CONN_CLOSE,
            source: source::SOCKET,
            conn: 4,
            epoch: 5,
            orig_len: close::HELD,
            tgid: 0,
            ..want
        };
        assert_eq!(end, Some(want));
        assert_eq!(Peek::of(&record[..HEADER_LEN - 1]), None);
        assert_eq!(Peek::of(&[0xee; HEADER_LEN]), None);
    }
}
