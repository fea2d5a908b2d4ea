//! Targets that come and go while the threads run.

use super::*;
use crate::driver::command::Unanswered;

/// Kinds of the records that were given of a process, in order.
fn kinds(tape: &Tape, tgid: u32) -> Vec<&'static str> {
    let of_it = |input| match input {
        Input::Record(record) => {
            let Record { head, body } = Record::decode(&record).unwrap();
            (head.tgid == tgid).then_some(match body {
                Body::Data(_) => "data",
                Body::Release => "release",
                Body::Exit => "exit",
                _ => "other",
            })
        }
        _ => None,
    };
    tape.inputs().into_iter().filter_map(of_it).collect()
}

#[test]
fn a_target_is_added_and_released_and_the_agent_waits_for_others() {
    let world = World::default();
    let (mut core, tape) = core_that(Idle::Waits, &world, true);
    assert_eq!(core.attach(&[], &world).unwrap(), 0);
    let running = begin(&world, core);
    let commands = running.commands();
    let facts = world.process(7);
    world.with(|s| {
        s.children.insert(7, vec![8]);
        s.late_children.insert(8, 9);
    });
    world.process(8);
    world.process(9);
    let all = Policy::default();
    assert_eq!(commands.add(facts, all, &world).unwrap(), 2);
    assert_eq!(commands.targets().unwrap(), [7, 8, 9]);
    assert_eq!(world.with(|s| s.targets.len()), 3);
    world.put(data_on(7, 70));
    // What was on its way when it was let go is its own still.
    world.with(|s| s.parting = vec![data_on(7, 70)]);
    assert!(commands.release(7).unwrap());
    assert!(!world.with(|s| s.targets.contains_key(&7)));
    assert_eq!(commands.targets().unwrap(), [8, 9]);
    assert!(!commands.release(7).unwrap(), "it is none any more");
    // A thread was in a program when it was let go.
    world.put(data_on(7, 70));
    wait_until("the late record", || world.with(|s| s.ring.is_empty()));
    assert_eq!(commands.targets().unwrap(), [8, 9]);
    let so_far = commands.statistics().unwrap();
    assert_eq!((so_far.records, so_far.engine.connections), (3, 1));
    assert!(so_far.counters.is_some());
    for tgid in [8, 9] {
        assert!(commands.release(tgid).unwrap());
    }
    std::thread::sleep(Duration::from_millis(120));
    assert!(!running.stop().is_requested(), "it waits for others");
    let facts = world.process(7);
    assert_eq!(commands.add(facts, all, &world).unwrap(), 2);
    running.stop().request(Reason::Signal);
    let report = running.join();
    assert_eq!(report.reason, Some(Reason::Signal));
    assert!(world.with(|s| s.targets.is_empty()));
    assert!(matches!(commands.targets(), Err(Unanswered::Ended)));
    assert_eq!(kinds(&tape, 7), ["data", "data", "release"]);
    // Its facts were given again: it may be another program by now.
    let given = order(&tape).iter().filter(|entry| *entry == "F7").count();
    assert_eq!(given, 2);
}

#[test]
fn where_it_was_told_whom_to_watch_it_ends_when_the_last_one_is_released() {
    let world = World::default();
    let (running, _) = of_process_7(&world);
    assert!(running.commands().release(7).unwrap());
    assert_eq!(running.join().reason, Some(Reason::TargetsGone));
}

#[test]
fn a_policy_is_the_kernel_s_and_children_inherit_it() {
    let world = World::default();
    let (running, _) = of_process_7(&world);
    let commands = running.commands();
    let policy_of = |tgid| world.with(|s| s.targets.get(&tgid).copied());
    assert_eq!(policy_of(7), Some(Policy::default()));
    let no_tls = Policy {
        tls: false,
        ..Policy::default()
    };
    assert!(commands.set_policy(7, no_tls).unwrap());
    assert_eq!(policy_of(7), Some(no_tls));
    assert!(!commands.set_policy(99, no_tls).unwrap());
    assert_eq!(policy_of(99), None);
    world.process(8);
    world.put(fork(7, 8));
    wait_until("the child", || commands.targets().unwrap() == [7, 8]);
    let alone = Policy {
        children: false,
        ..no_tls
    };
    assert!(commands.set_policy(7, alone).unwrap());
    world.process(9);
    world.put(fork(7, 9));
    wait_until("the fork", || world.with(|s| s.ring.is_empty()));
    assert_eq!(commands.targets().unwrap(), [7, 8]);
    running.stop().request(Reason::Signal);
    running.join();
}

#[test]
fn exchanges_that_go_on_can_be_asked_for() {
    let world = World::default();
    let (running, _) = of_process_7(&world);
    assert_eq!(running.commands().open_scopes(9).unwrap().first, []);
    let head = b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
    let request = edited(&data_on(7, 70), |record| {
        if let Body::Data(data) = &mut record.body {
            data.len = head.len() as u64;
            data.bytes = head;
        }
    });
    world.put(request);
    wait_until("the exchange", || {
        let open = running.commands().open_scopes(9).unwrap().first;
        open.len() == 1
            && open[0].origin.start.pid == 7
            && open[0].about.endpoint.as_deref() == Some("/v1/chat/completions")
    });
    running.stop().request(Reason::Signal);
    running.join();
}
