//! Bodies of one exchange: decoded, cut into events or documents, read by the dialect.

use crate::body::inflate::Inflate;
use crate::body::sse::{SseEvent, SseParser};
use crate::llm::openai::{RequestReader, ResponseReader};
use crate::llm::{RequestFacts, ResponseFacts};
use crate::scope::tokens::TokenTimes;
use crate::time::MonoNs;

/// The request's body.
#[derive(Debug)]
pub(super) struct RequestBody {
    inflate: Inflate,
    reader: RequestReader,
}

impl RequestBody {
    /// `coding`: the value of its `content-encoding`.
    pub(super) fn new(coding: Option<&str>) -> RequestBody {
        RequestBody {
            inflate: Inflate::new(coding),
            reader: RequestReader::default(),
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let RequestBody { inflate, reader } = self;
        inflate.push(bytes, &mut |bytes| reader.push(bytes));
    }

    pub(super) fn gap(&mut self) {
        self.inflate.gap();
        self.reader.gap();
    }

    pub(super) fn finish(self) -> RequestFacts {
        self.reader.finish()
    }
}

#[derive(Debug)]
enum Shape {
    /// No head was seen: the first bytes will tell.
    Unsure,
    Events(Box<SseParser>),
    Document,
    /// Nothing that we read.
    Other,
}

/// The response's body.
#[derive(Debug)]
pub(super) struct ResponseBody {
    inflate: Inflate,
    shape: Shape,
    reader: ResponseReader,
    pub(super) tokens: TokenTimes,
    /// A hole fell before the first content event, so that its time is not known.
    pub(super) hole_before_first: bool,
    keep_points: bool,
}

impl ResponseBody {
    pub(super) fn new(
        kind: Option<&str>,
        coding: Option<&str>,
        seen_head: bool,
        keep_points: bool,
    ) -> Self {
        let kind = kind.unwrap_or("").to_ascii_lowercase();
        let shape = if kind.starts_with("text/event-stream") {
            Shape::Events(Box::default())
        } else if kind.contains("json") {
            Shape::Document
        } else if seen_head {
            Shape::Other
        } else {
            Shape::Unsure
        };
        ResponseBody {
            inflate: Inflate::new(coding),
            shape,
            reader: ResponseReader::default(),
            tokens: TokenTimes::default(),
            hole_before_first: false,
            keep_points,
        }
    }

    pub(super) fn facts(&self) -> &ResponseFacts {
        self.reader.facts()
    }

    /// Whether its bytes could be decoded.
    pub(super) fn is_decoded(&self) -> bool {
        self.inflate.is_decoding()
    }

    pub(super) fn is_stream(&self) -> bool {
        matches!(self.shape, Shape::Events(_))
    }

    /// Events of the stream that were not read, at least.
    pub(super) fn lost_events(&self) -> u64 {
        match &self.shape {
            Shape::Events(parser) => parser.lost_events(),
            Shape::Unsure | Shape::Document | Shape::Other => 0,
        }
    }

    pub(super) fn push(&mut self, ts: MonoNs, bytes: &[u8]) {
        let ResponseBody {
            inflate,
            shape,
            reader,
            tokens,
            keep_points,
            ..
        } = self;
        if matches!(shape, Shape::Other) {
            return;
        }
        inflate.push(bytes, &mut |bytes| {
            if matches!(shape, Shape::Unsure)
                && let Some(parser) = joined(bytes)
            {
                *shape = Shape::Events(Box::new(parser));
            }
            match shape {
                Shape::Events(parser) => parser.push(bytes, &mut |event: SseEvent<'_>| {
                    tokens.take(ts, reader.event(event.data), *keep_points);
                }),
                Shape::Document => reader.push(bytes),
                Shape::Unsure | Shape::Other => {}
            }
        });
    }

    pub(super) fn gap(&mut self) {
        self.inflate.gap();
        self.hole_before_first |= self.tokens.first.is_none();
        match &mut self.shape {
            Shape::Events(parser) => parser.gap(),
            Shape::Document => self.reader.gap(),
            Shape::Unsure | Shape::Other => {}
        }
    }

    /// No more comes: a document means what it said.
    pub(super) fn end(&mut self) {
        if matches!(self.shape, Shape::Document) {
            self.reader.finish();
            self.shape = Shape::Other;
        }
    }
}

/// A parser for a stream that was joined in its middle: any line of an event gives it away.
fn joined(bytes: &[u8]) -> Option<SseParser> {
    let at_line = bytes.starts_with(b"data:") || bytes.starts_with(b"event:");
    if !at_line && memchr::memmem::find(bytes, b"\ndata:").is_none() {
        return None;
    }
    let mut parser = SseParser::default();
    if !at_line {
        parser.gap();
    }
    Some(parser)
}
