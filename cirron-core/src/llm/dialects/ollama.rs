//! Ollama's own API: `/api/generate`, `/api/chat`, `/api/embed`, `/api/embeddings`.
//!
//! Streams are lines of JSON, and asked for unless the request says otherwise; the last line, `done`,
//! carries the counts. A prompt that is in the cache is left out of `prompt_eval_count` by older
//! versions: what is not said stays absent. Source: Ollama's `docs/api.md`.

use crate::body::json::Seg::{Any, K};
use crate::llm::dialect::{Dialect, Route, Row};
use crate::llm::table::{self, Ask, RequestTable, ResponseTable, Say, Sign};

/// What is known of it.
pub(crate) const ROWS: &[Row] = &[Row {
    precedence: 900,
    dialect: DIALECT,
}];

/// The dialect's row.
pub(crate) const DIALECT: Dialect = Dialect {
    name: "ollama",
    route,
    request: || table::request(&REQUEST),
    response: || table::response(&RESPONSE),
    headers: &[],
};

const PATHS: [(&str, &str); 4] = [
    ("/api/chat", "chat"),
    ("/api/generate", "text_completion"),
    ("/api/embed", "embeddings"),
    ("/api/embeddings", "embeddings"),
];

fn route(path: &str) -> Option<Route<'_>> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let (_, operation) = PATHS.iter().find(|(end, _)| path.ends_with(end))?;
    let embeds = *operation == "embeddings";
    Some(Route {
        stream: embeds.then_some(false),
        ..Route::to(operation).weak()
    })
}

static REQUEST: RequestTable = RequestTable {
    rows: &[(&[K("model")], Ask::Model), (&[K("stream")], Ask::Stream)],
    shapes: &[
        &[Sign::Has("model"), Sign::Has("messages")],
        &[Sign::Has("model"), Sign::Has("prompt")],
        &[Sign::Has("model"), Sign::Has("input")],
    ],
    stream: Some(true),
};

static RESPONSE: ResponseTable = ResponseTable {
    rows: &[
        (&[K("model")], Say::Model),
        (&[K("response")], Say::Answer),
        (&[K("thinking")], Say::Reasoning),
        (&[K("message"), K("content")], Say::Answer),
        (&[K("message"), K("thinking")], Say::Reasoning),
        (
            &[K("message"), K("tool_calls"), Any, K("function"), K("name")],
            Say::ToolCall,
        ),
        (
            &[
                K("message"),
                K("tool_calls"),
                Any,
                K("function"),
                K("index"),
            ],
            Say::ToolIndex,
        ),
        (&[K("message"), K("tool_calls"), Any, K("id")], Say::ToolId),
        (&[K("prompt_eval_count")], Say::Input),
        (&[K("eval_count")], Say::Output),
        (&[K("done_reason")], Say::Finish),
        (&[K("done")], Say::Last),
        // A text; an object of who stands before it.
        (&[K("error"), K("type")], Say::ErrorClass),
        (&[K("error")], Say::Error),
    ],
    shapes: &[
        &[
            Sign::Has("model"),
            Sign::Has("created_at"),
            Sign::Has("done"),
        ],
        &[Sign::Has("model"), Sign::Has("embeddings")],
    ],
    operation: None,
    resync: &[],
};
