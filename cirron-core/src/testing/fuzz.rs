//! Fuzz entry points: arbitrary bytes, read as operations.
//!
//! Each takes any input, runs it, and panics when a rule is broken. An input is a configuration
//! byte and then operations, each a byte of kind and the bytes it needs. The text of an operation
//! is either the input's own bytes or one of [`PHRASES`], so that a fuzzer need not invent HTTP.

mod messages;
mod readers;

pub use messages::{grpc, protobuf};
pub use readers::{aws_events, documents, form, websocket};

use cirron_common::reads_abi;
use cirron_common::record::source;

use super::Ledger;
use super::records::ConnRecords;
use crate::body::events::{EventEnd, EventSink};
use crate::body::inflate::Inflate;
use crate::body::sse::SseParser;
use crate::engine::{Engine, EngineConfig, Output, ProcessFacts};
use crate::exchange::{CloseCause, ConnParser, ConnStart, Role};
use crate::id::SequentialIds;
use crate::limits::REORDER_WINDOW_NS;
use crate::llm::openai::{RequestReader, ResponseReader};
use crate::llm::{ReadRequest, ReadResponse, ResponseFacts};
use crate::record::{DecodeError, Record, encode};
use crate::rules::Rules;
use crate::stream::{Assembler, Direction, Piece};
use crate::time::MonoNs;

/// Bits of conversations.
pub const PHRASES: [&str; 24] = [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "HEAD /x?q HTTP/1.1\r\n\r\n",
    "POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 9\r\n\r\n",
    "{\"a\":1.5}",
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "PUT /u HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    "CONNECT a:1 HTTP/1.1\r\n\r\n",
    "GET /ws HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.0 200 OK\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 500 x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "5\r\nhello\r\n",
    "a;ext=1\r\n0123456789\r\n",
    "0\r\n\r\n",
    "0\r\nTrailer: x\r\n\r\n",
    "data: {}\n\n",
    "\r\n",
    "3",
    "HTTP/1.1 ",
];

/// Bits of conversations that go on as something else than HTTP/1.
const SWITCHES: [&[u8]; 20] = [
    b"GET /a HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n\r\n",
    b"POST /b HTTP/1.1\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\n",
    b"POST /c HTTP/1.1\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"3\r\nask\r\n0\r\n\r\n",
    b"ask",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    b"\0\0\0\x04\0\0\0\0\0",
    // `:status: 200` on 1 and 3.
    b"\0\0\x01\x01\x04\0\0\0\x01\x88",
    b"\0\0\x01\x01\x04\0\0\0\x03\x88",
    b"\0\0\x02\0\x01\0\0\0\x01ok",
    // `POST /` on 3.
    b"\0\0\x03\x01\x05\0\0\0\x03\x83\x84\x86",
    // Extended CONNECT on 3.
    b"\0\0\x20\x01\x04\0\0\0\x03\x02\x07CONNECT\x00\x09:protocol\x09websocket\x84\x86",
    // Messages on 3, of the server and of the client.
    b"\0\0\x04\0\0\0\0\0\x03\x81\x02hi",
    b"\0\0\x08\0\0\0\0\0\x03\x81\x82\0\0\0\0hi",
    b"\0\0\x02\0\x01\0\0\0\x03\x88\0",
    b"\0\0\x04\x03\0\0\0\0\x03\0\0\0\x08",
    b"GET /ws HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x02hi",
];

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> u64 {
        u64::from(self.byte().unwrap_or(0))
    }

    fn bytes(&mut self) -> &'a [u8] {
        let n = (self.number() as usize).min(self.0.len());
        let (bytes, rest) = self.0.split_at(n);
        self.0 = rest;
        bytes
    }

    fn phrase(&mut self) -> &'static [u8] {
        self.phrase_of(&PHRASES.map(str::as_bytes))
    }

    fn phrase_of(&mut self, phrases: &[&'static [u8]]) -> &'static [u8] {
        phrases[self.number() as usize % phrases.len()]
    }
}

/// Both directions of a connection: pieces, holes, half closes, time, and a close at the end.
///
/// # Panics
/// When the events of an exchange break the rules that [`Ledger`] checks.
pub fn connection(input: &[u8]) {
    conversation(input, &PHRASES.map(str::as_bytes));
}

/// The same, of conversations that upgrade: to WebSocket, to HTTP/2, and there to WebSocket.
///
/// # Panics
/// As [`connection`].
pub fn switched(input: &[u8]) {
    conversation(input, &SWITCHES);
}

fn conversation(input: &[u8], phrases: &[&'static [u8]]) {
    let mut input = Input(input);
    let config = input.number();
    let role = [None, Some(Role::Server), Some(Role::Client), None][(config >> 1) as usize & 3];
    let mut conn = ConnParser::new(ConnStart {
        late: config & 1 == 1,
        role,
        ..ConnStart::default()
    });
    let mut ledger = Ledger::default();
    let mut now = 1_000;
    let mut ended = [false; 2];
    while let Some(op) = input.byte() {
        now += u64::from(op >> 4) * 700_000;
        let ts = MonoNs(now);
        let side = usize::from(op & 1);
        let dir = [Direction::Inbound, Direction::Outbound][side];
        let bytes: &[u8] = match (op >> 1) & 7 {
            0..=2 => input.phrase_of(phrases),
            3 => input.bytes(),
            4 => {
                let phrase = input.phrase_of(phrases);
                let cut = input.number() as usize % phrase.len();
                if cut > 0 && !ended[side] {
                    conn.handle(
                        dir,
                        Piece::Data {
                            ts,
                            bytes: &phrase[..cut],
                        },
                        &mut ledger,
                    );
                }
                &phrase[cut..]
            }
            5 => {
                let len = input.number() + 1;
                if !ended[side] {
                    conn.handle(dir, Piece::Gap { ts, len }, &mut ledger);
                }
                continue;
            }
            6 => {
                if op & 0x10 == 0 {
                    conn.handle_close(ts, CloseCause::PeerFin, &mut ledger);
                } else if !ended[side] {
                    ended[side] = true;
                    conn.handle(dir, Piece::Eof { ts }, &mut ledger);
                }
                continue;
            }
            _ => {
                conn.handle_timeout(ts, &mut ledger);
                continue;
            }
        };
        if !bytes.is_empty() && !ended[side] {
            conn.handle(dir, Piece::Data { ts, bytes }, &mut ledger);
        }
    }
    let causes = [
        CloseCause::LocalClose,
        CloseCause::PeerReset,
        CloseCause::NetError,
        CloseCause::ProcessExit,
        CloseCause::AgentStop,
    ];
    let cause = causes[(config >> 3) as usize % causes.len()];
    conn.handle_close(MonoNs(now), cause, &mut ledger);
    assert!(!conn.has_open_exchanges(), "open after {cause:?}");
    assert_eq!(conn.poll_timeout(), None, "a timeout after the end");
    ledger.finish();
}

/// Records of one direction, cut, repeated, inverted and lost.
///
/// # Panics
/// When a byte is delivered twice, out of place, or not at all, or a time goes back.
pub fn assembler(input: &[u8]) {
    let mut input = Input(input);
    let start = match input.number() {
        0..128 => Some(0),
        _ => None,
    };
    let mut asm = Assembler::new(start);
    let mut position = start;
    let mut last = MonoNs(0);
    let mut eof = 0;
    let mut now = 0;
    // The byte at each position is known, so that its place can be checked.
    let text = |pos: u64, len: u64| {
        (pos..pos + len)
            .map(|p| (p % 251) as u8)
            .collect::<Vec<u8>>()
    };
    let mut given = 0;
    while let Some(op) = input.byte() {
        now += u64::from(op >> 4) * (REORDER_WINDOW_NS / 10);
        let pos = input.number() * 4;
        let orig_len = input.number() % 32;
        let captured = orig_len.saturating_sub(u64::from(op & 3));
        let ts = MonoNs(now.saturating_sub(u64::from(op & 0xf) * 100_000));
        let bytes = text(pos, captured);
        let is_record = !matches!(op & 0xf, 0 | 0xf) && eof == 0;
        if is_record && orig_len > 0 {
            position = position.or(Some(pos));
        }
        given += orig_len;
        let mut check = |piece: Piece<'_>| {
            assert!(piece.ts() >= last, "time goes back");
            last = piece.ts();
            let at = position.unwrap_or(0);
            let len = match piece {
                Piece::Data { bytes, .. } => {
                    assert_eq!(bytes, text(at, bytes.len() as u64), "at {at}");
                    bytes.len() as u64
                }
                Piece::Gap { len, .. } => len,
                Piece::Eof { .. } => {
                    eof += 1;
                    return;
                }
            };
            assert!(len > 0 && eof == 0);
            position = Some(at + len);
        };
        match op & 0xf {
            0 => asm.handle_timeout(MonoNs(now), &mut check),
            0xf => asm.handle_eof(MonoNs(now), &mut check),
            _ => asm.handle_record(pos, ts, &bytes, orig_len, &mut check),
        }
        assert_eq!(
            asm.position(),
            position.filter(|_| asm.position().is_some())
        );
    }
    asm.flush(&mut |_| {});
    assert_eq!(asm.poll_timeout(), None, "something is still held");
    let stats = asm.stats();
    assert!(stats.delivered_bytes + stats.stale_bytes <= given);
    assert!(eof <= 1);
}

/// What a body gives, in one form that can be compared.
#[derive(Debug, Default, PartialEq)]
struct BodyLog {
    facts: ResponseFacts,
    contents: u64,
    decoded: Vec<u8>,
    decoding: bool,
}

/// Reads events, and counts those with content.
struct Events<'a> {
    reader: &'a mut ResponseReader,
    contents: &'a mut u64,
}

impl EventSink for Events<'_> {
    fn data(&mut self, bytes: &[u8]) {
        self.reader.push(bytes);
    }

    fn hole(&mut self) {
        self.reader.gap();
    }

    fn end(&mut self, end: EventEnd<'_>) {
        let content = self.reader.finish("");
        if matches!(end, EventEnd::Whole { .. }) {
            *self.contents += u64::from(content.is_some());
        }
    }
}

fn body_log(coding: &str, events: bool, pieces: &[&[u8]]) -> BodyLog {
    let mut inflate = Inflate::new(Some(coding));
    let mut parser = SseParser::default();
    let mut reader = ResponseReader::default();
    let mut log = BodyLog::default();
    for piece in pieces {
        inflate.push(piece, &mut |bytes| {
            log.decoded.extend_from_slice(bytes);
            if events {
                let contents = &mut log.contents;
                let reader = &mut reader;
                parser.push(bytes, &mut Events { reader, contents });
            } else {
                reader.push(bytes);
            }
        });
    }
    if !events {
        log.contents = u64::from(reader.finish("").is_some());
    }
    log.facts = reader.facts().clone();
    log.decoding = inflate.is_decoding();
    log
}

/// A response's body: a coding, events or a document, cut in two. The cut must not matter, for as
/// long as the body could be decoded.
///
/// # Panics
/// When it does.
pub fn body(input: &[u8]) {
    const CODINGS: [&str; 8] = [
        "identity",
        "gzip",
        "deflate",
        "br",
        "zstd",
        "gzip, br",
        "zstd, gzip",
        "snappy",
    ];
    let mut input = Input(input);
    let config = input.number() as usize;
    let (coding, events) = (CODINGS[config & 7], config & 8 != 0);
    let bytes = input.0;
    let cut = (config >> 4) * bytes.len() / 16;
    let whole = body_log(coding, events, &[bytes]);
    let parts = body_log(coding, events, &[&bytes[..cut], &bytes[cut..]]);
    if whole.decoding && parts.decoding {
        assert_eq!(whole, parts, "{coding} cut at {cut}");
    }
}

/// A request's body, cut in two. The cut must not matter.
///
/// # Panics
/// When it does.
pub fn request(input: &[u8]) {
    request_with(input, None);
}

/// A fault in a reader that its rule finds, or the rule is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A quote is lost where a piece begins with it.
    LosesQuote,
    /// A new piece is read as if it were the first.
    Forgets,
}

/// The same rule for a reader that has a fault: tests see that it is found.
///
/// # Panics
/// When the rule is broken.
pub fn request_with(input: &[u8], fault: Option<Fault>) {
    let push = |reader: &mut RequestReader, piece: &[u8], is_first: bool| match (fault, piece) {
        (Some(Fault::LosesQuote), [b'"', rest @ ..]) if !is_first => reader.push(rest),
        (Some(Fault::Forgets), _) if !is_first => {
            *reader = RequestReader::default();
            reader.push(piece);
        }
        _ => reader.push(piece),
    };
    let mut input = Input(input);
    let cut = input.number() as usize * input.0.len() / 256;
    let (first, second) = input.0.split_at(cut);
    let read = |pieces: &[&[u8]]| {
        let mut reader = RequestReader::default();
        for (n, piece) in pieces.iter().enumerate() {
            push(&mut reader, piece, n == 0);
        }
        reader.finish()
    };
    assert_eq!(read(&[input.0]), read(&[first, second]), "cut at {cut}");
}

/// Any bytes as one record: a view of just these bytes, or the error that is true of them.
///
/// # Panics
/// When the view holds anything else, or the error is not true.
pub fn decode(input: &[u8]) {
    match Record::decode(input) {
        // Written again, in today's version, it is the same record.
        Ok(record) => assert_eq!(Record::decode(&encode(&record)), Ok(record)),
        Err(DecodeError::Short(len)) => assert_eq!(len, input.len()),
        Err(DecodeError::Abi(abi)) => {
            assert!(!reads_abi(abi) && input.starts_with(&abi.to_ne_bytes()));
        }
        Err(DecodeError::Payload { promised, present }) => {
            assert!(promised > present && present < input.len());
        }
        Err(DecodeError::Kind(kind)) => assert_eq!(input[2], kind),
        Err(DecodeError::Direction(direction)) => assert!(!(1..=2).contains(&direction)),
    }
}

/// Rules with every setting, some of them decided late.
fn every_setting() -> Rules {
    let layer = serde_json::json!({"rules": [
        {"status": "5xx", "sample": 1},
        {"model": "m*", "sample": 2, "chunk_timing": true},
        {"path": "/health/**", "ignore": true},
        {"path": "/v1/{what}/**", "name": "call", "marks": {"id": "id", "stream": "request.stream"}},
        {"chunk_timing": true, "request_headers": "host", "response_headers": ["content-type"]},
    ]});
    Rules::read([layer]).expect("rules")
}

/// Records, whole and damaged, of a few connections, through the whole engine.
///
/// # Panics
/// When a span ends before it starts, or a session stays open.
pub fn records(input: &[u8]) {
    let mut input = Input(input);
    let mut engine = Engine::new(
        EngineConfig {
            rules: every_setting(),
            max_memory_bytes: None,
        },
        Box::<SequentialIds>::default(),
    );
    engine.handle_process(ProcessFacts::default());
    let mut now = 1_000_000;
    let mut positions = [[0_u64; 2]; 4];
    while let Some(op) = input.byte() {
        now += u64::from(op >> 4) * 1_000_000;
        let which = usize::from(op & 3);
        let conn = ConnRecords {
            conn: which as u64,
            epoch: 1,
            source: source::SOCKET,
        };
        let side = usize::from(op >> 2 & 1);
        let dir = [Direction::Inbound, Direction::Outbound][side];
        let mut record = match input.number() {
            0..8 => conn.open(now),
            8..24 => conn.close(now, input.number()),
            24..40 => {
                engine.handle_timeout(MonoNs(now));
                continue;
            }
            n => {
                let text = if n < 160 {
                    input.phrase()
                } else {
                    input.bytes()
                };
                let lost = if n % 16 == 0 { input.number() } else { 0 };
                let len = text.len() as u64 + lost;
                let pos = positions[which][side];
                positions[which][side] += len;
                conn.data(dir, pos, now, text, len)
            }
        };
        // Now and then a byte of the record itself is another one.
        if op & 8 != 0 && input.number() < 16 {
            let at = input.number() as usize % record.len();
            record[at] = input.byte().unwrap_or(0);
        }
        engine.handle_record(&record);
    }
    engine.handle_shutdown(MonoNs(now));
    assert_eq!(engine.known_contexts(), 0, "one outlived its scope");
    let mut open = 0_i64;
    while let Some(output) = engine.poll_output() {
        match output {
            Output::Open(span) => assert!(span.end.is_none(), "{span:?}"),
            Output::Session(span) => open += if span.end.is_some() { -1 } else { 1 },
            Output::Scope { span, marks } => {
                assert!(span.end.is_some_and(|end| end >= span.start), "{span:?}");
                assert_eq!(span.mark_ids.len(), marks.len());
            }
            Output::Watched(_) | Output::Unplaced { .. } | Output::Mute { .. } => {}
        }
    }
    assert_eq!(open, 0, "a session stays open");
}
