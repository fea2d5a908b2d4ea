//! Tensors of one response over gRPC: which have text, and which count tokens.
//!
//! A tensor's content stands in it, or behind all of them, in their order, as raw bytes (then each text
//! has its length before it). Text is looked at for being some: a stream of pictures is `BYTES` too. What
//! was looked at is not kept. Past [`MAX_TENSORS`] nothing is looked at.
//!
//! Source: KServe's `open_inference_grpc.proto`, "InferTensorContents"; Triton's vLLM backend, "Additional
//! outputs from vLLM".

use super::{DATATYPES, TEXT, TEXT_OUTPUTS};
use crate::body::protobuf::Want;
use crate::cut::behind;

/// Tensors of one response that are looked at. A language model answers with a handful.
pub(crate) const MAX_TENSORS: usize = 16;

/// Bytes before each text of a raw tensor: its length.
const LENGTH: usize = 4;

/// What a tensor is of, by its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Name {
    #[default]
    Other,
    /// The answer of a language model.
    Generated,
    InputTokens,
    OutputTokens,
}

/// One tensor.
#[derive(Clone, Copy, Debug, Default)]
struct Tensor {
    name: Name,
    known: bool,
    bytes: bool,
    has_text: bool,
    count: Option<i64>,
}

/// Those of one response.
#[derive(Debug, Default)]
pub(super) struct Tensors {
    seen: Vec<Tensor>,
    /// Those whose raw content came.
    raw: usize,
}

impl Tensors {
    /// What is wanted of the field at `path` in a tensor.
    pub(super) fn field(&mut self, path: &[u32]) -> Want {
        match path {
            [] => {
                if self.seen.len() >= MAX_TENSORS {
                    return Want::Skip;
                }
                self.seen.push(Tensor::default());
                Want::Into
            }
            [5] => Want::Into,
            // Whole numbers, which are packed, and texts.
            [1 | 2] | [5, 2..=5 | 8] => Want::Text,
            _ => Want::Skip,
        }
    }

    /// A text at `path` in the tensor under way.
    pub(super) fn text(&mut self, path: &[u32], text: &[u8]) {
        let Some(tensor) = self.seen.last_mut() else {
            return;
        };
        match path {
            [1] => tensor.name = named(text),
            [2] => {
                tensor.known = DATATYPES.contains(&text);
                tensor.bytes = text == TEXT;
            }
            [5, 8] => tensor.has_text |= is_text(text),
            [5, _] => tensor.count = tensor.count.or(varint(text)),
            _ => {}
        }
    }

    /// A number at `path` in the tensor under way: one that is not packed.
    pub(super) fn number(&mut self, path: &[u32], value: u64) {
        if let ([5, 2..=5], Some(tensor)) = (path, self.seen.last_mut()) {
            tensor.count = tensor.count.or(i64::try_from(value).ok());
        }
    }

    /// The raw content of the next one, or the beginning of it.
    pub(super) fn raw(&mut self, content: &[u8], whole: bool) {
        let tensor = self.seen.get_mut(self.raw);
        self.raw = self.raw.saturating_add(1);
        let Some(tensor) = tensor else { return };
        if tensor.bytes {
            tensor.has_text |= first_of(content).is_some_and(is_text);
        } else if whole {
            tensor.count = little_endian(content);
        }
    }

    /// One has a known datatype.
    pub(super) fn is_known(&self) -> bool {
        self.seen.iter().any(|tensor| tensor.known)
    }

    /// One is what a language model answers with.
    pub(super) fn generates(&self) -> bool {
        let mut texts = self.seen.iter().filter(|tensor| tensor.bytes);
        texts.any(|tensor| tensor.name == Name::Generated)
    }

    /// There is text in what the model answers with; where no tensor is called so, in any.
    pub(super) fn has_text(&self) -> bool {
        let generates = self.generates();
        let answers = |tensor: &&Tensor| !generates || tensor.name == Name::Generated;
        let mut answers = self.seen.iter().filter(answers);
        answers.any(|tensor| tensor.bytes && tensor.has_text)
    }

    /// Tokens of the prompt, and of this response alone.
    pub(super) fn counts(&self) -> [Option<i64>; 2] {
        [Name::InputTokens, Name::OutputTokens].map(|name| {
            let mut named = self.seen.iter().filter(|tensor| tensor.name == name);
            named.find_map(|tensor| tensor.count)
        })
    }
}

fn named(name: &[u8]) -> Name {
    match name {
        b"num_input_tokens" => Name::InputTokens,
        b"num_output_tokens" => Name::OutputTokens,
        _ if TEXT_OUTPUTS.iter().any(|text| text.as_bytes() == name) => Name::Generated,
        _ => Name::Other,
    }
}

/// The first text of a raw tensor that is not empty, as far as it is there.
fn first_of(mut content: &[u8]) -> Option<&[u8]> {
    while let Some((length, rest)) = content.split_first_chunk::<LENGTH>() {
        let len = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        if len > 0 {
            return Some(rest.get(..len).unwrap_or(rest));
        }
        content = behind(content, LENGTH);
    }
    None
}

/// Characters, and none that no text has. One may be cut at the end.
fn is_text(bytes: &[u8]) -> bool {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_some() => return false,
        Err(error) => {
            let whole = bytes.get(..error.valid_up_to()).unwrap_or_default();
            std::str::from_utf8(whole).unwrap_or_default()
        }
    };
    let strange = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    !bytes.is_empty() && !text.chars().any(strange)
}

/// The first of packed numbers.
fn varint(packed: &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for (byte, shift) in packed.iter().zip((0..63).step_by(7)) {
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return i64::try_from(value).ok();
        }
    }
    None
}

/// The one number of a tensor of four or eight bytes.
pub(crate) fn little_endian(content: &[u8]) -> Option<i64> {
    match *content {
        [a, b, c, d] => Some(u32::from_le_bytes([a, b, c, d]).into()),
        [a, b, c, d, e, f, g, h] => {
            i64::try_from(u64::from_le_bytes([a, b, c, d, e, f, g, h])).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_and_sounds_are_no_text() {
        for (bytes, want) in [
            (&b"word"[..], true),
            ("Grüße\n\t".as_bytes(), true),
            // Cut within a character.
            ("ü".as_bytes().get(..1).unwrap_or_default(), true),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", false),
            (b"\x89PNG\r\n\x1a\n", false),
            (b"RIFF\x24\x08\0\0WAVE", false),
            (b"", false),
        ] {
            assert_eq!(is_text(bytes), want, "{bytes:?}");
        }
    }

    #[test]
    fn a_raw_tensor_of_texts_has_the_first_that_is_not_empty() {
        let raw = [&[0; 4][..], &[2, 0, 0, 0], b"hi"].concat();
        assert_eq!(first_of(&raw), Some(&b"hi"[..]));
        assert_eq!(first_of(&raw[..9]), Some(&b"h"[..]));
        assert_eq!(first_of(&[0; 8]), None);
        assert_eq!(first_of(b"ab"), None);
    }

    #[test]
    fn past_the_bound_no_tensor_is_looked_at() {
        let mut tensors = Tensors::default();
        for _ in 0..MAX_TENSORS {
            assert_eq!(tensors.field(&[]), Want::Into);
            tensors.text(&[1], b"num_output_tokens");
        }
        assert_eq!(tensors.field(&[]), Want::Skip);
        for _ in 0..=MAX_TENSORS {
            tensors.raw(&[7, 0, 0, 0], true);
        }
        assert_eq!(tensors.counts(), [None, Some(7)]);
        assert_eq!(tensors.seen.len(), MAX_TENSORS);
    }
}
