//! HTTP/1 on one connection: two parsers, and the pairing of what they say.
//!
//! Responses answer requests in order (RFC 9112, section 9.3); behind a hole that order is not enough (`pairing`). Each exchange goes its way:
//! ```text
//!   request:   head --> body --> end                    both over --> End
//!   response:  Waiting --> Open --> Done
//! ```
//! The records of the two directions come in the order of their times, and a write is stamped when
//! its system call returns: a response may be seen before its request. It is held, for
//! [`HELD_RESPONSE_WINDOW_NS`] and [`crate::limits::MAX_HELD_RESPONSE_BYTES`], and then taken for one whose
//! request was never seen. A request whose head a hole took keeps its place in the queue.
//!
//! Three states besides (`phase`), each by itself:
//! ```text
//!   Phase  what is spoken          Http --answer waited for too long--> Impatient --next request--> Http
//!                                  Http, Impatient --101, its request goes on--> Switching --that ends--> Over
//!                                  Http, Impatient --101, CONNECT, a preface---------------------------> Over
//!   Owner  of the next response    Request --held for too long--> Orphan --response's end--> Request
//!                                  Request, Orphan --unasked, or of one given up--> Nobody --its end--> Request
//!   Seen   of the requests         Whole --a hole--> Part <--the first request-- Nothing (joined late)
//! ```
//! `Over` is final. How it is known which way the requests go (`Way`) is `Guessed` until a head has told it;
//! while it is, a start line of the other kind shows that it was misread.

mod pairing;
mod phase;
mod requests;
mod responses;
mod switch;

pub(super) use switch::Next;

use std::collections::VecDeque;

use self::pairing::Pairing;
use self::phase::{Owner, Phase, Seen, Way};
use super::conn::ConnStart;
use super::ending::{self, Ending, Ends, OpenExchanges, Unfinished};
use super::hold::Hold;
use super::open::{Exchange, Response};
use super::sniffing::response_direction;
use super::{ExchangeSink, Role};
use crate::limits::HELD_RESPONSE_WINDOW_NS;
use crate::proto::h1::start_line::{self, Plausible};
use crate::proto::h1::{Cursor, Grammar, Parser};
use crate::stream::{Direction, Piece};
use crate::time::MonoNs;

/// An HTTP/1 connection.
#[derive(Debug)]
pub(super) struct Http1 {
    role: Role,
    requests: Parser,
    responses: Parser,
    /// Exchanges that have not ended, oldest first.
    queue: VecDeque<Exchange>,
    held: Hold,
    next_id: u64,
    /// Number of abandoned exchanges whose responses are still to come.
    given_up: u64,
    /// Whose the response in hand is, or the next one.
    owner: Owner,
    seen: Seen,
    /// Whether it is known which answer is whose.
    pairing: Pairing,
    /// Its client was seen to ask again before it was answered.
    pipelines: bool,
    /// An answer without a request came since the last request: a hole before the next one has told of that already.
    orphaned: bool,
    /// See [`super::conn::ConnStart::unopened`].
    unopened: bool,
    way: Way,
    /// Bytes of requests that were read, lost ones too; `None`: not from the first on.
    requested: Option<u64>,
    phase: Phase,
    /// What a client sent behind a request for another protocol before the answer was seen.
    early: Hold,
}

impl Http1 {
    /// `next_id`: the number of exchanges before.
    pub(super) fn new(requests: Direction, start: ConnStart, next_id: u64) -> Http1 {
        let ConnStart { late, unopened, .. } = start;
        let role = match requests {
            Direction::Inbound => Role::Server,
            Direction::Outbound => Role::Client,
        };
        Http1 {
            role,
            requests: Parser::new(Grammar::Request, late),
            responses: Parser::new(Grammar::Response, late),
            queue: VecDeque::new(),
            held: Hold::default(),
            next_id,
            given_up: 0,
            owner: Owner::Request,
            seen: if late { Seen::Nothing } else { Seen::Whole },
            pairing: Pairing::at_first(late),
            pipelines: false,
            orphaned: false,
            unopened,
            way: Way::Guessed,
            requested: None,
            phase: Phase::Http,
            early: Hold::default(),
        }
    }

    /// Bytes of the direction of requests that passed before what is read here.
    pub(super) fn set_requested(&mut self, before: Option<u64>) {
        self.requested = before.filter(|_| self.seen == Seen::Whole);
    }

    /// The direction of the responses.
    pub(super) fn responses_go(&self) -> Direction {
        response_direction(self.role)
    }

    pub(super) fn is_upgraded(&self) -> bool {
        self.phase.is_over()
    }

    /// Bytes that it holds, about.
    pub(super) fn held_bytes(&self) -> usize {
        let parsers = self.requests.held_bytes() + self.responses.held_bytes();
        let queue = self.queue.capacity() * size_of::<Exchange>();
        size_of::<Http1>() + parsers + queue + self.held.bytes() + self.early.bytes()
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn has_open_exchanges(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether this piece shows that the requests go the other way. Then all is over here; says the
    /// number of exchanges so far.
    pub(super) fn give_up_misread(
        &mut self,
        dir: Direction,
        piece: Piece<'_>,
        ends: &Ends,
        sink: &mut dyn ExchangeSink,
    ) -> Option<u64> {
        let Piece::Data { ts, bytes } = piece else {
            return None;
        };
        if self.way == Way::Told {
            return None;
        }
        let other = if dir == self.responses_go() {
            start_line::known_request(bytes)
        } else {
            start_line::response(bytes)
        };
        if other != Plausible::Yes {
            return None;
        }
        while !self.queue.is_empty() {
            self.end_front(ts, Unfinished::NotHttp, ends, sink);
        }
        Some(self.next_id)
    }

    pub(super) fn poll_timeout(&self) -> Option<MonoNs> {
        let verdict = self.queue.front().and_then(Exchange::verdict_due);
        self.held_due().into_iter().chain(verdict).min()
    }

    fn held_due(&self) -> Option<MonoNs> {
        let since = match self.phase {
            Phase::Http | Phase::Impatient => self.held.since(),
            Phase::Switching | Phase::Over(_) => None,
        };
        since.map(|ts| ts.plus(HELD_RESPONSE_WINDOW_NS))
    }

    pub(super) fn handle_timeout(&mut self, now: MonoNs, ends: &Ends, sink: &mut dyn ExchangeSink) {
        while self.held_due().is_some_and(|at| at <= now) {
            self.release_held(ends, sink);
        }
        while let Some(x) = self.queue.front_mut()
            && x.verdict_due().is_some_and(|at| at <= now)
        {
            let ts = x.last;
            x.stay(ts, sink);
            self.settle(ts, ends, sink);
        }
    }

    pub(super) fn handle(
        &mut self,
        dir: Direction,
        piece: Piece<'_>,
        ends: &mut Ends,
        sink: &mut dyn ExchangeSink,
    ) {
        self.handle_timeout(piece.ts(), ends, sink);
        if self.phase.is_over() {
            // No request came for the answer that leads elsewhere: this is what comes there.
            return self.keep_for_next(dir, piece);
        }
        if let Piece::Eof { ts } = piece {
            ending::end_of_file(self, dir, ts, ends, sink);
        } else if dir == self.responses_go() {
            self.handle_response(piece, ends, sink);
            ending::see_who_stayed(self, piece.ts(), ends, sink);
            if !self.early.is_empty() && !self.awaits_switch() {
                self.drain_early(ends, sink);
            }
        } else {
            self.handle_request(piece, ends, sink);
        }
    }

    /// Ends the oldest exchange, whatever it lacks.
    fn end_front(&mut self, ts: MonoNs, why: Unfinished, ends: &Ends, sink: &mut dyn ExchangeSink) {
        if let Some(x) = self.queue.pop_front() {
            x.finish(ts, why, ends.aborted_by(self.role), sink);
        }
    }

    /// Says the end of exchanges that are over.
    fn settle(&mut self, ts: MonoNs, ends: &Ends, sink: &mut dyn ExchangeSink) {
        while self.queue.front().is_some_and(Exchange::is_settled) {
            if let Some(x) = self.queue.pop_front() {
                x.end(ts, ends.aborted_by(self.role), sink);
            }
        }
        if self.phase.is_over() {
            // What was sent behind an upgrade is no HTTP.
            while !self.queue.is_empty() {
                self.end_front(ts, Unfinished::NotHttp, ends, sink);
            }
        }
    }
}

impl OpenExchanges for Http1 {
    fn role(&self) -> Option<Role> {
        Some(self.role)
    }

    fn is_mid_response(&self) -> bool {
        let front = self.queue.front();
        front.is_some_and(|x| x.response == Response::Open)
    }

    fn each_leavable(&mut self, work: &mut dyn FnMut(&mut Exchange)) {
        self.queue.iter_mut().for_each(work);
    }

    fn end_direction(&mut self, dir: Direction, ending: &mut Ending<'_>) {
        let Ending {
            ts,
            cause,
            ends,
            ref mut sink,
        } = *ending;
        let at_eof = ends.close_delimited(self.role, cause);
        let mut eof = Cursor::new(Piece::Eof { ts }, at_eof);
        if dir == self.responses_go() {
            while !self.phase.is_over() && !self.held.is_empty() {
                self.release_held(ends, *sink);
            }
            self.run_responses(&mut eof, ends, *sink);
            // No response can come any more.
            while !self.phase.is_over() && self.queue.iter().any(|x| !x.is_answered()) {
                let is_lost = self
                    .queue
                    .front()
                    .is_some_and(|x| self.may_have_lost_answer(x));
                let why = match is_lost {
                    true => Unfinished::Lost,
                    false => Unfinished::CutOff,
                };
                self.end_front(ts, why, ends, *sink);
            }
        } else {
            while !self.phase.is_over() && !self.early.is_empty() {
                self.stop_waiting(ends, *sink);
            }
            self.phase.stop_waiting();
            self.run_requests(&mut eof, ends, *sink);
        }
    }

    fn end_all(&mut self, ending: &mut Ending<'_>) {
        while !self.queue.is_empty() {
            self.end_front(ending.ts, Unfinished::CutOff, ending.ends, ending.sink);
        }
    }
}
