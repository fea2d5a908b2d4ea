//! The columns of a table of scopes: one list for CSV, Parquet and JSON lines. `docs/reading.md` is this table.

use crate::request::Request;
use crate::session::Session;

/// A value of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'r> {
    /// Not known.
    None,
    /// Text.
    Text(&'r str),
    /// A whole number.
    Int(i64),
    /// A finite number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Text.
    Text,
    /// A whole number.
    Int,
    /// Nanoseconds since the epoch.
    Time,
    /// A number.
    Float,
    /// Yes or no.
    Bool,
}

impl Type {
    /// In a word, for the document.
    pub fn word(self) -> &'static str {
        match self {
            Type::Text => "text",
            Type::Int => "int",
            Type::Time => "int, ns since the epoch; in Parquet a timestamp",
            Type::Float => "float",
            Type::Bool => "bool",
        }
    }
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Type,
    /// Where it comes from.
    pub from: &'static str,
    /// Its value in a row.
    pub get: fn(&Request) -> Value<'_>,
}

fn text(value: Option<&String>) -> Value<'_> {
    value.map_or(Value::None, |text| Value::Text(text))
}

fn int(value: Option<impl TryInto<i64>>) -> Value<'static> {
    let value = value.and_then(|n| n.try_into().ok());
    value.map_or(Value::None, Value::Int)
}

fn float(value: Option<f64>) -> Value<'static> {
    value.map_or(Value::None, Value::Float)
}

fn yes(value: Option<bool>) -> Value<'static> {
    value.map_or(Value::None, Value::Bool)
}

fn of_session(request: &Request, get: fn(&Session) -> Option<&String>) -> Value<'_> {
    text(request.session.as_deref().and_then(get))
}

macro_rules! columns {
    ($($name:literal $kind:ident $from:literal $get:expr;)*) => {
        /// All, in their order.
        pub const COLUMNS: &[Column] = &[$(Column { name: $name, kind: Type::$kind, from: $from, get: $get },)*];
    };
}

columns! {
    "id" Text "the span's id" |r| Value::Text(&r.id);
    "kind" Text "`request`, `http_client`, `net_client`, `response` or `scope`, by the span's name" |r| Value::Text(r.kind.word());
    "name" Text "the span's name" |r| Value::Text(&r.name);
    "index" Int "the span's index" |r| int(r.index);
    "parent_id" Text "the span's parent" |r| text(r.parent.as_ref());
    "session_id" Text "the session above it" |r| r.session.as_ref().map_or(Value::None, |s| Value::Text(&s.id));
    "request_id" Text "`request_id`" |r| text(r.request_id.as_ref());
    "trace_id" Text "`cirron.trace_id`" |r| text(r.trace_id.as_ref());
    "caller_span_id" Text "`cirron.caller.span_id`" |r| text(r.caller.as_ref());
    "parent_unknown" Text "`cirron.parent.unknown`" |r| text(r.parent_unknown.as_ref());
    "start_ns" Time "the span's start" |r| int(Some(r.start_ns));
    "end_ns" Time "the span's end; empty while it was open" |r| int(r.end_ns);
    "time_ms" Float "from start to end" |r| float(r.length_ns().map(|ns| ns as f64 / 1e6));
    "pid" Int "the span's process" |r| int(r.pid.or(r.session.as_ref().and_then(|s| s.pid)));
    "thread_id" Int "the span's thread" |r| int(r.thread_id);
    "executable" Text "session: `process.executable.name`" |r| of_session(r, |s| s.executable.as_ref());
    "target" Text "session: `cirron.target`" |r| of_session(r, |s| s.target.as_ref());
    "service" Text "session: `service.name`" |r| of_session(r, |s| s.service.as_ref());
    "deployment_id" Text "session: `cirron.deployment_id`" |r| of_session(r, |s| s.deployment.as_ref());
    "workspace_id" Text "session: `cirron.workspace_id`" |r| of_session(r, |s| s.workspace.as_ref());
    "endpoint" Text "method and template or path, as `tree` names it" |r| Value::Text(&r.endpoint);
    "method" Text "`http.request.method`" |r| text(r.method.as_ref());
    "path" Text "`url.path`" |r| text(r.path.as_ref());
    "client_address" Text "`client.address`" |r| text(r.client_address.as_ref());
    "client_port" Int "`client.port`" |r| int(r.client_port);
    "server_address" Text "`server.address`" |r| text(r.server_address.as_ref());
    "server_port" Int "`server.port`" |r| int(r.server_port);
    "status" Int "`http.response.status_code`" |r| int(r.status);
    "rpc_status" Text "`rpc.response.status_code`" |r| text(r.rpc_status.as_ref());
    "error" Bool "`error` says yes" |r| Value::Bool(r.has_error);
    "error_type" Text "`error.type`" |r| text(r.error_type.as_ref());
    "aborted_by" Text "`cirron.aborted_by`" |r| text(r.aborted_by.as_ref());
    "partial" Bool "`cirron.partial` says yes" |r| Value::Bool(r.is_partial);
    "late_attach" Bool "`cirron.late_attach` says yes" |r| Value::Bool(r.is_late);
    "lost_bytes" Int "`cirron.lost_bytes`" |r| int(r.lost_bytes);
    "figures" Text "`cirron.figures`" |r| text(r.quality.as_ref());
    "request_bytes" Int "`http.request.body.size`" |r| int(r.request_bytes);
    "response_bytes" Int "`http.response.body.size`" |r| int(r.response_bytes);
    "provider" Text "`gen_ai.provider.name`" |r| text(r.provider.as_ref());
    "operation" Text "`gen_ai.operation.name`" |r| text(r.operation.as_ref());
    "request_model" Text "`gen_ai.request.model`" |r| text(r.request_model.as_ref());
    "response_model" Text "`gen_ai.response.model`" |r| text(r.response_model.as_ref());
    "stream" Bool "`cirron.request.stream`" |r| yes(r.is_stream);
    "finish_reasons" Text "`gen_ai.response.finish_reasons`" |r| text(r.finish_reasons.as_ref());
    "time_in_queue_ms" Float "the mark" |r| float(r.figures.queue_ms);
    "time_to_first_byte_ms" Float "the mark" |r| float(r.figures.ttfb_ms);
    "time_to_first_token_ms" Float "the mark" |r| float(r.figures.ttft_ms);
    "time_per_output_token_ms" Float "the mark" |r| float(r.figures.tpot_ms);
    "tokens_per_second" Float "the mark" |r| float(r.figures.tokens_per_second);
    "max_inter_token_ms" Float "the mark" |r| float(r.figures.max_gap_ms);
    "request_duration_ms" Float "the mark" |r| float(r.figures.duration_ms);
    "overhead_ms" Float "the mark" |r| float(r.figures.overhead_ms);
    "input_tokens" Int "the mark, else `prompt_tokens`" |r| int(r.figures.input_tokens);
    "output_tokens" Int "the mark, else `completion_tokens`" |r| int(r.figures.output_tokens);
    "total_tokens" Int "the mark" |r| int(r.figures.total_tokens);
    "cached_tokens" Int "`gen_ai.usage.cache_read.input_tokens`" |r| int(r.figures.cached_tokens);
    "reasoning_tokens" Int "`gen_ai.usage.reasoning.output_tokens`" |r| int(r.figures.reasoning_tokens);
    "tokens_estimated" Bool "`estimated` of the mark `output_tokens`; empty without that mark" |r| yes(r.figures.output_tokens.map(|_| r.figures.is_estimated));
    "tokens_partial" Bool "`partial` of the same" |r| yes(r.figures.output_tokens.map(|_| r.figures.is_lower_bound));
    "cost_usd" Float "the mark" |r| float(r.figures.cost_usd);
}
