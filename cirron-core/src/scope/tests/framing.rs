//! The bytes decide what a body is, and its content type only where they say nothing.

use super::*;
use crate::testing::split::{Fed, assert_split_invariant};

const EVENTS: &str = concat!(
    r#"data: {"object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"a"}}]}"#,
    "\n\n",
    r#"data:{"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}],"model":"m"}"#,
    "\n\n",
    r#"data: {"choices":[],"model":"m","usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"#,
    "\n\ndata: [DONE]\n\n",
);
const DOCUMENT: &str = r#"{"object":"chat.completion","model":"m","choices":[{"index":0,"message":{"content":"a b"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#;

/// Types that a server may give an answer of either kind; the empty one stands for none.
const TYPES: [&str; 8] = [
    "",
    "text/plain",
    "text/plain; charset=utf-8",
    "text/html",
    "application/octet-stream",
    "application/json",
    "application/x-ndjson",
    "text/event-stream",
];

fn written(kind: &str, path: &str, request: &[u8], parts: &[Fed<'_>]) -> Written {
    let mut call = ScopeRig::new(false);
    call.request(path, &[], request);
    let typed = [("content-type", kind)];
    let fields = if kind.is_empty() { &[][..] } else { &typed[..] };
    call.head(1, 200, fields);
    for part in parts {
        match part {
            Fed::Data(bytes) => call.body(2, bytes),
            Fed::Gap(len) => call.at(2, E::ResponseGap(*len)),
        }
    }
    call.end(9)
}

const CHAT: &str = "/v1/chat/completions";
const ASKED: &[u8] = br#"{"model":"m","messages":[],"stream":true}"#;

#[test]
fn events_are_events_whatever_they_are_called() {
    for kind in TYPES {
        for before in [
            "",
            "\u{feff}",
            ": ping\n\n",
            "\r\n\r\n",
            "retry: 100\n",
            "event: x\n",
        ] {
            let body = format!("{before}{EVENTS}");
            let got =
                assert_split_invariant(body.as_bytes(), |parts| written(kind, CHAT, ASKED, parts));
            assert_eq!(
                text(&got, "cirron.figures"),
                Some("complete"),
                "{kind} {before:?}"
            );
            assert_eq!(number(&got, "output_tokens"), Some(2.0), "{kind}");
            assert_eq!(number(&got, "time_to_first_token_ms"), Some(2.0), "{kind}");
        }
    }
}

#[test]
fn a_document_is_one_answer_whatever_it_is_called() {
    for kind in TYPES {
        for before in ["", "\u{feff}", "\n\n  \n"] {
            let body = format!("{before}{DOCUMENT}\n");
            let asked = br#"{"model":"m","messages":[]}"#;
            let got =
                assert_split_invariant(body.as_bytes(), |parts| written(kind, CHAT, asked, parts));
            assert_eq!(text(&got, "cirron.figures"), Some("complete"), "{kind}");
            assert_eq!(number(&got, "output_tokens"), Some(2.0), "{kind}");
            let streams = kind == "application/x-ndjson";
            let first = number(&got, "time_to_first_token_ms");
            assert_eq!(first.is_some(), streams, "{kind}");
        }
    }
}

#[test]
fn an_error_in_one_document_that_is_called_events_is_an_error() {
    let body = br#"{"error":{"message":"m","type":"overloaded","code":503}}"#;
    let got = written("text/event-stream", CHAT, ASKED, &[Fed::Data(body)]);
    assert_eq!(text(&got, "error.type"), Some("overloaded"));
    assert_eq!(number(&got, "time_to_first_token_ms"), None);
}

#[test]
fn lines_of_json_are_a_stream_whatever_they_are_called() {
    let body = concat!(
        r#"{"model":"m","created_at":"t","response":"a","done":false}"#,
        "\n",
        r#"{"model":"m","created_at":"t","response":"b","done":false}"#,
        "\n",
        r#"{"model":"m","created_at":"t","response":"","done":true,"done_reason":"stop","prompt_eval_count":5,"eval_count":2}"#,
        "\n",
    );
    for kind in TYPES {
        let got = assert_split_invariant(body.as_bytes(), |parts| {
            written(
                kind,
                "/api/generate",
                br#"{"model":"m","prompt":"p"}"#,
                parts,
            )
        });
        assert_eq!(number(&got, "output_tokens"), Some(2.0), "{kind}");
        assert_eq!(number(&got, "time_to_first_token_ms"), Some(2.0), "{kind}");
    }
}

#[test]
fn a_row_of_documents_is_a_stream_although_none_was_asked_for() {
    let row = b"{\"text\":[\"a\"]}\n{\"text\":[\"a b\"]}\n";
    let got = written("", "/generate", br#"{"prompt":"p"}"#, &[Fed::Data(row)]);
    assert_eq!(number(&got, "time_to_first_token_ms"), Some(2.0));
    let array = b"[{\"text\":\"a\",\"meta_info\":{}},{\"text\":\"b\",\"meta_info\":{}}]";
    let got = written(
        "",
        "/generate",
        br#"{"text":["p","q"]}"#,
        &[Fed::Data(array)],
    );
    assert_eq!(number(&got, "time_to_first_token_ms"), None);
}

#[test]
fn what_is_neither_is_not_read() {
    for body in ["<html>data: {}</html>", "404 page not found\n", "", " \n"] {
        for kind in ["", "text/html", "text/plain"] {
            let got =
                assert_split_invariant(body.as_bytes(), |parts| written(kind, CHAT, ASKED, parts));
            assert_eq!(text(&got, "cirron.figures"), Some("header_only"), "{body}");
        }
    }
}

#[test]
fn no_hole_in_what_has_no_type_gives_a_wrong_figure() {
    for body in [EVENTS, DOCUMENT] {
        let bytes = body.as_bytes();
        for at in 0..bytes.len() {
            for len in [1, 7, 90] {
                let (before, rest) = bytes.split_at(at);
                let behind = rest.get(len..).unwrap_or_default();
                let parts = [Fed::Data(before), Fed::Gap(len as u64), Fed::Data(behind)];
                let got = written("", CHAT, ASKED, &parts);
                assert_ne!(text(&got, "cirron.figures"), Some("complete"));
                let tokens = mark(&got, "output_tokens");
                let wrong = tokens
                    .filter(|m| m.value != MarkValue::Int(2) && !m.attrs.contains_key("partial"));
                assert!(wrong.is_none(), "{at} {len}");
                let early = number(&got, "time_to_first_token_ms").filter(|_| at < 80);
                assert_eq!(early, None, "{at} {len}");
            }
        }
    }
}

#[test]
fn messages_of_aws_are_read_whatever_they_are_called() {
    for mut golden in super::goldens::goldens() {
        let type_of = |(name, _): &(String, String)| name == "content-type";
        let is_aws = |(_, kind): &(String, String)| kind.contains("amazon.eventstream");
        if !golden.response.0.iter().any(is_aws) {
            continue;
        }
        let body = golden.response.1.clone();
        let run =
            |golden: &super::goldens::Golden| golden.begun(&[Fed::Data(&body)], |_| 20).end(30);
        let right = run(&golden);
        golden.response.0.retain(|field| !type_of(field));
        assert_eq!(run(&golden), right, "{}", golden.path.display());
        for kind in [
            "application/octet-stream",
            "text/event-stream",
            "application/json",
        ] {
            let field = ("content-type".to_owned(), kind.to_owned());
            golden.response.0.push(field);
            assert_eq!(run(&golden), right, "{} {kind}", golden.path.display());
            golden.response.0.pop();
        }
    }
}

/// One that the service does not model has a code, and no kind of message.
#[test]
fn an_error_of_aws_without_a_type_fails_its_stream() {
    use aws_smithy_eventstream::frame::write_message_to;
    use aws_smithy_types::event_stream::{Header, HeaderValue, Message};

    let message = |fields: &[(&'static str, &'static str)], payload: &'static [u8]| {
        let add = |message: Message, (name, value): &(&'static str, &'static str)| {
            let value = HeaderValue::String((*value).into());
            message.add_header(Header::new(*name, value))
        };
        let message = fields.iter().fold(Message::new(payload), add);
        let mut bytes = Vec::new();
        write_message_to(&message, &mut bytes).unwrap();
        bytes
    };
    let error = message(
        &[
            (":message-type", "error"),
            (":error-code", "InternalFailure"),
        ],
        b"",
    );
    for (path, kind, payload) in [
        (
            "/model/m/converse-stream",
            "contentBlockDelta",
            br#"{"contentBlockIndex":0,"delta":{"text":"a"}}"#.as_slice(),
        ),
        (
            "/model/m/invoke-with-response-stream",
            "chunk",
            // {"contentBlockDelta":{"delta":{"text":"a"}}}
            br#"{"bytes":"eyJjb250ZW50QmxvY2tEZWx0YSI6eyJkZWx0YSI6eyJ0ZXh0IjoiYSJ9fX0="}"#,
        ),
    ] {
        let event = message(
            &[(":message-type", "event"), (":event-type", kind)],
            payload,
        );
        let body = [event.as_slice(), &event, &error].concat();
        let kind = "application/vnd.amazon.eventstream";
        let parts = [Fed::Data(&body)];
        let written = written(kind, path, br#"{"messages":[]}"#, &parts);
        assert_eq!(text(&written, "error.type"), Some("_OTHER"), "{path}");
        assert_eq!(text(&written, "cirron.figures"), Some("partial"), "{path}");
        assert_eq!(number(&written, "output_tokens"), Some(2.0), "{path}");
    }
}
