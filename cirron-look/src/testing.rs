//! Spools for the tests of this crate.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use crate::requests::Spools;

/// A directory of batches, gone when dropped.
pub(crate) struct Files(pub(crate) tempfile::TempDir);

impl Files {
    /// Of these batches: spans and marks.
    pub(crate) fn new(batches: &[(&[Value], &[Value])]) -> Files {
        let files = Files(tempfile::tempdir().unwrap());
        for (n, (spans, marks)) in batches.iter().enumerate() {
            files.add(n as u64, spans, marks);
        }
        files
    }

    /// One more.
    pub(crate) fn add(&self, n: u64, spans: &[Value], marks: &[Value]) {
        let text = json!({"spans": spans, "marks": marks}).to_string();
        std::fs::write(self.0.path().join(format!("{n:020}-aa.json")), text).unwrap();
    }

    /// Listed.
    pub(crate) fn spools(&self) -> Spools {
        Spools::list(&[self.0.path()]).unwrap()
    }
}

/// A span of 5 ms.
pub(crate) fn span(
    id: &str,
    parent: Option<&str>,
    name: &str,
    start_ms: u64,
    attrs: Value,
) -> Value {
    json!({"id": id, "name": name, "parent_id": parent, "index": null, "start_ns": start_ms * 1_000_000,
           "end_ns": (start_ms + 5) * 1_000_000, "attrs": attrs})
}

/// A request that was served.
pub(crate) fn request(id: &str, parent: &str, path: &str, start_ms: u64) -> Value {
    let attrs =
        json!({"http.request.method": "POST", "url.path": path, "http.response.status_code": 200});
    span(id, Some(parent), "request", start_ms, attrs)
}

/// A summary mark.
pub(crate) fn mark(span: &str, name: &str, value: Value, attrs: Value) -> Value {
    json!({"span_id": span, "name": name, "value": value, "attrs": attrs, "kind": "summary"})
}

/// A session.
pub(crate) fn session(id: &str, pid: u32) -> Value {
    let attrs = json!({"pid": pid, "process.executable.name": "uvicorn"});
    span(id, None, "cirron.session", 1_795_763_190_000, attrs)
}
