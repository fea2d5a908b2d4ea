//! Hugging Face's text generation: TGI's `/generate`, `/generate_stream` and `/`, and whatever else
//! answers with `generated_text` (inference endpoints, SageMaker's `/invocations`).
//!
//! Each event of a stream is one token; special ones are not shown, and the last event repeats the
//! text. `details.prefill` has one element for each token of the prompt, where it was asked for.
//! `source` of its marks is `hf`, as the SDK's hook in transformers has it. Source: TGI's OpenAPI
//! description.

use crate::body::json::Seg::{Any, K};
use crate::llm::dialect::{Dialect, Evidence, Figure, Route, Row, last_segment};
use crate::llm::table::{self, Ask, RequestTable, ResponseTable, Say, Sign};

/// What is known of it.
pub(crate) const ROWS: &[Row] = &[
    Row {
        precedence: 1000,
        dialect: DIALECT,
    },
    Row {
        precedence: 1100,
        dialect: ANYWHERE,
    },
];

/// The dialect's row.
pub(crate) const DIALECT: Dialect = Dialect {
    name: "hf",
    route,
    request: || table::request(&REQUEST),
    response: || table::response(&RESPONSE),
    headers: &[
        ("x-prompt-tokens", Figure::Input),
        ("x-generated-tokens", Figure::Output),
    ],
};

/// The row of the same on paths that anybody may have.
pub(crate) const ANYWHERE: Dialect = Dialect {
    route: anywhere,
    ..DIALECT
};

/// Triton's paths end alike, and name a model.
fn route(path: &str) -> Option<Route<'_>> {
    if path.contains("/v2/models/") {
        return None;
    }
    let stream = match last_segment(path).1 {
        "generate" => Some(false),
        "generate_stream" => Some(true),
        _ => return None,
    };
    Some(Route {
        stream,
        ..Route::to("text_completion")
    })
}

fn anywhere(path: &str) -> Option<Route<'_>> {
    matches!(last_segment(path).1, "" | "invocations").then_some(Route {
        evidence: Evidence::None,
        ..Route::to("text_completion")
    })
}

static REQUEST: RequestTable = RequestTable {
    rows: &[(&[K("stream")], Ask::Stream)],
    shapes: &[&[Sign::Has("inputs")]],
    stream: Some(false),
};

static RESPONSE: ResponseTable = ResponseTable {
    rows: &[
        (&[], Say::Each),
        (&[K("token"), K("text")], Say::Text),
        (&[K("token"), K("special")], Say::Silent),
        (&[K("details"), K("finish_reason")], Say::Finish),
        (&[K("details"), K("generated_tokens")], Say::Output),
        (&[K("details"), K("input_length")], Say::Input),
        (&[K("details"), K("prefill"), Any], Say::InputElement),
        (&[K("generated_text")], Say::Last),
        // LightLLM's, which answers likewise.
        (&[K("token"), K("prompt_tokens")], Say::Input),
        (&[K("token"), K("count_output_tokens")], Say::Output),
        (&[K("prompt_tokens")], Say::Input),
        (&[K("count_output_tokens")], Say::Output),
        (&[K("finish_reason")], Say::Finish),
        (&[K("finished")], Say::Last),
        (&[K("error_type")], Say::ErrorClass),
        (&[K("error")], Say::Error),
    ],
    shapes: &[
        &[Sign::Has("generated_text")],
        &[Sign::Has("token"), Sign::Has("finished")],
        &[Sign::Has("token"), Sign::Has("index")],
    ],
    operation: Some("text_completion"),
    resync: &["details"],
};
