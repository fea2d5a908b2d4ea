//! The agent's own figures: what its status says, number by number.
//!
//! The status is the object of `--summary-json` (`docs/summary.md`), which has a counter for each way to lose
//! something. Every number in it becomes one figure by its place, so that a counter that is added there is here too:
//! `engine.lost_bytes` is `cirron_agent_engine_lost_bytes_total`.

use serde_json::{Map, Value};

use super::text::sanitized;

/// Figures of one status. It has about a hundred.
pub const MAX_FIGURES: usize = 512;

/// Objects within one another that are followed.
const MAX_DEPTH: usize = 3;

/// Places whose number is no sum that only grows: their place, their name, their unit.
const GAUGES: [(&str, &str, Option<&str>); 5] = [
    ("duration_s", "duration_seconds", Some("seconds")),
    ("peak_held_bytes", "peak_held_bytes", Some("bytes")),
    ("detach.ms", "detach_ms", None),
    ("open.requests", "open_requests", None),
    ("open.client_calls", "open_client_calls", None),
];

/// What a figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A sum that only grows; `_total` is put behind its name.
    Counter,
    /// A number that comes and goes.
    Gauge,
}

/// A figure of the agent or of the process that ships.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The family's name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The unit that ends its name.
    pub unit: Option<&'static str>,
    /// In words.
    pub help: String,
    /// Its labels.
    pub labels: Vec<(&'static str, String)>,
    /// Its value.
    pub value: f64,
}

impl Figure {
    /// A sum.
    pub fn counter(name: &str, help: &str, value: u64) -> Figure {
        Figure {
            name: name.to_owned(),
            kind: Kind::Counter,
            unit: None,
            help: help.to_owned(),
            labels: Vec::new(),
            value: value as f64,
        }
    }

    /// A number of now.
    pub fn gauge(name: &str, help: &str, value: f64) -> Figure {
        Figure {
            kind: Kind::Gauge,
            value,
            ..Figure::counter(name, help, 0)
        }
    }

    /// The same with a label.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Figure {
        self.labels.push((name, value.to_owned()));
        self
    }
}

/// The figures of a status, which is a summary so far.
pub fn of_status(status: &Map<String, Value>) -> Vec<Figure> {
    let mut figures = Vec::new();
    walk(status, "", 0, &mut figures);
    if let Some(version) = status.get("version").and_then(Value::as_str) {
        let help = "Which agent this is; always 1.";
        let figure = Figure::gauge("cirron_agent_build", help, 1.0);
        figures.push(figure.with("version", version));
    }
    figures
}

fn walk(object: &Map<String, Value>, above: &str, depth: usize, out: &mut Vec<Figure>) {
    for (key, value) in object {
        let place = if above.is_empty() {
            key.clone()
        } else {
            format!("{above}.{key}")
        };
        match value {
            Value::Object(inner) if depth < MAX_DEPTH => walk(inner, &place, depth + 1, out),
            Value::Number(number) if out.len() < MAX_FIGURES => {
                out.extend(number.as_f64().map(|value| figure(&place, value)));
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => {}
        }
    }
}

fn figure(place: &str, value: f64) -> Figure {
    let gauge = GAUGES.iter().find(|(known, _, _)| *known == place);
    let (name, kind, unit) = match gauge {
        Some((_, name, unit)) => (sanitized(name), Kind::Gauge, *unit),
        None => (sanitized(place), Kind::Counter, None),
    };
    Figure {
        name: format!("cirron_agent_{name}"),
        kind,
        unit,
        help: format!("{place} of the agent's summary."),
        labels: Vec::new(),
        value,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn every_number_of_a_status_is_a_figure_and_what_is_null_is_none() {
        let status = serde_json::json!({
            "version": "1", "reason": null, "duration_s": 1.5, "records_read": 3, "stdout": null,
            "open": {"requests": 2, "client_calls": 0}, "engine": {"lost_bytes": 4}, "spool": {"batches_lost": 5, "panics": 0}, "list": [1],
        });
        let figures = of_status(status.as_object().unwrap());
        let mut text: Vec<String> = figures
            .iter()
            .map(|f| format!("{} {:?} {}", f.name, f.kind, f.value))
            .collect();
        text.sort();
        assert_eq!(
            text,
            [
                "cirron_agent_build Gauge 1",
                "cirron_agent_duration_seconds Gauge 1.5",
                "cirron_agent_engine_lost_bytes Counter 4",
                "cirron_agent_open_client_calls Gauge 0",
                "cirron_agent_open_requests Gauge 2",
                "cirron_agent_records_read Counter 3",
                "cirron_agent_spool_batches_lost Counter 5",
                "cirron_agent_spool_panics Counter 0",
            ]
        );
    }

    #[test]
    fn a_status_without_end_is_cut() {
        let many: Map<String, Value> = (0..2000).map(|n| (format!("n{n}"), n.into())).collect();
        assert_eq!(of_status(&many).len(), MAX_FIGURES);
    }
}
