//! A connection, or a stream of HTTP/2, that a handshake turned into a WebSocket.
//!
//! The exchange of the handshake stays open: its response is what the server sends until the end.
//! ```text
//!   101 --> [Open] --Close of both, or the connection's end--> Done
//!              +-----no frames there (misread)---------------> Done
//! ```
//! One Close is enough for an end in order: many peers drop the connection behind the first.

use super::ending::{self, Ending, Ends, OpenExchanges, Unfinished};
use super::open::Exchange;
use super::{AbortedBy, ExchangeEvent, ExchangeSink, Role, Sender};
use crate::proto::message::{Headers, MessageEnd};
use crate::proto::ws::{Cursor, Deflate, Event, Parser};
use crate::stream::{Direction, Piece};
use crate::time::MonoNs;

/// What a server's handshake agrees to.
pub(super) fn deflate(headers: &Headers) -> Option<Deflate> {
    Deflate::parse(&headers.joined("sec-websocket-extensions"))
}

/// The frames of both ends.
#[derive(Debug)]
pub(super) struct Frames {
    client: Parser,
    server: Parser,
    /// Who sent a Close: the client, the server.
    closed: [bool; 2],
}

impl Frames {
    /// Behind a handshake.
    pub(super) fn new(deflate: Option<Deflate>) -> Frames {
        Frames {
            client: Parser::new(deflate.map(|d| d.client())),
            server: Parser::new(deflate.map(|d| d.server())),
            closed: [false; 2],
        }
    }

    /// Bytes that it holds, about.
    pub(super) fn held_bytes(&self) -> usize {
        self.client.held_bytes() + self.server.held_bytes()
    }

    /// There are no frames there.
    pub(super) fn is_misread(&self) -> bool {
        self.client.is_misread() || self.server.is_misread()
    }

    /// Nothing can follow, or nothing that is read.
    pub(super) fn is_over(&self) -> bool {
        self.closed == [true; 2] || self.is_misread()
    }

    /// Whether it said Close.
    pub(super) fn has_closed(&self, by: Sender) -> bool {
        match by {
            Sender::Client => self.closed[0],
            Sender::Server => self.closed[1],
        }
    }

    /// How it ends; `end`, if neither the frames nor a Close say.
    pub(super) fn end(&self, end: MessageEnd) -> MessageEnd {
        match self.closed {
            [false, false] if self.is_misread() => MessageEnd::Lost,
            [false, false] => end,
            [true, _] | [_, true] => MessageEnd::Complete,
        }
    }

    /// The next bytes of one end.
    pub(super) fn take(
        &mut self,
        x: &mut Exchange,
        by: Sender,
        piece: Piece<'_>,
        sink: &mut dyn ExchangeSink,
    ) {
        let (parser, closed) = match by {
            Sender::Client => (&mut self.client, &mut self.closed[0]),
            Sender::Server => (&mut self.server, &mut self.closed[1]),
        };
        let mut cur = Cursor::new(piece, MessageEnd::Aborted);
        while let Some(event) = parser.next(&mut cur) {
            match event {
                Event::DataGap(_) | Event::OtherGap(_) | Event::Lost(_) | Event::Passed(_) => {
                    x.partial = true;
                }
                Event::Close { .. } => *closed = true,
                Event::MessageStart { .. }
                | Event::Data(_)
                | Event::MessageEnd { .. }
                | Event::Ping
                | Event::Pong => {}
            }
            x.emit(cur.ts, ExchangeEvent::WebSocket { by, event }, sink);
        }
    }

    /// Bytes of one end may be missing here, nobody knows how many.
    pub(super) fn lose(
        &mut self,
        x: &mut Exchange,
        by: Sender,
        ts: MonoNs,
        sink: &mut dyn ExchangeSink,
    ) {
        let parser = match by {
            Sender::Client => &mut self.client,
            Sender::Server => &mut self.server,
        };
        if let Some(event) = parser.lose_place() {
            x.partial = true;
            x.emit(ts, ExchangeEvent::WebSocket { by, event }, sink);
        }
    }
}

/// A WebSocket that has a connection of its own, and the exchange that it belongs to.
#[derive(Debug)]
pub(super) struct WebSocket {
    role: Role,
    frames: Frames,
    /// `None`: over.
    exchange: Option<Exchange>,
}

impl WebSocket {
    /// Behind a handshake.
    pub(super) fn new(role: Role, exchange: Exchange, deflate: Option<Deflate>) -> WebSocket {
        WebSocket {
            role,
            frames: Frames::new(deflate),
            exchange: Some(exchange),
        }
    }

    /// Bytes that it holds, about.
    pub(super) fn held_bytes(&self) -> usize {
        size_of::<WebSocket>() + self.frames.held_bytes()
    }

    /// Its exchange has ended.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn is_over(&self) -> bool {
        self.exchange.is_none()
    }

    /// There are no frames there.
    pub(super) fn is_misread(&self) -> bool {
        self.frames.is_misread()
    }

    pub(super) fn handle(
        &mut self,
        dir: Direction,
        piece: Piece<'_>,
        ends: &mut Ends,
        sink: &mut dyn ExchangeSink,
    ) {
        if let Piece::Eof { ts } = piece {
            return ending::end_of_file(self, dir, ts, ends, sink);
        }
        let by = match (dir, self.role) {
            (Direction::Inbound, Role::Server) | (Direction::Outbound, Role::Client) => {
                Sender::Client
            }
            (Direction::Outbound, Role::Server) | (Direction::Inbound, Role::Client) => {
                Sender::Server
            }
        };
        let ts = piece.ts();
        if let Some(x) = &mut self.exchange {
            self.frames.take(x, by, piece, sink);
        }
        if self.frames.is_over() {
            self.finish(ts, None, sink);
        }
    }

    /// The exchange ends; `by`: who ended it, if nobody said Close.
    fn finish(&mut self, ts: MonoNs, by: Option<AbortedBy>, sink: &mut dyn ExchangeSink) {
        if let Some(x) = self.exchange.take() {
            let end = self.frames.end(MessageEnd::Aborted);
            x.finish(ts, Unfinished::from(end), by, sink);
        }
    }
}

impl OpenExchanges for WebSocket {
    fn role(&self) -> Option<Role> {
        Some(self.role)
    }

    fn is_mid_response(&self) -> bool {
        true
    }

    /// Who leaves says Close: a FIN alone is no question here.
    fn each_leavable(&mut self, _work: &mut dyn FnMut(&mut Exchange)) {}

    fn end_direction(&mut self, dir: Direction, ending: &mut Ending<'_>) {
        // The peer may answer a Close that was the last that was sent.
        if dir == Direction::Inbound {
            self.end_all(ending);
        }
    }

    fn end_all(&mut self, ending: &mut Ending<'_>) {
        let by = ending::closed_by(self, ending.ends);
        self.finish(ending.ts, by, ending.sink);
    }
}
