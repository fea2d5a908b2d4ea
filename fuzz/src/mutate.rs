//! Mutations of an input: bits, bytes, repeated, removed and foreign parts.

/// Bytes of a mutated input at most.
const MAX_BYTES: usize = 4_096;

/// A generator of numbers, the same for the same seed (xorshift64*).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Another seed, other numbers.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `n`, or 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize;
        high.checked_rem(n).unwrap_or(0)
    }
}

/// `input`, changed in up to four ways; `other` lends parts.
pub fn mutate(random: &mut Random, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut out = input.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(out.len() + 1);
        let len = random.below(16.min(out.len() - at) + 1);
        match random.below(6) {
            0 if at < out.len() => out[at] ^= 1 << random.below(8),
            1 if at < out.len() => out[at] = u8::try_from(random.below(256)).unwrap_or(0),
            2 => {
                out.drain(at..at + len);
            }
            3 => {
                let part = out[at..at + len].to_vec();
                let to = random.below(out.len() + 1);
                out.splice(to..to, part);
            }
            4 => {
                let from = random.below(other.len() + 1);
                let part = other[from..].iter().copied().take(random.below(64));
                out.splice(at..at, part.collect::<Vec<u8>>());
            }
            _ => out.insert(at, u8::try_from(random.below(256)).unwrap_or(0)),
        }
    }
    out.truncate(MAX_BYTES);
    out
}
