//! Targets that come and go while the threads run.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::driver::command::Unanswered;
use crate::driver::listeners::{News, listeners};

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
    let (core, tape) = core(&world);
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
    assert_eq!(commands.add(vec![facts], all, &world).unwrap(), [8, 9]);
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
    assert_eq!(commands.add(vec![facts], all, &world).unwrap(), [8, 9]);
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
fn one_that_is_told_to_end_with_its_last_target_ends_at_once_where_there_is_none() {
    let world = World::default();
    let running = begin(&world, core(&world).0);
    let (commands, all) = (running.commands(), Policy::default());
    let facts = vec![world.process(7)];
    assert!(commands.add(facts, all, &world).unwrap().is_empty());
    assert!(commands.release(7).unwrap());
    commands.statistics().unwrap();
    assert!(!running.stop().is_requested());
    commands.end_with_last_target().unwrap();
    assert_eq!(running.join().reason, Some(Reason::TargetsGone));
}

#[test]
fn a_policy_is_the_kernel_s_and_children_inherit_it() {
    let world = World::default();
    let (running, _) = of_process_7(&world);
    let commands = running.commands();
    let policy_of = |tgid| world.with(|s| s.targets.get(&tgid).copied());
    let add_7 = |policy| commands.add(vec![world.process(7)], policy, &world);
    assert_eq!(policy_of(7), Some(Policy::default()));
    let no_tls = Policy {
        tls: false,
        ..Policy::default()
    };
    // Of one that is a target already something else is captured.
    assert!(add_7(no_tls).unwrap().is_empty());
    assert_eq!(policy_of(7), Some(no_tls));
    world.process(8);
    world.put(fork(7, 8));
    wait_until("the child", || commands.targets().unwrap() == [7, 8]);
    let alone = Policy {
        children: false,
        ..no_tls
    };
    add_7(alone).unwrap();
    world.process(9);
    world.put(fork(7, 9));
    wait_until("the fork", || world.with(|s| s.ring.is_empty()));
    assert_eq!(commands.targets().unwrap(), [7, 8]);
    running.stop().request(Reason::Signal);
    running.join();
}

/// What the kernel side says of a process is asked of it, where nobody told of the process's beginning.
#[test]
fn the_child_of_a_fork_that_was_lost_has_the_policy_that_it_inherited() {
    let world = World::default();
    let (running, _) = of_process_7(&world);
    let alone = Policy {
        children: false,
        ..Policy::default()
    };
    world.process(8);
    world.with(|s| s.targets.insert(8, alone));
    world.put(data(8));
    world.put(fork(8, 9));
    wait_until("the records", || world.with(|s| s.ring.is_empty()));
    wait_until("the child", || {
        running.commands().targets().unwrap() == [7, 8]
    });
    running.stop().request(Reason::Signal);
    running.join();
}

#[test]
fn of_processes_that_are_added_at_once_all_are_targets_or_none() {
    let world = World::default();
    let (running, tape) = of_process_7(&world);
    let commands = running.commands();
    let named = |world: &World, tgids: [u32; 2]| tgids.map(|tgid| world.process(tgid)).to_vec();
    world.with(|s| s.refused.insert(20));
    let less = Policy {
        tls: false,
        ..Policy::default()
    };
    // The one that was a target is as it was.
    for before in [7, 10] {
        let refused = commands.add(named(&world, [before, 20]), less, &world);
        let why = refused.unwrap_err().to_string();
        assert_eq!(why, "process 20 cannot be a target: no room");
        assert_eq!(commands.targets().unwrap(), [7]);
        let targets = world.with(|s| s.targets.clone());
        assert_eq!(targets, BTreeMap::from([(7, Policy::default())]));
    }
    // A descendant that is refused takes those along that were added before it.
    world.with(|s| s.children.extend([(11, vec![12]), (12, vec![20])]));
    let refused = commands.add(named(&world, [7, 11]), less, &world);
    assert!(matches!(refused, Err(Unanswered::Refused(_))));
    assert_eq!(commands.targets().unwrap(), [7]);
    assert_eq!(world.with(|s| s.targets.len()), 1);
    running.stop().request(Reason::Signal);
    running.join();
    assert_eq!(kinds(&tape, 10), [""; 0], "nothing was told of it");
    assert_eq!(kinds(&tape, 11), ["release"], "its session has an end");
}

/// A target that comes and goes a hundred times over, each with records of its own, beside one that stays.
#[test]
fn a_hundred_targets_come_and_go_while_traffic_runs() {
    const COUNT: u32 = 100;
    let world = World::default();
    let (running, tape) = of_process_7(&world);
    let over = Arc::new(AtomicBool::new(false));
    let traffic = {
        let (world, over) = (world.clone(), Arc::clone(&over));
        std::thread::spawn(move || {
            let mut sent = 0_u64;
            while !over.load(Ordering::SeqCst) {
                world.put(data_on(7, 70));
                sent += 1;
                std::thread::sleep(Duration::from_micros(200));
            }
            sent
        })
    };
    let commands = running.commands();
    let mut others = 0;
    for tgids in (100..100 + COUNT).collect::<Vec<_>>().chunks(10) {
        let named = tgids.iter().map(|tgid| world.process(*tgid)).collect();
        let policy = Policy::default();
        assert!(commands.add(named, policy, &world).unwrap().is_empty());
        assert_eq!(commands.targets().unwrap().len(), 1 + tgids.len());
        for tgid in tgids {
            world.put(data_on(*tgid, u64::from(*tgid)));
            others += 1;
        }
        let gone = tgids.iter().map(|tgid| commands.release(*tgid).unwrap());
        assert_eq!(gone.filter(|was| *was).count(), tgids.len());
    }
    assert_eq!(commands.targets().unwrap(), [7]);
    over.store(true, Ordering::SeqCst);
    let sent = traffic.join().unwrap();
    world.put(exit(7));
    let report = running.join();
    assert_eq!(report.reason, Some(Reason::TargetsGone));
    assert_eq!(report.core.records, sent + others + 1);
    for tgid in 100..100 + COUNT {
        assert_eq!(kinds(&tape, tgid), ["data", "release"]);
    }
    assert_eq!(
        world.with(|s| s.targets.keys().copied().collect::<Vec<_>>()),
        [7]
    );
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

/// Facts that were given of a process, in order: whether it was named, and what a rule calls it.
fn facts_of(tape: &Tape, tgid: u32) -> Vec<(bool, Option<String>)> {
    let its = |input| match input {
        Input::Process(facts) => (facts.tgid == tgid).then_some((facts.explicit, facts.target)),
        _ => None,
    };
    tape.inputs().into_iter().filter_map(its).collect()
}

#[test]
fn what_a_rule_chose_and_its_children_are_called_so_and_released_together() {
    let world = World::default();
    let (core, tape) = core(&world);
    let running = begin(&world, core);
    let commands = running.commands();
    let facts = world.process(7);
    world.with(|s| s.children.insert(7, vec![8]));
    world.process(8);
    world.process(9);
    let add = |name: &str| {
        let chosen = vec![(facts.clone(), Some(name.to_owned()))];
        commands
            .add_chosen(chosen, Policy::default(), &world)
            .unwrap();
    };
    add("first");
    assert_eq!(commands.targets().unwrap(), [7, 8]);
    world.put(data_on(8, 80));
    world.put(fork(8, 9));
    world.put(data_on(9, 90));
    wait_until("the records", || world.with(|s| s.ring.is_empty()));
    // Chosen again under new rules: everything of it is called otherwise, and no session is lost.
    add("second");
    assert_eq!(commands.targets().unwrap(), [7, 8, 9]);
    commands.release_chosen(7).unwrap();
    assert_eq!(commands.targets().unwrap(), [] as [u32; 0]);
    running.stop().request(Reason::Signal);
    assert!(running.join().failure.is_none());
    for tgid in [7, 8, 9] {
        let given = facts_of(&tape, tgid);
        assert!(given.iter().all(|(explicit, _)| !explicit), "{given:?}");
        let names: Vec<_> = given
            .iter()
            .filter_map(|(_, name)| name.as_deref())
            .collect();
        assert_eq!(names.last(), Some(&"second"), "{tgid}: {names:?}");
        assert_eq!(names.first(), Some(&"first"), "{tgid}: {names:?}");
    }
}

#[test]
fn a_process_that_listens_is_told_to_who_looks_for_targets_and_to_nobody_else() {
    let world = World::default();
    let (mut core, tape) = core(&world);
    let (tell, heard) = listeners();
    core.set_listeners(tell);
    let running = begin(&world, core);
    world.process(7);
    world.put(process_record(Body::Listen, 7, clock::now()));
    let limit = Duration::from_secs(10);
    assert_eq!(heard.next(limit), News::Listens(7));
    assert_eq!(running.commands().targets().unwrap(), [] as [u32; 0]);
    running.stop().request(Reason::Signal);
    assert!(running.join().failure.is_none());
    assert_eq!(heard.next(limit), News::Over);
    assert_eq!(kinds(&tape, 7), [""; 0]);
    assert_eq!(facts_of(&tape, 7), []);
}
