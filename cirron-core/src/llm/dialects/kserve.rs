//! KServe's inference protocols over HTTP: v1 (`:predict`, `:explain`), v2 (`/infer`), and the
//! generate extension of Triton (`/generate`, `/generate_stream`).
//!
//! The path names the model. Source: KServe's "Data plane" documents; Triton's
//! `protocol/extension_generate.md`.

use crate::body::json::Seg::{Any, K};
use crate::llm::dialect::{Dialect, Route, Row};
use crate::llm::kserve_grpc::TEXT_OUTPUTS;
use crate::llm::table::{self, Ask, RequestTable, ResponseTable, Say, Sign};

/// What is known of it.
pub(crate) const ROWS: &[Row] = &[
    Row {
        precedence: 1600,
        dialect: TRITON,
    },
    Row {
        precedence: 1700,
        dialect: V2,
    },
    Row {
        precedence: 1800,
        dialect: V1,
    },
];

/// The row of v1.
pub(crate) const V1: Dialect = Dialect {
    name: "kserve_v1",
    route: |path| of_v1(path),
    request: || table::request(&V1_REQUEST),
    response: || table::response(&V1_RESPONSE),
    headers: &[],
};

/// The row of v2.
pub(crate) const V2: Dialect = Dialect {
    name: "kserve_v2",
    route: |path| of_v2(path, &["infer"]),
    request: || table::request(&V2_REQUEST),
    response: || table::response(&V2_RESPONSE),
    headers: &[],
};

/// The row of Triton's extension.
pub(crate) const TRITON: Dialect = Dialect {
    name: "triton",
    route: |path| of_v2(path, &["generate", "generate_stream"]),
    request: || table::request(&TRITON_REQUEST),
    response: || table::response(&TRITON_RESPONSE),
    headers: &[],
};

fn of_v1(path: &str) -> Option<Route<'_>> {
    let (_, rest) = path.rsplit_once("/v1/models/")?;
    let (model, verb) = rest.rsplit_once(':')?;
    (matches!(verb, "predict" | "explain") && !model.contains('/')).then_some(Route {
        model: Some(model),
        ..Route::to("inference")
    })
}

/// `/v2/models/M[/versions/V]/VERB`
fn of_v2<'p>(path: &'p str, verbs: &[&str]) -> Option<Route<'p>> {
    let (_, rest) = path.rsplit_once("/v2/models/")?;
    let mut segments = rest.split('/');
    let model = segments.next().filter(|m| !m.is_empty())?;
    let mut verb = segments.next()?;
    if verb == "versions" {
        verb = segments.nth(1)?;
    }
    if segments.next().is_some() || !verbs.contains(&verb) {
        return None;
    }
    let operation = match verb {
        "infer" => "inference",
        _ => "text_completion",
    };
    Some(Route {
        model: Some(model),
        stream: Some(verb == "generate_stream"),
        ..Route::to(operation)
    })
}

static V1_REQUEST: RequestTable = RequestTable {
    rows: &[],
    shapes: &[&[Sign::Has("instances")], &[Sign::Has("inputs")]],
    stream: Some(false),
};

static V1_RESPONSE: ResponseTable = ResponseTable {
    rows: &[(&[K("error")], Say::Error)],
    shapes: &[&[Sign::Has("predictions")], &[Sign::Has("explanations")]],
    operation: None,
    resync: &[],
};

static V2_REQUEST: RequestTable = RequestTable {
    rows: &[],
    shapes: &[&[Sign::Has("inputs")]],
    stream: Some(false),
};

static V2_RESPONSE: ResponseTable = ResponseTable {
    rows: &[
        (&[K("model_name")], Say::Model),
        (&[K("model_version")], Say::ModelVersion),
        (&[K("id")], Say::Id),
        // Triton's language models, whose tensor of text has this name.
        (&[K("outputs"), Any, K("name")], Say::AnswerIf(TEXT_OUTPUTS)),
        (&[K("outputs"), Any, K("name")], Say::TensorName),
        (&[K("outputs"), Any, K("data"), Any], Say::TensorData),
        (
            &[K("outputs"), Any, K("parameters"), K("binary_data_size")],
            Say::TensorBytes,
        ),
        (&[K("error")], Say::Error),
    ],
    shapes: &[&[Sign::Has("model_name"), Sign::Has("outputs")]],
    operation: Some("inference"),
    resync: &[],
};

/// Reasons of vLLM's to end; of an answer that goes on it is `None`.
const FINISHED: &[&str] = &["stop", "length", "abort", "tool_calls"];

static TRITON_REQUEST: RequestTable = RequestTable {
    rows: &[(&[K("stream")], Ask::Stream)],
    shapes: &[&[Sign::Has("text_input")], &[Sign::Has("prompt")]],
    stream: None,
};

static TRITON_RESPONSE: ResponseTable = ResponseTable {
    rows: &[
        (&[K("model_name")], Say::Model),
        (&[K("model_version")], Say::ModelVersion),
        (&[K("id")], Say::Id),
        (&[K("text_output")], Say::Answer),
        // Where they were asked for; of its vLLM backend.
        (&[K("num_input_tokens")], Say::Input),
        (&[K("num_output_tokens")], Say::OutputPiece),
        (&[K("finish_reason")], Say::Finish),
        (&[K("finish_reason")], Say::LastIf(FINISHED)),
        (&[K("error")], Say::Error),
    ],
    shapes: &[&[Sign::Has("model_name"), Sign::Has("text_output")]],
    operation: Some("text_completion"),
    resync: &[],
};
