//! JSON: an incremental scanner that gives scalars with their paths.
//!
//! Decoded bytes go in by [`Scanner::push`], in pieces of any size; [`JsonSink`] gets the beginning
//! and end of containers and every scalar, with the path of keys and indices that leads to it.
//! Held are the path (bounded depth) and a bounded prefix of one string or number: a body of 5 MB,
//! or a string of 1 MB, costs no more than a small one.
//!
//! Ours, because no library does all three of: take pushed pieces, hold no whole strings, and go on
//! after a hole. It is tested against serde_json, which is the judge of what a document says. It
//! is more lenient than serde_json in three points, none of which changes a value: control
//! characters and invalid UTF-8 inside strings, lone surrogates (U+FFFD), and the inside of
//! containers that the sink skips or that lie deeper than [`MAX_JSON_DEPTH`].
//!
//! [`MAX_JSON_DEPTH`]: crate::limits::MAX_JSON_DEPTH

mod path;
mod resync;
mod scanner;
mod text;

pub use path::{Path, Seg};
pub use scanner::{Finish, Scanner};

/// Kind of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// `{}`
    Object,
    /// `[]`
    Array,
}

/// Whether the inside of a container is of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// Report its members.
    Into,
    /// Pass over it. Its `end` is not reported.
    Skip,
}

/// A scalar value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// A string, its escapes resolved.
    Str {
        /// Its beginning: all of it unless `cut`.
        prefix: &'a str,
        /// Length of the whole string, bytes of UTF-8.
        len: u64,
        /// `prefix` is not the whole string.
        cut: bool,
    },
    /// A number, as written; cut to the same bound as strings.
    Num(&'a str),
    /// `true` or `false`.
    Bool(bool),
    /// `null`
    Null,
}

impl<'a> Scalar<'a> {
    /// A string that was kept whole.
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            Scalar::Str {
                prefix, cut: false, ..
            } => Some(prefix),
            Scalar::Str { .. } | Scalar::Num(_) | Scalar::Bool(_) | Scalar::Null => None,
        }
    }

    /// A whole number that is not negative.
    pub fn as_u64(self) -> Option<u64> {
        match self {
            Scalar::Num(text) => text.parse().ok(),
            Scalar::Str { .. } | Scalar::Bool(_) | Scalar::Null => None,
        }
    }

    /// Neither null, false, 0 nor an empty text.
    pub fn says_something(self) -> bool {
        match self {
            Scalar::Str { prefix, cut, .. } => cut || !prefix.trim().is_empty(),
            Scalar::Num(text) => text.parse() != Ok(0.0),
            Scalar::Bool(is) => is,
            Scalar::Null => false,
        }
    }

    /// A string with at least one byte.
    pub fn is_text(self) -> bool {
        match self {
            Scalar::Str { len, .. } => len > 0,
            Scalar::Num(_) | Scalar::Bool(_) | Scalar::Null => false,
        }
    }
}

/// Takes what [`Scanner`] finds.
pub trait JsonSink {
    /// A container begins; `path` leads to it.
    fn begin(&mut self, path: &Path, container: Container) -> Walk;
    /// A container that was walked into ends; `path` leads to it.
    fn end(&mut self, path: &Path, container: Container);
    /// A scalar; `path` leads to it.
    fn scalar(&mut self, path: &Path, value: Scalar<'_>);
}

#[cfg(test)]
mod tests;
