//! Marks: values that are attached to a scope.
//!
//! A mark belongs to the scope that its thread works for, or to one that is named (`mark!(on ..)`).
//! Where there is none the probe says 0, and the tracer attaches it to what it knows of the thread.

use crate::attributes::Attributes;
use crate::value::{cut, ToValue, Value, MAX_TEXT};
use crate::{sites, stack};

/// What a mark is of its scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One value among others, at a time.
    Point,
    /// The value of the whole scope.
    Summary,
}

/// Something that a mark can be attached to: a guard or a handle.
pub trait Target {
    /// The identity of the scope; 0 if nobody listened when it began.
    fn scope_id(&self) -> u64;
}

impl<T: Target + ?Sized> Target for &T {
    fn scope_id(&self) -> u64 {
        (**self).scope_id()
    }
}

/// Bits of the argument `kind`, above the number of the value's kind.
const SUMMARY: u64 = 1 << 8;
const CUT: u64 = 1 << 9;

/// Makes a mark. For the macro, which asked whether somebody listens.
#[cold]
#[inline(never)]
pub fn mark<V: ToValue + ?Sized>(
    target: Option<&dyn Target>,
    name: &str,
    value: &V,
    kind: Kind,
    attributes: Option<&mut Attributes>,
) {
    let scope = target.map_or_else(stack::current, Target::scope_id);
    // A scope that is named and has no identity: nobody knows it, and 0 would mean another one.
    if target.is_some() && scope == 0 {
        return;
    }
    if let Some(value) = value.to_value() {
        tell(scope, name, value, kind, attributes);
    }
}

pub(crate) fn tell(
    scope: u64,
    name: &str,
    value: Value<'_>,
    kind: Kind,
    attributes: Option<&mut Attributes>,
) {
    let mut bits = u64::from(value.code());
    if kind == Kind::Summary {
        bits |= SUMMARY;
    }
    let (word, len) = match value {
        Value::Int(value) => (value as u64, 0),
        Value::Uint(value) => (value, 0),
        Value::Float(value) => (value.to_bits(), 0),
        Value::Bool(value) => (u64::from(value), 0),
        Value::Text(text) => {
            let kept = cut(text, MAX_TEXT);
            if kept.len() < text.len() {
                bits |= CUT;
            }
            (kept.as_ptr() as u64, kept.len() as u64)
        }
    };
    let attributes = Attributes::bytes_of(attributes);
    sites::mark::hit((
        scope,
        name.as_ptr(),
        name.len() as u64,
        bits,
        word,
        len,
        attributes.as_ptr(),
        attributes.len() as u64,
    ));
}
