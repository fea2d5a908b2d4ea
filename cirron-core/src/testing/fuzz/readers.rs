//! Fuzz entry points of the readers that stand behind the framing: WebSocket's frames, and the
//! forms in which bodies come. The first two bytes of an input say where it is cut and where, if at
//! all, it has a hole; the rest is what is read.

use crate::body::aws_events::AwsEvents;
use crate::body::documents::Documents;
use crate::body::events::{EventEnd, EventSink};
use crate::body::multipart::{Field, Form};
use crate::limits::MAX_JSON_SCALAR_BYTES;
use crate::proto::message::MessageEnd;
use crate::proto::ws::{Cursor, Deflate, Event, Parser};
use crate::stream::Piece;
use crate::testing::Fed;
use crate::time::MonoNs;

/// The content of an input, whole and cut, both with the same hole.
pub(super) struct Ways<'a> {
    pub(super) whole: Vec<Fed<'a>>,
    pub(super) cut: Vec<Fed<'a>>,
    pub(super) holed: bool,
}

/// `None`: the input is too short to say.
pub(super) fn ways(input: &[u8]) -> Option<Ways<'_>> {
    let [cut, hole, bytes @ ..] = input else {
        return None;
    };
    let at = |share: u8| usize::from(share) * bytes.len() / 256;
    let cut = at(*cut);
    let holed = *hole != 0;
    let (start, end) = match holed {
        true => (at(*hole), (at(*hole) + 5).min(bytes.len())),
        false => (bytes.len(), bytes.len()),
    };
    let gap = Fed::Gap(((end - start) as u64).max(1));
    let feed = |places: &[usize]| {
        let mut parts = Vec::new();
        let mut from = 0;
        for place in places {
            let part = &bytes[from..(*place).max(from)];
            if !part.is_empty() {
                parts.push(Fed::Data(part));
            }
            from = from.max(*place);
            if holed && *place == start {
                parts.push(gap);
                from = end;
            }
        }
        if from < bytes.len() {
            parts.push(Fed::Data(&bytes[from..]));
        }
        parts
    };
    let (mut two, mut one) = (vec![cut, start], vec![start]);
    two.sort_unstable();
    two.dedup();
    one.dedup();
    Some(Ways {
        whole: feed(&one),
        cut: feed(&two),
        holed,
    })
}

/// Events of a body, in one form whatever the cuts were.
#[derive(Debug, Default, PartialEq)]
struct Events {
    /// Data with a NUL for each hole, and the name, if it is whole.
    ended: Vec<(Vec<u8>, Option<String>)>,
    open: Vec<u8>,
    holed: bool,
}

impl EventSink for Events {
    fn data(&mut self, bytes: &[u8]) {
        assert!(!bytes.is_empty(), "empty data");
        self.open.extend_from_slice(bytes);
    }

    fn hole(&mut self) {
        self.open.push(0);
        self.holed = true;
    }

    fn end(&mut self, end: EventEnd<'_>) {
        let holed = std::mem::take(&mut self.holed);
        let name = match end {
            EventEnd::Whole { name } => {
                assert!(!holed, "whole, with a hole");
                Some(name.to_owned())
            }
            EventEnd::Damaged => None,
        };
        self.ended.push((std::mem::take(&mut self.open), name));
    }
}

/// Messages of AWS's event stream. A cut must not matter, and what is whole has no hole.
///
/// # Panics
/// When a rule is broken.
pub fn aws_events(input: &[u8]) {
    let Some(ways) = ways(input) else { return };
    let read = |parts: &[Fed<'_>]| {
        let (mut parser, mut events) = (AwsEvents::default(), Events::default());
        for part in parts {
            match part {
                Fed::Data(bytes) => parser.push(bytes, &mut events),
                Fed::Gap(_) => parser.gap(&mut events),
            }
        }
        parser.finish(&mut events);
        assert!(events.open.is_empty(), "an event stays open");
        (events, parser.lost_events())
    };
    assert_eq!(read(&ways.whole), read(&ways.cut));
}

/// Documents, by lines and by values. A cut must not matter, and a whole one has brackets.
///
/// # Panics
/// When a rule is broken.
pub fn documents(input: &[u8]) {
    let Some(ways) = ways(input) else { return };
    for new in [Documents::lines, Documents::values] {
        let read = |parts: &[Fed<'_>]| {
            let (mut parser, mut events) = (new(), Events::default());
            for part in parts {
                match part {
                    Fed::Data(bytes) => parser.push(bytes, &mut events),
                    Fed::Gap(_) => parser.gap(&mut events),
                }
            }
            parser.finish(&mut events);
            assert!(events.open.is_empty(), "a document stays open");
            for (text, _) in events.ended.iter().filter(|(_, name)| name.is_some()) {
                let ends = (text.first(), text.last());
                let brackets = matches!(ends, (Some(b'{' | b'['), Some(b'}' | b']')));
                assert!(brackets, "whole: {text:?}");
            }
            (events, parser.lost_events())
        };
        assert_eq!(read(&ways.whole), read(&ways.cut));
    }
}

/// A form. A cut must not matter; what a hole leaves are parts that end as they do without it.
///
/// # Panics
/// When a rule is broken.
pub fn form(input: &[u8]) {
    let Some(ways) = ways(input) else { return };
    let read = |parts: &[Fed<'_>]| {
        let mut fields: Vec<Field> = Vec::new();
        let Some(mut form) = Form::new("multipart/form-data; boundary=xYz") else {
            return fields;
        };
        for part in parts {
            match part {
                Fed::Data(bytes) => form.push(bytes, &mut |field| fields.push(field.clone())),
                Fed::Gap(_) => form.gap(),
            }
        }
        for field in &fields {
            assert!(field.whole && field.value.len() <= MAX_JSON_SCALAR_BYTES);
            assert!(!field.is_file || field.value.is_empty(), "of a file");
        }
        fields
    };
    assert_eq!(read(&ways.whole), read(&ways.cut));
}

/// A message: its content, and what its end said: bytes on the wire, fragments, damaged.
type Message = (Vec<u8>, Option<(u64, u32, bool)>);

/// What a WebSocket's parser gave, in one form whatever the cuts were.
#[derive(Debug, Default, PartialEq)]
struct Frames {
    messages: Vec<Message>,
    pings: u64,
    pongs: u64,
    close: Option<Option<u16>>,
    misread: bool,
    /// Holes and bytes without frames; not compared: how many those are is told piece by piece.
    lost: u64,
}

fn frames(deflate: Option<Deflate>, late: bool, parts: &[Fed<'_>]) -> Frames {
    let params = deflate.map(|d| d.server());
    let mut parser = Parser::new(params);
    if late {
        parser.lose_place();
    }
    let mut got = Frames::default();
    let (mut open, mut compressed_now, mut gap) = (false, false, 0);
    for (n, part) in (1..).zip(parts) {
        let ts = MonoNs(n);
        let piece = match *part {
            Fed::Data(bytes) => Piece::Data { ts, bytes },
            Fed::Gap(len) => Piece::Gap { ts, len },
        };
        let mut cur = Cursor::new(piece, MessageEnd::Aborted);
        while let Some(event) = parser.next(&mut cur) {
            assert!(got.close.is_none(), "{event:?} after Close");
            match event {
                Event::MessageStart { compressed, .. } => {
                    assert!(!open, "a message inside another");
                    (open, compressed_now, gap) = (true, compressed, 0);
                    got.messages.push((Vec::new(), None));
                }
                Event::Data(bytes) => {
                    assert!(open && !bytes.is_empty());
                    if let Some((content, _)) = got.messages.last_mut() {
                        content.extend_from_slice(bytes);
                    }
                }
                Event::DataGap(len) => {
                    assert!(open && len > 0);
                    gap += len;
                    got.lost += len;
                }
                Event::MessageEnd {
                    wire_bytes,
                    fragments,
                    damaged,
                } => {
                    assert!(std::mem::take(&mut open) && fragments > 0);
                    assert!(damaged || gap == 0, "a hole in a whole message");
                    if let Some((content, end)) = got.messages.last_mut() {
                        let sent = content.len() as u64 + gap;
                        assert!(compressed_now || sent == wire_bytes, "{sent}, {wire_bytes}");
                        *end = Some((wire_bytes, fragments, damaged));
                    }
                }
                Event::Ping => got.pings += 1,
                Event::Pong => got.pongs += 1,
                Event::Close { code } => got.close = Some(code),
                Event::OtherGap(_) => {}
                Event::Lost(len) | Event::Passed(len) => {
                    open = false;
                    got.lost = got.lost.saturating_add(len);
                }
            }
        }
        assert!(cur.is_empty(), "bytes left");
    }
    got.misread = parser.is_misread();
    got
}

/// Frames of one end of a WebSocket, from the handshake on and joined late, with compression and
/// without. In step, a cut must not matter.
///
/// # Panics
/// When a rule is broken.
pub fn websocket(input: &[u8]) {
    let Some(ways) = ways(input) else { return };
    for extensions in ["", "permessage-deflate"] {
        let deflate = Deflate::parse(extensions);
        for late in [false, true] {
            let mut whole = frames(deflate, late, &ways.whole);
            let mut cut = frames(deflate, late, &ways.cut);
            // Behind a hole, where a piece begins is what frames are found by.
            if !late && !ways.holed {
                for way in [&mut whole, &mut cut] {
                    way.lost = 0;
                    // What cannot be inflated ends with the piece in which that shows.
                    let damaged = |m: &&mut Message| m.1.is_none_or(|(_, _, damaged)| damaged);
                    let damaged = way.messages.iter_mut().filter(damaged);
                    damaged.for_each(|(content, _)| content.clear());
                }
                assert_eq!(whole, cut, "{extensions}");
            }
        }
    }
}
