//! Figures with their units, for people.

/// A time in ms: `0.85 ms`, `12.3 ms`, `1.84 s`, `2 min 05 s`. The space does not break.
pub(crate) fn ms(ms: f64) -> String {
    let us = ms * 1e3;
    match ms {
        _ if !ms.is_finite() => "unknown".to_owned(),
        _ if us < 0.5 => "0 ms".to_owned(),
        // Rounded first: 9.996 has to become 10.0, and 999.6 one second.
        _ if us.round() < 1_000.0 => format!("{us:.0}\u{a0}µs"),
        _ if ms < 9.995 => format!("{ms:.2}\u{a0}ms"),
        _ if ms < 99.95 => format!("{ms:.1}\u{a0}ms"),
        _ if ms < 999.5 => format!("{ms:.0}\u{a0}ms"),
        _ if ms < 9_995.0 => format!("{:.2}\u{a0}s", ms / 1e3),
        _ if ms < 59_950.0 => format!("{:.1}\u{a0}s", ms / 1e3),
        _ => long(ms / 1e3),
    }
}

fn long(seconds: f64) -> String {
    let s = seconds.round() as u64;
    match s {
        0..3_600 => format!("{}\u{a0}min {:02}\u{a0}s", s / 60, s % 60),
        3_600..172_800 => format!("{}\u{a0}h {:02}\u{a0}min", s / 3_600, s / 60 % 60),
        _ => format!("{}\u{a0}d {:02}\u{a0}h", s / 86_400, s / 3_600 % 24),
    }
}

/// A number of things: `12,034`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number of things, of 0 and more, in few letters, for axes and tiles: `850`, `12k`, `3.4M`.
pub(crate) fn short(n: f64) -> String {
    let scaled = |by: f64, unit: &str| {
        let v = n / by;
        let digits = usize::from(v < 99.95 && (v - v.round()).abs() > 0.04);
        format!("{v:.digits$}{unit}")
    };
    match n {
        a if a < 1.0 && a > 0.0 => trimmed(format!("{n:.2}")),
        a if a < 10.0 => trimmed(format!("{n:.1}")),
        a if a < 9_999.5 => count(n.round() as u64),
        a if a < 999_500.0 => scaled(1e3, "k"),
        a if a < 999_500_000.0 => scaled(1e6, "M"),
        _ => scaled(1e9, "G"),
    }
}

/// A tick of an axis of times in ms, without digits that say nothing.
pub(crate) fn ms_tick(value: f64) -> String {
    let (number, unit) = match value {
        0.0 => return "0".to_owned(),
        v if v < 0.9995 => (v * 1e3, "µs"),
        v if v < 999.5 => (v, "ms"),
        v if v < 119_500.0 => (v / 1e3, "s"),
        v if v < 7_170_000.0 => (v / 6e4, "min"),
        v => (v / 3.6e6, "h"),
    };
    format!("{}\u{a0}{unit}", trimmed(format!("{number:.2}")))
}

fn trimmed(text: String) -> String {
    if text.contains('.') {
        let text = text.trim_end_matches('0').trim_end_matches('.');
        return text.to_owned();
    }
    text
}

/// A share: `0 %`, `0.03 %`, `12.5 %`, `100 %`. What is not all is not called 100, and what is not nothing not 0.
pub(crate) fn percent(part: u64, of: u64) -> String {
    if of == 0 {
        return "–".to_owned();
    }
    let share = part as f64 * 100.0 / of as f64;
    let text = match (part, share) {
        (0, _) => "0".to_owned(),
        (part, _) if part == of => "100".to_owned(),
        (_, share) if share < 0.01 => "<\u{2009}0.01".to_owned(),
        (_, share) if share < 1.0 => format!("{share:.2}"),
        (_, share) if share > 99.95 => ">\u{2009}99.9".to_owned(),
        (_, share) => format!("{share:.1}"),
    };
    format!("{text}\u{a0}%")
}

/// A number of things, with their name in the singular or with an s.
pub(crate) fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// Bytes: `512 B`, `12.3 kB`, `4.5 MB`.
pub(crate) fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n}\u{a0}B"),
        1_000..1_000_000 => format!("{:.1}\u{a0}kB", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1}\u{a0}MB", n as f64 / 1e6),
        _ => format!("{:.1}\u{a0}GB", n as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: String) -> String {
        text.replace(['\u{a0}', '\u{2009}'], " ")
    }

    #[test]
    fn times_have_the_digits_that_tell_something() {
        for (value, want) in [
            (0.0, "0 ms"),
            (0.85, "850 µs"),
            (0.9999, "1.00 ms"),
            (9.996, "10.0 ms"),
            (12.34, "12.3 ms"),
            (999.6, "1.00 s"),
            (1840.0, "1.84 s"),
            (59_990.0, "1 min 00 s"),
            (125_000.0, "2 min 05 s"),
            (11_220_000.0, "3 h 07 min"),
            (f64::NAN, "unknown"),
        ] {
            assert_eq!(plain(ms(value)), want, "{value}");
        }
        for (value, want) in [
            (0.0, "0"),
            (0.5, "500 µs"),
            (20.0, "20 ms"),
            (2500.0, "2.5 s"),
            (100_000.0, "100 s"),
            (600_000.0, "10 min"),
        ] {
            assert_eq!(plain(ms_tick(value)), want);
        }
    }

    #[test]
    fn numbers_are_short_or_exact() {
        assert_eq!(
            [0, 999, 1000, 1234567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
        let got = [
            0.0, 0.25, 7.0, 850.0, 5_959.4, 12_000.0, 12_340.0, 3.4e6, 2e9,
        ]
        .map(short);
        let want = [
            "0", "0.25", "7", "850", "5,959", "12k", "12.3k", "3.4M", "2G",
        ];
        assert_eq!(got, want);
        assert_eq!(plain(bytes(12_345)), "12.3 kB");
    }

    #[test]
    fn a_share_that_is_not_all_is_not_called_all() {
        for (part, of, want) in [
            (0, 10, "0 %"),
            (10, 10, "100 %"),
            (1, 1_000_000, "< 0.01 %"),
            (999_999, 1_000_000, "> 99.9 %"),
            (1, 8, "12.5 %"),
            (0, 0, "–"),
        ] {
            assert_eq!(plain(percent(part, of)), want);
        }
    }
}
