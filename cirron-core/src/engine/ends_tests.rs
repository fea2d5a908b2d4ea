//! Clients that leave at the last event, and before it: whole conversations through the engine.
#![expect(clippy::unwrap_used, reason = "tests")]

use cirron_common::record::{close, source};

use super::{Engine, EngineConfig, Output, ProcessFacts};
use crate::id::SequentialIds;
use crate::scope::{AttrValue, Mark, MarkValue, Span};
use crate::stream::Direction;
use crate::testing::h2::{frame, literal};
use crate::testing::records::{ConnRecords, TGID};
use crate::time::{MS, MonoNs};

/// What a connection does at a time, in ms; bytes are those of the server, which the target is.
#[derive(Clone, Debug)]
enum ConnAct {
    In(Vec<u8>),
    Out(Vec<u8>),
    End(u64),
}
use ConnAct::{End, In, Out};

/// The only exchange of a connection.
fn written(of: u8, steps: &[(u64, ConnAct)]) -> (Span, Vec<Mark>) {
    const CONN: ConnRecords = ConnRecords {
        conn: 7,
        epoch: 100,
        source: source::SOCKET,
    };
    let conn = ConnRecords { source: of, ..CONN };
    let mut engine = Engine::new(EngineConfig::default(), Box::new(SequentialIds::default()));
    engine.handle_process(ProcessFacts {
        tgid: TGID,
        ..ProcessFacts::default()
    });
    engine.handle_record(&conn.open(100));
    let (mut read, mut sent) = (0, 0);
    for (ms, step) in steps {
        let ts = ms * MS;
        engine.handle_timeout(MonoNs(ts));
        let mut data = |dir, pos: &mut u64, bytes: &[u8]| {
            let len = bytes.len() as u64;
            engine.handle_record(&conn.data(dir, *pos, ts, bytes, len));
            *pos += len;
        };
        match step {
            In(bytes) => data(Direction::Inbound, &mut read, bytes),
            Out(bytes) => data(Direction::Outbound, &mut sent, bytes),
            End(why) => engine.handle_record(&conn.close(ts, *why)),
        }
    }
    engine.handle_timeout(MonoNs(20_000 * MS));
    engine.handle_shutdown(MonoNs(20_001 * MS));
    let mut scopes = std::iter::from_fn(|| engine.poll_output()).filter_map(Output::into_scope);
    let scope = scopes.next().unwrap();
    assert!(scopes.next().is_none());
    scope
}

fn number(marks: &[Mark], name: &str) -> Option<f64> {
    let found = marks.iter().find(|m| m.name == name)?;
    Some(match found.value {
        MarkValue::Int(n) => n as f64,
        MarkValue::Float(x) => x,
        MarkValue::Str(_) | MarkValue::Bool(_) => panic!("no number: {name}"),
    })
}

/// `cirron.partial`, `cirron.aborted_by` and `cirron.figures`.
fn ended(span: &Span) -> (bool, Option<&str>, Option<&str>) {
    let text = |name| match span.attrs.get(name) {
        Some(AttrValue::Str(text)) => Some(&**text),
        Some(_) | None => None,
    };
    let partial = span.attrs.contains_key("cirron.partial");
    (partial, text("cirron.aborted_by"), text("cirron.figures"))
}

const ASK: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}"#;
const TOKEN: &str = r#"{"object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"a"}}]}"#;
const USAGE: &str = r#"{"object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"#;

/// One event in a chunk.
fn chunk(json: &str) -> ConnAct {
    let event = format!("data: {json}\n\n");
    Out(format!("{:x}\r\n{event}\r\n", event.len()).into_bytes())
}

/// Up to `[DONE]` at 40 or, not `whole`, to the second token at 30.
fn http1(whole: bool) -> Vec<(u64, ConnAct)> {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let ask = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {}\r\n\r\n{ASK}",
        ASK.len()
    );
    let mut steps = vec![
        (1, In(ask.into_bytes())),
        (10, Out(head.as_bytes().to_vec())),
        (20, chunk(TOKEN)),
        (30, chunk(TOKEN)),
    ];
    if whole {
        steps.push((35, chunk(USAGE)));
        steps.push((40, chunk("[DONE]")));
    }
    steps
}

fn last_chunk() -> ConnAct {
    Out(b"0\r\n\r\n".to_vec())
}

/// A call on stream 1 whose request is over, unless `open`.
fn http2_ask(path: &str, kind: &str, body: &[u8], open: bool) -> Vec<u8> {
    let fields = [
        &[0x83, 0x86][..],
        &literal(":path", path),
        &literal("content-type", kind),
    ]
    .concat();
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &frame(4, 0, 0, &[])[..],
        &frame(1, 4, 1, &fields),
        &frame(0, u8::from(!open), 1, body),
    ]
    .concat()
}

fn http2_head(kind: &str) -> Vec<u8> {
    let fields = [&[0x88][..], &literal("content-type", kind)].concat();
    [&frame(4, 0, 0, &[])[..], &frame(1, 4, 1, &fields)].concat()
}

/// As [`http1`].
fn http2(whole: bool) -> Vec<(u64, ConnAct)> {
    let data = |json: &str| Out(frame(0, 0, 1, format!("data: {json}\n\n").as_bytes()));
    let ask = http2_ask(
        "/v1/chat/completions",
        "application/json",
        ASK.as_bytes(),
        false,
    );
    let mut steps = vec![
        (1, In(ask)),
        (10, Out(http2_head("text/event-stream"))),
        (20, data(TOKEN)),
        (30, data(TOKEN)),
    ];
    if whole {
        steps.push((35, data(USAGE)));
        steps.push((40, data("[DONE]")));
    }
    steps
}

fn reset(code: u8) -> ConnAct {
    In(frame(3, 0, 1, &[0, 0, 0, code]))
}

/// Ways to leave, from 41 on.
fn leavings(is_http2: bool) -> Vec<Vec<(u64, ConnAct)>> {
    let mut all = vec![
        vec![(41, End(close::PEER_FIN)), (43, End(close::LOCAL_CLOSE))],
        vec![(41, End(close::READ_EOF)), (60, End(close::LOCAL_CLOSE))],
        vec![(41, End(close::PEER_RESET))],
        vec![(41, End(close::PEER_FIN)), (42, End(close::PEER_RESET))],
        // The connection fails, or the server does not tell its end.
        vec![(41, End(close::NET_ERROR))],
        vec![(41, End(close::LOCAL_CLOSE))],
        // We stop looking.
        vec![],
    ];
    if is_http2 {
        let end = || Out(frame(0, 1, 1, &[]));
        // CANCEL, NO_ERROR; with the server's own end behind it.
        all.push(vec![(41, reset(8))]);
        all.push(vec![(41, reset(0))]);
        all.push(vec![(41, reset(8)), (42, end())]);
        all.push(vec![(41, reset(8)), (90, end())]);
    } else {
        all.push(vec![
            (41, End(close::PEER_FIN)),
            (50, last_chunk()),
            (51, End(close::PEER_RESET)),
        ]);
    }
    all
}

#[test]
fn a_client_that_leaves_at_the_last_event_has_had_all() {
    for of in [source::SOCKET, source::TLS] {
        for (is_http2, start) in [(false, http1(true)), (true, http2(true))] {
            for leaving in leavings(is_http2) {
                let steps = [start.clone(), leaving.clone()].concat();
                let (span, marks) = written(of, &steps);
                assert_eq!(ended(&span), (false, None, Some("complete")), "{leaving:?}");
                let took = number(&marks, "request_duration_ms").unwrap();
                assert!((39.0..=49.0).contains(&took), "{took} {leaving:?}");
                assert!(number(&marks, "tokens_per_second").is_some());
                assert_eq!(number(&marks, "output_tokens"), Some(2.0));
                assert_eq!(number(&marks, "output_tokens_after_client_left"), None);
                assert!(marks.iter().all(|m| !m.attrs.contains_key("partial")));
            }
        }
    }
}

#[test]
fn a_client_that_leaves_before_it_has_not() {
    for (is_http2, start) in [(false, http1(false)), (true, http2(false))] {
        for leaving in leavings(is_http2) {
            let steps = [start.clone(), leaving.clone()].concat();
            let is_whole = leaving
                .iter()
                .any(|(_, s)| matches!(s, Out(b) if b == b"0\r\n\r\n"));
            let (span, marks) = written(source::SOCKET, &steps);
            let (partial, by, figures) = ended(&span);
            // Its server's own end says that there was no more.
            assert_eq!(partial, !is_whole, "{leaving:?}");
            let clients = leaving.iter().any(|(_, s)| match s {
                End(why) => matches!(*why, close::PEER_FIN | close::READ_EOF | close::PEER_RESET),
                In(_) => true,
                Out(_) => false,
            });
            assert_eq!(
                by == Some("client"),
                clients && !is_whole,
                "{by:?} {leaving:?}"
            );
            if !is_whole {
                assert_eq!(figures, Some("partial"));
                assert_eq!(number(&marks, "request_duration_ms"), None);
            }
        }
    }
}

#[test]
fn what_is_written_behind_the_leaving_is_no_end_that_its_client_had() {
    // `[DONE]` comes when nobody reads any more, with a token before it or without.
    for with_token in [false, true] {
        let mut one = http1(false);
        one.push((41, End(close::PEER_FIN)));
        let mut two = http2(false);
        two.push((41, reset(8)));
        for (is_http2, mut steps) in [(false, one), (true, two)] {
            let data = |json: &str| match is_http2 {
                true => Out(frame(0, 0, 1, format!("data: {json}\n\n").as_bytes())),
                false => chunk(json),
            };
            if with_token {
                steps.push((50, data(TOKEN)));
            }
            steps.push((55, data(USAGE)));
            steps.push((56, data("[DONE]")));
            steps.push((57, End(close::PEER_RESET)));
            let (span, marks) = written(source::SOCKET, &steps);
            let (partial, by, _) = ended(&span);
            assert_eq!(
                (partial, by),
                (true, Some("client")),
                "{is_http2} {with_token}"
            );
            let late = number(&marks, "output_tokens_after_client_left");
            assert_eq!(late, with_token.then_some(1.0));
        }
    }
}

/// A call of gRPC whose request stays open, up to the server's last message.
fn grpc() -> Vec<(u64, ConnAct)> {
    let kind = "application/grpc";
    let message = [0, 0, 0, 0, 1, 9];
    vec![
        (1, In(http2_ask("/a.B/C", kind, &message, true))),
        (10, Out(http2_head(kind))),
        (20, Out(frame(0, 0, 1, &message))),
    ]
}

#[test]
fn a_status_ends_a_call_of_grpc_whatever_of_its_request_was_to_come() {
    let trailers = || Out(frame(1, 5, 1, &literal("grpc-status", "0")));
    let not_last = || Out(frame(1, 4, 1, &literal("grpc-status", "0")));
    for end in [
        vec![(40, trailers()), (41, reset(8))],
        vec![(40, trailers()), (41, reset(0))],
        vec![
            (40, trailers()),
            (41, End(close::PEER_FIN)),
            (42, End(close::LOCAL_CLOSE)),
        ],
        vec![(40, trailers()), (41, End(close::PEER_RESET))],
        vec![(40, trailers())],
        vec![(40, not_last()), (41, reset(8))],
    ] {
        let (span, _) = written(source::SOCKET, &[grpc(), end.clone()].concat());
        assert_eq!(ended(&span), (false, None, None), "{end:?}");
        assert_eq!(
            span.attrs["rpc.response.status_code"],
            AttrValue::from("OK")
        );
    }
    for end in [
        vec![(41, reset(8))],
        vec![(41, End(close::PEER_RESET))],
        // What the server said to it later.
        vec![(41, reset(8)), (60, trailers())],
    ] {
        let (span, _) = written(source::SOCKET, &[grpc(), end.clone()].concat());
        let (partial, by, _) = ended(&span);
        assert_eq!((partial, by), (true, Some("client")), "{end:?}");
    }
}

/// A WebSocket's frame without payload of its own, masked or not.
fn ws(opcode: u8, masked: bool, payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(payload.len()).unwrap();
    let mask: &[u8] = if masked { &[0; 4] } else { &[] };
    [&[0x80 | opcode, len | u8::from(masked) << 7], mask, payload].concat()
}

#[test]
fn one_close_frame_ends_a_websocket_however_its_connection_ends() {
    let ask = "GET /ws HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\n\r\n";
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
    let start = vec![
        (1, In(ask.as_bytes().to_vec())),
        (2, Out(switch.as_bytes().to_vec())),
        (3, Out(ws(1, false, b"hi"))),
    ];
    let code = 1000_u16.to_be_bytes();
    for said in [
        In(ws(8, true, &code)),
        Out(ws(8, false, &code)),
        In(ws(8, true, &[])),
    ] {
        for leaving in leavings(false).into_iter().take(7) {
            let close = vec![(40, said.clone())];
            let (span, _) = written(source::SOCKET, &[start.clone(), close, leaving].concat());
            assert_eq!(ended(&span), (false, None, None));
        }
    }
    let reset = vec![(41, End(close::PEER_RESET))];
    let (span, _) = written(source::SOCKET, &[start, reset].concat());
    assert_eq!(ended(&span), (true, Some("client"), None));
}
