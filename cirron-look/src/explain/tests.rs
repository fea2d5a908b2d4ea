#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use super::*;
use crate::testing::{Files, span};

fn mark(span: &str, name: &str, value: Value) -> Value {
    crate::testing::mark(span, name, value, json!({}))
}

/// A span with its own end.
fn until(mut span: Value, end_ms: u64) -> Value {
    span["end_ns"] = json!(end_ms * 1_000_000);
    span
}

fn id(n: u32) -> String {
    format!("{n:032x}")
}

/// A streamed call that began at `start` ms and took `ms`, its first token after `ttft`.
fn call(n: u32, start: u64, ms: u64, ttft: f64) -> (Value, Vec<Value>) {
    let attrs = json!({
        "request_id": id(n), "http.request.method": "POST", "url.path": "/v1/chat", "gen_ai.operation.name": "chat",
        "gen_ai.response.model": "m", "cirron.request.stream": true, "http.response.status_code": 200,
    });
    let marks = vec![
        mark(&id(n), "time_to_first_byte_ms", json!(ttft / 2.0)),
        mark(&id(n), "time_to_first_token_ms", json!(ttft)),
        mark(&id(n), "request_duration_ms", json!(ms as f64)),
        mark(&id(n), "time_in_queue_ms", json!(3.0)),
    ];
    let span = span(&id(n), Some("s"), "request", start, attrs);
    (until(span, start + ms), marks)
}

/// Thirty quick calls, and a slow one with what was done for it.
fn spool() -> Files {
    let session = span(
        "s",
        None,
        "cirron.session",
        0,
        json!({"process.executable.name": "vllm", "pid": 7}),
    );
    let (mut spans, mut marks) = (vec![session], Vec::new());
    for n in 0..30 {
        let (span, more) = call(100 + n, 10_000 + u64::from(n) * 1_000, 100, 20.0);
        spans.push(span);
        marks.extend(more);
    }
    let (slow, more) = call(1, 20_000, 2_000, 1_500.0);
    spans.push(slow);
    marks.extend(more);
    let attrs = json!({"http.request.method": "POST", "url.path": "/tool", "server.address": "h", "server.port": 80});
    for (n, from, to) in [(2, 20_100, 20_800), (3, 20_500, 21_100)] {
        let made = span(&id(n), Some(&id(1)), "http.client", from, attrs.clone());
        spans.push(until(made, to));
    }
    let unknown = json!({"cirron.parent.unknown": "event_loop", "url.path": "/x"});
    spans.push(until(
        span(&id(4), Some("s"), "http.client", 20_200, unknown),
        20_300,
    ));
    Files::new(&[(&spans, &marks)])
}

fn text(files: &Files, which: &Which) -> String {
    words(&explain(&files.spools(), which, 3).unwrap(), which)
}

#[test]
fn a_slow_call_is_told_in_parts_that_sum_to_it_beside_the_medians_of_its_like() {
    let which = Which::SlowerThan(Duration::from_secs(1));
    let told = text(&spool(), &which);
    for want in [
        "1 of 31 calls took longer than 1.00 s.",
        "2.00 s  POST /v1/chat  m  200",
        "vllm pid 7",
        "before it   3.00 ms until the process read it",
        "of 2.00 s   750 ms from its first byte to the first byte of its answer (37.5 %); 650 ms of that its own calls cover",
        "750 ms from there to its first token (37.5 %); 350 ms of that its own calls cover",
        "500 ms from its first token to its end (25.0 %)",
        "for it      2 calls cover 1.00 s, 1.00 s of it before the first token",
        "700 ms POST /tool at h:80",
        "medians of 30 other calls of this process, endpoint and model that began within 5 min of it:",
        "latency 2.00 s, median 100 ms, 20.0 times",
        "first token 1.50 s, median 20.0 ms, 75.0 times",
        "in flight when it began 2, median 1, 2.0 times",
        "1 scope of its process at that time may be part of it, and nobody knows of which request: event_loop 1",
        "when each of its tokens came, and so whether other streams stood still with it: not asked for (--chunk-timing)",
    ] {
        assert!(told.contains(want), "{want}\n{told}");
    }
}

#[test]
fn calls_of_another_process_are_its_like_only_where_its_own_has_too_few() {
    let files = spool();
    let (mut spans, mut marks) = (Vec::new(), Vec::new());
    let session = |id: &str| span(id, None, "cirron.session", 0, json!({"pid": 8}));
    spans.extend([session("g"), session("h")]);
    // A gateway in front of it, and a process that has just begun.
    for n in 0..31 {
        let (mut span, more) = call(200 + n, 12_000 + u64::from(n) * 100, 900, 800.0);
        span["parent_id"] = json!(if n == 30 { "h" } else { "g" });
        spans.push(span);
        marks.extend(more);
    }
    files.add(5, &spans, &marks);
    let told = text(&files, &Which::Id(id(1)));
    assert!(
        told.contains("medians of 30 other calls of this process,"),
        "{told}"
    );
    assert!(told.contains("latency 2.00 s, median 100 ms"), "{told}");
    let told = text(&files, &Which::Id(id(230)));
    assert!(
        told.contains("medians of 61 other calls of this endpoint and model"),
        "{told}"
    );
}

#[test]
fn a_call_is_found_by_the_beginning_of_its_id() {
    let files = spool();
    let wanted = |id: &str| explain(&files.spools(), &Which::Id(id.to_owned()), 3);
    let found = wanted(&id(1)).unwrap();
    assert_eq!((found.calls.len(), found.matched), (1, 1));
    assert_eq!(found.calls[0].latency_ms, Some(2_000.0));
    let many = wanted("000000").unwrap();
    assert!(many.matched > 30 && many.calls.len() == 3);
    assert_eq!(
        wanted("abcdef").unwrap_err(),
        NoSuchRequest("abcdef".into())
    );
}

#[test]
fn streams_that_stood_still_together_are_counted() {
    let files = spool();
    let (mut spans, mut marks) = (Vec::new(), Vec::new());
    // Tokens each 10 ms, and nobody's for half a second.
    for n in 50..54 {
        let (span, more) = call(n, 60_000 + u64::from(n), 3_000, 100.0);
        spans.push(span);
        marks.extend(more);
        let gaps = (0..40).map(|at| if at == 10 { 500.0 } else { 10.0 });
        marks.extend(gaps.map(|gap| {
            let mut point = mark(&id(n), "chunk_ms", json!(gap));
            point["kind"] = json!("point");
            point
        }));
    }
    files.add(5, &spans, &marks);
    let told = text(&files, &Which::Id(id(51)));
    let want = "500 ms of it 200 ms after its beginning; all of 3 other streams of its process that were under way stood \
                still as well";
    assert!(told.contains(want), "{told}");
    assert!(!told.contains("--chunk-timing"), "{told}");
}

#[test]
fn what_is_not_known_is_said_and_no_number_stands_for_it() {
    let session = span("s", None, "cirron.session", 0, json!({}));
    let attrs = json!({"gen_ai.operation.name": "chat", "cirron.late_attach": true, "cirron.partial": true});
    let late = span(&id(9), Some("s"), "request", 5, attrs);
    let files = Files::new(&[(&[session, late], &[])]);
    let told = text(&files, &Which::Id(id(9)));
    for want in [
        "unknown  ",
        "it had begun before the agent looked",
        "when its first token came: no event with content of its answer was seen",
        "0 other calls of this endpoint and model ended well: too few to compare with",
    ] {
        assert!(told.contains(want), "{want}\n{told}");
    }
    assert_eq!(
        text(&files, &Which::Slowest),
        "No call has a latency: of none both ends were seen.\n"
    );
    let json =
        serde_json::to_value(explain(&files.spools(), &Which::Id(id(9)), 1).unwrap()).unwrap();
    assert_eq!(json["calls"][0]["latency_ms"], Value::Null);
    assert_eq!(json["calls"][0]["parts"], json!([]));
}
