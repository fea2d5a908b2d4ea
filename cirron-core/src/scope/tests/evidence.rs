//! What is a call of a model, and what an error tells.

use super::*;

fn answered(path: &str, request: &str, status: u16, kind: &str, body: &str) -> Written {
    let mut call = ScopeRig::new(false);
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

#[test]
fn what_other_services_take_and_answer_is_no_call() {
    let ui = "data: {\"type\":\"start\"}\n\ndata: {\"type\":\"text-delta\",\"delta\":\"x\"}\n\n";
    for (path, request) in [
        ("/api/chat", r#"{"model":"m","messages":[],"id":"1"}"#),
        ("/api/generate", r#"{"model":"m","prompt":"x"}"#),
        ("/api/embed", r#"{"model":"m","input":"x"}"#),
        ("/surveys/1/responses", r#"{"model":"m","input":{"q":1}}"#),
        ("/videos/embeddings", r#"{"model":"m","input":"x"}"#),
        ("/v1/chat", r#"{"model":"m","message":"x"}"#),
        ("/api/v1/chat", r#"{"model":"m","input":"x"}"#),
    ] {
        for (status, kind, body) in [
            (200, JSON, r#"{"ok":true}"#),
            (201, JSON, r#"{"id":7,"error":null}"#),
            (200, JSON, "[]"),
            (200, EVENTS, ui),
            (200, "text/plain", "hello"),
            (204, "", ""),
        ] {
            let written = answered(path, request, status, kind, body);
            assert!(!written.2.is_llm, "{path} {body}");
            assert!(!written.0.attrs.contains_key("gen_ai.provider.name"));
        }
        // What is not known does not speak against it: an error, no answer, one that cannot be read.
        let written = answered(path, request, 500, JSON, r#"{"error":"x"}"#);
        assert!(written.2.is_llm, "{path}");
        let mut call = ScopeRig::new(false);
        call.request(path, &[], request.as_bytes());
        assert!(call.abort(3, AbortedBy::Client).2.is_llm, "{path}");
        let mut call = ScopeRig::new(false);
        call.request(path, &[], request.as_bytes());
        call.head(1, 200, &[("content-type", JSON)]);
        call.at(2, E::ResponseGap(9));
        assert!(call.end(3).2.is_llm, "{path}");
    }
    // Nor is a request that names no model one, until its answer shows it.
    let asked = r#"{"input":"x"}"#;
    let mut call = ScopeRig::new(false);
    call.request("/v1/responses", &[], asked.as_bytes());
    assert!(!call.abort(3, AbortedBy::Client).2.is_llm);
    let answer = r#"{"object":"response","status":"completed"}"#;
    assert!(answered("/v1/responses", asked, 200, JSON, answer).2.is_llm);
}

/// The words of llama.cpp, Anthropic, Azure, Google, AWS, LM Studio and others.
#[test]
fn an_error_that_says_that_nobody_serves_the_path_is_no_call() {
    for (path, status, body) in [
        (
            CHAT,
            404,
            r#"{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}"#,
        ),
        (
            "/completion",
            404,
            r#"{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}"#,
        ),
        (
            "/v1/messages",
            404,
            r#"{"type":"error","error":{"type":"not_found_error","message":"Not Found"}}"#,
        ),
        (
            "/v1/messages",
            404,
            r#"{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}"#,
        ),
        (
            CHAT,
            404,
            r#"{"error":{"code":"404","message":"Resource not found"}}"#,
        ),
        (
            "/v1/models/g:generateContent",
            404,
            r#"{"error":{"code":404,"message":"Method not found.","status":"NOT_FOUND"}}"#,
        ),
        (
            "/model/m/converse",
            404,
            r#"{"__type":"com.amazon.coral.service#UnknownOperationException"}"#,
        ),
        (
            CHAT,
            200,
            r#"{"error":"Unexpected endpoint or method. (POST /v1/x)"}"#,
        ),
        (
            CHAT,
            404,
            r#"{"object":"error","message":"Not Found","type":"NotFoundError","code":404}"#,
        ),
        (
            "/v1/x/completions",
            404,
            r#"{"error":{"message":"Invalid URL (POST /v1/x/completions)","type":"invalid_request_error"}}"#,
        ),
        (
            "/v1/models/m:predict",
            404,
            r#"{"error":"Malformed request: POST /v1/models/m:predict"}"#,
        ),
        (
            "/predictions/m",
            404,
            r#"{"code":404,"type":"ResourceNotFoundException","message":"Requested resource is not found, please refer to API document."}"#,
        ),
    ] {
        let request =
            r#"{"model":"m","messages":[],"prompt":"x","contents":[],"inputs":[],"max_tokens":9}"#;
        let written = answered(path, request, status, JSON, body);
        assert!(
            !written.0.attrs.contains_key("gen_ai.provider.name"),
            "{body}"
        );
    }
}

/// Servers in Python take a text or a number for a switch.
#[test]
fn a_stream_is_asked_for_in_whatever_way_it_is_taken() {
    for (path, body, unless_said) in [
        (
            "/v1/chat/completions",
            r#"{"model":"m","messages":[],"stream":S}"#,
            false,
        ),
        (
            "/v1/messages",
            r#"{"model":"m","max_tokens":9,"messages":[],"stream":S}"#,
            false,
        ),
        (
            "/api/chat",
            r#"{"model":"m","messages":[],"stream":S}"#,
            true,
        ),
        (
            "/v2/chat",
            r#"{"model":"m","messages":[],"stream":S}"#,
            false,
        ),
    ] {
        for (stream, want) in [
            ("true", true),
            (r#""true""#, true),
            (r#""True""#, true),
            ("1", true),
            ("false", false),
            (r#""false""#, false),
            ("0", false),
            ("null", unless_said),
        ] {
            let request = body.replace('S', stream);
            let written = answered(path, &request, 400, "application/json", r#"{"error":"x"}"#);
            let got = written.0.attrs.get("cirron.request.stream");
            assert_eq!(got, Some(&want.into()), "{request} to {path}");
        }
    }
}
