//! Documents, codings, and what is no call of a model.

use std::io::Write as _;

use super::*;
use crate::testing::split::{Fed, assert_split_invariant};

const JSON: &[u8] = br#"{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"content":"\"usage\":{\"completion_tokens\":1}","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":5,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":4}}}"#;
const REQUEST: &[u8] = br#"{"messages":[{"content":"\"model\":\"evil\""}],"model":"good"}"#;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    e.write_all(bytes).unwrap();
    e.finish().unwrap()
}

/// The answer in these parts, with these header fields.
fn answer(fields: &[(&str, &str)], parts: &[Fed<'_>]) -> Written {
    let mut call = ScopeRig::new(false);
    call.request("/proxy/v1/chat/completions", &[], REQUEST);
    call.head(1, 200, fields);
    for part in parts {
        match part {
            Fed::Data(bytes) => call.body(2, bytes),
            Fed::Gap(len) => call.at(2, E::ResponseGap(*len)),
        }
    }
    call.end(3)
}

const PLAIN: &[(&str, &str)] = &[("content-type", "application/json")];

#[test]
fn a_document_cut_anywhere_and_in_any_coding_says_the_same() {
    let whole = assert_split_invariant(JSON, |parts| answer(PLAIN, parts));
    assert_eq!(text(&whole, "gen_ai.request.model"), Some("good"));
    assert_eq!(number(&whole, "total_tokens"), Some(14.0));
    assert_eq!(whole.0.attrs["cirron.response.tool_calls"], 1_i64.into());
    assert_eq!(
        whole.0.attrs["gen_ai.usage.cache_read.input_tokens"],
        4_i64.into()
    );
    assert_eq!(number(&whole, "time_to_first_token_ms"), None);
    // Two lines are one list; the last coding applied is the first undone.
    let twice = gzip(&gzip(JSON));
    let fields = [
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
        ("content-encoding", "x-gzip"),
    ];
    let coded = assert_split_invariant(&twice, |parts| answer(&fields, parts));
    assert_eq!(coded.1, whole.1);
}

#[test]
fn a_coding_that_cannot_be_undone_is_said_and_nothing_is_read() {
    for (coding, bytes) in [("snappy", JSON.to_vec()), ("gzip", vec![0xff; 90])] {
        let fields = [
            ("content-type", "application/json"),
            ("content-encoding", coding),
        ];
        let written = answer(&fields, &[Fed::Data(&bytes)]);
        assert_eq!(written.0.attrs["cirron.body_undecoded"], true.into());
        assert_eq!(number(&written, "output_tokens"), None);
        // Its request made it a call, and its end was seen.
        assert_eq!(number(&written, "request_duration_ms"), Some(3.0));
    }
}

#[test]
fn a_stream_that_can_be_decoded_only_in_part_has_no_rates() {
    let event = r#"data: {"choices":[{"index":0,"delta":{"content":"a"}}]}"#;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut call = ScopeRig::new(false);
    call.request("/v1/chat/completions", &[], REQUEST);
    let fields = [
        ("content-type", "text/event-stream"),
        ("content-encoding", "gzip"),
    ];
    call.head(1, 200, &fields);
    for ms in [10, 20] {
        write!(encoder, "{event}\n\n").unwrap();
        encoder.flush().unwrap();
        call.body(ms, &std::mem::take(encoder.get_mut()));
    }
    call.body(30, &[0xff; 64]);
    let written = call.end(40);
    assert_eq!(written.0.attrs["cirron.body_undecoded"], true.into());
    assert_eq!(number(&written, "time_to_first_token_ms"), Some(10.0));
    let counted = mark(&written, "output_tokens").unwrap();
    assert_eq!(counted.value, MarkValue::Int(2));
    assert_eq!(counted.attrs["partial"], true.into());
    for name in ["tokens_per_second", "max_inter_token_ms"] {
        assert_eq!(number(&written, name), None, "{name}");
    }
}

#[test]
fn a_request_that_cannot_be_decoded_says_so_and_asks_for_nothing() {
    let mut call = ScopeRig::new(false);
    let coded = [("content-encoding", "snappy")];
    call.request("/v1/chat/completions", &coded, REQUEST);
    call.head(1, 200, PLAIN);
    call.body(2, JSON);
    let written = call.end(3);
    assert_eq!(written.0.attrs["cirron.body_undecoded"], true.into());
    for name in ["gen_ai.request.model", "cirron.request.stream"] {
        assert!(!written.0.attrs.contains_key(name), "{name}");
    }
    assert_eq!(number(&written, "output_tokens"), Some(9.0));
}

#[test]
fn usage_at_the_end_of_five_megabytes_is_found_plain_and_in_one_event() {
    let filler = "x".repeat(5 * 1024 * 1024);
    let json = format!(
        r#"{{"object":"chat.completion","choices":[{{"message":{{"content":"{filler}"}}}}],"usage":{{"prompt_tokens":1,"completion_tokens":2}}}}"#
    );
    let parts: Vec<Fed<'_>> = json.as_bytes().chunks(65_536).map(Fed::Data).collect();
    assert_eq!(number(&answer(PLAIN, &parts), "total_tokens"), Some(3.0));
    let event = format!("data: {json}\n\n");
    let parts: Vec<Fed<'_>> = event.as_bytes().chunks(65_536).map(Fed::Data).collect();
    let stream = [("content-type", "text/event-stream")];
    assert_eq!(number(&answer(&stream, &parts), "total_tokens"), Some(3.0));
}

#[test]
fn a_document_behind_a_hole_has_the_usage_that_follows_it() {
    let at = JSON.len() / 2;
    let parts = [
        Fed::Data(&JSON[..at]),
        Fed::Gap(7),
        Fed::Data(&JSON[at + 7..]),
    ];
    let written = answer(PLAIN, &parts);
    assert_eq!(number(&written, "completion_tokens"), Some(9.0));
    assert!(!written.0.attrs.contains_key("cirron.response.tool_calls"));
}

#[test]
fn other_paths_and_other_shapes_are_exchanges_without_marks() {
    let mut call = ScopeRig::new(false);
    call.request("/v1/models", &[], REQUEST);
    call.head(1, 200, PLAIN);
    call.body(2, JSON);
    let other_path = call.end(3);
    let mut call = ScopeRig::new(false);
    call.request("/v1/completions", &[], br#"{"search":"x"}"#);
    call.head(1, 200, PLAIN);
    call.body(2, br#"{"found":[]}"#);
    let other_shape = call.end(3);
    for written in [other_path, other_shape] {
        assert!(!written.2.is_llm && written.1.is_empty());
        assert!(
            written
                .0
                .attrs
                .iter()
                .all(|(k, _)| !k.starts_with("gen_ai"))
        );
        assert_eq!(written.0.attrs["http.response.status_code"], 200_i64.into());
    }
}

#[test]
fn texts_that_are_too_long_are_cut_at_a_character() {
    let path = format!("/{}", "é".repeat(crate::limits::MAX_ATTR_BYTES));
    let mut call = ScopeRig::new(false);
    call.request(&path, &[], b"");
    let written = call.end(1);
    let cut = text(&written, "url.path").unwrap();
    assert_eq!(cut.len(), crate::limits::MAX_ATTR_BYTES - 1);
}

#[test]
fn inputs_on_a_path_of_anybody_are_no_call_until_the_answer_says_so() {
    for (answer, llm) in [
        ("{\"ok\":true}", false),
        ("[{\"generated_text\":\"a\"}]", true),
    ] {
        let mut call = ScopeRig::new(false);
        call.request("/", &[], b"{\"inputs\":\"a\"}");
        call.head(1, 200, PLAIN);
        call.body(2, answer.as_bytes());
        assert_eq!(call.end(3).2.is_llm, llm, "{answer}");
    }
}

#[test]
fn an_answer_on_http_2_to_a_request_on_http_1_was_agreed_on() {
    let mut call = ScopeRig::new(false);
    call.request("/v1/models", &[], b"");
    let head = ResponseHead {
        status: 200,
        version: Version::Http2,
        headers: headers(&[]),
        wire_len: 1,
    };
    call.at(1, E::ResponseStart);
    call.at(1, E::ResponseHead(&head));
    assert_eq!(text(&call.end(2), "network.protocol.version"), Some("2"));
}

#[test]
fn a_size_that_is_not_known_is_absent() {
    let sizes = |written: &Written| {
        ["http.request.body.size", "http.response.body.size"]
            .map(|name| written.0.attrs.get(name).cloned())
    };
    // Cut before the first byte of the body; its head alone was seen.
    let mut cut = ScopeRig::new(false);
    cut.request("/a", &[], b"");
    cut.head(1, 200, &[]);
    assert_eq!(
        sizes(&cut.abort(2, AbortedBy::Server)),
        [Some(0_i64.into()), None]
    );
    // An empty body that came to its end has none.
    let mut empty = ScopeRig::new(false);
    empty.request("/a", &[], b"");
    empty.head(1, 204, &[]);
    assert_eq!(
        sizes(&empty.end(2)),
        [Some(0_i64.into()), Some(0_i64.into())]
    );
    // Nobody knows how many bytes were lost.
    let mut holed = ScopeRig::new(false);
    holed.request("/a", &[], b"abc");
    holed.head(1, 200, &[]);
    holed.body(2, b"ab");
    holed.at(3, E::ResponseGap(0));
    assert_eq!(sizes(&holed.end(4)), [Some(3_i64.into()), None]);
    // What a WebSocket or a tunnel carries is no body.
    let mut upgraded = ScopeRig::new(false);
    upgraded.request("/ws", &[], b"");
    upgraded.head(1, 101, &[]);
    upgraded.at(2, E::ResponseEnd(MessageEnd::Complete));
    let upgrade = ExchangeEnd {
        upgraded: true,
        ..ExchangeEnd::default()
    };
    upgraded.at(2, E::End(upgrade));
    assert_eq!(sizes(&upgraded.finish(2)), [Some(0_i64.into()), None]);
}
