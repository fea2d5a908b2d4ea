//! Calls of gRPC: messages counted, status told, KServe's messages read; bodies by prost.

use super::*;
use crate::testing::split::{Fed, assert_gap_safe, assert_split_invariant};

#[derive(Clone, PartialEq, prost::Message)]
struct Tensor {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    datatype: String,
    #[prost(int64, repeated, tag = "3")]
    shape: Vec<i64>,
}

/// Request and response of a model have these in common.
#[derive(Clone, PartialEq, prost::Message)]
struct Infer {
    #[prost(string, tag = "1")]
    model: String,
    #[prost(string, tag = "2")]
    version: String,
    #[prost(string, tag = "3")]
    id: String,
    #[prost(message, repeated, tag = "5")]
    tensors: Vec<Tensor>,
    #[prost(bytes = "vec", repeated, tag = "6")]
    raw: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Streamed {
    #[prost(string, tag = "1")]
    error: String,
    #[prost(message, tag = "2")]
    response: Option<Infer>,
}

fn infer(datatype: &str, raw: &[u8]) -> Infer {
    infer_of("t", datatype, raw)
}

fn infer_of(name: &str, datatype: &str, raw: &[u8]) -> Infer {
    Infer {
        model: "tiny".to_owned(),
        version: "3".to_owned(),
        id: "r-1".to_owned(),
        tensors: vec![Tensor {
            name: name.to_owned(),
            datatype: datatype.to_owned(),
            shape: vec![1, 2],
        }],
        raw: vec![raw.to_vec()],
    }
}

fn framed(message: &impl prost::Message) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    let len = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&[0][..], &len, &bytes].concat()
}

fn streamed(datatype: &str, raw: &[u8]) -> Vec<u8> {
    framed(&Streamed {
        error: String::new(),
        response: Some(infer(datatype, raw)),
    })
}

const GRPC: [(&str, &str); 1] = [("content-type", "application/grpc")];

/// A call of this method, whose request is whole and whose response has begun.
fn begun(method: &str, request: &[u8]) -> ScopeRig {
    let mut call = ScopeRig::new(false);
    let path = format!("/inference.GRPCInferenceService/{method}");
    call.request(&path, &GRPC, request);
    call.head(5, 200, &GRPC);
    call
}

/// A call whose response's messages come 10 ms apart, from 10 on.
fn call(method: &str, request: &[u8], responses: &[Vec<u8>], trailers: &[(&str, &str)]) -> Written {
    let mut call = begun(method, request);
    for (i, bytes) in responses.iter().enumerate() {
        call.body(10 + 10 * i as u64, bytes);
    }
    call.at(90, E::ResponseTrailers(&headers(trailers)));
    call.end(90)
}

/// A stream whose response comes in these parts, at 10.
fn answered(request: &[u8], parts: &[Fed<'_>]) -> Written {
    let mut call = begun("ModelStreamInfer", request);
    for part in parts {
        match part {
            Fed::Data(bytes) => call.body(10, bytes),
            Fed::Gap(len) => call.at(10, E::ResponseGap(*len)),
        }
    }
    call.at(90, E::ResponseTrailers(&headers(&OK)));
    call.end(90)
}

/// A raw tensor of one text.
const WORD: &[u8] = b"\x04\0\0\0word";

const OK: [(&str, &str); 1] = [("grpc-status", "0")];

#[test]
fn a_call_with_one_answer_says_model_version_and_status() {
    let request = framed(&infer("FP32", &[7; 64]));
    let answer = framed(&infer("FP32", &[9; 200]));
    let got = call("ModelInfer", &request, &[answer], &OK);
    for (name, want) in [
        ("rpc.system.name", "grpc"),
        ("rpc.method", "inference.GRPCInferenceService/ModelInfer"),
        ("rpc.response.status_code", "OK"),
        ("gen_ai.operation.name", "inference"),
        ("gen_ai.provider.name", "kserve_v2"),
        ("gen_ai.request.model", "tiny"),
        ("gen_ai.response.model", "tiny"),
        ("gen_ai.response.id", "r-1"),
        ("cirron.model.version", "3"),
        ("cirron.figures", "complete"),
    ] {
        assert_eq!(text(&got, name), Some(want), "{name}");
    }
    assert_eq!(got.0.attrs["cirron.request.messages"], 1_i64.into());
    assert_eq!(got.0.attrs["cirron.response.messages"], 1_i64.into());
    assert_eq!(number(&got, "time_to_first_message_ms"), Some(10.0));
    assert_eq!(number(&got, "output_tokens"), None);
    assert_eq!(number(&got, "time_to_first_token_ms"), None);
    // Numbers are inference, and no call of a language model.
    assert!(!got.2.is_llm);
    assert_eq!(text(&got, "gen_ai.operation.name"), Some("inference"));
}

#[test]
fn a_stream_of_texts_has_times_of_its_tokens_and_one_of_numbers_has_not() {
    let request = framed(&infer("BYTES", b"hello"));
    let texts: Vec<Vec<u8>> = (0..4).map(|_| streamed("BYTES", WORD)).collect();
    let got = call("ModelStreamInfer", &request, &texts, &OK);
    assert_eq!(number(&got, "time_to_first_token_ms"), Some(10.0));
    assert_eq!(number(&got, "output_tokens"), Some(4.0));
    assert_eq!(number(&got, "max_inter_message_ms"), Some(10.0));
    assert_eq!(text(&got, "cirron.figures"), Some("estimated"));
    let numbers: Vec<Vec<u8>> = (0..4).map(|_| streamed("FP32", b"1234")).collect();
    let got = call("ModelStreamInfer", &request, &numbers, &OK);
    assert_eq!(number(&got, "output_tokens"), None);
    assert_eq!(got.0.attrs["cirron.response.messages"], 4_i64.into());
}

#[test]
fn a_stream_of_pictures_is_none_of_tokens_though_there_are_more_than_requests() {
    let request = framed(&infer("BYTES", WORD));
    let picture = b"\x08\0\0\0\x89PNG\r\n\x1a\n";
    let pictures: Vec<Vec<u8>> = (0..4).map(|_| streamed("BYTES", picture)).collect();
    let got = call("ModelStreamInfer", &request, &pictures, &OK);
    assert!(!got.2.is_llm);
    assert_eq!(text(&got, "gen_ai.operation.name"), Some("inference"));
    for name in ["output_tokens", "time_to_first_token_ms"] {
        assert_eq!(number(&got, name), None, "{name}");
    }
}

/// What Triton's vLLM backend answers with where it is asked to count.
fn counting(word: &[u8], tokens: u32) -> Vec<u8> {
    let mut response = infer_of("text_output", "BYTES", word);
    for (name, count) in [("num_input_tokens", 7), ("num_output_tokens", tokens)] {
        let tensor = infer_of(name, "UINT32", &[]).tensors;
        response.tensors.extend(tensor);
        response.raw.push(count.to_le_bytes().to_vec());
    }
    framed(&Streamed {
        error: String::new(),
        response: Some(response),
    })
}

#[test]
fn tensors_that_count_tokens_are_what_the_server_reports() {
    let request = framed(&infer("BYTES", WORD));
    // The last has no text, and is no content.
    let texts = [counting(WORD, 1), counting(WORD, 2), counting(&[0; 4], 1)];
    let got = call("ModelStreamInfer", &request, &texts, &OK);
    assert_eq!(number(&got, "input_tokens"), Some(7.0));
    assert_eq!(number(&got, "output_tokens"), Some(4.0));
    assert_eq!(number(&got, "max_inter_token_ms"), Some(10.0));
    assert_eq!(text(&got, "cirron.figures"), Some("complete"));
    assert!(got.2.is_llm);
    let body = texts.concat();
    let whole = assert_split_invariant(&body, |parts| answered(&request, parts));
    assert_eq!(number(&whole, "output_tokens"), Some(4.0));
    let run = |parts: &[Fed<'_>]| answered(&request, parts);
    assert_gap_safe(&body, run, |holed, hole| {
        let told = mark(holed, "output_tokens");
        let sure = told.filter(|m| !m.attrs.contains_key("estimated"));
        let sure = sure.filter(|m| !m.attrs.contains_key("partial"));
        let right = sure.is_none() || number(holed, "output_tokens") == Some(4.0);
        assert!(right, "{hole:?} {holed:?}");
    });
}

/// Cancelled, refused, late, broken: what came is there, and is not all.
#[test]
fn a_status_that_is_not_ok_leaves_no_rate_and_no_complete_figures() {
    let request = framed(&infer("BYTES", WORD));
    for (status, figures) in [
        ("0", "complete"),
        ("1", "partial"),
        ("4", "partial"),
        ("13", "partial"),
    ] {
        let texts = [counting(WORD, 1), counting(WORD, 2)];
        let got = call(
            "ModelStreamInfer",
            &request,
            &texts,
            &[("grpc-status", status)],
        );
        assert_eq!(text(&got, "cirron.figures"), Some(figures), "{status}");
        assert_eq!(number(&got, "output_tokens"), Some(3.0));
        assert_eq!(number(&got, "time_to_first_token_ms"), Some(10.0));
        for name in ["tokens_per_second", "time_per_output_token_ms"] {
            let rate = number(&got, name);
            assert_eq!(rate.is_some(), status == "0", "{name} {status}");
        }
        // Without an answer: in the trailers, or in a head that is all.
        let got = call("ModelInfer", &request, &[], &[("grpc-status", status)]);
        assert_eq!(text(&got, "cirron.figures"), Some(figures), "{status}");
    }
}

/// As load generators ask, again and again on one stream: each answer tells its own prompt's tokens.
#[test]
fn a_stream_that_waited_for_another_request_has_no_rate() {
    let request = framed(&infer("BYTES", WORD));
    for (more_at, prompt, rated) in [
        (None, true, true),
        (Some(0), false, true),
        (Some(25), false, false),
    ] {
        let mut call = begun("ModelStreamInfer", &request);
        if more_at == Some(0) {
            call = begun("ModelStreamInfer", &request.repeat(2));
        }
        for ms in [10, 20, 30, 40] {
            if more_at == Some(ms - 5) {
                call.at(ms - 5, E::RequestBody(&request));
            }
            call.body(ms, &counting(WORD, 1));
        }
        call.at(90, E::ResponseTrailers(&headers(&OK)));
        let got = call.end(90);
        assert_eq!(number(&got, "output_tokens"), Some(4.0));
        assert_eq!(number(&got, "time_to_first_token_ms"), Some(10.0));
        for (name, is) in [
            ("input_tokens", prompt),
            ("total_tokens", prompt),
            ("tokens_per_second", rated),
            ("time_per_output_token_ms", rated),
            ("max_inter_token_ms", rated),
        ] {
            assert_eq!(number(&got, name).is_some(), is, "{name} {more_at:?}");
        }
    }
}

#[test]
fn texts_that_answer_one_request_each_are_no_tokens() {
    let request = framed(&infer("BYTES", b"cat.jpg"));
    let requests: Vec<u8> = (0..4).flat_map(|_| request.clone()).collect();
    let labels: Vec<Vec<u8>> = (0..4).map(|_| streamed("BYTES", WORD)).collect();
    let got = call("ModelStreamInfer", &requests, &labels, &OK);
    assert!(!got.2.is_llm);
    assert_eq!(text(&got, "gen_ai.operation.name"), Some("inference"));
    for name in ["output_tokens", "time_to_first_token_ms"] {
        assert_eq!(number(&got, name), None, "{name}");
    }
    // What the tensor is called tells more.
    for (name, datatype, is_llm) in [
        ("text_output", "BYTES", true),
        ("label", "BYTES", false),
        ("text_output", "FP32", false),
    ] {
        let answer = framed(&infer_of(name, datatype, b"x"));
        let got = call("ModelInfer", &request, &[answer], &OK);
        assert_eq!(got.2.is_llm, is_llm, "{name} {datatype}");
    }
}

#[test]
fn a_service_that_nobody_knows_is_counted_and_no_call_of_a_model() {
    let mut call = ScopeRig::new(false);
    let body = [framed(&infer("BYTES", b"x")), framed(&infer("BYTES", b"y"))].concat();
    call.request("/routeguide.RouteGuide/RecordRoute", &GRPC, &body);
    call.head(5, 200, &GRPC);
    call.body(30, &framed(&Tensor::default()));
    call.at(31, E::ResponseTrailers(&headers(&OK)));
    let got = call.end(31);
    assert!(!got.2.is_llm);
    assert_eq!(
        text(&got, "rpc.method"),
        Some("routeguide.RouteGuide/RecordRoute")
    );
    assert_eq!(got.0.attrs["cirron.request.messages"], 2_i64.into());
    assert_eq!(
        got.0.attrs["cirron.request.message_bytes"],
        (body.len() as i64 - 10).into()
    );
    assert_eq!(got.0.attrs["cirron.response.message_bytes"], 0_i64.into());
}

#[test]
fn a_status_is_an_error_by_the_conventions_of_its_end() {
    for (sent, name, server_fails) in [
        ("0", "OK", false),
        ("5", "NOT_FOUND", false),
        ("14", "UNAVAILABLE", true),
        ("99", "99", true),
    ] {
        for role in [Role::Server, Role::Client] {
            let mut call = ScopeRig::with(role, false, false);
            call.request("/a.B/C", &GRPC, &framed(&Tensor::default()));
            // Trailers only: they are the head.
            call.head(
                5,
                200,
                &[GRPC[0], ("grpc-status", sent), ("grpc-message", "secret")],
            );
            let got = call.end(5);
            assert_eq!(text(&got, "rpc.response.status_code"), Some(name));
            let fails = match role {
                Role::Server => server_fails,
                Role::Client => sent != "0",
            };
            assert_eq!(
                text(&got, "error.type"),
                Some(name).filter(|_| fails),
                "{role:?}"
            );
            assert!(!format!("{got:?}").contains("secret"));
        }
    }
}

/// A connection joined late: every field of the heads refers to what nobody saw.
fn joined(request: &[u8], response: &[Vec<u8>], trailers: &Headers) -> Written {
    let mut call = ScopeRig::new(false);
    call.at(0, E::RequestBody(request));
    call.at(0, E::RequestEnd(MessageEnd::Complete));
    let head = ResponseHead {
        status: 200,
        version: Version::Http2,
        headers: Headers {
            fields: Vec::new(),
            unknown: 2,
        },
        wire_len: 1,
    };
    call.at(5, E::ResponseStart);
    call.at(5, E::ResponseHead(&head));
    for (i, bytes) in response.iter().enumerate() {
        call.body(10 + 10 * i as u64, bytes);
    }
    call.at(80, E::ResponseTrailers(trailers));
    call.end(80)
}

#[test]
fn without_header_fields_messages_or_the_status_show_what_it_is() {
    let unknown = Headers {
        fields: Vec::new(),
        unknown: 1,
    };
    let request = framed(&infer("BYTES", b"hello"));
    let texts = [streamed("BYTES", WORD), streamed("BYTES", b"b")];
    let got = joined(&request, &texts, &unknown);
    assert_eq!(text(&got, "rpc.system.name"), Some("grpc"));
    assert_eq!(text(&got, "rpc.method"), None);
    assert_eq!(text(&got, "rpc.response.status_code"), None);
    assert_eq!(text(&got, "gen_ai.response.model"), Some("tiny"));
    assert_eq!(number(&got, "time_to_first_token_ms"), Some(10.0));
    assert_eq!(got.0.attrs["cirron.response.messages"], 2_i64.into());
    // Of an unknown service the trailers tell.
    let got = joined(&framed(&Tensor::default()), &[], &headers(&OK));
    assert_eq!(text(&got, "rpc.response.status_code"), Some("OK"));
    assert_eq!(got.0.attrs["cirron.request.messages"], 1_i64.into());
    // And without both it is none: messages of nobody's service look like any bytes.
    let got = joined(&framed(&Tensor::default()), &[], &unknown);
    assert_eq!(text(&got, "rpc.system.name"), None);
    let json = br#"{"model":"m","messages":[]}"#;
    let got = joined(json, &[], &unknown);
    assert_eq!(text(&got, "rpc.system.name"), None);
}

/// A stream whose request comes in these parts.
fn asked(parts: &[Fed<'_>]) -> Written {
    let mut call = ScopeRig::new(false);
    let head = RequestHead {
        method: "POST".to_owned(),
        path: "/inference.GRPCInferenceService/ModelStreamInfer".to_owned(),
        has_query: false,
        version: Version::Http2,
        headers: headers(&GRPC),
        wire_len: 1,
    };
    call.at(0, E::RequestHead(&head));
    for part in parts {
        match part {
            Fed::Data(bytes) => call.at(0, E::RequestBody(bytes)),
            Fed::Gap(len) => call.at(0, E::RequestGap(*len)),
        }
    }
    call.at(0, E::RequestEnd(MessageEnd::Complete));
    call.head(5, 200, &GRPC);
    call.at(80, E::ResponseTrailers(&headers(&OK)));
    call.end(80)
}

#[test]
fn no_cut_and_no_hole_gives_a_wrong_count() {
    let request = [
        framed(&infer("BYTES", b"one")),
        framed(&infer("FP32", b"two")),
    ]
    .concat();
    let response = [
        streamed("BYTES", WORD),
        streamed("BYTES", WORD),
        streamed("BYTES", WORD),
    ]
    .concat();
    for (bytes, is_request, count) in [(&request, true, 2), (&response, false, 3)] {
        let name = if is_request {
            "cirron.request.messages"
        } else {
            "cirron.response.messages"
        };
        let whole = framed(&infer("BYTES", b"hello"));
        let run = |parts: &[Fed<'_>]| match is_request {
            true => asked(parts),
            false => answered(&whole, parts),
        };
        let whole = assert_split_invariant(bytes, run);
        assert_eq!(whole.0.attrs[name], AttrValue::from(count as u64));
        assert_gap_safe(bytes, run, |got, hole| {
            let all = got.0.attrs[name] == AttrValue::from(count as u64);
            let says = got.0.attrs.contains_key("cirron.messages_partial");
            assert!(all || says, "{hole:?}");
            for model in ["gen_ai.request.model", "gen_ai.response.model"] {
                let model = text(got, model);
                assert!(model.is_none_or(|m| m == "tiny"), "{hole:?}");
            }
            if !is_request {
                assert_eq!(text(got, "cirron.figures"), Some("partial"), "{hole:?}");
                let first = number(got, "time_to_first_token_ms");
                assert!(first.is_none_or(|at| at == 10.0), "{hole:?}");
            }
        });
    }
}

#[test]
fn a_call_joined_in_the_middle_of_its_response_counts_nothing_and_says_so() {
    let mut call = ScopeRig::new(true);
    call.body(5, b"\0\0\0\0\x05hello");
    call.at(80, E::ResponseTrailers(&headers(&OK)));
    let got = call.end(80);
    assert_eq!(text(&got, "rpc.response.status_code"), Some("OK"));
    assert_eq!(got.0.attrs["cirron.response.messages"], 0_i64.into());
    assert_eq!(got.0.attrs["cirron.messages_partial"], true.into());
}
