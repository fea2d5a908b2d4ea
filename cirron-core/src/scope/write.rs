//! From a finished exchange to its span and marks, by the SDK's names.

use super::call::ModelCall;
use super::evidence;
use super::exchange::ExchangeScope;
use super::label::Label;
use super::marks::{self, Marks};
use super::messages::Messages;
use super::names as n;
use super::network::network;
use super::overhead;
use super::payload::ResponseBody;
use super::span::{Attrs, text};
use super::store::{About, Closing, Content};
use crate::exchange::Role;
use crate::id::Id;
use crate::llm::RequestFacts;
use crate::proto::message::Version;

/// Methods that the semantic conventions know; any other is `_OTHER`.
const METHODS: [&str; 9] = [
    "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE",
];

impl Content for ExchangeScope {
    fn name(&self) -> Label {
        match self.role {
            Role::Server => n::REQUEST.into(),
            Role::Client => n::HTTP_CLIENT.into(),
        }
    }

    fn describe(&self, attrs: &mut Attrs) {
        attrs.insert(n::REQUEST_ID, self.request_id.to_string().into());
        http(self, attrs);
        network(&self.context.conn, self.role, attrs);
        self.describe_trace(attrs);
    }

    fn about(&self) -> About {
        let body = self.answer.body.as_ref();
        let answered = body.and_then(|b| b.facts().model.clone());
        let asked = || self.asked().and_then(|(_, facts)| facts.model.clone());
        let stream = body.filter(|b| b.is_stream());
        About {
            endpoint: self.ask.path().map(str::to_owned),
            model: answered.or_else(asked),
            first_token: stream.and_then(|b| b.tokens.first.at()),
            tokens: stream.map(|b| b.tokens.count),
        }
    }

    fn held_bytes(&self) -> usize {
        self.held()
    }

    fn is_call(&self) -> bool {
        self.role == Role::Client
    }

    fn trace(&self) -> Option<Id> {
        self.ask.trace.as_ref().map(|carried| carried.trace)
    }

    fn finish(mut self: Box<Self>, closing: &mut Closing<'_>) {
        self.read_all();
        self.drop_unwanted_points();
        let scope = &*self;
        let partial = scope.end.partial
            || scope.given_up
            || scope.late
            || scope.lost_bytes() > 0
            || scope.end.aborted_by.is_some();
        let Closing {
            attrs,
            marks,
            facts,
            calls,
            ..
        } = closing;
        facts.partial = partial;
        facts.bad_traceparent = scope.ask.bad_traceparent;
        let calls = std::mem::take(calls);
        scope.describe(attrs);
        loss(scope, partial, attrs);
        scope.time_in_queue(marks);
        if scope.is_llm() {
            facts.is_llm = operation(scope) != Some(INFERENCE);
            gen_ai(scope, attrs);
            attrs.insert(n::FIGURES, figures(scope).into());
            facts.output_tokens = scope.call().and_then(|call| marks::write(&call, marks));
        }
        if scope.is_whole() {
            overhead::write(scope.times(), &calls, marks);
        }
        if let Some(socket) = &scope.socket {
            socket.describe(attrs);
            messages(socket.messages(), scope, attrs, marks);
        }
        if let Some(call) = scope.grpc.as_ref().filter(|call| call.is_sure()) {
            call.describe(scope.ask.path(), scope.role, attrs);
            messages(call.messages(), scope, attrs, marks);
        }
        scope.write_wanted(attrs, marks);
    }
}

impl ExchangeScope {
    /// What the head says of who called; which trace that is says the store.
    fn describe_trace(&self, attrs: &mut Attrs) {
        let Some(carried) = &self.ask.trace else {
            return;
        };
        match self.role {
            Role::Server => {
                attrs.insert(n::CALLER_SPAN_ID, carried.span_text().into());
                attrs.insert(n::CALLER_BY, evidence::TRACEPARENT.into());
            }
            Role::Client => {
                attrs.insert(n::SENT_SPAN_ID, carried.span_text().into());
            }
        }
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

/// Operation of models that are no language models.
const INFERENCE: &str = "inference";

/// `gen_ai.operation.name`: as the path says or, where it was not seen, or carries anything, the
/// answer.
fn operation(scope: &ExchangeScope) -> Option<&'static str> {
    let by_path = scope.asked().map(|(candidate, _)| candidate.operation);
    let by_shape = scope.answer.body.as_ref().and_then(|r| r.facts().operation);
    if by_path.or(by_shape) != Some(INFERENCE) {
        return by_path.or(by_shape);
    }
    let streams_text = |call: &ModelCall<'_>| call.is_stream && call.tokens.count > 0;
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
    // HTTP is what is not said (the conventions ask for the name where it is another).
    if scope.socket.is_some() {
        attrs.insert(n::PROTOCOL_NAME, "websocket".into());
    }
    if scope.context.tls {
        attrs.insert(n::SCHEME, "https".into());
        if let Some(evidence) = scope.context.tls_link {
            attrs.insert(n::TLS_LINK, evidence.into());
        }
    }
    if let Some(request) = &scope.ask.line {
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
    let agreed = scope.answer.version;
    let agreed = agreed.filter(|v| *v == Version::Http2.as_str());
    let version = agreed
        .or(scope.ask.line.as_ref().map(|r| r.version))
        .or(scope.answer.version);
    if let Some(version) = version {
        attrs.insert(n::PROTOCOL_VERSION, version.into());
    }
    // None of a body that was cut before its first byte is no size, nor is what a tunnel or messages carry.
    let [sent, answered] = [scope.ask.unmeasured, scope.answer.unmeasured];
    let request = scope.ask.line.as_ref().filter(|_| !sent);
    let tunnel = |method: &str| scope.end.upgraded && method == "CONNECT";
    let request = request.filter(|r| !tunnel(&r.method));
    if request.is_some() && (scope.ask.whole || scope.ask.bytes > 0) {
        attrs.insert(n::REQUEST_SIZE, scope.ask.bytes.into());
    }
    let whole = scope.answer.end.is_some() || scope.answer.bytes > 0;
    if scope.answer.status.is_some() && whole && !answered && !scope.end.upgraded {
        attrs.insert(n::RESPONSE_SIZE, scope.answer.bytes.into());
    }
    if let Some(status) = scope.answer.status {
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
    if scope.lost_bytes() > 0 {
        attrs.insert(n::LOST_BYTES, scope.lost_bytes().into());
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
    let lost_events = scope.answer.body.as_ref().map_or(0, |r| r.lost_events());
    if lost_events > 0 {
        attrs.insert(n::LOST_EVENTS, lost_events.into());
    }
    if scope.given_up {
        attrs.insert(n::GIVEN_UP, "memory".into());
    }
    let undecoded = scope.answer.body.as_ref().is_some_and(|r| !r.is_decoded());
    if undecoded || !scope.ask.decoded {
        attrs.insert(n::UNDECODED, true.into());
    }
}

fn gen_ai(scope: &ExchangeScope, attrs: &mut Attrs) {
    let candidate = scope.asked().map(|(candidate, _)| candidate);
    if let Some(operation) = operation(scope) {
        attrs.insert(n::OPERATION, operation.into());
    }
    let dialect = candidate.map(|c| c.dialect);
    if let Some(dialect) = dialect.or(scope.answer.body.as_ref().map(ResponseBody::dialect)) {
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
