//! A connection, or a stream of HTTP/2, that a handshake turned into a WebSocket.
//!
//! The exchange of the handshake stays open: its response is what the server sends until the end.
//! ```text
//!   101 --> [Open] --Close of both, or the connection's end--> Done
//!              +-----no frames there (misread)---------------> Done
//! ```
//! One Close is enough for an end in order: many peers drop the connection behind the first.

use super::close::{CloseCause, Ends, ends_direction};
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

/// A WebSocket and the exchange that it belongs to.
#[derive(Debug)]
pub(super) struct WebSocket {
    role: Role,
    client: Parser,
    server: Parser,
    /// `None`: over.
    exchange: Option<Exchange>,
    /// Who sent a Close.
    closed: [bool; 2],
}

impl WebSocket {
    /// Behind a handshake.
    pub(super) fn new(role: Role, exchange: Exchange, deflate: Option<Deflate>) -> WebSocket {
        WebSocket {
            role,
            client: Parser::new(deflate.map(|d| d.client())),
            server: Parser::new(deflate.map(|d| d.server())),
            exchange: Some(exchange),
            closed: [false; 2],
        }
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    /// Its exchange has ended.
    pub(super) fn is_over(&self) -> bool {
        self.exchange.is_none()
    }

    /// There are no frames there.
    pub(super) fn is_misread(&self) -> bool {
        self.client.is_misread() || self.server.is_misread()
    }

    pub(super) fn handle(
        &mut self,
        dir: Direction,
        piece: Piece<'_>,
        ends: &mut Ends,
        sink: &mut dyn ExchangeSink,
    ) {
        if let Piece::Eof { ts } = piece {
            let cause = match dir {
                Direction::Inbound => CloseCause::PeerFin,
                Direction::Outbound => CloseCause::LocalShutWrite,
            };
            ends.note(cause, true);
            return self.finish(ts, ends.aborted_by(self.role), sink);
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
        self.take(by, piece, sink);
        if self.closed == [true; 2] || self.is_misread() {
            self.finish(ts, None, sink);
        }
    }

    fn take(&mut self, by: Sender, piece: Piece<'_>, sink: &mut dyn ExchangeSink) {
        let Some(x) = &mut self.exchange else { return };
        let (parser, closed) = match by {
            Sender::Client => (&mut self.client, &mut self.closed[0]),
            Sender::Server => (&mut self.server, &mut self.closed[1]),
        };
        let mut cur = Cursor::new(piece, MessageEnd::Aborted);
        while let Some(event) = parser.next(&mut cur) {
            match event {
                Event::DataGap(_) | Event::Lost(_) => x.partial = true,
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

    pub(super) fn handle_close(
        &mut self,
        ts: MonoNs,
        cause: CloseCause,
        ends: &mut Ends,
        sink: &mut dyn ExchangeSink,
    ) {
        ends.note(cause, true);
        let dirs = [Direction::Inbound, Direction::Outbound];
        if dirs.iter().all(|dir| ends_direction(cause, *dir)) {
            self.finish(ts, ends.aborted_by(self.role), sink);
        }
    }

    /// The exchange ends; `by`: who ended it, if nobody said Close.
    fn finish(&mut self, ts: MonoNs, by: Option<AbortedBy>, sink: &mut dyn ExchangeSink) {
        let misread = self.is_misread();
        let Some(mut x) = self.exchange.take() else {
            return;
        };
        let end = match self.closed {
            [false, false] if misread => MessageEnd::Lost,
            [false, false] => MessageEnd::Aborted,
            [true, _] | [_, true] => MessageEnd::Complete,
        };
        let ts = ts.max(x.last);
        x.end_request(ts, end, sink);
        x.end_response(ts, end, sink);
        x.end(ts, by, sink);
    }
}
