//! Batches are sent on: by hand, by the agent, whatever the platform's ingest route answers.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::{Agent, binary};
use cirron_tests::calls::wrk;
use cirron_tests::ingest::{Answer, Ingest, batches};
use cirron_tests::process::{Guard, children};
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack};
use cirron_tests::stacks;
use cirron_tests::wait::{self, until};
use serde_json::Value;

use crate::plain::Plain;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "batches_are_sent_in_order_and_under_one_id_whatever_the_platform_answers",
        need: Need::Binary,
        run: answers,
    },
    Test {
        name: "a_shipper_that_is_killed_goes_on_where_it_was",
        need: Need::Binary,
        run: killed,
    },
    Test {
        name: "an_agent_ships_what_it_writes_and_its_shipper_may_die",
        need: Need::Bpf,
        run: by_the_agent,
    },
    Test {
        name: "an_agent_whose_keeper_is_killed_says_so_and_what_is_left_is_sent_by_hand",
        need: Need::Bpf,
        run: without_a_keeper,
    },
    Test {
        name: "a_saturated_server_s_batches_arrive_in_order_past_resets_and_errors",
        need: Need::Stacks,
        run: saturated,
    },
    Test {
        name: "an_agent_below_its_own_target_does_not_read_what_it_sends",
        need: Need::Bpf,
        run: below_its_target,
    },
    Test {
        name: "batches_are_uploaded_as_the_sdk_uploads_them",
        need: Need::Stacks,
        run: as_the_sdk,
    },
];

/// What must be nowhere but in a header.
const KEY: &str = "ck_test_5f3a";

/// For a shipper to do what it has to.
const PATIENCE: Duration = Duration::from_secs(20);

/// `cirron-agent ship` of a spool to a route.
fn ship(dir: &Path, endpoint: &str, more: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(["ship", "--output-dir"]).arg(dir).args(more);
    platform(&mut command, endpoint);
    command
}

fn platform(command: &mut Command, endpoint: &str) {
    command
        .env_remove("CIRRON_RUN_ID")
        .env_remove("CIRRON_INGEST_PATH")
        .env("CIRRON_API_KEY", KEY)
        .env("CIRRON_API_ENDPOINT", endpoint);
}

fn shipped(dir: &Path, ingest: &Ingest, more: &[&str]) -> Result<String> {
    let Output { status, stderr, .. } = ship(dir, &ingest.endpoint(), more).output()?;
    let stderr = String::from_utf8_lossy(&stderr).into_owned();
    ensure!(status.success(), "{status}: {stderr}");
    ensure!(!stderr.contains(KEY), "the key is said: {stderr}");
    Ok(stderr)
}

fn answers() -> Result<String> {
    let dir = tempfile::tempdir()?;
    let ids = batches(dir.path(), 0, 12)?;
    let plan = [
        Answer::Status(200),
        Answer::Later("1"),
        Answer::Status(202),
        Answer::Status(500),
        Answer::Status(200),
        Answer::Status(413),
        Answer::Status(401),
        Answer::Status(403),
        Answer::Reset,
        Answer::Status(200),
        Answer::Status(400),
        Answer::Status(301),
    ];
    let ingest = Ingest::start(&plan)?;
    let said = shipped(dir.path(), &ingest, &["--once"])?;
    let came = ingest.came();
    let order: Vec<&str> = came.iter().map(cirron_tests::ingest::Came::id).collect();
    // The second, third and seventh had to be tried again.
    let tries = [0, 1, 1, 2, 2, 3, 4, 5, 6, 6, 7, 8, 9, 10, 11];
    let want: Vec<&str> = tries.iter().map(|n| ids[*n].as_str()).collect();
    ensure!(order == want, "{order:?}");
    for one in &came {
        ensure!(one.json()?["batch_id"] == one.id(), "{one:?}");
        ensure!(one.path == "/api/traces", "{}", one.path);
    }
    let waited = came[2].at.duration_since(came[1].at);
    ensure!(waited >= Duration::from_millis(990), "{waited:?}");
    for words in [
        "413",
        "400",
        "301",
        "7 batches sent",
        "1 given up (too large)",
        "2 given up (not allowed)",
    ] {
        ensure!(said.contains(words), "{words}: {said}");
    }
    ensure!(said.matches("check CIRRON_API_KEY").count() == 1, "{said}");
    for entry in std::fs::read_dir(dir.path().join("ship"))? {
        let text = std::fs::read_to_string(entry?.path())?;
        ensure!(!text.contains(KEY), "the key is written");
    }
    // Nothing is left, and what was given up goes when it is asked for, and is removed then with the rest.
    shipped(dir.path(), &ingest, &["--once"])?;
    ensure!(ingest.came().len() == want.len());
    let removed = shipped(dir.path(), &ingest, &["--once", "--again"])?;
    ensure!(removed.contains("5 batches sent"), "{removed}");
    let taken: BTreeSet<String> = ingest.taken().into_iter().collect();
    ensure!(taken == ids.into_iter().collect(), "{taken:?}");
    Ok(format!(
        "{} requests for {} batches",
        came.len() + 5,
        taken.len()
    ))
}

fn killed() -> Result<String> {
    let dir = tempfile::tempdir()?;
    let early = batches(dir.path(), 10, 6)?;
    let plan = [Answer::Status(200), Answer::Status(200), Answer::Stall];
    let ingest = Ingest::start(&plan)?;
    let run = |more: &[&str]| {
        let mut command = ship(dir.path(), &ingest.endpoint(), more);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Guard::spawn(command)
    };
    let mut first = run(&["--ship-remove", "sent"])?;
    until("a send that stalls", PATIENCE, || {
        (ingest.came().len() == 3).then_some(())
    })?;
    // One at a time sends a spool to one place.
    let second = ship(dir.path(), &ingest.endpoint(), &["--once"]).output()?;
    let said = String::from_utf8_lossy(&second.stderr);
    ensure!(
        said.contains("already") && second.status.code() == Some(1),
        "{said}"
    );
    first.signal(libc::SIGKILL);
    first.wait(PATIENCE)?;
    // By their names these should have been sent before, and they came while nobody looked.
    let late = batches(dir.path(), 3, 2)?;
    let mut ids = [&early[..2], &late, &early[2..]].concat();
    let mut third = run(&["--ship-remove", "sent"])?;
    until("all batches", PATIENCE, || {
        (ingest.taken().len() == 8).then_some(())
    })?;
    ensure!(ingest.taken() == ids, "{:?}", ingest.taken());
    // It follows: what comes is sent, and what was sent is removed.
    ids.extend(batches(dir.path(), 20, 3)?);
    until("the last ones", PATIENCE, || {
        (ingest.taken().len() == 11).then_some(())
    })?;
    let left = || std::fs::read_dir(dir.path().join("spool")).map_or(99, Iterator::count);
    until("an empty spool", PATIENCE, || (left() == 0).then_some(()))?;
    third.signal(libc::SIGTERM);
    let status = third.wait(PATIENCE)?;
    ensure!(status.success(), "{status}");
    let came = ingest.came();
    ensure!(came.len() == 12 && ingest.taken() == ids, "{}", came.len());
    Ok("one of 11 batches sent twice, under one id".to_owned())
}

/// The words of a process's status.
fn status_of(pid: u32, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start_matches(':').trim().to_owned())
}

fn by_the_agent() -> Result<String> {
    let port = free_port()?;
    let server = Plain::start(&[])?;
    let args = [
        "--pid",
        &server.pid().to_string(),
        "--flush-interval",
        "50ms",
    ];
    let agent = Agent::start(&args.map(str::to_owned), |command| {
        platform(command, &format!("http://127.0.0.1:{port}"));
    })?;
    let keeper = keeper_of(&agent)?;
    let worker = || children(keeper).ok()?.first().copied();
    let first = until("a worker", PATIENCE, worker)?;
    // Nobody listens yet.
    server.call(20)?;
    let confined = || (status_of(first, "Seccomp")? == "2").then_some(());
    until("a worker that is confined", PATIENCE, confined)?;
    for (pid, name, want) in [
        (first, "CapEff", "0000000000000000"),
        (first, "CapPrm", "0000000000000000"),
        (first, "NoNewPrivs", "1"),
        (keeper, "CapEff", "0000000000000000"),
        (keeper, "Seccomp", "2"),
    ] {
        let is = status_of(pid, name).context("its status")?;
        ensure!(is == want, "{name} of {pid} is {is}");
    }
    for pid in [keeper, first] {
        let line = std::fs::read(format!("/proc/{pid}/cmdline"))?;
        ensure!(
            !String::from_utf8_lossy(&line).contains(KEY),
            "a key in a command line"
        );
    }
    until("words about it", PATIENCE, || {
        agent.stderr().contains("takes no batch").then_some(())
    })?;
    let ingest = Ingest::start_at(port, &[Answer::Status(503)])?;
    until("a batch", PATIENCE, || {
        (!ingest.taken().is_empty()).then_some(())
    })?;
    // SAFETY: plain system call, with a process of the agent's that this test began.
    unsafe { libc::kill(i32::try_from(first)?, libc::SIGKILL) };
    server.call(20)?;
    until("another worker", PATIENCE, || {
        worker().filter(|pid| *pid != first)
    })?;
    server.call(20)?;
    let report = agent.finish()?;
    ensure!(report.stderr.contains("starts again"), "{}", report.stderr);
    ensure!(!report.stderr.contains(KEY), "the key is said");
    ensure!(
        report.summary["shipper"]["deaths"] == 0,
        "{}",
        report.summary["shipper"]
    );
    let requests = report.spool.requests().len();
    ensure!(requests == 60, "{requests}");
    // Byte for byte what the spool has, and all of it, once but for what the kill touched.
    let (mut files, mut names) = (Vec::new(), BTreeSet::new());
    for entry in std::fs::read_dir(report.dir.path().join("spool"))? {
        let path = entry?.path();
        files.push(std::fs::read(&path)?);
        names.insert(path);
    }
    let came = ingest.came();
    let taken: Vec<_> = came.iter().filter(|came| came.is_taken()).collect();
    let has = |file: &Vec<u8>| taken.iter().any(|came| came.body == *file);
    ensure!(
        files.iter().all(has),
        "{} of {}; {}",
        taken.len(),
        files.len(),
        report.stderr
    );
    ensure!(
        taken.len() <= files.len() + 1,
        "{} of {}",
        taken.len(),
        files.len()
    );
    Ok(format!("{} batches of {requests} requests", files.len()))
}

/// The bytes of a spool's batches that no upload had.
fn missing(dir: &Path, ingest: &Ingest) -> Result<usize> {
    let came = ingest.came();
    let mut missing = 0;
    for entry in std::fs::read_dir(dir.join("spool"))? {
        let file = std::fs::read(entry?.path())?;
        let is_it = |came: &cirron_tests::ingest::Came| came.is_taken() && came.body == file;
        missing += usize::from(!came.iter().any(is_it));
    }
    Ok(missing)
}

/// Among the agent's processes, of which one may ask for pods, the one that ships.
fn keeper_of(agent: &Agent) -> Result<u32> {
    let ships = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == b"ship")
    };
    let keeper = children(agent.pid())?.into_iter().find(ships);
    keeper.context("no keeper")
}

fn without_a_keeper() -> Result<String> {
    let server = Plain::start(&[])?;
    let ingest = Ingest::start(&[])?;
    let pid = server.pid().to_string();
    // The file says where the platform is, the environment only who asks.
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(&file, format!("[ship]\nendpoint = '{}'", ingest.endpoint()))?;
    let config = file.path().display().to_string();
    let args = [
        "--pid",
        &pid,
        "--flush-interval",
        "50ms",
        "--config",
        &config,
    ]
    .map(str::to_owned);
    let agent = Agent::start(&args, |command| {
        platform(command, "");
    })?;
    let keeper = keeper_of(&agent)?;
    server.call(20)?;
    until("a batch", PATIENCE, || {
        (!ingest.taken().is_empty()).then_some(())
    })?;
    let worker = children(keeper)?.first().copied().context("a worker")?;
    cirron_tests::process::kill(keeper, libc::SIGKILL);
    until("words about it", PATIENCE, || {
        let is_said = agent.stderr().contains("nothing is shipped any more");
        is_said.then_some(())
    })?;
    // The worker sends what is there, and goes.
    until("the worker's end", PATIENCE, || {
        status_of(worker, "Name").is_none().then_some(())
    })?;
    server.call(20)?;
    let report = agent.finish()?;
    ensure!(
        report.summary["shipper"]["deaths"] == 1,
        "{}",
        report.summary["shipper"]
    );
    ensure!(report.spool.requests().len() == 40);
    let dir = report.dir.path();
    let left = missing(dir, &ingest)?;
    ensure!(left > 0, "who sent it?");
    shipped(dir, &ingest, &["--once"])?;
    ensure!(missing(dir, &ingest)? == 0, "{:?}", ingest.taken());
    let taken = ingest.taken();
    let ids: BTreeSet<&String> = taken.iter().collect();
    ensure!(ids.len() == taken.len(), "sent twice: {taken:?}");
    Ok(format!("{} batches, {left} of them by hand", taken.len()))
}

fn saturated() -> Result<String> {
    let server = Server::start(Stack::UvicornHttptools)?;
    let plan = [
        Answer::Status(200),
        Answer::Reset,
        Answer::Status(500),
        Answer::Status(200),
        Answer::Reset,
    ];
    let ingest = Ingest::start(&plan)?;
    let pid = server.pid().to_string();
    let args = ["--pid", &pid, "--flush-interval", "50ms"].map(str::to_owned);
    let agent = Agent::start(&args, |command| platform(command, &ingest.endpoint()))?;
    wrk(&["-t1", "-c16", "-d2s", &server.url("/health")])?;
    wait::closed_to(0, server.port)?;
    let report = agent.finish()?;
    let dir = report.dir.path();
    shipped(dir, &ingest, &["--once"])?;
    ensure!(missing(dir, &ingest)? == 0, "{}", report.stderr);
    let taken = ingest.taken();
    let names: Vec<_> = cirron_tests::spool::batches(dir)?
        .iter()
        .filter_map(|path| Some(path.file_stem()?.to_str()?.split_once('-')?.1.to_owned()))
        .collect();
    ensure!(taken == names, "in another order: {taken:?}, {names:?}");
    ensure!(
        report.summary["spool"]["batches_lost"] == 0,
        "{}",
        report.summary
    );
    let requests = report.spool.requests().len();
    ensure!(requests > 500, "{requests}");
    Ok(format!("{} batches of {requests} requests", names.len()))
}

/// The agent is a child of the shell that is its target: what it sends is written by a child of its target.
const OWN_SHELL: &str = r#"
"$0" --pid $$ --output-dir "$1" --flush-interval 50ms 2> "$1/log" & agent=$!
while ! grep -q 'attached to' "$1/log"; do sleep 0.05; done
curl -s "$2" > /dev/null
sleep 1
kill -TERM $agent
wait $agent
"#;

fn below_its_target() -> Result<String> {
    let dir = tempfile::tempdir()?;
    let server = Plain::start(&[])?;
    let ingest = Ingest::start(&[])?;
    let mut shell = Command::new("sh");
    shell.args(["-c", OWN_SHELL]).arg(binary()).arg(dir.path());
    shell.arg(format!("http://127.0.0.1:{}/own", server.port));
    platform(&mut shell, &ingest.endpoint());
    let output = shell.stdin(Stdio::null()).output()?;
    let log = std::fs::read_to_string(dir.path().join("log"))?;
    ensure!(output.status.success(), "{output:?}: {log}");
    let spool = cirron_tests::spool::Spool::read(dir.path())?;
    let calls: Vec<&str> = spool.client_calls().iter().map(|c| c.path()).collect();
    ensure!(calls == ["/own"], "{calls:?}");
    ensure!(missing(dir.path(), &ingest)? == 0, "{log}");
    let batches = ingest.taken().len();
    // Those of the shell's children, which come and go for a second; none is of an upload.
    ensure!(batches < 20, "{batches} batches");
    Ok(format!("{batches} batches"))
}

/// Sends each batch of a spool by the SDK's own transports: by HTTP, and as lines on standard output.
const BY_THE_SDK: &str = r"
import json, os, pathlib, sys
from cirron.core.ingest import IngestClient
from cirron.core.transport import EventStreamTransport, HttpTransport
http = HttpTransport(IngestClient(os.environ['CIRRON_API_ENDPOINT'], os.environ['CIRRON_API_KEY']))
for path in sorted(pathlib.Path(sys.argv[1]).glob('*.json')):
    batch = json.loads(path.read_bytes())
    assert http.send(batch)
    assert EventStreamTransport().send(batch)
";

fn as_the_sdk() -> Result<String> {
    let dir = tempfile::tempdir()?;
    let ids = batches(dir.path(), 0, 4)?;
    let (sdks, ours) = (Ingest::start(&[])?, Ingest::start(&[])?);
    let mut python = Command::new(stacks::venv("python")?);
    python
        .args(["-c", BY_THE_SDK])
        .arg(dir.path().join("spool"));
    platform(&mut python, &sdks.endpoint());
    let by_sdk = python.output()?;
    ensure!(
        by_sdk.status.success(),
        "{}",
        String::from_utf8_lossy(&by_sdk.stderr)
    );
    shipped(dir.path(), &ours, &["--once"])?;
    let (by_http, by_us) = (sdks.came(), ours.came());
    ensure!(by_http.len() == ids.len() && by_us.len() == ids.len());
    let same = [
        "authorization",
        "content-type",
        "content-encoding",
        "x-cirron-batch-id",
    ];
    for (sdk, ours) in by_http.iter().zip(&by_us) {
        ensure!(
            sdk.path == ours.path && sdk.json()? == ours.json()?,
            "{ours:?}"
        );
        for name in same {
            ensure!(
                sdk.header(name) == ours.header(name),
                "{name}: {sdk:?} {ours:?}"
            );
        }
        let version = "x-cirron-sdk-version";
        ensure!(sdk.header(version) == Some("0.3.0"), "{sdk:?}");
        ensure!(
            ours.header(version)
                .is_some_and(|v| v.starts_with("agent/")),
            "{ours:?}"
        );
    }
    // Lines of the event stream, where a run's id is set: but for the version the same.
    let mut lines = ship(dir.path(), &ours.endpoint(), &["--once"]);
    let by_lines = lines.env("CIRRON_RUN_ID", "run-1").output()?;
    ensure!(by_lines.status.success() && ours.came().len() == ids.len());
    let parsed = |text: &[u8]| -> Result<Vec<Value>> {
        let lines = text.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        let mut all = Vec::new();
        for line in lines {
            let mut line: Value = serde_json::from_slice(line)?;
            ensure!(line["sdk_version"].take().is_string());
            all.push(line);
        }
        Ok(all)
    };
    let (sdk, us) = (parsed(&by_sdk.stdout)?, parsed(&by_lines.stdout)?);
    ensure!(sdk.len() == ids.len() && sdk == us, "{us:?}");
    Ok(format!("{} batches, both ways", ids.len()))
}
