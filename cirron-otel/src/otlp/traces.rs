//! Requests as the messages that a collector takes.
//!
//! Each session is a resource. The mapping of a request is `cirron_look::semconv`, which `export` has too.

use std::mem;

use cirron_look::semconv::{self, SpanKind};
use foldhash::HashMap;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind as Kind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;

use super::{attribute, scope, text};
use cirron_look::joined::Ended;

/// Spans of one message: as many as the SDKs' batch processors send.
pub const MAX_SPANS: usize = 512;

/// Bytes of a message's spans, past which another one begins. Collectors take 4 MiB by gRPC where nobody changes it.
pub const MAX_BYTES: usize = 1024 * 1024;

/// W3C's flag: it is sampled.
const SAMPLED: u32 = 1;
/// It is known whether the parent is another process's.
const HAS_IS_REMOTE: u32 = 0x100;
/// It is.
const IS_REMOTE: u32 = 0x200;

/// What resources have besides what is known of a session.
#[derive(Clone, Debug, Default)]
pub struct Also {
    /// The name of all services, where who started the agent gave one.
    pub service: Option<String>,
    /// What else they gave.
    pub attributes: Vec<(String, String)>,
}

impl Also {
    /// The resource that a request's process is.
    fn resource(&self, ended: &Ended) -> Resource {
        let session = ended.request.session.as_deref();
        let known = semconv::resource(session).into_iter().map(attribute);
        let mut attributes: Vec<KeyValue> = known.collect();
        self.add(&mut attributes);
        Resource {
            attributes,
            ..Resource::default()
        }
    }

    /// Adds to what is known; the name that was given goes before it.
    pub(super) fn add(&self, attributes: &mut Vec<KeyValue>) {
        if let Some(service) = &self.service {
            attributes.retain(|known| known.key != "service.name");
            attributes.insert(0, text("service.name", service));
        }
        for (name, value) in &self.attributes {
            if attributes.iter().all(|known| known.key != *name) {
                attributes.push(text(name, value));
            }
        }
    }
}

/// The messages for what has ended, in its order.
pub fn requests(ended: &[Ended], also: &Also) -> Vec<ExportTraceServiceRequest> {
    let mut out = Vec::new();
    let mut next = Next::default();
    for one in ended {
        let Some(span) = semconv::span(&one.request) else {
            continue;
        };
        let span = message(span, one);
        let bytes = span.encoded_len();
        if next.spans >= MAX_SPANS || (next.spans > 0 && next.bytes + bytes > MAX_BYTES) {
            out.push(mem::take(&mut next).request);
        }
        next.put(one, span, bytes, also);
    }
    if next.spans > 0 {
        out.push(next.request);
    }
    out
}

#[derive(Default)]
struct Next {
    request: ExportTraceServiceRequest,
    places: HashMap<Option<String>, usize>,
    spans: usize,
    bytes: usize,
}

impl Next {
    fn put(&mut self, ended: &Ended, span: Span, bytes: usize, also: &Also) {
        let all = &mut self.request.resource_spans;
        let session = ended.request.session.as_ref();
        let key = session.map(|session| session.id.clone());
        let place = *self.places.entry(key).or_insert_with(|| {
            all.push(ResourceSpans {
                resource: Some(also.resource(ended)),
                scope_spans: vec![ScopeSpans {
                    scope: Some(scope()),
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            });
            all.len() - 1
        });
        let spans = all.get_mut(place).and_then(|r| r.scope_spans.first_mut());
        if let Some(spans) = spans {
            spans.spans.push(span);
        }
        self.spans += 1;
        self.bytes += bytes;
    }
}

fn message(span: semconv::Span, ended: &Ended) -> Span {
    let kind = match span.kind {
        SpanKind::Internal => Kind::Internal,
        SpanKind::Server => Kind::Server,
        SpanKind::Client => Kind::Client,
    };
    // Who called is another process, or another connection's end at least.
    let is_remote = span.parent_id.is_some() && ended.request.caller.is_some();
    let remote = if is_remote { IS_REMOTE } else { 0 };
    let left_out = u32::try_from(ended.request.left_out).unwrap_or(u32::MAX);
    Span {
        trace_id: span.trace_id.into(),
        span_id: span.span_id.into(),
        parent_span_id: span.parent_id.map(Into::into).unwrap_or_default(),
        flags: SAMPLED | HAS_IS_REMOTE | remote,
        name: span.name,
        kind: kind.into(),
        start_time_unix_nano: span.start_ns,
        end_time_unix_nano: span.end_ns,
        attributes: span.attributes.into_iter().map(attribute).collect(),
        dropped_attributes_count: left_out,
        status: span.is_error.then(|| Status {
            code: StatusCode::Error.into(),
            ..Status::default()
        }),
        ..Span::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::testing::{Exchange, ended};

    fn many(count: usize, text: usize) -> Vec<Exchange> {
        let one = |n: usize| {
            let mut one = Exchange::call("request", &"m".repeat(text)).with("a", "b".repeat(text));
            one.id = n as u128 + 10;
            one
        };
        (0..count).map(one).collect()
    }

    fn spans(request: &ExportTraceServiceRequest) -> usize {
        let all = request.resource_spans.iter().flat_map(|r| &r.scope_spans);
        all.map(|scope| scope.spans.len()).sum()
    }

    #[test]
    fn messages_stay_below_what_collectors_take_and_hold_every_span() {
        let also = Also::default();
        let sent = requests(&ended(&many(2 * MAX_SPANS + 1, 10)), &also);
        let counts: Vec<usize> = sent.iter().map(spans).collect();
        assert_eq!(counts, [MAX_SPANS, MAX_SPANS, 1]);
        let long = requests(&ended(&many(510, 1000)), &also);
        assert_eq!(long.iter().map(spans).sum::<usize>(), 510);
        assert!(long.len() == 2 && long.iter().all(|r| r.encoded_len() < 2 * MAX_BYTES));
        assert!(requests(&[], &also).is_empty());
    }

    #[test]
    fn a_resend_is_the_same_span_and_a_given_name_is_the_services() {
        let also = Also {
            service: Some("mine".to_owned()),
            attributes: vec![("a".to_owned(), "b".to_owned())],
        };
        let call = [Exchange::call("request", "m").with("error", true)];
        let first = requests(&ended(&call), &also);
        assert_eq!(first, requests(&ended(&call), &also));
        let resource = first[0].resource_spans[0].resource.as_ref();
        let keys: Vec<&str> = resource
            .iter()
            .flat_map(|r| &r.attributes)
            .map(|a| &*a.key)
            .collect();
        assert_eq!(keys.iter().filter(|key| **key == "service.name").count(), 1);
        assert!(keys.contains(&"a") && keys[0] == "service.name");
        let span = &first[0].resource_spans[0].scope_spans[0].spans[0];
        assert_eq!(span.status.as_ref().map(|status| status.code), Some(2));
        assert_eq!((span.name.as_str(), span.kind), ("chat m", 2));
    }
}
