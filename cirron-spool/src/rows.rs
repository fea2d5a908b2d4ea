//! The rows of a batch as a reader sees them, borrowed from its text.
//!
//! A batch may be anybody's, so a value of an attribute is taken as it comes; what is no scalar is
//! [`Scalar::Other`].

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Text, borrowed where the file has it without escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

/// A value of an attribute or a mark.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Scalar<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A whole number.
    Int(i128),
    /// A number with a point.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// null, or not there.
    #[default]
    Null,
    /// A list or an object.
    Other,
}

/// Attributes, in the file's order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attrs<'a>(pub Vec<(Cow<'a, str>, Scalar<'a>)>);

/// A span.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct SpanRow<'a> {
    /// Its id.
    #[serde(borrow)]
    pub id: Text<'a>,
    /// Its name.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Its parent; `None` for a session root.
    #[serde(borrow)]
    pub parent_id: Option<Text<'a>>,
    /// The index of an indexed scope.
    pub index: Option<i64>,
    /// Wall clock.
    pub start_ns: u64,
    /// `None` while open.
    pub end_ns: Option<u64>,
    /// Processor time where it was measured, in nanoseconds.
    #[serde(borrow, default)]
    pub cpu_ns: Scalar<'a>,
    /// The target's thread.
    #[serde(borrow, default)]
    pub thread_id: Scalar<'a>,
    /// The target's process.
    #[serde(borrow, default)]
    pub pid: Scalar<'a>,
    /// Attributes.
    #[serde(borrow, default)]
    pub attrs: Attrs<'a>,
}

/// A mark.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct MarkRow<'a> {
    /// Its id.
    #[serde(borrow, default)]
    pub id: Text<'a>,
    /// The span it belongs to.
    #[serde(borrow)]
    pub span_id: Text<'a>,
    /// Its name.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Its value; null where it is not finite.
    #[serde(borrow)]
    pub value: Scalar<'a>,
    /// `nan`, `inf`, `-inf`.
    #[serde(borrow)]
    pub value_nonfinite: Option<Text<'a>>,
    /// `point` or `summary`.
    #[serde(borrow)]
    pub kind: Text<'a>,
    /// Wall clock, in nanoseconds.
    #[serde(borrow, default)]
    pub ts_ns: Scalar<'a>,
    /// Attributes.
    #[serde(borrow, default)]
    pub attrs: Attrs<'a>,
}

impl<'a> Attrs<'a> {
    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&Scalar<'a>> {
        self.0
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value)
    }
}

impl Scalar<'_> {
    /// Text, where it is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Scalar::Text(text) => Some(text),
            Scalar::Int(_) | Scalar::Float(_) | Scalar::Bool(_) | Scalar::Null | Scalar::Other => {
                None
            }
        }
    }

    /// A whole number, where it is one.
    pub fn as_int(&self) -> Option<i128> {
        match self {
            Scalar::Int(v) => Some(*v),
            Scalar::Text(_) | Scalar::Float(_) | Scalar::Bool(_) | Scalar::Null | Scalar::Other => {
                None
            }
        }
    }

    /// A number, where it is one.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Scalar::Int(v) => Some(*v as f64),
            Scalar::Float(v) => Some(*v),
            Scalar::Text(_) | Scalar::Bool(_) | Scalar::Null | Scalar::Other => None,
        }
    }

    /// As Python has it.
    pub fn is_truthy(&self) -> bool {
        match self {
            Scalar::Text(text) => !text.is_empty(),
            Scalar::Int(v) => *v != 0,
            Scalar::Float(v) => *v != 0.0,
            Scalar::Bool(v) => *v,
            Scalar::Null => false,
            Scalar::Other => true,
        }
    }

    /// Free of the file's text; of text at most `max` bytes.
    pub fn kept(&self, max: usize) -> Scalar<'static> {
        match self {
            Scalar::Text(text) => Scalar::Text(Cow::Owned(cut(text, max))),
            Scalar::Int(v) => Scalar::Int(*v),
            Scalar::Float(v) => Scalar::Float(*v),
            Scalar::Bool(v) => Scalar::Bool(*v),
            Scalar::Null => Scalar::Null,
            Scalar::Other => Scalar::Other,
        }
    }
}

/// The text, or its beginning with a sign that there is more.
pub fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(max);
    let mut out = text.get(..end).unwrap_or_default().to_owned();
    out.push('…');
    out
}

/// Without quotes: it is for people.
impl fmt::Display for Scalar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Text(text) => f.write_str(text),
            Scalar::Int(v) => write!(f, "{v}"),
            Scalar::Float(v) => write!(f, "{v}"),
            Scalar::Bool(v) => write!(f, "{v}"),
            Scalar::Null => f.write_str("null"),
            Scalar::Other => f.write_str("..."),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_borrowed_str<E: de::Error>(self, v: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(v)))
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(v.to_owned())))
            }
        }
        from.deserialize_str(Visit)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Scalar<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Borrowed(v)))
            }
            fn visit_str<E>(self, v: &str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Owned(v.to_owned())))
            }
            fn visit_bool<E>(self, v: bool) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Bool(v))
            }
            fn visit_i64<E>(self, v: i64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Int(v.into()))
            }
            fn visit_u64<E>(self, v: u64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Int(v.into()))
            }
            fn visit_f64<E>(self, v: f64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Float(v))
            }
            fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Null)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar<'de>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other)
            }
        }
        from.deserialize_any(Visit)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Attrs<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Attrs<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of attributes")
            }
            fn visit_unit<E>(self) -> Result<Attrs<'de>, E> {
                Ok(Attrs::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attrs<'de>, A::Error> {
                let mut attrs = Vec::new();
                while let Some((Text(name), value)) = map.next_entry()? {
                    attrs.push((name, value));
                }
                Ok(Attrs(attrs))
            }
        }
        from.deserialize_any(Visit)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn values_are_taken_as_they_come() {
        let attrs: Attrs<'_> = serde_json::from_str(
            r#"{"a":"x\n","b":-1,"c":18446744073709551615,"d":1.5,"e":true,"f":null,"g":[{"h":1}],"i":{}}"#,
        )
        .unwrap();
        let text: Vec<String> = attrs.0.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(
            text,
            [
                "a=x\n",
                "b=-1",
                "c=18446744073709551615",
                "d=1.5",
                "e=true",
                "f=null",
                "g=...",
                "i=..."
            ]
        );
        let truthy: Vec<bool> = attrs.0.iter().map(|(_, v)| v.is_truthy()).collect();
        assert_eq!(truthy, [true, true, true, true, true, false, true, true]);
    }

    #[test]
    fn a_column_that_is_no_number_costs_its_value_and_not_the_row() {
        let span: SpanRow<'_> = serde_json::from_str(
            r#"{"id":"a","name":"n","parent_id":null,"index":null,"start_ns":1,"end_ns":2,"pid":7,"thread_id":"x"}"#,
        )
        .unwrap();
        assert_eq!(
            (span.pid.as_int(), span.thread_id.as_int()),
            (Some(7), None)
        );
        assert_eq!(span.cpu_ns, Scalar::Null);
        let mark: MarkRow<'_> =
            serde_json::from_str(r#"{"span_id":"a","name":"n","value":1.5,"kind":"point"}"#)
                .unwrap();
        assert_eq!(
            (mark.value.as_number(), mark.ts_ns.as_int()),
            (Some(1.5), None)
        );
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(cut("aéb", 2), "a…");
        assert_eq!(Scalar::Text("abc".into()).kept(2).to_string(), "ab…");
    }
}
