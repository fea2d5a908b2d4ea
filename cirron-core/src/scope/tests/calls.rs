//! Calls of tools that come in pieces, and answers that are sent again at the end.

use super::*;

/// A stream of these events, the first at 10 and each 10 later than the one before.
fn stream(path: &str, kind: &str, events: &[&str]) -> Written {
    let mut call = ScopeRig::new(false);
    let request =
        br#"{"model":"m","stream":true,"messages":[],"message":"x","contents":[],"max_tokens":9}"#;
    call.request(path, &[], request);
    call.head(1, 200, &[("content-type", kind)]);
    let mut ms = 0;
    for event in events {
        ms += 10;
        match kind {
            "text/event-stream" => call.event(ms, event),
            _ => call.body(ms, format!("{event}\n").as_bytes()),
        }
    }
    call.end(ms + 100)
}

fn tool_calls(written: &Written) -> Option<i64> {
    match written.0.attrs.get("cirron.response.tool_calls")? {
        AttrValue::Int(n) => Some(*n),
        AttrValue::Str(_) | AttrValue::Float(_) | AttrValue::Bool(_) => None,
    }
}

const EVENTS: &str = "text/event-stream";

#[test]
fn a_call_that_is_told_by_its_name_alone_is_one() {
    let event = |name: &str, arguments: &str| {
        let call = serde_json::json!({"function": {"name": name, "arguments": arguments}});
        format!(
            r#"{{"object":"chat.completion.chunk","choices":[{{"index":0,"delta":{{"tool_calls":[{call}]}}}}]}}"#
        )
    };
    for (second, want) in [("f", 1), ("g", 2)] {
        let events = [
            event("f", ""),
            event(second, "{\"a\":"),
            event(second, "1}"),
        ];
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        let written = stream("/v1/chat/completions", EVENTS, &events);
        assert_eq!(tool_calls(&written), Some(want));
    }
}
const CHAT: &str = "/v1/chat/completions";

fn chat(choice: u32, call: &str) -> String {
    format!(
        r#"{{"object":"chat.completion.chunk","choices":[{{"delta":{{"tool_calls":[{call}]}},"index":{choice}}}]}}"#
    )
}

#[test]
fn a_call_whose_name_comes_with_each_piece_is_one() {
    let cases = [
        [
            r#"{"index":0,"id":"a","function":{"name":"f","arguments":""}}"#,
            r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":"}}"#,
            r#"{"index":0,"id":"a","function":{"name":"f","arguments":"1}"}}"#,
        ],
        // The members in another order, the id only once or never.
        [
            r#"{"function":{"name":"f","arguments":"{"},"id":"a","index":0}"#,
            r#"{"function":{"name":"f","arguments":"}"},"id":"","index":0}"#,
            r#"{"function":{"name":"f","arguments":""},"id":null,"index":0}"#,
        ],
        [
            r#"{"index":0,"function":{"name":"f","arguments":"{"}}"#,
            r#"{"index":0,"function":{"name":"f","arguments":"}"}}"#,
            r#"{"index":0,"function":{"name":"f"}}"#,
        ],
        [
            r#"{"id":"a","function":{"name":"f","arguments":"{"}}"#,
            r#"{"id":"a","function":{"name":"f","arguments":"}"}}"#,
            r#"{"id":"a","function":{"name":"f"}}"#,
        ],
    ];
    for pieces in cases {
        let events = pieces.map(|piece| chat(0, piece));
        let written = stream(CHAT, EVENTS, &events.each_ref().map(String::as_str));
        assert_eq!(tool_calls(&written), Some(1), "{pieces:?}");
    }
    let old = |name: &str| {
        format!(
            r#"{{"object":"chat.completion.chunk","choices":[{{"index":0,"delta":{{"function_call":{{{name}"arguments":"x"}}}}}}]}}"#
        )
    };
    let named = old(r#""name":"f","#);
    let written = stream(CHAT, EVENTS, &[&named, &named, &old("")]);
    assert_eq!(tool_calls(&written), Some(1));
}

#[test]
fn calls_of_several_choices_and_several_of_one_are_several() {
    let first = r#"{"index":0,"id":"","function":{"name":"f","arguments":"{}"}}"#;
    let of_two = [
        chat(0, first),
        chat(1, first),
        chat(0, first),
        chat(1, first),
    ];
    let written = stream(CHAT, EVENTS, &of_two.each_ref().map(String::as_str));
    assert_eq!(tool_calls(&written), Some(2));
    // Index 0 for all, as Gemini's gateway has it.
    let with = |id: &str| {
        chat(
            0,
            &format!(r#"{{"index":0,"id":"{id}","function":{{"name":"f","arguments":"{{}}"}}}}"#),
        )
    };
    let of_one = [with("a"), with("b"), with("b")];
    let written = stream(CHAT, EVENTS, &of_one.each_ref().map(String::as_str));
    assert_eq!(tool_calls(&written), Some(2));
}

#[test]
fn in_every_dialect_the_index_or_the_id_tells() {
    let anthropic = r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#;
    let bedrock = r#"{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"t","name":"f"}}}"#;
    let cohere = r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"t","function":{"name":"f","arguments":"{"}}}}}"#;
    let ollama = r#"{"model":"m","created_at":"t","message":{"tool_calls":[{"id":"t","function":{"index":0,"name":"f","arguments":{}}}]},"done":false}"#;
    let gemini = r#"{"candidates":[{"content":{"parts":[{"functionCall":{"id":"t","name":"f","args":{}}}]}}]}"#;
    let open = r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","willContinue":true}}]}}]}"#;
    let added = r#"{"type":"response.output_item.added","output_index":1,"item":{"type":"function_call","id":"fc","name":"f"}}"#;
    let done = r#"{"type":"response.output_item.done","output_index":1,"item":{"type":"function_call","id":"fc","name":"f"}}"#;
    let whole = r#"{"type":"response.completed","response":{"object":"response","status":"completed","output":[{"type":"reasoning","id":"r"},{"type":"function_call","id":"fc","name":"f"}]}}"#;
    for (path, kind, events, want) in [
        ("/v1/messages", EVENTS, vec![anthropic; 3], 1),
        ("/model/m/converse-stream", EVENTS, vec![bedrock; 3], 1),
        ("/v2/chat", EVENTS, vec![cohere; 3], 1),
        ("/api/chat", "application/x-ndjson", vec![ollama; 3], 1),
        (
            "/v1beta/models/m:streamGenerateContent",
            EVENTS,
            vec![gemini; 3],
            1,
        ),
        (
            "/v1beta/models/m:streamGenerateContent",
            EVENTS,
            vec![open; 3],
            1,
        ),
        ("/v1/responses", EVENTS, vec![added, done, whole], 1),
        ("/v1/responses", EVENTS, vec![done], 1),
        ("/v1/responses", EVENTS, vec![whole], 1),
    ] {
        let written = stream(path, kind, &events);
        assert_eq!(tool_calls(&written), Some(want), "{path} {}", events[0]);
    }
    // Whole ones without either are each their own.
    let twice = gemini.replace(r#""id":"t","#, "");
    let path = "/v1beta/models/m:streamGenerateContent";
    let written = stream(path, EVENTS, &[&twice, &twice]);
    assert_eq!(tool_calls(&written), Some(2));
}

/// First, last, largest gap, and how many.
fn times(written: &Written) -> [Option<f64>; 3] {
    [
        number(written, "time_to_first_token_ms"),
        number(written, "max_inter_token_ms"),
        number(written, "output_tokens"),
    ]
}

#[test]
fn a_last_event_that_repeats_the_answer_is_no_content() {
    let delta = |text: &str| {
        format!(
            r#"{{"object":"chat.completion.chunk","choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#
        )
    };
    let (a, b) = (delta("one "), delta("two"));
    for last in [
        r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"message":{"role":"assistant","content":"one two"},"finish_reason":"stop"}]}"#,
        r#"{"object":"chat.completion.chunk","choices":[{"index":0,"message":{"role":"assistant","content":"one two"},"delta":{"role":"assistant","content":""},"finish_reason":"stop"}]}"#,
        r#"{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"one two"},"finish_reason":"stop"}]}"#,
        r#"{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"of another length"},"finish_reason":"stop"}]}"#,
        r#"{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"one two"},"finish_reason":"stop"}]}"#,
    ] {
        let between = r#"{"object":"chat.completion.chunk","choices":[]}"#;
        let events = [a.as_str(), &b, between, between, last];
        let written = stream(CHAT, EVENTS, &events);
        let want = [Some(10.0), Some(10.0), Some(2.0)];
        assert_eq!(times(&written), want, "{last}");
        assert_eq!(
            text(&written, "gen_ai.response.finish_reasons"),
            Some("stop")
        );
    }
}

#[test]
fn a_whole_message_that_nothing_came_before_is_the_answer() {
    let whole = r#"{"object":"chat.completion","choices":[{"index":0,"delta":{},"message":{"content":"one two","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}]}"#;
    let written = stream(CHAT, EVENTS, &[whole]);
    assert_eq!(number(&written, "time_to_first_token_ms"), Some(10.0));
    assert_eq!(tool_calls(&written), Some(1));
    // Of another choice than the one that came in pieces.
    let first =
        r#"{"object":"chat.completion.chunk","choices":[{"index":1,"delta":{"content":"x"}}]}"#;
    let written = stream(CHAT, EVENTS, &[first, whole]);
    assert_eq!(number(&written, "output_tokens"), Some(2.0));
}

#[test]
fn pieces_beside_the_answer_so_far_are_the_content() {
    let event = |piece: &str, all: &str| {
        format!(
            r#"{{"object":"chat.completion.chunk","choices":[{{"index":0,"message":{{"content":"{all}"}},"delta":{{"content":"{piece}"}}}}]}}"#
        )
    };
    let events = [
        event("one ", "one "),
        event("two", "one two"),
        event("", "one two"),
    ];
    let written = stream(CHAT, EVENTS, &events.each_ref().map(String::as_str));
    assert_eq!(times(&written), [Some(10.0), Some(10.0), Some(2.0)]);
}

#[test]
fn calls_that_the_whole_message_tells_again_are_none() {
    let piece = chat(
        0,
        r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}"#,
    );
    let whole = r#"{"object":"chat.completion","choices":[{"index":0,"message":{"content":"","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#;
    let written = stream(CHAT, EVENTS, &[&piece, whole]);
    assert_eq!(tool_calls(&written), Some(1));
    assert_eq!(number(&written, "output_tokens"), Some(1.0));
}

#[test]
fn other_dialects_that_repeat_the_answer() {
    let ollama = |text: &str, done: bool| {
        format!(
            r#"{{"model":"m","created_at":"t","response":"{text}","done":{done}{}}}"#,
            if done { r#","done_reason":"stop""# } else { "" }
        )
    };
    let lines = [
        ollama("one ", false),
        ollama("two", false),
        ollama("one two", true),
    ];
    let lines = lines.each_ref().map(String::as_str);
    let written = stream("/api/chat", "application/x-ndjson", &lines);
    assert_eq!(times(&written), [Some(10.0), Some(10.0), Some(2.0)]);

    let text =
        |piece: &str| format!(r#"{{"type":"response.output_text.delta","delta":"{piece}"}}"#);
    let events = [
        text("one "),
        text("two"),
        r#"{"type":"response.output_text.done","text":"one two"}"#.to_owned(),
        r#"{"type":"response.completed","response":{"object":"response","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"one two"}]}]}}"#.to_owned(),
    ];
    let written = stream(
        "/v1/responses",
        EVENTS,
        &events.each_ref().map(String::as_str),
    );
    assert_eq!(times(&written), [Some(10.0), Some(10.0), Some(2.0)]);

    let cohere = |text: &str| format!(r#"{{"event_type":"text-generation","text":"{text}"}}"#);
    let events = [
        cohere("one "),
        cohere("two"),
        r#"{"event_type":"stream-end","finish_reason":"COMPLETE","response":{"text":"one two","generation_id":"g"}}"#.to_owned(),
    ];
    let written = stream("/v1/chat", EVENTS, &events.each_ref().map(String::as_str));
    assert_eq!(times(&written), [Some(10.0), Some(10.0), Some(2.0)]);
}

#[test]
fn an_answer_so_far_that_did_not_grow_is_no_content() {
    let event = |text: &str, index: u32, finish: &str| {
        format!(r#"{{"text":"{text}","meta_info":{{"finish_reason":{finish}}},"index":{index}}}"#)
    };
    let stop = r#"{"type":"stop"}"#;
    let events = [
        event("one", 0, "null"),
        event("one", 1, "null"),
        event("one two", 0, "null"),
        event("one two", 0, stop),
        event("one", 1, stop),
    ];
    let mut call = ScopeRig::new(false);
    call.request("/generate", &[], br#"{"text":"x","stream":true}"#);
    call.head(1, 200, &[("content-type", EVENTS)]);
    for (i, event) in events.iter().enumerate() {
        call.event(10 + 10 * i as u64, event);
    }
    let written = call.end(100);
    assert_eq!(times(&written), [Some(10.0), Some(10.0), Some(3.0)]);
}
