//! TorchServe: `/predictions/M[/V]`.
//!
//! Its bodies are whatever the handler takes and gives, so that a JSON object with one of the
//! members that its own handlers read is what makes a call. Source: TorchServe, "Inference API".

use crate::body::json::Seg::K;
use crate::llm::dialect::{Dialect, Route, Row};
use crate::llm::table::{self, RequestTable, ResponseTable, Say, Sign};

/// What is known of it.
pub(crate) const ROWS: &[Row] = &[Row {
    precedence: 2100,
    dialect: DIALECT,
}];

/// The dialect's row.
pub(crate) const DIALECT: Dialect = Dialect {
    name: "torchserve",
    route,
    request: || table::request(&REQUEST),
    response: || table::response(&RESPONSE),
    headers: &[],
};

fn route(path: &str) -> Option<Route<'_>> {
    let (_, rest) = path.rsplit_once("/predictions/")?;
    let model = rest.split('/').next().filter(|m| !m.is_empty())?;
    (rest.split('/').count() <= 2).then_some(Route {
        model: Some(model),
        ..Route::to("inference")
    })
}

static REQUEST: RequestTable = RequestTable {
    rows: &[],
    shapes: &[
        &[Sign::Has("data")],
        &[Sign::Has("body")],
        &[Sign::Has("instances")],
        &[Sign::Has("input")],
        &[Sign::Has("inputs")],
        &[Sign::Has("prompt")],
    ],
    stream: None,
};

static RESPONSE: ResponseTable = ResponseTable {
    rows: &[
        (&[K("type")], Say::ErrorClass),
        (&[K("message")], Say::ErrorMessage),
    ],
    // `{"code": 404, "type": "ModelNotFoundException", "message": ...}`
    shapes: &[&[Sign::Has("code"), Sign::Has("type"), Sign::Has("message")]],
    operation: None,
    resync: &[],
};
