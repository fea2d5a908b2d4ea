//! Protocol buffers: an incremental scanner that gives the fields that are asked for.
//!
//! Bytes of one message go in by [`Scanner::push`], in pieces of any size; [`ProtobufSink`] says of each
//! field with a length whether it is a message to walk into, a text to keep, or neither. Ours, since
//! the libraries decode whole messages: a tensor of megabytes would be held to learn a model's name.
//! prost judges it in the tests.
//!
//! ```text
//!   Tag --0--> Varint --> Tag      --1, 5--> Fixed --> Tag
//!       --2--> Length --> Bytes --> Tag, or Tag one level deeper
//!       --3, 4, or not valid, or a hole--> Stopped
//! ```
//! Behind a hole nothing is read: a field's beginning cannot be told there. Source: protobuf.dev,
//! "Encoding".

use crate::cut::upto;
use crate::limits::{MAX_PROTOBUF_DEPTH, MAX_PROTOBUF_TEXT_BYTES};

/// What to do with a field that has a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Nothing.
    Skip,
    /// It is a message of interest.
    Into,
    /// It is a text of interest.
    Text,
}

/// Takes what the scanner finds. `path`: field numbers, from the outermost.
pub trait ProtobufSink {
    /// A field with a length begins.
    fn field(&mut self, path: &[u32]) -> Want;
    /// A text: its beginning, and whether that is all of it.
    fn text(&mut self, path: &[u32], text: &[u8], whole: bool);
    /// A number: varint or fixed.
    fn number(&mut self, path: &[u32], value: u64);
}

#[derive(Debug)]
enum State {
    Tag(Varint),
    Number(Varint),
    Fixed { left: u32, shift: u32, value: u64 },
    Length(Varint),
    Bytes { left: u64, keep: bool },
    Stopped,
}

/// A varint under way.
#[derive(Clone, Copy, Debug, Default)]
struct Varint {
    value: u64,
    shift: u32,
}

impl Varint {
    /// `Some(Ok)`: complete; `Some(Err)`: none.
    fn push(&mut self, byte: u8) -> Option<Result<u64, ()>> {
        if self.shift >= 64 {
            return Some(Err(()));
        }
        self.value |= u64::from(byte & 0x7f) << self.shift;
        self.shift += 7;
        (byte & 0x80 == 0).then_some(Ok(self.value))
    }
}

/// The scanner of one message after the other.
#[derive(Debug)]
pub struct Scanner {
    state: State,
    /// Field numbers down to the one under way.
    path: Vec<u32>,
    /// Bytes left of each message that was walked into.
    left: Vec<u64>,
    text: Vec<u8>,
}

const TAG: State = State::Tag(Varint { value: 0, shift: 0 });

impl Default for Scanner {
    fn default() -> Self {
        Scanner {
            state: TAG,
            path: Vec::new(),
            left: Vec::new(),
            text: Vec::new(),
        }
    }
}

impl Scanner {
    /// Bytes are missing here.
    pub fn gap(&mut self) {
        self.state = State::Stopped;
    }

    /// The message's end, and the beginning of the next. True: it was one, whole.
    pub fn finish(&mut self) -> bool {
        let whole =
            matches!(self.state, State::Tag(Varint { shift: 0, .. })) && self.left.is_empty();
        self.state = TAG;
        self.path.clear();
        self.left.clear();
        self.text.clear();
        whole
    }

    /// The next bytes.
    pub fn push<S: ProtobufSink + ?Sized>(&mut self, mut bytes: &[u8], sink: &mut S) {
        while let [first, rest @ ..] = bytes {
            match &mut self.state {
                State::Stopped => return,
                State::Bytes { left, keep } => {
                    let len = usize::try_from(*left).unwrap_or(usize::MAX);
                    let (taken, rest) = bytes.split_at(bytes.len().min(len));
                    *left -= taken.len() as u64;
                    if *keep {
                        let room = MAX_PROTOBUF_TEXT_BYTES - self.text.len();
                        self.text.extend_from_slice(upto(taken, room));
                    }
                    self.use_up(taken.len() as u64);
                    bytes = rest;
                    self.end_bytes(sink);
                }
                State::Tag(_) | State::Number(_) | State::Fixed { .. } | State::Length(_) => {
                    bytes = rest;
                    self.use_up(1);
                    self.byte(*first, sink);
                }
            }
        }
    }

    /// Number of bytes that were taken of every message that is open.
    fn use_up(&mut self, len: u64) {
        for left in &mut self.left {
            match left.checked_sub(len) {
                Some(rest) => *left = rest,
                None => self.state = State::Stopped,
            }
        }
    }

    fn byte<S: ProtobufSink + ?Sized>(&mut self, byte: u8, sink: &mut S) {
        match &mut self.state {
            State::Tag(tag) => match tag.push(byte) {
                None => {}
                Some(Ok(tag)) => self.begin(tag),
                Some(Err(())) => self.state = State::Stopped,
            },
            State::Number(number) => match number.push(byte) {
                None => {}
                Some(Ok(value)) => {
                    sink.number(&self.path, value);
                    self.end_field();
                }
                Some(Err(())) => self.state = State::Stopped,
            },
            State::Fixed { left, shift, value } => {
                *value |= u64::from(byte) << *shift;
                *shift += 8;
                *left -= 1;
                if *left == 0 {
                    let value = *value;
                    sink.number(&self.path, value);
                    self.end_field();
                }
            }
            State::Length(length) => match length.push(byte) {
                None => {}
                Some(Ok(len)) => self.begin_bytes(len, sink),
                Some(Err(())) => self.state = State::Stopped,
            },
            State::Bytes { .. } | State::Stopped => {}
        }
    }

    fn begin(&mut self, tag: u64) {
        let field = u32::try_from(tag >> 3).unwrap_or(0);
        self.path.push(field);
        self.state = match tag & 7 {
            _ if field == 0 => State::Stopped,
            0 => State::Number(Varint::default()),
            1 => fixed(8),
            2 => State::Length(Varint::default()),
            5 => fixed(4),
            _ => State::Stopped,
        };
    }

    fn begin_bytes<S: ProtobufSink + ?Sized>(&mut self, len: u64, sink: &mut S) {
        if self.left.last().is_some_and(|left| len > *left) {
            self.state = State::Stopped;
            return;
        }
        let want = sink.field(&self.path);
        if want == Want::Into && self.path.len() < MAX_PROTOBUF_DEPTH {
            self.left.push(len);
            self.state = TAG;
            self.leave();
            return;
        }
        self.text.clear();
        self.state = State::Bytes {
            left: len,
            keep: want == Want::Text,
        };
        self.end_bytes(sink);
    }

    fn end_bytes<S: ProtobufSink + ?Sized>(&mut self, sink: &mut S) {
        let State::Bytes { left: 0, keep } = self.state else {
            return;
        };
        if keep {
            let whole = self.text.len() < MAX_PROTOBUF_TEXT_BYTES;
            sink.text(&self.path, &self.text, whole);
        }
        self.end_field();
    }

    fn end_field(&mut self) {
        self.path.pop();
        self.state = TAG;
        self.leave();
    }

    /// Leaves the messages that end here.
    fn leave(&mut self) {
        while self.left.last() == Some(&0) {
            self.left.pop();
            self.path.pop();
        }
    }
}

fn fixed(left: u32) -> State {
    State::Fixed {
        left,
        shift: 0,
        value: 0,
    }
}

#[cfg(test)]
mod tests;
