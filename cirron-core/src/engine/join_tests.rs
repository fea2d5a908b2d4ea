//! Calls that a target makes while it serves, through the engine.
#![expect(clippy::unwrap_used, reason = "tests")]

mod contexts;
mod forked;
mod told;

use cirron_common::conn::role;
use cirron_common::record::close;

use super::{Engine, EngineConfig, Output};
use crate::id::{Id, SequentialIds};
use crate::record::Body;
use crate::scope::{AttrValue, Mark, MarkValue, Span};
use crate::stream::Direction;
use crate::testing::records::{ConnRecords, TGID, edited};
use crate::time::{MS, MonoNs};

pub(super) const MAIN: u32 = TGID;
pub(super) const WORKER: u32 = 50;

pub(super) const SERVED: u64 = 7;
pub(super) const CALLED: u64 = 8;

/// A process with one connection that it accepted and one that it made.
pub(super) struct Rig {
    pub(super) engine: Engine,
    /// Time of the last record.
    pub(super) now: u64,
    /// The context of Python's that all runs in, and its thread's count.
    context: u64,
    version: u64,
    pos: std::collections::BTreeMap<(u64, bool), u64>,
}

impl Rig {
    fn new() -> Rig {
        Rig::with(EngineConfig::default())
    }

    pub(super) fn with(config: EngineConfig) -> Rig {
        let engine = Engine::new(config, Box::new(SequentialIds::default()));
        let pos = std::collections::BTreeMap::new();
        let mut rig = Rig {
            engine,
            now: MS,
            context: 0,
            version: 0,
            pos,
        };
        rig.open(SERVED, role::ACCEPTED, MAIN);
        rig.open(CALLED, role::CONNECTED, MAIN);
        rig
    }

    pub(super) fn open(&mut self, inode: u64, role: u8, by: u32) {
        let record = edited(&ConnRecords::socket(inode).open(self.now), |record| {
            record.head.tid = by;
            if let Body::Open(info) = &mut record.body {
                info.role = role;
            }
        });
        self.engine.handle_record(&record);
    }

    pub(super) fn moves(&mut self, inode: u64, dir: Direction, text: &str, by: u32) {
        self.now += MS;
        self.moves_now(inode, dir, text.as_bytes(), text.len() as u64, by);
    }

    /// `len` bytes pass without a word of their own time, of which some were captured.
    pub(super) fn moves_now(
        &mut self,
        inode: u64,
        dir: Direction,
        bytes: &[u8],
        len: u64,
        by: u32,
    ) {
        let pos = self
            .pos
            .entry((inode, dir == Direction::Inbound))
            .or_default();
        let record = ConnRecords::socket(inode).data(dir, *pos, self.now, bytes, len);
        *pos += len;
        let (context, version) = (self.context, self.version);
        let record = edited(&record, |record| {
            record.head.tid = by;
            record.head.context = context;
            record.head.version = version;
        });
        self.engine.handle_record(&record);
    }

    /// Bytes pass of which no record comes.
    pub(super) fn loses(&mut self, inode: u64, dir: Direction, len: u64) {
        *self
            .pos
            .entry((inode, dir == Direction::Inbound))
            .or_default() += len;
    }

    pub(super) fn asked(&mut self, by: u32) {
        let get = "GET /served HTTP/1.1\r\nHost: x\r\n\r\n";
        self.moves(SERVED, Direction::Inbound, get, by);
    }

    pub(super) fn calls(&mut self, by: u32) {
        let get = "GET /called HTTP/1.1\r\nHost: x\r\n\r\n";
        self.moves(CALLED, Direction::Outbound, get, by);
    }

    pub(super) fn is_answered(&mut self, by: u32) {
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        self.moves(CALLED, Direction::Inbound, ok, by);
    }

    pub(super) fn answers(&mut self, by: u32) {
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        self.moves(SERVED, Direction::Outbound, ok, by);
    }

    pub(super) fn written(&mut self) -> Vec<(Span, Vec<Mark>)> {
        let mut all = Vec::new();
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Scope { span, marks } => all.push((span, marks)),
                Output::Open(span) => panic!("a line more: {span:?}"),
                Output::Session(_)
                | Output::Watched(_)
                | Output::Unplaced { .. }
                | Output::Mute { .. } => {}
            }
        }
        all
    }

    pub(super) fn stop(&mut self) -> Vec<(Span, Vec<Mark>)> {
        self.engine.handle_shutdown(MonoNs(self.now));
        assert_eq!(self.engine.held_bytes(), 0);
        self.written()
    }
}

fn reason(span: &Span) -> Option<&AttrValue> {
    span.attrs.get("cirron.parent.unknown")
}

#[test]
fn a_call_is_part_of_the_request_that_its_thread_works_for() {
    let mut rig = Rig::new();
    rig.asked(WORKER);
    rig.calls(WORKER);
    rig.is_answered(WORKER);
    assert_eq!(rig.written().len(), 0, "it waits for the request's end");
    assert!(rig.engine.held_bytes() > 0);
    rig.answers(WORKER);
    let written = rig.written();
    let [(request, marks), (call, _)] = &written[..] else {
        panic!("{written:?}");
    };
    assert_eq!(
        (request.name.as_str(), call.name.as_str()),
        ("request", "http.client")
    );
    assert_eq!(call.parent_id, Some(request.id));
    assert_eq!(call.attrs["cirron.parent.by"], AttrValue::from("thread"));
    assert!(!request.attrs.contains_key("cirron.parent.by"));
    // Read at 2 ms, called from 3 to 4, answered at 5: two of three are its own.
    let own: Vec<_> = marks.iter().filter(|m| m.name == "overhead_ms").collect();
    assert_eq!(own.len(), 1);
    assert_eq!(own[0].value, MarkValue::Float(2.0));
    assert_eq!(own[0].attrs["of"], AttrValue::from("request_duration_ms"));
    let stats = rig.engine.stats();
    assert_eq!((stats.parents_known, stats.parents_unknown), (1, 0));
}

#[test]
fn a_gateway_s_stream_has_its_own_share_of_the_first_token() {
    let mut rig = Rig::new();
    let body = r#"{"model":"m","stream":true,"messages":[]}"#;
    let post = |path: &str| {
        let len = body.len();
        format!("POST {path} HTTP/1.1\r\nContent-Length: {len}\r\n\r\n{body}")
    };
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let token = chunk("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n");
    let done = chunk("data: [DONE]\n\n") + "0\r\n\r\n";
    let path = "/v1/chat/completions";
    rig.moves(SERVED, Direction::Inbound, &post(path), WORKER); // 2
    rig.moves(CALLED, Direction::Outbound, &post(path), WORKER); // 3
    rig.moves(CALLED, Direction::Inbound, head, WORKER); // 4
    rig.moves(SERVED, Direction::Outbound, head, WORKER); // 5
    rig.moves(CALLED, Direction::Inbound, &token, WORKER); // 6
    rig.moves(SERVED, Direction::Outbound, &token, WORKER); // 7
    rig.moves(CALLED, Direction::Inbound, &done, WORKER); // 8
    rig.moves(SERVED, Direction::Outbound, &done, WORKER); // 9
    let written = rig.written();
    let (_, marks) = &written[0];
    let own = marks.iter().filter(|m| m.name == "overhead_ms");
    let own: Vec<_> = own
        .map(|m| (m.attrs["of"].clone(), m.value.clone()))
        .collect();
    let float = |of: &'static str, ms| (AttrValue::from(of), MarkValue::Float(ms));
    assert_eq!(
        own,
        [
            float("time_to_first_token_ms", 2.0),
            float("request_duration_ms", 2.0)
        ]
    );
}

#[test]
fn what_cannot_be_known_says_why() {
    type Step = fn(&mut Rig);
    let cases: [(&str, Step); 5] = [
        ("no_request_on_thread", |rig| {
            rig.asked(WORKER);
            rig.calls(WORKER + 1);
            rig.answers(WORKER);
        }),
        ("handed_over", |rig| {
            rig.asked(WORKER);
            rig.calls(WORKER);
            rig.answers(WORKER + 1);
        }),
        ("unproven_threads", |rig| {
            rig.asked(MAIN);
            rig.calls(MAIN);
            rig.answers(MAIN);
        }),
        ("not_answered", |rig| {
            rig.asked(WORKER);
            rig.calls(WORKER);
            let end = ConnRecords::socket(SERVED).close(rig.now, close::LOCAL_CLOSE);
            rig.engine.handle_record(&end);
            rig.now += 1_000 * MS;
            rig.engine.handle_timeout(MonoNs(rig.now));
        }),
        ("no_request_on_thread", |rig| {
            rig.asked(WORKER);
            rig.answers(WORKER);
            rig.calls(WORKER);
        }),
    ];
    for (why, step) in cases {
        let mut rig = Rig::new();
        step(&mut rig);
        rig.is_answered(WORKER);
        let written = rig.stop();
        let mut calls = written.iter().filter(|(s, _)| s.name == "http.client");
        let (call, _) = calls.next().unwrap();
        assert_eq!(reason(call), Some(&AttrValue::from(why)));
        assert!(!call.attrs.contains_key("cirron.parent.by"));
        let is_request = |(s, _): &&(Span, Vec<Mark>)| s.name == "request";
        let (request, marks) = written.iter().find(is_request).unwrap();
        assert_ne!(call.parent_id, Some(request.id));
        assert!(marks.iter().all(|m| m.name != "overhead_ms"));
        let stats = rig.engine.stats();
        assert_eq!((stats.parents_known, stats.parents_unknown), (0, 1));
    }
}

#[test]
fn a_call_that_goes_on_behind_its_request_is_its_all_the_same() {
    let mut rig = Rig::new();
    rig.asked(WORKER);
    rig.calls(WORKER);
    rig.answers(WORKER);
    rig.is_answered(WORKER);
    let written = rig.written();
    let [(request, _), (call, _)] = &written[..] else {
        panic!("{written:?}");
    };
    assert_eq!(call.parent_id, Some(request.id));
    assert_eq!(call.attrs["cirron.parent.by"], AttrValue::from("thread"));
}

#[test]
fn one_who_serves_nobody_is_asked_for_no_parent() {
    let mut rig = Rig::new();
    rig.calls(WORKER);
    rig.is_answered(WORKER);
    let written = rig.written();
    let [(call, _)] = &written[..] else { panic!() };
    assert_eq!(reason(call), None);
    assert_eq!(rig.engine.stats().parents_unknown, 0);
}

#[test]
fn a_request_with_a_hole_confirms_nothing() {
    let mut rig = Rig::new();
    rig.asked(WORKER);
    rig.calls(WORKER);
    rig.is_answered(WORKER);
    *rig.pos.entry((SERVED, false)).or_default() += 10;
    rig.answers(WORKER);
    rig.now += 100 * MS;
    rig.engine.handle_timeout(MonoNs(rig.now));
    let written = rig.stop();
    let mut calls = written.iter().filter(|(s, _)| s.name == "http.client");
    assert!(reason(&calls.next().unwrap().0).is_some());
}

#[test]
fn more_calls_than_may_wait_have_no_parent_that_is_known() {
    use crate::limits::MAX_WAITING_CHILDREN;
    let mut rig = Rig::new();
    rig.asked(WORKER);
    for _ in 0..MAX_WAITING_CHILDREN + 2 {
        rig.calls(WORKER);
        rig.is_answered(WORKER);
    }
    assert_eq!(rig.written().len(), 2);
    assert_eq!(rig.engine.stats().parents_given_up, 2);
    rig.answers(WORKER);
    assert_eq!(rig.written().len(), 1 + MAX_WAITING_CHILDREN);
}
