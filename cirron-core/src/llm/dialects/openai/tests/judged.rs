//! serde_json is the judge: on whole documents the readers say what its tree says.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{facts, request};
use crate::llm::count::MAX_COUNT;
use crate::llm::facts::{RequestFacts, ResponseFacts, Usage};
use crate::testing::split::Fed;

fn text(value: &Value, key: &str) -> Option<String> {
    let text = value.get(key)?.as_str()?;
    Some(text.to_owned()).filter(|text| !text.trim().is_empty())
}

fn request_by_tree(body: &Value) -> RequestFacts {
    RequestFacts {
        model_version: None,
        shaped: ["messages", "prompt", "input"]
            .iter()
            .any(|k| body.get(k).is_some()),
        model: text(body, "model"),
        stream: Some(body.get("stream").and_then(Value::as_bool).unwrap_or(false)),
        choices: body.get("n").and_then(Value::as_i64),
        prompts: body.get("prompt").is_some_and(Value::is_array),
        usage: Some(body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true))),
    }
}

fn usage_by_tree(usage: &Value) -> Usage {
    let count = |value: &Value| value.as_i64().filter(|n| (0..=MAX_COUNT).contains(n));
    let int = |names: [&str; 2]| names.iter().find_map(|n| count(usage.get(n)?));
    let detail = |group: &str, name: &str| count(usage.get(group)?.get(name)?);
    Usage {
        input: int(["prompt_tokens", "input_tokens"]),
        output: int(["completion_tokens", "output_tokens"]),
        total: int(["total_tokens", "total_tokens"]),
        cached: detail("prompt_tokens_details", "cached_tokens"),
        reasoning: detail("completion_tokens_details", "reasoning_tokens"),
        audio_input: None,
        audio_output: None,
    }
}

fn response_by_tree(body: &Value) -> ResponseFacts {
    let mut facts = ResponseFacts {
        model: text(body, "model"),
        id: text(body, "id"),
        ..ResponseFacts::default()
    };
    facts.report(
        &body.get("usage").map(usage_by_tree).unwrap_or_default(),
        false,
    );
    facts.operation = match text(body, "object").as_deref() {
        Some("chat.completion") => Some("chat"),
        Some("list") if body.pointer("/data/0/embedding").is_some() => Some("embeddings"),
        _ => None,
    };
    let choices = body.get("choices").and_then(Value::as_array);
    facts.shaped = facts.operation.is_some() || (choices.is_some() && facts.model.is_some());
    for (place, choice) in (0_i64..).zip(choices.into_iter().flatten()) {
        let index = choice.get("index").and_then(Value::as_i64);
        if let Some(reason) = text(choice, "finish_reason") {
            facts.note_finish(index.unwrap_or(place), &reason);
        }
        let calls = choice
            .pointer("/message/tool_calls")
            .and_then(Value::as_array);
        facts.tool_calls += calls.map_or(0, |c| c.len() as u64);
    }
    facts.openai_usage = body
        .get("usage")
        .is_some_and(|usage| usage_by_tree(usage).is_some());
    if let Some(error) = body.get("error").filter(|error| says_something(error)) {
        let named = text(error, "type").filter(|t| !t.trim().is_empty());
        let code = || {
            error
                .get("code")
                .and_then(Value::as_i64)
                .filter(|c| *c != 0)
        };
        let class = named.or_else(|| code().map(|c| c.to_string()));
        facts.error = Some(class.unwrap_or_else(|| "error".to_owned()));
    }
    facts
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is) => *is,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(list) => list.iter().any(says_something),
        Value::Object(members) => members.values().any(says_something),
    }
}

/// Text that would fool a search: names of members, quotes, braces, escapes.
fn tricky() -> impl Strategy<Value = String> {
    let bit = prop_oneof![
        Just("\"usage\":{\"prompt_tokens\":999,\"completion_tokens\":999}".to_owned()),
        Just("\"model\":\"evil\",\"stream\":true,".to_owned()),
        Just("\\\"}]},\"error\":{\"type\":\"x\"}".to_owned()),
        Just("\\".to_owned()),
        Just("\n\ndata: {}\n\n".to_owned()),
        "[a-zé😀]{0,4}",
    ];
    prop::collection::vec(bit, 0..4).prop_map(|bits| bits.concat())
}

fn some(strategy: impl Strategy<Value = Value>) -> impl Strategy<Value = Option<Value>> {
    prop::option::of(strategy)
}

/// An object of the members that are there.
fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let present = members.into_iter();
    let present = present.filter_map(|(k, v)| Some((k.to_owned(), v?)));
    Value::Object(present.collect::<Map<_, _>>())
}

fn any_request() -> impl Strategy<Value = Value> {
    let messages = tricky().prop_map(|t| json!([{"role": "user", "content": t}]));
    (
        some(tricky().prop_map(Value::from)),
        some(any::<bool>().prop_map(Value::from)),
        some((1..9_i64).prop_map(Value::from)),
        some(messages),
        some(tricky().prop_map(|t| json!({"model": t, "n": 5, "usage": {}}))),
    )
        .prop_map(|(model, stream, n, messages, metadata)| {
            object([
                ("metadata", metadata),
                ("messages", messages),
                ("model", model),
                ("n", n),
                ("stream", stream),
            ])
        })
}

fn any_usage() -> impl Strategy<Value = Value> {
    let count = || prop::option::of(prop_oneof![0..99_i64, any::<i64>()].prop_map(Value::from));
    (count(), count(), count(), count(), count()).prop_map(|(i, o, t, c, r)| {
        object([
            ("completion_tokens", o),
            (
                "completion_tokens_details",
                r.map(|r| json!({"reasoning_tokens": r, "x": [1]})),
            ),
            ("prompt_tokens", i),
            (
                "prompt_tokens_details",
                c.map(|c| json!({"cached_tokens": c})),
            ),
            ("total_tokens", t),
        ])
    })
}

fn any_choice() -> impl Strategy<Value = Value> {
    let calls = (0..3_usize).prop_map(|n| {
        let call =
            json!({"type": "function", "function": {"name": "f", "arguments": "{\"usage\":{}}"}});
        Value::Array(vec![call; n])
    });
    (
        some(tricky().prop_map(Value::from)),
        some(calls),
        some((0..4_i64).prop_map(Value::from)),
        some("[a-z]{1,9}".prop_map(Value::from)),
    )
        .prop_map(|(content, calls, index, reason)| {
            let message = object([("content", content), ("tool_calls", calls)]);
            object([
                ("finish_reason", reason),
                ("index", index),
                (
                    "logprobs",
                    Some(json!({"content": [{"token": "\"usage\"", "logprob": -1.5}]})),
                ),
                ("message", Some(message)),
            ])
        })
}

fn any_response() -> impl Strategy<Value = Value> {
    let error = prop_oneof![
        Just(Value::Null),
        tricky().prop_map(Value::from),
        (
            "[a-z_]{0,9}",
            tricky(),
            some((400..600_i64).prop_map(Value::from))
        )
            .prop_map(|(kind, message, code)| object([
                ("code", code),
                ("message", Some(message.into())),
                ("type", Some(kind.into())),
            ])),
    ];
    (
        some(Just(json!("chat.completion"))),
        some(tricky().prop_map(Value::from)),
        some(tricky().prop_map(Value::from)),
        some(prop::collection::vec(any_choice(), 0..3).prop_map(Value::from)),
        some(any_usage()),
        some(error),
    )
        .prop_map(|(object_, model, id, choices, usage, error)| {
            object([
                ("choices", choices),
                ("error", error),
                ("id", id),
                ("model", model),
                ("object", object_),
                ("usage", usage),
            ])
        })
}

/// The whole text, or cut in two.
fn cut(text: &str, at: usize) -> [Fed<'_>; 2] {
    let (a, b) = text.as_bytes().split_at(at % (text.len() + 1));
    [Fed::Data(a), Fed::Data(b)]
}

proptest! {
    #[test]
    fn a_request_says_what_its_tree_says(body in any_request(), at in any::<usize>()) {
        prop_assert_eq!(request(&cut(&body.to_string(), at)), request_by_tree(&body));
        let pretty = serde_json::to_string_pretty(&body).unwrap_or_default();
        prop_assert_eq!(request(&cut(&pretty, at)), request_by_tree(&body));
    }

    #[test]
    fn a_response_says_what_its_tree_says(body in any_response(), at in any::<usize>()) {
        prop_assert_eq!(super::response(&cut(&body.to_string(), at)), response_by_tree(&body));
        prop_assert_eq!(facts(std::slice::from_ref(&body)), response_by_tree(&body));
    }
}
