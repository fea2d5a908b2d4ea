//! Counts that a hole cuts apart: what is left is true, or says that it is not all.

use super::*;
use crate::testing::split::{Fed, assert_gap_safe};

/// An answer with a hole; a stream's events come 10 ms apart.
fn with_hole(path: &str, kind: &str, parts: &[Fed<'_>]) -> Written {
    let mut call = ScopeRig::new(false);
    let request = br#"{"model":"m","stream":true,"messages":[],"input":{}}"#;
    call.request(path, &[], request);
    call.head(1, 200, &[("content-type", kind)]);
    for (part, ms) in parts.iter().zip((10..).step_by(10)) {
        match part {
            Fed::Data(bytes) => call.body(ms, bytes),
            Fed::Gap(len) => call.at(ms, E::ResponseGap(*len)),
        }
    }
    call.end(900)
}

#[test]
fn what_a_hole_leaves_of_counts_is_true() {
    // What it bills stands before what it counts.
    let cohere = [
        r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"a"}}}}"#,
        r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"billed_units":{"input_tokens":9,"output_tokens":4},"tokens":{"input_tokens":90,"output_tokens":12}}}}"#,
    ];
    let whole = r#"{"id":"c","message":{"role":"assistant","content":[{"type":"text","text":"a"}]},"finish_reason":"COMPLETE","usage":{"billed_units":{"input_tokens":9,"output_tokens":4},"tokens":{"input_tokens":90,"output_tokens":12}}}"#;
    // The sum stands before what it is of, in each event.
    let dashscope = [(1, "null"), (2, "null"), (12, "stop")].map(|(n, reason)| {
        format!(
            r#"{{"output":{{"choices":[{{"message":{{"content":"a"}},"finish_reason":"{reason}"}}]}},"usage":{{"total_tokens":{},"output_tokens":{n},"input_tokens":90}},"request_id":"r"}}"#,
            90 + n
        )
    });
    let events = |events: &[&str]| {
        let event = |event: &&str| format!("data: {event}\n\n");
        events.iter().map(event).collect::<String>()
    };
    for (path, kind, body) in [
        ("/v2/chat", SSE, events(&cohere)),
        ("/v2/chat", JSON, whole.to_owned()),
        (
            "/api/v1/services/aigc/text-generation/generation",
            SSE,
            events(&dashscope.each_ref().map(String::as_str)),
        ),
    ] {
        let run = |parts: &[Fed<'_>]| with_hole(path, kind, parts);
        let right = run(&[Fed::Data(body.as_bytes())]);
        assert_eq!(tokens(&right), [Some(90.0), Some(12.0), Some(102.0)]);
        assert_gap_safe(body.as_bytes(), run, |got, hole| {
            for name in ["input_tokens", "output_tokens", "total_tokens"] {
                let unmarked = ["partial", "estimated"]
                    .iter()
                    .all(|with| !is_marked(got, name, with));
                let count = number(got, name).filter(|_| unmarked);
                let is_right = count.is_none() || count == number(&right, name);
                assert!(is_right, "{name} {count:?} of {path}, {hole:?}");
            }
        });
    }
}
