//! Errors that are told within an answer whose status is 200.

use super::*;

const CHUNK: &str =
    r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"}}]}"#;
const COHERE: &str =
    r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"a"}}}}"#;

/// Path, content, the event that tells of the error, its class.
const CASES: [(&str, &str, &str, &str); 8] = [
    // OpenRouter, of a choice.
    (
        "/v1/chat/completions",
        CHUNK,
        r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":""},"finish_reason":"error","error":{"code":502,"message":"x"}}]}"#,
        "502",
    ),
    (
        "/v1/chat/completions",
        CHUNK,
        r#"{"object":"chat.completion.chunk","choices":[{"error":{"message":"x","metadata":{"type":"no"}},"index":0,"delta":{}}]}"#,
        "_OTHER",
    ),
    (
        "/v1/chat/completions",
        CHUNK,
        r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"error"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
        "_OTHER",
    ),
    // Groq.
    (
        "/v1/chat/completions",
        CHUNK,
        r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{}}],"x_groq":{"id":"r","error":"over capacity"}}"#,
        "_OTHER",
    ),
    // MiniMax.
    (
        "/v1/chat/completions",
        CHUNK,
        r#"{"object":"","choices":null,"base_resp":{"status_code":1013,"status_msg":"x"}}"#,
        "1013",
    ),
    (
        "/v2/chat",
        COHERE,
        r#"{"type":"message-end","delta":{"error":"x","finish_reason":"ERROR","usage":{"tokens":{"input_tokens":3,"output_tokens":2}}}}"#,
        "_OTHER",
    ),
    (
        "/v2/chat",
        COHERE,
        r#"{"type":"message-end","delta":{"finish_reason":"TIMEOUT","usage":{"tokens":{"input_tokens":3,"output_tokens":2}}}}"#,
        "_OTHER",
    ),
    (
        "/v1/chat",
        r#"{"event_type":"text-generation","text":"a"}"#,
        r#"{"is_finished":true,"event_type":"stream-end","finish_reason":"ERROR","response":{"generation_id":"g"}}"#,
        "_OTHER",
    ),
];

#[test]
fn an_error_within_a_stream_fails_it() {
    for (path, content, error, class) in CASES {
        let events = [content, content, error].map(str::to_owned);
        let written = stream(path, SSE, &events, End::Whole);
        assert_eq!(text(&written, "error.type"), Some(class), "{error}");
        assert_eq!(text(&written, "cirron.figures"), Some("partial"), "{error}");
        for name in ["tokens_per_second", "time_per_output_token_ms"] {
            assert_eq!(number(&written, name), None, "{name} {error}");
        }
        assert_eq!(number(&written, "time_to_first_token_ms"), Some(10.0));
    }
}

#[test]
fn where_all_is_well_the_same_members_tell_of_no_error() {
    for (path, content, last) in [
        (
            "/v1/chat/completions",
            CHUNK,
            r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop","error":null}],"x_groq":{"id":"r","error":null},"base_resp":{"status_code":0,"status_msg":""},"usage":{"prompt_tokens":3,"completion_tokens":2}}"#,
        ),
        (
            "/v2/chat",
            COHERE,
            r#"{"type":"message-end","delta":{"error":null,"finish_reason":"COMPLETE","usage":{"tokens":{"input_tokens":3,"output_tokens":2}}}}"#,
        ),
    ] {
        let events = [content, content, last].map(str::to_owned);
        let written = stream(path, SSE, &events, End::Whole);
        assert_eq!(text(&written, "error.type"), None, "{path}");
        assert_eq!(text(&written, "cirron.figures"), Some("complete"), "{path}");
    }
}

#[test]
fn an_error_in_place_of_an_answer_is_one() {
    for (answer, class) in [
        (
            r#"{"object":"chat.completion","choices":[{"index":0,"message":{"content":""},"error":{"code":429,"message":"x"}}]}"#,
            "429",
        ),
        (
            r#"{"choices":null,"model":"","object":"","usage":{"total_tokens":0},"base_resp":{"status_code":1004,"status_msg":"x"}}"#,
            "1004",
        ),
    ] {
        let written = whole("/v1/chat/completions", answer);
        assert_eq!(text(&written, "error.type"), Some(class), "{answer}");
    }
}
