//! Processes that are gone while something is still told of them, and those whose beginning or end nobody told.

use super::*;

/// A record that the kernel's TCP states gave for process `tgid`, which used the socket last.
fn tcp_state(tgid: u32) -> Vec<u8> {
    let close = process_record(
        Body::Close {
            why: close::LOCAL_CLOSE,
            at: None,
        },
        tgid,
        clock::now(),
    );
    edited(&close, |record| record.head.source = source::TCP_STATE)
}

#[test]
fn ends_of_sockets_behind_the_end_of_their_process_leave_its_facts_as_they_are() {
    let world = World::default();
    let (core, tape) = core(&world);
    let running = begin(&world, core);
    watch(&world, &running, &[7, 8], true);
    world.with(|s| s.processes.remove(&7));
    world.put(exit(7));
    world.put(tcp_state(7));
    world.put(exit(8));
    running.join();
    assert_eq!(order(&tape), ["F7", "F8", "R7", "R7", "R8"]);
}

/// The number's next owner is told by what it does.
#[test]
fn who_gets_the_number_next_has_facts_of_its_own() {
    let world = World::default();
    let (core, tape) = core(&world);
    let running = begin(&world, core);
    watch(&world, &running, &[7, 8], true);
    world.put(exit(7));
    world.put(tcp_state(7));
    world.put(data(7));
    world.put(exit(7));
    world.put(exit(8));
    running.join();
    assert_eq!(
        order(&tape),
        ["F7", "F8", "R7", "R7", "F7", "R7", "R7", "R8"]
    );
}

#[test]
fn a_child_of_which_neither_fork_nor_exit_were_told_is_followed_to_its_end() {
    let world = World::default();
    world.process(8);
    let (running, tape) = of_process_7(&world);
    world.put(data(8));
    world.put(exit(7));
    wait_until("the records", || world.with(|s| s.ring.is_empty()));
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(!running.stop().is_requested(), "process 8 lives");
    world.with(|s| s.processes.clear());
    let report = running.join();
    assert_eq!(report.reason, Some(Reason::TargetsGone));
    assert_eq!(report.core.exits_missed, 1);
    assert_eq!(order(&tape), ["F7", "F8", "R8", "R7", "R8"]);
}
