//! One exchange that has not ended: what is known of its two messages.
//!
//! Keeps the rules that [`super`] promises whatever the parsers say: each message ends once, no
//! event is earlier than `Start`, and `End` tells what was lost.

use super::leaving::Leaving;
use super::{AbortedBy, ExchangeEnd, ExchangeEvent, ExchangeId, ExchangeSink};
use crate::proto::h1::AnswerTo;
use crate::proto::message::MessageEnd;
use crate::proto::ws::Deflate;
use crate::time::MonoNs;

/// How far a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Response {
    Waiting,
    Open,
    Done(MessageEnd),
}

/// What a response makes of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upgrade {
    /// Nothing.
    No,
    /// Something that is not read.
    Tunnel,
    /// A WebSocket, with what was agreed on.
    WebSocket(Option<Deflate>),
}

/// One exchange that has not ended.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) id: ExchangeId,
    pub(super) to: AnswerTo,
    pub(super) request: Option<MessageEnd>,
    pub(super) response: Response,
    /// Something of it was lost, or its beginning was not seen.
    pub(super) partial: bool,
    /// A hole may have held an end of one of its messages.
    pub(super) holed: bool,
    /// `Expect: 100-continue`, and no byte of the body yet.
    pub(super) expects_continue: bool,
    /// Its request asks for a WebSocket.
    pub(super) asks_websocket: bool,
    /// What its response makes of the connection.
    pub(super) upgrades: Upgrade,
    /// Whether its client has gone before the response was over.
    pub(super) leaving: Leaving,
    /// Time of its `Start`: none of its events is earlier.
    pub(super) start: MonoNs,
    /// Latest time of its events.
    pub(super) last: MonoNs,
}

impl Exchange {
    /// `late`: its beginning, and its request, were not seen.
    pub(super) fn new(id: ExchangeId, start: MonoNs, late: bool) -> Exchange {
        Exchange {
            id,
            to: AnswerTo::Other,
            request: late.then_some(MessageEnd::Lost),
            response: Response::Waiting,
            partial: late,
            holed: false,
            expects_continue: false,
            asks_websocket: false,
            upgrades: Upgrade::No,
            leaving: Leaving::No,
            start,
            last: start,
        }
    }

    pub(super) fn emit(
        &mut self,
        ts: MonoNs,
        event: ExchangeEvent<'_>,
        sink: &mut dyn ExchangeSink,
    ) {
        let ts = ts.max(self.start);
        self.last = self.last.max(ts);
        self.look(ts, &event, sink);
        sink.on_event(self.id, ts, event);
    }

    pub(super) fn end_request(&mut self, ts: MonoNs, end: MessageEnd, sink: &mut dyn ExchangeSink) {
        if self.request.is_none() {
            self.request = Some(end);
            self.emit(ts, ExchangeEvent::RequestEnd(end), sink);
        }
    }

    pub(super) fn end_response(
        &mut self,
        ts: MonoNs,
        end: MessageEnd,
        sink: &mut dyn ExchangeSink,
    ) {
        if self.response == Response::Open {
            self.emit(ts, ExchangeEvent::ResponseEnd(end), sink);
        }
        self.response = Response::Done(end);
    }

    /// It goes on as a WebSocket.
    pub(super) fn is_websocket(&self) -> bool {
        match self.upgrades {
            Upgrade::WebSocket(_) => true,
            Upgrade::No | Upgrade::Tunnel => false,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.request.is_some() && self.is_answered()
    }

    pub(super) fn is_answered(&self) -> bool {
        match self.response {
            Response::Done(_) => true,
            Response::Waiting | Response::Open => false,
        }
    }

    /// The last event. `by`: who ended it, if it did not end by itself.
    pub(super) fn end(mut self, ts: MonoNs, by: Option<AbortedBy>, sink: &mut dyn ExchangeSink) {
        let complete = Some(MessageEnd::Complete);
        let whole =
            self.request == complete && self.response == Response::Done(MessageEnd::Complete);
        let aborted = match self.response {
            Response::Done(MessageEnd::Complete) => self.was_written_to_nobody(),
            Response::Done(MessageEnd::Lost) => false,
            Response::Done(MessageEnd::Aborted) | Response::Waiting | Response::Open => true,
        };
        let by = if self.has_left() {
            Some(AbortedBy::Client)
        } else {
            by
        };
        let end = ExchangeEnd {
            aborted_by: by.filter(|_| aborted),
            upgraded: self.upgrades != Upgrade::No,
            partial: self.partial || !whole,
        };
        let ts = ts.max(self.last);
        self.emit(ts, ExchangeEvent::End(end), sink);
    }
}
