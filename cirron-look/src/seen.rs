//! Which ids were seen in another batch: a filter of bits (Bloom's), of a fixed size.

use std::hash::BuildHasher as _;

use foldhash::quality::RandomState;

use crate::key::Key;

/// Bits: 4 MiB. With 1 600 000 ids, more than a spool of 1 GB has, one in 500 is taken for seen by mistake.
const BITS: usize = 1 << 25;

/// Bits of one id.
const HASHES: u32 = 4;

/// Ids that were seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    bits: Vec<u64>,
    hashes: RandomState,
    /// Those of the batch that is read, which was not another.
    recent: std::collections::HashSet<Key, foldhash::fast::RandomState>,
    batch: u32,
}

impl Seen {
    /// Whether an id was seen in another batch than this one, or may have been; it is seen from now on.
    pub(crate) fn was_in_another(&mut self, key: Key, batch: u32) -> bool {
        if self.bits.is_empty() {
            self.bits = vec![0; BITS / 64];
        }
        if self.batch != batch {
            self.batch = batch;
            self.recent.clear();
        }
        if !self.recent.insert(key) {
            return false;
        }
        let hash = self.hashes.hash_one(key);
        let (mut at, step) = (hash, hash >> 32);
        let mut was = true;
        for _ in 0..HASHES {
            let bit = (at % BITS as u64) as usize;
            if let Some(word) = self.bits.get_mut(bit / 64) {
                let mask = 1 << (bit % 64);
                was &= *word & mask != 0;
                *word |= mask;
            }
            at = at.wrapping_add(step | 1);
        }
        was
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_another_batch_is_never_missed_and_few_are_taken_for_one() {
        let mut seen = Seen::default();
        let id = |n: u32| {
            Key::new(&format!(
                "{:032x}",
                u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
            ))
        };
        let wrong = (0..200_000)
            .filter(|n| seen.was_in_another(id(*n), 1 + n / 1_000))
            .count();
        assert!(wrong < 200, "{wrong}");
        assert!(!seen.was_in_another(id(300_000), 500));
        assert!(!seen.was_in_another(id(300_000), 500), "the same batch");
        assert!((0..200_000).all(|n| seen.was_in_another(id(n), 501)));
    }
}
