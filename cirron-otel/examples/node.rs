//! What one node sends: `cargo run --release -p cirron-otel --example node`.
//!
//! A minute of streamed calls of a model, as the agent writes them, by a number of services, models and endpoints that a
//! node has. The figures of `docs/metrics.md`.

use std::io::Write as _;

use cirron_look::joined::Joiner;
use cirron_otel::metrics::Metrics;
use cirron_otel::otlp::traces::{Also, requests};
use cirron_otel::prometheus::{Format, write};
use cirron_spool::read::Take as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message as _;
use serde_json::{Value, json};

/// Services of the node, models of each, endpoints of each.
const SERVICES: u64 = 8;
const MODELS: u64 = 3;
const ENDPOINTS: u64 = 4;

/// Seconds.
const LENGTH: u64 = 60;

fn gzip(bytes: &[u8]) -> usize {
    let mut zip = GzEncoder::new(Vec::new(), Compression::fast());
    let written = zip.write_all(bytes);
    written
        .and_then(|()| zip.finish())
        .map_or(0, |zipped| zipped.len())
}

/// Random enough for ids and times, and the same each time.
fn mixed(n: u64) -> u64 {
    let x = (n ^ (n >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

fn row<T>(value: &Value, take: impl FnOnce(&str) -> T) -> T {
    take(&value.to_string())
}

fn give(joiner: &mut Joiner, n: u64) {
    let (service, at) = (n % SERVICES, n * 1_000_000);
    let endpoint = n / SERVICES % ENDPOINTS;
    let id = format!("{:016x}{:016x}", mixed(n), mixed(n + 1));
    let duration = 800 + mixed(n) % 4000;
    let span = json!({"id": id, "name": "request", "parent_id": format!("{service:032x}"), "index": null, "pid": service,
        "start_ns": at, "end_ns": at + duration * 1_000_000, "thread_id": 7, "attrs": {
            "request_id": format!("{:016x}{:016x}", mixed(n + 2), mixed(n + 3)), "http.request.method": "POST",
            "url.path": format!("/v1/chat/{endpoint}"), "http.response.status_code": if n.is_multiple_of(50) { 500 } else { 200 },
            "network.protocol.version": "1.1", "server.address": "10.0.0.7", "server.port": 8000,
            "client.address": "10.0.0.9", "client.port": mixed(n) % 60_000, "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai", "gen_ai.request.model": format!("model-{}", mixed(n) % MODELS),
            "gen_ai.response.model": format!("model-{}", mixed(n) % MODELS), "cirron.request.stream": true,
            "gen_ai.response.id": format!("chatcmpl-{:016x}", mixed(n + 4)), "gen_ai.response.finish_reasons": "stop",
            "http.request.body.size": 812, "http.response.body.size": 20_411, "cirron.figures": "complete",
            "cirron.trace_id": format!("{:016x}{:016x}", mixed(n + 5), mixed(n + 6)),
            "cirron.caller.span_id": format!("{:016x}", mixed(n + 7)), "cirron.caller.by": "traceparent"}});
    row(&span, |text| {
        serde_json::from_str(text).map(|row| joiner.span(&row))
    })
    .unwrap_or_default();
    let marks = [
        ("request_duration_ms", duration as f64),
        ("time_to_first_byte_ms", 40.0),
        ("time_to_first_token_ms", (50 + mixed(n) % 400) as f64),
        ("time_per_output_token_ms", 11.0 + (mixed(n) % 20) as f64),
        ("tokens_per_second", 50.0),
        ("max_inter_token_ms", 70.0),
        ("input_tokens", (mixed(n) % 4000) as f64),
        ("output_tokens", (mixed(n) % 400) as f64),
        ("total_tokens", 4000.0),
        ("time_in_queue_ms", 0.3),
    ];
    for (name, value) in marks {
        let mark = json!({"id": id, "span_id": id, "name": name, "value": value, "kind": "summary", "ts_ns": at});
        row(&mark, |text| {
            serde_json::from_str(text).map(|row| joiner.mark(&row))
        })
        .unwrap_or_default();
    }
}

fn main() {
    println!(
        "| requests/s | OTLP spans, bytes/s | with gzip | series | samples of a scrape | scrape, bytes | with gzip |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for rate in [10, 100, 1000] {
        let mut joiner = Joiner::default();
        let mut metrics = Metrics::new(0, None);
        for service in 0..SERVICES {
            let session = json!({"id": format!("{service:032x}"), "name": "cirron.session", "parent_id": null, "index": null,
                "start_ns": 0, "end_ns": null, "pid": service, "attrs": {"pid": service, "rank": 0,
                    "process.executable.name": "python3", "cirron.target": "vllm",
                    "k8s.pod.name": format!("llm-{service}-7d4b9c6f5-x2v9k"), "k8s.namespace.name": "serving"}});
            row(&session, |text| {
                serde_json::from_str(text).map(|row| joiner.span(&row))
            })
            .unwrap_or_default();
        }
        let (mut plain, mut zipped) = (0, 0);
        for second in 0..LENGTH {
            for n in second * rate..(second + 1) * rate {
                give(&mut joiner, n);
            }
            let ended = joiner.settle();
            for one in &ended {
                metrics.take(one);
            }
            for request in requests(&ended, &Also::default()) {
                let bytes = request.encode_to_vec();
                plain += bytes.len();
                zipped += gzip(&bytes);
            }
        }
        let page = write(Format::OpenMetrics, &metrics, &[]);
        let text = String::from_utf8_lossy(&page);
        let samples = text.lines().filter(|line| !line.starts_with('#')).count();
        let (plain, zipped) = (plain as u64 / LENGTH, zipped as u64 / LENGTH);
        let (series, scrape, small) = (metrics.len(), page.len(), gzip(&page));
        println!("| {rate} | {plain} | {zipped} | {series} | {samples} | {scrape} | {small} |");
    }
}
