//! Whole conversations through the engine: every cut and every hole of the response.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::Write as _;

use cirron_common::record::{close, source};

use super::{Engine, EngineConfig, EngineStats, Output, ProcessFacts};
use crate::id::SequentialIds;
use crate::scope::{AttrValue, Mark, MarkValue, Span};
use crate::stream::Direction;
use crate::testing::records::{ConnRecords, TGID, exit};
use crate::testing::split::{Fed, assert_gap_safe, assert_split_invariant};
use crate::time::{MS, MonoNs};

const CONN: ConnRecords = ConnRecords {
    conn: 7,
    epoch: 100,
    source: source::SOCKET,
};

fn engine() -> Engine {
    let mut engine = Engine::new(EngineConfig::default(), Box::new(SequentialIds::default()));
    engine.handle_process(ProcessFacts {
        tgid: TGID,
        ..ProcessFacts::default()
    });
    engine
}

fn outputs(mut engine: Engine) -> (Vec<(Span, Vec<Mark>)>, EngineStats) {
    engine.handle_shutdown(MonoNs(10_000 * MS));
    let outputs = std::iter::from_fn(|| engine.poll_output());
    let scopes = outputs.filter_map(Output::into_scope).collect();
    (scopes, engine.stats())
}

const BODY: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}"#;

fn request() -> Vec<u8> {
    format!(
        "POST /v1/chat/completions?key=secret HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    )
    .into_bytes()
}

const EVENTS: &str = concat!(
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
    ": ping\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"two\"},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":9,\"total_tokens\":14}}\n\n",
    "data: [DONE]\n\n",
);

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in body.chunks(90) {
        write!(out, "{:x}\r\n", part.len()).unwrap();
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

fn response(kind: &str, coding: &str, body: &[u8]) -> Vec<u8> {
    let mut out = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{coding}Transfer-Encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    out.extend(chunked(body));
    out
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    e.write_all(bytes).unwrap();
    e.finish().unwrap()
}

fn responses() -> Vec<Vec<u8>> {
    let json = br#"{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"content":"one two"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":9,"total_tokens":14}}"#;
    vec![
        response("text/event-stream", "", EVENTS.as_bytes()),
        response("application/json", "", json),
        response(
            "text/event-stream",
            "Content-Encoding: gzip\r\n",
            &gzip(EVENTS.as_bytes()),
        ),
    ]
}

/// One exchange whose response comes in these parts, 5 ms after the request.
fn exchange(parts: &[Fed<'_>]) -> (Vec<(Span, Vec<Mark>)>, EngineStats) {
    let mut engine = engine();
    let request = request();
    engine.handle_record(&CONN.open(100));
    let len = request.len() as u64;
    engine.handle_record(&CONN.data(Direction::Inbound, 0, MS, &request, len));
    let (mut pos, ts) = (0, 6 * MS);
    for part in parts {
        let record = match part {
            Fed::Data(bytes) => {
                let record = CONN.data(Direction::Outbound, pos, ts, bytes, bytes.len() as u64);
                pos += bytes.len() as u64;
                record
            }
            // A record that was dropped, and one that says that nothing was captured: the same.
            Fed::Gap(len) => {
                let record = CONN.data(Direction::Outbound, pos, ts, &[], *len);
                pos += len;
                record
            }
        };
        engine.handle_record(&record);
    }
    engine.handle_record(&CONN.close(7 * MS, close::LOCAL_CLOSE));
    engine.handle_timeout(MonoNs(100 * MS));
    outputs(engine)
}

fn number(marks: &[Mark], name: &str) -> Option<f64> {
    marks
        .iter()
        .find(|m| m.name == name)
        .map(|m| match m.value {
            MarkValue::Int(n) => n as f64,
            MarkValue::Float(x) => x,
            MarkValue::Str(_) | MarkValue::Bool(_) => panic!("no number: {name}"),
        })
}

#[test]
fn a_response_cut_anywhere_gives_the_same_span_and_marks() {
    for response in responses() {
        let (scopes, stats) = assert_split_invariant(&response, exchange);
        assert_eq!(scopes.len(), 1);
        let (span, marks) = &scopes[0];
        assert_eq!(number(marks, "completion_tokens"), Some(9.0));
        assert_eq!(number(marks, "request_duration_ms"), Some(5.0));
        assert_eq!(
            span.attrs["url.path"],
            AttrValue::from("/v1/chat/completions")
        );
        assert_eq!(
            span.attrs["gen_ai.response.finish_reasons"],
            AttrValue::from("stop")
        );
        assert!(!span.attrs.contains_key("cirron.partial"));
        assert_eq!(
            (stats.requests, stats.llm_calls, stats.lost_bytes),
            (1, 1, 0)
        );
    }
}

#[test]
fn a_hole_makes_figures_absent_or_leaves_them_true_and_is_said() {
    for response in responses() {
        let (whole, _) = exchange(&[Fed::Data(&response)]);
        let (_, whole_marks) = &whole[0];
        assert_gap_safe(&response, exchange, |(scopes, stats), hole| {
            assert_eq!(scopes.len(), 1, "{hole:?}");
            let (span, marks) = &scopes[0];
            assert!(stats.lost_bytes >= hole.len as u64, "{hole:?}");
            if !span.attrs.contains_key("cirron.partial") {
                // It took the line end behind a chunk, and no byte of the message.
                assert_eq!((span, marks), (&whole[0].0, whole_marks), "{hole:?}");
                assert_eq!(hole.len, 2);
                return;
            }
            for mark in marks {
                let estimated = mark.attrs.contains_key("estimated");
                let value = number(marks, &mark.name).unwrap();
                if estimated {
                    assert!(
                        value <= 3.0 && mark.attrs.contains_key("partial"),
                        "{hole:?}"
                    );
                } else {
                    assert_eq!(
                        Some(value),
                        number(whole_marks, &mark.name),
                        "{hole:?} {mark:?}"
                    );
                }
            }
            for name in [
                "tokens_per_second",
                "time_per_output_token_ms",
                "max_inter_token_ms",
            ] {
                assert_eq!(number(marks, name), None, "{name} {hole:?}");
            }
        });
    }
}

/// Each event in its own record, 10 ms apart.
fn timed(events: &[&str], end: bool) -> (Span, Vec<Mark>) {
    let mut engine = engine();
    let request = request();
    engine.handle_record(&CONN.open(100));
    let len = request.len() as u64;
    engine.handle_record(&CONN.data(Direction::Inbound, 0, 10 * MS, &request, len));
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    let mut pos = 0;
    for (i, text) in [head].iter().chain(events).enumerate() {
        let ts = (20 + 10 * i as u64) * MS;
        let len = text.len() as u64;
        engine.handle_record(&CONN.data(Direction::Outbound, pos, ts, text.as_bytes(), len));
        pos += len;
    }
    if end {
        engine.handle_record(&CONN.close(200 * MS, close::LOCAL_CLOSE));
        engine.handle_timeout(MonoNs(300 * MS));
    }
    outputs(engine).0.remove(0)
}

#[test]
fn times_are_those_of_the_bytes_that_completed_an_event() {
    let events: Vec<&str> = EVENTS.split_inclusive("\n\n").collect();
    let (_, marks) = timed(&events, true);
    // Head at 20 ms, role at 30, ping at 40, reasoning at 50, answer at 60 and 70, usage at 80.
    let want = [
        ("time_to_first_byte_ms", 10.0),
        ("time_to_first_token_ms", 40.0),
        ("time_to_first_reasoning_token_ms", 40.0),
        ("time_to_first_answer_token_ms", 50.0),
        ("max_inter_token_ms", 10.0),
        ("time_per_output_token_ms", 20.0 / 8.0),
        ("request_duration_ms", 190.0),
        ("tokens_per_second", 9.0 / 0.15),
    ];
    for (name, value) in want {
        let got = number(&marks, name).unwrap_or(f64::NAN);
        assert!((got - value).abs() < 1e-9, "{name}: {got}, not {value}");
    }
}

#[test]
fn an_end_by_the_agent_leaves_rates_and_durations_unsaid() {
    let events: Vec<&str> = EVENTS.split_inclusive("\n\n").take(5).collect();
    let (span, marks) = timed(&events, false);
    assert_eq!(span.attrs["cirron.aborted_by"], AttrValue::from("agent"));
    assert_eq!(number(&marks, "time_to_first_token_ms"), Some(40.0));
    assert_eq!(number(&marks, "output_tokens"), Some(3.0));
    for name in [
        "request_duration_ms",
        "tokens_per_second",
        "time_per_output_token_ms",
    ] {
        assert_eq!(number(&marks, name), None, "{name}");
    }
}

#[test]
fn events_that_came_in_one_piece_have_no_time_between_them() {
    let (_, marks) = timed(&[EVENTS], true);
    assert_eq!(number(&marks, "time_to_first_token_ms"), Some(20.0));
    for name in ["time_per_output_token_ms", "max_inter_token_ms"] {
        assert_eq!(number(&marks, name), None, "{name}");
    }
}

#[test]
fn bytes_that_are_no_record_are_counted_and_nothing_else_is_lost() {
    let mut engine = engine();
    engine.handle_record(&[1, 2, 3]);
    engine.handle_record(&[0xff; 64]);
    engine.handle_record(&CONN.open(100)[..70]);
    assert_eq!(engine.stats().bad_records, 3);
    engine.handle_record(&CONN.open(100));
    assert_eq!(engine.stats().connections, 1);
}

fn closed_sessions(mut engine: Engine) -> Vec<Span> {
    let mut closed = Vec::new();
    while let Some(output) = engine.poll_output() {
        match output {
            Output::Session(span) if span.end.is_some() => closed.push(span),
            Output::Session(_)
            | Output::Open(_)
            | Output::Scope { .. }
            | Output::Watched(_)
            | Output::Unplaced { .. }
            | Output::Mute { .. } => {}
        }
    }
    closed
}

#[test]
fn tls_that_nobody_reads_and_its_library_are_on_the_session() {
    let mut engine = engine();
    engine.handle_record(&CONN.open(1));
    engine.handle_record(&CONN.data(Direction::Inbound, 0, 2, &[0x16, 3, 1, 0, 5, 1, 2], 7));
    engine.handle_process(ProcessFacts {
        tgid: TGID,
        blind: vec!["rustls in server".to_owned()],
        ..ProcessFacts::default()
    });
    engine.handle_shutdown(MonoNs(MS));
    let closed = closed_sessions(engine);
    let [session] = &closed[..] else {
        panic!("{closed:?}")
    };
    assert_eq!(
        session.attrs.get("cirron.tls.blind"),
        Some(&AttrValue::from("rustls in server"))
    );
    assert_eq!(
        session.attrs.get("cirron.tls.unread_connections"),
        Some(&AttrValue::from(1_i64))
    );
}

/// The shell looks for the library when it is told of such a connection, and of each once.
#[test]
fn a_process_with_tls_that_nobody_reads_is_told_once() {
    let mut engine = engine();
    engine.handle_process(ProcessFacts {
        tgid: TGID,
        ..ProcessFacts::default()
    });
    engine.handle_record(&CONN.open(1));
    assert!(engine.take_unread_tls().is_empty());
    engine.handle_record(&CONN.data(Direction::Inbound, 0, 2, &[0x16, 3, 1, 0, 5, 1, 2], 7));
    assert!(engine.has_unread_tls(TGID));
    assert_eq!(engine.take_unread_tls(), [TGID]);
    assert!(engine.take_unread_tls().is_empty());
    assert!(!engine.has_unread_tls(TGID + 1));
}

/// Three connections in a library, one of which gives plaintext; one is open at the end.
#[test]
fn connections_in_a_library_that_give_no_plaintext_are_on_the_session() {
    let mut engine = engine();
    engine.handle_process(ProcessFacts {
        tgid: TGID,
        ..ProcessFacts::default()
    });
    let objects = [1, 2, 3].map(|conn| ConnRecords {
        conn,
        source: source::TLS,
        ..CONN
    });
    for object in objects {
        engine.handle_record(&object.open(1));
    }
    let request = request();
    let len = request.len() as u64;
    engine.handle_record(&objects[0].data(Direction::Inbound, 0, 2, &request, len));
    engine.handle_record(&objects[0].close(3, close::LOCAL_CLOSE));
    engine.handle_record(&objects[1].close(3, close::LOCAL_CLOSE));
    // A socket's end is none of a library's.
    engine.handle_record(&CONN.open(3));
    engine.handle_record(&CONN.close(4, close::LOCAL_CLOSE));
    engine.handle_timeout(MonoNs(1_000 * MS));
    assert_eq!(engine.stats().tls_silent, 1);
    engine.handle_shutdown(MonoNs(1_000 * MS));
    assert_eq!(engine.stats().tls_silent, 2);
    let sessions = closed_sessions(engine);
    let [session] = &sessions[..] else {
        panic!("{sessions:?}")
    };
    assert_eq!(
        session.attrs.get("cirron.tls.silent_connections"),
        Some(&AttrValue::from(2_i64))
    );
}

/// A stream of ten tokens, 10 ms apart, of which the client takes four: from its FIN to the kernel's
/// answer that it has gone, and through every layer.
#[test]
fn tokens_behind_a_clients_close_are_counted_apart_whole_stream_or_not() {
    let event = "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
    let chunk = format!("{:x}\r\n{event}\r\n", event.len());
    for (whole, gone, mine) in [(true, true, 4.0), (false, true, 4.0), (true, false, 10.0)] {
        let mut engine = engine();
        let request = request();
        engine.handle_record(&CONN.open(100));
        let len = request.len() as u64;
        engine.handle_record(&CONN.data(Direction::Inbound, 0, MS, &request, len));
        let mut pos = 0;
        let mut write = |engine: &mut Engine, ts: u64, text: &str| {
            let record = CONN.data(
                Direction::Outbound,
                pos,
                ts,
                text.as_bytes(),
                text.len() as u64,
            );
            pos += text.len() as u64;
            engine.handle_record(&record);
        };
        write(
            &mut engine,
            5 * MS,
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        for n in 1..=10 {
            if n == 5 {
                engine.handle_record(&CONN.close(45 * MS, close::PEER_FIN));
            }
            write(&mut engine, n * 10 * MS, &chunk);
        }
        if whole {
            write(&mut engine, 105 * MS, "0\r\n\r\n");
        }
        let end = if gone {
            close::PEER_RESET
        } else {
            close::LOCAL_CLOSE
        };
        engine.handle_record(&CONN.close(110 * MS, end));
        engine.handle_timeout(MonoNs(200 * MS));
        let (scopes, _) = outputs(engine);
        let (span, marks) = &scopes[0];
        assert_eq!(number(marks, "output_tokens"), Some(mine));
        let rest = Some(10.0 - mine).filter(|n| *n > 0.0);
        assert_eq!(number(marks, "output_tokens_after_client_left"), rest);
        let by = span.attrs.get("cirron.aborted_by").cloned();
        assert_eq!(by, gone.then(|| "client".into()));
    }
}

/// The writer lost its processor before its call returned; the client had all and has gone, another
/// thread has closed.
#[test]
fn a_write_that_is_told_behind_the_close_is_the_connections() {
    let mut engine = engine();
    let (request, response) = (request(), responses().remove(1));
    engine.handle_record(&CONN.open(100));
    let len = request.len() as u64;
    engine.handle_record(&CONN.data(Direction::Inbound, 0, MS, &request, len));
    engine.handle_record(&CONN.close(7 * MS, close::PEER_FIN));
    engine.handle_record(&CONN.close(8 * MS, close::LOCAL_CLOSE));
    engine.handle_timeout(MonoNs(120 * MS));
    let len = response.len() as u64;
    engine.handle_record(&CONN.data(Direction::Outbound, 0, 6 * MS, &response, len));
    assert_eq!(engine.stats().exchanges, 1);
    engine.handle_timeout(MonoNs(1_000 * MS));
    assert_eq!(engine.poll_timeout(), None);
    let (scopes, stats) = outputs(engine);
    assert_eq!((stats.exchanges, stats.partial), (1, 0));
    assert_eq!(number(&scopes[0].1, "output_tokens"), Some(9.0));
}

/// A process's end comes behind all that its threads did: its connections, closed or not, are over.
#[test]
fn exchanges_end_before_the_session_of_a_process_that_has_ended() {
    let mut engine = engine();
    let request = request();
    engine.handle_record(&CONN.open(100));
    let len = request.len() as u64;
    engine.handle_record(&CONN.data(Direction::Inbound, 0, MS, &request, len));
    engine.handle_record(&CONN.close(3 * MS, close::LOCAL_CLOSE));
    engine.handle_record(&exit(4 * MS));
    engine.handle_timeout(MonoNs(200 * MS));
    let mut kinds = Vec::new();
    while let Some(output) = engine.poll_output() {
        match output {
            Output::Scope { .. } => kinds.push("scope"),
            Output::Session(span) if span.end.is_some() => kinds.push("session's end"),
            Output::Session(_)
            | Output::Open(_)
            | Output::Watched(_)
            | Output::Unplaced { .. }
            | Output::Mute { .. } => {}
        }
    }
    assert_eq!(kinds, ["scope", "session's end"]);
}
