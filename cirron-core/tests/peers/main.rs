//! Which call a request answers, judged by ids that only the judge reads: connections between processes of one agent, of
//! which addresses are given again at once and are the same in each network namespace, while records are lost and come
//! late, requests are pipelined, sockets joined late, and TLS objects linked at any time. Seeded.
//!
//! All requests have one path. One that names another call than its own is wrong, and there may be none; how many are
//! known is printed. `CIRRON_CALLS=100000` chooses another number, `CIRRON_SEED=7` another seed.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../simulation/asked.rs"]
mod asked;
#[path = "../simulation/feed.rs"]
mod feed;
#[path = "../simulation/random.rs"]
mod random;
mod world;

use std::collections::BTreeMap;

use cirron_core::scope::{AttrValue, Span};
use cirron_core::time::MS;

use asked::number;
use world::World;

/// Calls of one run where nobody asks for another number.
const CALLS: u64 = 4_000;
#[derive(Clone, Copy, Debug, Default)]
struct Report {
    known: u64,
    unknown: u64,
    wrong: u64,
}

fn simulate(seed: u64, lost_ppm: u64, calls: u64) -> Report {
    let mut world = World::new(seed, lost_ppm);
    let mut scopes = Vec::new();
    while world.next < calls {
        if world.connections.len() < 6 || world.chance(5) {
            world.connect();
        }
        if !world.connections.is_empty() {
            let at = world.feed.random.between(0, world.connections.len() as u64);
            world.step(usize::try_from(at).unwrap());
        }
        scopes.extend(world.feed.scopes());
    }
    scopes.extend(world.feed.stop(10_000 * MS));
    assert_eq!(world.feed.engine.held_bytes(), 0);
    let spans: Vec<Span> = scopes.into_iter().map(|(span, _)| span).collect();
    judge(&spans)
}

fn text<'a>(span: &'a Span, name: &str) -> Option<&'a str> {
    match span.attrs.get(name)? {
        AttrValue::Str(text) => Some(text),
        AttrValue::Int(_) | AttrValue::Float(_) | AttrValue::Bool(_) => None,
    }
}

fn judge(spans: &[Span]) -> Report {
    let by_id: BTreeMap<String, &Span> = spans
        .iter()
        .map(|span| (span.id.to_string(), span))
        .collect();
    let mut report = Report::default();
    let mut named = Vec::new();
    for request in spans.iter().filter(|span| span.name.as_str() == "request") {
        let Some(caller) = text(request, "cirron.caller.span_id") else {
            report.unknown += 1;
            continue;
        };
        let call = by_id[caller];
        let id = |span| text(span, "http.request.header.x-id");
        let trace = |span| text(span, "cirron.trace_id");
        // That of a call which ended long before may be known no more.
        let one_trace = trace(request).is_none_or(|one| trace(call) == Some(one));
        if id(call).is_some() && id(call) == id(request) && one_trace {
            report.known += 1;
        } else {
            println!("{request:?}\nnames {call:?}");
            report.wrong += 1;
        }
        named.push(caller);
    }
    let all = named.len();
    named.sort_unstable();
    named.dedup();
    assert_eq!(named.len(), all, "a call answered twice");
    report
}

#[test]
fn no_request_names_another_call_than_its_own() {
    let first = number("CIRRON_SEED", 1);
    let calls = number("CIRRON_CALLS", CALLS);
    for (lost_ppm, least) in [(0, 0.75), (2_000, 0.7), (50_000, 0.0), (300_000, 0.0)] {
        for seed in first..first + 3 {
            let report = simulate(seed, lost_ppm, calls);
            println!("{lost_ppm} of a million lost, seed {seed}: {report:?}");
            assert_eq!(report.wrong, 0, "seed {seed}");
            let all = (report.known + report.unknown) as f64;
            assert!(report.known as f64 / all > least, "{report:?}");
        }
    }
}
