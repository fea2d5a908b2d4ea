//! Traces at receivers of others that are too large for the suite: Arize Phoenix and MLflow, from the Python index.
//!
//! `cargo xtask receivers` installs them and runs this. A server is under load; each receiver is killed and started again
//! meanwhile. In the end it has what the spool has, request by request, by its own API.

mod iso;
mod mlflow;
mod phoenix;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::calls::{call, openai};
use cirron_tests::process::Guard;
use cirron_tests::runner::{self, Need, Test};
use cirron_tests::servers::{Server, Stack};
use cirron_tests::spool::Span;
use cirron_tests::wait;
use serde_json::json;

const TESTS: &[Test] = &[
    Test {
        name: "phoenix_that_was_killed_under_load_has_what_the_spool_has",
        need: Need::Stacks,
        run: || compare(&phoenix::Phoenix::new()?),
    },
    Test {
        name: "mlflow_that_was_killed_under_load_has_what_the_spool_has",
        need: Need::Stacks,
        run: || compare(&mlflow::Mlflow::new()?),
    },
];

/// Calls before the kill, while it is dead, and behind it, each.
const CALLS: usize = 40;

/// Calls at once.
const AT_ONCE: usize = 4;

/// Between two questions to a receiver.
const PACE: Duration = Duration::from_secs(1);

/// For a receiver to have everything: it starts within half a minute here, and is tried each 30 s at least.
const PATIENCE: Duration = Duration::from_secs(150);

/// A span as a receiver has it.
#[derive(Clone, Debug, PartialEq)]
struct Received {
    trace_id: String,
    /// Nanoseconds, as precise as it keeps them.
    start_ns: i64,
    end_ns: i64,
    /// Texts as they are, numbers as they are written.
    attributes: BTreeMap<String, String>,
}

/// Somebody's receiver of OTLP.
trait Receiver {
    /// Starts it on the data that it has; it listens when this returns.
    fn start(&self) -> Result<Guard>;

    /// The agent's variables.
    fn variables(&self) -> Vec<(&'static str, String)>;

    /// Every span that it has, by its id in hexadecimal digits.
    fn spans(&self) -> Result<BTreeMap<String, Received>>;

    /// How many it has.
    fn count(&self) -> Result<usize> {
        Ok(self.spans()?.len())
    }

    /// Nanoseconds to which it keeps times.
    fn tick_ns(&self) -> u64;
}

fn compare(receiver: &dyn Receiver) -> Result<String> {
    let living = receiver.start()?;
    let server = Server::start(Stack::UvicornH11)?;
    let pid = server.pid().to_string();
    let agent = Agent::start(&["--pid".to_owned(), pid], |command| {
        for (name, value) in receiver.variables() {
            command.env(name, value);
        }
    })?;
    let load = |from: usize, count: usize| {
        let one = |n: usize| {
            let extra = json!({"x_tokens": 2 + n % 5, "x_usage": true, "x_ttft_ms": 5 + n % 7, "x_interval_ms": 2});
            call("chat", &format!("m{}", n % 3), !n.is_multiple_of(4), extra)
        };
        let calls: Vec<_> = (from..from + count).map(one).collect();
        openai(server.port, AT_ONCE, &calls).map(drop)
    };
    load(0, CALLS)?;
    wait::until_every(PACE, "the first spans", PATIENCE, || {
        (receiver.count().ok()? >= CALLS).then_some(())
    })?;
    let again = std::thread::scope(|scope| -> Result<Guard> {
        let loading = scope.spawn(|| load(CALLS, 2 * CALLS));
        // In the middle of it.
        wait::pause("for calls to be under way", Duration::from_millis(500));
        drop(living);
        let again = receiver.start()?;
        loading.join().ok().context("the load")??;
        Ok(again)
    })?;
    let all = 3 * CALLS;
    let spool = agent.spool_until("all requests", |s| {
        (s.requests().len() == all).then(|| s.clone())
    })?;
    let began = Instant::now();
    let mut last = 0;
    let arrived = wait::until_every(PACE, "every span", PATIENCE, || {
        last = receiver.count().ok()?;
        (last >= all).then_some(())
    });
    arrived.with_context(|| format!("{last} of {all}; {}", agent.stderr()))?;
    let waited = began.elapsed();
    let spans = receiver.spans()?;
    ensure!(spans.len() == all, "{} of {all}", spans.len());
    for request in spool.requests() {
        let id = request.id.get(16..).context("32 digits")?;
        let found = spans.get(id).with_context(|| format!("{id} is missing"))?;
        same(found, request, receiver.tick_ns())
            .with_context(|| format!("{found:?} is not {request:?}"))?;
    }
    let report = agent.finish()?;
    ensure!(!report.stderr.contains("given up"), "{}", report.stderr);
    drop(again);
    Ok(format!(
        "{all} requests, all there {:.0} s behind the last",
        waited.as_secs_f64()
    ))
}

fn same(found: &Received, request: &Span, tick_ns: u64) -> Result<()> {
    let trace = request.text("cirron.trace_id").unwrap_or(&request.id);
    ensure!(found.trace_id == trace);
    let end_ns = request.end_ns.context("an end")?;
    for (received, ours) in [(found.start_ns, request.start_ns), (found.end_ns, end_ns)] {
        ensure!(received.abs_diff(ours) < tick_ns, "{received} {ours}");
    }
    let text = |name: &str| found.attributes.get(name).map(String::as_str);
    let number = |name: &str| text(name).and_then(|text| text.parse::<f64>().ok());
    for name in ["gen_ai.request.model", "gen_ai.response.id", "url.path"] {
        ensure!(text(name) == request.text(name), "{name}");
    }
    ensure!(number("http.response.status_code") == request.status().map(|s| s as f64));
    for (name, mark) in [
        ("gen_ai.usage.input_tokens", "input_tokens"),
        ("gen_ai.usage.output_tokens", "output_tokens"),
        ("cirron.time_to_first_token_ms", "time_to_first_token_ms"),
        ("cirron.max_inter_token_ms", "max_inter_token_ms"),
    ] {
        ensure!(number(name) == request.mark(mark), "{name}");
    }
    Ok(())
}

fn main() -> ExitCode {
    runner::by_verb(TESTS)
}
