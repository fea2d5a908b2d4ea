//! The threads together, over a kernel side and a process table of our own.
#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "tests")]

mod facts;
mod rules;
mod sinks;
mod targets;
mod time;
mod vanished;
pub(in crate::driver) mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use cirron_common::Counter;
use cirron_common::record::{close, source};
use cirron_core::engine::EngineConfig;
use cirron_core::id::SequentialIds;
use cirron_core::record::{Body, Data, Direction, Record};
use cirron_core::testing::records::edited;
use cirron_core::time::MonoNs;

use super::core::Core;
use super::own::process_record;
use super::stop::Reason;
use super::*;
use crate::clock;
use crate::kernel::{Policy, SocketState};
use crate::record::Input;
use crate::record::writer::Recorder;
use world::{Attached, Tape, World};

fn core(world: &World) -> (Core, Tape) {
    let tape = Tape::default();
    let core = Core::new(
        EngineConfig::default(),
        Box::new(SequentialIds::default()),
        Box::new(Attached(world.clone())),
        world.with(|s| Arc::clone(&s.counts)),
        Some(Recorder::new(Box::new(tape.0.clone()))),
    );
    (core, tape)
}

/// A capture of process 7 and its children.
fn of_process_7(world: &World) -> (Running, Tape) {
    let (core, tape) = core(world);
    let running = begin(world, core);
    watch(world, &running, &[7], true);
    (running, tape)
}

/// Adds processes as `--pid` does, and gives the number of their descendants.
fn watch(world: &World, running: &Running, tgids: &[u32], children: bool) -> usize {
    let named = tgids.iter().map(|tgid| world.process(*tgid)).collect();
    let policy = Policy {
        children,
        ..Policy::default()
    };
    let commands = running.commands();
    let found = commands.add(named, policy, world).unwrap();
    commands.end_with_last_target().unwrap();
    found.len()
}

fn begin(world: &World, core: Core) -> Running {
    begin_with(world, core, Vec::new())
}

fn begin_with(world: &World, core: Core, helpers: Vec<Helper>) -> Running {
    begin_all(world, core, Outputs::default(), helpers)
}

fn begin_all(world: &World, core: Core, outputs: Outputs, helpers: Vec<Helper>) -> Running {
    start(
        core,
        Box::new(world.clone()),
        Box::new(world.clone()),
        outputs,
        Duration::from_millis(10),
        crate::privileges::Rights::unchanged(),
        helpers,
    )
    .unwrap()
}

fn fork(parent: u32, child: u32) -> Vec<u8> {
    let child = u64::from(child);
    process_record(Body::Fork { child }, parent, clock::now())
}

/// Nothing was read, on a connection that nothing else is known of.
fn data(tgid: u32) -> Vec<u8> {
    let nothing = Data {
        pos: 0,
        len: 0,
        direction: Direction::Inbound,
        flags: 0,
        told: 0,
        slack_us: 0,
        bytes: &[],
    };
    process_record(Body::Data(nothing), tgid, clock::now())
}

/// The same, on a socket.
fn data_on(tgid: u32, conn: u64) -> Vec<u8> {
    edited(&data(tgid), |record| {
        record.head.conn = conn;
        record.head.source = source::SOCKET;
    })
}

fn exit(tgid: u32) -> Vec<u8> {
    process_record(Body::Exit, tgid, clock::now())
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let since = Instant::now();
    while !condition() {
        assert!(
            since.elapsed() < Duration::from_secs(10),
            "waited for: {what}"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Facts given to the engine, and records, in order: `F7` and `R7`.
fn order(tape: &Tape) -> Vec<String> {
    tape.inputs()
        .iter()
        .filter_map(|input| match input {
            Input::Process(facts) => Some(format!("F{}", facts.tgid)),
            Input::Record(r) => Some(format!("R{}", Record::decode(r).unwrap().head.tgid)),
            Input::Config(_)
            | Input::Rules(_)
            | Input::Anchor(_)
            | Input::Timeout(_)
            | Input::Shutdown(_) => None,
        })
        .collect()
}

#[test]
fn a_connection_that_is_not_there_at_the_end_has_ended_before() {
    for (socket, ends) in [
        (SocketState::Released, 1),
        (SocketState::Held(1), 0),
        (SocketState::Unknown, 0),
    ] {
        let world = World::default();
        world.with(|s| s.sockets.insert(70, socket));
        let (running, tape) = of_process_7(&world);
        world.put(data_on(7, 70));
        wait_until("the record", || world.with(|s| s.ring.is_empty()));
        running.stop().request(Reason::Signal);
        let report = running.join();
        assert_eq!(report.core.engine.connections, 1);
        assert_eq!(report.core.engine.ends_lost, ends, "{socket:?}");
        let is_lost = |input: &&Input| match input {
            Input::Record(record) => {
                Record::decode(record).unwrap().body
                    == Body::Close {
                        why: close::LOST,
                        at: None,
                    }
            }
            _ => false,
        };
        assert_eq!(tape.inputs().iter().filter(is_lost).count() as u64, ends);
    }
}

#[test]
fn it_ends_by_itself_when_its_last_target_does() {
    let world = World::default();
    let (running, tape) = of_process_7(&world);
    world.put(fork(7, 8));
    world.put(exit(7));
    std::thread::sleep(Duration::from_millis(50));
    assert!(!running.stop().is_requested(), "its child still lives");
    world.process(8);
    world.put(exit(8));
    let report = running.join();
    assert_eq!(report.reason, Some(Reason::TargetsGone));
    assert!(report.failure.is_none());
    assert_eq!(report.core.records, 3);
    assert_eq!(report.core.counters.unwrap()[Counter::RingFull as usize], 3);
    assert!(world.with(|s| s.detached));
    assert!(matches!(tape.inputs().last(), Some(Input::Shutdown(_))));
}

#[test]
fn who_waits_for_us_is_watched_and_not_waited_for() {
    let world = World::default();
    world.process(9);
    world.with(|s| {
        s.children.insert(7, vec![9]);
        s.waiting.extend([7, 9]);
    });
    let running = begin(&world, core(&world).0);
    assert_eq!(watch(&world, &running, &[7], true), 1);
    assert!(world.with(|s| s.targets.contains_key(&9)));
    std::thread::sleep(Duration::from_millis(50));
    assert!(!running.stop().is_requested(), "it was named");
    world.put(exit(7));
    assert_eq!(running.join().reason, Some(Reason::TargetsGone));
}

#[test]
fn without_children_a_fork_keeps_nothing_alive() {
    let world = World::default();
    world.with(|s| s.children.insert(7, vec![9]));
    let running = begin(&world, core(&world).0);
    assert_eq!(watch(&world, &running, &[7], false), 0);
    world.put(fork(7, 8));
    world.put(exit(7));
    assert_eq!(running.join().reason, Some(Reason::TargetsGone));
}

#[test]
fn children_are_found_until_there_are_no_new_ones() {
    let world = World::default();
    world.with(|s| {
        s.children.insert(7, vec![8]);
        s.late_children.insert(8, 9);
        s.late_children.insert(9, 10);
    });
    let running = begin(&world, core(&world).0);
    assert_eq!(watch(&world, &running, &[7], true), 3);
    assert_eq!(
        world.with(|s| s.targets.keys().copied().collect::<Vec<_>>()),
        [7, 8, 9, 10]
    );
    running.stop().request(Reason::Signal);
    running.join();
}

#[test]
fn the_engine_has_a_process_s_facts_before_its_first_record_and_again_after_exec_or_reuse() {
    let world = World::default();
    world.process(8);
    let (running, tape) = of_process_7(&world);
    world.put(fork(7, 8));
    world.put(data(8));
    world.put(process_record(Body::Exec, 8, clock::now()));
    world.put(exit(8));
    world.put(data(8));
    world.put(exit(8));
    world.put(exit(7));
    running.join();
    assert_eq!(
        order(&tape),
        [
            "F7", "R7", "F8", "R8", "R8", "F8", "R8", "F8", "R8", "R8", "R7"
        ]
    );
}

#[test]
fn a_child_that_is_gone_before_it_is_looked_at_has_its_parent_s_environment() {
    let world = World::default();
    let (running, tape) = of_process_7(&world);
    world.put(fork(7, 8));
    world.put(data(8));
    world.put(exit(8));
    world.put(exit(7));
    running.join();
    let given = tape.inputs().into_iter().find_map(|input| match input {
        Input::Process(facts) if facts.tgid == 8 => Some(facts),
        _ => None,
    });
    assert_eq!(
        given.unwrap().env.get("RANK").map(String::as_str),
        Some("7")
    );
}

#[test]
fn an_exit_whose_event_was_lost_is_noticed_all_the_same() {
    let world = World::default();
    let (running, tape) = of_process_7(&world);
    world.with(|s| s.processes.clear());
    let report = running.join();
    assert_eq!(report.reason, Some(Reason::TargetsGone));
    assert_eq!(report.core.exits_missed, 1);
    assert_eq!(
        report.core.records, 0,
        "the record that stands in for it is not the ring's"
    );
    assert_eq!(order(&tape), ["F7", "R7"]);
    assert!(world.with(|s| s.targets.is_empty()));
}

#[test]
fn asked_to_stop_it_reads_what_was_still_on_its_way() {
    let world = World::default();
    let parting = (0..50_000).map(|_| data(7)).collect();
    world.with(|s| s.parting = parting);
    let (running, _) = of_process_7(&world);
    running.stop().request(Reason::Signal);
    let report = running.join();
    assert_eq!(report.reason, Some(Reason::Signal));
    assert_eq!(report.core.records, 50_000);
}

#[test]
fn forced_it_ends_at_once_and_still_ends_the_engine() {
    let world = World::default();
    let (running, tape) = of_process_7(&world);
    running.stop().request(Reason::Signal);
    running.stop().force();
    running.join();
    assert!(matches!(tape.inputs().last(), Some(Input::Shutdown(_))));
}

#[test]
fn a_ring_that_cannot_be_read_ends_the_capture_and_is_a_failure() {
    let world = World::default();
    let (running, _) = of_process_7(&world);
    world.with(|s| s.fail_reads = true);
    let report = running.join();
    assert_eq!(report.reason, Some(Reason::Failure));
    assert!(format!("{:#}", report.failure.unwrap()).contains("broken ring"));
}

#[test]
fn a_helper_that_panics_ends_the_capture_with_a_cause_and_what_was_seen_is_kept() {
    let world = World::default();
    let (core, tape) = core(&world);
    let (tell, told) = std::sync::mpsc::channel();
    let attach = Helper::new("attach", move || {
        let () = told.recv().unwrap();
        panic!("over a file");
    });
    let running = begin_with(&world, core, vec![attach]);
    watch(&world, &running, &[7], true);
    world.put(data(7));
    wait_until("the record", || world.with(|s| s.ring.is_empty()));
    assert!(!running.stop().is_requested());
    tell.send(()).unwrap();
    let report = running.join();
    assert_eq!(report.reason, Some(Reason::Failure));
    let failure = report.failure.unwrap().to_string();
    assert_eq!(failure, "the attach thread panicked; report it");
    assert_eq!(report.core.records, 1);
    assert!(matches!(tape.inputs().last(), Some(Input::Shutdown(_))));
}

/// Ends that were given to the engine, in order.
fn ends(tape: &Tape) -> Vec<u64> {
    let of_conn = |record: Vec<u8>| match Record::decode(&record).unwrap().body {
        Body::Close { why, .. } => Some(why),
        _ => None,
    };
    let records = tape.inputs().into_iter().filter_map(|input| match input {
        Input::Record(record) => of_conn(record),
        _ => None,
    });
    records.collect()
}

/// Process 7 uses a socket and calls exec, or ends and lets go of it; process 8 lives a little longer.
fn one_socket(before: SocketState, last: Body<'_>, after: SocketState) -> Vec<u64> {
    let world = World::default();
    world.process(8);
    world.with(|s| s.sockets.insert(0, SocketState::Held(2)));
    let (running, tape) = of_process_7(&world);
    world.put(fork(7, 8));
    world.put(data(7));
    if last == Body::Exec {
        world.with(|s| s.sockets.insert(0, before));
    }
    world.put(process_record(last, 7, clock::now()));
    std::thread::sleep(Duration::from_millis(60));
    world.with(|s| {
        s.sockets.insert(0, before);
        s.processes.remove(&7);
    });
    std::thread::sleep(Duration::from_millis(60));
    world.with(|s| s.sockets.insert(0, after));
    std::thread::sleep(Duration::from_millis(200));
    world.put(exit(7));
    world.put(exit(8));
    running.join();
    ends(&tape)
}

#[test]
fn a_socket_that_another_holds_outlives_its_process_and_is_asked_for_until_it_is_released() {
    use cirron_common::record::close::{FD_CLOSED, HELD};
    let (exit, exec) = (Body::Exit, Body::Exec);
    let shared = one_socket(SocketState::Held(1), exit, SocketState::Released);
    assert_eq!(shared, [HELD, FD_CLOSED]);
    assert!(one_socket(SocketState::Released, exit, SocketState::Released).is_empty());
    assert!(one_socket(SocketState::Unknown, exit, SocketState::Unknown).is_empty());
    let closed = one_socket(SocketState::Released, exec, SocketState::Released);
    assert_eq!(closed, [FD_CLOSED]);
}
