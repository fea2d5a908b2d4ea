//! Answers on streams of HTTP/2, two at once, from the frames to the figures: whoever ends one, and wherever.
#![expect(clippy::unwrap_used, reason = "tests")]

use cirron_common::record::{close, source};

use super::{Engine, EngineConfig, Output, ProcessFacts};
use crate::id::SequentialIds;
use crate::scope::{AttrValue, Mark, MarkValue, Span};
use crate::stream::Direction;
use crate::testing::h2::{frame, literal};
use crate::testing::records::{ConnRecords, TGID};
use crate::time::{MS, MonoNs};

const CONN: ConnRecords = ConnRecords {
    conn: 7,
    epoch: 100,
    source: source::SOCKET,
};

fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let fields = fields.iter();
    fields
        .flat_map(|(name, value)| literal(name, value))
        .collect()
}

fn request(stream: u32) -> Vec<u8> {
    let head = block(&[
        (":method", "POST"),
        (":path", "/v1/chat/completions"),
        ("content-type", "application/json"),
    ]);
    let body =
        br#"{"model":"m","stream":true,"messages":[],"stream_options":{"include_usage":true}}"#;
    [frame(1, 4, stream, &head), frame(0, 1, stream, body)].concat()
}

fn head(stream: u32) -> Vec<u8> {
    let head = block(&[(":status", "200"), ("content-type", "text/event-stream")]);
    frame(1, 4, stream, &head)
}

fn event(stream: u32, json: &str) -> Vec<u8> {
    frame(0, 0, stream, format!("data: {json}\n\n").as_bytes())
}

/// What the server writes on one stream, 10 ms apart.
fn answer(stream: u32, tokens: u32) -> Vec<Vec<u8>> {
    let delta = |delta: &str, finish: &str| {
        format!(
            r#"{{"object":"chat.completion.chunk","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#
        )
    };
    let usage =
        format!(r#"{{"choices":[],"usage":{{"prompt_tokens":5,"completion_tokens":{tokens}}}}}"#);
    vec![
        head(stream),
        event(stream, &delta(r#"{"content":"a"}"#, "null")),
        event(stream, &delta(r#"{"content":"b"}"#, "null")),
        event(stream, &delta("{}", r#""stop""#)),
        event(stream, &usage),
        event(stream, "[DONE]"),
        frame(0, 1, stream, b""),
    ]
}

/// Steps of the answer that has everything.
const ALL: usize = 7;
/// Those with which all was said: content, the reason to end, the usage that was asked for.
const SAID: usize = 5;
/// Those with the last event.
const DONE: usize = 6;

#[derive(Default)]
struct Conversation {
    records: Vec<Vec<u8>>,
    at: [u64; 2],
}

impl Conversation {
    fn add(&mut self, direction: Direction, ms: u64, bytes: &[u8]) {
        let pos = match direction {
            Direction::Inbound => &mut self.at[0],
            Direction::Outbound => &mut self.at[1],
        };
        let len = bytes.len() as u64;
        self.records
            .push(CONN.data(direction, *pos, ms * MS, bytes, len));
        *pos += len;
    }

    /// Its scopes, in the order of their ends.
    fn scopes(self) -> Vec<(Span, Vec<Mark>)> {
        let mut engine = Engine::new(EngineConfig::default(), Box::new(SequentialIds::default()));
        engine.handle_process(ProcessFacts {
            tgid: TGID,
            ..ProcessFacts::default()
        });
        engine.handle_record(&CONN.open(100));
        for record in &self.records {
            engine.handle_record(record);
        }
        engine.handle_record(&CONN.close(5_000 * MS, close::LOCAL_CLOSE));
        engine.handle_timeout(MonoNs(9_000 * MS));
        engine.handle_shutdown(MonoNs(10_000 * MS));
        let outputs = std::iter::from_fn(|| engine.poll_output());
        let scopes = outputs.filter_map(Output::into_scope);
        scopes.collect()
    }
}

fn begun() -> Conversation {
    let mut talk = Conversation::default();
    let preface = [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &frame(4, 0, 0, b""),
    ]
    .concat();
    talk.add(
        Direction::Inbound,
        1,
        &[preface, request(1), request(3)].concat(),
    );
    talk.add(Direction::Outbound, 2, &frame(4, 0, 0, b""));
    talk
}

fn number(marks: &[Mark], name: &str) -> Option<f64> {
    let mark = marks.iter().find(|mark| mark.name == name)?;
    match mark.value {
        MarkValue::Int(n) => Some(n as f64),
        MarkValue::Float(x) => Some(x),
        MarkValue::Str(_) | MarkValue::Bool(_) => None,
    }
}

fn text<'a>(span: &'a Span, name: &str) -> Option<&'a str> {
    match span.attrs.get(name)? {
        AttrValue::Str(text) => Some(text),
        AttrValue::Int(_) | AttrValue::Float(_) | AttrValue::Bool(_) => None,
    }
}

/// The other stream goes on, whatever becomes of the first.
#[track_caller]
fn assert_whole((span, marks): &(Span, Vec<Mark>), tokens: f64) {
    assert_eq!(text(span, "cirron.figures"), Some("complete"));
    assert_eq!(text(span, "cirron.aborted_by"), None);
    for (name, value) in [
        ("output_tokens", tokens),
        ("time_to_first_token_ms", 10.0),
        ("max_inter_token_ms", 10.0),
        ("request_duration_ms", 60.0),
        ("tokens_per_second", tokens / 0.05),
    ] {
        assert_eq!(number(marks, name), Some(value), "{name}");
    }
}

#[test]
fn two_answers_at_once_keep_their_own_tokens_and_times() {
    let mut talk = begun();
    for (n, (one, two)) in (0..).zip(answer(1, 9).into_iter().zip(answer(3, 4))) {
        talk.add(Direction::Outbound, 1 + 10 * n, &[two, one].concat());
    }
    let scopes = talk.scopes();
    assert_eq!(scopes.len(), 2);
    assert_whole(&scopes[0], 4.0);
    assert_whole(&scopes[1], 9.0);
}

#[test]
fn where_a_hole_took_the_head_nobody_knows_the_first_byte() {
    for lost in [0, 1] {
        let mut talk = begun();
        for (n, (one, two)) in (0..).zip(answer(1, 9).into_iter().zip(answer(3, 4))) {
            let step = [one, two].concat();
            if n == lost {
                talk.at[1] += step.len() as u64;
            } else {
                talk.add(Direction::Outbound, 5 + 10 * n, &step);
            }
        }
        let scopes = talk.scopes();
        assert_eq!(scopes.len(), 2);
        for (span, marks) in scopes {
            assert_eq!(text(&span, "cirron.figures"), Some("partial"));
            assert_eq!(text(&span, "cirron.aborted_by"), None);
            let first = number(&marks, "time_to_first_byte_ms");
            assert_eq!(first, Some(4.0).filter(|_| lost == 1));
            assert_eq!(number(&marks, "time_to_first_token_ms"), None);
        }
    }
}

#[test]
fn a_stream_that_is_reset_says_by_whom_unless_all_was_said() {
    for by_client in [true, false] {
        for seen in 0..=ALL {
            let mut talk = begun();
            for (n, (one, two)) in (0..).zip(answer(1, 9).into_iter().zip(answer(3, 4))) {
                talk.add(Direction::Outbound, 1 + 10 * n, &two);
                let ms = 1 + 10 * n;
                if n as usize == seen {
                    let reset = frame(3, 0, 1, &[0, 0, 0, 8]);
                    let way = match by_client {
                        true => Direction::Inbound,
                        false => Direction::Outbound,
                    };
                    talk.add(way, ms, &reset);
                } else if (n as usize) < seen {
                    talk.add(Direction::Outbound, ms, &one);
                }
            }
            let of = format!("{by_client} {seen}");
            let scopes = talk.scopes();
            let whole =
                |(_, marks): &&(Span, Vec<Mark>)| number(marks, "output_tokens") == Some(4.0);
            assert_whole(scopes.iter().find(whole).unwrap(), 4.0);
            let (span, marks) = scopes.iter().find(|scope| !whole(scope)).unwrap();
            // A server that gives up before its last event may have had more to say.
            let all = seen >= if by_client { SAID } else { DONE };
            let by = if by_client { "client" } else { "server" };
            assert_eq!(
                text(span, "cirron.aborted_by"),
                Some(by).filter(|_| !all),
                "{of}"
            );
            let figures = match seen {
                0 => "header_only",
                _ if all => "complete",
                _ => "partial",
            };
            assert_eq!(text(span, "cirron.figures"), Some(figures), "{of}");
            let tokens = match seen {
                0 | 1 => None,
                2 => Some(1.0),
                3 | 4 => Some(2.0),
                _ => Some(9.0),
            };
            assert_eq!(number(marks, "output_tokens"), tokens, "{of}");
            let first = Some(10.0).filter(|_| seen > 1);
            assert_eq!(number(marks, "time_to_first_token_ms"), first, "{of}");
            assert_eq!(number(marks, "tokens_per_second").is_some(), all, "{of}");
        }
    }
}
