//! Bodies of one exchange: decoded, cut into events or documents, read by the dialect.

use serde_json::Value;

use crate::body::inflate::Inflate;
use crate::body::sse::{SseEvent, SseParser};
use crate::llm::openai::{RequestFacts, ResponseFacts, Usage};
use crate::time::MonoNs;

/// Bytes of a request body that are kept to be read. A prompt of 100 000 tokens takes about half
/// of it. Past it the request's own model name is unknown.
const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// Bytes of a JSON response that are kept to be read; embeddings of a large batch take some
/// megabytes. Past it only the tail is searched for usage.
const MAX_RESPONSE_BYTES: usize = 8 * 1024 * 1024;

/// Bytes of the tail that is kept once the whole is not.
const TAIL_BYTES: usize = 64 * 1024;

/// A JSON document that arrives in pieces; after a hole or past a bound, only its tail.
#[derive(Debug)]
pub(super) struct Document {
    bytes: Vec<u8>,
    limit: usize,
    tail_only: bool,
}

impl Document {
    pub(super) fn request() -> Document {
        Document {
            bytes: Vec::new(),
            limit: MAX_REQUEST_BYTES,
            tail_only: false,
        }
    }

    pub(super) fn response() -> Document {
        Document {
            bytes: Vec::new(),
            limit: MAX_RESPONSE_BYTES,
            tail_only: false,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if !self.tail_only && self.bytes.len() + bytes.len() > self.limit {
            self.gap();
        }
        self.bytes.extend_from_slice(bytes);
        if self.tail_only && self.bytes.len() > 2 * TAIL_BYTES {
            let cut = self.bytes.len() - TAIL_BYTES;
            self.bytes.drain(..cut);
        }
    }

    pub(super) fn gap(&mut self) {
        self.tail_only = true;
        let cut = self.bytes.len().saturating_sub(TAIL_BYTES);
        self.bytes.drain(..cut);
    }

    pub(super) fn request_facts(&self) -> RequestFacts {
        if self.tail_only {
            return RequestFacts::default();
        }
        serde_json::from_slice(&self.bytes)
            .map(|json| RequestFacts::from_json(&json))
            .unwrap_or_default()
    }

    pub(super) fn read_into(&self, facts: &mut ResponseFacts) {
        if !self.tail_only {
            if let Ok(json) = serde_json::from_slice(&self.bytes) {
                facts.absorb(&json);
            }
            return;
        }
        const KEY: &[u8] = b"\"usage\"";
        let Some(at) = memchr::memmem::rfind(&self.bytes, KEY) else {
            return;
        };
        let rest = self.bytes[at + KEY.len()..].trim_ascii_start();
        let Some(rest) = rest.strip_prefix(b":") else {
            return;
        };
        let first = serde_json::Deserializer::from_slice(rest)
            .into_iter::<Value>()
            .next();
        if let Some(Ok(usage)) = first
            && let Some(usage) = Usage::from_json(&usage)
        {
            facts.usage = Some(usage);
        }
    }
}

/// Times of the events that carried content.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenTimes {
    pub(super) first: Option<MonoNs>,
    pub(super) last: Option<MonoNs>,
    pub(super) count: u64,
    pub(super) largest_gap_ns: u64,
    /// One for each content event after the first, where asked for.
    pub(super) points: Vec<(MonoNs, u64)>,
}

impl TokenTimes {
    fn content(&mut self, ts: MonoNs, keep_points: bool) {
        if let Some(last) = self.last {
            let gap = ts.since(last);
            self.largest_gap_ns = self.largest_gap_ns.max(gap);
            if keep_points && self.points.len() < crate::limits::MAX_CHUNK_POINTS {
                self.points.push((ts, gap));
            }
        }
        self.first = self.first.or(Some(ts));
        self.last = Some(ts);
        self.count += 1;
    }
}

#[derive(Debug)]
enum Shape {
    /// No head was seen: the first bytes will tell.
    Unsure,
    Events(Box<SseParser>),
    Document(Document),
    /// Nothing that we read.
    Other,
}

/// The response's body.
#[derive(Debug)]
pub(super) struct ResponseBody {
    inflate: Inflate,
    shape: Shape,
    pub(super) facts: ResponseFacts,
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
            Shape::Document(Document::response())
        } else if seen_head {
            Shape::Other
        } else {
            Shape::Unsure
        };
        ResponseBody {
            inflate: Inflate::new(coding),
            shape,
            facts: ResponseFacts::default(),
            tokens: TokenTimes::default(),
            hole_before_first: false,
            keep_points,
        }
    }

    /// Whether its bytes could be decoded.
    pub(super) fn is_decoded(&self) -> bool {
        self.inflate.is_decoding()
    }

    pub(super) fn is_stream(&self) -> bool {
        matches!(self.shape, Shape::Events(_))
    }

    pub(super) fn push(&mut self, ts: MonoNs, bytes: &[u8]) {
        let ResponseBody {
            inflate,
            shape,
            facts,
            tokens,
            keep_points,
            ..
        } = self;
        if matches!(shape, Shape::Other) {
            return;
        }
        inflate.push(bytes, &mut |bytes| {
            if matches!(shape, Shape::Unsure) {
                // Joined inside a stream: any event line gives it away.
                let sse = bytes.starts_with(b"data:")
                    || bytes.starts_with(b"event:")
                    || memchr::memmem::find(bytes, b"\ndata:").is_some();
                if !sse {
                    return;
                }
                let mut parser = SseParser::default();
                if !bytes.starts_with(b"data:") && !bytes.starts_with(b"event:") {
                    parser.gap();
                }
                *shape = Shape::Events(Box::new(parser));
            }
            match shape {
                Shape::Events(parser) => parser.push(bytes, &mut |event: SseEvent<'_>| {
                    if let Ok(json) = serde_json::from_slice(event.data)
                        && facts.absorb(&json)
                    {
                        tokens.content(ts, *keep_points);
                    }
                }),
                Shape::Document(document) => document.push(bytes),
                Shape::Unsure | Shape::Other => {}
            }
        });
    }

    pub(super) fn gap(&mut self) {
        self.inflate.gap();
        self.hole_before_first |= self.tokens.first.is_none();
        match &mut self.shape {
            Shape::Events(parser) => parser.gap(),
            Shape::Document(document) => document.gap(),
            Shape::Unsure | Shape::Other => {}
        }
    }

    pub(super) fn end(&mut self) {
        if let Shape::Document(document) = &self.shape {
            document.read_into(&mut self.facts);
            self.shape = Shape::Other;
        }
    }
}
