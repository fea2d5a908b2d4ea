use serde_json::{Value, json};

mod judged;

use super::{RequestReader, ResponseReader, route};
use crate::llm::facts::{Content, RequestFacts, ResponseFacts};
use crate::llm::{ReadRequest, ReadResponse};
use crate::testing::split::{Fed, assert_gap_safe, assert_split_invariant};

const ANSWER: Content = Content {
    answer: true,
    reasoning: false,
    tool: false,
};

fn event(reader: &mut ResponseReader, json: &Value) -> Content {
    reader.push(json.to_string().as_bytes());
    reader.finish("")
}

fn facts(events: &[Value]) -> ResponseFacts {
    let mut reader = ResponseReader::default();
    for json in events {
        event(&mut reader, json);
    }
    reader.facts().clone()
}

fn request(parts: &[Fed<'_>]) -> RequestFacts {
    let mut reader = RequestReader::default();
    for part in parts {
        match part {
            Fed::Data(bytes) => reader.push(bytes),
            Fed::Gap(_) => reader.gap(),
        }
    }
    reader.finish()
}

fn response(parts: &[Fed<'_>]) -> ResponseFacts {
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

#[test]
fn paths_with_any_prefix_are_recognised_and_control_paths_are_not() {
    assert_eq!(
        route("/openai/v1/chat/completions").map(|r| r.operation),
        Some("chat")
    );
    assert_eq!(
        route("/v1/completions/").map(|r| r.operation),
        Some("text_completion")
    );
    assert_eq!(route("/v1/models").map(|r| r.operation), None);
    assert_eq!(route("/health").map(|r| r.operation), None);
    assert_eq!(
        route("/chat/completions/abc/cancel").map(|r| r.operation),
        None
    );
}

#[test]
fn a_role_an_empty_delta_and_a_usage_report_are_not_content() {
    let mut reader = ResponseReader::default();
    for chunk in [
        json!({"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"usage":null}),
        json!({"choices":[{"index":0,"delta":{"content":null},"finish_reason":"stop"}]}),
        json!({"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":9,"total_tokens":16}}),
    ] {
        assert!(!event(&mut reader, &chunk).is_some(), "{chunk}");
    }
    reader.push(b"[DONE]");
    assert!(!reader.finish("").is_some());
    let facts = reader.facts();
    assert!(facts.shaped);
    assert_eq!(facts.finish, [(0, "stop".to_owned())]);
    assert_eq!(facts.usage.output, Some(9));
}

#[test]
fn answer_reasoning_and_tools_are_kept_apart() {
    let content = |delta: Value| {
        event(
            &mut ResponseReader::default(),
            &json!({"choices":[{"index":0,"delta":delta}]}),
        )
    };
    assert_eq!(content(json!({"content":"a"})), ANSWER);
    assert_eq!(content(json!({"refusal":"no"})), ANSWER);
    assert!(content(json!({"reasoning_content":"a"})).reasoning);
    assert!(content(json!({"reasoning":"a"})).reasoning);
    assert!(content(json!({"tool_calls":[{"index":0,"function":{"arguments":"{"}}]})).tool);
    assert!(content(json!({"function_call":{"name":"f"}})).tool);
    assert!(!content(json!({"tool_calls":[{"index":0,"function":{"arguments":""}}]})).is_some());
}

#[test]
fn each_choice_has_its_own_finish_reason_and_each_call_is_counted_once() {
    let call = |i: u32, name: &str| json!({"choices":[{"index":i,"delta":{"tool_calls":[{"index":0,"id":"x","function":{"name":name,"arguments":"{}"}}]}}]});
    let facts = facts(&[
        call(0, "f"),
        call(1, "g"),
        json!({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"more"}}]}}]}),
        json!({"choices":[{"delta":{},"finish_reason":"length","index":1}]}),
        json!({"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}),
    ]);
    assert_eq!(facts.tool_calls, 2);
    assert_eq!(
        facts.finish,
        [(0, "tool_calls".to_owned()), (1, "length".to_owned())]
    );
}

#[test]
fn the_responses_api_is_read() {
    let mut reader = ResponseReader::default();
    let delta = |kind: &str| json!({"type": kind, "item_id":"msg", "output_index":0, "delta":"hi"});
    assert_eq!(
        event(&mut reader, &delta("response.output_text.delta")),
        ANSWER
    );
    assert!(event(&mut reader, &delta("response.reasoning_text.delta")).reasoning);
    assert!(
        event(
            &mut reader,
            &delta("response.function_call_arguments.delta")
        )
        .tool
    );
    let added = json!({"type":"response.output_item.added","item":{"type":"function_call","status":"in_progress"}});
    // vLLM's events have their `type` last.
    let done = json!({"item":{"type":"function_call","status":"completed"},"type":"response.output_item.done"});
    assert!(!event(&mut reader, &added).is_some() && !event(&mut reader, &done).is_some());
    let end = json!({"type":"response.completed","response":{"id":"r1","object":"response","status":"completed","model":"m","error":null,"output":[{"type":"function_call"}],
        "usage":{"input_tokens":1,"input_tokens_details":{"cached_tokens":4},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":5},"total_tokens":3}}});
    assert!(!event(&mut reader, &end).is_some());
    let facts = reader.facts();
    assert_eq!(facts.model.as_deref(), Some("m"));
    assert_eq!(facts.id.as_deref(), Some("r1"));
    assert_eq!(
        (
            facts.usage.input,
            facts.usage.output,
            facts.usage.cached,
            facts.usage.reasoning
        ),
        (Some(1), Some(2), Some(4), Some(5))
    );
    assert_eq!((facts.tool_calls, facts.error.as_deref()), (1, None));
    assert_eq!(facts.finish, [(0, "completed".to_owned())]);
}

#[test]
fn a_response_that_was_cut_short_says_why() {
    let facts = facts(&[
        json!({"type":"response.incomplete","response":{"object":"response","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}}),
    ]);
    assert_eq!(facts.finish, [(0, "max_output_tokens".to_owned())]);
}

#[test]
fn errors_give_their_class_and_never_their_text() {
    let error_in = |json: Value| facts(&[json]).error;
    let typed = json!({"error":{"message":"secret","type":"invalid_request_error","code":null}});
    assert_eq!(error_in(typed).as_deref(), Some("invalid_request_error"));
    let coded = json!({"error":{"message":"secret","code":503}});
    assert_eq!(error_in(coded).as_deref(), Some("503"));
    assert_eq!(
        error_in(json!({"error":"secret"})).as_deref(),
        Some("error")
    );
    let vllm = json!({"object":"error","message":"secret","type":"BadRequestError","code":400});
    assert_eq!(error_in(vllm).as_deref(), Some("BadRequestError"));
    let stream = json!({"type":"error","code":"server_error","message":"secret"});
    assert_eq!(error_in(stream).as_deref(), Some("server_error"));
    let failed = json!({"type":"response.failed","response":{"status":"failed","error":{"code":"rate_limit","message":"secret"}}});
    assert_eq!(error_in(failed).as_deref(), Some("rate_limit"));
    assert_eq!(error_in(json!({"error":null,"code":7})), None);
}

#[test]
fn embeddings_are_recognised_as_floats_and_as_base64() {
    for vector in [json!([0.1, 0.2]), json!("AAAA")] {
        let facts = facts(&[
            json!({"object":"list","data":[{"object":"embedding","embedding":vector,"index":0}],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}),
        ]);
        assert_eq!(facts.operation, Some("embeddings"));
        assert!(facts.shaped);
        assert_eq!((facts.usage.input, facts.usage.output), (Some(8), None));
    }
    let models = facts(&[json!({"object":"list","data":[{"id":"m","object":"model"}]})]);
    assert!(!models.shaped);
}

const REQUEST: &[u8] = br#"{"messages":[{"role":"user","content":"say \"model\":\"evil\",\"stream\":true"}],"model":"good","n":2,"stream":false}"#;

#[test]
fn a_request_cut_anywhere_says_the_same_and_its_prompt_fools_nobody() {
    let whole = assert_split_invariant(REQUEST, request);
    assert_eq!(whole.model.as_deref(), Some("good"));
    assert_eq!((whole.stream, whole.choices), (Some(false), Some(2)));
    assert!(whole.shaped);
}

#[test]
fn a_request_with_a_hole_says_less_and_nothing_else() {
    let whole = request(&[Fed::Data(REQUEST)]);
    assert_gap_safe(REQUEST, request, |facts, hole| {
        assert!(
            facts.model.is_none() || facts.model == whole.model,
            "{hole:?}"
        );
        assert!(
            facts.stream.is_none() || facts.stream == whole.stream,
            "{hole:?}"
        );
    });
    let cut = request(&[Fed::Data(br#"{"model":"m","messages":[""#), Fed::Gap(9)]);
    assert_eq!((cut.stream, cut.shaped), (None, true));
}

const RESPONSE: &[u8] = br#"{"id":"c1","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"content":"\"usage\":{\"prompt_tokens\":1}"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":9,"total_tokens":16}}"#;

#[test]
fn a_response_cut_anywhere_says_the_same() {
    let whole = assert_split_invariant(RESPONSE, response);
    assert_eq!((whole.usage.input, whole.usage.output), (Some(7), Some(9)));
    assert_eq!(whole.finish, [(0, "stop".to_owned())]);
    assert!(whole.shaped);
}

#[test]
fn a_response_with_a_hole_says_less_and_nothing_else() {
    let whole = response(&[Fed::Data(RESPONSE)]);
    assert_gap_safe(RESPONSE, response, |facts, hole| {
        let agrees = |a: Option<i64>, b: Option<i64>| a.is_none() || a == b;
        assert!(agrees(facts.usage.input, whole.usage.input), "{hole:?}");
        assert!(agrees(facts.usage.output, whole.usage.output), "{hole:?}");
        assert!(facts.id.is_none() || facts.id == whole.id, "{hole:?}");
        assert!(
            facts.finish.is_empty() || facts.finish == whole.finish,
            "{hole:?}"
        );
    });
}

#[test]
fn usage_at_the_end_of_five_megabytes_is_found_without_holding_them() {
    let mut reader = ResponseReader::default();
    reader.push(br#"{"object":"chat.completion","choices":[{"message":{"content":""#);
    for _ in 0..5 * 16 {
        reader.push(&[b'x'; 65_536]);
    }
    reader.push(br#""}}],"usage":{"completion_tokens":3}}"#);
    assert_eq!(reader.finish(""), ANSWER);
    assert_eq!(reader.facts().usage.output, Some(3));
}
