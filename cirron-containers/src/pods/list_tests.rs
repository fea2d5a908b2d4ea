#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use super::*;

/// A kubelet's answer, with everything that others than us read in it.
const ANSWER: &str = include_str!("../../testdata/pods.json");

fn id(digit: char) -> String {
    digit.to_string().repeat(ID_DIGITS)
}

fn read(answer: &Value) -> BTreeMap<String, About> {
    containers(answer.to_string().as_bytes()).unwrap().0
}

fn written(about: &About) -> Vec<(String, String)> {
    let all = about.attributes(|label| label == "app").into_iter();
    all.collect()
}

#[test]
fn containers_are_known_by_their_ids_with_their_pods_and_owners() {
    let all = containers(ANSWER.as_bytes()).unwrap().0;
    let want = [
        ("container.image.name", "vllm/vllm-openai"),
        ("container.image.tags", "v0.6.1"),
        ("k8s.container.name", "vllm"),
        ("k8s.deployment.name", "llama"),
        ("k8s.namespace.name", "models"),
        ("k8s.node.name", "gpu-node-1"),
        ("k8s.pod.label.app", "llama"),
        ("k8s.pod.name", "llama-7d4b9c6f5-x2x7q"),
        ("k8s.pod.uid", "6c1a44c2-0f5e-4b7e-9a51-3d1f0f6b2a10"),
        ("k8s.replicaset.name", "llama-7d4b9c6f5"),
    ];
    let want = want.map(|(n, v)| (n.to_owned(), v.to_owned()));
    assert_eq!(written(&all[&id('a')]), want);
    // The one before it that crashed is the same pod's.
    assert_eq!(written(&all[&id('b')]), want);
    // Of a sidecar and an init container.
    assert_eq!(all[&id('c')].name.as_deref(), Some("proxy"));
    assert_eq!(all[&id('d')].image.as_deref(), Some("busybox:1.36"));
    let pod = all[&id('a')].pod.as_ref().unwrap();
    assert_eq!(pod.env["CIRRON_DEPLOYMENT_ID"], "dep-of-the-annotation");
    assert_eq!(pod.env["CIRRON_WORKSPACE_ID"], "ws-1");
    assert_eq!(pod.env["CONFIG"], "{\"stream_chunk_timing\":true}");
    let owner = |digit| all[&id(digit)].pod.as_ref().unwrap().owner.clone();
    assert_eq!(owner('e'), Some(about::Owner::StatefulSet("store".into())));
    // A static pod is its node's.
    assert_eq!(
        owner('f'),
        Some(about::Owner::Other("Node".into(), "gpu-node-1".into()))
    );
}

#[test]
fn nothing_else_of_a_pod_is_kept() {
    let (all, _) = containers(ANSWER.as_bytes()).unwrap();
    let kept = serde_json::to_string(&all).unwrap();
    assert!(ANSWER.contains("s3cr3t") && !kept.contains("s3cr3t"));
}

#[test]
fn a_pod_whose_containers_have_not_started_has_none() {
    let answer = json!({"kind": "PodList", "items": [
        {"metadata": {"name": "a", "namespace": "b"}, "spec": {"containers": [{"name": "c"}]}},
        {"metadata": {"name": "a"}, "status": {"containerStatuses": [
            {"name": "c", "state": {"waiting": {}}}, {"name": "d", "containerID": ""},
            {"name": "e", "containerID": "containerd://0af1"},
        ]}},
        {"metadata": {"name": ""}, "status": {"containerStatuses": [
            {"name": "c", "containerID": format!("cri-o://{}", id('a'))}]}},
    ]});
    assert!(read(&answer).is_empty());
    assert!(read(&json!({"items": null})).is_empty());
}

#[test]
fn what_is_no_list_of_pods_is_refused() {
    for answer in [
        "",
        "Unauthorized",
        "{\"kind\":\"Status\",\"status\":\"Failure\"}",
        "[]",
        "{\"items\":7}",
        "{\"items\":[{}]}",
    ] {
        assert!(containers(answer.as_bytes()).is_err(), "{answer}");
    }
}

#[test]
fn containers_past_their_bound_are_counted_and_long_texts_left_out() {
    let status = |i: usize| json!({"name": "c", "containerID": format!("cri-o://{i:064x}")});
    let statuses: Vec<Value> = (0..MAX_CONTAINERS + 7).map(status).collect();
    let labels = json!({"app": "x".repeat(600), "b": "c"});
    let answer = json!({"items": [{"metadata": {"name": "a", "labels": labels},
        "status": {"containerStatuses": statuses}}]});
    let (all, left_out) = containers(answer.to_string().as_bytes()).unwrap();
    assert_eq!((all.len(), left_out), (MAX_CONTAINERS, 7));
    let pod = all.values().next().unwrap().pod.clone().unwrap();
    assert_eq!(
        pod.labels.into_iter().collect::<Vec<_>>(),
        [("b".into(), "c".into())]
    );
}
