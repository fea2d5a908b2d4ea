//! Contexts that are too many, lost or alive, one by one. Whole servers: `cirron-core/tests/contexts`.

use super::judge::{GRACE_NS, Held};
use super::*;

const PID: u32 = 7;
const TID: u32 = 8;
const SLOT: Slot = (9, 0);
const REQUEST: Id = Id([1; 16]);
const CALL: Id = Id([2; 16]);
const LOOP: u64 = 64;
const READER: u64 = 128;
const TASK: u64 = 192;
const END: MonoNs = MonoNs(1_000);

fn at(context: u64, version: u64) -> Moment {
    Moment {
        pid: PID,
        tid: TID,
        context,
        version,
        has_room: true,
    }
}

/// A request was read, and its task made.
fn asked() -> Lineage {
    let mut lineage = Lineage::default();
    lineage.made(READER, 0, at(LOOP, 1));
    lineage.read(SLOT, Read::Socket, true, at(READER, 2));
    lineage.begin(REQUEST, SLOT, PID);
    lineage.made(TASK, 1, at(READER, 2));
    lineage
}

fn calls(lineage: &mut Lineage) {
    assert_eq!(lineage.candidate(at(TASK, 4)), Some(REQUEST));
    assert!(lineage.presume(CALL, REQUEST, at(TASK, 4)));
}

/// What is known of the call when the request is over, and its time for that.
fn judged(lineage: &mut Lineage, is_late: bool) -> Option<Result<&'static str, &'static str>> {
    let held = Held::new(END, None, 100);
    let verdicts = lineage.judge(REQUEST, held, is_late)?;
    assert!(lineage.requests.is_empty() && lineage.due.is_empty());
    verdicts.first().map(|(_, verdict)| *verdict)
}

#[test]
fn a_request_waits_for_the_contexts_of_its_calls_and_no_longer_than_a_second() {
    let mut lineage = asked();
    calls(&mut lineage);
    assert!(lineage.end(REQUEST));
    assert_eq!(judged(&mut lineage, false), None);
    assert_eq!(lineage.poll_timeout(), Some(END.plus(GRACE_NS)));
    assert_eq!(lineage.due(MonoNs(END.0 + GRACE_NS - 1)), None);
    assert_eq!(lineage.due(END.plus(GRACE_NS)), Some(REQUEST));
    let before = lineage.held_bytes();
    assert_eq!(judged(&mut lineage, true), Some(Err(evidence::OUTLIVES)));
    assert!(lineage.held_bytes() < before);

    let mut lineage = asked();
    calls(&mut lineage);
    lineage.end(REQUEST);
    assert_eq!(judged(&mut lineage, false), None);
    let waits = lineage.ended(TASK, 2, MonoNs(2_000), at(LOOP, 9));
    assert_eq!(waits, Some(REQUEST));
    let descends = Some(Ok(evidence::CONTEXT_DESCENT));
    assert_eq!(judged(&mut lineage, false), descends);
}

#[test]
fn a_request_that_is_not_written_leaves_nothing_of_its_calls() {
    let mut lineage = asked();
    let before = lineage.nodes;
    calls(&mut lineage);
    lineage.leave_out(REQUEST);
    assert!(lineage.requests.is_empty() && lineage.due.is_empty());
    assert_eq!(lineage.candidate(at(TASK, 5)), None);
    assert_eq!(lineage.ended(TASK, 2, MonoNs(2_000), at(LOOP, 9)), None);
    assert_eq!(lineage.nodes, before - 1, "nobody waits for the task's end");
}

#[test]
fn who_began_the_answer_is_not_waited_for() {
    let mut lineage = asked();
    calls(&mut lineage);
    lineage.answered(REQUEST, Some(at(TASK, 5)));
    // What is told of it later changes nothing.
    lineage.answered(REQUEST, Some(at(LOOP, 6)));
    lineage.end(REQUEST);
    assert_eq!(judged(&mut lineage, false), Some(Ok(evidence::CONTEXT)));
}

#[test]
fn an_answer_by_nobody_known_is_nobody_s() {
    let mut lineage = asked();
    calls(&mut lineage);
    lineage.answered(REQUEST, None);
    lineage.answered(REQUEST, Some(at(TASK, 5)));
    lineage.end(REQUEST);
    assert_eq!(judged(&mut lineage, true), Some(Err(evidence::OUTLIVES)));
}

#[test]
fn a_refused_request_has_no_calls_whoever_answers_it() {
    let mut lineage = asked();
    calls(&mut lineage);
    lineage.answered(REQUEST, Some(at(TASK, 5)));
    lineage.refuse(REQUEST, evidence::MULTIPLEXED);
    lineage.end(REQUEST);
    assert_eq!(
        judged(&mut lineage, false),
        Some(Err(evidence::MULTIPLEXED))
    );
}

#[test]
fn one_that_was_read_before_contexts_were_known_has_no_calls() {
    let mut lineage = Lineage::default();
    lineage.made(READER, 0, at(LOOP, 1));
    lineage.read(SLOT, Read::Socket, true, at(READER, 2));
    lineage.note_late(REQUEST, SLOT, PID);
    lineage.made(TASK, 1, at(READER, 2));
    calls(&mut lineage);
    lineage.answered(REQUEST, Some(at(TASK, 5)));
    lineage.end(REQUEST);
    assert_eq!(
        judged(&mut lineage, false),
        Some(Err(evidence::BEGAN_BEFORE))
    );
}

#[test]
fn anything_that_ran_between_a_read_and_what_is_made_unties_them() {
    let mut lineage = asked();
    for (context, version) in [(READER, 3), (LOOP, 4), (LOOP, 2)] {
        let mut other = Lineage::default();
        other.read(SLOT, Read::Socket, true, at(READER, 2));
        other.begin(REQUEST, SLOT, PID);
        // The context has read another connection as well.
        other.read((10, 0), Read::Socket, true, at(READER, 1));
        other.read(SLOT, Read::Socket, true, at(READER, 2));
        other.made(TASK, 1, at(context, version));
        let found = other.candidate(at(TASK, 9));
        assert_eq!(found, None, "{context} {version}");
    }
    // The first that is entered behind a read.
    lineage.made(TASK + 64, 2, at(LOOP, 3));
    assert_eq!(lineage.candidate(at(TASK + 64, 9)), Some(REQUEST));
}

#[test]
fn plaintext_is_read_in_the_callback_of_its_connection_alone() {
    let (task, other) = (TASK + 64, TASK + 128);
    let mut lineage = Lineage::default();
    lineage.made(READER, 0, at(LOOP, 1));
    // One context is that of all connections.
    for (slot, version) in [((10, 0), 2), (SLOT, 4)] {
        lineage.read(slot, Read::Plaintext, true, at(READER, version));
    }
    lineage.begin(REQUEST, SLOT, PID);
    lineage.made(TASK, 1, at(READER, 4));
    lineage.made(task, 2, at(READER, 6));
    lineage.made(other, 3, at(LOOP, 5));
    assert_eq!(lineage.candidate(at(TASK, 7)), Some(REQUEST));
    assert_eq!(lineage.candidate(at(task, 7)), None);
    assert_eq!(lineage.candidate(at(other, 7)), None);
    // Two in one go.
    for slot in [(10, 0), SLOT] {
        lineage.read(slot, Read::Plaintext, true, at(READER, 8));
    }
    lineage.made(TASK + 192, 4, at(READER, 8));
    assert_eq!(lineage.candidate(at(TASK + 192, 9)), None);
}

/// A connection was accepted, and its task made by what was told of it.
fn tuned(entered: u64) -> Lineage {
    let mut lineage = Lineage::default();
    lineage.accept(SLOT, at(LOOP, 1));
    lineage.tune(SLOT, at(READER, 3));
    lineage.made(TASK, 0, at(entered, 3));
    lineage
}

#[test]
fn what_sets_an_option_of_a_new_connection_makes_what_serves_it() {
    let mut lineage = tuned(READER);
    lineage.begin(REQUEST, SLOT, PID);
    assert_eq!(lineage.candidate(at(TASK, 4)), Some(REQUEST));
    // Of several in one go none is known, but of each before the next.
    lineage.tune(SLOT, at(READER, 9));
    lineage.tune((10, 0), at(READER, 9));
    lineage.made(TASK + 64, 1, at(READER, 9));
    assert_eq!(lineage.candidate(at(TASK + 64, 10)), None);
    lineage.tune((10, 0), at(READER, 11));
    lineage.made(TASK + 128, 2, at(READER, 11));
    lineage.tune(SLOT, at(READER, 11));
    lineage.made(TASK + 192, 3, at(READER, 11));
    assert_eq!(lineage.candidate(at(TASK + 128, 12)), None);
    assert_eq!(lineage.candidate(at(TASK + 192, 12)), Some(REQUEST));
}

#[test]
fn what_is_entered_behind_an_option_is_any_other_s() {
    let mut lineage = Lineage::default();
    lineage.tune(SLOT, at(LOOP, 3));
    lineage.made(TASK, 0, at(READER, 4));
    lineage.begin(REQUEST, SLOT, PID);
    assert_eq!(lineage.candidate(at(TASK, 5)), None);
}

#[test]
fn what_a_connection_s_task_makes_later_is_whose_answer_it_leads_to() {
    const NEXT: Id = Id([3; 16]);
    let (own, inner, other) = (TASK + 64, TASK + 128, TASK + 192);
    let mut lineage = tuned(READER);
    lineage.begin(REQUEST, SLOT, PID);
    lineage.end(REQUEST);
    lineage.begin(NEXT, SLOT, PID);
    lineage.made(other, 1, at(TASK, 10));
    lineage.made(own, 2, at(TASK, 10));
    lineage.made(inner, 3, at(own, 12));
    let calls = [(own, Id([4; 16])), (other, Id([5; 16]))];
    for (context, call) in calls {
        assert_eq!(lineage.candidate(at(context, 14)), Some(NEXT));
        assert!(lineage.presume(call, NEXT, at(context, 14)));
    }
    lineage.answered(NEXT, Some(at(inner, 20)));
    for (number, context) in [(4, own), (5, inner), (6, other)] {
        lineage.ended(context, number, MonoNs(900), at(LOOP, 30));
    }
    lineage.end(NEXT);
    let verdicts = lineage.judge(NEXT, Held::new(END, None, 100), false);
    let verdicts: Vec<_> = verdicts.into_iter().flatten().map(|(_, v)| v).collect();
    let all = [Ok(evidence::CONTEXT_DESCENT), Err(evidence::OTHER_CONTEXT)];
    assert_eq!(verdicts, all);
}

#[test]
fn a_life_that_was_lost_makes_all_unknown() {
    let mut lineage = asked();
    calls(&mut lineage);
    lineage.made(TASK + 64, 3, at(LOOP, 9));
    assert_eq!(lineage.candidate(at(TASK, 10)), None);
    lineage.end(REQUEST);
    let lost = Some(Err(evidence::RECORDS_LOST));
    assert_eq!(judged(&mut lineage, false), lost);
}

#[test]
fn past_the_most_a_context_is_not_known_until_others_have_ended() {
    let mut lineage = Lineage::default();
    let (most, address) = (MAX_NODES as u64, |n: u64| 1_024 + 64 * n);
    // The loop's own is one of them.
    for n in 0..most {
        lineage.made(address(n), n, at(LOOP, 1));
    }
    assert_eq!((lineage.nodes, lineage.not_kept()), (MAX_NODES, 1));
    lineage.ended(address(0), most, END, at(LOOP, 1));
    lineage.made(address(0), most + 1, at(LOOP, 1));
    assert_eq!((lineage.nodes, lineage.not_kept()), (MAX_NODES, 1));
    lineage.end_process(PID);
    assert_eq!((lineage.nodes, lineage.held_bytes()), (0, 0));
}

#[test]
fn past_the_most_threads_what_was_read_is_forgotten() {
    let mut lineage = asked();
    for tid in 0..crate::limits::MAX_READERS {
        let moment = Moment {
            tid: 1_000 + tid as u32,
            ..at(0, 1)
        };
        lineage.read(SLOT, Read::Socket, true, moment);
    }
    // It would be tied to the read otherwise.
    lineage.made(TASK + 64, 2, at(LOOP, 3));
    assert_eq!(lineage.candidate(at(TASK + 64, 9)), None);
}

#[test]
fn what_is_read_behind_another_one_s_option_is_for_what_is_entered_next_alone() {
    let read = |made_in, version| {
        let mut lineage = tuned(READER);
        lineage.read((11, 0), Read::Socket, true, at(LOOP, 18));
        lineage.tune((10, 0), at(LOOP, 20));
        lineage.read(SLOT, Read::Socket, true, at(LOOP, 20));
        lineage.begin(REQUEST, SLOT, PID);
        lineage.made(TASK + 64, 1, at(made_in, version));
        lineage.candidate(at(TASK + 64, 23))
    };
    assert_eq!(read(READER + 64, 21), Some(REQUEST));
    assert_eq!(read(LOOP, 20), None);
}
