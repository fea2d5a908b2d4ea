//! TensorFlow Serving: `/v1/models/M[/versions/V|/labels/L]:predict`, `:classify`, `:regress`.
//!
//! KServe's v1 is the same without versions and signatures: where nothing tells them apart, that is
//! what it is called. Source: TensorFlow Serving, "RESTful API".

use crate::body::json::Seg::K;
use crate::llm::dialect::{Dialect, Route, Row};
use crate::llm::table::{self, RequestTable, ResponseTable, Say, Sign};

/// What is known of it.
pub(crate) const ROWS: &[Row] = &[Row {
    precedence: 1900,
    dialect: DIALECT,
}];

/// The dialect's row.
pub(crate) const DIALECT: Dialect = Dialect {
    name: "tensorflow_serving",
    route,
    request: || table::request(&REQUEST),
    response: || table::response(&RESPONSE),
    headers: &[],
};

fn route(path: &str) -> Option<Route<'_>> {
    let (_, rest) = path.rsplit_once("/v1/models/")?;
    let (model, verb) = rest.rsplit_once(':')?;
    let (model, version) = model.split_once('/').map_or((model, ""), |(m, v)| (m, v));
    let known = matches!(verb, "predict" | "classify" | "regress");
    let versioned = version.starts_with("versions/") || version.starts_with("labels/");
    (known && !model.is_empty() && (version.is_empty() || versioned)).then_some(Route {
        model: Some(model),
        ..Route::to("inference")
    })
}

static REQUEST: RequestTable = RequestTable {
    rows: &[],
    shapes: &[
        &[Sign::Has("signature_name")],
        &[Sign::Has("examples")],
        &[Sign::Has("inputs")],
        &[Sign::Has("instances")],
    ],
    stream: Some(false),
};

static RESPONSE: ResponseTable = ResponseTable {
    rows: &[(&[K("error")], Say::Error)],
    shapes: &[
        &[Sign::Has("predictions")],
        &[Sign::Has("results")],
        &[Sign::Has("outputs")],
    ],
    operation: None,
    resync: &[],
};
