#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use super::*;
use crate::testing::{mark, span};

fn read(span: &Value, marks: &[Value], detail: Detail) -> Request {
    let text = span.to_string();
    let mut request = Request::new(&serde_json::from_str(&text).unwrap(), detail);
    for mark in marks {
        let text = mark.to_string();
        request.take_mark(&serde_json::from_str(&text).unwrap(), detail);
    }
    request
}

#[test]
fn what_a_row_and_its_marks_say_is_there_and_nothing_else() {
    let attrs = json!({"http.request.method": "POST", "url.path": "/v1/chat", "http.response.status_code": 200,
        "gen_ai.request.model": "m", "gen_ai.response.model": "m-7b", "client.port": 70_000, "server.port": 80,
        "cirron.partial": true, "cirron.request.stream": false, "gen_ai.usage.cache_read.input_tokens": 3,
        "nobody.knows": [1], "error.type": null});
    let marks = [
        mark("a", "prompt_tokens", 12.into(), json!({"source": "openai"})),
        mark("a", "input_tokens", 13.into(), json!({})),
        mark("a", "completion_tokens", 50.into(), json!({})),
        mark("a", "time_to_first_token_ms", json!(101.25), json!({})),
        json!({"span_id": "a", "name": "tokens_per_second", "value": null, "value_nonfinite": "nan", "kind": "summary"}),
        json!({"span_id": "a", "name": "chunk_ms", "value": 1.5, "kind": "point", "attrs": {"index": 1}}),
    ];
    let got = read(
        &span("a", Some("s"), "request", 1, attrs.clone()),
        &marks,
        Detail::Fields,
    );
    let want = Request {
        id: "a".into(),
        parent: Some("s".into()),
        kind: Kind::Request,
        name: "request".into(),
        way: Some(Way::Served),
        endpoint: "POST /v1/chat".into(),
        method: Some("POST".into()),
        path: Some("/v1/chat".into()),
        server_port: Some(80),
        request_model: Some("m".into()),
        response_model: Some("m-7b".into()),
        is_stream: Some(false),
        start_ns: 1_000_000,
        end_ns: Some(6_000_000),
        status: Some(200),
        is_partial: true,
        figures: Figures {
            ttft_ms: Some(101.25),
            input_tokens: Some(13),
            output_tokens: Some(50),
            cached_tokens: Some(3),
            chunks_ms: vec![1.5],
            ..Figures::default()
        },
        ..Request::default()
    };
    assert_eq!(got, want);
    assert_eq!(
        (got.model(), got.length_ns()),
        (Some("m-7b"), Some(5_000_000))
    );

    let all = read(
        &span("a", Some("s"), "request", 1, attrs),
        &marks,
        Detail::All,
    );
    assert_eq!(all.attr("nobody.knows"), Some(&Scalar::Other));
    assert_eq!(
        all.mark("tokens_per_second").unwrap().value,
        Scalar::Text("nan".into())
    );
    assert_eq!(all.marks.len(), 5, "a point is no summary");
}

/// What `@ci.inference` of cirron-sdk 0.3.0 writes: no method, no path, no status.
#[test]
fn a_span_of_the_sdk_is_one_too() {
    let attrs = json!({"request_id": "0123", "error": "ValueError"});
    let marks = [
        mark(
            "a",
            "output_tokens",
            json!(7.0),
            json!({"normalized": true}),
        ),
        mark("a", "request_duration_ms", json!(3.5), json!({})),
    ];
    let got = read(
        &span("a", Some("s"), "request", 1, attrs),
        &marks,
        Detail::Fields,
    );
    assert_eq!(got.endpoint, "(path not seen)");
    assert_eq!(
        (got.request_id.as_deref(), got.has_failed()),
        (Some("0123"), true)
    );
    assert_eq!(
        (got.figures.output_tokens, got.figures.duration_ms),
        (Some(7), Some(3.5))
    );
    assert_eq!((got.status, got.figures.input_tokens), (None, None));
}

#[test]
fn what_is_kept_of_a_row_is_bounded() {
    let mut attrs = json!({"url.path": "/x".repeat(5_000)});
    for n in 0..MAX_FACTS + 5 {
        attrs[format!("a{n}")] = "x".repeat(5_000).into();
    }
    let marks: Vec<Value> = (0..MAX_FACTS + 2)
        .map(|n| mark("a", &format!("m{n}"), 1.into(), json!({})))
        .collect();
    let got = read(&span("a", None, "request", 1, attrs), &marks, Detail::All);
    assert_eq!(
        (got.attrs.len(), got.marks.len(), got.left_out),
        (MAX_FACTS, MAX_FACTS, 6 + 2)
    );
    assert!(got.path.as_ref().unwrap().len() < MAX_TEXT_BYTES + 8);
    assert!(got.bytes() < 400_000, "{}", got.bytes());

    let point = json!({"span_id": "a", "name": "chunk_ms", "value": 1, "kind": "point"});
    let points = vec![point; MAX_CHUNKS + 3];
    let got = read(
        &span("a", None, "request", 1, json!({})),
        &points,
        Detail::Fields,
    );
    assert_eq!((got.figures.chunks_ms.len(), got.left_out), (MAX_CHUNKS, 3));
}
