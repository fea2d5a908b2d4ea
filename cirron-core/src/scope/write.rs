//! From a finished exchange to its span and marks, by the SDK's names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::exchange_scope::{ExchangeScope, ScopeFacts};
use super::payload::ResponseBody;
use super::span::{AttrValue, Attrs, Mark, MarkKind, MarkValue, Span};
use crate::exchange::Role;
use crate::id::{Id, IdSource};
use crate::limits::MAX_ATTR_BYTES;
use crate::time::{MS, MonoNs};

/// Methods that the semantic conventions know; any other is `_OTHER`.
const METHODS: [&str; 9] = [
    "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE",
];

/// Marks under construction.
struct Marks<'a> {
    ids: &'a mut dyn IdSource,
    span: Id,
    ts: MonoNs,
    list: Vec<Mark>,
}

impl Marks<'_> {
    fn push(
        &mut self,
        name: &'static str,
        value: MarkValue,
        attrs: Attrs,
        ts: MonoNs,
        kind: MarkKind,
    ) {
        let id = self.ids.next_id();
        self.list.push(Mark {
            id,
            span_id: self.span,
            name,
            value,
            attrs,
            ts,
            kind,
        });
    }

    fn int(&mut self, name: &'static str, value: i64, attrs: Attrs) {
        self.push(
            name,
            MarkValue::Int(value),
            attrs,
            self.ts,
            MarkKind::Summary,
        );
    }

    fn ms(&mut self, name: &'static str, value: f64, ts: MonoNs) {
        self.push(
            name,
            MarkValue::Float(value),
            Attrs::new(),
            ts,
            MarkKind::Summary,
        );
    }
}

pub(super) fn write(
    scope: &ExchangeScope,
    end: MonoNs,
    parent: Id,
    ids: &mut dyn IdSource,
) -> (Span, Vec<Mark>, ScopeFacts) {
    let id = ids.next_id();
    let partial =
        scope.end.partial || scope.late || scope.lost_bytes > 0 || scope.end.aborted_by.is_some();
    let mut attrs = Attrs::new();
    let name = match scope.role {
        Role::Server => "request",
        Role::Client => "http.client",
    };
    attrs.insert("request_id", ids.next_id().to_string().into());
    http(scope, &mut attrs);
    network(scope, &mut attrs);
    loss(scope, partial, &mut attrs);
    let mut facts = ScopeFacts {
        is_llm: false,
        output_tokens: None,
        partial,
    };
    let mut marks = Marks {
        ids,
        span: id,
        ts: end,
        list: Vec::new(),
    };
    if is_llm(scope) {
        facts.is_llm = true;
        gen_ai(scope, &mut attrs);
        facts.output_tokens = llm_marks(scope, end, &mut marks);
    }
    let list = marks.list;
    let span = Span {
        id,
        name,
        parent_id: Some(parent),
        start: scope.start,
        end: Some(end.max(scope.start)),
        thread_id: scope.context.tid,
        pid: scope.context.pid,
        rank: scope.context.rank,
        attrs,
        mark_ids: list.iter().map(|m| m.id).collect(),
    };
    (span, list, facts)
}

/// Positive evidence: the path, and the shape of the request or of the response. Where the request
/// was not seen, the response's shape alone.
fn is_llm(scope: &ExchangeScope) -> bool {
    let answered = scope.response.as_ref().is_some_and(|r| r.facts.shaped);
    match &scope.request {
        Some(_) => scope.operation.is_some() && (scope.request_facts.shaped || answered),
        None => answered,
    }
}

fn text(value: &str) -> AttrValue {
    let mut end = value.len().min(MAX_ATTR_BYTES);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    AttrValue::from(&value[..end])
}

fn http(scope: &ExchangeScope, attrs: &mut Attrs) {
    attrs.insert("network.protocol.name", "http".into());
    if let Some(request) = &scope.request {
        if METHODS.contains(&request.method.as_str()) {
            attrs.insert("http.request.method", text(&request.method));
        } else {
            attrs.insert("http.request.method", "_OTHER".into());
            attrs.insert("http.request.method_original", text(&request.method));
        }
        attrs.insert("url.path", text(&request.path));
    }
    let version = scope
        .request
        .as_ref()
        .map(|r| r.version)
        .or(scope.response_version);
    if let Some(version) = version {
        attrs.insert("network.protocol.version", version.into());
    }
    if scope.request.is_some() {
        attrs.insert("http.request.body.size", scope.request_bytes.into());
    }
    if scope.status.is_some() {
        attrs.insert("http.response.body.size", scope.response_bytes.into());
    }
    if let Some(status) = scope.status {
        attrs.insert("http.response.status_code", i64::from(status).into());
        let failed_from = match scope.role {
            Role::Server => 500,
            Role::Client => 400,
        };
        if status >= failed_from {
            attrs.insert("error.type", status.to_string().into());
            attrs.insert("error", true.into());
        }
    }
    if scope.end.upgraded {
        attrs.insert("cirron.upgraded", true.into());
    }
}

fn network(scope: &ExchangeScope, attrs: &mut Attrs) {
    let conn = &scope.context.conn;
    let address = |bytes: &[u8; 16]| match conn.family {
        2 => Some(IpAddr::V4(Ipv4Addr::new(
            bytes[0], bytes[1], bytes[2], bytes[3],
        ))),
        10 => Some(IpAddr::V6(Ipv6Addr::from(*bytes)).to_canonical()),
        _ => None,
    };
    let (kind, transport) = match conn.family {
        1 => (None, "unix"),
        2 => (Some("ipv4"), "tcp"),
        10 => (Some("ipv6"), "tcp"),
        _ => return,
    };
    attrs.insert("network.transport", transport.into());
    if let Some(kind) = kind {
        attrs.insert("network.type", kind.into());
    }
    let local = (address(&conn.local_addr), conn.local_port);
    let peer = (address(&conn.peer_addr), conn.peer_port);
    let (server, client) = match scope.role {
        Role::Server => (local, peer),
        Role::Client => (peer, local),
    };
    for ((address, port), names) in [
        (server, ("server.address", "server.port")),
        (client, ("client.address", "client.port")),
    ] {
        if let Some(address) = address.filter(|a| !a.is_unspecified()) {
            attrs.insert(names.0, address.to_string().into());
        }
        if port != 0 {
            attrs.insert(names.1, i64::from(port).into());
        }
    }
}

fn loss(scope: &ExchangeScope, partial: bool, attrs: &mut Attrs) {
    if partial {
        attrs.insert("cirron.partial", true.into());
    }
    if scope.late {
        attrs.insert("cirron.late_attach", true.into());
    }
    if scope.lost_bytes > 0 {
        attrs.insert("cirron.lost_bytes", scope.lost_bytes.into());
    }
    if let Some(by) = scope.end.aborted_by {
        attrs.insert("cirron.aborted_by", by.as_str().into());
    }
    if scope.response.as_ref().is_some_and(|r| !r.is_decoded()) {
        attrs.insert("cirron.body_undecoded", true.into());
    }
}

fn gen_ai(scope: &ExchangeScope, attrs: &mut Attrs) {
    let facts = scope.response.as_ref().map(|r| &r.facts);
    let operation = scope.operation.or(facts.and_then(|f| f.operation));
    if let Some(operation) = operation {
        attrs.insert("gen_ai.operation.name", operation.into());
    }
    attrs.insert("gen_ai.provider.name", "openai".into());
    if let Some(model) = &scope.request_facts.model {
        attrs.insert("gen_ai.request.model", text(model));
    }
    if scope.request_facts.shaped {
        attrs.insert("cirron.request.stream", scope.request_facts.stream.into());
    }
    let Some(facts) = facts else { return };
    if let Some(model) = &facts.model {
        attrs.insert("gen_ai.response.model", text(model));
    }
    if let Some(id) = &facts.id {
        attrs.insert("gen_ai.response.id", text(id));
    }
    if !facts.finish.is_empty() {
        let reasons: Vec<&str> = facts.finish.iter().map(|(_, r)| r.as_str()).collect();
        attrs.insert("gen_ai.response.finish_reasons", text(&reasons.join(",")));
    }
    if let Some(error) = &facts.error {
        attrs.insert("error.type", text(error));
        attrs.insert("error", true.into());
    }
    if let Some(usage) = &facts.usage {
        if let Some(cached) = usage.cached {
            attrs.insert("gen_ai.usage.cache_read.input_tokens", cached.into());
        }
        if let Some(reasoning) = usage.reasoning {
            attrs.insert("gen_ai.usage.reasoning.output_tokens", reasoning.into());
        }
    }
}

fn openai(normalized: bool) -> Attrs {
    let mut attrs = Attrs::from([("source", AttrValue::from("openai"))]);
    if normalized {
        attrs.insert("normalized", true.into());
    }
    attrs
}

/// Writes the marks; gives the output tokens, reported or counted.
fn llm_marks(scope: &ExchangeScope, end: MonoNs, marks: &mut Marks<'_>) -> Option<u64> {
    let body = scope.response.as_ref()?;
    let usage = body.facts.usage.unwrap_or_default();
    if let Some(input) = usage.input {
        marks.int("prompt_tokens", input, openai(false));
        marks.int("input_tokens", input, openai(true));
    }
    if let Some(output) = usage.output {
        marks.int("completion_tokens", output, openai(false));
        marks.int("output_tokens", output, openai(true));
    }
    let sum = usage.input.zip(usage.output).map(|(i, o)| i + o);
    if let Some(total) = usage.total.or(sum) {
        marks.int("total_tokens", total, openai(true));
    }
    if let Some(first_byte) = scope.first_byte.filter(|_| !scope.late) {
        marks.ms(
            "time_to_first_byte_ms",
            first_byte.ms_since(scope.start),
            first_byte,
        );
    }
    let mut output = usage.output.and_then(|o| u64::try_from(o).ok());
    if body.is_stream() {
        if usage.output.is_none() && body.tokens.count > 0 {
            output = Some(body.tokens.count);
            let mut attrs = Attrs::from([("normalized", true.into()), ("estimated", true.into())]);
            if scope.lost_bytes > 0 || scope.late {
                attrs.insert("partial", true.into());
            }
            marks.int(
                "output_tokens",
                i64::try_from(body.tokens.count).unwrap_or(i64::MAX),
                attrs,
            );
        }
        stream_marks(scope, body, output, end, marks);
    }
    if scope.response_end.is_some() && !scope.late {
        marks.ms("request_duration_ms", end.ms_since(scope.start), end);
    }
    output
}

fn stream_marks(
    scope: &ExchangeScope,
    body: &ResponseBody,
    output: Option<u64>,
    end: MonoNs,
    marks: &mut Marks<'_>,
) {
    let tokens = &body.tokens;
    let Some(first) = tokens.first else { return };
    let whole = !scope.late && !body.hole_before_first;
    if whole {
        marks.ms("time_to_first_token_ms", first.ms_since(scope.start), first);
    }
    let stream_ns = end.since(first);
    if let Some(output) = output.filter(|_| whole && stream_ns > 0) {
        marks.ms(
            "tokens_per_second",
            output as f64 / (stream_ns as f64 / 1e9),
            end,
        );
    }
    if let Some(last) = tokens.last.filter(|_| tokens.count > 1) {
        if let Some(output) = output.filter(|n| whole && *n > 1) {
            let per_token = last.ms_since(first) / (output - 1) as f64;
            marks.ms("time_per_output_token_ms", per_token, last);
        }
        if scope.lost_bytes == 0 {
            marks.ms(
                "max_inter_token_ms",
                tokens.largest_gap_ns as f64 / MS as f64,
                last,
            );
        }
    }
    for (index, (ts, gap_ns)) in (1_i64..).zip(&tokens.points) {
        let attrs = Attrs::from([("index", AttrValue::from(index))]);
        let value = MarkValue::Float(*gap_ns as f64 / MS as f64);
        marks.push("chunk_ms", value, attrs, *ts, MarkKind::Point);
    }
}
