//! A dialect that nobody speaks: it shows what a new one takes. This file, and its goldens.

use crate::body::json::Seg::{Any, K};
use crate::llm::dialect::{Dialect, Route, Row, last_segment};
use crate::llm::table::{self, Ask, RequestTable, ResponseTable, Say, Sign};

/// What is known of it.
pub(crate) const ROWS: &[Row] = &[Row {
    precedence: 10_000,
    dialect: Dialect {
        name: "newcomer",
        route: |path| (last_segment(path).1 == "utter").then_some(Route::to("chat")),
        request: || table::request(&REQUEST),
        response: || table::response(&RESPONSE),
        headers: &[],
    },
}];

static REQUEST: RequestTable = RequestTable {
    rows: &[(&[K("voice")], Ask::Model), (&[K("live")], Ask::Stream)],
    shapes: &[&[Sign::Has("voice"), Sign::Has("turns")]],
    stream: Some(false),
};

static RESPONSE: ResponseTable = ResponseTable {
    rows: &[
        (&[K("voice")], Say::Model),
        (&[K("said"), Any, K("words")], Say::Answer),
        (&[K("cost"), K("heard")], Say::Input),
        (&[K("cost"), K("spoken")], Say::Output),
        (&[K("stopped")], Say::Finish),
    ],
    shapes: &[&[Sign::Has("voice"), Sign::Has("said")]],
    operation: Some("chat"),
    resync: &["cost"],
};
