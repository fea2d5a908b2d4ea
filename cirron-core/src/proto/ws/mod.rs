//! WebSocket (RFC 6455) with permessage-deflate (RFC 7692): a parser of one direction of one
//! connection, from the first byte behind the handshake.
//!
//! Stands where [`super::h1`] stands, once a `101` has ended the HTTP/1 of a connection. [`Parser`]
//! takes a [`Cursor`] over one piece and gives one [`Event`] at a time; what it gives is unmasked and
//! inflated. [`Deflate`] reads what the handshake agreed on. Ours, since every library is an end
//! point: it answers, it ends the connection at the first hole, and it cannot join late.
//!
//! ```text
//!               +----------- end of frame ------------+
//!               v                                     |
//!   new() -> Header ----------header----------> Payload ---last of a compressed message---> Drain
//!               |  ^                                  |                                       |
//!   hole, or    |  | a row of frame headers (`chain`) +--Close--> Closed      Header <--------+
//!   after one,  v  |
//!   not valid  Resync                      not valid, and never a hole: Opaque
//! ```
//! A hole inside the payload of a frame is bridged, since the frame's header says where the next one
//! begins: it costs bytes of the message ([`Event::DataGap`]), and the rest of it if it is
//! compressed. With context takeover it costs the text of every later compressed message too. A hole
//! over a frame header costs whatever stood behind it ([`Event::Lost`]), until a row of headers is
//! found where a piece begins; so does a hole of unknown length ([`Parser::lose_place`]).
//!
//! What it does not do: check that text is UTF-8, demand that one side masks and the other does not
//! (the mask bit of each frame counts), demand the shortest form of a length, undo extensions other
//! than permessage-deflate (their frames are misread).

mod chain;
mod deflate;
mod frame;
mod parser;

pub(crate) use super::cursor::Cursor;
pub(crate) use deflate::{Deflate, Params};
pub(crate) use parser::Parser;

use std::fmt;

/// What a message holds, as its first frame says (RFC 6455, section 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// UTF-8; it is not checked.
    Text,
    /// Anything.
    Binary,
}

/// What the parser saw. Its time is the cursor's. Bytes of payload are not in its `Debug` form.
///
/// A message is [`MessageStart`](Event::MessageStart), then [`Data`](Event::Data) and
/// [`DataGap`](Event::DataGap), then [`MessageEnd`](Event::MessageEnd); control frames come between
/// them. [`Lost`](Event::Lost), [`Close`](Event::Close) and the end of the connection end a message
/// too: it is then not complete.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event<'e> {
    /// The first frame of a message began.
    MessageStart {
        /// What it holds.
        kind: Kind,
        /// It is sent compressed.
        compressed: bool,
    },
    /// Bytes of the message, unmasked and inflated. At least one.
    Data(&'e [u8]),
    /// Bytes of the message, as sent, that were lost. At least 1. If it is compressed, no more
    /// [`Event::Data`] comes.
    DataGap(u64),
    /// The message is complete on the wire.
    MessageEnd {
        /// Bytes of its frames' payloads as sent (compressed), those in holes too.
        wire_bytes: u64,
        /// Its frames, at least 1.
        fragments: u32,
        /// Its bytes were not all given: a hole, or what cannot be inflated.
        damaged: bool,
    },
    /// A ping passed.
    Ping,
    /// A pong passed.
    Pong,
    /// This side ends the connection (RFC 6455, section 5.5.1); what it sends later is ignored.
    Close {
        /// Why, as section 7.4 numbers it; `None`: not said, or lost.
        code: Option<u16>,
    },
    /// Number of bytes that were lost (0: not known), and with them the place: any frames may be missing,
    /// and the message under way is lost.
    Lost(u64),
    /// Number of bytes that passed of which no frame is known. They mean the same, and were not lost.
    Passed(u64),
    /// Bytes were lost that are of no message whose beginning was seen: a control frame's, say.
    OtherGap(u64),
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Event::MessageStart { kind, compressed } => f
                .debug_struct("MessageStart")
                .field("kind", &kind)
                .field("compressed", &compressed)
                .finish(),
            Event::Data(bytes) => write!(f, "Data({} bytes)", bytes.len()),
            Event::DataGap(len) => f.debug_tuple("DataGap").field(&len).finish(),
            Event::MessageEnd {
                wire_bytes,
                fragments,
                damaged,
            } => f
                .debug_struct("MessageEnd")
                .field("wire_bytes", &wire_bytes)
                .field("fragments", &fragments)
                .field("damaged", &damaged)
                .finish(),
            Event::Ping => f.write_str("Ping"),
            Event::Pong => f.write_str("Pong"),
            Event::Close { code } => f.debug_struct("Close").field("code", &code).finish(),
            Event::Lost(len) => f.debug_tuple("Lost").field(&len).finish(),
            Event::Passed(len) => f.debug_tuple("Passed").field(&len).finish(),
            Event::OtherGap(len) => f.debug_tuple("OtherGap").field(&len).finish(),
        }
    }
}

#[cfg(test)]
mod tests;
