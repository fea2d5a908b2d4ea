//! What the scripted servers say they did: one JSON line per request (`servers/python/script.py`).

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// One request, as its handler saw it. Times are of the server's own clock.
#[derive(Clone, Debug, Deserialize)]
pub struct Truth {
    /// `GET`, ...
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Status sent.
    pub status: i64,
    /// Process that served it.
    pub pid: u32,
    /// Entry of the handler, wall clock.
    pub start_wall_ns: i64,
    /// Entry of the handler to its end.
    pub duration_ns: i64,
    /// One of the model's endpoints.
    pub llm: bool,
    /// The answer was a stream.
    pub stream: bool,
    /// The handler came to its end.
    pub whole: bool,
    /// The response's `id`; none for errors and embeddings.
    #[serde(default)]
    pub id: Option<String>,
    /// `chat`, `text`, `embeddings`, `responses`.
    #[serde(default)]
    pub kind: Option<String>,
    /// Model asked for.
    #[serde(default)]
    pub model: Option<String>,
    /// Tokens sent.
    #[serde(default)]
    pub tokens: Option<i64>,
    /// Prompt tokens, as `usage` says them.
    #[serde(default)]
    pub prompt_tokens: Option<i64>,
    /// Whether `usage` was sent.
    #[serde(default)]
    pub usage: bool,
    /// Entry of the handler to the moment before the first content event was handed over.
    #[serde(default)]
    pub ttft_ns: Option<i64>,
    /// The same for every content event, where asked for.
    #[serde(default)]
    pub chunks_ns: Vec<i64>,
}

/// Reads the lines written so far.
pub fn read(path: &Path) -> Result<Vec<Truth>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e.into()),
    };
    text.lines()
        .map(|l| serde_json::from_str(l).with_context(|| format!("truth line {l:?}")))
        .collect()
}
