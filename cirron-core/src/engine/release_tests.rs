//! Processes that are let go while they talk.

use cirron_common::record::source;

use super::{Engine, EngineConfig, Output, ProcessFacts};
use crate::id::SequentialIds;
use crate::scope::{AttrValue, Rows, Span};
use crate::stream::Direction;
use crate::testing::records::{ConnRecords, TGID, release};
use crate::time::{MS, MonoNs};

const REQUEST: &[u8] =
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";

fn conn(conn: u64, of: u8) -> ConnRecords {
    ConnRecords {
        conn,
        epoch: 100,
        source: of,
    }
}

fn engine() -> Engine {
    let mut engine = Engine::new(EngineConfig::default(), Box::new(SequentialIds::default()));
    engine.handle_timeout(MonoNs(MS));
    engine.handle_process(ProcessFacts {
        tgid: TGID,
        explicit: true,
        ..ProcessFacts::default()
    });
    engine
}

fn request(engine: &mut Engine, conn: ConnRecords, ms: u64) {
    engine.handle_record(&conn.open(ms * MS));
    let len = REQUEST.len() as u64;
    engine.handle_record(&conn.data(Direction::Inbound, 0, ms * MS, REQUEST, len));
}

fn written(engine: &mut Engine) -> (Vec<Span>, Vec<Span>) {
    let (mut sessions, mut scopes) = (Vec::new(), Vec::new());
    while let Some(output) = engine.poll_output() {
        match output {
            Output::Session(span) => sessions.push(span),
            Output::Scope { span, .. } => scopes.push(span),
            Output::Open(_)
            | Output::Watched(_)
            | Output::Unplaced { .. }
            | Output::Mute { .. } => {}
        }
    }
    (sessions, scopes)
}

#[test]
fn a_released_process_has_its_exchanges_and_its_session_closed_with_what_is_known() {
    for of in [source::SOCKET, source::TLS] {
        let mut engine = engine();
        request(&mut engine, conn(7, of), 2);
        request(&mut engine, conn(8, of), 3);
        let open = |ms| (TGID, MonoNs(ms * MS));
        let rows = engine.open_scopes(9).first;
        let starts = rows.iter().map(|row| row.origin.start);
        let starts: Vec<_> = starts.map(|start| (start.pid, start.at)).collect();
        assert_eq!(starts, [open(2), open(3)]);
        engine.handle_record(&release(TGID, 50 * MS));
        assert_eq!(engine.open_scopes(9), Rows::default());
        assert_eq!(engine.held_bytes(), 0);
        assert_eq!(engine.open_sockets().count(), 0);
        let (sessions, scopes) = written(&mut engine);
        assert_eq!(scopes.len(), 2);
        for scope in &scopes {
            assert_eq!(scope.end, Some(MonoNs(50 * MS)));
            assert_eq!(scope.attrs["cirron.partial"], AttrValue::Bool(true));
        }
        let [opened, closed] = &sessions[..] else {
            panic!("{sessions:?}")
        };
        assert_eq!((opened.end, closed.end), (None, Some(MonoNs(50 * MS))));
        assert_eq!(opened.id, closed.id);
        // Nothing is left that the end would write again.
        engine.handle_shutdown(MonoNs(60 * MS));
        assert_eq!(written(&mut engine), (Vec::new(), Vec::new()));
        assert_eq!(engine.stats().bad_records, 0);
    }
}

#[test]
fn another_process_goes_on() {
    let mut engine = engine();
    request(&mut engine, conn(7, source::SOCKET), 2);
    engine.handle_record(&release(TGID + 1, 50 * MS));
    assert_eq!(engine.open_scopes(9).first.len(), 1);
    let (sessions, scopes) = written(&mut engine);
    assert_eq!((sessions.len(), scopes.len()), (1, 0));
}

#[test]
fn a_process_that_is_a_target_again_has_a_session_of_its_own() {
    let mut engine = engine();
    request(&mut engine, conn(7, source::SOCKET), 2);
    engine.handle_record(&release(TGID, 50 * MS));
    let facts = ProcessFacts {
        tgid: TGID,
        explicit: true,
        ..ProcessFacts::default()
    };
    engine.handle_process(facts);
    // The connection was kept alive: it is joined late.
    let response = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let pos = 4_000;
    let len = response.len() as u64;
    engine.handle_record(&conn(7, source::SOCKET).data(
        Direction::Outbound,
        pos,
        90 * MS,
        response,
        len,
    ));
    engine.handle_shutdown(MonoNs(200 * MS));
    let (sessions, _) = written(&mut engine);
    assert_eq!(sessions.len(), 4);
    assert_eq!(sessions[0].id, sessions[1].id);
    assert_eq!(sessions[2].id, sessions[3].id);
    assert_ne!(sessions[0].id, sessions[2].id);
    assert_eq!(sessions[2].start, MonoNs(50 * MS));
}
