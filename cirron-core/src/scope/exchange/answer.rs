//! The response of an exchange: its status, and its body as the dialects read it.

use super::ExchangeScope;
use crate::exchange::{MessageEnd, Sender};
use crate::llm::{DIALECTS, Dialect, Figure, RPCS, Readers, count};
use crate::proto::message::{Headers, ResponseHead};
use crate::scope::grpc::Grpc;
use crate::scope::payload::ResponseBody;
use crate::time::MonoNs;

/// Usage that a header field told.
#[derive(Clone, Copy, Debug)]
pub(super) struct ToldByField {
    pub(super) dialect: &'static Dialect,
    pub(super) figure: Figure,
    pub(super) count: i64,
    /// It came behind the body.
    pub(super) in_trailers: bool,
}

/// The response.
#[derive(Debug, Default)]
pub(in crate::scope) struct Answer {
    pub(in crate::scope) status: Option<u16>,
    pub(in crate::scope) version: Option<&'static str>,
    pub(in crate::scope) first_byte: Option<MonoNs>,
    pub(in crate::scope) body: Option<ResponseBody>,
    /// Bytes of its body.
    pub(in crate::scope) bytes: u64,
    /// When it ended, if it is whole.
    pub(in crate::scope) end: Option<MonoNs>,
    /// Bytes of it were lost, nobody knows how many.
    pub(in crate::scope) unmeasured: bool,
    /// Bytes of it, or of the server's messages, that were lost.
    pub(super) lost_bytes: u64,
    /// Usage that header fields and trailers carry, with the dialect whose fields they are.
    pub(super) told_by_fields: Vec<ToldByField>,
}

impl ExchangeScope {
    pub(super) fn response_head(&mut self, ts: MonoNs, head: &ResponseHead) {
        self.answer.status = Some(head.status);
        self.answer.version = Some(head.version.as_str());
        Grpc::response(&mut self.grpc, ts, &head.headers);
        self.read_fields(&head.headers, false);
        self.answer.body = self.new_body(Some(&head.headers));
    }

    pub(super) fn response_body(&mut self, ts: MonoNs, bytes: &[u8]) {
        self.answer.bytes += bytes.len() as u64;
        if let Some(call) = &mut self.grpc {
            call.push(ts, Sender::Server, bytes);
        }
        if let Some(body) = self.body() {
            body.push(ts, bytes);
        }
    }

    /// 0: how many is not known.
    pub(super) fn response_gap(&mut self, ts: MonoNs, len: u64) {
        self.answer.bytes += len;
        self.answer.unmeasured |= len == 0;
        self.answer.lost_bytes += len;
        if let Some(call) = &mut self.grpc {
            call.gap(ts, Sender::Server, len);
        }
        if let Some(body) = self.body() {
            body.gap(len);
        }
    }

    pub(super) fn response_trailers(&mut self, ts: MonoNs, trailers: &Headers) {
        Grpc::trailers(&mut self.grpc, ts, trailers);
        self.read_fields(trailers, true);
    }

    pub(super) fn response_end(&mut self, ts: MonoNs, end: MessageEnd) {
        self.end_grpc(Sender::Server, end);
        self.answer.end = match end {
            MessageEnd::Complete => Some(ts),
            MessageEnd::Aborted | MessageEnd::Lost => None,
        };
        if let Some(body) = &mut self.answer.body {
            if end == MessageEnd::Lost {
                body.gap(0);
            }
            body.end();
        }
    }

    fn read_fields(&mut self, fields: &Headers, in_trailers: bool) {
        for (candidate, _) in &self.ask.candidates {
            let dialect = candidate.dialect;
            for &(name, figure) in dialect.headers {
                if let Some(count) = fields.get_str(name).and_then(count::of_text) {
                    self.answer.told_by_fields.push(ToldByField {
                        dialect,
                        figure,
                        count,
                        in_trailers,
                    });
                }
            }
        }
    }

    /// By its path or, where the request was not seen, by nothing yet.
    fn may_be_llm(&self) -> bool {
        self.ask.line.is_none() || !self.ask.candidates.is_empty()
    }

    fn new_body(&self, head: Option<&Headers>) -> Option<ResponseBody> {
        if !self.may_be_llm() || self.given_up {
            return None;
        }
        let candidates = &self.ask.candidates;
        let is_rpc = self.grpc.as_ref().is_some_and(|call| call.is_sure());
        let readers = if candidates.is_empty() {
            let rpcs = RPCS.iter().map(|rpc| &rpc.dialect);
            let all = if is_rpc {
                Readers::new(rpcs)
            } else {
                Readers::new(DIALECTS)
            };
            all?
        } else {
            Readers::new(candidates.iter().map(|(c, _)| c.dialect))?
        };
        // Asked for, as far as the request was read by now: all that may be it agree, or nobody knows.
        let mut asked = candidates.iter().map(|(c, f)| f.stream.or(c.stream));
        let first = asked.next().flatten();
        let stream = first.filter(|_| asked.all(|a| a == first));
        let keep_points = self.may_want_points(false);
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

    /// The body of a response, also of one whose head was not seen.
    fn body(&mut self) -> Option<&mut ResponseBody> {
        if self.answer.body.is_none() {
            self.answer.body = self.new_body(None);
        }
        self.answer.body.as_mut()
    }
}
