//! What an exchange adds to which series.

use cirron_look::request::{Kind, Request};
use cirron_spool::rows::Scalar;

use super::table::{Label, Name};
use super::{ABSENT, Exemplar, Key, MAX_LABELS, Metrics, Source, Value};
use cirron_look::joined::Ended;

/// Milliseconds of a second.
const MS: f64 = 1e3;

/// Statuses by which a server says that the client asked for what is not there: what the client called it is then no
/// name of anything.
const CLIENTS_FAULT: std::ops::Range<u16> = 400..500;

impl Metrics {
    /// Counts an exchange; what is no exchange of HTTP and no call of a model is passed over.
    pub fn take(&mut self, ended: &Ended) {
        let request = &ended.request;
        // A response is one of a session of messages: a call of a model that its WebSocket carries.
        let is_response = match request.kind {
            Kind::Request | Kind::HttpClient => false,
            Kind::Response => true,
            Kind::NetClient | Kind::Scope => return,
        };
        let end_ns = request.end_ns.unwrap_or(request.start_ns);
        if end_ns < self.start_ns {
            self.counts.before_start += 1;
            return;
        }
        let source = Source::new(request.session.as_deref(), self.service.as_deref());
        let source = self.source(source, end_ns);
        let mut one = One {
            facts: Facts::new(ended, end_ns),
            source,
            metrics: self,
        };
        if !is_response {
            one.exchange();
        }
        if request.operation.is_some() {
            one.call_of_a_model();
        }
    }
}

/// What is asked of a request more than once.
struct Facts<'a> {
    ended: &'a Ended,
    request: &'a Request,
    end_ns: u64,
    /// The words that a client chose may take a place.
    may_claim: bool,
    /// Seconds; `None` where the beginning or the end was not seen.
    duration_s: Option<f64>,
}

impl<'a> Facts<'a> {
    fn new(ended: &'a Ended, end_ns: u64) -> Facts<'a> {
        let request = &ended.request;
        let is_whole = !request.is_late
            && !says(request, "cirron.end_lost")
            && request.aborted_by.as_deref() != Some("agent");
        let told = request.figures.duration_ms.map(|ms| ms / MS);
        let seen = || Some(end_ns.checked_sub(request.start_ns)? as f64 / 1e9);
        Facts {
            ended,
            request,
            end_ns,
            may_claim: !request
                .status
                .is_some_and(|status| CLIENTS_FAULT.contains(&status)),
            duration_s: told.or_else(seen).filter(|_| is_whole),
        }
    }

    fn word<'b>(&'b self, label: Label, room: &'b mut String) -> Option<&'b str> {
        let request = self.request;
        let number = |number: Option<u16>, room: &'b mut String| {
            *room = number?.to_string();
            Some(room.as_str())
        };
        match label {
            Label::Endpoint => {
                let names = ["cirron.name", "http.route", "url.template", "url.path"];
                names.iter().find_map(|name| text(request, name))
            }
            Label::Role => match self.ended.is_served? {
                true => Some("server"),
                false => Some("client"),
            },
            // Given by who counts.
            Label::TokenType | Label::Figures => None,
            Label::Status => number(request.status, room),
            Label::ServerPort => number(request.server_port, room),
            Label::Operation => request.operation.as_deref(),
            Label::Provider => request.provider.as_deref(),
            Label::RequestModel => request.request_model.as_deref(),
            Label::ResponseModel => request.response_model.as_deref(),
            Label::ErrorType => request.error_type.as_deref(),
            Label::Method => request.method.as_deref(),
            Label::ServerAddress => request.server_address.as_deref(),
            Label::AbortedBy => request.aborted_by.as_deref(),
        }
    }
}

fn text<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.attr(name).and_then(Scalar::as_text)
}

fn says(request: &Request, name: &str) -> bool {
    request.attr(name).is_some_and(Scalar::is_truthy)
}

/// One exchange and where it is counted.
struct One<'a, 'm> {
    facts: Facts<'a>,
    source: u32,
    metrics: &'m mut Metrics,
}

impl One<'_, '_> {
    fn exchange(&mut self) {
        let request = self.facts.request;
        self.add(Name::Requests, 1.0, &[]);
        if request.aborted_by.is_some() {
            self.add(Name::Aborted, 1.0, &[]);
        }
        if request.is_partial {
            self.add(Name::Partial, 1.0, &[]);
        }
        if let Some(bytes) = request.lost_bytes.filter(|bytes| *bytes > 0) {
            self.add(Name::LostBytes, bytes as f64, &[]);
        }
        // A WebSocket and a tunnel last as long as somebody is there; that is no duration of a request.
        let is_http = request.method.is_some() && !says(request, "cirron.upgraded");
        if let Some(seconds) = self.facts.duration_s.filter(|_| is_http) {
            self.observe_as(Name::HttpServerDuration, Name::HttpClientDuration, seconds);
        }
    }

    fn call_of_a_model(&mut self) {
        let request = self.facts.request;
        let figures = &request.figures;
        let is_served = self.facts.ended.is_served;
        if let Some(seconds) = self.facts.duration_s {
            self.observe_as(
                Name::GenAiServerDuration,
                Name::GenAiClientDuration,
                seconds,
            );
        }
        if is_served == Some(true) && request.error_type.is_none() {
            if let Some(ms) = figures.ttft_ms {
                self.observe(Name::GenAiServerFirstToken, ms / MS, &[]);
            }
            if let Some(ms) = figures.tpot_ms {
                self.observe(Name::GenAiServerPerToken, ms / MS, &[]);
            }
        }
        let estimated = if figures.is_estimated {
            "estimated"
        } else {
            "reported"
        };
        let kinds = [
            ("input", figures.input_tokens, "reported", true),
            ("output", figures.output_tokens, estimated, true),
            ("cache_read", figures.cached_tokens, "reported", false),
            ("reasoning", figures.reasoning_tokens, "reported", false),
        ];
        for (kind, tokens, by, is_all) in kinds {
            let Some(tokens) = tokens else { continue };
            let also = [(Label::TokenType, kind), (Label::Figures, by)];
            self.add(Name::Tokens, tokens as f64, &also);
            if is_all && is_served == Some(false) {
                self.observe(Name::GenAiClientTokens, tokens as f64, &also);
            }
        }
        if let Some(cost) = figures.cost_usd {
            self.add(Name::Cost, cost, &[]);
        }
    }

    /// In neither, where it is not known who asked whom.
    fn observe_as(&mut self, served: Name, made: Name, value: f64) {
        match self.facts.ended.is_served {
            Some(true) => self.observe(served, value, &[]),
            Some(false) => self.observe(made, value, &[]),
            None => {}
        }
    }

    fn key(&mut self, name: Name, also: &[(Label, &str)]) -> Key {
        let mut labels = [ABSENT; MAX_LABELS];
        let mut room = String::new();
        for (place, label) in labels.iter_mut().zip(name.metric().labels) {
            let given = also.iter().find(|(given, _)| given == label);
            let word = given
                .map(|(_, word)| *word)
                .or_else(|| self.facts.word(*label, &mut room));
            if let Some(word) = word {
                let is_ours = given.is_some() || matches!(label, Label::Role | Label::Status);
                let may_claim = is_ours || self.facts.may_claim || !is_clients(*label);
                *place = self.metrics.words.number(*label, word, may_claim);
            }
        }
        Key {
            name,
            source: self.source,
            labels,
        }
    }

    fn add(&mut self, name: Name, value: f64, also: &[(Label, &str)]) {
        // A counter never goes back, whatever a spool says.
        if !(value.is_finite() && value >= 0.0) {
            self.metrics.counts.values_dropped += 1;
            return;
        }
        let key = self.key(name, also);
        if let Some(Value::Sum(sum)) = self.metrics.held(key) {
            *sum += value;
        }
    }

    fn observe(&mut self, name: Name, value: f64, also: &[(Label, &str)]) {
        if !(value.is_finite() && value >= 0.0) {
            self.metrics.counts.values_dropped += 1;
            return;
        }
        let exemplar = self.facts.ended.ids().map(|(trace_id, span_id)| Exemplar {
            trace_id,
            span_id,
            value,
            ts_ns: self.facts.end_ns,
        });
        let key = self.key(name, also);
        if let Some(Value::Histogram(histogram)) = self.metrics.held(key) {
            histogram.observe(value, exemplar);
        }
    }
}

/// Labels whose words a client chooses.
fn is_clients(label: Label) -> bool {
    matches!(
        label,
        Label::Endpoint | Label::RequestModel | Label::ServerAddress
    )
}
