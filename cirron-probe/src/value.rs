//! Values of marks and attributes: what kinds there are, and how Rust's types become them.
//!
//! It stands between the macros, which take any expression, and the probes, which take words and
//! bytes. A value that no kind can carry is absent, and never another value.

use std::borrow::Cow;

/// The longest text of a value. The Cirron SDK cuts there too.
pub const MAX_TEXT: usize = 256;

/// A value as a probe carries it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A signed integer.
    Int(i64),
    /// An integer that only fits without a sign: above `i64::MAX`.
    Uint(u64),
    /// A floating point number; not finite ones too.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// Text of any length; a probe carries the first [`MAX_TEXT`] bytes, to a whole character.
    Text(&'a str),
}

impl Value<'_> {
    /// The number of the kind in attributes and marks.
    pub(crate) const fn code(&self) -> u8 {
        match self {
            Self::Int(_) => 1,
            Self::Float(_) => 2,
            Self::Bool(_) => 3,
            Self::Text(_) => 4,
            Self::Uint(_) => 5,
        }
    }
}

/// What can be the value of a mark or an attribute.
///
/// `None` is absent: the attribute is left out, the mark is not made.
///
/// ```
/// use cirron_probe::{ToValue, Value};
///
/// assert_eq!(3_u8.to_value(), Some(Value::Int(3)));
/// assert_eq!("warm".to_value(), Some(Value::Text("warm")));
/// assert_eq!(Option::<f64>::None.to_value(), None);
/// ```
pub trait ToValue {
    /// The value, if there is one.
    fn to_value(&self) -> Option<Value<'_>>;
}

macro_rules! integers {
    ($($type:ty)+) => {
        $(impl ToValue for $type {
            fn to_value(&self) -> Option<Value<'_>> {
                match i64::try_from(*self) {
                    Ok(value) => Some(Value::Int(value)),
                    Err(_) => u64::try_from(*self).ok().map(Value::Uint),
                }
            }
        })+
    };
}

integers!(i8 i16 i32 i64 isize u8 u16 u32 u64 usize);

impl ToValue for f32 {
    fn to_value(&self) -> Option<Value<'_>> {
        Some(Value::Float(f64::from(*self)))
    }
}

impl ToValue for f64 {
    fn to_value(&self) -> Option<Value<'_>> {
        Some(Value::Float(*self))
    }
}

impl ToValue for bool {
    fn to_value(&self) -> Option<Value<'_>> {
        Some(Value::Bool(*self))
    }
}

impl ToValue for str {
    fn to_value(&self) -> Option<Value<'_>> {
        Some(Value::Text(self))
    }
}

impl ToValue for String {
    fn to_value(&self) -> Option<Value<'_>> {
        Some(Value::Text(self))
    }
}

impl ToValue for Cow<'_, str> {
    fn to_value(&self) -> Option<Value<'_>> {
        Some(Value::Text(self))
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Option<Value<'_>> {
        self.as_ref().and_then(ToValue::to_value)
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Option<Value<'_>> {
        (**self).to_value()
    }
}

/// The longest beginning of the text that has at most `limit` bytes and ends with a character.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let end = (0..=limit)
        .rev()
        .find(|&end| text.is_char_boundary(end))
        .unwrap_or(0);
    text.get(..end).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_keep_their_value() {
        assert_eq!(i64::MIN.to_value(), Some(Value::Int(i64::MIN)));
        assert_eq!((i64::MAX as u64).to_value(), Some(Value::Int(i64::MAX)));
        assert_eq!(u64::MAX.to_value(), Some(Value::Uint(u64::MAX)));
        assert_eq!(7_usize.to_value(), Some(Value::Int(7)));
    }

    #[test]
    fn text_is_cut_at_a_character() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abc", 2), "ab");
        assert_eq!(cut("a\u{20ac}", 3), "a");
        assert_eq!(cut("\u{20ac}", 2), "");
    }

    #[test]
    fn references_and_options_are_seen_through() {
        let owned = String::from("x");
        assert_eq!(Some(&owned).to_value(), Some(Value::Text("x")));
        assert_eq!((&&1.5_f32).to_value(), Some(Value::Float(1.5)));
        assert_eq!(None::<i32>.to_value(), None);
    }
}
