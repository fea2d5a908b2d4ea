//! Connections that were joined late: what nothing names is counted, the rest is written.
#![expect(clippy::unwrap_used, reason = "tests")]

use cirron_common::record::{close, source};

use super::{Engine, EngineConfig, EngineStats, Output, ProcessFacts};
use crate::id::SequentialIds;
use crate::scope::{AttrValue, Span};
use crate::stream::Direction;
use crate::testing::h2::{frame, literal};
use crate::testing::records::{ConnRecords, TGID, exit};
use crate::time::{MS, MonoNs};

/// What is written of connections that we join at their pieces (true: read), by connection.
fn joined(explicit: bool, conns: &[Vec<(bool, Vec<u8>)>]) -> (Vec<Span>, Span, EngineStats) {
    let mut engine = Engine::new(EngineConfig::default(), Box::new(SequentialIds::default()));
    engine.handle_timeout(MonoNs(1));
    engine.handle_process(ProcessFacts {
        tgid: TGID,
        explicit,
        ..ProcessFacts::default()
    });
    let mut ts = MS;
    for (at, pieces) in conns.iter().enumerate() {
        let conn = ConnRecords {
            conn: 7 + at as u64,
            epoch: 1,
            source: source::SOCKET,
        };
        // Positions are those of a connection that has moved some already.
        let (mut read, mut sent) = (1_000, 2_000);
        for (inbound, bytes) in pieces {
            ts += 30 * MS;
            engine.handle_timeout(MonoNs(ts));
            let (dir, pos) = match inbound {
                true => (Direction::Inbound, &mut read),
                false => (Direction::Outbound, &mut sent),
            };
            let len = bytes.len() as u64;
            engine.handle_record(&conn.data(dir, *pos, ts, bytes, len));
            *pos += len;
        }
        engine.handle_record(&conn.close(ts + MS, close::LOCAL_CLOSE));
    }
    engine.handle_record(&exit(ts + 2 * MS));
    engine.handle_timeout(MonoNs(ts + 5_000 * MS));
    let stats = engine.stats();
    let (mut scopes, mut session) = (Vec::new(), None);
    while let Some(output) = engine.poll_output() {
        match output {
            Output::Scope { span, .. } => scopes.push(span),
            Output::Session(span) => session = Some(span),
            Output::Open(_)
            | Output::Watched(_)
            | Output::Unplaced { .. }
            | Output::Mute { .. } => {}
        }
    }
    (scopes, session.unwrap(), stats)
}

/// A call of gRPC all of whose fields were sent before, and its answer, whose trailers are these.
fn call(stream: u32, trailers: &[u8]) -> [(bool, Vec<u8>); 2] {
    let message = [0, 0, 0, 0, 2, 9, 9];
    let ask = [
        frame(1, 4, stream, &[0x83, 0x86, 0xbe, 0xbf, 0xc0]),
        frame(0, 1, stream, &message),
    ];
    let answer = [
        frame(1, 4, stream, &[0x88, 0xbe]),
        frame(0, 0, stream, &message),
        frame(1, 5, stream, trailers),
    ];
    [(true, ask.concat()), (false, answer.concat())]
}

fn count(span: &Span, name: &str) -> Option<AttrValue> {
    span.attrs.get(name).cloned()
}

#[test]
fn calls_that_nothing_names_are_counted_once_for_their_connection() {
    let calls = |n: u32| -> Vec<_> {
        let streams = (0..n).map(|i| 101 + 2 * i);
        streams.flat_map(|s| call(s, &[0xbf])).collect()
    };
    for explicit in [true, false] {
        let (scopes, session, stats) = joined(explicit, &[calls(40), calls(3)]);
        assert!(scopes.is_empty(), "{scopes:#?}");
        assert_eq!(
            (stats.unnamed_exchanges, stats.unnamed_connections),
            (43, 2)
        );
        assert_eq!((stats.exchanges, stats.requests, stats.partial), (0, 0, 0));
        let said = ["cirron.unnamed_connections", "cirron.unnamed_exchanges"];
        let want = [2_i64, 43].map(|n| Some(AttrValue::from(n)));
        assert_eq!(said.map(|name| count(&session, name)), want);
    }
}

#[test]
fn what_names_itself_on_the_same_connection_is_written() {
    let mut pieces: Vec<_> = call(101, &[0xbf]).to_vec();
    // Its trailers say a status that nobody had before.
    pieces.extend(call(103, &literal("grpc-status", "5")));
    // A path that is new, put into the table, and said by its place from then on.
    let path = [&[0x44, 2][..], b"/x"].concat();
    let ask = |path: &[u8], stream| {
        let fields = [&[0x83, 0x86][..], path].concat();
        (true, frame(1, 5, stream, &fields))
    };
    let answer = |stream| (false, frame(1, 5, stream, &[0x88]));
    pieces.extend([ask(&path, 105), answer(105), ask(&[0xbe], 107), answer(107)]);
    let (scopes, _, stats) = joined(true, &[pieces]);
    assert_eq!((stats.unnamed_exchanges, stats.exchanges), (1, 3));
    let texts = |name: &str| -> Vec<_> { scopes.iter().map(|s| count(s, name)).collect() };
    let not_found = AttrValue::from("NOT_FOUND");
    assert_eq!(
        texts("rpc.response.status_code"),
        [Some(not_found), None, None]
    );
    let path = Some(AttrValue::from("/x"));
    assert_eq!(texts("url.path"), [None, path.clone(), path]);
}

fn text(inbound: bool, text: &str) -> (bool, Vec<u8>) {
    (inbound, text.as_bytes().to_vec())
}

#[test]
fn an_answer_of_http_1_whose_request_was_before_us_is_counted_unless_its_shape_names_it() {
    let plain = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let get = text(true, "GET /next HTTP/1.1\r\n\r\n");
    let nameless = vec![text(false, plain), get.clone(), text(false, plain)];
    let json = r#"{"object":"chat.completion","model":"m","choices":[]}"#;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        json.len()
    );
    let named = vec![
        text(false, &format!("{head}{json}")),
        get,
        text(false, plain),
    ];
    let (scopes, session, stats) = joined(true, &[nameless, named]);
    assert_eq!((stats.unnamed_exchanges, stats.unnamed_connections), (1, 1));
    assert_eq!((stats.exchanges, stats.llm_calls), (3, 1));
    let late = |s: &&Span| s.attrs.contains_key("cirron.late_attach");
    let late: Vec<_> = scopes.iter().filter(late).collect();
    assert_eq!(late.len(), 1);
    assert_eq!(count(late[0], "gen_ai.response.model"), Some("m".into()));
    assert_eq!(
        count(&session, "cirron.unnamed_exchanges"),
        Some(1_i64.into())
    );
}
