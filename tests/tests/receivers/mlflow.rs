//! MLflow's tracking server: by HTTP, its traces by its REST API.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use cirron_tests::calls::curl;
use cirron_tests::process::Guard;
use cirron_tests::raw::free_port;
use cirron_tests::{base64, stacks, wait};
use serde_json::{Value, json};

use super::{Received, Receiver};

/// The experiment that is always there.
const EXPERIMENT: &str = "0";

/// Traces of one answer: its own bound.
const PAGE: usize = 100;

pub(crate) struct Mlflow {
    port: u16,
    dir: tempfile::TempDir,
}

impl Mlflow {
    pub(crate) fn new() -> Result<Mlflow> {
        Ok(Mlflow {
            port: free_port()?,
            dir: tempfile::tempdir()?,
        })
    }

    fn ask(&self, path: &str, more: &[&str]) -> Result<Value> {
        let url = format!(
            "http://127.0.0.1:{}/api/3.0/mlflow/traces/{path}",
            self.port
        );
        let answer = curl(&[&["-f", &url], more].concat())?;
        Ok(serde_json::from_slice(&answer.stdout)?)
    }

    /// The ids of all traces.
    fn traces(&self) -> Result<Vec<String>> {
        let mut ids = Vec::new();
        let mut next = Value::Null;
        loop {
            let location = json!({"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": EXPERIMENT}});
            let mut question = json!({"locations": [location], "max_results": PAGE});
            if !next.is_null() {
                question["page_token"] = next;
            }
            let json = [
                "-H",
                "Content-Type: application/json",
                "-d",
                &question.to_string(),
            ];
            let mut answer = self.ask("search", &json)?;
            let traces = answer["traces"].as_array().map_or(&[][..], Vec::as_slice);
            for trace in traces {
                ids.push(trace["trace_id"].as_str().context("no id")?.to_owned());
            }
            next = answer["next_page_token"].take();
            if next.as_str().is_none_or(str::is_empty) {
                return Ok(ids);
            }
        }
    }
}

impl Receiver for Mlflow {
    fn start(&self) -> Result<Guard> {
        let program = stacks::receiver("mlflow", "mlflow")?;
        let bin = program.parent().context("a folder")?;
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(&program);
        command
            .args(["server", "--host", "127.0.0.1", "--workers", "1", "--port"])
            .arg(self.port.to_string())
            .arg("--backend-store-uri")
            .arg(format!(
                "sqlite:///{}",
                self.dir.path().join("store.db").display()
            ))
            .arg("--default-artifact-root")
            .arg(self.dir.path().join("artifacts"))
            // It starts uvicorn by its name.
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        let guard = Guard::spawn_logged(command, &self.dir.path().join("log"))?;
        let limit = Duration::from_secs(120);
        wait::until_every(Duration::from_millis(500), "MLflow", limit, || {
            self.traces().ok()
        })?;
        Ok(guard)
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let endpoint = format!("http://127.0.0.1:{}/v1/traces", self.port);
        let experiment = format!("x-mlflow-experiment-id={EXPERIMENT}");
        vec![
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", experiment),
        ]
    }

    fn spans(&self) -> Result<BTreeMap<String, Received>> {
        let mut all = BTreeMap::new();
        for trace_id in self.traces()? {
            let answer = self.ask(&format!("get?trace_id={trace_id}"), &[])?;
            let spans = answer["trace"]["spans"].as_array().context("no spans")?;
            for span in spans {
                let mut attributes = BTreeMap::new();
                for attribute in span["attributes"].as_array().context("no attributes")? {
                    let name = attribute["key"].as_str().context("no key")?;
                    let value = attribute["value"]
                        .as_object()
                        .and_then(|v| v.values().next());
                    let shown = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
                    attributes.insert(name.to_owned(), value.map(shown).unwrap_or_default());
                }
                let number = |name: &str| span[name].as_i64().with_context(|| name.to_owned());
                let received = Received {
                    trace_id: trace_id.trim_start_matches("tr-").to_owned(),
                    start_ns: number("start_time_unix_nano")?,
                    end_ns: number("end_time_unix_nano")?,
                    attributes,
                };
                let id = base64::hex(span["span_id"].as_str().context("no id")?)?;
                if all.insert(id.clone(), received).is_some() {
                    bail!("{id} is there twice");
                }
            }
        }
        Ok(all)
    }

    /// A trace has one span here.
    fn count(&self) -> Result<usize> {
        Ok(self.traces()?.len())
    }

    fn tick_ns(&self) -> u64 {
        1
    }
}
