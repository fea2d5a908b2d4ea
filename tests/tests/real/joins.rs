//! Calls that a server makes hang below the request that they were made for: servers with a thread for each request, 32
//! requests at once, each with a call of its own. Judged by the number in both paths; none may be wrong.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::below::{self, at_once, judge_with_overhead};
use cirron_tests::process::Guard;
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::model_threads;
use cirron_tests::{calls, stacks, wait};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "calls_of_flask_s_threads_are_below_their_requests",
        need: Need::Stacks,
        run: || mostly_known(run(&FLASK, Caller::Itself, each())?, each()),
    },
    Test {
        name: "calls_of_gunicorn_s_threads_are_below_their_requests",
        need: Need::Stacks,
        run: || mostly_known(run(&GTHREAD, Caller::Itself, each())?, each()),
    },
    Test {
        name: "pooled_calls_of_gunicorn_s_threads_are_below_their_requests",
        need: Need::Stacks,
        run: || mostly_known(run(&GTHREAD, Caller::Pool, each())?, each()),
    },
    Test {
        name: "calls_of_programs_that_flask_s_threads_start_are_below_their_requests",
        need: Need::Stacks,
        run: || mostly_known(run(&FLASK, Caller::Child, EACH)?, EACH),
    },
    Test {
        name: "calls_of_gunicorn_s_processes_of_one_thread_are_below_their_requests",
        need: Need::Stacks,
        run: || nearly_all_known(run(&SYNC, Caller::Itself, each())?, each()),
    },
    Test {
        name: "calls_of_flask_s_only_thread_are_below_their_requests",
        need: Need::Stacks,
        run: || nearly_all_known(run(&FLASK_ALONE, Caller::Pool, FEW)?, FEW),
    },
];

/// A program, its arguments, and a flag for its port.
const FLASK: [&str; 6] = [
    "flask",
    "--app",
    "app_threads",
    "run",
    "--with-threads",
    "-p",
];
const GTHREAD: [&str; 7] = [
    "gunicorn",
    "app_threads:app",
    "-k",
    "gthread",
    "--threads",
    "32",
    "-b",
];
const SYNC: [&str; 5] = ["gunicorn", "app_threads:app", "-w", "4", "-b"];
const FLASK_ALONE: [&str; 6] = [
    "flask",
    "--app",
    "app_threads",
    "run",
    "--without-threads",
    "-p",
];

/// Requests at once.
const AT_ONCE: usize = 32;
/// Requests of each client.
const EACH: usize = 20;
/// The same of a server that answers them one after the other.
const FEW: usize = 4;

/// Who makes the calls.
#[derive(Clone, Copy, PartialEq)]
enum Caller {
    /// The handler, on a connection for each.
    Itself,
    /// The handler, with a client that all share.
    Pool,
    /// A program that the handler starts for each.
    Child,
}

impl Caller {
    /// The variable that says so to the service.
    fn variable(self) -> Option<&'static str> {
        match self {
            Caller::Itself => None,
            Caller::Pool => Some("POOLED"),
            Caller::Child => Some("BY_CHILD"),
        }
    }

    fn evidence(self) -> &'static str {
        match self {
            Caller::Itself | Caller::Pool => "thread",
            Caller::Child => "fork",
        }
    }
}

fn each() -> usize {
    below::each(EACH)
}

fn mostly_known(known: usize, each: usize) -> Result<String> {
    let all = AT_ONCE * each;
    ensure!(known * 2 > all, "{known} of {all} are known");
    Ok(format!(
        "{known} of {all} calls are below their requests, none is wrong"
    ))
}

/// Of processes of one thread, which need no proofs.
fn nearly_all_known(known: usize, each: usize) -> Result<String> {
    let all = AT_ONCE * each;
    ensure!(known * 100 > all * 98, "{known} of {all} are known");
    Ok(format!(
        "{known} of {all} calls are below their requests, none is wrong"
    ))
}

/// How many calls are known to be part of a request.
fn run(server: &[&str], caller: Caller, each: usize) -> Result<usize> {
    let (_model, model_port) = model_threads(false)?;
    let port = free_port()?;
    let servers = stacks::here().join("servers/python");
    let (program, arguments) = server.split_first().context("a program")?;
    let mut command = Command::new(stacks::venv(program)?);
    command.args(arguments).current_dir(&servers);
    command.arg(match arguments.last() {
        Some(&"-b") => format!("127.0.0.1:{port}"),
        _ => port.to_string(),
    });
    command.stderr(Stdio::null());
    command.env("UPSTREAM", format!("http://127.0.0.1:{model_port}"));
    if let Some(variable) = caller.variable() {
        command.env(variable, "1");
    }
    let server = Guard::spawn(command)?;
    wait::listener(port)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    at_once(AT_ONCE, |client| {
        for n in 0..each {
            let url = format!("http://127.0.0.1:{port}/ask/{}", client * each + n);
            calls::curl(&["-d", "{}", &url])?;
        }
        Ok(())
    })?;
    let report = agent.finish()?;
    let judged = judge_with_overhead(&report.spool, &[caller.evidence()])?;
    let told = judged.all();
    ensure!(
        told == AT_ONCE * each,
        "{told} calls: {}",
        report.spool.describe()
    );
    Ok(judged.known.len())
}
