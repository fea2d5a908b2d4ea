//! Google's Gemini API and its like on Vertex AI: `models/M:generateContent`,
//! `:streamGenerateContent`, `:embedContent`, `:batchEmbedContents`.
//!
//! A stream is server-sent events with `alt=sse`, else the elements of one array, written piece by
//! piece. Every event carries the usage so far. `candidatesTokenCount` leaves the reasoning out;
//! here it is in (`gen_ai.usage.output_tokens` of OpenTelemetry counts all). Where it is left out
//! itself, `totalTokenCount` has it: that is the sum of all. Source: Gemini API
//! reference, "Generating content", `UsageMetadata`.

use crate::body::json::Seg::{Any, K};
use crate::llm::dialect::{Dialect, Route, Row, last_segment};
use crate::llm::table::{self, Ask, RequestTable, ResponseTable, Say, Sign};

/// What is known of it.
pub(crate) const ROWS: &[Row] = &[
    Row {
        precedence: 500,
        dialect: DIALECT,
    },
    Row {
        precedence: 600,
        dialect: VERTEX,
    },
];

/// The dialect's row.
pub(crate) const DIALECT: Dialect = Dialect {
    name: "gcp.gemini",
    route: |path| route(path).filter(|_| !path.contains("/publishers/")),
    request: || table::request(&REQUEST),
    response: || table::response(&RESPONSE),
    headers: &[],
};

/// The row of the same on Vertex AI.
pub(crate) const VERTEX: Dialect = Dialect {
    name: "gcp.vertex_ai",
    route: |path| route(path).filter(|_| path.contains("/publishers/google/")),
    ..DIALECT
};

fn route(path: &str) -> Option<Route<'_>> {
    let (before, last) = last_segment(path);
    let (model, method) = last.split_once(':')?;
    let (operation, stream) = match method {
        "generateContent" => ("generate_content", false),
        "streamGenerateContent" => ("generate_content", true),
        "embedContent" | "batchEmbedContents" => ("embeddings", false),
        _ => return None,
    };
    let is_model = before.ends_with("/models") || before.ends_with("/tunedModels");
    (is_model && !model.is_empty()).then_some(Route {
        model: Some(model),
        stream: Some(stream),
        ..Route::to(operation)
    })
}

static REQUEST: RequestTable = RequestTable {
    rows: &[
        (&[K("generationConfig"), K("candidateCount")], Ask::Choices),
        (
            &[K("generation_config"), K("candidate_count")],
            Ask::Choices,
        ),
    ],
    shapes: &[
        &[Sign::Has("contents")],
        &[Sign::Has("content")],
        &[Sign::Has("requests")],
    ],
    stream: None,
};

static RESPONSE: ResponseTable = ResponseTable {
    rows: &[
        (&[K("modelVersion")], Say::Model),
        (&[K("responseId")], Say::Id),
        (
            &[
                K("candidates"),
                Any,
                K("content"),
                K("parts"),
                Any,
                K("text"),
            ],
            Say::Text,
        ),
        (
            &[
                K("candidates"),
                Any,
                K("content"),
                K("parts"),
                Any,
                K("thought"),
            ],
            Say::Thought,
        ),
        (
            &[
                K("candidates"),
                Any,
                K("content"),
                K("parts"),
                Any,
                K("functionCall"),
                K("name"),
            ],
            Say::ToolCall,
        ),
        (
            &[
                K("candidates"),
                Any,
                K("content"),
                K("parts"),
                Any,
                K("functionCall"),
                K("id"),
            ],
            Say::ToolId,
        ),
        (
            &[
                K("candidates"),
                Any,
                K("content"),
                K("parts"),
                Any,
                K("functionCall"),
                K("willContinue"),
            ],
            Say::ToolGoesOn,
        ),
        // What is no text: pictures and sound; code that it runs itself.
        (
            &[
                K("candidates"),
                Any,
                K("content"),
                K("parts"),
                Any,
                K("inlineData"),
                K("data"),
            ],
            Say::Text,
        ),
        (
            &[
                K("candidates"),
                Any,
                K("content"),
                K("parts"),
                Any,
                K("executableCode"),
                K("code"),
            ],
            Say::Tool,
        ),
        (&[K("candidates"), Any, K("index")], Say::Choice),
        (&[K("candidates"), Any, K("finishReason")], Say::Finish),
        (&[K("promptFeedback"), K("blockReason")], Say::Finish),
        // No event follows that ends the stream.
        (&[K("candidates"), Any, K("finishReason")], Say::Last),
        (&[K("promptFeedback"), K("blockReason")], Say::Last),
        (&[K("usageMetadata"), K("promptTokenCount")], Say::Input),
        // What tools gave it to read.
        (
            &[K("usageMetadata"), K("toolUsePromptTokenCount")],
            Say::InputMore,
        ),
        (
            &[K("usageMetadata"), K("candidatesTokenCount")],
            Say::Output,
        ),
        (
            &[K("usageMetadata"), K("thoughtsTokenCount")],
            Say::OutputMore,
        ),
        (
            &[K("usageMetadata"), K("thoughtsTokenCount")],
            Say::ReasoningTokens,
        ),
        (&[K("usageMetadata"), K("totalTokenCount")], Say::Total),
        (
            &[K("usageMetadata"), K("cachedContentTokenCount")],
            Say::Cached,
        ),
        (&[K("error"), K("status")], Say::ErrorClass),
        (&[K("error")], Say::Error),
    ],
    shapes: &[
        &[Sign::Has("candidates")],
        &[Sign::Has("usageMetadata")],
        &[Sign::Has("promptFeedback")],
        &[Sign::Has("embedding")],
        &[Sign::Has("embeddings")],
    ],
    operation: Some("generate_content"),
    resync: &["usageMetadata"],
};
