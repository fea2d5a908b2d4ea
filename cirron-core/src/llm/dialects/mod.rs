//! Every dialect: a file or a folder here each, listed below as a module and by its rows, and nowhere else named.
//!
//! What a new one has to have: `pub const ROWS`, each row with a precedence that no other has, and a
//! folder of that dialect's name in `goldens`. Precedence decides where two dialects know a path, and
//! the shapes of request and response do not tell them apart: the lower number has it.

pub(crate) mod anthropic;
pub(crate) mod bedrock;
pub(crate) mod cohere;
pub(crate) mod dashscope;
pub(crate) mod gemini;
pub(crate) mod invoke;
pub(crate) mod kobold;
pub(crate) mod kserve;
pub(crate) mod llamacpp;
pub(crate) mod lmstudio;
pub(crate) mod mlflow;
#[cfg(test)]
#[path = "../tests/dialects/newcomer.rs"]
pub(crate) mod newcomer;
pub(crate) mod ollama;
pub(crate) mod openai;
pub(crate) mod sglang;
pub(crate) mod tei;
pub(crate) mod tensorflow;
pub(crate) mod tgi;
pub(crate) mod torchserve;
pub(crate) mod vllm;

use super::dialect::{Dialect, Row};

/// The rows of each; their order here says nothing.
const ROWS: &[&[Row]] = &[
    anthropic::ROWS,
    bedrock::ROWS,
    cohere::ROWS,
    dashscope::ROWS,
    gemini::ROWS,
    invoke::ROWS,
    kobold::ROWS,
    kserve::ROWS,
    llamacpp::ROWS,
    lmstudio::ROWS,
    mlflow::ROWS,
    ollama::ROWS,
    openai::ROWS,
    sglang::ROWS,
    tei::ROWS,
    tensorflow::ROWS,
    tgi::ROWS,
    torchserve::ROWS,
    vllm::ROWS,
    #[cfg(test)]
    newcomer::ROWS,
];

/// Every dialect that is known, by precedence.
pub(crate) static DIALECTS: &[Dialect] = &by_precedence::<{ count() }>();

#[expect(clippy::indexing_slicing, reason = "runs in the compiler")]
const fn count() -> usize {
    let (mut count, mut file) = (0, 0);
    while file < ROWS.len() {
        count += ROWS[file].len();
        file += 1;
    }
    count
}

#[expect(clippy::indexing_slicing, reason = "runs in the compiler")]
const fn by_precedence<const N: usize>() -> [Dialect; N] {
    let mut sorted = [ROWS[0][0].dialect; N];
    let mut at = 0;
    let mut least = 0;
    while at < N {
        let row = first_from(least);
        sorted[at] = row.dialect;
        least = row.precedence + 1;
        at += 1;
    }
    sorted
}

/// The row of the lowest precedence from `least` on.
#[expect(clippy::indexing_slicing, reason = "runs in the compiler")]
const fn first_from(least: u32) -> Row {
    let mut found: Option<Row> = None;
    let mut file = 0;
    while file < ROWS.len() {
        let mut row = 0;
        while row < ROWS[file].len() {
            let here = ROWS[file][row];
            let precedence = here.precedence;
            if let Some(other) = found {
                assert!(
                    precedence != other.precedence,
                    "two dialects have the same precedence"
                );
            }
            let is_lower = match found {
                Some(other) => precedence < other.precedence,
                None => true,
            };
            if precedence >= least && is_lower {
                found = Some(here);
            }
            row += 1;
        }
        file += 1;
    }
    match found {
        Some(row) => row,
        None => panic!("two dialects have the same precedence"),
    }
}
