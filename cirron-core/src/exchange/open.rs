//! One exchange that has not ended: what is known of its two messages.
//!
//! Keeps the rules that [`super`] promises whatever the parsers say: each message ends once, no
//! event is earlier than `Start`. How it ends is told by [`super::ending`].

use super::ending::Leaving;
use super::websocket;
use super::{ExchangeEvent, ExchangeId, ExchangeSink, Sender};
use crate::proto::h1::AnswerTo;
use crate::proto::message::{Headers, MessageEnd, ResponseHead};
use crate::proto::ws::Deflate;
use crate::time::MonoNs;

/// How far a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Response {
    Waiting,
    Open,
    Done(MessageEnd),
}

/// What a request wants its connection to become (RFC 9110, section 7.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    Nothing,
    /// RFC 6455.
    WebSocket,
    /// RFC 7540, section 3.2.
    Http2,
}

impl Asks {
    /// By the header fields of a request, or those of the `101` that grants it.
    pub(super) fn read(headers: &Headers) -> Asks {
        let asked = headers.joined("upgrade");
        let known = asked.split(',').map(str::trim).find_map(|protocol| {
            let is = |name: &str| protocol.eq_ignore_ascii_case(name);
            (is("websocket").then_some(Asks::WebSocket)).or(is("h2c").then_some(Asks::Http2))
        });
        known.unwrap_or(Asks::Nothing)
    }
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
    /// HTTP/2, which brings the response.
    Http2,
}

impl Upgrade {
    /// By the head of a response on HTTP/1, and what it answers.
    pub(super) fn by(head: &ResponseHead, to: AnswerTo) -> Upgrade {
        match (head.status, to) {
            (101, _) => match Asks::read(&head.headers) {
                Asks::WebSocket => Upgrade::WebSocket(websocket::deflate(&head.headers)),
                Asks::Http2 => Upgrade::Http2,
                Asks::Nothing => Upgrade::Tunnel,
            },
            (200..=299, AnswerTo::Connect) => Upgrade::Tunnel,
            (_, AnswerTo::Connect | AnswerTo::Head | AnswerTo::Other) => Upgrade::No,
        }
    }
}

/// One exchange that has not ended.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) id: ExchangeId,
    /// Time of its first event.
    pub(super) start: MonoNs,
    pub(super) to: AnswerTo,
    pub(super) request: Option<MessageEnd>,
    pub(super) response: Response,
    /// `ResponseStart` was said.
    pub(super) is_begun: bool,
    /// Its request's head refers to what was not seen.
    pub(super) unread: bool,
    /// Something of it was lost, or its beginning was not seen.
    pub(super) partial: bool,
    /// A hole may have held an end of one of its messages.
    pub(super) holed: bool,
    /// `Expect: 100-continue`, and no byte of the body yet.
    pub(super) expects_continue: bool,
    /// What its request asks for.
    pub(super) asks: Asks,
    /// What its response makes of the connection.
    pub(super) upgrades: Upgrade,
    /// Whether its client has gone before the response was over.
    pub(super) leaving: Leaving,
    /// Latest time of its events.
    pub(super) last: MonoNs,
    /// Latest times of what the client and the server sent: neither goes back, whatever the parsers
    /// hand in and in what order.
    sides: [MonoNs; 2],
}

/// Whose message an event is about; `None`: the exchange's own.
fn side(event: &ExchangeEvent<'_>) -> Option<Sender> {
    match event {
        ExchangeEvent::RequestHead(_)
        | ExchangeEvent::RequestBody(_)
        | ExchangeEvent::RequestGap(_)
        | ExchangeEvent::RequestEnd(_) => Some(Sender::Client),
        ExchangeEvent::Informational(_)
        | ExchangeEvent::ResponseStart
        | ExchangeEvent::ResponseHead(_)
        | ExchangeEvent::ResponseBody(_)
        | ExchangeEvent::ResponseGap(_)
        | ExchangeEvent::ResponseTrailers(_)
        | ExchangeEvent::ResponseEnd(_) => Some(Sender::Server),
        ExchangeEvent::WebSocket { by, .. } => Some(*by),
        ExchangeEvent::Start { .. }
        | ExchangeEvent::ClientLeaving { .. }
        | ExchangeEvent::ClientStayed
        | ExchangeEvent::End(_) => None,
    }
}

impl Exchange {
    /// `late`: its beginning, and its request, were not seen.
    pub(super) fn new(id: ExchangeId, start: MonoNs, late: bool) -> Exchange {
        Exchange {
            id,
            start,
            to: AnswerTo::Other,
            request: late.then_some(MessageEnd::Lost),
            response: Response::Waiting,
            is_begun: false,
            unread: false,
            partial: late,
            holed: false,
            expects_continue: false,
            asks: Asks::Nothing,
            upgrades: Upgrade::No,
            leaving: Leaving::No,
            last: start,
            sides: [start; 2],
        }
    }

    pub(super) fn emit(
        &mut self,
        ts: MonoNs,
        event: ExchangeEvent<'_>,
        sink: &mut dyn ExchangeSink,
    ) {
        let ts = match side(&event) {
            Some(by) => {
                let last = match by {
                    Sender::Client => &mut self.sides[0],
                    Sender::Server => &mut self.sides[1],
                };
                *last = ts.max(*last);
                *last
            }
            None => ts.max(self.last),
        };
        self.last = self.last.max(ts);
        self.is_begun |= matches!(event, ExchangeEvent::ResponseStart);
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

    pub(super) fn is_answered(&self) -> bool {
        match self.response {
            Response::Done(_) => true,
            Response::Waiting | Response::Open => false,
        }
    }
}
