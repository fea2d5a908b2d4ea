#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

fn id(n: u128) -> String {
    format!("{n:032x}")
}

fn span(joiner: &mut Joiner, n: u128, name: &str, parent: Option<u128>, end: Option<u64>) {
    let text = serde_json::json!({
        "id": id(n), "name": name, "parent_id": parent.map(id), "index": null,
        "start_ns": 1, "end_ns": end, "pid": 7, "attrs": {"gen_ai.usage.cache_read.input_tokens": 1},
    })
    .to_string();
    joiner.span(&serde_json::from_str(&text).unwrap());
}

fn mark(joiner: &mut Joiner, n: u128, name: &str, value: f64) {
    let text = serde_json::json!({
        "id": id(99), "span_id": id(n), "name": name, "value": value, "kind": "summary", "ts_ns": 5,
    })
    .to_string();
    joiner.mark(&serde_json::from_str(&text).unwrap());
}

#[test]
fn a_span_that_is_written_open_and_closed_comes_out_once_with_all_its_marks() {
    let mut joiner = Joiner::default();
    span(&mut joiner, 1, "cirron.session", None, None);
    span(&mut joiner, 2, "request", Some(1), None);
    mark(&mut joiner, 2, "time_to_first_token_ms", 3.0);
    assert!(joiner.settle().is_empty());
    span(&mut joiner, 2, "request", Some(1), Some(9));
    mark(&mut joiner, 2, "output_tokens", 4.0);
    let ended = joiner.settle();
    let [Ended { request, is_served }] = &*ended else {
        panic!("{ended:?}")
    };
    assert_eq!(request.figures.ttft_ms, Some(3.0));
    assert_eq!(request.figures.output_tokens, Some(4));
    assert_eq!(request.figures.cached_tokens, Some(1), "of its attributes");
    assert_eq!(request.marks.len(), 2);
    assert!(request.is_top && request.session.is_some() && *is_served == Some(true));
    span(&mut joiner, 2, "request", Some(1), Some(9));
    mark(&mut joiner, 2, "output_tokens", 4.0);
    assert!(joiner.settle().is_empty());
    let counts = joiner.counts();
    assert_eq!(
        (counts.ended, counts.repeated, counts.marks_late),
        (1, 1, 1)
    );
}

#[test]
fn what_is_part_of_a_request_has_its_trace_and_its_session_through_any_scopes_between() {
    let mut joiner = Joiner::default();
    joiner.prime(true);
    span(&mut joiner, 1, "cirron.session", None, None);
    span(&mut joiner, 8, "request", Some(1), Some(9));
    joiner.prime(false);
    assert!(joiner.settle().is_empty(), "from before the start");
    // In one batch the order does not matter.
    span(&mut joiner, 4, "net.client", Some(3), Some(9));
    span(&mut joiner, 3, "work", Some(2), Some(9));
    span(&mut joiner, 2, "request", Some(1), Some(9));
    let ended = joiner.settle();
    let two = u128::to_be_bytes(2);
    assert!(
        ended
            .iter()
            .all(|e| e.ids().unwrap().0 == two && e.request.session.is_some())
    );
    assert!(!ended[0].request.is_top && ended[2].request.is_top);
}

#[test]
fn a_response_of_a_websocket_is_served_where_that_was() {
    let mut joiner = Joiner::default();
    span(&mut joiner, 1, "cirron.session", None, None);
    span(&mut joiner, 2, "request", Some(1), None);
    span(&mut joiner, 3, "response", Some(2), Some(9));
    span(&mut joiner, 4, "http.client", Some(1), None);
    span(&mut joiner, 5, "response", Some(4), Some(9));
    span(&mut joiner, 6, "response", Some(9), Some(9));
    let who: Vec<_> = joiner.settle().iter().map(|e| e.is_served).collect();
    assert_eq!(who, [Some(true), Some(false), None]);
}

#[test]
fn what_a_stranger_writes_costs_a_counter_and_no_more_memory_than_the_bounds() {
    let mut joiner = Joiner::default();
    for n in 0..(MAX_OPEN + 10) as u128 {
        mark(&mut joiner, n, "m", 1.0);
    }
    assert_eq!(joiner.counts().forgotten, 10);
    for n in 0..(MAX_DONE + 10) as u128 {
        span(&mut joiner, n, "request", Some(1 << 100), Some(2));
        assert_eq!(joiner.settle().len(), 1);
    }
    let ((done, done_keys), (open, open_keys)) = (joiner.done.sizes(), joiner.open.sizes());
    assert_eq!(done, MAX_DONE);
    assert!(done_keys <= 2 * MAX_DONE && open_keys <= 2 * MAX_OPEN);
    assert_eq!(open, 0, "their ends came");
    assert_eq!(joiner.counts().sessions_unknown, (MAX_DONE + 10) as u64);
}
