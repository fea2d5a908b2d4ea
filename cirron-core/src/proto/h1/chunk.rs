//! The chunked coding (RFC 9112, section 7.1), as a machine that can stop at any byte.
//!
//! Ours, and not httparse's `parse_chunk_size`, because a hole inside a chunk must leave the rest
//! of it framed, and because a size line may arrive byte by byte.
//!
//! ```text
//!   Size -> Ext -> SizeLf -> Data(left), CR -> DataLf -> Size
//!                    |  size 0
//!                    +--> Done: trailers follow (the parser reads them as a head)
//! ```

use crate::limits::MAX_CHUNK_EXT_BYTES;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size {
        digits: u8,
    },
    Ext {
        len: u32,
    },
    SizeLf,
    /// Content, then its line end.
    Data,
    DataLf,
    Done,
}

/// One step of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChunkStep {
    /// The input is used up.
    NeedMore,
    /// Number of bytes of content that follow in the input.
    Data(usize),
    /// The last chunk's line is complete.
    Done,
    /// Not chunked coding.
    Bad,
}

/// A body in chunked coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunks {
    state: State,
    left: u64,
}

impl Chunks {
    pub(super) fn new() -> Chunks {
        Chunks {
            state: State::Size { digits: 0 },
            left: 0,
        }
    }

    /// Takes framing from `input`; says how many bytes of it, and what follows. Content that is
    /// announced counts as taken by the caller.
    pub(super) fn step(&mut self, input: &[u8]) -> (usize, ChunkStep) {
        for (i, &b) in input.iter().enumerate() {
            self.state = match self.state {
                State::Data if self.left > 0 => {
                    let n = usize::try_from(self.left)
                        .unwrap_or(usize::MAX)
                        .min(input.len() - i);
                    self.left -= n as u64;
                    return (i, ChunkStep::Data(n));
                }
                State::Data => match b {
                    b'\r' => State::DataLf,
                    b'\n' => State::Size { digits: 0 },
                    _ => return (i, ChunkStep::Bad),
                },
                State::DataLf => match b {
                    b'\n' => State::Size { digits: 0 },
                    _ => return (i, ChunkStep::Bad),
                },
                State::Size { digits } => match ((b as char).to_digit(16), b, digits) {
                    (Some(_), _, 16..) => return (i, ChunkStep::Bad),
                    (Some(d), _, 0..16) => {
                        self.left = (self.left << 4) | u64::from(d);
                        State::Size { digits: digits + 1 }
                    }
                    (None, _, 0) => return (i, ChunkStep::Bad),
                    (None, b'\r', _) => State::SizeLf,
                    (None, b'\n', _) => self.line_done(),
                    // Some servers pad the size with blanks.
                    (None, b';' | b' ' | b'\t', _) => State::Ext { len: 0 },
                    (None, _, _) => return (i, ChunkStep::Bad),
                },
                State::Ext { len } => match b {
                    b'\r' => State::SizeLf,
                    b'\n' => self.line_done(),
                    _ if len >= MAX_CHUNK_EXT_BYTES => return (i, ChunkStep::Bad),
                    _ => State::Ext { len: len + 1 },
                },
                State::SizeLf => match b {
                    b'\n' => self.line_done(),
                    _ => return (i, ChunkStep::Bad),
                },
                State::Done => return (i, ChunkStep::Done),
            };
            if self.state == State::Done {
                return (i + 1, ChunkStep::Done);
            }
        }
        (input.len(), ChunkStep::NeedMore)
    }

    fn line_done(&mut self) -> State {
        if self.left == 0 {
            State::Done
        } else {
            State::Data
        }
    }

    /// A hole of `len` bytes: how many of them were content of the open chunk, and how many of its
    /// framing are certain all the same. A hole that goes exactly two bytes beyond the content, as
    /// the cut tail of a write does, took the CRLF; what follows shows whether that was right.
    pub(super) fn bridge(&mut self, len: u64) -> (u64, u64) {
        if self.state != State::Data {
            return (0, 0);
        }
        let content = len.min(self.left);
        self.left -= content;
        if len - content == 2 {
            self.state = State::Size { digits: 0 };
            return (content, 2);
        }
        (content, 0)
    }

    /// The last chunk's line has passed.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }
}
