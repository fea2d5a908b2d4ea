//! HTTP/2 (RFC 9113): a parser of one direction of one connection.
//!
//! Stands between the stream assembler and the pairing of requests and responses. [`Parser`] takes
//! a [`Cursor`] over one piece and gives one [`Event`] at a time. Header blocks are decoded here, in
//! the order of their capture ([`hpack`]). Ours, since every library is an end point: it wants the
//! preface, answers SETTINGS, and ends the connection at the first thing that it cannot resolve.
//!
//! ```text
//!              +------------------ end of frame -------------------+
//!              v                                                   |
//!   [Preface|Header] --header--> Data | Block | Small | Skip ------+
//!              |  ^
//!   hole, or   |  |  a row of frame headers (`chain`)
//!   not HTTP/2 v  |
//!            [Resync] <-- joined late
//! ```
//! A hole inside the payload of a frame is bridged, since the frame's header says where the next one
//! begins: it costs body bytes ([`Event::DataGap`]) or a header block ([`Event::HeadersLost`], and
//! what the dynamic table held). A hole over a frame header costs whatever stood behind it
//! ([`Event::Lost`]), until a row of headers is found again.

mod chain;
mod frame;
mod heads;
pub(crate) mod hpack;
mod parser;

pub(crate) use super::cursor::Cursor;
pub(crate) use chain::find as find_frames;
pub(crate) use chain::may_begin as may_begin_frame;
pub(crate) use heads::HeaderList;
pub(crate) use parser::PREFACE;
pub(crate) use parser::Parser;

use crate::time::MonoNs;

/// What the parser saw. Its time is the cursor's, unless it carries its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event<'i> {
    /// A header list is complete: a head, or trailers.
    Headers(Box<Heads>),
    /// A header list that cannot be read: a hole, or not HPACK.
    HeadersLost {
        /// Its stream.
        stream: u32,
        /// When its first byte passed.
        start: MonoNs,
        /// Bytes of it in holes.
        len: u64,
        /// The message ends here.
        end: bool,
    },
    /// Body bytes.
    Data {
        /// Their stream.
        stream: u32,
        /// At least one.
        bytes: &'i [u8],
    },
    /// Body bytes that were lost.
    DataGap {
        /// Their stream.
        stream: u32,
        /// At least 1.
        len: u64,
    },
    /// The message ended with its body.
    End {
        /// Its stream.
        stream: u32,
    },
    /// This side gave up a stream (RFC 9113, section 6.4).
    Reset {
        /// Which.
        stream: u32,
        /// Why, as section 7 numbers it; `None`: lost.
        code: Option<u32>,
    },
    /// This side takes no streams above `last` (RFC 9113, section 6.8).
    GoAway {
        /// The last one.
        last: u32,
    },
    /// Frames are missing: any stream may lack anything. Least number of bytes that are missing.
    Lost(u64),
}

/// A header list and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heads {
    /// Its stream.
    pub stream: u32,
    /// When its first byte passed.
    pub start: MonoNs,
    /// The list.
    pub list: HeaderList,
    /// The message ends here.
    pub end: bool,
}

#[cfg(test)]
pub(crate) mod tests;
