//! The responses that the messages of one session tell of, each a scope of its own ([`super::turn`]).
//!
//! ```text
//!   Asked .. Began -> Piece* -> Ended     by id; several may be open at once
//!               holes, and the session's end: what is open ends where it was seen last
//! ```
//! A response begins with the client's message that asks for it, where exactly that is known; else
//! (the server took the turn by itself, or a hole may hold the question) with the server's first
//! message about it. `cirron.response.begin` says which.

use std::collections::VecDeque;

use super::evidence;
use super::store::Desk;
use super::turn::{Begin, Turn};
use crate::exchange::Sender;
use crate::id::Id;
use crate::limits::{MAX_ASKED_TURNS, MAX_OPEN_TURNS};
use crate::llm::{ReadSession, ResponseFacts, Said, SessionDialect};
use crate::time::MonoNs;

/// Bytes of a session's reader, about: as a dialect's.
const READER_BYTES: usize = 1_536;

/// A response that is open: its id on the wire, and its scope.
#[derive(Debug)]
struct Open {
    id: String,
    scope: Id,
}

/// Responses of one session.
#[derive(Debug)]
pub(super) struct Turns {
    session: &'static SessionDialect,
    reader: Box<dyn ReadSession>,
    keep_points: bool,
    open: Vec<Open>,
    /// Bytes that those hold.
    open_bytes: usize,
    /// When the client asked for responses that did not begin yet.
    asked: VecDeque<MonoNs>,
    /// When the last response began of which nobody was seen to ask for it.
    unasked: Option<MonoNs>,
    /// A hole among the server's messages, or a late beginning: there may be responses whose
    /// beginning was not seen.
    holed: bool,
}

impl Turns {
    /// Bytes that they hold, about.
    pub(super) fn held_bytes(&self) -> usize {
        size_of::<Turns>() + READER_BYTES + self.open_bytes
    }

    /// `late`: its beginning was not seen.
    pub(super) fn new(session: &'static SessionDialect, late: bool, keep_points: bool) -> Turns {
        Turns {
            session,
            reader: (session.reader)(),
            keep_points,
            open: Vec::new(),
            asked: VecDeque::new(),
            unasked: None,
            holed: late,
            open_bytes: 0,
        }
    }

    pub(super) fn push(&mut self, by: Sender, bytes: &[u8]) {
        self.reader.push(by, bytes);
    }

    /// Bytes of a message are missing.
    pub(super) fn gap(&mut self, by: Sender) {
        self.reader.gap(by);
    }

    /// A message ended; `whole`: all of it was read. `desk`: of the session's exchange.
    pub(super) fn message(&mut self, ts: MonoNs, by: Sender, whole: bool, desk: &mut Desk<'_>) {
        let said = self.reader.finish(by, whole);
        if !whole {
            self.lose(by, desk);
        }
        match said {
            Said::Nothing => {}
            Said::Asked => self.asks(ts, desk),
            Said::Refused => self.asked.clear(),
            Said::Began { id, model } => {
                let begin = match self.asked.pop_front() {
                    // Whichever of several it answers: another may have been answered unseen.
                    Some(asked) if asked <= ts => Begin::Asked(asked),
                    Some(_) | None => {
                        self.unasked = Some(ts);
                        Begin::Created
                    }
                };
                self.begin(id, begin, ts, desk);
                if let Some(at) = self.open.len().checked_sub(1) {
                    self.work(at, desk, |turn| turn.facts.model = model);
                }
            }
            Said::Piece { id, content } => {
                let keep_points = self.keep_points;
                if let Some(at) = self.find(&id, ts, desk) {
                    self.work(at, desk, |turn| {
                        turn.last = ts;
                        turn.tokens.take(ts, content, keep_points);
                    });
                }
            }
            Said::Ended { id, facts } => {
                if let Some(at) = self.find(&id, ts, desk) {
                    let open = self.open.remove(at);
                    self.end(open, facts, Some(ts), desk);
                }
            }
        }
    }

    /// The client asks for a response. The answer of its peer, read by another thread, may have been
    /// seen before it; the stamps tell.
    fn asks(&mut self, ts: MonoNs, desk: &mut Desk<'_>) {
        for open in &self.open {
            if let Some(turn) = desk.get_mut::<Turn>(open.scope)
                && matches!(turn.begin, Begin::Created)
                && ts <= turn.first
            {
                turn.begin = Begin::Asked(ts);
                desk.begin_at(open.scope, ts);
                return;
            }
        }
        // What it asked for is over.
        if self.unasked.is_some_and(|first| ts <= first) {
            return;
        }
        self.asked.push_back(ts);
        if self.asked.len() > MAX_ASKED_TURNS {
            self.asked.pop_front();
        }
    }

    /// Messages may be missing.
    pub(super) fn lose(&mut self, by: Sender, desk: &mut Desk<'_>) {
        // What it asked for may have been lost, or taken back.
        self.asked.clear();
        if by == Sender::Server {
            self.holed = true;
            for at in 0..self.open.len() {
                self.work(at, desk, |turn| {
                    turn.broken = true;
                    turn.tokens.hole();
                });
            }
        }
    }

    /// The session is over: what is open ends with it.
    pub(super) fn finish(&mut self, desk: &mut Desk<'_>) {
        for open in std::mem::take(&mut self.open) {
            self.end(open, Box::default(), None, desk);
        }
    }

    /// Where the response is; behind a hole, one that is not known began unseen.
    fn find(&mut self, id: &str, ts: MonoNs, desk: &mut Desk<'_>) -> Option<usize> {
        let known = self.open.iter().position(|open| open.id == id);
        if known.is_none() && self.holed {
            self.begin(id.to_owned(), Begin::Late, ts, desk);
            return self.open.len().checked_sub(1);
        }
        known
    }

    fn begin(&mut self, id: String, begin: Begin, ts: MonoNs, desk: &mut Desk<'_>) {
        if self.open.len() >= MAX_OPEN_TURNS {
            let oldest = self.open.remove(0);
            self.end(oldest, Box::default(), None, desk);
        }
        let turn = Turn::new(begin, ts, self.session.name);
        let (start, evidence) = match begin {
            Begin::Asked(_) | Begin::Created => (turn.start(), evidence::MESSAGE),
            Begin::Late => (turn.start(), evidence::JOINED),
        };
        let scope = desk.open(start, evidence, Box::new(turn));
        self.open_bytes += desk.held_bytes(scope);
        self.open.push(Open { id, scope });
    }

    /// Works on an open response, and keeps what it holds true.
    fn work(&mut self, at: usize, desk: &mut Desk<'_>, work: impl FnOnce(&mut Turn)) {
        let Some(open) = self.open.get(at) else {
            return;
        };
        let before = desk.held_bytes(open.scope);
        if let Some(turn) = desk.get_mut(open.scope) {
            work(turn);
        }
        self.open_bytes = self.open_bytes + desk.held_bytes(open.scope) - before;
    }

    fn end(
        &mut self,
        open: Open,
        facts: Box<ResponseFacts>,
        at: Option<MonoNs>,
        desk: &mut Desk<'_>,
    ) {
        self.open_bytes -= desk.held_bytes(open.scope);
        if let Some(turn) = desk.get_mut::<Turn>(open.scope) {
            turn.end(open.id, facts, at);
            let last = turn.last;
            desk.close(open.scope, last);
        }
    }
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;
