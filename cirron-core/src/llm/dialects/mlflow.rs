//! MLflow's scoring server: `/invocations`, with data frames or tensors.
//!
//! Source: MLflow, "Deploy MLflow model locally", "Inference server specification".

use crate::body::json::Seg::K;
use crate::llm::dialect::{Dialect, Route, Row, last_segment};
use crate::llm::table::{self, RequestTable, ResponseTable, Say, Sign};

/// What is known of it.
pub const ROWS: &[Row] = &[Row {
    precedence: 2000,
    dialect: DIALECT,
}];

/// The dialect's row.
pub const DIALECT: Dialect = Dialect {
    name: "mlflow",
    route,
    request: || table::request(&REQUEST),
    response: || table::response(&RESPONSE),
    by_response: false,
    headers: &[],
};

fn route(path: &str) -> Option<Route<'_>> {
    (last_segment(path).1 == "invocations").then_some(Route::to("inference"))
}

static REQUEST: RequestTable = RequestTable {
    rows: &[],
    shapes: &[
        &[Sign::Has("dataframe_split")],
        &[Sign::Has("dataframe_records")],
        &[Sign::Has("instances")],
        &[Sign::Has("inputs")],
    ],
    stream: Some(false),
};

static RESPONSE: ResponseTable = ResponseTable {
    rows: &[(&[K("error_code")], Say::ErrorClass)],
    shapes: &[
        &[Sign::Has("predictions")],
        &[Sign::Has("error_code"), Sign::Has("message")],
    ],
    operation: None,
    resync: &[],
};
