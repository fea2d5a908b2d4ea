//! What servers report of their tokens, where they put it, and when it is no report: through whole
//! exchanges, of every dialect that reports.

mod errors;
mod found;
mod holes;
mod preliminary;
mod texts;
mod zeros;

use super::*;

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Whole,
    /// The client leaves.
    Left,
}

const SSE: &str = "text/event-stream";
const LINES: &str = "application/x-ndjson";
const JSON: &str = "application/json";

/// A stream of these events, 10 ms apart, the first at 10.
fn stream(path: &str, kind: &str, events: &[String], end: End) -> Written {
    let mut call = ScopeRig::new(false);
    let body = br#"{"model":"m","stream":true,"max_tokens":9,"messages":[],"prompt":"x","text":"x","inputs":"x","contents":[]}"#;
    call.request(path, &[], body);
    call.head(1, 200, &[("content-type", kind)]);
    let mut ms = 0;
    for event in events {
        ms += 10;
        match kind {
            SSE => call.event(ms, event),
            _ => call.body(ms, format!("{event}\n").as_bytes()),
        }
    }
    match end {
        End::Whole => call.end(ms + 10),
        End::Left => call.abort(ms + 10, AbortedBy::Client),
    }
}

/// One answer, with more fields in its head.
fn whole_with(path: &str, request: &str, fields: &[(&str, &str)], answer: &str) -> Written {
    let mut call = ScopeRig::new(false);
    call.request(path, &[], request.as_bytes());
    let mut head = vec![("content-type", JSON)];
    head.extend(fields);
    call.head(1, 200, &head);
    call.body(10, answer.as_bytes());
    call.end(20)
}

fn whole(path: &str, answer: &str) -> Written {
    let request = r#"{"model":"m","stream":false,"max_tokens":9,"messages":[],"prompt":"x","text":"x","inputs":"x","contents":[],"input":"x"}"#;
    whole_with(path, request, &[], answer)
}

/// Input, output, total, as numbers.
fn tokens(written: &Written) -> [Option<f64>; 3] {
    ["input_tokens", "output_tokens", "total_tokens"].map(|name| number(written, name))
}

fn is_marked(written: &Written, name: &str, with: &str) -> bool {
    mark(written, name).is_some_and(|m| m.attrs.contains_key(with))
}

/// The count of events is what is given, and says so.
#[track_caller]
fn assert_counted(written: &Written, want: f64, of: &str) {
    let got = number(written, "output_tokens");
    assert_eq!(got, Some(want), "{of}");
    assert!(is_marked(written, "output_tokens", "estimated"), "{of}");
    for name in ["completion_tokens", "total_tokens"] {
        assert_eq!(number(written, name), None, "{name} of {of}");
    }
    assert_ne!(text(written, "cirron.figures"), Some("complete"), "{of}");
    for name in ["tokens_per_second", "time_per_output_token_ms"] {
        let is_given = number(written, name).is_some();
        assert!(!is_given || is_marked(written, name, "estimated"), "{of}");
    }
}
