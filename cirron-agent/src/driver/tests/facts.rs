//! Facts of processes that come late, or never.

use super::*;

/// Ranks in the facts that were given of a process, in order.
fn ranks(tape: &Tape, tgid: u32) -> Vec<String> {
    let inputs = tape.inputs().into_iter();
    let given = inputs.filter_map(|input| match input {
        Input::Process(facts) if facts.tgid == tgid => Some(facts),
        _ => None,
    });
    given
        .map(|facts| facts.env.get("RANK").cloned().unwrap_or_default())
        .collect()
}

fn late(world: &World) -> u64 {
    world.with(|s| s.counts.by_name()["facts_late"])
}

/// They were read, and the core has been round twice since.
fn wait_for_facts(world: &World, running: &Running, tgid: u32) {
    wait_until("the facts", || world.with(|s| s.facts_read.contains(&tgid)));
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(5));
        running.commands().statistics().unwrap();
    }
}

fn wait_for_records(world: &World, running: &Running, count: u64) {
    wait_until("the records", || {
        world.with(|s| s.ring.is_empty())
            && running.commands().statistics().unwrap().records == count
    });
}

#[test]
fn the_core_goes_on_with_the_parent_s_facts_until_a_process_s_own_come() {
    let world = World::default();
    world.process(8);
    world.process(9);
    world.with(|s| s.stuck.insert(8));
    let (running, tape) = of_process_7(&world);
    world.put(fork(7, 8));
    world.put(data(8));
    world.put(data(9));
    wait_for_records(&world, &running, 3);
    world.with(|s| s.stuck.clear());
    wait_for_facts(&world, &running, 9);
    world.put(data(8));
    wait_for_records(&world, &running, 4);
    running.stop().request(Reason::Signal);
    running.join();
    assert_eq!(ranks(&tape, 8), ["7", "8"]);
    assert_eq!(
        ranks(&tape, 9),
        ["", "9"],
        "no child of 7, as far as is known"
    );
    assert_eq!(
        order(&tape),
        ["F7", "R7", "F8", "R8", "F9", "R9", "F8", "F9", "R8"]
    );
    assert_eq!(late(&world), 0);
}

#[test]
fn behind_exec_a_process_keeps_what_it_had_until_what_it_has_is_known() {
    let world = World::default();
    let (running, tape) = of_process_7(&world);
    world.with(|s| s.stuck.insert(7));
    world.put(process_record(Body::Exec, 7, clock::now()));
    world.put(data(7));
    wait_for_records(&world, &running, 2);
    world.with(|s| s.stuck.clear());
    wait_for_facts(&world, &running, 7);
    running.stop().request(Reason::Signal);
    running.join();
    assert_eq!(order(&tape), ["F7", "R7", "R7", "F7"]);
}

#[test]
fn what_comes_behind_a_process_s_end_is_counted_and_not_its_number_s_next_owner_s() {
    let world = World::default();
    world.process(8);
    world.with(|s| s.stuck.insert(8));
    let (running, tape) = of_process_7(&world);
    world.put(fork(7, 8));
    world.put(data(8));
    world.put(exit(8));
    wait_for_records(&world, &running, 3);
    world.with(|s| s.stuck.clear());
    wait_until("the answer", || late(&world) == 1);
    world.put(data(8));
    wait_for_records(&world, &running, 4);
    running.stop().request(Reason::Signal);
    running.join();
    assert_eq!(order(&tape), ["F7", "R7", "F8", "R8", "R8", "F8", "R8"]);
    assert_eq!(ranks(&tape, 8), ["7", "8"]);
    assert_eq!(late(&world), 1);
}

/// Every test of the threads runs with a process table that says so where the core's thread asks it.
#[test]
fn the_process_table_of_these_tests_is_shut_where_procfs_is() {
    let world = World::default();
    let forbidden = std::thread::spawn(move || {
        crate::discovery::never_here();
        crate::discovery::Processes::facts(&world, 7)
    });
    assert!(forbidden.join().is_err());
}
