//! What a running agent says of now: one JSON document a line, as its socket gives them.
//!
//! The agent writes it (`cirron-agent/src/control`), and this reads it; a key that is missing is unknown, one that is new
//! is passed over.

use serde::{Deserialize, Serialize};

/// Exchanges that go on that a line has, the oldest. What there are beyond is a number.
pub const MAX_OPEN: usize = 1_000;

/// Bytes of a line past which it is none: [`MAX_OPEN`] rows of a path and a model, and the counters.
pub const MAX_LINE_BYTES: usize = 2 * 1024 * 1024;

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Live {
    /// The agent's process.
    pub pid: u32,
    /// The spool that it writes; `None` where it writes none.
    #[serde(default)]
    pub spool_dir: Option<String>,
    /// How long it has captured, in seconds.
    #[serde(default)]
    pub duration_s: f64,
    /// Processes that are watched.
    #[serde(default)]
    pub targets: usize,
    /// What `SIGUSR1` says in a line: what was captured and what was lost.
    #[serde(default)]
    pub line: String,
    /// What goes on, the oldest first.
    #[serde(default)]
    pub open: Vec<Open>,
    /// How many others go on.
    #[serde(default)]
    pub others: usize,
}

/// An exchange that goes on.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Open {
    /// `request`, `http.client`.
    pub name: String,
    /// Its path.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Its model.
    #[serde(default)]
    pub model: Option<String>,
    /// The process.
    pub pid: u32,
    /// Since its first byte, in nanoseconds.
    pub age_ns: u64,
    /// To its first token.
    #[serde(default)]
    pub first_token_ns: Option<u64>,
    /// Tokens so far, counted by events.
    #[serde(default)]
    pub tokens: Option<u64>,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_line_of_another_version_is_read_as_far_as_it_is_known() {
        let line = r#"{"pid": 7, "later": [1], "open": [{"name": "request", "pid": 8, "age_ns": 5, "x": null}]}"#;
        let live: Live = serde_json::from_str(line).unwrap();
        assert_eq!((live.pid, live.open.len(), live.others), (7, 1, 0));
        assert_eq!(live.open[0].tokens, None);
    }
}
