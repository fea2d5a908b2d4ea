//! Many at once, and as many as the server can do.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::calls::{call, curl, openai, wrk};
use cirron_tests::expect;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack};
use cirron_tests::wait;
use serde_json::{Value, json};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "sixty_four_streams_at_fifty_tokens_a_second",
        need: Need::Stacks,
        run: streams,
    },
    Test {
        name: "a_connection_for_each_request_loses_nothing",
        need: Need::Stacks,
        run: short_connections,
    },
    Test {
        name: "a_saturated_server_loses_nothing_unnamed",
        need: Need::Stacks,
        run: saturated,
    },
];

#[expect(clippy::cast_precision_loss, reason = "times of a test")]
fn streams() -> Result<String> {
    let server = Server::start(Stack::UvicornHttptools)?;
    let agent = Agent::attach(&[server.pid()], &["--chunk-timing"])?;
    let calls: Vec<Value> = (0..64)
        .map(|i| call("chat", &format!("m{i}"), true, json!({"x_tokens": 60 + i, "x_prompt_tokens": 100 + i, "x_ttft_ms": 50 + i, "x_interval_ms": 20, "x_usage": i % 2 == 0, "x_log_chunks": true})))
        .collect();
    let seen = openai(server.port, 64, &calls)?;
    ensure!(seen.iter().all(|s| s.status == Some(200)), "client errors");
    let truth = server.truth_of(64)?;
    let report = agent.finish()?;
    // The server runs at its limit here, so the time to first token is compared through the chunks.
    let requests = report.spool.requests();
    ensure!(
        requests.len() == 64,
        "{} of 64 recorded; {}",
        requests.len(),
        report.summary
    );
    let by_id: BTreeMap<_, _> = requests
        .iter()
        .filter_map(|s| Some((s.text("gen_ai.response.id")?, *s)))
        .collect();
    let mut worst: f64 = 0.0;
    let mut firsts = Vec::new();
    for t in &truth {
        let span = by_id
            .get(t.id.as_deref().context("id")?)
            .with_context(|| format!("missing {t:?}"))?;
        expect::untouched(span)?;
        ensure!(
            span.mark("output_tokens") == t.tokens.map(|n| n as f64),
            "{:?} tokens for {:?}",
            span.mark("output_tokens"),
            t.tokens
        );
        ensure!(
            span.text("gen_ai.request.model") == t.model.as_deref(),
            "models crossed"
        );
        let chunks: Vec<f64> = span
            .marks("chunk_ms")
            .filter_map(|m| m.value.as_f64())
            .collect();
        ensure!(
            chunks.len() + 1 == t.chunks_ns.len(),
            "{} chunk times for {} chunks",
            chunks.len(),
            t.chunks_ns.len()
        );
        // Each chunk's own time: sums of the recorded gaps against the server's times.
        let mut at = 0.0;
        for (gap, true_ns) in chunks.iter().zip(t.chunks_ns.iter().skip(1)) {
            at += gap;
            let off = at - (true_ns - t.chunks_ns[0]) as f64 / 1e6;
            worst = worst.max(off.abs());
        }
        firsts.push(
            span.mark("time_to_first_token_ms")
                .context("no time to first token")?
                - t.ttft_ns.context("ttft")? as f64 / 1e6,
        );
    }
    expect::in_time("a chunk time", worst, 60.0)?;
    firsts.sort_by(f64::total_cmp);
    ensure!(
        firsts[0] > -0.3,
        "a time to first token below the server's: {firsts:.2?}"
    );
    Ok(format!(
        "chunk times off by {worst:.1} ms at worst; time to first token off by {:.2} ms (median), {:.2} ms (worst)",
        firsts[32], firsts[63]
    ))
}

fn short_connections() -> Result<String> {
    let server = Server::start(Stack::Go)?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    wrk(&[
        "-t1",
        "-c16",
        "-d4s",
        "-H",
        "Connection: close",
        &server.url("/health"),
    ])?;
    let served = server.truth_at_rest()?.len();
    let report = agent.finish()?;
    let recorded = report.spool.requests().len();
    ensure!(
        recorded == served && served > 1000,
        "{recorded} of {served} recorded: {}",
        report.summary
    );
    // wrk drops its sixteen connections at the end, answered or not.
    let touched = report
        .spool
        .requests()
        .iter()
        .filter(|s| expect::untouched(s).is_err())
        .count();
    ensure!(touched <= 16, "{touched} touched");
    let clients: std::collections::BTreeSet<_> = report
        .spool
        .requests()
        .iter()
        .filter_map(|s| s.int("client.port"))
        .collect();
    ensure!(clients.len() > 1000, "{} client ports", clients.len());
    Ok(format!("{recorded} of {served} recorded"))
}

/// Share of a saturated server's requests that must be recorded. All are, where the agent gets a tenth of a processor;
/// two processors that a whole suite shares may cost some, which are counted.
const SATURATED_PERCENT: i64 = 90;

fn saturated() -> Result<String> {
    let seconds: u32 = std::env::var("CIRRON_SATURATION_SECONDS")
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(30);
    let server = Server::start(Stack::UvicornHttptools)?;
    let served = || -> Result<i64> {
        let out = curl(&[&server.url("/served")])?;
        serde_json::from_slice::<Value>(&out.stdout)?["served"]
            .as_i64()
            .context("served")
    };
    let script = server.dir.path().join("post.lua");
    std::fs::write(
        &script,
        "wrk.method = \"POST\"\nwrk.body = '{\"model\": \"m\"}'\nwrk.headers[\"Content-Type\"] = \"application/json\"\n",
    )?;
    let agent = Agent::attach(&[server.pid()], &[])?;
    let before = served()?;
    let out = wrk(&[
        "-t1",
        "-c16",
        &format!("-d{seconds}s"),
        "-s",
        script.to_str().context("path")?,
        &server.url("/small"),
    ])?;
    wait::closed_to(0, server.port)?;
    let count = served()? - before;
    let report = agent.finish()?;
    let recorded = i64::try_from(
        report
            .spool
            .requests()
            .iter()
            .filter(|s| s.path() == "/small")
            .count(),
    )?;
    let all = report.spool.requests().len();
    ensure!(
        report.summary["engine"]["requests"].as_u64() == Some(all as u64),
        "the summary says {} requests, the spool has {all}",
        report.summary["engine"]["requests"]
    );
    let rate = out
        .lines()
        .find(|l| l.starts_with("Requests/sec"))
        .unwrap_or_default()
        .to_owned();
    let peak = report.peak_kib.unwrap_or(0) / 1024;
    if recorded != count {
        let lost = report.summary["kernel"]
            .as_object()
            .context("no counters in the summary")?;
        let named: u64 = ["ring_full_records", "events_lost", "fault_records"]
            .iter()
            .filter_map(|k| lost.get(*k)?.as_u64())
            .sum();
        ensure!(recorded < count, "{recorded} recorded, {count} served");
        ensure!(
            named > 0,
            "{count} served, {recorded} recorded, and no counter says why: {}",
            report.summary
        );
        ensure!(
            recorded * 100 >= count * SATURATED_PERCENT,
            "{recorded} of {count} recorded, less than {SATURATED_PERCENT} %"
        );
        return Ok(format!(
            "{recorded} of {count} recorded, {named} records lost by name; {rate}; agent's peak {peak} MiB"
        ));
    }
    Ok(format!(
        "{recorded} of {count} recorded; {rate}; agent's peak {peak} MiB"
    ))
}
