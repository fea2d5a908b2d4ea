//! Which processes are seen: children, later children, several targets, none of the others.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::calls::{call, curl, openai};
use cirron_tests::expect;
use cirron_tests::process::kill;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack};
use cirron_tests::wait::until;
use serde_json::json;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "a_worker_forked_after_the_attach_is_seen",
        need: Need::Stacks,
        run: later_worker,
    },
    Test {
        name: "no_children_leaves_workers_alone",
        need: Need::Stacks,
        run: no_children,
    },
    Test {
        name: "two_targets_have_a_session_each",
        need: Need::Stacks,
        run: two,
    },
    Test {
        name: "run_sees_a_command_and_ends_with_it",
        need: Need::Stacks,
        run: run_curl,
    },
    Test {
        name: "the_session_carries_the_targets_environment",
        need: Need::Stacks,
        run: environment,
    },
];

fn later_worker() -> Result<String> {
    let mut server = Server::start(Stack::GunicornSync)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let old = server.process().children()?;
    ensure!(old.len() == 1, "workers {old:?}");
    kill(old[0], libc::SIGTERM);
    let guard = server.process();
    let new = until("a new worker", Duration::from_secs(15), || {
        guard.children().ok().filter(|c| c.len() == 1 && *c != old)
    })?;
    server.forget()?;
    openai(
        server.port,
        1,
        &[call(
            "chat",
            "m",
            true,
            json!({"x_tokens": 4, "x_ttft_ms": 30, "x_interval_ms": 5, "x_usage": true}),
        )],
    )?;
    curl(&[&server.url("/health")])?;
    let truth = server.truth_of(2)?;
    ensure!(truth.iter().all(|t| t.pid == new[0]), "served by {truth:?}");
    let report = agent.finish()?;
    let figures = expect::matches(&report.spool, &truth)?;
    ensure!(
        report.spool.sessions().iter().any(|s| s.pid == new[0]),
        "no session for the worker: {}",
        report.spool.describe()
    );
    Ok(figures.summary())
}

fn no_children() -> Result<String> {
    let mut server = Server::start(Stack::GunicornSync)?;
    let workers = server.process().children()?;
    // A second target proves that the agent sees what there is to see.
    let witness = Server::start(Stack::Node)?;
    let agent = Agent::attach(&[server.pid(), witness.pid()], &["--no-children"])?;
    curl(&[&server.url("/health")])?;
    kill(workers[0], libc::SIGTERM);
    let guard = server.process();
    until("a new worker", Duration::from_secs(15), || {
        guard
            .children()
            .ok()
            .filter(|c| c.len() == 1 && *c != workers)
    })?;
    server.forget()?;
    curl(&[&server.url("/health")])?;
    server.truth_of(1)?;
    curl(&[&witness.url("/health")])?;
    let truth = witness.truth_of(1)?;
    let report = agent.finish()?;
    expect::matches(&report.spool, &truth)?;
    ensure!(
        report.spool.sessions().len() == 2,
        "{}",
        report.spool.describe()
    );
    Ok(String::new())
}

fn two() -> Result<String> {
    let one = Server::start(Stack::UvicornH11)?;
    let two = Server::start(Stack::Node)?;
    let agent = Agent::attach(&[one.pid(), two.pid()], &[])?;
    let calls = [call(
        "chat",
        "m",
        true,
        json!({"x_tokens": 4, "x_ttft_ms": 30, "x_interval_ms": 5, "x_usage": true}),
    )];
    openai(one.port, 1, &calls)?;
    openai(two.port, 1, &calls)?;
    let mut truth = one.truth_of(1)?;
    truth.extend(two.truth_of(1)?);
    let report = agent.finish()?;
    let figures = expect::matches(&report.spool, &truth)?;
    let sessions = report.spool.sessions();
    ensure!(sessions.len() == 2, "{}", report.spool.describe());
    for session in sessions {
        let under: Vec<_> = report
            .spool
            .requests()
            .into_iter()
            .filter(|s| s.parent_id.as_deref() == Some(&session.id))
            .collect();
        ensure!(
            under.len() == 1 && under[0].pid == session.pid,
            "{}",
            report.spool.describe()
        );
    }
    Ok(figures.summary())
}

fn run_curl() -> Result<String> {
    let server = Server::start(Stack::UvicornH11)?;
    let mut command = Command::new("curl");
    command.args(["-sS", &server.url("/health"), &server.url("/health")]);
    let report = Agent::run(&[], &command, |_| {})?.ended(Duration::from_secs(10))?;
    let calls = report.spool.client_calls();
    ensure!(
        calls.len() == 2
            && calls
                .iter()
                .all(|s| s.path() == "/health" && s.status() == Some(200)),
        "{}",
        report.spool.describe()
    );
    calls.iter().try_for_each(|s| expect::untouched(s))?;
    ensure!(
        report.stdout.contains("\"ok\""),
        "the command's own output is missing: {:?}",
        report.stdout
    );
    Ok(String::new())
}

fn environment() -> Result<String> {
    let env = [
        ("CIRRON_RUN_ID", "run-7"),
        ("CIRRON_DEPLOYMENT_ID", "dep-8"),
        ("RANK", "3"),
        ("CONFIG", "{\"stream_chunk_timing\": true}"),
    ];
    let server = Server::start_with(Stack::UvicornH11, &env)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    openai(
        server.port,
        1,
        &[call(
            "chat",
            "m",
            true,
            json!({"x_tokens": 6, "x_ttft_ms": 20, "x_interval_ms": 10}),
        )],
    )?;
    server.truth_of(1)?;
    let report = agent.finish()?;
    let session = *report.spool.sessions().first().context("no session")?;
    ensure!(
        session.text("cirron.run_id") == Some("run-7")
            && session.text("cirron.deployment_id") == Some("dep-8"),
        "{session:?}"
    );
    ensure!(
        session.int("rank") == Some(3) && session.int("pid") == Some(i64::from(server.pid())),
        "{session:?}"
    );
    ensure!(
        !session.attrs.contains_key("cirron.workspace_id"),
        "{session:?}"
    );
    let chunks = report.spool.requests()[0].marks("chunk_ms").count();
    ensure!(chunks == 5, "{chunks} chunk_ms for 6 chunks");
    Ok(String::new())
}
