//! gRPC: the messages of one body, each behind a flag and its length.
//!
//! Ours, since the libraries are end points: they want every byte. Compression is the message's own
//! matter (`grpc-encoding`, undone message by message), not the body's. Where nobody saw that field
//! (HTTP/2, joined late), a compressed message's own first byte tells gzip and zlib apart.
//!
//! ```text
//!   Prefix (5) --> Payload --> end of message --> Prefix
//!      | gap, or a flag that is none   | a gap of known length inside: damaged, and goes on
//!      v                               | any other gap
//!     Lost, for good  <----------------+
//! ```
//! A prefix cannot be told from any other bytes: behind a hole over one nothing is known until the
//! end. Source: gRPC over HTTP/2, "Length-Prefixed-Message".

use super::inflate::Inflate;
use crate::cut::fill;

const PREFIX: usize = 5;

/// What the parser finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Bytes of the message under way, decompressed. Only where they are wanted.
    Data(&'a [u8]),
    /// Bytes of it are missing here.
    Hole,
    /// It is complete on the wire.
    End {
        /// Its length as sent, without the prefix.
        wire_bytes: u64,
        /// All of it was given, if bytes are wanted at all.
        read: bool,
    },
    /// Messages may be missing from here on; the one under way is lost.
    Lost,
}

enum State {
    Prefix { bytes: [u8; PREFIX], have: usize },
    Payload { left: u64 },
    Lost,
}

/// Splits one body.
pub struct GrpcMessages {
    state: State,
    /// `grpc-encoding`; `None`: bytes are not wanted.
    encoding: Option<String>,
    inflate: Inflate,
    wire_bytes: u64,
    damaged: bool,
    /// It is compressed, and nobody said how.
    untold: bool,
    lost: bool,
}

impl std::fmt::Debug for GrpcMessages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrpcMessages")
            .field("encoding", &self.encoding)
            .finish_non_exhaustive()
    }
}

const START: State = State::Prefix {
    bytes: [0; PREFIX],
    have: 0,
};

impl GrpcMessages {
    /// Bytes that it holds, about.
    pub fn held_bytes(&self) -> usize {
        size_of::<GrpcMessages>() + self.inflate.held_bytes()
    }

    /// Reads no more of the messages, only counts them: what its decoder holds is free.
    pub fn give_up(&mut self) {
        self.inflate.stop();
        self.encoding = None;
    }

    /// For a body of which only the messages are of interest.
    pub fn counting() -> GrpcMessages {
        GrpcMessages {
            state: START,
            encoding: None,
            inflate: Inflate::new(None),
            wire_bytes: 0,
            damaged: false,
            untold: false,
            lost: false,
        }
    }

    /// For a body whose messages are read; `encoding`: its `grpc-encoding`, empty where it was not seen.
    pub fn reading(encoding: &str) -> GrpcMessages {
        GrpcMessages {
            encoding: Some(encoding.to_owned()),
            ..GrpcMessages::counting()
        }
    }

    /// Whether messages may be missing.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// The next bytes.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut dyn FnMut(Part<'_>)) {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Lost => return,
                State::Prefix { bytes: held, have } => {
                    let (taken, rest) = bytes.split_at(bytes.len().min(PREFIX - *have));
                    fill(held, *have, taken);
                    *have += taken.len();
                    bytes = rest;
                    if *have == PREFIX {
                        let held = *held;
                        self.begin(held, out);
                    }
                }
                State::Payload { left } => {
                    let len = usize::try_from(*left).unwrap_or(usize::MAX);
                    let (taken, rest) = bytes.split_at(bytes.len().min(len));
                    *left -= taken.len() as u64;
                    bytes = rest;
                    if std::mem::take(&mut self.untold) {
                        self.tell(taken);
                    }
                    if self.encoding.is_some() && !self.damaged {
                        self.inflate.push(taken, &mut |data| out(Part::Data(data)));
                    }
                    self.settle(out);
                }
            }
        }
    }

    /// Bytes are missing here; 0: how many is not known.
    pub fn gap(&mut self, len: u64, out: &mut dyn FnMut(Part<'_>)) {
        match &mut self.state {
            State::Payload { left } if len > 0 && len <= *left => {
                *left -= len;
                self.damaged = true;
                out(Part::Hole);
                self.settle(out);
            }
            State::Payload { .. } | State::Prefix { .. } => self.lose(out),
            State::Lost => {}
        }
    }

    /// The body's end: a message under way is lost.
    pub fn finish(&mut self, out: &mut dyn FnMut(Part<'_>)) {
        match self.state {
            State::Payload { .. } | State::Prefix { have: 1.., .. } => self.lose(out),
            State::Prefix { have: 0, .. } | State::Lost => {}
        }
    }

    fn lose(&mut self, out: &mut dyn FnMut(Part<'_>)) {
        self.state = State::Lost;
        self.lost = true;
        out(Part::Lost);
    }

    fn begin(&mut self, [flag, len @ ..]: [u8; PREFIX], out: &mut dyn FnMut(Part<'_>)) {
        if flag > 1 {
            return self.lose(out);
        }
        self.wire_bytes = u64::from(u32::from_be_bytes(len));
        self.state = State::Payload {
            left: self.wire_bytes,
        };
        self.damaged = false;
        if let Some(encoding) = &self.encoding {
            self.inflate = Inflate::new(Some(encoding).filter(|_| flag == 1).map(String::as_str));
            self.damaged = flag == 1 && encoding == "identity";
            self.untold = flag == 1 && encoding.is_empty();
        }
        self.settle(out);
    }

    /// By the first byte of a message whose compression was not told (RFC 1952, RFC 1950).
    fn tell(&mut self, payload: &[u8]) {
        let coding = match payload.first() {
            Some(0x1f) => "gzip",
            Some(byte) if byte & 0x0f == 8 => "deflate",
            Some(_) | None => return self.damaged = true,
        };
        self.inflate = Inflate::new(Some(coding));
    }

    fn settle(&mut self, out: &mut dyn FnMut(Part<'_>)) {
        if let State::Payload { left: 0 } = self.state {
            self.state = START;
            out(Part::End {
                wire_bytes: self.wire_bytes,
                read: !self.damaged && !self.untold && self.inflate.finish(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::io::Write as _;

    use super::*;
    use crate::testing::{Fed, assert_gap_safe, assert_split_invariant};

    /// What was read of one, its bytes on the wire, and whether that is all of it.
    type Message = (Vec<u8>, u64, bool);

    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    struct Got {
        messages: Vec<Message>,
        lost: bool,
    }

    fn run(encoding: &str, parts: &[Fed<'_>]) -> Got {
        let mut parser = GrpcMessages::reading(encoding);
        let (mut got, mut data) = (Got::default(), Vec::new());
        let mut take = |part: Part<'_>| match part {
            Part::Data(bytes) => data.extend_from_slice(bytes),
            Part::Hole => {}
            Part::End { wire_bytes, read } => {
                let data = std::mem::take(&mut data);
                got.messages.push((data, wire_bytes, read));
            }
            Part::Lost => {
                data.clear();
                got.lost = true;
            }
        };
        for part in parts {
            match *part {
                Fed::Data(bytes) => parser.push(bytes, &mut take),
                Fed::Gap(len) => parser.gap(len, &mut take),
            }
        }
        parser.finish(&mut take);
        got
    }

    fn message(flag: u8, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[flag][..], &len, payload].concat()
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn messages_come_out_however_the_body_is_cut() {
        let packed = gzip(b"hello hello hello");
        let body = [
            message(0, b"one"),
            message(0, b""),
            message(1, &packed),
            message(0, b"four"),
        ]
        .concat();
        let got = assert_split_invariant(&body, |parts| run("gzip", parts));
        let want = [
            (b"one".to_vec(), 3, true),
            (Vec::new(), 0, true),
            (b"hello hello hello".to_vec(), packed.len() as u64, true),
            (b"four".to_vec(), 4, true),
        ];
        assert_eq!(got.messages, want);
        assert!(!got.lost);
    }

    #[test]
    fn a_hole_inside_a_message_costs_that_one_and_over_a_prefix_the_rest() {
        let body = [message(0, b"first"), message(0, b"second")].concat();
        let whole = run("", &[Fed::Data(&body)]);
        assert_gap_safe(
            &body,
            |parts| run("", parts),
            |got, hole| {
                for (message, want) in got.messages.iter().zip(&whole.messages) {
                    let (data, wire_bytes, read) = message;
                    assert_eq!(*wire_bytes, want.1, "{hole:?}");
                    assert!(!read || *data == want.0, "{hole:?}");
                }
                let all = got.messages.len() == whole.messages.len();
                assert!(all || got.lost, "{hole:?}");
            },
        );
    }

    #[test]
    fn a_compression_that_nobody_saw_named_is_told_by_its_first_byte() {
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(b"hello hello").unwrap();
        let body = [
            message(1, &gzip(b"hello hello")),
            message(1, &zlib.finish().unwrap()),
            message(1, b"neither"),
            message(1, b""),
        ]
        .concat();
        let got = assert_split_invariant(&body, |parts| run("", parts));
        let read: Vec<_> = got
            .messages
            .iter()
            .map(|(data, _, read)| (&data[..], *read))
            .collect();
        let hello = &b"hello hello"[..];
        assert_eq!(
            read,
            [(hello, true), (hello, true), (&[], false), (&[], false)]
        );
    }

    #[test]
    fn what_cannot_be_decompressed_is_counted_and_not_read() {
        for (encoding, payload) in [("", &b"abc"[..]), ("snappy", b"abc"), ("gzip", b"abc")] {
            let got = run(encoding, &[Fed::Data(&message(1, payload))]);
            assert_eq!(got.messages.len(), 1);
            let (_, wire_bytes, read) = got.messages[0];
            assert_eq!((wire_bytes, read), (3, false), "{encoding}");
        }
    }

    #[test]
    fn a_flag_that_is_none_ends_it() {
        let got = run("", &[Fed::Data(b"<html>what is this</html>")]);
        assert!(got.lost && got.messages.is_empty());
    }
}
