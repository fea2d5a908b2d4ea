//! Percentiles and bins of a column of figures.
//!
//! Exact: a column is sorted as a whole. A percentile is by nearest rank, so it is always a figure that was measured.

use crate::figures::ranked;

/// What of a distribution is told in numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Percentiles {
    pub(crate) count: usize,
    pub(crate) p50: f32,
    pub(crate) p90: f32,
    pub(crate) p95: f32,
    pub(crate) p99: f32,
    pub(crate) max: f32,
}

impl Percentiles {
    /// Of figures, which get sorted; `None` of none.
    pub(crate) fn from_values(values: &mut [f32]) -> Option<Percentiles> {
        values.sort_unstable_by(f32::total_cmp);
        Some(Percentiles {
            count: values.len(),
            p50: ranked(values, 0.50)?,
            p90: ranked(values, 0.90)?,
            p95: ranked(values, 0.95)?,
            p99: ranked(values, 0.99)?,
            max: *values.last()?,
        })
    }
}

/// Where the bins of a chart lie: in equal steps, or in equal ratios where the figures differ widely.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) is_log: bool,
}

/// Largest figure over the smallest from which bins are in equal ratios: in equal steps all but the first few bins of
/// such a column would be empty.
const LOG_FROM: f64 = 20.0;

/// Part of a figure below which two of them are the same on an axis: its ticks have three digits.
const LEAST_WIDTH: f64 = 0.02;

impl Scale {
    /// One in which figures from `low` to `high` have room.
    pub(crate) fn around(low: f64, high: f64) -> Scale {
        let is_log = low > 0.0 && high / low >= LOG_FROM;
        let differs = high - low > high.abs() * LEAST_WIDTH;
        let (low, high) = match (is_log, differs) {
            (true, _) => (low, high),
            (false, true) if low > 0.0 && low < high / 3.0 => (0.0, high),
            (false, true) => (low, high),
            // One figure, as far as anybody can tell: it stands in the middle.
            (false, false) if high == 0.0 => (0.0, 1.0),
            (false, false) => (low * 0.5, high * 1.5),
        };
        Scale { low, high, is_log }
    }

    /// One that begins at 0.
    pub(crate) fn from_zero(high: f64) -> Scale {
        let high = if high > 0.0 { high } else { 1.0 };
        Scale {
            low: 0.0,
            high,
            is_log: false,
        }
    }

    /// Where a figure lies, from 0 to 1.
    pub(crate) fn share(&self, value: f64) -> f64 {
        let share = if self.is_log {
            (value.max(self.low).ln() - self.low.ln()) / (self.high.ln() - self.low.ln())
        } else {
            (value - self.low) / (self.high - self.low)
        };
        share.clamp(0.0, 1.0)
    }

    /// The figure that lies there.
    pub(crate) fn at(&self, share: f64) -> f64 {
        if self.is_log {
            (self.low.ln() + share * (self.high.ln() - self.low.ln())).exp()
        } else {
            self.low + share * (self.high - self.low)
        }
    }

    /// Round figures inside, some `wanted` of them.
    pub(crate) fn ticks(&self, wanted: usize) -> Vec<f64> {
        if self.is_log {
            self.ticks_by_ratio(wanted)
        } else {
            self.ticks_by_step(wanted)
        }
    }

    fn ticks_by_step(&self, wanted: usize) -> Vec<f64> {
        let step = nice_step((self.high - self.low) / wanted.max(1) as f64);
        let first = (self.low / step - 1e-9).ceil();
        (0..=4 * wanted)
            .map(|n| (first + n as f64) * step)
            .take_while(|tick| *tick <= self.high + step * 1e-6)
            .collect()
    }

    /// 1, 2 and 5 of each power of ten; of many powers only these, or some of them.
    fn ticks_by_ratio(&self, wanted: usize) -> Vec<f64> {
        let (from, to) = (
            self.low.log10().floor() as i32,
            self.high.log10().ceil() as i32,
        );
        let within = |digits: &[f64], every: i32| -> Vec<f64> {
            (from..=to)
                .filter(|power| power.rem_euclid(every) == 0)
                .flat_map(|power| digits.iter().map(move |digit| digit * 10f64.powi(power)))
                .filter(|tick| *tick >= self.low * 0.999 && *tick <= self.high * 1.001)
                .collect()
        };
        let plans: [(&[f64], i32); 5] = [
            (&[1.0, 2.0, 5.0], 1),
            (&[1.0, 3.0], 1),
            (&[1.0], 1),
            (&[1.0], 2),
            (&[1.0], 4),
        ];
        let fits = |ticks: &Vec<f64>| ticks.len() <= wanted + 1;
        plans
            .iter()
            .map(|(digits, every)| within(digits, *every))
            .find(fits)
            .unwrap_or_default()
    }
}

/// The next of 1, 2, 2.5, 5 and 10 of a power of ten.
fn nice_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|digit| digit * power)
        .find(|nice| *nice >= step * 0.999)
        .unwrap_or(10.0 * power)
}

/// How many figures fall into each of `bins` equal parts of a scale.
pub(crate) fn histogram(values: &[f32], scale: &Scale, bins: usize) -> Vec<usize> {
    let mut counts = vec![0; bins];
    for value in values {
        let bin = (scale.share(f64::from(*value)) * bins as f64) as usize;
        if let Some(count) = counts.get_mut(bin.min(bins.saturating_sub(1))) {
            *count += 1;
        }
    }
    counts
}

/// A bin of figures by something else: time, or concurrency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Band {
    /// Where it begins and ends on that other scale.
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) count: usize,
    pub(crate) median: f32,
    /// `None` of fewer than [`P95_FROM`]: that would be their largest.
    pub(crate) p95: Option<f32>,
}

/// Figures from which a 95th percentile is another one than the largest.
pub(crate) const P95_FROM: usize = 20;

/// Bands of pairs (place, figure) in `bins` equal parts from `low` to `high`; those without a figure are left out.
/// The pairs get sorted.
pub(crate) fn bands(pairs: &mut [(f64, f32)], low: f64, high: f64, bins: usize) -> Vec<Band> {
    let width = (high - low) / bins.max(1) as f64;
    if width.partial_cmp(&0.0) != Some(std::cmp::Ordering::Greater) {
        return band_of(pairs, low, high).into_iter().collect();
    }
    let bin = |place: f64| (((place - low) / width) as usize).min(bins - 1);
    pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    pairs
        .chunk_by_mut(|a, b| bin(a.0) == bin(b.0))
        .filter_map(|group| {
            let at = bin(group.first()?.0) as f64;
            band_of(group, low + at * width, low + (at + 1.0) * width)
        })
        .collect()
}

fn band_of(group: &mut [(f64, f32)], from: f64, to: f64) -> Option<Band> {
    let mut values: Vec<f32> = group.iter().map(|pair| pair.1).collect();
    values.sort_unstable_by(f32::total_cmp);
    Some(Band {
        from,
        to,
        count: values.len(),
        median: ranked(&values, 0.5)?,
        p95: ranked(&values, 0.95).filter(|_| values.len() >= P95_FROM),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_percentile_is_a_figure_that_was_measured() {
        let mut values: Vec<f32> = (1..=100).rev().map(|n| n as f32).collect();
        let found = Percentiles::from_values(&mut values).unwrap();
        let want = (100, 50.0, 90.0, 95.0, 99.0, 100.0);
        let Percentiles {
            count,
            p50,
            p90,
            p95,
            p99,
            max,
        } = found;
        assert_eq!((count, p50, p90, p95, p99, max), want);
        let one = Percentiles::from_values(&mut [7.0]).unwrap();
        assert_eq!((one.p50, one.p99, one.max), (7.0, 7.0, 7.0));
        assert_eq!(Percentiles::from_values(&mut []), None);
    }

    #[test]
    fn figures_that_differ_widely_have_bins_of_equal_ratios() {
        assert!(Scale::around(1.0, 1000.0).is_log);
        assert!(!Scale::around(0.0, 1000.0).is_log);
        assert!(!Scale::around(10.0, 100.0).is_log);
        let one = Scale::around(5.0, 5.0);
        assert_eq!(one.share(5.0), 0.5);
        assert!(
            Scale::around(5.476, 5.483).high > 8.0,
            "ticks would say the same"
        );
        for scale in [Scale::around(1.0, 5000.0), Scale::around(3.0, 8.0)] {
            for share in [0.0, 0.25, 0.5, 1.0] {
                assert!((scale.share(scale.at(share)) - share).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(Scale::from_zero(97.0).ticks(4), [0.0, 25.0, 50.0, 75.0]);
        assert_eq!(
            Scale::around(8.0, 900.0).ticks(6),
            [10.0, 20.0, 50.0, 100.0, 200.0, 500.0]
        );
        for (low, high) in [(0.001, 1e6), (1.0, 21.0), (3.0, 1e9), (0.5, 11.0)] {
            let scale = Scale::around(low, high);
            let ticks = scale.ticks(5);
            assert!((1..=12).contains(&ticks.len()), "{low} {high}: {ticks:?}");
            let inside = |tick: &f64| *tick >= scale.low * 0.99 && *tick <= scale.high * 1.01;
            assert!(ticks.iter().all(inside), "{low} {high}: {ticks:?}");
        }
    }

    #[test]
    fn every_figure_falls_into_one_bin() {
        let values: Vec<f32> = (0..1000).map(|n| 1.0 + n as f32 * 3.7).collect();
        for scale in [Scale::around(1.0, 3697.3), Scale::from_zero(3697.3)] {
            let counts = histogram(&values, &scale, 40);
            assert_eq!(counts.iter().sum::<usize>(), 1000);
        }
        assert_eq!(histogram(&[5.0], &Scale::around(5.0, 5.0), 4), [0, 0, 1, 0]);
    }

    #[test]
    fn bands_have_the_median_and_p95_of_their_own_figures() {
        let mut pairs: Vec<(f64, f32)> = (0..100)
            .map(|n| (f64::from(n % 2) * 10.0, n as f32))
            .collect();
        let found = bands(&mut pairs, 0.0, 10.0, 5);
        assert_eq!(found.len(), 2, "bins without figures are left out");
        assert_eq!((found[0].from, found[0].to, found[0].count), (0.0, 2.0, 50));
        assert_eq!((found[0].median, found[1].median), (48.0, 49.0));
        assert_eq!(found[1].p95, Some(95.0));
        assert_eq!((found[1].from, found[1].to), (8.0, 10.0));
        let one = bands(&mut [(3.0, 1.0)], 3.0, 3.0, 5);
        assert_eq!((one.len(), one[0].p95), (1, None));
        assert_eq!(bands(&mut [], 0.0, 1.0, 5), []);
    }
}
