//! AWS's event stream (`application/vnd.amazon.eventstream`): binary messages with headers.
//!
//! Decoded bytes go in by [`AwsEvents::push`]; payloads come out as events, in fragments, with the
//! name of their kind (`:event-type`, or `:exception-type`, which ends in `Exception`; [`ERROR`] of an
//! error that has none, only an `:error-code`). Ours, since
//! the library wants whole messages and ends at the first that is damaged; it judges this one in the
//! tests. The checksum of a message is passed over: TCP has its own, and we would only count.
//!
//! ```text
//!   Prelude (12, checked) --> Headers --> Payload --> Checksum (4): end, whole --+
//!     ^  | wrong checksum, or a gap                                              |
//!     |  v                                                                       |
//!     | Lost: byte by byte, to the next 12 whose checksum is right               |
//!     +--------------------------------------------------------------------------+
//! ```
//! Source: Amazon Transcribe and S3 documentation, "Event stream encoding"; Smithy 2.0,
//! `application/vnd.amazon.eventstream`.

use super::events::{EventEnd, EventSink};
use crate::cut::{behind, upto};
use crate::limits::MAX_AWS_HEADER_BYTES;

/// Bytes of a message's lengths and their checksum.
pub const PRELUDE: usize = 12;
const CHECKSUM: u32 = 4;

/// Kind of an error that the service does not model.
const ERROR: &str = "error";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Prelude,
    /// Number of bytes of headers that are left, and of the payload behind them.
    Headers {
        left: u32,
        payload: u32,
    },
    Payload {
        left: u32,
    },
    Checksum {
        left: u32,
    },
    Lost,
}

/// The parser. See the module.
#[derive(Debug)]
pub struct AwsEvents {
    state: State,
    /// The prelude under way, or the headers.
    held: Vec<u8>,
    name: String,
    lost: u64,
}

impl Default for AwsEvents {
    fn default() -> Self {
        AwsEvents {
            state: State::Prelude,
            held: Vec::new(),
            name: String::new(),
            lost: 0,
        }
    }
}

impl AwsEvents {
    /// Holes behind which something had to be passed over to find the next message.
    pub fn lost_events(&self) -> u64 {
        self.lost
    }

    /// The next bytes.
    pub fn push<S: EventSink + ?Sized>(&mut self, mut bytes: &[u8], sink: &mut S) {
        while !bytes.is_empty() {
            let taken = match self.state {
                State::Prelude | State::Lost => self.prelude(bytes, sink),
                State::Headers { left, payload } => {
                    let part = first(bytes, left);
                    let room = MAX_AWS_HEADER_BYTES.saturating_sub(self.held.len());
                    self.held.extend_from_slice(upto(part, room));
                    self.state = State::Headers {
                        left: left - length(part),
                        payload,
                    };
                    part.len()
                }
                State::Payload { left } => {
                    let part = first(bytes, left);
                    sink.data(part);
                    self.state = State::Payload {
                        left: left - length(part),
                    };
                    part.len()
                }
                State::Checksum { left } => {
                    let part = first(bytes, left);
                    self.state = State::Checksum {
                        left: left - length(part),
                    };
                    part.len()
                }
            };
            bytes = behind(bytes, taken);
            self.settle(sink);
        }
    }

    /// Bytes are missing here.
    pub fn gap<S: EventSink + ?Sized>(&mut self, sink: &mut S) {
        self.lose(sink);
    }

    /// The body's end.
    pub fn finish<S: EventSink + ?Sized>(&mut self, sink: &mut S) {
        match self.state {
            State::Payload { .. } => sink.end(EventEnd::Damaged),
            State::Prelude | State::Headers { .. } | State::Checksum { .. } | State::Lost => {}
        }
        self.state = State::Prelude;
        self.held.clear();
    }

    fn prelude<S: EventSink + ?Sized>(&mut self, bytes: &[u8], sink: &mut S) -> usize {
        let part = upto(bytes, PRELUDE - self.held.len());
        self.held.extend_from_slice(part);
        if self.held.len() == PRELUDE {
            if let Some((headers, payload)) = lengths(&self.held) {
                self.held.clear();
                self.state = State::Headers {
                    left: headers,
                    payload,
                };
            } else {
                if self.state == State::Prelude {
                    self.lose_here(sink);
                }
                self.held.remove(0);
            }
        }
        part.len()
    }

    /// Passes over what has nothing left.
    fn settle<S: EventSink + ?Sized>(&mut self, sink: &mut S) {
        if let State::Headers { left: 0, payload } = self.state {
            self.name = kind(&self.held).unwrap_or_default();
            self.held.clear();
            self.state = State::Payload { left: payload };
        }
        if let State::Payload { left: 0 } = self.state {
            self.state = State::Checksum { left: CHECKSUM };
            // Its time is that of its last byte; the checksum comes with it.
            sink.end(EventEnd::Whole { name: &self.name });
        }
        if let State::Checksum { left: 0 } = self.state {
            self.state = State::Prelude;
        }
    }

    fn lose<S: EventSink + ?Sized>(&mut self, sink: &mut S) {
        self.held.clear();
        if self.state != State::Lost {
            self.lose_here(sink);
        }
    }

    fn lose_here<S: EventSink + ?Sized>(&mut self, sink: &mut S) {
        self.lost += 1;
        sink.hole();
        sink.end(EventEnd::Damaged);
        self.state = State::Lost;
    }
}

fn first(bytes: &[u8], n: u32) -> &[u8] {
    upto(bytes, usize::try_from(n).unwrap_or(usize::MAX))
}

/// Of a part that is no longer than a `u32` said.
fn length(part: &[u8]) -> u32 {
    u32::try_from(part.len()).unwrap_or(u32::MAX)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}

/// Bytes of headers and of payload, if the prelude is one.
fn lengths(prelude: &[u8]) -> Option<(u32, u32)> {
    let (total, headers, checksum) = (word(prelude, 0)?, word(prelude, 4)?, word(prelude, 8)?);
    if crc32fast::hash(prelude.get(..8)?) != checksum {
        return None;
    }
    let payload = total.checked_sub(headers)?.checked_sub(16)?;
    Some((headers, payload))
}

/// Whether these bytes begin with a message: its lengths have their checksum.
pub fn is_prelude(bytes: &[u8]) -> bool {
    bytes
        .get(..PRELUDE)
        .is_some_and(|prelude| lengths(prelude).is_some())
}

/// The kind of a message, by its headers: name length, name, type (7: text), length, value.
fn kind(mut bytes: &[u8]) -> Option<String> {
    let mut found = None;
    while let Some((&len, rest)) = bytes.split_first() {
        let (name, rest) = rest.split_at_checked(usize::from(len))?;
        let (&value_type, rest) = rest.split_first()?;
        let size = match value_type {
            0 | 1 => 0,
            2 => 1,
            3 => 2,
            4 => 4,
            5 | 8 => 8,
            9 => 16,
            6 | 7 => {
                let size = rest.get(..2)?;
                2 + usize::from(u16::from_be_bytes(size.try_into().ok()?))
            }
            _ => return found,
        };
        let (value, rest) = rest.split_at_checked(size)?;
        if value_type == 7 && name == b":error-code" {
            found = Some(ERROR.to_owned());
        }
        if value_type == 7 && matches!(name, b":event-type" | b":exception-type") {
            found = value
                .get(2..)
                .map(|v| String::from_utf8_lossy(v).into_owned());
        }
        bytes = rest;
    }
    found
}

#[cfg(test)]
mod tests;
