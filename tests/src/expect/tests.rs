//! The comparison must be able to fail: one agreement, and each way to disagree.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use super::{Figures, Late, in_time, matches};
use crate::spool::{Mark, Span, Spool};
use crate::truth::Truth;

fn truth() -> Value {
    json!({"method": "POST", "path": "/v1/chat/completions", "status": 200, "pid": 7, "start_wall_ns": 1_000_000_000, "duration_ns": 100_000_000, "llm": true,
        "stream": true, "whole": true, "id": "c1", "kind": "chat", "model": "m", "tokens": 5, "prompt_tokens": 7, "usage": true, "ttft_ns": 50_000_000})
}

fn attrs() -> Value {
    json!({"http.request.method": "POST", "url.path": "/v1/chat/completions", "http.response.status_code": 200, "gen_ai.request.model": "m",
        "gen_ai.response.model": "m", "gen_ai.response.id": "c1", "gen_ai.response.finish_reasons": "stop"})
}

fn marks() -> Vec<(&'static str, f64)> {
    vec![
        ("prompt_tokens", 7.0),
        ("completion_tokens", 5.0),
        ("input_tokens", 7.0),
        ("output_tokens", 5.0),
        ("total_tokens", 12.0),
        ("time_to_first_token_ms", 50.5),
        ("time_to_first_byte_ms", 1.0),
        ("request_duration_ms", 100.0),
        ("tokens_per_second", 80.0),
        ("time_per_output_token_ms", 12.0),
    ]
}

fn agrees(truth: &Value, attrs: &Value, marks: &[(&str, f64)], name: &str) -> bool {
    let span = json!({"id": "x", "name": name, "parent_id": "r", "start_ns": 999_000_000, "end_ns": 1_100_500_000, "pid": 7, "attrs": attrs});
    let mut span: Span = serde_json::from_value(span).unwrap();
    let mark = |(name, value): &(&str, f64)| Mark {
        name: (*name).to_owned(),
        span_id: "x".into(),
        value: json!(value),
        attrs: serde_json::Map::new(),
        ts_ns: 0,
        kind: "summary".into(),
    };
    span.marks = marks.iter().map(mark).collect();
    let truth: Truth = serde_json::from_value(truth.clone()).unwrap();
    matches(&Spool { spans: vec![span] }, &[truth]).is_ok()
}

#[test]
fn what_agrees_agrees() {
    assert!(agrees(&truth(), &attrs(), &marks(), "request"));
}

#[test]
fn every_wrong_or_missing_mark_is_noticed() {
    for i in 0..marks().len() {
        let mut without = marks();
        without.remove(i);
        assert!(
            !agrees(&truth(), &attrs(), &without, "request"),
            "{:?} missing",
            marks()[i]
        );
        if marks()[i].0 != "tokens_per_second" && marks()[i].0 != "time_per_output_token_ms" {
            let mut wrong = marks();
            wrong[i].1 += 60.0;
            assert!(
                !agrees(&truth(), &attrs(), &wrong, "request"),
                "{:?} wrong",
                marks()[i]
            );
        }
    }
    let mut early = marks();
    early[5].1 = 49.0;
    assert!(
        !agrees(&truth(), &attrs(), &early, "request"),
        "earlier than the server itself"
    );
}

#[test]
fn one_bad_moment_is_forgiven_and_a_habit_is_not() {
    let figures = |late: usize, late_ms: f64, seen: bool| Figures {
        bracketed: [vec![false; 10 - late], vec![seen; late]].concat(),
        emulated: false,
        exchanges: 10,
        ttft_ms: [vec![0.5; 10 - late], vec![late_ms; late]].concat(),
    };
    assert!(figures(1, 9.0, false).check().is_ok());
    assert!(figures(2, 2.5, false).check().is_err());
    // Their clients had them no earlier; of most streams that is no excuse.
    assert!(figures(4, 2.5, true).check().is_ok());
    assert!(figures(6, 2.5, true).check().is_err());
    // Of few streams as well.
    let few = |ttft_ms: &[f64], seen: bool| Figures {
        ttft_ms: ttft_ms.to_vec(),
        bracketed: vec![seen; ttft_ms.len()],
        ..Figures::default()
    };
    assert!(few(&[], false).check().is_ok());
    assert!(few(&[19.0], true).check().is_ok());
    assert!(few(&[19.0], false).check().is_err());
    assert!(few(&[4.0], false).check().is_ok());
    assert!(few(&[0.5, 19.0], false).check().is_err());
    assert!(few(&[0.5, 0.5, 19.0], false).check().is_ok());
    assert!(few(&[0.5, 0.5, 19.0, 19.0], false).check().is_err());
}

#[test]
fn a_figure_that_is_late_is_known_as_such_with_words_around_it() {
    assert!(in_time("it", 1.9, 2.0).is_ok());
    let late = anyhow::Error::from(in_time("it", 2.0, 2.0).unwrap_err()).context("of a call");
    assert!(late.downcast_ref::<Late>().is_some());
}

#[test]
fn every_wrong_or_missing_attribute_is_noticed() {
    for key in attrs().as_object().unwrap().keys() {
        let mut without = attrs();
        without.as_object_mut().unwrap().remove(key);
        assert!(
            !agrees(&truth(), &without, &marks(), "request"),
            "{key} missing"
        );
    }
    for key in ["cirron.partial", "cirron.aborted_by", "cirron.lost_bytes"] {
        let mut touched = attrs();
        touched[key] = json!(true);
        assert!(!agrees(&truth(), &touched, &marks(), "request"), "{key}");
    }
    assert!(
        !agrees(&truth(), &attrs(), &marks(), "http.client"),
        "wrong role"
    );
}

#[test]
fn an_estimate_is_no_usage() {
    let mut no_usage = truth();
    no_usage["usage"] = json!(false);
    assert!(!agrees(&no_usage, &attrs(), &marks(), "request"));
}
