//! What the kernel holds back, and what waits in it for a read: through the whole engine.
#![expect(clippy::unwrap_used, reason = "tests")]

use cirron_common::record::{close, source};

use super::{Engine, EngineConfig, Output, ProcessFacts};
use crate::id::SequentialIds;
use crate::limits::MAX_TOLD;
use crate::scope::{AttrValue, Mark, MarkValue, Span};
use crate::stream::Direction;
use crate::testing::records::{ConnRecords, TGID};
use crate::time::{MS, MonoNs};

const CONN: ConnRecords = ConnRecords {
    conn: 7,
    epoch: 100,
    source: source::SOCKET,
};
const OBJECT: ConnRecords = ConnRecords {
    conn: 0x7f00,
    epoch: 200,
    source: source::TLS,
};

const REQUEST: &[u8] =
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 15\r\n\r\n{\"stream\":true}";
const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 141\r\n\r\n";
const FIRST: &[u8] = b"data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
const SECOND: &[u8] = b"data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\n";
const DONE: &[u8] = b"data: [DONE]\n\n";

/// What is written, with the time of each call in ms; its positions are those of the stream.
const WRITES: [(&[u8], u64); 4] = [(HEAD, 1), (FIRST, 81), (SECOND, 120), (DONE, 146)];

fn position(write: usize) -> u64 {
    WRITES[..write].iter().map(|(b, _)| b.len() as u64).sum()
}

struct Run(Vec<(Span, Vec<Mark>)>);

impl Run {
    fn through(records: &[Vec<u8>]) -> Run {
        Run::until(records, 10_000)
    }

    /// Fed as the agent does: time-outs when they are due.
    fn until(records: &[Vec<u8>], end_ms: u64) -> Run {
        let mut engine = Engine::new(EngineConfig::default(), Box::<SequentialIds>::default());
        engine.handle_process(ProcessFacts {
            tgid: TGID,
            ..ProcessFacts::default()
        });
        for record in records {
            let ts = u64::from_ne_bytes(record[8..16].try_into().unwrap());
            while engine.poll_timeout().is_some_and(|at| at.0 < ts) {
                let at = engine.poll_timeout().unwrap();
                engine.handle_timeout(at);
            }
            engine.handle_record(record);
        }
        engine.handle_shutdown(MonoNs(end_ms * MS));
        assert_eq!(engine.stats().bad_records, 0);
        let mut scopes = Vec::new();
        while let Some(output) = engine.poll_output() {
            if let Output::Scope { span, marks } = output {
                scopes.push((span, marks));
            }
        }
        Run(scopes)
    }

    fn mark_of(&self, scope: usize, name: &str) -> Option<f64> {
        let mark = self.0[scope].1.iter().find(|m| m.name == name)?;
        match mark.value {
            // To a microsecond.
            MarkValue::Float(value) => Some((value * 1e3).round() / 1e3),
            MarkValue::Int(_) | MarkValue::Str(_) | MarkValue::Bool(_) => None,
        }
    }

    fn mark(&self, name: &str) -> Option<f64> {
        self.mark_of(0, name)
    }

    fn times(&self) -> Option<&AttrValue> {
        self.0[0].0.attrs.get("cirron.times")
    }

    /// To the first byte, the first token, the end.
    fn figures(&self) -> [Option<f64>; 3] {
        [
            "time_to_first_byte_ms",
            "time_to_first_token_ms",
            "request_duration_ms",
        ]
        .map(|name| self.mark(name))
    }
}

fn begin() -> Vec<Vec<u8>> {
    let len = REQUEST.len() as u64;
    vec![
        CONN.open(100),
        CONN.data(Direction::Inbound, 0, 0, REQUEST, len),
    ]
}

/// The first `held` writes are held, of which nothing is sent.
fn written(conn: &ConnRecords, held: usize) -> Vec<Vec<u8>> {
    let write = |(i, (bytes, ms)): (usize, &(&[u8], u64))| {
        if i < held {
            conn.held(position(i), ms * MS, bytes, 0)
        } else {
            let len = bytes.len() as u64;
            conn.data(Direction::Outbound, position(i), ms * MS, bytes, len)
        }
    };
    WRITES.iter().enumerate().map(write).collect()
}

#[test]
fn what_a_call_lets_go_has_the_time_of_that_call() {
    let mut records = begin();
    let mut writes = written(&CONN, 3);
    let last = writes.pop().unwrap();
    records.extend(writes);
    records.push(CONN.sent(146 * MS, position(3), 146 * MS, true));
    records.push(last);
    let run = Run::through(&records);
    assert_eq!(run.figures(), [Some(146.0); 3]);
    assert_eq!(run.times(), None);
    // Tokens that left in one packet have no time between them.
    assert_eq!(run.mark("max_inter_token_ms"), None);
}

#[test]
fn nothing_changes_where_nothing_is_held() {
    let run = Run::through(&[begin(), written(&CONN, 0)].concat());
    assert_eq!(run.figures(), [Some(1.0), Some(81.0), Some(146.0)]);
    assert_eq!((run.times(), run.0.len()), (None, 1));
}

#[test]
fn what_the_kernel_lets_go_by_itself_has_the_time_that_it_tells() {
    // Held to the end; the next request shows that a timer sent it at 352 ms.
    let next = CONN.data(
        Direction::Inbound,
        REQUEST.len() as u64,
        900 * MS,
        b"GET",
        3,
    );
    let mut records = [begin(), written(&CONN, 4)].concat();
    records.extend([CONN.sent(900 * MS, position(4), 352 * MS, true), next]);
    let run = Run::through(&records);
    assert_eq!(run.figures(), [Some(352.0); 3]);
    assert_eq!(run.times(), None);
    assert_eq!(run.0[0].0.end, Some(MonoNs(352 * MS)));
}

#[test]
fn a_time_that_nobody_knows_is_said_to_be_unknown() {
    let held = || Some(AttrValue::from("held"));
    // Seen to have gone, long after it was seen to be held.
    let mut records = [begin(), written(&CONN, 4)].concat();
    records.push(CONN.sent(500 * MS, position(4), 0, true));
    let run = Run::through(&records);
    assert_eq!(
        (run.figures()[0], run.times().cloned()),
        (Some(500.0), held())
    );
    // Never seen to have gone: as written, at once past the limit or at the agent's end.
    for end in [200, 10_000] {
        let run = Run::until(&[begin(), written(&CONN, 4)].concat(), end);
        assert_eq!(run.figures(), [Some(1.0), Some(81.0), Some(146.0)]);
        assert_eq!(run.times().cloned(), held());
    }
    // Only the last bytes: the end.
    let mut records = begin();
    records.extend(written(&CONN, 0).into_iter().take(3));
    records.push(CONN.held(position(3), 146 * MS, DONE, position(3)));
    assert_eq!(Run::through(&records).times().cloned(), held());
    // Closely enough.
    records.push(CONN.sent(150 * MS, position(4), 0, true));
    let run = Run::through(&records);
    assert_eq!((run.figures()[2], run.times()), (Some(150.0), None));
}

#[test]
fn what_left_by_itself_before_a_call_has_not_the_time_of_that_call() {
    // `MSG_MORE`, a pause past the kernel's timer, a plain write: two segments, so that the write let nothing go.
    let mut records = begin();
    let mut writes = written(&CONN, 3);
    let last = writes.pop().unwrap();
    records.extend(writes);
    records.push(CONN.sent(146 * MS, position(3), 0, true));
    records.push(last);
    let run = Run::through(&records);
    assert_eq!(run.times(), Some(&"held".into()));
    // The write's own bytes are not among them.
    assert_eq!(run.figures()[2], Some(146.0));
    assert_eq!(run.0.len(), 1);
}

#[test]
fn a_body_that_is_no_stream_is_touched_at_its_end_only() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 30\r\n\r\n";
    let body = b"{\"object\":\"chat.completion\"   ";
    let request = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";
    let len = request.len() as u64;
    let asked = CONN.data(Direction::Inbound, 0, 0, request, len);
    let mut records = vec![CONN.open(100), asked];
    let (h, half) = (head.len() as u64, 15);
    records.push(CONN.data(Direction::Outbound, 0, MS, head, h));
    records.push(CONN.held(h, 2 * MS, &body[..half], h));
    records.push(CONN.sent(90 * MS, h + half as u64, 0, true));
    let rest = &body[half..];
    records.push(CONN.data(Direction::Outbound, h + half as u64, 90 * MS, rest, 15));
    let run = Run::through(&records);
    assert_eq!(
        (run.times(), run.mark("request_duration_ms")),
        (None, Some(90.0))
    );
}

#[test]
fn a_lost_record_of_sending_costs_the_time_and_no_byte() {
    let mut records = begin();
    let mut writes = written(&CONN, 3);
    records.append(&mut writes);
    let run = Run::through(&records);
    assert_eq!(
        (run.times(), run.figures()[2]),
        (Some(&"held".into()), Some(146.0))
    );
    assert_eq!(run.0[0].0.attrs.get("cirron.lost_bytes"), None);
}

#[test]
fn an_end_does_not_overtake_what_is_held() {
    for why in [close::LOCAL_CLOSE, close::LOCAL_SHUT_WRITE, close::PEER_FIN] {
        let mut records = [begin(), written(&CONN, 4)].concat();
        records.push(CONN.sent(147 * MS, position(4), 147 * MS, true));
        records.push(CONN.close(147 * MS, why));
        let run = Run::through(&records);
        assert_eq!(run.figures(), [Some(147.0); 3], "{why}");
        assert_eq!(run.0[0].0.attrs.get("cirron.aborted_by"), None, "{why}");
        // Without a word of it.
        let mut records = [begin(), written(&CONN, 4)].concat();
        records.push(CONN.close(147 * MS, why));
        let run = Run::through(&records);
        assert_eq!(run.times(), Some(&"held".into()), "{why}");
        assert_eq!(run.0[0].0.attrs.get("cirron.aborted_by"), None, "{why}");
    }
}

#[test]
fn plaintext_has_the_time_of_its_ciphertext() {
    let len = REQUEST.len() as u64;
    let mut records = vec![
        CONN.open(100),
        OBJECT.open(200),
        OBJECT.link(300, &CONN),
        OBJECT.waited(0, 10 * MS, REQUEST, 4_000, 0),
    ];
    assert_eq!(len, REQUEST.len() as u64);
    let mut writes = written(&OBJECT, 3);
    let last = writes.pop().unwrap();
    records.extend(writes);
    // Of a part of the ciphertext nothing can be told.
    records.push(CONN.sent(130 * MS, 50, 130 * MS, false));
    records.push(CONN.sent(146 * MS, 900, 146 * MS, true));
    records.push(last);
    let run = Run::through(&records);
    assert_eq!(run.figures(), [Some(136.0); 3]);
    assert_eq!(
        (run.times(), run.mark("time_in_queue_ms")),
        (None, Some(4.0))
    );
}

#[test]
fn a_request_that_lay_in_the_socket_says_for_how_long() {
    let exact = Run::through(
        &[
            vec![CONN.open(100), CONN.waited(0, 30 * MS, REQUEST, 20_000, 0)],
            written(&CONN, 0),
        ]
        .concat(),
    );
    assert_eq!(exact.mark("time_in_queue_ms"), Some(20.0));
    // The others count from the read.
    assert_eq!(exact.0[0].0.start, MonoNs(30 * MS));
    let mark = |run: &Run| {
        run.0[0]
            .1
            .iter()
            .find(|m| m.name == "time_in_queue_ms")
            .cloned()
    };
    assert_eq!(mark(&exact).unwrap().attrs.len(), 0);
    let coarse = Run::through(&[
        CONN.open(100),
        CONN.waited(0, 30 * MS, REQUEST, 22_000, 4_000),
    ]);
    let attrs = mark(&coarse).unwrap().attrs;
    assert_eq!(attrs.get("resolution_ms"), Some(&AttrValue::from(4.0)));
    // Not told: absent.
    assert_eq!(mark(&Run::through(&begin())), None);
}

#[test]
fn requests_of_one_read_came_together_and_one_of_a_later_read_by_itself() {
    let two = [REQUEST, REQUEST].concat();
    let (one, both) = (REQUEST.len() as u64, two.len() as u64);
    let run = Run::through(&[
        CONN.open(100),
        CONN.waited(0, 30 * MS, &two, 20_000, 0),
        CONN.waited(both, 60 * MS, REQUEST, 50_000, 0),
    ]);
    let waits: Vec<_> = (0..3).map(|i| run.mark_of(i, "time_in_queue_ms")).collect();
    assert_eq!(waits, [Some(20.0), Some(20.0), Some(50.0)]);
    // The rest of a request does not change when its first byte came.
    let run = Run::through(&[
        CONN.open(100),
        CONN.waited(0, 30 * MS, &REQUEST[..9], 20_000, 0),
        CONN.waited(9, 60 * MS, &REQUEST[9..], 1_000, 0),
    ]);
    assert_eq!(run.mark("time_in_queue_ms"), Some(20.0));
    assert_eq!(one * 2, both);
    // Past the limit it is not known any more.
    for pieces in [MAX_TOLD, MAX_TOLD + 1] {
        let mut records = vec![CONN.open(100)];
        for (i, byte) in REQUEST.chunks(1).take(pieces - 1).enumerate() {
            let at = i as u64;
            records.push(CONN.waited(at, (30 + at) * MS, byte, 20_000, 0));
        }
        let at = pieces as u64 - 1;
        let rest = &REQUEST[pieces - 1..];
        records.push(CONN.waited(at, (30 + at) * MS, rest, 1_000, 0));
        let want = (pieces == MAX_TOLD).then_some(20.0);
        assert_eq!(Run::through(&records).mark("time_in_queue_ms"), want);
    }
}

#[test]
fn a_head_of_which_a_part_has_no_time_has_none() {
    let mut records = begin();
    let (first, rest) = HEAD.split_at(9);
    records.push(CONN.held(0, MS, first, 0));
    records.push(CONN.sent(40 * MS, 9, 0, true));
    let len = rest.len() as u64;
    records.push(CONN.data(Direction::Outbound, 9, 40 * MS, rest, len));
    assert_eq!(Run::through(&records).times(), Some(&"held".into()));
}
