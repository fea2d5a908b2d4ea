//! The spool as a reader sees it: batches merged into spans with their marks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A mark.
#[derive(Clone, Debug, Deserialize)]
pub struct Mark {
    /// For instance `time_to_first_token_ms`.
    pub name: String,
    /// Owner.
    pub span_id: String,
    /// Number, mostly.
    pub value: Value,
    /// Attributes.
    pub attrs: Map<String, Value>,
    /// Wall clock.
    pub ts_ns: i64,
    /// `point` or `summary`.
    pub kind: String,
}

/// A span.
#[derive(Clone, Debug, Deserialize)]
pub struct Span {
    /// Unique.
    pub id: String,
    /// `cirron.session`, `request`, `http.client`.
    pub name: String,
    /// None on a session root.
    pub parent_id: Option<String>,
    /// Wall clock.
    pub start_ns: i64,
    /// None while open.
    pub end_ns: Option<i64>,
    /// Of its thread; none where that is not known.
    pub cpu_ns: Option<i64>,
    /// The target's.
    pub pid: u32,
    /// Attributes.
    pub attrs: Map<String, Value>,
    /// Its marks, joined by us.
    #[serde(skip)]
    pub marks: Vec<Mark>,
}

#[derive(Deserialize)]
struct Batch {
    spans: Vec<Span>,
    marks: Vec<Mark>,
}

impl Span {
    /// Text attribute.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.attrs.get(name)?.as_str()
    }

    /// Number attribute.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.attrs.get(name)?.as_i64()
    }

    /// Truth attribute; absent is false.
    pub fn is(&self, name: &str) -> bool {
        self.attrs
            .get(name)
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    /// The path of its request.
    pub fn path(&self) -> &str {
        self.text("url.path").unwrap_or("?")
    }

    /// The status of its response.
    pub fn status(&self) -> Option<i64> {
        self.int("http.response.status_code")
    }

    /// Values of its marks with this name.
    pub fn marks<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Mark> {
        self.marks.iter().filter(move |m| m.name == name)
    }

    /// The value of its marks with this name, which must agree.
    pub fn mark(&self, name: &str) -> Option<f64> {
        let mut all = self.marks(name).map(|m| m.value.as_f64());
        let first = all.next()?;
        all.all(|v| v == first).then_some(first)?
    }
}

/// The merged spool.
#[derive(Clone, Debug, Default)]
pub struct Spool {
    /// Every span, once.
    pub spans: Vec<Span>,
}

/// Sealed batches, oldest first.
pub fn batches(dir: &Path) -> Result<Vec<PathBuf>> {
    let folder = dir.join("spool");
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

impl Spool {
    /// Reads `dir/spool`, merging as the SDK's readers do.
    pub fn read(dir: &Path) -> Result<Spool> {
        let mut spans: BTreeMap<String, Span> = BTreeMap::new();
        let mut marks = Vec::new();
        for path in batches(dir)? {
            let text = std::fs::read_to_string(&path)?;
            let batch: Batch =
                serde_json::from_str(&text).with_context(|| path.display().to_string())?;
            for span in batch.spans {
                let keep = spans
                    .get(&span.id)
                    .is_some_and(|old| old.end_ns.is_some() && span.end_ns.is_none());
                if !keep {
                    spans.insert(span.id.clone(), span);
                }
            }
            marks.extend(batch.marks);
        }
        for mark in marks {
            if let Some(span) = spans.get_mut(&mark.span_id) {
                span.marks.push(mark);
            }
        }
        let mut spans: Vec<Span> = spans.into_values().collect();
        spans.sort_by_key(|s| s.start_ns);
        Ok(Spool { spans })
    }

    /// Spans with this name.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Span> {
        self.spans.iter().filter(move |s| s.name == name)
    }

    /// Requests that targets served.
    pub fn requests(&self) -> Vec<&Span> {
        self.named("request").collect()
    }

    /// Calls that targets made.
    pub fn client_calls(&self) -> Vec<&Span> {
        self.named("http.client").collect()
    }

    /// Session roots.
    pub fn sessions(&self) -> Vec<&Span> {
        self.named("cirron.session").collect()
    }

    /// One line per span, for messages.
    pub fn describe(&self) -> String {
        let line = |s: &Span| {
            let marks: Vec<String> = s
                .marks
                .iter()
                .take(12)
                .map(|m| format!("{}={}", m.name, m.value))
                .collect();
            format!(
                "\n  {} pid {} {} end {} attrs {} marks [{}]",
                s.name,
                s.pid,
                s.start_ns,
                s.end_ns.is_some(),
                Value::Object(s.attrs.clone()),
                marks.join(", ")
            )
        };
        self.spans
            .iter()
            .take(20)
            .map(line)
            .collect::<Vec<_>>()
            .concat()
    }
}
