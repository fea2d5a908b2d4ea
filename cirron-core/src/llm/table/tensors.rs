//! Tensors that count tokens, by their names: Triton gives them beside the text. The data of any other
//! is passed over.
//!
//! Source: Triton's vLLM backend, "Additional outputs from vLLM".

use crate::body::json::Path;

/// What a tensor counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counts {
    Input,
    /// Of the response that it is in, and no other.
    Output,
}

/// The tensor under way, if it counts something. Its name stands before its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tensor {
    at: Option<u64>,
    pub(super) counts: Counts,
}

impl Tensor {
    /// The one whose name, at `path`, is `name`.
    pub(super) fn named(path: &Path, name: &str) -> Option<Tensor> {
        let counts = match name {
            "num_input_tokens" => Counts::Input,
            "num_output_tokens" => Counts::Output,
            _ => return None,
        };
        let at = place(path);
        Some(Tensor { at, counts })
    }

    /// What is at `path` is in it.
    pub(super) fn holds(self, path: &Path) -> bool {
        self.at == place(path)
    }
}

/// Which of the tensors it is.
fn place(path: &Path) -> Option<u64> {
    (0..path.depth()).find_map(|i| path.index(i))
}
