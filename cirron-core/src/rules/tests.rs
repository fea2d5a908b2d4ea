//! Layers, what they are refused for, and which rules hold when.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use super::schema::{MAX_CHOICES, MAX_PROBLEMS, MAX_RULES};
use super::*;
use crate::exchange::Role;

fn configured(rules: Value) -> Rules {
    Rules::read([json!({ "rules": rules })]).unwrap()
}

/// ProcessRules of a process of which nothing is known.
fn matching(configured: &Rules, hash: u64) -> Matching {
    let rules = configured.general().unwrap();
    let mut matching = Matching::new(rules.clone(), Role::Server, hash);
    matching.take_request(Some(("POST", "/v1/chat/completions")));
    matching
}

const NOTHING: Known<'static> = Known {
    status: None,
    model: None,
    is_all: false,
};

fn all(status: u16, model: &str) -> Known<'_> {
    Known {
        status: Some(status),
        model: Some(model),
        is_all: true,
    }
}

/// What a layer is refused for, as it is said.
fn refused(layer: Value) -> Vec<String> {
    let problems = Rules::read([layer]).unwrap_err();
    problems.iter().map(Problem::to_string).collect()
}

#[test]
fn every_way_to_be_wrong_is_told_with_its_place_and_what_would_be_right() {
    for (layer, place, what, fix) in [
        (
            json!([]),
            "",
            "this is no table",
            "the keys are rules, targets",
        ),
        (
            json!({"rule": []}),
            "rule",
            "no such key",
            "did you mean `rules`?",
        ),
        (
            json!({"rules": {}}),
            "rules",
            "no list of tables",
            "[[rules]]",
        ),
        (
            json!({"rules": [7]}),
            "rules[0]",
            "this is no table",
            "the keys are role, method,",
        ),
        (
            json!({"rules": [{"pth": "/x", "ignore": true}]}),
            "rules[0].pth",
            "no such key",
            "did you mean `path`? the keys are role, method, path,",
        ),
        (
            json!({"rules": [{"zzzz": 1}]}),
            "rules[0].zzzz",
            "no such key",
            "the keys are role",
        ),
        (
            json!({"rules": [{"path": "/x"}]}),
            "rules[0]",
            "sets nothing",
            "set one of ignore, sample,",
        ),
        (
            json!({"rules": [{"ignore": "yes"}]}),
            "rules[0].ignore",
            "not taken",
            "it is true or false",
        ),
        (
            json!({"rules": [{"ignore": true}, {"path": ["/x", "y"], "ignore": true}]}),
            "rules[1].path[1]",
            "not taken",
            "it is a path, or a list of them",
        ),
        (
            json!({"rules": [{"sample": 0}]}),
            "rules[0].sample",
            "not taken",
            "from 1 to 1000000",
        ),
        (
            json!({"rules": [{"sample": 0.1}]}),
            "rules[0].sample",
            "not taken",
            "one in how many",
        ),
        (
            json!({"rules": [{"status": 99, "ignore": true}]}),
            "rules[0].status",
            "not taken",
            "\"5xx\"",
        ),
        (
            json!({"rules": [{"role": "proxy", "ignore": true}]}),
            "rules[0].role",
            "not taken",
            "\"server\" or \"client\"",
        ),
        (
            json!({"rules": [{"marks": {"output_tokens": "n"}}]}),
            "rules[0].marks.output_tokens",
            "a mark of that name has another meaning",
            "a table of names and fields",
        ),
        (
            json!({"rules": [{"marks": {"x": "a..b"}}]}),
            "rules[0].marks.x",
            "not taken",
            "a table of names and fields",
        ),
        (
            json!({"rules": [{"request_headers": ["x-tenant", "Authorization"]}]}),
            "rules[0].request_headers[1]",
            "may carry credentials, and is not written",
            "none that carries credentials",
        ),
        (
            json!({"rules": [{"method": [], "ignore": true}]}),
            "rules[0].method",
            "from 1 to 64 entries",
            "`method` is a method",
        ),
    ] {
        let said = refused(layer.clone());
        let first = &said[0];
        let (line, second) = first.split_once("\n  ").unwrap();
        let (at, why) = line.split_once(": ").unwrap();
        assert_eq!(at, place, "{layer}: {first}");
        assert!(
            why.contains(what) && second.contains(fix),
            "{layer}: {first}"
        );
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once_and_the_list_has_an_end() {
    let layer = json!({"rules": [{"pth": 1}, {"sample": -1}, {"status": "x", "ignore": 1}]});
    assert_eq!(refused(layer).len(), 4);
    let many: Vec<Value> = (0..MAX_PROBLEMS + 9).map(|_| json!({"x": 1})).collect();
    assert_eq!(refused(json!({ "rules": many })).len(), MAX_PROBLEMS);
}

#[test]
fn rules_choices_and_texts_past_their_bounds_are_refused() {
    let rules = |n: usize| vec![json!({"ignore": true}); n];
    assert_eq!(configured(json!(rules(MAX_RULES))).rule_count(), MAX_RULES);
    let said = refused(json!({ "rules": rules(MAX_RULES + 1) }));
    assert!(
        said[0].starts_with("rules[256]: there are too many rules"),
        "{said:?}"
    );
    let paths = |n: usize| json!({"rules": [{"path": vec!["/x"; n], "ignore": true}]});
    assert!(Rules::read([paths(MAX_CHOICES)]).is_ok());
    assert!(Rules::read([paths(MAX_CHOICES + 1)]).is_err());
    let name = |n: usize| json!({"rules": [{"name": "x".repeat(n)}]});
    assert!(Rules::read([name(128)]).is_ok());
    assert!(Rules::read([name(129)]).is_err());
}

#[test]
fn a_problem_repeats_no_value_and_a_key_only_as_far_as_it_is_short() {
    let secret = "s3cret".repeat(100);
    let layer =
        json!({"rules": [{"path": secret, "ignore": secret, "a\nb": secret, (&*secret): 1}]});
    for said in refused(layer) {
        assert!(!said.contains(&"s3cret".repeat(10)), "{said}");
        assert_eq!(said.lines().count(), 2, "{said:?}");
    }
}

#[test]
fn for_each_setting_the_first_rule_that_has_it_and_holds_decides() {
    let configured = configured(json!([
        {"status": "5xx", "sample": 1},
        {"path": "/v1/**", "sample": 10, "name": "api"},
        {"sample": 100, "name": "rest", "chunk_timing": true},
    ]));
    let matching = matching(&configured, 7);
    let sample = |status| matching.pick(all(status, "m"), |then| then.sample);
    assert_eq!(sample(500), Pick::Certain(Some(1)));
    assert_eq!(sample(200), Pick::Certain(Some(10)));
    let name = matching.pick(NOTHING, |then| then.name.as_deref());
    assert_eq!(name, Pick::Certain(Some("api")), "no status is asked for");
    let points = matching.pick(NOTHING, |then| then.chunk_timing);
    assert_eq!(points, Pick::Certain(Some(true)));
    assert_eq!(
        matching.pick(NOTHING, |then| then.ignore),
        Pick::Certain(None)
    );
}

#[test]
fn what_waits_for_the_status_or_the_model_is_open_until_it_is_known() {
    let configured = configured(json!([
        {"status": [404, "5xx"], "model": "gpt-*", "ignore": false},
        {"path": "/v1/**", "ignore": true},
    ]));
    let matching = matching(&configured, 0);
    let known = |status, model| Known {
        status,
        model,
        is_all: false,
    };
    assert_eq!(matching.verdict(NOTHING), None);
    assert_eq!(matching.verdict(known(Some(500), None)), None);
    assert_eq!(
        matching.verdict(known(Some(200), None)),
        Some(Verdict::Ignored)
    );
    assert_eq!(
        matching.verdict(known(None, Some("llama"))),
        Some(Verdict::Ignored)
    );
    let written = Some(Verdict::Written { one_in: None });
    assert_eq!(matching.verdict(known(Some(404), Some("gpt-4"))), written);
    // Nobody named a model, and nobody will.
    let over = Known {
        status: Some(500),
        model: None,
        is_all: true,
    };
    assert_eq!(matching.verdict(over), Some(Verdict::Ignored));
}

#[test]
fn what_is_not_known_of_a_request_meets_no_condition() {
    let configured = configured(json!([
        {"path": "/healthz", "ignore": true},
        {"method": "GET", "ignore": true},
        {"role": "client", "ignore": true},
        {"name": "any"},
    ]));
    let rules = configured.general().unwrap();
    let of = |role, line| {
        let mut matching = Matching::new(rules.clone(), role, 0);
        matching.take_request(line);
        matching.verdict(NOTHING) == Some(Verdict::Ignored)
    };
    assert!(!of(Role::Server, None));
    assert!(of(Role::Client, None));
    assert!(of(Role::Server, Some(("POST", "/healthz"))));
    assert!(of(Role::Server, Some(("GET", "/x"))));
    assert!(
        !of(Role::Server, Some(("get", "/x"))),
        "methods have a case"
    );
    assert!(!of(Role::Server, Some(("POST", "/x"))));
}

#[test]
fn one_in_so_many_is_taken_and_the_same_ones_again() {
    let configured = configured(json!([{"sample": 10}]));
    let taken = |from: u64| {
        let hashes = (0..20_000).map(|i| hash(from + i * 1_337, 7, i % 3));
        let kept = hashes.filter(|hash| {
            let verdict = matching(&configured, *hash).verdict(NOTHING);
            verdict == Some(Verdict::Written { one_in: Some(10) })
        });
        kept.count()
    };
    // 2 000, with a deviation of 42.
    assert!((1_800..2_200).contains(&taken(1)), "{}", taken(1));
    assert_eq!(taken(1), taken(1));
    assert!(
        (1_800..2_200).contains(&taken(1 << 60)),
        "{}",
        taken(1 << 60)
    );
    // Pipelined requests of one read differ in their number alone.
    let numbers = (0..1_000).filter(|n| hash(5, 5, *n).is_multiple_of(10));
    assert!((60..140).contains(&numbers.count()));
}

#[test]
fn layers_are_asked_in_their_order_and_the_target_s_config_last() {
    let file = json!({"rules": [{"path": "/a", "chunk_timing": false}, {"name": "file"}]});
    let flags = json!({"rules": [{"path": "/b", "chunk_timing": true}]});
    let configured = Rules::read([flags.clone(), file.clone()]).unwrap();
    assert_eq!(configured.layers().collect::<Vec<_>>(), [&flags, &file]);
    let config = json!({
        "stream_chunk_timing": true,
        "cirron": {"rules": [{"name": "own", "sample": 5}, {"path": "/c", "chunk_timing": false}]},
        "password": "x",
    });
    let (rules, problems) = configured.for_process((None, None), Some(&config.to_string()));
    assert!(problems.is_empty());
    let rules = rules.unwrap();
    let points = |path| {
        let mut matching = Matching::new(rules.clone(), Role::Server, 0);
        matching.take_request(Some(("GET", path)));
        let name = matching.pick(NOTHING, |then| then.name.clone());
        assert_eq!(name, Pick::Certain(Some("file".to_owned())));
        assert_eq!(
            matching.pick(NOTHING, |then| then.sample),
            Pick::Certain(Some(5))
        );
        matching.pick(NOTHING, |then| then.chunk_timing)
    };
    assert_eq!(points("/a"), Pick::Certain(Some(false)));
    assert_eq!(points("/b"), Pick::Certain(Some(true)));
    assert_eq!(points("/c"), Pick::Certain(Some(false)));
    assert_eq!(points("/d"), Pick::Certain(Some(true)));
}

#[test]
fn rules_for_other_processes_are_none_of_this_one() {
    let configured = configured(json!([{"process": ["uvicorn", "python3*"], "ignore": true}]));
    let has = |name| configured.for_process((name, None), None).0.is_some();
    assert!(has(Some("uvicorn")) && has(Some("python3.12")));
    assert!(!has(Some("node")) && !has(None));
    assert!(configured.general().is_none());
}

#[test]
fn of_a_config_the_wrong_part_is_told_and_the_rest_taken() {
    let configured = Rules::default();
    let read = |config: Value| {
        let (rules, problems) = configured.for_process((None, None), Some(&config.to_string()));
        let said: Vec<String> = problems.iter().map(Problem::to_string).collect();
        (rules.map_or(0, |rules| rules.list().len()), said)
    };
    let (rules, said) = read(json!({
        "stream_chunk_timing": null,
        "cirron": {"rules": [
            // A condition is wrong, or a key unknown: not taken, it would hold for more than was meant.
            {"path": "x", "ignore": true},
            {"pth": "/x", "ignore": true},
            // A setting is wrong: the others are taken.
            {"path": "/x", "ignore": true, "sample": "x"},
            {"request_headers": ["cookie", "x-tenant"]},
        ]},
    }));
    assert_eq!(rules, 2, "{said:?}");
    let places: Vec<&str> = said
        .iter()
        .map(|said| said.split(':').next().unwrap())
        .collect();
    let want = [
        "cirron.rules[0].path",
        "cirron.rules[1].pth",
        "cirron.rules[2].sample",
        "cirron.rules[3].request_headers[0]",
        "stream_chunk_timing",
    ];
    assert_eq!(places, want);
    for nothing in [
        json!([]),
        json!("x"),
        json!({"a": 1}),
        json!({"stream_chunk_timing": "x"}),
    ] {
        assert_eq!(read(nothing).0, 0);
    }
}

#[test]
fn of_a_config_only_what_is_ours_is_kept() {
    let kept = |config: &str| wanted_config(config).map(|text| text.parse::<Value>().unwrap());
    let rules = json!({"rules": [{"sample": 3}]});
    let config = json!({"a": "s", "stream_chunk_timing": true, "cirron": rules, "b": {"key": "s"}});
    let want = json!({"stream_chunk_timing": true, "cirron": rules});
    assert_eq!(kept(&config.to_string()), Some(want));
    // That something was there is kept, what it was is not.
    let wrong = json!({"stream_chunk_timing": "s", "cirron": "s"}).to_string();
    assert_eq!(
        kept(&wrong),
        Some(json!({"stream_chunk_timing": null, "cirron": null}))
    );
    for nothing in ["postgres://u:s@h/db", "[\"s\"]", "", "{\"key\":\"s\"}"] {
        assert_eq!(kept(nothing), None, "{nothing}");
    }
}

#[test]
fn a_rule_of_a_target_holds_for_what_is_called_so() {
    let configured =
        configured(json!([{"target": ["llama*", "x"], "process": "py*", "ignore": true}]));
    let has = |names| configured.for_process(names, None).0.is_some();
    assert!(has((Some("python3"), Some("llama-8b"))));
    for names in [
        (Some("python3"), None),
        (Some("python3"), Some("mistral")),
        (Some("node"), Some("llama-8b")),
        (None, Some("llama-8b")),
    ] {
        assert!(!has(names), "{names:?}");
    }
}
