//! Cohere's API: `/v2/chat`, `/v1/chat`, `embed`, `rerank`.
//!
//! `usage.tokens` is what the model read and wrote; `billed_units` counts otherwise and is taken
//! only where nothing else is said. Rerankers of others (vLLM, llama.cpp, Jina) answer on its path, with usage as
//! OpenAI writes it. Source: Cohere's API reference, "Chat", "Chat with streaming".

use crate::body::json::Seg::{Any, K};
use crate::llm::dialect::{Dialect, Route, Row, last_segment};
use crate::llm::table::{self, Ask, RequestTable, ResponseTable, Say, Sign};

/// What is known of it.
pub(crate) const ROWS: &[Row] = &[
    Row {
        precedence: 800,
        dialect: DIALECT,
    },
    Row {
        precedence: 825,
        dialect: RERANK,
    },
];

/// The dialect's row.
pub(crate) const DIALECT: Dialect = Dialect {
    name: "cohere",
    route,
    request: || table::request(&REQUEST),
    response: || table::response(&RESPONSE),
    headers: &[],
};

/// The row of rerankers of others, on a path that text-embeddings-inference has too.
pub(crate) const RERANK: Dialect = Dialect {
    route: |path| (last_segment(path).1 == "rerank").then_some(Route::to("rerank")),
    request: || table::request(&RERANK_REQUEST),
    ..DIALECT
};

const PATHS: [(&str, &str); 6] = [
    ("/v2/chat", "chat"),
    ("/v1/chat", "chat"),
    ("/v2/embed", "embeddings"),
    ("/v1/embed", "embeddings"),
    ("/v2/rerank", "rerank"),
    ("/v1/rerank", "rerank"),
];

fn route(path: &str) -> Option<Route<'_>> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let (_, operation) = PATHS.iter().find(|(end, _)| path.ends_with(end))?;
    let route = Route::to(operation);
    // Any service of chats may have one.
    Some(if *operation == "chat" {
        route.weak()
    } else {
        route
    })
}

static REQUEST: RequestTable = RequestTable {
    rows: &[(&[K("model")], Ask::Model), (&[K("stream")], Ask::Stream)],
    shapes: &[
        &[Sign::Has("messages")],
        &[Sign::Has("message")],
        &[Sign::Has("texts")],
        &[Sign::Has("images")],
        &[Sign::Has("inputs")],
        &[Sign::Has("query"), Sign::Has("documents")],
    ],
    stream: Some(false),
};

static RERANK_REQUEST: RequestTable = RequestTable {
    rows: &[(&[K("model")], Ask::Model)],
    shapes: &[&[Sign::Has("query"), Sign::Has("documents")]],
    stream: Some(false),
};

/// Reasons to end that are errors.
const FAILED: &[&str] = &["ERROR", "TIMEOUT"];

const DELTA: crate::body::json::Seg = K("delta");

static RESPONSE: ResponseTable = ResponseTable {
    rows: &[
        (&[K("id")], Say::Id),
        (&[K("generation_id")], Say::Id),
        (&[K("response"), K("generation_id")], Say::Id),
        // v2, whole.
        (&[K("message"), K("content"), Any, K("text")], Say::Answer),
        (
            &[K("message"), K("content"), Any, K("thinking")],
            Say::Reasoning,
        ),
        (
            &[K("message"), K("tool_calls"), Any, K("function"), K("name")],
            Say::ToolCall,
        ),
        (&[K("message"), K("tool_calls"), Any, K("id")], Say::ToolId),
        (&[K("message"), K("tool_plan")], Say::Reasoning),
        (&[K("finish_reason")], Say::Finish),
        (&[K("finish_reason")], Say::FailsIf(FAILED)),
        (&[K("usage"), K("tokens"), K("input_tokens")], Say::Input),
        (&[K("usage"), K("tokens"), K("output_tokens")], Say::Output),
        (&[K("usage"), K("cached_tokens")], Say::Cached),
        (
            &[K("usage"), K("billed_units"), K("input_tokens")],
            Say::InputElse,
        ),
        (
            &[K("usage"), K("billed_units"), K("output_tokens")],
            Say::OutputElse,
        ),
        // v2, events.
        (&[DELTA, K("message"), K("content"), K("text")], Say::Answer),
        (
            &[DELTA, K("message"), K("content"), K("thinking")],
            Say::Reasoning,
        ),
        (
            &[
                DELTA,
                K("message"),
                K("tool_calls"),
                K("function"),
                K("name"),
            ],
            Say::ToolCall,
        ),
        (
            &[DELTA, K("message"), K("tool_calls"), K("id")],
            Say::ToolId,
        ),
        (&[K("index")], Say::ToolIndex),
        (
            &[
                DELTA,
                K("message"),
                K("tool_calls"),
                K("function"),
                K("arguments"),
            ],
            Say::Tool,
        ),
        (&[DELTA, K("message"), K("tool_plan")], Say::Reasoning),
        (&[DELTA, K("finish_reason")], Say::Finish),
        (&[DELTA, K("finish_reason")], Say::FailsIf(FAILED)),
        (&[DELTA, K("error")], Say::Error),
        (
            &[DELTA, K("usage"), K("tokens"), K("input_tokens")],
            Say::Input,
        ),
        (
            &[DELTA, K("usage"), K("tokens"), K("output_tokens")],
            Say::Output,
        ),
        (&[DELTA, K("usage"), K("cached_tokens")], Say::Cached),
        (
            &[DELTA, K("usage"), K("billed_units"), K("input_tokens")],
            Say::InputElse,
        ),
        (
            &[DELTA, K("usage"), K("billed_units"), K("output_tokens")],
            Say::OutputElse,
        ),
        (&[K("type")], Say::LastIf(&["message-end"])),
        // v1.
        (&[K("event_type")], Say::LastIf(&["stream-end"])),
        (&[K("text")], Say::Answer),
        (&[K("tool_calls"), Any, K("name")], Say::ToolCall),
        // Pieces of a call that is told of whole behind them.
        (&[K("tool_call_delta"), K("name")], Say::Tool),
        (&[K("tool_call_delta"), K("parameters")], Say::Tool),
        (&[K("meta"), K("tokens"), K("input_tokens")], Say::Input),
        (&[K("meta"), K("tokens"), K("output_tokens")], Say::Output),
        (
            &[K("meta"), K("billed_units"), K("input_tokens")],
            Say::InputElse,
        ),
        (
            &[K("meta"), K("billed_units"), K("output_tokens")],
            Say::OutputElse,
        ),
        (
            &[K("response"), K("meta"), K("tokens"), K("input_tokens")],
            Say::Input,
        ),
        (
            &[K("response"), K("meta"), K("tokens"), K("output_tokens")],
            Say::Output,
        ),
        (
            &[
                K("response"),
                K("meta"),
                K("billed_units"),
                K("input_tokens"),
            ],
            Say::InputElse,
        ),
        (
            &[
                K("response"),
                K("meta"),
                K("billed_units"),
                K("output_tokens"),
            ],
            Say::OutputElse,
        ),
        // Rerankers of others: vLLM, llama.cpp, Jina.
        (&[K("model")], Say::Model),
        (&[K("usage"), K("prompt_tokens")], Say::Input),
        (&[K("usage"), K("total_tokens")], Say::Total),
    ],
    shapes: &[
        &[
            Sign::Has("id"),
            Sign::Has("message"),
            Sign::Has("finish_reason"),
        ],
        &[Sign::Is(
            "type",
            &[
                "message-start",
                "content-start",
                "content-delta",
                "tool-plan-delta",
                "tool-call-start",
                "message-end",
            ],
        )],
        &[Sign::Has("generation_id"), Sign::Has("text")],
        &[Sign::Is(
            "event_type",
            &["stream-start", "text-generation", "stream-end"],
        )],
        &[Sign::Has("id"), Sign::Has("embeddings"), Sign::Has("meta")],
        &[Sign::Has("id"), Sign::Has("results"), Sign::Has("meta")],
        &[Sign::Has("model"), Sign::Has("results"), Sign::Has("usage")],
    ],
    operation: None,
    resync: &["usage"],
};
