//! Alibaba's DashScope in its own shape: `/api/v1/services/aigc/...`, embeddings, rerank, applications.
//!
//! A stream is asked for by a header field, and its events, named `result`, have the text so far or, with
//! `incremental_output`, its pieces; each carries the counts so far. `finish_reason` is the text `null` of
//! an answer that goes on. Its `/compatible-mode` is OpenAI's dialect. Source: Alibaba Cloud Model Studio,
//! "DashScope API reference".

use crate::body::json::Seg::{self, Any, K};
use crate::llm::dialect::{Dialect, Route, Row};
use crate::llm::table::{self, Ask, RequestTable, ResponseTable, Say, Sign};

/// What is known of it.
pub(crate) const ROWS: &[Row] = &[Row {
    precedence: 850,
    dialect: DIALECT,
}];

/// The dialect's row.
pub(crate) const DIALECT: Dialect = Dialect {
    name: "dashscope",
    route,
    request: || table::request(&REQUEST),
    response: || table::response(&RESPONSE),
    headers: &[],
};

const PATHS: [(&str, &str); 5] = [
    ("/services/aigc/text-generation/generation", "chat"),
    ("/services/aigc/multimodal-generation/generation", "chat"),
    (
        "/services/embeddings/text-embedding/text-embedding",
        "embeddings",
    ),
    (
        "/services/embeddings/multimodal-embedding/multimodal-embedding",
        "embeddings",
    ),
    ("/services/rerank/text-rerank/text-rerank", "rerank"),
];

/// The path of an application names that, and no model.
fn route(path: &str) -> Option<Route<'_>> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let is_application = path.contains("/api/v1/apps/") && path.ends_with("/completion");
    let by_path = PATHS.iter().find(|(end, _)| path.ends_with(end));
    let operation = by_path.map(|(_, operation)| *operation);
    let operation = operation.or(is_application.then_some("chat"))?;
    Some(Route::to(operation))
}

static REQUEST: RequestTable = RequestTable {
    rows: &[
        (&[K("model")], Ask::Model),
        (&[K("parameters"), K("n")], Ask::Choices),
    ],
    shapes: &[&[Sign::Has("input")]],
    stream: None,
};

const OUTPUT: Seg = K("output");
const CHOICES: Seg = K("choices");
const MESSAGE: Seg = K("message");
const CALLS: Seg = K("tool_calls");
const MODELS: Seg = K("models");

/// Reasons to end.
const FINISHED: &[&str] = &["stop", "length", "tool_calls", "content_filter"];

static RESPONSE: ResponseTable = ResponseTable {
    rows: &[
        (&[K("request_id")], Say::Id),
        (&[OUTPUT, K("text")], Say::Whole),
        (&[OUTPUT, K("finish_reason")], Say::Finish),
        (&[OUTPUT, K("finish_reason")], Say::LastIf(FINISHED)),
        (&[OUTPUT, CHOICES, Any, MESSAGE, K("content")], Say::Whole),
        (
            &[OUTPUT, CHOICES, Any, MESSAGE, K("content"), Any, K("text")],
            Say::Whole,
        ),
        (
            &[OUTPUT, CHOICES, Any, MESSAGE, K("reasoning_content")],
            Say::Reasoning,
        ),
        (
            &[
                OUTPUT,
                CHOICES,
                Any,
                MESSAGE,
                CALLS,
                Any,
                K("function"),
                K("name"),
            ],
            Say::ToolCall,
        ),
        (
            &[OUTPUT, CHOICES, Any, MESSAGE, CALLS, Any, K("id")],
            Say::ToolId,
        ),
        (
            &[OUTPUT, CHOICES, Any, MESSAGE, CALLS, Any, K("index")],
            Say::ToolIndex,
        ),
        (&[OUTPUT, CHOICES, Any, K("index")], Say::Choice),
        (&[OUTPUT, CHOICES, Any, K("finish_reason")], Say::Finish),
        (
            &[OUTPUT, CHOICES, Any, K("finish_reason")],
            Say::LastIf(FINISHED),
        ),
        (&[K("usage"), K("input_tokens")], Say::Input),
        (&[K("usage"), K("output_tokens")], Say::Output),
        (&[K("usage"), K("total_tokens")], Say::Total),
        (
            &[K("usage"), K("prompt_tokens_details"), K("cached_tokens")],
            Say::Cached,
        ),
        (
            &[
                K("usage"),
                K("output_tokens_details"),
                K("reasoning_tokens"),
            ],
            Say::ReasoningTokens,
        ),
        // An application reports for each model that it called.
        (
            &[K("usage"), MODELS, Any, K("input_tokens")],
            Say::InputMore,
        ),
        (
            &[K("usage"), MODELS, Any, K("output_tokens")],
            Say::OutputMore,
        ),
        (&[K("usage"), MODELS, Any, K("model_id")], Say::ModelOfAll),
        // Empty where there is none.
        (&[K("code")], Say::ErrorClass),
    ],
    shapes: &[
        &[Sign::Has("output"), Sign::Has("request_id")],
        &[
            Sign::Has("code"),
            Sign::Has("message"),
            Sign::Has("request_id"),
        ],
    ],
    operation: Some("chat"),
    resync: &["usage"],
};
