//! The rules that come with the agent.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::ops::RangeInclusive;

use cirron_core::rules::{Candidate, Decision, Fact, TargetRules, Workload};

use super::shipped;

/// A process that listens, with this program, these arguments and this runtime.
struct Server(&'static str, &'static str, Option<&'static str>);

impl Candidate for Server {
    fn fact(&self, fact: Fact) -> Option<String> {
        match fact {
            Fact::Executable => Some(self.0.to_owned()),
            Fact::Command => Some(self.1.to_owned()),
            Fact::Runtime => self.2.map(str::to_owned),
            Fact::Path
            | Fact::User
            | Fact::UserId
            | Fact::Cgroup
            | Fact::Container
            | Fact::ContainerName
            | Fact::Image
            | Fact::Pod
            | Fact::Namespace => None,
        }
    }
    fn variable(&self, _name: &str) -> Option<String> {
        None
    }
    fn label(&self, _name: &str) -> Option<String> {
        None
    }
    fn workload(&self) -> Workload {
        Workload::Awaited
    }
    fn listens(&self, ports: Option<&[RangeInclusive<u16>]>) -> bool {
        ports.is_none()
    }
}

#[test]
fn servers_are_known_by_the_way_that_they_are_started() {
    let rules = TargetRules::read(&[], &shipped()).unwrap();
    let py = Some("python");
    for (server, name) in [
        (
            Server(
                "python3.12",
                "/usr/bin/python3 /usr/local/bin/vllm serve m",
                py,
            ),
            "vllm",
        ),
        (
            Server(
                "python3.12",
                "python3 -m vllm.entrypoints.openai.api_server",
                py,
            ),
            "vllm",
        ),
        (Server("python3.12", "VLLM::EngineCore_0", py), "vllm"),
        (
            Server(
                "python3.10",
                "python -m sglang.launch_server --port 30000",
                py,
            ),
            "sglang",
        ),
        (
            Server(
                "text-generation-router",
                "text-generation-router --port 80",
                None,
            ),
            "tgi",
        ),
        (
            Server("text-embeddings-router", "text-embeddings-router", None),
            "tei",
        ),
        (
            Server("llama-server", "./llama-server -m m.gguf", None),
            "llama.cpp",
        ),
        (
            Server("python3.11", "python3 -m llama_cpp.server", py),
            "llama.cpp",
        ),
        (
            Server("ollama", "/usr/bin/ollama serve", Some("go")),
            "ollama",
        ),
        (
            Server("tritonserver", "tritonserver --model-repository=/m", None),
            "triton",
        ),
        (
            Server(
                "java",
                "java -cp ts.jar org.pytorch.serve.ModelServer",
                Some("java"),
            ),
            "torchserve",
        ),
        (Server("python3.11", "ray::ProxyActor", py), "ray-serve"),
        (
            Server("python3.11", "python /venv/bin/bentoml serve .", py),
            "bentoml",
        ),
        (
            Server("python3.11", "python3 /venv/bin/mlserver start .", py),
            "mlserver",
        ),
        (
            Server("python3.11", "python3 /venv/bin/uvicorn app:app", py),
            "uvicorn",
        ),
        (
            Server("python3.11", "gunicorn: master [app]", py),
            "gunicorn",
        ),
        (
            Server("python3.11", "python3 -m hypercorn app", py),
            "hypercorn",
        ),
        (
            Server("python3.11", "python3 /venv/bin/granian app", py),
            "granian",
        ),
        (Server("python3.11", "python3 serve.py", py), "python"),
        (Server("node", "node server.js", Some("node")), "node"),
        (Server("gateway", "./gateway", Some("go")), "go"),
    ] {
        let rule = match rules.choose(&server) {
            Decision::Target(rule) => rule.name.as_deref(),
            Decision::NoTarget | Decision::Awaited => None,
        };
        assert_eq!(rule, Some(name), "{}", server.1);
    }
}

#[test]
fn shells_builders_and_the_platform_are_left_alone() {
    let rules = TargetRules::read(&[], &shipped()).unwrap();
    for server in [
        Server("bash", "bash -c 'vllm serve m'", None),
        Server("cargo", "cargo run --bin uvicorn", None),
        Server("kubelet", "/usr/bin/kubelet --config x", Some("go")),
        Server("containerd-shim-runc-v2", "containerd-shim", Some("go")),
        Server(
            "node",
            "node /root/.vscode-server/bin/x/out/server-main.js",
            Some("node"),
        ),
        Server("postgres", "postgres: writer", None),
        Server("cirron-agent", "cirron-agent daemon", None),
    ] {
        assert_eq!(rules.choose(&server), Decision::NoTarget, "{}", server.1);
    }
}
