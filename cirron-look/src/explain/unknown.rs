//! What is not known of a call, and why.

use std::collections::BTreeMap;

use crate::request::Request;
use crate::survey::calls::{Call, Flags, Kind};
use crate::survey::collect::Collected;
use crate::units::{bytes, plural};

/// A sentence for each thing.
pub(super) fn sentences(all: &Collected, call: &Call, request: &Request) -> Vec<String> {
    let mut out = Vec::new();
    if call.is_open() {
        out.push(
            "it had not ended when the spool was read: how long it took is not known".to_owned(),
        );
    }
    if call.has(Flags::LATE) {
        out.push("it had begun before the agent looked: how long it took, and what came before, is not known".to_owned());
    }
    if call.has(Flags::END_LOST) {
        out.push("its end was not seen: it ends where it was seen last".to_owned());
    }
    if let Some(lost) = request.lost_bytes {
        out.push(format!(
            "{} of it passed without being captured: what happened in them is not known",
            bytes(lost)
        ));
    } else if request.is_partial && !call.is_open() && !call.has(Flags::LATE) {
        out.push(
            "it is partial: a hole or an early end touched it, and what is said of it is not all"
                .to_owned(),
        );
    }
    if call.has(Flags::HELD) {
        out.push("the kernel held bytes of its answer back: its times are when they were written, or seen to have gone".to_owned());
    }
    if call.has(Flags::BURST) {
        out.push("its stream came in one burst: it was held back somewhere, and the times between its tokens are not the model's".to_owned());
    }
    if request.figures.queue_ms.is_none() && call.kind == Kind::Served {
        out.push("how long it waited before the process read it: the kernel did not tell when its bytes came".to_owned());
    }
    tokens(&mut out, call, request);
    orphans(&mut out, all, call);
    out
}

fn tokens(out: &mut Vec<String>, call: &Call, request: &Request) {
    let figures = &request.figures;
    if !call.has(Flags::MODEL) && figures.ttft_ms.is_none() {
        return;
    }
    if figures.ttft_ms.is_none() {
        let why = match request.is_stream {
            Some(false) => "its answer was one document, not a stream",
            Some(true) | None => "no event with content of its answer was seen",
        };
        out.push(format!("when its first token came: {why}"));
    } else if figures.chunks_ms.is_empty() {
        out.push(
            "when each of its tokens came, and so whether other streams stood still with it: not asked for (--chunk-timing)"
                .to_owned(),
        );
    }
    if request.quality.as_deref() == Some("header_only") {
        out.push("what its answer says: no body of it could be read".to_owned());
    }
}

/// Scopes of its process, at the same time, that may be part of it.
fn orphans(out: &mut Vec<String>, all: &Collected, call: &Call) {
    let end = if call.is_open() {
        u64::MAX
    } else {
        call.end_ns
    };
    let mut by_reason: BTreeMap<&str, u64> = BTreeMap::new();
    for orphan in &all.orphans {
        let ended = if orphan.end_ns == 0 {
            u64::MAX
        } else {
            orphan.end_ns
        };
        if orphan.parent == call.parent && orphan.start_ns <= end && ended >= call.start_ns {
            *by_reason
                .entry(all.reasons.name(orphan.reason))
                .or_default() += 1;
        }
    }
    if by_reason.is_empty() {
        return;
    }
    let n = by_reason.values().sum();
    let reasons: Vec<String> = by_reason
        .iter()
        .map(|(why, n)| format!("{why} {n}"))
        .collect();
    out.push(format!(
        "{} of its process at that time may be part of it, and nobody knows of which request: {} (cirron.parent.unknown)",
        plural(n, "scope", "scopes"),
        reasons.join(", ")
    ));
}
