//! Hashes of ids: they are our own, and random or counted, so that nobody can choose them.

use crate::cut::fill;
use std::hash::Hasher;

/// An odd number without a pattern: 2^64 over the golden ratio.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// Folds an id into 64 bits.
#[derive(Debug, Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            fill(&mut word, 0, chunk);
            // The low bytes of a counted id come last: they have to reach the high bits, and the low ones.
            let word = u64::from_be_bytes(word);
            self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(MIX);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
