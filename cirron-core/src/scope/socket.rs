//! The WebSocket that an exchange turned into: its messages counted, its responses told apart.

use super::messages::Messages;
use super::names as n;
use super::span::Attrs;
use super::store::Desk;
use super::turns::Turns;
use crate::exchange::Sender;
use crate::llm::SESSIONS;
use crate::proto::ws::{Event, Kind};
use crate::time::MonoNs;

/// A WebSocket.
#[derive(Debug)]
pub(super) struct WebSocketScope {
    client: Side,
    server: Side,
    /// The first Close.
    close: Option<Close>,
    turns: Option<Turns>,
}

/// A Close frame.
#[derive(Clone, Copy, Debug)]
struct Close {
    ts: MonoNs,
    by: Sender,
    code: Option<u16>,
}

/// One end of it.
#[derive(Debug, Default)]
struct Side {
    messages: Messages,
    /// The message under way is text that may be read.
    text: bool,
}

impl WebSocketScope {
    /// `path`: of the handshake, where it was seen.
    pub(super) fn new(path: Option<&str>, keep_points: bool) -> WebSocketScope {
        let mut of_path = SESSIONS
            .iter()
            .filter(|s| path.is_none_or(|p| (s.is_path)(p)));
        let session = of_path.next();
        WebSocketScope {
            client: Side::default(),
            server: Side::default(),
            close: None,
            turns: session.map(|session| Turns::new(session, path.is_none(), keep_points)),
        }
    }

    /// The next event of one end. Gives the bytes that it says are lost.
    pub(super) fn on_event(
        &mut self,
        ts: MonoNs,
        by: Sender,
        event: &Event<'_>,
        desk: &mut Desk<'_>,
    ) -> u64 {
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
                    turns.message(ts, by, !damaged, desk);
                }
            }
            Event::OtherGap(len) => return len,
            Event::Lost(_) | Event::Passed(_) => {
                side.messages.hole();
                if let Some(turns) = &mut self.turns {
                    if std::mem::take(&mut side.text) {
                        turns.gap(by);
                        turns.message(ts, by, false, desk);
                    }
                    turns.lose(by, desk);
                }
                if let Event::Lost(len) = *event {
                    return len;
                }
            }
            Event::Close { code } => {
                // By their stamps: inside a TLS library the answer may be read, by another thread, before the
                // write returns that it answers.
                if self.close.is_none_or(|first| ts < first.ts) {
                    self.close = Some(Close { ts, by, code });
                }
            }
            Event::Ping | Event::Pong => {}
        }
        0
    }

    /// Bytes that it holds, about.
    pub(super) fn held_bytes(&self) -> usize {
        size_of::<WebSocketScope>() + self.turns.as_ref().map_or(0, Turns::held_bytes)
    }

    /// It is over.
    pub(super) fn finish(&mut self, desk: &mut Desk<'_>) {
        if let Some(turns) = &mut self.turns {
            turns.finish(desk);
        }
    }

    /// Messages of client and server.
    pub(super) fn messages(&self) -> [&Messages; 2] {
        [&self.client.messages, &self.server.messages]
    }

    pub(super) fn describe(&self, attrs: &mut Attrs) {
        if let Some(Close { by, code, .. }) = self.close {
            attrs.insert(n::CLOSED_BY, by.as_str().into());
            if let Some(code) = code {
                attrs.insert(n::CLOSE_CODE, i64::from(code).into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::span::AttrValue;
    use super::super::store::{Origin, Start, Store};
    use super::*;
    use crate::id::{Id, SequentialIds};

    /// Who is said to have closed, and with which code; `closes` in the order in which they are seen.
    fn closed(closes: [(u64, Sender, u16); 2]) -> [Option<AttrValue>; 2] {
        let mut socket = WebSocketScope::new(Some("/echo"), false);
        let mut store = Store::new(Box::new(SequentialIds::default()));
        let start = Start::at_zero();
        let id = Id([0; 16]);
        let mut desk = Desk::new(&mut store, Origin { id, start });
        for (ns, by, code) in closes {
            let event = Event::Close { code: Some(code) };
            socket.on_event(MonoNs(ns), by, &event, &mut desk);
        }
        let mut attrs = Attrs::default();
        socket.describe(&mut attrs);
        [n::CLOSED_BY, n::CLOSE_CODE].map(|name| attrs.get(name).cloned())
    }

    fn by_the_client() -> [Option<AttrValue>; 2] {
        [Some("client".into()), Some(4001_i64.into())]
    }

    #[test]
    fn the_first_close_says_who_closed() {
        let seen = closed([(10, Sender::Client, 4001), (20, Sender::Server, 1000)]);
        assert_eq!(seen, by_the_client());
    }

    #[test]
    fn an_answer_that_is_read_before_its_write_returns_is_not_the_first_close() {
        let seen = closed([(20, Sender::Server, 1000), (10, Sender::Client, 4001)]);
        assert_eq!(seen, by_the_client());
    }
}
