//! Every metric that is made of exchanges: its name, unit, kind, labels.
//!
//! One table for Prometheus, OTLP and `docs/metrics.md`. Names, units and buckets are those of OpenTelemetry's
//! conventions where there are any; ours begin with `cirron.`.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A distribution, with these upper bounds.
    Histogram(&'static [f64]),
    /// A sum that only grows.
    Counter,
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name in OpenTelemetry.
    pub name: &'static str,
    /// UCUM.
    pub unit: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What is counted, in words.
    pub help: &'static str,
    /// The labels that it may have, besides those of the source.
    pub labels: &'static [Label],
}

/// A label, by the attribute that it is in OpenTelemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Label {
    /// `gen_ai.operation.name`
    Operation,
    /// `gen_ai.provider.name`
    Provider,
    /// `gen_ai.request.model`
    RequestModel,
    /// `gen_ai.response.model`
    ResponseModel,
    /// `gen_ai.token.type`
    TokenType,
    /// `error.type`
    ErrorType,
    /// `http.request.method`
    Method,
    /// `http.response.status_code`
    Status,
    /// `server.address`
    ServerAddress,
    /// `server.port`
    ServerPort,
    /// What was called: the rule's name, else the route, else the path.
    Endpoint,
    /// `server` or `client`: whether it was served or made.
    Role,
    /// `cirron.aborted_by`
    AbortedBy,
    /// Whether a number of tokens was reported, or counted by us.
    Figures,
}

impl Label {
    /// All of them.
    pub const ALL: [Label; 14] = [
        Label::Operation,
        Label::Provider,
        Label::RequestModel,
        Label::ResponseModel,
        Label::TokenType,
        Label::ErrorType,
        Label::Method,
        Label::Status,
        Label::ServerAddress,
        Label::ServerPort,
        Label::Endpoint,
        Label::Role,
        Label::AbortedBy,
        Label::Figures,
    ];

    /// The attribute.
    pub fn name(self) -> &'static str {
        match self {
            Label::Operation => "gen_ai.operation.name",
            Label::Provider => "gen_ai.provider.name",
            Label::RequestModel => "gen_ai.request.model",
            Label::ResponseModel => "gen_ai.response.model",
            Label::TokenType => "gen_ai.token.type",
            Label::ErrorType => "error.type",
            Label::Method => "http.request.method",
            Label::Status => "http.response.status_code",
            Label::ServerAddress => "server.address",
            Label::ServerPort => "server.port",
            Label::Endpoint => "cirron.endpoint",
            Label::Role => "cirron.role",
            Label::AbortedBy => "cirron.aborted_by",
            Label::Figures => "cirron.figures",
        }
    }

    /// Whether the conventions have a whole number there.
    pub fn is_int(self) -> bool {
        matches!(self, Label::Status | Label::ServerPort)
    }

    /// Where it stands in [`Label::ALL`].
    pub(super) fn place(self) -> usize {
        self as usize
    }
}

/// Seconds of a call of a model, as the conventions advise.
const GEN_AI_SECONDS: &[f64] = &[
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];
/// Seconds to a first token, as the conventions advise.
const FIRST_TOKEN_SECONDS: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// Seconds of a token, as the conventions advise.
const TOKEN_SECONDS: &[f64] = &[
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
];
/// Tokens of a call, as the conventions advise.
const TOKENS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
/// Seconds of an exchange of HTTP, as the conventions advise.
const HTTP_SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// The labels of a call of a model.
const GEN_AI: &[Label] = &[
    Label::Operation,
    Label::Provider,
    Label::RequestModel,
    Label::ResponseModel,
];
/// The same, which may have failed.
const GEN_AI_ERROR: &[Label] = &[
    Label::Operation,
    Label::Provider,
    Label::RequestModel,
    Label::ResponseModel,
    Label::ErrorType,
];

/// Which row of [`METRICS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the table says what each is")]
pub enum Name {
    GenAiServerDuration,
    GenAiServerFirstToken,
    GenAiServerPerToken,
    GenAiClientDuration,
    GenAiClientTokens,
    HttpServerDuration,
    HttpClientDuration,
    Tokens,
    Requests,
    Aborted,
    Partial,
    LostBytes,
    Cost,
}

/// The table, in the order of [`Name`].
pub const METRICS: [Metric; 13] = [
    Metric {
        name: "gen_ai.server.request.duration",
        unit: "s",
        kind: Kind::Histogram(GEN_AI_SECONDS),
        help: "Calls of a model that were served: from the request's first byte to the answer's last.",
        labels: GEN_AI_ERROR,
    },
    Metric {
        name: "gen_ai.server.time_to_first_token",
        unit: "s",
        kind: Kind::Histogram(FIRST_TOKEN_SECONDS),
        help: "Streams that were served and did not fail: from the request's first byte to the first token.",
        labels: GEN_AI,
    },
    Metric {
        name: "gen_ai.server.time_per_output_token",
        unit: "s",
        kind: Kind::Histogram(TOKEN_SECONDS),
        help: "Whole streams that were served: the time from the first token to the last, over the tokens between.",
        labels: GEN_AI,
    },
    Metric {
        name: "gen_ai.client.operation.duration",
        unit: "s",
        kind: Kind::Histogram(GEN_AI_SECONDS),
        help: "Calls of a model that were made: from the request's first byte to the answer's last.",
        labels: &[
            Label::Operation,
            Label::Provider,
            Label::RequestModel,
            Label::ResponseModel,
            Label::ErrorType,
            Label::ServerAddress,
            Label::ServerPort,
        ],
    },
    Metric {
        name: "gen_ai.client.token.usage",
        unit: "{token}",
        kind: Kind::Histogram(TOKENS),
        help: "Tokens of calls of a model that were made.",
        labels: &[
            Label::Operation,
            Label::Provider,
            Label::RequestModel,
            Label::ResponseModel,
            Label::TokenType,
            Label::ServerAddress,
            Label::ServerPort,
        ],
    },
    Metric {
        name: "http.server.request.duration",
        unit: "s",
        kind: Kind::Histogram(HTTP_SECONDS),
        help: "Exchanges of HTTP that were served.",
        labels: &[
            Label::Method,
            Label::Status,
            Label::ErrorType,
            Label::Endpoint,
        ],
    },
    Metric {
        name: "http.client.request.duration",
        unit: "s",
        kind: Kind::Histogram(HTTP_SECONDS),
        help: "Exchanges of HTTP that were made.",
        labels: &[
            Label::Method,
            Label::Status,
            Label::ErrorType,
            Label::Endpoint,
            Label::ServerAddress,
            Label::ServerPort,
        ],
    },
    Metric {
        name: "cirron.tokens",
        unit: "{token}",
        kind: Kind::Counter,
        help: "Tokens of calls of a model; cache_read is part of input, reasoning of output.",
        labels: &[
            Label::Role,
            Label::TokenType,
            Label::Figures,
            Label::Operation,
            Label::Provider,
            Label::RequestModel,
            Label::ResponseModel,
        ],
    },
    Metric {
        name: "cirron.requests",
        unit: "{request}",
        kind: Kind::Counter,
        help: "Exchanges that ended, those whose duration is not known too.",
        labels: &[
            Label::Role,
            Label::Method,
            Label::Status,
            Label::ErrorType,
            Label::Endpoint,
        ],
    },
    Metric {
        name: "cirron.requests.aborted",
        unit: "{request}",
        kind: Kind::Counter,
        help: "Exchanges that ended before their response was whole, by who ended them.",
        labels: &[Label::Role, Label::AbortedBy, Label::Endpoint],
    },
    Metric {
        name: "cirron.requests.partial",
        unit: "{request}",
        kind: Kind::Counter,
        help: "Exchanges that a hole, a late attach or an early end touched.",
        labels: &[Label::Role, Label::Endpoint],
    },
    Metric {
        name: "cirron.requests.lost",
        unit: "By",
        kind: Kind::Counter,
        help: "Bytes of exchanges that passed uncaptured.",
        labels: &[Label::Role, Label::Endpoint],
    },
    Metric {
        name: "cirron.cost",
        unit: "USD",
        kind: Kind::Counter,
        help: "What calls of a model cost by the table of prices; those without a price are not in it.",
        labels: &[
            Label::Role,
            Label::Provider,
            Label::RequestModel,
            Label::ResponseModel,
        ],
    },
];

impl Name {
    /// The row.
    pub fn metric(self) -> &'static Metric {
        &METRICS[self as usize]
    }

    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Name> {
        use Name::{
            Aborted, Cost, GenAiClientDuration, GenAiClientTokens, GenAiServerDuration,
            GenAiServerFirstToken, GenAiServerPerToken, HttpClientDuration, HttpServerDuration,
            LostBytes, Partial, Requests, Tokens,
        };
        [
            GenAiServerDuration,
            GenAiServerFirstToken,
            GenAiServerPerToken,
            GenAiClientDuration,
            GenAiClientTokens,
            HttpServerDuration,
            HttpClientDuration,
            Tokens,
            Requests,
            Aborted,
            Partial,
            LostBytes,
            Cost,
        ]
        .into_iter()
    }
}
