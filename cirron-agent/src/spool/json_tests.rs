#![expect(clippy::unwrap_used, reason = "tests")]

use cirron_core::time::MonoNs;

use super::*;
use crate::spool::testing::{anchor, mark, span};

fn text(f: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    f(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_span_has_the_sdk_s_keys_in_the_sdk_s_order() {
    let mut s = span(2, Some(1), 100, Some(350));
    s.attrs.insert("url.path", "/v1/\"x\"\n\u{1b}é".into());
    s.mark_ids.push(Id([0xab; 16]));
    let got = text(|out| write_span(out, &s, WallTimes::new(&s, &anchor())).unwrap());
    assert_eq!(
        got,
        concat!(
            r#"{"id":"00000000000000000000000000000002","name":"request","#,
            r#""parent_id":"00000000000000000000000000000001","index":null,"#,
            r#""start_ns":1000000100,"end_ns":1000000350,"cpu_ns":null,"gpu_ns":null,"#,
            r#""memory_peak_bytes":null,"thread_id":8,"pid":7,"rank":0,"#,
            r#""attrs":{"url.path":"/v1/\"x\"\n\u001bé"},"#,
            r#""mark_ids":["abababababababababababababababab"]}"#
        )
    );
}

#[test]
fn an_open_span_has_a_null_end_and_a_root_a_null_parent() {
    let s = span(1, None, 100, None);
    let got = text(|out| write_span(out, &s, WallTimes::new(&s, &anchor())).unwrap());
    assert!(
        got.contains(r#""parent_id":null"#) && got.contains(r#""end_ns":null"#),
        "{got}"
    );
}

#[test]
fn marks_are_typed_and_keep_the_point_of_a_float() {
    let m = mark(3, 2, "time_to_first_token_ms", MarkValue::Float(12.0));
    assert_eq!(
        text(|out| write_mark(out, &m, &anchor()).unwrap()),
        concat!(
            r#"{"id":"00000000000000000000000000000003","#,
            r#""span_id":"00000000000000000000000000000002","name":"time_to_first_token_ms","#,
            r#""value_type":"float","value":12.0,"attrs":{},"ts_ns":1000000300,"kind":"summary"}"#
        )
    );
    let m = mark(3, 2, "output_tokens", MarkValue::Int(5));
    let got = text(|out| write_mark(out, &m, &anchor()).unwrap());
    assert!(got.contains(r#""value_type":"int","value":5,"#), "{got}");
    for (value, want) in [
        (
            MarkValue::text("a\"\n"),
            r#""value_type":"string","value":"a\"\n","attrs""#,
        ),
        (
            MarkValue::Bool(false),
            r#""value_type":"bool","value":false,"attrs""#,
        ),
    ] {
        let m = mark(3, 2, "phase", value);
        let got = text(|out| write_mark(out, &m, &anchor()).unwrap());
        assert!(got.contains(want), "{got}");
    }
}

#[test]
fn a_scope_of_a_series_has_its_index() {
    let mut s = span(2, Some(1), 100, None);
    s.index = Some(3);
    let got = text(|out| write_span(out, &s, WallTimes::new(&s, &anchor())).unwrap());
    assert!(got.contains(r#"1","index":3,"start_ns""#), "{got}");
}

#[test]
fn floats_that_are_not_finite_never_reach_the_file_as_bare_tokens() {
    for (v, token) in [
        (f64::NAN, "nan"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
    ] {
        let mut m = mark(3, 2, "x", MarkValue::Float(v));
        m.attrs.insert("a", AttrValue::Float(v));
        let got = text(|out| write_mark(out, &m, &anchor()).unwrap());
        let json: serde_json::Value = serde_json::from_str(&got).unwrap();
        assert_eq!(json["value"], serde_json::Value::Null);
        assert_eq!(json["value_type"], "float");
        assert_eq!(json["value_nonfinite"], token);
        assert_eq!(json["attrs"]["a"], token);
    }
}

#[test]
fn a_span_never_ends_before_it_starts() {
    let s = span(1, None, 100, Some(50));
    let times = WallTimes::new(
        &s,
        &Anchor {
            mono: MonoNs(0),
            wall_ns: 0,
        },
    );
    assert_eq!(
        times,
        WallTimes {
            start_ns: 100,
            end_ns: Some(100)
        }
    );
}

#[test]
fn a_float_has_the_digits_that_were_measured() {
    for (v, want) in [
        (206.483_989_592_793_96, "206.484"),
        (58.836_744, "58.837"),
        (0.058_836_744, "0.058837"),
        (1e-9, "1e-9"),
        (0.0, "0.0"),
        (-1.234_56, "-1.235"),
        (12.0, "12.0"),
        (999.9996, "1000.0"),
        (1e300, "1e+300"),
        (f64::MAX, "1.7976931348623157e+308"),
    ] {
        let mut m = mark(3, 2, "x", MarkValue::Float(v));
        m.attrs.insert("a", AttrValue::Float(v));
        let got = text(|out| write_mark(out, &m, &anchor()).unwrap());
        assert_eq!(got.matches(&format!(":{want},")).count(), 1, "{got}");
        assert!(got.contains(&format!("{{\"a\":{want}}}")), "{got}");
    }
}
