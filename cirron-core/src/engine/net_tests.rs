//! Connections without HTTP, through the engine. Whole servers: `cirron-core/tests/joins` and `contexts`.
#![expect(clippy::unwrap_used, reason = "tests")]

mod late;

use cirron_common::conn::{Positions, role};
use cirron_common::record::{close, source};

use super::join_tests::{CALLED, MAIN, Rig, WORKER};
use super::{EngineConfig, Output, ProcessFacts};
use crate::record::Body;
use crate::rules::{Rules, flags_layer};
use crate::scope::{AttrValue, Mark, MarkValue, Span};
use crate::stream::Direction;
use crate::testing::records::{ConnRecords, edited};
use crate::testing::split::{Fed, assert_gap_safe, assert_split_invariant};
use crate::time::{MS, MonoNs};

const IN: Direction = Direction::Inbound;
const OUT: Direction = Direction::Outbound;

fn rig() -> Rig {
    Rig::with(EngineConfig {
        rules: Rules::read(flags_layer(false, true)).unwrap(),
        ..EngineConfig::default()
    })
}

fn nets(written: Vec<(Span, Vec<Mark>)>) -> Vec<(Span, Vec<Mark>)> {
    let of_it = |(span, _): &(Span, Vec<Mark>)| span.name.as_str() == "net.client";
    written.into_iter().filter(of_it).collect()
}

/// What was written, what was read, round trips.
fn sizes(span: &Span) -> [i64; 3] {
    ["bytes_sent", "bytes_received", "round_trips"].map(|name| {
        match span.attrs[format!("cirron.net.{name}").as_str()] {
            AttrValue::Int(value) => value,
            AttrValue::Str(_) | AttrValue::Float(_) | AttrValue::Bool(_) => panic!("{span:?}"),
        }
    })
}

fn word<'a>(span: &'a Span, name: &str) -> Option<&'a str> {
    match span.attrs.get(name) {
        Some(AttrValue::Str(text)) => Some(text),
        _ => None,
    }
}

fn unknown(span: &Span) -> Option<&str> {
    word(span, "cirron.parent.unknown")
}

/// Connections of which the bytes are not to be copied any more.
fn mutes(rig: &mut Rig) -> Vec<u64> {
    let outputs = std::iter::from_fn(|| rig.engine.poll_output());
    outputs
        .filter_map(|output| match output {
            Output::Mute { conn, .. } => Some(conn),
            Output::Session(_)
            | Output::Open(_)
            | Output::Scope { .. }
            | Output::Watched(_)
            | Output::Unplaced { .. } => None,
        })
        .collect()
}

const PING: &str = "*1\r\n$4\r\nPING\r\n";

impl Rig {
    fn asks(&mut self, text: &str, by: u32) {
        self.moves(CALLED, OUT, text, by);
    }

    fn hears(&mut self, text: &str) {
        self.moves(CALLED, IN, text, WORKER);
    }

    /// Nothing happens for so long.
    fn waits(&mut self, ns: u64) {
        self.now += ns;
        self.engine.handle_timeout(MonoNs(self.now));
    }
}

#[test]
fn a_question_is_part_of_the_request_that_its_thread_works_for() {
    let mut rig = rig();
    rig.asked(WORKER); // 2 ms
    rig.asks(PING, WORKER); // 3
    rig.hears("+PO"); // 4
    rig.hears("NG\r\n"); // 5
    rig.answers(WORKER);
    let written = rig.stop();
    let parent = written[0].0.id;
    assert_eq!(written[0].0.name, "request");
    let own = written[0].1.iter().filter(|m| m.name == "overhead_ms");
    assert_eq!(own.count(), 0, "it is no call of a model");
    let [(net, marks)] = &nets(written)[..] else {
        panic!();
    };
    assert_eq!(net.parent_id, Some(parent));
    assert_eq!(word(net, "cirron.parent.by"), Some("thread"));
    assert_eq!(word(net, "cirron.net.protocol"), Some("redis"));
    assert_eq!(sizes(net), [PING.len() as i64, 7, 1]);
    assert_eq!((net.start, net.end), (MonoNs(3 * MS), Some(MonoNs(5 * MS))));
    assert_eq!(net.attrs["client.port"], AttrValue::Int(8000));
    assert_eq!(net.attrs["server.port"], AttrValue::Int(40_000));
    let [first] = &marks[..] else { panic!() };
    assert_eq!(first.name, "time_to_first_byte_ms");
    assert_eq!(first.value, MarkValue::Float(1.0));
    assert_eq!(rig.engine.stats().net_scopes, 1);
}

#[test]
fn nobody_who_does_not_ask_for_it_has_it() {
    let mut off = Rig::with(EngineConfig::default());
    let mut on = rig();
    for rig in [&mut off, &mut on] {
        rig.asks(PING, WORKER);
        rig.hears("+PONG\r\n");
    }
    assert_eq!(mutes(&mut off), [CALLED]);
    assert!(mutes(&mut on).is_empty());
    assert!(off.stop().is_empty());
    assert_eq!(nets(on.stop()).len(), 1);
    // A rule for another process, or for what is never known of it.
    for rule in [
        serde_json::json!({"process": "other", "net_scopes": true}),
        serde_json::json!({"path": "/x", "net_scopes": true}),
        serde_json::json!({"status": 200, "net_scopes": true}),
        serde_json::json!({"role": "server", "net_scopes": true}),
        serde_json::json!({"net_scopes": false}),
    ] {
        let rules = Rules::read([serde_json::json!({"rules": [rule]})]).unwrap();
        let mut rig = Rig::with(EngineConfig {
            rules,
            ..EngineConfig::default()
        });
        rig.asks(PING, WORKER);
        rig.hears("+PONG\r\n");
        assert!(nets(rig.stop()).is_empty(), "{rule}");
    }
}

#[test]
fn what_carries_http_or_was_accepted_has_none() {
    let mut rig = rig();
    rig.asked(WORKER);
    rig.calls(WORKER);
    rig.is_answered(WORKER);
    rig.answers(WORKER);
    rig.open(20, role::ACCEPTED, MAIN);
    rig.open(21, role::UNKNOWN, MAIN);
    for conn in [20, 21] {
        rig.moves(conn, OUT, PING, WORKER);
        rig.moves(conn, IN, "+PONG\r\n", WORKER);
    }
    let written = rig.stop();
    assert_eq!(written.len(), 2, "{written:?}");
    assert!(nets(written).is_empty());
    assert_eq!(rig.engine.stats().net_scopes, 0);
}

#[test]
fn no_byte_of_what_passed_is_written() {
    let mut rig = rig();
    rig.asks("*2\r\n$3\r\nGET\r\n$6\r\ncanary\r\n", WORKER);
    rig.hears("$6\r\ncanary\r\n");
    rig.asks("canary", WORKER);
    rig.hears("canary");
    let written = rig.stop();
    assert_eq!(nets(written.clone()).len(), 1);
    assert!(!format!("{written:?}").contains("canary"));
}

#[test]
fn who_asks_again_at_once_goes_on_and_a_pause_makes_two() {
    let mut rig = rig();
    for _ in 0..3 {
        rig.asks(PING, WORKER);
        rig.hears("+PONG\r\n");
    }
    rig.now += 10 * MS;
    rig.asks(PING, WORKER);
    rig.hears("+PONG\r\n");
    assert_eq!(nets(rig.written()).len(), 1);
    rig.waits(999 * MS);
    assert!(nets(rig.written()).is_empty(), "the answer may go on");
    rig.hears("more");
    rig.waits(999 * MS);
    assert!(nets(rig.written()).is_empty());
    rig.waits(MS);
    let written = nets(rig.written());
    assert_eq!(sizes(&written[0].0), [14, 11, 1]);
    assert_eq!(written[0].0.end, Some(MonoNs(rig.now - 1_000 * MS)));
    assert!(nets(rig.stop()).is_empty());
}

#[test]
fn what_never_pauses_is_written_once_a_second() {
    let mut rig = rig();
    for _ in 0..600 {
        rig.asks(PING, WORKER);
        rig.hears("+PONG\r\n");
    }
    let written = nets(rig.stop());
    let trips: Vec<i64> = written.iter().map(|(span, _)| sizes(span)[2]).collect();
    assert_eq!(trips, [500, 100]);
}

#[test]
fn what_is_asked_before_another_one_has_its_answer_is_nobody_s_from_then_on() {
    let mut rig = rig();
    rig.open(20, role::ACCEPTED, MAIN);
    rig.asked(WORKER);
    let get = "GET /other HTTP/1.1\r\nHost: x\r\n\r\n";
    rig.moves(20, IN, get, WORKER + 1);
    rig.asks(PING, WORKER);
    rig.asks(PING, WORKER + 1);
    rig.hears("+PONG\r\n+PONG\r\n");
    rig.waits(20 * MS);
    rig.asks(PING, WORKER);
    rig.hears("+PONG\r\n");
    rig.answers(WORKER);
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    rig.moves(20, OUT, ok, WORKER + 1);
    let written = nets(rig.stop());
    assert_eq!(written.len(), 2);
    for (span, _) in &written {
        assert_eq!(unknown(span), Some("multiplexed"), "{span:?}");
    }
    assert_eq!(sizes(&written[0].0), [28, 14, 1]);
}

#[test]
fn another_one_s_question_behind_the_answer_is_its_own() {
    let mut rig = rig();
    rig.open(20, role::ACCEPTED, MAIN);
    rig.asked(WORKER);
    let get = "GET /other HTTP/1.1\r\nHost: x\r\n\r\n";
    rig.moves(20, IN, get, WORKER + 1);
    for by in [WORKER, WORKER + 1] {
        rig.asks(PING, by);
        rig.hears("+PONG\r\n");
    }
    rig.answers(WORKER);
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    rig.moves(20, OUT, ok, WORKER + 1);
    let written = rig.stop();
    let threads: Vec<_> = nets(written).iter().map(|(s, _)| s.thread_id).collect();
    assert_eq!(threads, [WORKER, WORKER + 1]);
}

#[test]
fn what_was_written_and_lost_makes_it_nobody_s_and_what_was_read_partial() {
    for (dir, why) in [(OUT, Some("records_lost")), (IN, None)] {
        let mut rig = rig();
        rig.asked(WORKER);
        rig.asks(PING, WORKER);
        rig.hears("+PONG\r\n");
        rig.loses(CALLED, dir, 100);
        rig.asks(PING, WORKER);
        rig.hears("+PONG\r\n");
        rig.answers(WORKER);
        let written = nets(rig.stop());
        let [(span, marks)] = &written[..] else {
            panic!("{written:?}");
        };
        assert_eq!(unknown(span), why, "{span:?}");
        assert_eq!(sizes(span), [28, 14, 2]);
        assert_eq!(span.attrs["cirron.lost_bytes"], AttrValue::Int(100));
        assert_eq!(span.attrs["cirron.partial"], AttrValue::Bool(true));
        assert!(marks.is_empty());
    }
}

#[test]
fn what_was_lost_at_the_end_is_told_by_where_the_connection_stood() {
    let mut rig = rig();
    rig.asked(WORKER);
    rig.asks(PING, WORKER);
    rig.hears("+PONG\r\n");
    let at = Positions {
        inbound: 20,
        outbound: PING.len() as u64 + 9,
    };
    let conn = ConnRecords::socket(CALLED);
    let record = conn.close_at(rig.now, close::LOCAL_CLOSE, at.inbound, at.outbound);
    rig.engine.handle_record(&record);
    rig.answers(WORKER);
    let written = nets(rig.stop());
    assert_eq!(unknown(&written[0].0), Some("records_lost"));
    assert_eq!(written[0].0.attrs["cirron.lost_bytes"], AttrValue::Int(22));
}

#[test]
fn a_record_that_another_has_overtaken_fills_its_place() {
    let mut rig = rig();
    rig.asks(PING, WORKER);
    rig.hears("+PONG\r\n");
    let conn = ConnRecords::socket(CALLED);
    for (pos, len) in [(10, 5), (7, 3), (7, 3)] {
        let record = conn.data(IN, pos, rig.now, &[], len);
        rig.engine.handle_record(&record);
    }
    let written = nets(rig.stop());
    assert_eq!(sizes(&written[0].0), [14, 15, 1]);
    assert!(!written[0].0.attrs.contains_key("cirron.partial"));
}

#[test]
fn what_comes_unasked_is_counted_and_is_no_scope() {
    let mut rig = rig();
    let greeting = "J\0\0\0\n8.0.36\0";
    rig.hears(greeting);
    rig.asks("\u{20}\0\0\u{2}login", WORKER);
    rig.hears("\u{7}\0\0\u{2}ok");
    rig.waits(1_000 * MS);
    rig.hears("pushed");
    let written = nets(rig.stop());
    assert_eq!(sizes(&written[0].0), [9, 6, 1]);
    assert_eq!(word(&written[0].0, "cirron.net.protocol"), Some("mysql"));
    let unasked = rig.engine.stats().net_unasked_bytes;
    assert_eq!(unasked, greeting.len() as u64 + 6);
}

/// What is pushed more often than once a second has no silence that would end the scope.
#[test]
fn a_subscription_s_scope_is_over_in_a_minute_and_what_comes_then_is_counted() {
    let mut rig = rig();
    let subscribe = "*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n";
    rig.asks(subscribe, WORKER);
    rig.hears("+OK\r\n");
    for _ in 0..200 {
        rig.waits(499 * MS);
        rig.hears("pushed");
    }
    let written = nets(rig.written());
    let [(span, _)] = &written[..] else {
        panic!("{written:?}");
    };
    assert_eq!(sizes(span), [subscribe.len() as i64, 5 + 119 * 6, 1]);
    assert_eq!(span.attrs["cirron.net.goes_on"], AttrValue::Bool(true));
    assert_eq!(rig.engine.stats().net_unasked_bytes, 81 * 6);
    rig.asks(PING, WORKER);
    rig.hears("+PONG\r\n");
    let written = nets(rig.stop());
    assert_eq!(sizes(&written[0].0), [14, 7, 1]);
    assert!(!written[0].0.attrs.contains_key("cirron.net.goes_on"));
}

/// Logs that are sent to a collector, say.
#[test]
fn what_is_written_without_an_answer_is_a_scope_each_minute() {
    let mut rig = rig();
    rig.asks("hello\n", WORKER);
    rig.hears("go on\n");
    rig.waits(1_000 * MS);
    for _ in 0..130 {
        rig.asks("<14>a line\n", WORKER);
        rig.waits(999 * MS);
    }
    let written = nets(rig.stop());
    let sent: Vec<i64> = written.iter().map(|(span, _)| sizes(span)[0]).collect();
    assert_eq!(sent, [6, 60 * 11, 60 * 11, 10 * 11]);
    for (span, _) in written.iter().skip(1).take(2) {
        assert_eq!(span.attrs["cirron.net.goes_on"], AttrValue::Bool(true));
    }
}

#[test]
fn more_than_are_written_are_counted_and_their_sums_are_on_the_session() {
    let mut rig = rig();
    rig.asked(WORKER);
    for _ in 0..70 {
        rig.now += 10 * MS;
        rig.asks(PING, WORKER);
        rig.hears("+PONG\r\n");
    }
    rig.answers(WORKER);
    rig.engine.handle_shutdown(MonoNs(rig.now));
    let mut scopes = 0;
    let mut left_out = Vec::new();
    while let Some(output) = rig.engine.poll_output() {
        match output {
            Output::Scope { span, .. } => scopes += u64::from(span.name.as_str() == "net.client"),
            Output::Session(span) if span.end.is_some() => left_out.extend(
                ["turns", "bytes"]
                    .map(|n| span.attrs[format!("cirron.net.{n}_left_out").as_str()].clone()),
            ),
            Output::Session(_)
            | Output::Open(_)
            | Output::Watched(_)
            | Output::Unplaced { .. }
            | Output::Mute { .. } => {}
        }
    }
    // 12 ms each: 70 of them begin in one second of event time, and 64 are written.
    assert_eq!(scopes, 64);
    assert_eq!(left_out, [AttrValue::Int(6), AttrValue::Int(6 * 21)]);
    assert_eq!(rig.engine.stats().net_turns_left_out, 6);
}

#[test]
fn a_connection_that_ends_before_it_is_known_what_it_speaks_has_none() {
    let mut rig = rig();
    rig.asks("\0\0", WORKER);
    assert!(nets(rig.stop()).is_empty());
}

#[test]
fn ciphertext_is_measured_where_no_plaintext_may_be() {
    let hello = "\u{16}\u{3}\u{1}\0\u{5}hello";
    let mut alone = rig();
    alone.asks(hello, WORKER);
    alone.hears(hello);
    assert!(mutes(&mut alone).is_empty());
    let written = nets(alone.stop());
    assert_eq!(word(&written[0].0, "cirron.net.tls"), Some("ciphertext"));

    // An object whose socket is not known.
    let mut rig = rig();
    rig.engine.handle_process(ProcessFacts {
        tgid: MAIN,
        ..ProcessFacts::default()
    });
    let object = ConnRecords {
        source: source::TLS,
        ..ConnRecords::socket(30)
    };
    let open = edited(&object.open(rig.now), |record| {
        if let Body::Open(info) = &mut record.body {
            info.role = role::CONNECTED;
        }
    });
    rig.engine.handle_record(&open);
    rig.asks(hello, WORKER);
    rig.hears(hello);
    assert_eq!(mutes(&mut rig), [CALLED]);
    for (dir, text) in [(OUT, PING), (IN, "+PONG\r\n")] {
        let record = object.data(dir, 0, rig.now, text.as_bytes(), text.len() as u64);
        rig.engine.handle_record(&record);
    }
    let written = nets(rig.stop());
    assert_eq!(written.len(), 1);
    assert_eq!(word(&written[0].0, "cirron.net.tls"), Some("plaintext"));
    assert_eq!(word(&written[0].0, "cirron.net.protocol"), Some("redis"));
}

#[test]
fn a_socket_that_an_object_uses_is_left_to_that() {
    let mut rig = rig();
    rig.asks("\0\0\0\u{1}", WORKER);
    rig.hears("\u{1}");
    let object = ConnRecords {
        source: source::TLS,
        ..ConnRecords::socket(30)
    };
    rig.engine.handle_record(&object.open(rig.now));
    let socket = ConnRecords::socket(CALLED);
    rig.engine.handle_record(&object.link(rig.now, &socket));
    rig.asks("ciphertext", WORKER);
    rig.hears("ciphertext");
    assert!(nets(rig.stop()).is_empty());
}

#[test]
fn a_turn_is_the_same_however_it_is_cut_and_holes_are_told() {
    let asked = format!("{PING}{}", "x".repeat(60));
    let run = |parts: &[Fed<'_>]| {
        let mut rig = rig();
        rig.asked(WORKER);
        for dir in [OUT, IN] {
            rig.now += MS;
            for part in parts {
                match part {
                    Fed::Data(bytes) => {
                        rig.moves_now(CALLED, dir, bytes, bytes.len() as u64, WORKER);
                    }
                    Fed::Gap(len) => rig.loses(CALLED, dir, *len),
                }
            }
        }
        rig.answers(WORKER);
        rig.stop()
    };
    let whole = nets(assert_split_invariant(asked.as_bytes(), run));
    let all = asked.len() as i64;
    assert_eq!(sizes(&whole[0].0), [all, all, 1]);
    assert_gap_safe(asked.as_bytes(), run, |written, hole| {
        for (span, _) in nets(written.clone()) {
            let [sent, received, _] = sizes(&span);
            assert!(sent <= all - hole.len as i64 && received <= all - hole.len as i64);
            let told = span.attrs.contains_key("cirron.lost_bytes");
            // No position tells of what was lost behind the last record.
            let is_last = hole.start + hole.len == asked.len();
            assert!(
                is_last || told && unknown(&span) == Some("records_lost"),
                "{hole:?}"
            );
        }
    });
}

#[test]
fn what_the_kernel_side_counts_and_does_not_copy_is_counted() {
    let mut rig = rig();
    rig.asks(PING, WORKER);
    rig.hears("+PONG\r\n");
    rig.moves_now(CALLED, OUT, &[], 1_000, WORKER);
    rig.moves_now(CALLED, IN, &[], 70_000, WORKER);
    let written = nets(rig.stop());
    assert_eq!(sizes(&written[0].0), [1_014, 70_007, 2]);
    assert_eq!(rig.engine.stats().lost_bytes, 0);
}
