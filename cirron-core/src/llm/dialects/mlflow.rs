//! MLflow's scoring server: `/invocations`, with data frames or tensors, or with messages of a chat, whole or as events.
//!
//! Source: MLflow, "Deploy MLflow model locally", "Inference server specification".

use crate::body::json::Seg::{Any, K};
use crate::llm::dialect::{Dialect, Route, Row, last_segment};
use crate::llm::table::{self, Ask, RequestTable, ResponseTable, Say, Sign};

/// What is known of it.
pub(crate) const ROWS: &[Row] = &[Row {
    precedence: 2000,
    dialect: DIALECT,
}];

/// The dialect's row.
pub(crate) const DIALECT: Dialect = Dialect {
    name: "mlflow",
    route,
    request: || table::request(&REQUEST),
    response: || table::response(&RESPONSE),
    headers: &[],
};

fn route(path: &str) -> Option<Route<'_>> {
    (last_segment(path).1 == "invocations").then_some(Route::to("inference"))
}

static REQUEST: RequestTable = RequestTable {
    rows: &[(&[K("stream")], Ask::Stream)],
    shapes: &[
        &[Sign::Has("dataframe_split")],
        &[Sign::Has("dataframe_records")],
        &[Sign::Has("instances")],
        &[Sign::Has("inputs")],
        &[Sign::Has("messages")],
    ],
    stream: Some(false),
};

static RESPONSE: ResponseTable = ResponseTable {
    rows: &[
        // Its chat models answer as OpenAI's do.
        (
            &[K("object")],
            Say::GeneratesIf(&["chat.completion", "chat.completion.chunk"]),
        ),
        (
            &[K("choices"), Any, K("message"), K("content")],
            Say::Answer,
        ),
        (&[K("choices"), Any, K("delta"), K("content")], Say::Answer),
        (
            &[
                K("choices"),
                Any,
                K("delta"),
                K("tool_calls"),
                Any,
                K("function"),
                K("name"),
            ],
            Say::ToolCall,
        ),
        (
            &[
                K("choices"),
                Any,
                K("message"),
                K("tool_calls"),
                Any,
                K("function"),
                K("name"),
            ],
            Say::ToolCall,
        ),
        (&[K("model")], Say::Model),
        (&[K("usage"), K("prompt_tokens")], Say::Input),
        (&[K("usage"), K("completion_tokens")], Say::Output),
        (&[K("usage"), K("total_tokens")], Say::Total),
        (&[K("choices"), Any, K("finish_reason")], Say::Finish),
        (&[K("error_code")], Say::ErrorClass),
    ],
    shapes: &[
        &[Sign::Has("predictions")],
        &[Sign::Has("choices"), Sign::Has("object")],
        &[Sign::Has("error_code"), Sign::Has("message")],
    ],
    operation: None,
    resync: &[],
};
