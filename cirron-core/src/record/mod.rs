//! Records: a checked view of the bytes that came from the kernel.
//!
//! Any bytes give a [`Record`] or a [`DecodeError`]; nothing here trusts a length or a kind.

use cirron_common::conn::{CONN_INFO_LEN, ConnInfo};
use cirron_common::record::HEADER_LEN;
use cirron_common::{RecordHeader, reads_abi};

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Shorter than a header.
    #[error("record of {0} bytes is shorter than its header")]
    Short(usize),
    /// Written by another version of the programs.
    #[error("record of abi version {0}")]
    Abi(u16),
    /// The payload is shorter than the header says.
    #[error("record promises {promised} bytes of payload and has {present}")]
    Payload {
        /// `cap_len`
        promised: usize,
        /// Bytes after the header.
        present: usize,
    },
}

/// A header and its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The fixed part.
    pub header: RecordHeader,
    /// `cap_len` bytes.
    pub payload: &'a [u8],
}

impl<'a> Record<'a> {
    /// Checks and views `bytes`.
    pub fn decode(bytes: &'a [u8]) -> Result<Record<'a>, DecodeError> {
        let Some((head, rest)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(DecodeError::Short(bytes.len()));
        };
        let u16_at = |i: usize| u16::from_ne_bytes([head[i], head[i + 1]]);
        let u32_at =
            |i: usize| u32::from_ne_bytes([head[i], head[i + 1], head[i + 2], head[i + 3]]);
        let u64_at = |i: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&head[i..i + 8]);
            u64::from_ne_bytes(word)
        };
        let header = RecordHeader {
            abi: u16_at(0),
            kind: head[2],
            direction: head[3],
            source: head[4],
            flags: head[5],
            slack_us: u16_at(6),
            ts_ns: u64_at(8),
            conn: u64_at(16),
            epoch: u64_at(24),
            pos: u64_at(32),
            orig_len: u64_at(40),
            cap_len: u32_at(48),
            told: u32_at(52),
            tgid: u32_at(56),
            tid: u32_at(60),
        };
        if !reads_abi(header.abi) {
            return Err(DecodeError::Abi(header.abi));
        }
        let promised = header.cap_len as usize;
        let payload = rest.get(..promised).ok_or(DecodeError::Payload {
            promised,
            present: rest.len(),
        })?;
        Ok(Record { header, payload })
    }

    /// The payload of a `CONN_OPEN` record.
    pub fn conn_info(&self) -> Option<ConnInfo> {
        let p = self.payload.first_chunk::<CONN_INFO_LEN>()?;
        let u16_at = |i: usize| u16::from_ne_bytes([p[i], p[i + 1]]);
        let mut info = ConnInfo {
            family: u16_at(0),
            role: p[2],
            late: p[3],
            local_port: u16_at(4),
            peer_port: u16_at(6),
            ..ConnInfo::default()
        };
        info.local_addr.copy_from_slice(&p[8..24]);
        info.peer_addr.copy_from_slice(&p[24..40]);
        Some(info)
    }
}
