//! How today's records lie, to read and to write them: the agent makes some of its own, and so do tests. Those of versions
//! 3 and 4 have a shorter header and shorter addresses, and ends of version 3 no positions: they are read here too.

use std::mem::offset_of;

use cirron_common::ABI_VERSION;
use cirron_common::conn::{CONN_INFO_LEN, ConnInfo, Positions};
use cirron_common::record::{
    self as abi, DATA_LEN, HEADER_LEN, HEADER_LEN_4, RecordHeader, direction, kind,
};

use super::{
    Body, Data, DecodeError, Direction, Fixed, Head, Hit, Link, Record, Secret, Spec, conn_info,
    fixed,
};
use crate::time::MonoNs;

/// The last version whose header ends before the context's version.
const SHORT_HEADER: u16 = 4;

pub(super) fn decode(abi: u16, bytes: &[u8]) -> Result<Record<'_>, DecodeError> {
    let (header_len, has_version) = match abi <= SHORT_HEADER {
        true => (HEADER_LEN_4, false),
        false => (HEADER_LEN, true),
    };
    let (head, rest) = bytes
        .split_at_checked(header_len)
        .ok_or(DecodeError::Short(bytes.len()))?;
    let head = Fixed(head);
    let promised = head.u32(offset_of!(RecordHeader, payload_len)) as usize;
    let payload = rest.get(..promised).ok_or(DecodeError::Payload {
        promised,
        present: rest.len(),
    })?;
    let body = body(head.u8(offset_of!(RecordHeader, kind)), payload)?;
    let head = Head {
        ts: MonoNs(head.u64(offset_of!(RecordHeader, ts_ns))),
        source: head.u8(offset_of!(RecordHeader, source)),
        conn: head.u64(offset_of!(RecordHeader, conn)),
        epoch: head.u64(offset_of!(RecordHeader, epoch)),
        context: head.u64(offset_of!(RecordHeader, context)),
        tgid: head.u32(offset_of!(RecordHeader, tgid)),
        tid: head.u32(offset_of!(RecordHeader, tid)),
        version: match has_version {
            true => head.u64(offset_of!(RecordHeader, version)),
            false => 0,
        },
    };
    Ok(Record { head, body })
}

fn body(kind: u8, payload: &[u8]) -> Result<Body<'_>, DecodeError> {
    Ok(match kind {
        kind::DATA => {
            let (data, bytes) = fixed(payload, DATA_LEN)?;
            Body::Data(Data {
                pos: data.u64(offset_of!(abi::Data, pos)),
                len: data.u64(offset_of!(abi::Data, len)),
                told: data.u32(offset_of!(abi::Data, told)),
                slack_us: data.u16(offset_of!(abi::Data, slack_us)),
                direction: super::direction_of(data.u8(offset_of!(abi::Data, direction)))?,
                flags: data.u8(offset_of!(abi::Data, flags)),
                bytes,
            })
        }
        kind::CONN_OPEN => Body::Open(conn_info(payload)?),
        kind::CONN_CLOSE => {
            // Version 3 is read as well.
            let has_positions = payload.len() != abi::CLOSE_LEN_3;
            let (close, _) = match payload.len() {
                abi::CLOSE_LEN_3 => fixed(payload, abi::CLOSE_LEN_3)?,
                _ => fixed(payload, abi::CLOSE_LEN)?,
            };
            let at = Positions {
                inbound: close.u64(offset_of!(abi::Close, at.inbound)),
                outbound: close.u64(offset_of!(abi::Close, at.outbound)),
            };
            Body::Close {
                why: close.u64(offset_of!(abi::Close, why)),
                at: has_positions.then_some(at).and_then(Positions::known),
            }
        }
        kind::CONN_LINK => {
            let (link, _) = match payload.len() {
                abi::LINK_LEN_4 => fixed(payload, abi::LINK_LEN_4)?,
                _ => fixed(payload, abi::LINK_LEN)?,
            };
            Body::Link(Link {
                socket: (
                    link.u64(offset_of!(abi::Link, socket)),
                    link.u64(offset_of!(abi::Link, socket_epoch)),
                ),
                evidence: link.u64(offset_of!(abi::Link, evidence)),
                info: link.conn_info(offset_of!(abi::Link, info)),
            })
        }
        kind::SENT => {
            let (sent, _) = fixed(payload, abi::SENT_LEN)?;
            let at_ns = sent.u64(offset_of!(abi::Sent, at_ns));
            Body::Sent {
                upto: sent.u64(offset_of!(abi::Sent, upto)),
                at: (at_ns != 0).then_some(MonoNs(at_ns)),
                all: sent.u64(offset_of!(abi::Sent, all)) != 0,
            }
        }
        kind::CONN_TUNED => Body::Tuned,
        kind::PROC_FORK => {
            let (fork, _) = fixed(payload, abi::FORK_LEN)?;
            let child = fork.u64(offset_of!(abi::Fork, child));
            Body::Fork { child }
        }
        kind::CONTEXT_MADE => {
            let (context, number) = context_life(payload)?;
            Body::ContextMade { context, number }
        }
        kind::CONTEXT_ENDED => {
            let (context, number) = context_life(payload)?;
            Body::ContextEnded { context, number }
        }
        kind::PROC_EXEC => Body::Exec,
        kind::PROC_EXIT => Body::Exit,
        kind::THREAD_EXIT => Body::ThreadExit,
        kind::PROC_LISTEN => Body::Listen,
        kind::PROC_MMAP => Body::Mmap,
        kind::PROC_RELEASE => Body::Release,
        kind::SECRET => Body::Secret(Secret::decode(payload)?),
        kind::PROBE_SPEC => Body::Spec(Spec::decode(payload)?),
        kind::PROBE_HIT => Body::Hit(Hit::decode(payload)?),
        other => return Err(DecodeError::Kind(other)),
    })
}

fn context_life(payload: &[u8]) -> Result<(u64, u64), DecodeError> {
    let (life, _) = fixed(payload, abi::CONTEXT_LIFE_LEN)?;
    Ok((
        life.u64(offset_of!(abi::ContextLife, context)),
        life.u64(offset_of!(abi::ContextLife, number)),
    ))
}

/// A record as the kernel side would have written it.
pub fn encode(record: &Record<'_>) -> Vec<u8> {
    let (kind, payload) = payload(&record.body);
    let Head {
        ts,
        source,
        conn,
        epoch,
        context,
        tgid,
        tid,
        version,
    } = record.head;
    let mut out = Vec::with_capacity(HEADER_LEN + payload.len());
    out.extend(ABI_VERSION.to_ne_bytes());
    out.extend([kind, source]);
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    out.extend(len.to_ne_bytes());
    for word in [ts.0, conn, epoch, context] {
        out.extend(word.to_ne_bytes());
    }
    out.extend(tgid.to_ne_bytes());
    out.extend(tid.to_ne_bytes());
    out.extend(version.to_ne_bytes());
    out.extend(payload);
    out
}

fn payload(body: &Body<'_>) -> (u8, Vec<u8>) {
    let words = |words: &[u64]| words.iter().flat_map(|w| w.to_ne_bytes()).collect();
    match body {
        Body::Data(data) => {
            let mut out: Vec<u8> = words(&[data.pos, data.len]);
            out.extend(data.told.to_ne_bytes());
            out.extend(data.slack_us.to_ne_bytes());
            let direction = match data.direction {
                Direction::Inbound => direction::INBOUND,
                Direction::Outbound => direction::OUTBOUND,
            };
            out.extend([direction, data.flags]);
            out.extend(data.bytes);
            (kind::DATA, out)
        }
        Body::Open(info) => (kind::CONN_OPEN, addresses(info)),
        Body::Close { why, at } => {
            let Positions { inbound, outbound } = at.unwrap_or(Positions::UNKNOWN);
            (kind::CONN_CLOSE, words(&[*why, inbound, outbound]))
        }
        Body::Link(link) => {
            let mut out: Vec<u8> = words(&[link.socket.0, link.socket.1, link.evidence]);
            out.extend(addresses(&link.info));
            (kind::CONN_LINK, out)
        }
        Body::Sent { upto, at, all } => {
            let at_ns = at.map_or(0, |at| at.0);
            (kind::SENT, words(&[*upto, at_ns, u64::from(*all)]))
        }
        Body::Tuned => (kind::CONN_TUNED, Vec::new()),
        Body::Fork { child } => (kind::PROC_FORK, words(&[*child])),
        Body::ContextMade { context, number } => (kind::CONTEXT_MADE, words(&[*context, *number])),
        Body::ContextEnded { context, number } => {
            (kind::CONTEXT_ENDED, words(&[*context, *number]))
        }
        Body::Exec => (kind::PROC_EXEC, Vec::new()),
        Body::Exit => (kind::PROC_EXIT, Vec::new()),
        Body::ThreadExit => (kind::THREAD_EXIT, Vec::new()),
        Body::Listen => (kind::PROC_LISTEN, Vec::new()),
        Body::Mmap => (kind::PROC_MMAP, Vec::new()),
        Body::Release => (kind::PROC_RELEASE, Vec::new()),
        Body::Secret(secret) => (kind::SECRET, secret.payload()),
        Body::Spec(spec) => (kind::PROBE_SPEC, spec.payload()),
        Body::Hit(hit) => (kind::PROBE_HIT, hit.payload()),
    }
}

fn addresses(info: &ConnInfo) -> Vec<u8> {
    let mut out = Vec::with_capacity(CONN_INFO_LEN);
    out.extend(info.family.to_ne_bytes());
    out.extend([info.role, info.late]);
    out.extend(info.local_port.to_ne_bytes());
    out.extend(info.peer_port.to_ne_bytes());
    out.extend(info.local_addr);
    out.extend(info.peer_addr);
    out.extend(info.netns.to_ne_bytes());
    out.extend(info.first_seq.to_ne_bytes());
    out
}
