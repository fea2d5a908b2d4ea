//! Both ends of a connection on one agent: a request names the call at the other end, and one trace goes through both.
//! Judged by the numbers in paths, or by names of models; none may be wrong.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::below::at_once;
use cirron_tests::process::Guard;
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{self, Server, Stack, model_threads};
use cirron_tests::spool::{Span, Spool};
use cirron_tests::{CANARY, calls, stacks, wait};
use serde_json::{Value, json};

use crate::look;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "requests_name_the_calls_of_gunicorn_s_threads",
        need: Need::Stacks,
        run: || threads(false),
    },
    Test {
        name: "requests_over_https_name_the_calls_of_gunicorn_s_threads",
        need: Need::Stacks,
        run: || threads(true),
    },
    Test {
        name: "requests_of_llama_server_name_the_calls_of_a_gateway",
        need: Need::Stacks,
        run: || gateway(Stack::Llama, &[], 24),
    },
    Test {
        name: "requests_of_llama_server_over_https_name_the_calls_of_a_gateway",
        need: Need::Stacks,
        run: || gateway(Stack::LlamaTls, &[], 8),
    },
    Test {
        name: "requests_over_http2_name_the_calls_of_a_gateway",
        need: Need::Stacks,
        run: || gateway(Stack::HypercornTlsH2, &[("HTTP2", "1")], 8),
    },
    Test {
        name: "requests_of_llama_server_name_the_calls_of_litellm",
        need: Need::Stacks,
        run: || litellm(Stack::Llama, 30),
    },
    Test {
        name: "requests_of_llama_server_over_https_name_the_calls_of_litellm",
        need: Need::Stacks,
        run: || litellm(Stack::LlamaTls, 1),
    },
    Test {
        name: "requests_over_a_unix_socket_name_their_calls",
        need: Need::Stacks,
        run: unix,
    },
    Test {
        name: "sockets_of_the_same_addresses_in_two_namespaces_are_not_mixed_up",
        need: Need::Bpf,
        run: namespaces,
    },
    Test {
        name: "a_traceparent_is_written_and_a_malformed_one_is_not",
        need: Need::Bpf,
        run: traceparent,
    },
];

/// Requests at once, and of each client.
const AT_ONCE: usize = 16;
const EACH: usize = 10;

/// What both ends of an exchange say alike: the path, and the model that is asked for.
fn told(span: &Span) -> (&str, Option<&str>) {
    (span.path(), span.text("gen_ai.request.model"))
}

/// Requests that name a call, by the connection: each its own, which no other names, in one trace with it.
fn judge(spool: &Spool) -> Result<Vec<(Span, Span)>> {
    let calls = spool.client_calls();
    let mut joined: Vec<(Span, Span)> = Vec::new();
    for request in spool.requests() {
        if request.text("cirron.caller.by") != Some("connection") {
            continue;
        }
        let id = request.text("cirron.caller.span_id").context("an id")?;
        let call = calls.iter().find(|call| call.id == id);
        let call = call.with_context(|| format!("{id} is no call"))?;
        ensure!(
            told(call) == told(request),
            "wrong: {request:?} names {call:?}"
        );
        let trace = request.text("cirron.trace_id");
        ensure!(
            trace.is_some() && trace == call.text("cirron.trace_id"),
            "two traces: {request:?}, {call:?}"
        );
        ensure!(
            request.parent_id != call.parent_id,
            "a request is its own session's"
        );
        ensure!(
            joined.iter().all(|(_, other)| other.id != call.id),
            "named twice: {call:?}"
        );
        let requests = spool.requests();
        let parent = requests
            .iter()
            .find(|up| Some(&up.id) == call.parent_id.as_ref());
        if let Some(parent) = parent {
            ensure!(
                parent.text("cirron.trace_id") == trace,
                "another trace: {parent:?}, {call:?}"
            );
        }
        joined.push((request.clone(), (*call).clone()));
    }
    Ok(joined)
}

fn threads(tls: bool) -> Result<String> {
    let (model, model_port) = model_threads(tls)?;
    let port = free_port()?;
    let mut server = Command::new(stacks::venv("gunicorn")?);
    server
        .args(["app_threads:app", "-k", "gthread", "--threads", "16", "-b"])
        .arg(format!("127.0.0.1:{port}"))
        .current_dir(stacks::here().join("servers/python"))
        .stderr(Stdio::null())
        .env("POOLED", "1")
        .env("SSL_CERT_FILE", servers::certificate());
    // Over HTTP the gateway begins a trace for each request, of which its callers know nothing.
    if !tls {
        server.env("TRACED", "1");
    }
    let scheme = if tls { "https" } else { "http" };
    server.env("UPSTREAM", format!("{scheme}://127.0.0.1:{model_port}"));
    let server = Guard::spawn(server)?;
    wait::listener(port)?;
    let agent = Agent::attach(&[server.pid(), model.pid()], &[])?;
    at_once(AT_ONCE, |client| {
        for n in 0..EACH {
            let url = format!("http://127.0.0.1:{port}/ask/{}", client * EACH + n);
            calls::curl(&["-d", "{}", &url])?;
        }
        Ok(())
    })?;
    let report = agent.finish()?;
    let pairs = judge(&report.spool)?;
    let joined = pairs.len();
    for (request, call) in &pairs {
        ensure!(
            call.text("cirron.sent.span_id").is_some() != tls,
            "{call:?}"
        );
        let is_ours = call.parent_id.as_deref() == request.text("cirron.trace_id");
        ensure!(tls || !is_ours, "the header names it: {request:?}");
    }
    let all = AT_ONCE * EACH;
    ensure!(
        joined * 10 >= all * 9,
        "{joined} of {all}: {} {}",
        report.summary["engine"],
        report.spool.describe()
    );
    Ok(format!("{joined} of {all} requests name their call"))
}

/// One request at a time and then some at once, by names of models.
fn ask(port: u16, count: usize) -> Result<()> {
    let chat = |i: usize| {
        let extra = json!({"max_tokens": 4, "x_tokens": 3});
        calls::call("chat", &format!("gw-m{i}"), i.is_multiple_of(3), extra)
    };
    let all: Vec<Value> = (0..count).map(chat).collect();
    let (first, rest) = all.split_at(count / 2);
    calls::openai(port, 1, first)?;
    calls::openai(port, 4, rest)?;
    Ok(())
}

fn gateway(behind: Stack, env: &[(&str, &str)], least: usize) -> Result<String> {
    let behind_it = Server::start(behind)?;
    let url = match behind.is_tls() {
        true => behind_it.https(""),
        false => behind_it.url(""),
    };
    let certificate = servers::certificate();
    let certificate = certificate.to_str().context("a path")?;
    let mut all = vec![("UPSTREAM", url.as_str()), ("SSL_CERT_FILE", certificate)];
    all.extend(env);
    let gateway = Server::start_with(Stack::Gateway, &all)?;
    let agent = Agent::attach(&[gateway.pid(), behind_it.pid()], &[])?;
    ask(gateway.port, 24)?;
    let report = agent.finish()?;
    let joined = judge(&report.spool)?.len();
    ensure!(
        joined >= least,
        "{joined} of 24: {} {}",
        report.summary["engine"],
        report.spool.describe()
    );
    Ok(format!("{joined} of 24 requests name their call"))
}

/// Calls through litellm.
const ASKED: usize = 36;

/// litellm's proxy, unmodified, before llama-server.
fn litellm(behind: Stack, least: usize) -> Result<String> {
    let behind_it = Server::start(behind)?;
    let url = match behind.is_tls() {
        true => behind_it.https("/v1"),
        false => behind_it.url("/v1"),
    };
    let dir = tempfile::tempdir()?;
    let config = dir.path().join("config.yaml");
    let models: Vec<Value> = (0..6)
        .map(|i| {
            let params =
                json!({"model": format!("openai/m{i}"), "api_base": url, "api_key": "none"});
            json!({"model_name": format!("gw-m{i}"), "litellm_params": params})
        })
        .collect();
    // JSON is YAML too.
    std::fs::write(&config, json!({"model_list": models}).to_string())?;
    let port = free_port()?;
    let mut command = Command::new(stacks::litellm()?);
    command
        .arg("--config")
        .arg(&config)
        .args(["--host", "127.0.0.1", "--port", &port.to_string()])
        .current_dir(dir.path())
        .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        .env("SSL_CERT_FILE", servers::certificate())
        .env("NO_PROXY", "127.0.0.1");
    let log = dir.path().join("litellm.log");
    let proxy = Guard::spawn_logged(command, &log)?;
    wait::until("litellm", Duration::from_secs(90), || {
        calls::curl(&["-f", &format!("http://127.0.0.1:{port}/health/liveliness")]).ok()
    })
    .with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
    let agent = Agent::attach(&[proxy.pid(), behind_it.pid()], &[])?;
    let chat = |i: usize| {
        let extra = json!({"max_tokens": 4});
        calls::call(
            "chat",
            &format!("gw-m{}", i % 6),
            i.is_multiple_of(3),
            extra,
        )
    };
    let all: Vec<Value> = (0..ASKED).map(chat).collect();
    calls::openai(port, 1, &all)?;
    let report = agent.finish()?;
    let spool = &report.spool;
    let joined = judge(spool)?;
    let count = |pid: u32, name: &str| {
        let its = spool.spans.iter().filter(|span| span.pid == pid);
        its.filter(|span| span.name == name && span.path().ends_with("chat/completions"))
            .count()
    };
    let [served, made, behind] = [
        count(proxy.pid(), "request"),
        count(proxy.pid(), "http.client"),
        count(behind_it.pid(), "request"),
    ];
    ensure!(
        (served, made, behind) == (ASKED, ASKED, ASKED),
        "{served} served, {made} made, {behind} behind: {}",
        spool.describe()
    );
    // One inside the other's call.
    for (request, call) in &joined {
        ensure!(
            call.pid == proxy.pid() && request.pid == behind_it.pid(),
            "{call:?}, {request:?}"
        );
    }
    let told = joined.len();
    ensure!(told >= least, "{told}: {}", report.summary["engine"]);
    let dir = report.dir.path().to_str().context("a path")?;
    let tree = look::run(&["tree", "--output-dir", dir])?;
    let process = format!(", pid {}", behind_it.pid());
    let is_below =
        |line: &&str| line.trim_start().starts_with("request") && line.contains(&process);
    let drawn = tree.lines().filter(is_below).count();
    ensure!(drawn == told, "{drawn} of {told} below their calls: {tree}");
    Ok(format!("{told} of {ASKED} requests name their call"))
}

/// A shell command as the target, with its children.
fn shell(script: &str) -> Result<Spool> {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    let report = Agent::run(&[], &command, |_| {})?.ended(Duration::from_secs(60))?;
    Ok(report.spool)
}

fn unix() -> Result<String> {
    let dir = tempfile::tempdir()?;
    let python = stacks::here().join("servers/python");
    let server = python.join("app_stdlib.py");
    let (server, socket) = (server.display(), dir.path().join("server.sock"));
    let socket = socket.display();
    let truth = dir.path().join("truth.jsonl");
    let truth = truth.display();
    let spool = shell(&format!(
        "TRUTH_FILE={truth} python3 {server} {socket} & server=$!
        while ! [ -S {socket} ]; do sleep 0.05; done; sleep 0.5
        for n in 1 2 3 4; do
          curl -s --unix-socket {socket} http://unix/health?$n http://unix/health > /dev/null
        done
        kill $server; wait"
    ))?;
    let joined = judge(&spool)?.len();
    let asked = spool.client_calls().len();
    ensure!(asked == 8, "{asked} calls: {}", spool.describe());
    ensure!(joined == 8, "{joined} of 8: {}", spool.describe());
    Ok(String::new())
}

/// Two pairs with the same addresses and ports at the same time, each in a namespace of its own.
fn namespaces() -> Result<String> {
    let python = stacks::here().join("servers/python");
    let model = python.join("model_threads.py");
    let pair = |from: usize| {
        format!(
            "unshare -n sh -c 'ip link set lo up
            python3 {model} 9000 & server=$!
            sleep 1.5
            for n in 0 1 2 3 4 5; do
              curl -s --retry 3 --retry-connrefused --local-port 40000-40005 -d {{}} \
                http://127.0.0.1:9000/v1/$(({from} + n))/chat/completions > /dev/null
            done
            kill $server'",
            model = model.display()
        )
    };
    let spool = shell(&format!("{} & {} & wait", pair(100), pair(200)))?;
    let joined = judge(&spool)?.len();
    ensure!(joined == 12, "{joined} of 12: {}", spool.describe());
    Ok(String::new())
}

fn traceparent() -> Result<String> {
    let (model, port) = model_threads(false)?;
    let agent = Agent::attach(&[model.pid()], &[])?;
    let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (n, value) in [good.to_owned(), format!("00-{CANARY}"), CANARY.to_owned()]
        .iter()
        .enumerate()
    {
        let header = format!("traceparent: {value}");
        let url = format!("http://127.0.0.1:{port}/v1/{n}/chat/completions");
        calls::curl(&["-H", &header, "-d", "{}", &url])?;
    }
    let report = agent.finish()?;
    let requests = report.spool.requests();
    ensure!(requests.len() == 3, "{}", report.spool.describe());
    for request in requests {
        let said = [
            "cirron.trace_id",
            "cirron.caller.span_id",
            "cirron.caller.by",
        ]
        .map(|name| request.text(name));
        let expected = match request.path() {
            "/v1/0/chat/completions" => [
                Some("4bf92f3577b34da6a3ce929d0e0e4736"),
                Some("00f067aa0ba902b7"),
                Some("traceparent"),
            ],
            _ => [None; 3],
        };
        ensure!(said == expected, "{request:?}");
    }
    ensure!(
        report.summary["engine"]["bad_traceparents"] == 2,
        "{}",
        report.summary
    );
    Ok(String::new())
}
