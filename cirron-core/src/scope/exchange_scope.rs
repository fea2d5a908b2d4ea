//! One exchange as a scope: gathers what its events say; `write` turns it into a span and marks.

use cirron_common::conn::ConnInfo;

use super::arrival::Arrival;
use super::asked::RequestBody;
use super::call::Call;
use super::grpc::Grpc;
use super::payload::ResponseBody;
use super::socket::Socket;
use super::span::{Mark, Span, cut};
use super::write;
use crate::exchange::{AbortedBy, ExchangeEnd, ExchangeEvent, MessageEnd, Role, Sender};
use crate::id::{Id, IdSource};
use crate::llm::{self, Candidate, DIALECTS, Dialect, Figure, RPCS, Readers, RequestFacts, count};
use crate::proto::message::{Headers, RequestHead, ResponseHead};
use crate::time::MonoNs;

mod figures;
mod held;

/// What the engine knows around an exchange.
#[derive(Clone, Copy, Debug)]
pub struct ScopeContext {
    /// The target's process.
    pub pid: u32,
    /// The thread that moved its first byte.
    pub tid: u32,
    /// The target's rank.
    pub rank: i64,
    /// Whether `chunk_ms` points are wanted.
    pub chunk_timing: bool,
    /// Its bytes come from inside a TLS library.
    pub tls: bool,
    /// How the socket beneath is known, where it is.
    pub tls_link: Option<&'static str>,
    /// Family, addresses and ports, where known.
    pub conn: ConnInfo,
}

/// Usage that a header field told.
#[derive(Clone, Copy, Debug)]
struct ToldByField {
    dialect: &'static Dialect,
    figure: Figure,
    count: i64,
    /// It came behind the body.
    in_trailers: bool,
}

/// A scope as it is written.
pub type Written = (Span, Vec<Mark>, ScopeFacts);

/// What the engine counts of a finished scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScopeFacts {
    /// It is an LLM call, and no inference of another kind of model.
    pub is_llm: bool,
    /// Reported or counted.
    pub output_tokens: Option<u64>,
    /// A hole, a late attach or an early end touched it.
    pub partial: bool,
}

/// The part of the request's head that is written.
#[derive(Debug)]
pub(super) struct RequestLine {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) version: &'static str,
}

/// An exchange under way.
#[derive(Debug)]
pub struct ExchangeScope {
    pub(super) start: MonoNs,
    /// When its request came, where that is known.
    pub(super) arrival: Option<Arrival>,
    /// One of its times is that of a write which the kernel held back, nobody knows for how long.
    pub(super) unsure: bool,
    pub(super) role: Role,
    pub(super) late: bool,
    pub(super) context: ScopeContext,
    pub(super) request: Option<RequestLine>,
    /// By the path, then by the request's shape: what it says to each dialect that may be it.
    pub(super) candidates: Vec<(Candidate, RequestFacts)>,
    request_body: Option<RequestBody>,
    /// Usage that header fields and trailers carry, with the dialect whose fields they are.
    told_by_fields: Vec<ToldByField>,
    pub(super) request_decoded: bool,
    pub(super) request_bytes: u64,
    /// All of it came.
    pub(super) request_whole: bool,
    /// Nobody knows how many bytes of request and response were lost.
    pub(super) unmeasured: [bool; 2],
    pub(super) status: Option<u16>,
    pub(super) response_version: Option<&'static str>,
    pub(super) first_byte: Option<MonoNs>,
    pub(super) response: Option<ResponseBody>,
    pub(super) response_bytes: u64,
    pub(super) response_end: Option<MonoNs>,
    /// Of the request and of the response.
    pub(super) lost_bytes: u64,
    pub(super) response_lost_bytes: u64,
    pub(super) end: ExchangeEnd,
    /// What told the end of its connection was lost.
    pub(super) end_lost: bool,
    /// What is later than this was written to a client that may have left.
    leaving: Option<MonoNs>,
    /// What it turned into.
    pub(super) socket: Option<Box<Socket>>,
    /// The call that it carries, or may carry.
    pub(super) grpc: Option<Box<Grpc>>,
    /// Of its span and of its request, once they were given.
    pub(super) ids: Option<(Id, Id)>,
    /// The core held too much: its bodies are read no further.
    pub(super) given_up: bool,
}

impl ExchangeScope {
    /// A scope that began at `start`: the first byte of the request or, `late`, what we saw first.
    pub fn new(start: MonoNs, role: Role, late: bool, context: ScopeContext) -> ExchangeScope {
        ExchangeScope {
            start,
            arrival: None,
            unsure: false,
            role,
            late,
            context,
            request: None,
            candidates: Vec::new(),
            request_body: None,
            told_by_fields: Vec::new(),
            request_decoded: true,
            request_bytes: 0,
            request_whole: false,
            unmeasured: [false; 2],
            status: None,
            response_version: None,
            first_byte: None,
            response: None,
            response_bytes: 0,
            response_end: None,
            lost_bytes: 0,
            response_lost_bytes: 0,
            end: ExchangeEnd::default(),
            end_lost: false,
            leaving: None,
            socket: None,
            grpc: None,
            ids: None,
            given_up: false,
        }
    }

    /// The process it belongs to.
    pub fn pid(&self) -> u32 {
        self.context.pid
    }

    /// The connection's addresses became known; of a TLS object, with how.
    pub fn take_addresses(&mut self, conn: &ConnInfo, tls_link: Option<&'static str>) {
        self.context.tls_link = tls_link;
        self.context.conn = *conn;
    }

    /// Its connection has ended, nobody knows how.
    pub fn end_was_lost(&mut self) {
        self.end_lost = true;
    }

    /// When it began.
    pub fn start(&self) -> MonoNs {
        self.start
    }

    /// Which end the target is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The next event.
    pub fn on_event(&mut self, ts: MonoNs, event: &ExchangeEvent<'_>) {
        match *event {
            ExchangeEvent::Start { .. } | ExchangeEvent::Informational(_) => {}
            ExchangeEvent::RequestHead(head) => self.request_head(head),
            ExchangeEvent::RequestBody(bytes) => {
                self.request_bytes += bytes.len() as u64;
                self.guess_grpc();
                if let Some(call) = &mut self.grpc {
                    call.push(ts, Sender::Client, bytes);
                }
                if let Some(body) = &mut self.request_body {
                    body.push(bytes);
                }
                self.read_settled_request();
            }
            ExchangeEvent::RequestGap(len) => {
                self.request_bytes += len;
                self.unmeasured[0] |= len == 0;
                self.lost_bytes += len;
                self.guess_grpc();
                if let Some(call) = &mut self.grpc {
                    call.gap(ts, Sender::Client, len);
                }
                if let Some(body) = &mut self.request_body {
                    body.gap(len);
                }
                self.read_settled_request();
            }
            ExchangeEvent::RequestEnd(end) => {
                self.request_whole = end == MessageEnd::Complete;
                self.end_grpc(Sender::Client, end);
                self.read_request();
            }
            ExchangeEvent::ResponseStart => self.first_byte = Some(ts),
            ExchangeEvent::ResponseHead(head) => self.response_head(ts, head),
            ExchangeEvent::ResponseBody(bytes) => {
                self.response_bytes += bytes.len() as u64;
                if let Some(call) = &mut self.grpc {
                    call.push(ts, Sender::Server, bytes);
                }
                if let Some(body) = self.body() {
                    body.push(ts, bytes);
                }
            }
            ExchangeEvent::ResponseGap(len) => {
                self.response_bytes += len;
                self.unmeasured[1] |= len == 0;
                self.lost_bytes += len;
                self.response_lost_bytes += len;
                if let Some(call) = &mut self.grpc {
                    call.gap(ts, Sender::Server, len);
                }
                if let Some(body) = self.body() {
                    body.gap(len);
                }
            }
            ExchangeEvent::ResponseTrailers(trailers) => {
                Grpc::trailers(&mut self.grpc, ts, trailers);
                self.read_fields(trailers, true);
            }
            ExchangeEvent::WebSocket { by, event } => {
                let path = self.request.as_ref().map(|r| r.path.as_str());
                let keep_points = self.context.chunk_timing;
                let new = || Box::new(Socket::new(path, keep_points));
                let lost = self.socket.get_or_insert_with(new).on_event(ts, by, &event);
                self.lost_bytes += lost;
                if by == Sender::Server {
                    self.response_lost_bytes += lost;
                }
            }
            ExchangeEvent::ResponseEnd(end) => {
                self.end_grpc(Sender::Server, end);
                self.response_end = match end {
                    MessageEnd::Complete => Some(ts),
                    MessageEnd::Aborted | MessageEnd::Lost => None,
                };
                if let Some(body) = &mut self.response {
                    if end == MessageEnd::Lost {
                        body.gap(0);
                    }
                    body.end();
                }
            }
            ExchangeEvent::ClientLeaving { from } => {
                self.leaving.get_or_insert(from);
                if let Some(body) = &mut self.response {
                    body.leave(from);
                }
            }
            ExchangeEvent::ClientStayed => self.client_stayed(),
            ExchangeEvent::End(end) => {
                self.end = end;
                if end.aborted_by == Some(AbortedBy::Client) {
                    self.client_left();
                } else {
                    self.client_stayed();
                }
                if (end.cut || !end.partial) && self.came_to_its_end() {
                    self.end.aborted_by = None;
                    self.end.partial = false;
                }
                if let Some(socket) = &mut self.socket {
                    socket.finish();
                }
            }
        }
    }

    /// Whether a response that its messages told of is over and was not taken.
    pub fn has_ended_response(&mut self) -> bool {
        self.socket.as_mut().is_some_and(|s| s.has_ended())
    }

    /// Writes the next response that is over. `parent`: the session. With the first one comes the
    /// scope itself, still open: its children need it.
    pub fn next_response(
        &mut self,
        parent: Id,
        ids: &mut dyn IdSource,
    ) -> Option<(Option<Span>, Written)> {
        let ended = self.socket.as_mut()?.next_ended()?;
        let opened = self.ids.is_none();
        let (id, request_id) = *self
            .ids
            .get_or_insert_with(|| (ids.next_id(), ids.next_id()));
        let open = opened.then(|| write::open(self, id, request_id, parent));
        Some((open, ended.write(&self.context, id, ids)))
    }

    /// It has ended, and nothing tells what it was: its beginning was not seen, or its request refers to
    /// what was not, and neither messages, nor a status of gRPC, nor the answer's shape show it.
    pub fn is_nameless(&mut self) -> bool {
        let unseen = self.late || self.end.unread;
        if !unseen || self.request.is_some() || self.socket.is_some() {
            return false;
        }
        self.read_all();
        let is_rpc = self.grpc.as_ref().is_some_and(|call| call.is_sure());
        !is_rpc && !write::is_llm(self)
    }

    /// What an early end left of a document is read too.
    fn read_all(&mut self) {
        self.read_request();
        if let Some(body) = &mut self.response {
            body.end();
        }
    }

    /// Writes it. `end`: when it ended; `parent`: its session.
    pub fn finish(mut self, end: MonoNs, parent: Id, ids: &mut dyn IdSource) -> Written {
        self.read_all();
        write::write(&self, end, parent, ids)
    }

    fn client_stayed(&mut self) {
        self.leaving = None;
        if let Some(body) = &mut self.response {
            body.settle(false);
        }
    }

    fn client_left(&mut self) {
        if let Some(body) = &mut self.response {
            body.settle(true);
        }
    }

    fn request_head(&mut self, head: &RequestHead) {
        self.grpc = Grpc::of_request(&head.headers).map(Box::new);
        let rpcs = self.grpc.as_ref().map(|_| llm::rpc_of_path(&head.path));
        let rpcs = rpcs.filter(|rpcs| !rpcs.is_empty());
        let is_rpc = rpcs.is_some();
        let of_path = rpcs.unwrap_or_else(|| llm::of_path(&head.path));
        let of_path = Some(of_path).filter(|_| head.method == "POST");
        let of_path = of_path.unwrap_or_default();
        if !of_path.is_empty() {
            let nothing = |(c, _): &(Candidate, _)| (*c, RequestFacts::default());
            self.candidates = of_path.iter().map(nothing).collect();
            let encoding = || head.headers.get_str("grpc-encoding").unwrap_or_default();
            self.request_body = Some(if is_rpc {
                RequestBody::of_grpc(of_path, encoding())
            } else {
                RequestBody::new(of_path, &head.headers)
            });
        }
        self.request = Some(RequestLine {
            method: cut(&head.method).to_owned(),
            path: cut(&head.path).to_owned(),
            version: head.version.as_str(),
        });
    }

    /// The body of a request whose head was not seen may be that of a call.
    fn guess_grpc(&mut self) {
        let unknown = self.request.is_none() && !self.late && self.response.is_none();
        if unknown && !self.given_up && self.grpc.is_none() && self.request_body.is_none() {
            self.grpc = Some(Box::new(Grpc::guessed()));
            self.request_body = Some(RequestBody::of_grpc(llm::all_rpcs(), ""));
        }
    }

    fn end_grpc(&mut self, by: Sender, end: MessageEnd) {
        if let Some(call) = &mut self.grpc {
            call.finish(by, end == MessageEnd::Lost);
        }
    }

    fn read_settled_request(&mut self) {
        if self
            .request_body
            .as_ref()
            .is_some_and(RequestBody::is_settled)
        {
            self.read_request();
        }
    }

    fn read_request(&mut self) {
        let Some(body) = self.request_body.take() else {
            return;
        };
        let (candidates, decoded) = body.finish();
        let shaped = candidates.iter().any(|(_, facts)| facts.shaped);
        if let Some(call) = self.grpc.as_mut().filter(|call| !call.is_sure()) {
            // Of a guess only what shows that it is one is of use.
            if !shaped {
                return;
            }
            call.show();
        }
        (self.candidates, self.request_decoded) = (candidates, decoded);
    }

    fn response_head(&mut self, ts: MonoNs, head: &ResponseHead) {
        self.status = Some(head.status);
        self.response_version = Some(head.version.as_str());
        Grpc::response(&mut self.grpc, ts, &head.headers);
        self.read_fields(&head.headers, false);
        self.response = self.new_body(Some(&head.headers));
    }

    fn read_fields(&mut self, fields: &Headers, in_trailers: bool) {
        for (candidate, _) in &self.candidates {
            let dialect = candidate.dialect;
            for &(name, figure) in dialect.headers {
                if let Some(count) = fields.get_str(name).and_then(count::of_text) {
                    self.told_by_fields.push(ToldByField {
                        dialect,
                        figure,
                        count,
                        in_trailers,
                    });
                }
            }
        }
    }

    /// A call of gRPC whose messages, not its path, told that it is a stream.
    fn is_rpc_stream(&self) -> bool {
        let asked = self.asked().and_then(|(c, _)| c.stream);
        self.grpc.is_some() && asked == Some(true)
    }

    /// The response has a form that is read, and a coding that could be undone.
    pub(super) fn is_read(&self) -> bool {
        self.response.as_ref().is_some_and(ResponseBody::is_read)
    }

    /// By its path or, where the request was not seen, by nothing yet.
    fn may_be_llm(&self) -> bool {
        self.request.is_none() || !self.candidates.is_empty()
    }

    fn new_body(&self, head: Option<&Headers>) -> Option<ResponseBody> {
        if !self.may_be_llm() || self.given_up {
            return None;
        }
        let is_rpc = self.grpc.as_ref().is_some_and(|call| call.is_sure());
        let readers = if self.candidates.is_empty() {
            let rpcs = RPCS.iter().map(|rpc| &rpc.dialect);
            let all = if is_rpc {
                Readers::new(rpcs)
            } else {
                Readers::new(DIALECTS)
            };
            all?
        } else {
            Readers::new(self.candidates.iter().map(|(c, _)| c.dialect))?
        };
        // Asked for, as far as the request was read by now: all that may be it agree, or nobody knows.
        let mut asked = self.candidates.iter().map(|(c, f)| f.stream.or(c.stream));
        let first = asked.next().flatten();
        let stream = first.filter(|_| asked.all(|a| a == first));
        let keep_points = self.context.chunk_timing;
        let mut body = if is_rpc {
            ResponseBody::of_grpc(readers, head, stream, keep_points)
        } else {
            ResponseBody::new(readers, head, stream, keep_points)
        };
        if self.late {
            body.joined_late();
        }
        if let Some(from) = self.leaving {
            body.leave(from);
        }
        Some(body)
    }

    /// The dialect and what the request says in it: that of the response's shape, else the first.
    pub(super) fn asked(&self) -> Option<&(Candidate, RequestFacts)> {
        let answered = self.response.as_ref().map(ResponseBody::dialect);
        let same = |(c, _): &&(Candidate, RequestFacts)| {
            answered.is_some_and(|dialect| core::ptr::eq(dialect, c.dialect))
        };
        self.candidates
            .iter()
            .find(same)
            .or(self.candidates.first())
    }

    /// The body of a response, also of one whose head was not seen.
    fn body(&mut self) -> Option<&mut ResponseBody> {
        if self.response.is_none() {
            self.response = self.new_body(None);
        }
        self.response.as_mut()
    }
}
