#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use super::*;
use crate::testing::{Files, span};

fn mark(span: &str, name: &str, value: Value) -> Value {
    crate::testing::mark(span, name, value, json!({}))
}

fn page(files: &Files, slos: Slos) -> String {
    let options = Options {
        slos,
        spools: vec!["<spool>".to_owned()],
        maker: "test".to_owned(),
    };
    let mut out = Vec::new();
    report(&files.spools(), &options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// A streamed call with id `n`, that took 5 ms.
fn call(n: u32, attrs: Value) -> (Value, Vec<Value>) {
    let id = format!("{n:032x}");
    let mut all = json!({
        "request_id": id, "http.request.method": "POST", "url.path": "/v1/chat/completions",
        "http.response.status_code": 200, "gen_ai.operation.name": "chat", "gen_ai.request.model": "m",
    });
    for (name, value) in attrs.as_object().unwrap() {
        all[name] = value.clone();
    }
    let marks = vec![
        mark(&id, "time_to_first_token_ms", json!(f64::from(n))),
        mark(&id, "time_per_output_token_ms", json!(0.5)),
        mark(&id, "output_tokens", json!(7)),
    ];
    (span(&id, Some("s"), "request", u64::from(n), all), marks)
}

fn spool(calls: Vec<(Value, Vec<Value>)>) -> Files {
    let session = span(
        "s",
        None,
        "cirron.session",
        0,
        json!({"process.executable.name": "vllm", "pid": 7}),
    );
    let mut spans = vec![session];
    let mut marks = Vec::new();
    for (span, more) in calls {
        spans.push(span);
        marks.extend(more);
    }
    Files::new(&[(&spans, &marks)])
}

/// The text of the page, its style and script left out.
fn words(page: &str) -> String {
    let page = page
        .split_once("</style>")
        .unwrap()
        .1
        .split_once("<script>")
        .unwrap()
        .0
        .to_owned();
    let mut out = String::new();
    let mut is_tag = false;
    for c in page.chars() {
        match c {
            '<' => is_tag = true,
            '>' => {
                is_tag = false;
                out.push(' ');
            }
            _ if !is_tag => out.push(c),
            _ => {}
        }
    }
    let words: Vec<&str> = out.split_whitespace().collect();
    words.join(" ")
}

#[test]
fn a_page_says_what_the_spool_has() {
    let calls = (1..=100).map(|n| call(n, json!({}))).collect();
    let text = words(&page(&spool(calls), Slos::default()));
    for want in [
        "100 calls of models in 104 ms",
        "1 process: vllm",
        "700 tokens out",
        "50.0 ms first token, median p95 95.0 ms",
        "p50 50.0 ms p90 90.0 ms p95 95.0 ms p99 99.0 ms max 100 ms of 100 calls",
        "No call has a number of input tokens",
        "POST /v1/chat/completions 100 0 0 0 5.00 ms 5.00 ms 5.00 ms 50.0 ms 95.0 ms",
        "Nothing of this spool is marked as lost",
    ] {
        assert!(text.contains(want), "{want}\n{text}");
    }
    assert!(!text.contains("Goodput"), "nobody asked for it");
}

#[test]
fn goodput_counts_calls_that_kept_every_bound_and_says_which_cannot_be_judged() {
    let mut calls: Vec<_> = (1..=10).map(|n| call(n, json!({}))).collect();
    calls.push(call(1_000, json!({"http.response.status_code": 503})));
    let mut unknown = call(2_000, json!({}));
    unknown.1.clear();
    calls.push(unknown);
    let slos = Slos {
        ttft_ms: Some(8.0),
        ..Slos::default()
    };
    let text = words(&page(&spool(calls), slos));
    let want = "72.7 % good of 11 judged";
    assert!(text.contains(want), "8 of 11: {text}");
    assert!(
        text.contains("3 not good") && text.contains("1 not judged"),
        "{text}"
    );
}

#[test]
fn what_is_partial_late_or_lost_is_said_in_a_sentence() {
    let calls = vec![
        call(
            1,
            json!({"cirron.partial": true, "cirron.lost_bytes": 1448}),
        ),
        call(
            2,
            json!({"cirron.partial": true, "cirron.late_attach": true}),
        ),
        call(3, json!({"cirron.figures": "header_only"})),
        call(4, json!({})),
    ];
    let text = words(&page(&spool(calls), Slos::default()));
    for want in [
        "2 calls (50.0 % ) partial:".replace(" )", ")"),
        "1 call (25.0 %) begun before the agent looked".to_owned(),
        "1 call (25.0 %) answered with a body that could not be read".to_owned(),
        "1.4 kB of 1 call passed without being captured".to_owned(),
    ] {
        assert!(text.contains(&want), "{want}\n{text}");
    }
    assert!(
        text.contains("of 3 calls"),
        "the late one has no latency: {text}"
    );
}

#[test]
fn text_of_the_wire_is_no_markup_of_the_page() {
    let evil = "</title><script>alert(1)</script><img src=x onerror=alert(1)>\"'\u{202e}";
    let calls = vec![call(
        1,
        json!({
            "url.path": evil, "gen_ai.request.model": evil, "error.type": evil, "server.address": evil,
            "request_id": evil, "cirron.aborted_by": evil,
        }),
    )];
    let files = spool(calls);
    let child = span(
        &"c".repeat(32),
        Some(&format!("{:032x}", 1)),
        evil,
        2,
        json!({"server.address": evil}),
    );
    files.add(9, &[child], &[]);
    let page = page(&files, Slos::default());
    assert_eq!(page.matches("<script").count(), 1, "only the page's own");
    assert!(!page.contains("<img") && !page.contains('\u{202e}'));
    assert!(page.contains("&lt;/title&gt;&lt;script&gt;"));
    // In attributes as well: no quote of it ends one.
    assert!(!page.contains("onerror=alert(1)>\""));
}

#[test]
fn a_page_of_nothing_says_so_in_words() {
    let text = words(&page(&Files::new(&[]), Slos::default()));
    assert!(text.contains("No requests"), "{text}");
    assert!(text.contains("There is no request in this spool"), "{text}");
}

#[test]
fn what_was_done_for_a_slow_call_is_drawn_below_it_from_whichever_batch() {
    let (own, marks) = call(1, json!({}));
    let top = format!("{:032x}", 1);
    let attrs = json!({"http.request.method": "GET", "url.path": "/tool", "server.address": "h", "server.port": 80});
    let made = span(&"d".repeat(32), Some(&top), "http.client", 2, attrs);
    let within = span(
        &"e".repeat(32),
        Some(&"d".repeat(32)),
        "retrieve",
        3,
        json!({}),
    );
    let session = span("s", None, "cirron.session", 0, json!({}));
    let files = Files::new(&[(&[session, within], &[]), (&[own], &marks), (&[made], &[])]);
    let page = page(&files, Slos::default());
    let rows: Vec<&str> = page.matches("class=what").collect();
    assert_eq!(rows.len(), 3, "{page}");
    let text = words(&page);
    assert!(text.contains("http.client GET /tool h:80"), "{text}");
    assert!(text.contains("retrieve"), "{text}");
}

#[test]
fn a_page_asks_nothing_of_a_network() {
    let page = page(&spool(vec![call(1, json!({}))]), Slos::default());
    for word in [
        "http://", "https://", "url(", "@import", "<link", "<iframe", "src=",
    ] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.contains("default-src 'none'"));
}

/// Whatever a spool says: nothing panics, and what is no figure is none.
#[test]
fn numbers_that_no_clock_gives_are_no_figures() {
    let odd = [
        json!(-1),
        json!(0),
        json!(1e300),
        json!(-1e300),
        json!(1e-300),
        json!(u64::MAX),
        json!(null),
        json!("x"),
    ];
    let times = [
        (0, Some(0)),
        (u64::MAX, None),
        (u64::MAX, Some(0)),
        (5, Some(u64::MAX)),
        (7, Some(6)),
    ];
    let session = span("s", None, "cirron.session", 0, json!({}));
    let (mut spans, mut marks) = (vec![session], Vec::new());
    for (n, value) in odd.iter().enumerate() {
        for (m, (start, end)) in times.iter().enumerate() {
            let id = format!("{:032x}", n * 16 + m + 1);
            let (mut own, _) = call(1, json!({}));
            (own["id"], own["start_ns"], own["end_ns"]) = (json!(id), json!(start), json!(end));
            let mut child = own.clone();
            (child["id"], child["parent_id"]) =
                (json!(format!("{:032x}", 1000 + n * 16 + m)), json!(id));
            child["name"] = json!("http.client");
            spans.extend([own, child]);
            for name in [
                "time_to_first_token_ms",
                "time_to_first_byte_ms",
                "time_per_output_token_ms",
                "request_duration_ms",
                "input_tokens",
                "output_tokens",
                "time_in_queue_ms",
                "overhead_ms",
                "max_inter_token_ms",
                "chunk_ms",
            ] {
                marks.push(mark(&id, name, value.clone()));
            }
        }
    }
    let files = Files::new(&[(&spans, &marks)]);
    let slos = Slos {
        ttft_ms: Some(1.0),
        tpot_ms: Some(1.0),
        latency_ms: Some(1.0),
    };
    let page = page(&files, slos);
    assert!(!page.contains("NaN") && !page.contains(">inf"));
    use crate::explain::{Which, explain, words};
    let explained = explain(&files.spools(), &Which::Slowest, 100).unwrap();
    let told = words(&explained, &Which::Slowest);
    assert!(!told.contains("NaN") && !told.contains("inf "), "{told}");
    assert!(
        explained
            .calls
            .iter()
            .all(|call| call.latency_ms.is_none_or(|ms| ms >= 0.0))
    );
}
