//! vLLM's demonstration server: `/generate` with `prompt`, answered with `text`, an array.
//!
//! It reports no usage, and its stream is one document after the other. vLLM's proper server speaks
//! OpenAI's dialect. Source: vLLM's `entrypoints/api_server.py`.

use crate::body::json::Seg::{Any, K};
use crate::llm::dialect::{Dialect, Route, Row, last_segment};
use crate::llm::table::{self, Ask, RequestTable, ResponseTable, Say, Sign};

/// What is known of it.
pub(crate) const ROWS: &[Row] = &[Row {
    precedence: 1400,
    dialect: DIALECT,
}];

/// The dialect's row.
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
