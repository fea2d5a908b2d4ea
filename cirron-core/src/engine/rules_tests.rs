//! HTTP exchanges of processes with rules: what is written, what is counted, and when a change holds.
#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "tests")]

use cirron_common::record::{close, source};
use serde_json::{Value, json};

use super::{Engine, EngineConfig, Output, ProcessFacts};
use crate::id::{Id, IdSource, SequentialIds};
use crate::rules::Rules;
use crate::scope::{AttrValue, Mark, MarkValue, Span, names as n};
use crate::stream::Direction;
use crate::testing::records::{ConnRecords, TGID, exit};
use crate::testing::split::{Fed, assert_gap_safe, assert_split_invariant};
use crate::time::{MS, MonoNs};

/// What an engine has written and counted.
struct Written {
    sessions: Vec<Span>,
    scopes: Vec<(Span, Vec<Mark>)>,
    engine: Engine,
}

impl Written {
    fn paths(&self) -> Vec<String> {
        let path = |(span, _): &(Span, _)| match span.attrs.get(n::PATH) {
            Some(AttrValue::Str(path)) => path.to_string(),
            other => panic!("{other:?}"),
        };
        self.scopes.iter().map(path).collect()
    }

    /// A count of the session at its end.
    fn session(&self, name: &str) -> Option<i64> {
        match self.sessions.last().unwrap().attrs.get(name)? {
            AttrValue::Int(count) => Some(*count),
            other => panic!("{other:?}"),
        }
    }
}

struct Rig {
    engine: Engine,
    calls: u64,
}

fn configured(rules: Value) -> Rules {
    Rules::read([json!({ "rules": rules })]).unwrap()
}

fn facts(config: &str) -> ProcessFacts {
    let env = [("CONFIG".to_owned(), config.to_owned())];
    ProcessFacts {
        tgid: TGID,
        env: env.into_iter().filter(|(_, c)| !c.is_empty()).collect(),
        exe: Some("uvicorn".into()),
        ..ProcessFacts::default()
    }
}

impl Rig {
    fn new(rules: Value) -> Rig {
        Rig::with(configured(rules), "", Box::new(SequentialIds::default()))
    }

    fn with(configured: Rules, config: &str, ids: Box<dyn IdSource + Send>) -> Rig {
        let config_of_engine = EngineConfig {
            rules: configured,
            max_memory_bytes: None,
        };
        let mut engine = Engine::new(config_of_engine, ids);
        engine.handle_process(facts(config));
        Rig { engine, calls: 0 }
    }

    /// A connection of its own, on which a request was read.
    fn ask(&mut self, request: &[u8]) -> (ConnRecords, u64) {
        self.calls += 1;
        let conn = ConnRecords {
            conn: self.calls,
            epoch: 1,
            source: source::SOCKET,
        };
        let at = self.calls * 10 * MS;
        self.engine.handle_record(&conn.open(at));
        let len = request.len() as u64;
        let data = conn.data(Direction::Inbound, 0, at, request, len);
        self.engine.handle_record(&data);
        (conn, at)
    }

    fn answer(&mut self, (conn, at): (ConnRecords, u64), parts: &[Fed<'_>]) {
        let mut pos = 0;
        for part in parts {
            let (bytes, len) = match part {
                Fed::Data(bytes) => (*bytes, bytes.len() as u64),
                Fed::Gap(len) => (&[][..], *len),
            };
            let data = conn.data(Direction::Outbound, pos, at + MS, bytes, len);
            self.engine.handle_record(&data);
            pos += len;
        }
        let end = conn.close(at + 2 * MS, close::LOCAL_CLOSE);
        self.engine.handle_record(&end);
    }

    fn call(&mut self, request: &[u8], response: &[u8]) {
        let asked = self.ask(request);
        self.answer(asked, &[Fed::Data(response)]);
    }

    fn get(&mut self, path: &str, status: u16) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
        self.call(request.as_bytes(), response.as_bytes());
    }

    fn end(mut self) -> Written {
        self.engine
            .handle_shutdown(MonoNs((self.calls + 1_000) * 10 * MS));
        let (mut sessions, mut scopes) = (Vec::new(), Vec::new());
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Session(span) => sessions.push(span),
                Output::Scope { span, marks } => scopes.push((span, marks)),
                Output::Open(_)
                | Output::Watched(_)
                | Output::Unplaced { .. }
                | Output::Mute { .. } => {}
            }
        }
        Written {
            sessions,
            scopes,
            engine: self.engine,
        }
    }
}

fn post(path: &str, fields: &str, body: &str) -> Vec<u8> {
    let len = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {len}\r\n\r\n{body}").into()
}

fn response(kind: &str, body: &str) -> Vec<u8> {
    let len = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\n\r\n{body}").into()
}

const ASKED: &str = r#"{"model":"gpt-4","stream":true,"messages":[{"role":"user","content":"x"}]}"#;
const EVENTS: &str = concat!(
    "data: {\"object\":\"chat.completion.chunk\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one\"}}],\"seen\":1}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"two\"},\"finish_reason\":\"stop\"}],\"seen\":2}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,\"total_tokens\":7}}\n\n",
    "data: [DONE]\n\n",
);

#[test]
fn what_a_rule_ignores_is_no_span_and_is_counted() {
    let mut rig = Rig::new(json!([
        {"path": "/healthz", "status": "5xx", "ignore": false},
        {"path": "/healthz", "ignore": true},
        {"status": 404, "ignore": true},
    ]));
    for (path, status) in [
        ("/healthz", 200),
        ("/healthz", 503),
        ("/x", 404),
        ("/x", 200),
    ] {
        rig.get(path, status);
    }
    let written = rig.end();
    assert_eq!(written.paths(), ["/healthz", "/x"]);
    let stats = written.engine.stats();
    assert_eq!(
        (stats.exchanges, stats.requests, stats.ignored_exchanges),
        (4, 4, 2)
    );
    assert_eq!(written.session(n::IGNORED_EXCHANGES), Some(2));
    assert_eq!(written.session(n::SAMPLED_OUT_EXCHANGES), None);
    assert_eq!(written.engine.held_bytes(), 0);
}

#[test]
fn what_is_ignored_for_certain_is_read_no_further_and_what_is_left_out_counts_as_any_other() {
    let calls = |rules: Value| {
        let mut rig = Rig::new(rules);
        for _ in 0..50 {
            let request = post("/v1/chat/completions", "", ASKED);
            rig.call(&request, &response("text/event-stream", EVENTS));
        }
        let written = rig.end();
        let stats = written.engine.stats();
        (written.scopes.len(), stats.llm_calls, stats.output_tokens)
    };
    assert_eq!(calls(json!([{"name": "x"}])), (50, 50, 100));
    assert_eq!(
        calls(json!([{"path": "/v1/**", "ignore": true}])),
        (0, 0, 0)
    );
    assert_eq!(calls(json!([{"sample": 1_000_000}])), (0, 50, 100));
}

#[test]
fn of_those_that_are_sampled_one_in_so_many_is_written_and_the_true_number_is_there() {
    let mut rig = Rig::new(json!([{"status": "5xx", "sample": 1}, {"path": "/a", "sample": 8}]));
    for i in 0..800 {
        rig.get("/a", if i % 100 == 0 { 500 } else { 200 });
    }
    rig.get("/b", 200);
    let written = rig.end();
    let one_in = |(span, _): &&(Span, _)| span.attrs.get(n::SAMPLED_ONE_IN) == Some(&8_i64.into());
    let sampled = written.scopes.iter().filter(one_in).count();
    // 99, with a deviation of 9.
    assert!((60..140).contains(&sampled), "{sampled}");
    assert_eq!(written.scopes.len(), sampled + 8 + 1);
    let left_out = written.session(n::SAMPLED_OUT_EXCHANGES).unwrap();
    assert_eq!(left_out, 792 - i64::try_from(sampled).unwrap());
    assert_eq!(
        written.engine.stats().sampled_out_exchanges,
        792 - sampled as u64
    );
}

/// Ids that are others than those of [`SequentialIds`].
struct OtherIds(u8);

impl IdSource for OtherIds {
    fn next_id(&mut self) -> Id {
        self.0 = self.0.wrapping_mul(31).wrapping_add(7);
        Id([self.0; 16])
    }
}

#[test]
fn the_same_records_are_sampled_alike_whatever_ids_they_get() {
    let paths = |ids: Box<dyn IdSource + Send>| {
        let mut rig = Rig::with(configured(json!([{"sample": 3}])), "", ids);
        (0..60).for_each(|i| rig.get(&format!("/{i}"), 200));
        rig.end().scopes.len()
    };
    let kept = paths(Box::<SequentialIds>::default());
    assert!((5..40).contains(&kept), "{kept}");
    assert_eq!(paths(Box::new(OtherIds(1))), kept);
}

#[test]
fn a_process_of_which_all_is_ignored_has_a_session_that_says_so() {
    let mut rig = Rig::new(json!([{"ignore": true}]));
    rig.get("/x", 200);
    rig.engine.handle_record(&exit(100 * MS));
    let written = rig.end();
    assert_eq!((written.scopes.len(), written.sessions.len()), (0, 2));
    assert_eq!(written.session(n::IGNORED_EXCHANGES), Some(1));
}

#[test]
fn names_templates_headers_and_fields_are_written_where_their_rule_holds() {
    let mut rig = Rig::new(json!([
        {
            "path": "/users/{id}/score",
            "name": "score",
            "marks": {"score": "result.score", "heat": "request.params.temperature", "why": "result.why"},
            "request_headers": ["X-Tenant", "x-proof"],
            "response_headers": "x-served-by",
        },
        {"status": "5xx", "name": "failed", "marks": {"code": "error.code", "score": "other"}},
    ]));
    let fields = "X-Tenant:  t7 \r\nx-proof: Bearer zq7canary\r\nX-Other: zq7canary\r\nContent-Type: application/json\r\n";
    let asked = r#"{"params":{"temperature":0.5,"x":"zq7canary"}}"#;
    let answered = concat!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Served-By: n1\r\nX-Served-By: n2\r\n",
        "Content-Length: 60\r\n\r\n",
        r#"{"result":{"score":7,"why":"ok"},"x":"zq7canary","error":{}}"#,
    );
    rig.call(&post("/users/7/score", fields, asked), answered.as_bytes());
    rig.get("/users/7", 500);
    let written = rig.end();
    let (span, marks) = &written.scopes[0];
    for (name, value) in [
        (n::NAME, Some("score")),
        (n::ROUTE, Some("/users/{id}/score")),
        (n::PATH, Some("/users/7/score")),
        ("http.request.header.x-tenant", Some("t7")),
        ("http.request.header.x-proof", None),
        ("http.response.header.x-served-by", Some("n1,n2")),
    ] {
        let want = value.map(|value| AttrValue::from(value.to_owned()));
        assert_eq!(span.attrs.get(name), want.as_ref(), "{name}");
    }
    let mark = |name: &str| marks.iter().find(|mark| mark.name == name).unwrap();
    assert_eq!(mark("score").value, MarkValue::Int(7));
    assert_eq!(mark("heat").value, MarkValue::Float(0.5));
    assert_eq!(mark("why").value, MarkValue::text("ok"));
    assert_eq!(
        mark("heat").attrs[n::FIELD],
        "request.params.temperature".into()
    );
    assert_eq!(marks.len(), 3);
    assert!(!format!("{:?}", written.scopes).contains("zq7canary"));
    let (failed, marks) = &written.scopes[1];
    assert_eq!(failed.attrs.get(n::NAME), Some(&"failed".into()));
    assert!(marks.is_empty() && failed.attrs.get(n::ROUTE).is_none());
}

/// The value of `seen` in a stream of events that is fed in these parts.
fn seen(parts: &[Fed<'_>]) -> Option<MarkValue> {
    let mut rig = Rig::new(json!([{"marks": {"seen": "seen"}}]));
    let asked = rig.ask(&post("/v1/chat/completions", "", ASKED));
    rig.answer(asked, parts);
    let written = rig.end();
    let marks = written.scopes.into_iter().flat_map(|(_, marks)| marks);
    marks
        .into_iter()
        .find(|mark| mark.name == "seen")
        .map(|mark| mark.value)
}

#[test]
fn of_a_stream_the_last_value_counts_and_a_hole_never_makes_an_older_one_the_last() {
    let bytes = response("text/event-stream", EVENTS);
    assert_eq!(
        assert_split_invariant(&bytes, seen),
        Some(MarkValue::Int(2))
    );
    assert_gap_safe(&bytes, seen, |value, hole| {
        let is_true = value.is_none() || *value == Some(MarkValue::Int(2));
        assert!(is_true, "{value:?} {hole:?}");
    });
}

fn points(written: &Written) -> Vec<usize> {
    let of = |(_, marks): &(Span, Vec<Mark>)| marks.iter().filter(|m| m.name == n::CHUNK).count();
    written.scopes.iter().map(of).collect()
}

#[test]
fn points_are_there_for_the_model_and_status_that_a_rule_names_and_for_no_other() {
    let mut rig = Rig::new(json!([
        {"status": 404, "chunk_timing": false},
        {"model": ["gpt-*", "m"], "chunk_timing": true},
    ]));
    let other = ASKED.replace("gpt-4", "llama");
    let unnamed = ASKED.replace("\"model\":\"gpt-4\",", "");
    let stream = response("text/event-stream", EVENTS);
    let absent = String::from_utf8(stream.clone())
        .unwrap()
        .replace("200 OK", "404 No");
    for (asked, answer) in [
        (ASKED, &stream[..]),
        (&other, &stream),
        // The answer names one, when its first points have passed.
        (&unnamed, &stream),
        (ASKED, absent.as_bytes()),
    ] {
        rig.call(&post("/v1/chat/completions", "", asked), answer);
    }
    assert_eq!(points(&rig.end()), [1, 0, 1, 0]);
}

#[test]
fn a_target_s_own_config_holds_where_the_agent_says_nothing_else() {
    let config = json!({
        "stream_chunk_timing": true,
        "cirron": {"rules": [{"name": "own"}, {"path": "/healthz", "ignore": true}, {"samples": 2}]},
    });
    let run = |rules: Value| {
        let ids = Box::new(SequentialIds::default());
        let mut rig = Rig::with(configured(rules), &config.to_string(), ids);
        let request = post("/v1/chat/completions", "", ASKED);
        rig.call(&request, &response("text/event-stream", EVENTS));
        rig.get("/healthz", 200);
        // The same facts again, as they come with news of libraries: nothing is told twice.
        rig.engine.handle_process(facts(&config.to_string()));
        // Nor of its workers.
        rig.engine.handle_process(ProcessFacts {
            tgid: TGID + 1,
            ..facts(&config.to_string())
        });
        let problems = rig.engine.take_config_problems();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].0, TGID);
        assert!(
            problems[0]
                .1
                .to_string()
                .starts_with("cirron.rules[2].samples: ")
        );
        assert_eq!(rig.engine.stats().config_problems, 1);
        let written = rig.end();
        let name = written.scopes[0].0.attrs.get(n::NAME).cloned();
        (points(&written), name)
    };
    assert_eq!(run(json!([])), (vec![1], Some("own".into())));
    let own = run(json!([{"chunk_timing": false, "name": "agent's", "ignore": false}]));
    assert_eq!(own, (vec![0, 0], Some("agent's".into())));
}

#[test]
fn other_rules_hold_for_what_begins_from_then_on() {
    let mut rig = Rig::new(json!([{"name": "old"}]));
    let open = rig.ask(b"GET /open HTTP/1.1\r\nHost: a\r\n\r\n");
    rig.engine
        .handle_rules(configured(json!([{"name": "new"}])));
    rig.get("/next", 200);
    rig.answer(
        open,
        &[Fed::Data(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")],
    );
    rig.engine.handle_rules(Rules::default());
    rig.get("/last", 200);
    let written = rig.end();
    let names: Vec<_> = written
        .scopes
        .iter()
        .map(|(span, _)| span.attrs.get(n::NAME))
        .collect();
    assert_eq!(written.paths(), ["/next", "/open", "/last"]);
    assert_eq!(names, [Some(&"new".into()), Some(&"old".into()), None]);
}

#[test]
fn a_rule_for_a_process_holds_for_that_one() {
    let mut rig = Rig::new(json!([{"process": "uvi*", "name": "mine"}]));
    rig.get("/a", 200);
    rig.engine.handle_process(ProcessFacts {
        exe: Some("node".into()),
        ..facts("")
    });
    rig.get("/b", 200);
    let written = rig.end();
    let named: Vec<bool> = written
        .scopes
        .iter()
        .map(|(s, _)| s.attrs.contains_key(n::NAME))
        .collect();
    assert_eq!(named, [true, false]);
}

#[test]
fn of_configs_past_those_that_are_remembered_each_process_is_counted() {
    let mut rig = Rig::new(json!([]));
    let mut begin = |tgid: u32, which: u32| {
        let config = json!({"cirron": {"rules": [{"name": ""}, {"name": which.to_string()}]}});
        rig.engine.handle_process(ProcessFacts {
            tgid,
            ..facts(&config.to_string())
        });
        rig.engine.stats().config_problems
    };
    for which in 0..256 {
        assert_eq!(begin(1_000 + which, which), u64::from(which) + 1);
        assert_eq!(begin(2_000 + which, which), u64::from(which) + 1);
    }
    assert_eq!(begin(3_000, 256), 257);
    assert_eq!(begin(3_001, 256), 258);
    // Of those that wait to be told there is an end.
    assert_eq!(rig.engine.take_config_problems().len(), 256);
    assert!(rig.engine.take_config_problems().is_empty());
}

fn cost(mark: &[Mark]) -> Option<f64> {
    let mark = mark.iter().find(|mark| mark.name.as_str() == n::COST)?;
    assert_eq!(mark.attrs.get(n::BASIS), Some(&AttrValue::from("tokens")));
    match mark.value {
        MarkValue::Float(usd) => Some(usd),
        _ => panic!("{mark:?}"),
    }
}

#[test]
fn a_call_has_a_cost_where_its_price_and_all_of_its_usage_are_known() {
    let chat = |usage: &str| {
        let body = format!(
            r#"{{"object":"chat.completion","model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"x"}},"finish_reason":"stop"}}]{usage}}}"#
        );
        ("/v1/chat/completions", response("application/json", &body))
    };
    let cached = r#","usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100,"prompt_tokens_details":{"cached_tokens":400}}"#;
    let plain = r#","usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}"#;
    let embedding = r#"{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"usage":{"prompt_tokens":1000,"total_tokens":1000}}"#;
    let embedding = ("/v1/embeddings", response("application/json", embedding));
    let counted = "data: {\"object\":\"chat.completion.chunk\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one\"}}]}\n\ndata: [DONE]\n\n";
    let counted = (
        "/v1/chat/completions",
        response("text/event-stream", counted),
    );
    let of = |model: &str, (path, answer): (&str, Vec<u8>)| {
        let mut rig = Rig::new(json!([
            {"model": "gpt-4*", "price": {"input": 2.0, "cached": 0.5, "output": 10}},
            {"model": "own-*", "price": {"input": 1, "output": 0}},
        ]));
        let body = format!(
            r#"{{"model":"{model}","input":"x","messages":[{{"role":"user","content":"x"}}]}}"#
        );
        rig.call(&post(path, "", &body), &answer);
        let written = rig.end();
        assert_eq!(written.scopes.len(), 1);
        cost(&written.scopes[0].1).map(|usd| (usd * 1e9).round() / 1e3)
    };
    // In millionths of a dollar: 600 * 2 + 400 * 0.5 + 100 * 10.
    assert_eq!(of("gpt-4o", chat(cached)), Some(2_400.0));
    assert_eq!(of("gpt-4o", chat(plain)), Some(3_000.0));
    assert_eq!(of("own-1", chat(cached)), Some(1_000.0));
    assert_eq!(of("gpt-4o", embedding), Some(2_000.0));
    // Unknown: the price, the usage, and what we counted ourselves.
    assert_eq!(of("other", chat(plain)), None);
    assert_eq!(of("gpt-4o", chat("")), None);
    assert_eq!(of("gpt-4o", counted), None);
}

#[test]
fn a_price_that_is_none_is_refused_with_its_place() {
    for (price, place) in [
        (json!(3), "price"),
        (json!({"input": 1}), "price"),
        (json!({"input": 1, "output": -1}), "price.output"),
        (json!({"input": 1, "output": 1, "in": 1}), "price.in"),
    ] {
        let problems = Rules::read([json!({"rules": [{"price": price}]})]).unwrap_err();
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(
            said.len() == 1 && said[0].contains(place),
            "{price}: {said:?}"
        );
    }
}

#[test]
fn requests_that_are_open_at_once_share_what_their_deployment_s_gpus_cost() {
    let by = |mark: &[Mark]| {
        let mark = mark.iter().find(|mark| mark.name.as_str() == n::COST)?;
        assert_eq!(mark.attrs.get(n::BASIS), Some(&AttrValue::from("gpu_hour")));
        match mark.value {
            MarkValue::Float(usd) => Some((usd * 1e6).round()),
            _ => panic!("{mark:?}"),
        }
    };
    // 0.002 dollars a millisecond.
    let mut rig = Rig::new(json!([
        {"path": "/v1/**", "gpu_price": {"hour": 3600, "gpus": 2}},
    ]));
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
    let first = rig.ask(&request("/v1/a"));
    let second = rig.ask(&request("/v1/b"));
    let health = rig.ask(&request("/health"));
    rig.answer(second, &[Fed::Data(answer)]);
    rig.answer(health, &[Fed::Data(answer)]);
    // From 10 to 20 ms and from 21 to 40 alone, one millisecond with the second.
    rig.answer((first.0, 39 * MS), &[Fed::Data(answer)]);
    let mut costs: Vec<(String, Option<f64>)> = Vec::new();
    let written = rig.end();
    let paths = written.paths();
    for (path, (_, marks)) in paths.into_iter().zip(&written.scopes) {
        costs.push((path, by(marks)));
    }
    costs.sort_by(|a, b| a.0.cmp(&b.0));
    let want = [
        ("/health", None),
        ("/v1/a", Some(59_000.0)),
        ("/v1/b", Some(1_000.0)),
    ];
    assert_eq!(costs, want.map(|(path, usd)| (path.to_owned(), usd)));
}

#[test]
fn a_price_of_tokens_goes_before_one_of_time_and_one_of_time_has_no_late_conditions() {
    let mut rig = Rig::new(json!([
        {"price": {"input": 1, "output": 1}, "gpu_price": {"hour": 1}},
    ]));
    rig.get("/v1/a", 200);
    let written = rig.end();
    // Its tokens are not known: no other price takes their place.
    assert!(
        written.scopes[0]
            .1
            .iter()
            .all(|mark| mark.name.as_str() != n::COST)
    );
    for (rule, place) in [
        (json!({"gpu_price": {"hour": 1}, "model": "m"}), "gpu_price"),
        (
            json!({"gpu_price": {"hour": 1}, "status": 200}),
            "gpu_price",
        ),
        (json!({"gpu_price": {"gpus": 1}}), "gpu_price"),
        (json!({"gpu_price": {"hour": "1"}}), "gpu_price.hour"),
        (json!({"gpu_price": {"hour": 1, "gpu": 1}}), "gpu_price.gpu"),
        (json!({"gpu_price": 1}), "gpu_price"),
    ] {
        let problems = Rules::read([json!({"rules": [rule]})]).unwrap_err();
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(
            said.len() == 1 && said[0].contains(place),
            "{rule}: {said:?}"
        );
    }
}
