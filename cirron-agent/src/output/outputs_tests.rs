//! Sinks together: who sleeps or panics, and what that costs whom.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::time::Instant;

use cirron_core::time::MonoNs;

use super::super::queue::QUEUE_BYTES;
use super::super::sink::{OutputPlan, SinkKind};
use super::super::testing::{Bed, Order, SLEEPER};
use super::*;
use crate::clock::Anchor;
use crate::spool::sink::KIND as SPOOL;
use crate::spool::stamp::CountingStamp;
use crate::spool::testing::{finished, read_spool, span};

fn plan(dir: &Path, kinds: &[&'static SinkKind]) -> OutputPlan {
    OutputPlan {
        kinds: kinds.to_vec(),
        spool_dir: Some(dir.join("spool")),
        spool_max_bytes: 1 << 30,
        flush_interval: Duration::from_millis(5),
        queue_bytes: QUEUE_BYTES,
    }
}

fn start(plan: &OutputPlan, pace: Pace) -> (ToSinks, Sinks) {
    let opening = Opening {
        plan,
        owner: None,
        stamp: || Box::new(CountingStamp::new(0)),
    };
    let outputs = Outputs::open(&opening).unwrap();
    outputs.start(pace, Rights::unchanged()).unwrap()
}

fn live(plan: &OutputPlan) -> (ToSinks, Sinks) {
    start(plan, Pace::Live(plan.flush_interval))
}

/// A scope of some 10 kB.
fn large(n: u8) -> Finished {
    let mut scope = finished(span(n, Some(1), 0, Some(1)), Vec::new());
    scope.span.attrs.insert("text", "x".repeat(10_000).into());
    scope
}

fn report<'a>(reports: &'a [SinkReport], name: &str) -> &'a SinkReport {
    reports.iter().find(|report| report.name == name).unwrap()
}

#[test]
fn a_queue_is_as_large_as_was_planned() {
    let dir = tempfile::tempdir().unwrap();
    let plan = OutputPlan {
        queue_bytes: 2 << 20,
        ..plan(dir.path(), &[&SLEEPER])
    };
    let (mut to_sinks, sinks) = live(&plan);
    (0..1_000).for_each(|_| to_sinks.hand_on([large(2)]));
    let dropped = report(&sinks.counts().reports(), "sleeper").count("dropped");
    assert!((700..900).contains(&dropped), "{dropped}");
    Bed::of_plan(&plan).order(Order::Take);
    drop(to_sinks);
    sinks.finish();
}

#[test]
fn a_sink_that_sleeps_costs_only_its_own_scopes_and_no_time() {
    const ALL: u64 = 10_000;
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(dir.path(), &[&SPOOL, &SLEEPER]);
    let (mut to_sinks, sinks) = live(&plan);
    let counts = sinks.counts();
    let began = Instant::now();
    for _ in 0..ALL {
        to_sinks.hand_on([large(2)]);
    }
    // While it sleeps its queue is full, the rest is counted under its name, and all that is in it is bounded.
    let dropped = report(&counts.reports(), "sleeper").count("dropped");
    let most = (QUEUE_BYTES + LIST_BYTES) as u64 / 10_000;
    assert!(dropped >= ALL - most && dropped < ALL, "{dropped}");
    drop(to_sinks);
    let reports = sinks.finish();
    assert!(began.elapsed() < Duration::from_secs(60));
    // The end waits for it no longer than it says, and what it held is counted as well.
    assert_eq!(report(&reports, "sleeper").count("dropped"), ALL);
    let spool = report(&reports, "spool");
    assert_eq!(
        (spool.count("spans_written"), spool.count("scopes_dropped")),
        (ALL, 0)
    );
    Bed::of_plan(&plan).order(Order::Take);
}

#[test]
fn a_sink_that_is_woken_in_time_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(dir.path(), &[&SLEEPER]);
    let (mut to_sinks, sinks) = live(&plan);
    to_sinks.hand_on((0..100).map(large));
    Bed::of_plan(&plan).order(Order::Take);
    drop(to_sinks);
    let reports = sinks.finish();
    let sleeper = report(&reports, "sleeper");
    assert_eq!((sleeper.count("taken"), sleeper.count("dropped")), (100, 0));
}

#[test]
fn a_sink_s_panic_is_its_own_end_and_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(dir.path(), &[&SPOOL, &SLEEPER]);
    let bed = Bed::of_plan(&plan);
    bed.order(Order::Panic);
    let (mut to_sinks, sinks) = live(&plan);
    let counts = sinks.counts();
    for n in 0..50 {
        to_sinks.hand_on([large(n)]);
    }
    let since = Instant::now();
    while report(&counts.reports(), "sleeper").count("panics") == 0 {
        assert!(since.elapsed() < Duration::from_secs(10));
        std::thread::yield_now();
    }
    for n in 50..100 {
        to_sinks.hand_on([large(n)]);
    }
    assert_eq!(to_sinks.failed(), None);
    assert!(!to_sinks.is_pointless(), "there is the spool");
    drop(to_sinks);
    let reports = sinks.finish();
    let sleeper = report(&reports, "sleeper");
    assert_eq!(
        (sleeper.count("dropped"), sleeper.count("panics")),
        (100, 1)
    );
    assert_eq!(report(&reports, "spool").count("spans_written"), 100);
    assert_eq!(
        read_spool(&dir.path().join("spool")).unwrap().spans.len(),
        100
    );
}

#[test]
fn where_every_sink_has_ended_there_is_no_point_in_going_on() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(dir.path(), &[&SLEEPER]);
    Bed::of_plan(&plan).order(Order::Panic);
    let (mut to_sinks, sinks) = live(&plan);
    assert!(!to_sinks.is_pointless());
    to_sinks.hand_on([large(2)]);
    let since = Instant::now();
    while !to_sinks.is_pointless() {
        assert!(since.elapsed() < Duration::from_secs(10));
        std::thread::yield_now();
    }
    drop(to_sinks);
    sinks.finish();
    // Where nothing was asked for, nothing has ended.
    let none = plan_of_none(dir.path());
    assert!(!live(&none).0.is_pointless());
}

fn plan_of_none(dir: &Path) -> OutputPlan {
    plan(dir, &[])
}

#[test]
fn a_replay_waits_for_every_sink_and_no_clock_ends_a_batch() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(dir.path(), &[&SPOOL, &SLEEPER]);
    let (mut to_sinks, sinks) = start(&plan, Pace::Replay);
    let counts = sinks.counts();
    assert!(sinks.all.iter().all(|one| one.pressure == Pressure::Waits));
    Bed::of_plan(&plan).order(Order::Take);
    for _ in 0..5_000 {
        to_sinks.hand_on([large(2)]);
    }
    drop(to_sinks);
    let reports = sinks.finish();
    let sleeper = report(&reports, "sleeper");
    assert_eq!(
        (sleeper.count("taken"), sleeper.count("dropped")),
        (5_000, 0)
    );
    // 51 MB in batches of 4 MiB each, whatever the time.
    assert_eq!(report(&reports, "spool").count("batches_written"), 13);
    assert_eq!(counts.failed(), None);
}

#[test]
fn a_new_sink_is_a_module_and_a_row_and_is_named_counted_and_said_by_itself() {
    use clap::Parser as _;

    let line = ["cirron-agent", "--pid", "1", "--output", "sleeper,spool"];
    let args = crate::cli::lowargs::LowArgs::try_parse_from(line).unwrap();
    let resolved = crate::cli::hiargs::resolve(args, &|_| None, Vec::new(), None).unwrap();
    let crate::cli::hiargs::Todo::Attach { capture, .. } = resolved.todo else {
        panic!("not an attach");
    };
    assert_eq!(capture.outputs.kinds, [&SPOOL, &SLEEPER]);
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(dir.path(), &capture.outputs.kinds);
    let (mut to_sinks, sinks) = live(&plan);
    to_sinks.hand_on([large(2)]);
    drop(to_sinks);
    let report = crate::driver::Report {
        reason: None,
        core: crate::driver::core::CoreReport::default(),
        sinks: sinks.finish(),
        failure: None,
    };
    Bed::of_plan(&plan).order(Order::Take);
    let summary = crate::driver::summary::Summary::from_report(&report, 1.0, None);
    assert!(
        summary.line().contains("1 scope of a sleeper"),
        "{}",
        summary.line()
    );
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["sleeper"]["dropped"], 1);
    assert_eq!(json["spool"]["spans_written"], 1);
    assert_eq!(json["stdout"], serde_json::Value::Null);
}

#[test]
fn a_session_keeps_its_start_when_the_clock_is_set_back() {
    let mut to_sinks = ToSinks {
        queues: Vec::new(),
        starts: HashMap::new(),
    };
    let open = finished(span(1, None, 100, None), Vec::new());
    let first = to_sinks.times(&open);
    let mut close = finished(span(1, None, 100, Some(500)), Vec::new());
    close.anchor = Anchor {
        mono: MonoNs(400),
        wall_ns: 17,
    };
    let last = to_sinks.times(&close);
    assert_eq!(last.start_ns, first.start_ns);
    assert_eq!(last.end_ns, Some(first.start_ns));
    assert!(to_sinks.starts.is_empty());
}
