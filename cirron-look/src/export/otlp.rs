//! OTLP/JSON: lines of `TracesData`, by protobuf's JSON mapping as OTLP narrows it.
//!
//! Ids are hexadecimal, enumerations numbers, whole numbers of 64 bits texts. A line has at most [`MAX_SPANS`] spans,
//! those of a session under one resource; so the OpenTelemetry Collector's `otlpjsonfile` receiver reads the file.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::Format;
use crate::request::Request;
use crate::semconv::{self, SCOPE, Span, Value};

/// Spans of a line: what an OTLP exporter sends at once by default (`OTEL_BSP_MAX_EXPORT_BATCH_SIZE`).
const MAX_SPANS: usize = 512;

pub(super) struct Otlp<W: Write> {
    out: W,
    /// By session, in the order in which they came.
    sessions: Vec<(String, Json, Vec<Json>)>,
    spans: usize,
    open: usize,
}

impl<W: Write> Otlp<W> {
    pub(super) fn new(out: W) -> Otlp<W> {
        Otlp {
            out,
            sessions: Vec::new(),
            spans: 0,
            open: 0,
        }
    }

    fn line(&mut self) -> io::Result<()> {
        let all: Vec<Json> = std::mem::take(&mut self.sessions)
            .into_iter()
            .map(|(_, resource, spans)| {
                let scope = json!({"name": SCOPE, "version": env!("CARGO_PKG_VERSION")});
                json!({"resource": resource, "scopeSpans": [{"scope": scope, "spans": spans}]})
            })
            .collect();
        self.spans = 0;
        if all.is_empty() {
            return Ok(());
        }
        serde_json::to_writer(&mut self.out, &json!({"resourceSpans": all}))?;
        self.out.write_all(b"\n")
    }
}

impl<W: Write> Format for Otlp<W> {
    fn take(&mut self, request: &Request) -> io::Result<()> {
        let Some(span) = semconv::span(request) else {
            self.open += 1;
            return Ok(());
        };
        let session = request.session.as_deref();
        let id = session.map_or("", |session| &session.id);
        let at = self.sessions.iter().position(|(found, ..)| found == id);
        let at = at.unwrap_or_else(|| {
            let resource = json!({"attributes": pairs(&semconv::resource(session))});
            self.sessions.push((id.to_owned(), resource, Vec::new()));
            self.sessions.len() - 1
        });
        if let Some((.., spans)) = self.sessions.get_mut(at) {
            spans.push(json(&span));
        }
        self.spans += 1;
        if self.spans >= MAX_SPANS {
            self.line()
        } else {
            Ok(())
        }
    }

    fn end(&mut self) -> io::Result<Vec<String>> {
        self.line()?;
        self.out.flush()?;
        let open = self.open;
        Ok((open > 0)
            .then(|| format!("left out: scopes that were open, which OTLP has no form for: {open}"))
            .into_iter()
            .collect())
    }
}

fn json(span: &Span) -> Json {
    let mut out = json!({
        "traceId": hex(&span.trace_id),
        "spanId": hex(&span.span_id),
        "name": span.name,
        "kind": span.kind as u8,
        "startTimeUnixNano": span.start_ns.to_string(),
        "endTimeUnixNano": span.end_ns.to_string(),
        "attributes": pairs(&span.attributes),
    });
    if let Some(parent) = &span.parent_id {
        out["parentSpanId"] = hex(parent).into();
    }
    if span.is_error {
        out["status"] = json!({"code": 2});
    }
    out
}

fn pairs(attributes: &[(String, Value)]) -> Json {
    let pair = |(name, value): &(String, Value)| json!({"key": name, "value": self::value(value)});
    attributes.iter().map(pair).collect()
}

fn value(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!({"stringValue": text}),
        Value::Int(n) => json!({"intValue": n.to_string()}),
        Value::Float(n) => json!({"doubleValue": n}),
        Value::Bool(is) => json!({"boolValue": is}),
        Value::Texts(all) => {
            let all: Vec<Json> = all
                .iter()
                .map(|text| json!({"stringValue": text}))
                .collect();
            json!({"arrayValue": {"values": all}})
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
