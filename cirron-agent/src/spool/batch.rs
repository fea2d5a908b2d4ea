//! A batch in the making: spans and marks, already as JSON, and the envelope around them.

use std::io::{self, Write};

use cirron_core::id::Id;
use cirron_core::scope::{Mark, Span};

use super::SCHEMA_VERSION;
use super::json::{WallTimes, write_mark, write_span};
use crate::clock::Anchor;

/// JSON bytes past which a batch is written before its time: readers hold a batch in memory.
/// One scope more may go over it.
pub const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Spans past which a batch is written before its time.
pub const MAX_BATCH_SPANS: usize = 5_000;

/// Spans and marks as JSON, comma-separated. Its buffers are used again for each batch.
#[derive(Debug, Default)]
pub struct Batch {
    spans: Vec<u8>,
    marks: Vec<u8>,
    span_count: usize,
    mark_count: usize,
}

impl Batch {
    /// Adds a span and its marks.
    pub fn push(
        &mut self,
        span: &Span,
        times: WallTimes,
        marks: &[Mark],
        anchor: &Anchor,
    ) -> serde_json::Result<()> {
        separate(&mut self.spans);
        write_span(&mut self.spans, span, times)?;
        self.span_count += 1;
        for mark in marks {
            separate(&mut self.marks);
            write_mark(&mut self.marks, mark, anchor)?;
            self.mark_count += 1;
        }
        Ok(())
    }

    /// Adds a span that was written before.
    pub fn push_written_span(&mut self, json: &[u8]) {
        separate(&mut self.spans);
        self.spans.extend_from_slice(json);
        self.span_count += 1;
    }

    /// Whether it should be written now.
    pub fn is_full(&self) -> bool {
        self.spans.len() + self.marks.len() >= MAX_BATCH_BYTES || self.span_count >= MAX_BATCH_SPANS
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.span_count == 0
    }

    /// Spans in it.
    pub fn span_count(&self) -> usize {
        self.span_count
    }

    /// Marks in it.
    pub fn mark_count(&self) -> usize {
        self.mark_count
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.spans.clear();
        self.marks.clear();
        self.span_count = 0;
        self.mark_count = 0;
    }

    /// Writes the whole batch; returns its bytes.
    pub fn write_to(&self, out: &mut dyn Write, created_ns: u64, id: Id) -> io::Result<u64> {
        let head = format!(
            concat!(
                r#"{{"schema_version":{},"sdk_version":"agent/{}","batch_id":"{}","#,
                r#""created_ns":{},"spans":["#
            ),
            SCHEMA_VERSION,
            env!("CARGO_PKG_VERSION"),
            id,
            created_ns
        );
        let parts: [&[u8]; 5] = [
            head.as_bytes(),
            &self.spans,
            br#"],"marks":["#,
            &self.marks,
            br#"],"snapshots":[]}"#,
        ];
        for part in parts {
            out.write_all(part)?;
        }
        Ok(parts.iter().map(|part| part.len() as u64).sum())
    }
}

fn separate(list: &mut Vec<u8>) {
    if !list.is_empty() {
        list.push(b',');
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use cirron_core::scope::MarkValue;

    use super::*;
    use crate::spool::testing::{anchor, mark, span};

    #[test]
    fn a_batch_is_the_sdk_s_envelope() {
        let mut batch = Batch::default();
        for id in [2, 3] {
            let s = span(id, Some(1), 0, Some(1));
            let m = mark(id + 10, id, "output_tokens", MarkValue::Int(1));
            batch
                .push(
                    &s,
                    WallTimes::new(&s, &anchor()),
                    &[m.clone(), m],
                    &anchor(),
                )
                .unwrap();
        }
        let mut out = Vec::new();
        let bytes = batch.write_to(&mut out, 42, Id([1; 16])).unwrap();
        assert_eq!(bytes, out.len() as u64);
        let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let keys: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
        let mut want = [
            "schema_version",
            "sdk_version",
            "batch_id",
            "created_ns",
            "spans",
            "marks",
        ]
        .to_vec();
        want.push("snapshots");
        want.sort_unstable();
        assert_eq!(keys, want);
        assert_eq!(json["schema_version"], 1);
        assert_eq!(
            json["sdk_version"],
            concat!("agent/", env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(json["batch_id"], "01".repeat(16));
        assert_eq!(json["spans"].as_array().unwrap().len(), 2);
        assert_eq!(json["marks"].as_array().unwrap().len(), 4);
        assert_eq!(json["snapshots"].as_array().unwrap().len(), 0);
    }

    #[test]
    fn a_batch_is_full_at_its_span_limit() {
        let mut batch = Batch::default();
        let s = span(2, Some(1), 0, Some(1));
        for _ in 0..MAX_BATCH_SPANS {
            assert!(!batch.is_full());
            batch
                .push(&s, WallTimes::new(&s, &anchor()), &[], &anchor())
                .unwrap();
        }
        assert!(batch.is_full());
        batch.clear();
        assert!(batch.is_empty() && !batch.is_full());
    }
}
