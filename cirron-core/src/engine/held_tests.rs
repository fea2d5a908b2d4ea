//! Sockets that are held by others than the process that used or closed them.
#![expect(clippy::unwrap_used, reason = "tests")]

use cirron_common::record::{close, source};

use super::{Engine, EngineConfig, EngineStats, Output, ProcessFacts};
use crate::id::SequentialIds;
use crate::record::Record;
use crate::scope::{AttrValue, Span};
use crate::stream::Direction;
use crate::testing::records::{ConnRecords, TGID, by, exit};
use crate::time::{MS, MonoNs};

const CONN: ConnRecords = ConnRecords {
    conn: 7,
    epoch: 100,
    source: source::SOCKET,
};
const OTHER: u32 = TGID + 1;
const ASKED: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
/// Its body ends with the connection.
const BARE: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";

fn asked(ms: u64) -> Vec<u8> {
    CONN.data(Direction::Inbound, 0, ms * MS, ASKED, ASKED.len() as u64)
}

fn answered(ms: u64, pos: &[u8], part: &[u8]) -> Vec<u8> {
    CONN.data(
        Direction::Outbound,
        pos.len() as u64,
        ms * MS,
        part,
        part.len() as u64,
    )
}

struct Seen {
    spans: Vec<Span>,
    /// Names of what came out, in order: a session opens and closes.
    order: Vec<&'static str>,
    stats: EngineStats,
}

/// Gives the records in order, and the time of each to the engine before it.
fn run(records: &[Vec<u8>]) -> Seen {
    let mut engine = Engine::new(EngineConfig::default(), Box::new(SequentialIds::default()));
    for tgid in [TGID, OTHER] {
        engine.handle_process(ProcessFacts {
            tgid,
            ..ProcessFacts::default()
        });
    }
    for record in records {
        let ts = Record::decode(record).unwrap().head.ts;
        while let Some(due) = engine.poll_timeout().filter(|due| *due < ts) {
            engine.handle_timeout(due);
        }
        engine.handle_record(record);
    }
    for ms in 0..5_000 {
        engine.handle_timeout(MonoNs((2_000 + ms) * MS));
    }
    let stats = engine.stats();
    engine.handle_shutdown(MonoNs(10_000 * MS));
    let (mut spans, mut order) = (Vec::new(), Vec::new());
    while let Some(output) = engine.poll_output() {
        match output {
            Output::Scope { span, .. } => {
                spans.push(span);
                order.push("scope");
            }
            Output::Session(span) if span.end.is_none() => order.push("open"),
            Output::Session(_) => order.push("closed"),
            Output::Open(_)
            | Output::Watched(_)
            | Output::Unplaced { .. }
            | Output::Mute { .. } => {}
        }
    }
    Seen {
        spans,
        order,
        stats,
    }
}

fn is_whole(span: &Span) -> bool {
    !span.attrs.contains_key("cirron.partial") && !span.attrs.contains_key("cirron.aborted_by")
}

#[test]
fn a_close_that_leaves_the_socket_held_is_no_end() {
    let seen = run(&[
        CONN.open(100),
        CONN.close(MS, close::HELD),
        by(&asked(2), OTHER),
        by(&answered(3, b"", HEAD), OTHER),
        by(&answered(900, HEAD, b"four"), OTHER),
        by(&CONN.close(901 * MS, close::FD_CLOSED), OTHER),
    ]);
    assert_eq!(seen.stats.exchanges, 1);
    assert!(is_whole(&seen.spans[0]), "{:?}", seen.spans);
    assert_eq!(seen.stats.connections, 1);
}

#[test]
fn the_last_release_of_a_unix_socket_is_its_end() {
    let seen = run(&[
        CONN.open(100),
        asked(2),
        answered(3, b"", BARE),
        answered(4, BARE, b"four"),
        CONN.close(5 * MS, close::FD_CLOSED),
    ]);
    assert!(is_whole(&seen.spans[0]), "{:?}", seen.spans);
    assert_eq!(seen.spans[0].end, Some(MonoNs(5 * MS)));
}

#[test]
fn a_server_that_tidies_up_what_its_client_left_did_not_end_it() {
    let seen = run(&[
        CONN.open(100),
        asked(2),
        answered(3, b"", HEAD),
        CONN.close(4 * MS, close::PEER_RESET),
        CONN.close(5 * MS, close::LOCAL_SHUT_WRITE),
        CONN.close(6 * MS, close::FD_CLOSED),
    ]);
    let aborted = seen.spans[0].attrs.get("cirron.aborted_by");
    assert_eq!(aborted, Some(&AttrValue::from("client")));
}

#[test]
fn a_socket_ends_with_its_process_unless_somebody_else_holds_it() {
    let started = [
        CONN.open(100),
        asked(2),
        answered(3, b"", HEAD),
        exit(4 * MS),
    ];
    let held = [
        CONN.close(4 * MS, close::HELD),
        by(&answered(800, HEAD, b"four"), OTHER),
        by(&CONN.close(801 * MS, close::FD_CLOSED), OTHER),
    ];
    let seen = run(&started);
    let aborted = seen.spans[0].attrs.get("cirron.aborted_by");
    assert_eq!(aborted, Some(&AttrValue::from("server")));
    assert_eq!(seen.spans[0].end, Some(MonoNs(4 * MS)));
    assert_eq!(seen.order, ["open", "scope", "closed"]);
    let seen = run(&[&started[..], &held[..]].concat());
    assert_eq!(seen.stats.exchanges, 1);
    assert!(is_whole(&seen.spans[0]), "{:?}", seen.spans);
    // The exchange began in the process that has ended: its session stays until then.
    assert_eq!(seen.order, ["open", "scope", "closed"]);
}

#[test]
fn a_socket_that_was_only_held_on_ends_as_its_process_did() {
    // A body that ends with the connection: of a process that was killed, nobody knows whether it was whole.
    for held in [false, true] {
        let mut records = vec![
            CONN.open(100),
            asked(2),
            answered(3, b"", BARE),
            answered(4, BARE, b"four"),
            exit(5 * MS),
        ];
        if held {
            records.push(CONN.close(5 * MS, close::HELD));
            records.push(CONN.close(300 * MS, close::FD_CLOSED));
        }
        let seen = run(&records);
        assert!(!is_whole(&seen.spans[0]), "{:?}", seen.spans);
        assert_eq!(seen.order, ["open", "scope", "closed"]);
        let end = if held { 300 } else { 5 };
        assert_eq!(seen.spans[0].end, Some(MonoNs(end * MS)));
    }
}

#[test]
fn sockets_are_told_of_that_end_with_a_process_and_of_those_whose_end_is_not_known() {
    let mut engine = Engine::new(EngineConfig::default(), Box::new(SequentialIds::default()));
    let key = (CONN.conn, CONN.epoch);
    engine.handle_record(&CONN.open(100));
    assert_eq!(engine.open_sockets().collect::<Vec<_>>(), [key]);
    assert_eq!(engine.sockets_of(TGID).collect::<Vec<_>>(), [key]);
    assert_eq!(engine.sockets_of(OTHER).count(), 0);
    engine.handle_record(&exit(MS));
    assert_eq!(engine.open_sockets().count(), 0);
    assert_eq!(engine.sockets_of(TGID).collect::<Vec<_>>(), [key]);
    engine.handle_record(&CONN.close(MS, close::HELD));
    assert_eq!(engine.open_sockets().collect::<Vec<_>>(), [key]);
    engine.handle_record(&CONN.close(2 * MS, close::LOCAL_CLOSE));
    assert_eq!(engine.open_sockets().count(), 0);
    let tls = ConnRecords {
        source: source::TLS,
        conn: CONN.conn + 1,
        ..CONN
    };
    engine.handle_record(&tls.open(100));
    assert_eq!(engine.open_sockets().count(), 0);
    assert!(engine.sockets_of(TGID).all(|of_it| of_it == key));
}
