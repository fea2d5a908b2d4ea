//! The states by themselves.
#![expect(clippy::unwrap_used, reason = "tests")]

use cirron_common::record::GOID;

use super::*;

const PID: u32 = 1;
const MAIN: u32 = 1;

fn id(n: u32) -> Id {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    Id(bytes)
}

const fn thread(tid: u32) -> Context {
    Context::Thread { pid: PID, tid }
}

fn serving() -> Serving {
    let mut serving = Serving::default();
    assert!(!serving.serves(PID));
    serving.note(PID);
    assert!(serving.serves(PID));
    serving
}

/// Read and answered by one thread.
fn clean(serving: &mut Serving, n: u32, tid: u32) -> Option<&'static str> {
    serving.read(id(n), thread(tid), MAIN, false);
    assert!(serving.answered(id(n), Some(thread(tid))));
    serving.end(id(n), true)
}

/// Two at once, each by its own thread.
fn pair(serving: &mut Serving, n: u32) -> [Option<&'static str>; 2] {
    let all = [(n, 2), (n + 1, 3)];
    for (n, tid) in all {
        serving.read(id(n), thread(tid), MAIN, false);
    }
    all.map(|(n, tid)| {
        assert!(serving.answered(id(n), Some(thread(tid))));
        serving.end(id(n), true)
    })
}

#[test]
fn alone_it_counts_who_accepted_the_connection() {
    let mut serving = serving();
    assert_eq!(clean(&mut serving, 1, 2), None);
    assert_eq!(clean(&mut serving, 2, MAIN), Some(evidence::UNPROVEN));
    serving.read(id(3), thread(2), 0, false);
    serving.answered(id(3), Some(thread(2)));
    assert_eq!(serving.end(id(3), true), Some(evidence::UNPROVEN));
    assert_eq!(serving.doubts(thread(2), None), None);
}

#[test]
fn with_several_at_once_it_takes_enough_of_them_that_were_clean() {
    let mut serving = serving();
    let unproven = [Some(evidence::UNPROVEN); 2];
    // Of each pair the one that ends last shows something.
    for n in 0..CLEAN_PROOFS {
        assert_eq!(pair(&mut serving, 2 * n), unproven, "{n}");
        // One that is alone shows nothing, and is not known either.
        assert_eq!(clean(&mut serving, 999, 9), unproven[0]);
    }
    assert_eq!(pair(&mut serving, 200), [unproven[0], None]);
    assert_eq!(pair(&mut serving, 202), [None; 2]);
    // From here on whoever accepts.
    assert_eq!(clean(&mut serving, 300, MAIN), None);
}

#[test]
fn a_thread_that_reads_of_another_while_one_is_open_is_a_loop_until_much_shows_the_opposite() {
    let mut serving = serving();
    serving.read(id(1), thread(2), MAIN, false);
    serving.turned(id(1), thread(2));
    assert_eq!(serving.doubts(thread(9), None), Some(evidence::EVENT_LOOP));
    serving.answered(id(1), Some(thread(2)));
    assert_eq!(serving.end(id(1), true), Some(evidence::SEVERAL));
    assert_eq!(clean(&mut serving, 2, 2), Some(evidence::EVENT_LOOP));
    for n in 0..CLEAN_PROOFS_OF_MIXED {
        let [one, two] = pair(&mut serving, 2 * n + 10);
        assert_eq!((one, two), (Some(evidence::EVENT_LOOP), one), "{n}");
    }
    assert_eq!(pair(&mut serving, 9_000)[1], None);
    assert_eq!(pair(&mut serving, 9_002), [None; 2]);
    // And again.
    serving.read(id(1), thread(2), MAIN, false);
    serving.turned(id(1), thread(2));
    serving.end(id(1), true);
    assert_eq!(serving.doubts(thread(9), None), Some(evidence::EVENT_LOOP));
    serving.end_process(PID);
    assert!(!serving.serves(PID));
    serving.note(PID);
    assert_eq!(clean(&mut serving, 3, 2), None);
}

#[test]
fn one_whose_end_was_lost_shows_nothing_of_those_beside_it() {
    let mut serving = serving();
    // Its reader has done with it, and nobody tells.
    serving.read(id(1), thread(2), MAIN, false);
    serving.answered(id(1), Some(thread(2)));
    for n in 0..3 * CLEAN_PROOFS {
        // Of another thread, and of its own.
        for tid in [3, 2] {
            assert_eq!(
                clean(&mut serving, n + 10, tid),
                Some(evidence::UNPROVEN),
                "{n}"
            );
        }
    }
}

#[test]
fn one_whose_answer_is_held_back_may_be_left() {
    let mut serving = serving();
    serving.read(id(1), thread(2), MAIN, false);
    serving.answered(id(1), Some(thread(2)));
    serving.hold(id(1));
    serving.turned(id(1), thread(2));
    assert_eq!(serving.doubts(thread(2), None), None);
    assert_eq!(serving.end(id(1), true), None);
}

#[test]
fn who_does_not_answer_what_it_read_hands_over() {
    let mut serving = serving();
    serving.read(id(1), thread(2), MAIN, false);
    assert!(!serving.answered(id(1), Some(thread(3))));
    assert_eq!(serving.end(id(1), true), Some(evidence::HANDED_OVER));
    assert_eq!(clean(&mut serving, 2, 2), Some(evidence::HANDED_OVER));
    // As does who reads what another has begun to read.
    let mut serving = self::serving();
    serving.read(id(1), thread(2), MAIN, false);
    serving.read(id(1), thread(3), MAIN, false);
    assert_eq!(serving.doubts(thread(2), None), Some(evidence::HANDED_OVER));
}

#[test]
fn whatever_is_not_known_of_one_is_a_doubt_of_that_one_alone() {
    let mut serving = serving();
    serving.read(id(1), thread(2), MAIN, false);
    assert_eq!(serving.end(id(1), true), Some(evidence::NOT_ANSWERED));
    serving.read(id(2), thread(2), MAIN, false);
    assert!(!serving.answered(id(2), None));
    assert_eq!(serving.end(id(2), true), Some(evidence::WRITER_UNKNOWN));
    serving.read(id(3), thread(2), MAIN, false);
    serving.answered(id(3), Some(thread(2)));
    assert_eq!(serving.end(id(3), false), Some(evidence::RECORDS_LOST));
    assert_eq!(serving.end(id(4), true), Some(evidence::NO_REQUEST));
    serving.read(id(5), thread(2), MAIN, false);
    serving.doubt(id(5), evidence::MULTIPLEXED);
    assert_eq!(
        serving.doubts(thread(2), Some(id(5))),
        Some(evidence::MULTIPLEXED)
    );
    let goroutine = Context::Goroutine { pid: PID, id: 5 };
    assert_eq!(
        serving.doubts(goroutine, None),
        Some(evidence::GOROUTINE_END)
    );
    serving.answered(id(5), Some(thread(2)));
    serving.end(id(5), true);
    assert_eq!(clean(&mut serving, 6, 2), None);
}

#[test]
fn what_finds_no_room_is_not_known() {
    let mut serving = serving();
    let all = u32::try_from(MAX_CONTEXTS).unwrap();
    for n in 0..=all {
        serving.read(id(n), thread(n + 2), MAIN, false);
    }
    assert_eq!(serving.served.len(), MAX_CONTEXTS);
    assert!(serving.held_bytes() < 4 << 20, "{}", serving.held_bytes());
    assert!(!serving.answered(id(all), Some(thread(all + 2))));
    assert_eq!(serving.end(id(all), true), Some(evidence::NO_REQUEST));
    for pid in 0..MAX_PROCESSES as u32 + 9 {
        serving.note(pid + 100);
    }
    assert_eq!(serving.processes.len(), MAX_PROCESSES);
}

/// Read and answered by one context, alone.
fn served(serving: &mut Serving, by: Context, is_straight: bool) -> Option<&'static str> {
    serving.read(id(1), by, MAIN, false);
    serving.writes(id(1), is_straight);
    assert!(serving.answered(id(1), Some(by)));
    serving.end(id(1), true)
}

#[test]
fn a_straight_answer_shows_it_where_it_is_the_only_one() {
    let mut serving = serving();
    assert_eq!(served(&mut serving, thread(MAIN), true), None);
    assert_eq!(
        served(&mut serving, thread(MAIN), false),
        Some(evidence::UNPROVEN)
    );
    // A second piece that is not, and a read behind the first.
    serving.read(id(1), thread(MAIN), MAIN, false);
    serving.writes(id(1), true);
    assert!(serving.answered(id(1), Some(thread(MAIN))));
    serving.writes(id(1), false);
    serving.writes(id(1), true);
    assert_eq!(serving.end(id(1), true), Some(evidence::UNPROVEN));
    serving.read(id(1), thread(MAIN), MAIN, false);
    serving.reads_on(id(1));
    serving.writes(id(1), true);
    serving.reads_on(id(1));
    assert!(serving.answered(id(1), Some(thread(MAIN))));
    assert_eq!(serving.end(id(1), true), Some(evidence::UNPROVEN));
    // Nothing of it was seen to be written.
    assert_eq!(clean(&mut serving, 2, MAIN), Some(evidence::UNPROVEN));
    // With others beside it says nothing of queues between threads.
    for (n, tid) in [(3, 2), (4, MAIN)] {
        serving.read(id(n), thread(tid), MAIN, false);
        serving.writes(id(n), true);
        assert!(serving.answered(id(n), Some(thread(tid))));
    }
    assert_eq!(serving.end(id(3), true), Some(evidence::UNPROVEN));
    assert_eq!(serving.end(id(4), true), Some(evidence::UNPROVEN));
    assert_eq!(
        served(&mut serving, thread(MAIN), true),
        Some(evidence::UNPROVEN)
    );
}

#[test]
fn one_whose_connection_was_closed_is_beside_nothing() {
    let mut serving = serving();
    serving.read(id(2), thread(MAIN), MAIN, false);
    serving.leave(id(2));
    serving.leave(id(2));
    assert_eq!(served(&mut serving, thread(MAIN), true), None);
    serving.end(id(2), true);
    assert_eq!(served(&mut serving, thread(MAIN), true), None);
}

#[test]
fn a_goroutine_is_believed_by_its_straight_answers_alone() {
    let mut serving = serving();
    let goroutine = |id| Context::Goroutine {
        pid: PID,
        id: GOID | id,
    };
    assert_eq!(served(&mut serving, goroutine(5), true), None);
    assert_eq!(
        served(&mut serving, goroutine(5), false),
        Some(evidence::UNPROVEN_GOROUTINE)
    );
    // Whatever its process shows.
    serving.read(id(2), thread(2), MAIN, false);
    serving.turned(id(2), thread(2));
    assert_eq!(serving.doubts(thread(2), None), Some(evidence::EVENT_LOOP));
    assert_eq!(serving.doubts(goroutine(5), None), None);
    assert_eq!(served(&mut serving, goroutine(5), true), None);
    // Clean ones say nothing of threads.
    for n in 0..2 * CLEAN_PROOFS_OF_MIXED {
        served(&mut serving, goroutine(n.into()), true);
    }
    assert_eq!(serving.doubts(thread(2), None), Some(evidence::EVENT_LOOP));
}

/// A process that was given a request with its connection serves, too: what it calls may be for one of those.
#[test]
fn a_process_that_answers_what_another_one_read_serves() {
    let mut serving = serving();
    let worker = Context::Thread { pid: 9, tid: 9 };
    serving.read(id(1), thread(MAIN), MAIN, false);
    assert!(!serving.serves(9));
    assert!(!serving.answered(id(1), Some(worker)));
    assert!(serving.serves(9));
    assert_eq!(serving.doubts(worker, None), Some(evidence::HANDED_OVER));
    assert_eq!(serving.end(id(1), true), Some(evidence::HANDED_OVER));
}
