//! What ran on the thread that moved bytes, as recordings have it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use cirron_agent::{Input, RecordingReader};
use cirron_common::record::source;
use cirron_core::record::{Body, Direction, Record};
use cirron_tests::agent::Agent;
use cirron_tests::calls::{call, openai};
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack};
use serde_json::json;

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "each_connection_of_a_go_server_has_its_goroutine",
        need: Need::Stacks,
        run: go_server,
    },
    Test {
        name: "threads_that_run_no_go_have_no_goroutine",
        need: Need::Stacks,
        run: others,
    },
];

/// Contexts of what was written to each plain socket.
fn contexts(recording: &Path) -> Result<BTreeMap<u64, BTreeSet<u64>>> {
    let mut reader = RecordingReader::new(BufReader::new(File::open(recording)?))?;
    let mut found: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    while let Some(input) = reader.next_input()? {
        let Input::Record(bytes) = input else {
            continue;
        };
        let Record { head, body } = Record::decode(&bytes)?;
        if let Body::Data(data) = body
            && data.direction == Direction::Outbound
            && head.source == source::SOCKET
        {
            found.entry(head.conn).or_default().insert(head.context);
        }
    }
    Ok(found)
}

/// Streams at once, each on a connection of its own.
const CALLS: usize = 4;

fn recorded(stack: Stack) -> Result<BTreeMap<u64, BTreeSet<u64>>> {
    let server = Server::start(stack)?;
    let work = tempfile::tempdir()?;
    let file = work.path().join("capture.recording");
    let name = file.to_str().context("no UTF-8")?;
    let agent = Agent::attach(&[server.pid()], &["--record", name])?;
    let facts = json!({"x_tokens": 5, "x_ttft_ms": 100, "x_interval_ms": 20});
    let calls: Vec<_> = (0..CALLS)
        .map(|_| call("chat", "m", true, facts.clone()))
        .collect();
    openai(server.port, CALLS, &calls)?;
    server.truth_of(CALLS)?;
    let report = agent.finish()?;
    ensure!(
        report.spool.requests().len() == CALLS,
        "{}",
        report.spool.describe()
    );
    let found = contexts(&file)?;
    ensure!(found.len() == CALLS, "connections: {found:x?}");
    Ok(found)
}

/// Go's net/http has a goroutine for each connection, which writes the answers.
fn go_server() -> Result<String> {
    let found = recorded(Stack::Go)?;
    let all: BTreeSet<u64> = found.values().flatten().copied().collect();
    ensure!(
        found.values().all(|of_one| of_one.len() == 1) && !all.contains(&0),
        "{found:x?}"
    );
    ensure!(all.len() == CALLS, "shared: {found:x?}");
    Ok(format!("{} goroutines", all.len()))
}

fn others() -> Result<String> {
    let found = recorded(Stack::UvicornHttptools)?;
    let all: BTreeSet<u64> = found.values().flatten().copied().collect();
    ensure!(all == BTreeSet::from([0]), "{found:x?}");
    Ok(format!("{} connections", found.len()))
}
