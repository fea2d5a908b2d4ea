//! The series of this process: fed by batches, shown to Prometheus, pushed by OTLP.
//!
//! A lock is held while a batch's exchanges are counted or all series are written down, some milliseconds either way;
//! neither waits for a network.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use cirron_ship::batch::Batch;
use cirron_ship::destination::{Destination, Outcome};
use cirron_spool::read::parse;
use serde_json::{Map, Value};

use crate::metrics::{Label, Metrics};
use crate::prometheus::{Answer, Asked, Figure, of_status, write};
use cirron_look::joined::{self, Joiner};

/// An agent that says nothing for so long is not well: it writes its status each second.
pub const SILENCE: Duration = Duration::from_secs(15);

/// What gives further figures: of who ships, of the server.
pub type Further = dyn Fn() -> Vec<Figure> + Send + Sync;

/// The series, and what the agent said last.
pub struct Hub {
    metrics: Mutex<Metrics>,
    joined: Mutex<joined::Counts>,
    status: Mutex<Option<Status>>,
    /// Whether an agent is there that writes its status.
    has_agent: bool,
    further: Mutex<Vec<Box<Further>>>,
}

struct Status {
    said: Map<String, Value>,
    at: Instant,
}

impl Hub {
    /// Counts what ends from `start_ns` on. `service` is the name of all services, where who started the agent gave
    /// one.
    pub fn new(start_ns: u64, service: Option<&str>, has_agent: bool) -> Arc<Hub> {
        Arc::new(Hub {
            metrics: Mutex::new(Metrics::new(start_ns, service)),
            joined: Mutex::default(),
            status: Mutex::default(),
            has_agent,
            further: Mutex::default(),
        })
    }

    /// Shows these figures as well.
    pub fn also(&self, further: Box<Further>) {
        lock(&self.further).push(further);
    }

    /// What feeds it with the batches of `spool`.
    pub fn feed(self: &Arc<Hub>, spool: PathBuf) -> Feed {
        Feed {
            hub: Arc::clone(self),
            joiner: Joiner::default(),
            unprimed: Some(spool),
        }
    }

    /// Takes a line of the agent's status: one object of JSON. What is none is passed over, and shows as silence.
    pub fn take_status(&self, line: &[u8]) {
        if let Ok(said) = serde_json::from_slice(line) {
            let at = Instant::now();
            *lock(&self.status) = Some(Status { said, at });
        }
    }

    /// What the server of Prometheus answers with.
    pub fn answer(self: &Arc<Hub>) -> Arc<Answer> {
        let hub = Arc::clone(self);
        Arc::new(move |asked| match asked {
            Asked::Metrics(format) => {
                let figures = hub.figures();
                (true, write(format, &lock(&hub.metrics), &figures))
            }
            Asked::Health => {
                let (is_well, text) = hub.health();
                (is_well, text.into_bytes())
            }
        })
    }

    /// Does something with all series.
    pub fn with_metrics<R>(&self, see: impl FnOnce(&Metrics) -> R) -> R {
        see(&lock(&self.metrics))
    }

    fn health(&self) -> (bool, String) {
        if !self.has_agent {
            return (true, "no agent is watched\n".to_owned());
        }
        let age = lock(&self.status)
            .as_ref()
            .map(|status| status.at.elapsed());
        let is_well = age.is_some_and(|age| age < SILENCE);
        let mut text = String::new();
        // A string takes everything.
        let _ = match age {
            Some(age) => writeln!(text, "the agent's status is {} s old", age.as_secs()),
            None => writeln!(text, "the agent has said nothing yet"),
        };
        (is_well, text)
    }

    /// The figures of the agent, of the series, and further ones; those of one name stand together.
    pub fn figures(&self) -> Vec<Figure> {
        let mut out = Vec::new();
        if let Some(status) = &*lock(&self.status) {
            out = of_status(&status.said);
            out.push(silence(status.at.elapsed()));
        }
        out.extend(self.own());
        for further in &*lock(&self.further) {
            out.extend(further());
        }
        out.sort_by(|a, b| a.name.cmp(&b.name));
        out
    }

    fn own(&self) -> Vec<Figure> {
        let metrics = lock(&self.metrics);
        let counts = metrics.counts();
        let joined = *lock(&self.joined);
        let mut out = vec![Figure::gauge(
            "cirron_metrics_series",
            "Series of exchanges that are shown.",
            metrics.len() as f64,
        )];
        let counters = [
            (
                "before_start",
                "Exchanges that ended before the counters began.",
                counts.before_start,
            ),
            (
                "sources_other",
                "Exchanges whose service, pod and container had no place: they are of source other.",
                counts.sources_other,
            ),
            (
                "sources_retired",
                "Idle sources whose series made room for new ones.",
                counts.sources_retired,
            ),
            (
                "values_dropped",
                "Values that are in no series: too many series, or no number.",
                counts.values_dropped,
            ),
            (
                "spans_repeated",
                "Spans that came again, and were not counted again.",
                joined.repeated,
            ),
            (
                "marks_late",
                "Marks that came behind their span, and count nowhere.",
                joined.marks_late,
            ),
            (
                "spans_forgotten",
                "Spans whose marks were forgotten, since too many were open.",
                joined.forgotten,
            ),
            (
                "sessions_unknown",
                "Exchanges of processes whose session was not seen.",
                joined.sessions_unknown,
            ),
        ];
        for (name, help, value) in counters {
            out.push(Figure::counter(
                &format!("cirron_metrics_{name}"),
                help,
                value,
            ));
        }
        out.extend(
            metrics
                .others()
                .map(|(label, others)| labels_other(label, others)),
        );
        out
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub")
            .field("has_agent", &self.has_agent)
            .finish_non_exhaustive()
    }
}

/// Figures that are there only at times.
pub(super) fn at_times() -> Vec<Figure> {
    vec![silence(Duration::ZERO), labels_other(Label::Endpoint, 0)]
}

fn silence(age: Duration) -> Figure {
    let help = "Seconds since the agent said its figures last.";
    let mut silence = Figure::gauge("cirron_agent_silence_seconds", help, age.as_secs_f64());
    silence.unit = Some("seconds");
    silence
}

fn labels_other(label: Label, others: u64) -> Figure {
    let help = "Values of a label that are other, since it has too many different ones.";
    Figure::counter("cirron_metrics_labels_other", help, others).with("label", label.name())
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts the exchanges of batches.
#[derive(Debug)]
pub struct Feed {
    hub: Arc<Hub>,
    joiner: Joiner,
    /// The spool, whose sessions are not known yet.
    unprimed: Option<PathBuf>,
}

impl Destination for Feed {
    fn name(&self) -> &str {
        "metrics"
    }

    fn place(&self) -> String {
        "its own metrics".to_owned()
    }

    fn send(&mut self, batch: &Batch, _: SystemTime) -> Outcome {
        if let Some(spool) = self.unprimed.take() {
            super::prime(&mut self.joiner, &spool);
        }
        // Of a damaged batch, what stands before the damage.
        if let Err(e) = parse(batch.body(), &mut self.joiner) {
            tracing::debug!("{}: {e}", batch.name().as_str());
        }
        let ended = self.joiner.settle();
        let mut metrics = lock(&self.hub.metrics);
        for one in &ended {
            metrics.take(one);
        }
        drop(metrics);
        *lock(&self.hub.joined) = self.joiner.counts();
        Outcome::Sent { bytes: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prometheus::Format;

    #[test]
    fn an_agent_that_says_nothing_is_not_well_and_its_figures_are_shown_when_it_does() {
        let further = || vec![Figure::counter("cirron_ship_x", "X.", 1)];
        let hub = Hub::new(0, None, true);
        hub.also(Box::new(further));
        let answer = hub.answer();
        assert!(!answer(Asked::Health).0);
        hub.take_status(b"no json");
        assert!(!answer(Asked::Health).0);
        hub.take_status(br#"{"engine": {"lost_bytes": 4}}"#);
        assert!(answer(Asked::Health).0);
        let (_, page) = answer(Asked::Metrics(Format::Plain));
        let text = String::from_utf8_lossy(&page);
        for line in [
            "cirron_agent_engine_lost_bytes_total 4",
            "cirron_ship_x_total 1",
            "cirron_metrics_series 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(Hub::new(0, None, false).answer()(Asked::Health).0);
    }
}
