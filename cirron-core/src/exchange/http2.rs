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
//! that what follows on it makes no other.

use std::collections::{BTreeMap, BTreeSet};

use super::close::{CloseCause, Ends, ends_direction};
use super::hold::Hold;
use super::leaving::Leaving;
use super::open::{Exchange, Response};
use super::sniffing::response_direction;
use super::{AbortedBy, ExchangeEvent, ExchangeId, ExchangeSink, Role};
use crate::limits::{
    HELD_RESPONSE_WINDOW_NS, LEFT_RESET_WINDOW_NS, LOST_STREAM_LINGER_NS, MAX_ENDED_STREAMS,
    MAX_HELD_RESPONSE_BYTES, MAX_OPEN_STREAMS,
};
use crate::proto::h2::{Cursor, Event, Heads, Parser};
use crate::proto::message::MessageEnd;
use crate::stream::{Direction, Piece};
use crate::time::MonoNs;

/// An HTTP/2 connection.
#[derive(Debug)]
pub(super) struct Http2 {
    /// `None`: joined late, and no head has told it.
    role: Option<Role>,
    inbound: Parser,
    outbound: Parser,
    /// Exchanges that have not ended, by stream.
    streams: BTreeMap<u32, Exchange>,
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
struct Step<'a> {
    ts: MonoNs,
    ends: &'a Ends,
    sink: &'a mut dyn ExchangeSink,
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
            ended: BTreeSet::new(),
            next_id: 0,
            newest: 0,
            unseen_up_to: if late { u32::MAX } else { 0 },
            waiting: None,
            held: Hold::default(),
            linger: None,
        }
    }

    pub(super) fn role(&self) -> Option<Role> {
        self.role
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
        let mut step = Step {
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
            let cause = match dir {
                Direction::Inbound => CloseCause::PeerFin,
                Direction::Outbound => CloseCause::LocalShutWrite,
            };
            ends.note(cause, self.is_mid_response());
            self.leave(ts, cause, sink);
            self.end_direction(dir, &mut Step { ts, ends, sink });
            return;
        }
        let mut step = Step {
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
        self.see_who_stayed(piece.ts(), ends, sink);
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
            self.streams.values_mut().for_each(|x| x.reset(ts, sink));
        }
        let mut step = Step { ts, ends, sink };
        let dirs = [Direction::Inbound, Direction::Outbound];
        for dir in dirs {
            if ends_direction(cause, dir) {
                self.end_direction(dir, &mut step);
            }
        }
        if dirs.iter().all(|dir| ends_direction(cause, *dir)) {
            self.end_all(MessageEnd::Aborted, &mut step);
        }
    }

    /// The client's FIN came.
    fn leave(&mut self, ts: MonoNs, cause: CloseCause, sink: &mut dyn ExchangeSink) {
        if cause == CloseCause::PeerFin && self.role == Some(Role::Server) {
            let open = self.streams.values_mut();
            open.for_each(|x| x.leave(ts, false, sink));
        }
    }

    /// It reads on: what ends the exchanges later is not that FIN.
    fn see_who_stayed(&mut self, ts: MonoNs, ends: &mut Ends, sink: &mut dyn ExchangeSink) {
        if self.streams.values().any(|x| x.leaving == Leaving::Stayed) {
            ends.was_half_closed();
            self.streams.values_mut().for_each(|x| x.stay(ts, sink));
        }
    }

    /// The client gave up a stream. What the server has written to it by the time that it knows is
    /// waited for.
    fn cancel(&mut self, stream: u32, step: &mut Step<'_>) {
        let Some(x) = self.streams.get_mut(&stream) else {
            return;
        };
        if x.is_answered() {
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

    fn is_mid_response(&self) -> bool {
        self.streams.values().any(|x| x.response == Response::Open)
    }

    /// No more can come in this direction.
    fn end_direction(&mut self, dir: Direction, step: &mut Step<'_>) {
        if !self.carries_responses(dir) {
            return;
        }
        while self.waiting.is_some() {
            self.release(step);
        }
        let open = |(_, x): &(&u32, &Exchange)| !x.is_answered();
        let lacking: Vec<u32> = self.streams.iter().filter(open).map(|(s, _)| *s).collect();
        let by = self.closed_by(step);
        for stream in lacking {
            self.end(stream, MessageEnd::Aborted, by, step);
        }
    }

    /// Who ended the connection.
    fn closed_by(&self, step: &Step<'_>) -> Option<AbortedBy> {
        self.role.and_then(|role| step.ends.aborted_by(role))
    }

    fn end_all(&mut self, end: MessageEnd, step: &mut Step<'_>) {
        let by = self.closed_by(step);
        for stream in self.streams.keys().copied().collect::<Vec<_>>() {
            self.end(stream, end, by, step);
        }
    }

    /// Ends an exchange, whatever it lacks.
    fn end(&mut self, stream: u32, end: MessageEnd, by: Option<AbortedBy>, step: &mut Step<'_>) {
        let Some(mut x) = self.streams.remove(&stream) else {
            return;
        };
        let (ts, end) = match (x.has_left(), x.is_over()) {
            (true, _) => (x.last, MessageEnd::Aborted),
            // It waited only for whether its client was there.
            (false, true) => (x.last, end),
            (false, false) => (step.ts.max(x.last), end),
        };
        x.end_request(ts, end, step.sink);
        if x.response == Response::Open || end == MessageEnd::Lost && !x.is_answered() {
            x.end_response(ts, end, step.sink);
        }
        x.end(ts, by, step.sink);
        self.remember(stream);
    }

    fn remember(&mut self, stream: u32) {
        self.ended.insert(stream);
        if self.ended.len() > MAX_ENDED_STREAMS {
            self.ended.pop_first();
        }
    }

    /// Ends an exchange of which nothing is missing any more.
    fn settle(&mut self, stream: u32, step: &mut Step<'_>) {
        let Some(x) = self.streams.get_mut(&stream) else {
            return;
        };
        // Its request's end went by in a hole: a server answers what it has read.
        if x.is_answered() && x.holed && x.request.is_none() {
            x.end_request(step.ts.max(x.last), MessageEnd::Lost, step.sink);
        }
        if x.verdict_due().is_some() {
            self.look_at(stream);
        } else if x.is_over() {
            let by = self.closed_by(step);
            self.end(stream, MessageEnd::Complete, by, step);
        }
    }

    /// Exchanges whose end a hole may have taken, or whose client left, and that were silent since.
    fn end_silent(&mut self, now: MonoNs, step: &mut Step<'_>) {
        let due = self.streams.iter();
        let due = due.filter_map(|(s, x)| Some((*s, silent_until(x)?)));
        let (over, open): (Vec<_>, Vec<_>) = due.partition(|(_, at)| *at <= now);
        self.linger = open.into_iter().map(|(_, at)| at).min();
        for (stream, _) in over {
            let Some(x) = self.streams.get_mut(&stream) else {
                continue;
            };
            // It was silent since then.
            let mut step = Step {
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
    fn run(&mut self, dir: Direction, cur: &mut Cursor<'_>, step: &mut Step<'_>) {
        while self.waiting.is_none() || !self.carries_responses(dir) {
            let parser = match dir {
                Direction::Inbound => &mut self.inbound,
                Direction::Outbound => &mut self.outbound,
            };
            let Some(event) = parser.next(cur) else {
                return;
            };
            step.ts = cur.ts;
            self.on_event(dir, event, step);
        }
    }

    /// The request was never seen: what waits goes on without.
    fn release(&mut self, step: &mut Step<'_>) {
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
    fn drain(&mut self, step: &mut Step<'_>) {
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

    fn on_event(&mut self, dir: Direction, event: Event<'_>, step: &mut Step<'_>) {
        if let Event::Headers(heads) = &event
            && self.role.is_none()
        {
            let requests = match (heads.list.is_request, heads.list.status) {
                (true, _) => dir,
                (false, Some(_)) => dir.opposite(),
                (false, None) => return,
            };
            self.role = Some(match requests {
                Direction::Inbound => Role::Server,
                Direction::Outbound => Role::Client,
            });
        }
        let Some(role) = self.role else { return };
        let is_response = dir == response_direction(role);
        match event {
            Event::Headers(heads) if is_response => self.on_response_heads(heads, step),
            Event::Headers(heads) => self.request_heads(*heads, step),
            Event::HeadersLost {
                stream,
                start,
                len,
                end,
            } => self.lost_heads(stream, start, len, end, is_response, step),
            Event::Data { stream, bytes } => {
                let event = if is_response {
                    ExchangeEvent::ResponseBody(bytes)
                } else {
                    ExchangeEvent::RequestBody(bytes)
                };
                self.body(stream, is_response, event, step);
            }
            Event::DataGap { stream, len } => {
                let event = if is_response {
                    ExchangeEvent::ResponseGap(len)
                } else {
                    ExchangeEvent::RequestGap(len)
                };
                self.body(stream, is_response, event, step);
            }
            Event::End { stream } => {
                self.open_late(stream, is_response, step);
                self.end_message(stream, is_response, step);
            }
            Event::Reset { stream, code: _ } if is_response => {
                self.end(stream, MessageEnd::Aborted, Some(AbortedBy::Server), step);
            }
            Event::Reset { stream, code: _ } => self.cancel(stream, step),
            Event::GoAway { last } if is_response => {
                let refused = self.streams.range(last.saturating_add(1)..);
                let waiting = refused.filter(|(_, x)| x.response == Response::Waiting);
                for stream in waiting.map(|(s, _)| *s).collect::<Vec<_>>() {
                    self.end(stream, MessageEnd::Aborted, Some(AbortedBy::Server), step);
                }
            }
            Event::GoAway { .. } => {}
            Event::Lost(len) => self.lose(len, is_response, step),
        }
    }

    /// Frames are missing in one direction.
    fn lose(&mut self, len: u64, is_response: bool, step: &mut Step<'_>) {
        if !is_response {
            self.unseen_up_to = u32::MAX;
        }
        let touched = |x: &Exchange| {
            if is_response {
                !x.is_answered()
            } else {
                x.request.is_none()
            }
        };
        let alone = self.streams.values().filter(|x| touched(x)).count() == 1;
        for x in self.streams.values_mut().filter(|x| touched(x)) {
            // Whose bytes they were is known only where one could be meant.
            let len = if alone { len } else { 0 };
            let event = if is_response {
                ExchangeEvent::ResponseGap(len)
            } else {
                ExchangeEvent::RequestGap(len)
            };
            x.holed = true;
            // Of a response that has not begun nothing was seen, nor need be missing.
            if !is_response || x.response == Response::Open {
                x.partial = true;
                x.emit(step.ts, event, step.sink);
            }
            let due = x.last.plus(LOST_STREAM_LINGER_NS);
            self.linger = Some(self.linger.map_or(due, |at| at.min(due)));
        }
    }

    // Requests.

    fn request_heads(&mut self, heads: Heads, step: &mut Step<'_>) {
        let Heads {
            stream,
            start,
            list,
            end,
        } = heads;
        // Trailers of requests are of no use to us.
        if !self.streams.contains_key(&stream) && self.begin(stream, start, false, step) {
            self.saw_request(stream);
            if let Some(x) = self.streams.get_mut(&stream) {
                match list.request() {
                    Some(head) => {
                        x.emit(step.ts, ExchangeEvent::RequestHead(&head), step.sink);
                    }
                    None => x.partial = true,
                }
            }
        }
        if end {
            self.end_message(stream, false, step);
        }
        let answered = self
            .waiting
            .as_ref()
            .is_some_and(|(_, h)| h.stream <= self.newest);
        if answered && let Some((ts, heads)) = self.waiting.take() {
            let now = std::mem::replace(&mut step.ts, ts);
            self.response_heads(*heads, step);
            self.drain(step);
            step.ts = now;
        }
    }

    /// From here on every stream is seen from its request.
    fn saw_request(&mut self, stream: u32) {
        self.newest = self.newest.max(stream);
        self.unseen_up_to = self.unseen_up_to.min(stream);
    }

    // Responses.

    fn on_response_heads(&mut self, heads: Box<Heads>, step: &mut Step<'_>) {
        let unseen = !self.streams.contains_key(&heads.stream);
        if unseen && heads.stream > self.newest.max(self.unseen_up_to) {
            self.waiting = Some((step.ts, heads));
        } else {
            self.response_heads(*heads, step);
        }
    }

    fn response_heads(&mut self, heads: Heads, step: &mut Step<'_>) {
        let Heads {
            stream,
            start,
            list,
            end,
        } = heads;
        if !self.streams.contains_key(&stream) && !self.begin(stream, start, true, step) {
            return;
        }
        let Some(x) = self.streams.get_mut(&stream) else {
            return;
        };
        match (x.response, list.response()) {
            (Response::Waiting, Some(head)) if (100..200).contains(&head.status) => {
                x.emit(step.ts, ExchangeEvent::Informational(&head), step.sink);
                return;
            }
            (Response::Waiting, head) => {
                x.response = Response::Open;
                x.emit(start, ExchangeEvent::ResponseStart, step.sink);
                match head {
                    Some(head) => {
                        x.emit(step.ts, ExchangeEvent::ResponseHead(&head), step.sink);
                    }
                    None => {
                        x.partial = true;
                        // Joined in the middle of it.
                        let trailers = ExchangeEvent::ResponseTrailers(&list.headers);
                        if list.is_trailers() {
                            x.emit(step.ts, trailers, step.sink);
                        }
                    }
                }
            }
            (Response::Open, _) => {
                let trailers = ExchangeEvent::ResponseTrailers(&list.headers);
                x.emit(step.ts, trailers, step.sink);
            }
            (Response::Done(_), _) => {}
        }
        if end {
            self.end_message(stream, true, step);
        }
    }

    // Both.

    /// A new exchange. False: this stream makes none.
    fn begin(&mut self, stream: u32, start: MonoNs, late: bool, step: &mut Step<'_>) -> bool {
        let Some(role) = self.role else { return false };
        // Even ones are a server's, which nobody asked for.
        let unseen = stream <= self.unseen_up_to;
        let known = self.ended.contains(&stream) || late && !unseen;
        if stream.is_multiple_of(2) || known || !late && !unseen && stream <= self.newest {
            return false;
        }
        if self.streams.len() >= MAX_OPEN_STREAMS
            && let Some(oldest) = self.least_wanted()
        {
            self.end(oldest, MessageEnd::Lost, None, step);
        }
        // A request was sent before its response was read, whatever the stamps say.
        let start = match &self.waiting {
            Some((_, held)) if held.stream == stream => start.min(held.start),
            Some(_) | None => start,
        };
        self.next_id += 1;
        let mut x = Exchange::new(ExchangeId(self.next_id), start, late);
        x.emit(start, ExchangeEvent::Start { role, late }, step.sink);
        self.streams.insert(stream, x);
        true
    }

    /// The oldest stream that its client gave up, else the oldest.
    fn least_wanted(&self) -> Option<u32> {
        let left = self.streams.iter().find(|(_, x)| x.has_left());
        left.or(self.streams.iter().next()).map(|(s, _)| *s)
    }

    /// A stream that was under way when we joined.
    fn open_late(&mut self, stream: u32, is_response: bool, step: &mut Step<'_>) {
        if self.streams.contains_key(&stream) || !self.begin(stream, step.ts, true, step) {
            return;
        }
        if let Some(x) = self.streams.get_mut(&stream)
            && !is_response
        {
            x.request = None;
        }
    }

    fn body(
        &mut self,
        stream: u32,
        is_response: bool,
        event: ExchangeEvent<'_>,
        step: &mut Step<'_>,
    ) {
        self.open_late(stream, is_response, step);
        let Some(x) = self.streams.get_mut(&stream) else {
            return;
        };
        let is_gap = matches!(
            event,
            ExchangeEvent::RequestGap(_) | ExchangeEvent::ResponseGap(_)
        );
        x.partial |= is_gap;
        if is_response {
            if x.response == Response::Waiting {
                // Its head was lost, or went by before us.
                x.partial = true;
                x.response = Response::Open;
                x.emit(step.ts, ExchangeEvent::ResponseStart, step.sink);
            }
            if x.response == Response::Open {
                x.emit(step.ts, event, step.sink);
            }
        } else if x.request.is_none() {
            x.emit(step.ts, event, step.sink);
        }
    }

    fn end_message(&mut self, stream: u32, is_response: bool, step: &mut Step<'_>) {
        let Some(x) = self.streams.get_mut(&stream) else {
            return;
        };
        if !is_response {
            x.end_request(step.ts, MessageEnd::Complete, step.sink);
        } else if !x.is_answered() {
            if x.response == Response::Waiting {
                x.partial = true;
                x.response = Response::Open;
                x.emit(step.ts, ExchangeEvent::ResponseStart, step.sink);
            }
            if x.has_left() {
                return self.end(stream, MessageEnd::Complete, None, step);
            }
            x.end_response(step.ts, MessageEnd::Complete, step.sink);
        }
        self.settle(stream, step);
    }

    /// A header list that cannot be read: a head, or trailers.
    fn lost_heads(
        &mut self,
        stream: u32,
        start: MonoNs,
        len: u64,
        end: bool,
        is_response: bool,
        step: &mut Step<'_>,
    ) {
        if !self.streams.contains_key(&stream) {
            // Its request, too, may have been lost: a held response is not waited for here.
            if is_response && stream > self.newest {
                self.unseen_up_to = self.unseen_up_to.max(stream);
            }
            if !self.begin(stream, start, is_response, step) {
                return;
            }
            if !is_response {
                self.saw_request(stream);
            }
        }
        let Some(x) = self.streams.get_mut(&stream) else {
            return;
        };
        x.partial = true;
        if is_response && x.response == Response::Waiting {
            x.response = Response::Open;
            x.emit(start, ExchangeEvent::ResponseStart, step.sink);
        }
        let open = if is_response {
            x.response == Response::Open
        } else {
            x.request.is_none()
        };
        if open && len > 0 {
            let event = if is_response {
                ExchangeEvent::ResponseGap(len)
            } else {
                ExchangeEvent::RequestGap(len)
            };
            x.emit(step.ts, event, step.sink);
        }
        if end {
            self.end_message(stream, is_response, step);
        }
    }
}
