//! Counts of tokens as others write them.

use crate::body::json::Scalar;

/// More than any call has: the largest contexts are some millions, and a batch of prompts is bounded
/// by its body. What servers put for "not known" (-1 as an unsigned number, `i32::MAX`) is above it.
/// Past it a number is no count.
pub(crate) const MAX_COUNT: i64 = 1_000_000_000;

/// The count that a member says. A text may be one: Google's JSON writes its large integers so.
pub(crate) fn count(value: Scalar<'_>) -> Option<i64> {
    match value {
        Scalar::Num(text) => of_text(text),
        Scalar::Str { .. } => value.as_str().and_then(of_text),
        Scalar::Bool(_) | Scalar::Null => None,
    }
}

/// The count that a text says: a whole number from 0 to [`MAX_COUNT`], also as `17.0` or `1.7e1`.
pub(crate) fn of_text(text: &str) -> Option<i64> {
    let text = text.trim();
    // Words that a float may have (`inf`, `nan`) are none.
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return None;
    }
    let number = text.parse().ok().or_else(|| whole(text.parse().ok()?))?;
    (0..=MAX_COUNT).contains(&number).then_some(number)
}

/// A float that is a whole number.
fn whole(number: f64) -> Option<i64> {
    let is_whole = number.fract() == 0.0 && number.abs() <= MAX_COUNT as f64;
    #[expect(clippy::cast_possible_truncation, reason = "whole, and bounded")]
    is_whole.then_some(number as i64)
}

/// Sets `slot` to `told`: a count replaces, a 0 does not replace a count.
pub(crate) fn fill(slot: &mut Option<i64>, told: Option<i64>) {
    *slot = counted(told, *slot);
}

/// `first`, unless it is not said, or a 0 where `other` is a count.
pub(crate) fn counted(first: Option<i64>, other: Option<i64>) -> Option<i64> {
    first.filter(|n| *n > 0).or(other).or(first)
}

/// Both, where there are both.
pub(crate) fn sum(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => a.checked_add(b),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_is_a_count_however_it_is_written() {
        for (text, want) in [
            ("17", 17),
            ("17.0", 17),
            ("17.000", 17),
            ("1.7e1", 17),
            ("1.7E+1", 17),
            ("170e-1", 17),
            ("0", 0),
            ("0.0", 0),
            ("-0", 0),
            ("-0.0", 0),
            (" 17 ", 17),
            ("1000000000", MAX_COUNT),
            ("1e9", MAX_COUNT),
        ] {
            assert_eq!(of_text(text), Some(want), "{text}");
            assert_eq!(count(Scalar::Num(text)), Some(want), "{text}");
        }
    }

    #[test]
    fn what_no_call_can_have_is_no_count() {
        for text in [
            "-1",
            "-1.0",
            "17.5",
            "1000000001",
            "2147483647",
            "4294967295",
            "18446744073709551615",
            "9223372036854775807",
            "1e10",
            "1e400",
            "-1e400",
            "",
            " ",
            "-",
            "nan",
            "inf",
            "-inf",
            "-nan",
            "infinity",
            "many",
            "17 tokens",
            "0x11",
        ] {
            assert_eq!(of_text(text), None, "{text}");
        }
        assert_eq!(count(Scalar::Null), None);
        assert_eq!(count(Scalar::Bool(true)), None);
    }

    #[test]
    fn a_text_may_be_a_count() {
        let text = |prefix, cut| Scalar::Str {
            prefix,
            len: 2,
            cut,
        };
        assert_eq!(count(text("17", false)), Some(17));
        assert_eq!(count(text("17", true)), None, "its rest is not known");
        assert_eq!(count(text("a", false)), None);
    }

    #[test]
    fn a_zero_replaces_no_count() {
        for (told, had, want) in [
            (Some(5), Some(3), Some(5)),
            (Some(3), Some(5), Some(3)),
            (Some(0), Some(5), Some(5)),
            (Some(0), None, Some(0)),
            (None, Some(5), Some(5)),
            (None, None, None),
        ] {
            let mut slot = had;
            fill(&mut slot, told);
            assert_eq!(slot, want, "{told:?} behind {had:?}");
        }
    }
}
