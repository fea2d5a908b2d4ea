//! Several results in one answer: a list of prompts, several samples of one.

use super::*;
use crate::testing::split::{Fed, assert_gap_safe, assert_split_invariant};

fn written(path: &str, request: &[u8], kind: &str, parts: &[Fed<'_>]) -> Written {
    let mut call = ScopeRig::new(false);
    call.request(path, &[], request);
    call.head(1, 200, &[("content-type", kind)]);
    for part in parts {
        match part {
            Fed::Data(bytes) => call.body(2, bytes),
            Fed::Gap(len) => call.at(2, E::ResponseGap(*len)),
        }
    }
    call.end(9)
}

/// Prompt tokens, output tokens, finish reasons.
fn figures(written: &Written) -> (Option<f64>, Option<f64>, Option<&str>) {
    let reasons = text(written, "gen_ai.response.finish_reasons");
    (
        number(written, "input_tokens"),
        number(written, "output_tokens"),
        reasons,
    )
}

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

/// Path, request, content type, answer; what it is read as.
type Case<'a> = (
    &'a str,
    &'a str,
    &'a str,
    &'a str,
    (Option<f64>, Option<f64>, Option<&'a str>),
);

const CASES: [Case<'_>; 11] = [
    (
        "/generate",
        r#"{"text":["a","b"]}"#,
        JSON,
        r#"[{"text":"x","meta_info":{"id":"1","prompt_tokens":3,"completion_tokens":5,"finish_reason":{"type":"stop"}}},{"text":"y","meta_info":{"id":"2","prompt_tokens":4,"completion_tokens":7,"finish_reason":{"type":"length"}}}]"#,
        (Some(7.0), Some(12.0), Some("stop,length")),
    ),
    // Equal counts are counts of each.
    (
        "/generate",
        r#"{"text":["a","b","c"]}"#,
        JSON,
        r#"[{"text":"x","meta_info":{"prompt_tokens":3,"completion_tokens":5}},{"text":"y","meta_info":{"prompt_tokens":3,"completion_tokens":5}},{"text":"z","meta_info":{"prompt_tokens":3,"completion_tokens":5}}]"#,
        (Some(9.0), Some(15.0), None),
    ),
    // Two samples of one prompt.
    (
        "/generate",
        r#"{"text":"a","sampling_params":{"n":2}}"#,
        JSON,
        r#"[{"text":"x","meta_info":{"prompt_tokens":3,"completion_tokens":5}},{"text":"y","meta_info":{"prompt_tokens":3,"completion_tokens":7}}]"#,
        (Some(3.0), Some(12.0), None),
    ),
    // One prompt in a list.
    (
        "/generate",
        r#"{"text":["a"]}"#,
        JSON,
        r#"[{"text":"x","meta_info":{"prompt_tokens":3,"completion_tokens":5,"cached_tokens":1}}]"#,
        (Some(3.0), Some(5.0), None),
    ),
    (
        "/generate",
        r#"{"text":"a","sampling_params":{"n":2},"stream":true}"#,
        EVENTS,
        concat!(
            r#"data: {"text":"a","meta_info":{"id":"1","prompt_tokens":3,"completion_tokens":1,"finish_reason":null},"index":0}"#,
            "\n\n",
            r#"data: {"text":"b","meta_info":{"id":"2","prompt_tokens":3,"completion_tokens":1,"finish_reason":null},"index":1}"#,
            "\n\n",
            r#"data: {"text":"a c","meta_info":{"id":"1","prompt_tokens":3,"completion_tokens":2,"finish_reason":{"type":"stop"}},"index":0}"#,
            "\n\n",
            r#"data: {"text":"b d","meta_info":{"id":"2","prompt_tokens":3,"completion_tokens":2,"finish_reason":null},"index":1}"#,
            "\n\n",
            r#"data: {"text":"b d e","meta_info":{"id":"2","prompt_tokens":3,"completion_tokens":3,"finish_reason":{"type":"length"}},"index":1}"#,
            "\n\ndata: [DONE]\n\n",
        ),
        (Some(3.0), Some(5.0), Some("stop,length")),
    ),
    // Prompts in a stream.
    (
        "/generate",
        r#"{"text":["a","b"],"stream":true}"#,
        EVENTS,
        concat!(
            r#"data: {"text":"b","meta_info":{"prompt_tokens":4,"completion_tokens":1},"index":1}"#,
            "\n\n",
            r#"data: {"text":"a","meta_info":{"prompt_tokens":3,"completion_tokens":2},"index":0}"#,
            "\n\n",
            r#"data: {"text":"b b","meta_info":{"prompt_tokens":4,"completion_tokens":2},"index":1}"#,
            "\n\ndata: [DONE]\n\n",
        ),
        (Some(7.0), Some(4.0), None),
    ),
    (
        "/completion",
        r#"{"prompt":["a","b"]}"#,
        JSON,
        r#"[{"index":0,"content":"x","stop":true,"stop_type":"eos","tokens_predicted":3,"tokens_evaluated":2},{"index":1,"content":"y","stop":true,"stop_type":"limit","tokens_predicted":5,"tokens_evaluated":4}]"#,
        (Some(6.0), Some(8.0), Some("eos,limit")),
    ),
    // Before there was an index.
    (
        "/completions",
        r#"{"prompt":["a","b"]}"#,
        JSON,
        r#"[{"content":"x","stop":true,"tokens_predicted":3,"tokens_evaluated":2},{"content":"y","stop":true,"tokens_predicted":5,"tokens_evaluated":4}]"#,
        (Some(6.0), Some(8.0), None),
    ),
    (
        "/completion",
        r#"{"prompt":"a","n_cmpl":2,"stream":true}"#,
        EVENTS,
        concat!(
            r#"data: {"index":1,"content":"x","stop":false,"tokens_predicted":1,"tokens_evaluated":2}"#,
            "\n\n",
            r#"data: {"index":0,"content":"","stop":true,"stop_type":"eos","tokens_predicted":4,"tokens_evaluated":2}"#,
            "\n\n",
            r#"data: {"index":1,"content":"","stop":true,"stop_type":"limit","tokens_predicted":6,"tokens_evaluated":2}"#,
            "\n\n",
        ),
        (Some(2.0), Some(10.0), Some("eos,limit")),
    ),
    // llama.cpp's, before it put the choices together.
    (
        "/v1/completions",
        r#"{"prompt":["a","b"]}"#,
        JSON,
        r#"[{"object":"text_completion","model":"m","choices":[{"text":"x","index":0,"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":3,"total_tokens":5}},{"object":"text_completion","model":"m","choices":[{"text":"y","index":1,"finish_reason":"length"}],"usage":{"prompt_tokens":4,"completion_tokens":5,"total_tokens":9}}]"#,
        (Some(6.0), Some(8.0), Some("stop,length")),
    ),
    (
        "/",
        r#"{"inputs":["a","b"]}"#,
        JSON,
        r#"[{"generated_text":"x","details":{"generated_tokens":3,"finish_reason":"length"}},{"generated_text":"y","details":{"generated_tokens":4,"finish_reason":"eos_token"}}]"#,
        (None, Some(7.0), Some("length,eos_token")),
    ),
];

#[test]
fn what_each_result_reports_adds_up() {
    for (path, request, kind, body, want) in CASES {
        let got = assert_split_invariant(body.as_bytes(), |parts| {
            written(path, request.as_bytes(), kind, parts)
        });
        assert_eq!(figures(&got), want, "{body}");
        assert_eq!(text(&got, "cirron.figures"), Some("complete"), "{body}");
    }
}

#[test]
fn no_hole_gives_a_wrong_sum() {
    for (path, request, kind, body, (_, output, _)) in CASES {
        let written_of = |parts: &[Fed<'_>]| written(path, request.as_bytes(), kind, parts);
        let prefixes: Vec<Option<f64>> = (0..=body.len())
            .map(|at| {
                number(
                    &written_of(&[Fed::Data(&body.as_bytes()[..at])]),
                    "output_tokens",
                )
            })
            .collect();
        assert_gap_safe(body.as_bytes(), written_of, |holed, hole| {
            let got = mark(holed, "output_tokens").filter(|m| !m.attrs.contains_key("partial"));
            let got = got.and_then(|_| number(holed, "output_tokens"));
            // Whole, or what was told when the first of them had said that much.
            let told = got.is_none() || got == output || prefixes.contains(&got);
            assert!(told, "{got:?} of {hole:?} in {body}");
        });
    }
}

#[test]
fn where_the_request_was_not_read_its_samples_are_not_known() {
    let (path, request, _, body, _) = CASES[2];
    let mut call = ScopeRig::new(true);
    call.request(path, &[], request.as_bytes());
    call.head(1, 200, &[("content-type", JSON)]);
    call.body(2, body.as_bytes());
    let written = call.end(3);
    assert_eq!(figures(&written), (None, Some(12.0), None));
}

/// Events that have one choice each, which says which it is.
#[test]
fn a_choice_is_the_one_that_it_says() {
    let gemini = |index: u32, reason: &str| {
        format!(
            r#"{{"candidates":[{{"content":{{"parts":[{{"text":"a"}}]}},"finishReason":{reason},"index":{index}}}],"usageMetadata":{{"promptTokenCount":3,"candidatesTokenCount":4}}}}"#
        )
    };
    let dashscope = |index: u32, reason: &str| {
        format!(
            r#"{{"output":{{"choices":[{{"message":{{"content":"a"}},"finish_reason":{reason},"index":{index}}}]}},"usage":{{"input_tokens":3,"output_tokens":4}},"request_id":"r"}}"#
        )
    };
    let of = |event: &dyn Fn(u32, &str) -> String| {
        let events = [
            event(0, "null"),
            event(1, "null"),
            event(0, r#""length""#),
            event(1, r#""stop""#),
        ];
        events.map(|e| format!("data: {e}\n\n")).concat()
    };
    for (path, request, body) in [
        (
            "/v1beta/models/m:streamGenerateContent",
            r#"{"contents":[],"generationConfig":{"candidateCount":2}}"#,
            of(&gemini),
        ),
        (
            "/api/v1/services/aigc/text-generation/generation",
            r#"{"model":"m","input":{},"parameters":{"n":2}}"#,
            of(&dashscope),
        ),
    ] {
        let run = |parts: &[Fed<'_>]| {
            let got = written(path, request.as_bytes(), EVENTS, parts);
            figures(&got).2.map(str::to_owned)
        };
        let all = Some("length,stop".to_owned());
        assert_eq!(assert_split_invariant(body.as_bytes(), run), all, "{path}");
        let mut begins = body.match_indices("data: ").map(|(at, _)| at).skip(2);
        let (third, fourth) = (begins.next().unwrap(), begins.next().unwrap());
        assert_gap_safe(body.as_bytes(), run, |reasons, hole| {
            let known = matches!(
                reasons.as_deref(),
                None | Some("length" | "stop" | "length,stop")
            );
            assert!(known, "{path} {hole:?} {reasons:?}");
            let before = hole.start + hole.len < third - 1;
            assert!(!before || *reasons == all, "{path} {hole:?} {reasons:?}");
            let of_first = reasons.iter().any(|reasons| reasons.starts_with("length"));
            assert!(
                hole.start < fourth || of_first,
                "{path} {hole:?} {reasons:?}"
            );
        });
    }
}

#[test]
fn an_array_that_is_one_answer_is_one() {
    let chunks = r#"[{"candidates":[{"content":{"parts":[{"text":"a"}]}}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":1}},{"candidates":[{"content":{"parts":[{"text":"b"}]}}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2}}]"#;
    let path = "/v1beta/models/m:streamGenerateContent";
    let request = br#"{"contents":[]}"#;
    let got = written(path, request, JSON, &[Fed::Data(chunks.as_bytes())]);
    assert_eq!(figures(&got), (Some(3.0), Some(2.0), None));
}

/// Events of one choice each, with usage at the top: (choice, content, ends, output tokens).
fn told_by_choices(events: &[(u32, bool, bool, Option<u32>)], all: Option<u32>) -> Written {
    let mut call = ScopeRig::new(false);
    let request = br#"{"model":"m","messages":[],"stream":true,"n":2}"#;
    call.request("/v1/chat/completions", &[], request);
    call.head(1, 200, &[("content-type", "text/event-stream")]);
    let usage = |n: u32| {
        format!(
            r#""usage":{{"prompt_tokens":17,"completion_tokens":{n},"total_tokens":{}}}"#,
            17 + n
        )
    };
    let mut ms = 10;
    for (choice, content, ends, output) in events {
        let delta = if *content { r#"{"content":"a"}"# } else { "{}" };
        let reason = if *ends { r#""stop""# } else { "null" };
        let usage = output.map_or(r#""usage":null"#.to_owned(), usage);
        call.event(ms, &format!(
            r#"{{"object":"chat.completion.chunk","choices":[{{"index":{choice},"delta":{delta},"finish_reason":{reason}}}],{usage}}}"#
        ));
        ms += 10;
    }
    if let Some(all) = all {
        call.event(ms, &format!(r#"{{"choices":[],{}}}"#, usage(all)));
    }
    call.event(ms, "[DONE]");
    call.end(ms)
}

#[test]
fn usage_of_one_choice_at_the_top_is_not_that_of_all() {
    let ends = [
        (0, true, false, None),
        (1, true, false, None),
        (0, false, true, Some(4)),
        (1, false, true, Some(5)),
    ];
    let side_by_side = [
        (0, true, false, Some(1)),
        (1, true, false, Some(1)),
        (0, true, false, Some(2)),
        (1, true, false, Some(2)),
        (1, true, true, Some(3)),
        (0, false, true, Some(2)),
    ];
    let one_behind_the_other = [
        (0, true, false, Some(1)),
        (0, true, true, Some(2)),
        (1, true, false, Some(1)),
        (1, true, false, Some(2)),
        (1, true, true, Some(3)),
    ];
    let so_far = [
        (0, true, false, Some(1)),
        (1, true, false, Some(2)),
        (0, true, false, Some(3)),
        (1, true, true, Some(4)),
        (0, true, true, Some(5)),
    ];
    let alone = [(0, true, false, Some(1)), (0, true, true, Some(2))];
    for (events, all, want) in [
        (&ends[..], None, 9.0),
        (&side_by_side, None, 5.0),
        (&one_behind_the_other, None, 5.0),
        (&so_far, None, 5.0),
        (&alone, None, 2.0),
        // A total that comes is believed.
        (&ends, Some(9), 9.0),
        (&side_by_side, Some(6), 6.0),
    ] {
        let written = told_by_choices(events, all);
        assert_eq!(number(&written, "output_tokens"), Some(want), "{events:?}");
        assert_eq!(number(&written, "input_tokens"), Some(17.0), "{events:?}");
        assert_eq!(number(&written, "total_tokens"), Some(17.0 + want));
        assert_eq!(
            text(&written, "cirron.figures"),
            Some("complete"),
            "{events:?}"
        );
    }
}

#[test]
fn arrays_in_arrays_have_a_result_each() {
    for (body, want) in [
        (
            r#"[[{"generated_text":"a","details":{"finish_reason":"length","generated_tokens":5}}],[{"generated_text":"b","details":{"finish_reason":"length","generated_tokens":7}}]]"#,
            12.0,
        ),
        (
            r#" [ [ {"generated_text":"a","details":{"generated_tokens":5}},{"generated_text":"b","details":{"generated_tokens":7}} ] ] "#,
            12.0,
        ),
        (
            r#"[[{"generated_text":"a","details":{"generated_tokens":5}}]]"#,
            5.0,
        ),
    ] {
        let mut call = ScopeRig::new(false);
        call.request("/", &[], br#"{"inputs":["x","y"]}"#);
        call.head(1, 200, &[("content-type", "application/json")]);
        call.body(10, body.as_bytes());
        let written = call.end(20);
        assert!(written.2.is_llm, "{body}");
        assert_eq!(number(&written, "output_tokens"), Some(want), "{body}");
        assert_eq!(
            number(&written, "time_to_first_token_ms"),
            None,
            "no stream"
        );
    }
}
