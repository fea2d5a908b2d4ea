//! SGLang's own `/generate`: each event of a stream repeats the text so far and the counts so far.
//! A list of prompts, or `n` samples, is answered by an array, or by events with an `index`. A server without a
//! tokenizer gives `output_ids` and no text.
//!
//! Source: SGLang's documentation, "Sampling parameters" and `io_struct.py`.

use crate::body::json::Seg::{Any, K};
use crate::llm::dialect::{Dialect, Route, Row, last_segment};
use crate::llm::table::{self, Ask, RequestTable, ResponseTable, Say, Sign};

/// What is known of it.
pub(crate) const ROWS: &[Row] = &[Row {
    precedence: 1200,
    dialect: DIALECT,
}];

/// The dialect's row.
pub(crate) const DIALECT: Dialect = Dialect {
    name: "sglang",
    route,
    request: || table::request(&REQUEST),
    response: || table::response(&RESPONSE),
    headers: &[],
};

fn route(path: &str) -> Option<Route<'_>> {
    (last_segment(path) == ("", "generate")).then_some(Route::to("text_completion"))
}

static REQUEST: RequestTable = RequestTable {
    rows: &[
        (&[K("stream")], Ask::Stream),
        (&[K("sampling_params"), K("n")], Ask::Choices),
        (&[K("text")], Ask::Prompts),
        (&[K("input_ids")], Ask::Prompts),
        (&[K("input_embeds")], Ask::Prompts),
    ],
    shapes: &[
        &[Sign::Has("text")],
        &[Sign::Has("input_ids")],
        &[Sign::Has("input_embeds")],
    ],
    stream: Some(false),
};

static RESPONSE: ResponseTable = ResponseTable {
    rows: &[
        (&[], Say::Each),
        (&[K("index")], Say::Result),
        (&[K("text")], Say::Whole),
        // Instead of the text, of a server without a tokenizer.
        (&[K("output_ids"), Any], Say::WholeToken),
        (&[K("meta_info"), K("id")], Say::Id),
        (&[K("meta_info"), K("prompt_tokens")], Say::Input),
        (&[K("meta_info"), K("completion_tokens")], Say::Output),
        (&[K("meta_info"), K("cached_tokens")], Say::Cached),
        (
            &[K("meta_info"), K("reasoning_tokens")],
            Say::ReasoningTokens,
        ),
        (
            &[K("meta_info"), K("finish_reason"), K("type")],
            Say::Finish,
        ),
        (&[K("error"), K("type")], Say::ErrorClass),
        (&[K("error")], Say::Error),
    ],
    shapes: &[&[Sign::Has("meta_info")]],
    operation: Some("text_completion"),
    resync: &["meta_info"],
};
