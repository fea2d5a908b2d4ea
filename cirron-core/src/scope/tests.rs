//! One exchange, from its events to its span and marks: whole, cut, and with holes.
#![expect(clippy::unwrap_used, reason = "tests")]

mod binary;
mod bodies;
mod calls;
mod contents;
mod ends;
mod evidence;
mod framing;
mod goldens;
mod grpc;
mod leaving;
mod reports;
mod several;
mod streams;

use cirron_common::conn::ConnInfo;

use super::{
    AttrValue, ExchangeScope, Life, Mark, MarkValue, ScopeContext, ScopeFacts, Span, Start, Store,
};
use crate::exchange::{AbortedBy, ExchangeEnd, ExchangeEvent as E, MessageEnd, Role};
use crate::id::{Id, SequentialIds};
use crate::llm::Routes;
use crate::proto::message::{Headers, RequestHead, ResponseHead, Version};
use crate::rules::ProcessRules;
use crate::time::{MS, MonoNs};

/// A scope as it is written.
type Written = (Span, Vec<Mark>, ScopeFacts);

/// A scope under test; times are milliseconds.
struct ScopeRig {
    store: Store,
    scope: Id,
}

fn headers(fields: &[(&str, &str)]) -> Headers {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned().into());
    fields.iter().map(own).collect::<Vec<_>>().into()
}

fn context() -> ScopeContext {
    ScopeContext {
        tls: false,
        tls_link: None,
        conn: ConnInfo::default(),
    }
}

impl ScopeRig {
    /// Begins at 0.
    fn new(late: bool) -> ScopeRig {
        ScopeRig::with(Role::Server, late, true)
    }

    fn with(role: Role, late: bool, chunk_timing: bool) -> ScopeRig {
        let mut store = Store::new(Box::new(SequentialIds::default()));
        let start = Start {
            tid: 2,
            ..Start::at_zero()
        };
        let (request_id, context) = (store.next_id(), context());
        let mut content = ExchangeScope::new(MonoNs(0), request_id, role, late, context);
        if chunk_timing {
            content.follow(ProcessRules::with_chunk_timing(), 0);
        }
        let scope = store.open(start, Box::new(content));
        ScopeRig { store, scope }
    }

    fn at(&mut self, ms: u64, event: E<'_>) {
        self.at_ns(ms * MS, event);
    }

    fn at_ns(&mut self, ns: u64, event: E<'_>) {
        let ts = MonoNs(ns);
        self.store
            .with(self.scope, |x: &mut ExchangeScope, desk| {
                x.on_event(ts, &event, desk, &mut Routes::default())
            })
            .unwrap();
    }

    fn request(&mut self, path: &str, fields: &[(&str, &str)], body: &[u8]) {
        let head = RequestHead {
            method: "POST".to_owned(),
            path: path.to_owned(),
            has_query: false,
            version: Version::Http11,
            headers: headers(fields),
            wire_len: 1,
        };
        self.at(0, E::RequestHead(&head));
        self.at(0, E::RequestBody(body));
        self.at(0, E::RequestEnd(MessageEnd::Complete));
    }

    fn head(&mut self, ms: u64, status: u16, fields: &[(&str, &str)]) {
        let head = ResponseHead {
            status,
            version: Version::Http11,
            headers: headers(fields),
            wire_len: 1,
        };
        self.at(ms, E::ResponseStart);
        self.at(ms, E::ResponseHead(&head));
    }

    /// A stream that was asked for with `path`, whose head came at 1.
    fn stream_of(path: &str) -> ScopeRig {
        let mut call = ScopeRig::new(false);
        call.request(
            path,
            &[],
            br#"{"model":"m","stream":true,"messages":[],"input":""}"#,
        );
        call.head(
            1,
            200,
            &[("content-type", "text/event-stream; charset=utf-8")],
        );
        call
    }

    fn stream() -> ScopeRig {
        ScopeRig::stream_of("/v1/chat/completions")
    }

    fn body(&mut self, ms: u64, bytes: &[u8]) {
        self.at(ms, E::ResponseBody(bytes));
    }

    /// One event with this JSON.
    fn event(&mut self, ms: u64, json: &str) {
        self.body(ms, format!("data: {json}\n\n").as_bytes());
    }

    /// One event whose only choice has this delta.
    fn delta(&mut self, ms: u64, delta: &str) {
        self.event(
            ms,
            &format!(
                r#"{{"object":"chat.completion.chunk","choices":[{{"index":0,"delta":{delta}}}]}}"#
            ),
        );
    }

    fn end(mut self, ms: u64) -> Written {
        self.at(ms, E::ResponseEnd(MessageEnd::Complete));
        self.finish(ms)
    }

    fn abort(mut self, ms: u64, by: AbortedBy) -> Written {
        self.at(ms, E::ResponseEnd(MessageEnd::Aborted));
        let end = ExchangeEnd {
            aborted_by: Some(by),
            partial: true,
            upgraded: false,
            cut: true,
            unread: false,
        };
        self.at(ms, E::End(end));
        self.finish(ms)
    }

    fn finish(mut self, ms: u64) -> Written {
        self.store.close(self.scope, MonoNs(ms * MS));
        match self.store.next_life() {
            Some(Life::Closed { span, marks, facts }) => (span, marks, facts),
            other => panic!("{other:?}"),
        }
    }
}

fn mark<'a>(written: &'a Written, name: &str) -> Option<&'a Mark> {
    let mut found = written.1.iter().filter(|m| m.name == name);
    let first = found.next();
    assert!(found.next().is_none(), "{name} twice");
    first
}

fn number(written: &Written, name: &str) -> Option<f64> {
    mark(written, name).map(|m| match m.value {
        MarkValue::Int(n) => n as f64,
        MarkValue::Float(x) => x,
        MarkValue::Str(_) | MarkValue::Bool(_) => panic!("no number: {name}"),
    })
}

fn text<'a>(written: &'a Written, name: &str) -> Option<&'a str> {
    match written.0.attrs.get(name)? {
        AttrValue::Str(s) => Some(s),
        AttrValue::Int(_) | AttrValue::Float(_) | AttrValue::Bool(_) => None,
    }
}

/// Figures that only a response seen from its first token to its end has.
const OF_A_WHOLE: [&str; 3] = [
    "tokens_per_second",
    "time_per_output_token_ms",
    "request_duration_ms",
];
