#![expect(clippy::unwrap_used, reason = "tests")]

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};

use super::*;
use crate::testing::split::{Fed, assert_gap_safe, assert_split_invariant};

#[derive(Debug, Default, PartialEq)]
struct Log {
    whole: Vec<(String, Vec<u8>)>,
    damaged: usize,
    data: Vec<u8>,
}

impl EventSink for Log {
    fn data(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
    }
    fn hole(&mut self) {}
    fn end(&mut self, end: EventEnd<'_>) {
        let data = std::mem::take(&mut self.data);
        match end {
            EventEnd::Whole { name } => self.whole.push((name.to_owned(), data)),
            EventEnd::Damaged => self.damaged += 1,
        }
    }
}

fn message(kind: &'static str, name: &'static str, payload: &'static [u8]) -> Vec<u8> {
    let text = |s: &'static str| HeaderValue::String(s.into());
    let message = Message::new(payload)
        .add_header(Header::new(":message-type", text(kind)))
        .add_header(Header::new("n", HeaderValue::Int64(4)))
        .add_header(Header::new("b", HeaderValue::Bool(true)))
        .add_header(Header::new(
            if kind == "event" {
                ":event-type"
            } else {
                ":exception-type"
            },
            text(name),
        ));
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).unwrap();
    bytes
}

fn stream() -> Vec<u8> {
    let parts = [
        message("event", "messageStart", b"{}"),
        message(
            "event",
            "contentBlockDelta",
            b"{\"delta\":{\"text\":\"a\"}}",
        ),
        message("event", "ping", b""),
        message("exception", "throttlingException", b"{\"message\":\"no\"}"),
    ];
    parts.concat()
}

fn feed(parts: &[Fed<'_>]) -> Log {
    let (mut parser, mut log) = (AwsEvents::default(), Log::default());
    for part in parts {
        match *part {
            Fed::Data(bytes) => parser.push(bytes, &mut log),
            Fed::Gap(_) => parser.gap(&mut log),
        }
    }
    parser.finish(&mut log);
    log
}

#[test]
fn an_error_without_a_type_is_one() {
    let text = |s: &'static str| HeaderValue::String(s.into());
    let message = Message::new(b"".as_slice())
        .add_header(Header::new(":message-type", text("error")))
        .add_header(Header::new(":error-code", text("InternalFailure")))
        .add_header(Header::new(":error-message", text("no")));
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).unwrap();
    let log = assert_split_invariant(&bytes, feed);
    assert_eq!(log.whole, [("error".to_owned(), Vec::new())]);
}

#[test]
fn what_the_library_writes_is_read_on_every_split() {
    let log = assert_split_invariant(&stream(), feed);
    let names: Vec<_> = log
        .whole
        .iter()
        .map(|(n, d)| (n.as_str(), d.len()))
        .collect();
    let want = [
        ("messageStart", 2),
        ("contentBlockDelta", 22),
        ("ping", 0),
        ("throttlingException", 16),
    ];
    assert_eq!(names, want);
    assert_eq!(log.damaged, 0);
}

#[test]
fn a_hole_costs_the_messages_it_touches_and_no_other() {
    let bytes = stream();
    let whole = feed(&[Fed::Data(&bytes)]).whole;
    let mut at = 0;
    let ends: Vec<usize> = whole
        .iter()
        .map(|_| {
            at += word(&bytes, at).unwrap() as usize;
            at
        })
        .collect();
    assert_gap_safe(&bytes, feed, |log, hole| {
        for (i, message) in whole.iter().enumerate() {
            let start = if i == 0 { 0 } else { ends[i - 1] };
            let apart = hole.start >= ends[i] || hole.start + hole.len <= start;
            if apart {
                assert!(log.whole.contains(message), "{message:?} of {hole:?}");
            }
        }
        assert!(log.whole.iter().all(|m| whole.contains(m)), "{hole:?}");
    });
}

#[test]
fn what_is_none_is_passed_over() {
    let mut bytes = b"{\"message\":\"not an event stream\"}".to_vec();
    bytes.extend(stream());
    let log = assert_split_invariant(&bytes, feed);
    assert_eq!((log.whole.len(), log.damaged), (4, 1));
}
