//! Empty texts: nothing is said by them.

use super::*;

/// Azure's asynchronous filter, and servers that have `finish_reason: ""` in every event.
#[test]
fn an_empty_text_leaves_what_was_said() {
    for (path, kind, events, want) in [
        (
            "/openai/deployments/d/chat/completions",
            SSE,
            vec![
                r#"{"id":"","object":"","model":"","choices":[],"prompt_filter_results":[{"prompt_index":0}]}"#,
                r#"{"id":"c1","object":"chat.completion.chunk","model":"gpt","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":""}]}"#,
                r#"{"id":"c1","object":"chat.completion.chunk","model":"gpt","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
                r#"{"id":"","object":"","model":"","choices":[{"index":0,"finish_reason":null,"content_filter_offsets":{}}]}"#,
                r#"{"id":" ","object":"","model":" ","choices":[{"index":0,"finish_reason":"","delta":{}}]}"#,
                r#"{"id":"","model":"","choices":[{"index":0,"finish_reason":"null","delta":{}}]}"#,
            ],
            ["gpt", "c1", "stop"],
        ),
        (
            "/v1/responses",
            SSE,
            vec![
                r#"{"type":"response.created","response":{"id":"c1","object":"response","model":"gpt","status":"in_progress"}}"#,
                r#"{"type":"response.incomplete","response":{"id":"","object":"response","model":"","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}}"#,
                r#"{"type":"response.x","response":{"id":"","object":"response","model":"","status":""}}"#,
            ],
            ["gpt", "c1", "max_output_tokens"],
        ),
        (
            "/v1/messages",
            SSE,
            vec![
                r#"{"type":"message_start","message":{"id":"c1","type":"message","model":"gpt","content":[],"stop_reason":""}}"#,
                r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#,
                r#"{"type":"message_delta","delta":{"stop_reason":""},"id":"","model":""}"#,
            ],
            ["gpt", "c1", "end_turn"],
        ),
        (
            "/v1beta/models/g:streamGenerateContent",
            SSE,
            vec![
                r#"{"candidates":[{"finishReason":"STOP"}],"modelVersion":"gpt","responseId":"c1"}"#,
                r#"{"candidates":[{"finishReason":""}],"modelVersion":"","responseId":""}"#,
            ],
            ["gpt", "c1", "STOP"],
        ),
        (
            "/generate",
            SSE,
            vec![
                r#"{"text":"a","meta_info":{"id":"c1","finish_reason":{"type":"stop"}}}"#,
                r#"{"text":"","meta_info":{"id":"","finish_reason":{"type":""}}}"#,
            ],
            ["", "c1", "stop"],
        ),
        (
            "/v2/chat",
            SSE,
            vec![
                r#"{"type":"message-start","id":"c1"}"#,
                r#"{"type":"message-end","id":"","delta":{"finish_reason":"COMPLETE"}}"#,
                r#"{"type":"message-end","id":"","delta":{"finish_reason":""}}"#,
            ],
            ["", "c1", "COMPLETE"],
        ),
    ] {
        let events: Vec<String> = events.into_iter().map(str::to_owned).collect();
        let written = stream(path, kind, &events, End::Whole);
        for (name, want) in [
            "gen_ai.response.model",
            "gen_ai.response.id",
            "gen_ai.response.finish_reasons",
        ]
        .into_iter()
        .zip(want)
        {
            let want = Some(want).filter(|want| !want.is_empty());
            assert_eq!(text(&written, name), want, "{name} of {path}");
        }
    }
}

#[test]
fn an_empty_class_is_that_of_an_error_without_one() {
    for (path, answer, want) in [
        (
            "/v1/chat/completions",
            r#"{"error":{"type":"","code":"","message":"x"}}"#,
            "_OTHER",
        ),
        (
            "/v1/chat/completions",
            r#"{"error":{"type":"","code":"quota","message":"x"}}"#,
            "quota",
        ),
        (
            "/v1/chat/completions",
            r#"{"object":"error","type":"","code":400,"message":"x"}"#,
            "400",
        ),
        // LiteLLM's.
        (
            "/v1/chat/completions",
            r#"{"error":{"type":"None","code":"429","message":"x"}}"#,
            "429",
        ),
        (
            "/v1/messages",
            r#"{"type":"error","error":{"type":"None","message":"x"}}"#,
            "_OTHER",
        ),
        (
            "/v1/messages",
            r#"{"type":"error","error":{"type":"","message":"x"}}"#,
            "_OTHER",
        ),
        (
            "/v1beta/models/g:generateContent",
            r#"{"error":{"status":"","code":503}}"#,
            "_OTHER",
        ),
        (
            "/generate",
            r#"{"error":{"type":"","message":"x"}}"#,
            "_OTHER",
        ),
    ] {
        let written = whole(path, answer);
        assert_eq!(text(&written, "error.type"), Some(want), "{path} {answer}");
    }
}

#[test]
fn an_empty_model_is_not_asked_for() {
    for (path, body) in [
        ("/v1/chat/completions", r#"{"model":"","messages":[]}"#),
        (
            "/v1/messages",
            r#"{"model":"","max_tokens":1,"messages":[]}"#,
        ),
        ("/api/chat", r#"{"model":"","messages":[]}"#),
        ("/v2/chat", r#"{"model":" ","messages":[]}"#),
    ] {
        let answer = match path {
            "/api/chat" => r#"{"model":"m","created_at":"t","done":true}"#,
            "/v2/chat" => r#"{"id":"1","message":{},"finish_reason":"COMPLETE"}"#,
            _ => "{}",
        };
        let written = whole_with(path, body, &[], answer);
        assert!(written.2.is_llm, "{path}");
        assert_eq!(text(&written, "gen_ai.request.model"), None, "{path}");
    }
}

#[test]
fn an_empty_error_is_none() {
    for (path, answer) in [
        (
            "/v1/chat/completions",
            r#"{"object":"chat.completion","model":"m","choices":[],"error":E}"#,
        ),
        (
            "/v1/responses",
            r#"{"object":"response","model":"m","status":"completed","error":E}"#,
        ),
        (
            "/v1/messages",
            r#"{"type":"message","role":"assistant","content":[],"error":E}"#,
        ),
        (
            "/api/generate",
            r#"{"model":"m","created_at":"t","done":true,"response":"hi","error":E}"#,
        ),
        (
            "/v2/models/m/generate",
            r#"{"model_name":"m","text_output":"hi","error":E}"#,
        ),
        ("/generate", r#"{"text":"hi","meta_info":{},"error":E}"#),
        (
            "/completion",
            r#"{"content":"hi","stop":true,"tokens_predicted":1,"error":E}"#,
        ),
        (
            "/v1/models/g:generateContent",
            r#"{"candidates":[],"error":E}"#,
        ),
        ("/api/v1/generate", r#"{"results":[],"error":E}"#),
    ] {
        for empty in [
            r#""""#,
            "null",
            "{}",
            "[]",
            "false",
            "0",
            r#"{"message":null,"code":0,"type":"","details":{"list":[]}}"#,
        ] {
            let written = whole(path, &answer.replace('E', empty));
            assert!(written.2.is_llm, "{path} {empty}");
            assert_eq!(text(&written, "error.type"), None, "{path} {empty}");
            assert_eq!(text(&written, "cirron.figures"), Some("complete"), "{path}");
        }
        for told in [r#"{"message":"x"}"#, r#"["x"]"#, r#""x""#, r#"{"code":7}"#] {
            let written = whole(path, &answer.replace('E', told));
            assert!(text(&written, "error.type").is_some(), "{path} {told}");
        }
    }
}

#[test]
fn a_path_with_an_empty_name_names_no_model() {
    for path in ["/openai/deployments//chat/completions", "/model//converse"] {
        let body = r#"{"messages":[]}"#;
        let written = whole_with(path, body, &[], "{}");
        assert_eq!(text(&written, "gen_ai.request.model"), None, "{path}");
    }
}
