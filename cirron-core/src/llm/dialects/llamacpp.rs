//! llama.cpp's own `/completion`, `/completions` (which older clients of OpenAI's use, too),
//! `/infill` and `/embedding`.
//!
//! The last event of a stream carries the counts. A list of prompts, or `n_cmpl` samples, is answered
//! by an array, or by events whose `index` says of which they are. Source: llama.cpp's `tools/server/README.md`.

use crate::body::json::Seg::K;
use crate::llm::dialect::{Dialect, Route, Row, last_segment};
use crate::llm::table::{self, Ask, RequestTable, ResponseTable, Say, Sign};

/// What is known of it.
pub(crate) const ROWS: &[Row] = &[Row {
    precedence: 1300,
    dialect: DIALECT,
}];

/// The dialect's row.
pub(crate) const DIALECT: Dialect = Dialect {
    name: "llama_cpp",
    route,
    request: || table::request(&REQUEST),
    response: || table::response(&RESPONSE),
    headers: &[],
};

fn route(path: &str) -> Option<Route<'_>> {
    match last_segment(path) {
        (_, "completion" | "infill") | ("", "completions") => Some(Route::to("text_completion")),
        ("", "embedding") => Some(Route::to("embeddings")),
        _ => None,
    }
}

static REQUEST: RequestTable = RequestTable {
    rows: &[
        (&[K("model")], Ask::Model),
        (&[K("stream")], Ask::Stream),
        (&[K("n_cmpl")], Ask::Choices),
        (&[K("prompt")], Ask::Prompts),
    ],
    shapes: &[
        &[Sign::Has("prompt")],
        &[Sign::Has("input_prefix")],
        &[Sign::Has("content")],
    ],
    stream: Some(false),
};

static RESPONSE: ResponseTable = ResponseTable {
    rows: &[
        (&[], Say::Each),
        (&[K("index")], Say::Result),
        (&[K("content")], Say::Answer),
        (&[K("model")], Say::Model),
        (&[K("tokens_evaluated")], Say::Input),
        (&[K("tokens_predicted")], Say::Output),
        (&[K("timings"), K("cache_n")], Say::Cached),
        (&[K("stop_type")], Say::Finish),
        (&[K("stop")], Say::Last),
        (&[K("error"), K("type")], Say::ErrorClass),
        // In the `error` field of a stream.
        (&[K("type")], Say::ErrorClass),
        (&[K("error")], Say::Error),
    ],
    shapes: &[&[
        Sign::Has("content"),
        Sign::Has("stop"),
        Sign::Has("tokens_predicted"),
    ]],
    operation: Some("text_completion"),
    resync: &[],
};
