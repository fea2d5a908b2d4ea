//! Percentiles of what a window holds, exact.

/// The value that a share of `values` does not exceed, by the nearest rank; `None` of none. It sorts `values`.
pub fn percentile(values: &mut [f64], share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * share).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let mut values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let got = [0.5, 0.95, 0.99, 1.0].map(|share| percentile(&mut values, share));
        assert_eq!(got, [Some(50.0), Some(95.0), Some(99.0), Some(100.0)]);
        assert_eq!(percentile(&mut [7.0], 0.5), Some(7.0));
        assert_eq!(percentile(&mut [3.0, 1.0], 0.5), Some(1.0));
        assert_eq!(percentile(&mut [], 0.5), None);
    }
}
