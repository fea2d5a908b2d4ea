//! Buckets whose bounds nobody chose: powers of 2^(1/8), as Prometheus' native and OpenTelemetry's exponential histograms
//! have them.
//!
//! Beside the buckets of the conventions, for whoever asks for them. A value is off by less than 5 % in the middle of its
//! bucket. Where values are spread so far that there would be too many buckets, two become one: the bounds are powers of
//! 2^(1/4) then, and so on. No value is left out.

/// Buckets of one series: what OpenTelemetry's SDKs hold at most. Most series have some dozens.
pub const MAX_BUCKETS: usize = 160;

/// The finest bounds: 2^(1/2^3).
const FINEST: i32 = 3;

/// Values up to here are zero: Prometheus' own default, 2^-128.
pub const ZERO_THRESHOLD: f64 = 2.938_735_877_055_719e-39;

/// The buckets of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Native {
    /// Bounds are powers of 2^(1/2^schema).
    schema: i32,
    /// Values that are zero.
    zeros: u64,
    /// Index and count, by index: bucket `i` has what is above `base^(i-1)`, up to `base^i`.
    buckets: Vec<(i32, u64)>,
}

impl Default for Native {
    fn default() -> Native {
        Native {
            schema: FINEST,
            zeros: 0,
            buckets: Vec::new(),
        }
    }
}

impl Native {
    /// How fine the bounds are.
    pub fn schema(&self) -> i32 {
        self.schema
    }

    /// Values that are zero.
    pub fn zeros(&self) -> u64 {
        self.zeros
    }

    /// Index and count of each bucket that has a value, in order.
    pub fn buckets(&self) -> &[(i32, u64)] {
        &self.buckets
    }

    /// Counts a value, which is finite and not below zero.
    pub(super) fn observe(&mut self, value: f64) {
        if value <= ZERO_THRESHOLD {
            self.zeros += 1;
            return;
        }
        let mut index = finest_index(value);
        for _ in self.schema..FINEST {
            index = half(index);
        }
        match self.buckets.binary_search_by_key(&index, |(at, _)| *at) {
            Ok(at) => {
                if let Some((_, count)) = self.buckets.get_mut(at) {
                    *count += 1;
                }
            }
            Err(at) => {
                self.buckets.insert(at, (index, 1));
                while self.buckets.len() > MAX_BUCKETS {
                    self.coarsen();
                }
            }
        }
    }

    /// Makes one bucket of two.
    fn coarsen(&mut self) {
        self.schema -= 1;
        for (index, _) in &mut self.buckets {
            *index = half(*index);
        }
        self.buckets.dedup_by(|next, before| {
            let is_same = next.0 == before.0;
            if is_same {
                before.1 += next.1;
            }
            is_same
        });
    }
}

/// Of a value above zero. A power of two is a bound, and belongs to the bucket that it ends; its logarithm is exact.
fn finest_index(value: f64) -> i32 {
    let steps = f64::from(1 << FINEST);
    (value.log2() * steps).ceil() as i32
}

/// The index of a bucket among those of twice the width.
fn half(index: i32) -> i32 {
    (index + 1) >> 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(values: impl IntoIterator<Item = f64>) -> Native {
        let mut native = Native::default();
        values.into_iter().for_each(|value| native.observe(value));
        native
    }

    fn bound(native: &Native, index: i32) -> f64 {
        (f64::from(index) / f64::from(native.schema).exp2()).exp2()
    }

    #[test]
    fn a_value_is_in_the_bucket_whose_bounds_are_around_it() {
        for value in [
            1e-9, 0.003, 0.25, 0.9999, 1.0, 1.0001, 1.5, 2.0, 3.7, 64.0, 1e6,
        ] {
            let native = observed([value]);
            let [(index, 1)] = *native.buckets() else {
                panic!("{native:?}")
            };
            let (low, high) = (bound(&native, index - 1), bound(&native, index));
            assert!(
                low < value && value <= high * (1.0 + 1e-12),
                "{low} {value} {high}"
            );
        }
        assert_eq!(observed([2.0]).buckets(), [(8, 1)]);
        assert_eq!(observed([2.000_000_1]).buckets(), [(9, 1)]);
        assert_eq!(
            (observed([0.0, 1e-50]).zeros(), observed([0.0]).buckets()),
            (2, &[][..])
        );
    }

    #[test]
    fn more_buckets_than_fit_become_wider_ones_and_no_value_is_lost() {
        // Sixty octaves, of which each has eight buckets at first.
        let values = (0..4_800).map(|n| (f64::from(n) / 80.0 - 30.0).exp2());
        let native = observed(values);
        assert!(native.buckets().len() <= MAX_BUCKETS && native.buckets().len() > MAX_BUCKETS / 3);
        assert_eq!(native.schema(), FINEST - 2);
        let count: u64 = native.buckets().iter().map(|(_, count)| count).sum();
        assert_eq!(count, 4_800);
        assert!(native.buckets().windows(2).all(|two| two[0].0 < two[1].0));
        // As fine ones that were made coarse, so coarse ones from the beginning.
        let mut late = native.clone();
        late.observe(1.5);
        let at = |n: &Native| {
            n.buckets()
                .iter()
                .find(|(i, _)| bound(n, *i) >= 1.5)
                .map(|b| b.1)
        };
        assert_eq!(at(&late), at(&native).map(|count| count + 1));
    }
}
