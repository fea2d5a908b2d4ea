//! KServe's tensors behind the JSON of a body, as Triton and its clients send them.

use super::*;
use crate::testing::split::{Fed, assert_gap_safe, assert_split_invariant};

const FIELD: &str = "inference-header-content-length";

const HEAD: &str = r#"{"model_name":"tiny","model_version":"3","outputs":[{"name":"text_output","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":9}},{"name":"num_output_tokens","datatype":"UINT32","shape":[1],"parameters":{"binary_data_size":4}},{"name":"num_input_tokens","datatype":"UINT64","shape":[1],"parameters":{"binary_data_size":8}}]}"#;

const ASKED: &str = r#"{"inputs":[{"name":"text_input","shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":5}}]}"#;

fn body() -> Vec<u8> {
    let counts = [&7_u32.to_le_bytes()[..], &4_u64.to_le_bytes()].concat();
    [HEAD.as_bytes(), b"\x05\0\0\0he\"}o", &counts].concat()
}

fn inferred(length: &str, parts: &[Fed<'_>]) -> Written {
    let mut call = ScopeRig::new(false);
    let length_of_request = ASKED.len().to_string();
    let head = [
        ("content-type", "application/octet-stream"),
        (FIELD, &length_of_request),
    ];
    let request = [ASKED.as_bytes(), b"\x01\0\0\0{"].concat();
    call.request("/v2/models/tiny/infer", &head, &request);
    call.head(5, 200, &[head[0], (FIELD, length)]);
    for part in parts {
        match part {
            Fed::Data(bytes) => call.body(10, bytes),
            Fed::Gap(len) => call.at(10, E::ResponseGap(*len)),
        }
    }
    call.end(20)
}

#[test]
fn counts_in_raw_tensors_are_read_however_they_are_cut() {
    let (body, length) = (body(), HEAD.len().to_string());
    let run = |parts: &[Fed<'_>]| inferred(&length, parts);
    let whole = assert_split_invariant(&body, run);
    for (name, value) in [
        ("input_tokens", 4.0),
        ("output_tokens", 7.0),
        ("total_tokens", 11.0),
    ] {
        assert_eq!(number(&whole, name), Some(value), "{name}");
    }
    assert_eq!(text(&whole, "cirron.figures"), Some("complete"));
    assert_eq!(
        text(&whole, "gen_ai.operation.name"),
        Some("text_completion")
    );
    assert_eq!(whole.0.attrs["cirron.request.stream"], false.into());
    assert_gap_safe(&body, run, |holed, hole| {
        assert_eq!(text(holed, "cirron.figures"), Some("partial"), "{hole:?}");
        for name in ["input_tokens", "output_tokens"] {
            let got = number(holed, name);
            assert!(
                got.is_none() || got == number(&whole, name),
                "{name} {hole:?}"
            );
        }
    });
}

#[test]
fn a_length_that_is_none_or_wrong_gives_no_count() {
    let body = body();
    for length in ["", "-1", "x", "0", "9", "99999999999999999999", "9999"] {
        let got = inferred(length, &[Fed::Data(&body)]);
        for name in ["input_tokens", "output_tokens"] {
            assert_eq!(number(&got, name), None, "{name} {length}");
        }
    }
}
