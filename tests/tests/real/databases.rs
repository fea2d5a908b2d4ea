//! Databases of others by their usual clients (`--net-scopes`): Redis, MariaDB and PostgreSQL, by redis-py, PyMySQL and
//! psycopg's pool on gunicorn's threads, by redis.asyncio and asyncpg on FastAPI. All their connections are open before the
//! attach, as pools are. Judged by bytes that the protocols fix, by what the client had to wait, and by lengths of questions, of
//! which no two requests have the same; none may be wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::{Agent, Report};
use cirron_tests::below::at_once;
use cirron_tests::databases::Database;
use cirron_tests::postgres::Postgres;
use cirron_tests::process::Guard;
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::spool::{Span, Spool};
use cirron_tests::{CANARY, calls, stacks, wait};
use serde_json::Value;

pub(crate) const TESTS: &[Test] = &[Test {
    name: "databases_of_others_are_measured_below_the_requests_that_ask_them",
    need: Need::Stacks,
    run,
}];

/// Clients at once, and requests of each to each service.
const CLIENTS: usize = 16;
const EACH: usize = 5;
const ALL: usize = CLIENTS * EACH;
/// Connections of a pool, as the service has it.
const POOL: usize = 8;
/// Bytes of text in question 0.
const LENGTH: i64 = 4_096;
/// The same of the whole question as each protocol has it: `ECHO` as an array of two strings, a packet and a message of a statement.
const QUESTIONS: [(&str, i64); 3] = [
    ("redis", LENGTH + 23),
    ("mysql", LENGTH + 12 + 5),
    ("postgresql", LENGTH + 12 + 6),
];
/// What is around the text in Redis's answer: `$4096`, and two ends of lines.
const REDIS_ANSWER: i64 = LENGTH + 9;
/// What the slow questions take, as they say.
const SLOW_MS: f64 = 50.0;

struct Servers {
    redis: Database,
    mariadb: Database,
    postgres: Postgres,
}

struct Service {
    guard: Guard,
    port: u16,
}

impl Service {
    fn start(servers: &Servers, program: &str, arguments: &[&str], port: u16) -> Result<Service> {
        let mut command = Command::new(stacks::venv(program)?);
        command.args(arguments);
        command.current_dir(stacks::here().join("servers/python"));
        for (name, port) in [
            ("REDIS", servers.redis.port()),
            ("MARIADB", servers.mariadb.port()),
            ("POSTGRES", servers.postgres.port()),
        ] {
            command.env(name, port.to_string());
        }
        command.env("CANARY", CANARY);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let guard = Guard::spawn(command)?;
        Ok(Service { guard, port })
    }

    fn post(&self, path: &str) -> Result<Vec<u8>> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        Ok(calls::curl(&["-f", "-d", "{}", &url])?.stdout)
    }

    fn ask_at_once(&self) -> Result<()> {
        at_once(CLIENTS, |client| {
            (0..EACH).try_for_each(|n| {
                self.post(&format!("/ask/{}", client * EACH + n))
                    .map(|_| ())
            })
        })
    }
}

fn run() -> Result<String> {
    let servers = Servers {
        redis: Database::redis()?,
        mariadb: Database::mariadb()?,
        postgres: Postgres::start()?,
    };
    let [one, other] = [free_port()?, free_port()?];
    let address = format!("127.0.0.1:{one}");
    let flags = [
        "app_stores:app",
        "-k",
        "gthread",
        "--threads",
        "32",
        "-b",
        &address,
    ];
    let threads = Service::start(&servers, "gunicorn", &flags, one)?;
    let port = other.to_string();
    let flags = ["app_stores:loop", "--port", &port];
    let tasks = Service::start(&servers, "uvicorn", &flags, other)?;
    for service in [&threads, &tasks] {
        wait::listener(service.port)?;
        service.post("/connect")?;
    }
    let agent = Agent::attach(&[threads.guard.pid(), tasks.guard.pid()], &["--net-scopes"])?;
    threads.ask_at_once()?;
    tasks.ask_at_once()?;
    let waited: BTreeMap<String, f64> = serde_json::from_slice(&threads.post("/slow")?)?;
    for path in ["/transaction", "/pipeline", "/listen", "/batch"] {
        threads.post(path)?;
    }
    tasks.post("/batch")?;
    servers.redis.kill();
    threads.post("/gone")?;
    let report = agent.finish()?;
    let known = [threads.port, tasks.port]
        .into_iter()
        .map(|port| Ok(asked(&report.spool, port)?.join(", ")))
        .collect::<Result<Vec<_>>>()?;
    first_questions(&report.spool)?;
    slow(&report.spool, &waited)?;
    batches(&report.spool)?;
    shapes(&report)?;
    Ok(format!(
        "of {ALL} questions of each kind below their requests: {} (threads), {} (tasks); none is wrong",
        known[0], known[1]
    ))
}

/// What was done for requests with this path.
fn below<'s>(spool: &'s Spool, request: &Span) -> Vec<&'s Span> {
    let is_its = |net: &&Span| net.parent_id.as_ref() == Some(&request.id);
    spool.named("net.client").filter(is_its).collect()
}

fn figures(net: &Span) -> Result<[i64; 3]> {
    let figure = |name: &str| {
        net.int(&format!("cirron.net.{name}"))
            .context(name.to_owned())
    };
    Ok([
        figure("bytes_sent")?,
        figure("bytes_received")?,
        figure("round_trips")?,
    ])
}

/// Of each protocol how many questions are below the request of a service that has their length.
fn asked(spool: &Spool, port: u16) -> Result<Vec<String>> {
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for request in spool.requests() {
        let number = request.path().strip_prefix("/ask/");
        let Some(number) = number.filter(|_| request.int("server.port") == Some(port.into()))
        else {
            continue;
        };
        let number: i64 = number.parse()?;
        for net in below(spool, request) {
            let [sent, received, trips] = figures(net)?;
            if sent < LENGTH {
                // A connection's own: a handshake of redis-py's, asyncpg's reset.
                continue;
            }
            let name = net.text("cirron.net.protocol").context("protocol")?;
            let first = QUESTIONS.iter().find(|(other, _)| *other == name);
            let (name, first) = first.context("another protocol")?;
            if *name == "redis" && trips > 1 {
                // A connection that the pool made for it: its handshake and the question may be one scope, whose length
                // says less.
                continue;
            }
            ensure!(sent == first + number, "wrong: {number} has {net:?}");
            ensure!(
                trips == 1 && net.mark("time_to_first_byte_ms").is_some(),
                "{net:?}"
            );
            ensure!(
                *name != "redis" || received == REDIS_ANSWER + number,
                "{net:?}"
            );
            *known.entry(*name).or_default() += 1;
        }
    }
    // Threads are known to serve one request each after 32, and of each connection the first question is nobody's.
    for (name, count) in &known {
        ensure!(*count <= ALL && count * 4 > ALL, "{name}: {count} of {ALL}");
    }
    ensure!(known.len() >= 2, "{known:?}");
    Ok(known
        .iter()
        .map(|(name, count)| format!("{count} of {name}"))
        .collect())
}

/// Of each connection of before the first is nobody's, and says so.
fn first_questions(spool: &Spool) -> Result<()> {
    let is_late = |net: &&Span| net.is("cirron.late_attach");
    let ports: BTreeSet<_> = (spool.named("net.client").filter(is_late))
        .map(|net| {
            ensure!(net.text("cirron.parent.unknown").is_some(), "{net:?}");
            ensure!(net.is("cirron.partial") && net.mark("time_to_first_byte_ms").is_none());
            Ok(net.int("client.port"))
        })
        .collect::<Result<_>>()?;
    // PyMySQL's, psycopg's and asyncpg's pools are open whole, the others as far as they were asked.
    ensure!(ports.len() >= 2 * POOL, "{ports:?}");
    Ok(())
}

fn request<'s>(spool: &'s Spool, path: &str) -> Result<&'s Span> {
    let requests = spool.requests();
    let found = requests.into_iter().find(|request| request.path() == path);
    found.with_context(|| format!("no {path}"))
}

/// It takes what the server was told to take, and not more than the client had to wait.
fn slow(spool: &Spool, waited: &BTreeMap<String, f64>) -> Result<()> {
    let nets = below(spool, request(spool, "/slow")?);
    ensure!(nets.len() == QUESTIONS.len(), "{nets:?}");
    for net in nets {
        let name = net.text("cirron.net.protocol").context("protocol")?;
        let took = net.mark("time_to_first_byte_ms").context("no time")?;
        let waited = waited[name];
        ensure!(
            SLOW_MS <= took && took <= waited,
            "{name}: {took} of {waited}"
        );
    }
    Ok(())
}

/// A hundred statements at once are few round trips, by psycopg's pipeline and by asyncpg's `executemany`.
fn batches(spool: &Spool) -> Result<()> {
    let requests = spool.requests();
    let all: Vec<_> = requests.iter().filter(|r| r.path() == "/batch").collect();
    ensure!(all.len() == 2, "{}", spool.describe());
    for request in all {
        let (mut sent, mut trips) = (0, 0);
        for net in below(spool, request) {
            let [its_bytes, _, its_trips] = figures(net)?;
            (sent, trips) = (sent + its_bytes, trips + its_trips);
        }
        ensure!(
            sent > 100 * CANARY.len() as i64 && (1..20).contains(&trips),
            "{sent} bytes in {trips} round trips: {request:?}"
        );
    }
    Ok(())
}

/// A transaction's pauses, a hundred commands at once, messages that nobody asks for, a server that is gone.
fn shapes(report: &Report) -> Result<()> {
    let spool = &report.spool;
    let nets = below(spool, request(spool, "/transaction")?);
    let trips: i64 = nets
        .iter()
        .filter_map(|net| net.int("cirron.net.round_trips"))
        .sum();
    ensure!(
        trips == 5 && nets.len() >= 3,
        "BEGIN, three with pauses, COMMIT: {nets:?}"
    );
    let [pipeline] = below(spool, request(spool, "/pipeline")?)[..] else {
        anyhow::bail!("a hundred commands are one question");
    };
    ensure!(figures(pipeline)?[2] == 1, "{pipeline:?}");
    let heard: Vec<_> = below(spool, request(spool, "/listen")?);
    // `SUBSCRIBE` has one answer, whatever comes behind it; what publishes has one for each.
    let trips: i64 = heard
        .iter()
        .filter_map(|net| net.int("cirron.net.round_trips"))
        .sum();
    ensure!(trips == 1 + 20, "{heard:?}");
    let most = heard
        .iter()
        .filter_map(|net| net.int("cirron.net.bytes_received"))
        .max();
    ensure!(most > Some(20 * CANARY.len() as i64), "{heard:?}");
    let gone = below(spool, request(spool, "/gone")?);
    ensure!(
        gone.iter()
            .all(|net| net.int("cirron.net.bytes_received") == Some(0)),
        "{gone:?}"
    );
    let lost: Vec<&Value> = (spool.named("net.client"))
        .filter_map(|net| net.attrs.get("cirron.lost_bytes"))
        .collect();
    ensure!(lost.is_empty(), "{lost:?}");
    Ok(())
}
