//! The second reading: what is drawn of each planned span, and no more than that.

use std::collections::HashMap;

use super::index::{At, Index, NOTES};
use crate::key::Key;
use crate::request::{MAX_FACTS, MAX_TEXT_BYTES, Mark};
use cirron_spool::read::Take;
use cirron_spool::rows::{Attrs, MarkRow, Scalar, SpanRow, cut};

/// Bytes that all rows may take together; past it rows stay without what else they have.
pub(super) const MAX_ROW_BYTES: usize = 64 * 1024 * 1024;

/// Attributes that a line shows.
const SHOWN_ATTRS: [&str; 22] = [
    "cirron.aborted_by",
    "cirron.figures",
    "cirron.late_attach",
    "cirron.partial",
    "cirron.request.messages",
    "cirron.response.messages",
    "cirron.stream.burst",
    "error.type",
    "error",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "http.request.method",
    "http.response.status_code",
    "pid",
    "process.executable.name",
    "rpc.response.status_code",
    "server.address",
    "server.port",
    "url.path",
    NOTES[0],
    NOTES[1],
    NOTES[2],
];

/// Marks that a line shows.
const SHOWN_MARKS: [&str; 6] = [
    "completion_tokens",
    "input_tokens",
    "output_tokens",
    "prompt_tokens",
    "time_to_first_token_ms",
    "tokens_per_second",
];

/// A span that is drawn.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// It was read: its batch may have been evicted after the first reading.
    pub(super) is_read: bool,
    /// Its name.
    pub(super) name: String,
    /// The index of an indexed scope.
    pub(super) index: Option<i64>,
    /// Wall clock.
    pub(super) start_ns: u64,
    /// `None` while open.
    pub(super) end_ns: Option<u64>,
    /// Attributes.
    pub(super) attrs: Vec<(String, Scalar<'static>)>,
    /// Summary marks.
    pub(super) marks: Vec<Mark>,
    /// Its marks that are points.
    pub(super) points: usize,
    /// Attributes and marks for which there was no room.
    pub(super) left_out: usize,
}

impl Row {
    /// An attribute.
    pub(super) fn attr(&self, name: &str) -> Option<&Scalar<'static>> {
        self.attrs
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value)
    }

    /// The text of an attribute.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.attr(name).and_then(Scalar::as_text)
    }

    /// Whether an attribute says yes.
    pub(super) fn has(&self, name: &str) -> bool {
        self.attr(name).is_some_and(Scalar::is_truthy)
    }

    /// A mark.
    pub(super) fn mark(&self, name: &str) -> Option<&Mark> {
        self.marks.iter().find(|mark| mark.name == name)
    }
}

/// What of a row is kept, within a room for all of them.
#[derive(Debug)]
pub(super) struct Keep {
    /// All attributes and marks, not only what a line shows.
    all: bool,
    room: usize,
}

impl Keep {
    /// With `all` that they have, or with what a line shows, in this number of bytes.
    pub(super) fn new(all: bool, room: usize) -> Keep {
        Keep { all, room }
    }

    /// What is kept of a span, its marks not among it.
    pub(super) fn row(&mut self, row: &SpanRow<'_>) -> Row {
        let (attrs, left_out) = self.attrs(&row.attrs);
        Row {
            is_read: true,
            name: cut(&row.name.0, MAX_TEXT_BYTES),
            index: row.index,
            start_ns: row.start_ns,
            end_ns: row.end_ns,
            attrs,
            left_out,
            marks: Vec::new(),
            points: 0,
        }
    }

    /// Adds a mark of it.
    pub(super) fn mark(&mut self, kept: &mut Row, row: &MarkRow<'_>) {
        let is_point = row.kind.0 != "summary";
        if !is_point && !self.wants(&SHOWN_MARKS, &row.name.0) {
            return;
        }
        let bytes = row.name.0.len() + row.value.as_text().map_or(0, str::len);
        if is_point {
            kept.points += 1;
        } else if self.take_room(kept.marks.len(), bytes) {
            kept.marks.push(Mark::new(row));
        } else {
            kept.left_out += 1;
        }
    }

    fn wants(&self, list: &[&str], name: &str) -> bool {
        self.all || list.contains(&name)
    }

    /// Whether there is room for a fact more.
    fn take_room(&mut self, facts: usize, bytes: usize) -> bool {
        // A fact's own fields take as much as a short text.
        let bytes = bytes.min(MAX_TEXT_BYTES) + 64;
        let has_room = facts < MAX_FACTS && bytes <= self.room;
        if has_room {
            self.room -= bytes;
        }
        has_room
    }

    fn attrs(&mut self, attrs: &Attrs<'_>) -> (Vec<(String, Scalar<'static>)>, usize) {
        let (mut kept, mut left_out) = (Vec::new(), 0);
        for (name, value) in &attrs.0 {
            if !self.wants(&SHOWN_ATTRS, name) {
                continue;
            }
            let bytes = name.len() + value.as_text().map_or(0, str::len);
            if self.take_room(kept.len(), bytes) {
                kept.push((cut(name, MAX_TEXT_BYTES), value.kept(MAX_TEXT_BYTES)));
            } else {
                left_out += 1;
            }
        }
        (kept, left_out)
    }
}

/// The rows of planned spans.
#[derive(Debug)]
pub(super) struct Rows<'i> {
    index: &'i Index,
    slots: HashMap<Key, (At, usize)>,
    rows: Vec<Row>,
    batch: u32,
    keep: Keep,
}

impl<'i> Rows<'i> {
    /// Of these spans.
    pub(super) fn new(index: &'i Index, planned: impl Iterator<Item = At>, keep: Keep) -> Rows<'i> {
        let mut slots = HashMap::new();
        for at in planned {
            if let Some(span) = index.spans.get(at as usize) {
                let slot = slots.len();
                slots.entry(span.key).or_insert((at, slot));
            }
        }
        Rows {
            index,
            rows: vec![Row::default(); slots.len()],
            slots,
            batch: 0,
            keep,
        }
    }

    /// The next batch begins, in the order in which the index read them.
    pub(super) fn begin(&mut self) {
        self.batch += 1;
    }

    /// The row of a span.
    pub(super) fn get(&self, at: At) -> Option<&Row> {
        let key = self.index.spans.get(at as usize)?.key;
        self.rows.get(self.slots.get(&key)?.1)
    }
}

impl Take for Rows<'_> {
    fn span(&mut self, row: &SpanRow<'_>) {
        let Some((at, slot)) = self.slots.get(&Key::new(&row.id.0)).copied() else {
            return;
        };
        let is_it = self.index.spans.get(at as usize).is_some_and(|entry| {
            entry.batch == self.batch && entry.is_closed == row.end_ns.is_some()
        });
        if let Some(old) = self.rows.get_mut(slot).filter(|_| is_it) {
            let new = self.keep.row(row);
            *old = Row {
                left_out: old.left_out + new.left_out,
                marks: std::mem::take(&mut old.marks),
                points: old.points,
                ..new
            };
        }
    }

    fn mark(&mut self, row: &MarkRow<'_>) {
        let slot = self.slots.get(&Key::new(&row.span_id.0));
        if let Some(kept) = slot.and_then(|(_, slot)| self.rows.get_mut(*slot)) {
            self.keep.mark(kept, row);
        }
    }
}
