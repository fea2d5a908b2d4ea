//! Zeros and other numbers of those who do not count.

use super::*;

/// With usage that has these counts, as each dialect writes it: path, type, content, the last event.
fn streams(input: i64, output: i64) -> Vec<(&'static str, &'static str, &'static str, String)> {
    let total = input + output;
    vec![
        (
            "/v1/chat/completions",
            SSE,
            r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"}}]}"#,
            format!(
                r#"{{"object":"chat.completion.chunk","choices":[],"usage":{{"prompt_tokens":{input},"completion_tokens":{output},"total_tokens":{total}}}}}"#
            ),
        ),
        (
            "/v1/completions",
            SSE,
            r#"{"object":"text_completion","choices":[{"index":0,"text":"a"}]}"#,
            format!(
                r#"{{"object":"text_completion","choices":[{{"index":0,"text":"","finish_reason":"stop"}}],"usage":{{"prompt_tokens":{input},"completion_tokens":{output},"total_tokens":{total}}}}}"#
            ),
        ),
        (
            "/v1/responses",
            SSE,
            r#"{"type":"response.output_text.delta","delta":"a"}"#,
            format!(
                r#"{{"type":"response.completed","response":{{"id":"r","status":"completed","usage":{{"input_tokens":{input},"output_tokens":{output},"total_tokens":{total}}}}}}}"#
            ),
        ),
        (
            "/v1/messages",
            SSE,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#,
            format!(
                r#"{{"type":"message_delta","delta":{{"stop_reason":"end_turn"}},"usage":{{"input_tokens":{input},"output_tokens":{output}}}}}"#
            ),
        ),
        (
            "/v1beta/models/g:streamGenerateContent",
            SSE,
            r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}"#,
            format!(
                r#"{{"candidates":[{{"finishReason":"STOP"}}],"usageMetadata":{{"promptTokenCount":{input},"candidatesTokenCount":{output},"totalTokenCount":{total}}}}}"#
            ),
        ),
        (
            "/api/chat",
            LINES,
            r#"{"model":"m","created_at":"t","done":false,"message":{"content":"a"}}"#,
            format!(
                r#"{{"model":"m","created_at":"t","done":true,"message":{{"content":""}},"prompt_eval_count":{input},"eval_count":{output}}}"#
            ),
        ),
        (
            "/v2/chat",
            SSE,
            r#"{"type":"content-delta","delta":{"message":{"content":{"text":"a"}}}}"#,
            format!(
                r#"{{"type":"message-end","delta":{{"finish_reason":"COMPLETE","usage":{{"tokens":{{"input_tokens":{input},"output_tokens":{output}}}}}}}}}"#
            ),
        ),
        (
            "/completion",
            SSE,
            r#"{"content":"a","stop":false}"#,
            format!(
                r#"{{"content":"","stop":true,"tokens_predicted":{output},"tokens_evaluated":{input}}}"#
            ),
        ),
        (
            "/generate_stream",
            SSE,
            r#"{"index":1,"token":{"id":1,"text":"a","special":false}}"#,
            format!(
                r#"{{"index":2,"token":{{"id":2,"text":"","special":true}},"generated_text":"a","details":{{"finish_reason":"length","generated_tokens":{output},"input_length":{input}}}}}"#
            ),
        ),
    ]
}

fn run(case: &(&str, &str, &str, String), contents: usize) -> Written {
    let (path, kind, content, last) = case;
    let mut events = vec![(*content).to_owned(); contents];
    events.push(last.clone());
    stream(path, kind, &events, End::Whole)
}

#[test]
fn content_and_a_count_of_nothing_is_no_count() {
    for (input, output) in [(0, 0), (-1, -1), (0, -1), (0, 4_294_967_295)] {
        for case in streams(input, output) {
            let written = run(&case, 3);
            assert_counted(&written, 3.0, case.0);
            assert_eq!(number(&written, "input_tokens"), None, "{}", case.0);
            assert_eq!(number(&written, "prompt_tokens"), None, "{}", case.0);
            assert_eq!(text(&written, "cirron.figures"), Some("estimated"));
            assert_eq!(written.2.output_tokens, Some(3));
        }
    }
}

#[test]
fn one_side_that_was_counted_holds() {
    for case in streams(12, 0) {
        let written = run(&case, 3);
        assert_counted(&written, 3.0, case.0);
        assert_eq!(number(&written, "input_tokens"), Some(12.0), "{}", case.0);
    }
    for case in streams(0, 9) {
        let written = run(&case, 3);
        assert_eq!(tokens(&written), [None, Some(9.0), None], "{}", case.0);
        assert_eq!(text(&written, "cirron.figures"), Some("complete"));
    }
}

#[test]
fn nothing_made_is_nothing_counted() {
    for case in streams(12, 0) {
        let written = run(&case, 0);
        assert_eq!(
            tokens(&written),
            [Some(12.0), Some(0.0), Some(12.0)],
            "{}",
            case.0
        );
        assert_eq!(text(&written, "cirron.figures"), Some("complete"));
        assert!(!is_marked(&written, "output_tokens", "estimated"));
        assert_eq!(number(&written, "tokens_per_second"), None);
    }
    for case in streams(0, 0) {
        let written = run(&case, 0);
        assert_eq!(tokens(&written), [None; 3], "{}", case.0);
    }
}

#[test]
fn an_answer_that_is_no_stream_has_no_count_of_ours() {
    for (path, answer, want) in [
        (
            "/v1/chat/completions",
            r#"{"object":"chat.completion","model":"m","choices":[{"index":0,"message":{"content":"hello"}}],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}"#,
            [None; 3],
        ),
        (
            "/v1/chat/completions",
            r#"{"object":"chat.completion","model":"m","choices":[{"index":0,"message":{"content":"hello"}}],"usage":{"prompt_tokens":12,"completion_tokens":-3,"total_tokens":9}}"#,
            [Some(12.0), None, None],
        ),
        // It was filtered.
        (
            "/v1/chat/completions",
            r#"{"object":"chat.completion","model":"m","choices":[{"index":0,"message":{"content":""},"finish_reason":"content_filter"}],"usage":{"prompt_tokens":12,"completion_tokens":0,"total_tokens":12}}"#,
            [Some(12.0), Some(0.0), Some(12.0)],
        ),
        (
            "/v1/responses",
            r#"{"object":"response","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"hello"}]}],"usage":{"input_tokens":12,"output_tokens":0,"total_tokens":12}}"#,
            [Some(12.0), None, None],
        ),
        (
            "/v1/responses",
            r#"{"object":"response","status":"completed","output":[{"id":"f","type":"function_call","name":"f","arguments":"{}"}],"usage":{"input_tokens":12,"output_tokens":0,"total_tokens":12}}"#,
            [Some(12.0), None, None],
        ),
        (
            "/v1/responses",
            r#"{"object":"response","status":"completed","output":[],"usage":{"input_tokens":12,"output_tokens":0,"total_tokens":12}}"#,
            [Some(12.0), Some(0.0), Some(12.0)],
        ),
        (
            "/v1/embeddings",
            r#"{"object":"list","model":"m","data":[{"embedding":[0.1],"index":0}],"usage":{"prompt_tokens":8,"total_tokens":8}}"#,
            [Some(8.0), None, Some(8.0)],
        ),
        (
            "/v1/embeddings",
            r#"{"object":"list","model":"m","data":[{"embedding":[0.1],"index":0}],"usage":{"prompt_tokens":8,"completion_tokens":0,"total_tokens":8}}"#,
            [Some(8.0), Some(0.0), Some(8.0)],
        ),
        (
            "/v1/embeddings",
            r#"{"object":"list","model":"m","data":[{"embedding":[0.1],"index":0}],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}"#,
            [None; 3],
        ),
        (
            "/v1/messages",
            r#"{"id":"m","type":"message","model":"c","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":0,"output_tokens":0}}"#,
            [None; 3],
        ),
        (
            "/v1/messages",
            r#"{"id":"m","type":"message","model":"c","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":0,"cache_read_input_tokens":25,"output_tokens":3}}"#,
            [Some(25.0), Some(3.0), Some(28.0)],
        ),
        (
            "/generate",
            r#"{"text":"hello","meta_info":{"id":"i","prompt_tokens":0,"completion_tokens":0}}"#,
            [None; 3],
        ),
        (
            "/api/generate",
            r#"{"model":"m","created_at":"t","done":true,"response":"hi","prompt_eval_count":0,"eval_count":0}"#,
            [None; 3],
        ),
        (
            "/model/us.amazon.nova/converse",
            r#"{"output":{"message":{"content":[{"text":"hi"}]}},"stopReason":"end_turn","usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0}}"#,
            [None; 3],
        ),
        (
            "/model/amazon.titan-text/invoke",
            r#"{"inputTextTokenCount":0,"results":[{"tokenCount":0,"outputText":"hi"}]}"#,
            [None; 3],
        ),
    ] {
        let written = whole(path, answer);
        assert!(written.2.is_llm, "{path}");
        assert_eq!(tokens(&written), want, "{path} {answer}");
        assert_eq!(number(&written, "tokens_per_second"), None);
        assert_eq!(text(&written, "cirron.figures"), Some("complete"));
    }
}

/// Cohere counts what it bills elsewhere; its own zeros leave that.
#[test]
fn a_zero_in_one_place_leaves_the_count_of_another() {
    let written = whole(
        "/v2/chat",
        r#"{"id":"i","message":{"content":[{"type":"text","text":"hi"}]},"finish_reason":"COMPLETE","usage":{"tokens":{"input_tokens":0,"output_tokens":0},"billed_units":{"input_tokens":5,"output_tokens":2}}}"#,
    );
    assert_eq!(tokens(&written), [Some(5.0), Some(2.0), Some(7.0)]);
    let written = whole_with(
        "/generate",
        r#"{"inputs":"x"}"#,
        &[("x-prompt-tokens", "5"), ("x-generated-tokens", "2")],
        r#"{"generated_text":"hi","details":{"finish_reason":"length","generated_tokens":0}}"#,
    );
    assert_eq!(tokens(&written), [Some(5.0), Some(2.0), Some(7.0)]);
    let written = whole_with(
        "/generate",
        r#"{"inputs":"x"}"#,
        &[("x-prompt-tokens", "-1"), ("x-generated-tokens", "0")],
        r#"{"generated_text":"hi","details":{"finish_reason":"length","generated_tokens":2,"input_length":5}}"#,
    );
    assert_eq!(tokens(&written), [Some(5.0), Some(2.0), Some(7.0)]);
}

/// Some tell the prompt's count first, and a 0 with the answer's.
#[test]
fn a_later_zero_takes_no_count_away() {
    let events = [
        r#"{"type":"message_start","message":{"id":"m","type":"message","model":"c","content":[],"usage":{"input_tokens":25,"cache_read_input_tokens":5,"output_tokens":1}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":0,"cache_read_input_tokens":0,"output_tokens":15}}"#,
    ]
    .map(str::to_owned);
    let written = stream("/v1/messages", SSE, &events, End::Whole);
    assert_eq!(tokens(&written), [Some(30.0), Some(15.0), Some(45.0)]);
    // The other way: 0 first, then what it was, all of it from the cache.
    let events = [
        events[0]
            .replace("\"input_tokens\":25", "\"input_tokens\":0")
            .replace("_tokens\":5", "_tokens\":0"),
        events[1].clone(),
        events[2].replace("cache_read_input_tokens\":0", "cache_read_input_tokens\":7"),
    ];
    let written = stream("/v1/messages", SSE, &events, End::Whole);
    assert_eq!(tokens(&written), [Some(7.0), Some(15.0), Some(22.0)]);
}

#[test]
fn reasoning_that_was_shown_and_counted_as_nothing_has_no_count() {
    let name = "gen_ai.usage.reasoning.output_tokens";
    for (content, want) in [("reasoning_content", None), ("content", Some(0))] {
        let events = [
            format!(
                r#"{{"object":"chat.completion.chunk","choices":[{{"index":0,"delta":{{"{content}":"hm"}}}}]}}"#
            ),
            r#"{"object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":9,"total_tokens":21,"reasoning_tokens":0}}"#.to_owned(),
        ];
        let written = stream("/v1/chat/completions", SSE, &events, End::Whole);
        let want: Option<AttrValue> = want.map(|n: i64| n.into());
        assert_eq!(written.0.attrs.get(name), want.as_ref(), "{content}");
        assert_eq!(number(&written, "output_tokens"), Some(9.0));
    }
}
