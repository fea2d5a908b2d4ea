//! Goroutines that handlers start, and what they start: whose their calls are. A whole server: `tests/tests/real/joins_go.rs`.

use super::judge::{GRACE_NS, Held};
use super::*;

const PID: u32 = 7;
const SLOT: Slot = (9, 0);
const OTHER_SLOT: Slot = (10, 0);
const REQUEST: Id = Id([1; 16]);
const NEXT: Id = Id([2; 16]);
const CALL: Id = Id([3; 16]);
const END: MonoNs = MonoNs(1_000);

/// Accepts connections, serves one, is started by a handler, by that one.
const ACCEPTOR: u64 = 1;
const SERVES: u64 = 2;
const CHILD: u64 = 3;
const GRANDCHILD: u64 = 4;

fn by(goroutine: u64) -> Moment {
    Moment {
        pid: PID,
        // They go from thread to thread.
        tid: goroutine as u32 % 2,
        context: GOID | goroutine,
        version: 0,
        has_room: true,
    }
}

fn made(lineage: &mut Lineage, goroutine: u64, maker: u64) {
    lineage.made(GOID | goroutine, 0, by(maker));
}

fn ended(lineage: &mut Lineage, goroutine: u64, ts: MonoNs) -> Option<Id> {
    lineage.ended(GOID | goroutine, 0, ts, by(goroutine))
}

/// A request was read by the goroutine of its connection, and is in progress.
fn asked() -> Lineage {
    let mut lineage = Lineage::default();
    lineage.accept(SLOT, by(ACCEPTOR));
    made(&mut lineage, SERVES, ACCEPTOR);
    lineage.read(SLOT, Read::Socket, true, by(SERVES));
    lineage.begin(REQUEST, SLOT, PID);
    lineage
}

/// What is known of a call when the request is over and answered.
fn judged(lineage: &mut Lineage, is_late: bool) -> Option<Result<&'static str, &'static str>> {
    lineage.answered(REQUEST, Some(by(SERVES)));
    lineage.end(REQUEST);
    let verdicts = lineage.judge(REQUEST, Held::new(END, None, 100), is_late)?;
    verdicts.first().map(|(_, verdict)| *verdict)
}

const DESCENDS: Option<Result<&str, &str>> = Some(Ok(evidence::GOROUTINE_DESCENT));

#[test]
fn a_call_of_what_a_handler_starts_is_the_request_s_when_it_has_ended() {
    let mut lineage = asked();
    made(&mut lineage, CHILD, SERVES);
    made(&mut lineage, GRANDCHILD, CHILD);
    // The answer of a database is no request.
    lineage.read(OTHER_SLOT, Read::Socket, false, by(CHILD));
    assert_eq!(lineage.candidate(by(GRANDCHILD)), Some(REQUEST));
    assert!(lineage.presume(CALL, REQUEST, by(GRANDCHILD)));
    assert_eq!(judged(&mut lineage, false), None, "both live");
    assert_eq!(ended(&mut lineage, GRANDCHILD, MonoNs(900)), Some(REQUEST));
    assert_eq!(judged(&mut lineage, false), None, "who made it lives");
    assert_eq!(ended(&mut lineage, CHILD, MonoNs(1_100)), Some(REQUEST));
    assert_eq!(judged(&mut lineage, false), DESCENDS);
    ended(&mut lineage, SERVES, END);
    ended(&mut lineage, ACCEPTOR, END);
    assert_eq!(lineage.nodes, 0);
}

#[test]
fn a_worker_that_a_request_started_works_for_nobody_that_is_known() {
    let mut lineage = asked();
    made(&mut lineage, CHILD, SERVES);
    assert!(lineage.presume(CALL, REQUEST, by(CHILD)));
    let outlives = Some(Err(evidence::OUTLIVES));
    assert_eq!(judged(&mut lineage, true), outlives);
    // The same connection's next request, while the worker lives on.
    lineage.read(SLOT, Read::Socket, true, by(SERVES));
    lineage.begin(NEXT, SLOT, PID);
    assert_eq!(lineage.candidate(by(CHILD)), None);
    // What it makes is made for nobody, too.
    made(&mut lineage, GRANDCHILD, CHILD);
    assert_eq!(lineage.candidate(by(GRANDCHILD)), None);
    assert_eq!(ended(&mut lineage, CHILD, END.plus(GRACE_NS + 1)), None);
}

#[test]
fn one_that_ends_later_than_it_may_has_outlived_the_request() {
    let mut lineage = asked();
    made(&mut lineage, CHILD, SERVES);
    assert!(lineage.presume(CALL, REQUEST, by(CHILD)));
    ended(&mut lineage, CHILD, END.plus(GRACE_NS + 1));
    let outlives = Some(Err(evidence::OUTLIVES));
    assert_eq!(judged(&mut lineage, false), outlives);
}

#[test]
fn what_is_called_behind_the_answer_is_for_none() {
    let mut lineage = asked();
    made(&mut lineage, CHILD, SERVES);
    lineage.end(REQUEST);
    assert_eq!(lineage.candidate(by(CHILD)), None);
    // Nor is what is made then, for the request that comes next.
    made(&mut lineage, GRANDCHILD, CHILD);
    lineage.begin(NEXT, SLOT, PID);
    assert_eq!(lineage.candidate(by(GRANDCHILD)), None);
}

#[test]
fn two_requests_at_once_on_a_connection_tell_nothing() {
    let mut lineage = asked();
    lineage.begin(NEXT, SLOT, PID);
    made(&mut lineage, CHILD, SERVES);
    assert_eq!(lineage.candidate(by(CHILD)), None);
}

#[test]
fn who_serves_connections_works_for_those_alone() {
    let mut lineage = asked();
    // A handler that listens.
    made(&mut lineage, CHILD, SERVES);
    lineage.accept(OTHER_SLOT, by(CHILD));
    made(&mut lineage, GRANDCHILD, CHILD);
    lineage.read(OTHER_SLOT, Read::Socket, true, by(GRANDCHILD));
    assert_eq!(lineage.candidate(by(GRANDCHILD)), None);
    // One that has read of two connections starts what is for neither.
    lineage.read(SLOT, Read::Socket, true, by(GRANDCHILD));
    made(&mut lineage, 5, GRANDCHILD);
    assert_eq!(lineage.candidate(by(5)), None);
    made(&mut lineage, 6, ACCEPTOR);
    lineage.read(SLOT, Read::Socket, true, by(6));
    lineage.read(OTHER_SLOT, Read::Socket, true, by(6));
    made(&mut lineage, 7, 6);
    assert_eq!(lineage.candidate(by(7)), None);
    // What accepts connections tells nothing of what it makes.
    assert_eq!(lineage.candidate(by(SERVES)), None);
}

#[test]
fn a_life_of_which_the_record_was_lost_adds_nothing() {
    let mut lineage = asked();
    assert_eq!(lineage.candidate(by(CHILD)), None, "that it was made");
    made(&mut lineage, GRANDCHILD, CHILD);
    assert_eq!(
        lineage.candidate(by(GRANDCHILD)),
        None,
        "that its maker was"
    );
}

#[test]
fn where_no_lives_are_told_nothing_is_kept() {
    let mut lineage = Lineage::default();
    lineage.accept(SLOT, by(ACCEPTOR));
    lineage.read(SLOT, Read::Socket, true, by(SERVES));
    lineage.begin(REQUEST, SLOT, PID);
    lineage.answered(REQUEST, Some(by(SERVES)));
    assert_eq!((lineage.nodes, lineage.processes.len()), (0, 0));
    assert!(lineage.requests.is_empty());
    // In a process of Python's a goroutine of a library in it is no context.
    let context = Moment {
        version: 5,
        ..by(CHILD)
    };
    lineage.made(64, 0, context);
    let before = lineage.nodes;
    lineage.read(SLOT, Read::Socket, true, by(SERVES));
    made(&mut lineage, CHILD, SERVES);
    assert_eq!(lineage.nodes, before);
}
