//! TLS by the secrets that libraries announce: what has no functions with names, and the same figures as by plaintext.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::{Agent, Report};
use cirron_tests::calls::{curl, openai_at};
use cirron_tests::process::Guard;
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack, certificate, key};
use cirron_tests::spool::Span;
use cirron_tests::{expect, stacks, wait};
use serde_json::Value;
use tempfile::TempDir;

use crate::tls::{ca, calls};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "https_by_secrets_gives_what_plaintext_gives",
        need: Need::Stacks,
        run: both_ways,
    },
    Test {
        name: "https_of_a_library_without_names_is_read_by_its_secrets",
        need: Need::Stacks,
        run: without_names,
    },
];

/// What differs between the two: what ids and the socket beneath say, who is evidently served by whom, and moments.
const MAY_DIFFER: &[&str] = &[
    "cirron.tls.link",
    "cirron.times",
    "client.address",
    "client.port",
    "request_id",
    "server.address",
    "server.port",
    "thread_id",
];
/// Between the library's call and the socket's, on a machine that does other things too.
const MOST_MS: f64 = 5.0;

/// Two agents at once on one server.
fn both_ways() -> Result<String> {
    let server = Server::start(Stack::UvloopTls)?;
    let plaintext = Agent::attach(&[server.pid()], &["--tls", "plaintext"])?;
    let secrets = Agent::attach(&[server.pid()], &["--tls", "secrets"])?;
    let seen = openai_at(&server.https("/v1"), 2, &calls())?;
    let health = server.https("/health");
    for version in ["1.2", "1.3"] {
        let ca = ca()?;
        curl(&["--cacert", &ca, "--tls-max", version, &health, &health])?;
    }
    let truth = server.truth_of(12)?;
    let (plaintext, secrets) = (plaintext.finish()?, secrets.finish()?);
    for (report, link) in [(&plaintext, "lengths"), (&secrets, "secret")] {
        expect::matches_seen(&report.spool, &truth, &seen)
            .with_context(|| report.stderr.clone())?;
        let links = report.spool.requests();
        let mut links = links.iter().filter_map(|s| s.text("cirron.tls.link"));
        ensure!(links.all(|l| l == link), "{}", report.stderr);
    }
    let sockets = secrets.spool.requests();
    let port = Some(i64::from(server.port));
    ensure!(
        sockets.iter().all(|s| s.int("server.port") == port),
        "a socket is not known"
    );
    let apart = same(&plaintext, &secrets)?;
    Ok(format!(
        "{} requests, {apart:.3} ms apart at most",
        truth.len()
    ))
}

/// The requests of both are the same; gives how far their times are apart.
fn same(one: &Report, other: &Report) -> Result<f64> {
    let [ones, others] = [one, other].map(|report| {
        let mut spans: Vec<Span> = report.spool.requests().into_iter().cloned().collect();
        spans.sort_by_key(|span| span.start_ns);
        spans
    });
    ensure!(
        ones.len() == others.len(),
        "{} and {}",
        ones.len(),
        others.len()
    );
    let mut apart: f64 = 0.0;
    for span in &ones {
        // Those of curl are the same but for when they were.
        let alike = others.iter().filter(|other| facts(other) == facts(span));
        let other = alike.min_by_key(|other| (other.start_ns - span.start_ns).abs());
        let other = other.with_context(|| format!("{span:?}\nis none of {others:?}"))?;
        ensure!(names(span) == names(other), "{span:?}\n{other:?}");
        for mark in &span.marks {
            let (Some(a), Some(b)) = (span.mark(&mark.name), other.mark(&mark.name)) else {
                continue;
            };
            if mark.name.ends_with("_ms") {
                expect::in_time(&mark.name, (a - b).abs(), MOST_MS)?;
            } else if !mark.name.ends_with("per_second") {
                ensure!(a == b, "{}: {a} and {b}", mark.name);
            }
        }
        let ends = span.end_ns.zip(other.end_ns);
        let end = ends.map_or(0.0, |(a, b)| ms(a, b));
        apart = apart.max(end).max(ms(span.start_ns, other.start_ns));
    }
    expect::in_time("begin or end", apart, MOST_MS)?;
    Ok(apart)
}

fn ms(a: i64, b: i64) -> f64 {
    (a - b).abs() as f64 / 1e6
}

fn facts(span: &Span) -> BTreeMap<&String, &Value> {
    let all = span.attrs.iter();
    all.filter(|(name, _)| !MAY_DIFFER.contains(&name.as_str()))
        .collect()
}

fn names(span: &Span) -> Vec<&str> {
    let mut names: Vec<&str> = span.marks.iter().map(|mark| mark.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    // Of the socket alone, which plaintext may not know.
    names.retain(|name| !name.starts_with("time_in_queue"));
    names
}

/// grpcio's BoringSSL, as a server and as a client: nothing of it has a name.
fn without_names() -> Result<String> {
    const CALLS: usize = 5;
    let (port, dir) = (free_port()?, TempDir::new()?);
    let script = stacks::here().join("servers/python/grpc_tls.py");
    let python = || -> Result<Command> {
        let mut command = Command::new(stacks::venv("python")?);
        command.arg(&script);
        Ok(command)
    };
    let mut command = python()?;
    command.args(["serve", &port.to_string()]);
    command.arg(certificate()).arg(key());
    let server = Guard::spawn_logged(command, &dir.path().join("log"))?;
    wait::listener(port)?;
    let agent = Agent::attach(&[server.pid()], &["-v"])?;
    let mut client = python()?;
    client.args(["call", &port.to_string()]);
    client.arg(certificate()).arg(CALLS.to_string());
    let called = Agent::run(&[], &client, |_| {})?.ended(Duration::from_secs(20))?;
    let served = agent.finish()?;
    let told: Vec<Value> = called
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    ensure!(told.len() == CALLS, "{}\n{}", called.stdout, called.stderr);
    let (requests, calls) = (served.spool.requests(), called.spool.client_calls());
    for (spans, report) in [(&requests, &served), (&calls, &called)] {
        ensure!(
            spans.len() == CALLS,
            "{}\n{}",
            report.spool.describe(),
            report.stderr
        );
        for (span, told) in spans.iter().zip(&told) {
            // Five bytes stand before a message.
            let sent = told["sent"].as_i64().map(|n| n + 5);
            ensure!(
                span.text("cirron.tls.link") == Some("secret")
                    && span.path() == "/test.Echo/Stream"
                    && span.text("url.scheme") == Some("https")
                    && span.int("http.request.body.size") == sent
                    && span.int("server.port") == Some(i64::from(port)),
                "{told}: {span:?}"
            );
            expect::untouched(span)?;
        }
    }
    Ok(format!("{CALLS} calls, at both ends"))
}
