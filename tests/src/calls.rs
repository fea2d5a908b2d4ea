//! Clients of others: the openai library, curl, wrk.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{CANARY, stacks};

/// What the openai library saw of one call.
#[derive(Clone, Debug, Deserialize)]
pub struct Seen {
    /// Status, none where the connection broke.
    pub status: Option<i64>,
    /// Content chunks of a stream.
    pub chunks: i64,
    /// The response's `id`.
    pub id: Option<String>,
    /// Model asked for.
    pub model: String,
    /// Request sent to first content seen.
    pub first_ms: Option<f64>,
}

/// A call for [`openai`].
pub fn call(op: &str, model: &str, stream: bool, extra: Value) -> Value {
    json!({"op": op, "model": model, "stream": stream, "extra": extra})
}

/// The command that makes `calls` with the openai library; the plan goes to its standard input.
pub fn openai_command() -> Result<Command> {
    let mut command = Command::new(stacks::venv("python")?);
    command.arg(stacks::here().join("clients/openai_client.py"));
    Ok(command)
}

/// Makes `calls` against the server on `port`, at most `concurrency` at a time.
pub fn openai(port: u16, concurrency: usize, calls: &[Value]) -> Result<Vec<Seen>> {
    openai_at(&format!("http://127.0.0.1:{port}/v1"), concurrency, calls)
}

/// The same at any address; over HTTPS the suites' own certificate is trusted.
pub fn openai_at(base_url: &str, concurrency: usize, calls: &[Value]) -> Result<Vec<Seen>> {
    drive(&json!({"base_url": base_url, "concurrency": concurrency, "calls": calls}))
}

/// The same, on one HTTP/2 connection.
///
/// # Errors
/// When the client fails.
pub fn openai_http2_at(base_url: &str, concurrency: usize, calls: &[Value]) -> Result<Vec<Seen>> {
    drive(&json!({"base_url": base_url, "concurrency": concurrency, "calls": calls, "http2": true}))
}

fn drive(plan: &Value) -> Result<Vec<Seen>> {
    let mut child = openai_command()?
        .env("SSL_CERT_FILE", crate::servers::certificate())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child
        .stdin
        .take()
        .context("stdin")?
        .write_all(plan.to_string().as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "openai client: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Runs curl, quietly, with a canary in a header.
pub fn curl(args: &[&str]) -> Result<Output> {
    let output = Command::new("curl")
        .args([
            "-sS",
            "-N",
            "--max-time",
            "60",
            "-H",
            &format!("X-Ask: {CANARY}"),
        ])
        .args(args)
        .output()?;
    if !output.status.success() {
        bail!("curl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(output)
}

/// Runs wrk and gives its output.
pub fn wrk(args: &[&str]) -> Result<String> {
    let output = Command::new("wrk").args(args).output()?;
    ensure!(
        output.status.success(),
        "wrk: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
