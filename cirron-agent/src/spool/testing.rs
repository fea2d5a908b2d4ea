//! Spans and marks for the tests of this crate, and a spool read back.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

use cirron_core::id::Id;
use cirron_core::scope::{Attrs, Mark, MarkKind, MarkValue, Span};
use cirron_core::time::MonoNs;

use crate::clock::Anchor;
use crate::output::{Finished, Timed};
use crate::spool::json::WallTimes;
use cirron_spool::read::{Batches, Take};
use cirron_spool::rows::{MarkRow, Scalar, SpanRow};

/// Monotonic 0 is one second past the epoch.
pub fn anchor() -> Anchor {
    Anchor {
        mono: MonoNs(0),
        wall_ns: 1_000_000_000,
    }
}

/// An id of a small number.
pub fn id(n: u8) -> Id {
    let mut bytes = [0; 16];
    bytes[15] = n;
    Id(bytes)
}

/// A span; a session root where it has no parent.
pub fn span(n: u8, parent: Option<u8>, start: u64, end: Option<u64>) -> Span {
    Span {
        id: id(n),
        name: if parent.is_some() {
            "request"
        } else {
            "cirron.session"
        }
        .into(),
        parent_id: parent.map(id),
        index: None,
        start: MonoNs(start),
        end: end.map(MonoNs),
        cpu_ns: None,
        thread_id: 8,
        pid: 7,
        rank: 0,
        attrs: Attrs::new(),
        mark_ids: Vec::new(),
    }
}

/// A summary mark.
pub fn mark(n: u8, span: u8, name: &'static str, value: MarkValue) -> Mark {
    Mark {
        id: id(n),
        span_id: id(span),
        name: name.into(),
        value,
        attrs: Attrs::new(),
        ts: MonoNs(300),
        kind: MarkKind::Summary,
    }
}

/// What the core thread hands to the outputs.
pub fn finished(span: Span, marks: Vec<Mark>) -> Finished {
    Finished {
        span,
        marks,
        anchor: anchor(),
    }
}

/// The same with its times by its own anchor, as sinks get it.
pub fn timed(scope: Finished) -> Timed {
    let times = WallTimes::new(&scope.span, &scope.anchor);
    Timed { scope, times }
}

/// A span that was read back.
#[derive(Clone, Debug)]
pub struct ReadSpan {
    /// Its id.
    pub id: String,
    /// Its parent.
    pub parent_id: Option<String>,
    /// `None` while open.
    pub end_ns: Option<u64>,
}

/// What a spool holds.
#[derive(Clone, Debug, Default)]
pub struct ReadSpool {
    /// Spans by id; of a span written twice the closed one, else the later.
    pub spans: BTreeMap<String, ReadSpan>,
    /// Marks by their span's id, in the order written.
    pub marks: HashMap<String, Vec<ReadMark>>,
    /// Files with a batch's name.
    pub batches: usize,
    /// Those of them that could not be read whole.
    pub unreadable: usize,
}

/// A mark that was read back.
#[derive(Clone, Debug)]
pub struct ReadMark {
    /// Its value.
    pub value: i128,
}

/// Reads every sealed batch of `dir`, oldest first.
pub fn read_spool(dir: &Path) -> io::Result<ReadSpool> {
    let mut spool = ReadSpool::default();
    let batches = Batches::list(dir)?;
    spool.batches = batches.len();
    let left = batches.read(&mut spool);
    spool.unreadable = left.damaged + left.irregular + left.large + left.unreadable;
    Ok(spool)
}

impl Take for ReadSpool {
    fn span(&mut self, row: &SpanRow<'_>) {
        let id = row.id.0.to_string();
        let old = self.spans.get(&id);
        if !old.is_some_and(|old| old.end_ns.is_some() && row.end_ns.is_none()) {
            let parent_id = row.parent_id.as_ref().map(|id| id.0.to_string());
            let end_ns = row.end_ns;
            let span = ReadSpan {
                id: id.clone(),
                parent_id,
                end_ns,
            };
            self.spans.insert(id, span);
        }
    }

    fn mark(&mut self, row: &MarkRow<'_>) {
        if let Scalar::Int(value) = row.value {
            let marks = self.marks.entry(row.span_id.0.to_string()).or_default();
            marks.push(ReadMark { value });
        }
    }
}
