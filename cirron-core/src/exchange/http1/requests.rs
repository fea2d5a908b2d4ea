//! What the requests' parser says, made into exchanges.
//!
//! A request that asks for another protocol ends HTTP for a while: what comes behind it is kept until
//! the answer says whose it is.

use super::Http1;
use super::phase::{Owner, Phase, Seen, Way};
use crate::exchange::ending::{Ends, Unfinished};
use crate::exchange::open::{Asks, Exchange, Response};
use crate::exchange::{ExchangeEvent, ExchangeId, ExchangeSink, Spot};
use crate::limits::MAX_PIPELINED;
use crate::proto::h1::start_line::{self, Plausible};
use crate::proto::h1::{AnswerTo, Cursor, Event};
use crate::proto::message::{MessageEnd, RequestHead};
use crate::stream::Piece;
use crate::time::MonoNs;

impl Http1 {
    pub(super) fn handle_request(
        &mut self,
        piece: Piece<'_>,
        ends: &Ends,
        sink: &mut dyn ExchangeSink,
    ) {
        if self.awaits_switch() || !self.early.is_empty() {
            self.hold_early(piece, ends, sink);
        } else if let Some(rest) = self.read_request(piece, ends, sink) {
            self.hold_early(rest, ends, sink);
        }
    }

    /// Gives back what may be no HTTP/1.
    pub(super) fn read_request<'i>(
        &mut self,
        piece: Piece<'i>,
        ends: &Ends,
        sink: &mut dyn ExchangeSink,
    ) -> Option<Piece<'i>> {
        if self.begins_http2(piece) {
            self.switch_unseen(piece, ends, sink);
            return None;
        }
        if let Piece::Data { ts, bytes } = piece {
            self.abandon_refused_body(ts, bytes, ends, sink);
        } else {
            self.seen.hole();
        }
        let mut cur = Cursor::new(piece, MessageEnd::Aborted);
        self.run_requests(&mut cur, ends, sink);
        if !self.held.is_empty() && self.is_surely_awaited() {
            self.drain_held(ends, sink);
        }
        cur.rest()
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

    pub(super) fn run_requests(
        &mut self,
        cur: &mut Cursor<'_>,
        ends: &Ends,
        sink: &mut dyn ExchangeSink,
    ) {
        while !self.phase.is_over() && !self.awaits_switch() {
            let left = cur.left();
            let event = self.requests.next(cur, AnswerTo::Other);
            if let Some(behind) = &mut self.requested {
                *behind += left - cur.left();
            }
            let Some(event) = event else { break };
            self.on_request_event(event, cur.ts, ends, sink);
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
                self.doubt_requests(self.next_id, ends, ts, sink);
                if !self.orphaned && (self.seen != Seen::Nothing || start.is_some()) {
                    self.begin_lost_request(start.unwrap_or(ts), ts, len, ends, sink);
                }
            }
            Event::Hole(len) => {
                self.doubt_requests(self.next_id, ends, ts, sink);
                // While looking for a start line: another request, if none waits for its answer.
                if self.seen != Seen::Nothing && !self.orphaned && !self.is_awaited() {
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
            Event::End(end) => {
                if end == MessageEnd::Lost {
                    self.doubt_requests(self.next_id, ends, ts, sink);
                }
                self.end_open_request(ts, end, ends, sink);
            }
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
            if let Phase::Switching = self.phase {
                self.switch(ts, end, ends, sink);
            } else {
                self.settle(ts, ends, sink);
            }
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
        if self.is_ended_by_older(start, ends, sink) {
            return;
        }
        self.way = Way::Told;
        self.phase.begin_request();
        self.note_together(start);
        let expects = head.headers.get("expect");
        let expects_continue = expects.is_some_and(|v| v.eq_ignore_ascii_case(b"100-continue"));
        let x = self.begin(start, ts, false, ends, sink);
        x.to = AnswerTo::method(&head.method);
        x.expects_continue = expects_continue;
        x.asks = Asks::read(&head.headers);
        x.emit(ts, ExchangeEvent::RequestHead(head), sink);
        let id = x.id;
        if let Some(behind) = self.requested {
            sink.on_spot(id, Spot::Behind(behind));
        }
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
    pub(super) fn begin(
        &mut self,
        start: MonoNs,
        ts: MonoNs,
        late: bool,
        ends: &Ends,
        sink: &mut dyn ExchangeSink,
    ) -> &mut Exchange {
        if late {
            self.orphaned = true;
        } else {
            self.seen.request();
            self.orphaned = false;
        }
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
        if !late && self.is_answer_unknown(&x) {
            x.response = Response::Done(MessageEnd::Lost);
        }
        x.emit(
            start,
            ExchangeEvent::Start {
                role: self.role,
                late,
            },
            sink,
        );
        if self.queue.capacity() == 0 {
            // Hardly anybody sends a request before the answer to the one before it.
            self.queue.reserve_exact(1);
        }
        self.queue.push_back_mut(x)
    }

    fn give_up_oldest(&mut self, ts: MonoNs, ends: &Ends, sink: &mut dyn ExchangeSink) {
        match self.queue.front().map(|x| x.response) {
            Some(Response::Open) => self.owner = Owner::Nobody,
            Some(Response::Waiting) => self.given_up += 1,
            Some(Response::Done(_)) | None => {}
        }
        self.end_front(ts, Unfinished::Lost, ends, sink);
    }
}
