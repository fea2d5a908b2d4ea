//! HTTPS: the same figures from inside the TLS library as from a plain socket.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::CANARY;
use cirron_tests::agent::Agent;
use cirron_tests::calls::{call, curl, openai_at, openai_command};
use cirron_tests::expect;
use cirron_tests::process::Guard;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack, certificate};
use cirron_tests::spool::Span;
use cirron_tests::stacks;
use cirron_tests::wait::until;
use serde_json::{Value, json};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "https_fastapi_on_uvicorn_asyncio",
        need: Need::Stacks,
        run: || server(Stack::UvicornTls),
    },
    Test {
        name: "https_fastapi_on_uvicorn_uvloop",
        need: Need::Stacks,
        run: || server(Stack::UvloopTls),
    },
    Test {
        name: "https_flask_on_gunicorn",
        need: Need::Stacks,
        run: || server(Stack::GunicornTls),
    },
    Test {
        name: "https_node",
        need: Need::Stacks,
        run: || server(Stack::NodeTls),
    },
    Test {
        name: "https_flask_on_gunicorn_threads",
        need: Need::Stacks,
        run: || server(Stack::GunicornThreadsTls),
    },
    Test {
        name: "https_flask_on_gunicorn_two_workers",
        need: Need::Stacks,
        run: || server(Stack::GunicornWorkersTls),
    },
    Test {
        name: "https_fastapi_on_hypercorn",
        need: Need::Stacks,
        run: || server(Stack::HypercornTls),
    },
    Test {
        name: "https_aiohttp",
        need: Need::Stacks,
        run: || server(Stack::AiohttpTls),
    },
    Test {
        name: "https_go",
        need: Need::Stacks,
        run: || server(Stack::GoTls),
    },
    Test {
        name: "https_go_stripped",
        need: Need::Stacks,
        run: || server(Stack::GoTlsStripped),
    },
    Test {
        name: "https_clients_are_seen",
        need: Need::Stacks,
        run: clients,
    },
    Test {
        name: "a_tls_library_that_is_loaded_later_is_seen",
        need: Need::Stacks,
        run: later,
    },
    Test {
        name: "many_short_https_connections_leave_nothing_behind",
        need: Need::Stacks,
        run: many,
    },
];

pub(crate) fn ca() -> Result<String> {
    Ok(certificate().to_str().context("path")?.to_owned())
}

/// The suite runs with `CIRRON_TLS=secrets`.
pub(crate) fn by_secrets() -> bool {
    std::env::var_os("CIRRON_TLS").is_some_and(|means| means == "secrets")
}

/// The socket below TLS is known, by a call inside the library or, where the suite runs so and the library announces them, by
/// its secrets.
pub(crate) fn is_linked(span: &Span) -> bool {
    let link = span.text("cirron.tls.link");
    link == Some("call") || by_secrets() && link == Some("secret")
}

pub(crate) fn calls() -> Vec<Value> {
    let one = |i: u32| {
        let extra = json!({"x_tokens": 5 + i, "x_prompt_tokens": 10 + i, "x_ttft_ms": 40 + 7 * i, "x_interval_ms": 6, "x_usage": i.is_multiple_of(2)});
        call("chat", &format!("t{i}"), i != 3, extra)
    };
    (0..8).map(one).collect()
}

/// Calls by the official client and by curl, one after the other and at once, against an HTTPS server.
pub(crate) fn server(stack: Stack) -> Result<String> {
    let server = Server::start(stack)?;
    let agent = Agent::attach(&[server.pid()], &["-v"])?;
    let mut seen = openai_at(&server.https("/v1"), 1, &calls())?;
    // hypercorn takes a millisecond of its own for each: eight at once wait for each other.
    let at_once = if stack == Stack::HypercornTls { 2 } else { 8 };
    seen.extend(openai_at(&server.https("/v1"), at_once, &calls())?);
    let health = server.https(&format!("/health?q={CANARY}"));
    curl(&["--cacert", &ca()?, "--http1.1", &health, &health])?;
    curl(&["--cacert", &ca()?, "--http1.1", "--tls-max", "1.2", &health])?;
    let truth = server.truth_of(19)?;
    let report = agent.finish()?;
    let matches = if stack == Stack::HypercornTls {
        expect::matches_slow
    } else {
        expect::matches_seen
    };
    let figures = matches(&report.spool, &truth, &seen).with_context(|| report.stderr.clone())?;
    for span in report.spool.requests() {
        ensure!(span.text("url.scheme") == Some("https"), "{span:?}");
        // gunicorn's, http.server's and Go's TLS stands on the socket. The others' does not: its socket is told by
        // what is sent, or not at all.
        let port = span.int("server.port");
        let on_socket = matches!(
            stack,
            Stack::GunicornTls
                | Stack::GunicornThreadsTls
                | Stack::GunicornWorkersTls
                | Stack::Python39Tls
                | Stack::PythonSidTls
                | Stack::GoTls
                | Stack::GoTlsStripped
        );
        let link = match port {
            Some(_) if by_secrets() && !matches!(stack, Stack::GoTls | Stack::GoTlsStripped) => {
                Some("secret")
            }
            Some(_) if on_socket => Some("call"),
            Some(_) => Some("lengths"),
            None => None,
        };
        ensure!(
            port.is_none_or(|p| p == i64::from(server.port))
                && (port.is_some() || !on_socket)
                && span.text("cirron.tls.link") == link,
            "{span:?}"
        );
    }
    ensure!(
        !report.stderr.contains("TLS connections not read"),
        "{}",
        report.stderr
    );
    let known = |s: &&&Span| s.int("server.port").is_some();
    let requests = report.spool.requests();
    let linked = requests.iter().filter(known).count();
    Ok(format!("{}; sockets of {linked} known", figures.summary()))
}

fn clients() -> Result<String> {
    let server = Server::start(Stack::UvloopTls)?;
    let plan = server.dir.path().join("plan.json");
    std::fs::write(
        &plan,
        json!({"base_url": server.https("/v1"), "concurrency": 3, "calls": calls()}).to_string(),
    )?;
    let mut command = openai_command()?;
    command.arg(&plan);
    let report = Agent::run(&[], &command, |c| {
        c.env("SSL_CERT_FILE", certificate());
    })?
    .ended(Duration::from_secs(30))?;
    let truth = server.truth_of(8)?;
    let spans = expect::only_client_calls(&report, 8)?;
    for t in &truth {
        let span = expect::span_of(&spans, t)?;
        expect::untouched(span)?;
        ensure!(
            span.mark("time_to_first_token_ms").is_some() == t.stream,
            "{span:?}"
        );
    }
    Ok(format!("{} calls", truth.len()))
}

/// Python maps libssl when it imports `ssl`.
fn later() -> Result<String> {
    let server = Server::start(Stack::UvloopTls)?;
    let (go, waits) = (
        server.dir.path().join("go"),
        server.dir.path().join("waits"),
    );
    let code = "import os, sys, time\nopen(sys.argv[4], \"w\")\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.01)\nimport ssl, urllib.request\ntime.sleep(0.3)\ncontext = ssl.create_default_context(cafile=sys.argv[3])\nfor _ in range(3): urllib.request.urlopen(sys.argv[2], context=context).read()\n";
    let mut command = Command::new(stacks::venv("python")?);
    command
        .args(["-S", "-c", code])
        .arg(&go)
        .arg(server.https("/health"))
        .arg(ca()?)
        .arg(&waits);
    let mut target = Guard::spawn_logged(command, &server.dir.path().join("later.log"))?;
    until("a Python that waits", Duration::from_secs(10), || {
        waits.exists().then_some(())
    })?;
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", target.pid()))?;
    ensure!(!maps.contains("libssl"), "it has libssl already");
    let agent = Agent::attach(&[target.pid()], &["-v"])?;
    std::fs::write(&go, "")?;
    target.wait(Duration::from_secs(10))?;
    let report = agent.ended(Duration::from_secs(10))?;
    let spans = report.spool.client_calls();
    ensure!(
        spans.len() == 3 && spans.iter().all(|s| s.status() == Some(200)),
        "{}\n{}",
        report.spool.describe(),
        report.stderr
    );
    let after = report
        .stderr
        .lines()
        .find_map(|l| l.split_once("the last of them "))
        .context("nobody says how long it took")?;
    Ok(format!("attached {}", after.1))
}

fn many() -> Result<String> {
    const CONNECTIONS: usize = 2000;
    let server = Server::start(Stack::UvloopTls)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let urls: Vec<String> = (0..CONNECTIONS).map(|_| server.https("/health")).collect();
    let ca = ca()?;
    let mut args = vec!["--cacert", &ca, "-H", "Connection: close"];
    args.extend(urls.iter().map(String::as_str));
    curl(&args)?;
    let served = until("all served", Duration::from_secs(20), || {
        server
            .truth()
            .ok()
            .map(|t| t.len())
            .filter(|n| *n >= CONNECTIONS)
    })?;
    let report = agent.finish()?;
    let requests = report.spool.requests();
    ensure!(
        requests.len() == served,
        "{} of {served} recorded: {}",
        requests.len(),
        report.summary
    );
    requests.iter().try_for_each(|s| expect::untouched(s))?;
    ensure!(
        report.summary["engine"]["tls_objects"].as_u64() == Some(CONNECTIONS as u64),
        "{}",
        report.summary
    );
    Ok(format!("{served} connections"))
}
