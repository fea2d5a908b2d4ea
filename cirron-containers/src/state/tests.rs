#![expect(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::symlink;

use serde_json::json;

use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Machine {
        Machine(tempfile::tempdir().unwrap())
    }
    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path.replace("ID", ID));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    fn look(&self) -> Option<About> {
        look(&Root::open(self.0.path()).unwrap(), ID)
    }
    fn seen(&self) -> Option<(String, String, String)> {
        let about = self.look()?;
        let pod = about
            .pod
            .map(|pod| format!("{}/{}/{}", pod.namespace, pod.name, pod.uid));
        let text = Option::unwrap_or_default;
        Some((text(about.name), text(about.image), text(pod)))
    }
}

fn seen(name: &str, image: &str, pod: &str) -> Option<(String, String, String)> {
    Some((name.into(), image.into(), pod.into()))
}

const DOCKER: &str = "var/lib/docker/containers/ID/config.v2.json";
const CONTAINERD: &str = "run/containerd/io.containerd.runtime.v2.task/k8s.io/ID/config.json";

/// As Podman 4.3.1 wrote it.
const PODMAN: &str = r#"[{"id":"ff","names":["other"],"image":"9ba1","layer":"d4","metadata":"{}",
"created":"2026-11-28T13:08:20Z"},{"id":"ID","names":["web"],
"image":"9ba18be94246d613a7428c9653ec6710892b12f75d6867adcd6f3358904e6032",
"layer":"ee48ef3d3e8fea8c8b0b4102b8bfca589ac70f2075f1e1331c8876bcb2526990",
"metadata":"{\"image-name\":\"localhost/web:1\",\"image-id\":\"9ba18be94246\",\"name\":\"web\"}",
"created":"2026-11-28T13:08:24.512591755Z","flags":{"MountLabel":"","ProcessLabel":""}}]"#;

fn docker() -> String {
    json!({"StreamConfig": {}, "ID": ID, "Name": "/vllm", "Driver": "overlay2",
        "Image": "sha256:0123", "Config": {"Hostname": "0123456789ab", "Env": ["HF_TOKEN=s3cr3t"],
        "Cmd": null, "Image": "vllm/vllm-openai:latest", "Labels": {"a": "b"}}})
    .to_string()
}

#[test]
fn each_runtime_s_own_files_name_its_containers() {
    let machine = Machine::new();
    assert_eq!(machine.look(), None);
    machine.write(DOCKER, &docker());
    assert_eq!(machine.seen(), seen("vllm", "vllm/vllm-openai:latest", ""));

    let machine = Machine::new();
    machine.write(
        CONTAINERD,
        &json!({"ociVersion": "1.2.0", "process": {"env": ["A=s3cr3t"]}, "annotations": {
            "io.kubernetes.cri.container-type": "container",
            "io.kubernetes.cri.container-name": "vllm",
            "io.kubernetes.cri.image-name": "docker.io/vllm/vllm-openai:v0.6.1",
            "io.kubernetes.cri.sandbox-id": "1", "io.kubernetes.cri.sandbox-name": "llama-0",
            "io.kubernetes.cri.sandbox-namespace": "models", "io.kubernetes.cri.sandbox-uid": "6c1a",
        }})
        .to_string(),
    );
    let want = seen(
        "vllm",
        "docker.io/vllm/vllm-openai:v0.6.1",
        "models/llama-0/6c1a",
    );
    assert_eq!(machine.seen(), want);
    // Who controls it, and its labels, the kubelet alone knows.
    assert!(!machine.look().unwrap().is_whole());

    let machine = Machine::new();
    machine.write(
        "run/containers/storage/overlay-containers/ID/userdata/config.json",
        &json!({"annotations": {"io.kubernetes.cri-o.ContainerID": ID,
            "io.kubernetes.container.name": "tgi", "io.kubernetes.cri-o.ImageName": "ghcr.io/tgi:2",
            "io.kubernetes.pod.name": "tgi-1", "io.kubernetes.pod.namespace": "models",
            "io.kubernetes.pod.uid": "7c"}})
        .to_string(),
    );
    assert_eq!(
        machine.seen(),
        seen("tgi", "ghcr.io/tgi:2", "models/tgi-1/7c")
    );

    let machine = Machine::new();
    machine.write(
        "var/lib/containers/storage/vfs-containers/containers.json",
        &PODMAN.replace("ID", ID),
    );
    // Podman's bundle has no annotation of those.
    machine.write(
        "run/containers/storage/overlay-containers/ID/userdata/config.json",
        &json!({"annotations": {"io.container.manager": "libpod"}}).to_string(),
    );
    assert_eq!(machine.seen(), seen("web", "localhost/web:1", ""));

    let machine = Machine::new();
    let file = "run/containerd/io.containerd.runtime.v2.task/default/ID/config.json";
    machine.write(
        file,
        &json!({"annotations": {"nerdctl/name": "n"}}).to_string(),
    );
    assert_eq!(machine.seen(), seen("n", "", ""));
}

#[test]
fn a_runtime_s_directory_may_be_moved_and_no_other_link_is_followed() {
    let machine = Machine::new();
    machine.write("data/docker/containers/ID/config.v2.json", &docker());
    std::fs::create_dir_all(machine.0.path().join("var/lib")).unwrap();
    // As from this root, and not from ours.
    symlink("/data/docker", machine.0.path().join("var/lib/docker")).unwrap();
    assert_eq!(machine.seen(), seen("vllm", "vllm/vllm-openai:latest", ""));

    let machine = Machine::new();
    machine.write("elsewhere/config.v2.json", &docker());
    let container = machine.0.path().join("var/lib/docker/containers");
    std::fs::create_dir_all(&container).unwrap();
    symlink("/elsewhere", container.join(ID)).unwrap();
    assert_eq!(machine.look(), None);
    std::fs::remove_file(container.join(ID)).unwrap();
    std::fs::create_dir(container.join(ID)).unwrap();
    symlink(
        "/elsewhere/config.v2.json",
        container.join(ID).join("config.v2.json"),
    )
    .unwrap();
    assert_eq!(machine.look(), None);
}

#[test]
fn what_is_no_plain_file_of_a_sensible_size_tells_nothing() {
    let machine = Machine::new();
    machine.write(DOCKER, &format!("{}{}", docker(), " ".repeat(5 << 20)));
    assert_eq!(machine.look(), None);
    machine.write(DOCKER, "{\"Name\":");
    assert_eq!(machine.look(), None);
    let path = machine.0.path().join(DOCKER.replace("ID", ID));
    std::fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    assert_eq!(machine.look(), None);
    let root = Root::open(machine.0.path()).unwrap();
    for id in ["", "..", "../ID", "a/b"] {
        assert_eq!(look(&root, id), None);
    }
}
