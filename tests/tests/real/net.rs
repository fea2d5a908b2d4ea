//! What a server asks its database hangs below the request that it was asked for (`--net-scopes`): PostgreSQL's own server and
//! client library, 32 requests at once on connections that all threads share, half of which were open before the attach. Judged
//! by the lengths of statements, of which no two requests have the same; none may be wrong.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::below::at_once;
use cirron_tests::postgres::Postgres;
use cirron_tests::process::Guard;
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::spool::Span;
use cirron_tests::{CANARY, calls, stacks, wait};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "statements_of_gunicorn_s_threads_are_below_their_requests",
        need: Need::Stacks,
        run: || statements(true),
    },
    Test {
        name: "statements_are_no_scopes_where_nobody_asks_for_them",
        need: Need::Stacks,
        run: || statements(false),
    },
];

/// Requests at once.
const AT_ONCE: usize = 32;
/// Requests of each client.
const EACH: usize = 10;
/// Connections to the database that are open before the attach, and as many that are opened behind it.
const CONNECTIONS: usize = 4;
/// Bytes of statement 0, as the service has it, and of the message around it.
const LENGTH: i64 = 4_096 + 6;

fn number(request: &Span) -> Option<i64> {
    request.path().strip_prefix("/ask/")?.parse().ok()
}

fn statements(wanted: bool) -> Result<String> {
    let database = Postgres::start()?;
    let port = free_port()?;
    let mut command = Command::new(stacks::venv("gunicorn")?);
    command.args(["app_database:app", "-k", "gthread", "--threads", "32"]);
    command.args(["-b", &format!("127.0.0.1:{port}")]);
    command.current_dir(stacks::here().join("servers/python"));
    command
        .env("DATABASE", database.address())
        .env("CANARY", CANARY);
    command.stderr(Stdio::null());
    let server = Guard::spawn(command)?;
    wait::listener(port)?;
    let flags: &[&str] = if wanted { &["--net-scopes"] } else { &[] };
    let ask =
        |path: &str| calls::curl(&["-f", "-d", "{}", &format!("http://127.0.0.1:{port}{path}")]);
    ask(&format!("/connect/{CONNECTIONS}"))?;
    let agent = Agent::attach(&[server.pid()], flags)?;
    ask(&format!("/connect/{CONNECTIONS}"))?;
    at_once(AT_ONCE, |client| {
        (0..EACH).try_for_each(|n| ask(&format!("/ask/{}", client * EACH + n)).map(|_| ()))
    })?;
    let report = agent.finish()?;
    let spool = &report.spool;
    let requests = spool.requests();
    let nets: Vec<&Span> = spool.named("net.client").collect();
    if !wanted {
        ensure!(nets.is_empty(), "{nets:?}");
        return Ok("none".to_owned());
    }
    let is_late = |net: &&&Span| net.is("cirron.late_attach");
    let older: Vec<_> = (nets.iter().filter(is_late))
        .map(|net| net.int("client.port"))
        .collect();
    ensure!(older.len() == CONNECTIONS, "the first of each: {older:?}");
    let (mut known, mut unknown, mut trips, mut known_of_older) = (0, 0, 0, 0);
    for net in &nets {
        ensure!(
            net.text("cirron.net.protocol") == Some("postgresql"),
            "{net:?}"
        );
        trips += net.int("cirron.net.round_trips").context("round trips")?;
        let sent = net.int("cirron.net.bytes_sent").context("bytes")?;
        let parent = requests
            .iter()
            .find(|r| Some(&r.id) == net.parent_id.as_ref());
        match parent.map(|request| number(request)) {
            None => {
                ensure!(net.text("cirron.parent.unknown").is_some(), "{net:?}");
                unknown += 1;
            }
            // It opened the connections.
            Some(None) => {}
            Some(Some(number)) => {
                ensure!(sent == LENGTH + number, "wrong: {number} has {net:?}");
                ensure!(net.mark("time_to_first_byte_ms").is_some(), "{net:?}");
                known += 1;
                known_of_older += i64::from(older.contains(&net.int("client.port")));
            }
        }
    }
    let all = (AT_ONCE * EACH) as i64;
    ensure!(trips >= all, "{trips} round trips of {all} statements");
    ensure!(
        known * 2 > all,
        "{known} of {all} are known, {unknown} scopes are not"
    );
    ensure!(
        known_of_older * 4 > known,
        "{known_of_older} of {known} are of connections that were open before"
    );
    Ok(format!(
        "{known} of {all} statements are below their requests, {known_of_older} of them on connections of before the attach, {unknown} scopes below none, none is wrong"
    ))
}
