//! Which dialect an exchange speaks: those that know its path, then those whose shape it has.
//!
//! ```text
//!  path -> candidates -> request's body: those whose shape it has, if any -> response: the same
//! ```
//! Without a path (it was not seen) every dialect is a candidate for the response. The first that
//! fits has it.

use std::borrow::Cow;

use super::dialect::{Dialect, Evidence, ReadRequest, ReadResponse};
use super::facts::{Content, RequestFacts, ResponseFacts};

/// A dialect that may be the one, with its route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// Which.
    pub dialect: &'static Dialect,
    /// `gen_ai.operation.name`
    pub operation: &'static str,
    /// Whether the path says that it is a stream.
    pub stream: Option<bool>,
    /// What a request of its shape proves.
    pub evidence: Evidence,
}

/// Those of `dialects` that know `path`, with the model that it names for each.
pub(crate) fn of_path(
    dialects: &'static [Dialect],
    path: &str,
) -> Vec<(Candidate, Option<String>)> {
    // A colon may be encoded (AWS' clients do that to the version of a model) and means the same.
    let path = match path.contains('%') {
        true => Cow::Owned(path.replace("%3A", ":").replace("%3a", ":")),
        false => Cow::Borrowed(path),
    };
    let candidates = dialects.iter().filter_map(|d| candidate(d, &path));
    candidates.collect()
}

/// `dialect` as the one of `path`, if it knows it.
pub(crate) fn candidate(
    dialect: &'static Dialect,
    path: &str,
) -> Option<(Candidate, Option<String>)> {
    let route = (dialect.route)(path)?;
    let candidate = Candidate {
        dialect,
        operation: route.operation,
        stream: route.stream,
        evidence: route.evidence,
    };
    let model = route.model.filter(|model| !model.is_empty());
    Some((candidate, model.map(decoded)))
}

/// The text of a path's segment (RFC 3986, section 2.1).
fn decoded(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment)
        .decode_utf8_lossy()
        .into_owned()
}

/// Bytes that one reader holds, about: a path, the beginning of one text, and what it was told.
/// `cirron-core/tests/memory.rs` keeps it true.
const READER_BYTES: usize = 1_536;

/// Reads a request for each of its candidates.
#[derive(Debug)]
pub(crate) struct Requests(Vec<(Candidate, Option<String>, Box<dyn ReadRequest>)>);

impl Requests {
    /// For the candidates of a path.
    pub(crate) fn new(candidates: Vec<(Candidate, Option<String>)>) -> Requests {
        let reader = |(c, model): (Candidate, Option<String>)| (c, model, (c.dialect.request)());
        Requests(candidates.into_iter().map(reader).collect())
    }

    /// See [`ReadRequest::push`].
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.0.iter_mut().for_each(|(.., r)| r.push(bytes));
    }

    /// See [`ReadRequest::gap`].
    pub(crate) fn gap(&mut self) {
        self.0.iter_mut().for_each(|(.., r)| r.gap());
    }

    /// Bytes that they hold, about.
    pub(crate) fn held_bytes(&self) -> usize {
        self.0.len() * READER_BYTES
    }

    /// What the body says to each candidate that is left: those whose shape it has, else all.
    pub(crate) fn finish(self) -> Vec<(Candidate, RequestFacts)> {
        let read = |(c, model, mut reader): (Candidate, Option<String>, Box<dyn ReadRequest>)| {
            let mut facts = reader.finish();
            facts.model = facts.model.or(model);
            facts.stream = c.stream.or(facts.stream);
            (c, facts)
        };
        let all: Vec<_> = self.0.into_iter().map(read).collect();
        if all.iter().any(|(_, facts)| facts.shaped) {
            return all.into_iter().filter(|(_, f)| f.shaped).collect();
        }
        all
    }
}

/// Reads a response whose dialect is known, or finds out which it is by its shape.
#[derive(Debug)]
pub(crate) struct Readers {
    first: Reader,
    /// While no shape is known.
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
    /// Whichever of `dialects` fits; the first, while none does. `None` when there is none to try.
    pub(crate) fn new(dialects: impl IntoIterator<Item = &'static Dialect>) -> Option<Readers> {
        let mut all: Vec<Reader> = dialects.into_iter().map(Reader::new).collect();
        if all.is_empty() {
            return None;
        }
        Some(Readers {
            first: all.remove(0),
            others: all,
        })
    }

    /// The dialect, or the first of those that may be it.
    pub(crate) fn dialect(&self) -> &'static Dialect {
        self.first.dialect
    }

    /// See [`ReadResponse::facts`].
    pub(crate) fn facts(&self) -> &ResponseFacts {
        self.first.reads.facts()
    }

    /// See [`ReadResponse::is_last`].
    pub(crate) fn is_last(&self) -> bool {
        self.first.reads.is_last()
    }

    /// See [`ReadResponse::push`].
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.all().for_each(|r| r.reads.push(bytes));
    }

    /// See [`ReadResponse::gap`].
    pub(crate) fn gap(&mut self) {
        self.all().for_each(|r| r.reads.gap());
    }

    /// See [`ReadResponse::raw`].
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.all().for_each(|r| r.reads.raw(bytes));
    }

    /// See [`ReadResponse::element`].
    pub(crate) fn element(&mut self, at: u64) {
        self.all().for_each(|r| r.reads.element(at));
    }

    /// See [`ReadResponse::finish`].
    pub(crate) fn finish(&mut self, name: &str) -> Content {
        let content = self.first.reads.finish(name);
        if self.others.is_empty() {
            return content;
        }
        let finish = |r: &mut Reader| r.reads.finish(name);
        let others: Vec<Content> = self.others.iter_mut().map(finish).collect();
        if self.facts().shaped {
            self.others.clear();
            return content;
        }
        let fits = self.others.iter().position(|r| r.reads.facts().shaped);
        if let Some(at) = fits {
            self.first = self.others.swap_remove(at);
            self.others.clear();
            return others.get(at).copied().unwrap_or(content);
        }
        others.into_iter().fold(content, Content::or)
    }

    /// Bytes that they hold, about.
    pub(crate) fn held_bytes(&self) -> usize {
        READER_BYTES * (1 + self.others.len()) + self.facts().held_bytes()
    }

    /// Nothing more comes: only what the first was told is kept.
    pub(crate) fn give_up(&mut self) {
        self.others = Vec::new();
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Reader> {
        std::iter::once(&mut self.first).chain(&mut self.others)
    }
}

#[cfg(test)]
mod tests;
