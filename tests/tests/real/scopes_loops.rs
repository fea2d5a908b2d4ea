//! Functions of a library as scopes, called by handlers on event loops: many requests at once on one thread.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::below::at_once;
use cirron_tests::process::Guard;
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::spool::{Span, Spool};
use cirron_tests::{calls, stacks, wait};

use crate::probes::compile;

pub(crate) const TESTS: &[Test] = &[Test {
    name: "function_scopes_of_coroutines_are_below_the_requests_of_their_tasks",
    need: Need::Stacks,
    run: of_loops,
}];

/// Clients at once.
const AT_ONCE: usize = 16;
/// Requests of each client to each server. What is called until the first call of a process is told is not known.
const EACH: usize = 8;

fn of_loops() -> Result<String> {
    let dir = tempfile::tempdir()?;
    let library = dir.path().join("libworked.so");
    // `outer` would end in nothing else anyhow; a call is to be a call.
    let args = ["-O1", "-shared", "-fPIC"];
    compile(&stacks::here().join("servers/c/worked.c"), &args, &library)?;
    let servers = ["asyncio", "uvloop"].map(|event_loop| -> Result<(Guard, u16)> {
        let port = free_port()?;
        let mut command = Command::new(stacks::venv("uvicorn")?);
        command.args([
            "app_functions:app",
            "--log-level",
            "warning",
            "--loop",
            event_loop,
        ]);
        command
            .args(["--port", &port.to_string()])
            .env("LIBRARY", &library);
        command.current_dir(stacks::here().join("servers/python"));
        let server = Guard::spawn(command)?;
        wait::listener(port)?;
        Ok((server, port))
    });
    let [one, other] = servers;
    let servers = [one?, other?];
    let pids = servers.each_ref().map(|(server, _)| server.pid());
    let rules = [
        "--scope",
        "libworked.so:outer(n=0:int)",
        "--scope",
        "libworked.so:work(n=0:int)",
    ];
    let agent = Agent::attach(&pids, &rules)?;
    at_once(AT_ONCE, |client| {
        for turn in 0..EACH {
            let n = client * EACH + turn;
            let kind = if n.is_multiple_of(3) {
                "thread"
            } else {
                "coroutine"
            };
            for (_, port) in &servers {
                calls::curl(&[&format!("http://127.0.0.1:{port}/{kind}/{n}")])?;
            }
        }
        Ok(())
    })?;
    let report = agent.finish()?;
    judge(&report.spool)
}

/// A function's argument is its request's number: it is below that one, or below none, with a reason.
fn judge(spool: &Spool) -> Result<String> {
    let by_id: BTreeMap<&str, &Span> = spool.spans.iter().map(|s| (s.id.as_str(), s)).collect();
    let above = |span: &Span| by_id.get(span.parent_id.as_deref()?).copied();
    let (mut all, mut known) = (0, 0);
    for span in spool
        .spans
        .iter()
        .filter(|s| ["outer", "work"].contains(&s.name.as_str()))
    {
        all += 1;
        let mut root = span;
        while root.name != "request" && root.name != "cirron.session" {
            root = above(root).context("a parent that is not there")?;
        }
        if root.name == "cirron.session" {
            continue;
        }
        known += 1;
        let n = span.int("n").context("no argument")?;
        ensure!(
            root.path().ends_with(&format!("/{n}")),
            "{span:?} below {root:?}"
        );
        // What `outer` calls is below it, and what a sub-task calls is below none.
        let parent = above(span).context("no parent")?;
        ensure!(parent.name != "work", "{span:?} below {parent:?}");
    }
    let requests = 2 * AT_ONCE * EACH;
    let threads = 2 * (AT_ONCE * EACH).div_ceil(3);
    let expected = 2 * threads + 4 * (requests - threads);
    ensure!(all == expected, "{all} scopes of {expected}");
    ensure!(
        known * 2 >= all,
        "of {known} of {all} it is known whose they are\n{}",
        spool.describe()
    );
    Ok(format!(
        "of {known} of {all} scopes it is known whose they are, none is wrong"
    ))
}
