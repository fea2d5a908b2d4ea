//! Arize Phoenix: by gRPC, its spans by its REST API.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use cirron_tests::calls::curl;
use cirron_tests::process::Guard;
use cirron_tests::raw::free_port;
use cirron_tests::{stacks, wait};
use serde_json::Value;

use super::{Received, Receiver, iso};

/// Spans of one answer, more than there are.
const LIMIT: usize = 1_000;

pub(crate) struct Phoenix {
    http: u16,
    grpc: u16,
    dir: tempfile::TempDir,
}

impl Phoenix {
    pub(crate) fn new() -> Result<Phoenix> {
        Ok(Phoenix {
            http: free_port()?,
            grpc: free_port()?,
            dir: tempfile::tempdir()?,
        })
    }

    fn get(&self, path: &str) -> Result<Value> {
        let answer = curl(&["-f", &format!("http://127.0.0.1:{}{path}", self.http)])?;
        Ok(serde_json::from_slice(&answer.stdout)?)
    }
}

impl Receiver for Phoenix {
    fn start(&self) -> Result<Guard> {
        let mut command = Command::new(stacks::receiver("phoenix", "phoenix")?);
        command
            .arg("serve")
            .env("PHOENIX_WORKING_DIR", self.dir.path())
            .env("PHOENIX_HOST", "127.0.0.1")
            .env("PHOENIX_PORT", self.http.to_string())
            .env("PHOENIX_GRPC_PORT", self.grpc.to_string())
            .env("PHOENIX_TELEMETRY_ENABLED", "false")
            .stdin(Stdio::null());
        let guard = Guard::spawn_logged(command, &self.dir.path().join("log"))?;
        let limit = Duration::from_secs(120);
        wait::until_every(Duration::from_millis(500), "Phoenix", limit, || {
            self.get("/v1/projects").ok()
        })?;
        wait::listener(self.grpc)?;
        Ok(guard)
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let endpoint = format!("http://127.0.0.1:{}", self.grpc);
        vec![
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc".to_owned()),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip".to_owned()),
        ]
    }

    fn spans(&self) -> Result<BTreeMap<String, Received>> {
        let answer = self.get(&format!("/v1/projects/default/spans?limit={LIMIT}"))?;
        let all = answer["data"].as_array().context("no data")?;
        let one = |span: &Value| -> Result<(String, Received)> {
            let text = |of: &Value| of.as_str().map(str::to_owned).context("no text");
            let attributes = span["attributes"].as_object().context("no attributes")?;
            let shown = |value: &Value| {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            };
            let received = Received {
                trace_id: text(&span["context"]["trace_id"])?,
                start_ns: iso::ns(&text(&span["start_time"])?)?,
                end_ns: iso::ns(&text(&span["end_time"])?)?,
                attributes: attributes
                    .iter()
                    .map(|(k, v)| (k.clone(), shown(v)))
                    .collect(),
            };
            Ok((text(&span["context"]["span_id"])?, received))
        };
        all.iter().map(one).collect()
    }

    fn tick_ns(&self) -> u64 {
        1_000
    }
}
