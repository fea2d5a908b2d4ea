//! Calls of servers on an event loop hang below the request that they were made for: uvicorn on asyncio and uvloop, aiohttp's own
//! server, httpx and aiohttp as clients, 64 requests at once. Judged by the number in both paths; none may be wrong. What a
//! worker calls for all, or a thread without the context, is known of none.

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::process::Guard;
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::spool::{Span, Spool};
use cirron_tests::{calls, stacks, wait};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "calls_of_uvicorn_s_tasks_on_asyncio_are_below_their_requests",
        need: Need::Stacks,
        run: || {
            run(
                Server::Uvicorn("asyncio"),
                &["hx", "ai", "gather"],
                Known::Most,
            )
        },
    },
    Test {
        name: "calls_of_uvicorn_s_tasks_on_uvloop_are_below_their_requests",
        need: Need::Stacks,
        run: || {
            run(
                Server::Uvicorn("uvloop"),
                &["hx", "ai", "gather"],
                Known::Most,
            )
        },
    },
    Test {
        name: "calls_of_streams_and_pools_of_threads_are_below_their_requests",
        need: Need::Stacks,
        run: || {
            let ways = ["stream", "sync", "to_thread"];
            run(Server::Uvicorn("uvloop"), &ways, Known::Most)
        },
    },
    Test {
        name: "calls_of_aiohttp_s_server_are_below_their_requests",
        need: Need::Stacks,
        run: || run(Server::Aiohttp, &["hx", "ai", "gather"], Known::Most),
    },
    Test {
        name: "calls_of_a_worker_and_of_threads_without_a_context_are_below_none",
        need: Need::Stacks,
        run: || {
            let ways = ["worker", "executor", "background"];
            run(Server::Uvicorn("asyncio"), &ways, Known::None)
        },
    },
    Test {
        name: "calls_of_all_kinds_on_an_event_loop_are_below_no_other_request",
        need: Need::Stacks,
        run: || {
            let ways = [
                "hx",
                "ai",
                "gather",
                "stream",
                "sync",
                "to_thread",
                "executor",
                "worker",
                "background",
            ];
            run(Server::Uvicorn("uvloop"), &ways, Known::Some)
        },
    },
    Test {
        name: "the_price_of_a_context_is_paid_by_those_that_call",
        need: Need::Stacks,
        run: price,
    },
];

#[derive(Clone, Copy)]
enum Server {
    /// On this loop.
    Uvicorn(&'static str),
    Aiohttp,
}

/// How many calls are to be below their requests.
#[derive(Clone, Copy)]
enum Known {
    Most,
    Some,
    None,
}

/// Requests at once.
const AT_ONCE: usize = 64;
/// Requests of each client, on one connection.
const EACH: usize = 8;
/// Requests before that, so that the agent finds out where contexts are.
const FIRST: usize = 4;
const BETWEEN: Duration = Duration::from_millis(300);
/// What is called behind an answer is over by then.
const REST: Duration = Duration::from_secs(2);

fn each() -> usize {
    let asked = std::env::var("CIRRON_EACH").ok();
    asked.and_then(|each| each.parse().ok()).unwrap_or(EACH)
}

/// Number of a path's own segment: `/WAY/ID`, `/v1/ID/chat/completions`.
fn number(span: &Span) -> Option<usize> {
    span.path().split('/').nth(2)?.parse().ok()
}

fn start(server: Server, port: u16, model_port: u16) -> Result<Guard> {
    let mut command = Command::new(stacks::venv("python")?);
    let port = port.to_string();
    match server {
        Server::Uvicorn(which) => command.args([
            "-m",
            "uvicorn",
            "app_contexts:app",
            "--no-access-log",
            "--loop",
            which,
            "--port",
            &port,
        ]),
        Server::Aiohttp => command.args(["app_contexts.py", &port]),
    };
    command.current_dir(stacks::here().join("servers/python"));
    command.stderr(Stdio::null());
    command.env("UPSTREAM", format!("http://127.0.0.1:{model_port}"));
    Guard::spawn(command)
}

fn run(server: Server, ways: &[&'static str], known: Known) -> Result<String> {
    let (port, model_port) = (free_port()?, free_port()?);
    let mut model = Command::new("/usr/bin/python3");
    model.arg(stacks::here().join("servers/python/model_threads.py"));
    model.arg(model_port.to_string());
    let _model = Guard::spawn(model)?;
    wait::listener(model_port)?;
    let server = start(server, port, model_port)?;
    wait::listener(port)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let url = move |way: &str, n: usize| format!("http://127.0.0.1:{port}/{way}/{n}");
    for n in 0..FIRST {
        let way = ways[n % ways.len()];
        calls::curl(&["-d", "{}", &url(way, n)])?;
        thread::sleep(BETWEEN);
    }
    let each = each();
    let clients: Vec<_> = (0..AT_ONCE)
        .map(|client| {
            let ways = ways.to_vec();
            thread::spawn(move || -> Result<()> {
                let first = FIRST + client * each;
                let urls = (first..first + each).map(|n| url(ways[n % ways.len()], n));
                let urls: Vec<String> = urls.collect();
                let all = ["-d", "{}"].into_iter();
                let all: Vec<&str> = all.chain(urls.iter().map(String::as_str)).collect();
                calls::curl(&all)?;
                Ok(())
            })
        })
        .collect();
    for client in clients {
        client.join().map_err(|_| anyhow::anyhow!("a client"))??;
    }
    thread::sleep(REST);
    let report = agent.finish()?;
    let counts = judge(&report.spool)?;
    let (right, all) = (counts.0, counts.0 + counts.1);
    ensure!(all >= AT_ONCE * each, "{all} calls");
    match known {
        Known::Most => ensure!(right * 10 > all * 9, "{right} of {all} are known"),
        Known::Some => ensure!(right * 3 > all, "{right} of {all} are known"),
        Known::None => ensure!(right == 0, "{right} are known"),
    }
    Ok(format!(
        "{right} of {all} calls are below their requests, none is wrong"
    ))
}

/// No context may cost more, ns. Measured: 13 500.
const DEAR: f64 = 50_000.0;

/// Where nobody watches it a context takes less, ns: 45 were measured.
const ALONE: f64 = 500.0;

/// What a context costs a server: without the agent, watched while it calls nobody, and since it has called.
fn price() -> Result<String> {
    let (port, model_port) = (free_port()?, free_port()?);
    let mut model = Command::new("/usr/bin/python3");
    model.arg(stacks::here().join("servers/python/model_threads.py"));
    model.arg(model_port.to_string());
    let _model = Guard::spawn(model)?;
    wait::listener(model_port)?;
    let server = start(Server::Uvicorn("asyncio"), port, model_port)?;
    wait::listener(port)?;
    let ask = || -> Result<f64> {
        let answer = calls::curl(&[&format!("http://127.0.0.1:{port}/price")])?;
        Ok(String::from_utf8(answer.stdout)?.trim().parse()?)
    };
    let plain = ask()?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let watched = ask()?;
    for n in 0..FIRST {
        calls::curl(&["-d", "{}", &format!("http://127.0.0.1:{port}/hx/{n}")])?;
        thread::sleep(BETWEEN);
    }
    let calling = ask()?;
    agent.finish()?;
    let gone = ask()?;
    let said = format!(
        "a context takes {plain:.0} ns, watched {watched:.0}, since it calls {calling:.0}, \
         behind the agent's end {gone:.0}"
    );
    ensure!(calling < DEAR, "{said}");
    // Others may watch the same Python meanwhile: then all pay, and nothing can be compared.
    let is_alone = plain < ALONE && gone < ALONE;
    ensure!(!is_alone || watched < ALONE && calling > ALONE, "{said}");
    Ok(said)
}

/// Calls that are below their request, and those of which it is not known.
fn judge(spool: &Spool) -> Result<(usize, usize)> {
    let requests = spool.requests();
    let (mut right, mut unknown) = (0, 0);
    for call in spool.client_calls() {
        let parent = requests
            .iter()
            .find(|request| Some(&request.id) == call.parent_id.as_ref());
        match parent {
            Some(request) => {
                right += 1;
                ensure!(
                    number(request) == number(call),
                    "wrong: {request:?} has {call:?}"
                );
                let by = call.text("cirron.parent.by");
                ensure!(
                    matches!(by, Some("context" | "context_descent")),
                    "{call:?}"
                );
                ensure!(request.mark("overhead_ms").is_some(), "{request:?}");
            }
            None => {
                unknown += 1;
                ensure!(call.text("cirron.parent.unknown").is_some(), "{call:?}");
            }
        }
    }
    Ok((right, unknown))
}
