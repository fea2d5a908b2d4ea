//! From a finished exchange to its span and marks, by the SDK's names.

use super::call::Call;
use super::exchange_scope::{ExchangeScope, ScopeFacts, Written};
use super::marks::{self, Marks};
use super::messages::Messages;
use super::names as n;
use super::network::network;
use super::payload::ResponseBody;
use super::span::{Attrs, Span, text};
use crate::exchange::Role;
use crate::id::{Id, IdSource};
use crate::llm::{Candidate, Evidence, RequestFacts};
use crate::proto::message::Version;
use crate::time::MonoNs;

/// Methods that the semantic conventions know; any other is `_OTHER`.
const METHODS: [&str; 9] = [
    "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE",
];

pub(super) fn write(
    scope: &ExchangeScope,
    end: MonoNs,
    parent: Id,
    ids: &mut dyn IdSource,
) -> Written {
    let (id, request_id) = scope.ids.unwrap_or_else(|| (ids.next_id(), ids.next_id()));
    let partial = scope.end.partial
        || scope.given_up
        || scope.late
        || scope.lost_bytes > 0
        || scope.end.aborted_by.is_some();
    let mut attrs = Attrs::new();
    attrs.insert(n::REQUEST_ID, request_id.to_string().into());
    http(scope, &mut attrs);
    network(scope, &mut attrs);
    loss(scope, partial, &mut attrs);
    let mut facts = ScopeFacts {
        is_llm: false,
        output_tokens: None,
        partial,
    };
    let mut marks = Marks::new(ids, id, end);
    scope.time_in_queue(&mut marks);
    if is_llm(scope) {
        facts.is_llm = operation(scope) != Some(INFERENCE);
        gen_ai(scope, &mut attrs);
        attrs.insert(n::FIGURES, figures(scope).into());
        facts.output_tokens = scope
            .call()
            .and_then(|call| marks::write(&call, &mut marks));
    }
    if let Some(socket) = &scope.socket {
        socket.describe(&mut attrs);
        messages(socket.messages(), scope, &mut attrs, &mut marks);
    }
    if let Some(call) = scope.grpc.as_ref().filter(|call| call.is_sure()) {
        let path = scope.request.as_ref().map(|r| r.path.as_str());
        call.describe(path, scope.role, &mut attrs);
        messages(call.messages(), scope, &mut attrs, &mut marks);
    }
    let list = marks.finish();
    let span = Span {
        id,
        name: name(scope.role).into(),
        parent_id: Some(parent),
        index: None,
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

/// An exchange that is under way and has children: what is known so far.
pub(super) fn open(scope: &ExchangeScope, id: Id, request_id: Id, parent: Id) -> Span {
    let mut attrs = Attrs::new();
    attrs.insert(n::REQUEST_ID, request_id.to_string().into());
    http(scope, &mut attrs);
    network(scope, &mut attrs);
    Span {
        id,
        name: name(scope.role).into(),
        parent_id: Some(parent),
        index: None,
        start: scope.start,
        end: None,
        thread_id: scope.context.tid,
        pid: scope.context.pid,
        rank: scope.context.rank,
        attrs,
        mark_ids: Vec::new(),
    }
}

fn name(role: Role) -> &'static str {
    match role {
        Role::Server => n::REQUEST,
        Role::Client => n::HTTP_CLIENT,
    }
}

/// Messages of client and server.
fn messages(of: [&Messages; 2], scope: &ExchangeScope, attrs: &mut Attrs, marks: &mut Marks<'_>) {
    let [client, server] = of;
    client.describe([n::REQUEST_MESSAGES, n::REQUEST_MESSAGE_BYTES], attrs);
    server.describe([n::RESPONSE_MESSAGES, n::RESPONSE_MESSAGE_BYTES], attrs);
    if client.at_least || server.at_least || scope.late {
        attrs.insert(n::MESSAGES_PARTIAL, true.into());
    }
    marks::messages(server, scope.start, scope.late, marks);
}

/// Positive evidence: the path, and the shape of the request or of the response. Where the request
/// was not seen, the response's shape alone.
///
/// A status or an error that says that there is no such thing here takes the evidence of the request away,
/// unless the error is told as a server of models does.
pub(super) fn is_llm(scope: &ExchangeScope) -> bool {
    let facts = scope.response.as_ref().map(|r| r.facts());
    let answered = facts.is_some_and(|facts| facts.shaped);
    let absent_path = facts.is_some_and(|facts| facts.absent_path);
    let told = facts.is_some_and(|facts| facts.error.is_some());
    let absent = absent_path || matches!(scope.status, Some(404 | 405 | 501)) && !told;
    let asked = |(candidate, facts): &(Candidate, RequestFacts)| {
        let sure = match candidate.evidence {
            Evidence::Sure => true,
            Evidence::Weak => facts.model.is_some() && !is_answered_otherwise(scope),
            Evidence::None => false,
        };
        facts.shaped && sure && !absent
    };
    match &scope.request {
        Some(_) => scope.asked().is_some_and(|of| answered || asked(of)),
        None => answered,
    }
}

/// The answer is one that no dialect of its path gives.
fn is_answered_otherwise(scope: &ExchangeScope) -> bool {
    let is_success = matches!(scope.status, Some(200..300));
    let body = scope.response.as_ref().filter(|_| is_success);
    body.is_some_and(|body| body.is_of_another(scope.response_end.is_some()))
}

/// Operation of models that are no language models.
const INFERENCE: &str = "inference";

/// `gen_ai.operation.name`: as the path says or, where it was not seen, or carries anything, the
/// answer.
fn operation(scope: &ExchangeScope) -> Option<&'static str> {
    let by_path = scope.asked().map(|(candidate, _)| candidate.operation);
    let by_shape = scope.response.as_ref().and_then(|r| r.facts().operation);
    if by_path.or(by_shape) != Some(INFERENCE) {
        return by_path.or(by_shape);
    }
    let streams_text = |call: &Call<'_>| call.is_stream && call.tokens.count > 0;
    match by_shape {
        Some(other) if other != INFERENCE => Some(other),
        _ if scope.call().as_ref().is_some_and(streams_text) => Some("text_completion"),
        _ => Some(INFERENCE),
    }
}

/// How good the figures of an LLM call are: `cirron.figures`.
fn figures(scope: &ExchangeScope) -> &'static str {
    match scope.call().filter(|_| scope.is_read()) {
        Some(call) => call.figures(),
        None if scope.late => "late_attach",
        None => "header_only",
    }
}

fn http(scope: &ExchangeScope, attrs: &mut Attrs) {
    let protocol = match &scope.socket {
        Some(_) => "websocket",
        None => "http",
    };
    attrs.insert(n::PROTOCOL_NAME, protocol.into());
    if scope.context.tls {
        attrs.insert(n::SCHEME, "https".into());
        if let Some(evidence) = scope.context.tls_link {
            attrs.insert(n::TLS_LINK, evidence.into());
        }
    }
    if let Some(request) = &scope.request {
        if METHODS.contains(&request.method.as_str()) {
            attrs.insert(n::METHOD, text(&request.method));
        } else {
            attrs.insert(n::METHOD, "_OTHER".into());
            attrs.insert(n::METHOD_ORIGINAL, text(&request.method));
        }
        if !request.path.is_empty() {
            attrs.insert(n::PATH, text(&request.path));
        }
    }
    // What an upgrade between the two agreed on.
    let agreed = scope.response_version;
    let agreed = agreed.filter(|v| *v == Version::Http2.as_str());
    let version = agreed
        .or(scope.request.as_ref().map(|r| r.version))
        .or(scope.response_version);
    if let Some(version) = version {
        attrs.insert(n::PROTOCOL_VERSION, version.into());
    }
    // None of a body that was cut before its first byte is no size, nor is what a tunnel or messages carry.
    let [sent, answered] = scope.unmeasured;
    let request = scope.request.as_ref().filter(|_| !sent);
    let tunnel = |method: &str| scope.end.upgraded && method == "CONNECT";
    let request = request.filter(|r| !tunnel(&r.method));
    if request.is_some() && (scope.request_whole || scope.request_bytes > 0) {
        attrs.insert(n::REQUEST_SIZE, scope.request_bytes.into());
    }
    let whole = scope.response_end.is_some() || scope.response_bytes > 0;
    if scope.status.is_some() && whole && !answered && !scope.end.upgraded {
        attrs.insert(n::RESPONSE_SIZE, scope.response_bytes.into());
    }
    if let Some(status) = scope.status {
        attrs.insert(n::STATUS, i64::from(status).into());
        let failed_from = match scope.role {
            Role::Server => 500,
            Role::Client => 400,
        };
        if status >= failed_from {
            attrs.insert(n::ERROR_TYPE, status.to_string().into());
            attrs.insert(n::ERROR, true.into());
        }
    }
    if scope.end.upgraded {
        attrs.insert(n::UPGRADED, true.into());
    }
}

fn loss(scope: &ExchangeScope, partial: bool, attrs: &mut Attrs) {
    if partial {
        attrs.insert(n::PARTIAL, true.into());
    }
    if scope.late {
        attrs.insert(n::LATE_ATTACH, true.into());
    }
    if scope.lost_bytes > 0 {
        attrs.insert(n::LOST_BYTES, scope.lost_bytes.into());
    }
    if scope.end_lost && partial {
        attrs.insert(n::END_LOST, true.into());
    }
    if let Some(by) = scope.end.aborted_by {
        attrs.insert(n::ABORTED_BY, by.as_str().into());
    }
    if scope.unsure {
        attrs.insert(n::TIMES, "held".into());
    }
    let lost_events = scope.response.as_ref().map_or(0, |r| r.lost_events());
    if lost_events > 0 {
        attrs.insert(n::LOST_EVENTS, lost_events.into());
    }
    if scope.given_up {
        attrs.insert(n::GIVEN_UP, "memory".into());
    }
    let undecoded = scope.response.as_ref().is_some_and(|r| !r.is_decoded());
    if undecoded || !scope.request_decoded {
        attrs.insert(n::UNDECODED, true.into());
    }
}

fn gen_ai(scope: &ExchangeScope, attrs: &mut Attrs) {
    let candidate = scope.asked().map(|(candidate, _)| candidate);
    if let Some(operation) = operation(scope) {
        attrs.insert(n::OPERATION, operation.into());
    }
    let dialect = candidate.map(|c| c.dialect);
    if let Some(dialect) = dialect.or(scope.response.as_ref().map(ResponseBody::dialect)) {
        attrs.insert(n::PROVIDER, dialect.name.into());
    }
    let nothing = RequestFacts::default();
    let asked = scope.asked().map_or(&nothing, |(_, facts)| facts);
    if let Some(model) = &asked.model {
        attrs.insert(n::REQUEST_MODEL, text(model));
    }
    if let Some(version) = &asked.model_version {
        attrs.insert(n::MODEL_VERSION, text(version));
    }
    if let Some(stream) = asked.stream.filter(|_| asked.shaped) {
        attrs.insert(n::STREAM, stream.into());
    }
    if let Some(choices) = asked.choices.filter(|c| *c != 1) {
        attrs.insert(n::CHOICE_COUNT, choices.into());
    }
    if let Some(call) = scope.call() {
        call.describe(attrs);
    }
}
