//! KoboldCpp's own API: `/api/v1/generate`, `/api/extra/generate/stream`.
//!
//! The stream's events are named `message` and have a token each; the last says why it ended. A whole
//! answer counts its tokens in each of its results. KoboldAI and TabbyAPI speak it too. Source:
//! KoboldCpp's API description, "GenerationOutput", and its `koboldcpp.py`.

use crate::body::json::Seg::{Any, K};
use crate::llm::dialect::{Dialect, Route, Row};
use crate::llm::table::{self, Ask, RequestTable, ResponseTable, Say, Sign};

/// What is known of it.
pub(crate) const ROWS: &[Row] = &[Row {
    precedence: 950,
    dialect: DIALECT,
}];

/// The dialect's row.
pub(crate) const DIALECT: Dialect = Dialect {
    name: "koboldcpp",
    route,
    request: || table::request(&REQUEST),
    response: || table::response(&RESPONSE),
    headers: &[],
};

const PATHS: [(&str, bool); 3] = [
    ("/api/v1/generate", false),
    ("/api/latest/generate", false),
    ("/api/extra/generate/stream", true),
];

fn route(path: &str) -> Option<Route<'_>> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let (_, stream) = PATHS.iter().find(|(end, _)| path.ends_with(end))?;
    Some(Route {
        stream: Some(*stream),
        ..Route::to("text_completion")
    })
}

static REQUEST: RequestTable = RequestTable {
    rows: &[(&[K("n")], Ask::Choices)],
    shapes: &[&[Sign::Has("prompt")]],
    stream: None,
};

static RESPONSE: ResponseTable = ResponseTable {
    rows: &[
        // Events.
        (&[K("token")], Say::Answer),
        (&[K("finish_reason")], Say::Finish),
        (&[K("finish_reason")], Say::Last),
        // Whole.
        (&[K("results"), Any, K("text")], Say::Answer),
        (&[K("results"), Any, K("finish_reason")], Say::Finish),
        // Each result is of the same prompt.
        (&[K("results"), Any, K("prompt_tokens")], Say::Input),
        (
            &[K("results"), Any, K("completion_tokens")],
            Say::OutputEach,
        ),
        (
            &[
                K("results"),
                Any,
                K("tool_calls"),
                Any,
                K("function"),
                K("name"),
            ],
            Say::ToolCall,
        ),
        (
            &[K("results"), Any, K("tool_calls"), Any, K("id")],
            Say::ToolId,
        ),
        // `{"detail": {"msg": ..., "type": "service_unavailable"}}`
        (&[K("detail"), K("type")], Say::ErrorClass),
        (&[K("error")], Say::Error),
    ],
    shapes: &[
        &[Sign::Has("token"), Sign::Has("finish_reason")],
        &[Sign::Has("results")],
    ],
    operation: Some("text_completion"),
    resync: &[],
};
