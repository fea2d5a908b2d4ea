//! A request in OpenTelemetry's words: one mapping, for `export --format otlp` and for whoever sends OTLP.
//!
//! ```text
//! Request (Detail::All) --span--> Span        Session --resource--> attributes of the resource
//! ```
//! Names that the spool has by the conventions stay as they are; types that differ are made theirs (a list of reasons to
//! finish is a list). Ids are made of the spool's alone: what is sent again is the same span. What belongs to no
//! convention is below `cirron.`. Nothing is invented: a request without a status has none here.

use cirron_spool::rows::Scalar;

use crate::key::Key;
use crate::request::{Kind, Mark, Request};
use crate::session::Session;

/// The name of the instrumentation scope.
pub const SCOPE: &str = "cirron-agent";

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// Several texts.
    Texts(Vec<String>),
}

/// `SpanKind` of OTLP, by its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Neither.
    Internal = 1,
    /// Who was asked.
    Server = 2,
    /// Who asked.
    Client = 3,
}

/// A span of OpenTelemetry.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Of `cirron.trace_id` (a `traceparent`'s, or the caller's), else of the topmost scope's id.
    pub trace_id: [u8; 16],
    /// Of the span's id.
    pub span_id: [u8; 8],
    /// Of the caller's, else of the parent's unless that is the session.
    pub parent_id: Option<[u8; 8]>,
    /// By the conventions: what is done, without what differs each time.
    pub name: String,
    /// Who asked whom.
    pub kind: SpanKind,
    /// Wall clock.
    pub start_ns: u64,
    /// Wall clock.
    pub end_ns: u64,
    /// In the spool's order, then figures.
    pub attributes: Vec<(String, Value)>,
    /// The status is that of an error; else it is unset.
    pub is_error: bool,
}

/// The span of a request that was read with all that it has; `None` while it is open.
pub fn span(request: &Request) -> Option<Span> {
    Some(Span {
        trace_id: trace_id(request),
        span_id: span_id(&request.id),
        parent_id: parent_id(request),
        name: name(request),
        kind: match request.kind {
            Kind::Request => SpanKind::Server,
            Kind::HttpClient | Kind::NetClient => SpanKind::Client,
            Kind::Response | Kind::Scope => SpanKind::Internal,
        },
        start_ns: request.start_ns,
        end_ns: request.end_ns?,
        attributes: attributes(request),
        is_error: request.has_error,
    })
}

/// Attributes of the resource that a session is. The conventions ask for `service.name` always: where none is known it
/// is the rule's, else the executable's name, else `unknown_service`.
pub fn resource(session: Option<&Session>) -> Vec<(String, Value)> {
    let mut out = Vec::new();
    let Some(session) = session else {
        return vec![(
            "service.name".to_owned(),
            Value::Text("unknown_service".to_owned()),
        )];
    };
    let name = [&session.service, &session.target, &session.executable];
    let name = name.into_iter().flatten().next();
    let name = name.map_or("unknown_service", String::as_str);
    out.push(("service.name".to_owned(), Value::Text(name.to_owned())));
    for (name, value) in &session.attrs {
        let name = match name.as_str() {
            "service.name" => continue,
            "pid" => "process.pid",
            "rank" => "cirron.rank",
            name => name,
        };
        out.extend(self::value(value).map(|value| (name.to_owned(), value)));
    }
    out
}

/// The 8 bytes of an id of the spool: its lower half, which is random in the ids of agent and SDK.
pub fn span_id(id: &str) -> [u8; 8] {
    let [_, _, _, _, _, _, _, _, rest @ ..] = Key::new(id).bytes();
    // OTLP refuses an id of zeros.
    if rest == [0; 8] {
        [0, 0, 0, 0, 0, 0, 0, 1]
    } else {
        rest
    }
}

fn trace_id(request: &Request) -> [u8; 16] {
    let sent = request.trace_id.as_deref().and_then(hex::<16>);
    sent.unwrap_or_else(|| match request.top.bytes() {
        bytes if bytes == [0; 16] => Key::new(&request.id).bytes(),
        bytes => bytes,
    })
}

fn parent_id(request: &Request) -> Option<[u8; 8]> {
    let caller = request
        .caller
        .as_deref()
        .and_then(|caller| match caller.len() {
            16 => hex::<8>(caller),
            _ => Some(span_id(caller)),
        });
    let parent = || {
        request
            .parent
            .as_deref()
            .filter(|_| !request.is_top)
            .map(span_id)
    };
    caller.or_else(parent)
}

/// Digits as bytes; `None` where they are none, or all zero, which W3C and OTLP have as no id.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut out = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (at, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    (out != [0; N]).then_some(out)
}

fn name(request: &Request) -> String {
    let text = |name| request.attr(name).and_then(Scalar::as_text);
    if let Some(operation) = &request.operation {
        let model = request.request_model.as_deref().or(request.model());
        return [Some(operation.as_str()), model]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" ");
    }
    if let Some(method) = text("rpc.method") {
        return method.to_owned();
    }
    match &request.method {
        Some(method) => {
            // A path is no name: it may differ each time.
            let template = text("http.route").or_else(|| text("url.template"));
            let method = if method == "_OTHER" { "HTTP" } else { method };
            [Some(method), template]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(" ")
        }
        None => request.name.clone(),
    }
}

fn attributes(request: &Request) -> Vec<(String, Value)> {
    let mut out = Vec::with_capacity(request.attrs.len() + request.marks.len());
    for (name, found) in &request.attrs {
        let value = match (name.as_str(), found) {
            // The status, the trace and the parent say it.
            ("error" | "cirron.trace_id" | "cirron.caller.span_id", _) => continue,
            ("gen_ai.response.finish_reasons", Scalar::Text(all)) => {
                Value::Texts(all.split(',').map(str::to_owned).collect())
            }
            (_, found) => match value(found) {
                Some(value) => value,
                None => continue,
            },
        };
        let is_ours = name == "request_id";
        let prefix = if is_ours { "cirron." } else { "" };
        out.push((format!("{prefix}{name}"), value));
    }
    out.extend(request.marks.iter().filter_map(figure));
    let quality = [
        (
            "cirron.output_tokens.estimated",
            request.figures.is_estimated,
        ),
        (
            "cirron.output_tokens.partial",
            request.figures.is_lower_bound,
        ),
    ];
    let quality = quality.into_iter().filter(|(_, is)| *is);
    out.extend(quality.map(|(name, _)| (name.to_owned(), Value::Bool(true))));
    out
}

/// A mark as an attribute: by the conventions' name where they have one.
fn figure(mark: &Mark) -> Option<(String, Value)> {
    let name = match mark.name.as_str() {
        "input_tokens" => "gen_ai.usage.input_tokens".to_owned(),
        "output_tokens" => "gen_ai.usage.output_tokens".to_owned(),
        // The same figures by the SDK's other names, and a sum.
        "prompt_tokens" | "completion_tokens" => return None,
        name => format!("cirron.{name}"),
    };
    Some((name, value(&mark.value)?))
}

/// `None` where there is none that OTLP has.
fn value(value: &Scalar<'_>) -> Option<Value> {
    match value {
        Scalar::Text(text) => Some(Value::Text(text.to_string())),
        Scalar::Int(v) => Some(i64::try_from(*v).map_or(Value::Float(*v as f64), Value::Int)),
        Scalar::Float(v) => Some(Value::Float(*v)),
        Scalar::Bool(v) => Some(Value::Bool(*v)),
        Scalar::Null | Scalar::Other => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;
    use crate::request::Detail;
    use crate::testing::{mark, span as row};

    fn request(attrs: serde_json::Value, marks: &[serde_json::Value]) -> Request {
        let text = row(
            "00000000000000000000000000000abc",
            Some("s"),
            "request",
            1,
            attrs,
        )
        .to_string();
        let mut request = Request::new(&serde_json::from_str(&text).unwrap(), Detail::All);
        for mark in marks {
            request.take_mark(
                &serde_json::from_str(&mark.to_string()).unwrap(),
                Detail::All,
            );
        }
        request.is_top = true;
        request
    }

    #[test]
    fn a_call_of_a_model_has_the_conventions_names() {
        let attrs = json!({"request_id": "7", "http.request.method": "POST", "url.path": "/v1/chat", "error": true,
            "error.type": "500", "gen_ai.operation.name": "chat", "gen_ai.request.model": "m",
            "gen_ai.response.finish_reasons": "stop,length", "list": [1]});
        let marks = [
            mark("a", "prompt_tokens", 3.into(), json!({})),
            mark("a", "input_tokens", 3.into(), json!({})),
            mark("a", "output_tokens", 5.into(), json!({"estimated": true})),
            mark("a", "time_to_first_token_ms", json!(1.5), json!({})),
        ];
        let got = span(&request(attrs, &marks)).unwrap();
        let text = |text: &str| Value::Text(text.into());
        let want = [
            ("cirron.request_id", text("7")),
            ("http.request.method", text("POST")),
            ("url.path", text("/v1/chat")),
            ("error.type", text("500")),
            ("gen_ai.operation.name", text("chat")),
            ("gen_ai.request.model", text("m")),
            (
                "gen_ai.response.finish_reasons",
                Value::Texts(vec!["stop".into(), "length".into()]),
            ),
            ("gen_ai.usage.input_tokens", Value::Int(3)),
            ("gen_ai.usage.output_tokens", Value::Int(5)),
            ("cirron.time_to_first_token_ms", Value::Float(1.5)),
            ("cirron.output_tokens.estimated", Value::Bool(true)),
        ];
        let mut attributes: Vec<_> = got
            .attributes
            .iter()
            .map(|(n, v)| (n.as_str(), v.clone()))
            .collect();
        attributes.sort_by_key(|(name, _)| want.iter().position(|(wanted, _)| wanted == name));
        assert_eq!(attributes, want);
        assert_eq!(
            (got.name.as_str(), got.kind, got.is_error),
            ("chat m", SpanKind::Server, true)
        );
        assert_eq!(
            (got.trace_id[15], got.span_id, got.parent_id),
            (0xbc, [0, 0, 0, 0, 0, 0, 0xa, 0xbc], None)
        );
    }

    #[test]
    fn a_trace_is_that_of_the_traceparent_and_a_parent_the_caller_s() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let of = |caller: &str| {
            let attrs = json!({"cirron.trace_id": trace, "cirron.caller.span_id": caller, "http.request.method": "GET",
                "url.path": "/users/7", "http.route": "/users/{id}"});
            span(&request(attrs, &[])).unwrap()
        };
        let by_header = of("b7ad6b7169203331");
        assert_eq!(by_header.trace_id[..2], [0x0a, 0xf7]);
        assert_eq!(
            by_header.parent_id,
            Some([0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31])
        );
        assert_eq!(by_header.name, "GET /users/{id}");
        let call = "11112222333344445555666677778888";
        assert_eq!(of(call).parent_id, Some(span_id(call)));
        // What is no id is none.
        let zeros = "0".repeat(32);
        let own = span(&request(
            json!({"cirron.trace_id": zeros, "cirron.caller.span_id": "0".repeat(16)}),
            &[],
        ))
        .unwrap();
        assert_eq!((own.trace_id[15], own.parent_id), (0xbc, None));
    }

    #[test]
    fn what_is_within_another_scope_has_its_trace_and_it_as_parent() {
        let mut inner = request(json!({}), &[]);
        let parent = "11112222333344445555666677778888";
        (inner.is_top, inner.parent, inner.top) = (false, Some(parent.into()), Key::new(parent));
        let got = span(&inner).unwrap();
        assert_eq!(
            (got.trace_id, got.parent_id),
            (Key::new(parent).bytes(), Some(span_id(parent)))
        );
        inner.end_ns = None;
        assert_eq!(span(&inner), None);
    }

    #[test]
    fn a_session_is_a_resource_that_always_has_a_name() {
        let mut session = Session {
            executable: Some("uvicorn".into()),
            attrs: vec![
                ("pid".into(), Scalar::Int(7)),
                ("cirron.deployment_id".into(), Scalar::Text("d".into())),
            ],
            ..Session::default()
        };
        let name = |session: &Session| {
            resource(Some(session))
                .into_iter()
                .find(|(n, _)| n == "service.name")
                .unwrap()
                .1
        };
        assert_eq!(name(&session), Value::Text("uvicorn".into()));
        session.service = Some("api".into());
        assert_eq!(name(&session), Value::Text("api".into()));
        assert!(resource(Some(&session)).contains(&("process.pid".into(), Value::Int(7))));
        assert_eq!(
            resource(None),
            [("service.name".into(), Value::Text("unknown_service".into()))]
        );
    }
}
