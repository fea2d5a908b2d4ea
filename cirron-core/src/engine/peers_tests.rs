//! Both ends of a connection on one agent, through the engine.
#![expect(clippy::unwrap_used, reason = "tests")]

mod traces;

use std::collections::BTreeMap;

use cirron_common::conn::{ConnInfo, role};
use cirron_common::record::{close, source};

use super::{Engine, EngineConfig};
use crate::id::SequentialIds;
use crate::record::Body;
use crate::scope::{AttrValue, Span};
use crate::stream::Direction;
use crate::testing::h2::frame;
use crate::testing::records::{ConnRecords, TGID, edited};
use crate::time::{MS, MonoNs};

/// The process that calls, and the one that serves.
const CALLER: u32 = TGID;
const SERVER: u32 = 43;

const CALL: u64 = 7;
const REQUEST: u64 = 8;

fn connected() -> ConnInfo {
    let mut info = ConnInfo {
        family: 2,
        role: role::CONNECTED,
        local_port: 40_000,
        peer_port: 8_000,
        netns: 5,
        first_seq: 6,
        ..ConnInfo::default()
    };
    info.local_addr[..4].copy_from_slice(&[127, 0, 0, 1]);
    info.peer_addr[..4].copy_from_slice(&[127, 0, 0, 1]);
    info
}

/// The other end of it; this one says its addresses as IPv6 has them.
fn accepted() -> ConnInfo {
    let ours = connected();
    let mut mapped = [0; 16];
    mapped[10..12].fill(0xff);
    mapped[12..].copy_from_slice(&[127, 0, 0, 1]);
    ConnInfo {
        family: 10,
        role: role::ACCEPTED,
        local_port: ours.peer_port,
        peer_port: ours.local_port,
        local_addr: mapped,
        peer_addr: mapped,
        ..ours
    }
}

struct Rig {
    engine: Engine,
    now: u64,
    pos: BTreeMap<(u64, bool), u64>,
    source: u8,
}

impl Rig {
    fn bare() -> Rig {
        Rig {
            engine: Engine::new(EngineConfig::default(), Box::new(SequentialIds::default())),
            now: MS,
            pos: BTreeMap::new(),
            source: source::SOCKET,
        }
    }

    fn with(infos: [ConnInfo; 2]) -> Rig {
        let mut rig = Rig::bare();
        rig.open(CALL, infos[0], CALLER);
        rig.open(REQUEST, infos[1], SERVER);
        rig
    }

    fn new() -> Rig {
        Rig::with([connected(), accepted()])
    }

    fn conn(&self, inode: u64) -> ConnRecords {
        ConnRecords {
            source: self.source,
            ..ConnRecords::socket(inode)
        }
    }

    fn open(&mut self, inode: u64, info: ConnInfo, pid: u32) {
        let record = edited(&self.conn(inode).open(self.now), |record| {
            record.head.tgid = pid;
            record.head.tid = pid;
            record.body = Body::Open(info);
        });
        self.engine.handle_record(&record);
    }

    /// A record, or one that is lost.
    fn moves(&mut self, inode: u64, dir: Direction, bytes: &[u8], by: (u32, u32), lost: bool) {
        self.now += MS;
        let key = (inode, dir == Direction::Inbound);
        let conn = self.conn(inode);
        let pos = self.pos.entry(key).or_default();
        let record = conn.data(dir, *pos, self.now, bytes, bytes.len() as u64);
        *pos += bytes.len() as u64;
        let record = edited(&record, |record| {
            (record.head.tgid, record.head.tid) = by;
        });
        if !lost {
            self.engine.handle_record(&record);
        }
    }

    fn calls(&mut self, bytes: &[u8]) {
        self.moves(CALL, Direction::Outbound, bytes, (CALLER, CALLER), false);
    }

    fn is_asked(&mut self, bytes: &[u8]) {
        self.moves(REQUEST, Direction::Inbound, bytes, (SERVER, SERVER), false);
    }

    fn answers(&mut self, bytes: &[u8]) {
        self.moves(REQUEST, Direction::Outbound, bytes, (SERVER, SERVER), false);
    }

    fn is_answered(&mut self, bytes: &[u8]) {
        self.moves(CALL, Direction::Inbound, bytes, (CALLER, CALLER), false);
    }

    fn exchange(&mut self, path: &str) {
        self.calls(&get(path));
        self.is_asked(&get(path));
        self.answers(OK);
        self.is_answered(OK);
    }

    fn written(&mut self) -> Vec<Span> {
        let outputs = std::iter::from_fn(|| self.engine.poll_output());
        outputs
            .filter_map(|output| Some(output.into_scope()?.0))
            .collect()
    }

    fn stop(&mut self) -> Vec<Span> {
        self.engine.handle_shutdown(MonoNs(self.now));
        self.written()
    }

    /// The end of all, where nothing may be joined.
    fn nothing_is_joined(mut self) {
        let spans = self.stop();
        assert!(spans.len() >= 2, "{spans:?}");
        for span in &spans {
            assert_eq!(text(span, "cirron.caller.span_id"), None, "{span:?}");
            assert_eq!(text(span, "cirron.trace_id"), None, "{span:?}");
        }
        assert_eq!(self.engine.stats().callers_known, 0);
    }
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes()
}

fn text<'a>(span: &'a Span, name: &str) -> Option<&'a str> {
    match span.attrs.get(name)? {
        AttrValue::Str(text) => Some(text),
        AttrValue::Int(_) | AttrValue::Float(_) | AttrValue::Bool(_) => panic!("{name}"),
    }
}

/// Each request names the call of its own path, in one trace with it. How many there are.
fn judge(spans: &[Span]) -> usize {
    let mut joined = 0;
    for request in spans.iter().filter(|span| span.name == "request") {
        let caller = text(request, "cirron.caller.span_id");
        let by_header = text(request, "cirron.caller.by") == Some("traceparent");
        let Some(caller) = caller.filter(|_| !by_header) else {
            continue;
        };
        let call = spans.iter().find(|span| span.id.to_string() == caller);
        let call = call.unwrap();
        assert_eq!(call.name, "http.client");
        assert_eq!(text(call, "url.path"), text(request, "url.path"));
        assert_eq!(text(request, "cirron.caller.by"), Some("connection"));
        let trace = text(request, "cirron.trace_id");
        assert!(trace.is_some() && trace == text(call, "cirron.trace_id"));
        assert_ne!(request.parent_id, Some(call.id), "its own session's");
        joined += 1;
    }
    joined
}

#[test]
fn a_request_names_the_call_at_the_other_end() {
    let mut rig = Rig::new();
    for path in ["/a", "/b", "/a"] {
        rig.exchange(path);
    }
    let spans = rig.written();
    assert_eq!(judge(&spans), 3);
    let call = spans
        .iter()
        .find(|span| span.name == "http.client")
        .unwrap();
    assert_eq!(
        text(call, "cirron.trace_id"),
        Some(call.id.to_string()).as_deref(),
        "it begins its trace"
    );
    let stats = rig.engine.stats();
    assert_eq!((stats.paired_connections, stats.callers_known), (1, 3));
    assert_eq!((stats.callers_unknown, stats.ends_refused), (0, 0));
    rig.stop();
    assert_eq!(rig.engine.held_bytes(), 0);
}

#[test]
fn whichever_record_comes_first() {
    // The call is written before its connection is accepted.
    let mut rig = Rig::bare();
    rig.open(CALL, connected(), CALLER);
    rig.calls(&get("/a"));
    rig.open(REQUEST, accepted(), SERVER);
    rig.is_asked(&get("/a"));
    rig.answers(OK);
    rig.is_answered(OK);
    assert_eq!(judge(&rig.stop()), 1);
    // The write returns behind the read of the other end, as connect does behind accept.
    let mut rig = Rig::bare();
    rig.open(REQUEST, accepted(), SERVER);
    rig.is_asked(&get("/a"));
    rig.open(CALL, connected(), CALLER);
    rig.calls(&get("/a"));
    rig.is_answered(OK);
    rig.answers(OK);
    assert_eq!(judge(&rig.stop()), 1);
}

#[test]
fn other_sockets_of_the_same_addresses_are_not_its_ends() {
    type Edit = fn(&mut ConnInfo);
    let edits: [(&str, Edit); 7] = [
        ("another namespace", |info| info.netns = 9),
        ("another connection before or behind", |info| {
            info.first_seq = 9;
        }),
        ("a translated port", |info| info.peer_port = 41_000),
        ("a translated address", |info| info.peer_addr[15] = 9),
        ("the namespace is not known", |info| info.netns = 0),
        ("joined late", |info| info.late = 1),
        ("no accept was seen", |info| info.role = role::UNKNOWN),
    ];
    for (_, edit) in edits {
        let mut other = accepted();
        edit(&mut other);
        let mut rig = Rig::with([connected(), other]);
        rig.exchange("/a");
        rig.nothing_is_joined();
    }
    // Nobody connects to the end that connected.
    let mut rig = Rig::with([connected(), connected()]);
    rig.calls(&get("/a"));
    rig.moves(
        REQUEST,
        Direction::Outbound,
        &get("/a"),
        (SERVER, SERVER),
        false,
    );
    rig.nothing_is_joined();
    // Neither is the opening lost.
    let mut rig = Rig::bare();
    rig.open(CALL, connected(), CALLER);
    rig.exchange("/a");
    rig.nothing_is_joined();
}

#[test]
fn a_unix_socket_knows_who_connected() {
    let unix = |role, peer: u64| {
        let mut info = ConnInfo {
            family: 1,
            role,
            ..ConnInfo::default()
        };
        info.peer_addr[..8].copy_from_slice(&peer.to_ne_bytes());
        info
    };
    let mut rig = Rig::with([unix(role::CONNECTED, 0), unix(role::ACCEPTED, CALL)]);
    rig.exchange("/a");
    assert_eq!(judge(&rig.stop()), 1);
    for other in [0, CALL + 9] {
        let mut rig = Rig::with([unix(role::CONNECTED, 0), unix(role::ACCEPTED, other)]);
        rig.exchange("/a");
        rig.nothing_is_joined();
    }
}

#[test]
fn pipelined_requests_are_told_apart() {
    let mut rig = Rig::new();
    rig.calls(&[get("/a"), get("/b"), get("/c")].concat());
    let all = [get("/a"), get("/b"), get("/c")].concat();
    let (first, rest) = all.split_at(40);
    rig.is_asked(first);
    rig.is_asked(rest);
    rig.answers(&[OK, OK, OK].concat());
    rig.is_answered(&[OK, OK, OK].concat());
    assert_eq!(judge(&rig.stop()), 3);
}

#[test]
fn a_body_is_passed_over_alike_at_both_ends() {
    let mut rig = Rig::new();
    let post = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    rig.calls(&[post.as_slice(), &get("/b")].concat());
    for part in [&post[..50], &post[50..55], &post[55..], &get("/b")] {
        rig.is_asked(part);
    }
    rig.answers(&[OK, OK].concat());
    rig.is_answered(&[OK, OK].concat());
    assert_eq!(judge(&rig.stop()), 2);
}

#[test]
fn bytes_that_were_lost_move_no_spot() {
    for lost in 0..3 {
        let mut rig = Rig::new();
        for (at, path) in ["/a", "/b", "/a", "/c"].into_iter().enumerate() {
            let by = (CALLER, CALLER);
            rig.moves(CALL, Direction::Outbound, &get(path), by, at == lost);
            rig.is_asked(&get(path));
            rig.answers(OK);
            rig.is_answered(OK);
            rig.now += 100 * MS;
            rig.engine.handle_timeout(MonoNs(rig.now));
        }
        let spans = rig.stop();
        assert!(judge(&spans) >= 1, "{lost}: {spans:?}");
        assert!(rig.engine.stats().callers_unknown >= 1);
    }
}

#[test]
fn an_end_that_is_over_is_joined_to_nobody() {
    let mut rig = Rig::new();
    rig.calls(&get("/a"));
    let record = rig.conn(CALL).close(rig.now, close::LOCAL_CLOSE);
    rig.engine.handle_record(&record);
    rig.now += 1_000 * MS;
    rig.engine.handle_timeout(MonoNs(rig.now));
    rig.is_asked(&get("/a"));
    rig.answers(OK);
    rig.nothing_is_joined();
}

#[test]
fn streams_of_http2_are_known_by_their_numbers() {
    let asks = |stream, path: &str| {
        let mut block = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
        block.extend(path.as_bytes());
        frame(1, 5, stream, &block)
    };
    let answer = |stream| frame(1, 5, stream, &[0x88]);
    let preface = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(4, 0, 0, &[]),
    ]
    .concat();
    let mut rig = Rig::new();
    let requests = [preface, asks(1, "/a"), asks(3, "/b"), asks(5, "/a")].concat();
    rig.calls(&requests);
    rig.is_asked(&requests);
    let answers = [frame(4, 0, 0, &[]), answer(5), answer(1), answer(3)].concat();
    rig.answers(&answers);
    rig.is_answered(&answers);
    let spans = rig.stop();
    assert_eq!(judge(&spans), 3);
    for request in spans.iter().filter(|span| span.name == "request") {
        let call = text(request, "cirron.caller.span_id");
        let call = spans
            .iter()
            .find(|span| Some(span.id.to_string()).as_deref() == call);
        // All came at once: the time of each is the same, and so is its place among the others.
        let place = |span: &Span| {
            let same = spans.iter().filter(|other| other.name == span.name);
            same.clone().position(|other| other.id == span.id)
        };
        assert_eq!(place(call.unwrap()), place(request));
    }
}

#[test]
fn inside_of_tls_the_sockets_are_the_ends() {
    const OBJECTS: [u64; 2] = [0x1_0007, 0x1_0008];
    for late_link in [false, true] {
        let mut rig = Rig::new();
        rig.source = source::TLS;
        let no = ConnInfo {
            role: role::CONNECTED,
            ..ConnInfo::default()
        };
        let takes = ConnInfo {
            role: role::ACCEPTED,
            ..ConnInfo::default()
        };
        rig.open(OBJECTS[0], no, CALLER);
        rig.open(OBJECTS[1], takes, SERVER);
        let link = |rig: &mut Rig| {
            for (object, socket, pid) in [(0, CALL, CALLER), (1, REQUEST, SERVER)] {
                let record = rig
                    .conn(OBJECTS[object])
                    .link(rig.now, &ConnRecords::socket(socket));
                let record = edited(&record, |record| record.head.tgid = pid);
                rig.engine.handle_record(&record);
            }
        };
        if !late_link {
            link(&mut rig);
        }
        let (by, serves) = ((CALLER, CALLER), (SERVER, SERVER));
        rig.moves(OBJECTS[0], Direction::Outbound, &get("/a"), by, false);
        rig.moves(OBJECTS[1], Direction::Inbound, &get("/a"), serves, false);
        if late_link {
            link(&mut rig);
        }
        rig.moves(OBJECTS[1], Direction::Outbound, OK, serves, false);
        rig.moves(OBJECTS[0], Direction::Inbound, OK, by, false);
        assert_eq!(judge(&rig.stop()), 1, "{late_link}");
    }
}
