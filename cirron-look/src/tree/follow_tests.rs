#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use super::*;
use crate::testing::{Files, mark, request, session, span};

const DRAWING: Drawing = Drawing {
    limit: 100,
    verbose: false,
    width: 120,
};

fn look(follow: &mut Follow, path: &Path) -> String {
    let mut out = Vec::new();
    follow.look(path, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn tokens(span: &str, n: u64) -> Value {
    mark(span, "output_tokens", n.into(), json!({}))
}

#[test]
fn what_is_sealed_later_is_told_once_when_it_has_ended() {
    let files = Files::new(&[(&[session("s", 42), request("old", "s", "/old", 1)], &[])]);
    let path = files.0.path();
    let drawn = Batches::list(path).unwrap();
    let mut follow = Follow::new(Filter::default(), DRAWING, Some(&drawn));
    assert_eq!(look(&mut follow, path), "");

    let mut open = request("b", "s", "/b", 3_600_000);
    open["end_ns"] = Value::Null;
    let inner = span("c", Some("b"), "http.client", 3_600_001, json!({}));
    files.add(
        1,
        &[
            request("old", "s", "/old", 1),
            open,
            inner,
            request("a", "s", "/a", 1_000),
        ],
        &[tokens("a", 7)],
    );
    assert_eq!(
        look(&mut follow, path),
        "cirron.session uvicorn, pid 42\n                                 time  out\n00:00:01  request POST /a  200  5.0ms    7\n"
    );
    files.add(
        2,
        &[
            request("b", "s", "/b", 3_600_000),
            request("a", "s", "/a", 1_000),
        ],
        &[tokens("b", 12_345)],
    );
    assert_eq!(
        look(&mut follow, path),
        "01:00:00  request POST /b  200  5.0ms  12345\n"
    );
    assert_eq!(look(&mut follow, path), "");
}

#[test]
fn a_spool_may_appear_later_and_the_filter_holds() {
    let files = Files::new(&[]);
    let later = files.0.path().join("spool");
    let filter = Filter {
        status: Some("5xx".parse().unwrap()),
        ..Filter::default()
    };
    let mut follow = Follow::new(filter, DRAWING, None);
    assert_eq!(look(&mut follow, &later), "");
    std::fs::create_dir(&later).unwrap();
    let mut failed = request("f", "gone", "/f", 1);
    failed["attrs"]["http.response.status_code"] = 503.into();
    failed["attrs"]["cirron.aborted_by"] = "\u{1b}[2J".into();
    let text = json!({"spans": [failed, request("a", "gone", "/a", 2)], "marks": []}).to_string();
    std::fs::write(later.join("1-aa.json"), text).unwrap();
    std::fs::write(later.join("2-aa.json"), "{").unwrap();
    let mut rounds = 0;
    let mut out = Vec::new();
    let left = follow
        .run(&later, &mut out, || {
            rounds += 1;
            rounds < 3
        })
        .unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.starts_with("(its session is not in the spool)\n"),
        "{text}"
    );
    assert!(
        text.contains("request POST /f  503")
            && text.contains("\\u{1b}[2J")
            && !text.contains("/a"),
        "{text}"
    );
    assert_eq!(left.files.damaged, 1);
}
