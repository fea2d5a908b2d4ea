//! What of vLLM is no dialect of OpenAI's: its demonstration server, and its models that do not generate.
//!
//! The demonstration server's `/generate` takes a `prompt` and answers with `text`, an array. It reports no usage, and
//! its stream is one document after the other. The proper server has `/score`, `/classify` and `/pooling`, also below
//! `/v1`, which answer with a list and its usage; SGLang has `/v1/score` with members of its own. Source: vLLM's
//! `entrypoints/api_server.py` and `entrypoints/pooling`; SGLang's `entrypoints/openai/protocol.py`.

use crate::body::json::Seg::{Any, K};
use crate::llm::dialect::{Dialect, Route, Row, last_segment};
use crate::llm::table::{self, Ask, RequestTable, ResponseTable, Say, Sign};

/// What is known of it.
pub(crate) const ROWS: &[Row] = &[
    Row {
        precedence: 1400,
        dialect: DIALECT,
    },
    Row {
        precedence: 1450,
        dialect: POOLING,
    },
];

/// The row of the demonstration server.
pub(crate) const DIALECT: Dialect = Dialect {
    name: "vllm",
    route,
    request: || table::request(&REQUEST),
    response: || table::response(&RESPONSE),
    headers: &[],
};

fn route(path: &str) -> Option<Route<'_>> {
    (last_segment(path) == ("", "generate")).then_some(Route::to("text_completion"))
}

/// The row of models that do not generate.
pub(crate) const POOLING: Dialect = Dialect {
    name: "vllm",
    route: |path| {
        let (before, last) = last_segment(path);
        let operation = match last {
            "score" => "rerank",
            "classify" => "inference",
            "pooling" => "embeddings",
            _ => return None,
        };
        // Any service may have one.
        (before.is_empty() || before.ends_with("/v1")).then_some(Route::to(operation).weak())
    },
    request: || table::request(&POOLING_REQUEST),
    response: || table::response(&POOLING_RESPONSE),
    headers: &[],
};

static REQUEST: RequestTable = RequestTable {
    rows: &[(&[K("stream")], Ask::Stream), (&[K("n")], Ask::Choices)],
    shapes: &[&[Sign::Has("prompt")]],
    stream: Some(false),
};

static RESPONSE: ResponseTable = ResponseTable {
    rows: &[(&[K("text"), Any], Say::Whole)],
    // Too little to be told without its path.
    shapes: &[],
    operation: None,
    resync: &[],
};

static POOLING_REQUEST: RequestTable = RequestTable {
    rows: &[(&[K("model")], Ask::Model)],
    shapes: &[
        &[Sign::Has("input")],
        &[Sign::Has("messages")],
        // Of scores, by the versions of their names.
        &[Sign::Has("text_1"), Sign::Has("text_2")],
        &[Sign::Has("data_1"), Sign::Has("data_2")],
        &[Sign::Has("queries"), Sign::Has("documents")],
        // SGLang's.
        &[Sign::Has("query"), Sign::Has("items")],
    ],
    stream: Some(false),
};

static POOLING_RESPONSE: ResponseTable = ResponseTable {
    rows: &[
        (&[K("model")], Say::Model),
        (&[K("id")], Say::Id),
        (&[K("usage"), K("prompt_tokens")], Say::Input),
        (&[K("usage"), K("total_tokens")], Say::Total),
        (&[K("error"), K("type")], Say::ErrorClass),
        (&[K("error")], Say::Error),
    ],
    shapes: &[
        &[
            Sign::Is("object", &["list"]),
            Sign::Has("data"),
            Sign::Has("usage"),
        ],
        &[Sign::Is("object", &["scoring"]), Sign::Has("scores")],
    ],
    // Its shape is that of any list.
    operation: None,
    resync: &["usage"],
};
