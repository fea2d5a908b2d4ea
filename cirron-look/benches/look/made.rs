//! A spool that no server made, as the agent would have written it of one: streamed calls of models in hours of uneven
//! load, some of which fail, are aborted, partial, or make calls of their own.
//!
//! Rows have the keys and the size of real ones: a streamed call takes 3.6 kB, as `docs/performance.md` says of the
//! agent's. Numbers are of a generator with a fixed seed, so that two runs write the same.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// Calls of a batch: a second of them at 500 a second.
const BATCH: u64 = 500;

/// Between two calls, ns: 1 000 000 calls take some 5.5 hours.
const STEP_NS: u64 = 20_000_000;

/// 2026-11-27 08:00:00 UTC.
const BEGIN_NS: u64 = 1_795_766_400_000_000_000;

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    /// One of a long tail: mostly near 1, seldom 10.
    fn tail(&mut self) -> f64 {
        let u = self.share().max(1e-9);
        0.7 + 0.3 * (-u.ln()).powf(1.5)
    }
}

/// Writes `calls` of them into `dir`; how many bytes that took.
pub(crate) fn write(dir: &Path, calls: u64) -> io::Result<u64> {
    std::fs::create_dir_all(dir)?;
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut bytes = 0;
    let mut first = session(None);
    for batch in 0..calls.div_ceil(BATCH) {
        let (mut spans, mut marks) = (std::mem::take(&mut first), String::new());
        let from = batch * BATCH;
        for n in from..(from + BATCH).min(calls) {
            call(&mut dice, n, calls, &mut spans, &mut marks);
        }
        if from + BATCH >= calls {
            spans.push_str(&session(Some(BEGIN_NS + calls * STEP_NS)));
        }
        let created = BEGIN_NS + (from + BATCH) * STEP_NS;
        let text = format!(
            "{{\"schema_version\":1,\"sdk_version\":\"agent/0.1.0\",\"batch_id\":\"{batch:032x}\",\"created_ns\":{created},\
             \"spans\":[{}],\"marks\":[{}],\"snapshots\":[]}}",
            spans.trim_end_matches(','),
            marks.trim_end_matches(',')
        );
        bytes += text.len() as u64;
        std::fs::write(dir.join(format!("{created:020}-{batch:032x}.json")), text)?;
    }
    Ok(bytes)
}

fn session(end: Option<u64>) -> String {
    let (end, more) = match end {
        None => ("null".to_owned(), ""),
        Some(ns) => (
            ns.to_string(),
            ",\"cirron.parents.known\":9,\"cirron.unnamed_connections\":2,\"cirron.unnamed_exchanges\":5",
        ),
    };
    format!(
        "{{\"id\":\"{:032x}\",\"name\":\"cirron.session\",\"parent_id\":null,\"index\":null,\"start_ns\":{BEGIN_NS},\
         \"end_ns\":{end},\"cpu_ns\":null,\"gpu_ns\":null,\"memory_peak_bytes\":null,\"thread_id\":8,\"pid\":7,\"rank\":0,\
         \"attrs\":{{\"pid\":7,\"rank\":0,\"process.executable.name\":\"vllm\"{more}}},\"mark_ids\":[]}},",
        1
    )
}

/// Ids as the agent makes them look: all digits are used.
fn id(n: u64, of: u64) -> String {
    let spread = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{:016x}{:016x}", spread(n + 7), spread(of + 1) ^ n)
}

fn call(dice: &mut Dice, n: u64, calls: u64, spans: &mut String, marks: &mut String) {
    let at = n as f64 / calls as f64;
    // Load has two hills and a bad quarter of an hour.
    let load =
        1.0 + 0.8 * (at * 12.566).sin().powi(2) + if (0.55..0.6).contains(&at) { 2.5 } else { 0.0 };
    let model = match dice.next() % 10 {
        0..6 => "meta-llama/Llama-3.3-70B-Instruct",
        6..9 => "Qwen/Qwen3-8B",
        _ => "mistralai/Mistral-Small-3.2",
    };
    let slow = if model.starts_with("meta") { 2.2 } else { 1.0 };
    let tokens_in = (180.0 * dice.tail().powi(2)) as u64 + 5;
    let tokens_out = (110.0 * dice.tail()) as u64 + 1;
    let ttft = (25.0 + tokens_in as f64 * 0.08) * slow * load * dice.tail();
    let tpot = 9.0 * slow * load.sqrt() * (0.8 + 0.4 * dice.share());
    let total = ttft + tpot * tokens_out as f64 + 1.0;
    let start = BEGIN_NS + n * STEP_NS + dice.next() % STEP_NS;
    let fails = dice.one_in(180);
    let aborts = !fails && dice.one_in(90);
    let partial = aborts || dice.one_in(700);
    let (path, op) = match dice.next() % 8 {
        0 => ("/v1/completions", "text_completion"),
        _ => ("/v1/chat/completions", "chat"),
    };
    let status = if fails { 503 } else { 200 };
    let end = start
        + if fails {
            4_000_000
        } else {
            (total * 1e6) as u64
        };
    let own = id(n, 1);
    let mut names: Vec<(&str, String)> = Vec::new();
    if !fails {
        let counted = format!("{tokens_out}");
        names.push(("time_to_first_byte_ms", format!("{:.3}", ttft * 0.1)));
        names.push(("time_to_first_token_ms", format!("{ttft:.3}")));
        names.push(("time_per_output_token_ms", format!("{tpot:.3}")));
        names.push((
            "max_inter_token_ms",
            format!("{:.3}", tpot * (1.5 + dice.tail())),
        ));
        names.push(("request_duration_ms", format!("{total:.3}")));
        if !aborts {
            names.push(("tokens_per_second", format!("{:.3}", 1e3 / tpot)));
            names.push(("prompt_tokens", format!("{tokens_in}")));
            names.push(("completion_tokens", counted.clone()));
            names.push(("input_tokens", format!("{tokens_in}")));
            names.push(("total_tokens", format!("{}", tokens_in + tokens_out)));
        }
        names.push(("output_tokens", counted));
    }
    names.push((
        "time_in_queue_ms",
        format!("{:.6}", 0.05 * load * dice.tail()),
    ));
    let ids: Vec<String> = (0..names.len())
        .map(|m| format!("\"{}\"", id(n, 100 + m as u64)))
        .collect();
    for ((name, value), mark_id) in names.iter().zip(&ids) {
        let kind = if value.contains('.') { "float" } else { "int" };
        let attrs = match *name {
            "output_tokens" if aborts => "{\"estimated\":true,\"partial\":true}",
            "input_tokens" | "output_tokens" | "total_tokens" => {
                "{\"source\":\"openai\",\"normalized\":true}"
            }
            "prompt_tokens" | "completion_tokens" => "{\"source\":\"openai\"}",
            _ => "{}",
        };
        let _ = write!(
            marks,
            "{{\"id\":{mark_id},\"span_id\":\"{own}\",\"name\":\"{name}\",\"value_type\":\"{kind}\",\"value\":{value},\
             \"attrs\":{attrs},\"ts_ns\":{end},\"kind\":\"summary\"}},"
        );
    }
    let mut more = String::new();
    if fails {
        more.push_str(",\"error.type\":\"503\",\"error\":true");
    } else {
        more.push_str(
            ",\"cirron.figures\":\"complete\",\"gen_ai.response.finish_reasons\":\"stop\"",
        );
    }
    if aborts {
        more.push_str(",\"cirron.aborted_by\":\"client\"");
    }
    if partial {
        more.push_str(",\"cirron.partial\":true,\"cirron.lost_bytes\":1448");
    }
    let _ = write!(
        spans,
        "{{\"id\":\"{own}\",\"name\":\"request\",\"parent_id\":\"{:032x}\",\"index\":null,\"start_ns\":{start},\"end_ns\":{end},\
         \"cpu_ns\":null,\"gpu_ns\":null,\"memory_peak_bytes\":null,\"thread_id\":8,\"pid\":7,\"rank\":0,\"attrs\":{{\
         \"request_id\":\"{own}\",\"network.protocol.version\":\"1.1\",\"http.request.method\":\"POST\",\
         \"url.path\":\"{path}\",\"http.request.body.size\":{},\"http.response.status_code\":{status},\
         \"http.response.body.size\":{},\"server.address\":\"10.0.0.7\",\"server.port\":8000,\
         \"client.address\":\"10.0.3.21\",\"client.port\":{},\"gen_ai.operation.name\":\"{op}\",\
         \"gen_ai.provider.name\":\"openai\",\"gen_ai.request.model\":\"{model}\",\"cirron.request.stream\":true,\
         \"gen_ai.response.model\":\"{model}\",\"gen_ai.response.id\":\"chatcmpl-{own}\"{more}}},\"mark_ids\":[{}]}},",
        1,
        tokens_in * 5 + 200,
        tokens_out * 190 + 300,
        30_000 + n % 30_000,
        ids.join(",")
    );
    if !fails && dice.one_in(20) {
        below(dice, n, &own, (start, (ttft * 1e6) as u64), spans);
    }
}

/// What a call made, before its first token: a question to a store, and a call of a tool with one inside.
fn below(dice: &mut Dice, n: u64, parent: &str, (start, room): (u64, u64), spans: &mut String) {
    let tool = id(n, 21);
    for (at, (name, above, from, length, attrs)) in [
        (
            "net.client",
            parent,
            0.05,
            0.1,
            "\"cirron.net.protocol\":\"redis\",\"server.address\":\"10.0.0.9\",\"server.port\":6379",
        ),
        ("retrieve", parent, 0.2, 0.5, "\"k\":8"),
        (
            "http.client",
            &tool,
            0.25,
            0.3,
            "\"http.request.method\":\"POST\",\"url.path\":\"/embed\",\"server.address\":\"10.0.0.4\",\"server.port\":8080,\
             \"http.response.status_code\":200",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let from = start + (room as f64 * from) as u64;
        let to = from + (room as f64 * length * (0.5 + 0.5 * dice.share())) as u64;
        let _ = write!(
            spans,
            "{{\"id\":\"{}\",\"name\":\"{name}\",\"parent_id\":\"{above}\",\"index\":null,\"start_ns\":{from},\"end_ns\":{to},\
             \"cpu_ns\":null,\"gpu_ns\":null,\"memory_peak_bytes\":null,\"thread_id\":8,\"pid\":7,\"rank\":0,\
             \"attrs\":{{{attrs},\"cirron.parent.by\":\"context\"}},\"mark_ids\":[]}},",
            id(n, 20 + at as u64)
        );
    }
}
