//! The gRPC call that an exchange of HTTP/2 carries: its messages counted, its status told.
//!
//! ```text
//!   Guessed --content type, `grpc-status`, or messages of a known service--> Sure
//! ```
//! A connection that was joined late refers to header fields which nobody saw: such a call is counted
//! from its first byte, and written only once something shows what it is. Which service and method
//! it is stays unknown where the path is. What messages say is the dialects' matter
//! ([`crate::llm::RPCS`]); the text of `grpc-message` is not kept. Source: "gRPC over HTTP/2".

use super::messages::Messages;
use super::names as n;
use super::span::{Attrs, cut, text};
use crate::body::grpc::{GrpcMessages, Part};
use crate::exchange::{Role, Sender};
use crate::proto::message::Headers;
use crate::time::MonoNs;

/// Names of the codes (gRPC's "Status codes and their use in gRPC"), from 0.
const STATUS: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Of those, the ones that a server has to answer for (OpenTelemetry's conventions for gRPC).
const SERVER_ERRORS: [&str; 6] = [
    "UNKNOWN",
    "DEADLINE_EXCEEDED",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
];

/// Whether these are the header fields of a gRPC message; `None`: they do not say.
fn is_grpc(headers: &Headers) -> Option<bool> {
    let Some(kind) = headers.get_str("content-type") else {
        return (headers.unknown == 0).then_some(false);
    };
    let rest = kind.strip_prefix("application/grpc");
    Some(rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';'])))
}

/// A call.
#[derive(Debug)]
pub(super) struct Grpc {
    sure: bool,
    client: Side,
    server: Side,
    /// As sent.
    status: Option<String>,
    /// When that came. It ends the call, whatever of the request was still to come.
    status_at: Option<MonoNs>,
}

/// What one end sends.
#[derive(Debug)]
struct Side {
    parser: GrpcMessages,
    messages: Messages,
}

impl Side {
    fn new() -> Side {
        Side {
            parser: GrpcMessages::counting(),
            messages: Messages::default(),
        }
    }

    fn take(messages: &mut Messages, ts: MonoNs, part: Part<'_>) {
        match part {
            Part::End { wire_bytes, .. } => messages.take(ts, wire_bytes),
            Part::Lost => messages.hole(),
            Part::Data(_) | Part::Hole => {}
        }
    }

    fn push(&mut self, ts: MonoNs, bytes: &[u8]) {
        let Side { parser, messages } = self;
        parser.push(bytes, &mut |part| Side::take(messages, ts, part));
    }

    fn gap(&mut self, ts: MonoNs, len: u64) {
        let Side { parser, messages } = self;
        parser.gap(len, &mut |part| Side::take(messages, ts, part));
    }

    fn finish(&mut self) {
        let Side { parser, messages } = self;
        parser.finish(&mut |part| Side::take(messages, MonoNs(0), part));
    }
}

impl Grpc {
    fn new(sure: bool) -> Grpc {
        Grpc {
            sure,
            client: Side::new(),
            server: Side::new(),
            status: None,
            status_at: None,
        }
    }

    /// By the head of the request: `None` where it says that it is none.
    pub(super) fn of_request(head: &Headers) -> Option<Grpc> {
        match is_grpc(head) {
            Some(false) => None,
            told => Some(Grpc::new(told == Some(true))),
        }
    }

    /// The head of the request was not seen; its body is, from the beginning.
    pub(super) fn guessed() -> Grpc {
        Grpc::new(false)
    }

    /// The head of the response; what goes before it that is not in `call` was not seen.
    pub(super) fn response(call: &mut Option<Box<Grpc>>, ts: MonoNs, head: &Headers) {
        match (is_grpc(head), &mut *call) {
            (Some(true), Some(call)) => call.sure = true,
            (Some(true), None) => {
                let mut unasked = Grpc::new(true);
                unasked.gap(MonoNs(0), Sender::Client, 0);
                *call = Some(Box::new(unasked));
            }
            // No call at all, or an answer of somebody who did not understand it, a proxy for one.
            (Some(false), Some(guess)) if !guess.sure => *call = None,
            (Some(false) | None, Some(_) | None) => {}
        }
        if let Some(call) = call {
            call.read_fields(ts, head);
        }
    }

    /// The trailers.
    pub(super) fn trailers(call: &mut Option<Box<Grpc>>, ts: MonoNs, fields: &Headers) {
        if call.is_none() && fields.get("grpc-status").is_some() {
            // Joined in the middle of its response.
            let mut late = Grpc::new(true);
            for by in [Sender::Client, Sender::Server] {
                late.gap(MonoNs(0), by, 0);
            }
            *call = Some(Box::new(late));
        }
        if let Some(call) = call {
            call.read_fields(ts, fields);
        }
    }

    /// Bytes that it holds, about.
    pub(super) fn held_bytes(&self) -> usize {
        let status = self.status.as_ref().map_or(0, String::capacity);
        size_of::<Grpc>()
            + status
            + self.client.parser.held_bytes()
            + self.server.parser.held_bytes()
    }

    /// Messages are counted, and no longer read.
    pub(super) fn give_up(&mut self) {
        self.client.parser.give_up();
        self.server.parser.give_up();
    }

    /// It was shown to be one.
    pub(super) fn is_sure(&self) -> bool {
        self.sure
    }

    /// Its messages are those of a known service.
    pub(super) fn show(&mut self) {
        self.sure = true;
    }

    /// When its status came.
    pub(super) fn status_at(&self) -> Option<MonoNs> {
        self.status_at
    }

    /// Its status says that it came to nothing, or to no more than what had come.
    pub(super) fn is_failed(&self) -> bool {
        self.status.as_deref().is_some_and(|status| status != "0")
    }

    fn read_fields(&mut self, ts: MonoNs, fields: &Headers) {
        if let Some(status) = fields.get_str("grpc-status") {
            self.sure = true;
            self.status_at = Some(ts);
            self.status = Some(cut(status).to_owned());
        }
    }

    /// Bytes of a body.
    pub(super) fn push(&mut self, ts: MonoNs, by: Sender, bytes: &[u8]) {
        self.side(by).push(ts, bytes);
    }

    /// Bytes of a body are missing here; 0: how many is not known.
    pub(super) fn gap(&mut self, ts: MonoNs, by: Sender, len: u64) {
        self.side(by).gap(ts, len);
    }

    /// The end of a body, or of what was seen of it. `lost`: where it ends is not known.
    pub(super) fn finish(&mut self, by: Sender, lost: bool) {
        let side = self.side(by);
        side.finish();
        if lost {
            side.messages.hole();
        }
    }

    fn side(&mut self, by: Sender) -> &mut Side {
        match by {
            Sender::Client => &mut self.client,
            Sender::Server => &mut self.server,
        }
    }

    /// Messages of client and server.
    pub(super) fn messages(&self) -> [&Messages; 2] {
        [&self.client.messages, &self.server.messages]
    }

    /// `path`: of the request.
    pub(super) fn describe(&self, path: Option<&str>, role: Role, attrs: &mut Attrs) {
        attrs.insert(n::RPC_SYSTEM, "grpc".into());
        if let Some(method) = path.and_then(|p| p.strip_prefix('/')) {
            attrs.insert(n::RPC_METHOD, text(method));
        }
        let Some(sent) = &self.status else { return };
        let known = sent.parse().ok().and_then(|at: usize| STATUS.get(at));
        let status = known.copied().unwrap_or(sent);
        attrs.insert(n::RPC_STATUS, text(status));
        let failed = match role {
            Role::Server => SERVER_ERRORS.contains(&status) || known.is_none(),
            Role::Client => status != "OK",
        };
        if failed {
            attrs.insert(n::ERROR_TYPE, text(status));
            attrs.insert(n::ERROR, true.into());
        }
    }
}
