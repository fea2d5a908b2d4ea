//! The last event of every dialect's streams, by its goldens.

use super::goldens::goldens;
use super::*;
use crate::testing::split::Fed;

/// Dialects whose streams have no last event.
const ENDLESS: [&str; 2] = ["triton", "vllm"];

/// Bytes of the checksum at the end of a message of AWS.
const CHECKSUM: usize = 4;

/// What a body may have behind its last event.
fn is_nothing(rest: &[u8]) -> bool {
    rest.len() <= CHECKSUM || rest.iter().all(|b| b.is_ascii_whitespace() || *b == b']')
}

#[test]
fn a_client_that_leaves_at_the_last_event_of_a_golden_has_had_all() {
    for golden in goldens() {
        let body = &golden.response.1;
        let name = golden.path.with_extension("");
        let of = |prefix: &[u8], whole: bool| {
            let call = golden.begun(&[Fed::Data(prefix)], |_| 20);
            if whole {
                call.end(20)
            } else {
                call.abort(20, AbortedBy::Client)
            }
        };
        let is_cut = |w: &Written| w.2.partial;
        let first = (0..=body.len()).find(|end| !is_cut(&of(&body[..*end], false)));
        let shown = name.to_string_lossy();
        // The tests' own dialect has none, either.
        let is_stream = shown.contains("stream") && !shown.contains("/src/");
        if !is_stream || ENDLESS.contains(&golden.dialect.as_str()) {
            continue;
        }
        let first = first.unwrap_or_else(|| panic!("{}: no last event", name.display()));
        let rest = &body[first..];
        assert!(is_nothing(rest), "{}: {rest:?} follows", name.display());
        assert_eq!(of(body, false), of(body, true), "{}", name.display());
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
    let mut call = Call::stream();
    call.delta(20, r#"{"content":"a"}"#);
    call.event(30, r#"{"error":{"type":"overloaded_error","message":"x"}}"#);
    let written = call.abort(40, AbortedBy::Client);
    assert_eq!(text(&written, "error.type"), Some("overloaded_error"));
    assert!(!written.2.partial);
    assert_eq!(text(&written, "cirron.aborted_by"), None);
}

#[test]
fn what_was_lost_is_partial_also_at_the_last_event() {
    let mut call = Call::stream();
    call.delta(20, r#"{"content":"a"}"#);
    call.at(25, E::ResponseGap(7));
    call.event(30, "[DONE]");
    let written = call.abort(40, AbortedBy::Client);
    assert!(written.2.partial);
    assert_eq!(text(&written, "cirron.aborted_by"), Some("client"));
}
