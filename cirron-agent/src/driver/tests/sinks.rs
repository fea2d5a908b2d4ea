//! A capture whose sinks sleep or panic.

use super::*;
use crate::output::sink::{Opening, OutputPlan, SinkKind};
use crate::output::testing::{Bed, NEEDED, Order, SLEEPER};
use crate::spool::stamp::LiveStamp;

/// One sink of the tests' own, and the test's end of it.
fn sink(dir: &std::path::Path, kind: &'static SinkKind) -> (Outputs, Arc<Bed>) {
    let plan = OutputPlan {
        kinds: vec![kind],
        spool_dir: Some(dir.to_path_buf()),
        spool_max_bytes: 0,
        flush_interval: Duration::from_millis(10),
        queue_bytes: 1 << 20,
    };
    let opening = Opening {
        plan: &plan,
        owner: None,
        stamp: || Box::new(LiveStamp),
    };
    (Outputs::open(&opening).unwrap(), Bed::of_plan(&plan))
}

/// A capture of process 7 whose only sink is of this kind. The directory is no more than the bed's name.
fn begin_to(world: &World, kind: &'static SinkKind) -> (Running, Tape, Arc<Bed>) {
    let dir = tempfile::tempdir().unwrap();
    let (core, tape) = core(world);
    let (outputs, bed) = sink(dir.path(), kind);
    let running = begin_all(world, core, outputs, Vec::new());
    watch(world, &running, &[7], true);
    (running, tape, bed)
}

#[test]
fn a_sink_that_the_agent_is_there_for_ends_it_by_its_panic_with_a_cause() {
    let world = World::default();
    let (running, tape, bed) = begin_to(&world, &NEEDED);
    world.put(data(7));
    wait_until("the record", || world.with(|s| s.ring.is_empty()));
    assert!(!running.stop().is_requested());
    bed.order(Order::Panic);
    let report = running.join();
    assert_eq!(report.reason, Some(Reason::Failure));
    let failure = report.failure.unwrap().to_string();
    assert_eq!(failure, "the needed thread panicked; report it");
    assert_eq!(report.sinks[0].count("panics"), 1);
    assert!(report.sinks[0].count("dropped") > 0);
    assert!(matches!(tape.inputs().last(), Some(Input::Shutdown(_))));
}

#[test]
fn a_needed_sink_that_panics_over_the_last_scopes_is_a_failure_too() {
    let world = World::default();
    let (running, _, bed) = begin_to(&world, &NEEDED);
    running.stop().request(Reason::Signal);
    wait_until("the core's end", || world.with(|s| s.detached));
    bed.order(Order::Panic);
    let report = running.join();
    assert_eq!(report.reason, Some(Reason::Signal));
    let failure = report.failure.unwrap().to_string();
    assert_eq!(failure, "the needed thread panicked; report it");
}

#[test]
fn a_sink_that_sleeps_holds_up_neither_the_capture_nor_its_end_for_long() {
    let world = World::default();
    let (running, _, bed) = begin_to(&world, &SLEEPER);
    for _ in 0..1000 {
        world.put(data(7));
    }
    world.put(exit(7));
    let report = running.join();
    assert_eq!(report.reason, Some(Reason::TargetsGone));
    assert_eq!(report.core.records, 1001);
    assert_eq!(report.sinks[0].count("dropped"), 1, "its session");
    bed.order(Order::Take);
}

#[test]
fn how_things_stand_is_told_while_it_runs_also_where_a_sink_sleeps() {
    let world = World::default();
    let (running, _, bed) = begin_to(&world, &SLEEPER);
    let inquiry = running.inquiry();
    for records in 0..3 {
        wait_until("the ring is read", || {
            world.with(|s| s.ring.is_empty()) && inquiry.report().unwrap().core.records == records
        });
        let so_far = inquiry.report().unwrap();
        assert!(so_far.reason.is_none() && so_far.core.counters.is_some());
        assert_eq!(so_far.sinks[0].count("taken"), 0);
        world.put(data(7));
        wait_until("the ring is read", || world.with(|s| s.ring.is_empty()));
    }
    running.stop().request(Reason::Signal);
    running.join();
    bed.order(Order::Take);
    assert!(inquiry.report().is_err(), "it has ended");
}
