#![expect(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::*;
use crate::testing::{Files, mark, request, session, span};

const DRAWING: Drawing = Drawing {
    limit: 100,
    verbose: false,
    width: 120,
};

const VERBOSE: Drawing = Drawing {
    verbose: true,
    ..DRAWING
};

impl Files {
    fn draw(&self, drawing: Drawing) -> (String, LeftOut) {
        self.draw_within(drawing, MAX_SPANS, MAX_ROW_BYTES)
    }

    fn draw_within(&self, drawing: Drawing, spans: usize, bytes: usize) -> (String, LeftOut) {
        let mut out = Vec::new();
        let batches = Batches::list(self.0.path()).unwrap();
        let left = super::draw_within(
            &batches,
            Index::new(spans, Filter::default()),
            drawing,
            &mut out,
            bytes,
        )
        .unwrap();
        (String::from_utf8(out).unwrap(), left)
    }
}

fn tree(spans: &[Value], marks: &[Value], drawing: Drawing) -> String {
    Files::new(&[(spans, marks)]).draw(drawing).0
}

#[test]
fn a_line_shows_what_a_person_looks_for_and_each_fact_once() {
    let mut chat = request("b", "a", "/v1/chat/completions", 1_000);
    chat["attrs"]["gen_ai.request.model"] = "m".into();
    chat["attrs"]["gen_ai.response.model"] = "m-7b".into();
    chat["attrs"]["cirron.partial"] = true.into();
    chat["attrs"]["cirron.aborted_by"] = "client".into();
    let mut failed = request("c", "a", "/v1/embeddings", 2_000);
    failed["attrs"]["http.response.status_code"] = 500.into();
    failed["attrs"]["error.type"] = "500".into();
    failed["attrs"]["error"] = true.into();
    let call = span("d", Some("a"), "http.client", 3_000, json!({}));
    let to = json!({"http.request.method": "GET", "server.address": "10.0.0.1", "server.port": 80, "url.path": "/x"});
    let other = span("e", Some("a"), "http.client", 4_000, to);
    let marks = [
        mark("b", "prompt_tokens", 12.into(), json!({"source": "openai"})),
        mark("b", "input_tokens", 12.into(), json!({})),
        mark("b", "completion_tokens", 50.into(), json!({})),
        mark(
            "b",
            "output_tokens",
            50.into(),
            json!({"estimated": true, "partial": true}),
        ),
        mark("b", "time_to_first_token_ms", json!(101.25), json!({})),
        mark("b", "tokens_per_second", json!(48.123_456), json!({})),
        json!({"span_id": "b", "name": "chunk_ms", "value": 1.5, "kind": "point"}),
    ];
    assert_eq!(
        tree(&[session("a", 42), chat, failed, call, other], &marks, DRAWING),
        "\
cirron.session uvicorn, pid 42 — 5.0ms from 2026-11-27 07:06:30 UTC
  served 1 POST /v1/chat/completions, 1 POST /v1/embeddings (1 failed)
  called 1 (path not seen), 1 GET /x
                                           time  1st token  tok/s  tok in   out  model
  request POST /v1/chat/completions  200  5.0ms      101ms   48.1      12  ~50+  m-7b   partial: aborted by client
  request POST /v1/embeddings        500  5.0ms
  http.client                             5.0ms
  http.client GET 10.0.0.1:80/x           5.0ms
"
    );
}

#[test]
fn what_is_inside_of_a_request_stands_in_its_columns() {
    let scope = |id, parent, name, n| span(id, Some(parent), name, n, json!({}));
    let to = json!({"http.request.method": "POST", "server.address": "10.0.0.1", "server.port": 80, "url.path": "/v1/x",
        "http.response.status_code": 200, "gen_ai.response.model": "m"});
    let spans = [
        session("a", 42),
        request("b", "a", "/ask", 1_000),
        scope("c", "b", "preprocess", 1_100),
        scope("d", "b", "model", 1_200),
        span("e", Some("d"), "http.client", 1_300, to),
        request("f", "a", "/ask", 2_000),
        session("g", 43),
        request("h", "g", "/a/longer/path", 3_000),
    ];
    let marks = [mark("e", "output_tokens", 50.into(), json!({}))];
    let text = tree(&spans, &marks, DRAWING);
    let drawn: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("served"))
        .collect();
    assert_eq!(
        drawn[1..7],
        [
            "                                               time  out  model",
            "  request POST /ask                      200  5.0ms",
            "    preprocess                                5.0ms",
            "    model                                     5.0ms",
            "      http.client POST 10.0.0.1:80/v1/x  200  5.0ms   50  m",
            "  request POST /ask                      200  5.0ms",
        ],
        "{text}"
    );
}

/// A gateway and the model's server behind it, and a call whose request another agent saw.
fn gateway() -> Vec<Value> {
    let mut model = session("m", 77);
    model["attrs"]["process.executable.name"] = "llama-server".into();
    let call = |id, parent, n| {
        let to = json!({"http.request.method": "POST", "server.address": "10.0.0.1", "server.port": 80, "url.path": "/v1",
            "http.response.status_code": 200});
        span(id, Some(parent), "http.client", n, to)
    };
    let answers = |id, caller: &str, n| {
        let mut request = request(id, "m", "/v1", n);
        request["attrs"]["cirron.caller.span_id"] = caller.into();
        request
    };
    vec![
        session("a", 42),
        model,
        request("b", "a", "/ask", 1_000),
        call("c", "b", 1_100),
        answers("d", "c", 1_110),
        span("s", Some("d"), "decode", 1_120, json!({})),
        request("e", "a", "/ask", 2_000),
        call("f", "e", 2_100),
        answers("g", "f", 2_110),
        answers("h", "00f067aa0ba902b7", 3_000),
    ]
}

#[test]
fn a_request_stands_below_the_call_that_it_answers() {
    let text = tree(&gateway(), &[], DRAWING);
    assert_eq!(
        text,
        "\
cirron.session uvicorn, pid 42 — 5.0ms from 2026-11-27 07:06:30 UTC
  served 2 POST /ask
  request POST /ask                  200  5.0ms
    http.client POST 10.0.0.1:80/v1  200  5.0ms
      request POST /v1               200  5.0ms  in llama-server, pid 77
        decode                            5.0ms
  request POST /ask                  200  5.0ms
    http.client POST 10.0.0.1:80/v1  200  5.0ms
      request POST /v1               200  5.0ms  in llama-server, pid 77
cirron.session llama-server, pid 77 — 5.0ms from 2026-11-27 07:06:30 UTC
  served 3 POST /v1
  (2 requests below the calls that they answer)
  request POST /v1  200  5.0ms
"
    );
    // A server all of whose requests were asked by another target.
    let mut spans = gateway();
    spans.pop();
    let text = tree(&spans, &[], DRAWING);
    assert!(
        text.ends_with("  served 2 POST /v1\n  (2 requests below the calls that they answer)\n"),
        "{text}"
    );
}

/// What a filter leaves out may be around the call.
#[test]
fn a_filtered_tree_leaves_requests_in_their_sessions() {
    let mut spans = gateway();
    spans[4]["attrs"]["gen_ai.request.model"] = "m-1".into();
    let files = Files::new(&[(&spans, &[])]);
    let batches = Batches::list(files.0.path()).unwrap();
    let filter = Filter {
        model: cirron_core::rules::Glob::of_text("m-1"),
        ..Filter::default()
    };
    let mut out = Vec::new();
    draw(&batches, filter, DRAWING, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.matches("request POST").count(), 1, "{text}");
    assert!(text.contains("served 1 POST /v1\n"), "{text}");
    assert!(!text.contains("below the call"), "{text}");
}

#[test]
fn verbose_shows_all_that_there_is() {
    let mut open = request("b", "a", "/v1", 1_795_763_190_123);
    open["end_ns"] = Value::Null;
    open["attrs"]["server.port"] = 8000.into();
    let idle = span("i", None, "cirron.session", 0, json!({}));
    let marks = [
        mark("b", "x_ms", json!(1.234_567), json!({"estimated": true})),
        mark("b", "y", Value::Null, json!({})),
        json!({"span_id": "b", "name": "z", "value": null, "value_nonfinite": "nan", "kind": "summary"}),
        json!({"span_id": "b", "name": "chunk_ms", "value": 1.5, "kind": "point"}),
    ];
    assert_eq!(
        tree(&[session("a", 42), open, idle], &marks, VERBOSE),
        "\
cirron.session — 5.0ms from 1970-01-01 00:00:00 UTC
    start=1970-01-01T00:00:00.000Z
cirron.session uvicorn, pid 42 — 5.0ms from 2026-11-27 07:06:30 UTC
  served 1 POST /v1
    start=2026-11-27T07:06:30.000Z  pid=42  process.executable.name=uvicorn
  request POST /v1  200  open
      start=2026-11-27T07:06:30.123Z  http.request.method=POST  http.response.status_code=200  server.port=8000
      url.path=/v1  x_ms=~1.234567  y=null  z=nan  (1 marks that are points)
"
    );
}

#[test]
fn sessions_in_which_nothing_happened_are_left_out_unless_there_is_nothing_else() {
    let idle = [session("a", 42), session("b", 43)];
    let text = tree(&idle, &[], DRAWING);
    assert_eq!(text.matches("nothing seen").count(), 2, "{text}");
    let mut blind = session("c", 44);
    blind["attrs"]["cirron.tls.blind"] = "rustls in a\u{9b}b".into();
    blind["attrs"]["cirron.tls.unread_connections"] = 3.into();
    let all = [
        idle.as_slice(),
        &[blind, session("d", 45), request("e", "d", "/", 1)],
    ]
    .concat();
    let text = tree(&all, &[], DRAWING);
    assert!(
        text.contains("pid 44 — 5.0ms from 2026-11-27 07:06:30 UTC\n  nothing seen\n  3 TLS connections could not be read; \
                       TLS that cannot be read: rustls in a\\u{9b}b\n"),
        "{text}"
    );
    assert!(
        text.ends_with("(2 sessions in which nothing was seen: -v shows)\n"),
        "{text}"
    );
    assert_eq!(text.matches("pid ").count(), 2, "{text}");
}

#[test]
fn the_latest_of_many_are_drawn_and_all_are_counted() {
    let mut spans = vec![session("a", 42)];
    for n in 0..50_u64 {
        spans.push(request(&format!("r{n}"), "a", &format!("/{}", n % 2), n));
    }
    let text = tree(
        &spans,
        &[],
        Drawing {
            limit: 2,
            ..DRAWING
        },
    );
    assert!(
        text.contains("served 25 POST /0, 25 POST /1\n  ... 48 earlier\n"),
        "{text}"
    );
    assert_eq!(text.matches("  request ").count(), 2, "{text}");
    let text = tree(
        &spans,
        &[],
        Drawing {
            limit: 0,
            ..DRAWING
        },
    );
    assert!(text.contains("... 1 earlier"), "{text}");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut spans = vec![session("a", 42)];
    for n in 0..60_usize {
        let mut span = request(&format!("r{n}"), "a", &"/long漢".repeat(n), 7);
        span["attrs"]["gen_ai.request.model"] = "m".repeat(n * 3).into();
        span["attrs"]["cirron.partial"] = true.into();
        span["attrs"]["error.type"] = "e".repeat(n).into();
        spans.push(span);
    }
    for width in [60, 80, 120, 200] {
        let text = tree(&spans, &[], Drawing { width, ..DRAWING });
        let widest = text.lines().map(columns).max().unwrap();
        assert!(widest <= width, "{width}: {widest}\n{text}");
    }
    let text = tree(&spans, &[], DRAWING);
    assert!(text.contains(" more paths\n"), "{text}");
}

/// Whatever a name holds: controls, overrides of direction, what is invisible.
#[test]
fn no_text_of_a_spool_drives_the_terminal() {
    let evil = "\u{1b}[2J\u{9b}1m\n\r\u{202e}\u{2066}\u{200b}\u{61c}\u{2028}\u{7f}";
    let mut session = session("a", 42);
    session["attrs"]["process.executable.name"] = evil.into();
    session["attrs"]["cirron.tls.blind"] = evil.into();
    session["attrs"][evil] = evil.into();
    let mut chat = request("b", "a", evil, 1);
    for name in [
        "error.type",
        "gen_ai.request.model",
        "cirron.aborted_by",
        "rpc.response.status_code",
        evil,
    ] {
        chat["attrs"][name] = evil.into();
    }
    chat["attrs"]["list"] = json!([evil]);
    let scope = span("c", Some("a"), evil, 2, json!({}));
    let marks = [
        mark("b", evil, evil.into(), json!({})),
        mark("b", "output_tokens", evil.into(), json!({})),
        json!({"span_id": "b", "name": "z", "value": null, "value_nonfinite": evil, "kind": "summary"}),
    ];
    for drawing in [DRAWING, VERBOSE] {
        let text = tree(
            &[session.clone(), chat.clone(), scope.clone()],
            &marks,
            drawing,
        );
        for line in text.lines() {
            assert_eq!(shown(line), line);
        }
        assert!(
            text.contains("\\u{1b}[2J\\u{9b}1m\\n\\r\\u{202e}"),
            "{text}"
        );
    }
}

#[test]
fn a_chain_of_scopes_is_drawn_to_its_depth() {
    let mut spans = vec![session("0", 42)];
    for n in 1..20_000_u64 {
        let parent = (n - 1).to_string();
        spans.push(span(&n.to_string(), Some(&parent), "scope", n, json!({})));
    }
    let (text, left) = Files::new(&[(&spans, &[])]).draw(DRAWING);
    assert_eq!(text.lines().count(), plan::MAX_DEPTH + 2, "{text}");
    assert!(text.contains("... 19984 spans below\n"), "{text}");
    assert_eq!(left, LeftOut::default());
}

#[test]
fn circles_are_counted() {
    let spans = [
        session("a", 42),
        request("b", "a", "/", 1),
        request("self", "self", "/", 1),
        request("x", "y", "/", 1),
        request("y", "x", "/", 1),
        request("below", "x", "/", 1),
    ];
    let (text, left) = Files::new(&[(&spans, &[])]).draw(DRAWING);
    assert_eq!(text.matches("  request").count(), 1, "{text}");
    assert_eq!(left.circling, 4);
    assert_eq!(
        left.sentences(),
        ["left out: spans that hang on one another in a circle: 4"]
    );
    let (text, left) = Files::new(&[(&spans[2..], &[])]).draw(DRAWING);
    assert_eq!((text.as_str(), left.circling), ("(no spans)\n", 4));
}

#[test]
fn a_span_without_its_session_is_drawn_and_says_so() {
    let text = tree(&[request("b", "gone", "/v1", 1)], &[], DRAWING);
    assert_eq!(
        text,
        "request POST /v1  200  5.0ms  its session is not in the spool\n"
    );
}

#[test]
fn of_two_with_one_id_the_closed_one_is_drawn_else_the_later() {
    let mut open = session("a", 42);
    open["end_ns"] = Value::Null;
    let closed = session("a", 42);
    let one = |id: &str, path: &str| request(id, "a", path, 1);
    for batches in [
        [
            vec![
                open.clone(),
                one("r", "/old"),
                one("q", "/q1"),
                one("q", "/q2"),
            ],
            vec![closed.clone(), one("r", "/new")],
        ],
        [
            vec![
                closed.clone(),
                one("r", "/old"),
                one("q", "/q1"),
                one("q", "/q2"),
            ],
            vec![open.clone(), one("r", "/new")],
        ],
    ] {
        let files = Files::new(&[(&batches[0], &[]), (&batches[1], &[])]);
        let (text, _) = files.draw(DRAWING);
        assert!(
            text.contains("pid 42 — 5.0ms from")
                && text.contains("served 1 POST /new, 1 POST /q2\n"),
            "{text}"
        );
        assert!(
            text.contains("request POST /new") && text.contains("request POST /q2"),
            "{text}"
        );
    }
}

#[test]
fn spans_past_the_most_are_the_oldest_and_counted() {
    let one = |n: u64| {
        vec![
            session("a", 42),
            request(&n.to_string(), "a", &format!("/{n}"), n),
        ]
    };
    let batches: Vec<Vec<Value>> = (0..5).map(one).collect();
    let batches: Vec<(&[Value], &[Value])> =
        batches.iter().map(|b| (b.as_slice(), &[][..])).collect();
    let (text, left) = Files::new(&batches).draw_within(DRAWING, 3, MAX_ROW_BYTES);
    assert!(text.contains("served 1 POST /3, 1 POST /4\n"), "{text}");
    assert_eq!(left.old, 3);
}

#[test]
fn lines_and_what_stands_on_them_are_bounded() {
    let mut spans = vec![session("a", 42)];
    for n in 0..MAX_LINES as u64 + 10 {
        spans.push(request(&n.to_string(), "a", "/", n));
    }
    let all = Drawing {
        limit: usize::MAX,
        ..DRAWING
    };
    let files = Files::new(&[(&spans, &[])]);
    let (text, left) = files.draw(all);
    assert_eq!(text.matches("  request").count(), MAX_LINES - 1);
    assert_eq!(left.past, 11);

    let mut attrs = String::from("{");
    for n in 0..300 {
        let _ = write!(attrs, "\"a{n}\":\"{}\",", "x".repeat(5_000));
    }
    let attrs: Value = serde_json::from_str(&(attrs + "\"z\":1}")).unwrap();
    let big = [span("b", None, &"n".repeat(5_000), 1, attrs)];
    let text = tree(&big, &[], VERBOSE);
    assert!(text.len() < 300_000 && text.contains("(101 more, for which there is no room)"));
    let (text, _) = Files::new(&[(&big, &[])]).draw_within(VERBOSE, 9, 10_000);
    assert!(
        text.contains("(291 more, for which there is no room)"),
        "{}",
        text.len()
    );
}

#[test]
fn an_empty_spool_says_so() {
    assert_eq!(tree(&[], &[], DRAWING), "(no spans)\n");
}

/// Its writer removed a batch between the two readings.
#[test]
fn a_batch_that_is_evicted_between_the_readings_is_no_failure() {
    let files = Files::new(&[
        (&[session("a", 42), request("b", "a", "/old", 1)], &[]),
        (&[request("c", "a", "/new", 2)], &[]),
    ]);
    let batches = Batches::list(files.0.path()).unwrap();
    let mut index = Index::new(MAX_SPANS, Filter::default());
    batches.read_newest_first(&mut index, Index::begin);
    std::fs::remove_file(files.0.path().join(format!("{:020}-aa.json", 0))).unwrap();
    let mut out = Vec::new();
    let left = draw_indexed(&batches, &index, DRAWING, &mut out, MAX_ROW_BYTES).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.lines().next(), Some("(evicted meanwhile)"));
    assert!(text.contains("  request POST /new  200  5.0ms\n"), "{text}");
    assert_eq!(left, LeftOut::default());
}

#[test]
fn a_filter_leaves_scopes_out_and_sessions_that_have_none_left() {
    let mut slow = request("b", "a", "/slow", 1);
    slow["end_ns"] = 9_000_000_000_u64.into();
    let mut blind = session("quiet", 44);
    blind["attrs"]["cirron.tls.blind"] = "rustls".into();
    let spans = [
        session("a", 42),
        slow,
        request("c", "a", "/quick", 2),
        span("d", Some("c"), "http.client", 2, json!({})),
        span("e", Some("b"), "http.client", 2, json!({})),
        session("other", 43),
        request("f", "other", "/quick", 2),
        request("orphan", "gone", "/quick", 2),
        blind,
    ];
    let filtered = |filter: Filter| {
        let files = Files::new(&[(&spans, &[])]);
        let batches = Batches::list(files.0.path()).unwrap();
        let mut out = Vec::new();
        let left = draw(&batches, filter, DRAWING, &mut out).unwrap();
        assert_eq!(left, LeftOut::default());
        String::from_utf8(out).unwrap()
    };
    let slower_than = |ns| Filter {
        slower_than_ns: Some(ns),
        ..Filter::default()
    };
    assert_eq!(
        filtered(slower_than(1_000_000_000)),
        "\
cirron.session uvicorn, pid 42 — 5.0ms from 2026-11-27 07:06:30 UTC
  served 1 POST /slow
  request POST /slow  200  9.00s
    http.client            5.0ms
(3 scopes that the filter leaves out)
"
    );
    assert_eq!(
        filtered(slower_than(u64::MAX)),
        "(4 scopes that the filter leaves out)\n"
    );
}
