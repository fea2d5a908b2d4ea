//! What the core holds, against an allocator that counts: no client of a target can make it grow past its
//! budget, honest traffic stays far below it, and the estimates that it goes by are true.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use cirron_common::record::{close, source};
use cirron_core::engine::{Engine, EngineConfig, Output, ProcessFacts};
use cirron_core::id::SequentialIds;
use cirron_core::record::Direction;
use cirron_core::scope::AttrValue;
use cirron_core::testing::records::{ConnRecords, TGID};
use cirron_core::time::{MS, MonoNs};
use cirron_core::{DEFAULT_MAX_MEMORY_BYTES, MAX_PROCESSES, MIN_MAX_MEMORY_BYTES};

/// Counts what is allocated now, and the most that was.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test at a time counts, from before its first allocation.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(|e| e.into_inner())
}

const MIB: usize = 1024 * 1024;
const LIMIT: usize = MIN_MAX_MEMORY_BYTES;
/// What is held besides what is budgeted: one body's slice decoded, maps that grow, outputs.
const SLACK: usize = 24 * MIB;

/// An event of a stream.
const TOKEN: &str = concat!(
    r#"data: {"id":"chatcmpl-0123456789","object":"chat.completion.chunk","model":"m","choices":"#,
    r#"[{"index":0,"delta":{"content":"one"}}]}"#,
    "\n\n"
);

struct Run {
    engine: Engine,
    before: usize,
    ts: u64,
    /// Finished scopes, and those of them that say that they were given up.
    scopes: [u64; 2],
}

impl Run {
    fn new(max_memory_bytes: Option<usize>) -> Run {
        let before = NOW.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let config = EngineConfig {
            max_memory_bytes,
            ..EngineConfig::default()
        };
        let mut engine = Engine::new(config, Box::new(SequentialIds::default()));
        engine.handle_process(ProcessFacts {
            tgid: TGID,
            ..ProcessFacts::default()
        });
        Run {
            engine,
            before,
            ts: 1_000 * MS,
            scopes: [0; 2],
        }
    }

    fn open(&mut self, conn: u64) {
        self.engine.handle_record(&records(conn).open(self.ts));
    }

    /// Sends in pieces of a record, each a microsecond later.
    fn send(&mut self, conn: u64, direction: Direction, pos: &mut u64, bytes: &[u8]) {
        for piece in bytes.chunks(64 * 1024) {
            self.ts += 1_000;
            let len = piece.len() as u64;
            let record = records(conn).data(direction, *pos, self.ts, piece, len);
            self.engine.handle_record(&record);
            *pos += len;
            self.take();
        }
    }

    /// Connections that gave up meanwhile, and scopes that were written.
    fn while_it(&mut self, work: impl FnOnce(&mut Run)) -> [u64; 2] {
        let count = |run: &Run| [run.engine.stats().given_up_connections, run.scopes[0]];
        let before = count(self);
        work(self);
        let after = count(self);
        [after[0] - before[0], after[1] - before[1]]
    }

    /// A streamed call whose first token has passed. Gives the position of what follows.
    fn begin_stream(&mut self, conn: u64) -> u64 {
        let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}"#;
        let length = body.len();
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
        let answer = format!("{head}{TOKEN}");
        self.open(conn);
        self.send(conn, Direction::Inbound, &mut 0, request.as_bytes());
        let mut pos = 0;
        self.send(conn, Direction::Outbound, &mut pos, answer.as_bytes());
        pos
    }

    fn take(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            if let Output::Scope { span, .. } = output {
                let given_up = span.attrs.get("cirron.given_up");
                self.scopes[0] += 1;
                self.scopes[1] += u64::from(given_up == Some(&AttrValue::from("memory")));
            }
        }
    }

    fn held(&self) -> usize {
        NOW.load(Ordering::Relaxed) - self.before
    }

    fn peak(&self) -> usize {
        PEAK.load(Ordering::Relaxed) - self.before
    }

    /// What it holds is what it says, within a third, give or take a MiB.
    fn assert_estimate(&self) {
        let (held, said) = (self.held(), self.engine.held_bytes());
        let near = said * 4 / 3 + MIB >= held && held * 4 / 3 + MIB >= said;
        assert!(near, "holds {held} bytes and says {said}");
    }

    fn finish(mut self) -> [u64; 2] {
        let end = MonoNs(self.ts + 10_000 * MS);
        self.engine.handle_shutdown(end);
        self.take();
        assert_eq!(self.engine.held_bytes(), 0, "nothing is left");
        self.scopes
    }
}

fn records(conn: u64) -> ConnRecords {
    ConnRecords {
        conn,
        epoch: 100,
        source: source::SOCKET,
    }
}

/// A request whose body comes with this coding; its head only.
fn head(coding: &str, length: usize) -> Vec<u8> {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
         Content-Encoding: {coding}\r\nContent-Length: {length}\r\n\r\n"
    )
    .into_bytes()
}

/// The beginning of a JSON request whose prompt has `bytes` bytes, all of one letter.
fn prompt(bytes: usize) -> Vec<u8> {
    let mut out = br#"{"model":"m","messages":[{"role":"user","content":""#.to_vec();
    out.resize(out.len() + bytes, b'x');
    out
}

fn brotli(plain: &[u8]) -> Vec<u8> {
    let params = brotli::enc::BrotliEncoderParams {
        lgwin: 24,
        quality: 3,
        ..Default::default()
    };
    let mut out = Vec::new();
    brotli::BrotliCompress(&mut &*plain, &mut out, &params).unwrap();
    out
}

/// `noise`: bytes that do not compress stand between, so that the expansion stays below its own bound.
fn bomb(bytes: usize, noise: usize) -> Vec<u8> {
    let mut plain = prompt(bytes);
    let mut state = 1_u32;
    for at in (0..plain.len()).step_by(plain.len() / noise) {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        plain[at] = b'a' + (state >> 24) as u8 % 24;
    }
    plain
}

#[test]
fn uploads_with_large_windows_stay_within_the_budget() {
    let _turn = turn();
    let plain = bomb(12 * MIB, 48 * 1024);
    let coded = brotli(&plain);
    assert!(coded.len() * 200 > plain.len(), "{} bytes", coded.len());
    let mut run = Run::new(Some(LIMIT));
    for conn in 0..60 {
        run.open(conn);
        let mut pos = 0;
        run.send(
            conn,
            Direction::Inbound,
            &mut pos,
            &head("br", coded.len() + 1),
        );
        run.send(conn, Direction::Inbound, &mut pos, &coded);
    }
    assert!(run.peak() < LIMIT + SLACK, "{} bytes", run.peak());
    let stats = run.engine.stats();
    assert!(stats.given_up_bodies > 50, "{stats:?}");
    let [all, given_up] = run.finish();
    assert_eq!((all, given_up), (60, stats.given_up_bodies));
}

/// Bytes of this process in memory: what a library in C holds, too.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096
}

/// In a process of its own, since what other tests freed may stay with it.
const ALONE: &str = "CIRRON_TEST_ALONE";

#[test]
fn so_do_those_of_a_library_that_this_allocator_does_not_see() {
    let _turn = turn();
    if std::env::var_os(ALONE).is_none() {
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        alone.args([
            "--exact",
            "so_do_those_of_a_library_that_this_allocator_does_not_see",
        ]);
        assert!(alone.env(ALONE, "1").status().unwrap().success());
        return;
    }
    let coded = zstd::encode_all(&*bomb(8 * MIB, 100 * 1024), 3).unwrap();
    let mut run = Run::new(Some(LIMIT));
    let before = resident();
    for conn in 0..60 {
        run.open(conn);
        let mut pos = 0;
        let head = head("zstd", coded.len() + 1);
        run.send(conn, Direction::Inbound, &mut pos, &head);
        run.send(conn, Direction::Inbound, &mut pos, &coded);
    }
    let grown = resident() - before;
    assert!(grown < 2 * LIMIT + SLACK, "{grown} bytes");
    assert!(run.engine.stats().given_up_bodies > 40);
    assert_eq!(run.finish()[0], 60);
}

#[test]
fn unfinished_heads_stay_within_the_budget() {
    let _turn = turn();
    let mut unfinished = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nX: ".to_vec();
    unfinished.resize(60_000, b'x');
    let mut run = Run::new(Some(LIMIT));
    for conn in 0..2_000 {
        run.open(conn);
        run.send(conn, Direction::Inbound, &mut 0, &unfinished);
    }
    run.assert_estimate();
    assert!(run.peak() < LIMIT + SLACK, "{} bytes", run.peak());
    let stats = run.engine.stats();
    assert!(stats.given_up_connections > 1_500, "{stats:?}");
    run.finish();
}

#[test]
fn so_do_65_000_connections_with_half_a_head_each() {
    let _turn = turn();
    let mut run = Run::new(None);
    for conn in 0..65_000 {
        run.open(conn);
        let half = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bea";
        run.send(conn, Direction::Inbound, &mut 0, half);
    }
    run.assert_estimate();
    let limit = DEFAULT_MAX_MEMORY_BYTES;
    assert!(run.peak() < limit + SLACK, "{} bytes", run.peak());
    run.finish();
}

#[test]
fn a_flood_of_half_heads_takes_no_place_from_streams_that_were_there() {
    let _turn = turn();
    let mut run = Run::new(Some(LIMIT));
    let mut ends = Vec::new();
    for conn in 0..1_000 {
        ends.push(run.begin_stream(conn));
    }
    // Whoever gives up has a scope, but for the one that has just been opened and has no head yet.
    let mut headless = 0;
    for conn in 1_000..31_000 {
        let [given_up, written] = run.while_it(|run| {
            run.open(conn);
            run.take();
        });
        assert!(given_up - written <= 1, "{conn}: {given_up} {written}");
        headless += given_up - written;
        let half = "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bea";
        // Of different lengths: else the bound is met at openings alone, or never, as sizes of our own happen to be.
        let half = format!("{half}{}", "r".repeat((conn % 97) as usize * 8));
        let [given_up, written] =
            run.while_it(|run| run.send(conn, Direction::Inbound, &mut 0, half.as_bytes()));
        assert_eq!(given_up, written, "{conn}");
    }
    assert!(run.peak() < LIMIT + SLACK, "{} bytes", run.peak());
    let stats = run.engine.stats();
    assert!(stats.given_up_connections > 20_000, "{stats:?}");
    assert!(stats.forgotten_connections > 15_000, "{stats:?}");
    assert_eq!(stats.given_up_bodies, 0);
    let [written, partial] = run.scopes;
    assert_eq!(written, partial);
    assert_eq!(stats.given_up_connections, written + headless);
    assert!(written > 0);
    for (conn, mut pos) in (0..).zip(ends) {
        run.send(conn, Direction::Outbound, &mut pos, b"data: [DONE]\n\n");
        run.engine
            .handle_record(&records(conn).close(run.ts, close::LOCAL_CLOSE));
    }
    run.engine.handle_timeout(MonoNs(run.ts + 10_000 * MS));
    run.take();
    assert_eq!(run.scopes, [written + 1_000, written], "streams are whole");
    assert_eq!(run.engine.stats().partial, written);
    run.finish();
}

#[test]
fn connections_that_are_not_read_are_forgotten_before_others_and_nothing_of_them_is_lost() {
    let _turn = turn();
    let mut run = Run::new(Some(LIMIT));
    for conn in 0..2_000 {
        run.begin_stream(conn);
    }
    for conn in 2_000..40_000 {
        run.open(conn);
        run.send(
            conn,
            Direction::Inbound,
            &mut 0,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        );
    }
    assert!(run.peak() < LIMIT + SLACK, "{} bytes", run.peak());
    let stats = run.engine.stats();
    assert!(stats.forgotten_connections > 10_000, "{stats:?}");
    assert_eq!((stats.given_up_connections, stats.given_up_bodies), (0, 0));
    assert_eq!(run.finish(), [2_000, 0]);
}

#[test]
fn so_do_records_that_wait_for_their_place_and_what_the_kernel_has_not_sent() {
    let _turn = turn();
    for unsent in [false, true] {
        let mut run = Run::new(Some(LIMIT));
        let bytes = vec![b'x'; 60_000];
        for conn in 0..1_000 {
            run.begin_stream(conn);
            let record = if unsent {
                records(conn).held(10_000, run.ts, &bytes, 0)
            } else {
                records(conn).data(Direction::Inbound, 10_000, run.ts, &bytes, 60_000)
            };
            run.engine.handle_record(&record);
            run.take();
        }
        assert!(run.peak() < LIMIT + SLACK, "{} bytes", run.peak());
        let stats = run.engine.stats();
        assert!(stats.given_up_connections > 500, "{stats:?}");
        // What waited is read at the last, and may look like one more request.
        assert!(run.finish()[0] >= 1_000);
    }
}

#[test]
fn so_do_first_bytes_that_begin_nothing() {
    let _turn = turn();
    let mut run = Run::new(Some(LIMIT));
    for conn in 0..5_000 {
        run.open(conn);
        run.send(conn, Direction::Inbound, &mut 0, &[b'x'; 8_000]);
    }
    run.assert_estimate();
    assert!(run.peak() < LIMIT + SLACK, "{} bytes", run.peak());
    assert!(run.engine.stats().given_up_connections > 2_000);
    run.finish();
}

#[test]
fn the_points_of_long_answers_are_counted() {
    let _turn = turn();
    let mut run = Run::new(None);
    let env = [(
        "CONFIG".to_owned(),
        r#"{"stream_chunk_timing":true}"#.to_owned(),
    )];
    run.engine.handle_process(ProcessFacts {
        tgid: TGID,
        env: env.into(),
        ..ProcessFacts::default()
    });
    for conn in 0..20 {
        let mut pos = run.begin_stream(conn);
        for _ in 0..5_000 {
            run.send(conn, Direction::Outbound, &mut pos, TOKEN.as_bytes());
        }
    }
    run.assert_estimate();
    assert!(run.held() > 20 * 5_000 * 8, "{} bytes", run.held());
    run.finish();
}

#[test]
fn processes_whose_end_nobody_tells_are_bounded_and_counted() {
    let _turn = turn();
    let mut run = Run::new(Some(LIMIT));
    let more = 640;
    for tgid in 0..MAX_PROCESSES as u32 + more {
        run.engine.handle_process(ProcessFacts {
            tgid: tgid + 1_000,
            exe: Some("worker".to_owned()),
            ..ProcessFacts::default()
        });
    }
    run.assert_estimate();
    let stats = run.engine.stats();
    // In groups of 64; the process of these tests is one of them.
    assert_eq!(stats.forgotten_processes, u64::from(more) + 64);
    run.finish();
}

#[test]
fn pipelined_requests_with_long_paths_keep_no_more_of_them_than_is_written() {
    let _turn = turn();
    let request = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(60_000));
    let mut run = Run::new(None);
    run.open(1);
    let mut pos = 0;
    for _ in 0..1_000 {
        run.send(1, Direction::Inbound, &mut pos, request.as_bytes());
    }
    assert!(run.peak() < 8 * MIB, "{} bytes", run.peak());
    assert_eq!(run.engine.stats().given_up_bodies, 0);
    assert_eq!(run.finish(), [1_000, 0]);
}

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// A literal field that is not indexed (RFC 7541, section 6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0, name.len() as u8];
    out.extend(name.as_bytes());
    out.push(value.len() as u8);
    out.extend(value.as_bytes());
    out
}

#[test]
fn one_client_of_http2_with_thousands_of_streams_stays_within_the_budget() {
    let _turn = turn();
    let mut body = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    body.write_all(&prompt(100_000)).unwrap();
    body.flush().unwrap();
    let body = body.get_ref().clone();
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/v1/chat/completions"),
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
    ];
    let block: Vec<u8> = fields.iter().flat_map(|(n, v)| field(n, v)).collect();
    let mut run = Run::new(Some(LIMIT));
    run.open(1);
    let mut pos = 0;
    let mut begin = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    begin.extend(frame(4, 0, 0, &[]));
    run.send(1, Direction::Inbound, &mut pos, &begin);
    for stream in 0..2_000 {
        let stream = 2 * stream + 1;
        let mut frames = frame(1, 4, stream, &block);
        frames.extend(frame(0, 0, stream, &body));
        run.send(1, Direction::Inbound, &mut pos, &frames);
    }
    assert!(run.peak() < LIMIT + SLACK, "{} bytes", run.peak());
    let stats = run.engine.stats();
    assert!(stats.given_up_bodies > 1_000, "{stats:?}");
    assert_eq!(stats.given_up_connections, 0, "its streams are still told");
    assert_eq!(run.finish()[0], 2_000);
}

#[test]
fn thousands_of_honest_streams_are_read_to_their_end_and_are_counted_truly() {
    let _turn = turn();
    let mut run = Run::new(None);
    for conn in 0..10_000 {
        run.begin_stream(conn);
    }
    run.assert_estimate();
    println!("{} bytes for each stream", run.held() / 10_000);
    assert_eq!(run.finish(), [10_000, 0]);
}

#[test]
fn the_estimates_of_bodies_that_are_decoded_are_true() {
    let _turn = turn();
    for coding in ["gzip", "br"] {
        let mut run = Run::new(None);
        let plain = prompt(200_000);
        let coded = match coding {
            "gzip" => {
                let mut gzip =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                gzip.write_all(&plain).unwrap();
                gzip.finish().unwrap()
            }
            _ => brotli(&plain),
        };
        for conn in 0..100 {
            run.open(conn);
            let mut pos = 0;
            let head = head(coding, coded.len() + 1);
            run.send(conn, Direction::Inbound, &mut pos, &head);
            run.send(
                conn,
                Direction::Inbound,
                &mut pos,
                &coded[..coded.len() - 1],
            );
        }
        println!(
            "{coding}: holds {}, says {}",
            run.held(),
            run.engine.held_bytes()
        );
        if coding == "gzip" {
            run.assert_estimate();
        }
        run.finish();
    }
}
