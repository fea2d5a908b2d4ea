//! Connections that were open before we looked.

use super::*;
use crate::testing::records::TGID;

const POOLED: u64 = 20;

/// A connection of before, whose client the target is as far as the kernel knows.
fn pooled() -> Rig {
    let mut rig = rig();
    joined_late(&mut rig, role::CONNECTED);
    rig
}

fn joined_late(rig: &mut Rig, role: u8) {
    let record = edited(&ConnRecords::socket(POOLED).open(rig.now), |record| {
        record.head.tid = TGID;
        if let Body::Open(info) = &mut record.body {
            (info.role, info.late) = (role, 1);
        }
    });
    rig.engine.handle_record(&record);
}

fn turn(rig: &mut Rig, question: &str, answer: &str) {
    rig.moves(POOLED, OUT, question, WORKER);
    rig.moves(POOLED, IN, answer, WORKER);
}

fn is_late(span: &Span) -> bool {
    let [late, partial] = ["cirron.late_attach", "cirron.partial"].map(|name| {
        let value = span.attrs.get(name);
        assert!(value.is_none_or(|value| *value == AttrValue::Bool(true)));
        value.is_some()
    });
    assert_eq!(late, partial);
    late
}

const SELECT: &str = "Q\0\0\0\rSELECT 1\0";
const ROW: &str = "T\0\0\0\u{8}\0\0\0\0Z\0\0\0\u{5}I";

#[test]
fn its_first_turn_may_have_begun_before_and_is_nobody_s_and_the_next_is_its_request_s() {
    let mut rig = pooled();
    rig.asked(WORKER);
    turn(&mut rig, SELECT, ROW);
    turn(&mut rig, SELECT, ROW);
    turn(&mut rig, SELECT, ROW);
    rig.answers(WORKER);
    let written = rig.stop();
    let request = written.iter().find(|(span, _)| span.name == "request");
    let request = request.unwrap().0.id;
    let [(torn, no_marks), (whole, marks)] = &nets(written)[..] else {
        panic!();
    };
    assert_eq!(unknown(torn), Some("began_before_attach"));
    assert!(is_late(torn) && no_marks.is_empty());
    assert_eq!(sizes(torn), [SELECT.len() as i64, ROW.len() as i64, 1]);
    assert_eq!(whole.parent_id, Some(request));
    assert!(!is_late(whole));
    assert_eq!(sizes(whole)[2], 2);
    assert_eq!(word(whole, "cirron.net.protocol"), Some("postgresql"));
    assert_eq!(marks[0].value, MarkValue::Float(1.0));
}

#[test]
fn what_is_read_first_ends_what_was_asked_before() {
    let mut rig = pooled();
    rig.moves(POOLED, IN, ROW, WORKER);
    turn(&mut rig, "?", "no protocol that anybody knows");
    let written = nets(rig.stop());
    assert_eq!(written.len(), 1);
    assert!(!is_late(&written[0].0));
    assert_eq!(sizes(&written[0].0), [1, 30, 1]);
    assert_eq!(word(&written[0].0, "cirron.net.protocol"), None);
    assert_eq!(rig.engine.stats().net_unasked_bytes, ROW.len() as u64);
}

#[test]
fn what_is_alone_and_never_answered_is_counted() {
    let mut rig = pooled();
    rig.moves(POOLED, OUT, SELECT, WORKER);
    assert!(nets(rig.stop()).is_empty());
    assert_eq!(rig.engine.stats().net_turns_left_out, 1);
}

#[test]
fn one_of_which_the_kernel_does_not_know_the_client_has_none() {
    for role in [role::UNKNOWN, role::ACCEPTED] {
        let mut rig = rig();
        joined_late(&mut rig, role);
        turn(&mut rig, SELECT, ROW);
        turn(&mut rig, SELECT, ROW);
        assert!(nets(rig.stop()).is_empty());
    }
}

#[test]
fn http_of_any_version_is_none() {
    let get = "GET /called HTTP/1.1\r\nHost: x\r\n\r\n";
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let headers = "\0\0\u{1}\u{1}\u{5}\0\0\0\u{1}\u{7f}";
    let data = "\0\0\u{2}\0\u{1}\0\0\0\u{1}ok";
    for (question, answer) in [(get, ok), (headers, data), ("rest of a body", ok)] {
        let mut rig = pooled();
        rig.moves(POOLED, IN, "ok", WORKER);
        for _ in 0..3 {
            turn(&mut rig, question, answer);
        }
        assert!(nets(rig.stop()).is_empty(), "{question:?}");
    }
}

#[test]
fn http_behind_what_was_taken_for_none_is_read() {
    let mut rig = pooled();
    rig.moves(POOLED, IN, "?", WORKER);
    turn(&mut rig, "of a message", "of another");
    turn(
        &mut rig,
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
    );
    let written = rig.stop();
    assert!(written.iter().any(|(span, _)| span.name == "http.client"));
}

#[test]
fn the_parser_leaves_it_as_soon_as_its_protocol_is_certain() {
    for (answer, opaque) in [(ROW, 1), ("??????", 0)] {
        let mut rig = pooled();
        turn(&mut rig, SELECT, ROW);
        assert_eq!(
            rig.engine.stats().opaque_connections,
            0,
            "the first is torn"
        );
        turn(&mut rig, SELECT, answer);
        assert_eq!(rig.engine.stats().opaque_connections, opaque);
    }
}

#[test]
fn an_object_of_before_has_the_role_of_its_socket() {
    let mut rig = rig();
    let object = ConnRecords {
        source: source::TLS,
        ..ConnRecords::socket(30)
    };
    rig.engine
        .handle_record(&edited(&object.open(rig.now), |record| {
            if let Body::Open(info) = &mut record.body {
                (info.role, info.late) = (role::UNKNOWN, 1);
            }
        }));
    let link = object.link(rig.now, &ConnRecords::socket(POOLED));
    rig.engine.handle_record(&edited(&link, |record| {
        if let Body::Link(link) = &mut record.body {
            (link.info.role, link.info.late) = (role::CONNECTED, 1);
        }
    }));
    for pos in [0, 1] {
        for (dir, text) in [(OUT, PING), (IN, "+PONG\r\n")] {
            let len = text.len() as u64;
            let record = object.data(dir, pos * len, rig.now, text.as_bytes(), len);
            rig.engine.handle_record(&record);
        }
    }
    let written = nets(rig.stop());
    let [(torn, _), (whole, _)] = &written[..] else {
        panic!("{written:?}");
    };
    assert!(is_late(torn) && !is_late(whole));
    assert_eq!(word(whole, "cirron.net.tls"), Some("plaintext"));
    assert_eq!(word(whole, "cirron.net.protocol"), Some("redis"));
}
