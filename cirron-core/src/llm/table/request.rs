//! Requests by table.

use super::{Place, Seen, Shapes, leads};
use crate::body::json::{Container, Finish, JsonSink, Path, Scalar, Scanner, Walk};
use crate::llm::count::count;
use crate::llm::dialect::ReadRequest;
use crate::llm::facts::{RequestFacts, say, switch};

/// What a member of a request says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// The model asked for.
    Model,
    /// Whether a stream is.
    Stream,
    /// Choices.
    Choices,
    /// Prompts, if it is a list.
    Prompts,
}

/// One kind of request.
#[derive(Debug)]
pub(crate) struct RequestTable {
    /// What stands where.
    pub rows: &'static [(Place, Ask)],
    /// What makes it one.
    pub shapes: Shapes,
    /// Whether a stream is asked for by a request that does not say; `None` where the path does.
    pub stream: Option<bool>,
}

#[derive(Debug)]
pub(super) struct Reader {
    table: &'static RequestTable,
    scanner: Scanner,
    reading: Reading,
}

#[derive(Debug)]
struct Reading {
    table: &'static RequestTable,
    facts: RequestFacts,
    seen: Seen,
}

impl Reader {
    pub(super) fn new(table: &'static RequestTable) -> Reader {
        Reader {
            table,
            scanner: Scanner::new(&[]),
            reading: Reading {
                table,
                facts: RequestFacts::default(),
                seen: Seen::default(),
            },
        }
    }
}

impl ReadRequest for Reader {
    fn push(&mut self, bytes: &[u8]) {
        self.scanner.push(bytes, &mut self.reading);
    }

    fn gap(&mut self) {
        self.scanner.gap();
    }

    fn finish(&mut self) -> RequestFacts {
        let finish = self.scanner.finish(&mut self.reading);
        let mut facts = std::mem::take(&mut self.reading.facts);
        facts.shaped = self.reading.seen.is_shaped(self.table.shapes);
        match finish {
            Finish::Complete => RequestFacts {
                stream: facts.stream.or(self.table.stream),
                ..facts
            },
            Finish::Incomplete => facts,
            Finish::Bad => RequestFacts::default(),
        }
    }
}

impl JsonSink for Reading {
    fn begin(&mut self, path: &Path, container: Container) -> Walk {
        let is_list = container == Container::Array;
        let prompts = |(place, ask): &(Place, Ask)| *ask == Ask::Prompts && path.is(place);
        self.facts.prompts |= is_list && self.table.rows.iter().any(prompts);
        self.seen.take(self.table.shapes, path, None);
        let wanted = self.table.rows.iter().any(|(place, _)| leads(path, place));
        if wanted || path.depth() == 0 {
            Walk::Into
        } else {
            Walk::Skip
        }
    }

    fn end(&mut self, _: &Path, _: Container) {}

    fn scalar(&mut self, path: &Path, value: Scalar<'_>) {
        self.seen.take(self.table.shapes, path, Some(value));
        for (place, ask) in self.table.rows {
            if !path.is(place) {
                continue;
            }
            match (ask, value) {
                (Ask::Model, Scalar::Str { prefix, .. }) => say(&mut self.facts.model, prefix),
                (Ask::Stream, value) => self.facts.stream = switch(value),
                (Ask::Choices, value) => self.facts.choices = count(value),
                (Ask::Model | Ask::Prompts, _) => {}
            }
        }
    }
}
