//! A dialect: how one family of servers is recognised and read. One folder or file, one row.

use std::fmt::Debug;

use super::facts::{Content, RequestFacts, ResponseFacts};

/// Reads a request's body as it passes, decoded.
pub trait ReadRequest: Debug + Send {
    /// The next bytes.
    fn push(&mut self, bytes: &[u8]);
    /// Bytes are missing here. What was said before them holds.
    fn gap(&mut self);
    /// The body's end: what it says.
    fn finish(&mut self) -> RequestFacts;
}

/// Reads a response as it passes, decoded: one document, or the data of one event after the other.
pub trait ReadResponse: Debug + Send {
    /// The next bytes of the document.
    fn push(&mut self, bytes: &[u8]);
    /// Bytes of the document are missing here.
    fn gap(&mut self);
    /// The document's end, and the beginning of the next. Gives what it carries, as far as it was
    /// seen.
    fn finish(&mut self) -> Content;
    /// What all documents said so far.
    fn facts(&self) -> &ResponseFacts;
}

/// One dialect.
#[derive(Debug)]
pub struct Dialect {
    /// `gen_ai.provider.name`, and the `source` of marks.
    pub name: &'static str,
    /// `gen_ai.operation.name` of a path, `None` for paths that carry no call of this dialect.
    pub operation: fn(&str) -> Option<&'static str>,
    /// A reader for one request.
    pub request: fn() -> Box<dyn ReadRequest>,
    /// A reader for one response.
    pub response: fn() -> Box<dyn ReadResponse>,
}

/// The first of `dialects` that knows `path`, and its operation there.
pub fn of_path(
    dialects: &'static [Dialect],
    path: &str,
) -> Option<(&'static Dialect, &'static str)> {
    dialects
        .iter()
        .find_map(|dialect| Some((dialect, (dialect.operation)(path)?)))
}

/// Reads a response whose dialect is known, or finds out which it is by its shape.
#[derive(Debug)]
pub struct Readers {
    first: Reader,
    /// While no shape is known, and only where no request told the dialect.
    others: Vec<Reader>,
}

#[derive(Debug)]
struct Reader {
    dialect: &'static Dialect,
    reads: Box<dyn ReadResponse>,
}

impl Reader {
    fn new(dialect: &'static Dialect) -> Reader {
        Reader {
            dialect,
            reads: (dialect.response)(),
        }
    }
}

impl Readers {
    /// `known`, or else whichever of `dialects` fits. `None` when there is none to try.
    pub fn new(known: Option<&'static Dialect>, dialects: &'static [Dialect]) -> Option<Readers> {
        let mut all: Vec<Reader> = match known {
            Some(dialect) => vec![Reader::new(dialect)],
            None => dialects.iter().map(Reader::new).collect(),
        };
        if all.is_empty() {
            return None;
        }
        Some(Readers {
            first: all.remove(0),
            others: all,
        })
    }

    /// The dialect, or the first of those that may be it.
    pub fn dialect(&self) -> &'static Dialect {
        self.first.dialect
    }

    /// See [`ReadResponse::facts`].
    pub fn facts(&self) -> &ResponseFacts {
        self.first.reads.facts()
    }

    /// See [`ReadResponse::push`].
    pub fn push(&mut self, bytes: &[u8]) {
        self.all().for_each(|r| r.reads.push(bytes));
    }

    /// See [`ReadResponse::gap`].
    pub fn gap(&mut self) {
        self.all().for_each(|r| r.reads.gap());
    }

    /// See [`ReadResponse::finish`].
    pub fn finish(&mut self) -> Content {
        let content = self.first.reads.finish();
        if self.others.is_empty() {
            return content;
        }
        let others: Vec<Content> = self.others.iter_mut().map(|r| r.reads.finish()).collect();
        if self.facts().shaped {
            self.others.clear();
            return content;
        }
        let fits = self.others.iter().position(|r| r.reads.facts().shaped);
        if let Some(at) = fits {
            self.first = self.others.swap_remove(at);
            self.others.clear();
            return others[at];
        }
        others.into_iter().fold(content, Content::or)
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Reader> {
        std::iter::once(&mut self.first).chain(&mut self.others)
    }
}

#[cfg(test)]
mod tests;
