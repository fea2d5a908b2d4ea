//! What is a call of a model, and what an error tells.

use super::*;

fn answered(path: &str, request: &str, status: u16, kind: &str, body: &str) -> Written {
    let mut call = Call::new(false);
    call.request(path, &[], request.as_bytes());
    call.head(1, status, &[("content-type", kind)]);
    call.body(2, body.as_bytes());
    call.end(3)
}

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
const CHAT: &str = "/v1/chat/completions";
const ASKED: &str = r#"{"model":"m","messages":[],"stream":true,"max_tokens":9}"#;

#[test]
fn messages_of_a_service_of_chats_are_no_calls() {
    for body in [
        r#"{"type":"message","id":"1","text":"hello"}"#,
        r#"{"type":"message","id":"1","content":"hello","author":{"id":"u"}}"#,
        r#"{"type":"message","role":"user","content":[{"type":"text","text":"x"}]}"#,
        r#"{"ok":true,"message":{"type":"message","text":"x"}}"#,
        r#"{"type":"message_start","id":"1"}"#,
        r#"{"type":"message_delta","text":"x"}"#,
    ] {
        let path = "/channels/42/messages";
        let written = answered(path, r#"{"content":"hello"}"#, 200, JSON, body);
        assert!(!written.2.is_llm, "{body}");
        assert!(!written.0.attrs.contains_key("gen_ai.provider.name"));
    }
    for body in [
        r#"{"type":"message","role":"assistant","content":[{"type":"text","text":"x"}]}"#,
        r#"{"type":"message","role":"assistant","content":[],"usage":{"output_tokens":0}}"#,
    ] {
        let written = answered("/v1/messages", r#"{"messages":[]}"#, 200, JSON, body);
        assert!(written.2.is_llm, "{body}");
    }
}

#[test]
fn a_path_that_is_not_there_is_no_call() {
    for status in [404, 405, 501] {
        for (kind, body) in [
            (JSON, r#"{"detail":"Not Found"}"#),
            (
                JSON,
                r#"{"statusCode":404,"message":"Cannot POST /v1","error":"Not Found"}"#,
            ),
            (
                JSON,
                r#"{"error":{"message":"Not Found","type":"Not Found","code":404}}"#,
            ),
            (JSON, r#"{"error":"Method Not Allowed"}"#),
            (JSON, r#"{"message":"no Route matched with those values"}"#),
            (
                "text/html",
                "<!DOCTYPE HTML><html>Unsupported method ('POST')</html>",
            ),
            ("text/plain", "404 page not found\n"),
            ("", ""),
        ] {
            for path in [CHAT, "/v1/messages", "/api/chat", "/v2/chat"] {
                let written = answered(path, ASKED, status, kind, body);
                assert!(!written.2.is_llm, "{path} {body}");
                assert!(
                    !written.0.attrs.contains_key("cirron.figures"),
                    "{path} {body}"
                );
            }
        }
    }
}

#[test]
fn an_error_of_a_server_of_models_is_a_call_without_complete_figures() {
    for (path, status, body, class) in [
        (
            CHAT,
            404,
            r#"{"error":{"message":"m","type":"NotFoundError","code":404}}"#,
            "NotFoundError",
        ),
        (
            CHAT,
            404,
            r#"{"object":"error","message":"m","type":"NotFoundError","code":404}"#,
            "NotFoundError",
        ),
        (
            CHAT,
            501,
            r#"{"error":{"code":501,"message":"m","type":"not_supported_error"}}"#,
            "not_supported_error",
        ),
        (CHAT, 400, r#"{"error":"secret"}"#, "400"),
        (CHAT, 500, r#"{"error":"secret"}"#, "500"),
        (CHAT, 200, r#"{"error":"secret"}"#, "_OTHER"),
        (
            CHAT,
            422,
            r#"{"error":"secret","error_type":"validation"}"#,
            "validation",
        ),
        (
            CHAT,
            429,
            r#"{"error":"secret","type":"rate_limit","code":429}"#,
            "rate_limit",
        ),
        (CHAT, 400, r#"{"error":"secret","code":"bad"}"#, "bad"),
        (
            "/api/chat",
            404,
            r#"{"error":"model 'secret' not found"}"#,
            "404",
        ),
        (
            "/v1/messages",
            404,
            r#"{"type":"error","error":{"type":"not_found_error","message":"m"}}"#,
            "not_found_error",
        ),
        (CHAT, 503, "", "503"),
    ] {
        let kind = if body.is_empty() { "" } else { JSON };
        let written = answered(path, ASKED, status, kind, body);
        assert!(written.2.is_llm, "{body}");
        assert_eq!(text(&written, "error.type"), Some(class), "{body}");
        assert_ne!(text(&written, "cirron.figures"), Some("complete"), "{body}");
    }
}

#[test]
fn an_error_in_a_stream_is_one_however_it_is_framed() {
    let delta = r#"data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"}}]}"#;
    for (error, class) in [
        (
            r#"error: {"code":500,"message":"m","type":"server_error"}"#,
            "server_error",
        ),
        (
            r#"error: {"error":{"code":500,"message":"m","type":"server_error"}}"#,
            "server_error",
        ),
        (r#"error:{"code":500,"message":"m"}"#, "500"),
        ("error: secret", "_OTHER"),
        (
            "event: error\ndata: {\"message\":\"m\",\"code\":\"x\"}",
            "x",
        ),
        ("event: error\ndata: secret", "_OTHER"),
        (r#"data: {"error":"secret"}"#, "_OTHER"),
    ] {
        for path in [CHAT, "/v1/messages", "/completion"] {
            let request = ASKED.replace(r#""messages""#, r#""prompt":"x","messages""#);
            let body = format!("{delta}\n\n{error}\n\n");
            let written = answered(path, &request, 200, EVENTS, &body);
            assert!(written.0.attrs.contains_key("error"), "{path} {error}");
            if path == CHAT {
                assert_eq!(text(&written, "error.type"), Some(class), "{error}");
            }
            assert_ne!(
                text(&written, "cirron.figures"),
                Some("complete"),
                "{error}"
            );
        }
    }
}

#[test]
fn tensors_are_inference_and_no_calls_of_a_language_model() {
    for (path, request, body) in [
        (
            "/v2/models/m/infer",
            r#"{"inputs":[]}"#,
            r#"{"model_name":"m","outputs":[{"name":"predict","datatype":"FP32","data":[1]}]}"#,
        ),
        (
            "/v1/models/m:predict",
            r#"{"instances":[]}"#,
            r#"{"predictions":[1]}"#,
        ),
        (
            "/v1/models/m:classify",
            r#"{"examples":[]}"#,
            r#"{"results":[1]}"#,
        ),
        ("/predictions/m", r#"{"data":"x"}"#, "[1]"),
        (
            "/invocations",
            r#"{"instances":[]}"#,
            r#"{"predictions":[1]}"#,
        ),
    ] {
        let written = answered(path, request, 200, JSON, body);
        assert!(!written.2.is_llm, "{path}");
        assert_eq!(
            text(&written, "gen_ai.operation.name"),
            Some("inference"),
            "{path}"
        );
    }
    for (path, request, body) in [
        (
            "/v2/models/m/infer",
            r#"{"inputs":[]}"#,
            r#"{"model_name":"m","outputs":[{"name":"text_output","datatype":"BYTES","data":["x"]}]}"#,
        ),
        (
            "/invocations",
            r#"{"messages":[]}"#,
            r#"{"object":"chat.completion","choices":[{"message":{"content":"x"}}]}"#,
        ),
    ] {
        let written = answered(path, request, 200, JSON, body);
        assert!(written.2.is_llm, "{path}");
        assert_eq!(
            text(&written, "gen_ai.operation.name"),
            Some("text_completion"),
            "{path}"
        );
    }
}
