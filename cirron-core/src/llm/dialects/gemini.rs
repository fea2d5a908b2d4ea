//! Google's Gemini API and its like on Vertex AI: `models/M:generateContent`,
//! `:streamGenerateContent`, `:embedContent`, `:batchEmbedContents`; on Vertex AI also `:predict`, whose embeddings
//! count the tokens of each text.
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
    Row {
        precedence: 650,
        dialect: VERTEX_PREDICT,
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

/// The row of models of Vertex AI that do not speak Gemini's dialect: embeddings and pictures.
pub(crate) const VERTEX_PREDICT: Dialect = Dialect {
    name: "gcp.vertex_ai",
    route: |path| {
        let (_, rest) = path.rsplit_once("/publishers/google/models/")?;
        let (model, "predict") = rest.rsplit_once(':')? else {
            return None;
        };
        let is = |names: &[&str]| names.iter().any(|name| model.contains(name));
        let operation = match model {
            _ if is(&["embedding"]) => "embeddings",
            _ if is(&["imagen", "imagegeneration"]) => "image_generation",
            _ => "inference",
        };
        Some(Route {
            model: Some(model),
            stream: Some(false),
            ..Route::to(operation)
        })
    },
    request: || table::request(&PREDICT_REQUEST),
    response: || table::response(&PREDICT_RESPONSE),
    headers: &[],
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

static PREDICT_REQUEST: RequestTable = RequestTable {
    rows: &[],
    shapes: &[&[Sign::Has("instances")]],
    stream: None,
};

static PREDICT_RESPONSE: ResponseTable = ResponseTable {
    rows: &[
        (
            &[
                K("predictions"),
                Any,
                K("embeddings"),
                K("statistics"),
                K("token_count"),
            ],
            Say::InputMore,
        ),
        (&[K("error"), K("status")], Say::ErrorClass),
        (&[K("error")], Say::Error),
    ],
    shapes: &[&[Sign::Has("predictions")]],
    operation: None,
    resync: &[],
};

/// A member of a part of a candidate, as long as `$more` says.
macro_rules! part {
    ($($more:literal),+) => {
        &[K("candidates"), Any, K("content"), K("parts"), Any, $(K($more)),+]
    };
}

static RESPONSE: ResponseTable = ResponseTable {
    rows: &[
        (&[K("modelVersion")], Say::Model),
        (&[K("responseId")], Say::Id),
        (part!("text"), Say::Text),
        (part!("thought"), Say::Thought),
        (part!("functionCall", "name"), Say::ToolCall),
        (part!("functionCall", "id"), Say::ToolId),
        (part!("functionCall", "willContinue"), Say::ToolGoesOn),
        // What is no text: pictures and sound; code that it runs itself.
        (part!("inlineData", "data"), Say::TextBelow),
        (part!("executableCode", "code"), Say::Tool),
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
        // The same by gateways in Python, which write the names of their library.
        (&[K("model_version")], Say::Model),
        (&[K("response_id")], Say::Id),
        (part!("function_call", "name"), Say::ToolCall),
        (part!("function_call", "id"), Say::ToolId),
        (part!("function_call", "will_continue"), Say::ToolGoesOn),
        (part!("inline_data", "data"), Say::TextBelow),
        (part!("executable_code", "code"), Say::Tool),
        (&[K("candidates"), Any, K("finish_reason")], Say::Finish),
        (&[K("prompt_feedback"), K("block_reason")], Say::Finish),
        (&[K("candidates"), Any, K("finish_reason")], Say::Last),
        (&[K("prompt_feedback"), K("block_reason")], Say::Last),
        (&[K("usage_metadata"), K("prompt_token_count")], Say::Input),
        (
            &[K("usage_metadata"), K("tool_use_prompt_token_count")],
            Say::InputMore,
        ),
        (
            &[K("usage_metadata"), K("candidates_token_count")],
            Say::Output,
        ),
        (
            &[K("usage_metadata"), K("thoughts_token_count")],
            Say::OutputMore,
        ),
        (
            &[K("usage_metadata"), K("thoughts_token_count")],
            Say::ReasoningTokens,
        ),
        (&[K("usage_metadata"), K("total_token_count")], Say::Total),
        (
            &[K("usage_metadata"), K("cached_content_token_count")],
            Say::Cached,
        ),
        (&[K("error"), K("status")], Say::ErrorClass),
        (&[K("error")], Say::Error),
    ],
    shapes: &[
        &[Sign::Has("candidates")],
        &[Sign::Has("usageMetadata")],
        &[Sign::Has("usage_metadata")],
        &[Sign::Has("promptFeedback")],
        &[Sign::Has("prompt_feedback")],
        &[Sign::Has("embedding")],
        &[Sign::Has("embeddings")],
    ],
    operation: Some("generate_content"),
    resync: &["usageMetadata", "usage_metadata"],
};
