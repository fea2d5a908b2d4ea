//! Ends that are told with how many bytes had passed, of which not all have come.
#![expect(clippy::unwrap_used, reason = "tests")]

use cirron_common::record::{close, source};

use super::ends_rig::{ASK, Rig};
use crate::limits::REORDER_WINDOW_NS;
use crate::scope::{AttrValue, Span};
use crate::stream::Direction::{self, Inbound, Outbound};
use crate::testing::records::ConnRecords;
use crate::time::{MS, MonoNs};

const CONN: ConnRecords = ConnRecords {
    conn: 7,
    epoch: 100,
    source: source::SOCKET,
};

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
const UNTIL_CLOSE: &[u8] = b"HTTP/1.0 200 OK\r\n\r\nall";
/// When each end of these tests is told.
const END: u64 = 10 * MS;

fn len(bytes: &[u8]) -> u64 {
    bytes.len() as u64
}

impl Rig {
    /// A request at 1 ms and the first bytes of its answer at 5 ms.
    fn answered(first: &[u8]) -> Rig {
        let mut rig = Rig::asked(CONN);
        rig.moves(Outbound, 0, 5 * MS, first);
        rig
    }

    fn moves(&mut self, dir: Direction, pos: u64, ts: u64, bytes: &[u8]) {
        self.data(CONN, dir, pos, ts, bytes);
    }

    /// Told at [`END`], when the request and `outbound` bytes had passed.
    fn end(&mut self, why: u64, outbound: u64) {
        self.0
            .handle_record(&CONN.close_at(END, why, len(ASK), outbound));
    }

    /// The one exchange, when all is over.
    fn one(&mut self) -> Span {
        let mut written = self.later();
        assert_eq!(written.len(), 1);
        written.remove(0)
    }

    fn lost(&self) -> (u64, u64) {
        (self.0.stats().lost_bytes, self.0.stats().stale_bytes)
    }
}

/// It has a hole, and nobody is said to have aborted it.
fn assert_only_partial(span: &Span, why: &str) {
    let attr = |name: &str| span.attrs.get(name).cloned();
    assert_eq!(attr("cirron.partial"), Some(true.into()), "{why}: {span:?}");
    assert_eq!(attr("cirron.aborted_by"), None, "{why}: {span:?}");
    assert_eq!(attr("cirron.end_lost"), None, "{why}: {span:?}");
}

#[test]
fn an_answer_whose_tail_was_lost_is_partial_and_nobody_aborted_it() {
    let whole = [
        close::LOCAL_CLOSE,
        close::FD_CLOSED,
        close::PEER_RESET,
        close::LOCAL_SHUT_WRITE,
        close::PEER_FIN,
        close::READ_EOF,
    ];
    for why in whole {
        for first in [HEAD, CHUNKED, UNTIL_CLOSE] {
            // Who leaves in the middle of an answer that ends with the connection has aborted it.
            let leaves = [close::PEER_RESET, close::PEER_FIN, close::READ_EOF].contains(&why);
            if first == UNTIL_CLOSE && leaves {
                continue;
            }
            let mut rig = Rig::answered(first);
            rig.end(why, len(first) + 9);
            if why != close::LOCAL_CLOSE {
                rig.end(close::LOCAL_CLOSE, len(first) + 9);
            }
            let name = format!("{why} of {:?}", String::from_utf8_lossy(first));
            assert_only_partial(&rig.one(), &name);
            assert_eq!(rig.lost(), (9, 0), "{name}");
        }
    }
}

#[test]
fn an_answer_that_was_lost_whole_is_no_answer_that_was_not_given() {
    let mut rig = Rig::asked(CONN);
    rig.end(close::LOCAL_CLOSE, 100);
    assert_only_partial(&rig.one(), "no head");
    assert_eq!(rig.lost(), (100, 0));
}

/// As it is behind another exchange, and on a connection that goes on being read until the answer was given.
#[test]
fn a_second_answer_that_was_lost_whole_is_no_answer_that_was_not_given() {
    for why in [
        close::LOCAL_CLOSE,
        close::PEER_RESET,
        close::READ_EOF,
        close::PEER_FIN,
        close::LOCAL_SHUT_WRITE,
    ] {
        let mut rig = Rig::answered(HEAD);
        rig.moves(Outbound, len(HEAD), 6 * MS, b"half more");
        assert_eq!(rig.scopes().len(), 1);
        rig.moves(Inbound, len(ASK), 7 * MS, ASK);
        let end = |why| CONN.close_at(END, why, 2 * len(ASK), 2 * len(HEAD) + 18);
        rig.0.handle_record(&end(why));
        rig.0.handle_record(&end(close::LOCAL_CLOSE));
        assert_only_partial(&rig.one(), &format!("{why}"));
        assert_eq!(rig.lost(), (len(HEAD) + 9, 0), "{why}");
    }
}

#[test]
fn an_end_at_what_has_come_is_applied_as_one_without_positions() {
    for why in [
        close::LOCAL_CLOSE,
        close::LOCAL_SHUT_WRITE,
        close::PEER_RESET,
        close::READ_EOF,
        close::PEER_FIN,
    ] {
        let end = |told: bool| {
            let mut rig = Rig::answered(HEAD);
            if told {
                rig.end(why, len(HEAD));
            } else {
                rig.0.handle_record(&CONN.close(END, why));
            }
            let at_once = rig.scopes();
            rig.0.handle_record(&CONN.close(END, close::LOCAL_CLOSE));
            rig.0.handle_timeout(MonoNs(5_000 * MS));
            let spans = (at_once, rig.scopes());
            (spans, rig.0.stats())
        };
        let (spans, stats) = end(true);
        assert_eq!((spans.clone(), stats), end(false), "{why}");
        assert_eq!(stats.lost_bytes, 0);
        let span = spans.0.iter().chain(&spans.1).next().unwrap();
        assert!(span.attrs.contains_key("cirron.aborted_by"), "{why}");
    }
}

#[test]
fn an_end_that_has_overtaken_the_tail_waits_for_it() {
    for why in [
        close::LOCAL_CLOSE,
        close::LOCAL_SHUT_WRITE,
        close::READ_EOF,
        close::PEER_FIN,
    ] {
        let mut rig = Rig::answered(HEAD);
        rig.end(why, len(HEAD) + 9);
        rig.moves(Outbound, len(HEAD) + 4, END - 1, b" more");
        rig.moves(Outbound, len(HEAD), END - 2, b"half");
        let span = rig.one();
        assert_eq!(span.attrs.get("cirron.partial"), None, "{why}: {span:?}");
        assert_eq!(rig.lost(), (0, 0), "{why}");
    }
}

#[test]
fn an_end_of_a_direction_waits_as_long_as_any_hole_and_keeps_its_time() {
    let mut rig = Rig::answered(HEAD);
    rig.end(close::LOCAL_SHUT_WRITE, len(HEAD) + 9);
    rig.0.handle_timeout(MonoNs(END + REORDER_WINDOW_NS - 1));
    assert!(rig.scopes().is_empty());
    rig.0.handle_timeout(MonoNs(END + REORDER_WINDOW_NS));
    let written = rig.scopes();
    assert_eq!(written.len(), 1);
    assert_eq!(written[0].end, Some(MonoNs(END)));
    // What comes now is too late.
    rig.moves(Outbound, len(HEAD), END + REORDER_WINDOW_NS + 1, b"half");
    assert_eq!(rig.lost(), (9, 4));
}

/// A thread has written and not returned while another one closed.
#[test]
fn a_write_that_no_position_counts_yet_is_part_of_the_answer() {
    let mut rig = Rig::answered(HEAD);
    rig.end(close::LOCAL_CLOSE, len(HEAD) + 4);
    rig.moves(Outbound, len(HEAD) + 4, END + 100 * MS, b" more");
    rig.moves(Outbound, len(HEAD), END + 100 * MS, b"half");
    let span = rig.one();
    assert_eq!(span.attrs.get("cirron.partial"), None, "{span:?}");
    assert_eq!(rig.lost(), (0, 0));
}

#[test]
fn what_the_kernel_holds_back_at_an_end_has_come() {
    for why in [close::LOCAL_CLOSE, close::LOCAL_SHUT_WRITE, close::PEER_FIN] {
        for lost in [0, 5] {
            let mut rig = Rig::answered(HEAD);
            let rest = &b"half more"[..9 - lost];
            let at = len(HEAD);
            rig.0.handle_record(&CONN.held(at, 6 * MS, rest, at));
            rig.end(why, at + 9);
            if why != close::LOCAL_CLOSE {
                rig.end(close::LOCAL_CLOSE, at + 9);
            }
            let span = rig.one();
            let partial = (lost > 0).then_some(AttrValue::from(true));
            assert_eq!(span.attrs.get("cirron.partial"), partial.as_ref(), "{why}");
            assert_eq!(span.attrs.get("cirron.aborted_by"), None, "{why}");
            assert_eq!(rig.lost(), (lost as u64, 0), "{why}");
        }
    }
}

#[test]
fn a_socket_s_positions_say_nothing_of_the_object_that_uses_it() {
    let object = ConnRecords {
        conn: 0x7000,
        source: source::TLS,
        ..CONN
    };
    let mut rig = Rig::asked(CONN);
    rig.0.handle_record(&object.open(100));
    let ask = object.data(Inbound, 0, 2 * MS, ASK, len(ASK));
    rig.0.handle_record(&ask);
    rig.0.handle_record(&object.link(2 * MS, &CONN));
    rig.0
        .handle_record(&object.data(Outbound, 0, 3 * MS, HEAD, len(HEAD)));
    rig.end(close::LOCAL_CLOSE, 0);
    rig.0
        .handle_record(&CONN.close_at(END, close::LOCAL_CLOSE, len(ASK), 0));
    rig.0.handle_timeout(MonoNs(5_000 * MS));
    assert_eq!(rig.lost(), (0, 0));
}

#[test]
fn ends_that_wait_are_one_of_each_cause() {
    let mut rig = Rig::answered(HEAD);
    for _ in 0..1_000 {
        for why in [close::READ_EOF, close::PEER_FIN, close::LOCAL_SHUT_WRITE] {
            rig.end(why, len(HEAD) + 9);
        }
    }
    let conn = rig.0.conns.values().next().unwrap();
    assert_eq!(conn.tail.as_ref().unwrap().waiting(), 3);
}
