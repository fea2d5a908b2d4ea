//! What is content, and what only looks so: from its first piece to its last.

use super::*;

const EVENTS: &str = "text/event-stream";

/// A stream of these events, the first at 10 and each 10 later than the one before: time to the first
/// token, largest gap, time for each token of 3.
fn times(path: &str, events: &[&str]) -> ([Option<f64>; 2], Written) {
    let mut call = ScopeRig::new(false);
    let request = br#"{"model":"m","stream":true,"messages":[],"contents":[],"max_tokens":9,"input":{},"input_ids":[1]}"#;
    call.request(path, &[], request);
    call.head(1, 200, &[("content-type", EVENTS)]);
    let mut ms = 0;
    for event in events {
        ms += 10;
        call.event(ms, event);
    }
    let written = call.end(ms + 100);
    let of = ["time_to_first_token_ms", "time_per_output_token_ms"];
    (of.map(|name| number(&written, name)), written)
}

#[test]
fn what_models_make_that_is_no_text_is_content() {
    for (name, path, events) in [
        (
            "pictures and sound of Gemini",
            "/v1beta/models/g:streamGenerateContent",
            [
                r#"{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"audio/L16","data":"AAAA"}}]}}]}"#,
                r#"{"candidates":[{"content":{"parts":[{"executableCode":{"language":"PYTHON","code":"1"}}]}}]}"#,
                r#"{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"audio/L16","data":"AAAA"}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":3}}"#,
            ],
        ),
        (
            "tokens of a server without a tokenizer",
            "/generate",
            [
                r#"{"output_ids":[7],"meta_info":{"prompt_tokens":1,"completion_tokens":1}}"#,
                r#"{"output_ids":[7,8],"meta_info":{"prompt_tokens":1,"completion_tokens":2}}"#,
                r#"{"output_ids":[7,8,9],"meta_info":{"prompt_tokens":1,"completion_tokens":3,"finish_reason":{"type":"stop"}}}"#,
            ],
        ),
        (
            "a plan before a call",
            "/v2/chat",
            [
                r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"I will"}}}"#,
                r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":" look"}}}"#,
                r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"q","function":{"name":"f"}}},"usage":{"tokens":{"input_tokens":5,"output_tokens":3}}}}"#,
            ],
        ),
        (
            "details of the reasoning without its text",
            "/v1/chat/completions",
            [
                r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"reasoning_details":[{"type":"reasoning.text","text":"hm"}]}}]}"#,
                r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"reasoning_details":[{"type":"reasoning.summary","summary":"so"}]}}]}"#,
                r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}}"#,
            ],
        ),
    ] {
        let (got, written) = times(path, &events);
        assert_eq!(got, [Some(10.0), Some(10.0)], "{name}");
        assert_eq!(text(&written, "cirron.figures"), Some("complete"), "{name}");
    }
}

/// A server that tells both says the same thing twice, and its last event may repeat it.
#[test]
fn tokens_beside_their_text_are_no_more_content() {
    let event = |text: &str, ids: &str, finish: &str| {
        format!(
            r#"{{"text":"{text}","output_ids":[{ids}],"meta_info":{{"prompt_tokens":1,"completion_tokens":2,"finish_reason":{finish}}}}}"#
        )
    };
    let events = [
        // A part of a character.
        event("", "7", "null"),
        event("one", "7,8", "null"),
        event("one two", "7,8,9", "null"),
        event("one two", "7,8,9", r#"{"type":"stop"}"#),
    ];
    let (got, written) = times("/generate", &events.each_ref().map(String::as_str));
    assert_eq!(got, [Some(20.0), Some(10.0)]);
    assert_eq!(number(&written, "max_inter_token_ms"), Some(10.0));
}

/// DashScope's word for a choice that goes on is no reason to end it.
#[test]
fn pieces_that_are_alike_are_each_content() {
    let dashscope = |text: &str, reason: &str| {
        format!(
            r#"{{"output":{{"choices":[{{"message":{{"content":"{text}"}},"finish_reason":"{reason}"}}]}},"usage":{{"input_tokens":5,"output_tokens":3}},"request_id":"r"}}"#
        )
    };
    let openai = |text: &str, reason: &str| {
        format!(
            r#"{{"object":"chat.completion.chunk","choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":"{reason}"}}],"usage":{{"prompt_tokens":5,"completion_tokens":3}}}}"#
        )
    };
    for (path, texts, events) in [
        (
            "/api/v1/services/aigc/text-generation/generation",
            ["ha", "ha", "ha"],
            &dashscope as &dyn Fn(&str, &str) -> String,
        ),
        ("/v1/chat/completions", ["a", "b", "ab"], &openai),
    ] {
        let [a, b, c] = texts.map(|text| events(text, "null"));
        let last = events("", "stop");
        let (got, _) = times(path, &[&a, &b, &c, &last]);
        assert_eq!(got, [Some(10.0); 2], "{path}");
    }
}

/// What Anthropic's own client makes of a stream, passed on.
#[test]
fn what_an_end_repeats_is_no_content() {
    let (got, written) = times(
        "/v1/messages",
        &[
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"one"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" two"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" three"}}"#,
            r#"{"type":"content_block_stop","index":0,"content_block":{"type":"text","text":"one two three"}}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":5,"output_tokens":3}}"#,
            r#"{"type":"message_stop","message":{"role":"assistant","content":[{"type":"text","text":"one two three"}]}}"#,
        ],
    );
    assert_eq!(got, [Some(10.0); 2]);
    assert_eq!(number(&written, "max_inter_token_ms"), Some(10.0));
}

/// Whatever was asked for: such an answer has no first token that anybody could have seen, and its
/// one event is no token.
#[test]
fn one_document_is_no_stream() {
    let answer = |usage: &str| {
        format!(
            r#"{{"object":"chat.completion","model":"m","choices":[{{"index":0,"message":{{"content":"one two three"}},"finish_reason":"stop"}}]{usage}}}"#
        )
    };
    let usage = r#","usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}"#;
    for (usage, want, kind) in [
        (usage, Some(3.0), "application/json"),
        ("", None, "application/json"),
        ("", None, "text/plain"),
    ] {
        let mut call = ScopeRig::new(false);
        let request = br#"{"model":"m","stream":true,"messages":[]}"#;
        call.request("/v1/chat/completions", &[], request);
        call.head(1, 200, &[("content-type", kind)]);
        call.body(10, answer(usage).as_bytes());
        let written = call.end(11);
        assert_eq!(number(&written, "output_tokens"), want);
        for name in ["time_to_first_token_ms", "tokens_per_second"] {
            assert_eq!(number(&written, name), None, "{name}");
        }
        assert_eq!(text(&written, "cirron.figures"), Some("complete"));
    }
    // Another document shows that it is one.
    let mut call = ScopeRig::new(false);
    call.request("/api/chat", &[], br#"{"model":"m","messages":[]}"#);
    call.head(1, 200, &[("content-type", "application/json")]);
    for (ms, done) in [(10, false), (20, true)] {
        let line = format!(
            r#"{{"model":"m","created_at":"t","message":{{"content":"a"}},"done":{done}}}"#
        );
        call.body(ms, line.as_bytes());
    }
    let written = call.end(30);
    assert_eq!(number(&written, "time_to_first_token_ms"), Some(10.0));
}
