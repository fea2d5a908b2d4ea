//! What the responses' parser says, given to the exchanges that wait for it.

use super::Http1;
use super::phase::{Owner, Phase, Seen, Way};
use crate::exchange::ending::Ends;
use crate::exchange::open::{Asks, Exchange, Response, Upgrade};
use crate::exchange::{ExchangeEvent, ExchangeSink, Role};
use crate::limits::MAX_HELD_RESPONSE_BYTES;
use crate::proto::h1::{AnswerTo, Cursor, Event};
use crate::proto::message::{MessageEnd, ResponseHead};
use crate::stream::Piece;
use crate::time::MonoNs;

impl Http1 {
    /// Whether a request waits for its response, or for the rest of it.
    pub(super) fn is_awaited(&self) -> bool {
        self.given_up > 0 || self.queue.iter().any(|x| !x.is_answered())
    }

    /// The oldest exchange that is not answered in full.
    pub(super) fn unanswered(&mut self) -> Option<&mut Exchange> {
        self.queue.iter_mut().find(|x| !x.is_answered())
    }

    pub(super) fn handle_response(
        &mut self,
        piece: Piece<'_>,
        ends: &Ends,
        sink: &mut dyn ExchangeSink,
    ) {
        if self.held.is_empty() {
            let mut cur = Cursor::new(piece, MessageEnd::Aborted);
            self.run_responses(&mut cur, ends, sink);
            if let Some(rest) = cur.rest() {
                self.held.push_back(rest);
            }
        } else {
            self.held.push_back(piece);
            if self.is_surely_awaited() {
                self.drain_held(ends, sink);
            }
        }
        while !self.phase.is_over() && self.held.bytes() > MAX_HELD_RESPONSE_BYTES {
            self.release_held(ends, sink);
        }
    }

    /// Goes on with what was held, until a response must wait again.
    pub(super) fn drain_held(&mut self, ends: &Ends, sink: &mut dyn ExchangeSink) {
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
    pub(super) fn release_held(&mut self, ends: &Ends, sink: &mut dyn ExchangeSink) {
        if let Phase::Switching = self.phase {
            // The end of its request was lost, or is far away.
            let ts = self.unanswered().map_or(MonoNs(0), |x| x.last);
            self.switch(ts, MessageEnd::Lost, ends, sink);
        }
        self.owner = Owner::Orphan;
        self.drain_held(ends, sink);
    }

    /// Runs the parser until the cursor is used up, or a head comes that must wait for its request:
    /// then the cursor keeps the rest.
    pub(super) fn run_responses(
        &mut self,
        cur: &mut Cursor<'_>,
        ends: &Ends,
        sink: &mut dyn ExchangeSink,
    ) {
        loop {
            // A server has read the request before it answers: joined late, the first came before us. Unless only the record
            // of its opening was lost: then the first answer may have overtaken its request on the way to us.
            let is_first = self.seen == Seen::Nothing && !self.orphaned && !self.unopened;
            let must_wait = (!is_first || self.role == Role::Client)
                && self.responses.awaits_head()
                && self.owner != Owner::Orphan
                && matches!(cur.rest(), Some(Piece::Data { .. } | Piece::Gap { .. }))
                && (!self.is_surely_awaited() || self.is_early_answer(cur.ts));
            let is_read = matches!(self.phase, Phase::Http | Phase::Impatient);
            if must_wait || !is_read {
                return;
            }
            let to = self.answers(self.responses.head_start(cur.ts));
            let Some(event) = self.responses.next(cur, to) else {
                return;
            };
            self.regain(&event, cur.ts, ends, sink);
            self.on_response_event(event, cur.ts, ends, sink);
            if self.responses.has_lost_open() {
                self.doubt_answers(cur.ts, ends, sink);
            }
        }
    }

    pub(super) fn on_response_event(
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
                    && self.find_asker(ts, ts, ends, sink)
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
                if end == MessageEnd::Complete {
                    self.note_answered(ts);
                }
                let (mut refused_tunnel, mut upgrades) = (false, Upgrade::No);
                self.with_response(|x| {
                    match x.upgrades {
                        Upgrade::No | Upgrade::Tunnel => x.end_response(ts, end, sink),
                        // What follows is the rest of the response, or all of it.
                        Upgrade::WebSocket(_) | Upgrade::Http2 => {}
                    }
                    upgrades = x.upgrades;
                    refused_tunnel = x.to == AnswerTo::Connect && upgrades == Upgrade::No;
                });
                if refused_tunnel {
                    self.requests.leave_tunnel();
                }
                self.owner = Owner::Request;
                if upgrades == Upgrade::No {
                    self.settle(ts, ends, sink);
                } else {
                    self.accept_switch(ts, ends, sink);
                }
            }
            Event::Hole(len) => self.lose_unbegun(ts, len, sink),
            Event::Synced | Event::Request { .. } => {}
        }
    }

    /// Does something to the exchange whose response is in hand.
    fn with_response(&mut self, f: impl FnOnce(&mut Exchange)) {
        if self.owner != Owner::Nobody
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
        if head.is_some() {
            self.way = Way::Told;
        }
        if self.given_up > 0 {
            self.given_up -= 1;
            self.owner = Owner::Nobody;
            return;
        }
        let is_asked = self.find_asker(start, ts, ends, sink);
        if !is_asked || self.unanswered().is_none() {
            // `408 Request Timeout` may come unasked on an idle connection, before its close.
            if self.seen == Seen::Whole && head.is_some_and(|h| h.status == 408) {
                self.owner = Owner::Nobody;
                return;
            }
            self.begin(start, ts, true, ends, sink);
            if !is_asked {
                // Before all that were asked later.
                self.queue.rotate_right(1);
            }
        }
        let Some(x) = self.unanswered() else { return };
        let upgrades = head.map_or(Upgrade::No, |head| Upgrade::by(head, x.to));
        x.upgrades = upgrades;
        if let (Upgrade::Http2, Some(head)) = (upgrades, head) {
            // The response itself comes on stream 1.
            x.emit(ts, ExchangeEvent::Informational(head), sink);
            return;
        }
        x.response = Response::Open;
        x.emit(start, ExchangeEvent::ResponseStart, sink);
        if let Some(head) = head {
            x.emit(ts, ExchangeEvent::ResponseHead(head), sink);
        }
    }

    /// A hole while a status line is looked for: it may have held the answer that is waited for.
    fn lose_unbegun(&mut self, ts: MonoNs, len: u64, sink: &mut dyn ExchangeSink) {
        if self.unanswered().is_some_and(|x| x.start <= ts) {
            self.responses.lose_answer();
            self.lose_response_head(None, ts, len, sink);
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
            self.owner = Owner::Nobody;
        }
        if self.owner == Owner::Nobody {
            return;
        }
        // What was asked behind the hole has no answer in it.
        let Some(x) = self.unanswered().filter(|x| x.start <= ts) else {
            // Nobody asked: no exchange is made of a hole alone.
            self.owner = Owner::Nobody;
            return;
        };
        x.partial = true;
        x.response = Response::Open;
        if x.asks == Asks::Http2 {
            // It may have been a `101`: that is not when its response began, nor a part of it.
            return;
        }
        if let Some(start) = start {
            x.emit(start, ExchangeEvent::ResponseStart, sink);
        }
        if len > 0 {
            x.emit(ts, ExchangeEvent::ResponseGap(len), sink);
        }
    }
}
