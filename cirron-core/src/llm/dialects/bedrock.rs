//! Amazon Bedrock's Converse: `/model/M/converse`, `/model/M/converse-stream`.
//!
//! A stream is AWS's event stream, whose messages have their kind in their framing: an exception is
//! known by that name alone. Input tokens leave out what came from the cache; here it is in
//! (`gen_ai.usage.input_tokens` of OpenTelemetry counts all). Source: Bedrock API reference,
//! `Converse`, `ConverseStream`.

use crate::body::json::Seg::{Any, K};
use crate::llm::dialect::{Dialect, Figure, Route, Row, last_segment};
use crate::llm::table::{self, RequestTable, ResponseTable, Say, Sign};

/// What is known of it.
pub(crate) const ROWS: &[Row] = &[Row {
    precedence: 700,
    dialect: DIALECT,
}];

/// The dialect's row.
pub(crate) const DIALECT: Dialect = Dialect {
    name: "aws.bedrock",
    route,
    request: || table::request(&REQUEST),
    response: || table::response(&RESPONSE),
    headers: &[
        ("x-amzn-bedrock-input-token-count", Figure::Input),
        ("x-amzn-bedrock-output-token-count", Figure::Output),
    ],
};

fn route(path: &str) -> Option<Route<'_>> {
    let (before, verb) = last_segment(path);
    let stream = match verb {
        "converse" => false,
        "converse-stream" => true,
        _ => return None,
    };
    let (before, model) = before.rsplit_once('/')?;
    before.ends_with("/model").then_some(Route {
        model: Some(model),
        stream: Some(stream),
        ..Route::to("chat")
    })
}

static REQUEST: RequestTable = RequestTable {
    rows: &[],
    shapes: &[&[Sign::Has("messages")], &[Sign::Has("prompt")]],
    stream: None,
};

static RESPONSE: ResponseTable = ResponseTable {
    rows: &[
        (
            &[K("output"), K("message"), K("content"), Any, K("text")],
            Say::Answer,
        ),
        (
            &[
                K("output"),
                K("message"),
                K("content"),
                Any,
                K("reasoningContent"),
                K("reasoningText"),
                K("text"),
            ],
            Say::Reasoning,
        ),
        (
            &[
                K("output"),
                K("message"),
                K("content"),
                Any,
                K("toolUse"),
                K("name"),
            ],
            Say::ToolCall,
        ),
        (&[K("delta"), K("text")], Say::Answer),
        (
            &[K("delta"), K("reasoningContent"), K("text")],
            Say::Reasoning,
        ),
        (&[K("delta"), K("toolUse"), K("input")], Say::Tool),
        (
            &[
                K("output"),
                K("message"),
                K("content"),
                Any,
                K("toolUse"),
                K("toolUseId"),
            ],
            Say::ToolId,
        ),
        (&[K("start"), K("toolUse"), K("name")], Say::ToolCall),
        (&[K("start"), K("toolUse"), K("toolUseId")], Say::ToolId),
        (&[K("contentBlockIndex")], Say::ToolIndex),
        (&[K("stopReason")], Say::Finish),
        // `metadata`, behind `messageStop`.
        (&[K("metrics")], Say::Last),
        (&[K("usage"), K("inputTokens")], Say::Input),
        (&[K("usage"), K("cacheReadInputTokens")], Say::InputMore),
        (&[K("usage"), K("cacheWriteInputTokens")], Say::InputMore),
        (&[K("usage"), K("cacheReadInputTokens")], Say::Cached),
        (&[K("usage"), K("outputTokens")], Say::Output),
        (&[K("usage"), K("totalTokens")], Say::Total),
        (&[K("__type")], Say::ErrorClass),
    ],
    shapes: &[
        &[Sign::Has("output"), Sign::Has("stopReason")],
        &[Sign::Has("contentBlockIndex")],
        &[Sign::Has("usage"), Sign::Has("metrics")],
        &[Sign::Has("stopReason")],
    ],
    operation: Some("chat"),
    resync: &["usage"],
};
