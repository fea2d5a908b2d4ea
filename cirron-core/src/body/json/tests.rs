//! serde_json is the judge of what a document says.
#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Container, Finish, JsonSink, Path, Scalar, Scanner, Walk};
use crate::limits::MAX_JSON_SCALAR_BYTES;
use crate::testing::split::{Fed, assert_gap_safe, assert_split_invariant};

/// Every scalar with its path, and every container that ended.
#[derive(Default)]
struct Collected(Vec<(String, String)>);

impl JsonSink for Collected {
    fn begin(&mut self, _: &Path, _: Container) -> Walk {
        Walk::Into
    }
    fn end(&mut self, path: &Path, container: Container) {
        self.0.push((path.to_string(), format!("{container:?}")));
    }
    fn scalar(&mut self, path: &Path, value: Scalar<'_>) {
        let text = match value {
            Scalar::Str { prefix, len, cut } => {
                assert_eq!(cut, prefix.len() as u64 != len);
                format!("{prefix:?} {len}")
            }
            Scalar::Num(text) => text.parse::<f64>().unwrap().to_string(),
            Scalar::Bool(b) => b.to_string(),
            Scalar::Null => "null".to_owned(),
        };
        self.0.push((path.to_string(), text));
    }
}

fn scan(parts: &[Fed<'_>]) -> (Vec<(String, String)>, Finish) {
    let mut scanner = Scanner::new(&["usage", "error"]);
    let mut sink = Collected::default();
    for part in parts {
        match part {
            Fed::Data(bytes) => scanner.push(bytes, &mut sink),
            Fed::Gap(_) => scanner.gap(),
        }
    }
    let finish = scanner.finish(&mut sink);
    (sink.0, finish)
}

/// The same from serde_json's tree.
fn flatten(path: &str, value: &Value, out: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                flatten(&format!("{path}/{key}"), value, out);
            }
            out.push((path.to_owned(), "Object".to_owned()));
        }
        Value::Array(items) => {
            for (i, value) in items.iter().enumerate() {
                flatten(&format!("{path}/{i}"), value, out);
            }
            out.push((path.to_owned(), "Array".to_owned()));
        }
        Value::String(s) => out.push((path.to_owned(), format!("{s:?} {}", s.len()))),
        Value::Number(n) => out.push((path.to_owned(), n.as_f64().unwrap().to_string())),
        Value::Bool(b) => out.push((path.to_owned(), b.to_string())),
        Value::Null => out.push((path.to_owned(), "null".to_owned())),
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9_f64..1e9).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!("\u{1f600} \"quoted\" \\ \n \u{7f}")),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-z\\\\\"]{0,6}", inner, 0..6)
                .prop_map(|m| Value::from(serde_json::Map::from_iter(m))),
        ]
    })
}

proptest! {
    #[test]
    fn any_document_says_what_serde_json_says(value in any_json(), pretty: bool, cuts in prop::collection::vec(0_usize..10_000, 0..5)) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let mut want = Vec::new();
        flatten("", &value, &mut want);
        let mut cuts: Vec<usize> = cuts.iter().map(|c| c % (text.len() + 1)).collect();
        cuts.sort_unstable();
        let mut parts = Vec::new();
        let mut from = 0;
        for cut in cuts.into_iter().chain([text.len()]) {
            parts.push(Fed::Data(&text.as_bytes()[from..cut]));
            from = cut;
        }
        let (got, finish) = scan(&parts);
        prop_assert_eq!(finish, Finish::Complete);
        prop_assert_eq!(got, want);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        scan(&[Fed::Data(&bytes)]);
    }

    #[test]
    fn what_serde_json_accepts_is_complete_and_what_is_cut_is_not(value in any_json()) {
        let text = serde_json::to_string(&value).unwrap();
        for end in 0..text.len() {
            let whole = serde_json::from_str::<Value>(&text[..text.floor_char_boundary(end)]).is_ok();
            let (_, finish) = scan(&[Fed::Data(&text.as_bytes()[..text.floor_char_boundary(end)])]);
            prop_assert_eq!(finish == Finish::Complete, whole);
        }
    }
}

const DOCUMENT: &[u8] = br#" {"model":"m\u00e9\ud83d\ude00","n":[1,-2.5e3,true,null,{}],"s":"a \"usage\":{\"x\":9} b","usage":{"prompt_tokens":7,"d":{"cached":3}}, "z":"" } "#;

#[test]
fn a_document_cut_anywhere_says_the_same() {
    let (found, finish) = assert_split_invariant(DOCUMENT, scan);
    assert_eq!(finish, Finish::Complete);
    assert!(found.contains(&("/usage/d/cached".to_owned(), "3".to_owned())));
    assert!(found.contains(&("/model".to_owned(), "\"mé😀\" 7".to_owned())));
}

#[test]
fn behind_a_hole_only_known_members_are_found_and_never_inside_a_string() {
    let (whole, _) = scan(&[Fed::Data(DOCUMENT)]);
    let usage = DOCUMENT
        .windows(8)
        .rposition(|w| w == b"\"usage\":")
        .unwrap();
    assert_gap_safe(DOCUMENT, scan, |(found, finish), hole| {
        if hole.start + hole.len < DOCUMENT.len() - 1 && hole.start > 0 {
            assert_ne!(*finish, Finish::Complete, "{hole:?}");
        }
        for item in found {
            assert!(
                whole.contains(item) || item.0.is_empty(),
                "{hole:?} made up {item:?}"
            );
        }
        let usage_whole = hole.start + hole.len <= usage;
        let found_usage = found
            .iter()
            .any(|(p, v)| p == "/usage/prompt_tokens" && v == "7");
        assert!(found_usage || !usage_whole, "{hole:?} lost usage");
    });
}

#[test]
fn a_long_string_is_measured_and_not_held() {
    let mut scanner = Scanner::new(&[]);
    let mut sink = Collected::default();
    scanner.push(b"[\"", &mut sink);
    for _ in 0..1000 {
        scanner.push(&[b'x'; 5000], &mut sink);
    }
    scanner.push(b"\"]", &mut sink);
    assert_eq!(scanner.finish(&mut sink), Finish::Complete);
    let prefix = "x".repeat(MAX_JSON_SCALAR_BYTES);
    assert_eq!(sink.0[0], ("/0".to_owned(), format!("{prefix:?} 5000000")));
}

#[test]
fn nesting_past_the_bound_is_passed_over() {
    let deep = format!("[{}1{},2]", "[".repeat(500), "]".repeat(500));
    let (found, finish) = scan(&[Fed::Data(deep.as_bytes())]);
    assert_eq!(finish, Finish::Complete);
    assert!(found.contains(&("/1".to_owned(), "2".to_owned())));
}

#[test]
fn a_string_of_any_length_is_the_same_whole_or_in_pieces() {
    // Around the bytes that are looked at one by one, and around the bound of what is kept.
    for len in (0..40).chain(505..520) {
        let text = "x".repeat(len);
        let escape = len / 2;
        let texts = [
            text.clone(),
            format!("{}\\n{}", &text[..escape], &text[escape..]),
            format!("{text}\\\""),
            format!("{}\u{e9}", &text[..escape]),
        ];
        for text in texts {
            let document = format!("{{\"{text}\":\"{text}\",\"n\":[-1.5e3,{len},true,null]}}");
            let value: Value = serde_json::from_str(&document).unwrap();
            let (found, finish) = assert_split_invariant(document.as_bytes(), scan);
            assert_eq!((found.len(), finish), (7, Finish::Complete), "{document}");
            let mut expected = Vec::new();
            flatten("", &value, &mut expected);
            expected.sort();
            let mut found = found;
            found.sort();
            if len < 100 {
                assert_eq!(found, expected, "{document}");
            }
        }
    }
}

#[test]
fn a_key_or_text_that_is_not_utf_8_is_the_same_whole_or_in_pieces() {
    let (found, finish) = assert_split_invariant(b"{\"a\xff\":\"b\xffc\",\"d\":12}", scan);
    assert_eq!(finish, Finish::Complete);
    let said: Vec<&str> = found.iter().map(|(_, said)| said.as_str()).collect();
    assert_eq!(said, ["\"b\" 3", "12", "Object"]);
}
