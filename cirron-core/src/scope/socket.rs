//! The WebSocket that an exchange turned into: its messages counted, its responses told apart.

use super::messages::Messages;
use super::names as n;
use super::span::Attrs;
use super::turns::{Ended, Turns};
use crate::exchange::Sender;
use crate::llm::SESSIONS;
use crate::proto::ws::{Event, Kind};
use crate::time::MonoNs;

/// A WebSocket.
#[derive(Debug)]
pub(super) struct Socket {
    client: Side,
    server: Side,
    /// Who said Close first, and why.
    close: Option<(Sender, Option<u16>)>,
    turns: Option<Turns>,
}

/// One end of it.
#[derive(Debug, Default)]
struct Side {
    messages: Messages,
    /// The message under way is text that may be read.
    text: bool,
}

impl Socket {
    /// `path`: of the handshake, where it was seen.
    pub(super) fn new(path: Option<&str>, keep_points: bool) -> Socket {
        let mut of_path = SESSIONS
            .iter()
            .filter(|s| path.is_none_or(|p| (s.is_path)(p)));
        let session = of_path.next();
        Socket {
            client: Side::default(),
            server: Side::default(),
            close: None,
            turns: session.map(|session| Turns::new(session, path.is_none(), keep_points)),
        }
    }

    /// The next event of one end. Gives the bytes that it says are lost.
    pub(super) fn on_event(&mut self, ts: MonoNs, by: Sender, event: &Event<'_>) -> u64 {
        let side = match by {
            Sender::Client => &mut self.client,
            Sender::Server => &mut self.server,
        };
        match *event {
            Event::MessageStart { kind, .. } => side.text = kind == Kind::Text,
            Event::Data(bytes) => {
                if let Some(turns) = self.turns.as_mut().filter(|_| side.text) {
                    turns.push(by, bytes);
                }
            }
            Event::DataGap(len) => {
                if let Some(turns) = self.turns.as_mut().filter(|_| side.text) {
                    turns.gap(by);
                }
                return len;
            }
            Event::MessageEnd {
                wire_bytes,
                damaged,
                fragments: _,
            } => {
                side.messages.take(ts, wire_bytes);
                if let Some(turns) = self.turns.as_mut().filter(|_| side.text) {
                    turns.message(ts, by, !damaged);
                }
            }
            Event::Lost(len) => {
                side.messages.hole();
                if let Some(turns) = &mut self.turns {
                    if std::mem::take(&mut side.text) {
                        turns.gap(by);
                        turns.message(ts, by, false);
                    }
                    turns.lose(by);
                }
                return len;
            }
            Event::Close { code } => {
                self.close.get_or_insert((by, code));
            }
            Event::Ping | Event::Pong => {}
        }
        0
    }

    /// It is over.
    pub(super) fn finish(&mut self) {
        if let Some(turns) = &mut self.turns {
            turns.finish();
        }
    }

    /// Whether a response is over that was not taken.
    pub(super) fn has_ended(&self) -> bool {
        self.turns.as_ref().is_some_and(Turns::has_ended)
    }

    /// The next response that is over.
    pub(super) fn next_ended(&mut self) -> Option<Ended> {
        self.turns.as_mut()?.next_ended()
    }

    /// Messages of client and server.
    pub(super) fn messages(&self) -> [&Messages; 2] {
        [&self.client.messages, &self.server.messages]
    }

    pub(super) fn describe(&self, attrs: &mut Attrs) {
        if let Some((by, code)) = self.close {
            attrs.insert(n::CLOSED_BY, by.as_str().into());
            if let Some(code) = code {
                attrs.insert(n::CLOSE_CODE, i64::from(code).into());
            }
        }
    }
}
