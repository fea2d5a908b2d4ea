//! One connection: from its first byte, or wherever we joined it, to its end.
//!
//! ```text
//!   [Sniffing] --start line, or the body of a response joined late--> [Http1] --upgrade--+
//!        |  |                                                          |   |             |
//!        |  |                                    101 to WebSocket      |   v             |
//!        |  |                                                          | [WebSocket] -misread
//!        |  |                                    101 to h2c            v                 v
//!        |  +--preface, SETTINGS, or a row of frame headers--------> [Http2] -misread-> [Opaque]
//!        +-------------------- TLS, anything else --------------------------------------> ^
//! ```
//! Opaque connections give no events. The direction that carries requests decides the role, and
//! overrides what accept or connect said.

use super::ending::{self, CloseCause, Ends, OpenExchanges as _};
use super::http1::{Http1, Next};
use super::http2::Http2;
use super::sniffing::{Sniffing, Verdict};
use super::websocket::WebSocket;
use super::{ExchangeSink, Role};
use crate::stream::{Direction, Piece};
use crate::time::MonoNs;

/// What is known of a connection when it begins.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ConnStart {
    /// Its first bytes were not seen.
    pub late: bool,
    /// The record of its opening was lost, so that it is called late, whether or not its first bytes were seen.
    pub unopened: bool,
    /// From accept or connect, or from the kernel's own structures.
    pub role: Option<Role>,
}

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Not known yet.
    Unknown,
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// WebSocket, behind the handshake.
    WebSocket,
    /// TLS.
    Tls,
    /// Anything else, and what an HTTP connection was upgraded to.
    Opaque,
}

#[derive(Debug)]
enum State {
    Sniffing(Box<Sniffing>),
    Http1(Box<Http1>),
    Http2(Box<Http2>),
    WebSocket(Box<WebSocket>),
    Opaque(Protocol),
}

/// Makes the exchanges of one connection from the pieces of its two directions.
#[derive(Debug)]
pub(crate) struct ConnParser {
    start: ConnStart,
    ends: Ends,
    state: State,
    /// Bytes before the first request, of a connection that was seen from its beginning.
    passed_over: u64,
}

impl ConnParser {
    /// A parser for a connection that begins so.
    pub(crate) fn new(start: ConnStart) -> ConnParser {
        let sniffing = Sniffing::new(start.late, start.role);
        ConnParser {
            start,
            ends: Ends::default(),
            state: State::Sniffing(Box::new(sniffing)),
            passed_over: 0,
        }
    }

    /// The next piece of one direction. [`Piece::Eof`] inbound means that a read returned 0.
    pub(crate) fn handle(&mut self, dir: Direction, piece: Piece<'_>, sink: &mut dyn ExchangeSink) {
        match &mut self.state {
            State::Opaque(_) => {}
            State::Http1(http) => {
                if let Some(before) = http.give_up_misread(dir, piece, &self.ends, sink) {
                    let start = ConnStart {
                        late: true,
                        ..ConnStart::default()
                    };
                    **http = Http1::new(http.responses_go(), start, before);
                }
                http.handle(dir, piece, &mut self.ends, sink);
                let is_end = matches!(piece, Piece::Eof { .. });
                if self.leave_when_upgraded(sink) && is_end {
                    self.handle(dir, piece, sink);
                }
            }
            State::WebSocket(socket) => {
                socket.handle(dir, piece, &mut self.ends, sink);
                if socket.is_misread() {
                    self.state = State::Opaque(Protocol::Opaque);
                }
            }
            State::Http2(http) => {
                http.handle(dir, piece, &mut self.ends, sink);
                if http.is_misread() && !http.has_open_exchanges() {
                    self.state = State::Opaque(Protocol::Opaque);
                }
            }
            State::Sniffing(sniffing) => match sniffing.handle(dir, piece) {
                Verdict::Undecided => {}
                Verdict::Opaque(protocol) => self.state = State::Opaque(protocol),
                Verdict::Http1(requests) => {
                    let mut http = Http1::new(requests, self.start, 0);
                    http.set_requested(sniffing.before_held(requests));
                    self.begin(State::Http1(Box::new(http)), sink);
                }
                Verdict::Http2 { requests, late } => {
                    let http = Http2::new(requests, late);
                    self.begin(State::Http2(Box::new(http)), sink);
                }
            },
        }
    }

    fn begin(&mut self, state: State, sink: &mut dyn ExchangeSink) {
        let before = std::mem::replace(&mut self.state, state);
        if let State::Sniffing(sniffing) = before {
            self.passed_over = sniffing.passed_over();
            for (dir, held) in sniffing.into_held() {
                self.handle(dir, held.piece(), sink);
            }
        }
    }

    /// True: what the upgrade led to is read on.
    fn leave_when_upgraded(&mut self, sink: &mut dyn ExchangeSink) -> bool {
        let State::Http1(http) = &mut self.state else {
            return false;
        };
        if !http.is_upgraded() {
            return false;
        }
        let Some((next, rest)) = http.take_next() else {
            self.state = State::Opaque(Protocol::Opaque);
            return false;
        };
        self.state = match next {
            Next::WebSocket(socket) => State::WebSocket(socket),
            Next::Http2(http) => State::Http2(http),
        };
        for (dir, held) in rest {
            self.handle(dir, held.piece(), sink);
        }
        true
    }

    /// The connection, or a direction of it, ended. Pieces of before must have been handed in.
    pub(crate) fn handle_close(
        &mut self,
        ts: MonoNs,
        cause: CloseCause,
        sink: &mut dyn ExchangeSink,
    ) {
        let ends = &mut self.ends;
        match &mut self.state {
            State::Opaque(_) => {}
            State::Sniffing(_) => ends.note(cause, false),
            State::Http2(http) => ending::close(&mut **http, ts, cause, ends, sink),
            State::Http1(http) => {
                ending::close(&mut **http, ts, cause, ends, sink);
                if self.leave_when_upgraded(sink) {
                    self.handle_close(ts, cause, sink);
                }
            }
            State::WebSocket(socket) => ending::close(&mut **socket, ts, cause, ends, sink),
        }
    }

    /// Event time has come to `now`.
    pub(crate) fn handle_timeout(&mut self, now: MonoNs, sink: &mut dyn ExchangeSink) {
        match &mut self.state {
            State::Http1(http) => {
                http.handle_timeout(now, &self.ends, sink);
                self.leave_when_upgraded(sink);
            }
            State::Http2(http) => http.handle_timeout(now, &self.ends, sink),
            State::Sniffing(_) | State::WebSocket(_) | State::Opaque(_) => {}
        }
    }

    /// When [`ConnParser::handle_timeout`] wants to be called, at the latest.
    pub(crate) fn poll_timeout(&self) -> Option<MonoNs> {
        match &self.state {
            State::Http1(http) => http.poll_timeout(),
            State::Http2(http) => http.poll_timeout(),
            State::Sniffing(_) | State::WebSocket(_) | State::Opaque(_) => None,
        }
    }

    /// Bytes that it holds, about. Takes no walk over what may be many, but for WebSockets on HTTP/2.
    pub(crate) fn held_bytes(&self) -> usize {
        match &self.state {
            State::Sniffing(sniffing) => sniffing.held_bytes(),
            State::Http1(http) => http.held_bytes(),
            State::Http2(http) => http.held_bytes(),
            State::WebSocket(socket) => socket.held_bytes(),
            State::Opaque(_) => 0,
        }
    }

    /// The core holds too much: what is open ends here, and nothing that follows is read.
    pub(crate) fn give_up(&mut self, ts: MonoNs, sink: &mut dyn ExchangeSink) {
        self.handle_close(ts, CloseCause::AgentStop, sink);
        self.state = State::Opaque(Protocol::Opaque);
    }

    /// Bytes before its first request that were passed over: what a proxy said of the client, or nothing
    /// that is known.
    pub(crate) fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Others know for certain what it speaks, and that is nothing for us: it is looked at no more.
    pub(crate) fn leave_to_others(&mut self) {
        if let State::Sniffing(_) = self.state {
            self.state = State::Opaque(Protocol::Opaque);
        }
    }

    /// What it speaks.
    pub(crate) fn protocol(&self) -> Protocol {
        match &self.state {
            State::Sniffing(_) => Protocol::Unknown,
            State::Http1(_) => Protocol::Http1,
            State::Http2(_) => Protocol::Http2,
            State::WebSocket(_) => Protocol::WebSocket,
            State::Opaque(protocol) => *protocol,
        }
    }

    /// Which end the target is, as far as known.
    pub(crate) fn role(&self) -> Option<Role> {
        match &self.state {
            State::Http1(http) => http.role(),
            State::Http2(http) => http.role(),
            State::WebSocket(socket) => socket.role(),
            State::Sniffing(_) | State::Opaque(_) => self.start.role,
        }
    }

    /// Whether an exchange was started and has not ended.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn has_open_exchanges(&self) -> bool {
        match &self.state {
            State::Http1(http) => http.has_open_exchanges(),
            State::Http2(http) => http.has_open_exchanges(),
            State::WebSocket(socket) => !socket.is_over(),
            State::Sniffing(_) | State::Opaque(_) => false,
        }
    }
}
