//! A dialect: how one family of servers is recognised and read. One folder or file.

use std::fmt::Debug;

use super::facts::{Content, RequestFacts, ResponseFacts};

/// Reads a request's body as it passes, decoded.
pub(crate) trait ReadRequest: Debug + Send {
    /// The next bytes.
    fn push(&mut self, bytes: &[u8]);
    /// Bytes are missing here. What was said before them holds.
    fn gap(&mut self);
    /// The body's end: what it says.
    fn finish(&mut self) -> RequestFacts;
}

/// Reads a response as it passes, decoded: one document, or the data of one event after the other.
pub(crate) trait ReadResponse: Debug + Send {
    /// The next bytes of the document.
    fn push(&mut self, bytes: &[u8]);
    /// Bytes of the document are missing here.
    fn gap(&mut self);
    /// Bytes behind the document, which are none of it.
    fn raw(&mut self, _bytes: &[u8]) {}
    /// The document that begins is element `at` of an array.
    fn element(&mut self, _at: u64) {}
    /// The document's end, and the beginning of the next. `name`: of the event, where its framing
    /// has one. Gives what it carries, as far as it was seen.
    fn finish(&mut self, name: &str) -> Content;
    /// What all documents said so far.
    fn facts(&self) -> &ResponseFacts;
    /// The document that ended last says that it is the last of its stream. A client may leave at it,
    /// before the body's own end.
    fn is_last(&self) -> bool {
        false
    }
}

/// What a path says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route<'p> {
    /// `gen_ai.operation.name`
    pub operation: &'static str,
    /// The model, where the path names it; percent-encoded as it came.
    pub model: Option<&'p str>,
    /// Whether it is a stream, where the path says that.
    pub stream: Option<bool>,
    /// What a request of the dialect's shape proves on this path.
    pub evidence: Evidence,
}

/// What a request of a dialect's shape proves. The response's shape proves it on every path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// That it is a call.
    Sure,
    /// The same, if it names a model and no answer of another shape speaks against it: other services
    /// have such paths and members.
    Weak,
    /// Nothing: anybody has them.
    None,
}

impl<'p> Route<'p> {
    /// Of which the path says nothing else.
    pub(crate) const fn to(operation: &'static str) -> Route<'p> {
        Route {
            operation,
            model: None,
            stream: None,
            evidence: Evidence::Sure,
        }
    }

    /// On a path that other services have too.
    #[must_use]
    pub(crate) const fn weak(self) -> Route<'p> {
        Route {
            evidence: Evidence::Weak,
            ..self
        }
    }
}

/// A figure that a header field may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// Tokens of the prompt.
    Input,
    /// Tokens of the answer.
    Output,
    /// Of the prompt's tokens, those that came from a cache.
    Cached,
}

/// One dialect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    /// `gen_ai.provider.name`, and the `source` of marks.
    pub name: &'static str,
    /// What a path says, `None` for paths that carry no call of this dialect.
    pub route: fn(&str) -> Option<Route<'_>>,
    /// A reader for one request.
    pub request: fn() -> Box<dyn ReadRequest>,
    /// A reader for one response.
    pub response: fn() -> Box<dyn ReadResponse>,
    /// Fields of the response's head, or of its trailers, that carry usage. Lower case.
    pub headers: &'static [(&'static str, Figure)],
}

/// A row of [`super::dialects`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// Where several dialects may be it, the lowest is. No two have the same.
    pub precedence: u32,
    /// The dialect.
    pub dialect: Dialect,
}

/// `path` without a slash at its end, and cut before its last segment: what is before, and that.
pub(super) fn last_segment(path: &str) -> (&str, &str) {
    let path = path.strip_suffix('/').unwrap_or(path);
    path.rsplit_once('/').unwrap_or(("", path))
}
