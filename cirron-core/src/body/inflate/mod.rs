//! Content decoding as the bytes stream: gzip, deflate, br, zstd, and stacks of them.
//!
//! ```text
//!  wire bytes -> last coding applied -> ... -> first coding applied -> bytes of the body
//! ```
//! An unknown coding, a damaged stream, a hole and too much expansion stop the decoding: the caller
//! is told, counts the bytes, and reads nothing from what follows. Source: RFC 9110, section 8.4.

mod codec;

use crate::limits::{INFLATE_FREE_BYTES, MAX_CODINGS, MAX_INFLATE_RATIO};
use codec::Codec;

/// Encoded bytes that are decoded before the expansion is looked at again.
const SLICE_BYTES: usize = 16 * 1024;

/// One coding, and the bytes that it has given.
struct Stage {
    codec: Codec,
    out_bytes: u64,
}

/// Decodes one body.
pub struct Inflate {
    /// In the order in which they are undone; none for a plain body.
    stages: Vec<Stage>,
    stopped: bool,
    in_bytes: u64,
    out_bytes: u64,
}

impl std::fmt::Debug for Inflate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inflate")
            .field("stopped", &self.stopped)
            .field("out_bytes", &self.out_bytes)
            .finish_non_exhaustive()
    }
}

impl Inflate {
    /// For the value of `content-encoding`; `None` means identity.
    pub fn new(codings: Option<&str>) -> Inflate {
        let names = codings
            .unwrap_or_default()
            .split(',')
            .map(|name| name.trim().to_ascii_lowercase())
            .filter(|name| !matches!(name.as_str(), "" | "identity"));
        let stage = |codec| Stage {
            codec,
            out_bytes: 0,
        };
        let stages: Option<Vec<Stage>> = names.map(|name| Codec::named(&name).map(stage)).collect();
        let mut stages = stages.filter(|all| all.len() <= MAX_CODINGS);
        if let Some(stages) = &mut stages {
            stages.reverse();
        }
        Inflate {
            stopped: stages.is_none(),
            stages: stages.unwrap_or_default(),
            in_bytes: 0,
            out_bytes: 0,
        }
    }

    /// Whether bytes are still being decoded.
    pub fn is_decoding(&self) -> bool {
        !self.stopped
    }

    /// Decodes `bytes`; what can be known by now goes to `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut dyn FnMut(&[u8])) {
        if self.stopped {
            return;
        }
        if self.stages.is_empty() {
            out(bytes);
            return;
        }
        for slice in bytes.chunks(SLICE_BYTES) {
            self.in_bytes += slice.len() as u64;
            let allowed = INFLATE_FREE_BYTES.max(self.in_bytes.saturating_mul(MAX_INFLATE_RATIO));
            let room = allowed.saturating_sub(self.out_bytes);
            let (decoded, whole) = decode(&mut self.stages, slice, room);
            self.out_bytes += decoded.len() as u64;
            if !decoded.is_empty() {
                out(&decoded);
            }
            if !whole {
                self.stop();
                return;
            }
        }
    }

    /// No more comes: whether all of it could be decoded.
    pub fn finish(&mut self) -> bool {
        !self.stopped && self.stages.iter_mut().all(|s| s.codec.finish())
    }

    /// Bytes were lost: an encoded body cannot be read past them.
    pub fn gap(&mut self) {
        if !self.stages.is_empty() {
            self.stop();
        }
    }

    /// Bytes that its decoders hold, about.
    pub fn held_bytes(&self) -> usize {
        let held = |s: &Stage| s.codec.held_bytes(s.out_bytes);
        self.stages.iter().map(held).sum::<u64>() as usize
    }

    /// Decodes no further: what its decoders hold is free.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.stages.clear();
    }
}

/// What `bytes` give, at most `room`; false where they are damaged or give more.
fn decode(stages: &mut [Stage], bytes: &[u8], room: u64) -> (Vec<u8>, bool) {
    let mut current = Vec::new();
    for (i, stage) in stages.iter_mut().enumerate() {
        let input = if i == 0 { bytes } else { &current };
        let (next, whole) = stage.codec.push(input, room);
        stage.out_bytes += next.len() as u64;
        if !whole {
            // What the last coding gave before it failed is text; before the others it is noise.
            return (
                if i + 1 == stages.len() {
                    next
                } else {
                    Vec::new()
                },
                false,
            );
        }
        current = next;
    }
    (current, true)
}

#[cfg(test)]
mod tests;
