//! `cargo xtask bench look`: what it takes to look at a spool of 1 GB: the tree, its filters, and each export.
//!
//! The spool is made here, of calls of a model as the agent writes them, with an `http.client` below each fourth: so no
//! server has to be driven for hours. Each command runs once or more, alone; its time and `VmHWM` are told.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::{paths, sh};

/// JSON of a batch, as the agent's: `MAX_BATCH_BYTES`.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Between two looks at a command's memory.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// How.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Megabytes of the spool
    #[arg(long, default_value_t = 1_000)]
    mb: usize,
    /// Another build of the agent, measured beside this one's `tree`
    #[arg(long, value_name = "FILE")]
    before: Option<PathBuf>,
    /// Times that each command runs; the fastest counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

pub(super) fn run(options: &Options) -> Result<()> {
    sh::build_agent()?;
    let agent = paths::agent();
    let dir = paths::target().join("bench-look");
    let spool = dir.join("spool");
    let requests = make(&spool, options.mb * 1_000_000)?;
    println!("a spool of {} MB, {requests} requests\n", options.mb);
    println!("| command | s | peak, MiB | written, MB |\n| --- | --- | --- | --- |");
    let out = dir.join("out");
    let export = |format: &str| {
        format!(
            "export --format {format} -o {} {}",
            out.display(),
            dir.display()
        )
    };
    let mut rows: Vec<(String, String, &Path)> = Vec::new();
    if let Some(before) = &options.before {
        rows.push(("`tree`, before".into(), "tree".into(), before));
    }
    for command in [
        "tree",
        "tree --slow 4s",
        "tree --status error --model 'm-1*'",
        "tree --since 2026-11-28T00:00:00Z",
    ] {
        rows.push((format!("`{command}`"), command.replace('\'', ""), &agent));
    }
    for format in ["csv", "jsonl", "otlp", "parquet", "perfetto"] {
        rows.push((
            format!("`export --format {format}`"),
            export(format),
            &agent,
        ));
    }
    for (name, command, agent) in rows {
        let mut best = (Duration::MAX, 0);
        for _ in 0..options.rounds.max(1) {
            let (time, peak) = measure(agent, &command, &dir)?;
            best = (best.0.min(time), best.1.max(peak));
        }
        let written = fs::metadata(&out).map_or(0, |meta| meta.len()) as f64 / 1e6;
        let written = if command.starts_with("export") {
            format!("{written:.0}")
        } else {
            String::new()
        };
        println!(
            "| {name} | {:.2} | {} | {written} |",
            best.0.as_secs_f64(),
            best.1 / 1024
        );
    }
    fs::remove_dir_all(&dir).context("bench-look")
}

/// Its time, and its peak in KiB.
fn measure(agent: &Path, command: &str, dir: &Path) -> Result<(Duration, u64)> {
    let begin = Instant::now();
    let mut child = Command::new(agent)
        .args(command.split(' '))
        .env("CIRRON_OUTPUT_DIR", dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("the agent")?;
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak = 0;
    loop {
        if let Some(code) = child.try_wait()? {
            ensure!(code.success(), "{command}: {code}");
            return Ok((begin.elapsed(), peak));
        }
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// Makes the spool; how many requests are in it.
fn make(spool: &Path, bytes: usize) -> Result<u64> {
    if spool.exists() {
        fs::remove_dir_all(spool)?;
    }
    fs::create_dir_all(spool)?;
    let session = "{\"id\":\"5e551000000000000000000000000000\",\"name\":\"cirron.session\",\"parent_id\":null,\"index\":null,\
        \"start_ns\":1795763190000000000,\"end_ns\":null,\"pid\":42,\"attrs\":{\"pid\":42,\"rank\":0,\
        \"process.executable.name\":\"python3.11\"},\"mark_ids\":[]}";
    let (mut written, mut batch, mut n) = (0, 0_u64, 0_u64);
    while written < bytes {
        let (mut spans, mut marks) = (session.to_owned(), String::new());
        while spans.len() + marks.len() < BATCH_BYTES.min(bytes) {
            request(n, &mut spans, &mut marks)?;
            n += 1;
        }
        let text = format!(
            "{{\"schema_version\":1,\"sdk_version\":\"agent/0.1.0\",\"batch_id\":\"{batch:032x}\",\"created_ns\":{batch},\
             \"spans\":[{spans}],\"marks\":[{}],\"snapshots\":[]}}",
            marks.trim_start_matches(',')
        );
        let name = format!(
            "{:020}-{batch:032x}.json",
            1_795_763_190_000_000_000 + batch
        );
        File::create(spool.join(name))?.write_all(text.as_bytes())?;
        written += text.len();
        batch += 1;
    }
    Ok(n)
}

/// A streamed call of a model, ten a second, some slow, some that failed.
fn request(n: u64, spans: &mut String, marks: &mut String) -> Result<()> {
    let id = scattered(n);
    let start = 1_795_763_190_000_000_000 + n * 100_000_000;
    let end = start + 500_000_000 + scattered_small(n) * 4_000_000;
    let tokens = 20 + scattered_small(n + 7);
    let status = if n.is_multiple_of(50) { 500 } else { 200 };
    let error = if status == 500 {
        ",\"error.type\":\"500\",\"error\":true"
    } else {
        ""
    };
    let port = 20_000 + n % 200;
    let values = [
        ("time_in_queue_ms", "float", "0.041".to_owned()),
        ("prompt_tokens", "int", "128".to_owned()),
        ("completion_tokens", "int", tokens.to_string()),
        ("input_tokens", "int", "128".to_owned()),
        ("output_tokens", "int", tokens.to_string()),
        ("total_tokens", "int", (128 + tokens).to_string()),
        (
            "time_to_first_token_ms",
            "float",
            format!("{}.25", 90 + n % 60),
        ),
        ("tokens_per_second", "float", format!("{}.5", 30 + n % 30)),
        ("time_per_output_token_ms", "float", "21.034".to_owned()),
        ("max_inter_token_ms", "float", "48.211".to_owned()),
        (
            "request_duration_ms",
            "float",
            format!("{}", (end - start) / 1_000_000),
        ),
    ];
    let mut ids = String::new();
    for (at, (name, kind, value)) in values.iter().enumerate() {
        let mark = scattered(n * 16 + at as u64 + (1 << 40));
        write!(
            marks,
            ",{{\"id\":\"{mark}\",\"span_id\":\"{id}\",\"name\":\"{name}\",\"value_type\":\"{kind}\",\"value\":{value},\
             \"attrs\":{{\"source\":\"openai\",\"normalized\":true}},\"ts_ns\":{end},\"kind\":\"summary\"}}"
        )?;
        write!(ids, "{}\"{mark}\"", if at > 0 { "," } else { "" })?;
    }
    let rest = format!(
        "\"index\":null,\"start_ns\":{start},\"end_ns\":{end},\"cpu_ns\":null,\"gpu_ns\":null,\"memory_peak_bytes\":null,\
         \"thread_id\":42,\"pid\":42,\"rank\":0"
    );
    write!(
        spans,
        ",{{\"id\":\"{id}\",\"name\":\"request\",\"parent_id\":\"5e551000000000000000000000000000\",{rest},\
         \"attrs\":{{\"request_id\":\"{id}\",\"network.protocol.version\":\"1.1\",\"http.request.method\":\"POST\",\
         \"url.path\":\"/v1/chat/completions\",\"http.request.body.size\":512,\"http.response.body.size\":20480,\
         \"http.response.status_code\":{status}{error},\"server.address\":\"127.0.0.1\",\"server.port\":8000,\
         \"client.address\":\"127.0.0.1\",\"client.port\":{port},\"gen_ai.operation.name\":\"chat\",\
         \"gen_ai.provider.name\":\"openai\",\"gen_ai.request.model\":\"m-{}\",\"gen_ai.response.model\":\"m-{0}-7b\",\
         \"cirron.request.stream\":true,\"gen_ai.response.finish_reasons\":\"stop\",\"cirron.figures\":\"complete\"}},\
         \"mark_ids\":[{ids}]}}",
        n % 12
    )?;
    if n.is_multiple_of(4) {
        let call = scattered(n + (1 << 50));
        write!(
            spans,
            ",{{\"id\":\"{call}\",\"name\":\"http.client\",\"parent_id\":\"{id}\",{rest},\"attrs\":{{\"request_id\":\
             \"{call}\",\"http.request.method\":\"GET\",\"url.path\":\"/documents\",\"http.response.status_code\":200,\
             \"server.address\":\"10.0.0.7\",\"server.port\":80,\"cirron.parent.by\":\"thread\"}},\"mark_ids\":[]}}"
        )?;
    }
    Ok(())
}

/// Ids as random as a UUID's, the same each time (`splitmix64`).
fn scattered(n: u64) -> String {
    format!("{:016x}{:016x}", mixed(n), mixed(!n))
}

/// From 0 to 999.
fn scattered_small(n: u64) -> u64 {
    mixed(n ^ 0x5bd1) % 1_000
}

fn mixed(n: u64) -> u64 {
    let mut z = n
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
