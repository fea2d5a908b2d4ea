//! Connections whose end was told by nobody: the record of it was dropped.
#![expect(clippy::unwrap_used, reason = "tests")]

use cirron_common::record::{close, source};

use super::ends_rig::{ASK, Rig};
use super::{Engine, EngineConfig, Output, ProcessFacts};
use crate::id::SequentialIds;
use crate::record::Body;
use crate::scope::{AttrValue, Span};
use crate::stream::Direction;
use crate::testing::records::{ConnRecords, TGID, by, process};
use crate::time::{MS, MonoNs};

const CONN: ConnRecords = ConnRecords {
    conn: 7,
    epoch: 100,
    source: source::SOCKET,
};
/// The next at the same place.
const NEXT: ConnRecords = ConnRecords { epoch: 200, ..CONN };

const HALF: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";

/// A request at 1 ms and a part of its answer at 5, on `conn`.
fn open(conn: ConnRecords) -> Rig {
    let mut rig = Rig::asked(conn);
    rig.data(conn, Direction::Outbound, 0, 5 * MS, HALF);
    rig
}

/// It is partial, nobody is named, and it ends where it was seen last.
fn assert_lost(span: &Span) {
    assert_eq!(span.attrs.get("cirron.partial"), Some(&true.into()));
    assert_eq!(span.attrs.get("cirron.end_lost"), Some(&true.into()));
    assert_eq!(span.attrs.get("cirron.aborted_by"), None);
    assert_eq!(span.end, Some(MonoNs(5 * MS)));
}

#[test]
fn another_generation_at_the_same_place_shows_that_the_first_has_ended() {
    for of in [source::SOCKET, source::TLS] {
        let at = |conn: ConnRecords| ConnRecords { source: of, ..conn };
        for opens in [true, false] {
            let mut rig = open(at(CONN));
            if opens {
                rig.0.handle_record(&at(NEXT).open(900 * MS));
            } else {
                rig.data(at(NEXT), Direction::Inbound, 0, 900 * MS, ASK);
            }
            let written = rig.later();
            assert_eq!(written.len(), 1);
            assert_lost(&written[0]);
            assert_eq!(rig.0.stats().ends_lost, 1);
        }
    }
}

#[test]
fn an_object_at_the_same_address_of_another_process_is_another() {
    let tls = ConnRecords {
        source: source::TLS,
        ..CONN
    };
    let mut rig = open(tls);
    let other = by(&ConnRecords { epoch: 200, ..tls }.open(900 * MS), TGID + 1);
    rig.0.handle_record(&other);
    assert!(rig.later().is_empty());
    assert_eq!(rig.0.stats().ends_lost, 0);
}

#[test]
fn an_end_that_was_told_is_the_true_one_before_and_behind_the_lost_one() {
    for lost_first in [true, false] {
        let mut rig = open(CONN);
        let (lost, told) = (close::LOST, close::LOCAL_CLOSE);
        let order = if lost_first {
            [lost, told]
        } else {
            [told, lost]
        };
        for (ms, why) in (10..).zip(order) {
            rig.0.handle_record(&CONN.close(ms * MS, why));
        }
        let written = rig.later();
        assert_eq!(
            written[0].attrs["cirron.aborted_by"],
            AttrValue::from("server")
        );
        assert_eq!(written[0].attrs.get("cirron.end_lost"), None);
        assert_eq!(rig.0.stats().ends_lost, 0);
    }
}

#[test]
fn a_connection_that_goes_on_has_not_ended() {
    let mut rig = open(CONN);
    rig.0.handle_record(&CONN.close(10 * MS, close::LOST));
    assert_eq!(rig.0.open_sockets().count(), 0);
    let at = HALF.len() as u64;
    rig.data(CONN, Direction::Outbound, at, 20 * MS, b" more");
    assert_eq!(rig.0.open_sockets().collect::<Vec<_>>(), [(7, 100)]);
    let written = rig.later();
    assert_eq!(written[0].attrs.get("cirron.partial"), None, "{written:?}");
}

#[test]
fn what_came_to_its_end_is_whole_and_what_was_idle_is_only_counted() {
    let mut rig = open(CONN);
    rig.data(
        CONN,
        Direction::Outbound,
        HALF.len() as u64,
        20 * MS,
        b" more",
    );
    let written = rig.scopes();
    assert_eq!(written.len(), 1);
    rig.0.handle_record(&CONN.close(30 * MS, close::LOST));
    assert!(rig.later().is_empty());
    assert_eq!((rig.0.stats().ends_lost, rig.0.stats().partial), (1, 0));
}

#[test]
fn only_sockets_without_an_end_are_asked_for() {
    let mut rig = open(CONN);
    let at = |conn, source| ConnRecords {
        conn,
        epoch: 1,
        source,
    };
    rig.0.handle_record(&at(3, source::SOCKET).open(MS));
    rig.0.handle_record(&at(4, source::TLS).open(MS));
    rig.0.handle_record(&at(5, source::SOCKET).open(MS));
    rig.0
        .handle_record(&at(5, source::SOCKET).close(2 * MS, close::LOCAL_CLOSE));
    let mut open: Vec<_> = rig.0.open_sockets().collect();
    open.sort_unstable();
    assert_eq!(open, [(3, 1), (7, 100)]);
}

/// A process that ends says where its connections stood only by the records of their own ends.
#[test]
fn who_ends_with_its_process_aborted_nothing_where_records_were_lost_since() {
    let other = ConnRecords { conn: 9, ..CONN };
    for of in [source::SOCKET, source::TLS] {
        for (hole, aborted) in [(None, true), (Some(3), true), (Some(20), false)] {
            let conn = ConnRecords { source: of, ..CONN };
            let mut rig = open(conn);
            rig.0.handle_record(&other.open(100));
            if let Some(ms) = hole {
                // On another connection a record was dropped.
                rig.data(other, Direction::Inbound, 50, ms * MS, ASK);
            }
            rig.0.handle_record(&crate::testing::records::exit(30 * MS));
            let written = rig.later();
            let span = written.iter().find(|s| {
                let at = s.attrs.get("http.response.status_code");
                at == Some(&AttrValue::Int(200))
            });
            let span = span.unwrap();
            if aborted {
                let by = span.attrs.get("cirron.aborted_by");
                assert_eq!(by, Some(&AttrValue::from("server")), "{hole:?}");
                assert_eq!(span.attrs.get("cirron.end_lost"), None);
            } else {
                assert_lost(span);
            }
            assert_eq!(rig.0.stats().ends_lost, 0);
        }
    }
}

/// The kernel tells the end of a connection that its target closed first as two halves.
#[test]
fn an_end_that_was_told_in_halves_is_not_lost() {
    for halves in [
        [close::LOCAL_SHUT_WRITE, close::PEER_FIN],
        [close::PEER_FIN, close::LOCAL_SHUT_WRITE],
    ] {
        for rest in [&b"-full"[..], b""] {
            let mut rig = open(CONN);
            if !rest.is_empty() {
                rig.data(CONN, Direction::Outbound, HALF.len() as u64, 6 * MS, rest);
            }
            for (ms, half) in (7..).zip(halves) {
                rig.0.handle_record(&CONN.close(ms * MS, half));
            }
            rig.0.handle_record(&CONN.close(900 * MS, close::LOST));
            let scopes = rig.later();
            assert_eq!(scopes.len(), 1);
            let whole = !scopes[0].attrs.contains_key("cirron.partial");
            assert_eq!(whole, !rest.is_empty());
            assert_eq!(rig.0.stats().ends_lost, 0);
        }
    }
    let mut rig = open(CONN);
    rig.0
        .handle_record(&CONN.close(7 * MS, close::LOCAL_SHUT_WRITE));
    rig.0.handle_record(&CONN.close(900 * MS, close::LOST));
    rig.later();
    assert_eq!(rig.0.stats().ends_lost, 1, "of one half nothing is known");
}

/// It has not ended as far as anybody knows: it is counted apart, and what was open says the same.
#[test]
fn a_connection_that_the_kernel_side_has_forgotten_is_closed_and_counted_apart() {
    let mut rig = open(CONN);
    rig.0.handle_record(&CONN.close(900 * MS, close::EVICTED));
    let written = rig.later();
    assert_eq!(written.len(), 1);
    assert_lost(&written[0]);
    let stats = rig.0.stats();
    assert_eq!((stats.ends_lost, stats.evicted_connections), (0, 1));
    assert_eq!(rig.0.open_connections(), 0);
    // Of an end that was told it says nothing.
    let mut rig = open(CONN);
    rig.0
        .handle_record(&CONN.close(10 * MS, close::LOCAL_CLOSE));
    rig.0.handle_record(&CONN.close(90 * MS, close::EVICTED));
    rig.later();
    assert_eq!(rig.0.stats().evicted_connections, 0);
}

#[test]
fn objects_of_a_library_end_with_the_program_that_has_them_and_sockets_do_not() {
    for (of, ended) in [(source::TLS, 1), (source::SOCKET, 0)] {
        let mut rig = open(ConnRecords { source: of, ..CONN });
        assert_eq!(rig.0.open_objects().count(), ended);
        rig.0.handle_record(&process(TGID, 900 * MS, Body::Exec));
        assert_eq!(rig.later().len(), ended);
        assert_eq!(rig.0.open_objects().count(), 0);
        assert_eq!(rig.0.open_connections(), 1 - ended);
    }
}

/// A socket that outlives its process keeps its session open, and the number may be given away meanwhile.
#[test]
fn a_session_that_is_still_open_keeps_its_facts_when_its_number_is_given_to_another_process() {
    let rank = |rank: &str| ProcessFacts {
        tgid: TGID,
        env: [("RANK".to_owned(), rank.to_owned())].into(),
        blind: vec![format!("library {rank}")],
        ..ProcessFacts::default()
    };
    let mut engine = Engine::new(EngineConfig::default(), Box::new(SequentialIds::default()));
    engine.handle_timeout(MonoNs(1));
    engine.handle_process(ProcessFacts {
        explicit: true,
        ..rank("1")
    });
    engine.handle_record(&CONN.open(MS));
    engine.handle_record(&crate::testing::records::exit(2 * MS));
    engine.handle_process(rank("2"));
    engine.handle_timeout(MonoNs(5_000 * MS));
    let mut closed = Vec::new();
    let mut rig = Rig(engine);
    let mut take = |rig: &mut Rig| {
        while let Some(output) = rig.0.poll_output() {
            if let Output::Session(span) = output
                && span.end.is_some()
            {
                closed.push((span.rank, span.attrs.get("cirron.tls.blind").cloned()));
            }
        }
    };
    take(&mut rig);
    // The new process's own exchange, and its end.
    rig.0.handle_record(&NEXT.open(6_000 * MS));
    rig.data(NEXT, Direction::Inbound, 0, 6_001 * MS, ASK);
    rig.0
        .handle_record(&crate::testing::records::exit(6_002 * MS));
    rig.0.handle_timeout(MonoNs(9_000 * MS));
    take(&mut rig);
    let library = |name: &'static str| Some(AttrValue::from(name));
    assert_eq!(
        closed,
        [(1, library("library 1")), (2, library("library 2"))]
    );
}
