//! The USDT probes of PostgreSQL as Debian builds it, by `--usdt`: a scope for each query, with its transaction.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::below::at_once;
use cirron_tests::postgres::Postgres;
use cirron_tests::runner::{Need, Test};
use cirron_tests::spool::Span;

pub(crate) const TESTS: &[Test] = &[Test {
    name: "queries_and_transactions_of_debian_s_postgresql_are_told_by_its_probes",
    need: Need::Stacks,
    run: queries,
}];

/// Connections at once.
const AT_ONCE: usize = 4;
const RULES: [&str; 4] = [
    "postgresql:query__start=begin:query(sql=0:str)",
    "postgresql:query__done=end:query",
    "postgresql:transaction__start=begin:transaction",
    "postgresql:transaction__commit=end:transaction",
];

fn queries() -> Result<String> {
    let server = Postgres::start()?;
    let mut args = Vec::new();
    for rule in RULES {
        args.extend(["--usdt", rule]);
    }
    let agent = Agent::attach(&[server.pid()], &args)?;
    at_once(AT_ONCE, |n| {
        let asked = Command::new("psql")
            .arg(server.address())
            .args(["-Atc", &format!("select {n} + 1000")])
            .output()?;
        let answer = String::from_utf8(asked.stdout)?;
        ensure!(answer.trim() == (n + 1000).to_string(), "{answer}");
        Ok(())
    })?;
    let report = agent.finish()?;
    let spool = &report.spool;
    let mut told: Vec<&str> = Vec::new();
    for query in spool.named("query") {
        told.push(query.text("sql").context("no text")?);
        let is_below = |span: &&Span| span.parent_id.as_ref() == Some(&query.id);
        let below = spool.spans.iter().filter(is_below);
        let below: Vec<&str> = below.map(|span| span.name.as_str()).collect();
        ensure!(below == ["transaction"], "{below:?} below {query:?}");
    }
    told.sort_unstable();
    let asked = (0..AT_ONCE).map(|n| format!("select {n} + 1000"));
    ensure!(told.iter().copied().eq(asked), "{told:?}");
    Ok(format!("{} queries", told.len()))
}
