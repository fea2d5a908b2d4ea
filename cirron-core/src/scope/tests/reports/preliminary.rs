//! Counts that were told before, or between, what they should count.

use super::*;

/// Three events with content, as a dialect has them, with what it reports before or among them.
struct Case {
    name: &'static str,
    path: &'static str,
    kind: &'static str,
    /// Before the content; empty: nothing.
    before: &'static str,
    content: &'static str,
    /// Tells of an error.
    error: &'static str,
}

impl Case {
    /// SGLang's events repeat the text so far.
    fn contents(&self) -> Vec<String> {
        let text = |n: usize| match self.name {
            "sglang" => format!("\"{}\"", "a".repeat(n)),
            _ => "\"a\"".to_owned(),
        };
        (1..=3)
            .map(|n| self.content.replace("\"a\"", &text(n)))
            .collect()
    }
}

const CASES: [Case; 9] = [
    Case {
        name: "anthropic",
        path: "/v1/messages",
        kind: SSE,
        before: r#"{"type":"message_start","message":{"id":"m","type":"message","model":"c","content":[],"usage":{"input_tokens":25,"output_tokens":1}}}"#,
        content: r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#,
        error: r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#,
    },
    Case {
        name: "openai, usage with the role",
        path: "/v1/chat/completions",
        kind: SSE,
        before: r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"usage":{"prompt_tokens":25,"completion_tokens":1,"total_tokens":26}}"#,
        content: r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"}}]}"#,
        error: r#"{"error":{"message":"x","type":"server_error"}}"#,
    },
    Case {
        name: "openai, usage of 0 with the role",
        path: "/v1/chat/completions",
        kind: SSE,
        before: r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"usage":{"prompt_tokens":25,"completion_tokens":0,"total_tokens":25}}"#,
        content: r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"}}]}"#,
        error: r#"{"error":"gone"}"#,
    },
    Case {
        name: "openai, responses",
        path: "/v1/responses",
        kind: SSE,
        before: r#"{"type":"response.created","response":{"id":"r","object":"response","model":"m","usage":{"input_tokens":25,"output_tokens":1,"total_tokens":26}}}"#,
        content: r#"{"type":"response.output_text.delta","delta":"a"}"#,
        error: r#"{"type":"error","code":"server_error","message":"x"}"#,
    },
    Case {
        name: "gemini",
        path: "/v1beta/models/g:streamGenerateContent",
        kind: SSE,
        before: r#"{"candidates":[{"content":{"parts":[],"role":"model"}}],"usageMetadata":{"promptTokenCount":25,"candidatesTokenCount":1,"totalTokenCount":26}}"#,
        content: r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}"#,
        error: r#"{"error":{"code":503,"status":"UNAVAILABLE"}}"#,
    },
    Case {
        name: "ollama",
        path: "/api/chat",
        kind: LINES,
        before: r#"{"model":"m","created_at":"t","done":false,"message":{"role":"assistant","content":""},"prompt_eval_count":25,"eval_count":1}"#,
        content: r#"{"model":"m","created_at":"t","done":false,"message":{"role":"assistant","content":"a"}}"#,
        error: r#"{"error":"gone"}"#,
    },
    Case {
        name: "cohere",
        path: "/v2/chat",
        kind: SSE,
        before: r#"{"type":"message-start","id":"i","delta":{"message":{"role":"assistant"},"usage":{"tokens":{"input_tokens":25,"output_tokens":1}}}}"#,
        content: r#"{"type":"content-delta","delta":{"message":{"content":{"text":"a"}}}}"#,
        error: "",
    },
    Case {
        name: "sglang",
        path: "/generate",
        kind: SSE,
        before: r#"{"text":"","meta_info":{"id":"i","prompt_tokens":25,"completion_tokens":1}}"#,
        content: r#"{"text":"a","meta_info":{"id":"i"}}"#,
        error: r#"{"error":{"message":"x"}}"#,
    },
    Case {
        name: "llama.cpp",
        path: "/completion",
        kind: SSE,
        before: r#"{"content":"","stop":false,"tokens_predicted":1,"tokens_evaluated":25}"#,
        content: r#"{"content":"a","stop":false}"#,
        error: r#"{"error":{"type":"server_error","code":500}}"#,
    },
];

#[test]
fn a_count_told_before_the_content_loses_to_the_events() {
    for case in CASES {
        let mut events = case.contents();
        events.insert(0, case.before.to_owned());
        for end in [End::Whole, End::Left] {
            let written = stream(case.path, case.kind, &events, end);
            let label = format!("{} {end:?}", case.name);
            assert_counted(&written, 3.0, &label);
            assert_eq!(number(&written, "input_tokens"), Some(25.0), "{label}");
        }
    }
}

#[test]
fn an_error_ends_no_count_and_has_no_rate() {
    for case in CASES.iter().filter(|case| !case.error.is_empty()) {
        for before in [true, false] {
            let mut events = case.contents();
            if before {
                events.insert(0, case.before.to_owned());
            }
            events.push(case.error.to_owned());
            let written = stream(case.path, case.kind, &events, End::Whole);
            assert_counted(&written, 3.0, case.name);
            assert!(text(&written, "error.type").is_some(), "{}", case.name);
            for name in ["tokens_per_second", "time_per_output_token_ms"] {
                assert_eq!(number(&written, name), None, "{name} of {}", case.name);
            }
        }
    }
}

/// Without content a count is that of what was not shown; before an error or a leaving it is of nothing.
#[test]
fn without_content_only_an_end_makes_a_count() {
    for case in CASES.iter().filter(|case| !case.name.contains('0')) {
        let events = [case.before.to_owned()];
        let written = stream(case.path, case.kind, &events, End::Left);
        // Anthropic says 1 whatever comes.
        let want = (case.name != "anthropic").then_some(1.0);
        assert_eq!(number(&written, "output_tokens"), want, "{}", case.name);
        if want.is_some() {
            assert!(
                is_marked(&written, "output_tokens", "partial"),
                "{}",
                case.name
            );
        }
    }
}

/// A chunk with content, and with usage so far.
fn chunk(content: &str, usage: Option<u32>) -> String {
    let usage = usage.map_or("null".to_owned(), |n| {
        format!(
            r#"{{"prompt_tokens":5,"completion_tokens":{n},"total_tokens":{}}}"#,
            n + 5
        )
    });
    format!(
        r#"{{"object":"chat.completion.chunk","choices":[{{"index":0,"delta":{{"content":"{content}"}}}}],"usage":{usage}}}"#
    )
}

#[test]
fn a_count_told_with_each_content_is_final_at_the_last() {
    let events = [
        chunk("", Some(0)),
        chunk("a", Some(2)),
        chunk("b", Some(4)),
        chunk("c", Some(7)),
    ];
    let written = stream("/v1/chat/completions", SSE, &events, End::Whole);
    assert_eq!(tokens(&written), [Some(5.0), Some(7.0), Some(12.0)]);
    assert_eq!(text(&written, "cirron.figures"), Some("complete"));
    assert!(!is_marked(&written, "output_tokens", "partial"));
    // It was told of all that came, and more may have been to come.
    let written = stream("/v1/chat/completions", SSE, &events, End::Left);
    assert_eq!(tokens(&written), [Some(5.0), Some(7.0), Some(12.0)]);
    assert_eq!(text(&written, "cirron.figures"), Some("partial"));
    assert!(is_marked(&written, "output_tokens", "partial"));
    let mut failed = events.to_vec();
    failed.push(r#"{"error":{"message":"x","type":"server_error"}}"#.to_owned());
    let written = stream("/v1/chat/completions", SSE, &failed, End::Whole);
    assert_eq!(tokens(&written), [Some(5.0), Some(7.0), Some(12.0)]);
    assert_eq!(text(&written, "cirron.figures"), Some("partial"));
    assert!(is_marked(&written, "output_tokens", "partial"));
    assert_eq!(number(&written, "tokens_per_second"), None);
}

#[test]
fn behind_a_count_on_the_way_the_events_go_on_counting() {
    let events = [chunk("a", Some(5)), chunk("b", None), chunk("c", None)];
    for end in [End::Whole, End::Left] {
        let written = stream("/v1/chat/completions", SSE, &events, end);
        assert_counted(&written, 7.0, "on the way");
    }
    // What is told last is told of all.
    let mut events = events.to_vec();
    events.push(chunk("", Some(9)));
    let written = stream("/v1/chat/completions", SSE, &events, End::Whole);
    assert_eq!(number(&written, "completion_tokens"), Some(9.0));
    assert_eq!(text(&written, "cirron.figures"), Some("complete"));
}

#[test]
fn what_the_head_of_a_stream_counts_is_not_what_comes() {
    let mut call = ScopeRig::new(false);
    call.request("/generate_stream", &[], br#"{"inputs":"x"}"#);
    let fields = [
        ("content-type", SSE),
        ("x-prompt-tokens", "7"),
        ("x-generated-tokens", "1"),
    ];
    call.head(1, 200, &fields);
    for ms in [10, 20, 30] {
        call.event(
            ms,
            r#"{"index":1,"token":{"id":1,"text":"a","special":false}}"#,
        );
    }
    let written = call.end(40);
    assert_counted(&written, 3.0, "hf");
    assert_eq!(number(&written, "input_tokens"), Some(7.0));
}

/// The body's end ends the last event too, as far as its counts go.
#[test]
fn a_report_without_a_blank_line_behind_it_is_the_last_all_the_same() {
    let last =
        r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":9,"total_tokens":14}}"#;
    let mut call = ScopeRig::stream();
    call.delta(10, r#"{"content":"a"}"#);
    call.body(20, format!("data: {last}\n").as_bytes());
    let written = call.end(30);
    assert_eq!(tokens(&written), [Some(5.0), Some(9.0), Some(14.0)]);
    assert!(!is_marked(&written, "output_tokens", "partial"));
    assert_eq!(text(&written, "cirron.figures"), Some("complete"));
    // A hole behind it may have taken more.
    let mut call = ScopeRig::stream();
    call.delta(10, r#"{"content":"a"}"#);
    call.body(20, format!("data: {last}\n").as_bytes());
    call.at(25, E::ResponseGap(1));
    let written = call.end(30);
    assert_eq!(number(&written, "output_tokens"), Some(9.0));
    assert!(is_marked(&written, "output_tokens", "partial"));
    // So may one inside of its usage, and then it may have said more of that.
    let written = {
        let mut call = ScopeRig::new(false);
        call.request("/v1/chat/completions", &[], br#"{"messages":[]}"#);
        call.head(1, 200, &[("content-type", JSON)]);
        let (before, after) = (
            r#"{"object":"chat.completion","model":"m","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":1,"total_tokens":399,"completion_tok"#,
            "86}}}",
        );
        call.body(10, before.as_bytes());
        call.at(15, E::ResponseGap(30));
        call.body(20, after.as_bytes());
        call.end(30)
    };
    assert_eq!(number(&written, "output_tokens"), Some(1.0));
    assert!(is_marked(&written, "output_tokens", "partial"));
    assert_eq!(text(&written, "cirron.figures"), Some("partial"));
}
