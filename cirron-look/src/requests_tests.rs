#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use super::*;
use crate::testing::{Files, mark, request, session, span};

fn each(files: &Files) -> (Vec<Request>, Lost) {
    let spools = files.spools();
    let mut requests = Requests::index(&spools);
    let mut all = Vec::new();
    requests.each(&spools, Detail::Fields, |request| all.push(request));
    (all, requests.lost())
}

fn open(mut span: Value) -> Value {
    span["end_ns"] = Value::Null;
    span
}

fn tokens(span: &str, n: u64) -> Value {
    mark(span, "output_tokens", n.into(), json!({}))
}

#[test]
fn each_request_is_given_once_whole_and_with_its_session() {
    let batches: [(&[Value], &[Value]); 4] = [
        (
            &[
                open(session("s", 42)),
                request("a", "s", "/a", 1),
                open(request("b", "s", "/b", 2)),
            ],
            &[tokens("a", 1)],
        ),
        (
            &[request("c", "s", "/c", 3)],
            &[tokens("b", 2), tokens("c", 3)],
        ),
        (
            &[request("b", "s", "/b", 2)],
            &[mark("b", "input_tokens", 9.into(), json!({}))],
        ),
        (&[session("s", 42), open(request("d", "s", "/d", 4))], &[]),
    ];
    let (all, lost) = each(&Files::new(&batches));
    let got: Vec<_> = all
        .iter()
        .map(|r| (&*r.id, r.figures.output_tokens, r.end_ns.is_some()))
        .collect();
    assert_eq!(
        got,
        [
            ("a", Some(1), true),
            ("c", Some(3), true),
            ("b", Some(2), true),
            ("d", None, false)
        ]
    );
    assert_eq!(all[2].figures.input_tokens, Some(9));
    for request in &all {
        let session = request.session.as_ref().unwrap();
        assert_eq!(
            (session.pid, session.end_ns.is_some(), request.is_top),
            (Some(42), true, true)
        );
    }
    assert_eq!(lost, Lost::default());
}

#[test]
fn of_two_with_one_id_the_closed_one_counts_else_the_later() {
    let late = |path| request("a", "s", path, 1);
    for (first, second, want) in [
        (open(late("/old")), late("/new"), "/new"),
        (late("/old"), open(late("/new")), "/old"),
        (late("/old"), late("/new"), "/new"),
        (open(late("/old")), open(late("/new")), "/new"),
    ] {
        for together in [true, false] {
            let files = match together {
                true => Files::new(&[(&[first.clone(), second.clone()], &[])]),
                false => Files::new(&[
                    (std::slice::from_ref(&first), &[]),
                    (std::slice::from_ref(&second), &[]),
                ]),
            };
            let (all, _) = each(&files);
            let paths: Vec<_> = all.iter().map(|r| r.path.as_deref().unwrap()).collect();
            assert_eq!(paths, [want]);
        }
    }
}

#[test]
fn marks_in_other_batches_than_their_span_are_its_as_the_sdk_writes_them() {
    let batches: [(&[Value], &[Value]); 3] = [
        (&[session("s", 1)], &[tokens("a", 5)]),
        (&[request("a", "s", "/a", 1)], &[tokens("gone", 1)]),
        (
            &[],
            &[mark("a", "time_to_first_token_ms", json!(1.5), json!({}))],
        ),
    ];
    let (all, lost) = each(&Files::new(&batches));
    assert_eq!(all.len(), 1);
    assert_eq!(
        (all[0].figures.output_tokens, all[0].figures.ttft_ms),
        (Some(5), Some(1.5))
    );
    assert_eq!(lost.marks, 1);
    assert_eq!(
        lost.sentences(),
        ["left out: marks whose span is not in the spool: 1"]
    );
}

/// The agent writes parents before children, the SDK children before parents.
#[test]
fn a_session_is_found_above_any_number_of_scopes() {
    let spans = [
        session("s", 7),
        request("r", "s", "/", 1),
        span("f", Some("r"), "prefill", 2, json!({})),
        span("c", Some("f"), "http.client", 3, json!({})),
        span("orphan", Some("gone"), "http.client", 3, json!({})),
    ];
    let mut reversed = spans.clone();
    reversed.reverse();
    for spans in [&spans, &reversed] {
        let batches: Vec<(&[Value], &[Value])> = spans
            .iter()
            .map(|s| (std::slice::from_ref(s), &[][..]))
            .collect();
        let (all, _) = each(&Files::new(&batches));
        assert_eq!(all.len(), 4);
        for request in all {
            let pid = request.session.as_ref().and_then(|s| s.pid);
            assert_eq!(pid, (request.id != "orphan").then_some(7), "{}", request.id);
            assert_eq!(request.is_top, request.id == "r", "{}", request.id);
        }
    }
}

#[test]
fn the_chosen_come_with_all_that_is_below_them() {
    let batches: [(&[Value], &[Value]); 2] = [
        (
            &[
                session("s", 7),
                open(request("r", "s", "/r", 1)),
                request("other", "s", "/o", 1),
            ],
            &[],
        ),
        (
            &[
                span("g", Some("f"), "net.client", 4, json!({})),
                span("f", Some("r"), "prefill", 2, json!({})),
                span("c", Some("r"), "http.client", 1, json!({})),
                span("x", Some("other"), "http.client", 1, json!({})),
                request("r", "s", "/r", 1),
            ],
            &[tokens("r", 4), tokens("g", 1), tokens("x", 1)],
        ),
    ];
    let files = Files::new(&batches);
    let spools = files.spools();
    let mut requests = Requests::index(&spools);
    let chosen = requests.chosen(&spools, &["r".into(), "gone".into()], Detail::All);
    assert_eq!(chosen.len(), 1);
    let top = &chosen[0];
    assert_eq!(
        (top.end_ns.is_some(), top.figures.output_tokens),
        (true, Some(4))
    );
    let below: Vec<_> = top.children.iter().map(|c| &*c.id).collect();
    assert_eq!(below, ["c", "f"]);
    assert_eq!(top.children[1].children[0].id, "g");
    assert_eq!(requests.lost(), Lost::default());
}

#[test]
fn circles_end() {
    let spans = [
        request("x", "y", "/", 1),
        request("y", "x", "/", 1),
        request("z", "z", "/", 1),
    ];
    let files = Files::new(&[(&spans, &[])]);
    let (all, _) = each(&files);
    assert_eq!(all.len(), 3);
    let spools = files.spools();
    let ids: Vec<String> = ["x", "y", "z"].map(str::to_owned).into();
    assert_eq!(
        Requests::index(&spools)
            .chosen(&spools, &ids, Detail::Fields)
            .len(),
        3
    );
}

/// Its writer removed a batch between the two readings.
#[test]
fn what_waits_for_a_batch_that_was_evicted_is_given_as_it_is() {
    let files = Files::new(&[
        (
            &[open(session("s", 1)), open(request("a", "s", "/a", 1))],
            &[],
        ),
        (&[request("a", "s", "/a", 1)], &[]),
    ]);
    let spools = files.spools();
    let mut requests = Requests::index(&spools);
    std::fs::remove_file(files.0.path().join(format!("{:020}-aa.json", 1))).unwrap();
    let mut all = Vec::new();
    requests.each(&spools, Detail::Fields, |request| all.push(request));
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].end_ns, None);
}

#[test]
fn a_spool_or_what_holds_it_may_be_named_and_there_must_be_one() {
    let files = Files::new(&[(&[session("s", 1), request("a", "s", "/a", 1)], &[])]);
    let above = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(files.0.path(), above.path().join("spool")).unwrap();
    let spools = Spools::list(&[above.path(), files.0.path()]).unwrap();
    let mut requests = Requests::index(&spools);
    let mut n = 0;
    requests.each(&spools, Detail::Fields, |_| n += 1);
    assert_eq!(n, 1, "the same spool twice has each request once");
    assert!(
        Spools::list(&["/nowhere"])
            .unwrap_err()
            .to_string()
            .contains("no spool in /nowhere")
    );
}

/// Parents before children in batches of their own, children before parents, and all at once.
#[test]
fn grouped_requests_come_with_what_is_below_them() {
    let spans = [
        session("s", 7),
        open(request("r", "s", "/", 1)),
        span("f", Some("r"), "prefill", 3, json!({})),
        span("c", Some("f"), "http.client", 4, json!({})),
        span("early", Some("r"), "net.client", 2, json!({})),
        request("r", "s", "/", 1),
        request("alone", "s", "/", 9),
        span("orphan", Some("gone"), "http.client", 3, json!({})),
    ];
    let mut reversed = spans.clone();
    reversed.reverse();
    for spans in [&spans, &reversed] {
        for size in [1, 3, 8] {
            let batches: Vec<(&[Value], &[Value])> =
                spans.chunks(size).map(|s| (s, &[][..])).collect();
            let files = Files::new(&batches);
            let spools = files.spools();
            let mut requests = Requests::index_grouped(&spools);
            let mut all = Vec::new();
            requests.each(&spools, Detail::Fields, |request| all.push(request));
            all.sort_by(|a, b| a.id.cmp(&b.id));
            let tops: Vec<_> = all.iter().map(|r| &*r.id).collect();
            assert_eq!(tops, ["alone", "orphan", "r"], "{size}");
            let top = &all[2];
            assert!(top.end_ns.is_some());
            let below: Vec<_> = top.children.iter().map(|c| &*c.id).collect();
            assert_eq!(below, ["early", "f"], "{size}");
            assert_eq!(top.children[1].children[0].id, "c", "{size}");
            assert_eq!(requests.lost(), Lost::default());
        }
    }
}
