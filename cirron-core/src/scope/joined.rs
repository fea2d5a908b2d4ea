//! A body whose head was not seen: what stream it is, by its bytes.
//!
//! The beginning of a line gives it away: `data:` or `event:` a stream of events; `{"` a document of
//! lines; `[{`, `,{` or a `{` that is alone on its line an element of an array that is written piece by
//! piece. JSON has no line end inside a string, and indents what is inside a document. Lines and arrays
//! are read alike, as documents one after the other: behind the next hole it is guessed anew.
//!
//! A message of AWS's begins with its lengths and their checksum, which are looked for at every byte.
//!
//! At the very start of what was seen a line is taken to begin: if it did not, the event is no JSON
//! and says nothing, nor does a part of a document. Behind a hole that is believed of events only.

use crate::body::aws_events::{AwsEvents, PRELUDE, is_prelude};
use crate::body::documents::Documents;
use crate::body::events::EventSink;
use crate::body::sse::SseParser;
use crate::cut::behind;

/// Beginnings of a line that tell, with what they tell.
const SIGNS: [(&[u8], Stream); 6] = [
    (b"data:", Stream::Events),
    (b"event:", Stream::Events),
    (b"{\"", Stream::Documents),
    (b"[{", Stream::Documents),
    (b",{", Stream::Documents),
    (b"{\n", Stream::Documents),
];

/// Bytes of the longest of them.
const LONGEST: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Events,
    Documents,
}

/// What a stream turned out to be; it has seen its first bytes.
#[derive(Debug)]
pub(super) enum Joined {
    Events(SseParser),
    Documents(Documents),
    Aws(AwsEvents),
}

/// Looks for the first line of an event or document, in pieces.
#[derive(Debug)]
pub(super) struct Guess {
    /// The beginning of the line under way; longer than any sign once it is none.
    line: Vec<u8>,
    /// The last byte was a CR: an LF now belongs to it.
    after_cr: bool,
    /// No line of this event can have gone before.
    fresh: bool,
    /// The beginning of the line under way was not seen.
    first: bool,
    /// What is before it is missing from the middle.
    behind_hole: bool,
    /// The last bytes, and how many came.
    window: [u8; PRELUDE],
    seen: usize,
}

impl Default for Guess {
    fn default() -> Self {
        Guess {
            line: Vec::new(),
            after_cr: false,
            fresh: true,
            first: true,
            behind_hole: false,
            window: [0; PRELUDE],
            seen: 0,
        }
    }
}

impl Guess {
    /// One that begins behind a hole.
    pub(super) fn behind_hole() -> Guess {
        Guess {
            behind_hole: true,
            ..Guess::default()
        }
    }

    /// Gives the parser and what of `bytes` it has not yet seen, once a line is found.
    pub(super) fn push<'a, S: EventSink>(
        &mut self,
        bytes: &'a [u8],
        sink: &mut S,
    ) -> Option<(Joined, &'a [u8])> {
        for (i, &b) in bytes.iter().enumerate() {
            if self.ends_prelude(b) {
                let mut parser = AwsEvents::default();
                parser.push(&self.window, sink);
                return Some((Joined::Aws(parser), behind(bytes, i + 1)));
            }
            let after_cr = std::mem::replace(&mut self.after_cr, b == b'\r');
            if let Some((sign, stream)) = self.sign(b) {
                return Some((self.begin(sign, stream, sink), behind(bytes, i + 1)));
            }
            if matches!(b, b'\n' | b'\r') {
                if !(after_cr && b == b'\n') {
                    self.fresh = self.line.is_empty() && !self.first;
                    self.first = false;
                    self.line.clear();
                }
            } else if self.line.len() <= LONGEST {
                self.line.push(b);
            }
        }
        None
    }

    /// A message of AWS's has its lengths before this byte, and with it.
    fn ends_prelude(&mut self, b: u8) -> bool {
        self.window.rotate_left(1);
        if let Some(last) = self.window.last_mut() {
            *last = b;
        }
        self.seen = self.seen.saturating_add(1);
        // No message has 16 MiB.
        self.seen >= PRELUDE && self.window.first() == Some(&0) && is_prelude(&self.window)
    }

    /// The sign that is complete with this byte, if the line is one.
    fn sign(&self, b: u8) -> Option<(&'static [u8], Stream)> {
        let b = if b == b'\r' { b'\n' } else { b };
        let is = |sign: &[u8]| sign.split_last() == Some((&b, self.line.as_slice()));
        let (sign, stream) = *SIGNS.iter().find(|(sign, _)| is(sign))?;
        let doubtful = self.first && self.behind_hole && stream != Stream::Events;
        (!doubtful).then_some((sign, stream))
    }

    /// A parser that has seen the line so far.
    fn begin<S: EventSink>(&self, sign: &[u8], stream: Stream, sink: &mut S) -> Joined {
        match stream {
            Stream::Events => {
                let mut parser = SseParser::default();
                if !self.fresh {
                    parser.gap(sink);
                }
                parser.push(sign, sink);
                Joined::Events(parser)
            }
            Stream::Documents => {
                let mut parser = Documents::values();
                parser.push(sign, sink);
                Joined::Documents(parser)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::events::EventEnd;
    use crate::testing::split::{Fed, assert_split_invariant};

    #[derive(Debug, Default, PartialEq)]
    struct Whole(Vec<String>, Vec<u8>);

    impl EventSink for Whole {
        fn data(&mut self, bytes: &[u8]) {
            self.1.extend_from_slice(bytes);
        }
        fn hole(&mut self) {}
        fn end(&mut self, end: EventEnd<'_>) {
            let data = std::mem::take(&mut self.1);
            match end {
                EventEnd::Whole { .. } => self.0.push(String::from_utf8_lossy(&data).into_owned()),
                EventEnd::Damaged => {}
            }
        }
    }

    fn whole_events(parts: &[Fed<'_>], mut guess: Guess) -> Vec<String> {
        let (mut found, mut sink) = (None, Whole::default());
        for part in parts {
            let Fed::Data(mut bytes) = *part else {
                continue;
            };
            if found.is_none() {
                let Some((joined, rest)) = guess.push(bytes, &mut sink) else {
                    continue;
                };
                found = Some(joined);
                bytes = rest;
            }
            match &mut found {
                Some(Joined::Events(parser)) => parser.push(bytes, &mut sink),
                Some(Joined::Documents(parser)) => parser.push(bytes, &mut sink),
                Some(Joined::Aws(parser)) => parser.push(bytes, &mut sink),
                None => {}
            }
        }
        sink.0
    }

    #[test]
    fn a_stream_joined_anywhere_and_cut_anywhere_is_found() {
        for (text, want) in [
            ("data: a\n\ndata: b\n\n", vec!["a", "b"]),
            ("st of a\n\ndata: b\n\ndata: c\n\n", vec!["b", "c"]),
            (
                "ta: a\r\n\r\nevent: x\r\ndata: b\r\n\r\ndata: c\r\n\r\n",
                vec!["b", "c"],
            ),
            // The first line end may be that of a line of the same event.
            ("\ndata: rest\n\ndata: b\n\n", vec!["b"]),
            ("x\ndata: rest\n\ndata: b\n\n", vec!["b"]),
            ("event: x\ndata: a\n\n", vec!["a"]),
            ("{\"data:\": 1}", vec!["{\"data:\": 1}"]),
            ("x\"data:\": 1}", vec![]),
            // Lines of JSON.
            ("{\"a\":1}\n{\"b\":2}\n", vec!["{\"a\":1}", "{\"b\":2}"]),
            (
                ":\"x\"}\n{\"b\":2}\r\n{\"c\":3}",
                vec!["{\"b\":2}", "{\"c\":3}"],
            ),
            // What begins inside a string or a document is no line's beginning.
            ("x {\"q\": {\"r\": 1}}\n{\"b\":2}\n", vec!["{\"b\":2}"]),
            // Arrays, an element on each line and indented.
            ("[{\"a\":1}\n,{\"b\":2}\n]", vec!["{\"a\":1}", "{\"b\":2}"]),
            (
                "1}\n,{\"b\":2}\n,\n{\"c\":3}]",
                vec!["{\"b\":2}", "{\"c\":3}"],
            ),
            (
                "  }\n}\n,\r\n{\r\n  \"b\": {\r\n  \"c\": 2}\r\n}\r\n]",
                vec!["{\n\n  \"b\": {\r\n  \"c\": 2}\r\n}"],
            ),
            (
                "[{\n  \"b\": 2\n}\n,\n{\n \"c\": 3}]",
                vec!["{\n  \"b\": 2\n}", "{\n \"c\": 3}"],
            ),
            // No line's beginning: an indented document that is none of many.
            ("  \"a\": [\n  {\"b\": 1}\n  ]\n}\n", vec![]),
        ] {
            let got = assert_split_invariant(text.as_bytes(), |parts| {
                whole_events(parts, Guess::default())
            });
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn messages_of_aws_are_found_from_any_byte_on() {
        let message = |payload: &[u8]| {
            let total = u32::try_from(payload.len() + 16).unwrap_or(0);
            let lengths = [total.to_be_bytes(), 0_u32.to_be_bytes()].concat();
            let checksum = crc32fast::hash(&lengths).to_be_bytes();
            [&lengths[..], &checksum, payload, &[0; 4]].concat()
        };
        let stream = [message(b"one"), message(b"two"), message(b"")].concat();
        for from in 0..message(b"one").len() {
            let got = assert_split_invariant(&stream[from..], |parts| {
                whole_events(parts, Guess::default())
            });
            let want = [&["one", "two", ""][..], &["two", ""]][usize::from(from > 0)];
            assert_eq!(got, want, "{from}");
        }
    }

    #[test]
    fn behind_a_hole_a_document_begins_on_a_line_of_its_own() {
        for (text, want) in [
            ("{\"a\":1}}\n{\"b\":2}\n", vec!["{\"b\":2}"]),
            ("[{\"a\":1}]}\n{\"b\":2}\n", vec!["{\"b\":2}"]),
            ("data: a\n\n", vec!["a"]),
        ] {
            let got = assert_split_invariant(text.as_bytes(), |parts| {
                whole_events(parts, Guess::behind_hole())
            });
            assert_eq!(got, want, "{text}");
        }
    }
}
