//! The request of an exchange: its line, and what its body asks for.

use super::ExchangeScope;
use crate::exchange::{MessageEnd, Sender};
use crate::llm::{self, Candidate, RequestFacts, Routes};
use crate::proto::message::RequestHead;
use crate::proto::traceparent::{self, Carried, TraceParent};
use crate::scope::asked::RequestBody;
use crate::scope::grpc::Grpc;
use crate::scope::span::cut;
use crate::time::MonoNs;

/// The part of the request's head that is written.
#[derive(Debug)]
pub(in crate::scope) struct RequestLine {
    pub(in crate::scope) method: String,
    pub(in crate::scope) path: String,
    pub(in crate::scope) version: &'static str,
}

/// The request.
#[derive(Debug)]
pub(in crate::scope) struct Ask {
    pub(in crate::scope) line: Option<RequestLine>,
    /// By the path, then by the request's shape: what it says to each dialect that may be it.
    pub(in crate::scope) candidates: Vec<(Candidate, RequestFacts)>,
    pub(super) body: Option<RequestBody>,
    pub(in crate::scope) decoded: bool,
    /// Bytes of its body.
    pub(in crate::scope) bytes: u64,
    /// All of it came.
    pub(in crate::scope) whole: bool,
    /// Bytes of it were lost, nobody knows how many.
    pub(in crate::scope) unmeasured: bool,
    /// Bytes of it, or of the client's messages, that were lost.
    pub(in crate::scope) lost_bytes: u64,
    /// The trace that its head names.
    pub(in crate::scope) trace: Option<Box<TraceParent>>,
    /// Its head names one in a way that is none.
    pub(in crate::scope) bad_traceparent: bool,
}

impl Ask {
    pub(super) fn new() -> Ask {
        Ask {
            line: None,
            candidates: Vec::new(),
            body: None,
            decoded: true,
            bytes: 0,
            whole: false,
            unmeasured: false,
            lost_bytes: 0,
            trace: None,
            bad_traceparent: false,
        }
    }

    /// Bytes that it holds, about.
    pub(super) fn held_bytes(&self) -> usize {
        let line = self.line.as_ref();
        let line = line.map_or(0, |line| line.path.capacity() + line.method.capacity());
        let candidates = self.candidates.capacity() * size_of::<(Candidate, RequestFacts)>();
        let trace = self.trace.as_ref().map_or(0, |_| size_of::<TraceParent>());
        trace + line + candidates + self.body.as_ref().map_or(0, RequestBody::held_bytes)
    }

    /// The core holds too much: its body is read no further.
    pub(super) fn give_up(&mut self) {
        if self.body.is_some() {
            // What it has said by now is not all, and may be read wrongly.
            self.body = None;
            self.decoded = false;
        }
    }

    pub(in crate::scope) fn path(&self) -> Option<&str> {
        self.line.as_ref().map(|line| line.path.as_str())
    }
}

impl ExchangeScope {
    pub(super) fn request_head(&mut self, head: &RequestHead, routes: &mut Routes) {
        self.grpc = Grpc::of_request(&head.headers).map(Box::new);
        let rpcs = self.grpc.as_ref().map(|_| llm::rpc_of_path(&head.path));
        let rpcs = rpcs.filter(|rpcs| !rpcs.is_empty());
        let is_rpc = rpcs.is_some();
        let of_path = match head.method.as_str() {
            "POST" => rpcs.unwrap_or_else(|| routes.candidates(&head.path)),
            _ => Vec::new(),
        };
        if !of_path.is_empty() {
            let nothing = |(c, _): &(Candidate, _)| (*c, RequestFacts::default());
            self.ask.candidates = of_path.iter().map(nothing).collect();
            let encoding = || head.headers.get_str("grpc-encoding").unwrap_or_default();
            self.ask.body = Some(if is_rpc {
                RequestBody::of_grpc(of_path, encoding())
            } else {
                RequestBody::new(of_path, &head.headers)
            });
        }
        match traceparent::read(&head.headers) {
            Carried::Nothing => {}
            Carried::Malformed => self.ask.bad_traceparent = true,
            Carried::One(trace) => self.ask.trace = Some(Box::new(trace)),
        }
        self.ask.line = Some(RequestLine {
            method: cut(&head.method).to_owned(),
            path: cut(&head.path).to_owned(),
            version: head.version.as_str(),
        });
    }

    pub(super) fn request_body(&mut self, ts: MonoNs, bytes: &[u8]) {
        self.ask.bytes += bytes.len() as u64;
        self.guess_grpc();
        if let Some(call) = &mut self.grpc {
            call.push(ts, Sender::Client, bytes);
        }
        if let Some(body) = &mut self.ask.body {
            body.push(bytes);
        }
        self.read_settled_request();
    }

    /// 0: how many is not known.
    pub(super) fn request_gap(&mut self, ts: MonoNs, len: u64) {
        self.ask.bytes += len;
        self.ask.unmeasured |= len == 0;
        self.ask.lost_bytes += len;
        self.guess_grpc();
        if let Some(call) = &mut self.grpc {
            call.gap(ts, Sender::Client, len);
        }
        if let Some(body) = &mut self.ask.body {
            body.gap(len);
        }
        self.read_settled_request();
    }

    pub(super) fn request_end(&mut self, end: MessageEnd) {
        self.ask.whole = end == MessageEnd::Complete;
        self.end_grpc(Sender::Client, end);
        self.read_request();
    }

    /// The body of a request whose head was not seen may be that of a call.
    fn guess_grpc(&mut self) {
        let unknown = self.ask.line.is_none() && !self.late && self.answer.body.is_none();
        if unknown && !self.given_up && self.grpc.is_none() && self.ask.body.is_none() {
            self.grpc = Some(Box::new(Grpc::guessed()));
            self.ask.body = Some(RequestBody::of_grpc(llm::all_rpcs(), ""));
        }
    }

    fn read_settled_request(&mut self) {
        let body = self.ask.body.as_ref();
        if body.is_some_and(RequestBody::is_settled) {
            self.read_request();
        }
    }

    pub(super) fn read_request(&mut self) {
        let Some(body) = self.ask.body.take() else {
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
        (self.ask.candidates, self.ask.decoded) = (candidates, decoded);
    }
}
