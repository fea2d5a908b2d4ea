//! The `traceparent` field of a request (W3C Trace Context): which trace the request is part of, and which span called.
//!
//! Stands beside the parsers of heads, and reads a head that is complete. What it gives are two numbers, both checked digit
//! by digit: nothing else of the field's value is kept. It promises no more than the field says: any client may send any.

use super::message::Headers;
use crate::id::Id;

/// Digits of `VERSION-TRACE-SPAN-FLAGS`, with the dashes.
const LEN: usize = 55;

/// What the field says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceParent {
    /// The trace.
    pub trace: Id,
    /// The span that called, by the number that whoever sent it gave it.
    pub span: [u8; 8],
}

/// What a head has of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    /// No such field.
    Nothing,
    /// One that is none: it is ignored.
    Malformed,
    /// One.
    One(TraceParent),
}

impl TraceParent {
    /// The span's number, 16 lowercase hexadecimal characters.
    pub(crate) fn span_text(&self) -> String {
        format!("{:016x}", u64::from_be_bytes(self.span))
    }
}

/// Looks for the field in a head. Two of them say nothing.
pub(crate) fn read(headers: &Headers) -> Carried {
    let mut all = headers.all("traceparent");
    match (all.next(), all.next()) {
        (None, _) => Carried::Nothing,
        (Some(value), None) => parse(value.trim_ascii()).map_or(Carried::Malformed, Carried::One),
        (Some(_), Some(_)) => Carried::Malformed,
    }
}

fn parse(value: &[u8]) -> Option<TraceParent> {
    let (fixed, behind) = value.split_at_checked(LEN)?;
    let mut parts = fixed.split(|b| *b == b'-');
    let version: [u8; 1] = hex(parts.next()?)?;
    let trace: [u8; 16] = hex(parts.next()?)?;
    let span: [u8; 8] = hex(parts.next()?)?;
    let _flags: [u8; 1] = hex(parts.next()?)?;
    let goes_on = match (version, behind) {
        ([0], []) => true,
        ([0 | 0xff], _) => false,
        // A later version may say more, behind another dash.
        (_, behind) => matches!(behind, [] | [b'-', ..]),
    };
    let is_whole = parts.next().is_none() && goes_on;
    (is_whole && trace != [0; 16] && span != [0; 8]).then_some(TraceParent {
        trace: Id(trace),
        span,
    })
}

/// Lowercase digits, exactly as many as fill the number.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    if digits.len() != 2 * N {
        return None;
    }
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let mut number = [0; N];
    for (byte, pair) in number.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = *pair else { return None };
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn carried(values: &[&str]) -> Carried {
        let field = |v: &&str| {
            (
                "traceparent".to_owned(),
                Bytes::copy_from_slice(v.as_bytes()),
            )
        };
        read(&Headers::from(values.iter().map(field).collect::<Vec<_>>()))
    }

    #[test]
    fn a_field_says_its_trace_and_its_span() {
        for value in [
            GOOD.to_owned(),
            format!(" {GOOD} "),
            GOOD.replacen("00", "cc", 1),
            GOOD.replacen("00", "01", 1) + "-anything",
        ] {
            let Carried::One(found) = carried(&[&value]) else {
                panic!("{value}");
            };
            assert_eq!(found.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
            assert_eq!(found.span_text(), "00f067aa0ba902b7");
        }
        assert_eq!(carried(&[]), Carried::Nothing);
    }

    #[test]
    fn anything_else_is_malformed() {
        let zero_trace = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let zero_span = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01";
        for value in [
            "",
            "a secret",
            zero_trace,
            zero_span,
            &GOOD.to_uppercase(),
            &GOOD.replacen("00", "ff", 1),
            &format!("{GOOD}-more"),
            &(GOOD.replacen("00", "01", 1) + "more"),
            &GOOD.replace('-', "_"),
            &GOOD.replacen('4', "é", 1),
            &GOOD.replacen("4b", "-b", 1),
        ] {
            assert_eq!(carried(&[value]), Carried::Malformed, "{value}");
        }
        for len in 1..LEN {
            assert_eq!(carried(&[&GOOD[..len]]), Carried::Malformed);
        }
        assert_eq!(carried(&[GOOD, GOOD]), Carried::Malformed, "which?");
    }
}
