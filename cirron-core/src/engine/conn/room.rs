//! What a connection holds, and what it gives up where all hold too much.
//!
//! Stands between the budget ([`super::super::budget`]), which chooses who gives up, and the parts that hold: assemblers,
//! parser, scopes. It counts no memory of others.

use super::{Conn, Parts};
use crate::engine::budget::{CONN_OVERHEAD_BYTES, Share, Usefulness};
use crate::engine::shared::Shared;
use crate::exchange::Protocol;
use crate::stream::Direction;
use crate::time::MonoNs;

/// What a connection gave up for the sake of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum GaveUp {
    /// Bodies only; the number of exchanges whose bodies they were.
    Bodies(u64),
    /// What was not complete of its heads, and all that follows.
    Connection,
    /// There was nothing more.
    Nothing,
}

impl Conn {
    /// Bytes that it holds, about.
    pub(in crate::engine) fn held_bytes(&self) -> usize {
        let order =
            self.inbound.held_bytes() + self.outbound.held_bytes() + self.holding.held_bytes();
        let own = size_of::<Conn>() + CONN_OVERHEAD_BYTES;
        let net = self.net.as_ref().map_or(0, |net| net.held_bytes());
        own + order + self.parser.held_bytes() + self.scope_bytes + net
    }

    /// What it holds, and for what.
    pub(in crate::engine) fn share(&self) -> Share {
        let usefulness = match self.parser.protocol() {
            Protocol::Opaque | Protocol::Tls => Usefulness::Unread,
            Protocol::Unknown | Protocol::Http1 | Protocol::Http2 | Protocol::WebSocket => {
                if self.scopes.is_empty() {
                    Usefulness::Idle
                } else {
                    Usefulness::Open
                }
            }
        };
        Share {
            bytes: self.held_bytes(),
            usefulness,
        }
    }

    /// All connections hold too much, this one is the first to give up: its bodies are read no further or, where
    /// that was not it, nothing of it is.
    pub(in crate::engine) fn give_up(&mut self, now: MonoNs, shared: &mut Shared) -> GaveUp {
        let mut bodies = 0;
        self.each_scope(shared, |scope| bodies += u64::from(scope.give_up()));
        let store = &shared.store;
        self.scope_bytes = self.scopes.values().map(|id| store.held_bytes(*id)).sum();
        let before = self.budgeted.map_or(0, |share| share.bytes);
        if bodies > 0 && self.held_bytes() < before / 2 {
            return GaveUp::Bodies(bodies);
        }
        match self.parser.protocol() {
            Protocol::Opaque | Protocol::Tls => return GaveUp::Nothing,
            Protocol::Unknown | Protocol::Http1 | Protocol::Http2 | Protocol::WebSocket => {}
        }
        self.forget_net(shared);
        self.muted = true;
        self.given_up = true;
        self.feed(Direction::Inbound, shared, |a, sink| a.flush(sink));
        self.send_rest(shared);
        self.feed(Direction::Outbound, shared, |a, sink| a.flush(sink));
        let Parts {
            parser, mut sink, ..
        } = self.parts(shared);
        parser.give_up(now, &mut sink);
        GaveUp::Connection
    }
}
