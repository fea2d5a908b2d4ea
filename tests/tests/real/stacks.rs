//! Each server of others, driven by the openai library, curl and wrk.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::calls::{call, curl, openai, wrk};
use cirron_tests::expect;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack};
use cirron_tests::spool::Spool;
use cirron_tests::{CANARY, truth::Truth};
use serde_json::{Value, json};

macro_rules! stack {
    ($name:literal, $stack:ident) => {
        Test {
            name: $name,
            need: Need::Stacks,
            run: || every_exchange(Stack::$stack),
        }
    };
}

pub(crate) const TESTS: &[Test] = &[
    stack!("fastapi_on_uvicorn_h11", UvicornH11),
    stack!("fastapi_on_uvicorn_httptools", UvicornHttptools),
    stack!("fastapi_on_uvicorn_two_workers", UvicornWorkers),
    stack!("flask_threaded", Flask),
    stack!("flask_on_gunicorn_sync", GunicornSync),
    stack!("flask_on_gunicorn_threads", GunicornThreads),
    stack!("aiohttp", Aiohttp),
    stack!("node_http", Node),
    stack!("go_net_http", Go),
    Test {
        name: "llama_server_with_a_real_model",
        need: Need::Stacks,
        run: llama,
    },
];

/// One after the other, on one kept-alive connection where the server keeps it.
fn serial_calls(stack: Stack) -> Vec<Value> {
    let mut calls = vec![
        call("chat", "s1", false, json!({"x_tokens": 1})),
        call(
            "chat",
            "s2",
            false,
            json!({"x_tokens": 40, "x_prompt_tokens": 1000, "x_ttft_ms": 20}),
        ),
        call(
            "chat",
            "s3",
            true,
            json!({"x_tokens": 12, "x_ttft_ms": 60, "x_interval_ms": 5, "x_usage": true}),
        ),
        call(
            "chat",
            "s4",
            true,
            json!({"x_tokens": 9, "x_ttft_ms": 30, "x_interval_ms": 4}),
        ),
        call(
            "chat",
            "s5",
            true,
            json!({"x_tokens": 1, "x_ttft_ms": 25, "x_usage": true}),
        ),
        call("completion", "s6", false, json!({"x_tokens": 3})),
        call(
            "completion",
            "s7",
            true,
            json!({"x_tokens": 6, "x_ttft_ms": 40, "x_interval_ms": 5, "x_usage": true}),
        ),
        call(
            "embeddings",
            "embed-1",
            false,
            json!({"x_prompt_tokens": 17}),
        ),
        call("chat", "s8", false, json!({"x_status": 400})),
        call("chat", "s9", true, json!({"x_status": 500})),
        call(
            "chat",
            "s10",
            false,
            json!({"x_tokens": 2, "x_usage": false}),
        ),
    ];
    if matches!(
        stack,
        Stack::UvicornH11 | Stack::UvicornHttptools | Stack::Flask | Stack::Aiohttp
    ) {
        calls.push(call(
            "responses",
            "s11",
            true,
            json!({"x_tokens": 8, "x_ttft_ms": 30, "x_interval_ms": 5, "x_usage": true}),
        ));
        calls.push(call("responses", "s12", false, json!({"x_tokens": 4})));
    }
    calls
}

fn concurrent_calls() -> Vec<Value> {
    let one = |i: u32| {
        let extra = json!({"x_tokens": 5 + i, "x_prompt_tokens": 10 + i, "x_ttft_ms": 40 + 7 * i, "x_interval_ms": 6, "x_usage": i.is_multiple_of(2)});
        call("chat", &format!("c{i}"), i != 3, extra)
    };
    (0..8).map(one).collect()
}

fn curl_calls(server: &Server) -> Result<usize> {
    let health = server.url(&format!("/health?q={CANARY}"));
    let chat = server.url(&format!("/v1/chat/completions?q={CANARY}"));
    let json = "Content-Type: application/json";
    curl(&[&health])?;
    curl(&[&health, &health])?;
    let stream = json!({"model": "k1", "messages": [{"role": "user", "content": CANARY}], "stream": true, "x_tokens": 7, "x_ttft_ms": 35, "x_interval_ms": 5, "x_usage": true});
    let out = curl(&["-H", json, "-d", &stream.to_string(), &chat])?;
    ensure!(
        String::from_utf8_lossy(&out.stdout).contains("[DONE]"),
        "stream cut"
    );
    let whole =
        json!({"model": "k2", "messages": [{"role": "user", "content": CANARY}], "x_tokens": 3});
    curl(&["-H", json, "-d", &whole.to_string(), &chat])?;
    Ok(5)
}

fn now_ns() -> i64 {
    i64::try_from(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos(),
    )
    .unwrap_or(i64::MAX)
}

/// A worker's first model call takes some 40 ms before its handler is entered: each has had one.
fn warm_up(server: &mut Server) -> Result<()> {
    for _ in 0..20 {
        openai(server.port, 8, &concurrent_calls())?;
        let served: std::collections::BTreeSet<u32> =
            server.truth()?.iter().map(|t| t.pid).collect();
        if served.len() >= 2 {
            return server.forget();
        }
    }
    anyhow::bail!("one of the workers never serves")
}

fn every_exchange(stack: Stack) -> Result<String> {
    let mut server = Server::start(stack)?;
    if stack == Stack::UvicornWorkers {
        warm_up(&mut server)?;
    }
    let agent = Agent::attach(&[server.pid()], &["-v"])?;
    let serial = serial_calls(stack);
    let mut seen = openai(server.port, 1, &serial)?;
    for (call, seen) in serial.iter().zip(&seen) {
        let status = call["extra"]["x_status"].as_i64().unwrap_or(200);
        ensure!(
            seen.status == Some(status),
            "the client saw {seen:?} for {call}"
        );
    }
    let concurrent = concurrent_calls();
    seen.extend(openai(server.port, 8, &concurrent)?);
    let count = serial.len() + concurrent.len() + curl_calls(&server)?;
    let truth = server.truth_of(count)?;
    ensure!(
        truth.len() == count,
        "{count} requests made, {} served",
        truth.len()
    );

    let load_from = now_ns();
    wrk(&["-t1", "-c4", "-d1s", &server.url("/health")])?;
    let load: Vec<Truth> = server.truth_at_rest()?.split_off(count);
    let report = agent.finish()?;

    let (before, after) = report
        .spool
        .spans
        .into_iter()
        .partition(|s| s.start_ns < load_from || s.name == "cirron.session");
    let (exact, loaded) = (Spool { spans: before }, Spool { spans: after });
    let figures =
        expect::matches_seen(&exact, &truth, &seen).with_context(|| report.stderr.clone())?;
    let recorded = loaded.requests();
    ensure!(
        recorded.len() == load.len(),
        "wrk: {} served, {} recorded; {}",
        load.len(),
        recorded.len(),
        report.summary
    );
    // wrk drops its four connections at the end, answered or not.
    let cut = recorded
        .iter()
        .filter(|s| expect::untouched(s).is_err())
        .count();
    ensure!(
        cut <= 4,
        "wrk: {cut} exchanges touched: {:?}",
        recorded.iter().find(|s| expect::untouched(s).is_err())
    );
    let pids: std::collections::BTreeSet<u32> = exact
        .requests()
        .iter()
        .chain(&recorded)
        .map(|s| s.pid)
        .collect();
    ensure!(
        stack != Stack::UvicornWorkers || pids.len() == 2,
        "two workers, but requests of {pids:?}"
    );
    Ok(format!("{}; {} under wrk", figures.summary(), load.len()))
}

/// The last event of each stream carries `timings`: the server's own clock.
fn llama() -> Result<String> {
    let server = Server::start(Stack::Llama)?;
    let agent = Agent::attach(&[server.pid()], &["--chunk-timing"])?;
    let mut offs = Vec::new();
    let mut finals = Vec::new();
    for i in 0..6_u32 {
        let stream = i != 2;
        // Without usage its `timings` have the counts.
        let with_usage = i != 4;
        let body = json!({"model": format!("m{i}"), "messages": [{"role": "user", "content": format!("{CANARY} {i} {}", "word ".repeat(20 * i as usize))}],
            "max_tokens": 16 + i, "stream": stream, "stream_options": {"include_usage": with_usage}, "ignore_eos": true});
        let out = curl(&[
            "-H",
            "Content-Type: application/json",
            "-d",
            &body.to_string(),
            &server.url("/v1/chat/completions"),
        ])?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let last = if stream {
            text.lines()
                .rev()
                .filter_map(|l| l.strip_prefix("data: "))
                .find(|l| l.contains("\"timings\""))
                .context("no timings")?
                .to_owned()
        } else {
            text
        };
        finals.push((stream, serde_json::from_str::<Value>(&last)?));
    }
    let report = agent.finish()?;
    let requests = report.spool.requests();
    ensure!(
        requests.len() == finals.len(),
        "{} recorded: {}",
        requests.len(),
        report.spool.describe()
    );
    let without = finals.iter().filter(|(_, last)| last["usage"].is_null());
    ensure!(without.count() == 1, "usage that was not asked for");
    for (stream, last) in &finals {
        let id = last["id"].as_str().context("id")?;
        let span = requests
            .iter()
            .find(|s| s.text("gen_ai.response.id") == Some(id))
            .with_context(|| format!("no request {id}"))?;
        expect::untouched(span)?;
        let timing = |name: &str| last["timings"][name].as_f64();
        let (computed, cached) = (timing("prompt_n"), timing("cache_n"));
        let prompt = computed.map(|n| n + cached.unwrap_or(0.0));
        let tokens = timing("predicted_n");
        ensure!(
            span.mark("prompt_tokens") == prompt && span.mark("completion_tokens") == tokens,
            "usage: {span:?}"
        );
        let usage = &last["usage"];
        ensure!(
            usage.is_null()
                || usage["prompt_tokens"].as_f64() == prompt
                    && usage["completion_tokens"].as_f64() == tokens,
            "timings and usage differ"
        );
        ensure!(
            span.text("gen_ai.response.model") == last["model"].as_str(),
            "model"
        );
        if *stream {
            let first = span
                .mark("time_to_first_token_ms")
                .context("no time_to_first_token_ms")?;
            let prompt_ms = last["timings"]["prompt_ms"].as_f64().context("prompt_ms")?;
            offs.push(first - prompt_ms);
            let duration = span.mark("request_duration_ms").context("duration")?;
            let predicted = last["timings"]["predicted_ms"]
                .as_f64()
                .context("predicted_ms")?;
            ensure!(
                duration >= prompt_ms + predicted - 0.5,
                "duration {duration} of {prompt_ms} + {predicted}"
            );
        } else {
            ensure!(
                span.mark("time_to_first_token_ms").is_none(),
                "no stream, yet a time to first token"
            );
        }
    }
    // `prompt_ms` begins when the slot does, after reading, templating and tokenising the prompt.
    ensure!(
        offs.iter().all(|o| *o >= -0.3),
        "time to first token less prompt_ms: {offs:.2?}"
    );
    offs.sort_by(f64::total_cmp);
    let median = offs.get(offs.len() / 2).copied().context("no streams")?;
    expect::in_time("time to first token", offs[offs.len() - 1], 10.0)?;
    let what = format!("the median of {offs:.2?}");
    expect::in_time(&what, median, expect::TTFT_TOLERANCE_MS)?;
    Ok(format!(
        "time to first token less the server's prompt_ms: {offs:.2?} ms"
    ))
}
