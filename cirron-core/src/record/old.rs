//! Records of versions 1 and 2, which recordings have: one header of 64 bytes for all kinds.
//!
//! ```text
//! 0 abi u16   2 kind u8   3 direction u8   4 source u8   5 flags u8   6 slack_us u16
//! 8 ts_ns u64   16 conn u64   24 epoch u64   32 pos u64   40 orig_len u64
//! 48 cap_len u32   52 told u32   56 tgid u32   60 tid u32   64 payload
//! ```
//!
//! `orig_len` was the length of stream bytes, the cause of an end, a child, a socket, or a time, by the kind; `pos` a
//! position or a generation. Version 1 had a descriptor at 52 and a call's number at 6, and none of the flags
//! that give these a meaning. Nothing writes such records any more.

use cirron_common::record::{evidence, kind};

use super::{Body, Data, DecodeError, Fixed, Head, Link, Record, conn_info, direction_of};
use crate::time::MonoNs;

/// The first version.
pub(super) const FIRST: u16 = 1;
/// The version since which bytes that the kernel holds back are told of.
pub(super) const HELD: u16 = 2;

const HEADER_LEN: usize = 64;

/// Of a link: told by lengths.
const BY_LENGTHS: u8 = 8;
/// Of what was sent: nothing is held any more.
const ALL: u8 = 64;

pub(super) fn decode(bytes: &[u8]) -> Result<Record<'_>, DecodeError> {
    let (head, rest) = bytes
        .split_at_checked(HEADER_LEN)
        .ok_or(DecodeError::Short(bytes.len()))?;
    let head = Fixed(head);
    let promised = head.u32(48) as usize;
    let payload = rest.get(..promised).ok_or(DecodeError::Payload {
        promised,
        present: rest.len(),
    })?;
    let body = body(&head, payload)?;
    let head = Head {
        ts: MonoNs(head.u64(8)),
        source: head.u8(4),
        conn: head.u64(16),
        epoch: head.u64(24),
        context: 0,
        version: 0,
        tgid: head.u32(56),
        tid: head.u32(60),
    };
    Ok(Record { head, body })
}

fn body<'a>(head: &Fixed<'_>, payload: &'a [u8]) -> Result<Body<'a>, DecodeError> {
    let (flags, pos, orig_len) = (head.u8(5), head.u64(32), head.u64(40));
    Ok(match head.u8(2) {
        kind::DATA => Body::Data(Data {
            pos,
            len: orig_len,
            direction: direction_of(head.u8(3))?,
            flags,
            told: head.u32(52),
            slack_us: head.u16(6),
            bytes: payload,
        }),
        kind::CONN_OPEN => Body::Open(conn_info(payload)?),
        kind::CONN_CLOSE => Body::Close {
            why: orig_len,
            at: None,
        },
        kind::CONN_LINK => Body::Link(Link {
            socket: (orig_len, pos),
            evidence: match flags & BY_LENGTHS {
                0 => evidence::CALL,
                _ => evidence::LENGTHS,
            },
            info: conn_info(payload)?,
        }),
        kind::SENT => Body::Sent {
            upto: pos,
            at: (orig_len != 0).then_some(MonoNs(orig_len)),
            all: flags & ALL != 0,
        },
        kind::PROC_FORK => Body::Fork { child: orig_len },
        kind::PROC_EXEC => Body::Exec,
        kind::PROC_EXIT => Body::Exit,
        kind::PROC_MMAP => Body::Mmap,
        kind::PROC_RELEASE => Body::Release,
        other => return Err(DecodeError::Kind(other)),
    })
}
