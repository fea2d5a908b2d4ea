//! The parser of one direction: from pieces to frames, from frames to events. See [`super`].

use super::chain;
use super::frame::{FRAME_HEADER_LEN, FrameHeader, flag, kind};
use super::heads::HeaderList;
use super::hpack::Decoder;
use super::{Cursor, Event, Heads};
use crate::cut::{behind, fill, upto};
use crate::limits::{MAX_HEADER_BLOCK_BYTES, MAX_MISREAD_CHAINS};
use crate::time::MonoNs;

/// RFC 9113, section 3.4.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What is kept of frames that are read whole: GOAWAY's two numbers.
const SMALL: usize = 8;

#[derive(Debug)]
enum State {
    /// Number of its bytes that were seen.
    Preface(usize),
    Resync,
    Header {
        bytes: [u8; FRAME_HEADER_LEN],
        have: usize,
        start: MonoNs,
    },
    /// The byte that says how much of a DATA frame is padding.
    PadLength(FrameHeader),
    Data {
        stream: u32,
        left: usize,
        padding: usize,
        end: bool,
    },
    Block {
        header: FrameHeader,
        left: usize,
    },
    Small {
        header: FrameHeader,
        bytes: [u8; SMALL],
        have: usize,
        whole: bool,
    },
    Skip(usize),
}

const HEADER: State = State::Header {
    bytes: [0; FRAME_HEADER_LEN],
    have: 0,
    start: MonoNs(0),
};

/// A header block under way.
#[derive(Debug)]
struct Block {
    stream: u32,
    start: MonoNs,
    /// The message ends with it.
    end: bool,
    /// A promise of a response that nobody asked for: read for the table's sake.
    pushed: bool,
    /// What is complete of it.
    bytes: Vec<u8>,
    /// The payload of the frame under way.
    frame: Vec<u8>,
    wire_len: u64,
    lost: u64,
    /// It cannot be read.
    bad: bool,
}

/// What a step came to.
enum FrameStep<'i> {
    Event(Event<'i>),
    Again,
    /// The piece is used up.
    Starved,
}

/// Parses one direction.
#[derive(Debug)]
pub(crate) struct Parser {
    state: State,
    decoder: Decoder,
    block: Option<Block>,
    misread: u32,
}

impl Parser {
    /// `late`: its first byte is not that of the connection. `preface`: it is the client's.
    pub(crate) fn new(late: bool, preface: bool) -> Parser {
        let state = match (late, preface) {
            (true, _) => State::Resync,
            (false, true) => State::Preface(0),
            (false, false) => HEADER,
        };
        Parser {
            state,
            decoder: Decoder::new(late),
            block: None,
            misread: 0,
        }
    }

    /// Bytes that it holds: a header block under way, and the entries of its table.
    pub(crate) fn held_bytes(&self) -> usize {
        let block = self.block.as_ref();
        let block = block.map_or(0, |b| b.bytes.capacity() + b.frame.capacity());
        size_of::<Parser>() + block + self.decoder.held_bytes()
    }

    /// It found frames too often where there were none: this is no HTTP/2.
    pub(crate) fn is_misread(&self) -> bool {
        self.misread > MAX_MISREAD_CHAINS
    }

    /// The next event; `None` when the piece is used up.
    pub(crate) fn next<'i>(&mut self, cur: &mut Cursor<'i>) -> Option<Event<'i>> {
        loop {
            let step = if cur.gap > 0 {
                self.hole(cur)
            } else if cur.bytes.is_empty() {
                // An end tells of no frame.
                cur.eof = None;
                self.settle()
            } else {
                self.take(cur)
            };
            match step {
                FrameStep::Event(event) => return Some(event),
                FrameStep::Again => {}
                FrameStep::Starved => return None,
            }
        }
    }

    /// What is due without another byte.
    fn settle<'i>(&mut self) -> FrameStep<'i> {
        let over = match &self.state {
            State::Data { left, padding, .. } => left + padding == 0,
            State::Block { left, .. } | State::Skip(left) => *left == 0,
            State::Small { header, have, .. } => *have >= header.len,
            State::Preface(_) | State::Resync | State::Header { .. } | State::PadLength(_) => false,
        };
        if over {
            self.end_frame()
        } else {
            FrameStep::Starved
        }
    }

    fn take<'i>(&mut self, cur: &mut Cursor<'i>) -> FrameStep<'i> {
        match &mut self.state {
            State::Preface(seen) => {
                let bytes = cur.take(PREFACE.len() - *seen);
                if !behind(PREFACE, *seen).starts_with(bytes) {
                    return self.lose(bytes.len() as u64, true);
                }
                *seen += bytes.len();
                if *seen == PREFACE.len() {
                    self.state = HEADER;
                }
                FrameStep::Again
            }
            State::Resync => {
                let found = if cur.fresh {
                    chain::find(cur.bytes)
                } else {
                    None
                };
                cur.take(found.unwrap_or(usize::MAX));
                if found.is_some() {
                    self.state = HEADER;
                }
                FrameStep::Again
            }
            State::Header { bytes, have, start } => {
                if *have == 0 {
                    *start = cur.ts;
                }
                let taken = cur.take(FRAME_HEADER_LEN - *have);
                fill(bytes, *have, taken);
                *have += taken.len();
                let start = *start;
                match FrameHeader::parse(upto(bytes, *have)) {
                    Some(header) => self.begin_frame(header, start),
                    None => FrameStep::Again,
                }
            }
            State::PadLength(header) => {
                let header = *header;
                let Some(padding) = cur.take(1).first().map(|b| usize::from(*b)) else {
                    return FrameStep::Starved;
                };
                match header.len.checked_sub(1 + padding) {
                    Some(left) => {
                        self.state = State::Data {
                            stream: header.stream,
                            left,
                            padding,
                            end: header.has(flag::END_STREAM),
                        };
                        FrameStep::Again
                    }
                    None => self.lose(1, true),
                }
            }
            State::Data {
                left: 0, padding, ..
            } if *padding > 0 => {
                *padding -= cur.take(*padding).len();
                FrameStep::Again
            }
            State::Data { stream, left, .. } if *left > 0 => {
                let bytes = cur.take(*left);
                *left -= bytes.len();
                FrameStep::Event(Event::Data {
                    stream: *stream,
                    bytes,
                })
            }
            State::Block { left, .. } if *left > 0 => {
                let bytes = cur.take(*left);
                *left -= bytes.len();
                if let Some(block) = &mut self.block {
                    block.keep(bytes);
                }
                FrameStep::Again
            }
            State::Small {
                header,
                bytes,
                have,
                ..
            } if *have < header.len => {
                let taken = cur.take(header.len - *have);
                let kept = bytes.iter_mut().skip(*have);
                kept.zip(taken).for_each(|(to, b)| *to = *b);
                *have += taken.len();
                FrameStep::Again
            }
            State::Skip(left) if *left > 0 => {
                *left -= cur.take(*left).len();
                FrameStep::Again
            }
            State::Data { .. } | State::Block { .. } | State::Small { .. } | State::Skip(_) => {
                self.end_frame()
            }
        }
    }

    /// A hole: bridged where a frame says how long it is.
    fn hole<'i>(&mut self, cur: &mut Cursor<'i>) -> FrameStep<'i> {
        let mut bridge = |left: usize| {
            let n = cur.gap.min(left as u64);
            cur.gap -= n;
            n
        };
        match &mut self.state {
            State::Resync => {
                cur.gap = 0;
                FrameStep::Again
            }
            State::Preface(_) | State::Header { .. } => {
                let gap = std::mem::take(&mut cur.gap);
                self.lose(gap, false)
            }
            State::PadLength(header) => {
                // How much of it is padding nobody knows: all of it is a hole.
                let header = *header;
                let lost = usize::try_from(bridge(header.len)).unwrap_or(header.len);
                self.state = State::Data {
                    stream: header.stream,
                    left: 0,
                    padding: header.len - lost,
                    end: header.has(flag::END_STREAM),
                };
                FrameStep::Event(Event::DataGap {
                    stream: header.stream,
                    len: header.len as u64,
                })
            }
            State::Data { stream, left, .. } if *left > 0 => {
                let len = bridge(*left);
                *left -= usize::try_from(len).unwrap_or(*left);
                FrameStep::Event(Event::DataGap {
                    stream: *stream,
                    len,
                })
            }
            State::Data { padding: left, .. } | State::Skip(left) if *left > 0 => {
                let len = bridge(*left);
                *left -= usize::try_from(len).unwrap_or(*left);
                FrameStep::Again
            }
            State::Block { left, .. } if *left > 0 => {
                let len = bridge(*left);
                *left -= usize::try_from(len).unwrap_or(*left);
                if let Some(block) = &mut self.block {
                    block.lost += len;
                    block.bad = true;
                }
                FrameStep::Again
            }
            State::Small {
                header,
                have,
                whole,
                ..
            } if *have < header.len => {
                *whole = false;
                *have += usize::try_from(bridge(header.len - *have)).unwrap_or(0);
                FrameStep::Again
            }
            State::Data { .. } | State::Block { .. } | State::Small { .. } | State::Skip(_) => {
                self.end_frame()
            }
        }
    }

    /// Where the next frame begins is not known. `misread`: what was seen is no HTTP/2.
    fn lose<'i>(&mut self, len: u64, misread: bool) -> FrameStep<'i> {
        self.misread += u32::from(misread);
        self.block = None;
        self.decoder.desync();
        self.state = State::Resync;
        FrameStep::Event(Event::Lost(len))
    }

    fn begin_frame<'i>(&mut self, header: FrameHeader, start: MonoNs) -> FrameStep<'i> {
        let open = self.block.as_ref().map(|b| b.stream);
        let continues = header.kind == kind::CONTINUATION;
        // Nothing may come between the frames of one block (RFC 9113, section 6.10).
        let torn = open.is_some() && (!continues || open != Some(header.stream));
        if !header.is_valid() || torn {
            return self.lose(FRAME_HEADER_LEN as u64, true);
        }
        let wire_len = (FRAME_HEADER_LEN + header.len) as u64;
        self.state = match header.kind {
            kind::DATA if header.has(flag::PADDED) && header.len == 0 => {
                return self.lose(FRAME_HEADER_LEN as u64, true);
            }
            kind::DATA if header.has(flag::PADDED) => State::PadLength(header),
            kind::DATA => State::Data {
                stream: header.stream,
                left: header.len,
                padding: 0,
                end: header.has(flag::END_STREAM),
            },
            kind::HEADERS | kind::PUSH_PROMISE => {
                self.block = Some(Block {
                    stream: header.stream,
                    start,
                    end: header.kind == kind::HEADERS && header.has(flag::END_STREAM),
                    pushed: header.kind == kind::PUSH_PROMISE,
                    bytes: Vec::new(),
                    frame: Vec::new(),
                    wire_len,
                    lost: 0,
                    bad: false,
                });
                State::Block {
                    header,
                    left: header.len,
                }
            }
            kind::CONTINUATION => match &mut self.block {
                Some(block) => {
                    block.wire_len += wire_len;
                    State::Block {
                        header,
                        left: header.len,
                    }
                }
                // Of a block whose beginning was not seen.
                None => {
                    self.decoder.desync();
                    State::Skip(header.len)
                }
            },
            kind::RST_STREAM | kind::GOAWAY => State::Small {
                header,
                bytes: [0; SMALL],
                have: 0,
                whole: true,
            },
            _ => State::Skip(header.len),
        };
        FrameStep::Again
    }

    fn end_frame<'i>(&mut self) -> FrameStep<'i> {
        match std::mem::replace(&mut self.state, HEADER) {
            State::Data {
                stream, end: true, ..
            } => FrameStep::Event(Event::End { stream }),
            State::Block { header, .. } => self.end_block(header),
            State::Small {
                header,
                bytes: [a, b, c, d, ..],
                whole,
                ..
            } => {
                let number = u32::from_be_bytes([a, b, c, d]);
                match (header.kind, whole) {
                    (kind::RST_STREAM, _) => FrameStep::Event(Event::Reset {
                        stream: header.stream,
                        code: whole.then_some(number),
                    }),
                    (_, true) => FrameStep::Event(Event::GoAway {
                        last: number & 0x7fff_ffff,
                    }),
                    (_, false) => FrameStep::Again,
                }
            }
            State::Data { .. }
            | State::Skip(_)
            | State::Preface(_)
            | State::Resync
            | State::Header { .. }
            | State::PadLength(_) => FrameStep::Again,
        }
    }

    /// A frame of a header block is complete.
    fn end_block<'i>(&mut self, header: FrameHeader) -> FrameStep<'i> {
        let Some(mut block) = self.block.take() else {
            return FrameStep::Again;
        };
        block.take_frame(&header);
        if !header.has(flag::END_HEADERS) {
            self.block = Some(block);
            return FrameStep::Again;
        }
        let fields = if block.bad {
            self.decoder.desync();
            None
        } else {
            self.decoder.decode(&block.bytes).ok()
        };
        if block.pushed {
            return FrameStep::Again;
        }
        let Block {
            stream, start, end, ..
        } = block;
        FrameStep::Event(match fields {
            Some(fields) => Event::Headers(Box::new(Heads {
                stream,
                start,
                list: HeaderList::new(fields, block.wire_len),
                end,
            })),
            None => Event::HeadersLost {
                stream,
                start,
                len: block.lost,
                end,
            },
        })
    }
}

impl Block {
    fn keep(&mut self, bytes: &[u8]) {
        if self.bytes.len() + self.frame.len() + bytes.len() > MAX_HEADER_BLOCK_BYTES {
            self.bad = true;
        }
        if !self.bad {
            self.frame.extend_from_slice(bytes);
        }
    }

    /// The frame under way is complete: without what stands around it (RFC 9113, section 6.2).
    fn take_frame(&mut self, header: &FrameHeader) {
        let frame = std::mem::take(&mut self.frame);
        if self.bad {
            return;
        }
        if header.kind == kind::CONTINUATION {
            self.bytes.extend_from_slice(&frame);
            return;
        }
        let promised = if self.pushed { 4 } else { 0 };
        let padding = match frame.first() {
            Some(padding) if header.has(flag::PADDED) => usize::from(*padding),
            _ => 0,
        };
        let end = frame.len().saturating_sub(padding);
        match frame.get(header.fixed_len() + promised..end) {
            Some(block) => self.bytes.extend_from_slice(block),
            None => self.bad = true,
        }
    }
}
