//! Spans and marks for the tests of this crate.

use cirron_core::id::Id;
use cirron_core::scope::{Attrs, Mark, MarkKind, MarkValue, Span};
use cirron_core::time::MonoNs;

use crate::clock::Anchor;
use crate::output::Finished;

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
        },
        parent_id: parent.map(id),
        start: MonoNs(start),
        end: end.map(MonoNs),
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
        name,
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
