#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::testing::{S, served};

fn board() -> Board {
    let mut board = Board::new(60 * S);
    board.begin(1_000 * S);
    board
}

fn live(open: &[(&str, Option<&str>, Option<&str>)]) -> Live {
    let open = open.iter().map(|(name, endpoint, model)| Open {
        name: (*name).to_owned(),
        endpoint: endpoint.map(str::to_owned),
        model: model.map(str::to_owned),
        ..Open::default()
    });
    Live {
        open: open.collect(),
        duration_s: 60.0,
        ..Live::default()
    }
}

#[test]
fn figures_are_of_what_ended_in_the_window() {
    let mut board = board();
    for n in 0..120 {
        let mut request = served(&n.to_string(), "POST /v1/chat", Some("m"), 1_001 + n);
        request.status = (n % 10 == 0).then_some(500);
        board.take(request);
    }
    let view = board.view(1_120 * S, &[]);
    let figures = &view.lines[0].figures;
    assert_eq!((figures.requests, figures.failed), (61, 6));
    assert!((figures.requests_per_s - 61.0 / 60.0).abs() < 1e-9);
    assert!((figures.output_per_s.unwrap() - 61.0 * 50.0 / 60.0).abs() < 1e-9);
    assert_eq!(figures.ttft_ms.p99, Some(20.0));
    assert_eq!(figures.latency_ms.p50, Some(100.0));
    assert_eq!((view.open, view.lines[0].open), (None, None));
    // A minute later nothing is left, and nothing is claimed.
    let view = board.view(1_300 * S, &[]);
    assert_eq!(view.lines, []);
    assert_eq!(view.total.latency_ms.p50, None);
}

#[test]
fn a_window_that_has_just_begun_is_as_long_as_it_is_known() {
    let mut board = board();
    for n in 0..10 {
        board.take(served(&n.to_string(), "GET /", None, 1_005));
    }
    // One that ended before anybody looked.
    board.take(served("x", "GET /", None, 999));
    let view = board.view(1_010 * S, &[]);
    assert_eq!((view.total.requests, view.window_s), (10, 10.0));
    assert_eq!(view.total.requests_per_s, 1.0);
    // And of an agent that has just begun no longer than it has captured.
    let mut young = Live {
        duration_s: 5.0,
        ..Live::default()
    };
    let view = board.view(1_010 * S, &[young.clone()]);
    assert_eq!((view.total.requests, view.window_s), (10, 5.0));
    // What it saw while it attached counts, with that time.
    young.duration_s = 3.0;
    let view = board.view(1_010 * S, &[young]);
    assert_eq!((view.total.requests, view.window_s), (10, 5.0));
}

#[test]
fn a_call_is_a_line_and_no_part_of_the_total() {
    let mut board = board();
    board.take(served("a", "POST /v1/chat", None, 1_001));
    let mut call = served("b", "POST /v1/chat", None, 1_001);
    (call.kind, call.parent) = (Kind::HttpClient, Some("a".into()));
    board.take(call);
    let view = board.view(1_002 * S, &[]);
    assert_eq!((view.total.requests, view.lines.len()), (1, 2));
    let asked = LineKey {
        is_call: false,
        endpoint: "POST /v1/chat".into(),
        model: None,
    };
    let last = board.last(&asked);
    assert_eq!(last.len(), 1);
    assert_eq!(board.with_children(&last[0]).children[0].id, "b");
}

#[test]
fn what_goes_on_is_counted_with_the_line_that_it_will_be_part_of() {
    let mut board = board();
    board.take(served("a", "POST /v1/chat", Some("m"), 1_001));
    let live = live(&[
        ("request", Some("/v1/chat"), Some("m")),
        ("request", Some("/v1/chat"), Some("m")),
        ("request", Some("/v1/chat"), Some("other")),
        ("request", None, None),
        ("cirron.session", None, None),
    ]);
    let view = board.view(1_002 * S, &[Live { others: 3, ..live }]);
    let open = |endpoint: &str, model: Option<&str>| {
        let found = view
            .lines
            .iter()
            .find(|l| l.key.endpoint == endpoint && l.key.model.as_deref() == model);
        found.unwrap().open
    };
    assert_eq!(open("POST /v1/chat", Some("m")), Some(2));
    assert_eq!(open("/v1/chat", Some("other")), Some(1));
    assert_eq!(open("(head not read yet)", None), Some(1));
    assert_eq!(view.open, Some(8));
}

#[test]
fn endpoints_past_the_bound_are_one_line_and_samples_past_theirs_shorten_the_window() {
    let mut board = board();
    for n in 0..MAX_KEYS + 20 {
        board.take(served("a", &format!("GET /{n}"), None, 1_001));
    }
    let view = board.view(1_002 * S, &[]);
    let other = view
        .lines
        .iter()
        .find(|line| line.key.endpoint == "other")
        .unwrap();
    assert_eq!(
        (view.lines.len(), other.figures.requests),
        (MAX_KEYS + 1, 20)
    );
    assert!(board.whole.len() <= MAX_WHOLE);
    for n in 0..MAX_SAMPLES as u64 {
        board.take(served(
            "a",
            "GET /",
            None,
            1_002 + n * 30 / MAX_SAMPLES as u64,
        ));
    }
    let view = board.view(1_032 * S, &[]);
    assert!(view.is_cut);
    assert!(view.window_s <= 31.0);
    assert!(board.samples.len() <= MAX_SAMPLES);
    assert_eq!(
        board
            .last(&LineKey {
                is_call: false,
                endpoint: "GET /".into(),
                model: None
            })
            .len(),
        MAX_LAST
    );
}

#[test]
fn scopes_below_are_bounded_and_one_that_is_its_own_parent_ends() {
    let mut board = board();
    for n in 0..MAX_BELOW + 10 {
        let mut scope = served(&n.to_string(), "f", None, 1_001);
        (scope.kind, scope.parent) = (Kind::Scope, Some(n.to_string()));
        board.take(scope);
    }
    assert_eq!(board.below.len(), MAX_BELOW);
    let scope = served(&(MAX_BELOW + 5).to_string(), "f", None, 1_001);
    assert_eq!(board.with_children(&scope).children.len(), 1);
}
