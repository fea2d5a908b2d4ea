//! What the parsers say of each stream, given to its exchange.

use super::{Http2, StepContext};
use crate::exchange::open::{Exchange, Response};
use crate::exchange::sniffing::response_direction;
use crate::exchange::{AbortedBy, ExchangeEvent, ExchangeId, Role, Spot};
use crate::limits::{LOST_STREAM_LINGER_NS, MAX_OPEN_STREAMS};
use crate::proto::h2::{Event, Heads};
use crate::proto::message::MessageEnd;
use crate::stream::{Direction, Piece};
use crate::time::MonoNs;

impl Http2 {
    pub(super) fn on_event(
        &mut self,
        dir: Direction,
        event: Event<'_>,
        step: &mut StepContext<'_>,
    ) {
        if let Event::Headers(heads) = &event
            && self.role.is_none()
        {
            let requests = match (heads.list.is_request, heads.list.status) {
                (true, _) => dir,
                (false, Some(_)) => dir.opposite(),
                // Trailers of gRPC, which only a server writes.
                (false, None) if heads.list.headers.get("grpc-status").is_some() => dir.opposite(),
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
                let piece = Piece::Data { ts: step.ts, bytes };
                self.body(stream, is_response, piece, step);
            }
            Event::DataGap { stream, len } => {
                let piece = Piece::Gap { ts: step.ts, len };
                self.body(stream, is_response, piece, step);
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
    fn lose(&mut self, len: u64, is_response: bool, step: &mut StepContext<'_>) {
        if !is_response {
            self.unseen_up_to = u32::MAX;
        }
        let mut sockets: Vec<u32> = self.sockets.keys().copied().collect();
        sockets.retain(|stream| self.lose_socket(*stream, is_response, step));
        let touched = |(stream, x): (&u32, &Exchange)| {
            let open = if is_response {
                !x.is_answered()
            } else {
                x.request.is_none()
            };
            open && !sockets.contains(stream)
        };
        let alone = self.streams.iter().filter(|s| touched(*s)).count() == 1;
        for (stream, x) in &mut self.streams {
            if !touched((stream, x)) {
                continue;
            }
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

    fn request_heads(&mut self, heads: Heads, step: &mut StepContext<'_>) {
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
                        step.sink.on_spot(x.id, Spot::Stream(stream));
                    }
                    None => (x.partial, x.unread) = (true, true),
                }
                if list.asks_websocket() && !end {
                    self.ask_socket(stream);
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

    fn on_response_heads(&mut self, heads: Box<Heads>, step: &mut StepContext<'_>) {
        let unseen = !self.streams.contains_key(&heads.stream);
        if unseen && heads.stream > self.newest.max(self.unseen_up_to) {
            self.waiting = Some((step.ts, heads));
        } else {
            self.response_heads(*heads, step);
        }
    }

    pub(super) fn response_heads(&mut self, heads: Heads, step: &mut StepContext<'_>) {
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
                match &head {
                    Some(head) => {
                        x.emit(step.ts, ExchangeEvent::ResponseHead(head), step.sink);
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
                self.answer_socket(stream, head.as_ref(), step);
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
    fn begin(
        &mut self,
        stream: u32,
        start: MonoNs,
        late: bool,
        step: &mut StepContext<'_>,
    ) -> bool {
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
    fn open_late(&mut self, stream: u32, is_response: bool, step: &mut StepContext<'_>) {
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
        piece: Piece<'_>,
        step: &mut StepContext<'_>,
    ) {
        self.open_late(stream, is_response, step);
        if self.socket_piece(stream, is_response, piece, step) {
            return;
        }
        let Some(x) = self.streams.get_mut(&stream) else {
            return;
        };
        let event = match (piece, is_response) {
            (Piece::Data { bytes, .. }, true) => ExchangeEvent::ResponseBody(bytes),
            (Piece::Data { bytes, .. }, false) => ExchangeEvent::RequestBody(bytes),
            (Piece::Gap { len, .. }, true) => ExchangeEvent::ResponseGap(len),
            (Piece::Gap { len, .. }, false) => ExchangeEvent::RequestGap(len),
            (Piece::Eof { .. }, _) => return,
        };
        x.partial |= matches!(piece, Piece::Gap { .. });
        if is_response {
            if x.response == Response::Waiting {
                // Its head was lost, or went by before us.
                x.partial = true;
                x.response = Response::Open;
                x.emit(step.ts, ExchangeEvent::ResponseStart, step.sink);
            }
            if x.response == Response::Open {
                // It goes on, so that no hole before had its end.
                x.holed &= x.request.is_none();
                x.emit(step.ts, event, step.sink);
            }
        } else if x.request.is_none() {
            x.emit(step.ts, event, step.sink);
        }
    }

    fn end_message(&mut self, stream: u32, is_response: bool, step: &mut StepContext<'_>) {
        if self.end_socket(stream, is_response, step) {
            return;
        }
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
        step: &mut StepContext<'_>,
    ) {
        let known = self.streams.contains_key(&stream);
        if !known {
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
        let mut is_head = !known;
        if is_response && x.response == Response::Waiting {
            is_head = true;
            x.response = Response::Open;
            x.emit(start, ExchangeEvent::ResponseStart, step.sink);
        }
        let open = if is_response {
            x.response == Response::Open
        } else {
            x.request.is_none()
        };
        // What comes behind the end is no part of the message.
        x.partial |= open;
        // Trailers that are there and cannot be read are a hole too.
        if open && (len > 0 || !is_head) {
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
