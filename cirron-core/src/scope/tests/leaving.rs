//! What is written to a client that has left.

use super::*;

const ANSWER: &str = r#"{"content":"a"}"#;
const USAGE: &str =
    r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":9,"total_tokens":14}}"#;
const NOBODY: &str = "output_tokens_after_client_left";

/// Three tokens, then the client goes, then `more`, and a usage report.
fn left_behind(more: &[u64]) -> ScopeRig {
    let mut call = ScopeRig::stream();
    for ms in [10, 20, 40] {
        call.delta(ms, ANSWER);
    }
    call.at(
        50,
        E::ClientLeaving {
            from: MonoNs(52 * MS),
        },
    );
    for ms in more {
        call.delta(*ms, ANSWER);
    }
    call.event(200, USAGE);
    call.event(210, "[DONE]");
    call
}

#[test]
fn tokens_for_nobody_are_counted_apart_and_in_no_other_figure() {
    let written = left_behind(&[51, 90, 170]).abort(220, AbortedBy::Client);
    assert_eq!(number(&written, NOBODY), Some(2.0));
    let counted = mark(&written, "output_tokens").unwrap();
    assert_eq!(counted.value, MarkValue::Int(4), "one was under way");
    assert_eq!(counted.attrs["estimated"], true.into());
    assert_eq!(written.2.output_tokens, Some(4));
    assert_eq!(number(&written, "max_inter_token_ms"), Some(20.0));
    assert_eq!(number(&written, "input_tokens"), Some(5.0));
    for name in ["completion_tokens", "total_tokens"]
        .iter()
        .chain(&OF_A_WHOLE)
    {
        assert_eq!(number(&written, name), None, "{name}");
    }
    assert_eq!(written.1.iter().filter(|m| m.name == "chunk_ms").count(), 3);
    assert_eq!(text(&written, "cirron.aborted_by"), Some("client"));
    assert_eq!(text(&written, "cirron.figures"), Some("partial"));
}

#[test]
fn who_only_shut_its_sending_side_has_had_all() {
    let mut stayed = left_behind(&[90]);
    stayed.at(215, E::ClientStayed);
    for call in [stayed, left_behind(&[90])] {
        let written = call.end(220);
        assert_eq!(number(&written, NOBODY), None);
        assert_eq!(number(&written, "output_tokens"), Some(9.0));
        assert_eq!(number(&written, "max_inter_token_ms"), Some(50.0));
        assert_eq!(number(&written, "request_duration_ms"), Some(220.0));
    }
    let mut stayed = left_behind(&[90]);
    stayed.at(215, E::ClientStayed);
    let written = stayed.abort(220, AbortedBy::Client);
    assert_eq!(number(&written, NOBODY), None, "it left at the end");
}

#[test]
fn a_report_about_what_was_read_holds_though_it_came_later() {
    let written = left_behind(&[]).abort(220, AbortedBy::Client);
    assert_eq!(number(&written, NOBODY), None);
    assert_eq!(number(&written, "output_tokens"), Some(9.0));
    assert_eq!(number(&written, "request_duration_ms"), Some(210.0));
}

#[test]
fn who_left_before_the_first_token_has_no_time_to_it() {
    let mut call = ScopeRig::new(false);
    let body = br#"{"model":"m","stream":true,"messages":[]}"#;
    call.request("/v1/chat/completions", &[], body);
    call.at(
        5,
        E::ClientLeaving {
            from: MonoNs(7 * MS),
        },
    );
    call.head(10, 200, &[("content-type", "text/event-stream")]);
    call.delta(20, ANSWER);
    call.delta(30, ANSWER);
    let written = call.abort(40, AbortedBy::Client);
    assert_eq!(number(&written, NOBODY), Some(2.0));
    for name in ["output_tokens", "time_to_first_token_ms"] {
        assert_eq!(number(&written, name), None, "{name}");
    }
}

#[test]
fn what_was_reported_until_then_stays() {
    let mut call = ScopeRig::stream();
    let report = |n: u32| {
        format!(
            r#"{{"object":"chat.completion.chunk","choices":[{{"index":0,"delta":{ANSWER}}}],"usage":{{"prompt_tokens":5,"completion_tokens":{n},"total_tokens":{}}}}}"#,
            5 + n
        )
    };
    call.event(10, &report(1));
    call.event(20, &report(2));
    call.at(
        30,
        E::ClientLeaving {
            from: MonoNs(32 * MS),
        },
    );
    call.event(40, &report(3));
    let written = call.abort(50, AbortedBy::Client);
    for (name, value) in [
        (NOBODY, 1.0),
        ("completion_tokens", 2.0),
        ("total_tokens", 7.0),
    ] {
        assert_eq!(number(&written, name), Some(value), "{name}");
    }
    let reported = mark(&written, "output_tokens").unwrap();
    assert_eq!(reported.attrs["partial"], true.into());
}
