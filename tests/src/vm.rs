//! Judges what the guest of `cargo xtask vm` brings out (`tests/vm/guest.py` says what that is): the
//! spool against the servers' own truth and what curl saw, HTTPS against HTTP, `doctor`, the
//! kernel's log. Times are not bounded: the guest's processor is emulated.

mod ktls;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::spool::{Span, Spool};
use crate::truth::{self, Truth};
use crate::{contract, expect};

/// The servers that the guest runs, each over HTTP and then over HTTPS.
const SERVERS: [&str; 2] = ["http_server", "uvicorn"];
/// The agent's exit code where the machine lacks something.
const CANNOT_ATTACH: i32 = 3;
/// Requests that a server is asked, so that a guest which asked none does not pass.
const CALLS: usize = 16;
/// The same of the server whose threads are in each other's way.
const CROWD: usize = 36;

/// Tests of the real-server suite that ran in the guest.
const SUITE: [&str; 2] = [
    "every_call_that_moves_bytes_is_seen_over_tcp",
    "every_call_that_moves_bytes_is_seen_over_unix_sockets",
];

/// The first kernel that takes the programs, and what is said of one before.
const OLDEST: (u32, u32) = (5, 12);
const TOO_OLD: &str = "kernel 5.12 or later";

/// From here on the programs that see processes begin and end may be preempted, and others passed over.
const PREEMPTS_FROM: (u32, u32) = (7, 0);

/// From here on a link has many places, and asks for no more than `CAP_PERFMON`. What is said before it, where the kernel
/// opens an event for `CAP_SYS_ADMIN` alone.
const MANY_PLACES_FROM: (u32, u32) = (6, 6);
const NO_PROBES: &str = "CAP_SYS_ADMIN";

/// What became of one check.
#[derive(Debug)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// Figures, or why not.
    pub result: Result<String>,
}

#[derive(Deserialize)]
struct Host {
    release: String,
    doctor_exit: i32,
}

/// What the guest saw of one server.
#[derive(Deserialize)]
struct Run {
    attached: bool,
    agent_exit: i32,
    alive: bool,
    calls: Vec<CurlCall>,
}

/// One request, as curl saw it.
#[derive(Debug, Deserialize)]
struct CurlCall {
    method: String,
    path: String,
    model: Option<String>,
    status: i64,
    sent: i64,
    received: i64,
    port: i64,
}

fn text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    serde_json::from_str(&text(path)?).with_context(|| path.display().to_string())
}

/// Every check on what is in `out`. Of a kernel that is too old for the agent, that it says so.
pub fn judge(out: &Path) -> Vec<Check> {
    let release = match json::<Host>(&out.join("host.json")) {
        Ok(host) => host.release,
        Err(error) => {
            return vec![Check {
                name: "guest".to_owned(),
                result: Err(error),
            }];
        }
    };
    if before(&release, OLDEST) {
        return vec![Check {
            name: "refusal".to_owned(),
            result: refusal(out),
        }];
    }
    let mut checks = vec![
        Check {
            name: "doctor".to_owned(),
            result: doctor(out),
        },
        Check {
            name: "kernel_log".to_owned(),
            result: kernel_log(out),
        },
    ];
    checks.extend(SUITE.map(|test| Check {
        name: test.to_owned(),
        result: suite(out, test),
    }));
    for server in SERVERS {
        let [http, https] = ["http", "https"].map(|scheme| format!("{scheme}_{server}"));
        checks.push(Check {
            result: exchanges(out, &release, &http, CALLS),
            name: http.clone(),
        });
        checks.push(Check {
            result: exchanges(out, &release, &https, CALLS).and_then(|figures| {
                let [plain, sealed] = [&http, &https].map(|name| out.join(name).join("agent"));
                same(&Spool::read(&plain)?, &Spool::read(&sealed)?)?;
                Ok(figures)
            }),
            name: https,
        });
    }
    checks.push(Check {
        name: "https_crowd".to_owned(),
        result: exchanges(out, &release, "https_crowd", CROWD),
    });
    for name in ["rights_http", "rights_https"] {
        checks.push(Check {
            name: name.to_owned(),
            result: with_rights(out, &release, name),
        });
    }
    checks.extend(ktls::checks(out));
    checks
}

/// `doctor` and the attach say in a line what is missing, with the exit code of that, and the server
/// goes on.
fn refusal(out: &Path) -> Result<String> {
    let host: Host = json(&out.join("host.json"))?;
    let printed = text(&out.join("doctor.txt"))?;
    let missing = |text: &str, mark: &str| {
        let line = text.lines().find(|line| line.contains(mark))?;
        line.contains(TOO_OLD).then(|| line.trim().to_owned())
    };
    ensure!(
        host.doctor_exit == CANNOT_ATTACH,
        "exit {}: {printed}",
        host.doctor_exit
    );
    let line = missing(&printed, "MISSING").with_context(|| printed.clone())?;
    for server in SERVERS {
        for scheme in ["http", "https"] {
            let folder = out.join(format!("{scheme}_{server}"));
            let run: Run = json(&folder.join("run.json"))?;
            let log = text(&folder.join("agent/log.txt"))?;
            ensure!(
                !run.attached && run.agent_exit == CANNOT_ATTACH && run.alive,
                "exit {}: {log}",
                run.agent_exit
            );
            missing(&log, "missing:").with_context(|| log.clone())?;
            ensure!(!folder.join("agent/spool").exists(), "a spool was begun");
        }
    }
    Ok(line.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The kernel took the programs. Its figures say what it lacks, and which links it made.
fn doctor(out: &Path) -> Result<String> {
    let host: Host = json(&out.join("host.json"))?;
    let printed = text(&out.join("doctor.txt"))?;
    ensure!(
        host.doctor_exit == 0,
        "exit {}: {printed}",
        host.doctor_exit
    );
    ensure!(!printed.contains("MISSING"), "{printed}");
    let (_, programs) = printed
        .split_once("\nprograms:\n")
        .context("doctor tried no program")?;
    // A blank line ends them.
    let (programs, _) = programs.split_once("\n\n").unwrap_or((programs, ""));
    let mut said = Vec::new();
    for line in programs.lines() {
        let (verdict, rest) = line.split_once(char::is_whitespace).context("a verdict")?;
        let (name, detail) = rest
            .trim()
            .split_once(char::is_whitespace)
            .unwrap_or((rest.trim(), ""));
        match (verdict, name) {
            ("loaded", "uprobes") => said.push(detail.trim().to_owned()),
            // Attached to nothing: the agent runs it.
            ("loaded", "socket_check") => {}
            ("attached", _) if detail.trim().is_empty() => {}
            ("attached", _) => said.push(format!("{name} {}", detail.trim())),
            _ => anyhow::bail!("{line}"),
        }
    }
    ensure!(!said.is_empty(), "no word of uprobes: {printed}");
    Ok(said.join("; "))
}

fn before(release: &str, version: (u32, u32)) -> bool {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|n| n.parse().ok());
    let found = numbers.next().zip(numbers.next());
    found.is_some_and(|found| found < version)
}

/// Nothing in it that a kernel says when something has gone wrong inside.
fn kernel_log(out: &Path) -> Result<String> {
    const BAD: [&str; 6] = [
        "BUG:",
        "WARNING:",
        "Oops",
        "general protection fault",
        "CurlCall Trace",
        "soft lockup",
    ];
    let log = text(&out.join("dmesg.txt"))?;
    let bad: Vec<&str> = log
        .lines()
        .filter(|line| BAD.iter().any(|word| line.contains(word)))
        .take(3)
        .collect();
    ensure!(bad.is_empty(), "{}", bad.join("; "));
    ensure!(log.lines().count() > 10, "it is empty");
    Ok(format!(
        "{} lines, none of them a warning",
        log.lines().count()
    ))
}

/// The suite's own verdict on one of its tests.
fn suite(out: &Path, test: &str) -> Result<String> {
    let printed = text(&out.join("suite.txt"))?;
    let line = printed
        .lines()
        .find(|line| line.split([' ', ':']).any(|word| word == test))
        .with_context(|| format!("it did not run: {printed}"))?;
    let (_, figures) = line
        .strip_prefix("ok ")
        .and_then(|rest| rest.split_once(test))
        .with_context(|| line.to_owned())?;
    Ok(figures.split_once(": ").map_or("", |(_, f)| f).to_owned())
}

/// One server's exchanges: all of them, once, whole, with the server's and the client's figures.
fn exchanges(out: &Path, release: &str, name: &str, calls: usize) -> Result<String> {
    let folder = out.join(name);
    let tls = name.contains("https");
    let own = folder.join("agent");
    let run: Run = json(&folder.join("run.json"))?;
    let log = || text(&own.join("log.txt")).unwrap_or_default();
    ensure!(run.attached, "the agent did not attach: {}", log());
    ensure!(run.agent_exit == 0, "exit {}: {}", run.agent_exit, log());
    ensure!(run.alive, "the server did not survive the agent");
    ensure!(
        run.calls.len() == calls,
        "{} of {calls} requests made",
        run.calls.len()
    );
    contract::check(&own)?;
    let spool = Spool::read(&own)?;
    // The last line is of the request that was made after the agent had gone.
    let mut truth = truth::read(&folder.join("truth.jsonl"))?;
    truth.pop().context("the server served nothing")?;
    let figures = expect::matches_emulated(&spool, &truth)
        .with_context(|| format!("{}\n{}", log(), spool.describe()))?;
    clients(&spool.requests(), &run.calls, tls)?;
    let summary: Value = json(&own.join("summary.json"))?;
    nothing_lost(&summary)?;
    let links = &summary["detach"];
    let passed_over = summary["kernel"]["passed_over"].as_u64();
    let passed_over = match passed_over.context("kernel.passed_over")? {
        0 => String::new(),
        // Ends and beginnings of processes, curl's among them: all else stands on events of perf's.
        n if !before(release, PREEMPTS_FROM) => format!("; {n} events passed over by the kernel"),
        n => anyhow::bail!("{n} events passed over by the kernel"),
    };
    Ok(format!(
        "{}; {} probes in {} links, detached in {:.0} ms{}{passed_over}",
        figures.summary(),
        links["uprobes"],
        links["links"],
        links["ms"].as_f64().context("detach.ms")?,
        if tls {
            known(&spool, &truth)
        } else {
            String::new()
        }
    ))
}

/// An agent with the capabilities that the chart gives it sees what root's sees; where its kernel opens no probe inside a
/// TLS library for it, it says so and guesses nothing.
fn with_rights(out: &Path, release: &str, name: &str) -> Result<String> {
    let whole = exchanges(out, release, name, CALLS);
    if whole.is_ok() || !name.ends_with("https") || !before(release, MANY_PLACES_FROM) {
        return whole;
    }
    let folder = out.join(name);
    let run: Run = json(&folder.join("run.json"))?;
    let log = text(&folder.join("agent/log.txt"))?;
    ensure!(
        run.attached && run.agent_exit == 0 && run.alive,
        "exit {}: {log}",
        run.agent_exit
    );
    let said = log.lines().find(|line| line.contains(NO_PROBES));
    let said = said.with_context(|| format!("it is not said: {log}"))?;
    let spool = Spool::read(&folder.join("agent"))?;
    ensure!(spool.requests().is_empty(), "{}", spool.describe());
    Ok(format!("HTTPS is not read, and said: {}", said.trim()))
}

/// How many exchanges inside TLS have their socket.
fn known(spool: &Spool, truth: &[Truth]) -> String {
    let linked = spool
        .requests()
        .iter()
        .filter(|s| s.int("client.port").is_some())
        .count();
    format!("; sockets of {linked} of {} known", truth.len())
}

/// Status, sizes and addresses are those that curl saw, request by request.
fn clients(requests: &[&Span], calls: &[CurlCall], tls: bool) -> Result<()> {
    let key = |path: &str, model: Option<&str>, sizes: (i64, i64, i64)| {
        format!("{path} {model:?} {sizes:?}")
    };
    let mut spans: BTreeMap<String, Vec<&Span>> = BTreeMap::new();
    for span in requests {
        let sizes = (
            span.status().context("status")?,
            span.int("http.request.body.size").context("request size")?,
            span.int("http.response.body.size")
                .context("response size")?,
        );
        let model = span.text("gen_ai.request.model");
        spans
            .entry(key(span.path(), model, sizes))
            .or_default()
            .push(span);
    }
    for call in calls {
        let sizes = (call.status, call.sent, call.received);
        // A call that was refused is none of a model.
        let model = call.model.as_deref().filter(|_| call.status < 400);
        let key = key(&call.path, model, sizes);
        let span = spans.get_mut(&key).and_then(Vec::pop).with_context(|| {
            format!(
                "no exchange as curl saw it: {call:?}; left are {:?}",
                spans.keys()
            )
        })?;
        ensure!(
            span.text("http.request.method") == Some(call.method.as_str()),
            "method: {span:?}"
        );
        ensure!(
            span.text("url.scheme") == tls.then_some("https"),
            "scheme: {span:?}"
        );
        let port = span.int("client.port");
        ensure!(
            port.is_none_or(|port| port == call.port) && (port.is_some() || tls),
            "client.port {port:?}, it was {}: {span:?}",
            call.port
        );
    }
    Ok(())
}

/// The summary's counters of what was lost or not understood.
fn nothing_lost(summary: &Value) -> Result<()> {
    let count = |of: &str, name: &str| summary[of][name].as_u64();
    for (of, name) in [
        ("kernel", "compat_calls"),
        ("kernel", "conn_map_full"),
        ("kernel", "events_lost"),
        ("kernel", "fault_records"),
        ("kernel", "over_limit_bytes"),
        ("kernel", "ring_full_records"),
        ("engine", "bad_records"),
        ("engine", "lost_bytes"),
        ("engine", "opaque_connections"),
        ("engine", "partial"),
        ("engine", "client_calls"),
        ("spool", "spans_lost"),
    ] {
        ensure!(count(of, name) == Some(0), "{of}.{name}: {}", summary[of]);
    }
    Ok(())
}

/// What HTTPS takes from an exchange, or adds; and what differs from run to run.
const OWN: [&str; 11] = [
    "cirron.stream.burst",
    "request_id",
    "gen_ai.response.id",
    "url.scheme",
    "cirron.tls.link",
    "cirron.times",
    "client.address",
    "client.port",
    "server.address",
    "server.port",
    "network.peer.address",
];

/// An exchange without what is its run's own: its attributes, and its marks' names with the values of
/// those that are no times.
fn shape(span: &Span) -> (Map<String, Value>, Vec<String>) {
    let mut attrs = span.attrs.clone();
    attrs.retain(|name, _| !OWN.contains(&name.as_str()));
    let timed = |name: &str| name.ends_with("_ms") || name.ends_with("_per_second");
    let mut marks: Vec<String> = span
        .marks
        .iter()
        // Known over HTTPS where the socket is, which takes a while with memory BIOs.
        .filter(|m| m.name != "time_in_queue_ms")
        .map(|m| match timed(&m.name) {
            true => m.name.clone(),
            false => format!("{} {}", m.name, m.value),
        })
        .collect();
    marks.sort();
    marks.dedup();
    (attrs, marks)
}

/// Both spools say the same of the same requests.
fn same(http: &Spool, https: &Spool) -> Result<()> {
    let shapes = |spool: &Spool| {
        let mut all: Vec<String> = spool
            .requests()
            .iter()
            .map(|span| format!("{:?}", shape(span)))
            .collect();
        all.sort();
        all
    };
    for (plain, sealed) in shapes(http).iter().zip(shapes(https)) {
        ensure!(
            *plain == sealed,
            "in plaintext {plain}, over HTTPS {sealed}"
        );
    }
    ensure!(http.requests().len() == https.requests().len(), "counts");
    Ok(())
}
