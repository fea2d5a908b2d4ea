//! The request's body: model, stream, choices, usage. Prompts are passed over.

use crate::body::json::{Container, Finish, JsonSink, Path, Scalar, Scanner, Walk};
use crate::llm::count::count;
use crate::llm::dialect::ReadRequest;
use crate::llm::facts::{RequestFacts, say, switch};

/// Members of which one makes a request of this dialect.
const SHAPES: [&[u8]; 3] = [b"messages", b"prompt", b"input"];

/// Reads a request's body as it passes.
#[derive(Debug)]
pub(crate) struct RequestReader {
    scanner: Scanner,
    facts: RequestFacts,
}

impl Default for RequestReader {
    fn default() -> Self {
        RequestReader {
            scanner: Scanner::new(&[]),
            facts: RequestFacts::default(),
        }
    }
}

impl ReadRequest for RequestReader {
    fn push(&mut self, bytes: &[u8]) {
        self.scanner.push(bytes, &mut Sink(&mut self.facts));
    }

    fn gap(&mut self) {
        self.scanner.gap();
    }

    fn finish(&mut self) -> RequestFacts {
        let finish = self.scanner.finish(&mut Sink(&mut self.facts));
        let mut facts = std::mem::take(&mut self.facts);
        match finish {
            // Without `stream` a whole request asks for none.
            Finish::Complete => {
                facts.stream.get_or_insert(false);
                facts.usage.get_or_insert(false);
                facts
            }
            Finish::Incomplete => facts,
            Finish::Bad => RequestFacts::default(),
        }
    }
}

struct Sink<'a>(&'a mut RequestFacts);

impl Sink<'_> {
    fn member(&mut self, path: &Path) {
        self.0.shaped |= path.depth() == 1 && path.key(0).is_some_and(|k| SHAPES.contains(&k));
    }
}

impl JsonSink for Sink<'_> {
    fn begin(&mut self, path: &Path, container: Container) -> Walk {
        if path.depth() == 0 || path.key(0) == Some(b"stream_options") {
            return Walk::Into;
        }
        self.member(path);
        self.0.prompts |= path.key(0) == Some(b"prompt") && container == Container::Array;
        Walk::Skip
    }

    fn end(&mut self, _: &Path, _: Container) {}

    fn scalar(&mut self, path: &Path, value: Scalar<'_>) {
        self.member(path);
        if path.depth() == 2 && path.key(1) == Some(b"include_usage") {
            self.0.usage = switch(value);
        }
        if path.depth() != 1 {
            return;
        }
        match (path.key(0), value) {
            (Some(b"model"), Scalar::Str { prefix, .. }) => say(&mut self.0.model, prefix),
            (Some(b"stream"), value) => self.0.stream = switch(value),
            // Of speech.
            (Some(b"stream_format"), value) => self.0.stream = Some(value.as_str() == Some("sse")),
            (Some(b"n"), value) => self.0.choices = count(value),
            (_, _) => {}
        }
    }
}
