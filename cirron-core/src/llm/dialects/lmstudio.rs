//! LM Studio's own API: `/api/v1/chat`.
//!
//! The stream has typed events; the last, `chat.end`, repeats the whole answer as `result`, which is no
//! content, with the counts. Loading a model and reading the prompt are events of their own. Its older
//! `/api/v0/chat/completions` is OpenAI's dialect. Source: LM Studio's documentation, "Chat with a
//! model", "Streaming events".

use crate::body::json::Seg::{self, Any, K};
use crate::llm::dialect::{Dialect, Route, Row};
use crate::llm::table::{self, Ask, RequestTable, ResponseTable, Say, Sign};

/// What is known of it.
pub(crate) const ROWS: &[Row] = &[Row {
    precedence: 750,
    dialect: DIALECT,
}];

/// The dialect's row.
pub(crate) const DIALECT: Dialect = Dialect {
    name: "lm_studio",
    route,
    request: || table::request(&REQUEST),
    response: || table::response(&RESPONSE),
    headers: &[],
};

fn route(path: &str) -> Option<Route<'_>> {
    let path = path.strip_suffix('/').unwrap_or(path);
    path.ends_with("/api/v1/chat")
        .then_some(Route::to("chat").weak())
}

static REQUEST: RequestTable = RequestTable {
    rows: &[(&[K("model")], Ask::Model), (&[K("stream")], Ask::Stream)],
    shapes: &[&[Sign::Has("model"), Sign::Has("input")]],
    stream: Some(false),
};

const RESULT: Seg = K("result");

static RESPONSE: ResponseTable = ResponseTable {
    rows: &[
        (&[K("model_instance_id")], Say::Model),
        // Events.
        (&[K("content")], Say::Text),
        (&[K("type")], Say::ThoughtIf(&["reasoning.delta"])),
        (&[K("type")], Say::CallIf(&["tool_call.start"])),
        (&[K("type")], Say::LastIf(&["chat.end"])),
        (&[RESULT, K("model_instance_id")], Say::Model),
        (&[RESULT, K("response_id")], Say::Id),
        (&[RESULT, K("stats"), K("input_tokens")], Say::Input),
        (&[RESULT, K("stats"), K("total_output_tokens")], Say::Output),
        (
            &[RESULT, K("stats"), K("reasoning_output_tokens")],
            Say::ReasoningTokens,
        ),
        // Whole.
        (&[K("response_id")], Say::Id),
        (&[K("output"), Any, K("content")], Say::Text),
        (
            &[K("output"), Any, K("type")],
            Say::ThoughtIf(&["reasoning"]),
        ),
        (&[K("output"), Any, K("tool")], Say::ToolCall),
        (&[K("stats"), K("input_tokens")], Say::Input),
        (&[K("stats"), K("total_output_tokens")], Say::Output),
        (
            &[K("stats"), K("reasoning_output_tokens")],
            Say::ReasoningTokens,
        ),
        (&[K("error"), K("type")], Say::ErrorClass),
        (&[K("error")], Say::Error),
    ],
    shapes: &[
        &[Sign::Has("model_instance_id"), Sign::Has("output")],
        &[Sign::Is(
            "type",
            &[
                "chat.start",
                "chat.end",
                "message.delta",
                "reasoning.delta",
                "prompt_processing.start",
                "prompt_processing.end",
            ],
        )],
    ],
    operation: Some("chat"),
    resync: &["stats"],
};
