//! The path to a JSON value: object keys and array indices, in one reused allocation.

use super::Container;
use crate::cut::upto;
use crate::limits::MAX_JSON_SCALAR_BYTES;

#[derive(Clone, Copy, Debug)]
enum PathPart {
    /// Where in `keys` its text stands; empty before a key was seen.
    Key {
        start: usize,
        end: usize,
        cut: bool,
    },
    Index(u64),
}

/// One segment of a pattern for [`Path::is`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seg {
    /// This key.
    K(&'static str),
    /// Any array index.
    Any,
}

/// Where a value stands.
#[derive(Debug, Default)]
pub struct Path {
    steps: Vec<PathPart>,
    keys: Vec<u8>,
    after_hole: bool,
}

impl Path {
    /// Number of segments: 0 at the root.
    pub fn depth(&self) -> usize {
        self.steps.len()
    }

    /// The key at segment `i`, if that is a key of known text.
    pub fn key(&self, i: usize) -> Option<&[u8]> {
        match *self.steps.get(i)? {
            PathPart::Key {
                start,
                end,
                cut: false,
            } => self.keys.get(start..end),
            PathPart::Key { cut: true, .. } | PathPart::Index(_) => None,
        }
    }

    /// The index at segment `i`, if that is an array index.
    pub fn index(&self, i: usize) -> Option<u64> {
        match *self.steps.get(i)? {
            PathPart::Index(n) => Some(n),
            PathPart::Key { .. } => None,
        }
    }

    /// Whether the path is exactly `pattern`.
    pub fn is(&self, pattern: &[Seg]) -> bool {
        self.steps.len() == pattern.len() && self.starts_with(pattern)
    }

    /// Whether the path begins with `pattern`.
    pub fn starts_with(&self, pattern: &[Seg]) -> bool {
        self.steps.len() >= pattern.len()
            && pattern.iter().enumerate().all(|(i, seg)| match *seg {
                Seg::K(key) => self.key(i) == Some(key.as_bytes()),
                Seg::Any => self.index(i).is_some(),
            })
    }

    /// The value was found by its key behind a hole: what stands above it is assumed, not seen.
    pub fn after_hole(&self) -> bool {
        self.after_hole
    }

    pub(super) fn clear(&mut self) {
        self.steps.clear();
        self.keys.clear();
        self.after_hole = false;
    }

    /// Stand at the top-level member `key`, found behind a hole.
    pub(super) fn assume(&mut self, key: &str) {
        self.clear();
        self.after_hole = true;
        self.push(Container::Object);
        self.set_key(key.as_bytes(), false);
    }

    pub(super) fn push(&mut self, container: Container) {
        self.steps.push(match container {
            Container::Object => PathPart::Key {
                start: self.keys.len(),
                end: self.keys.len(),
                cut: false,
            },
            Container::Array => PathPart::Index(0),
        });
    }

    pub(super) fn pop(&mut self) -> Option<Container> {
        match self.steps.pop()? {
            PathPart::Key { start, .. } => {
                self.keys.truncate(start);
                Some(Container::Object)
            }
            PathPart::Index(_) => Some(Container::Array),
        }
    }

    /// The container that the scanner is in.
    pub(super) fn container(&self) -> Option<Container> {
        self.steps.last().map(|s| match s {
            PathPart::Key { .. } => Container::Object,
            PathPart::Index(_) => Container::Array,
        })
    }

    pub(super) fn set_key(&mut self, key: &[u8], cut: bool) {
        if let Some(PathPart::Key { start, end, cut: c }) = self.steps.last_mut() {
            *c = cut;
            self.keys.truncate(*start);
            self.keys
                .extend_from_slice(upto(key, MAX_JSON_SCALAR_BYTES));
            *end = self.keys.len();
        }
    }

    pub(super) fn next_index(&mut self) {
        if let Some(PathPart::Index(n)) = self.steps.last_mut() {
            *n += 1;
        }
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            match step {
                PathPart::Index(n) => write!(f, "/{n}")?,
                PathPart::Key { .. } => {
                    let key = self.key(i).unwrap_or(b"?");
                    write!(f, "/{}", String::from_utf8_lossy(key))?;
                }
            }
        }
        Ok(())
    }
}
