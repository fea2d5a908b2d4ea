//! Times and lengths of text for people, and what of many figures is told them.

/// A length of time, with the digits that tell something: `850us`, `12.3ms`, `1.23s`, `2m05s`, `3h07m`.
pub fn length(ns: u64) -> String {
    let us = ns / 1_000;
    let s = us / 1_000_000;
    match us {
        0..1_000 => format!("{us}us"),
        1_000..100_000 => format!("{:.1}ms", us as f64 / 1e3),
        100_000..1_000_000 => format!("{}ms", us / 1_000),
        1_000_000..60_000_000 => format!("{:.2}s", us as f64 / 1e6),
        60_000_000..3_600_000_000 => format!("{}m{:02}s", s / 60, s % 60),
        _ => format!("{}h{:02}m", s / 3_600, s / 60 % 60),
    }
}

/// The same of milliseconds.
pub fn length_of_ms(ms: f64) -> String {
    if ms.is_finite() && ms >= 0.0 {
        length((ms * 1e6).round() as u64)
    } else {
        ms.to_string()
    }
}

/// A time of the wall clock: `2026-11-27 07:06:30`, in UTC.
pub fn date_time(ns: u64) -> String {
    let s = ns / 1_000_000_000;
    let (days, of_day) = (s / 86_400, s % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// Year, month and day of a day since 1970-01-01. A year begins in March here, so that the day that
/// not every year has is its last.
fn civil(days: u64) -> (u64, u64, u64) {
    // Days of 400 years, of 100, of 4; 719 468 days are from 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let of_month = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + next, month, of_month)
}

/// The figure of sorted ones that a share of them does not exceed, by nearest rank: one that was measured. `None` of none.
pub fn ranked<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// Columns that text takes: letters of East Asia and pictures take two.
pub fn columns(text: &str) -> usize {
    text.chars()
        .map(|c| match c as u32 {
            0x1100..0x1160 | 0x2e80..0xa4d0 | 0xac00..0xd7a4 | 0xf900..0xfb00 => 2,
            0xfe30..0xfe70 | 0xff00..0xff61 | 0x1f300..0x20000 | 0x20000..0x40000 => 2,
            _ => 1,
        })
        .sum()
}

/// The text in at most this number of columns, its middle left out where it is longer.
pub fn squeezed(text: &str, max: usize) -> String {
    if columns(text) <= max {
        return text.to_owned();
    }
    // What identifies a path or a model stands at both ends.
    let head = max.saturating_sub(1) * 3 / 5;
    let tail = max.saturating_sub(1) - head;
    let ends: Vec<char> = text.chars().rev().collect();
    let tail: String = within(ends.into_iter(), tail).into_iter().rev().collect();
    let mut out: String = within(text.chars(), head).into_iter().collect();
    if max > 0 {
        out.push('…');
    }
    out + &tail
}

/// The text in at most this number of columns, with a sign at its end where it is longer.
pub fn ended(text: &str, max: usize) -> String {
    if columns(text) <= max {
        return text.to_owned();
    }
    let mut out: String = within(text.chars(), max.saturating_sub(1))
        .into_iter()
        .collect();
    out.truncate(out.trim_end().len());
    out.push('…');
    out
}

fn within(chars: impl Iterator<Item = char>, max: usize) -> Vec<char> {
    let mut sum = 0;
    chars
        .take_while(|c| {
            sum += columns(c.encode_utf8(&mut [0; 4]));
            sum <= max
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_the_digits_that_tell_something() {
        let us = |us: u64| length(us * 1_000);
        let got = [
            0, 999, 1_000, 12_345, 101_250, 999_999, 1_234_567, 59_990_000,
        ]
        .map(us);
        let want = [
            "0us", "999us", "1.0ms", "12.3ms", "101ms", "999ms", "1.23s", "59.99s",
        ];
        assert_eq!(got, want);
        assert_eq!(us(125_000_000), "2m05s");
        assert_eq!(us(11_220_000_000), "3h07m");
        assert_eq!(length_of_ms(101.25), "101ms");
        assert_eq!(length_of_ms(f64::NAN), "NaN");
        assert_eq!(length_of_ms(-1.0), "-1");
    }

    /// Expected dates are those of `date -u -d @SECONDS`.
    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, want) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_709_210_096, "2024-02-29 12:34:56"),
            (1_735_689_599, "2024-12-31 23:59:59"),
            (1_795_763_190, "2026-11-27 07:06:30"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(date_time(seconds * 1_000_000_000), want);
        }
        assert_eq!(date_time(u64::MAX), "2554-07-21 23:34:33");
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        let got = [0.5, 0.95, 0.99, 1.0].map(|share| ranked(&values, share));
        assert_eq!(got, [Some(50.0), Some(95.0), Some(99.0), Some(100.0)]);
        assert_eq!(ranked(&[7.0], 0.5), Some(7.0));
        assert_eq!(ranked(&[1.0, 3.0], 0.5), Some(1.0));
        assert_eq!(ranked(&[0.0; 0], 0.5), None);
    }

    #[test]
    fn text_is_squeezed_to_its_columns() {
        assert_eq!(squeezed("/v1/chat/completions", 20), "/v1/chat/completions");
        assert_eq!(squeezed("/v1/chat/completions", 11), "/v1/ch…ions");
        assert_eq!(ended("a note that goes on", 8), "a note…");
        for max in 0..12 {
            for text in ["漢字漢字漢字", "abcdefghijkl", "a🦀b🦀c🦀"] {
                assert!(columns(&squeezed(text, max)) <= max, "{max} {text}");
            }
        }
    }
}
