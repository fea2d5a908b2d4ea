//! Spans and marks, in the spool's shape but on the monotonic clock.
//!
//! Writing them as JSON, on the wall clock, is the shell's work (`../shared/spool-contract.md`'s
//! span and mark tables). Unknown is `None`, never 0.

use std::collections::BTreeMap;

use crate::id::Id;
use crate::limits::MAX_ATTR_BYTES;
use crate::time::MonoNs;

/// A JSON scalar.
#[derive(Clone, Debug, PartialEq)]
pub enum AttrValue {
    /// Text.
    Str(String),
    /// Whole number.
    Int(i64),
    /// Finite number.
    Float(f64),
    /// Truth value.
    Bool(bool),
}

impl From<&str> for AttrValue {
    fn from(v: &str) -> Self {
        AttrValue::Str(v.to_owned())
    }
}
impl From<String> for AttrValue {
    fn from(v: String) -> Self {
        AttrValue::Str(v)
    }
}
impl From<i64> for AttrValue {
    fn from(v: i64) -> Self {
        AttrValue::Int(v)
    }
}
impl From<u64> for AttrValue {
    fn from(v: u64) -> Self {
        AttrValue::Int(i64::try_from(v).unwrap_or(i64::MAX))
    }
}
impl From<u32> for AttrValue {
    fn from(v: u32) -> Self {
        AttrValue::Int(i64::from(v))
    }
}
impl From<bool> for AttrValue {
    fn from(v: bool) -> Self {
        AttrValue::Bool(v)
    }
}
impl From<f64> for AttrValue {
    fn from(v: f64) -> Self {
        AttrValue::Float(v)
    }
}

/// Text as an attribute, cut where it is too long.
pub(super) fn text(value: &str) -> AttrValue {
    AttrValue::from(cut(value))
}

/// As much of a text as is written: what is kept of it until then need not be longer.
pub(super) fn cut(value: &str) -> &str {
    &value[..value.floor_char_boundary(MAX_ATTR_BYTES)]
}

/// Attributes by name. Names are those of `scope::names`, or the session's.
pub type Attrs = BTreeMap<&'static str, AttrValue>;

/// A span of the spool.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Unique.
    pub id: Id,
    /// `cirron.session`, `request`, `http.client`, ...
    pub name: &'static str,
    /// `None` only on the session root.
    pub parent_id: Option<Id>,
    /// When it began.
    pub start: MonoNs,
    /// `None` while open.
    pub end: Option<MonoNs>,
    /// The target's thread id.
    pub thread_id: u32,
    /// The target's process id.
    pub pid: u32,
    /// The target's `RANK`, else `LOCAL_RANK`, else 0.
    pub rank: i64,
    /// Attributes.
    pub attrs: Attrs,
    /// Ids of this span's marks, in order.
    pub mark_ids: Vec<Id>,
}

/// A value of a mark.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MarkValue {
    /// `value_type: "int"`
    Int(i64),
    /// `value_type: "float"`
    Float(f64),
}

/// `kind` of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkKind {
    /// One of a series.
    Point,
    /// One for the span.
    Summary,
}

/// A mark of the spool.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Unique.
    pub id: Id,
    /// The span it belongs to.
    pub span_id: Id,
    /// For instance `time_to_first_token_ms`.
    pub name: &'static str,
    /// Its value.
    pub value: MarkValue,
    /// For instance `source: "openai"`.
    pub attrs: Attrs,
    /// When what it says became known.
    pub ts: MonoNs,
    /// Point or summary.
    pub kind: MarkKind,
}
