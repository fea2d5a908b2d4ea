//! From HTTP/1 to what an upgrade leads to: a WebSocket, or HTTP/2 (RFC 7540, section 3.2).
//!
//! ```text
//!   ask --> 101 --request over--> [switched]
//!    |       +--its body goes on--> the server's bytes wait for its end
//!    +--anything else: what the client sent meanwhile is HTTP/1 after all
//! ```
//! The exchange of a WebSocket's handshake stays open; that of an upgrade to HTTP/2 goes on as
//! stream 1. Where a hole took the `101`, the client's preface shows that there was one.

use super::Http1;
use super::phase::Phase;
use crate::exchange::ending::Ends;
use crate::exchange::hold::HeldPiece;
use crate::exchange::http2::Http2;
use crate::exchange::open::{Asks, Exchange, Response, Upgrade};
use crate::exchange::websocket::WebSocket;
use crate::exchange::{ExchangeEvent, ExchangeSink};
use crate::limits::MAX_HELD_RESPONSE_BYTES;
use crate::proto::h2::PREFACE;
use crate::proto::message::MessageEnd;
use crate::proto::ws::Deflate;
use crate::stream::{Direction, Piece};
use crate::time::MonoNs;

/// What an upgrade leads to, with the exchange that goes on there.
#[derive(Debug)]
pub(super) enum Switched {
    WebSocket(Exchange, Option<Deflate>),
    Http2 {
        /// `None`: which one it was is not known any more.
        stream_1: Option<Exchange>,
        /// A hole took the answer: where the server's frames begin is not known.
        unseen: bool,
    },
}

/// What reads on.
#[derive(Debug)]
pub(in crate::exchange) enum Next {
    WebSocket(Box<WebSocket>),
    Http2(Box<Http2>),
}

impl Http1 {
    /// Once upgraded: what goes on here, if it is read, and what was not read yet.
    pub(in crate::exchange) fn take_next(&mut self) -> Option<(Next, Vec<(Direction, HeldPiece)>)> {
        let Phase::Over(switched) = &mut self.phase else {
            return None;
        };
        let next = match switched.take()? {
            Switched::WebSocket(exchange, deflate) => {
                Next::WebSocket(Box::new(WebSocket::new(self.role, exchange, deflate)))
            }
            Switched::Http2 { stream_1, unseen } => {
                let http = Http2::upgraded(self.role, stream_1, self.next_id, unseen);
                Next::Http2(Box::new(http))
            }
        };
        let responses = self.responses_go();
        let mut rest = Vec::new();
        for (dir, hold) in [
            (responses, &mut self.held),
            (responses.opposite(), &mut self.early),
        ] {
            let pieces = std::iter::from_fn(|| hold.pop_front());
            rest.extend(pieces.map(|piece| (dir, piece)));
        }
        rest.sort_by_key(|(_, piece)| piece.piece().ts());
        Some((next, rest))
    }

    /// A piece of what goes on elsewhere. An end is said there by who calls.
    pub(super) fn keep_for_next(&mut self, dir: Direction, piece: Piece<'_>) {
        if matches!(piece, Piece::Eof { .. }) {
            return;
        }
        if dir == self.responses_go() {
            self.held.push_back(piece);
        } else {
            self.early.push_back(piece);
        }
    }

    /// What the client sends next is HTTP/1 or not, as the answer to its last request will say.
    pub(super) fn awaits_switch(&self) -> bool {
        let Phase::Http = self.phase else {
            return false;
        };
        let asks = |x: &Exchange| x.asks != Asks::Nothing && x.request.is_some();
        let last = self.queue.back();
        last.is_some_and(|x| asks(x) && x.response == Response::Waiting)
    }

    /// Keeps what may be no HTTP/1, for as long as there is room.
    pub(super) fn hold_early(
        &mut self,
        piece: Piece<'_>,
        ends: &Ends,
        sink: &mut dyn ExchangeSink,
    ) {
        self.early.push_back(piece);
        if self.early.bytes() > MAX_HELD_RESPONSE_BYTES {
            self.stop_waiting(ends, sink);
        }
    }

    /// No answer says what the client sent: it is taken for requests.
    pub(super) fn stop_waiting(&mut self, ends: &Ends, sink: &mut dyn ExchangeSink) {
        self.phase.stop_waiting();
        self.drain_early(ends, sink);
    }

    /// What was kept is HTTP/1 after all, up to the next request that asks.
    pub(super) fn drain_early(&mut self, ends: &Ends, sink: &mut dyn ExchangeSink) {
        while !self.phase.is_over()
            && !self.awaits_switch()
            && let Some(held) = self.early.pop_front()
        {
            if let Some(rest) = self.read_request(held.piece(), ends, sink) {
                self.early.push_front(rest.into());
            }
        }
    }

    /// A `101` is complete. The client ends its request before it sends anything else.
    pub(super) fn accept_switch(&mut self, ts: MonoNs, ends: &Ends, sink: &mut dyn ExchangeSink) {
        let Some(x) = self.queue.iter().find(|x| x.upgrades != Upgrade::No) else {
            return;
        };
        if x.upgrades == Upgrade::Http2 && x.request.is_none() && self.requests.is_in_body() {
            self.phase = Phase::Switching;
        } else {
            self.switch(ts, MessageEnd::Aborted, ends, sink);
        }
    }

    /// HTTP/1 is over. `request_end`: how the request ended, if it was still open.
    pub(super) fn switch(
        &mut self,
        ts: MonoNs,
        request_end: MessageEnd,
        ends: &Ends,
        sink: &mut dyn ExchangeSink,
    ) {
        let mut goes_on = None;
        let at = self.queue.iter().position(|x| x.upgrades != Upgrade::No);
        if let Some(x) = at.and_then(|at| self.queue.get_mut(at)) {
            // What is still sent is no HTTP/1, whatever the request announced.
            x.end_request(ts.max(x.last), request_end, sink);
            let upgrades = x.upgrades;
            let mut take = || at.and_then(|at| self.queue.remove(at));
            goes_on = match upgrades {
                Upgrade::No | Upgrade::Tunnel => None,
                Upgrade::WebSocket(deflate) => take().map(|x| Switched::WebSocket(x, deflate)),
                Upgrade::Http2 => Some(Switched::Http2 {
                    stream_1: take(),
                    unseen: false,
                }),
            };
        }
        self.phase = Phase::Over(goes_on);
        self.settle(ts, ends, sink);
    }

    /// Whether HTTP/2 begins with this piece, though no answer that leads there was seen.
    pub(super) fn begins_http2(&self, piece: Piece<'_>) -> bool {
        match piece {
            Piece::Data { bytes, .. } => {
                self.requests.may_begin_message() && bytes.starts_with(PREFACE)
            }
            Piece::Gap { .. } | Piece::Eof { .. } => false,
        }
    }

    /// Goes on with HTTP/2 from this piece on.
    pub(super) fn switch_unseen(
        &mut self,
        piece: Piece<'_>,
        ends: &Ends,
        sink: &mut dyn ExchangeSink,
    ) {
        // One that has begun to be answered here was refused: it is no stream 1.
        let asked = |x: &Exchange| x.asks == Asks::Http2 && !x.is_answered() && !x.is_begun;
        let mut stream_1 = match self.queue.back() {
            Some(x) if asked(x) => self.queue.pop_back(),
            Some(_) | None => None,
        };
        if let Some(x) = &mut stream_1 {
            // The hole may have reached into the response.
            (x.partial, x.holed) = (true, true);
            x.emit(piece.ts(), ExchangeEvent::ResponseGap(0), sink);
            if x.response == Response::Open {
                x.response = Response::Waiting;
            }
        }
        self.phase = Phase::Over(Some(Switched::Http2 {
            stream_1,
            unseen: true,
        }));
        self.early.push_front(piece.into());
        self.settle(piece.ts(), ends, sink);
    }
}
