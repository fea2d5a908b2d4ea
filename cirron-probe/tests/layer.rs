//! Spans of `tracing` as scopes, seen by a real tracer.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use cirron_probe::ScopeLayer;
use support::tracer::{Hit, Tracer};
use tracing::field::Empty;
use tracing::{info, info_span};
use tracing_subscriber::prelude::*;

fn traced(test: &str, act: impl FnOnce()) -> Option<Vec<Hit>> {
    let tracer = Tracer::new(test, &std::env::current_exe().unwrap())?;
    let subscriber = tracing_subscriber::registry().with(ScopeLayer::new(["app"]));
    tracing::subscriber::with_default(subscriber, || {
        tracer.listen();
        act();
        tracer.stop();
    });
    Some(tracer.hits())
}

#[test]
fn spans_of_a_target_are_scopes() {
    let Some(hits) = traced("layer", || {
        let outer = info_span!(target: "app", "request", rows = 3, tokens = Empty);
        let other = info_span!(target: "application", parent: &outer, "not ours");
        let inner =
            info_span!(target: "app::model", parent: &other, "model", index = 2, who = ?"me");
        info!(target: "app", "an event is no scope");
        let entered = inner.enter();
        drop(cirron_probe::scope!("decode"));
        drop(entered);
        outer.record("tokens", 17);
    }) else {
        return;
    };
    let probes: Vec<_> = hits.iter().map(|hit| hit.probe.as_str()).collect();
    assert_eq!(
        probes,
        [
            "scope_open",
            "scope_open",
            "scope_enter",
            "scope_begin",
            "scope_end",
            "scope_exit",
            "mark",
            "scope_end",
            "scope_end"
        ]
    );
    let (outer, inner) = (hits[0].number(0), hits[1].number(0));
    assert_eq!((hits[0].text(2), hits[1].text(2)), ("request", "model"));
    // A span between them that is no scope is passed over.
    assert_eq!((hits[0].number(1), hits[1].number(1)), (0, outer));
    assert_eq!(hits[0].bytes(4), b"\x01\x04\x08\x00rows\x03\0\0\0\0\0\0\0");
    assert_eq!(
        hits[1].bytes(4),
        b"\x06\x00\x08\x00\x02\0\0\0\0\0\0\0\x04\x03\x04\x00who\"me\""
    );
    assert_eq!(hits[3].number(1), inner);
    let mark = &hits[6];
    assert_eq!((mark.number(0), mark.text(1)), (outer, "tokens"));
    assert_eq!((mark.number(3), mark.number(4)), (1 | 1 << 8, 17));
    assert_eq!((hits[7].number(0), hits[8].number(0)), (inner, outer));
}
