//! Events as Anthropic's reference gives them.

use serde_json::{Value, json};

use super::{RequestReader, ResponseReader, route};
use crate::llm::facts::{Content, RequestFacts, ResponseFacts, Usage};
use crate::llm::{ReadRequest, ReadResponse};
use crate::testing::split::{Fed, assert_gap_safe, assert_split_invariant};

const NOTHING: Content = Content {
    answer: false,
    reasoning: false,
    tool: false,
};

fn event(reader: &mut ResponseReader, json: &Value) -> Content {
    reader.push(json.to_string().as_bytes());
    reader.finish("")
}

fn start() -> Value {
    json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "claude-x", "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 25, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 3, "output_tokens": 1}}})
}

#[test]
fn only_the_messages_path_is_a_call() {
    assert_eq!(route("/v1/messages").map(|r| r.operation), Some("chat"));
    assert_eq!(
        route("/anthropic/v1/messages/").map(|r| r.operation),
        Some("chat")
    );
    assert_eq!(
        route("/v1/messages/count_tokens").map(|r| r.operation),
        None
    );
    assert_eq!(route("/v1/messages/batches").map(|r| r.operation), None);
}

#[test]
fn the_first_token_is_the_first_delta_with_text_and_usage_comes_in_two_parts() {
    let mut reader = ResponseReader::default();
    let block = json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}});
    for (json, content) in [
        (start(), NOTHING),
        (json!({"type": "ping"}), NOTHING),
        (block, NOTHING),
        (
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}}),
            Content {
                answer: true,
                ..NOTHING
            },
        ),
        (json!({"type": "content_block_stop", "index": 0}), NOTHING),
        (
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": 15}}),
            NOTHING,
        ),
        (json!({"type": "message_stop"}), NOTHING),
    ] {
        assert_eq!(event(&mut reader, &json), content, "{json}");
    }
    let want = ResponseFacts {
        shaped: true,
        model: Some("claude-x".to_owned()),
        id: Some("msg_1".to_owned()),
        usage: Usage {
            input: Some(128),
            output: Some(15),
            cached: Some(100),
            ..Usage::default()
        },
        finish: vec![(0, "end_turn".to_owned())],
        operation: Some("chat"),
        reports: 1,
        ..ResponseFacts::default()
    };
    assert_eq!(reader.facts(), &want);
}

#[test]
fn thinking_and_tools_are_kept_apart() {
    let mut reader = ResponseReader::default();
    let thinking = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}});
    assert!(event(&mut reader, &thinking).reasoning);
    let signature = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "Eq"}});
    assert_eq!(event(&mut reader, &signature), NOTHING);
    let call = json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "weather", "input": {"text": "x", "type": "tool_use"}}});
    assert_eq!(
        event(&mut reader, &call),
        Content {
            tool: true,
            ..NOTHING
        }
    );
    let part = json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{\"a\""}});
    assert_eq!(
        event(&mut reader, &part),
        Content {
            tool: true,
            ..NOTHING
        }
    );
    assert_eq!(reader.facts().tool_calls, 1);
}

#[test]
fn an_error_is_named_by_its_type() {
    let mut reader = ResponseReader::default();
    event(
        &mut reader,
        &json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    );
    assert_eq!(reader.facts().error.as_deref(), Some("overloaded_error"));
}

fn facts(parts: &[Fed<'_>]) -> ResponseFacts {
    let mut reader = ResponseReader::default();
    for part in parts {
        match part {
            Fed::Data(bytes) => reader.push(bytes),
            Fed::Gap(_) => reader.gap(),
        }
    }
    reader.finish("");
    reader.facts().clone()
}

fn whole() -> String {
    json!({"id": "msg_2", "type": "message", "role": "assistant", "model": "claude-x", "content": [{"type": "text", "text": "Hi"}, {"type": "tool_use", "id": "t", "name": "n", "input": {"usage": {"output_tokens": 99}}}], "stop_reason": "tool_use", "stop_sequence": null, "usage": {"input_tokens": 10, "output_tokens": 20}}).to_string()
}

#[test]
fn an_answer_in_one_piece_says_the_same_however_it_is_cut() {
    let text = whole();
    let got = assert_split_invariant(text.as_bytes(), facts);
    assert_eq!((got.usage.input, got.usage.output), (Some(10), Some(20)));
    assert_eq!(got.tool_calls, 1);
    assert_eq!(got.finish, [(0, "tool_use".to_owned())]);
}

#[test]
fn a_hole_makes_nothing_up() {
    let text = whole();
    assert_gap_safe(text.as_bytes(), facts, |got, hole| {
        // A tool's argument may look like usage where a hole took what stood around it.
        let output = got.usage.output;
        assert!(
            matches!(output, None | Some(20 | 99)),
            "{hole:?} {output:?}"
        );
        let input = got.usage.input;
        assert!(matches!(input, None | Some(10)), "{hole:?} {input:?}");
    });
}

fn asked(parts: &[Fed<'_>]) -> RequestFacts {
    let mut reader = RequestReader::default();
    for part in parts {
        match part {
            Fed::Data(bytes) => reader.push(bytes),
            Fed::Gap(_) => reader.gap(),
        }
    }
    reader.finish()
}

#[test]
fn a_request_is_told_by_its_messages_and_its_limit() {
    let text = json!({"model": "claude-x", "max_tokens": 10, "stream": true, "system": "s", "messages": [{"role": "user", "content": "hi"}]}).to_string();
    let got = assert_split_invariant(text.as_bytes(), asked);
    assert_eq!(
        got,
        RequestFacts {
            model_version: None,
            shaped: true,
            model: Some("claude-x".to_owned()),
            stream: Some(true),
            choices: None,
            ..RequestFacts::default()
        }
    );
    let thread = json!({"role": "user", "content": "hi"}).to_string();
    assert!(!asked(&[Fed::Data(thread.as_bytes())]).shaped);
}
