//! HTTP/1 on one connection: two parsers, and the pairing of what they say.
//!
//! Responses answer requests in order (RFC 9112, section 9.3). Each exchange goes its way:
//! ```text
//!   request:   head --> body --> end                    both over --> End
//!   response:  Waiting --> Open --> Done
//! ```
//! The records of the two directions come in the order of their times, and a write is stamped when
//! its system call returns: a response may be seen before its request. It is held, for
//! [`HELD_RESPONSE_WINDOW_NS`] and [`MAX_HELD_RESPONSE_BYTES`], and then taken for one whose
//! request was never seen. A request whose head a hole took keeps its place in the queue.

use std::collections::VecDeque;

use super::close::{CloseCause, Ends, ends_direction};
use super::hold::HeldPiece;
use super::hold::Hold;
use super::leaving::Leaving;
use super::open::{Exchange, Response, Upgrade};
use super::sniffing::response_direction;
use super::websocket::{self, WebSocket};
use super::{ExchangeEvent, ExchangeId, ExchangeSink, Role};
use crate::limits::{HELD_RESPONSE_WINDOW_NS, MAX_HELD_RESPONSE_BYTES, MAX_PIPELINED};
use crate::proto::h1::start_line::{self, Plausible};
use crate::proto::h1::{AnswerTo, Cursor, Event, Grammar, Parser};
use crate::proto::message::{MessageEnd, RequestHead, ResponseHead};
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
    /// Exchanges that were given up before their response: so many responses belong to nobody.
    given_up: u64,
    /// The response in hand belongs to nobody.
    ignoring: bool,
    /// Responses need no longer wait for a request.
    orphans: bool,
    /// Joined late, or a hole among the requests: a response may lack its request.
    untidy: bool,
    /// A request, or a part of one, was seen.
    requests_seen: bool,
    /// No head was seen yet: which way the requests go was told from the body of a response.
    provisional: bool,
    upgraded: bool,
    /// What a client sent behind a request for a WebSocket before the answer was seen.
    early: Hold,
    /// The exchange that goes on as a WebSocket.
    switched: Option<Exchange>,
}

impl Http1 {
    /// `next_id`: the number of exchanges before.
    pub(super) fn new(requests: Direction, late: bool, next_id: u64) -> Http1 {
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
            ignoring: false,
            orphans: false,
            untidy: late,
            requests_seen: !late,
            provisional: true,
            upgraded: false,
            early: Hold::default(),
            switched: None,
        }
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    pub(super) fn is_upgraded(&self) -> bool {
        self.upgraded
    }

    pub(super) fn has_open_exchanges(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Once upgraded: the WebSocket that goes on here, if it is one, and what was not read yet.
    pub(super) fn take_websocket(&mut self) -> Option<(WebSocket, Vec<(Direction, HeldPiece)>)> {
        let exchange = self.switched.take()?;
        let deflate = match exchange.upgrades {
            Upgrade::WebSocket(deflate) => deflate,
            Upgrade::No | Upgrade::Tunnel => None,
        };
        let responses = response_direction(self.role);
        let mut rest = Vec::new();
        for (dir, hold) in [
            (responses, &mut self.held),
            (responses.opposite(), &mut self.early),
        ] {
            let pieces = std::iter::from_fn(|| hold.pop_front());
            rest.extend(pieces.map(|piece| (dir, piece)));
        }
        Some((WebSocket::new(self.role, exchange, deflate), rest))
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
        if !self.provisional {
            return None;
        }
        let other = if dir == response_direction(self.role) {
            start_line::known_request(bytes)
        } else {
            start_line::response(bytes)
        };
        if other != Plausible::Yes {
            return None;
        }
        while !self.queue.is_empty() {
            self.end_front(ts, MessageEnd::Lost, ends, sink);
        }
        Some(self.next_id)
    }

    pub(super) fn poll_timeout(&self) -> Option<MonoNs> {
        let verdict = self.queue.front().and_then(Exchange::verdict_due);
        self.held_due().into_iter().chain(verdict).min()
    }

    fn held_due(&self) -> Option<MonoNs> {
        let since = self.held.since().filter(|_| !self.upgraded);
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

    /// The client's FIN came: it has left, or will not ask any more.
    fn leave(&mut self, ts: MonoNs, cause: CloseCause, sink: &mut dyn ExchangeSink) {
        if cause == CloseCause::PeerFin && self.role == Role::Server {
            self.queue.iter_mut().for_each(|x| x.leave(ts, false, sink));
        }
    }

    /// It reads on: what ends the exchange later is not that FIN.
    fn see_who_stayed(&mut self, ts: MonoNs, ends: &mut Ends, sink: &mut dyn ExchangeSink) {
        if self.queue.iter().any(|x| x.leaving == Leaving::Stayed) {
            ends.was_half_closed();
            self.queue.iter_mut().for_each(|x| x.stay(ts, sink));
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
        if self.upgraded {
            return;
        }
        if let Piece::Eof { ts } = piece {
            let cause = match dir {
                Direction::Inbound => CloseCause::PeerFin,
                Direction::Outbound => CloseCause::LocalShutWrite,
            };
            ends.note(cause, self.is_mid_response());
            self.leave(ts, cause, sink);
            self.end_direction(dir, ts, cause, ends, sink);
        } else if dir == response_direction(self.role) {
            self.handle_response(piece, ends, sink);
            self.see_who_stayed(piece.ts(), ends, sink);
            if !self.early.is_empty() && !self.awaits_switch() {
                self.drain_early(ends, sink);
            }
        } else {
            self.handle_request(piece, ends, sink);
        }
    }

    pub(super) fn handle_close(
        &mut self,
        ts: MonoNs,
        cause: CloseCause,
        ends: &mut Ends,
        sink: &mut dyn ExchangeSink,
    ) {
        ends.note(cause, self.is_mid_response());
        self.leave(ts, cause, sink);
        if cause == CloseCause::PeerReset {
            self.queue.iter_mut().for_each(|x| x.reset(ts, sink));
        }
        let responses = response_direction(self.role);
        for dir in [responses.opposite(), responses] {
            if ends_direction(cause, dir) {
                self.end_direction(dir, ts, cause, ends, sink);
            }
        }
        if ends_direction(cause, responses) && ends_direction(cause, responses.opposite()) {
            while !self.queue.is_empty() {
                self.end_front(ts, MessageEnd::Aborted, ends, sink);
            }
        }
    }

    fn is_mid_response(&self) -> bool {
        self.queue
            .front()
            .is_some_and(|x| x.response == Response::Open)
    }

    fn end_direction(
        &mut self,
        dir: Direction,
        ts: MonoNs,
        cause: CloseCause,
        ends: &Ends,
        sink: &mut dyn ExchangeSink,
    ) {
        let at_eof = ends.close_delimited(self.role, cause);
        let mut eof = Cursor::new(Piece::Eof { ts }, at_eof);
        if dir == response_direction(self.role) {
            while !self.upgraded && !self.held.is_empty() {
                self.release_held(ends, sink);
            }
            self.run_responses(&mut eof, ends, sink);
            // No response can come any more.
            while !self.upgraded && self.queue.iter().any(|x| !x.is_answered()) {
                self.end_front(ts, MessageEnd::Aborted, ends, sink);
            }
        } else {
            self.drain_early(ends, sink);
            self.run_requests(&mut eof, ends, sink);
        }
    }

    /// Ends the oldest exchange, whatever it lacks.
    fn end_front(
        &mut self,
        ts: MonoNs,
        response_end: MessageEnd,
        ends: &Ends,
        sink: &mut dyn ExchangeSink,
    ) {
        let Some(mut x) = self.queue.pop_front() else {
            return;
        };
        // It waited only for whether its client was there.
        let ts = if x.is_over() { x.last } else { ts.max(x.last) };
        x.end_request(ts, MessageEnd::Aborted, sink);
        if x.response == Response::Open {
            x.end_response(ts, response_end, sink);
        }
        x.end(ts, ends.aborted_by(self.role), sink);
    }

    /// Says the end of exchanges that are over.
    fn settle(&mut self, ts: MonoNs, ends: &Ends, sink: &mut dyn ExchangeSink) {
        let settled = |x: &Exchange| x.is_over() && x.verdict_due().is_none();
        while self.queue.front().is_some_and(settled) {
            if let Some(x) = self.queue.pop_front() {
                x.end(ts, ends.aborted_by(self.role), sink);
            }
        }
        if self.upgraded {
            // What was sent behind an upgrade is no HTTP.
            while !self.queue.is_empty() {
                self.end_front(ts, MessageEnd::Lost, ends, sink);
            }
        }
    }

    // Requests.

    fn handle_request(&mut self, piece: Piece<'_>, ends: &Ends, sink: &mut dyn ExchangeSink) {
        if self.awaits_switch() {
            self.early.push_back(piece);
            if self.early.bytes() > MAX_HELD_RESPONSE_BYTES {
                self.drain_early(ends, sink);
            }
        } else {
            self.read_request(piece, ends, sink);
        }
    }

    /// What the client sends next is HTTP or not, as the answer to its last request will say.
    fn awaits_switch(&self) -> bool {
        let asks = |x: &Exchange| x.asks_websocket && x.request.is_some();
        let last = self.queue.back();
        last.is_some_and(|x| asks(x) && x.response == Response::Waiting)
    }

    /// The client did not get its WebSocket, or we cannot wait for longer.
    fn drain_early(&mut self, ends: &Ends, sink: &mut dyn ExchangeSink) {
        while !self.upgraded
            && let Some(held) = self.early.pop_front()
        {
            self.read_request(held.piece(), ends, sink);
        }
    }

    fn read_request(&mut self, piece: Piece<'_>, ends: &Ends, sink: &mut dyn ExchangeSink) {
        if let Piece::Data { ts, bytes } = piece {
            self.abandon_refused_body(ts, bytes, ends, sink);
        } else {
            self.untidy = true;
        }
        self.run_requests(&mut Cursor::new(piece, MessageEnd::Aborted), ends, sink);
        if !self.held.is_empty() && self.is_awaited() {
            self.drain_held(ends, sink);
        }
    }

    /// A client that waited for `100 Continue` and got its answer instead need not send the body
    /// (RFC 9110, section 10.1.1).
    fn abandon_refused_body(
        &mut self,
        ts: MonoNs,
        bytes: &[u8],
        ends: &Ends,
        sink: &mut dyn ExchangeSink,
    ) {
        let mut open = self.queue.iter_mut().rev().filter(|x| x.request.is_none());
        if let Some(x) = open.next()
            && x.expects_continue
            && x.is_answered()
            && start_line::request(bytes) == Plausible::Yes
        {
            self.requests.abandon_body();
            x.end_request(ts, MessageEnd::Aborted, sink);
            self.settle(ts, ends, sink);
        }
    }

    fn run_requests(&mut self, cur: &mut Cursor<'_>, ends: &Ends, sink: &mut dyn ExchangeSink) {
        while let Some(event) = self.requests.next(cur, AnswerTo::Other) {
            self.on_request_event(event, cur.ts, ends, sink);
            if self.upgraded {
                return;
            }
        }
    }

    fn on_request_event(
        &mut self,
        event: Event<'_>,
        ts: MonoNs,
        ends: &Ends,
        sink: &mut dyn ExchangeSink,
    ) {
        match event {
            Event::Request { start, head } => self.begin_request(start, ts, &head, ends, sink),
            Event::HeadLost { start, len } => {
                if self.requests_seen || start.is_some() {
                    self.begin_lost_request(start.unwrap_or(ts), ts, len, ends, sink);
                }
            }
            Event::Hole(len) => {
                // While looking for a start line: another request, if none waits for its answer.
                if self.requests_seen && !self.is_awaited() {
                    self.begin_lost_request(ts, ts, len, ends, sink);
                    self.end_open_request(ts, MessageEnd::Lost, ends, sink);
                }
            }
            Event::Body(bytes) => self.request_body(ts, bytes, sink),
            Event::HeldBody(bytes) => self.request_body(ts, &bytes, sink),
            Event::BodyGap(len) => {
                if let Some(x) = self.open_request() {
                    x.partial = true;
                    x.expects_continue = false;
                    x.emit(ts, ExchangeEvent::RequestGap(len), sink);
                }
            }
            Event::End(end) => self.end_open_request(ts, end, ends, sink),
            // Trailers of requests are of no use to us; the rest belongs to responses.
            Event::Trailers(_)
            | Event::Synced
            | Event::Response { .. }
            | Event::Informational(_)
            | Event::LateBody => {}
        }
    }

    fn open_request(&mut self) -> Option<&mut Exchange> {
        // The last but for responses that came without a request.
        self.queue.iter_mut().rev().find(|x| x.request.is_none())
    }

    fn request_body(&mut self, ts: MonoNs, bytes: &[u8], sink: &mut dyn ExchangeSink) {
        if let Some(x) = self.open_request() {
            x.expects_continue = false;
            x.emit(ts, ExchangeEvent::RequestBody(bytes), sink);
        }
    }

    fn end_open_request(
        &mut self,
        ts: MonoNs,
        end: MessageEnd,
        ends: &Ends,
        sink: &mut dyn ExchangeSink,
    ) {
        if let Some(x) = self.open_request() {
            x.end_request(ts, end, sink);
            self.settle(ts, ends, sink);
        }
    }

    fn begin_request(
        &mut self,
        start: MonoNs,
        ts: MonoNs,
        head: &RequestHead,
        ends: &Ends,
        sink: &mut dyn ExchangeSink,
    ) {
        self.provisional = false;
        let expects = head.headers.get("expect");
        let expects_continue = expects.is_some_and(|v| v.eq_ignore_ascii_case(b"100-continue"));
        let x = self.begin(start, ts, false, ends, sink);
        x.to = AnswerTo::method(&head.method);
        x.expects_continue = expects_continue;
        x.asks_websocket = websocket::is_upgrade(&head.headers);
        x.emit(ts, ExchangeEvent::RequestHead(head), sink);
    }

    /// A request whose head is unusable keeps its place.
    fn begin_lost_request(
        &mut self,
        start: MonoNs,
        ts: MonoNs,
        len: u64,
        ends: &Ends,
        sink: &mut dyn ExchangeSink,
    ) {
        let x = self.begin(start, ts, false, ends, sink);
        x.partial = true;
        if len > 0 {
            x.emit(ts, ExchangeEvent::RequestGap(len), sink);
        }
    }

    /// A new exchange, the youngest.
    fn begin(
        &mut self,
        start: MonoNs,
        ts: MonoNs,
        late: bool,
        ends: &Ends,
        sink: &mut dyn ExchangeSink,
    ) -> &mut Exchange {
        self.requests_seen |= !late;
        // The next request shows that a response whose framing was lost is over.
        if self.responses.give_up_lost() {
            let ts = self.unanswered().map_or(ts, |x| ts.max(x.last));
            self.on_response_event(Event::End(MessageEnd::Lost), ts, ends, sink);
        }
        if self.queue.len() >= MAX_PIPELINED {
            self.give_up_oldest(ts, ends, sink);
        }
        // A request was sent before its response was read, whatever the stamps say.
        let start = match self.held.since() {
            Some(held) if !self.is_awaited() => start.min(held),
            Some(_) | None => start,
        };
        self.next_id += 1;
        let mut x = Exchange::new(ExchangeId(self.next_id), start, late);
        x.emit(
            start,
            ExchangeEvent::Start {
                role: self.role,
                late,
            },
            sink,
        );
        self.queue.push_back(x);
        let last = self.queue.len() - 1;
        &mut self.queue[last]
    }

    fn give_up_oldest(&mut self, ts: MonoNs, ends: &Ends, sink: &mut dyn ExchangeSink) {
        match self.queue.front().map(|x| x.response) {
            Some(Response::Open) => self.ignoring = true,
            Some(Response::Waiting) => self.given_up += 1,
            Some(Response::Done(_)) | None => {}
        }
        let Some(mut x) = self.queue.pop_front() else {
            return;
        };
        let ts = ts.max(x.last);
        x.end_request(ts, MessageEnd::Lost, sink);
        x.end_response(ts, MessageEnd::Lost, sink);
        x.end(ts, ends.aborted_by(self.role), sink);
    }

    // Responses.

    /// Whether a request waits for its response, or for the rest of it.
    fn is_awaited(&self) -> bool {
        self.given_up > 0 || self.queue.iter().any(|x| !x.is_answered())
    }

    /// The oldest exchange that is not answered in full.
    fn unanswered(&mut self) -> Option<&mut Exchange> {
        self.queue.iter_mut().find(|x| !x.is_answered())
    }

    fn handle_response(&mut self, piece: Piece<'_>, ends: &Ends, sink: &mut dyn ExchangeSink) {
        if self.held.is_empty() {
            let mut cur = Cursor::new(piece, MessageEnd::Aborted);
            self.run_responses(&mut cur, ends, sink);
            if let Some(rest) = cur.rest() {
                self.held.push_back(rest);
            }
        } else {
            self.held.push_back(piece);
            if self.is_awaited() {
                self.drain_held(ends, sink);
            }
        }
        while !self.upgraded && self.held.bytes() > MAX_HELD_RESPONSE_BYTES {
            self.release_held(ends, sink);
        }
    }

    /// Goes on with what was held, until a response must wait again.
    fn drain_held(&mut self, ends: &Ends, sink: &mut dyn ExchangeSink) {
        while let Some(held) = self.held.pop_front() {
            let mut cur = Cursor::new(held.piece(), MessageEnd::Aborted);
            self.run_responses(&mut cur, ends, sink);
            if let Some(rest) = cur.rest() {
                self.held.push_front(rest.into());
                return;
            }
        }
    }

    /// The request was never seen: what waits longest goes on without.
    fn release_held(&mut self, ends: &Ends, sink: &mut dyn ExchangeSink) {
        self.orphans = true;
        self.drain_held(ends, sink);
    }

    /// Runs the parser until the cursor is used up, or a head comes that must wait for its request:
    /// then the cursor keeps the rest.
    fn run_responses(&mut self, cur: &mut Cursor<'_>, ends: &Ends, sink: &mut dyn ExchangeSink) {
        loop {
            // A server has read the request before it answers: joined late, it came before us.
            let must_wait = (self.requests_seen || self.role == Role::Client)
                && self.responses.awaits_head()
                && !self.orphans
                && matches!(cur.rest(), Some(Piece::Data { .. } | Piece::Gap { .. }))
                && !self.is_awaited();
            if must_wait || self.upgraded {
                return;
            }
            let to = self.unanswered().map_or(AnswerTo::Other, |x| x.to);
            let Some(event) = self.responses.next(cur, to) else {
                return;
            };
            self.on_response_event(event, cur.ts, ends, sink);
        }
    }

    fn on_response_event(
        &mut self,
        event: Event<'_>,
        ts: MonoNs,
        ends: &Ends,
        sink: &mut dyn ExchangeSink,
    ) {
        match event {
            Event::Response { start, head } => {
                self.begin_response(start, ts, Some(&head), ends, sink);
            }
            Event::LateBody => {
                self.begin_response(ts, ts, None, ends, sink);
                self.with_response(|x| x.partial = true);
            }
            Event::Informational(head) => {
                if self.given_up == 0
                    && let Some(x) = self.unanswered()
                {
                    x.emit(ts, ExchangeEvent::Informational(&head), sink);
                }
            }
            Event::HeadLost { start, len } => self.lose_response_head(start, ts, len, sink),
            Event::Body(bytes) => {
                self.with_response(|x| x.emit(ts, ExchangeEvent::ResponseBody(bytes), sink));
            }
            Event::HeldBody(bytes) => {
                self.with_response(|x| x.emit(ts, ExchangeEvent::ResponseBody(&bytes), sink));
            }
            Event::BodyGap(len) => self.with_response(|x| {
                x.partial = true;
                x.emit(ts, ExchangeEvent::ResponseGap(len), sink);
            }),
            Event::Trailers(fields) => {
                self.with_response(|x| {
                    x.emit(ts, ExchangeEvent::ResponseTrailers(&fields), sink);
                });
            }
            Event::End(end) => {
                let (mut refused_tunnel, mut upgraded) = (false, false);
                self.with_response(|x| {
                    // What a WebSocket's server sends is the rest of its response.
                    if !x.is_websocket() {
                        x.end_response(ts, end, sink);
                    }
                    upgraded = x.upgrades != Upgrade::No;
                    if upgraded {
                        // What is still sent is no HTTP, whatever the request announced.
                        x.end_request(ts.max(x.last), MessageEnd::Aborted, sink);
                    }
                    refused_tunnel = x.to == AnswerTo::Connect && !upgraded;
                });
                self.upgraded |= upgraded;
                let switched = self.queue.iter().position(Exchange::is_websocket);
                self.switched = switched.and_then(|at| self.queue.remove(at));
                if refused_tunnel {
                    self.requests.leave_tunnel();
                }
                self.ignoring = false;
                self.orphans = false;
                self.settle(ts, ends, sink);
            }
            Event::Hole(_) | Event::Synced | Event::Request { .. } => {}
        }
    }

    /// Does something to the exchange whose response is in hand.
    fn with_response(&mut self, f: impl FnOnce(&mut Exchange)) {
        if !self.ignoring
            && let Some(x) = self.unanswered()
        {
            f(x);
        }
    }

    fn begin_response(
        &mut self,
        start: MonoNs,
        ts: MonoNs,
        head: Option<&ResponseHead>,
        ends: &Ends,
        sink: &mut dyn ExchangeSink,
    ) {
        self.provisional &= head.is_none();
        if self.given_up > 0 {
            self.given_up -= 1;
            self.ignoring = true;
            return;
        }
        if self.unanswered().is_none() {
            // `408 Request Timeout` may come unasked on an idle connection, before its close.
            if !self.untidy && head.is_some_and(|h| h.status == 408) {
                self.ignoring = true;
                return;
            }
            self.begin(start, ts, true, ends, sink);
        }
        let Some(x) = self.unanswered() else { return };
        x.response = Response::Open;
        x.emit(start, ExchangeEvent::ResponseStart, sink);
        if let Some(head) = head {
            x.upgrades = match (head.status, x.to) {
                (101, _) if websocket::is_upgrade(&head.headers) => {
                    Upgrade::WebSocket(websocket::deflate(&head.headers))
                }
                (101, _) | (200..=299, AnswerTo::Connect) => Upgrade::Tunnel,
                (_, AnswerTo::Connect | AnswerTo::Head | AnswerTo::Other) => Upgrade::No,
            };
            x.emit(ts, ExchangeEvent::ResponseHead(head), sink);
        }
    }

    fn lose_response_head(
        &mut self,
        start: Option<MonoNs>,
        ts: MonoNs,
        len: u64,
        sink: &mut dyn ExchangeSink,
    ) {
        if self.given_up > 0 {
            self.given_up -= 1;
            self.ignoring = true;
        }
        if self.ignoring {
            return;
        }
        let Some(x) = self.unanswered() else {
            // Nobody asked: no exchange is made of a hole alone.
            self.ignoring = true;
            return;
        };
        x.partial = true;
        x.response = Response::Open;
        if let Some(start) = start {
            x.emit(start, ExchangeEvent::ResponseStart, sink);
        }
        if len > 0 {
            x.emit(ts, ExchangeEvent::ResponseGap(len), sink);
        }
    }
}
