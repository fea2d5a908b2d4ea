//! WebSockets on streams (RFC 8441): CONNECT with `:protocol`, and what its DATA frames carry.
//!
//! ```text
//!   CONNECT, :protocol websocket --> [Asked] --2xx--> [Open] --Close of both, or the stream's end--> over
//!                                       +----anything else: bytes of a body
//! ```
//! What the client sent before the answer was seen is kept for it (a write is stamped when its system
//! call returns). An end of one side that has said Close leaves the other its word; any other end
//! of a side ends the WebSocket, as the connection's end does on HTTP/1.

use super::{Http2, StepContext};
use crate::exchange::hold::Hold;
use crate::exchange::open::Upgrade;
use crate::exchange::websocket::{self, Frames};
use crate::exchange::{AbortedBy, ExchangeEvent, Sender};
use crate::limits::MAX_HELD_RESPONSE_BYTES;
use crate::proto::message::{MessageEnd, ResponseHead};
use crate::stream::Piece;
use crate::time::MonoNs;

/// A stream that is a WebSocket, or may become one.
#[derive(Debug)]
pub(super) enum StreamSocket {
    /// With what the client sent since, and since when some of that is missing.
    Asked {
        hold: Hold,
        hole: Option<MonoNs>,
    },
    Open(Box<Frames>),
}

impl StreamSocket {
    /// Not yet granted: when the first hole is told, which stands before all that is kept.
    fn hole(&self) -> Option<MonoNs> {
        match self {
            StreamSocket::Asked { hold, hole } => {
                hole.map(|ts| hold.since().map_or(ts, |t| t.min(ts)))
            }
            StreamSocket::Open(_) => None,
        }
    }
}

fn sender(is_response: bool) -> Sender {
    if is_response {
        Sender::Server
    } else {
        Sender::Client
    }
}

/// Sockets of one connection whose size is looked at; the others are taken to be like them.
const MEASURED_SOCKETS: usize = 32;

impl Http2 {
    /// Bytes that the WebSockets hold, about.
    pub(super) fn held_by_sockets(&self) -> usize {
        let held = |socket: &StreamSocket| match socket {
            StreamSocket::Asked { .. } => size_of::<StreamSocket>(),
            StreamSocket::Open(frames) => frames.held_bytes(),
        };
        let measured = self.sockets.len().min(MEASURED_SOCKETS);
        let some: usize = self.sockets.values().take(measured).map(held).sum();
        self.early_bytes + some * self.sockets.len() / measured.max(1)
    }

    /// A request asked for a WebSocket.
    pub(super) fn ask_socket(&mut self, stream: u32) {
        let (hold, hole) = (Hold::default(), None);
        self.sockets
            .insert(stream, StreamSocket::Asked { hold, hole });
    }

    /// A response's head came, or was lost (`None`).
    pub(super) fn answer_socket(
        &mut self,
        stream: u32,
        head: Option<&ResponseHead>,
        step: &mut StepContext<'_>,
    ) {
        let Some(StreamSocket::Asked { .. }) = self.sockets.get(&stream) else {
            return;
        };
        let granted = head.filter(|head| (200..300).contains(&head.status));
        let Some(head) = granted else {
            return self.refuse_socket(stream, step);
        };
        let Some(x) = self.streams.get_mut(&stream) else {
            return;
        };
        let deflate = websocket::deflate(&head.headers);
        x.upgrades = Upgrade::WebSocket(deflate);
        let mut frames = Box::new(Frames::new(deflate));
        if let Some(ts) = self.sockets.get(&stream).and_then(StreamSocket::hole) {
            frames.lose(x, Sender::Client, ts, step.sink);
        }
        let open = StreamSocket::Open(frames);
        if let Some(StreamSocket::Asked { mut hold, .. }) = self.sockets.insert(stream, open) {
            self.early_bytes -= hold.bytes();
            while let Some(held) = hold.pop_front() {
                match held.piece() {
                    Piece::Eof { .. } => self.end_socket(stream, false, step),
                    piece @ (Piece::Data { .. } | Piece::Gap { .. }) => {
                        self.socket_piece(stream, false, piece, step)
                    }
                };
            }
        }
    }

    /// It stays HTTP: what was kept are bytes of a body.
    pub(super) fn refuse_socket(&mut self, stream: u32, step: &mut StepContext<'_>) {
        let hole = self.sockets.get(&stream).and_then(StreamSocket::hole);
        match self.sockets.remove(&stream) {
            Some(StreamSocket::Asked { mut hold, .. }) => {
                self.early_bytes -= hold.bytes();
                let Some(x) = self.streams.get_mut(&stream) else {
                    return;
                };
                if let Some(ts) = hole {
                    x.partial = true;
                    x.emit(ts, ExchangeEvent::RequestGap(0), step.sink);
                }
                while x.request.is_none()
                    && let Some(held) = hold.pop_front()
                {
                    match held.piece() {
                        Piece::Data { ts, bytes } => {
                            x.emit(ts, ExchangeEvent::RequestBody(bytes), step.sink);
                        }
                        Piece::Gap { ts, len } => {
                            x.partial = true;
                            x.emit(ts, ExchangeEvent::RequestGap(len), step.sink);
                        }
                        Piece::Eof { ts } => x.end_request(ts, MessageEnd::Complete, step.sink),
                    }
                }
            }
            Some(open @ StreamSocket::Open(_)) => {
                self.sockets.insert(stream, open);
            }
            None => {}
        }
    }

    /// The next bytes of one side. False: they are those of a body.
    pub(super) fn socket_piece(
        &mut self,
        stream: u32,
        is_response: bool,
        piece: Piece<'_>,
        step: &mut StepContext<'_>,
    ) -> bool {
        let over = match self.sockets.get_mut(&stream) {
            None => return false,
            Some(StreamSocket::Asked { .. }) if is_response => {
                // Its head was lost.
                self.refuse_socket(stream, step);
                return false;
            }
            Some(StreamSocket::Asked { hold, .. }) => {
                let before = hold.bytes();
                hold.push_back(piece);
                self.early_bytes += hold.bytes() - before;
                if self.early_bytes > MAX_HELD_RESPONSE_BYTES {
                    self.refuse_socket(stream, step);
                }
                return true;
            }
            Some(StreamSocket::Open(frames)) => {
                if let Some(x) = self.streams.get_mut(&stream) {
                    frames.take(x, sender(is_response), piece, step.sink);
                }
                frames.is_over()
            }
        };
        if over {
            step.ts = piece.ts().max(step.ts);
            self.end(stream, MessageEnd::Complete, None, step);
        }
        true
    }

    /// One side ended its half of the stream. False: it is no WebSocket.
    pub(super) fn end_socket(
        &mut self,
        stream: u32,
        is_response: bool,
        step: &mut StepContext<'_>,
    ) -> bool {
        let by = sender(is_response);
        match self.sockets.get(&stream) {
            None => return false,
            Some(StreamSocket::Asked { .. }) if !is_response => {
                let end = Piece::Eof { ts: step.ts };
                return self.socket_piece(stream, false, end, step);
            }
            Some(StreamSocket::Asked { .. }) => {
                self.refuse_socket(stream, step);
                return false;
            }
            Some(StreamSocket::Open(frames)) if frames.has_closed(by) => return true,
            Some(StreamSocket::Open(_)) => {}
        }
        let by = match by {
            Sender::Client => AbortedBy::Client,
            Sender::Server => AbortedBy::Server,
        };
        self.end(stream, MessageEnd::Aborted, Some(by), step);
        true
    }

    /// Frames of one side are missing, and perhaps some of this stream. False: it is no WebSocket.
    pub(super) fn lose_socket(
        &mut self,
        stream: u32,
        is_response: bool,
        step: &mut StepContext<'_>,
    ) -> bool {
        match self.sockets.get_mut(&stream) {
            Some(StreamSocket::Open(frames)) => {
                if let Some(x) = self.streams.get_mut(&stream) {
                    frames.lose(x, sender(is_response), step.ts, step.sink);
                }
                true
            }
            Some(StreamSocket::Asked { hole, .. }) if !is_response => {
                hole.get_or_insert(step.ts);
                true
            }
            Some(StreamSocket::Asked { .. }) | None => false,
        }
    }

    /// The stream ends as `end`, unless its WebSocket knows better.
    pub(super) fn close_socket(
        &mut self,
        stream: u32,
        end: MessageEnd,
        step: &mut StepContext<'_>,
    ) -> MessageEnd {
        self.refuse_socket(stream, step);
        match self.sockets.remove(&stream) {
            Some(StreamSocket::Open(frames)) => frames.end(end),
            Some(StreamSocket::Asked { .. }) | None => end,
        }
    }
}
