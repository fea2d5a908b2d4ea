//! Exchanges made up for tests, by the rows that the agent would write.

#![expect(clippy::unwrap_used, reason = "tests")]

use cirron_spool::read::Take as _;
use serde_json::{Map, Value, json};

use super::Metrics;
use cirron_look::joined::{Ended, Joiner};

/// One second.
pub(crate) const S: u64 = 1_000_000_000;

/// An exchange.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) id: u128,
    pub(crate) name: &'static str,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    pub(crate) attrs: Map<String, Value>,
    pub(crate) marks: Vec<(&'static str, f64)>,
    pub(crate) session: Map<String, Value>,
}

impl Exchange {
    /// A `POST` that was answered with 200 after one second.
    pub(crate) fn new(name: &'static str, path: &str) -> Exchange {
        let attrs = json!({
            "http.request.method": "POST", "http.response.status_code": 200, "url.path": path,
        });
        let session = json!({"process.executable.name": "python3"});
        Exchange {
            id: 2,
            name,
            start_ns: S,
            end_ns: 2 * S,
            attrs: attrs.as_object().unwrap().clone(),
            marks: Vec::new(),
            session: session.as_object().unwrap().clone(),
        }
    }

    /// The same that is a call of a model.
    pub(crate) fn call(name: &'static str, model: &str) -> Exchange {
        Exchange::new(name, "/v1/chat/completions")
            .with("gen_ai.operation.name", "chat")
            .with("gen_ai.provider.name", "openai")
            .with("gen_ai.request.model", model)
    }

    /// With another attribute.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Exchange {
        self.attrs.insert(name.to_owned(), value.into());
        self
    }
}

/// The spans as they come out of the joiner, each in a session of its own.
pub(crate) fn ended(exchanges: &[Exchange]) -> Vec<Ended> {
    let mut joiner = Joiner::default();
    for exchange in exchanges {
        let hex = |n: u128| format!("{n:032x}");
        let session = (1 << 100) + exchange.id;
        let rows = [
            json!({"id": hex(session), "name": "cirron.session", "parent_id": null, "index": null,
                "start_ns": 0, "end_ns": null, "pid": 7, "attrs": exchange.session}),
            json!({"id": hex(exchange.id), "name": exchange.name, "parent_id": hex(session), "index": null,
                "start_ns": exchange.start_ns, "end_ns": exchange.end_ns, "pid": 7, "attrs": exchange.attrs}),
        ];
        for row in rows {
            joiner.span(&serde_json::from_str(&row.to_string()).unwrap());
        }
        for (name, value) in &exchange.marks {
            let row = json!({"id": hex(9), "span_id": hex(exchange.id), "name": name, "value": value,
                "kind": "summary", "ts_ns": exchange.end_ns});
            joiner.mark(&serde_json::from_str(&row.to_string()).unwrap());
        }
    }
    joiner.settle()
}

/// Metrics that took them, of which the start is at 0.
pub(crate) fn taken(exchanges: &[Exchange]) -> Metrics {
    let mut metrics = Metrics::new(0, None);
    take(&mut metrics, exchanges);
    metrics
}

/// Takes more.
pub(crate) fn take(metrics: &mut Metrics, exchanges: &[Exchange]) {
    for span in ended(exchanges) {
        metrics.take(&span);
    }
}
