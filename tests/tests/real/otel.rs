//! Metrics and traces at receivers that nobody here wrote: Debian's Prometheus, and a collector made of the official
//! protobufs and grpcio. What they have is what the spool has, request by request.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cirron_tests::agent::Agent;
use cirron_tests::calls::{call, curl, openai};
use cirron_tests::process::Guard;
use cirron_tests::raw::free_port;
use cirron_tests::runner::{Need, Test};
use cirron_tests::servers::{Server, Stack};
use cirron_tests::spool::{Span, Spool};
use cirron_tests::{base64, stacks, wait};
use serde_json::{Value, json};

pub(crate) const TESTS: &[Test] = &[Test {
    name: "prometheus_and_a_collector_that_was_killed_have_what_the_spool_has",
    need: Need::Stacks,
    run: receivers,
}];

/// For what is sent each second to have arrived.
const PATIENCE: Duration = Duration::from_secs(20);
const PACE: Duration = Duration::from_millis(100);

/// Calls before the collector is killed, and as many while it is dead.
const CALLS: usize = 6;

/// Ports of a collector, and what it writes.
struct Collector {
    grpc: u16,
    http: u16,
    out: tempfile::NamedTempFile,
}

impl Collector {
    /// Its first two requests by each way are told to come again.
    fn start(&self) -> Result<Guard> {
        let mut command = Command::new(stacks::venv("python")?);
        command
            .arg(stacks::here().join("servers/python/otlp_receiver.py"))
            .args([self.grpc.to_string(), self.http.to_string()])
            .arg(self.out.path())
            .args(["--busy", "2"])
            .stdin(Stdio::null());
        let guard = Guard::spawn(command)?;
        wait::listener(self.grpc)?;
        wait::listener(self.http)?;
        Ok(guard)
    }

    /// What it took, whole lines of it.
    fn lines(&self) -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(self.out.path())?;
        let whole = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        whole.map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// Its spans by their id, of a trace and a resource each. One that came twice is the same.
    fn spans(&self) -> Result<BTreeMap<String, Value>> {
        let mut out = BTreeMap::new();
        for line in self
            .lines()?
            .iter()
            .filter(|line| line["signal"] == "traces")
        {
            for resource in list(&line["body"]["resourceSpans"]) {
                for span in list(&resource["scopeSpans"])
                    .iter()
                    .flat_map(|s| list(&s["spans"]))
                {
                    let whole =
                        json!({"span": span, "resource": resource["resource"], "via": line["via"]});
                    let id = base64::hex(span["spanId"].as_str().context("an id")?)?;
                    let before = out.insert(id.clone(), whole.clone());
                    ensure!(
                        before.is_none_or(|before| before == whole),
                        "{id} is two spans"
                    );
                }
            }
        }
        Ok(out)
    }

    /// The newest value of a histogram's count, summed over its points.
    fn count_of(&self, metric: &str) -> Result<u64> {
        let mut newest = 0;
        for line in self
            .lines()?
            .iter()
            .filter(|line| line["signal"] == "metrics")
        {
            let scopes = list(&line["body"]["resourceMetrics"]).iter();
            let scopes = scopes.flat_map(|resource| list(&resource["scopeMetrics"]));
            for found in scopes.flat_map(|scope| list(&scope["metrics"])) {
                if found["name"] == metric {
                    let points = list(&found["histogram"]["dataPoints"]).iter();
                    let count = |point: &Value| point["count"].as_str()?.parse::<u64>().ok();
                    newest = points.filter_map(count).sum();
                }
            }
        }
        Ok(newest)
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// `features`: what it does beyond what it does by default.
fn prometheus(dir: &Path, scraped: u16, port: u16, features: &str) -> Result<Guard> {
    let config = dir.join(format!("{features}.yml"));
    let rules = stacks::here().join("../deploy/prometheus/rules.yml");
    let text = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         rule_files: [{}]\n\
         scrape_configs: [{{job_name: a, static_configs: [{{targets: ['127.0.0.1:{scraped}']}}]}}]\n",
        rules.display()
    );
    std::fs::write(&config, text)?;
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            dir.join(format!("{features}-data")).display()
        ))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg(format!("--enable-feature={features}"))
        .arg("--log.level=error")
        .stdin(Stdio::null());
    let guard = Guard::spawn(command)?;
    wait::listener(port)?;
    Ok(guard)
}

/// Asks Prometheus, whose answer is one number.
fn ask(port: u16, query: &str) -> Result<Option<f64>> {
    let answer = get(port, "query", &[("query", query)])?;
    let value = &answer["data"]["result"][0]["value"][1];
    Ok(value.as_str().and_then(|text| text.parse().ok()))
}

fn get(port: u16, what: &str, query: &[(&str, &str)]) -> Result<Value> {
    let url = format!("http://127.0.0.1:{port}/api/v1/{what}");
    let mut args = vec!["-G".to_owned(), url];
    for (name, value) in query {
        args.extend(["--data-urlencode".to_owned(), format!("{name}={value}")]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Ok(serde_json::from_slice(&curl(&args)?.stdout)?)
}

/// What promtool says of a page of metrics or of a file of rules.
fn promtool(args: &[&str], page: &[u8]) -> Result<()> {
    let mut child = Command::new("promtool")
        .args(args)
        .current_dir(stacks::here().join("../deploy/prometheus"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("stdin")?.write_all(page)?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "promtool {args:?}: {said}");
    Ok(())
}

fn receivers() -> Result<String> {
    let server = Server::start(Stack::UvicornH11)?;
    let collector = Collector {
        grpc: free_port()?,
        http: free_port()?,
        out: tempfile::NamedTempFile::new()?,
    };
    let (scraped, asked, native) = (free_port()?, free_port()?, free_port()?);
    let dir = tempfile::tempdir()?;
    let living = collector.start()?;
    let pid = server.pid().to_string();
    let args = ["--pid", &pid, "--metrics-listen", &scraped.to_string()].map(str::to_owned);
    let agent = Agent::start(&args, |command| {
        command
            .env(
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                format!("http://127.0.0.1:{}", collector.grpc),
            )
            .env("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")
            .env(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                format!("http://127.0.0.1:{}", collector.http),
            )
            .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
            .env("OTEL_EXPORTER_OTLP_HEADERS", "x-team=a%20b")
            .env("OTEL_METRIC_EXPORT_INTERVAL", "1000")
            .env(
                "OTEL_RESOURCE_ATTRIBUTES",
                "deployment.environment.name=test",
            );
    })?;
    wait::listener(scraped)?;
    let _prometheus = prometheus(dir.path(), scraped, asked, "exemplar-storage")?;
    let _native = prometheus(dir.path(), scraped, native, "native-histograms")?;

    let calls = |from: usize| -> Vec<Value> {
        let one = |n: usize| {
            // The first one lasts longer than two lines of the agent's status.
            let first_ms = if n == 0 { 2_200 } else { 20 * (n + 1) };
            let extra =
                json!({"x_tokens": 4, "x_usage": true, "x_ttft_ms": first_ms, "x_interval_ms": 3});
            call("chat", &format!("m{}", n % 2), !n.is_multiple_of(3), extra)
        };
        (from..from + CALLS).map(one).collect()
    };
    let metrics = format!("http://127.0.0.1:{scraped}/metrics");
    std::thread::scope(|scope| -> Result<()> {
        let calling = scope.spawn(|| openai(server.port, 3, &calls(0)).map(drop));
        wait::until_every(PACE, "a request in flight", PATIENCE, || {
            let page = String::from_utf8(curl(&[&metrics]).ok()?.stdout).ok()?;
            let is_it = |line: &str| line == "cirron_agent_open_requests 1";
            page.lines().any(is_it).then_some(())
        })?;
        calling.join().ok().context("the calls")?
    })?;
    wait::until_every(PACE, "the first spans", PATIENCE, || {
        (collector.spans().ok()?.len() == CALLS).then_some(())
    })?;
    drop(living);
    openai(server.port, 3, &calls(CALLS))?;
    let all = 2 * CALLS;
    let spool = agent.spool_until("all requests", |s| {
        (s.requests().len() == all).then(|| s.clone())
    })?;

    let _again = collector.start()?;
    let page = curl(&[&metrics])?.stdout;
    promtool(&["check", "metrics"], &page)?;
    promtool(&["check", "rules", "rules.yml"], b"")?;
    promtool(&["check", "config", "nodes.yml"], b"")?;
    promtool(&["test", "rules", "rules_test.yml"], b"")?;
    same_in_prometheus(asked, &spool)?;
    same_in_native_histograms(native, &spool)?;

    wait::until_every(PACE, "every span", PATIENCE, || {
        (collector.spans().ok()?.len() == all).then_some(())
    })?;
    wait::until_every(PACE, "every series", PATIENCE, || {
        (collector.count_of("gen_ai.server.request.duration").ok()? == all as u64).then_some(())
    })?;
    same_at_the_collector(&collector, &spool)?;
    let report = agent.finish()?;
    ensure!(!report.stderr.contains("given up"), "{}", report.stderr);
    Ok(format!("{all} requests at three receivers"))
}

fn same_in_prometheus(port: u16, spool: &Spool) -> Result<()> {
    let requests = spool.requests();
    let sum = |mark: &str| requests.iter().filter_map(|r| r.mark(mark)).sum::<f64>();
    let streams = requests
        .iter()
        .filter(|r| r.mark("time_to_first_token_ms").is_some())
        .count();
    let m1 = requests
        .iter()
        .filter(|r| r.text("gen_ai.request.model") == Some("m1"))
        .count();
    let want = [
        (
            "sum(gen_ai_server_request_duration_seconds_count)",
            requests.len() as f64,
        ),
        (
            "sum(http_server_request_duration_seconds_count{http_response_status_code=\"200\"})",
            requests.len() as f64,
        ),
        (
            "sum(gen_ai_server_time_to_first_token_seconds_count)",
            streams as f64,
        ),
        (
            "sum(gen_ai_server_time_to_first_token_seconds_sum) * 1000",
            sum("time_to_first_token_ms"),
        ),
        (
            "sum(gen_ai_server_time_per_output_token_seconds_sum) * 1000",
            sum("time_per_output_token_ms"),
        ),
        (
            "sum(cirron_tokens_total{gen_ai_token_type=\"output\"})",
            sum("output_tokens"),
        ),
        (
            "sum(cirron_tokens_total{gen_ai_token_type=\"input\"})",
            sum("input_tokens"),
        ),
        (
            "sum(cirron_requests_total{cirron_role=\"server\"})",
            requests.len() as f64,
        ),
        (
            "sum(gen_ai_server_request_duration_seconds_count{gen_ai_request_model=\"m1\"})",
            m1 as f64,
        ),
        (
            "sum(cirron_agent_engine_requests_total)",
            requests.len() as f64,
        ),
        ("sum(cirron_agent_engine_lost_bytes_total)", 0.0),
    ];
    for (query, wanted) in want {
        answers(port, query, wanted, 1e-6)?;
    }
    let query = [
        ("query", "gen_ai_server_time_to_first_token_seconds_bucket"),
        ("start", "0"),
        ("end", "9999999999"),
    ];
    let answer = get(port, "query_exemplars", &query)?;
    let found = list(&answer["data"])
        .iter()
        .flat_map(|series| list(&series["exemplars"]));
    let traces: Vec<&str> = found
        .filter_map(|e| e["labels"]["trace_id"].as_str())
        .collect();
    let is_known = |trace: &&str| {
        requests
            .iter()
            .any(|r| r.text("cirron.trace_id").unwrap_or(&r.id) == *trace)
    };
    ensure!(
        !traces.is_empty() && traces.iter().all(is_known),
        "exemplars {traces:?}"
    );
    Ok(())
}

/// Prometheus' answer comes to be this one, within this share of it.
fn answers(port: u16, query: &str, wanted: f64, share: f64) -> Result<()> {
    let mut last = None;
    let near = |got: f64| (got - wanted).abs() <= share * wanted.abs();
    wait::until_every(PACE, query, PATIENCE, || {
        last = ask(port, query).ok().flatten();
        last.is_some_and(near).then_some(())
    })
    .with_context(|| format!("{last:?}, and the spool has {wanted}"))
}

/// A Prometheus that wants native histograms has no others: their counts, sums and quantiles.
fn same_in_native_histograms(port: u16, spool: &Spool) -> Result<()> {
    let requests = spool.requests();
    let firsts = requests
        .iter()
        .filter_map(|r| r.mark("time_to_first_token_ms"));
    let mut firsts: Vec<f64> = firsts.collect();
    firsts.sort_by(f64::total_cmp);
    let metric = "gen_ai_server_time_to_first_token_seconds";
    let all = firsts.len() as f64;
    let sum: f64 = firsts.iter().sum();
    answers(port, &format!("histogram_count(sum({metric}))"), all, 0.0)?;
    answers(
        port,
        &format!("histogram_sum(sum({metric})) * 1000"),
        sum,
        1e-6,
    )?;
    // The least value and the greatest, by buckets whose width is 9 %.
    for (quantile, wanted) in [(0.0, firsts.first()), (1.0, firsts.last())] {
        let query = format!("histogram_quantile({quantile}, sum({metric})) * 1000");
        answers(port, &query, *wanted.context("a first token")?, 0.1)?;
    }
    ensure!(
        ask(port, &format!("{metric}_bucket"))?.is_none(),
        "it has other buckets"
    );
    Ok(())
}

fn same_at_the_collector(collector: &Collector, spool: &Spool) -> Result<()> {
    let spans = collector.spans()?;
    for request in spool.requests() {
        let id = request.id.get(16..).context("32 digits")?;
        let found = spans
            .get(id)
            .with_context(|| format!("{id} did not arrive"))?;
        same_span(found, request).with_context(|| format!("{found} is not {request:?}"))?;
    }
    let lines = collector.lines()?;
    let headers = lines.iter().map(|line| &line["headers"]);
    ensure!(
        headers.clone().all(|h| h["x-team"] == "a b"),
        "headers {headers:?}"
    );
    let http = lines.iter().filter(|line| line["via"] == "http");
    ensure!(
        http.clone()
            .all(|line| line["headers"]["content-encoding"] == "gzip"),
        "no gzip"
    );
    Ok(())
}

fn same_span(found: &Value, request: &Span) -> Result<()> {
    ensure!(found["via"] == "grpc");
    let span = &found["span"];
    let attribute = |of: &Value, name: &str| {
        let found = list(of).iter().find(|a| a["key"] == name);
        found.and_then(|a| a["value"].as_object()?.values().next().cloned())
    };
    let text =
        |name: &str| attribute(&span["attributes"], name).map(|v| v.to_string().replace('"', ""));
    let number = |name: &str| text(name).and_then(|text| text.parse::<f64>().ok());
    ensure!(span["startTimeUnixNano"] == request.start_ns.to_string());
    ensure!(span["endTimeUnixNano"] == request.end_ns.context("an end")?.to_string());
    ensure!(span["kind"] == "SPAN_KIND_SERVER");
    ensure!(text("gen_ai.request.model").as_deref() == request.text("gen_ai.request.model"));
    ensure!(number("http.response.status_code") == request.status().map(|s| s as f64));
    ensure!(number("gen_ai.usage.input_tokens") == request.mark("input_tokens"));
    ensure!(number("gen_ai.usage.output_tokens") == request.mark("output_tokens"));
    ensure!(number("cirron.time_to_first_token_ms") == request.mark("time_to_first_token_ms"));
    let resource = |name: &str| attribute(&found["resource"]["attributes"], name);
    ensure!(resource("deployment.environment.name") == Some("test".into()));
    ensure!(resource("process.pid") == Some(request.pid.to_string().into()));
    Ok(())
}
