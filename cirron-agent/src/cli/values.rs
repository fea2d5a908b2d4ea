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
