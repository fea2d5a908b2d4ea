//! HTTP/2 on one connection: two parsers, and the streams that are open on it.
//!
//! A stream is an exchange: what one side sends on it answers what the other did. It ends when both
//! have, when one gives it up (RST_STREAM, GOAWAY), or with the connection:
//! ```text
//!   request:   head --> body --> end                    both over --> End
//!   response:  Waiting --> Open --> Done
//! ```
//! A response that comes before its request is held, as on HTTP/1 ([`super::http1`]): a write is
//! stamped when its system call returns. Joined late, or behind a hole, a stream that is not known
//! is an exchange whose beginning was not seen; one that has ended is remembered for a while, so
//! that what follows on it makes no other. A connection that an upgrade led here begins with stream 1
//! under way ([`super::http1`]); a stream that became a WebSocket is read as one (`sockets`).

mod sockets;
mod streams;

use std::collections::{BTreeMap, BTreeSet};

use self::sockets::StreamSocket;
use super::ending::{self, Ending, Ends, OpenExchanges, Unfinished};
use super::hold::Hold;
use super::open::{Exchange, Response};
use super::sniffing::response_direction;
use super::{AbortedBy, ExchangeSink, Role};
use crate::limits::{
    HELD_RESPONSE_WINDOW_NS, LEFT_RESET_WINDOW_NS, LOST_STREAM_LINGER_NS, MAX_ENDED_STREAMS,
    MAX_HELD_RESPONSE_BYTES,
};
use crate::proto::h2::{Cursor, Heads, Parser};
use crate::proto::message::MessageEnd;
use crate::stream::{Direction, Piece};
use crate::time::MonoNs;

/// Bytes of one entry of `streams`, about: a node of the tree is half empty at worst.
const STREAM_BYTES: usize = 2 * size_of::<Exchange>();
/// The same of `ended`.
const ENDED_STREAM_BYTES: usize = 2 * size_of::<u32>();

/// An HTTP/2 connection.
#[derive(Debug)]
pub(super) struct Http2 {
    /// `None`: joined late, and no head has told it.
    role: Option<Role>,
    inbound: Parser,
    outbound: Parser,
    /// Exchanges that have not ended, by stream.
    streams: BTreeMap<u32, Exchange>,
    /// Those that are WebSockets, or may become one.
    sockets: BTreeMap<u32, StreamSocket>,
    /// Bytes held for those that may.
    early_bytes: usize,
    /// Streams that ended, the latest of them.
    ended: BTreeSet<u32>,
    next_id: u64,
    /// The newest stream of which a request was seen.
    newest: u32,
    /// Streams up to this may have begun unseen.
    unseen_up_to: u32,
    /// A response that waits for its request, and what came behind it.
    waiting: Option<(MonoNs, Box<Heads>)>,
    held: Hold,
    /// When an exchange whose end a hole may have taken, or whose client may have left, is looked at.
    linger: Option<MonoNs>,
}

/// What a step of the connection works with.
struct StepContext<'a> {
    ts: MonoNs,
    ends: &'a Ends,
    sink: &'a mut dyn ExchangeSink,
}

impl<'a> From<&'a mut Ending<'_>> for StepContext<'a> {
    fn from(ending: &'a mut Ending<'_>) -> StepContext<'a> {
        StepContext {
            ts: ending.ts,
            ends: ending.ends,
            sink: ending.sink,
        }
    }
}

/// When an exchange is over, if nothing more comes: of those that need no end to be.
fn silent_until(x: &Exchange) -> Option<MonoNs> {
    let left = x.has_left().then(|| x.last.plus(LEFT_RESET_WINDOW_NS));
    let lost = x.holed.then(|| x.last.plus(LOST_STREAM_LINGER_NS));
    [x.verdict_due(), left, lost].into_iter().flatten().min()
}

impl Http2 {
    /// `requests`: the direction of the requests, where it is known.
    pub(super) fn new(requests: Option<Direction>, late: bool) -> Http2 {
        let parser = |dir| Parser::new(late, requests == Some(dir));
        Http2 {
            role: requests.map(|dir| match dir {
                Direction::Inbound => Role::Server,
                Direction::Outbound => Role::Client,
            }),
            inbound: parser(Direction::Inbound),
            outbound: parser(Direction::Outbound),
            streams: BTreeMap::new(),
            sockets: BTreeMap::new(),
            early_bytes: 0,
            ended: BTreeSet::new(),
            next_id: 0,
            newest: 0,
            unseen_up_to: if late { u32::MAX } else { 0 },
            waiting: None,
            held: Hold::default(),
            linger: None,
        }
    }

    /// Behind an upgrade from HTTP/1, whose exchange is stream 1 (RFC 7540, section 3.2).
    /// `last_id`: the number of exchanges before; `unseen`: where the server's frames begin is not
    /// known.
    pub(super) fn upgraded(
        role: Role,
        stream_1: Option<Exchange>,
        last_id: u64,
        unseen: bool,
    ) -> Http2 {
        let responses = response_direction(role);
        let mut http = Http2::new(Some(responses.opposite()), false);
        if unseen {
            *http.parser(responses) = Parser::new(true, false);
        }
        http.next_id = last_id;
        http.newest = 1;
        match stream_1 {
            Some(x) => {
                http.linger = x.holed.then(|| x.last.plus(LOST_STREAM_LINGER_NS));
                http.streams.insert(1, x);
            }
            None => http.remember(1),
        }
        http
    }

    fn parser(&mut self, dir: Direction) -> &mut Parser {
        match dir {
            Direction::Inbound => &mut self.inbound,
            Direction::Outbound => &mut self.outbound,
        }
    }

    /// Bytes that it holds, about.
    pub(super) fn held_bytes(&self) -> usize {
        let parsers = self.inbound.held_bytes() + self.outbound.held_bytes();
        let streams = self.streams.len() * STREAM_BYTES + self.ended.len() * ENDED_STREAM_BYTES;
        let waiting = self.waiting.as_ref();
        let waiting = waiting.map_or(0, |(_, heads)| heads.list.held_bytes());
        parsers + streams + waiting + self.held.bytes() + self.held_by_sockets()
    }

    pub(super) fn has_open_exchanges(&self) -> bool {
        !self.streams.is_empty()
    }

    /// It was never HTTP/2.
    pub(super) fn is_misread(&self) -> bool {
        self.inbound.is_misread() || self.outbound.is_misread()
    }

    pub(super) fn poll_timeout(&self) -> Option<MonoNs> {
        let held = self
            .waiting
            .as_ref()
            .map(|(ts, _)| ts.plus(HELD_RESPONSE_WINDOW_NS));
        held.into_iter().chain(self.linger).min()
    }

    pub(super) fn handle_timeout(&mut self, now: MonoNs, ends: &Ends, sink: &mut dyn ExchangeSink) {
        let mut step = StepContext {
            ts: now,
            ends,
            sink,
        };
        while let Some((ts, _)) = &self.waiting
            && ts.plus(HELD_RESPONSE_WINDOW_NS) <= now
        {
            self.release(&mut step);
        }
        if self.linger.is_some_and(|at| at <= now) {
            self.end_silent(now, &mut step);
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
        if let Piece::Eof { ts } = piece {
            return ending::end_of_file(self, dir, ts, ends, sink);
        }
        let mut step = StepContext {
            ts: piece.ts(),
            ends,
            sink,
        };
        if self.waiting.is_some() && self.carries_responses(dir) {
            self.held.push_back(piece);
            while self.held.bytes() > MAX_HELD_RESPONSE_BYTES && self.waiting.is_some() {
                self.release(&mut step);
            }
            return;
        }
        let mut cur = Cursor::new(piece, MessageEnd::Aborted);
        self.run(dir, &mut cur, &mut step);
        if let Some(rest) = cur.rest() {
            self.held.push_back(rest);
        }
        ending::see_who_stayed(self, piece.ts(), ends, sink);
    }

    /// The client gave up a stream. What the server has written to it by the time that it knows is
    /// waited for.
    fn cancel(&mut self, stream: u32, step: &mut StepContext<'_>) {
        let Some(x) = self.streams.get_mut(&stream) else {
            return;
        };
        if x.is_answered() || self.sockets.contains_key(&stream) {
            return self.end(stream, MessageEnd::Aborted, Some(AbortedBy::Client), step);
        }
        x.end_request(step.ts.max(x.last), MessageEnd::Aborted, step.sink);
        x.leave(step.ts, true, step.sink);
        self.look_at(stream);
    }

    /// When this exchange is to be looked at, if nothing more comes.
    fn look_at(&mut self, stream: u32) {
        let due = self.streams.get(&stream).and_then(silent_until);
        self.linger = self.linger.into_iter().chain(due).min();
    }

    fn carries_responses(&self, dir: Direction) -> bool {
        self.role
            .is_some_and(|role| response_direction(role) == dir)
    }

    /// The connection's end cut these off.
    fn end_each(&mut self, which: impl Fn(&Exchange) -> bool, step: &mut StepContext<'_>) {
        let by = ending::closed_by(self, step.ends);
        let these = self.streams.iter().filter(|(_, x)| which(x));
        // Of one whose end may have stood in a hole nobody knows that it was cut off.
        let end = |x: &Exchange| match x.holed {
            true => MessageEnd::Lost,
            false => MessageEnd::Aborted,
        };
        for (stream, end) in these.map(|(s, x)| (*s, end(x))).collect::<Vec<_>>() {
            self.end(stream, end, by, step);
        }
    }

    /// Ends an exchange, whatever it lacks.
    fn end(
        &mut self,
        stream: u32,
        end: MessageEnd,
        by: Option<AbortedBy>,
        step: &mut StepContext<'_>,
    ) {
        let end = self.close_socket(stream, end, step);
        let Some(x) = self.streams.remove(&stream) else {
            return;
        };
        // One that its client gave up was over then, whatever was written since.
        let (ts, why) = match x.has_left() {
            true => (x.last, Unfinished::CutOff),
            false => (step.ts, Unfinished::from(end)),
        };
        x.finish(ts, why, by, step.sink);
        if self.streams.is_empty() {
            self.linger = None;
        }
        self.remember(stream);
    }

    fn remember(&mut self, stream: u32) {
        self.ended.insert(stream);
        if self.ended.len() > MAX_ENDED_STREAMS {
            self.ended.pop_first();
        }
    }

    /// Ends an exchange of which nothing is missing any more.
    fn settle(&mut self, stream: u32, step: &mut StepContext<'_>) {
        let Some(x) = self.streams.get_mut(&stream) else {
            return;
        };
        // Its request's end went by in a hole: a server answers what it has read.
        if x.is_answered() && x.holed && x.request.is_none() {
            x.end_request(step.ts.max(x.last), MessageEnd::Lost, step.sink);
        }
        if x.verdict_due().is_some() {
            self.look_at(stream);
        } else if x.is_settled() {
            let by = ending::closed_by(self, step.ends);
            self.end(stream, MessageEnd::Complete, by, step);
        }
    }

    /// Exchanges whose end a hole may have taken, or whose client left, and that were silent since.
    fn end_silent(&mut self, now: MonoNs, step: &mut StepContext<'_>) {
        let due = self.streams.iter();
        let due = due.filter_map(|(s, x)| Some((*s, silent_until(x)?)));
        let (over, open): (Vec<_>, Vec<_>) = due.partition(|(_, at)| *at <= now);
        self.linger = open.into_iter().map(|(_, at)| at).min();
        for (stream, _) in over {
            let Some(x) = self.streams.get_mut(&stream) else {
                continue;
            };
            // It was silent since then.
            let mut step = StepContext {
                ts: x.last,
                ends: step.ends,
                sink: &mut *step.sink,
            };
            if x.verdict_due().is_some() {
                x.stay(step.ts, step.sink);
                self.settle(stream, &mut step);
            } else {
                self.end(stream, MessageEnd::Lost, None, &mut step);
            }
        }
    }

    /// Runs a parser until the cursor is used up, or a response comes that must wait.
    fn run(&mut self, dir: Direction, cur: &mut Cursor<'_>, step: &mut StepContext<'_>) {
        while self.waiting.is_none() || !self.carries_responses(dir) {
            let Some(event) = self.parser(dir).next(cur) else {
                return;
            };
            step.ts = cur.ts;
            self.on_event(dir, event, step);
        }
    }

    /// The request was never seen: what waits goes on without.
    fn release(&mut self, step: &mut StepContext<'_>) {
        let Some((ts, heads)) = self.waiting.take() else {
            return;
        };
        let now = std::mem::replace(&mut step.ts, ts);
        self.unseen_up_to = self.unseen_up_to.max(heads.stream);
        self.response_heads(*heads, step);
        self.drain(step);
        step.ts = now;
    }

    /// Goes on with what was held, until a response must wait again.
    fn drain(&mut self, step: &mut StepContext<'_>) {
        let Some(role) = self.role else { return };
        while self.waiting.is_none()
            && let Some(held) = self.held.pop_front()
        {
            let mut cur = Cursor::new(held.piece(), MessageEnd::Aborted);
            self.run(response_direction(role), &mut cur, step);
            if let Some(rest) = cur.rest() {
                self.held.push_front(rest.into());
            }
        }
    }
}

impl OpenExchanges for Http2 {
    fn role(&self) -> Option<Role> {
        self.role
    }

    fn is_mid_response(&self) -> bool {
        self.streams.values().any(|x| x.response == Response::Open)
    }

    fn each_leavable(&mut self, work: &mut dyn FnMut(&mut Exchange)) {
        self.streams.values_mut().for_each(work);
    }

    /// A stream's request may go on without its connection's: it has ended, or its response says how.
    fn end_direction(&mut self, dir: Direction, ending: &mut Ending<'_>) {
        if !self.carries_responses(dir) {
            return;
        }
        let mut step = StepContext::from(ending);
        while self.waiting.is_some() {
            self.release(&mut step);
        }
        self.end_each(|x| !x.is_answered(), &mut step);
    }

    fn end_all(&mut self, ending: &mut Ending<'_>) {
        self.end_each(|_| true, &mut StepContext::from(ending));
    }
}
