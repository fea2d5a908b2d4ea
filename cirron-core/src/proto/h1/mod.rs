//! HTTP/1.0 and 1.1 (RFC 9112): a parser of one direction of one connection.
//!
//! Stands between the stream assembler and the pairing of requests and responses. [`Parser`] takes
//! a [`Cursor`] over one piece and gives one [`Event`] at a time, so that the caller can stop in
//! the middle of a piece, for instance until the request of a response is known. Body bytes are
//! slices of the piece. It promises that each message that began ends exactly once, and that the
//! events of whole messages do not depend on where the pieces were cut.
//!
//! Heads and trailers are parsed by httparse; the framing (lengths, chunks, where to go on after
//! a hole) is ours, since no library goes on after a hole or joins in the middle.
//!
//! ```text
//!                  +------------------------- end of message ----------------------+
//!                  v                                                               |
//!   joined --> [Resync] --start line--> [Head] --> Length | Chunked | UntilEof ----+
//!                ^   |                    |           |          |
//!                |   +-- chunk, "data:" --|-----------|--> Chunked | LateText (responses)
//!                +---- hole, invalid -----+           |          |
//!                +---- hole over a chunk-size line ---+----------+
//! ```
//! A hole inside a body of known length, inside a chunk, or in a close-delimited body is bridged:
//! [`Event::BodyGap`], and the framing stands. In `Resync` a start line is looked for where a piece
//! begins (a system call, most often) and after each CRLF. A response whose framing was lost stays
//! open there, since its chunks can be found again: it ends as `Lost` at the next start line.

mod chunk;
mod framing;
mod head;
pub(crate) mod late;
mod parser;
pub(crate) mod start_line;

#[cfg(test)]
pub(crate) use head::{HeadStatus, parse_request};
pub(crate) use parser::Parser;

pub(crate) use super::cursor::Cursor;

use crate::proto::message::{Headers, RequestHead, ResponseHead};
use crate::time::MonoNs;

/// What a direction carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grammar {
    /// Requests.
    Request,
    /// Responses.
    Response,
}

/// What a response answers, as far as it decides its framing (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerTo {
    /// A HEAD request: no body.
    Head,
    /// A CONNECT request: a 2xx makes a tunnel.
    Connect,
    /// Any other, or one that we did not see.
    Other,
}

impl AnswerTo {
    /// From a method.
    pub(crate) fn method(method: &str) -> AnswerTo {
        match method {
            "HEAD" => AnswerTo::Head,
            "CONNECT" => AnswerTo::Connect,
            _ => AnswerTo::Other,
        }
    }
}

/// What the parser saw. Its time is the cursor's, unless it carries its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event<'i> {
    /// A request's head is complete.
    Request {
        /// When its first byte passed.
        start: MonoNs,
        /// The head.
        head: RequestHead,
    },
    /// A final response's head (or `101`) is complete.
    Response {
        /// When its first byte passed.
        start: MonoNs,
        /// The head.
        head: ResponseHead,
    },
    /// A 1xx other than 101.
    Informational(ResponseHead),
    /// A message began and its head is unusable: a hole, or not HTTP.
    HeadLost {
        /// When its first byte passed, if it was seen.
        start: Option<MonoNs>,
        /// Bytes in the hole; 0 if the head was invalid.
        len: u64,
    },
    /// The body of a response whose head was not seen begins.
    LateBody,
    /// Body bytes.
    Body(&'i [u8]),
    /// Body bytes that were kept for a while; only when joining.
    HeldBody(Vec<u8>),
    /// Body bytes that were lost. Where framing was lost with them, it is counted in.
    BodyGap(u64),
    /// Bytes in a hole between messages, while looking for a start line.
    Hole(u64),
    /// Trailer fields of a chunked body; never empty.
    Trailers(Headers),
    /// The message ended.
    End(crate::proto::message::MessageEnd),
    /// A start line was found again.
    Synced,
}

#[cfg(test)]
mod tests;
