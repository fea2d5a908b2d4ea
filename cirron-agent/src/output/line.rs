//! One scope as one line, in the SDK's words (`format_span_line` of its `render.py`).
//!
//! `request — 12.3ms {output_tokens=5, time_to_first_token_ms=101.2000}`

use std::fmt::Write;

use cirron_core::scope::{Mark, MarkValue, Span};

use crate::spool::json::{WallTimes, nonfinite_token};

/// Appends the line, without its end.
pub fn write_line(out: &mut String, span: &Span, times: WallTimes, marks: &[Mark]) {
    out.push_str(&span.name);
    if let Some(index) = span.index {
        // Writing to a String does not fail.
        let _ = write!(out, "[{index}]");
    }
    out.push_str(" — ");
    write_duration(out, times.start_ns, times.end_ns);
    let marks = marks
        .iter()
        .map(|mark| (mark.name.as_str(), Shown::value(&mark.value)));
    write_marks(out, marks);
}

/// A mark's value as the SDK prints it.
enum Shown<'a> {
    /// As it is.
    Int(i64),
    /// With four decimals.
    Float(f64),
    /// As it is.
    Text(&'a str),
}

impl Shown<'_> {
    fn value(value: &MarkValue) -> Shown<'_> {
        match value {
            MarkValue::Int(v) => Shown::Int(*v),
            MarkValue::Float(v) => nonfinite_token(*v).map_or(Shown::Float(*v), Shown::Text),
            MarkValue::Str(v) => Shown::Text(v),
            // As Python has it.
            MarkValue::Bool(true) => Shown::Text("True"),
            MarkValue::Bool(false) => Shown::Text("False"),
        }
    }
}

/// Appends ` {name=value, ...}`, or nothing where there are no marks.
fn write_marks<'a>(out: &mut String, marks: impl Iterator<Item = (&'a str, Shown<'a>)>) {
    let mut any = false;
    for (name, value) in marks {
        out.push_str(if any { ", " } else { " {" });
        any = true;
        // Writing to a String does not fail.
        let _ = match value {
            Shown::Int(v) => write!(out, "{name}={v}"),
            Shown::Float(v) => write!(out, "{name}={v:.4}"),
            Shown::Text(v) => write!(out, "{name}={v}"),
        };
    }
    if any {
        out.push('}');
    }
}

/// Appends a duration in the SDK's units.
fn write_duration(out: &mut String, start_ns: u64, end_ns: Option<u64>) {
    let _ = match end_ns.map(|end| end.saturating_sub(start_ns) / 1_000) {
        None => write!(out, "open"),
        Some(us) if us < 1_000 => write!(out, "{us}us"),
        Some(us) if us < 1_000_000 => write!(out, "{:.1}ms", us as f64 / 1e3),
        Some(us) => write!(out, "{:.2}s", us as f64 / 1e6),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::testing::{anchor, mark, span};

    fn line(end: Option<u64>, marks: &[Mark]) -> String {
        let s = span(2, Some(1), 0, end);
        let mut out = String::new();
        write_line(&mut out, &s, WallTimes::new(&s, &anchor()), marks);
        out
    }

    /// Expected texts are what the SDK's `format_span_line` returns for the same values.
    #[test]
    fn a_line_is_the_sdk_s() {
        assert_eq!(line(None, &[]), "request — open");
        assert_eq!(line(Some(999_999), &[]), "request — 999us");
        assert_eq!(line(Some(12_345_678), &[]), "request — 12.3ms");
        assert_eq!(line(Some(12_350_000), &[]), "request — 12.3ms");
        assert_eq!(line(Some(1_234_567_890), &[]), "request — 1.23s");
        let marks = [
            mark(3, 2, "output_tokens", MarkValue::Int(5)),
            mark(4, 2, "time_to_first_token_ms", MarkValue::Float(101.25)),
            mark(5, 2, "x", MarkValue::Float(f64::NAN)),
            mark(6, 2, "phase", MarkValue::text("prefill")),
            mark(7, 2, "cached", MarkValue::Bool(true)),
        ];
        assert_eq!(
            line(Some(1_000), &marks),
            "request — 1us {output_tokens=5, time_to_first_token_ms=101.2500, x=nan, phase=prefill, cached=True}"
        );
        let mut s = span(2, Some(1), 0, None);
        s.index = Some(3);
        let mut out = String::new();
        write_line(&mut out, &s, WallTimes::new(&s, &anchor()), &[]);
        assert_eq!(out, "request[3] — open");
    }
}
