//! Calls of servers of which one process accepts and others serve: workers that are given a connection by `SCM_RIGHTS`, as it is
//! or once its request was read, and a child for each. Judged by the number in both paths; none may be wrong.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use cirron_tests::agent::{Agent, Report};
use cirron_tests::below::{self, at_once, judge_with_overhead};
use cirron_tests::process::Guard;
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::model_threads;
use cirron_tests::{calls, stacks, wait};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "calls_of_workers_that_were_given_a_connection_are_below_its_requests",
        need: Need::Stacks,
        run: || whole("passed"),
    },
    Test {
        name: "calls_of_a_child_for_each_connection_are_below_its_requests",
        need: Need::Stacks,
        run: || whole("forked"),
    },
    Test {
        name: "calls_of_workers_that_were_given_a_request_are_below_none",
        need: Need::Stacks,
        run: midway,
    },
];

/// Requests at once, and of each client.
const AT_ONCE: usize = 16;
const EACH: usize = 10;
/// As the service has it.
const WORKERS: usize = 4;

fn each() -> usize {
    below::each(EACH)
}

fn run(way: &str) -> Result<Report> {
    let (_model, model_port) = model_threads(false)?;
    let port = free_port()?;
    let mut command = Command::new(stacks::venv("python")?);
    command
        .args(["app_handed.py", &port.to_string(), way])
        .current_dir(stacks::here().join("servers/python"))
        .stderr(Stdio::null())
        .env("UPSTREAM", format!("http://127.0.0.1:{model_port}"));
    let server = Guard::spawn(command)?;
    wait::listener(port)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    at_once(AT_ONCE, |client| {
        for n in 0..each() {
            let url = format!("http://127.0.0.1:{port}/ask/{}", client * each() + n);
            calls::curl(&["-d", "{}", &url])?;
        }
        Ok(())
    })?;
    agent.finish()
}

/// Who reads the request does all of it.
fn whole(way: &str) -> Result<String> {
    let report = run(way)?;
    let judged = judge_with_overhead(&report.spool, &["thread"])?;
    let (known, all) = (judged.known.len(), judged.all());
    ensure!(
        all == AT_ONCE * each(),
        "{all} calls: {}",
        report.spool.describe()
    );
    ensure!(
        known * 100 > all * 98,
        "{known} of {all} are known: {:?}",
        judged.unknown
    );
    Ok(format!(
        "{known} of {all} calls are below their requests, none is wrong"
    ))
}

/// Who read it is another process than who calls: that may be for anyone.
fn midway() -> Result<String> {
    let report = run("midway")?;
    let spool = &report.spool;
    let requests = spool.requests();
    let mut silent = 0;
    let calls = spool.client_calls();
    let all = AT_ONCE * each();
    ensure!(calls.len() == all, "{}", spool.describe());
    for call in &calls {
        let is_below =
            |request: &&cirron_tests::spool::Span| Some(&request.id) == call.parent_id.as_ref();
        ensure!(!requests.iter().any(is_below), "{call:?}");
        match call.text("cirron.parent.unknown") {
            Some(why) => ensure!(why == "handed_over", "{call:?}"),
            None => silent += 1,
        }
    }
    // Before a worker's first answer nothing shows that it serves anybody.
    ensure!(silent <= WORKERS, "{silent} say no reason");
    Ok(format!("{} of {all} say so", all - silent))
}
