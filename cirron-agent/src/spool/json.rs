//! One span and one mark as JSON, keys in the SDK's order (`_scope_to_dict`, `_mark_to_dict`).
//!
//! Written straight into a byte buffer: no tree of values is built. Strings are escaped by
//! serde_json, so captured text cannot break out. A float that is not finite becomes, as in the
//! SDK, `null` plus `value_nonfinite` in a mark, and its name as text in attributes.

use cirron_core::id::Id;
use cirron_core::scope::{AttrValue, Attrs, Mark, MarkKind, MarkValue, Span};
use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};

use crate::clock::Anchor;

/// A span's times on the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallTimes {
    /// `start_ns`
    pub start_ns: u64,
    /// `end_ns`; `None` while open.
    pub end_ns: Option<u64>,
}

impl WallTimes {
    /// Those of `span`, with one anchor for both; the end is never before the start.
    pub fn new(span: &Span, anchor: &Anchor) -> WallTimes {
        let start_ns = anchor.wall(span.start);
        WallTimes {
            start_ns,
            end_ns: span.end.map(|end| anchor.wall(end).max(start_ns)),
        }
    }
}

/// Appends `span`.
pub fn write_span(out: &mut Vec<u8>, span: &Span, times: WallTimes) -> serde_json::Result<()> {
    serde_json::to_writer(out, &SpanJson(span, times))
}

/// Appends `mark`.
pub fn write_mark(out: &mut Vec<u8>, mark: &Mark, anchor: &Anchor) -> serde_json::Result<()> {
    serde_json::to_writer(out, &MarkJson(mark, anchor.wall(mark.ts)))
}

/// An id as 32 lowercase hexadecimal characters, without an allocation.
pub struct Hex(pub Id);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0u8; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        s.serialize_str(std::str::from_utf8(&text).map_err(S::Error::custom)?)
    }
}

struct SpanJson<'a>(&'a Span, WallTimes);

impl Serialize for SpanJson<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let SpanJson(span, times) = self;
        // Destructured, so that a new field of the core must be noticed here.
        let Span {
            id,
            name,
            parent_id,
            index,
            start: _,
            end: _,
            cpu_ns,
            thread_id,
            pid,
            rank,
            attrs,
            mark_ids,
        } = span;
        let mut map = s.serialize_map(Some(14))?;
        map.serialize_entry("id", &Hex(*id))?;
        map.serialize_entry("name", name.as_str())?;
        map.serialize_entry("parent_id", &parent_id.map(Hex))?;
        map.serialize_entry("index", index)?;
        map.serialize_entry("start_ns", &times.start_ns)?;
        map.serialize_entry("end_ns", &times.end_ns)?;
        // Not measured: null, never 0.
        map.serialize_entry("cpu_ns", cpu_ns)?;
        map.serialize_entry("gpu_ns", &None::<u64>)?;
        map.serialize_entry("memory_peak_bytes", &None::<u64>)?;
        map.serialize_entry("thread_id", thread_id)?;
        map.serialize_entry("pid", pid)?;
        map.serialize_entry("rank", rank)?;
        map.serialize_entry("attrs", &AttrsJson(attrs))?;
        map.serialize_entry("mark_ids", &IdsJson(mark_ids))?;
        map.end()
    }
}

struct MarkJson<'a>(&'a Mark, u64);

impl Serialize for MarkJson<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let MarkJson(mark, ts_ns) = self;
        let Mark {
            id,
            span_id,
            name,
            value,
            attrs,
            ts: _,
            kind,
        } = mark;
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("id", &Hex(*id))?;
        map.serialize_entry("span_id", &Hex(*span_id))?;
        map.serialize_entry("name", name.as_str())?;
        let mut nonfinite = None;
        match value {
            MarkValue::Int(v) => {
                map.serialize_entry("value_type", "int")?;
                map.serialize_entry("value", v)?;
            }
            MarkValue::Float(v) => {
                nonfinite = nonfinite_token(*v);
                map.serialize_entry("value_type", "float")?;
                map.serialize_entry("value", &nonfinite.is_none().then(|| short(*v)))?;
            }
            MarkValue::Str(v) => {
                map.serialize_entry("value_type", "string")?;
                map.serialize_entry("value", v)?;
            }
            MarkValue::Bool(v) => {
                map.serialize_entry("value_type", "bool")?;
                map.serialize_entry("value", v)?;
            }
        }
        map.serialize_entry("attrs", &AttrsJson(attrs))?;
        map.serialize_entry("ts_ns", ts_ns)?;
        map.serialize_entry(
            "kind",
            match kind {
                MarkKind::Point => "point",
                MarkKind::Summary => "summary",
            },
        )?;
        if let Some(token) = nonfinite {
            map.serialize_entry("value_nonfinite", token)?;
        }
        map.end()
    }
}

struct AttrsJson<'a>(&'a Attrs);

impl Serialize for AttrsJson<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0.iter() {
            let name = name.as_str();
            match value {
                AttrValue::Str(v) => map.serialize_entry(name, v)?,
                AttrValue::Int(v) => map.serialize_entry(name, v)?,
                AttrValue::Bool(v) => map.serialize_entry(name, v)?,
                AttrValue::Float(v) => match nonfinite_token(*v) {
                    Some(token) => map.serialize_entry(name, token)?,
                    None => map.serialize_entry(name, &short(*v))?,
                },
            }
        }
        map.end()
    }
}

struct IdsJson<'a>(&'a [Id]);

impl Serialize for IdsJson<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().map(|id| Hex(*id)))
    }
}

/// The digits that were measured. The kernel stamps nanoseconds, which are 6 digits of a millisecond; of one
/// millisecond and more, 3 digits (microseconds) are far less than what two runs differ by. A quotient, such as tokens a
/// second, would else have 17.
fn short(v: f64) -> f64 {
    let scale = if v.abs() >= 1.0 { 1e3 } else { 1e6 };
    let rounded = (v * scale).round() / scale;
    // What is not 0 stays so, and what has no such digits is left as it is.
    if rounded.is_finite() && (rounded != 0.0 || v == 0.0) {
        rounded
    } else {
        v
    }
}

/// The SDK's name of a float that JSON cannot hold (`nonfinite_token`).
pub fn nonfinite_token(v: f64) -> Option<&'static str> {
    match v {
        v if v.is_finite() => None,
        v if v.is_nan() => Some("nan"),
        v if v > 0.0 => Some("inf"),
        _ => Some("-inf"),
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
