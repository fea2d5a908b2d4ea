//! Values with units: lengths of time and sizes, as typed on the command line or set in the
//! environment.

use std::time::Duration;

/// Longest time; longer than any capture, short enough for every timer.
pub const MAX_DURATION: Duration = Duration::from_secs(365 * 24 * 3600);

/// Units of time, in seconds.
const TIMES: [(&str, f64); 5] = [
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3_600.0),
    ("d", 86_400.0),
];

/// Units of size by their lowercase names. `k` is a thousand, as with `kB`.
const SIZES: [(&str, u64); 15] = [
    ("", 1),
    ("b", 1),
    ("k", 1_000),
    ("kb", 1_000),
    ("ki", 1 << 10),
    ("kib", 1 << 10),
    ("m", 1_000_000),
    ("mb", 1_000_000),
    ("mi", 1 << 20),
    ("mib", 1 << 20),
    ("g", 1_000_000_000),
    ("gb", 1_000_000_000),
    ("gi", 1 << 30),
    ("gib", 1 << 30),
    ("tb", 1_000_000_000_000),
];

/// What a time looks like, for messages.
pub const TIME_FORM: &str = "a time, such as 500ms, 10s, 5m or 1h30m";

/// What a size looks like, for messages.
pub const SIZE_FORM: &str = "a size, such as 500MB, 1GB, 2GiB or a number of bytes";

/// `10s`, `500ms`, `1.5m`, `1h30m`, and a bare number as seconds; longer than nothing.
pub fn parse_time(text: &str) -> Option<Duration> {
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = split_number(rest)?;
        let unit_ends = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_ends);
        let scale = if unit.is_empty() && number.len() == text.len() {
            1.0
        } else {
            TIMES.iter().find(|(name, _)| *name == unit)?.1
        };
        seconds += number.parse::<f64>().ok()? * scale;
        rest = after;
    }
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|time| !time.is_zero() && *time <= MAX_DURATION)
}

/// A moment, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// This long ago.
    Ago(Duration),
    /// At this time of the wall clock, in nanoseconds.
    At(u64),
}

impl When {
    /// On the wall clock, where it is `now_ns`.
    pub fn wall_ns(self, now_ns: u64) -> u64 {
        match self {
            When::Ago(time) => {
                now_ns.saturating_sub(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
            }
            When::At(ns) => ns,
        }
    }
}

/// A time that has passed (`10m`), or RFC 3339 (`2026-11-28T12:00:00Z`, `2026-11-28 13:00:00.5+01:00`).
pub fn parse_when(text: &str) -> Result<When, String> {
    let when = parse_time(text).map(When::Ago);
    when.or_else(|| parse_rfc3339(text).map(When::At))
        .ok_or_else(|| format!("not {TIME_FORM}, or 2026-11-28T12:00:00Z"))
}

/// Nanoseconds since the epoch; by RFC 3339, whose leap second is the second behind it.
fn parse_rfc3339(text: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        let is = digits.bytes().all(|c| c.is_ascii_digit());
        is.then(|| digits.parse::<i64>().ok()).flatten()
    };
    let is = |at: usize, chars: &str| text.get(at..=at).is_some_and(|c| chars.contains(c));
    let has_form = is(4, "-") && is(7, "-") && is(10, "Tt ") && is(13, ":") && is(16, ":");
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let fits = (1..=days).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !has_form || !fits {
        return None;
    }
    let mut rest = text.get(19..)?;
    let mut fraction_ns = 0;
    if let Some(after) = rest.strip_prefix('.') {
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let (fraction, after) = after.split_at(digits);
        let nine = format!("{fraction:0<9}");
        fraction_ns = nine.get(..9).filter(|_| digits > 0)?.parse::<i64>().ok()?;
        rest = after;
    }
    let offset_s = match rest {
        "Z" | "z" => 0,
        _ => {
            let at = text.len() - rest.len();
            let sign = if is(at, "+") { 1 } else { -1 };
            let has_form = rest.len() == 6 && is(at, "+-") && is(at + 3, ":");
            let (hours, minutes) = (number(at + 1..at + 3)?, number(at + 4..at + 6)?);
            if !has_form || hours > 23 || minutes > 59 {
                return None;
            }
            sign * (hours * 3_600 + minutes * 60)
        }
    };
    // A year begins in March here, so that the day that not every year has is its last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let seconds = (days - 719_468) * 86_400 + hour * 3_600 + minute * 60 + second - offset_s;
    let ns = seconds
        .checked_mul(1_000_000_000)?
        .checked_add(fraction_ns)?;
    u64::try_from(ns).ok()
}

/// `1000000000`, `1GB`, `1.5 GiB`; more than nothing.
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_number(text)?;
    let unit = unit.trim_start().to_ascii_lowercase();
    let scale = SIZES.iter().find(|(name, _)| *name == unit)?.1;
    // Whole numbers exactly: a float has not enough digits for all of them.
    let bytes = match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(scale)?,
        Err(_) => {
            let bytes = number.parse::<f64>().ok()? * scale as f64;
            // The next float below 2^64 is far from it.
            (bytes < u64::MAX as f64).then_some(bytes as u64)?
        }
    };
    (bytes > 0).then_some(bytes)
}

/// Digits, perhaps with a point, and what is behind them.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected numbers are those of `date -u -d TEXT +%s`.
    #[test]
    fn a_moment_is_a_time_ago_or_rfc_3339() {
        let s = |text: &str| match parse_when(text) {
            Ok(When::At(ns)) => ns as f64 / 1e9,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(s("1970-01-01T00:00:00Z"), 0.0);
        assert_eq!(s("2000-02-29t00:00:00z"), 951_782_400.0);
        assert_eq!(s("2026-11-27 07:06:30.5Z"), 1_795_763_190.5);
        assert_eq!(s("2026-11-27T08:06:30+01:00"), 1_795_763_190.0);
        assert_eq!(s("2026-11-26T23:36:30-07:30"), 1_795_763_190.0);
        assert_eq!(s("2100-03-01T00:00:00Z"), 4_107_542_400.0);
        let ago = When::Ago(Duration::from_secs(600));
        assert_eq!(parse_when("10m"), Ok(ago));
        assert_eq!(ago.wall_ns(601_000_000_000), 1_000_000_000);
        assert_eq!(ago.wall_ns(0), 0);
        for bad in [
            "",
            "now",
            "2026-11-27",
            "2026-11-27T07:06:30",
            "2026-13-01T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "2026-11-27T24:00:00Z",
            "2026-11-27T07:06:30.Z",
            "2026-11-27T07:06:30+1:00",
            "1969-12-31T23:59:59Z",
            "2026-11-27T07:06:30Zé",
            "2026-11-é7T07:06:30Z",
            "+026-11-27T07:06:30Z",
        ] {
            assert!(parse_when(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_have_units() {
        for (text, ms) in [
            ("10s", 10_000),
            ("500ms", 500),
            ("1.5m", 90_000),
            ("1h", 3_600_000),
            ("1h30m", 5_400_000),
            ("2m5s250ms", 125_250),
            ("1d", 86_400_000),
            ("2", 2_000),
            ("0.25", 250),
        ] {
            assert_eq!(parse_time(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for bad in [
            "",
            "s",
            "10 s",
            "-1s",
            "0s",
            "0",
            "1w",
            "1e9h",
            "99999999h",
            "1.2.3s",
            "1h30",
            "nan",
            "inf",
            "+1",
            ".",
            "1h 30m",
            "10S",
            "1m-2s",
        ] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("1000000000", 1_000_000_000),
            ("18446744073709551615", u64::MAX),
            ("1GB", 1_000_000_000),
            ("1gb", 1_000_000_000),
            ("1G", 1_000_000_000),
            ("1GiB", 1 << 30),
            ("1Gi", 1 << 30),
            ("1.5 GB", 1_500_000_000),
            ("500MB", 500_000_000),
            ("64MiB", 64 << 20),
            ("10k", 10_000),
            ("512B", 512),
            ("2TB", 2_000_000_000_000),
        ] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for bad in [
            "",
            "GB",
            "-1",
            "-1GB",
            "0",
            "0GB",
            "1XB",
            "1e9",
            "nan",
            "inf",
            "1.2.3GB",
            "99999999999GB",
            "18446744073709551616",
            "1GB 2",
            "0.1",
            "1_000",
        ] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
    }
}
