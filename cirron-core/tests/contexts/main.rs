//! Whose request a call is in programs of Python with an event loop, judged by ids in the paths: requests of every kind, many at
//! once, whose calls are made by their task, by tasks of it, by others' tasks, by threads. Seeded.
//!
//! A call below another request than its own is wrong, and there may be none, while records are lost as well. The one exception is
//! what one request starts for others (coalesced): its evidence says that descent is all that is known.
//! `CIRRON_REQUESTS=100000` chooses another number of requests, `CIRRON_SEED=7` another seed.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../simulation/asked.rs"]
mod asked;
#[path = "../simulation/feed.rs"]
mod feed;
#[path = "../simulation/random.rs"]
mod random;
mod server;
mod world;

use std::collections::BTreeMap;

use asked::number;
use cirron_core::scope::{AttrValue, Span};
use server::{Kind, Loop, Server};

const REQUESTS: u64 = 3_000;
const LOST_PPM: u64 = 5_000;

#[derive(Debug, Default)]
struct Report {
    right: u64,
    wrong: u64,
    /// By evidence.
    by: BTreeMap<String, u64>,
    wrong_by: BTreeMap<String, u64>,
    /// By reason.
    unknown: BTreeMap<String, u64>,
}

impl Report {
    fn unknown(&self) -> u64 {
        self.unknown.values().sum()
    }
}

fn text(span: &Span, name: &str) -> Option<String> {
    match span.attrs.get(name) {
        Some(AttrValue::Str(text)) => Some(text.to_string()),
        _ => None,
    }
}

fn of_path(span: &Span, prefix: &str) -> Option<u64> {
    text(span, "url.path")?.strip_prefix(prefix)?.parse().ok()
}

fn judge(spans: &[Span], report: &mut Report) {
    let by_id: BTreeMap<_, &Span> = spans.iter().map(|span| (span.id, span)).collect();
    for span in spans {
        let Some(own) = of_path(span, "/c/") else {
            continue;
        };
        let request = span.parent_id.and_then(|id| by_id.get(&id));
        let by = text(span, "cirron.parent.by").unwrap_or_default();
        match request.map(|request| of_path(request, "/r/")) {
            None => {
                let why = text(span, "cirron.parent.unknown").unwrap_or_default();
                *report.unknown.entry(why).or_default() += 1;
            }
            Some(Some(number)) if number == own => {
                report.right += 1;
                *report.by.entry(by).or_default() += 1;
            }
            Some(_) => {
                report.wrong += 1;
                *report.wrong_by.entry(by).or_default() += 1;
            }
        }
    }
}

fn run(which: Loop, kinds: &[Kind], lost_ppm: u64, pipelines: bool) -> Report {
    let first = number("CIRRON_SEED", 1);
    let mut report = Report::default();
    for seed in first..first + 4 {
        for at_once in [1, 2, 32] {
            let server = Server::new(seed, lost_ppm, which, kinds);
            let server = if pipelines {
                server.pipelines()
            } else {
                server
            };
            judge(
                &server.serve(number("CIRRON_REQUESTS", REQUESTS) / 12, at_once),
                &mut report,
            );
        }
    }
    println!("{which:?}, {kinds:?}, {lost_ppm} lost: {report:?}");
    report
}

const LOOPS: [Loop; 2] = [Loop::Asyncio, Loop::Uvloop];

#[test]
fn calls_of_tasks_and_what_they_start_are_below_their_requests() {
    for which in LOOPS {
        for kind in Kind::FIT {
            let report = run(which, &[kind], 0, false);
            assert_eq!(report.wrong, 0, "{which:?} {kind:?} {report:?}");
            if kind != Kind::HangUp {
                // But for what the server calls for itself.
                let others = report.unknown();
                assert!(report.right > 9 * others, "{which:?} {kind:?} {report:?}");
            }
        }
    }
}

#[test]
fn calls_of_nobody_s_task_are_below_none() {
    for which in LOOPS {
        for kind in Kind::UNFIT {
            let report = run(which, &[kind], 0, false);
            assert_eq!(
                (report.right, report.wrong),
                (0, 0),
                "{which:?} {kind:?} {report:?}"
            );
        }
    }
}

#[test]
fn one_task_for_each_connection() {
    for kinds in [
        &[Kind::Connection][..],
        &[Kind::Connection, Kind::Gather, Kind::Writer],
    ] {
        let report = run(Loop::Asyncio, kinds, 0, false);
        assert_eq!(report.wrong, 0, "{report:?}");
        assert!(report.right > 9 * report.unknown(), "{report:?}");
    }
    // Of a connection that uvloop accepts it is not known what is made for it.
    let report = run(Loop::Uvloop, &[Kind::Connection], 0, false);
    assert_eq!(report.wrong, 0, "{report:?}");
}

#[test]
fn all_of_it_mixed_while_records_are_lost() {
    let mut kinds = Kind::FIT.to_vec();
    kinds.extend(Kind::UNFIT);
    for which in LOOPS {
        for (lost_ppm, pipelines) in [(0, false), (0, true), (LOST_PPM, false), (LOST_PPM, true)] {
            let report = run(which, &kinds, lost_ppm, pipelines);
            assert_eq!(report.wrong, 0, "{which:?} {lost_ppm} {report:?}");
            assert!(report.right > 0, "{which:?} {lost_ppm} {report:?}");
        }
    }
}

/// Who started a call is not for whom it is: the exception that the evidence says.
#[test]
fn what_one_request_starts_for_others_is_said_to_be_by_descent() {
    for which in LOOPS {
        let report = run(which, &[Kind::Coalesced], 0, false);
        let by: Vec<&str> = report.wrong_by.keys().map(String::as_str).collect();
        assert_eq!(by, ["context_descent"], "{which:?} {report:?}");
    }
}
