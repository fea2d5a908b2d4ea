//! Where finished scopes go: the spool, standard output, or nowhere.

pub mod line;
pub mod lossy;
pub mod outputs;
pub mod queue;
pub mod sink;
pub mod stdout;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;
pub mod worker;

use cirron_core::scope::{AttrValue, Attrs, Mark, Span};

use crate::clock::Anchor;
use crate::spool::json::WallTimes;

/// A session root (without marks), or a finished scope with its marks, and the anchor that turns
/// its times into wall-clock times.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// The span.
    pub span: Span,
    /// Its marks.
    pub marks: Vec<Mark>,
    /// The clocks when it came out of the engine.
    pub anchor: Anchor,
}

/// The same with its times on the wall clock, as sinks get it.
#[derive(Clone, Debug, PartialEq)]
pub struct Timed {
    /// The scope.
    pub scope: Finished,
    /// Its times.
    pub times: WallTimes,
}

/// Memory of an attribute without its text: key, value, and its share of the map's nodes.
const ATTR_BYTES: usize = 80;

impl Finished {
    /// The memory that it takes, from above.
    pub fn bytes(&self) -> usize {
        let Finished {
            span,
            marks,
            anchor: _,
        } = self;
        let marks_bytes = marks
            .iter()
            .map(|mark| size_of::<Mark>() + attrs_bytes(&mark.attrs));
        size_of::<Timed>()
            + attrs_bytes(&span.attrs)
            + size_of_val(&*span.mark_ids)
            + marks_bytes.sum::<usize>()
    }
}

fn attrs_bytes(attrs: &Attrs) -> usize {
    let text = |value: &AttrValue| match value {
        AttrValue::Str(text) => text.len(),
        AttrValue::Int(_) | AttrValue::Float(_) | AttrValue::Bool(_) => 0,
    };
    attrs
        .iter()
        .map(|(_, value)| ATTR_BYTES + text(value))
        .sum()
}
