//! A body whose head was not seen: whether it is a stream of events, by its bytes.
//!
//! A line that begins with `data:` or `event:` gives a stream away. At the very start of what was
//! seen it is taken for a line's start: if it was not, the event is no JSON and says nothing.

use crate::body::events::EventSink;
use crate::body::sse::SseParser;

const FIELDS: [&[u8]; 2] = [b"data:", b"event:"];

/// Looks for the first line of an event, in pieces.
#[derive(Debug)]
pub(super) struct Guess {
    /// The beginning of the line under way; longer than any field once it is none.
    line: Vec<u8>,
    /// The last byte was a CR: an LF now belongs to it.
    after_cr: bool,
    /// No line of this event can have gone before.
    fresh: bool,
    /// The beginning of the line under way was not seen.
    first: bool,
}

impl Default for Guess {
    fn default() -> Self {
        Guess {
            line: Vec::new(),
            after_cr: false,
            fresh: true,
            first: true,
        }
    }
}

impl Guess {
    /// Gives the parser and what of `bytes` it has not yet seen, once a line is found.
    pub(super) fn push<'a, S: EventSink>(
        &mut self,
        bytes: &'a [u8],
        sink: &mut S,
    ) -> Option<(SseParser, &'a [u8])> {
        const LONGEST: usize = FIELDS[1].len();
        for (i, &b) in bytes.iter().enumerate() {
            let after_cr = std::mem::replace(&mut self.after_cr, b == b'\r');
            if matches!(b, b'\n' | b'\r') {
                if !(after_cr && b == b'\n') {
                    self.fresh = self.line.is_empty() && !self.first;
                    self.first = false;
                    self.line.clear();
                }
                continue;
            }
            if self.line.len() > LONGEST {
                continue;
            }
            self.line.push(b);
            if FIELDS.contains(&self.line.as_slice()) {
                let mut parser = SseParser::default();
                if !self.fresh {
                    parser.gap(sink);
                }
                parser.push(&self.line, sink);
                return Some((parser, &bytes[i + 1..]));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::events::EventEnd;
    use crate::testing::split::{Fed, assert_split_invariant};

    #[derive(Debug, Default, PartialEq)]
    struct Whole(Vec<Vec<u8>>, Vec<u8>);

    impl EventSink for Whole {
        fn data(&mut self, bytes: &[u8]) {
            self.1.extend_from_slice(bytes);
        }
        fn hole(&mut self) {}
        fn end(&mut self, end: EventEnd<'_>) {
            let data = std::mem::take(&mut self.1);
            match end {
                EventEnd::Whole { .. } => self.0.push(data),
                EventEnd::Damaged => {}
            }
        }
    }

    fn whole_events(parts: &[Fed<'_>]) -> Vec<Vec<u8>> {
        let (mut guess, mut found, mut sink) = (Guess::default(), None, Whole::default());
        for part in parts {
            let Fed::Data(mut bytes) = *part else {
                continue;
            };
            if found.is_none() {
                let Some((parser, rest)) = guess.push(bytes, &mut sink) else {
                    continue;
                };
                found = Some(parser);
                bytes = rest;
            }
            if let Some(parser) = &mut found {
                parser.push(bytes, &mut sink);
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
            ("{\"data:\": 1}", vec![]),
        ] {
            let got = assert_split_invariant(text.as_bytes(), whole_events);
            assert_eq!(
                got,
                want.iter().map(|w| w.as_bytes()).collect::<Vec<_>>(),
                "{text}"
            );
        }
    }
}
