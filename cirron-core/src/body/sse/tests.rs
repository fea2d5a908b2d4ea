use super::{MAX_EVENT_NAME_BYTES, SseParser};
use crate::body::events::{EventEnd, EventSink};
use crate::testing::split::{Fed, assert_gap_safe, assert_split_invariant};

/// Events as they end: name, data, whole. Counts what it was given, to see what an event costs.
#[derive(Debug, Default, PartialEq)]
struct Log {
    events: Vec<(String, Vec<u8>, bool)>,
    data: Vec<u8>,
    calls: u64,
    bytes: u64,
}

impl EventSink for Log {
    fn data(&mut self, bytes: &[u8]) {
        assert!(!bytes.is_empty());
        self.data.extend_from_slice(bytes);
        self.calls += 1;
        self.bytes += bytes.len() as u64;
    }

    fn hole(&mut self) {
        self.data.push(b'?');
    }

    fn end(&mut self, end: EventEnd<'_>) {
        let data = std::mem::take(&mut self.data);
        self.events.push(match end {
            EventEnd::Whole { name } => (name.to_owned(), data, true),
            EventEnd::Damaged => (String::new(), data, false),
        });
    }
}

fn events(parts: &[Fed<'_>]) -> Vec<(String, Vec<u8>, bool)> {
    let mut parser = SseParser::default();
    let mut log = Log::default();
    for part in parts {
        match part {
            Fed::Data(bytes) => parser.push(bytes, &mut log),
            Fed::Gap(_) => parser.gap(&mut log),
        }
    }
    parser.finish(&mut log);
    log.events
}

fn whole(name: &str, data: &str) -> (String, Vec<u8>, bool) {
    (name.to_owned(), data.into(), true)
}

const STREAM: &[u8] = b"\xef\xbb\xbfdata: a\r\n\r\n: ping\n\ndata:b\rdata: c\r\revent: x\ndata\n\nid: 7\nevent: y\ndata:  d \xc3\xa9\n\n\n\nretry: 9\n\ndata\r\ndata\r\n\r\n";

#[test]
fn a_stream_cut_anywhere_gives_the_same_events() {
    let all = assert_split_invariant(STREAM, events);
    assert_eq!(
        all,
        [
            whole("", "a"),
            whole("", "b\nc"),
            whole("x", ""),
            whole("y", " d é"),
            whole("", "\n"),
        ]
    );
}

#[test]
fn behind_a_hole_every_whole_event_is_one_that_was_sent() {
    let sent = events(&[Fed::Data(STREAM)]);
    assert_gap_safe(STREAM, events, |found, hole| {
        let (mut rest, mut damaged) = (&sent[..], 0);
        for event in found {
            if !event.2 {
                damaged += 1;
                continue;
            }
            // The blank that is not part of a value, or the mark, may be what was lost... but then
            // the line is damaged, and so the event is.
            let at = rest.iter().position(|e| e == event);
            let at = at.unwrap_or_else(|| panic!("{hole:?} made up {event:?}"));
            rest = &rest[at + 1..];
        }
        assert_eq!(damaged, 1, "{hole:?}");
    });
}

#[test]
fn what_is_left_of_an_event_behind_a_hole_is_passed_on_as_damaged() {
    let parts = [
        Fed::Data(b"data: a\n\ndata: b"),
        Fed::Gap(9),
        Fed::Data(b"rest of c\nid: 1\n\ndata: d\n\n"),
    ];
    let damaged = (String::new(), b"b?rest of cid: 1".to_vec(), false);
    assert_eq!(events(&parts), [whole("", "a"), damaged, whole("", "d")]);
}

#[test]
fn holes_are_counted_once_for_each_place() {
    let mut parser = SseParser::default();
    let mut log = Log::default();
    parser.gap(&mut log);
    parser.push(b"x", &mut log);
    parser.gap(&mut log);
    assert_eq!(parser.lost_events(), 1);
    parser.push(b"\n\ndata: a", &mut log);
    parser.gap(&mut log);
    assert_eq!(parser.lost_events(), 2);
}

#[test]
fn an_event_whose_last_line_did_not_end_is_not_a_whole_one() {
    assert!(!events(&[Fed::Data(b"data: a")])[0].2);
    assert!(!events(&[Fed::Data(b"data: a\nda")])[0].2);
    for last in ["data: a\n", "data: a\r", "data: a\r\n"] {
        assert_eq!(events(&[Fed::Data(last.as_bytes())]), [whole("", "a")]);
    }
    assert!(events(&[Fed::Data(b"event: a\n: b")]).is_empty());
}

#[test]
fn a_name_past_the_bound_is_cut() {
    let text = format!("event: {}\ndata: a\n\n", "n".repeat(1000));
    let all = events(&[Fed::Data(text.as_bytes())]);
    assert_eq!(all, [whole(&"n".repeat(MAX_EVENT_NAME_BYTES), "a")]);
}

/// Each byte is handed on once, whatever came before it, and none is held.
#[test]
fn a_line_of_a_megabyte_costs_one_step_a_byte_and_is_not_held() {
    const LEN: u64 = 1024 * 1024;
    let mut parser = SseParser::default();
    let mut log = Log::default();
    parser.push(b"data: ", &mut log);
    for _ in 0..LEN {
        log.data.clear();
        parser.push(b"x", &mut log);
    }
    assert_eq!((log.calls, log.bytes), (LEN, LEN));
    assert!(parser.event.capacity() <= MAX_EVENT_NAME_BYTES);
}
