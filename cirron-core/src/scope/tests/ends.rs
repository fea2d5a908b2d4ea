//! The last event of every dialect's streams, by its goldens.

use super::goldens::goldens;
use super::*;
use crate::testing::split::Fed;

/// Goldens whose streams have no last event, and say of no choice why it ended.
const ENDLESS: [&str; 4] = [
    "koboldcpp/token-stream",
    "triton/generate-stream",
    "vllm/generate-stream",
    "vllm/stream-nul",
];

/// What is written, but for the size of what came.
fn figures(mut written: Written) -> Written {
    written.0.attrs.remove("http.response.body.size");
    written
}

#[test]
fn a_client_that_leaves_when_all_was_said_in_a_golden_has_had_all() {
    for golden in goldens() {
        let body = &golden.response.1;
        let path = golden.path.with_extension("");
        let shown = path.to_string_lossy().into_owned();
        let call = |prefix: &[u8], whole: bool| {
            let call = golden.begun(&[Fed::Data(prefix)], |_| 20);
            if whole {
                call.end(20)
            } else {
                call.abort(20, AbortedBy::Client)
            }
        };
        // The tests' own dialect has no last event, either.
        let is = |list: &[&str]| list.iter().any(|name| shown.ends_with(name));
        if !shown.contains("stream") || shown.contains("/src/") || is(&ENDLESS) {
            continue;
        }
        let is_cut = |w: &Written| w.2.partial;
        let first = (0..=body.len()).find(|end| !is_cut(&call(&body[..*end], false)));
        let first = first.unwrap_or_else(|| panic!("{shown}: no end"));
        let (left, all) = (call(&body[..first], false), call(body, true));
        assert_eq!(figures(left), figures(all), "{shown}");
        assert_eq!(call(body, false), call(body, true), "{shown}");
    }
}

const FINISH: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const FINISH_1: &str = r#"{"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}"#;
const REPORT: &str = r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#;
const EARLY: &str = r#"{"choices":[{"index":0,"delta":{"role":"assistant"}}],"usage":{"prompt_tokens":5,"completion_tokens":0}}"#;

/// A stream of two tokens between these events, that its client leaves before anything else comes.
fn left(request: &str, before: &[&str], behind: &[&str]) -> Written {
    left_by(AbortedBy::Client, request, before, behind)
}

fn left_by(by: AbortedBy, request: &str, before: &[&str], behind: &[&str]) -> Written {
    let mut call = ScopeRig::new(false);
    call.request("/v1/chat/completions", &[], request.as_bytes());
    call.head(1, 200, &[("content-type", "text/event-stream")]);
    before.iter().for_each(|event| call.event(5, event));
    call.delta(10, r#"{"content":"a"}"#);
    call.delta(20, r#"{"content":"b"}"#);
    behind.iter().for_each(|event| call.event(30, event));
    call.abort(40, by)
}

#[test]
fn who_else_ends_a_stream_before_its_last_event_cuts_it() {
    let unasked = r#"{"model":"m","messages":[],"stream":true}"#;
    for by in [AbortedBy::Server, AbortedBy::Agent] {
        let written = left_by(by, unasked, &[], &[FINISH, REPORT]);
        assert_eq!(text(&written, "cirron.aborted_by"), Some(by.as_str()));
        assert_eq!(text(&written, "cirron.figures"), Some("partial"));
    }
}

#[test]
fn a_reason_to_end_and_the_usage_that_was_asked_for_are_all_there_is() {
    let asked =
        r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#;
    let unasked = r#"{"model":"m","messages":[],"stream":true}"#;
    let refused =
        r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":false}}"#;
    let two = r#"{"model":"m","messages":[],"stream":true,"n":2}"#;
    let prompts = r#"{"model":"m","prompt":["x","y"],"stream":true}"#;
    let cut = r#"{"model":"m","messages":[],"stream":true"#;
    for (request, before, behind, all) in [
        (asked, &[][..], &[FINISH, REPORT][..], true),
        (asked, &[], &[REPORT, FINISH], false),
        (asked, &[], &[FINISH], false),
        (asked, &[EARLY], &[FINISH], false),
        (asked, &[], &[REPORT], false),
        (unasked, &[], &[FINISH], true),
        (refused, &[], &[FINISH], true),
        (unasked, &[], &[], false),
        (two, &[], &[FINISH], false),
        (two, &[], &[FINISH, FINISH_1], true),
        (two, &[FINISH_1], &[FINISH], true),
        (prompts, &[], &[FINISH], false),
        (prompts, &[], &[FINISH, "[DONE]"], true),
        // What it asks for was not seen.
        (cut, &[], &[FINISH], false),
        (cut, &[], &[FINISH, REPORT], true),
    ] {
        let written = left(request, before, behind);
        let shown = format!("{request} {before:?} {behind:?}");
        assert_eq!(written.2.partial, !all, "{shown}");
        assert_eq!(
            text(&written, "cirron.aborted_by").is_none(),
            all,
            "{shown}"
        );
        assert_eq!(
            number(&written, "request_duration_ms").is_some(),
            all,
            "{shown}"
        );
        let figures = text(&written, "cirron.figures");
        let reported = behind.contains(&REPORT);
        let want = match (all, reported) {
            (false, _) => "partial",
            (true, true) => "complete",
            (true, false) => "estimated",
        };
        assert_eq!(figures, Some(want), "{shown}");
    }
}

#[test]
fn content_behind_a_reason_to_end_takes_it_back() {
    let unasked = r#"{"model":"m","messages":[],"stream":true}"#;
    let more = r#"{"choices":[{"index":0,"delta":{"content":"c"},"finish_reason":"stop"}]}"#;
    assert!(left(unasked, &[], &[FINISH, more]).2.partial);
    assert!(left(unasked, &[FINISH], &[]).2.partial);
}

#[test]
fn what_is_written_to_nobody_behind_all_content_takes_nothing_back() {
    for (left_at, aborted) in [(50, false), (15, true)] {
        let mut call = ScopeRig::stream();
        for ms in [10, 20] {
            call.delta(ms, r#"{"content":"a"}"#);
        }
        call.event(30, FINISH);
        let from = MonoNs(left_at * MS);
        let written = if aborted {
            // It left before the second token was written.
            let mut early = ScopeRig::stream();
            early.delta(10, r#"{"content":"a"}"#);
            early.at(left_at, E::ClientLeaving { from });
            early.delta(20, r#"{"content":"a"}"#);
            early.event(60, "[DONE]");
            early
        } else {
            call.at(left_at, E::ClientLeaving { from });
            call.event(60, "[DONE]");
            call
        };
        let mut written = written;
        written.at(60, E::ResponseEnd(MessageEnd::Complete));
        written.at(
            60,
            E::End(ExchangeEnd {
                aborted_by: Some(AbortedBy::Client),
                ..ExchangeEnd::default()
            }),
        );
        let written = written.finish(60);
        assert_eq!(written.2.partial, aborted);
        let by = text(&written, "cirron.aborted_by");
        assert_eq!(by.is_some(), aborted);
    }
}

#[test]
fn a_client_that_left_before_the_last_event_left_early() {
    for golden in goldens() {
        let body = &golden.response.1;
        let call = |leaves_first: bool| {
            let mut call = golden.begun(&[], |_| 5);
            let from = MonoNs(52 * MS);
            if leaves_first {
                call.at(50, E::ClientLeaving { from });
            }
            call.body(60, body);
            if !leaves_first {
                call.at(
                    60,
                    E::ClientLeaving {
                        from: MonoNs(62 * MS),
                    },
                );
            }
            call.abort(70, AbortedBy::Client)
        };
        assert!(call(true).2.partial, "{}", golden.path.display());
        assert_eq!(text(&call(true), "cirron.aborted_by"), Some("client"));
        let (late, in_time) = (call(true).2.partial, call(false).2.partial);
        assert!(late || !in_time);
    }
}

#[test]
fn an_error_is_a_last_event() {
    let mut call = ScopeRig::stream();
    call.delta(20, r#"{"content":"a"}"#);
    call.event(30, r#"{"error":{"type":"overloaded_error","message":"x"}}"#);
    let written = call.abort(40, AbortedBy::Client);
    assert_eq!(text(&written, "error.type"), Some("overloaded_error"));
    assert!(!written.2.partial);
    assert_eq!(text(&written, "cirron.aborted_by"), None);
}

#[test]
fn what_was_lost_is_partial_also_at_the_last_event() {
    let mut call = ScopeRig::stream();
    call.delta(20, r#"{"content":"a"}"#);
    call.at(25, E::ResponseGap(7));
    call.event(30, "[DONE]");
    let written = call.abort(40, AbortedBy::Client);
    assert!(written.2.partial);
    assert_eq!(text(&written, "cirron.aborted_by"), Some("client"));
}
