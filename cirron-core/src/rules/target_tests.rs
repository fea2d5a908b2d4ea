#![expect(clippy::unwrap_used, reason = "tests")]

use std::cell::RefCell;

use serde_json::json;

use super::*;

/// A process of a table, which notes what it is asked.
#[derive(Default)]
struct Known {
    facts: Vec<(Fact, &'static str)>,
    env: Vec<(&'static str, &'static str)>,
    ports: Vec<u16>,
    listens_on_unix: bool,
    labels: Vec<(&'static str, &'static str)>,
    workload: Option<Workload>,
    asked: RefCell<Vec<Option<Fact>>>,
}

impl Candidate for Known {
    fn fact(&self, fact: Fact) -> Option<String> {
        self.asked.borrow_mut().push(Some(fact));
        let its = self.facts.iter().find(|(known, _)| *known == fact);
        its.map(|(_, value)| (*value).to_owned())
    }
    fn variable(&self, name: &str) -> Option<String> {
        let its = self.env.iter().find(|(known, _)| *known == name);
        its.map(|(_, value)| (*value).to_owned())
    }
    fn label(&self, name: &str) -> Option<String> {
        let its = self.labels.iter().find(|(known, _)| *known == name);
        its.map(|(_, value)| (*value).to_owned())
    }
    fn workload(&self) -> Workload {
        self.workload.unwrap_or(Workload::Known)
    }
    fn listens(&self, ports: Option<&[RangeInclusive<u16>]>) -> bool {
        self.asked.borrow_mut().push(None);
        match ports {
            None => self.listens_on_unix || !self.ports.is_empty(),
            Some(ranges) => self
                .ports
                .iter()
                .any(|port| ranges.iter().any(|r| r.contains(port))),
        }
    }
}

fn server() -> Known {
    Known {
        facts: vec![
            (Fact::Executable, "python3.11"),
            (Fact::Path, "/usr/bin/python3.11"),
            (
                Fact::Command,
                "/usr/bin/python3 -m vllm.entrypoints.openai.api_server",
            ),
            (Fact::User, "model"),
            (Fact::UserId, "1000"),
            (Fact::Cgroup, "/system.slice/vllm.service"),
            (Fact::Runtime, "python"),
            (Fact::Container, "0af1"),
            (Fact::ContainerName, "vllm"),
            (Fact::Image, "ghcr.io/vllm/vllm-openai:v0.6.1"),
            (Fact::Pod, "llama-7d4b9c-x2x"),
            (Fact::Namespace, "models"),
        ],
        labels: vec![("app", "vllm"), ("tier", "")],
        env: vec![("MODEL", "llama-3-8b"), ("EMPTY", "")],
        ports: vec![8000],
        ..Known::default()
    }
}

fn rules(targets: Value) -> TargetRules {
    TargetRules::read(&[(0, &json!({ "targets": targets }))], &json!({})).unwrap()
}

fn chosen(targets: Value, process: &Known) -> Option<String> {
    name(&rules(targets), process)
}

fn name(rules: &TargetRules, process: &Known) -> Option<String> {
    match rules.choose(process) {
        Decision::Target(rule) => Some(rule.name.clone().unwrap_or_default()),
        Decision::NoTarget => None,
        Decision::Awaited => Some("awaited".to_owned()),
    }
}

#[test]
fn each_condition_holds_for_what_it_names_and_for_nothing_else() {
    for (holds, fails) in [
        (
            json!({"executable": "python3*"}),
            json!({"executable": "python"}),
        ),
        (
            json!({"executable": ["x", "/usr/bin/*"]}),
            json!({"executable": "/opt/*"}),
        ),
        (
            json!({"command": "* -m vllm.*"}),
            json!({"command": "vllm"}),
        ),
        (json!({"user": "model"}), json!({"user": "root"})),
        (json!({"user": 1000}), json!({"user": [0, "1001"]})),
        (
            json!({"cgroup": "/system.slice/vllm*"}),
            json!({"cgroup": "/user.slice/*"}),
        ),
        (
            json!({"runtime": ["go", "python"]}),
            json!({"runtime": "node"}),
        ),
        (
            json!({"env": {"MODEL": "llama*"}}),
            json!({"env": {"MODEL": "llama*", "X": "*"}}),
        ),
        (
            json!({"env": {"EMPTY": "*"}}),
            json!({"env": {"EMPTY": "a*"}}),
        ),
        (json!({"port": 8000}), json!({"port": 8001})),
        (
            json!({"port": ["1-2", "7999-8001"]}),
            json!({"port": "8001-9000"}),
        ),
        (
            json!({"container": "vllm"}),
            json!({"container": ["0af", "v"]}),
        ),
        (json!({"container": "0af1*"}), json!({"container": "*-0"})),
        (
            json!({"image": "vllm/vllm-openai"}),
            json!({"image": "vllm-openai:latest"}),
        ),
        (
            json!({"image": "vllm-openai:v0.6*"}),
            json!({"image": "openai"}),
        ),
        (
            json!({"image": "ghcr.io/*"}),
            json!({"image": "llm/vllm-openai"}),
        ),
        (json!({"pod": "llama-*"}), json!({"pod": "llama"})),
        (
            json!({"namespace": "models"}),
            json!({"namespace": ["default"]}),
        ),
        (
            json!({"labels": {"app": "vllm*", "tier": "*"}}),
            json!({"labels": {"app": "vllm", "team": "*"}}),
        ),
        (json!({"listening": true}), json!({"container": "x"})),
    ] {
        assert!(chosen(json!([holds]), &server()).is_some(), "{holds}");
        assert!(chosen(json!([fails]), &server()).is_none(), "{fails}");
        // All conditions of a rule have to hold.
        let mut both = holds.clone();
        both.as_object_mut()
            .unwrap()
            .extend(fails.as_object().unwrap().clone());
        if both.as_object().unwrap().len() == 2 {
            assert!(chosen(json!([both]), &server()).is_none(), "{both}");
        }
    }
}

#[test]
fn the_first_rule_that_holds_decides_also_when_it_leaves_out() {
    let targets = json!([
        {"port": 9, "name": "another"},
        {"executable": "bash", "exclude": true},
        {"executable": "python*", "name": "first"},
        {"executable": "python*", "name": "second"},
    ]);
    assert_eq!(chosen(targets.clone(), &server()).as_deref(), Some("first"));
    let mut shell = server();
    shell.facts[0] = (Fact::Executable, "bash");
    assert_eq!(chosen(targets, &shell), None);
    let excluded = json!([{"user": "model", "exclude": true}, {"executable": "*", "name": "a"}]);
    assert_eq!(chosen(excluded, &server()), None);
}

#[test]
fn a_process_that_serves_nothing_is_no_target_unless_that_is_said() {
    let idle = || Known {
        ports: Vec::new(),
        ..server()
    };
    let of = |more: Value| {
        let mut rule = json!({"executable": "python*", "name": "a"});
        rule.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!([rule])
    };
    assert_eq!(chosen(of(json!({})), &idle()), None);
    assert!(chosen(of(json!({"listening": false})), &idle()).is_some());
    assert_eq!(
        chosen(of(json!({"listening": false, "port": 8000})), &idle()),
        None
    );
    let unix = Known {
        listens_on_unix: true,
        ..idle()
    };
    assert!(chosen(of(json!({})), &unix).is_some());
    assert_eq!(chosen(of(json!({"port": 8000})), &unix), None);
    // One that is left out need not listen.
    let left_out = json!([{"user": 1000, "exclude": true}, {"user": 1000, "listening": false}]);
    assert_eq!(chosen(left_out, &idle()), None);
}

#[test]
fn sockets_are_asked_for_last_and_only_where_all_else_holds() {
    let process = server();
    let targets = json!([
        {"port": 8000, "executable": "node"},
        {"port": 8000, "runtime": "python", "user": "model", "executable": "python*"},
    ]);
    assert!(chosen(targets, &process).is_some());
    let asked = process.asked.borrow();
    let order = [
        Fact::Executable,
        Fact::Executable,
        Fact::User,
        Fact::Runtime,
    ]
    .map(Some);
    assert_eq!(asked[..], [&order[..], &[None]].concat());
}

#[test]
fn shipped_rules_stand_behind_those_of_the_file_unless_it_says_otherwise() {
    let shipped = json!({"targets": [{"runtime": "python", "name": "shipped"}]});
    let read = |file: Value| TargetRules::read(&[(0, &file)], &shipped).unwrap();
    let named = |rules: &TargetRules| name(rules, &server());
    let file = json!({"targets": [{"port": 8000, "name": "mine"}], "rules": 7});
    assert_eq!(named(&read(file)).as_deref(), Some("mine"));
    assert_eq!(named(&read(json!({}))).as_deref(), Some("shipped"));
    assert_eq!(named(&read(json!({"shipped_targets": false}))), None);
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_what_would_be_right() {
    for (file, place, fix) in [
        (json!({"targets": {}}), "targets: ", "[[targets]]"),
        (
            json!({"targets": [7]}),
            "targets[0]: ",
            "the keys are executable, command",
        ),
        (
            json!({"targets": [{}]}),
            "targets[0]: this rule sets nothing",
            "set one of name",
        ),
        (
            json!({"targets": [{"comand": "x"}]}),
            "targets[0].comand: ",
            "did you mean `command`?",
        ),
        (
            json!({"targets": [{"user": true}]}),
            "targets[0].user: ",
            "a user's name or number",
        ),
        (
            json!({"targets": [{"port": [80, 0]}]}),
            "targets[0].port[1]: ",
            "a port, a range",
        ),
        (
            json!({"targets": [{"port": "9-8"}]}),
            "targets[0].port: ",
            "8000-8010",
        ),
        (
            json!({"targets": [{"env": "A=b"}]}),
            "targets[0].env: ",
            "a table of variables",
        ),
        (
            json!({"targets": [{"exclude": "yes"}]}),
            "targets[0].exclude: ",
            "true or false",
        ),
        (
            json!({"targets": [{"name": ""}]}),
            "targets[0].name: ",
            "128 bytes",
        ),
        (
            json!({"shipped_targets": 1}),
            "shipped_targets: ",
            "true or false",
        ),
    ] {
        let problems = TargetRules::read(&[(3, &file)], &json!({})).unwrap_err();
        let said = problems[0].to_string();
        assert!(
            said.starts_with(place) && said.contains(fix),
            "{file}: {said}"
        );
        assert!(problems.len() == 1 && problems[0].layer == 3);
    }
}

#[test]
fn of_two_files_the_first_is_asked_first() {
    let of = |name: &str| json!({"targets": [{"executable": "python*", "name": name}]});
    let (mut first, second) = (of("first"), of("second"));
    first["shipped_targets"] = json!(false);
    let shipped = json!({"targets": [{"executable": "*", "name": "shipped"}]});
    let rules = TargetRules::read(&[(1, &first), (2, &second)], &shipped).unwrap();
    assert_eq!((rules.count(), rules.count_of_file()), (2, 2));
    assert_eq!(name(&rules, &server()).as_deref(), Some("first"));
}

#[test]
fn a_rule_that_asks_for_what_is_not_known_yet_is_waited_for_if_all_else_holds() {
    let starting = |workload| Known {
        facts: vec![(Fact::Executable, "python3.11"), (Fact::Container, "0af1")],
        labels: Vec::new(),
        workload: Some(workload),
        ..server()
    };
    for (key, value) in [
        ("namespace", json!("models")),
        ("pod", json!("llama-*")),
        ("image", json!("vllm/*")),
        ("container", json!("vllm")),
        ("labels", json!({"app": "vllm"})),
    ] {
        let of = |process: &Known, exclude: bool, executable: &str| {
            let mut first = json!({"executable": executable, "name": "first", "exclude": exclude});
            first[key] = value.clone();
            chosen(
                json!([first, {"executable": "python*", "name": "second"}]),
                process,
            )
        };
        let awaited = starting(Workload::Awaited);
        for exclude in [false, true] {
            assert_eq!(
                of(&awaited, exclude, "python*").as_deref(),
                Some("awaited"),
                "{key}"
            );
            // What does not hold anyway waits for nobody.
            assert_eq!(
                of(&awaited, exclude, "node").as_deref(),
                Some("second"),
                "{key}"
            );
            let known = starting(Workload::Known);
            assert_eq!(
                of(&known, exclude, "python*").as_deref(),
                Some("second"),
                "{key}"
            );
        }
        let unknown = starting(Workload::Unknown);
        assert_eq!(
            of(&unknown, false, "python*").as_deref(),
            Some("second"),
            "{key}"
        );
        assert_eq!(of(&unknown, true, "python*"), None, "{key}");
    }
    // What is known already, and is another, is not waited for.
    let mut other = starting(Workload::Awaited);
    other.facts.push((Fact::Namespace, "batch"));
    other.labels.push(("app", "eval"));
    for condition in [
        json!({"namespace": "models"}),
        json!({"labels": {"app": "vllm"}}),
    ] {
        assert_eq!(chosen(json!([condition]), &other), None, "{condition}");
    }
    // The id is the kernel's.
    let by_id = json!([{"container": "0af*", "name": "id"}]);
    assert_eq!(
        chosen(by_id, &starting(Workload::Awaited)).as_deref(),
        Some("id")
    );
}
