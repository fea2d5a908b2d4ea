//! Against tungstenite, which reads what is written here and writes what is read here. It knows no
//! permessage-deflate: compressed messages are made with flate2, and taken from RFC 7692.
#![expect(clippy::unwrap_used, reason = "tests")]

mod damage;
mod judged;
mod steps;

use flate2::{Compress, Compression, FlushCompress};

use super::*;
use crate::proto::message::MessageEnd;
use crate::stream::Piece;
use crate::testing::Fed;
use crate::time::MonoNs;

/// A message as the parser gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Message {
    kind: Kind,
    compressed: bool,
    data: Vec<u8>,
    gap: u64,
    /// `data` with lost bytes in their places, as long as it is not compressed.
    seen: Vec<Option<u8>>,
    /// Bytes, fragments, damaged; `None`: it did not end.
    end: Option<(u64, u32, bool)>,
}

impl Message {
    /// It claims to be whole.
    fn is_whole(&self) -> bool {
        self.end.is_some_and(|(_, _, damaged)| !damaged)
    }
}

/// What a parser made of one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Got {
    messages: Vec<Message>,
    pings: usize,
    pongs: usize,
    close: Option<Option<u16>>,
    lost: u64,
    /// Bytes that were said to be missing, wherever.
    missing: u64,
    misread: bool,
}

impl Got {
    fn whole(&self) -> Vec<(Kind, &[u8])> {
        let whole = self.messages.iter().filter(|m| m.is_whole());
        whole.map(|m| (m.kind, m.data.as_slice())).collect()
    }

    fn texts(&self) -> Vec<&str> {
        let text = |(_, data)| std::str::from_utf8(data).unwrap();
        self.whole().into_iter().map(text).collect()
    }
}

fn run(parser: &mut Parser, parts: &[Fed<'_>]) -> Got {
    let mut got = Got::default();
    let mut open = false;
    for (n, part) in (1..).zip(parts) {
        let ts = MonoNs(n);
        let piece = match *part {
            Fed::Data(bytes) => Piece::Data { ts, bytes },
            Fed::Gap(len) => Piece::Gap { ts, len },
        };
        let mut cur = Cursor::new(piece, MessageEnd::Aborted);
        while let Some(event) = parser.next(&mut cur) {
            match event {
                Event::MessageStart { kind, compressed } => {
                    assert!(!open, "a message inside another");
                    open = true;
                    got.messages.push(Message {
                        kind,
                        compressed,
                        data: Vec::new(),
                        gap: 0,
                        seen: Vec::new(),
                        end: None,
                    });
                }
                Event::Data(bytes) => {
                    assert!(open && !bytes.is_empty());
                    let message = got.messages.last_mut().unwrap();
                    assert!(message.gap == 0 || !message.compressed);
                    message.data.extend(bytes);
                    message.seen.extend(bytes.iter().map(|b| Some(*b)));
                }
                Event::DataGap(len) => {
                    assert!(open && len > 0);
                    let message = got.messages.last_mut().unwrap();
                    message.gap += len;
                    got.missing += len;
                    let lost = std::iter::repeat_n(None, usize::try_from(len).unwrap());
                    message.seen.extend(lost);
                }
                Event::MessageEnd {
                    wire_bytes,
                    fragments,
                    damaged,
                } => {
                    assert!(std::mem::take(&mut open), "the end of no message");
                    let message = got.messages.last_mut().unwrap();
                    assert!(damaged || message.gap == 0);
                    message.end = Some((wire_bytes, fragments, damaged));
                }
                Event::Ping => got.pings += 1,
                Event::Pong => got.pongs += 1,
                Event::Close { code } => {
                    assert!(got.close.replace(code).is_none(), "two closes");
                    open = false;
                }
                Event::OtherGap(len) => {
                    assert!(len > 0);
                    got.missing += len;
                }
                Event::Lost(len) | Event::Passed(len) => {
                    assert!(len > 0);
                    got.lost += len;
                    got.missing += if matches!(event, Event::Lost(_)) {
                        len
                    } else {
                        0
                    };
                    open = false;
                }
            }
        }
        assert!(cur.is_empty());
    }
    got.misread = parser.is_misread();
    got
}

/// One frame. `first`: FIN, RSV and opcode.
fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let bit = if mask.is_some() { 0x80 } else { 0 };
    let mut out = match payload.len() {
        len @ 0..=125 => vec![first, bit | u8::try_from(len).unwrap()],
        len @ 126..=0xffff => {
            let len = u16::try_from(len).unwrap().to_be_bytes();
            [&[first, bit | 126], &len[..]].concat()
        }
        len => [&[first, bit | 127], &(len as u64).to_be_bytes()[..]].concat(),
    };
    out.extend(mask.iter().flatten());
    let key = mask.unwrap_or_default();
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k));
    out
}

/// The frames of one message: its payload in `fragments` parts, each masked with another key.
fn message(first: u8, mask: Option<u32>, payload: &[u8], fragments: usize) -> Vec<Vec<u8>> {
    let size = payload.len().div_ceil(fragments).max(1);
    let mut parts: Vec<&[u8]> = payload.chunks(size).collect();
    if parts.is_empty() {
        parts.push(&[]);
    }
    let last = parts.len() - 1;
    let one = |(i, part): (usize, &&[u8])| {
        let opcode = if i == 0 { first & 0x7f } else { 0 };
        let fin = if i == last { 0x80 } else { 0 };
        let key = mask.map(|m| m.wrapping_mul(2 * i as u32 + 1).to_be_bytes());
        frame(fin | opcode, key, part)
    };
    parts.iter().enumerate().map(one).collect()
}

/// Compresses messages as RFC 7692, section 7.2.1, says.
struct Deflater {
    compress: Compress,
    takeover: bool,
}

impl Deflater {
    fn new(takeover: bool) -> Deflater {
        Deflater {
            compress: Compress::new(Compression::default(), false),
            takeover,
        }
    }

    fn message(&mut self, text: &[u8]) -> Vec<u8> {
        if !self.takeover {
            self.compress.reset();
        }
        let mut out = Vec::with_capacity(text.len() + 1024);
        let before = self.compress.total_in();
        self.compress
            .compress_vec(text, &mut out, FlushCompress::Sync)
            .unwrap();
        assert_eq!(self.compress.total_in() - before, text.len() as u64);
        assert_eq!(out.split_off(out.len() - 4), [0, 0, 0xff, 0xff]);
        if text.is_empty() { vec![0] } else { out }
    }
}

fn params(takeover: bool) -> Params {
    Params {
        no_context_takeover: !takeover,
        max_window_bits: 15,
    }
}

/// Bytes that look like none in particular.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// A token's message, the `n`th.
fn token(n: usize) -> String {
    format!("{{\"type\":\"response.output_text.delta\",\"n\":{n},\"delta\":\" tok{n}\"}}")
}
