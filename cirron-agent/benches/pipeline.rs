//! The core alone: records in, spans out. `cargo xtask bench pipeline`.
//!
//! Each row feeds the same records, as the kernel side would have written them, to a fresh engine,
//! several times, and prints the median. What comes out is asserted in each run: a row that counted
//! nothing would be fast.
//!
//! A word behind `--` runs the rows whose names hold it, and no other: `cargo bench --bench pipeline -- gzip`.
#![expect(clippy::unwrap_used, reason = "a benchmark")]

use std::io::Write as _;
use std::time::Instant;

use cirron_common::conn::role;
use cirron_common::record::{close, source};
use cirron_core::engine::{Engine, EngineConfig, EngineStats, ProcessFacts};
use cirron_core::id::SequentialIds;
use cirron_core::record::{Body, Direction};
use cirron_core::rules::Rules;
use cirron_core::testing::records::{ConnRecords, TGID, by, edited};
use cirron_core::time::MonoNs;

/// Runs of each row.
const RUNS: usize = 9;
/// Events of a stream.
const EVENTS: u64 = 20_000;
/// Exchanges of the row of small ones.
const EXCHANGES: u64 = 20_000;
/// Requests with a call each.
const GATEWAYS: u64 = 10_000;
/// A process that serves nobody, and threads of the one that does: who accepts, and who serves.
const CLIENT: u32 = TGID + 1;
const MAIN: u32 = TGID;
const WORKER: u32 = TGID + 8;

struct Row {
    name: &'static str,
    /// What is counted, and how many there are.
    unit: &'static str,
    units: u64,
    records: Vec<Vec<u8>>,
    /// What the engine must have counted.
    requests: u64,
    output_tokens: u64,
    /// Calls that are below a request.
    parents_known: u64,
    rules: Rules,
}

fn main() {
    let rows = [
        events("SSE, an event a record", EVENTS, 1, false),
        events("SSE, 64 events a record", EVENTS, 64, false),
        events("SSE, gzip, 64 events a record", EVENTS, 64, true),
        http2(1),
        http2(100),
        document(),
        exchanges(),
        Row {
            name: "the same under 50 rules of paths, of which one holds",
            rules: fifty_rules(),
            ..exchanges()
        },
        gateway(true),
        gateway(false),
    ];
    println!("| row | wire bytes | MB/s | units | a second | ns each |");
    println!("| --- | --- | --- | --- | --- | --- |");
    // Cargo adds `--bench`.
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let wanted = wanted.as_deref().unwrap_or_default();
    for row in rows.iter().filter(|row| row.name.contains(wanted)) {
        let mut times: Vec<f64> = (0..RUNS).map(|_| run(row)).collect();
        times.sort_by(f64::total_cmp);
        let median = times[RUNS / 2];
        let bytes: usize = row.records.iter().map(Vec::len).sum();
        let units = row.units as f64;
        println!(
            "| {} | {bytes} | {:.0} | {} {} | {:.0} | {:.0} |",
            row.name,
            bytes as f64 / median / 1e6,
            row.units,
            row.unit,
            units / median,
            median * 1e9 / units,
        );
    }
}

/// Rules for paths of a service, the last of them that of a chat.
fn fifty_rules() -> Rules {
    let rule = |i: usize| serde_json::json!({"method": "POST", "path": format!("/v1/users/{{user}}/part-{i}/*"), "ignore": true});
    let last = serde_json::json!({"path": "/v1/chat/**", "name": "chat"});
    let all: Vec<_> = (1..50).map(rule).chain([last]).collect();
    Rules::read([serde_json::json!({ "rules": all })]).unwrap()
}

/// Seconds of one run.
fn run(row: &Row) -> f64 {
    let config = EngineConfig {
        rules: row.rules.clone(),
        max_memory_bytes: None,
    };
    let mut engine = Engine::new(config, Box::new(SequentialIds::default()));
    engine.handle_process(ProcessFacts {
        tgid: TGID,
        ..ProcessFacts::default()
    });
    let began = Instant::now();
    for record in &row.records {
        engine.handle_record(record);
        while let Some(output) = engine.poll_output() {
            std::hint::black_box(output);
        }
    }
    engine.handle_shutdown(MonoNs(1 << 50));
    while let Some(output) = engine.poll_output() {
        std::hint::black_box(output);
    }
    let took = began.elapsed().as_secs_f64();
    let EngineStats {
        requests,
        output_tokens,
        lost_bytes,
        parents_known,
        ..
    } = engine.stats();
    assert_eq!(
        (requests, output_tokens, lost_bytes, parents_known),
        (row.requests, row.output_tokens, 0, row.parents_known),
        "{}",
        row.name
    );
    took
}

const CONN: ConnRecords = ConnRecords {
    conn: 1,
    epoch: 1,
    source: source::SOCKET,
};

/// A chat request on `conn`, then the response in these pieces.
fn conversation(conn: ConnRecords, at: u64, pieces: &[Vec<u8>], records: &mut Vec<Vec<u8>>) {
    let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hello"}]}"#;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    records.push(conn.open(at));
    let len = request.len() as u64;
    records.push(conn.data(Direction::Inbound, 0, at + 1, request.as_bytes(), len));
    let mut pos = 0;
    for (i, piece) in pieces.iter().enumerate() {
        let len = piece.len() as u64;
        records.push(conn.data(
            Direction::Outbound,
            pos,
            at + 1000 * (i as u64 + 1),
            piece,
            len,
        ));
        pos += len;
    }
    records.push(conn.close(at + 1_000_000_000, close::LOCAL_CLOSE));
}

fn head(kind: &str, more: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{more}\r\n").into_bytes()
}

fn event(i: u64) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-0123456789\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"tok{i}\"}},\"finish_reason\":null}}]}}\n\n"
    )
}

fn events(name: &'static str, count: u64, per_record: usize, gzip: bool) -> Row {
    let texts: Vec<String> = (0..count).map(event).collect();
    let usage = format!(
        "data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":5,\"completion_tokens\":{count}}}}}\n\ndata: [DONE]\n\n"
    );
    let mut pieces = vec![head(
        "text/event-stream",
        if gzip {
            "Content-Encoding: gzip\r\n"
        } else {
            ""
        },
    )];
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    for group in texts
        .chunks(per_record)
        .map(<[String]>::concat)
        .chain([usage])
    {
        pieces.push(if gzip {
            encoder.write_all(group.as_bytes()).unwrap();
            encoder.flush().unwrap();
            std::mem::take(encoder.get_mut())
        } else {
            group.into_bytes()
        });
    }
    let mut records = Vec::new();
    conversation(CONN, 1000, &pieces, &mut records);
    Row {
        name,
        unit: "events",
        units: count,
        records,
        requests: 1,
        output_tokens: count,
        parents_known: 0,
        rules: Rules::default(),
    }
}

/// A frame (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut out = vec![len[1], len[2], len[3], kind, flags];
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// A header block of literals without indexing (RFC 7541, section 6.2.2).
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        for (i, text) in [name, value].into_iter().enumerate() {
            if i == 0 {
                out.push(0);
            }
            out.push(u8::try_from(text.len()).unwrap());
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

/// `at_once` streams of one HTTP/2 connection in turn, an event a frame and a record.
fn http2(at_once: u32) -> Row {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;
    let each = EVENTS / u64::from(at_once);
    let streams = (0..at_once).map(|i| 2 * i + 1);
    let body = br#"{"model":"m","stream":true,"messages":[]}"#;
    let mut asked = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    asked.extend(frame(4, 0, 0, &[]));
    let mut pieces = vec![frame(4, 0, 0, &[])];
    for stream in streams.clone() {
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/v1/chat/completions"),
            (":authority", "a"),
            ("content-type", "application/json"),
        ];
        asked.extend(frame(HEADERS, END_HEADERS, stream, &block(&fields)));
        asked.extend(frame(DATA, END_STREAM, stream, body));
        let fields = [(":status", "200"), ("content-type", "text/event-stream")];
        pieces.push(frame(HEADERS, END_HEADERS, stream, &block(&fields)));
    }
    for i in 0..each {
        let text = event(i);
        let piece = |stream| frame(DATA, 0, stream, text.as_bytes());
        pieces.extend(streams.clone().map(piece));
    }
    let usage = format!(
        "data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":5,\"completion_tokens\":{each}}}}}\n\ndata: [DONE]\n\n"
    );
    let end = |stream| frame(DATA, END_STREAM, stream, usage.as_bytes());
    pieces.extend(streams.map(end));
    let mut records = vec![CONN.open(1000)];
    let len = asked.len() as u64;
    records.push(CONN.data(Direction::Inbound, 0, 1001, &asked, len));
    let mut pos = 0;
    for (i, piece) in pieces.iter().enumerate() {
        let len = piece.len() as u64;
        let at = 2000 + 1000 * i as u64;
        records.push(CONN.data(Direction::Outbound, pos, at, piece, len));
        pos += len;
    }
    records.push(CONN.close(1 << 40, close::LOCAL_CLOSE));
    Row {
        name: match at_once {
            1 => "HTTP/2, an event a record",
            _ => "HTTP/2, 100 streams at once, an event a record",
        },
        unit: "events",
        units: each * u64::from(at_once),
        records,
        requests: u64::from(at_once),
        output_tokens: each * u64::from(at_once),
        parents_known: 0,
        rules: Rules::default(),
    }
}

/// 5 MB of JSON in records of 64 KiB, usage at its end.
fn document() -> Row {
    let body = format!(
        r#"{{"object":"chat.completion","model":"m","choices":[{{"index":0,"message":{{"content":"{}"}}}}],"usage":{{"prompt_tokens":5,"completion_tokens":7}}}}"#,
        "lorem ipsum \\n dolor ".repeat(250_000)
    );
    let mut whole = head(
        "application/json",
        &format!("Content-Length: {}\r\n", body.len()),
    );
    whole.extend_from_slice(body.as_bytes());
    let pieces: Vec<Vec<u8>> = whole.chunks(65_536).map(<[u8]>::to_vec).collect();
    let mut records = Vec::new();
    conversation(CONN, 1000, &pieces, &mut records);
    Row {
        name: "JSON of 5 MB",
        unit: "document",
        units: 1,
        records,
        requests: 1,
        output_tokens: 7,
        parents_known: 0,
        rules: Rules::default(),
    }
}

const ANSWER: &str = r#"{"object":"chat.completion","model":"m","choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"#;

fn answer() -> Vec<u8> {
    let head = head(
        "application/json",
        &format!("Content-Length: {}\r\n", ANSWER.len()),
    );
    [head, ANSWER.as_bytes().to_vec()].concat()
}

/// Requests that make a call each, which hangs below them, or which a process of its own makes: what the join costs.
fn gateway(is_joined: bool) -> Row {
    let body = r#"{"model":"m","messages":[]}"#;
    let asked = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = answer();
    let mut records = Vec::new();
    for i in 0..GATEWAYS {
        let at = 1000 + i * 100;
        let conn = |n| ConnRecords {
            conn: 2 * i + n,
            epoch: 1,
            source: source::SOCKET,
        };
        let (served, made) = (conn(0), conn(1));
        let mut push = |record: Vec<u8>, pid: u32, tid: u32, which: u8| {
            records.push(edited(&by(&record, pid), |record| {
                record.head.tid = tid;
                if let Body::Open(info) = &mut record.body {
                    info.role = which;
                }
            }));
        };
        let (accepted, connected) = (role::ACCEPTED, role::CONNECTED);
        let caller = if is_joined { TGID } else { CLIENT };
        let len = |bytes: &[u8]| bytes.len() as u64;
        let (question, all) = (asked.as_bytes(), &answer[..]);
        let data = |conn: &ConnRecords, dir, after, bytes: &[u8]| {
            conn.data(dir, 0, at + after, bytes, len(bytes))
        };
        let (inbound, outbound) = (Direction::Inbound, Direction::Outbound);
        push(served.open(at), TGID, MAIN, accepted);
        push(data(&served, inbound, 1, question), TGID, WORKER, accepted);
        push(made.open(at + 2), caller, WORKER, connected);
        push(
            data(&made, outbound, 3, question),
            caller,
            WORKER,
            connected,
        );
        push(data(&made, inbound, 4, all), caller, WORKER, connected);
        push(data(&served, outbound, 5, all), TGID, WORKER, accepted);
        push(
            made.close(at + 6, close::LOCAL_CLOSE),
            caller,
            WORKER,
            connected,
        );
        push(
            served.close(at + 7, close::LOCAL_CLOSE),
            TGID,
            WORKER,
            accepted,
        );
    }
    Row {
        name: match is_joined {
            true => "requests with a call of their own below them",
            false => "the same where another process calls, which serves nobody",
        },
        unit: "requests",
        units: GATEWAYS,
        records,
        requests: GATEWAYS,
        output_tokens: 4 * GATEWAYS,
        parents_known: if is_joined { GATEWAYS } else { 0 },
        rules: Rules::default(),
    }
}

/// Small answers, a connection each.
fn exchanges() -> Row {
    let whole = answer();
    let mut records = Vec::new();
    for i in 0..EXCHANGES {
        let conn = ConnRecords {
            conn: i,
            epoch: 1,
            source: source::SOCKET,
        };
        conversation(conn, 1000 + i, std::slice::from_ref(&whole), &mut records);
    }
    Row {
        name: "chat answers of 300 bytes, a connection each",
        unit: "exchanges",
        units: EXCHANGES,
        records,
        requests: EXCHANGES,
        output_tokens: 2 * EXCHANGES,
        parents_known: 0,
        rules: Rules::default(),
    }
}
