//! Fields of JSON bodies that marks are made of: where they stand, and their values as they pass.
//!
//! [`FieldSet`] is the sink of a scanner: it walks into those containers that lead to a field, and keeps of each the
//! last scalar. A container and a `null` are no value. Nothing of a document is held but these values.

use crate::body::json::{Container, JsonSink, Path, Scalar, Walk};

use super::schema::{MAX_TEXT_BYTES, Wrong};
use crate::time::MonoNs;

/// Segments of a field's path. JSON of APIs is a few deep.
const MAX_SEGMENTS: usize = 16;

/// Bytes of a text that are kept: as the SDK keeps of a mark's. Past it the text is cut, and says so.
pub(crate) const MAX_FIELD_TEXT_BYTES: usize = 256;

/// Whose body a field is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    Response,
}

/// Where a field stands: `request.params.temperature`, `response.choices.0.score`; without one of these words in
/// front, in the response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldPath {
    pub(crate) side: Side,
    segments: Vec<String>,
}

impl FieldPath {
    pub(super) fn new(text: &str) -> Result<FieldPath, Wrong> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(Wrong::Value);
        }
        let (side, rest) = match (
            text.strip_prefix("request."),
            text.strip_prefix("response."),
        ) {
            (Some(rest), _) => (Side::Request, rest),
            (None, Some(rest)) => (Side::Response, rest),
            (None, None) => (Side::Response, text),
        };
        let segments: Vec<String> = rest.split('.').map(str::to_owned).collect();
        let is_whole = segments.iter().all(|segment| !segment.is_empty());
        if !is_whole || segments.len() > MAX_SEGMENTS {
            return Err(Wrong::Value);
        }
        Ok(FieldPath { side, segments })
    }

    /// With the side in front, as it is written.
    pub(crate) fn shown(&self) -> String {
        let side = match self.side {
            Side::Request => "request",
            Side::Response => "response",
        };
        format!("{side}.{}", self.segments.join("."))
    }

    /// The first segments are those of `path`.
    fn begins_with(&self, path: &Path) -> bool {
        let depth = path.depth();
        depth <= self.segments.len()
            && self
                .segments
                .iter()
                .take(depth)
                .enumerate()
                .all(|(i, segment)| match (path.key(i), path.index(i)) {
                    (Some(key), _) => key == segment.as_bytes(),
                    (None, Some(index)) => segment.parse() == Ok(index),
                    (None, None) => false,
                })
    }
}

/// A scalar of a document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FieldValue {
    Int(i64),
    Float(f64),
    /// `cut`: it was longer.
    Text {
        text: String,
        cut: bool,
    },
    Bool(bool),
}

impl FieldValue {
    fn from_scalar(value: Scalar<'_>) -> Option<FieldValue> {
        match value {
            Scalar::Str { prefix, cut, .. } => {
                let text = &prefix[..prefix.floor_char_boundary(MAX_FIELD_TEXT_BYTES)];
                Some(FieldValue::Text {
                    text: text.to_owned(),
                    cut: cut || text.len() < prefix.len(),
                })
            }
            Scalar::Num(text) => {
                let whole = text.parse().ok().map(FieldValue::Int);
                let float = || text.parse::<f64>().ok().filter(|x| x.is_finite());
                whole.or_else(|| float().map(FieldValue::Float))
            }
            Scalar::Bool(is) => Some(FieldValue::Bool(is)),
            Scalar::Null => None,
        }
    }
}

/// A value, and when it came.
type Seen = (FieldValue, MonoNs);

/// Fields of one body, with what was seen last of each.
#[derive(Debug, Default)]
pub(crate) struct FieldSet {
    fields: Vec<(FieldPath, Option<Seen>)>,
    now: MonoNs,
}

impl FieldSet {
    /// Adds one, unless it is there.
    pub(crate) fn add(&mut self, path: &FieldPath) {
        if !self.fields.iter().any(|(known, _)| known == path) {
            self.fields.push((path.clone(), None));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The last value of a field.
    pub(crate) fn value(&self, path: &FieldPath) -> Option<&Seen> {
        let (_, seen) = self.fields.iter().find(|(known, _)| known == path)?;
        seen.as_ref()
    }

    /// What follows came at `now`.
    pub(crate) fn come(&mut self, now: MonoNs) {
        self.now = now;
    }

    /// What was seen need not be the last: it is forgotten.
    pub(crate) fn forget(&mut self) {
        self.fields.iter_mut().for_each(|(_, value)| *value = None);
    }

    /// Bytes that it holds, about.
    pub(crate) fn held_bytes(&self) -> usize {
        let path = |path: &FieldPath| path.segments.iter().map(|s| s.len() + 24).sum::<usize>();
        let text = |seen: &Option<Seen>| match seen {
            Some((FieldValue::Text { text, .. }, _)) => text.capacity(),
            Some((FieldValue::Int(_) | FieldValue::Float(_) | FieldValue::Bool(_), _)) | None => 0,
        };
        let field = |(p, v): &(FieldPath, _)| size_of::<(FieldPath, Seen)>() + path(p) + text(v);
        self.fields.iter().map(field).sum()
    }
}

impl JsonSink for FieldSet {
    fn begin(&mut self, path: &Path, _: Container) -> Walk {
        let leads = |(field, _): &(FieldPath, _)| {
            field.segments.len() > path.depth() && field.begins_with(path)
        };
        match self.fields.iter().any(leads) {
            true => Walk::Into,
            false => Walk::Skip,
        }
    }

    fn end(&mut self, _: &Path, _: Container) {}

    fn scalar(&mut self, path: &Path, value: Scalar<'_>) {
        for (field, slot) in &mut self.fields {
            let is_it = field.segments.len() == path.depth() && field.begins_with(path);
            if let Some(value) = FieldValue::from_scalar(value).filter(|_| is_it) {
                *slot = Some((value, self.now));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::body::json::Scanner;
    use crate::testing::split::{Fed, assert_split_invariant};

    const FIELDS: [&str; 9] = [
        "result.score",
        "response.choices.1.text",
        "ok",
        "count",
        "big",
        "none",
        "result",
        "long",
        "twice",
    ];

    fn read(document: &[u8]) -> Vec<Option<FieldValue>> {
        let paths = FIELDS.map(|text| FieldPath::new(text).unwrap());
        assert_split_invariant(document, |parts| {
            let mut set = FieldSet::default();
            paths.iter().for_each(|path| set.add(path));
            let mut scanner = Scanner::new(&[]);
            for part in parts {
                match part {
                    Fed::Data(bytes) => scanner.push(bytes, &mut set),
                    Fed::Gap(_) => scanner.gap(),
                }
            }
            let value = |path| set.value(path).map(|(value, _)| value.clone());
            paths.iter().map(value).collect()
        })
    }

    #[test]
    fn values_are_taken_by_their_place_and_kind() {
        let long = "é".repeat(200);
        let document = format!(
            r#"{{"x":{{"score":1}},"result":{{"a":[[{{}}]],"score":0.25}},"choices":[{{"text":"a"}},{{"text":"b\n"}}],
            "ok":false,"count":-3,"big":18446744073709551615,"none":null,"long":"{long}","twice":1,"twice":2}}"#
        );
        let text = |text: &str, cut| {
            let text = text.to_owned();
            Some(FieldValue::Text { text, cut })
        };
        let want = [
            Some(FieldValue::Float(0.25)),
            text("b\n", false),
            Some(FieldValue::Bool(false)),
            Some(FieldValue::Int(-3)),
            Some(FieldValue::Float(18_446_744_073_709_551_615.0)),
            None,
            None,
            text(&"é".repeat(128), true),
            Some(FieldValue::Int(2)),
        ];
        assert_eq!(read(document.as_bytes()), want);
        assert_eq!(read(b"{\"count\":7")[3], None, "it may go on");
        assert_eq!(read(b"{\"count\":7,")[3], Some(FieldValue::Int(7)));
        assert_eq!(read(b"no json"), vec![None; FIELDS.len()]);
    }

    #[test]
    fn paths_have_a_form_and_a_bound() {
        let shown = |text: &str| FieldPath::new(text).map(|path| path.shown()).ok();
        assert_eq!(shown("a.0").as_deref(), Some("response.a.0"));
        assert_eq!(shown("request.a").as_deref(), Some("request.a"));
        assert_eq!(
            shown("response.request.a").as_deref(),
            Some("response.request.a")
        );
        let long = vec!["a"; MAX_SEGMENTS + 1].join(".");
        for bad in [
            "",
            ".",
            "a.",
            "request.",
            &long,
            &"x".repeat(MAX_TEXT_BYTES + 1),
        ] {
            assert_eq!(shown(bad), None, "{bad}");
        }
    }
}
