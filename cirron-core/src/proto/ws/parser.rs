//! The parser of one direction: from pieces to frames, from frames to messages. See [`super`].

use std::fmt;

use super::chain::{self, Known, Row};
use super::deflate::{Inflater, TAIL};
use super::frame::{FrameHeader, MAX_FRAME_HEADER_LEN, Opcode, header_len, is_close_code, unmask};
use super::{Cursor, Event, Kind, Params};
use crate::cut::{behind, fill, upto};
use crate::limits::{MAX_WS_MISREADS, WS_CHUNK_BYTES};

/// What the handshake agreed on.
enum Compression {
    None,
    Deflate(Box<Inflater>),
}

enum State {
    Header {
        bytes: [u8; MAX_FRAME_HEADER_LEN],
        have: usize,
    },
    Payload(Frame),
    /// The last frame of a compressed message is complete, its text may not be.
    Drain,
    /// `Some`: number of bytes from here to where a frame perhaps ends.
    Resync(Option<u64>),
    Closed,
    Opaque,
}

const HEADER: State = State::Header {
    bytes: [0; MAX_FRAME_HEADER_LEN],
    have: 0,
};

/// A frame under way.
struct Frame {
    header: FrameHeader,
    left: u64,
    /// The first bytes of a close frame, as far as they were seen.
    code: [Option<u8>; 2],
}

/// What is known of messages between two frames.
enum Open {
    /// None is under way.
    No,
    /// Nothing: behind a hole.
    Unknown,
    /// One is whose beginning was not seen.
    Tail,
    Message(Message),
}

/// A message under way.
struct Message {
    compressed: bool,
    wire_bytes: u64,
    fragments: u32,
    damaged: bool,
}

/// What a step came to.
enum WebSocketStep<'i> {
    Event(Event<'i>),
    /// Number of bytes of `out` that are data.
    Out(usize),
    Again,
    /// The piece is used up.
    Starved,
}

/// Parses one direction.
pub(crate) struct Parser {
    state: State,
    compression: Compression,
    open: Open,
    /// No byte was missed so far: what is not valid is not WebSocket.
    in_step: bool,
    /// Frames are masked, or are not; from frames that were in step.
    masked: Option<bool>,
    misread: u32,
    /// Unmasked bytes that wait for the inflater, from `inflated` on.
    plain: Vec<u8>,
    inflated: usize,
    /// The inflater may hold text back that had no room in `out`.
    holds: bool,
    out: Vec<u8>,
}

impl fmt::Debug for Parser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parser")
            .field("in_step", &self.in_step)
            .field("misread", &self.misread)
            .finish_non_exhaustive()
    }
}

impl Parser {
    /// From the first byte behind the handshake. `deflate`: what it agreed on for this direction.
    pub(crate) fn new(deflate: Option<Params>) -> Parser {
        let compression = match deflate {
            Some(params) => Compression::Deflate(Box::new(Inflater::new(params))),
            None => Compression::None,
        };
        Parser {
            state: HEADER,
            compression,
            open: Open::No,
            in_step: true,
            masked: None,
            misread: 0,
            plain: Vec::new(),
            inflated: 0,
            holds: false,
            out: Vec::new(),
        }
    }

    /// Bytes that it holds, about.
    pub(crate) fn held_bytes(&self) -> usize {
        let inflater = match &self.compression {
            Compression::Deflate(inflater) => inflater.held_bytes(),
            Compression::None => 0,
        };
        size_of::<Parser>() + self.plain.capacity() + self.out.capacity() + inflater
    }

    /// This is no WebSocket, or frames were found too often where there were none: no more events.
    pub(crate) fn is_misread(&self) -> bool {
        matches!(self.state, State::Opaque)
    }

    /// Bytes are missing here, nobody knows how many: frames are found where a piece begins with a frame of text, or
    /// with any two. Compressed messages are inflated only if each is known to be compressed on its own.
    /// `None`: it does not matter any more.
    pub(crate) fn lose_place(&mut self) -> Option<Event<'static>> {
        match self.state {
            State::Closed | State::Opaque => None,
            State::Header { .. } | State::Payload(_) | State::Drain | State::Resync(_) => {
                self.in_step = false;
                self.open = Open::Unknown;
                self.desync();
                self.state = State::Resync(None);
                Some(Event::Lost(0))
            }
        }
    }

    /// The next event; `None` when the piece is used up.
    pub(crate) fn next<'e, 'i: 'e>(&'e mut self, cur: &mut Cursor<'i>) -> Option<Event<'e>> {
        loop {
            match self.step(cur) {
                WebSocketStep::Event(event) => return Some(event),
                WebSocketStep::Out(len) => return Some(Event::Data(upto(&self.out, len))),
                WebSocketStep::Again => {}
                WebSocketStep::Starved => return None,
            }
        }
    }

    fn step<'i>(&mut self, cur: &mut Cursor<'i>) -> WebSocketStep<'i> {
        if self.holds || self.inflated < self.plain.len() {
            return self.inflate();
        }
        match &self.state {
            State::Payload(frame) if frame.left == 0 => return self.end_frame(),
            State::Drain => return self.end_message(),
            State::Header { .. }
            | State::Payload(_)
            | State::Resync(_)
            | State::Closed
            | State::Opaque => {}
        }
        if cur.gap > 0 {
            self.hole(cur)
        } else if cur.bytes.is_empty() {
            // An end tells of no frame.
            cur.eof = None;
            WebSocketStep::Starved
        } else {
            self.take(cur)
        }
    }

    fn take<'i>(&mut self, cur: &mut Cursor<'i>) -> WebSocketStep<'i> {
        match &mut self.state {
            State::Header { bytes, have } => {
                let taken = cur.take(header_len(upto(bytes, *have)) - *have);
                fill(bytes, *have, taken);
                *have += taken.len();
                let have = *have;
                match FrameHeader::parse(upto(bytes, have)) {
                    Ok(Some(header)) => self.begin_frame(header),
                    Ok(None) => WebSocketStep::Again,
                    Err(_) => self.lose(have as u64, true),
                }
            }
            State::Payload(_) => self.payload(cur),
            State::Resync(_) => self.resync(cur),
            State::Drain | State::Closed | State::Opaque => {
                cur.take(usize::MAX);
                WebSocketStep::Again
            }
        }
    }

    fn begin_frame<'i>(&mut self, header: FrameHeader) -> WebSocketStep<'i> {
        let kind = match header.opcode {
            Opcode::Text => Some(Kind::Text),
            Opcode::Binary => Some(Kind::Binary),
            Opcode::Continuation | Opcode::Close | Opcode::Ping | Opcode::Pong => None,
        };
        let in_order = match &self.open {
            Open::No => header.opcode != Opcode::Continuation,
            Open::Message(_) | Open::Tail => kind.is_none(),
            Open::Unknown => true,
        };
        let agreed = !header.rsv1 || !matches!(self.compression, Compression::None);
        if !in_order || !agreed {
            return self.lose(header.header_len as u64, true);
        }
        if self.in_step {
            self.masked = Some(header.mask.is_some());
        }
        self.state = State::Payload(Frame {
            header,
            left: header.len,
            code: [None; 2],
        });
        if header.opcode == Opcode::Continuation {
            match &mut self.open {
                Open::Message(message) => message.fragments = message.fragments.saturating_add(1),
                Open::Unknown => self.open = Open::Tail,
                Open::No | Open::Tail => {}
            }
        }
        let Some(kind) = kind else {
            return WebSocketStep::Again;
        };
        let compressed = header.rsv1;
        let readable = !compressed
            || match &mut self.compression {
                Compression::Deflate(inflater) => inflater.begin(),
                Compression::None => false,
            };
        self.open = Open::Message(Message {
            compressed,
            wire_bytes: 0,
            fragments: 1,
            damaged: !readable,
        });
        WebSocketStep::Event(Event::MessageStart { kind, compressed })
    }

    fn payload<'i>(&mut self, cur: &mut Cursor<'i>) -> WebSocketStep<'i> {
        let State::Payload(frame) = &mut self.state else {
            return WebSocketStep::Again;
        };
        let at = frame.header.len - frame.left;
        let left = usize::try_from(frame.left).unwrap_or(usize::MAX);
        let mask = frame.header.mask;
        if frame.header.opcode.is_control() {
            let bytes = cur.take(left);
            frame.keep_code(bytes, at);
            frame.left -= bytes.len() as u64;
            return WebSocketStep::Again;
        }
        let Open::Message(message) = &mut self.open else {
            frame.left -= cur.take(left).len() as u64;
            return WebSocketStep::Again;
        };
        let skipped = message.compressed && message.damaged;
        let copied = !skipped && (message.compressed || mask.is_some());
        let bytes = cur.take(if copied {
            left.min(WS_CHUNK_BYTES)
        } else {
            left
        });
        frame.left -= bytes.len() as u64;
        message.wire_bytes += bytes.len() as u64;
        if skipped {
            return WebSocketStep::Again;
        }
        if !copied {
            return WebSocketStep::Event(Event::Data(bytes));
        }
        let to = if message.compressed {
            &mut self.plain
        } else {
            &mut self.out
        };
        to.clear();
        to.extend_from_slice(bytes);
        if let Some(mask) = mask {
            unmask(to, mask, at);
        }
        if message.compressed {
            self.inflated = 0;
            return WebSocketStep::Again;
        }
        WebSocketStep::Out(bytes.len())
    }

    /// Some of the message's text, from what waits.
    fn inflate<'i>(&mut self) -> WebSocketStep<'i> {
        self.out.resize(WS_CHUNK_BYTES, 0);
        let done = match &mut self.compression {
            Compression::Deflate(inflater) => {
                inflater.inflate(behind(&self.plain, self.inflated), &mut self.out)
            }
            Compression::None => Ok((self.plain.len() - self.inflated, 0)),
        };
        match done {
            Ok((read, written)) => {
                self.inflated += read;
                self.holds = written == self.out.len();
                if written > 0 {
                    WebSocketStep::Out(written)
                } else {
                    WebSocketStep::Again
                }
            }
            Err(_) => {
                self.damage();
                WebSocketStep::Again
            }
        }
    }

    /// Bytes of the message under way were lost, or cannot be read.
    fn damage(&mut self) {
        let Open::Message(message) = &mut self.open else {
            return;
        };
        message.damaged = true;
        if message.compressed {
            self.desync();
        }
    }

    /// Nothing that is compressed can be read, until a message that is compressed on its own.
    fn desync(&mut self) {
        self.plain.clear();
        (self.inflated, self.holds) = (0, false);
        if let Compression::Deflate(inflater) = &mut self.compression {
            inflater.desync();
        }
    }

    fn end_frame<'i>(&mut self) -> WebSocketStep<'i> {
        let State::Payload(frame) = std::mem::replace(&mut self.state, HEADER) else {
            return WebSocketStep::Again;
        };
        match frame.header.opcode {
            Opcode::Ping => WebSocketStep::Event(Event::Ping),
            Opcode::Pong => WebSocketStep::Event(Event::Pong),
            Opcode::Close => {
                let code = match frame.code {
                    [Some(a), Some(b)] => Some(u16::from_be_bytes([a, b])),
                    [_, _] => None,
                };
                if code.is_some_and(|code| !is_close_code(code)) {
                    return self.lose(frame.header.header_len as u64 + frame.header.len, true);
                }
                self.state = State::Closed;
                WebSocketStep::Event(Event::Close { code })
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary if !frame.header.fin => {
                WebSocketStep::Again
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                self.state = State::Drain;
                if let Open::Message(message) = &self.open {
                    // A message of no bytes at all has no block that the tail could end.
                    if message.compressed && !message.damaged && message.wire_bytes > 0 {
                        self.plain.clear();
                        self.plain.extend_from_slice(&TAIL);
                        self.inflated = 0;
                    }
                }
                WebSocketStep::Again
            }
        }
    }

    fn end_message<'i>(&mut self) -> WebSocketStep<'i> {
        self.state = HEADER;
        match std::mem::replace(&mut self.open, Open::No) {
            Open::Message(message) => WebSocketStep::Event(Event::MessageEnd {
                wire_bytes: message.wire_bytes,
                fragments: message.fragments,
                damaged: message.damaged,
            }),
            Open::No | Open::Unknown | Open::Tail => WebSocketStep::Again,
        }
    }

    /// A hole: bridged where a frame says how long it is.
    fn hole<'i>(&mut self, cur: &mut Cursor<'i>) -> WebSocketStep<'i> {
        match &mut self.state {
            State::Header { .. } => {
                let len = std::mem::take(&mut cur.gap);
                self.lose(len, false)
            }
            State::Payload(frame) => {
                let len = cur.gap.min(frame.left);
                cur.gap -= len;
                frame.left -= len;
                let control = frame.header.opcode.is_control();
                let Some(Open::Message(message)) = Some(&mut self.open).filter(|_| !control) else {
                    return if len > 0 {
                        WebSocketStep::Event(Event::OtherGap(len))
                    } else {
                        WebSocketStep::Again
                    };
                };
                message.wire_bytes += len;
                self.damage();
                WebSocketStep::Event(Event::DataGap(len))
            }
            State::Resync(_) => {
                self.state = State::Resync(None);
                WebSocketStep::Event(Event::Lost(std::mem::take(&mut cur.gap)))
            }
            State::Drain | State::Closed | State::Opaque => {
                cur.gap = 0;
                WebSocketStep::Again
            }
        }
    }

    /// Where the next frame begins is not known. `misread`: what was seen is no frame.
    fn lose<'i>(&mut self, len: u64, misread: bool) -> WebSocketStep<'i> {
        self.misread += u32::from(misread);
        let opaque = misread && (self.in_step || self.misread > MAX_WS_MISREADS);
        self.in_step = false;
        self.open = Open::Unknown;
        self.desync();
        self.state = if opaque {
            State::Opaque
        } else {
            State::Resync(None)
        };
        if misread {
            WebSocketStep::Event(Event::Passed(len))
        } else {
            WebSocketStep::Event(Event::Lost(len))
        }
    }

    /// Looks for frames where a piece begins, or where a frame that may be one ends.
    fn resync<'i>(&mut self, cur: &mut Cursor<'i>) -> WebSocketStep<'i> {
        let State::Resync(candidate) = self.state else {
            return WebSocketStep::Again;
        };
        let known = Known {
            deflate: !matches!(self.compression, Compression::None),
            masked: self.masked,
        };
        let row = if cur.fresh {
            chain::look(cur.bytes, known)
        } else {
            Row::Nothing
        };
        // How far behind the piece the candidate ends; or where in it.
        let len = cur.bytes.len() as u64;
        let (beyond, within) = match candidate {
            Some(end) if end >= len => (Some(end - len), None),
            Some(end) => (None, usize::try_from(end).ok()),
            None => (None, None),
        };
        let found = match (row, within) {
            // The frame before ended with a piece, and this looks like one: `Perhaps` is enough.
            (Row::Frames { .. } | Row::Perhaps { .. }, Some(0)) => Some(0),
            (Row::Frames { at }, _) => Some(at),
            (Row::Perhaps { .. } | Row::Nothing, None | Some(0)) => None,
            (Row::Perhaps { .. } | Row::Nothing, Some(from)) => {
                match chain::look(behind(cur.bytes, from), known) {
                    Row::Frames { at } => Some(from + at),
                    Row::Perhaps { .. } | Row::Nothing => None,
                }
            }
        };
        self.state = match (found, beyond, row) {
            (Some(_), _, _) => HEADER,
            (None, Some(beyond), _) => State::Resync(Some(beyond)),
            (None, None, Row::Perhaps { beyond }) => State::Resync(Some(beyond)),
            (None, None, Row::Frames { .. } | Row::Nothing) => State::Resync(None),
        };
        match cur.take(found.unwrap_or(usize::MAX)).len() {
            0 => WebSocketStep::Again,
            len => WebSocketStep::Event(Event::Passed(len as u64)),
        }
    }
}

impl Frame {
    /// Keeps what the first two bytes of a close frame say; `bytes` begin at the payload's byte `at`.
    fn keep_code(&mut self, bytes: &[u8], at: u64) {
        if self.header.opcode != Opcode::Close {
            return;
        }
        let mask = self.header.mask.unwrap_or_default();
        let places = self.code.iter_mut().zip(mask);
        let places = places.skip(usize::try_from(at).unwrap_or(usize::MAX));
        for ((code, mask), b) in places.zip(bytes) {
            *code = Some(b ^ mask);
        }
    }
}
