//! Counts in the places, and by the names, that servers and gateways use.

use super::*;

const CONTENT: &str = r#"{"object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"a"}}]}"#;
const CACHED: &str = "gen_ai.usage.cache_read.input_tokens";
const REASONING: &str = "gen_ai.usage.reasoning.output_tokens";

fn chat(last: &[&str]) -> Written {
    let mut events = vec![CONTENT.to_owned(); 2];
    events.extend(last.iter().map(|event| (*event).to_owned()));
    events.push("[DONE]".to_owned());
    stream("/v1/chat/completions", SSE, &events, End::Whole)
}

fn int(written: &Written, name: &str) -> Option<i64> {
    match written.0.attrs.get(name)? {
        AttrValue::Int(n) => Some(*n),
        AttrValue::Str(_) | AttrValue::Float(_) | AttrValue::Bool(_) => None,
    }
}

#[test]
fn counts_are_found_wherever_a_stream_has_them() {
    // Input, output, total; cached, reasoning.
    for (name, last, want, cached, reasoning) in [
        (
            "groq",
            vec![
                r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"r","usage":{"queue_time":0.1,"prompt_tokens":17,"completion_tokens":9,"total_tokens":26}}}"#,
            ],
            [17.0, 9.0, 26.0],
            None,
            None,
        ),
        (
            "moonshot",
            vec![
                r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":17,"completion_tokens":9,"total_tokens":26,"cached_tokens":8}}]}"#,
            ],
            [17.0, 9.0, 26.0],
            Some(8),
            None,
        ),
        (
            "in the delta",
            vec![
                r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"usage":{"prompt_tokens":17,"completion_tokens":9}},"finish_reason":"stop"}]}"#,
            ],
            [17.0, 9.0, 26.0],
            None,
            None,
        ),
        (
            "floats",
            vec![
                r#"{"choices":[],"usage":{"prompt_tokens":17.0,"completion_tokens":9.0,"total_tokens":2.6e1}}"#,
            ],
            [17.0, 9.0, 26.0],
            None,
            None,
        ),
        (
            "texts",
            vec![
                r#"{"choices":[],"usage":{"prompt_tokens":"17","completion_tokens":"9","total_tokens":"26"}}"#,
            ],
            [17.0, 9.0, 26.0],
            None,
            None,
        ),
        (
            "deepseek",
            vec![
                r#"{"choices":[],"usage":{"prompt_tokens":17,"completion_tokens":9,"total_tokens":26,"prompt_cache_hit_tokens":10,"prompt_cache_miss_tokens":7}}"#,
            ],
            [17.0, 9.0, 26.0],
            Some(10),
            None,
        ),
        (
            "deepseek, with a zero beside",
            vec![
                r#"{"choices":[],"usage":{"prompt_cache_hit_tokens":10,"prompt_tokens":17,"completion_tokens":9,"total_tokens":26,"prompt_tokens_details":{"cached_tokens":0}}}"#,
            ],
            [17.0, 9.0, 26.0],
            Some(10),
            None,
        ),
        (
            "litellm",
            vec![
                r#"{"choices":[],"usage":{"prompt_tokens":17,"completion_tokens":9,"total_tokens":26,"cache_creation_input_tokens":0,"cache_read_input_tokens":10}}"#,
            ],
            [17.0, 9.0, 26.0],
            Some(10),
            None,
        ),
        (
            "sglang, nim, perplexity",
            vec![
                r#"{"choices":[],"usage":{"prompt_tokens":17,"completion_tokens":9,"total_tokens":26,"reasoning_tokens":4,"citation_tokens":99}}"#,
            ],
            [17.0, 9.0, 26.0],
            None,
            Some(4),
        ),
        (
            "split over two",
            vec![
                r#"{"choices":[],"usage":{"prompt_tokens":17,"prompt_tokens_details":{"cached_tokens":8}}}"#,
                r#"{"choices":[],"usage":{"completion_tokens":9}}"#,
            ],
            [17.0, 9.0, 26.0],
            Some(8),
            None,
        ),
        (
            "split over two, the other way",
            vec![
                r#"{"choices":[],"usage":{"completion_tokens":9,"completion_tokens_details":{"reasoning_tokens":4}}}"#,
                r#"{"choices":[],"usage":{"prompt_tokens":17,"total_tokens":26}}"#,
            ],
            [17.0, 9.0, 26.0],
            None,
            Some(4),
        ),
        (
            "llama.cpp without include_usage",
            vec![
                r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"timings":{"cache_n":12,"prompt_n":5,"prompt_ms":1.5,"predicted_n":9,"predicted_ms":3.5}}"#,
            ],
            [17.0, 9.0, 26.0],
            Some(12),
            None,
        ),
        (
            "llama.cpp of before cache_n",
            vec![
                r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"timings":{"prompt_n":17,"predicted_n":9}}"#,
            ],
            [17.0, 9.0, 26.0],
            None,
            None,
        ),
        (
            "llama.cpp with both",
            vec![
                r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"timings":{"cache_n":12,"prompt_n":4,"predicted_n":8}}"#,
                r#"{"choices":[],"usage":{"prompt_tokens":17,"completion_tokens":9,"total_tokens":26,"prompt_tokens_details":{"cached_tokens":11}},"timings":{"cache_n":12,"prompt_n":4,"predicted_n":8}}"#,
            ],
            [17.0, 9.0, 26.0],
            Some(11),
            None,
        ),
        (
            "usage of zeros beside timings",
            vec![
                r#"{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0},"timings":{"prompt_n":17,"predicted_n":9}}"#,
            ],
            [17.0, 9.0, 26.0],
            None,
            None,
        ),
        (
            "fireworks",
            vec![
                r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"completion_tokens":9},"perf_metrics":{"prompt-tokens":"17","cached-prompt-tokens":"8"}}"#,
            ],
            [17.0, 9.0, 26.0],
            Some(8),
            None,
        ),
        (
            "ollama's counts in openai's shape",
            vec![
                r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"prompt_eval_count":17,"eval_count":9}"#,
            ],
            [17.0, 9.0, 26.0],
            None,
            None,
        ),
        (
            "several choices, each with its own",
            vec![
                r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"usage":{"prompt_tokens":17,"completion_tokens":4,"total_tokens":21},"finish_reason":"stop"}]}"#,
                r#"{"object":"chat.completion.chunk","choices":[{"usage":{"prompt_tokens":17,"completion_tokens":5,"total_tokens":22},"index":1,"delta":{},"finish_reason":"stop"}]}"#,
            ],
            [17.0, 9.0, 26.0],
            None,
            None,
        ),
        (
            "a choice's, and the whole's",
            vec![
                r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"usage":{"prompt_tokens":1,"completion_tokens":4,"total_tokens":5},"finish_reason":"stop"}]}"#,
                r#"{"choices":[],"usage":{"prompt_tokens":17,"completion_tokens":9,"total_tokens":26}}"#,
            ],
            [17.0, 9.0, 26.0],
            None,
            None,
        ),
    ] {
        let written = chat(&last);
        assert_eq!(tokens(&written), want.map(Some), "{name}");
        assert_eq!(text(&written, "cirron.figures"), Some("complete"), "{name}");
        assert_eq!(int(&written, CACHED), cached, "{name}");
        assert_eq!(int(&written, REASONING), reasoning, "{name}");
        assert_eq!(
            number(&written, "completion_tokens"),
            Some(want[1]),
            "{name}"
        );
    }
}

/// A text that looks like usage is text.
#[test]
fn what_tools_and_tables_call_usage_is_none() {
    for other in [
        r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"f","usage":{"completion_tokens":99}}}]}}]}"#,
        r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"b"}}],"metadata":{"usage":{"completion_tokens":99}}}"#,
        r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"b"}}],"usage":"completion_tokens"}"#,
        r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"b"}}],"usage":{"details":{"completion_tokens":99}}}"#,
    ] {
        assert_counted(&chat(&[other]), 3.0, other);
    }
}

#[test]
fn reasoning_that_was_left_out_of_the_output_is_put_in() {
    let usage = |completion: u32, total: u32| {
        format!(
            r#"{{"choices":[],"usage":{{"prompt_tokens":12,"completion_tokens":{completion},"total_tokens":{total},"completion_tokens_details":{{"reasoning_tokens":386}}}}}}"#
        )
    };
    let written = chat(&[&usage(1, 399)]);
    assert_eq!(tokens(&written), [12.0, 387.0, 399.0].map(Some));
    assert_eq!(number(&written, "completion_tokens"), Some(387.0));
    let rate = number(&written, "tokens_per_second").unwrap();
    assert_eq!(rate, 387.0 / 0.04);
    let written = chat(&[&usage(387, 399)]);
    assert_eq!(tokens(&written), [12.0, 387.0, 399.0].map(Some));
    // The responses API, and one answer as a whole.
    let written = whole(
        "/v1/responses",
        r#"{"object":"response","id":"r","model":"m","status":"completed","usage":{"input_tokens":12,"output_tokens":1,"output_tokens_details":{"reasoning_tokens":386},"total_tokens":399}}"#,
    );
    assert_eq!(tokens(&written), [12.0, 387.0, 399.0].map(Some));
    // Gemini leaves it out, and a gateway in front of it may not.
    for candidates in [1, 387] {
        let written = whole(
            "/v1beta/models/g:generateContent",
            &format!(
                r#"{{"candidates":[{{"content":{{"parts":[{{"text":"a"}}]}}}}],"usageMetadata":{{"promptTokenCount":12,"candidatesTokenCount":{candidates},"thoughtsTokenCount":386,"totalTokenCount":399}}}}"#
            ),
        );
        assert_eq!(tokens(&written), [12.0, 387.0, 399.0].map(Some));
    }
    // Some leave the answer itself out; the sum has it.
    for (told, want) in [
        (r#""thoughtsTokenCount":386,"totalTokenCount":399"#, 387.0),
        (
            r#""candidatesTokenCount":0,"thoughtsTokenCount":386,"totalTokenCount":399"#,
            387.0,
        ),
        (r#""totalTokenCount":15"#, 3.0),
    ] {
        let written = whole(
            "/v1beta/models/g:generateContent",
            &format!(
                r#"{{"candidates":[{{"content":{{"parts":[{{"text":"a"}}]}}}}],"usageMetadata":{{"promptTokenCount":12,{told}}}}}"#
            ),
        );
        assert_eq!(number(&written, "output_tokens"), Some(want), "{told}");
        assert_eq!(
            number(&written, "total_tokens"),
            Some(want + 12.0),
            "{told}"
        );
    }
    // All of it was reasoning.
    let written = whole(
        "/v1beta/models/g:generateContent",
        r#"{"candidates":[{"finishReason":"MAX_TOKENS"}],"usageMetadata":{"promptTokenCount":21,"thoughtsTokenCount":60,"totalTokenCount":81}}"#,
    );
    assert_eq!(tokens(&written), [21.0, 60.0, 81.0].map(Some));
}

#[test]
fn what_tools_gave_gemini_to_read_is_of_the_prompt() {
    let written = whole(
        "/v1beta/models/g:generateContent",
        r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}],"usageMetadata":{"promptTokenCount":12,"toolUsePromptTokenCount":30,"candidatesTokenCount":3,"thoughtsTokenCount":4,"totalTokenCount":49}}"#,
    );
    assert_eq!(tokens(&written), [42.0, 7.0, 49.0].map(Some));
}

#[test]
fn fields_of_the_head_tell_what_the_body_does_not() {
    let request = r#"{"model":"m","messages":[]}"#;
    let fields = [
        ("fireworks-prompt-tokens", "17"),
        ("fireworks-cached-prompt-tokens", "8"),
    ];
    let written = whole_with(
        "/inference/v1/chat/completions",
        request,
        &fields,
        r#"{"object":"chat.completion","model":"m","choices":[{"index":0,"message":{"content":"a"}}],"usage":{"prompt_tokens":17,"completion_tokens":9,"total_tokens":26}}"#,
    );
    assert_eq!(tokens(&written), [17.0, 9.0, 26.0].map(Some));
    assert_eq!(int(&written, CACHED), Some(8));
}

#[test]
fn choices_without_a_kind_have_usage_too() {
    let written = whole(
        "/model/ai21.jamba-1-5-mini-v1:0/invoke",
        r#"{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":17,"completion_tokens":9,"total_tokens":26}}"#,
    );
    assert_eq!(tokens(&written), [17.0, 9.0, 26.0].map(Some));
}

#[test]
fn lightllm_counts_beside_its_tokens() {
    let event = |n: u32, finished: bool| {
        format!(
            r#"{{"token":{{"id":1,"text":"a","logprob":-0.1,"special":false,"count_output_tokens":{n},"prompt_tokens":17}},"generated_text":null,"finished":{finished},"finish_reason":"","details":null}}"#
        )
    };
    let events = [event(1, false), event(2, true)];
    for end in [End::Whole, End::Left] {
        let written = stream("/generate_stream", SSE, &events, end);
        assert_eq!(tokens(&written), [17.0, 2.0, 19.0].map(Some));
        assert_eq!(text(&written, "cirron.figures"), Some("complete"));
    }
}

#[test]
fn rerankers_of_others_count_as_openai_does() {
    let request = r#"{"model":"m","query":"a","documents":["b","c"]}"#;
    for answer in [
        r#"{"id":"r","model":"bge","usage":{"prompt_tokens":15,"total_tokens":15},"results":[{"index":0,"relevance_score":0.8}]}"#,
        r#"{"model":"bge","object":"list","usage":{"prompt_tokens":15,"total_tokens":15},"results":[]}"#,
    ] {
        let written = whole_with("/v1/rerank", request, &[], answer);
        assert_eq!(tokens(&written), [Some(15.0), None, Some(15.0)], "{answer}");
        assert_eq!(text(&written, "gen_ai.response.model"), Some("bge"));
    }
    let cohere = r#"{"id":"r","results":[],"meta":{"billed_units":{"search_units":1},"tokens":{"input_tokens":15}}}"#;
    let written = whole_with("/v2/rerank", request, &[], cohere);
    assert_eq!(tokens(&written), [Some(15.0), None, None]);
}

#[test]
fn gateways_in_javascript_write_names_their_way() {
    for usage in [
        r#"{"promptTokens":17,"completionTokens":9,"totalTokens":26}"#,
        r#"{"inputTokens":17,"outputTokens":9,"totalTokens":26,"cachedInputTokens":8,"reasoningTokens":4}"#,
    ] {
        let written = chat(&[&format!(r#"{{"choices":[],"usage":{usage}}}"#)]);
        assert_eq!(tokens(&written), [17.0, 9.0, 26.0].map(Some), "{usage}");
        assert_eq!(int(&written, CACHED).is_some(), usage.contains("cached"));
    }
}

#[test]
fn counts_of_pieces_add_up_as_far_as_they_were_seen() {
    let event = |n: u32| {
        format!(
            r#"{{"model_name":"m","model_version":"1","num_input_tokens":7,"num_output_tokens":{n},"text_output":"x"}}"#
        )
    };
    let path = "/v2/models/m/generate_stream";
    let written = stream(path, SSE, &[event(2), event(3)], End::Whole);
    assert_eq!(tokens(&written), [7.0, 5.0, 12.0].map(Some));
    // Behind a hole the sum is not known.
    let mut call = ScopeRig::new(false);
    call.request(path, &[], br#"{"text_input":"x"}"#);
    call.head(1, 200, &[("content-type", SSE)]);
    call.event(10, &event(2));
    call.at(15, E::ResponseGap(90));
    call.body(20, b"\n\n");
    call.event(30, &event(3));
    let written = call.end(40);
    assert_eq!(number(&written, "output_tokens"), Some(2.0));
    for with in ["partial", "estimated"] {
        assert!(is_marked(&written, "output_tokens", with), "{with}");
    }
}
