//! Hugging Face's text-embeddings-inference: `/embed`, `/embed_sparse`, `/embed_all`, `/rerank`.
//!
//! Answers are arrays of numbers; the prompt's tokens stand in a header. Source: TEI's OpenAPI
//! description.

use crate::body::json::Seg::K;
use crate::llm::dialect::{Dialect, Figure, Route, Row, last_segment};
use crate::llm::table::{self, RequestTable, ResponseTable, Say, Sign};

/// What is known of it.
pub(crate) const ROWS: &[Row] = &[Row {
    precedence: 1500,
    dialect: DIALECT,
}];

/// The dialect's row.
pub(crate) const DIALECT: Dialect = Dialect {
    name: "tei",
    route,
    request: || table::request(&REQUEST),
    response: || table::response(&RESPONSE),
    headers: &[("x-compute-tokens", Figure::Input)],
};

fn route(path: &str) -> Option<Route<'_>> {
    match last_segment(path).1 {
        "embed" | "embed_sparse" | "embed_all" => Some(Route::to("embeddings")),
        "rerank" => Some(Route::to("rerank")),
        _ => None,
    }
}

static REQUEST: RequestTable = RequestTable {
    rows: &[],
    shapes: &[
        &[Sign::Has("inputs")],
        &[Sign::Has("query"), Sign::Has("texts")],
    ],
    stream: Some(false),
};

static RESPONSE: ResponseTable = ResponseTable {
    rows: &[
        (&[K("error_type")], Say::ErrorClass),
        (&[K("error")], Say::Error),
    ],
    shapes: &[],
    operation: None,
    resync: &[],
};
