//! Reading a spool back, as the SDK's readers do: merge by id, join marks, walk to the roots.
//!
//! For the `tree` command and the tests. A file that is not a batch is skipped and counted.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

/// A span, with what the tree shows of it.
#[derive(Clone, Debug, Deserialize)]
pub struct SpanRow {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its parent; `None` for a session root.
    pub parent_id: Option<String>,
    /// The index of an indexed scope.
    pub index: Option<i64>,
    /// Wall clock.
    pub start_ns: u64,
    /// `None` while open.
    pub end_ns: Option<u64>,
    /// The process.
    #[serde(default)]
    pub pid: u32,
    /// Attributes.
    #[serde(default)]
    pub attrs: Map<String, Value>,
}

/// A mark, with what the tree shows of it.
#[derive(Clone, Debug, Deserialize)]
pub struct MarkRow {
    /// The span it belongs to.
    pub span_id: String,
    /// Its name.
    pub name: String,
    /// Its value; null where it is not finite.
    pub value: Value,
    /// `nan`, `inf`, `-inf`.
    pub value_nonfinite: Option<String>,
    /// `point` or `summary`.
    pub kind: String,
}

#[derive(Deserialize)]
struct BatchRow {
    spans: Vec<SpanRow>,
    marks: Vec<MarkRow>,
}

/// What a spool holds.
#[derive(Clone, Debug, Default)]
pub struct Spool {
    /// Spans by id; of a span written twice the closed one, else the later.
    pub spans: BTreeMap<String, SpanRow>,
    /// Marks by their span's id, in the order written.
    pub marks: HashMap<String, Vec<MarkRow>>,
    /// Batches read.
    pub batches: usize,
    /// Files with a batch's name that are none.
    pub unreadable: usize,
}

/// Reads every sealed batch of `dir`, oldest first.
pub fn read_spool(dir: &Path) -> io::Result<Spool> {
    let mut names: Vec<String> = fs::read_dir(dir)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| is_batch_name(name))
        .collect();
    names.sort_unstable();
    let mut spool = Spool::default();
    for name in names {
        // Evicted since the listing: not an error.
        let Ok(bytes) = fs::read(dir.join(&name)) else {
            continue;
        };
        match serde_json::from_slice::<BatchRow>(&bytes) {
            Ok(batch) => spool.merge(batch),
            Err(_) => spool.unreadable += 1,
        }
    }
    Ok(spool)
}

/// `^\d+-[0-9a-f]+\.json$`
pub fn is_batch_name(name: &str) -> bool {
    let Some((digits, hex)) = name
        .strip_suffix(".json")
        .and_then(|stem| stem.split_once('-'))
    else {
        return false;
    };
    let is_hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    !digits.is_empty()
        && digits.bytes().all(|c| c.is_ascii_digit())
        && !hex.is_empty()
        && hex.bytes().all(is_hex)
}

impl Spool {
    fn merge(&mut self, batch: BatchRow) {
        self.batches += 1;
        for span in batch.spans {
            let keep_old = self
                .spans
                .get(&span.id)
                .is_some_and(|old| old.end_ns.is_some() && span.end_ns.is_none());
            if !keep_old {
                self.spans.insert(span.id.clone(), span);
            }
        }
        for mark in batch.marks {
            self.marks
                .entry(mark.span_id.clone())
                .or_default()
                .push(mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_contract_s_names_are_batches() {
        assert!(is_batch_name("00000000000000000042-00ff.json"));
        for bad in [
            "42-00ff.json.tmp",
            "42-00FF.json",
            "x-00.json",
            "42-.json",
            "-00.json",
            "42.json",
        ] {
            assert!(!is_batch_name(bad), "{bad}");
        }
    }
}
