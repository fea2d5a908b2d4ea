//! The time that a page is about, and its axis.

use super::charts::Across;
use crate::figures::date_time;
use crate::survey::calls::Call;
use crate::survey::stats::Scale;

/// From the first start to the last end.
pub(super) struct Window {
    pub(super) from: u64,
    pub(super) to: u64,
    last_start: u64,
}

/// Steps of an axis of time, in seconds.
const STEPS: [u64; 20] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200,
    86_400, 172_800, 604_800,
];

/// Past the last of them: four weeks.
const LONGEST_STEP: u64 = 2_419_200;

/// A time that is short enough to be counted from its beginning, in ms.
const SHORT_MS: f64 = 60_000.0;

impl Window {
    pub(super) fn spanning(calls: &[&Call]) -> Window {
        let from = calls.iter().map(|call| call.start_ns).min().unwrap_or(0);
        let last_start = calls.iter().map(|call| call.start_ns).max();
        let ends = calls.iter().map(|call| call.end_ns.max(call.start_ns));
        Window {
            from,
            to: ends.max().unwrap_or(from),
            last_start: last_start.unwrap_or(from),
        }
    }

    /// All of it.
    pub(super) fn ms(&self) -> f64 {
        self.at(self.to)
    }

    /// The time in which calls began.
    pub(super) fn starts_ms(&self) -> f64 {
        self.at(self.last_start)
    }

    /// A moment, from its beginning.
    pub(super) fn at(&self, ns: u64) -> f64 {
        ns.saturating_sub(self.from) as f64 / 1e6
    }

    /// The axis of charts over the time in which calls began.
    pub(super) fn across(&self) -> Across {
        let scale = Scale::from_zero(self.starts_ms());
        let (ticks, title) = if scale.high < SHORT_MS {
            let tick = |value: f64| (scale.share(value), crate::units::ms_tick(value));
            let ticks = scale.ticks(5).into_iter().map(tick).collect();
            (ticks, "began after the first call")
        } else {
            (self.clock_ticks(&scale), "began at, UTC")
        };
        let from = self.from;
        Across {
            scale,
            ticks,
            title,
            place: Box::new(move |band| date_time(from.saturating_add((band.from * 1e6) as u64))),
        }
    }

    fn clock_ticks(&self, scale: &Scale) -> Vec<(f64, String)> {
        let s = (scale.high / 1e3) as u64;
        let step = STEPS.iter().find(|step| s / **step <= 5);
        let step = *step.unwrap_or(&LONGEST_STEP);
        let first = (self.from / 1_000_000_000).div_ceil(step) * step;
        (0..8)
            .map(|n| (first + n * step).saturating_mul(1_000_000_000))
            .take_while(|ns| *ns <= self.last_start)
            .map(|ns| {
                let text = date_time(ns);
                // Of `2026-11-27 07:06:30` the part that differs between ticks.
                let part = match step {
                    0..60 => text.get(11..19),
                    60..86_400 => text.get(11..16),
                    _ => text.get(5..10),
                };
                (scale.share(self.at(ns)), part.unwrap_or("").to_owned())
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(from_s: u64, length_s: u64) -> Vec<String> {
        let call = |start_ns| Call {
            start_ns,
            ..Call::default()
        };
        let second = 1_000_000_000;
        let calls = [call(from_s * second), call((from_s + length_s) * second)];
        let all: Vec<&Call> = calls.iter().collect();
        let ticks = Window::spanning(&all).across().ticks;
        ticks.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn an_axis_of_time_has_round_times_of_the_day() {
        // 2026-11-27 07:06:30 UTC
        let from = 1_795_763_190;
        assert_eq!(
            ticks(from, 300),
            ["07:07", "07:08", "07:09", "07:10", "07:11"]
        );
        assert_eq!(
            ticks(from, 90),
            ["07:06:30", "07:07:00", "07:07:30", "07:08:00"]
        );
        assert_eq!(
            ticks(from, 20_000),
            ["08:00", "09:00", "10:00", "11:00", "12:00"]
        );
        assert_eq!(ticks(from, 400_000), ["11-28", "11-29", "11-30", "12-01"]);
        assert!(ticks(from, 8)[1].ends_with('s'));
        assert!(ticks(u64::MAX / 1_000_000_000 - 100, 100).len() < 8);
    }
}
