//! Calls of a Go server hang below the request that they were made for: its handlers call by themselves and by goroutines,
//! over HTTP and HTTPS, for clients that keep their connections or send two requests at once. Judged by the number in both
//! paths; none may be wrong.

use std::collections::BTreeSet;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::below::{self, at_once};
use cirron_tests::process::Guard;
use cirron_tests::raw::{Raw, free_port};
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{certificate, key};
use cirron_tests::spool::Spool;
use cirron_tests::{calls, stacks, wait};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "calls_of_a_go_server_s_handlers_are_below_their_requests",
        need: Need::Stacks,
        run: || told(&run("ask", false, 0)?, AT_ONCE * each(), 95),
    },
    Test {
        name: "calls_of_a_go_server_s_handlers_over_https_are_below_their_requests",
        need: Need::Stacks,
        run: || told(&run("ask", true, 0)?, AT_ONCE * each(), 75),
    },
    Test {
        name: "calls_of_a_go_server_s_goroutines_are_below_their_requests",
        need: Need::Stacks,
        run: || {
            told(
                &run("fan", false, FIRST)?,
                3 * (AT_ONCE * each() + FIRST),
                90,
            )
        },
    },
    Test {
        name: "calls_of_a_go_server_s_goroutines_over_https_are_below_their_requests",
        need: Need::Stacks,
        run: || {
            told(
                &run("fan", true, FIRST)?,
                3 * (AT_ONCE * each() + FIRST),
                90,
            )
        },
    },
    Test {
        name: "calls_of_a_go_server_s_workers_are_below_no_request",
        need: Need::Stacks,
        run: || none_known(&run("queue", false, 0)?),
    },
    Test {
        name: "calls_of_a_go_server_behind_the_answer_are_below_no_request",
        need: Need::Stacks,
        run: || none_known(&run("behind", false, 0)?),
    },
    Test {
        name: "calls_for_requests_of_a_go_server_that_came_together_are_below_no_wrong_one",
        need: Need::Stacks,
        run: pipelined,
    },
];

/// Clients at once.
const AT_ONCE: usize = 32;
/// Requests of each, on one connection.
const EACH: usize = 10;

fn each() -> usize {
    below::each(EACH)
}

/// Requests before that, one by one: the first whose calls are below none has the lives of goroutines told.
const FIRST: usize = 3;
const BETWEEN: Duration = Duration::from_millis(300);

/// A model's server and one that asks it.
pub(crate) struct Servers {
    _model: Guard,
    pub(crate) gateway: Guard,
    pub(crate) port: u16,
    scheme: &'static str,
}

pub(crate) fn serve(tls: bool, stripped: bool) -> Result<Servers> {
    let program = stacks::go_server(stripped)?;
    let scheme = if tls { "https" } else { "http" };
    let start = |port: u16, upstream: u16| -> Result<Guard> {
        let mut command = Command::new(&program);
        command.args(["gateway", &format!("127.0.0.1:{port}")]);
        command.env("UPSTREAM", format!("{scheme}://127.0.0.1:{upstream}"));
        command.env("SSL_CERT_FILE", certificate());
        if tls {
            command.env("TLS_CERT", certificate()).env("TLS_KEY", key());
        }
        let server = Guard::spawn(command)?;
        wait::listener(port)?;
        Ok(server)
    };
    let (port, model) = (free_port()?, free_port()?);
    Ok(Servers {
        _model: start(model, 1)?,
        gateway: start(port, model)?,
        port,
        scheme,
    })
}

/// What became of the calls.
struct Judged {
    all: usize,
    known: usize,
    described: String,
}

/// `first`: as [`FIRST`].
fn run(path: &str, tls: bool, first: usize) -> Result<Judged> {
    let servers = serve(tls, false)?;
    let agent = Agent::attach(&[servers.gateway.pid()], &[])?;
    let base = format!("{}://127.0.0.1:{}/{path}", servers.scheme, servers.port);
    for n in 0..first {
        calls::curl(&[
            "-k",
            "-d",
            "{}",
            &format!("{base}/{}", AT_ONCE * each() + n),
        ])?;
        thread::sleep(BETWEEN);
    }
    at_once(AT_ONCE, |client| {
        let urls = (0..each()).map(|n| format!("{base}/{}", client * each() + n));
        let urls: Vec<String> = urls.collect();
        let mut args = vec!["-k", "-d", "{}"];
        args.extend(urls.iter().map(String::as_str));
        calls::curl(&args).map(drop)
    })?;
    // Those behind the answers.
    thread::sleep(BETWEEN);
    judge(&agent.finish()?.spool)
}

fn judge(spool: &Spool) -> Result<Judged> {
    let judged = below::judge(spool, &["goroutine", "goroutine_descent"])?;
    let (all, known) = (judged.all(), judged.known.len());
    let why: BTreeSet<&str> = judged.unknown.into_iter().collect();
    Ok(Judged {
        all,
        known,
        described: format!("{known} of {all} calls are known, none is wrong; others: {why:?}"),
    })
}

/// At least `percent` of `all` calls are known.
fn told(judged: &Judged, all: usize, percent: usize) -> Result<String> {
    ensure!(
        judged.all == all && judged.known * 100 >= all * percent,
        "{}",
        judged.described
    );
    Ok(judged.described.clone())
}

fn none_known(judged: &Judged) -> Result<String> {
    ensure!(
        judged.all == AT_ONCE * each() && judged.known == 0,
        "{}",
        judged.described
    );
    Ok(judged.described.clone())
}

/// Two requests in one segment, and the next before the last is answered.
fn pipelined() -> Result<String> {
    let servers = serve(false, false)?;
    let agent = Agent::attach(&[servers.gateway.pid()], &[])?;
    let mut clients = Vec::new();
    for n in 0..AT_ONCE {
        let get =
            |n: usize, close: &str| format!("GET /ask/{n} HTTP/1.1\r\nHost: x\r\n{close}\r\n");
        let text = [
            get(3 * n, ""),
            get(3 * n + 1, ""),
            get(3 * n + 2, "Connection: close\r\n"),
        ];
        clients.push(Raw::send(servers.port, text.concat().as_bytes())?);
    }
    for client in &mut clients {
        client.read_to_end(std::time::Duration::from_secs(30))?;
    }
    let judged = judge(&agent.finish()?.spool)?;
    told(&judged, 3 * AT_ONCE, 0)
}
