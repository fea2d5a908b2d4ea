//! What a body is, by its first bytes: events, documents, or nothing that we read.
//!
//! The content type is what a server says; clients read the bytes. A `StreamingResponse` without a
//! media type has none, gateways write `text/plain` or `application/octet-stream`, and an error in
//! one document is called an event stream. So the bytes decide, and the type only where they say
//! nothing: it tells lines of JSON from other documents. AWS's messages begin with their lengths, of which
//! the first byte is 0, and a checksum of these.
//!
//! Blank bytes and a byte order mark before the first sign are passed over, however many there are
//! (servers send blanks to keep a connection alive). At most [`PRELUDE`] bytes are held.

use crate::body::aws_events::{PRELUDE, is_prelude};
use crate::body::documents::Documents;
use crate::cut::behind;

/// How a body is cut into events or documents, by its `content-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Sse,
    Lines,
    Values,
    Aws,
}

impl Framing {
    /// `None`: nothing that we read.
    pub(super) fn declared(content_type: &str) -> Option<Framing> {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        match kind {
            "text/event-stream" => Some(Framing::Sse),
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/jsonlines"
            | "application/x-jsonlines"
            | "application/json-seq"
            | "application/stream+json" => Some(Framing::Lines),
            "application/vnd.amazon.eventstream" => Some(Framing::Aws),
            _ if kind.contains("json") => Some(Framing::Values),
            _ => None,
        }
    }
}

/// What the bytes are.
#[derive(Debug)]
pub(super) enum Found {
    Events,
    Documents(Documents),
    /// AWS's messages.
    Aws,
    Other,
}

/// Beginnings of the first line of an event stream: its fields, and a comment.
const FIELDS: [&[u8]; 6] = [b":", b"data:", b"event:", b"id:", b"retry:", b"error:"];

/// Bytes of the longest of them.
const LONGEST: usize = 6;

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// Looks at the first bytes, in pieces.
#[derive(Debug)]
pub(super) struct Sniff {
    declared: Option<Framing>,
    /// What came and is not decided on.
    held: Vec<u8>,
    /// What came, as long as it may be the beginning of AWS's messages.
    prelude: Option<Vec<u8>>,
    /// Nothing was seen, so that a byte order mark may come.
    fresh: bool,
}

impl Sniff {
    pub(super) fn new(declared: Option<Framing>) -> Sniff {
        Sniff {
            declared,
            held: Vec::with_capacity(LONGEST),
            prelude: Some(Vec::new()),
            fresh: true,
        }
    }

    pub(super) fn declared(&self) -> Option<Framing> {
        self.declared
    }

    /// What it is, once that is known, with the bytes that were held and those of `bytes` that were
    /// not yet looked at.
    pub(super) fn push<'a>(&mut self, bytes: &'a [u8]) -> Option<(Found, Vec<u8>, &'a [u8])> {
        let Some(prelude) = &mut self.prelude else {
            return self.look(bytes);
        };
        let room = PRELUDE.saturating_sub(prelude.len()).min(bytes.len());
        let (part, rest) = bytes.split_at(room);
        prelude.extend_from_slice(part);
        let may_be = prelude.first().is_none_or(|b| *b == 0);
        if may_be && prelude.len() < PRELUDE {
            return None;
        }
        let held = self.prelude.take().unwrap_or_default();
        if is_prelude(&held) {
            return Some((Found::Aws, held, rest));
        }
        match self.look(&held) {
            Some((found, mut seen, more)) => {
                seen.extend_from_slice(more);
                Some((found, seen, rest))
            }
            None => self.look(rest),
        }
    }

    fn look<'a>(&mut self, bytes: &'a [u8]) -> Option<(Found, Vec<u8>, &'a [u8])> {
        for (i, &b) in bytes.iter().enumerate() {
            let blank = matches!(b, b' ' | b'\t' | b'\r' | b'\n' | 0);
            if self.held.is_empty() && blank {
                self.fresh = false;
                continue;
            }
            self.held.push(b);
            if self.held == BOM && self.fresh {
                self.held.clear();
                self.fresh = false;
            } else if let Some(found) = self.decide() {
                return Some((found, std::mem::take(&mut self.held), behind(bytes, i + 1)));
            }
        }
        None
    }

    fn decide(&self) -> Option<Found> {
        let held = self.held.as_slice();
        match held {
            // A record separator (RFC 7464) stands before a document.
            [b'{' | b'[' | 0x1e, ..] => return Some(self.documents()),
            _ if FIELDS.contains(&held) => return Some(Found::Events),
            _ => {}
        }
        let may_be = |sign: &&[u8]| sign.starts_with(held);
        let marks = self.fresh && BOM.starts_with(held);
        (!marks && !FIELDS.iter().any(may_be)).then(|| self.by_type())
    }

    fn documents(&self) -> Found {
        Found::Documents(match self.declared {
            Some(Framing::Lines) => Documents::lines(),
            Some(Framing::Sse | Framing::Values | Framing::Aws) | None => Documents::values(),
        })
    }

    /// What it is where the bytes say nothing.
    pub(super) fn by_type(&self) -> Found {
        match self.declared {
            Some(Framing::Sse) => Found::Events,
            Some(Framing::Lines | Framing::Values) => self.documents(),
            Some(Framing::Aws) => Found::Aws,
            None => Found::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::split::{Fed, assert_split_invariant};

    fn found(declared: Option<Framing>, parts: &[Fed<'_>]) -> (&'static str, Vec<u8>) {
        let (mut sniff, mut found, mut seen) = (Sniff::new(declared), "", Vec::new());
        for part in parts {
            let Fed::Data(bytes) = *part else { continue };
            if !found.is_empty() {
                seen.extend_from_slice(bytes);
            } else if let Some((what, held, rest)) = sniff.push(bytes) {
                assert!(held.len() <= PRELUDE);
                seen = [&held, rest].concat();
                found = match what {
                    Found::Events => "events",
                    Found::Documents(_) => "documents",
                    Found::Aws => "aws",
                    Found::Other => "other",
                };
            }
        }
        (found, seen)
    }

    #[test]
    fn the_first_bytes_tell_however_they_are_cut() {
        for (body, want) in [
            ("data: {}\n\n", "events"),
            ("data:{\"a\":1}\n\n", "events"),
            ("event: x\ndata: {}\n\n", "events"),
            ("id: 7\ndata: {}\n\n", "events"),
            ("retry: 7\n\n", "events"),
            ("error: {\"code\":500}\n\n", "events"),
            (": ping\n\n", "events"),
            (":\n\ndata: {}\n\n", "events"),
            ("\r\n \n\tdata: {}\n\n", "events"),
            ("\u{feff}data: {}\n\n", "events"),
            ("\u{feff}\n: x\n\n", "events"),
            ("{\"a\":1}", "documents"),
            ("\u{feff}  {\"a\":1}", "documents"),
            ("\n\n[\n{", "documents"),
            ("\u{1e}{\"a\":1}\n", "documents"),
            ("<html>", "other"),
            ("404 page not found\n", "other"),
            ("dat: x", "other"),
            ("even", ""),
            ("i: 1", "other"),
            ("\u{fee5}x", "other"),
            (" \u{feff}{}", "other"),
            ("ID3\u{3}", "other"),
            ("", ""),
            (" \r\n", ""),
        ] {
            let (got, seen) = assert_split_invariant(body.as_bytes(), |p| found(None, p));
            assert_eq!(got, want, "{body:?}");
            let blank = |c: char| c.is_ascii_whitespace();
            let text = body.trim_start_matches(blank);
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            if matches!(got, "events" | "documents") {
                assert_eq!(seen, text.trim_start_matches(blank).as_bytes(), "{body:?}");
            }
        }
    }

    #[test]
    fn messages_of_aws_are_told_by_the_checksum_of_their_lengths() {
        // Lengths of a message without headers and payload, and of one whose length has a brace in it.
        for total in [16_u32, u32::from(b'{')] {
            let lengths = [total.to_be_bytes(), 0_u32.to_be_bytes()].concat();
            let checksum = crc32fast::hash(&lengths).to_be_bytes();
            let message = [&lengths[..], &checksum, b"rest"].concat();
            for declared in [None, Some(Framing::Values), Some(Framing::Sse)] {
                let (got, seen) = assert_split_invariant(&message, |p| found(declared, p));
                assert_eq!((got, seen), ("aws", message.clone()), "{declared:?}");
                let mut damaged = message.clone();
                damaged[11] ^= 1;
                let (got, _) = assert_split_invariant(&damaged, |p| found(declared, p));
                assert_ne!(got, "aws");
            }
        }
        // Zeros may stand before a document.
        let (got, seen) = assert_split_invariant(b"\0\0{\"a\":1234567}", |p| found(None, p));
        assert_eq!((got, seen), ("documents", b"{\"a\":1234567}".to_vec()));
    }

    #[test]
    fn where_the_bytes_say_nothing_the_type_does() {
        for (declared, want) in [
            (Framing::Sse, "events"),
            (Framing::Values, "documents"),
            (Framing::Lines, "documents"),
            (Framing::Aws, "aws"),
        ] {
            let got = assert_split_invariant(b"foo: bar\n", |p| found(Some(declared), p));
            assert_eq!(got.0, want, "{declared:?}");
        }
    }

    #[test]
    fn a_type_is_what_stands_before_its_parameters() {
        let declared = |kind| Framing::declared(kind);
        assert_eq!(
            declared("text/event-stream; charset=utf-8"),
            Some(Framing::Sse)
        );
        assert_eq!(declared("application/x-ndjson"), Some(Framing::Lines));
        assert_eq!(declared("application/problem+json"), Some(Framing::Values));
        assert_eq!(declared("text/plain"), None);
    }
}
