//! Times and counts of streams.

use super::*;
use crate::testing::split::{Fed, assert_gap_safe, assert_split_invariant};

const ANSWER: &str = r#"{"content":"a"}"#;
const REASONING: &str = r#"{"reasoning_content":"hm"}"#;
const TOOL: &str = r#"{"tool_calls":[{"index":0,"function":{"name":"f","arguments":""}}]}"#;
const USAGE: &str =
    r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":9,"total_tokens":14}}"#;

#[test]
fn reasoning_answer_and_tool_calls_have_times_of_their_own() {
    let mut call = ScopeRig::stream();
    call.delta(5, r#"{"role":"assistant","content":""}"#);
    call.delta(10, REASONING);
    call.delta(20, REASONING);
    call.delta(40, ANSWER);
    call.delta(45, TOOL);
    call.event(50, USAGE);
    let written = call.end(60);
    for (name, value) in [
        ("time_to_first_byte_ms", 1.0),
        ("time_to_first_token_ms", 10.0),
        ("time_to_first_reasoning_token_ms", 10.0),
        ("time_to_first_answer_token_ms", 40.0),
        ("time_to_first_tool_call_ms", 45.0),
        ("max_inter_token_ms", 20.0),
        ("output_tokens", 9.0),
        ("tokens_per_second", 9.0 / 0.05),
        ("time_per_output_token_ms", 35.0 / 8.0),
        ("request_duration_ms", 60.0),
    ] {
        assert_eq!(number(&written, name), Some(value), "{name}");
    }
    assert_eq!(written.0.attrs["cirron.response.tool_calls"], 1_i64.into());
    assert_eq!(written.1.iter().filter(|m| m.name == "chunk_ms").count(), 3);
}

#[test]
fn bytes_that_the_kernel_let_go_together_have_no_rate() {
    for (apart_ns, rated) in [(1, false), (999, false), (1_000, true)] {
        let mut call = ScopeRig::stream();
        let event = format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{ANSWER}}}]}}\n\n");
        call.at_ns(20 * MS - apart_ns, E::ResponseBody(event.as_bytes()));
        call.at_ns(20 * MS, E::ResponseBody(event.as_bytes()));
        let written = call.end(20);
        for name in ["tokens_per_second", "time_per_output_token_ms"] {
            let rate = number(&written, name);
            assert_eq!(rate.is_some(), rated, "{name} {rate:?} of {apart_ns} ns");
        }
    }
}

#[test]
fn an_answer_that_comes_with_one_event_has_no_rate() {
    for (more, rated) in [(None, false), (Some(20), false), (Some(30), true)] {
        let mut call = ScopeRig::stream();
        call.delta(20, ANSWER);
        if let Some(ms) = more {
            call.delta(ms, ANSWER);
        }
        call.event(35, USAGE);
        let written = call.end(40);
        assert_eq!(text(&written, "cirron.figures"), Some("complete"));
        assert_eq!(number(&written, "output_tokens"), Some(9.0));
        assert_eq!(number(&written, "time_to_first_token_ms"), Some(20.0));
        for name in ["tokens_per_second", "time_per_output_token_ms"] {
            assert_eq!(number(&written, name).is_some(), rated, "{name} {more:?}");
        }
    }
}

/// Some servers leave the last empty line out.
#[test]
fn a_last_event_whose_line_ended_counts_at_its_time() {
    let event = r#"data: {"choices":[{"index":0,"delta":{"content":"a"}}]}"#;
    for (last, want) in [
        (format!("{event}\n\n"), 2.0),
        (format!("{event}\n"), 2.0),
        (format!("{event}\r"), 2.0),
        // More of it may have been lost.
        (event.to_owned(), 1.0),
    ] {
        let mut call = ScopeRig::stream();
        call.body(10, format!("{event}\n\n").as_bytes());
        call.body(30, last.as_bytes());
        let written = call.end(40);
        assert_eq!(number(&written, "output_tokens"), Some(want), "{last:?}");
        let largest = number(&written, "max_inter_token_ms");
        assert_eq!(largest, Some(20.0).filter(|_| want > 1.0), "{last:?}");
    }
}

#[test]
fn a_stream_of_which_nothing_could_be_read_has_no_figures() {
    let event = r#"data: {"choices":[{"index":0,"delta":{"content":"a"}}]}"#;
    for (body, figures) in [
        // One line end between events, which the standard makes one event of.
        (format!("{event}\n{event}\ndata: [DONE]\n"), "header_only"),
        (format!("{event}\n{event}\ndata: [DONE]\n\n"), "header_only"),
        ("data: hello\n\ndata: world\n\n".to_owned(), "header_only"),
        (format!("data: ping\n\n{event}\n\n"), "estimated"),
        (format!("{event}\n\ndata: [DONE]\n\n"), "estimated"),
    ] {
        let mut call = ScopeRig::stream();
        call.body(10, body.as_bytes());
        let written = call.end(20);
        assert_eq!(text(&written, "cirron.figures"), Some(figures), "{body}");
        let counted = number(&written, "output_tokens").is_some();
        assert_eq!(counted, figures == "estimated", "{body}");
    }
}

#[test]
fn without_reasoning_there_is_one_time_to_the_first_token() {
    let mut call = ScopeRig::stream();
    call.delta(10, ANSWER);
    let written = call.end(20);
    assert_eq!(number(&written, "time_to_first_token_ms"), Some(10.0));
    for name in [
        "time_to_first_reasoning_token_ms",
        "time_to_first_answer_token_ms",
        "time_to_first_tool_call_ms",
        "max_inter_token_ms",
    ] {
        assert_eq!(number(&written, name), None, "{name}");
    }
}

#[test]
fn a_hole_between_reasoning_and_answer_leaves_the_answers_time_unknown() {
    let mut call = ScopeRig::stream();
    call.delta(10, REASONING);
    call.at(15, E::ResponseGap(100));
    call.body(16, b"rest\n\n");
    call.delta(20, ANSWER);
    call.event(30, USAGE);
    let written = call.end(40);
    assert_eq!(number(&written, "time_to_first_token_ms"), Some(10.0));
    assert_eq!(
        number(&written, "time_to_first_reasoning_token_ms"),
        Some(10.0)
    );
    assert_eq!(number(&written, "output_tokens"), Some(9.0));
    assert_eq!(number(&written, "request_duration_ms"), Some(40.0));
    assert_eq!(written.0.attrs["cirron.lost_bytes"], 100_i64.into());
    assert_eq!(written.0.attrs["cirron.lost_events"], 1_i64.into());
    for name in [
        "time_to_first_answer_token_ms",
        "tokens_per_second",
        "time_per_output_token_ms",
        "max_inter_token_ms",
        "chunk_ms",
    ] {
        assert_eq!(number(&written, name), None, "{name}");
    }
}

#[test]
fn a_hole_before_the_first_token_leaves_all_its_times_unknown() {
    let mut call = ScopeRig::stream();
    call.at(5, E::ResponseGap(1));
    call.body(6, b"\n\n");
    call.delta(10, REASONING);
    call.delta(20, ANSWER);
    let written = call.end(30);
    for mark in &written.1 {
        assert!(!mark.name.contains("token_ms"), "{mark:?}");
        assert_ne!(mark.name, "tokens_per_second");
    }
    let counted = mark(&written, "output_tokens").unwrap();
    assert_eq!(counted.value, MarkValue::Int(2));
    assert_eq!(counted.attrs["partial"], true.into());
}

#[test]
fn a_count_of_events_says_that_it_is_an_estimate_and_so_does_what_is_made_from_it() {
    let mut call = ScopeRig::stream();
    call.delta(10, ANSWER);
    call.delta(20, ANSWER);
    call.event(
        25,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    );
    call.event(26, "[DONE]");
    let written = call.end(30);
    for (name, value) in [
        ("output_tokens", 2.0),
        ("tokens_per_second", 100.0),
        ("time_per_output_token_ms", 10.0),
    ] {
        assert_eq!(number(&written, name), Some(value), "{name}");
        let attrs = &mark(&written, name).unwrap().attrs;
        assert_eq!(attrs["estimated"], true.into(), "{name}");
        assert!(!attrs.contains_key("partial") && !attrs.contains_key("source"));
    }
    assert!(mark(&written, "completion_tokens").is_none());
}

#[test]
fn a_stream_that_ends_early_keeps_what_was_known_and_is_partial() {
    let mut call = ScopeRig::stream();
    call.event(10, r#"{"id":"c1","model":"m2","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"}}],"usage":{"prompt_tokens":5,"completion_tokens":1}}"#);
    call.delta(20, ANSWER);
    call.body(
        25,
        b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b",
    );
    let written = call.abort(30, AbortedBy::Client);
    assert_eq!(text(&written, "gen_ai.response.model"), Some("m2"));
    assert_eq!(text(&written, "gen_ai.response.id"), Some("c1"));
    assert_eq!(text(&written, "cirron.aborted_by"), Some("client"));
    assert_eq!(written.0.attrs["cirron.partial"], true.into());
    assert_eq!(number(&written, "time_to_first_token_ms"), Some(10.0));
    assert_eq!(number(&written, "max_inter_token_ms"), Some(10.0));
    // It reported one, and another came behind that.
    assert_eq!(number(&written, "output_tokens"), Some(2.0));
    let estimate = mark(&written, "output_tokens").unwrap();
    assert_eq!(estimate.attrs["estimated"], true.into());
    for name in ["completion_tokens", "total_tokens"]
        .iter()
        .chain(&OF_A_WHOLE)
    {
        assert_eq!(number(&written, name), None, "{name}");
    }
}

#[test]
fn an_error_in_the_middle_of_a_stream_fails_the_span_and_is_not_a_token() {
    let mut call = ScopeRig::stream();
    call.delta(10, ANSWER);
    call.event(
        20,
        r#"{"error":{"message":"secret","type":"EngineDeadError","code":500}}"#,
    );
    let written = call.end(30);
    assert_eq!(text(&written, "error.type"), Some("EngineDeadError"));
    assert_eq!(written.0.attrs["error"], true.into());
    assert_eq!(number(&written, "output_tokens"), Some(1.0));
    assert!(!format!("{written:?}").contains("secret"));
}

#[test]
fn several_choices_are_one_stream_with_a_finish_reason_each() {
    let mut call = ScopeRig::new(false);
    call.request(
        "/v1/completions",
        &[],
        br#"{"model":"m","n":2,"stream":true,"prompt":"x"}"#,
    );
    call.head(1, 200, &[("content-type", "text/event-stream")]);
    let part = |i: u32, text: &str, finish: &str| {
        format!(
            r#"{{"object":"text_completion","choices":[{{"text":"{text}","finish_reason":{finish},"index":{i}}}]}}"#
        )
    };
    call.event(10, &part(1, "b", "null"));
    call.event(20, &part(0, "a", "null"));
    call.event(30, &part(1, "", "\"length\""));
    call.event(40, &part(0, "", "\"stop\""));
    let written = call.end(50);
    assert_eq!(written.0.attrs["gen_ai.request.choice.count"], 2_i64.into());
    assert_eq!(
        text(&written, "gen_ai.response.finish_reasons"),
        Some("stop,length")
    );
    assert_eq!(number(&written, "output_tokens"), Some(2.0));
    assert_eq!(number(&written, "time_to_first_token_ms"), Some(10.0));
}

#[test]
fn the_responses_api_is_timed_by_its_deltas_and_counted_by_its_end() {
    let mut call = ScopeRig::stream_of("/v1/responses");
    call.event(2, r#"{"response":{"id":"r1","object":"response","status":"in_progress","model":"m","usage":null},"type":"response.created"}"#);
    call.event(
        10,
        r#"{"delta":"hm","type":"response.reasoning_summary_text.delta"}"#,
    );
    call.event(20, r#"{"delta":"a","type":"response.output_text.delta"}"#);
    call.event(
        30,
        r#"{"delta":"{}","type":"response.function_call_arguments.delta"}"#,
    );
    call.event(40, r#"{"response":{"id":"r1","object":"response","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"usage":{"input_tokens":3,"output_tokens":7,"total_tokens":10}},"type":"response.incomplete"}"#);
    let written = call.end(50);
    for (name, value) in [
        ("time_to_first_token_ms", 10.0),
        ("time_to_first_answer_token_ms", 20.0),
        ("time_to_first_tool_call_ms", 30.0),
        ("input_tokens", 3.0),
        ("output_tokens", 7.0),
    ] {
        assert_eq!(number(&written, name), Some(value), "{name}");
    }
    let finish = text(&written, "gen_ai.response.finish_reasons");
    assert_eq!(finish, Some("max_output_tokens"));
}

#[test]
fn usage_behind_a_hole_in_the_same_event_is_found() {
    let mut call = ScopeRig::stream_of("/v1/responses");
    call.event(10, r#"{"delta":"a","type":"response.output_text.delta"}"#);
    call.body(20, br#"data: {"type":"response.completed","response":{"output":[{"text":"a \"usage\":{\"output_tokens\":1}"#);
    call.at(21, E::ResponseGap(65_536));
    call.body(
        22,
        br#"\"usage\":{\"output_tokens\":2}, b"}],"usage":{"input_tokens":3,"output_tokens":7}}}"#,
    );
    call.body(23, b"\n\n");
    let written = call.end(30);
    assert_eq!(number(&written, "output_tokens"), Some(7.0));
    assert_eq!(number(&written, "tokens_per_second"), None);
}

#[test]
fn joined_late_it_has_counts_and_no_times_that_need_the_start() {
    let mut call = ScopeRig::new(true);
    call.body(5, b"t\":\"x\"}}]}\n\n");
    call.delta(10, ANSWER);
    call.event(20, USAGE);
    let written = call.end(30);
    assert!(written.2.is_llm && written.2.partial);
    assert_eq!(number(&written, "completion_tokens"), Some(9.0));
    assert_eq!(text(&written, "gen_ai.provider.name"), Some("openai"));
    for mark in &written.1 {
        assert!(!mark.name.ends_with("_ms"), "{mark:?}");
        assert_ne!(mark.name, "tokens_per_second");
    }
}

#[test]
fn a_server_that_answers_before_it_has_read_all_is_timed_by_its_answer() {
    let mut call = ScopeRig::stream();
    call.delta(10, ANSWER);
    call.delta(15, ANSWER);
    call.at(20, E::ResponseEnd(MessageEnd::Complete));
    let written = call.finish(500);
    assert_eq!(number(&written, "request_duration_ms"), Some(20.0));
    assert_eq!(number(&written, "tokens_per_second"), Some(200.0));
}

#[test]
fn each_call_says_how_good_its_figures_are() {
    let figures = |written: &Written| text(written, "cirron.figures").map(str::to_owned);
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;

    let mut call = ScopeRig::stream();
    call.delta(20, r#"{"content":"a"}"#);
    call.delta(30, r#"{"content":"b"}"#);
    assert_eq!(figures(&call.end(40)).as_deref(), Some("estimated"));

    let mut call = ScopeRig::stream();
    call.delta(20, r#"{"content":"a"}"#);
    call.event(30, usage);
    assert_eq!(figures(&call.end(40)).as_deref(), Some("complete"));

    let mut call = ScopeRig::stream();
    call.delta(20, r#"{"content":"a"}"#);
    call.at(25, E::ResponseGap(3));
    call.event(30, usage);
    assert_eq!(figures(&call.end(40)).as_deref(), Some("partial"));

    let mut call = ScopeRig::new(false);
    call.request(
        "/v1/chat/completions",
        &[],
        br#"{"model":"m","messages":[]}"#,
    );
    call.head(1, 502, &[("content-type", "text/html")]);
    call.body(2, b"<html>");
    assert_eq!(figures(&call.end(3)).as_deref(), Some("header_only"));

    let mut call = ScopeRig::new(true);
    call.body(
        2,
        b"data: {\"object\":\"chat.completion.chunk\",\"choices\":[]}\n\n",
    );
    assert_eq!(figures(&call.end(3)).as_deref(), Some("late_attach"));
}

#[test]
fn a_stream_that_was_held_back_is_said_to_be_a_burst() {
    let burst = |times: &[u64]| {
        let mut call = ScopeRig::stream();
        for at in times {
            call.delta(*at, r#"{"content":"a"}"#);
        }
        let written = call.end(2_000);
        written.0.attrs.contains_key("cirron.stream.burst")
    };
    assert!(burst(&[1_000; 20]));
    assert!(!burst(&[1_000; 3]), "a step of speculation");
    assert!(
        !burst(&[1_000, 1_000, 1_000, 1_001]),
        "3 000 a second can be made"
    );
    assert!(!burst(&[20, 30, 40, 50, 60]));
}

#[test]
fn a_client_that_leaves_at_done_has_had_all() {
    for (done, figures) in [
        ("[DONE]", "complete"),
        ("[DONE", "partial"),
        ("[DONE]]", "partial"),
    ] {
        let mut call = ScopeRig::stream();
        call.delta(20, r#"{"content":"a"}"#);
        call.delta(25, r#"{"content":"b"}"#);
        call.event(
            30,
            r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":4}}"#,
        );
        call.event(40, done);
        call.at(50, E::ResponseEnd(MessageEnd::Aborted));
        let written = call.finish(50);
        assert_eq!(text(&written, "cirron.figures"), Some(figures), "{done}");
        let whole = figures == "complete";
        assert_eq!(
            number(&written, "request_duration_ms"),
            whole.then_some(40.0)
        );
        assert_eq!(
            number(&written, "tokens_per_second"),
            whole.then_some(200.0)
        );
    }
}

const OLLAMA: [&str; 4] = [
    r#"{"model":"l","created_at":"t","message":{"role":"assistant","content":"a"},"done":false}"#,
    r#"{"model":"l","created_at":"t","message":{"role":"assistant","content":"b"},"done":false}"#,
    r#"{"model":"l","created_at":"t","message":{"role":"assistant","content":"c"},"done":false}"#,
    r#"{"model":"l","created_at":"t","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":11,"eval_count":18}"#,
];

/// An exchange of which only the end of the response's body is seen: in these parts.
fn late(parts: &[Fed<'_>]) -> Written {
    let mut call = ScopeRig::new(true);
    for part in parts {
        match part {
            Fed::Data(bytes) => call.body(5, bytes),
            Fed::Gap(len) => call.at(5, E::ResponseGap(*len)),
        }
    }
    call.end(9)
}

#[test]
fn lines_of_json_joined_late_are_read_wherever_they_were_joined() {
    let body = OLLAMA.join("\n") + "\n";
    let last = body.len() - OLLAMA[3].len() - 1;
    for from in 0..body.len() {
        let written = late(&[Fed::Data(&body.as_bytes()[from..])]);
        let seen = from <= last;
        assert_eq!(written.2.is_llm, seen, "{from}");
        assert_eq!(number(&written, "output_tokens"), seen.then_some(18.0));
        assert_eq!(
            text(&written, "gen_ai.provider.name"),
            seen.then_some("ollama")
        );
        let figures = text(&written, "cirron.figures");
        assert_eq!(figures, seen.then_some("late_attach"), "{from}");
    }
    for from in [0, 40, last] {
        assert_split_invariant(&body.as_bytes()[from..], late);
    }
    // Without the last line the events are counted, as far as they were seen.
    let cut = late(&[Fed::Data(&body.as_bytes()[35..last])]);
    let counted = mark(&cut, "output_tokens").unwrap();
    assert_eq!(counted.value, MarkValue::Int(2));
    assert_eq!(counted.attrs["partial"], true.into());
}

#[test]
fn no_hole_in_lines_joined_late_gives_a_wrong_figure() {
    let body = OLLAMA.join("\n") + "\n";
    assert_gap_safe(body.as_bytes(), late, |written, hole| {
        let output = number(written, "output_tokens");
        let reported =
            mark(written, "output_tokens").is_some_and(|m| m.attrs.contains_key("source"));
        assert!(!reported || output == Some(18.0), "{hole:?} {output:?}");
        assert!(
            output.is_none_or(|n| reported || n <= 3.0),
            "{hole:?} {output:?}"
        );
    });
}

#[test]
fn an_array_joined_late_is_read_from_its_next_element() {
    let element = |text: &str, more: &str| {
        format!(
            "{{\n  \"candidates\": [\n    {{\n      \"content\": {{\"parts\": [{{\"text\": \"{text}\"}}]}}{more}\n    }}\n  ],\n  \"usageMetadata\": {{\"promptTokenCount\": 4, \"candidatesTokenCount\": 7}},\n  \"modelVersion\": \"g\"\n}}"
        )
    };
    let last = element("c", ", \"finishReason\": \"STOP\"");
    let body = format!(
        "[{}\n,\r\n{}\n,\r\n{last}\n]",
        element("a", ""),
        element("b", "")
    );
    let at = body.len() - last.len() - 2;
    for from in 0..body.len() {
        let written = assert_split_invariant_at(&body.as_bytes()[from..]);
        let seen = from <= at;
        assert_eq!(
            number(&written, "output_tokens"),
            seen.then_some(7.0),
            "{from}"
        );
        assert_eq!(written.2.is_llm, seen, "{from}");
    }
}

/// Of several results what was reported last is that of one, and of the first nothing is known.
#[test]
fn results_joined_late_behind_the_first_have_no_sum() {
    let element = |n: u8| {
        format!(
            r#"{{"text":"y","meta_info":{{"id":"2","prompt_tokens":4,"completion_tokens":{n},"finish_reason":{{"type":"length"}}}}}}"#
        )
    };
    let body = format!(",{}\n,{}\n]", element(7), element(9));
    let written = assert_split_invariant_at(body.as_bytes());
    assert!(written.2.is_llm);
    let output = mark(&written, "output_tokens");
    let is_partial = output.is_none_or(|m| m.attrs.contains_key("partial"));
    assert!(is_partial, "{output:?}");
}

/// In one piece and byte by byte.
fn assert_split_invariant_at(body: &[u8]) -> Written {
    let whole = late(&[Fed::Data(body)]);
    let single: Vec<Fed<'_>> = body.chunks(1).map(Fed::Data).collect();
    assert_eq!(late(&single), whole);
    whole
}

#[test]
fn one_document_whose_head_was_not_seen_is_no_stream() {
    let written = late(&[Fed::Data(
        br#"{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"content":"x"}}]}"#,
    )]);
    assert!(written.2.is_llm);
    assert_eq!(number(&written, "output_tokens"), None);
}
