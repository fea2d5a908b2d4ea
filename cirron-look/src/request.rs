//! A request as a value: what a row of the spool and its marks say of one scope.
//!
//! ```text
//! SpanRow --Request::new--> Request <--Request::take_mark-- MarkRow
//! ```
//! One shape for whoever reads a spool, whoever wrote it: the agent, or the SDK, whose spans have fewer attributes. What
//! a row does not say is `None`, never 0, and an attribute that nobody knows is no error. Text is the wire's: it is cut
//! at [`MAX_TEXT_BYTES`], and not made safe for a terminal or a page.

use std::sync::Arc;

use cirron_spool::rows::{Attrs, MarkRow, Scalar, SpanRow, cut};

use crate::endpoint::{Way, endpoint};
use crate::key::Key;
use crate::session::Session;

/// Bytes of a text that are kept. The agent's own attributes have 1 024 at most.
pub const MAX_TEXT_BYTES: usize = 1_024;

/// Attributes, and marks, of a scope that are kept. The agent writes some 40 and 20.
pub const MAX_FACTS: usize = 200;

/// `chunk_ms` points of a scope that are kept: as many as the agent writes (`MAX_CHUNK_MARKS` of the core).
pub const MAX_CHUNKS: usize = 20_000;

/// What a scope is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An exchange that the process served.
    Request,
    /// An exchange that it asked for.
    HttpClient,
    /// What it did on a connection that carries no HTTP.
    NetClient,
    /// A response of a session of messages (`WebSocket`).
    Response,
    /// A function, or what the program told.
    #[default]
    Scope,
}

impl Kind {
    /// By a span's name.
    pub fn new(name: &str) -> Kind {
        match name {
            "request" => Kind::Request,
            "http.client" => Kind::HttpClient,
            "net.client" => Kind::NetClient,
            "response" => Kind::Response,
            _ => Kind::Scope,
        }
    }

    /// In one word, for exports.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Request => "request",
            Kind::HttpClient => "http_client",
            Kind::NetClient => "net_client",
            Kind::Response => "response",
            Kind::Scope => "scope",
        }
    }
}

/// How much of a row is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// The fields of [`Request`].
    #[default]
    Fields,
    /// And all attributes and summary marks, by their names.
    All,
}

/// A scope: an exchange, or what was done for one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// Its id.
    pub id: String,
    /// Its parent's id; `None` where it has none.
    pub parent: Option<String>,
    /// Its parent is a session, or nothing: it is part of no other scope.
    pub is_top: bool,
    /// The topmost scope that it is part of, itself where it is part of no other.
    pub top: Key,
    /// The session that it is below; `None` where that is not in the spool.
    pub session: Option<Arc<Session>>,
    /// What it is.
    pub kind: Kind,
    /// The span's name.
    pub name: String,
    /// The index of an indexed scope.
    pub index: Option<i64>,
    /// `request_id`.
    pub request_id: Option<String>,
    /// `cirron.trace_id`.
    pub trace_id: Option<String>,
    /// `cirron.caller.span_id`.
    pub caller: Option<String>,
    /// `cirron.sent.span_id`.
    pub sent_span_id: Option<String>,
    /// `cirron.parent.unknown`: why nobody knows what it is part of.
    pub parent_unknown: Option<String>,
    /// Who called whom.
    pub way: Option<Way>,
    /// What was called, as `tree` names it.
    pub endpoint: String,
    /// `http.request.method`.
    pub method: Option<String>,
    /// `url.path`.
    pub path: Option<String>,
    /// `client.address`.
    pub client_address: Option<String>,
    /// `client.port`.
    pub client_port: Option<u16>,
    /// `server.address`.
    pub server_address: Option<String>,
    /// `server.port`.
    pub server_port: Option<u16>,
    /// `gen_ai.request.model`.
    pub request_model: Option<String>,
    /// `gen_ai.response.model`.
    pub response_model: Option<String>,
    /// `gen_ai.provider.name`: the dialect.
    pub provider: Option<String>,
    /// `gen_ai.operation.name`.
    pub operation: Option<String>,
    /// `cirron.request.stream`.
    pub is_stream: Option<bool>,
    /// `gen_ai.response.finish_reasons`.
    pub finish_reasons: Option<String>,
    /// The process.
    pub pid: Option<u64>,
    /// The thread that began it, or that read its first byte.
    pub thread_id: Option<u64>,
    /// Wall clock.
    pub start_ns: u64,
    /// `None` while open.
    pub end_ns: Option<u64>,
    /// `http.response.status_code`.
    pub status: Option<u16>,
    /// `rpc.response.status_code`: gRPC's own.
    pub rpc_status: Option<String>,
    /// It went wrong: `error` says yes.
    pub has_error: bool,
    /// `error.type`.
    pub error_type: Option<String>,
    /// `cirron.aborted_by`.
    pub aborted_by: Option<String>,
    /// A hole, a late attach or an early end touched it.
    pub is_partial: bool,
    /// Its beginning was not seen.
    pub is_late: bool,
    /// Bytes of it that passed uncaptured.
    pub lost_bytes: Option<u64>,
    /// `cirron.figures`: how good the figures are.
    pub quality: Option<String>,
    /// Bytes of the request's body on the wire.
    pub request_bytes: Option<u64>,
    /// Bytes of the response's body on the wire.
    pub response_bytes: Option<u64>,
    /// What its marks say.
    pub figures: Figures,
    /// With [`Detail::All`]: its attributes, in the file's order.
    pub attrs: Vec<(String, Scalar<'static>)>,
    /// With [`Detail::All`]: its summary marks, in the file's order.
    pub marks: Vec<Mark>,
    /// Attributes and marks past [`MAX_FACTS`], and points past [`MAX_CHUNKS`].
    pub left_out: usize,
    /// Its children, where these were asked for.
    pub children: Vec<Request>,
}

/// Times in milliseconds and tokens of a scope.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// `time_in_queue_ms`.
    pub queue_ms: Option<f64>,
    /// `time_to_first_byte_ms`.
    pub ttfb_ms: Option<f64>,
    /// `time_to_first_token_ms`.
    pub ttft_ms: Option<f64>,
    /// `time_per_output_token_ms`.
    pub tpot_ms: Option<f64>,
    /// `tokens_per_second`.
    pub tokens_per_second: Option<f64>,
    /// `max_inter_token_ms`.
    pub max_gap_ms: Option<f64>,
    /// `request_duration_ms`.
    pub duration_ms: Option<f64>,
    /// `overhead_ms`.
    pub overhead_ms: Option<f64>,
    /// Of what that is a share.
    pub overhead_of: Option<String>,
    /// `input_tokens`, else `prompt_tokens`.
    pub input_tokens: Option<u64>,
    /// `output_tokens`, else `completion_tokens`.
    pub output_tokens: Option<u64>,
    /// `total_tokens`.
    pub total_tokens: Option<u64>,
    /// `gen_ai.usage.cache_read.input_tokens`.
    pub cached_tokens: Option<u64>,
    /// `gen_ai.usage.reasoning.output_tokens`.
    pub reasoning_tokens: Option<u64>,
    /// `cost_usd`.
    pub cost_usd: Option<f64>,
    /// The output tokens were counted by the agent, not reported.
    pub is_estimated: bool,
    /// The output tokens are a lower bound.
    pub is_lower_bound: bool,
    /// `chunk_ms`: times between tokens, from the second on.
    pub chunks_ms: Vec<f32>,
}

/// A summary mark.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Its name.
    pub name: String,
    /// Its value; the name of a number that is not finite.
    pub value: Scalar<'static>,
    /// It was counted by the agent.
    pub is_estimated: bool,
    /// A lower bound.
    pub is_partial: bool,
}

impl Request {
    /// Of its row, without marks, and with its session and place still unknown.
    pub fn new(row: &SpanRow<'_>, detail: Detail) -> Request {
        let (way, endpoint) = endpoint(row);
        let mut request = Request {
            id: cut(&row.id.0, MAX_TEXT_BYTES),
            parent: row.parent_id.as_ref().map(|id| cut(&id.0, MAX_TEXT_BYTES)),
            kind: Kind::new(&row.name.0),
            name: cut(&row.name.0, MAX_TEXT_BYTES),
            index: row.index,
            way: Some(way),
            endpoint,
            pid: whole(&row.pid),
            thread_id: whole(&row.thread_id),
            start_ns: row.start_ns,
            end_ns: row.end_ns,
            ..Request::default()
        };
        for (name, value) in &row.attrs.0 {
            request.take_attr(name, value);
        }
        if detail == Detail::All {
            (request.attrs, request.left_out) = kept(&row.attrs, MAX_FACTS);
        }
        request
    }

    fn take_attr(&mut self, name: &str, value: &Scalar<'_>) {
        let field = match name {
            "request_id" => &mut self.request_id,
            "cirron.trace_id" => &mut self.trace_id,
            "cirron.caller.span_id" => &mut self.caller,
            "cirron.sent.span_id" => &mut self.sent_span_id,
            "cirron.parent.unknown" => &mut self.parent_unknown,
            "http.request.method" => &mut self.method,
            "url.path" => &mut self.path,
            "client.address" => &mut self.client_address,
            "server.address" => &mut self.server_address,
            "gen_ai.request.model" => &mut self.request_model,
            "gen_ai.response.model" => &mut self.response_model,
            "gen_ai.provider.name" => &mut self.provider,
            "gen_ai.operation.name" => &mut self.operation,
            "gen_ai.response.finish_reasons" => &mut self.finish_reasons,
            "rpc.response.status_code" => &mut self.rpc_status,
            "error.type" => &mut self.error_type,
            "cirron.aborted_by" => &mut self.aborted_by,
            "cirron.figures" => &mut self.quality,
            _ => {
                self.take_number(name, value);
                return;
            }
        };
        *field = match value {
            Scalar::Null | Scalar::Other => None,
            Scalar::Text(_) | Scalar::Int(_) | Scalar::Float(_) | Scalar::Bool(_) => {
                Some(value.kept(MAX_TEXT_BYTES).to_string())
            }
        };
    }

    fn take_number(&mut self, name: &str, value: &Scalar<'_>) {
        let whole = || whole(value);
        let port = || whole().and_then(|n| u16::try_from(n).ok());
        match name {
            "client.port" => self.client_port = port(),
            "server.port" => self.server_port = port(),
            "http.response.status_code" => self.status = port(),
            "http.request.body.size" => self.request_bytes = whole(),
            "http.response.body.size" => self.response_bytes = whole(),
            "cirron.lost_bytes" => self.lost_bytes = whole(),
            "gen_ai.usage.cache_read.input_tokens" => self.figures.cached_tokens = whole(),
            "gen_ai.usage.reasoning.output_tokens" => self.figures.reasoning_tokens = whole(),
            "cirron.partial" => self.is_partial = value.is_truthy(),
            "cirron.late_attach" => self.is_late = value.is_truthy(),
            "error" => self.has_error = value.is_truthy(),
            "cirron.request.stream" => {
                self.is_stream = match value {
                    Scalar::Bool(is) => Some(*is),
                    Scalar::Text(_)
                    | Scalar::Int(_)
                    | Scalar::Float(_)
                    | Scalar::Null
                    | Scalar::Other => None,
                }
            }
            _ => {}
        }
    }

    /// Adds one of its marks.
    pub fn take_mark(&mut self, row: &MarkRow<'_>, detail: Detail) {
        let is_point = row.kind.0 != "summary";
        if row.name.0 == "chunk_ms" {
            match time(&row.value) {
                Some(_) if self.figures.chunks_ms.len() >= MAX_CHUNKS => self.left_out += 1,
                Some(gap) => self.figures.chunks_ms.push(gap as f32),
                None => {}
            }
        }
        if is_point {
            return;
        }
        self.figures.take(row);
        if detail == Detail::All {
            if self.marks.len() >= MAX_FACTS {
                self.left_out += 1;
                return;
            }
            self.marks.push(Mark::new(row));
        }
    }

    /// The model that answered, else the one that was asked for.
    pub fn model(&self) -> Option<&str> {
        self.response_model
            .as_deref()
            .or(self.request_model.as_deref())
    }

    /// How long it took; `None` while open.
    pub fn length_ns(&self) -> Option<u64> {
        self.end_ns.map(|end| end.saturating_sub(self.start_ns))
    }

    /// Whether it went wrong: an error that the row names, or a status of 400 or above.
    pub fn has_failed(&self) -> bool {
        self.has_error || self.status.is_some_and(|status| status >= 400)
    }

    /// With [`Detail::All`]: an attribute.
    pub fn attr(&self, name: &str) -> Option<&Scalar<'static>> {
        self.attrs
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value)
    }

    /// With [`Detail::All`]: a summary mark.
    pub fn mark(&self, name: &str) -> Option<&Mark> {
        self.marks.iter().find(|mark| mark.name == name)
    }

    /// Bytes of memory that it may hold, roughly and from above.
    pub(crate) fn bytes(&self) -> usize {
        let texts = 40 * 64;
        let facts = self
            .attrs
            .iter()
            .map(|(name, value)| 128 + name.len() + value.as_text().map_or(0, str::len));
        size_of::<Request>()
            + texts
            + facts.sum::<usize>()
            + self.marks.len() * 160
            + self.figures.chunks_ms.len() * 4
            + self.children.iter().map(Request::bytes).sum::<usize>()
    }
}

impl Figures {
    fn take(&mut self, row: &MarkRow<'_>) {
        let time = || time(&row.value);
        let is = |name| row.attrs.get(name).is_some_and(Scalar::is_truthy);
        match &*row.name.0 {
            "time_in_queue_ms" => self.queue_ms = time(),
            "time_to_first_byte_ms" => self.ttfb_ms = time(),
            "time_to_first_token_ms" => self.ttft_ms = time(),
            "time_per_output_token_ms" => self.tpot_ms = time(),
            "tokens_per_second" => self.tokens_per_second = time(),
            "max_inter_token_ms" => self.max_gap_ms = time(),
            "request_duration_ms" => self.duration_ms = time(),
            "overhead_ms" => {
                self.overhead_ms = time();
                let of = row.attrs.get("of").and_then(Scalar::as_text);
                self.overhead_of = of.map(|of| cut(of, MAX_TEXT_BYTES));
            }
            "cost_usd" => self.cost_usd = time(),
            "input_tokens" => self.input_tokens = whole(&row.value),
            "output_tokens" => {
                self.output_tokens = whole(&row.value);
                self.is_estimated = is("estimated");
                self.is_lower_bound = is("partial");
            }
            "total_tokens" => self.total_tokens = whole(&row.value),
            // The SDK's names of the same, for OpenAI's dialects.
            "prompt_tokens" => self.input_tokens = self.input_tokens.or(whole(&row.value)),
            "completion_tokens" => self.output_tokens = self.output_tokens.or(whole(&row.value)),
            _ => {}
        }
    }
}

impl Mark {
    /// Of its row.
    pub fn new(row: &MarkRow<'_>) -> Mark {
        let is = |name| row.attrs.get(name).is_some_and(Scalar::is_truthy);
        let value = match (&row.value, &row.value_nonfinite) {
            (Scalar::Null, Some(token)) => Scalar::Text(cut(&token.0, MAX_TEXT_BYTES).into()),
            (value, _) => value.kept(MAX_TEXT_BYTES),
        };
        Mark {
            name: cut(&row.name.0, MAX_TEXT_BYTES),
            value,
            is_estimated: is("estimated"),
            is_partial: is("partial"),
        }
    }
}

/// The first `max` attributes, free of the file's text, and how many were left out.
pub(crate) fn kept(attrs: &Attrs<'_>, max: usize) -> (Vec<(String, Scalar<'static>)>, usize) {
    let all = &attrs.0;
    let kept = all.iter().take(max);
    let kept = kept.map(|(name, value)| (cut(name, MAX_TEXT_BYTES), value.kept(MAX_TEXT_BYTES)));
    (kept.collect(), all.len().saturating_sub(max))
}

/// A length of time, or a price: a number that is not below 0.
fn time(value: &Scalar<'_>) -> Option<f64> {
    number(value).filter(|number| *number >= 0.0)
}

/// A finite number.
fn number(value: &Scalar<'_>) -> Option<f64> {
    match value {
        Scalar::Int(v) => Some(*v as f64),
        Scalar::Float(v) if v.is_finite() => Some(*v),
        Scalar::Float(_) | Scalar::Text(_) | Scalar::Bool(_) | Scalar::Null | Scalar::Other => None,
    }
}

/// A whole number that is not below 0; the SDK may write one with a point.
pub(crate) fn whole(value: &Scalar<'_>) -> Option<u64> {
    match value {
        Scalar::Int(v) => u64::try_from(*v).ok(),
        // Past 2^53 a float is no count.
        Scalar::Float(v) if v.fract() == 0.0 && (0.0..9e15).contains(v) => Some(*v as u64),
        Scalar::Float(_) | Scalar::Text(_) | Scalar::Bool(_) | Scalar::Null | Scalar::Other => None,
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
