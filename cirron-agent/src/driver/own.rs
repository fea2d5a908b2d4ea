//! Records of the agent's own, as the kernel side would have written them: about what was asked for, not seen.
//! Reading and writing records is the core's.

use cirron_common::record::source;
use cirron_core::record::{Body, Head, Record, Spec, encode};
use cirron_core::time::MonoNs;

/// About a process: an exit whose event was lost, a target that is let go.
pub fn process_record(body: Body<'_>, tgid: u32, ts: MonoNs) -> Vec<u8> {
    let head = Head {
        ts,
        source: source::PROCESS,
        tgid,
        tid: tgid,
        ..Head::default()
    };
    encode(&Record { head, body })
}

/// What hits of a number mean. It is of no process: the file that has the probe may be mapped by several.
pub fn spec_record(spec: Spec<'_>, ts: MonoNs) -> Vec<u8> {
    let head = Head {
        ts,
        source: source::PROBE,
        ..Head::default()
    };
    let body = Body::Spec(spec);
    encode(&Record { head, body })
}

/// About a connection's end, or that it is held. `why`: one of `cirron_common::record::close`.
pub fn end_record((conn, epoch): (u64, u64), why: u64, ts: MonoNs) -> Vec<u8> {
    let head = Head {
        ts,
        source: source::SOCKET,
        conn,
        epoch,
        ..Head::default()
    };
    // Nobody was there to see how far its bytes had come.
    let body = Body::Close { why, at: None };
    encode(&Record { head, body })
}
