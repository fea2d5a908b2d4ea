//! Spans and marks, in the spool's shape but on the monotonic clock.
//!
//! Writing them as JSON, on the wall clock, is the shell's work (`../shared/spool-contract.md`'s
//! span and mark tables). Unknown is `None`, never 0.

use std::borrow::Cow;
use std::ops::Index;

use super::label::Label;
use crate::id::Id;
use crate::limits::MAX_ATTR_BYTES;
use crate::time::MonoNs;

/// A JSON scalar.
#[derive(Clone, Debug, PartialEq)]
pub enum AttrValue {
    /// Text, ours or somebody's.
    Str(Cow<'static, str>),
    /// Whole number.
    Int(i64),
    /// Finite number.
    Float(f64),
    /// Truth value.
    Bool(bool),
}

impl From<&'static str> for AttrValue {
    fn from(v: &'static str) -> Self {
        AttrValue::Str(Cow::Borrowed(v))
    }
}
impl From<String> for AttrValue {
    fn from(v: String) -> Self {
        AttrValue::Str(Cow::Owned(v))
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
    AttrValue::from(cut(value).to_owned())
}

/// As much of a text as is written: what is kept of it until then need not be longer.
pub(super) fn cut(value: &str) -> &str {
    &value[..value.floor_char_boundary(MAX_ATTR_BYTES)]
}

/// Attributes by name, in the order of their names.
///
/// A sorted list: most have one or two, a span about twenty, and a tree's smallest node has room for eleven.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attrs(Vec<(Label, AttrValue)>);

impl Attrs {
    /// None.
    pub fn new() -> Attrs {
        Attrs::default()
    }

    /// None yet, with room for this number of them.
    pub fn with_capacity(count: usize) -> Attrs {
        Attrs(Vec::with_capacity(count))
    }

    /// The place of a name, or where it belongs.
    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0
            .binary_search_by(|(label, _)| label.as_str().cmp(name))
    }

    /// Sets one; gives what it was before.
    pub fn insert(&mut self, name: impl Into<Label>, value: AttrValue) -> Option<AttrValue> {
        let name = name.into();
        match self.place(&name) {
            Ok(at) => self
                .0
                .get_mut(at)
                .map(|(_, old)| std::mem::replace(old, value)),
            Err(at) => {
                self.0.insert(at, (name, value));
                None
            }
        }
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&AttrValue> {
        let at = self.place(name).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// Whether there is one of that name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.place(name).is_ok()
    }

    /// Takes one away.
    pub fn remove(&mut self, name: &str) -> Option<AttrValue> {
        let at = self.place(name).ok()?;
        Some(self.0.remove(at).1)
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Label, &AttrValue)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// Number of them.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Into<Label>, const N: usize> From<[(K, AttrValue); N]> for Attrs {
    fn from(list: [(K, AttrValue); N]) -> Attrs {
        list.into_iter().collect()
    }
}

impl<K: Into<Label>> FromIterator<(K, AttrValue)> for Attrs {
    fn from_iter<I: IntoIterator<Item = (K, AttrValue)>>(list: I) -> Attrs {
        let list = list.into_iter();
        let mut attrs = Attrs::with_capacity(list.size_hint().0);
        for (name, value) in list {
            attrs.insert(name, value);
        }
        attrs
    }
}

impl Index<&str> for Attrs {
    type Output = AttrValue;

    #[expect(
        clippy::indexing_slicing,
        clippy::expect_used,
        reason = "what the trait promises"
    )]
    fn index(&self, name: &str) -> &AttrValue {
        &self.0[self.place(name).expect("no attribute of that name")].1
    }
}

/// A span of the spool.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Unique.
    pub id: Id,
    /// `cirron.session`, `request`, `http.client`, ...
    pub name: Label,
    /// `None` only on the session root.
    pub parent_id: Option<Id>,
    /// Which of a series of scopes of this name it is, where it is one of a series.
    pub index: Option<i64>,
    /// When it began.
    pub start: MonoNs,
    /// `None` while open.
    pub end: Option<MonoNs>,
    /// Processor time that it took, ns, where one thread served it and that is known.
    pub cpu_ns: Option<u64>,
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
#[derive(Clone, Debug, PartialEq)]
pub enum MarkValue {
    /// `value_type: "int"`
    Int(i64),
    /// `value_type: "float"`
    Float(f64),
    /// `value_type: "string"`
    Str(Cow<'static, str>),
    /// `value_type: "bool"`
    Bool(bool),
}

impl MarkValue {
    /// Text that is not ours, cut where it is too long.
    pub fn text(value: &str) -> MarkValue {
        MarkValue::Str(Cow::Owned(cut(value).to_owned()))
    }
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
    pub name: Label,
    /// Its value.
    pub value: MarkValue,
    /// For instance `source: "openai"`.
    pub attrs: Attrs,
    /// When what it says became known.
    pub ts: MonoNs,
    /// Point or summary.
    pub kind: MarkKind,
}
