#![expect(clippy::unwrap_used, reason = "tests")]

use cirron_containers::about::Pod;

use super::*;

fn about(pod: &str, is_whole: bool) -> About {
    let labels = [("app", "llama"), ("pod-template-hash", "1")];
    let env = [
        ("CIRRON_DEPLOYMENT_ID", "of-the-pod"),
        ("CIRRON_WORKSPACE_ID", "ws"),
    ];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    About {
        name: Some("vllm".into()),
        image: Some("vllm/vllm-openai:v1".into()),
        pod: Some(Pod {
            name: pod.into(),
            namespace: "models".into(),
            labels: labels.map(owned).into(),
            env: env.map(owned).into(),
            is_whole,
            ..Pod::default()
        }),
    }
}

fn containers(asks: bool) -> Containers {
    let containers = Containers::new(Kubernetes::default(), Arc::default());
    containers.begin(asks);
    containers
}

fn list(containers: &Containers, ids: &[&str], asked: Instant) {
    let all = ids
        .iter()
        .map(|id| ((*id).to_owned(), about("llama-0", true)));
    containers.listed(all.collect(), asked);
}

fn facts(id: &str) -> ProcessFacts {
    ProcessFacts {
        container: Some(id.to_owned()),
        env: [("CIRRON_WORKSPACE_ID".to_owned(), "own".to_owned())].into(),
        ..ProcessFacts::default()
    }
}

#[test]
fn what_is_asked_for_is_looked_for_once_and_completes_facts_when_it_is_known() {
    let containers = containers(true);
    let mut its = facts("a");
    containers.complete(&mut its);
    assert_eq!(its, facts("a"));
    let soon = || Instant::now() + Duration::from_millis(20);
    assert_eq!(containers.next(soon()), ["a".to_owned()].into());
    containers.told("a");
    assert_eq!(containers.next(soon()), BTreeSet::new());
    let before = containers.version();
    list(&containers, &["a", "b"], Instant::now());
    assert!(containers.version() > before);
    containers.complete(&mut its);
    assert_eq!(its.workload["k8s.pod.name"], "llama-0");
    assert_eq!(its.workload["k8s.pod.label.app"], "llama");
    assert!(!its.workload.contains_key("k8s.pod.label.pod-template-hash"));
    // The process's own variables win.
    assert_eq!(its.env["CIRRON_WORKSPACE_ID"], "own");
    assert_eq!(its.env["CIRRON_DEPLOYMENT_ID"], "of-the-pod");
    // The same again is no news, nor is one that nobody asked for.
    let before = containers.version();
    list(&containers, &["a", "b", "c"], Instant::now());
    assert_eq!(containers.version(), before);
    // What a list has no more is known on.
    list(&containers, &[], Instant::now());
    assert!(containers.told("a").is_some());
}

#[test]
fn a_container_is_awaited_until_it_is_listed_or_a_list_of_later_has_it_not() {
    let containers = containers(true);
    let now = Instant::now();
    let at = |id: &str, seconds| containers.workload_at(id, now + Duration::from_secs(seconds));
    for id in ["a", "b", "docker", "away"] {
        assert_eq!(at(id, 0), Workload::Awaited);
    }
    assert_eq!(containers.waits(), (true, true));
    // Its runtime knows the pod's name, and not its labels.
    containers.looked("a", Some(about("llama-0", false)));
    assert_eq!(at("a", 1), Workload::Awaited);
    assert!(
        containers
            .told("a")
            .unwrap()
            .attributes
            .contains_key("k8s.pod.name")
    );
    // One that is no pod's.
    let plain = About {
        name: Some("web".into()),
        ..About::default()
    };
    containers.looked("docker", Some(plain));
    assert_eq!(at("docker", 1), Workload::Known);
    for id in ["b", "away"] {
        containers.looked(id, None);
    }
    list(&containers, &["a"], now + Duration::from_secs(1));
    assert_eq!(at("a", 1), Workload::Known);
    assert_eq!(at("b", 2), Workload::Awaited);
    // Nobody answers for a while.
    assert_eq!(at("b", 16), Workload::Unknown);
    assert_eq!(at("b", 17), Workload::Unknown);
    assert_eq!(containers.0.counts.by_name()["containers_unknown"], 1);
    list(&containers, &["a"], now + Duration::from_secs(18));
    assert_eq!(at("b", 18), Workload::Known);
}

#[test]
fn where_nobody_asks_a_kubelet_the_state_on_disk_is_all_there_is() {
    let alone = Containers::default();
    assert_eq!(alone.workload("a"), Workload::Known);
    let containers = containers(false);
    assert_eq!(containers.workload("a"), Workload::Awaited);
    containers.looked("a", None);
    assert_eq!(containers.workload("a"), Workload::Known);
}

#[test]
fn containers_past_the_bound_push_out_those_that_nobody_asks_for() {
    let containers = containers(true);
    for i in 0..MAX_KNOWN + 10 {
        containers.told(&format!("{i}"));
    }
    let state = containers.lock();
    assert!(state.all.len() <= MAX_KNOWN && state.all.len() > MAX_KNOWN / 2);
    assert!(!state.all.contains_key("0") && state.all.contains_key(&MAX_KNOWN.to_string()));
}

#[test]
fn other_labels_are_written_once_the_configuration_names_others() {
    let containers = containers(true);
    containers.told("a");
    list(&containers, &["a"], Instant::now());
    let labels = |containers: &Containers| {
        let mut its = facts("a");
        containers.complete(&mut its);
        let labels = its.workload.into_keys();
        labels
            .filter(|name| name.contains(".label."))
            .collect::<Vec<_>>()
    };
    assert_eq!(labels(&containers), ["k8s.pod.label.app"]);
    let file = serde_json::json!({"kubernetes": {"labels": "pod-template-hash"}});
    let settings = cirron_core::rules::Sections::read(&[(0, &file)]).unwrap();
    let before = containers.version();
    containers.set(settings.kubernetes, None);
    // Sessions that were written are written again.
    assert!(containers.version() > before);
    assert_eq!(labels(&containers), ["k8s.pod.label.pod-template-hash"]);
    assert_eq!(containers.take_new(), Some(None));
    assert_eq!(containers.take_new(), None);
}

#[test]
fn an_answer_of_whoever_was_asked_before_tells_nothing_of_what_another_has() {
    let containers = containers(true);
    let begun = Instant::now();
    containers.workload_at("a", begun);
    containers.looked("a", None);
    list(&containers, &[], begun + MAX_LATE);
    assert_eq!(containers.workload_at("a", begun), Workload::Known);
    containers.begin(true);
    assert_eq!(containers.workload_at("a", begun), Workload::Awaited);
}
