//! One exchange as the content of a scope: gathers what its events say.
//!
//! ```text
//!  ExchangeEvent -> Ask (request), Answer (response), WebSocketScope (WebSocket), Grpc (call) -> figures -> write
//!        '-> Wanted (rules), before the others
//! ```
//! Each message has a file of its own (`ask`, `answer`); `figures` says what they mean together, and
//! [`super::write`] makes attributes and marks of it. Its turns are scopes of their own ([`super::turns`]).

mod answer;
mod ask;
mod figures;
mod held;
mod rules;

use cirron_common::conn::ConnInfo;

use self::answer::Answer;
use self::ask::Ask;
use super::arrival::Arrival;
use super::grpc::Grpc;
use super::payload::ResponseBody;
use super::socket::WebSocketScope;
use super::store::Desk;
use super::wanted::Wanted;
use crate::exchange::{AbortedBy, ExchangeEnd, ExchangeEvent, MessageEnd, Role, Sender, Spot};
use crate::id::Id;
use crate::llm::{Candidate, RequestFacts, Routes};
use crate::proto::ws;
use crate::time::MonoNs;

/// What the engine knows around an exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScopeContext {
    /// Its bytes come from inside a TLS library.
    pub tls: bool,
    /// How the socket beneath is known, where it is.
    pub tls_link: Option<&'static str>,
    /// Family, addresses and ports, where known.
    pub conn: ConnInfo,
}

/// An exchange under way.
#[derive(Debug)]
pub(crate) struct ExchangeScope {
    pub(super) start: MonoNs,
    pub(super) request_id: Id,
    /// When its request came, where that is known.
    pub(super) arrival: Option<Arrival>,
    /// One of its times is that of a write which the kernel held back, nobody knows for how long.
    pub(super) unsure: bool,
    pub(super) role: Role,
    pub(super) late: bool,
    pub(super) context: ScopeContext,
    pub(super) ask: Ask,
    pub(super) answer: Answer,
    pub(super) end: ExchangeEnd,
    /// What told the end of its connection was lost.
    pub(super) end_lost: bool,
    /// What is later than this was written to a client that may have left.
    leaving: Option<MonoNs>,
    /// What it turned into.
    pub(super) socket: Option<Box<WebSocketScope>>,
    /// The call that it carries, or may carry.
    pub(super) grpc: Option<Box<Grpc>>,
    /// The core held too much: its bodies are read no further.
    pub(super) given_up: bool,
    /// What the rules of its process want of it, where there are some.
    pub(super) wanted: Option<Box<Wanted>>,
    /// A rule ignores it: nothing of it is read.
    is_ignored: bool,
    /// Where its request stands on its connection.
    spot: Option<Spot>,
    /// Its part of the time of a deployment whose price is by the hour, ns.
    pub(super) part_ns: Option<f64>,
}

impl ExchangeScope {
    /// A scope that began at `start`: the first byte of the request or, `late`, what we saw first.
    pub(crate) fn new(
        start: MonoNs,
        request_id: Id,
        role: Role,
        late: bool,
        context: ScopeContext,
    ) -> ExchangeScope {
        ExchangeScope {
            start,
            request_id,
            arrival: None,
            unsure: false,
            role,
            late,
            context,
            ask: Ask::new(),
            answer: Answer::default(),
            end: ExchangeEnd::default(),
            end_lost: false,
            leaving: None,
            socket: None,
            grpc: None,
            given_up: false,
            wanted: None,
            is_ignored: false,
            spot: None,
            part_ns: None,
        }
    }

    /// It has ended, and had that part of its deployment's time, ns.
    pub(crate) fn set_part(&mut self, part_ns: Option<f64>) {
        self.part_ns = part_ns;
    }

    /// The connection's addresses became known; of a TLS object, with how.
    pub(crate) fn take_addresses(&mut self, conn: &ConnInfo, tls_link: Option<&'static str>) {
        self.context.tls_link = tls_link;
        self.context.conn = *conn;
    }

    /// Its connection has ended, nobody knows how.
    pub(crate) fn end_was_lost(&mut self) {
        self.end_lost = true;
    }

    /// Which end the target is.
    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Where its request stands on its connection, where that is known.
    pub(crate) fn spot(&self) -> Option<Spot> {
        self.spot
    }

    /// That is known now.
    pub(crate) fn set_spot(&mut self, spot: Spot) {
        self.spot = Some(spot);
    }

    /// Method and path.
    pub(crate) fn first_line(&self) -> Option<(&str, &str)> {
        let line = self.ask.line.as_ref()?;
        Some((&line.method, &line.path))
    }

    /// Bytes of it that were lost.
    pub(super) fn lost_bytes(&self) -> u64 {
        self.ask.lost_bytes + self.answer.lost_bytes
    }

    /// The next event. `desk`: of its scope.
    pub(crate) fn on_event(
        &mut self,
        ts: MonoNs,
        event: &ExchangeEvent<'_>,
        desk: &mut Desk<'_>,
        routes: &mut Routes,
    ) {
        if self.wanted.is_some() {
            self.ask_rules(ts, event);
        }
        if self.is_ignored {
            return;
        }
        match *event {
            ExchangeEvent::Start { .. } | ExchangeEvent::Informational(_) => {}
            ExchangeEvent::RequestHead(head) => self.request_head(head, routes),
            ExchangeEvent::RequestBody(bytes) => self.request_body(ts, bytes),
            ExchangeEvent::RequestGap(len) => self.request_gap(ts, len),
            ExchangeEvent::RequestEnd(end) => self.request_end(end),
            ExchangeEvent::ResponseStart => self.answer.first_byte = Some(ts),
            ExchangeEvent::ResponseHead(head) => self.response_head(ts, head),
            ExchangeEvent::ResponseBody(bytes) => self.response_body(ts, bytes),
            ExchangeEvent::ResponseGap(len) => self.response_gap(ts, len),
            ExchangeEvent::ResponseTrailers(trailers) => self.response_trailers(ts, trailers),
            ExchangeEvent::ResponseEnd(end) => self.response_end(ts, end),
            ExchangeEvent::WebSocket { by, event } => self.message(ts, by, &event, desk),
            ExchangeEvent::ClientLeaving { from } => self.client_leaves(from),
            ExchangeEvent::ClientStayed => self.note_client_stayed(),
            ExchangeEvent::End(end) => self.over(end, desk),
        }
    }

    /// A part of a message of the WebSocket that it turned into.
    fn message(&mut self, ts: MonoNs, by: Sender, event: &ws::Event<'_>, desk: &mut Desk<'_>) {
        let keep_points = self.may_want_points(true);
        let path = self.ask.path();
        let new = || Box::new(WebSocketScope::new(path, keep_points));
        let socket = self.socket.get_or_insert_with(new);
        let lost = socket.on_event(ts, by, event, desk);
        match by {
            Sender::Client => self.ask.lost_bytes += lost,
            Sender::Server => self.answer.lost_bytes += lost,
        }
    }

    fn end_grpc(&mut self, by: Sender, end: MessageEnd) {
        if let Some(call) = &mut self.grpc {
            call.finish(by, end == MessageEnd::Lost);
        }
    }

    fn client_leaves(&mut self, from: MonoNs) {
        self.leaving.get_or_insert(from);
        if let Some(body) = &mut self.answer.body {
            body.leave(from);
        }
    }

    fn note_client_stayed(&mut self) {
        self.leaving = None;
        if let Some(body) = &mut self.answer.body {
            body.settle(false);
        }
    }

    fn over(&mut self, end: ExchangeEnd, desk: &mut Desk<'_>) {
        self.end = end;
        if end.aborted_by != Some(AbortedBy::Client) {
            self.note_client_stayed();
        } else if let Some(body) = &mut self.answer.body {
            body.settle(true);
        }
        if (end.cut || !end.partial) && self.came_to_its_end() {
            self.end.aborted_by = None;
            self.end.partial = false;
        }
        if let Some(socket) = &mut self.socket {
            socket.finish(desk);
        }
    }

    /// It has ended, and nothing tells what it was: its beginning was not seen, or its request refers to
    /// what was not, and neither messages, nor a status of gRPC, nor the answer's shape show it.
    pub(crate) fn is_nameless(&mut self) -> bool {
        let unseen = self.late || self.end.unread;
        if !unseen || self.ask.line.is_some() || self.socket.is_some() {
            return false;
        }
        self.read_all();
        let is_rpc = self.grpc.as_ref().is_some_and(|call| call.is_sure());
        !is_rpc && !self.is_llm()
    }

    /// What an early end left of a document is read too.
    pub(super) fn read_all(&mut self) {
        self.read_request();
        if let Some(body) = &mut self.answer.body {
            body.end();
        }
    }

    /// The dialect and what the request says in it: that of the response's shape, else the first.
    pub(super) fn asked(&self) -> Option<&(Candidate, RequestFacts)> {
        let answered = self.answer.body.as_ref().map(ResponseBody::dialect);
        let same = |(c, _): &&(Candidate, RequestFacts)| {
            answered.is_some_and(|dialect| core::ptr::eq(dialect, c.dialect))
        };
        let candidates = &self.ask.candidates;
        candidates.iter().find(same).or(candidates.first())
    }
}
