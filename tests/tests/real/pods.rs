//! Containers of runc's, in cgroups named as a kubelet names them, beside a kubelet's list of pods over HTTPS: pods
//! start, are scaled, crash, are rolled and deleted, and each request is in the session of its own.
//!
//! The containers run this machine's own Python, from its own root file system. The kubelet is a server of ours whose
//! answer has the form of a real one's (`cirron-containers/testdata/pods.json`).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::{Agent, binary};
use cirron_tests::calls::curl;
use cirron_tests::process::{Guard, children};
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::spool::Span;
use cirron_tests::stacks;
use cirron_tests::wait::{listener, until};
use serde_json::{Value, json};

pub(crate) const TESTS: &[Test] = &[Test {
    name: "requests_are_in_the_session_of_their_pod_while_pods_start_scale_crash_roll_and_go",
    need: Need::Stacks,
    run: pods,
}];

const TOKEN: &str = "test-token-s3cr3t";

/// Serves its own number.
const SERVER: &str = r#"
import os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def address_string(self):
        return "x"
    def log_message(self, *args):
        pass
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"#;

/// A pod as the test means it.
#[derive(Clone)]
struct Pod {
    name: &'static str,
    namespace: &'static str,
    uid: String,
    /// The hash of its Deployment's template.
    hash: &'static str,
    /// Its container's id, and that of the one before.
    ids: Vec<String>,
}

/// A machine with a kubelet.
struct Node<'d> {
    dir: &'d Path,
    pods: RefCell<BTreeMap<&'static str, Pod>>,
}

/// A container that runs.
struct Container {
    id: String,
    state: PathBuf,
    port: u16,
}

impl Drop for Container {
    fn drop(&mut self) {
        let mut runc = Command::new("runc");
        runc.arg("--root").arg(&self.state);
        let _ = runc.args(["delete", "--force", &self.id]).output();
    }
}

impl Node<'_> {
    /// What the kubelet says from now on.
    fn list(&self) -> Result<()> {
        let pods = self.pods.borrow();
        let items: Vec<Value> = pods.values().map(item).collect();
        let text = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items});
        let fresh = self.dir.join("pods.new");
        std::fs::write(&fresh, text.to_string())?;
        Ok(std::fs::rename(fresh, self.dir.join("pods.json"))?)
    }

    fn pod(&self, name: &'static str, namespace: &'static str, hash: &'static str) {
        let number = self.pods.borrow().len();
        let uid = format!(
            "6c1a44c2-0f5e-4b7e-9a51-{:012x}",
            u64::from(std::process::id()) << 8 | number as u64
        );
        let ids = Vec::new();
        let pod = Pod {
            name,
            namespace,
            uid,
            hash,
            ids,
        };
        self.pods.borrow_mut().insert(name, pod);
    }

    /// Starts a container of a pod, the first or the next one.
    fn start(&self, pod: &'static str) -> Result<Container> {
        let mut pods = self.pods.borrow_mut();
        let pod = pods.get_mut(pod).context("no such pod")?;
        let digits = pod.uid.replace('-', "");
        let id = format!("{digits}{:032x}", pod.ids.len() + 1);
        pod.ids.insert(0, id.clone());
        let port = free_port()?;
        let bundle = self.dir.join(&id);
        std::fs::create_dir_all(bundle.join("rootfs"))?;
        let cgroup = format!("/kubepods/burstable/pod{}/{id}", pod.uid);
        std::fs::write(bundle.join("config.json"), spec(port, &cgroup).to_string())?;
        let state = self.dir.join("runc");
        let run = Command::new("runc")
            .arg("--root")
            .arg(&state)
            .args(["run", "--detach", "--bundle"])
            .arg(&bundle)
            .arg(&id)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(bundle.join("stderr"))?)
            .status()?;
        let said = || std::fs::read_to_string(bundle.join("stderr")).unwrap_or_default();
        ensure!(run.success(), "runc: {}", said());
        let container = Container { id, state, port };
        listener(port).with_context(said)?;
        Ok(container)
    }

    fn id(&self, pod: &str) -> String {
        let pods = self.pods.borrow();
        pods.get(pod)
            .and_then(|pod| pod.ids.first())
            .cloned()
            .unwrap_or_default()
    }
}

/// What runc is told: this machine's programs, in namespaces of its own but for the network.
fn spec(port: u16, cgroup: &str) -> Value {
    let bind = |at: &str| json!({"destination": at, "type": "bind", "source": at, "options": ["rbind", "ro"]});
    let all: Vec<Value> = ["/usr", "/bin", "/lib", "/lib64", "/etc"]
        .iter()
        .map(|at| bind(at))
        .collect();
    let mounts = [
        vec![
            json!({"destination": "/proc", "type": "proc", "source": "proc"}),
            json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}),
        ],
        all,
    ];
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0}, "cwd": "/",
            "args": ["/usr/bin/python3", "-c", SERVER, port.to_string()],
            "env": ["PATH=/usr/bin:/bin", "CIRRON_WORKSPACE_ID=ws-of-the-process"],
        },
        "root": {"path": "rootfs"},
        "mounts": mounts.concat(),
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}],
        },
    })
}

/// It as the kubelet lists it.
fn item(pod: &Pod) -> Value {
    let status = |ids: &[String]| {
        let [id, before @ ..] = ids else {
            return json!([{"name": "server", "state": {"waiting": {"reason": "ContainerCreating"}}}]);
        };
        let last = before.first().map(|before| {
            json!({"terminated": {"exitCode": 137, "containerID": format!("containerd://{before}")}})
        });
        json!([{
            "name": "server", "image": "docker.io/vllm/vllm-openai:v0.6.1",
            "containerID": format!("containerd://{id}"), "restartCount": before.len(),
            "state": {"running": {"startedAt": "2026-11-28T12:30:08Z"}},
            "lastState": last.unwrap_or(json!({})),
        }])
    };
    json!({
        "metadata": {
            "name": pod.name, "namespace": pod.namespace, "uid": pod.uid,
            "creationTimestamp": "2026-11-28T12:30:00Z",
            "labels": {"app": "llama", "pod-template-hash": pod.hash, "team": "x"},
            "annotations": {"cirron.com/deployment-id": "dep-1", "cirron.com/workspace-id": "ws-of-the-pod"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet",
                "name": format!("llama-{}", pod.hash), "uid": "x", "controller": true}],
        },
        "spec": {
            "nodeName": "node-1",
            "containers": [{"name": "server", "image": "vllm/vllm-openai:v0.6.1",
                "env": [{"name": "HF_TOKEN", "value": "s3cr3t"}]}],
        },
        "status": {"phase": "Running", "containerStatuses": status(&pod.ids)},
    })
}

/// An authority, and a certificate of it for this machine.
fn certificates(dir: &Path) -> Result<()> {
    let script = "
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
            -subj /CN=test-authority -keyout ca.key -out ca.crt
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=node-1 -keyout k.key -out k.csr
        printf 'subjectAltName=IP:127.0.0.1' > k.ext
        openssl x509 -req -in k.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile k.ext -out k.crt";
    let made = Command::new("sh")
        .args(["-ec", script])
        .current_dir(dir)
        .output()?;
    ensure!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    Ok(())
}

fn ask(container: &Container, path: &str) -> Result<()> {
    curl(&[&format!("http://127.0.0.1:{}{path}", container.port)]).map(drop)
}

/// The process that asks for pods, which has no rights and no environment.
fn asker(agent: u32) -> Result<u32> {
    let file = |pid: u32, name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}"));
    let asks = |pid: &u32| file(*pid, "cmdline").is_ok_and(|line| line.contains("ask-pods"));
    let all = children(agent)?;
    let asker = all.into_iter().find(asks).context("no process asks")?;
    let status = file(asker, "status")?;
    for line in [
        "CapEff:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
    ] {
        ensure!(status.contains(line), "{line} is not in {status}");
    }
    ensure!(file(asker, "environ")?.is_empty());
    Ok(asker)
}

/// That `doctor` says all of this of pods, and of the container of a process.
fn doctor(config: &Path, pid: u32, what: &[&str]) -> Result<()> {
    let mut doctor = Command::new(binary());
    doctor.args(["doctor", "--config"]).arg(config);
    let output = doctor.args(["--pid", &pid.to_string()]).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{said}");
    for what in what {
        ensure!(said.contains(what), "no {what:?} in {said}");
    }
    ensure!(!said.contains("s3cr3t"), "{said}");
    Ok(())
}

/// The number of a container's server on the machine.
fn number(container: &Container) -> Result<u32> {
    let mut state = Command::new("runc");
    state.arg("--root").arg(&container.state);
    let output = state.args(["state", &container.id]).output()?;
    let state: Value = serde_json::from_slice(&output.stdout)?;
    let pid = state["pid"].as_u64().context("runc names no process")?;
    Ok(u32::try_from(pid)?)
}

fn pods() -> Result<String> {
    let tmp = tempfile::tempdir()?;
    let dir = tmp.path();
    certificates(dir)?;
    let node = Node {
        dir,
        pods: RefCell::default(),
    };
    node.pod("llama-a1-x", "models", "a1");
    node.pod("llama-a1-y", "models", "a1");
    node.pod("llama-a1-z", "batch", "a1");
    node.list()?;
    let port = free_port()?;
    let mut kubelet = Command::new("python3");
    kubelet.arg(stacks::here().join("servers/python/kubelet.py"));
    kubelet
        .arg(port.to_string())
        .args(["k.crt", "k.key", TOKEN, "pods.json"]);
    kubelet.current_dir(dir);
    let _kubelet = Guard::spawn(kubelet)?;
    listener(port)?;
    let token = dir.join("token");
    std::fs::write(&token, "another\n")?;
    let config = dir.join("agent.toml");
    let rules = "shipped_targets = false\n\
                 [[targets]]\nname = 'llama'\nnamespace = 'models'\nlabels = { app = 'lla*' }\n\
                 image = 'vllm-openai'\ncontainer = 'server'\n";
    std::fs::write(&config, rules)?;
    let args = ["daemon", "--config", &config.display().to_string()].map(str::to_owned);
    let agent = Agent::start(&args, |command| {
        command.env("CIRRON_KUBERNETES_LABELS", "app");
    })?;
    // Whom to ask it is told while it runs.
    let kubernetes = format!(
        "[kubernetes]\nenabled = true\nurl = 'https://127.0.0.1:{port}/pods'\ntoken_file = '{}'\nca_file = '{}'\n",
        token.display(),
        dir.join("ca.crt").display()
    );
    std::fs::write(&config, format!("{rules}{kubernetes}"))?;
    agent.signal(libc::SIGHUP);
    let said = |what: &str, times: usize| {
        let has = || (agent.stderr().matches(what).count() >= times).then_some(());
        until(what, Duration::from_secs(20), has).with_context(|| agent.stderr())
    };
    // A token that is not known: said, with what to do.
    said(
        "does not know the token (401)\n  see that `[kubernetes] token_file`",
        1,
    )?;
    doctor(
        &config,
        std::process::id(),
        &["MISSING  pods ", "(401)", "in no container"],
    )?;
    std::fs::write(&token, TOKEN)?;

    let asker = asker(agent.pid())?;

    // Three start, of which one is in another namespace. The list has their containers a moment later.
    let first = node.start("llama-a1-x")?;
    let second = node.start("llama-a1-y")?;
    let neighbour = node.start("llama-a1-z")?;
    let (first_id, second_id) = (node.id("llama-a1-x"), node.id("llama-a1-y"));
    ensure!(
        !agent.stderr().contains("watching"),
        "guessed: {}",
        agent.stderr()
    );
    node.list()?;
    said("as llama", 2)?;
    for (container, path) in [
        (&first, "/first"),
        (&second, "/second"),
        (&neighbour, "/neighbour"),
    ] {
        ask(container, path)?;
    }
    let names = [
        "ok       pods           3 containers of 3 pods, says https://127.0.0.1:",
        r#"container = "server", image = "vllm/vllm-openai:v0.6.1", pod = "llama-a1-x", namespace = "models""#,
    ];
    doctor(&config, number(&first)?, &names)?;
    // One crashes and is started again; the other is rolled: its successor serves before it goes.
    let mut kill = Command::new("runc");
    kill.arg("--root").arg(dir.join("runc"));
    kill.args(["kill", &first.id, "KILL"]).status()?;
    let again = node.start("llama-a1-x")?;
    let again_id = node.id("llama-a1-x");
    node.pod("llama-b2-x", "models", "b2");
    let rolled = node.start("llama-b2-x")?;
    let rolled_id = node.id("llama-b2-x");
    node.list()?;
    said("as llama", 4)?;
    ask(&again, "/again")?;
    ask(&rolled, "/rolled")?;
    node.pods.borrow_mut().remove("llama-a1-y");
    node.list()?;
    // Deleted, and its last request is its own all the same.
    ask(&second, "/last")?;
    drop(second);
    ask(&neighbour, "/neighbour")?;
    let report = agent.finish()?;
    let asks = || Path::new(&format!("/proc/{asker}")).exists();
    until(
        "the end of the process that asks",
        Duration::from_secs(10),
        || (!asks()).then_some(()),
    )?;

    let told = || format!("{}\n{}", report.spool.describe(), report.stderr);
    let requests = report.spool.requests();
    let sessions = report.spool.sessions();
    let mut paths: Vec<&str> = requests.iter().map(|s| s.path()).collect();
    paths.sort_unstable();
    ensure!(
        paths == ["/again", "/first", "/last", "/rolled", "/second"],
        "{paths:?}\n{}",
        told()
    );
    let session = |path: &str| -> Option<&Span> {
        let request = requests.iter().find(|s| s.path() == path)?;
        let its = |s: &&Span| Some(&s.id) == request.parent_id.as_ref();
        sessions.iter().copied().find(its)
    };
    for (path, id, pod, hash) in [
        ("/first", &first_id, "llama-a1-x", "a1"),
        ("/second", &second_id, "llama-a1-y", "a1"),
        ("/last", &second_id, "llama-a1-y", "a1"),
        ("/again", &again_id, "llama-a1-x", "a1"),
        ("/rolled", &rolled_id, "llama-b2-x", "b2"),
    ] {
        let session = session(path).with_context(told)?;
        for (name, want) in [
            ("container.id", id.as_str()),
            ("k8s.pod.name", pod),
            ("k8s.namespace.name", "models"),
            ("k8s.node.name", "node-1"),
            ("k8s.container.name", "server"),
            ("k8s.deployment.name", "llama"),
            ("k8s.replicaset.name", &format!("llama-{hash}")),
            ("k8s.pod.label.app", "llama"),
            ("container.image.name", "vllm/vllm-openai"),
            ("container.image.tags", "v0.6.1"),
            ("cirron.deployment_id", "dep-1"),
            ("cirron.workspace_id", "ws-of-the-process"),
            ("cirron.target", "llama"),
        ] {
            ensure!(
                session.text(name) == Some(want),
                "{path}: {name}: {:?}\n{}",
                session.text(name),
                told()
            );
        }
        ensure!(session.text("k8s.pod.label.team").is_none(), "{}", told());
    }
    ensure!(report.stderr.matches("(401)").count() == 1, "{}", told());
    ensure!(
        report.summary["libraries"]["containers_unknown"] == 0,
        "{}",
        report.summary
    );
    let unanswered = report.summary["libraries"]["pods_unanswered"].as_u64();
    ensure!(unanswered.is_some_and(|n| n > 0), "{}", report.summary);
    ensure!(!report.stderr.contains("s3cr3t"), "{}", told());
    Ok(format!("{} requests of {} containers", paths.len(), 4))
}
