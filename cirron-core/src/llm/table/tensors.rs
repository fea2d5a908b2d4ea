//! Tensors that count tokens, by their names: Triton gives them beside the text. The data of any other
//! is passed over.
//!
//! Source: Triton's vLLM backend, "Additional outputs from vLLM".

use std::collections::VecDeque;

use crate::body::json::Path;
use crate::cut::{behind, upto};
use crate::llm::kserve_grpc::tensors::{MAX_TENSORS, little_endian};

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

/// Tensors whose data stands behind the document, one after the other. Past [`MAX_TENSORS`] none is looked at.
#[derive(Debug, Default)]
pub(super) struct Raw {
    /// What each counts, if it does, and its bytes that did not come yet.
    left: VecDeque<(Option<Counts>, u64)>,
    /// More were announced than are looked at.
    announced: usize,
    /// Of the first, as far as it came: counts have eight bytes at most.
    bytes: Vec<u8>,
}

/// Bytes of the largest number that counts.
const MAX_COUNT_BYTES: usize = 8;

impl Raw {
    /// One more, with what it counts.
    pub(super) fn announce(&mut self, counts: Option<Counts>, len: u64) {
        self.announced += 1;
        if self.announced <= MAX_TENSORS {
            self.left.push_back((counts, len));
        }
    }

    /// The next bytes; `found` takes what a tensor that has come counts.
    pub(super) fn push(&mut self, mut data: &[u8], found: &mut dyn FnMut(Counts, i64)) {
        while let Some((counts, left)) = self.left.front_mut() {
            let len = usize::try_from(*left).unwrap_or(usize::MAX).min(data.len());
            if self.bytes.len() <= MAX_COUNT_BYTES {
                // One byte too many shows that it is larger.
                let room = MAX_COUNT_BYTES + 1 - self.bytes.len();
                self.bytes.extend_from_slice(upto(data, len.min(room)));
            }
            data = behind(data, len);
            *left -= len as u64;
            if *left > 0 {
                return;
            }
            if let Some((counts, count)) = counts.zip(little_endian(&self.bytes)) {
                found(counts, count);
            }
            self.bytes.clear();
            self.left.pop_front();
        }
    }
}

/// Which of the tensors it is.
fn place(path: &Path) -> Option<u64> {
    (0..path.depth()).find_map(|i| path.index(i))
}
