//! What is told of scopes that are open: only to who watches, and at any moment to who asks.

use cirron_common::record::source;

use super::{Engine, EngineConfig, Output, ProcessFacts};
use crate::id::SequentialIds;
use crate::scope::Watched;
use crate::stream::Direction;
use crate::testing::records::{ConnRecords, TGID};
use crate::time::{MS, MonoNs};

const CONN: ConnRecords = ConnRecords {
    conn: 1,
    epoch: 1,
    source: source::SOCKET,
};

/// A stream under way, whose second token came at 40 ms; what came out, and how much of the answer has passed.
fn under_way(watched: bool) -> (Engine, Vec<Output>, u64) {
    let mut engine = Engine::new(EngineConfig::default(), Box::new(SequentialIds::default()));
    engine.handle_process(ProcessFacts {
        tgid: TGID,
        ..ProcessFacts::default()
    });
    engine.watch(watched);
    let body = r#"{"model":"asked","stream":true,"messages":[]}"#;
    let request = format!(
        "POST /v1/chat/completions?key=secret HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let delta = r#"data: {"object":"chat.completion.chunk","model":"answered","choices":[{"index":0,"delta":{"content":"a"}}]}"#;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    let pieces = [
        head.to_owned(),
        format!("{delta}\n\n"),
        format!("{delta}\n\n"),
    ];
    engine.handle_record(&CONN.open(MS));
    let len = request.len() as u64;
    engine.handle_record(&CONN.data(Direction::Inbound, 0, 10 * MS, request.as_bytes(), len));
    let mut pos = 0;
    for (piece, at) in pieces.iter().zip([20, 30, 40]) {
        let len = piece.len() as u64;
        let record = CONN.data(Direction::Outbound, pos, at * MS, piece.as_bytes(), len);
        engine.handle_record(&record);
        pos += len;
    }
    let outputs = std::iter::from_fn(|| engine.poll_output()).collect();
    (engine, outputs, pos)
}

#[test]
fn nobody_who_does_not_watch_pays_and_what_is_open_can_be_asked_for() {
    let (mut engine, outputs, _) = under_way(false);
    assert_eq!(outputs, []);
    let rows = engine.open_scopes(9).first;
    let [row] = &rows[..] else {
        panic!("{rows:?}");
    };
    assert_eq!(row.name, "request");
    assert_eq!(
        (row.origin.start.pid, row.origin.start.at),
        (TGID, MonoNs(10 * MS))
    );
    let about = &row.about;
    assert_eq!(about.endpoint.as_deref(), Some("/v1/chat/completions"));
    assert_eq!(about.model.as_deref(), Some("answered"));
    assert_eq!(about.tokens, Some(2));
    assert_eq!(row.to_first_token_ns(), Some(20 * MS));
    assert_eq!(row.age_ns(MonoNs(50 * MS)), 40 * MS);
}

#[test]
fn who_watches_hears_of_a_change_once_until_it_looks() {
    let (mut engine, outputs, pos) = under_way(true);
    let [Output::Watched(Watched::Opened(id)), changed] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert_eq!(*changed, Output::Watched(Watched::Changed(*id)));
    let [row] = &engine.open_scopes(9).first[..] else {
        panic!("one is open");
    };
    assert_eq!((row.origin.id, row.about.tokens), (*id, Some(2)));
    assert_eq!(engine.poll_output(), None);
    let event = b"data: {}\n\n";
    let len = event.len() as u64;
    let record = CONN.data(Direction::Outbound, pos, 50 * MS, event, len);
    engine.handle_record(&record);
    assert_eq!(
        engine.poll_output(),
        Some(Output::Watched(Watched::Changed(*id))),
        "it was looked at"
    );
    engine.handle_shutdown(MonoNs(60 * MS));
    let closed = std::iter::from_fn(|| engine.poll_output())
        .any(|output| output.into_scope().is_some_and(|(span, _)| span.id == *id));
    assert!(closed, "by the id that it was opened with");
    assert_eq!(engine.open_scopes(9).first, []);
}
