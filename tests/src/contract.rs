//! The spool contract, checked on every batch of every test: file names, keys, types, joins, and
//! that no private text is in any file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value};

use crate::CANARY;
use crate::spool::batches;

const BATCH: &[&str] = &[
    "schema_version",
    "sdk_version",
    "batch_id",
    "created_ns",
    "spans",
    "marks",
    "snapshots",
];
const SPAN: &[&str] = &[
    "id",
    "name",
    "parent_id",
    "index",
    "start_ns",
    "end_ns",
    "cpu_ns",
    "gpu_ns",
    "memory_peak_bytes",
    "thread_id",
    "pid",
    "rank",
    "attrs",
    "mark_ids",
];
const MARK: &[&str] = &[
    "id",
    "span_id",
    "name",
    "value_type",
    "value",
    "attrs",
    "ts_ns",
    "kind",
];

/// Checks `dir` after its writer has ended.
pub fn check(dir: &Path) -> Result<()> {
    let mut joins = Joins::default();
    for entry in std::fs::read_dir(dir.join("spool")).context("no spool")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        ensure!(name.ends_with(".json"), "left behind: {name}");
    }
    for path in batches(dir)? {
        let text = std::fs::read_to_string(&path)?;
        let name = path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        batch(&name, &text, &mut joins).with_context(|| name.clone())?;
    }
    joins.check()?;
    private(dir)
}

/// No file under `dir` holds private text.
pub fn private(dir: &Path) -> Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            private(&path)?;
            continue;
        }
        let bytes = std::fs::read(&path)?;
        if let Some(at) = memchr::memmem::find(&bytes, CANARY.as_bytes()) {
            let from = at.saturating_sub(80);
            bail!(
                "private text in {}: ...{}",
                path.display(),
                String::from_utf8_lossy(bytes.get(from..at + 20).unwrap_or_default())
            );
        }
    }
    Ok(())
}

#[derive(Default)]
struct Joins {
    /// id to (name, parent, ever ended)
    spans: BTreeMap<String, (String, Option<String>, bool)>,
    listed: BTreeSet<String>,
    marks: BTreeMap<String, String>,
    /// Request id to span id.
    requests: BTreeMap<String, String>,
}

/// Scopes around one: 64 of probes, and those that are around these.
const MAX_PARENTS: usize = 70;

impl Joins {
    fn check(&self) -> Result<()> {
        for (id, (name, parent, ended)) in &self.spans {
            ensure!(*ended, "span {name} {id} has no end");
            let (mut at, mut steps) = (parent.as_ref(), 0);
            let mut top = name;
            while let Some(up) = at {
                let (n, p, _) = self.spans.get(up).with_context(|| {
                    format!("span {name} {id}: parent {up} is not in the spool")
                })?;
                (at, top, steps) = (p.as_ref(), n, steps + 1);
                ensure!(steps < MAX_PARENTS, "span {id}: parents without end");
            }
            ensure!(top == "cirron.session", "span {name} {id} hangs on {top}");
        }
        for (mark, span) in &self.marks {
            ensure!(
                self.spans.contains_key(span),
                "mark {mark} of an unknown span"
            );
            ensure!(
                self.listed.contains(mark),
                "mark {mark} is not in its span's mark_ids"
            );
        }
        for mark in &self.listed {
            ensure!(
                self.marks.contains_key(mark),
                "mark_ids names {mark}, which is not there"
            );
        }
        Ok(())
    }
}

fn keys(
    what: &str,
    object: &Map<String, Value>,
    allowed: &[&str],
    optional: &[&str],
) -> Result<()> {
    for key in allowed {
        ensure!(object.contains_key(*key), "{what} without {key}");
    }
    for key in object.keys() {
        ensure!(
            allowed.contains(&key.as_str()) || optional.contains(&key.as_str()),
            "{what} with unknown key {key}"
        );
    }
    Ok(())
}

fn hex32(value: &Value) -> Result<String> {
    let text = value.as_str().context("id is no string")?;
    let ok = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    ensure!(ok, "{text:?} is no 32 lowercase hex");
    Ok(text.to_owned())
}

fn uuid4(value: &Value) -> Result<String> {
    let text = hex32(value)?;
    let bytes = text.as_bytes();
    ensure!(
        bytes[12] == b'4' && matches!(bytes[16], b'8' | b'9' | b'a' | b'b'),
        "{text} is no UUID4"
    );
    Ok(text)
}

fn scalars(what: &str, value: &Value) -> Result<()> {
    let attrs = value
        .as_object()
        .with_context(|| format!("{what}: attrs is no object"))?;
    for (key, value) in attrs {
        ensure!(
            !value.is_object() && !value.is_array() && !value.is_null(),
            "{what}: attr {key} is {value}, no scalar"
        );
    }
    Ok(())
}

fn int(object: &Map<String, Value>, key: &str) -> Result<i64> {
    object
        .get(key)
        .and_then(Value::as_i64)
        .with_context(|| format!("{key} is no integer"))
}

fn batch(name: &str, text: &str, joins: &mut Joins) -> Result<()> {
    let value: Value = serde_json::from_str(text)?;
    let batch = value.as_object().context("no object")?;
    keys("batch", batch, BATCH, &[])?;
    ensure!(batch["schema_version"] == 1, "schema_version");
    ensure!(
        batch["sdk_version"]
            .as_str()
            .is_some_and(|v| v.starts_with("agent/")),
        "sdk_version {}",
        batch["sdk_version"]
    );
    let id = uuid4(&batch["batch_id"])?;
    let created = int(batch, "created_ns")?;
    ensure!(
        name == format!("{created:020}-{id}.json"),
        "name is not made of created_ns and batch_id"
    );
    ensure!(
        batch["snapshots"].as_array().is_some_and(Vec::is_empty),
        "snapshots"
    );
    let spans = batch["spans"].as_array().context("spans")?;
    let marks = batch["marks"].as_array().context("marks")?;
    ensure!(!spans.is_empty() || !marks.is_empty(), "empty batch");
    for value in spans {
        span(value, created, joins).with_context(|| value.to_string())?;
    }
    for value in marks {
        mark(value, joins).with_context(|| value.to_string())?;
    }
    Ok(())
}

/// Ours, or one that a program, a rule or a function gave a scope: bounded, and free of control characters.
fn is_name(name: &str) -> bool {
    let is_clean = !name.is_empty() && name.len() <= 128 && !name.contains(char::is_control);
    is_clean && !name.starts_with("cirron.")
}

/// A request's id that its program gave it by a probe. Such a request is none of HTTP.
fn is_programs_own(id: &Value, attrs: Option<&Map<String, Value>>) -> bool {
    let is_http = |key: &String| key.starts_with("http.") || key.starts_with("network.");
    let is_ours = hex32(id).is_ok();
    let is_text = id.as_str().is_some_and(|id| !id.is_empty());
    !is_ours && is_text && !attrs.is_some_and(|attrs| attrs.keys().any(is_http))
}

fn span(value: &Value, created: i64, joins: &mut Joins) -> Result<()> {
    let span = value.as_object().context("no object")?;
    keys("span", span, SPAN, &[])?;
    let id = uuid4(&span["id"])?;
    let name = span["name"].as_str().context("name")?.to_owned();
    ensure!(name == "cirron.session" || is_name(&name), "name {name:?}");
    let parent = if span["parent_id"].is_null() {
        None
    } else {
        Some(hex32(&span["parent_id"])?)
    };
    ensure!(parent.is_none() == (name == "cirron.session"), "parent_id");
    for key in ["index", "cpu_ns", "gpu_ns", "memory_peak_bytes"] {
        ensure!(span[key].is_null() || span[key].as_i64().is_some(), "{key}");
    }
    let start = int(span, "start_ns")?;
    ensure!(
        (created - start).abs() < 3_600_000_000_000,
        "start_ns {start} is not of this hour"
    );
    if !span["end_ns"].is_null() {
        ensure!(int(span, "end_ns")? >= start, "ends before it starts");
    }
    for key in ["thread_id", "pid", "rank"] {
        int(span, key)?;
    }
    ensure!(int(span, "pid")? > 0, "pid");
    scalars("span", &span["attrs"])?;
    if name == "request" {
        let request = span["attrs"]
            .get("request_id")
            .context("request without request_id")?;
        if !is_programs_own(request, span["attrs"].as_object()) {
            let other = joins.requests.insert(uuid4(request)?, id.clone());
            ensure!(other.is_none_or(|other| other == id), "request_id twice");
        }
    }
    for mark in span["mark_ids"].as_array().context("mark_ids")? {
        ensure!(
            joins.listed.insert(hex32(mark)?),
            "mark {mark} listed twice"
        );
    }
    let ended = !span["end_ns"].is_null();
    if let Some((_, _, before)) = joins.spans.get(&id) {
        // Open first, since its children come before its end; a session once more where facts of its process came late.
        let may_come_again = ended || name == "cirron.session";
        ensure!(may_come_again && !before, "span {id} written twice");
    }
    joins.spans.insert(id, (name, parent, ended));
    Ok(())
}

fn mark(value: &Value, joins: &mut Joins) -> Result<()> {
    let mark = value.as_object().context("no object")?;
    keys("mark", mark, MARK, &["value_nonfinite"])?;
    let fits = match mark["value_type"].as_str().context("value_type")? {
        "int" => mark["value"].as_i64().is_some(),
        "float" => mark["value"].is_f64(),
        "string" => mark["value"].is_string(),
        "bool" => mark["value"].is_boolean(),
        other => bail!("value_type {other}"),
    };
    ensure!(fits, "value {} is no {}", mark["value"], mark["value_type"]);
    ensure!(
        matches!(mark["kind"].as_str(), Some("point" | "summary")),
        "kind"
    );
    ensure!(mark["name"].is_string(), "name");
    int(mark, "ts_ns")?;
    scalars("mark", &mark["attrs"])?;
    let span = hex32(&mark["span_id"])?;
    ensure!(
        joins.marks.insert(uuid4(&mark["id"])?, span).is_none(),
        "mark id twice"
    );
    Ok(())
}

#[cfg(test)]
mod tests;
