//! Who works for which exchange, as the records tell.
#![expect(clippy::unwrap_used, reason = "tests")]

use cirron_common::record::close;

use super::{Engine, EngineConfig};
use crate::id::{Id, SequentialIds};
use crate::record::{Body, Head, Record, encode};
use crate::scope::{Context, evidence};
use crate::stream::Direction;
use crate::testing::records::{ConnRecords, TGID, exit};
use crate::time::{MS, MonoNs};

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const POST: &[u8] = b"POST /a HTTP/1.1\r\nContent-Length: 4\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

const A: ConnRecords = ConnRecords::socket(7);
const B: ConnRecords = ConnRecords::socket(8);

/// Records with the thread and the goroutine that made them.
struct Rig {
    engine: Engine,
    now: u64,
}

impl Rig {
    fn new() -> Rig {
        let mut engine = Engine::new(EngineConfig::default(), Box::new(SequentialIds::default()));
        for conn in [A, B] {
            engine.handle_record(&conn.open(1));
        }
        Rig { engine, now: MS }
    }

    fn record(&mut self, bytes: &[u8], tid: u32, context: u64) {
        let Record { head, body } = Record::decode(bytes).unwrap();
        let head = Head {
            tid,
            context,
            ..head
        };
        self.engine.handle_record(&encode(&Record { head, body }));
    }

    /// `conn` at `pos`, by that thread.
    fn moves(&mut self, conn: ConnRecords, dir: Direction, pos: u64, bytes: &[u8], by: (u32, u64)) {
        self.now += MS;
        let record = conn.data(dir, pos, self.now, bytes, bytes.len() as u64);
        self.record(&record, by.0, by.1);
    }

    fn reads(&mut self, conn: ConnRecords, pos: u64, bytes: &[u8], tid: u32) {
        self.moves(conn, Direction::Inbound, pos, bytes, (tid, 0));
    }

    fn writes(&mut self, conn: ConnRecords, pos: u64, bytes: &[u8], tid: u32) {
        self.moves(conn, Direction::Outbound, pos, bytes, (tid, 0));
    }

    fn thread(&mut self, tid: u32) -> Option<Id> {
        self.known(Context::Thread { pid: TGID, tid })
    }

    fn known(&mut self, context: Context) -> Option<Id> {
        let work = self.engine.work(context)?;
        assert_eq!(work.evidence, evidence::READ);
        let open = self.engine.open_scopes(99).first;
        assert!(open.iter().any(|row| row.origin.id == work.scope), "ended");
        Some(work.scope)
    }
}

#[test]
fn the_thread_that_read_the_head_works_for_the_exchange_until_another_answers_or_its_end() {
    let mut rig = Rig::new();
    rig.reads(A, 0, &GET[..9], 1);
    assert_eq!(rig.thread(1), None, "half a head");
    rig.reads(A, 9, &GET[9..], 1);
    rig.reads(B, 0, GET, 2);
    let (one, two) = (rig.thread(1), rig.thread(2));
    assert!(one.is_some() && two.is_some() && one != two);
    // Whoever writes the answer is known by nothing.
    let head = OK.len() - 2;
    rig.writes(A, 0, &OK[..head], 3);
    assert_eq!(
        (rig.thread(1), rig.thread(2), rig.thread(3)),
        (None, two, None)
    );
    rig.writes(A, head as u64, &OK[head..], 1);
    // Who read it and answers it works for it to its end.
    rig.writes(B, 0, &OK[..head], 2);
    assert_eq!(rig.thread(2), two);
    rig.writes(B, head as u64, &OK[head..], 2);
    assert_eq!(rig.engine.known_contexts(), 0);
    // The next on the same connection is another one.
    rig.reads(A, GET.len() as u64, GET, 1);
    assert!(rig.thread(1).is_some() && rig.thread(1) != one);
    rig.engine.handle_shutdown(MonoNs(rig.now));
    assert_eq!(rig.engine.known_contexts(), 0);
}

#[test]
fn one_interim_answer_is_no_answer() {
    let mut rig = Rig::new();
    rig.reads(A, 0, POST, 1);
    let one = rig.thread(1);
    rig.writes(A, 0, b"HTTP/1.1 100 Continue\r\n\r\n", 1);
    assert!(one.is_some());
    assert_eq!(rig.thread(1), one);
}

/// The name of a thread or a goroutine is given again, and nobody told that the old one had ended.
#[test]
fn a_new_context_of_an_old_name_inherits_nothing_once_it_serves() {
    const GOROUTINE: u64 = 0xc000;
    type Step = fn(&mut Rig, (u32, u64));
    // What the new one does first: it reads a request, reads the head's first byte, or answers one.
    let steps: [Step; 3] = [
        |rig, by| rig.moves(B, Direction::Inbound, GET.len() as u64, GET, by),
        |rig, by| rig.moves(B, Direction::Inbound, GET.len() as u64, &GET[..1], by),
        |rig, by| rig.moves(B, Direction::Outbound, 0, &OK[..9], by),
    ];
    for by in [(1, 0), (1, GOROUTINE)] {
        for step in steps {
            let mut rig = Rig::new();
            rig.reads(B, 0, GET, 2);
            rig.moves(A, Direction::Inbound, 0, GET, by);
            let context = match by {
                (tid, 0) => Context::Thread { pid: TGID, tid },
                (_, id) => Context::Goroutine { pid: TGID, id },
            };
            let old = rig.known(context);
            assert!(old.is_some());
            step(&mut rig, by);
            assert_ne!(rig.known(context), old);
        }
    }
}

/// The old one has handed its request on and has ended; who has its name next is seen at calls of its own alone.
#[test]
fn behind_the_answer_of_another_a_new_context_of_an_old_name_is_known_for_nothing() {
    let mut rig = Rig::new();
    rig.moves(A, Direction::Inbound, 0, GET, (1, 0xc000));
    rig.writes(A, 0, &OK[..OK.len() - 2], 3);
    rig.moves(
        ConnRecords::socket(9),
        Direction::Outbound,
        0,
        GET,
        (4, 0xc000),
    );
    let goroutine = Context::Goroutine {
        pid: TGID,
        id: 0xc000,
    };
    assert_eq!(rig.known(goroutine), None);
}

#[test]
fn a_number_that_a_process_was_given_is_no_thread_s_any_more() {
    let mut rig = Rig::new();
    rig.reads(A, 0, GET, 71);
    assert!(rig.thread(71).is_some());
    let Record { head, .. } = Record::decode(&exit(rig.now)).unwrap();
    let fork = Body::Fork { child: 71 };
    rig.engine
        .handle_record(&encode(&Record { head, body: fork }));
    assert_eq!(rig.thread(71), None);
}

#[test]
fn a_thread_that_reads_another_request_has_left_the_first() {
    let mut rig = Rig::new();
    rig.reads(A, 0, GET, 1);
    let first = rig.thread(1);
    // Its first byte is enough.
    rig.reads(B, 0, &GET[..1], 1);
    assert_eq!(rig.thread(1), None);
    rig.reads(B, 1, &GET[1..], 1);
    assert!(rig.thread(1).is_some() && rig.thread(1) != first);
}

#[test]
fn a_thread_that_reads_what_a_server_sends_works_on() {
    let mut rig = Rig::new();
    let out = ConnRecords::socket(9);
    rig.reads(A, 0, GET, 1);
    let first = rig.thread(1);
    rig.writes(out, 0, GET, 1);
    rig.reads(out, 0, OK, 1);
    assert!(first.is_some());
    assert_eq!(rig.thread(1), first);
}

#[test]
fn who_read_the_head_has_handed_it_over_where_another_reads_the_body() {
    let mut rig = Rig::new();
    rig.reads(A, 0, POST, 1);
    let one = rig.thread(1);
    rig.reads(A, POST.len() as u64, b"bo", 2);
    assert!(one.is_some());
    assert_eq!((rig.thread(1), rig.thread(2)), (None, one));
    assert_eq!(rig.engine.known_contexts(), 1);
}

#[test]
fn two_requests_of_one_read_are_known_for_none() {
    let mut rig = Rig::new();
    rig.reads(A, 0, &[GET, GET].concat(), 1);
    assert_eq!(rig.thread(1), None);
}

#[test]
fn a_goroutine_is_known_in_place_of_the_thread_that_ran_it() {
    let mut rig = Rig::new();
    rig.reads(A, 0, GET, 1);
    assert!(rig.thread(1).is_some());
    rig.moves(B, Direction::Inbound, 0, GET, (1, 0xc000));
    let goroutine = Context::Goroutine {
        pid: TGID,
        id: 0xc000,
    };
    assert!(rig.known(goroutine).is_some());
    assert_eq!(rig.thread(1), None, "it runs many");
}

#[test]
fn what_comes_later_by_another_record_tells_of_nobody() {
    let mut rig = Rig::new();
    // The second half is read by thread 2, and its record comes first.
    rig.reads(A, 9, &GET[9..], 2);
    rig.now -= 3 * MS / 2;
    rig.reads(A, 0, &GET[..9], 1);
    assert_eq!(rig.engine.open_scopes(9).first.len(), 1);
    assert_eq!((rig.thread(1), rig.thread(2)), (None, None));
}

#[test]
fn a_process_that_ends_or_is_another_program_has_no_threads_of_before() {
    for body in [Body::Exit, Body::Exec] {
        let mut rig = Rig::new();
        rig.reads(A, 0, GET, 1);
        assert!(rig.thread(1).is_some());
        rig.now += 1;
        let Record { head, .. } = Record::decode(&exit(rig.now)).unwrap();
        rig.engine.handle_record(&encode(&Record { head, body }));
        assert_eq!((rig.thread(1), rig.engine.known_contexts()), (None, 0));
    }
    // A child has a number that was another's.
    let mut rig = Rig::new();
    rig.reads(A, 0, GET, 1);
    let Record { head, .. } = Record::decode(&exit(rig.now)).unwrap();
    let head = Head { tgid: 1, ..head };
    let child = u64::from(TGID);
    let fork = Body::Fork { child };
    rig.engine
        .handle_record(&encode(&Record { head, body: fork }));
    assert_eq!(rig.engine.known_contexts(), 0);
}

#[test]
fn a_connection_that_ends_takes_its_exchanges_threads_along() {
    let mut rig = Rig::new();
    rig.reads(A, 0, GET, 1);
    let end = A.close(rig.now, close::LOCAL_CLOSE);
    rig.engine.handle_record(&end);
    // It has done with it, whenever that is applied.
    assert_eq!(rig.engine.open_scopes(9).first.len(), 1);
    rig.engine.handle_timeout(MonoNs(rig.now + 1_000 * MS));
    assert_eq!(rig.engine.known_contexts(), 0);
}

#[test]
fn what_they_hold_is_in_the_budget() {
    let mut rig = Rig::new();
    rig.reads(A, 0, GET, 1);
    let before = rig.engine.held_bytes();
    // It is known for none of two.
    rig.reads(B, 0, &GET[..1], 1);
    assert!(rig.engine.held_bytes() < before);
    assert_eq!(rig.engine.known_contexts(), 0);
    let empty = rig.engine.held_bytes();
    let mut kept = Rig::new();
    kept.reads(A, 0, GET, 1);
    kept.reads(B, 0, &GET[..1], 2);
    assert_eq!(kept.engine.known_contexts(), 1);
    assert!(kept.engine.held_bytes() > empty + 64);
}
