//! The response's body: decoded, cut into events or documents (by its first bytes, see
//! [`super::sniff`]), read by the dialect.
//!
//! Nothing of it is held here beyond what the decoders need. A hole, a late beginning, and a
//! coding that cannot be undone are one thing to the reader: events may be missing.

use super::joined::{Guess, Joined};
use super::last::{Finished, Last};
use super::sniff::{Found, Framing, Sniff};
use super::tokens::TokenTimes;
use super::told::Told;
use crate::body::aws_events::AwsEvents;
use crate::body::documents::Documents;
use crate::body::events::{EventEnd, EventSink};
use crate::body::grpc::{GrpcMessages, Part};
use crate::body::headed::{Headed, LENGTH_FIELD};
use crate::body::inflate::Inflate;
use crate::body::sse::SseParser;
use crate::llm::{Dialect, Readers, ResponseFacts};
use crate::proto::message::Headers;
use crate::time::MonoNs;

#[derive(Debug)]
enum Shape {
    /// No head was seen: the bytes will tell.
    Unsure(Guess),
    /// Its first bytes will tell.
    Sniff(Sniff),
    Sse(SseParser),
    Documents(Documents),
    Aws(AwsEvents),
    Headed(Headed),
    Grpc(GrpcMessages),
    /// Nothing that we read.
    Other,
}

impl Shape {
    fn reading(found: Found) -> Shape {
        match found {
            Found::Events => Shape::Sse(SseParser::default()),
            Found::Documents(parser) => Shape::Documents(parser),
            Found::Aws => Shape::Aws(AwsEvents::default()),
            Found::Other => Shape::Other,
        }
    }

    fn push(&mut self, bytes: &[u8], sink: &mut Events<'_>) {
        match self {
            Shape::Sse(parser) => parser.push(bytes, sink),
            Shape::Documents(parser) => parser.push(bytes, sink),
            Shape::Aws(parser) => parser.push(bytes, sink),
            Shape::Headed(parser) => parser.push(bytes, sink),
            Shape::Unsure(_) | Shape::Sniff(_) | Shape::Grpc(_) | Shape::Other => {}
        }
    }
}

/// Whether what was found is a stream, as far as its first bytes tell. An array that is written piece
/// by piece has the type of one that is not; a document under the type of events is one answer.
fn is_stream_of(found: &Found, declared: Option<Framing>, asked: Option<bool>) -> bool {
    match (found, declared) {
        (Found::Events | Found::Aws, _) | (Found::Documents(_), Some(Framing::Lines)) => true,
        (Found::Documents(_), Some(Framing::Sse | Framing::Aws)) | (Found::Other, _) => false,
        (Found::Documents(_), Some(Framing::Values) | None) => asked == Some(true),
    }
}

/// The response's body.
#[derive(Debug)]
pub(super) struct ResponseBody {
    inflate: Inflate,
    shape: Shape,
    readers: Readers,
    pub(super) tokens: TokenTimes,
    is_stream: bool,
    /// Of a form that nobody reads.
    is_other: bool,
    last: Last,
    /// When bytes came last.
    latest: MonoNs,
    lost_events: u64,
    /// Of those, the ones before the last guess.
    lost_before: u64,
    broken: bool,
    keep_points: bool,
    /// Its beginning, or what it is, was not seen.
    joined: bool,
    /// Whether the request asks for a stream, where that is known.
    asked: Option<bool>,
    /// Its events so far. One document alone need not be a stream.
    events: u64,
    /// What was reported of its tokens.
    pub(super) told: Told,
}

impl ResponseBody {
    /// `head`: its header fields, `None` where they were not seen; `stream`: whether the request is
    /// known to ask for one.
    pub(super) fn new(
        readers: Readers,
        head: Option<&Headers>,
        stream: Option<bool>,
        keep_points: bool,
    ) -> Self {
        let kind = head.and_then(|h| h.get_str("content-type"));
        let kind = kind.unwrap_or_default().to_ascii_lowercase();
        let framing = Framing::declared(&kind);
        let headed = Headed::new(head.and_then(|h| h.get_str(LENGTH_FIELD)));
        let (shape, is_stream) = match (head, framing) {
            (Some(_), _) if headed.is_some() => (headed.map_or(Shape::Other, Shape::Headed), false),
            (None, _) => (Shape::Unsure(Guess::default()), false),
            // HTTP/2, joined late: what it is was said before.
            (Some(h), _) if kind.is_empty() && h.unknown > 0 => {
                (Shape::Unsure(Guess::default()), false)
            }
            (Some(_), _) => (Shape::Sniff(Sniff::new(framing)), false),
        };
        let coding = head
            .map(|h| h.joined("content-encoding"))
            .unwrap_or_default();
        let mut body = ResponseBody {
            inflate: Inflate::new(Some(&coding)),
            is_other: false,
            asked: stream,
            joined: matches!(shape, Shape::Unsure(_)),
            last: Last::default(),
            latest: MonoNs(0),
            shape,
            readers,
            tokens: TokenTimes::default(),
            is_stream,
            lost_events: 0,
            lost_before: 0,
            broken: false,
            keep_points,
            events: 0,
            told: Told::default(),
        };
        if head.is_none() {
            body.joined_late();
        }
        body
    }

    /// Of a gRPC call. `head`: the header fields, `None` where they were not seen; `stream`: whether
    /// its method gives many messages.
    pub(super) fn of_grpc(
        readers: Readers,
        head: Option<&Headers>,
        stream: Option<bool>,
        keep_points: bool,
    ) -> Self {
        let encoding = head.and_then(|h| h.get_str("grpc-encoding"));
        ResponseBody {
            inflate: Inflate::new(None),
            shape: Shape::Grpc(GrpcMessages::reading(encoding.unwrap_or_default())),
            readers,
            tokens: TokenTimes::default(),
            is_stream: stream == Some(true),
            is_other: false,
            asked: stream,
            joined: false,
            last: Last::default(),
            latest: MonoNs(0),
            lost_events: 0,
            lost_before: 0,
            broken: false,
            keep_points,
            events: 0,
            told: Told::default(),
        }
    }

    /// Its beginning, or that of its exchange, was not seen.
    pub(super) fn joined_late(&mut self) {
        self.broken = true;
        self.tokens.hole();
    }

    pub(super) fn facts(&self) -> &ResponseFacts {
        self.readers.facts()
    }

    /// It went on with content after its client had left.
    pub(super) fn wrote_to_nobody(&self) -> bool {
        self.is_stream && self.tokens.to_nobody > 0
    }

    /// The client may have left: what comes later than `from` is for nobody, if it has.
    pub(super) fn leave(&mut self, from: MonoNs) {
        self.told.leave(from);
        self.tokens.leave(from);
    }

    /// Whether it has left is known now.
    pub(super) fn settle(&mut self, has_left: bool) {
        self.tokens.settle(has_left);
        self.told.settle(has_left);
    }

    pub(super) fn dialect(&self) -> &'static Dialect {
        self.readers.dialect()
    }

    /// Whether its bytes could be decoded.
    pub(super) fn is_decoded(&self) -> bool {
        self.inflate.is_decoding()
    }

    /// Bytes that it holds, about.
    pub(super) fn held_bytes(&self) -> usize {
        let shape = match &self.shape {
            Shape::Grpc(messages) => messages.held_bytes(),
            Shape::Unsure(_)
            | Shape::Sniff(_)
            | Shape::Sse(_)
            | Shape::Documents(_)
            | Shape::Aws(_)
            | Shape::Headed(_)
            | Shape::Other => 0,
        };
        let inflate = self.inflate.held_bytes();
        inflate + shape + self.readers.held_bytes() + self.tokens.held_bytes()
    }

    /// Reads no further: what its decoders and readers hold is free. What it has said so far stands.
    pub(super) fn give_up(&mut self) {
        self.lose();
        self.inflate.stop();
        self.shape = Shape::Other;
        self.readers.give_up();
        self.tokens.give_up();
    }

    /// When its events said that they were all.
    pub(super) fn done_at(&self) -> Option<MonoNs> {
        self.last.at()
    }

    /// It speaks as nobody of its dialects does: it, or an event of it, was read from its beginning, and has
    /// no shape of theirs and tells of no error. `ended`: it came to its end.
    pub(super) fn is_of_another(&self, ended: bool) -> bool {
        let facts = self.facts();
        let was_read = self.is_other || self.events > 0 || ended;
        was_read && self.is_unbroken() && !facts.shaped && facts.error.is_none()
    }

    /// The choices that ended, if nothing speaks against it.
    pub(super) fn finished(&self) -> Option<Finished> {
        self.last.finished()
    }

    /// It has a form that is read, at least once what a dialect writes, and a coding that could be undone.
    pub(super) fn is_read(&self) -> bool {
        let undecided = matches!(&self.shape, Shape::Sniff(sniff) if sniff.declared().is_none());
        let unreadable = self.events > 0 && self.facts().unreadable >= self.events;
        !self.is_other && !undecided && !unreadable && self.is_decoded()
    }

    pub(super) fn is_stream(&self) -> bool {
        self.is_stream
    }

    /// No event of it can be missing, up to where it was seen.
    pub(super) fn is_unbroken(&self) -> bool {
        !self.broken && self.is_decoded()
    }

    /// Holes at which events of the stream were passed over.
    pub(super) fn lost_events(&self) -> u64 {
        self.lost_events
    }

    pub(super) fn push(&mut self, ts: MonoNs, bytes: &[u8]) {
        let ResponseBody {
            inflate,
            shape,
            readers,
            tokens,
            told,
            is_stream,
            keep_points,
            last,
            latest,
            lost_events,
            broken,
            events,
            joined: joined_late,
            asked,
            is_other,
            ..
        } = self;
        if *is_other {
            return;
        }
        *latest = ts;
        let decoding = inflate.is_decoding();
        inflate.push(bytes, &mut |mut bytes| {
            let mut sink = Events {
                readers,
                tokens,
                told,
                last,
                ts,
                keep_points: *keep_points,
                events,
            };
            if let Shape::Sniff(sniff) = shape {
                let declared = sniff.declared();
                let Some((found, held, rest)) = sniff.push(bytes) else {
                    return;
                };
                // Some answer with one document whatever was asked: another shows that it is a stream.
                let is_one = declared != Some(Framing::Lines) && held.first() == Some(&b'{');
                *is_stream = is_stream_of(&found, declared, *asked) && !is_one;
                *shape = Shape::reading(found);
                *is_other = matches!(shape, Shape::Other);
                shape.push(&held, &mut sink);
                bytes = rest;
            }
            if let Shape::Unsure(guess) = shape {
                let Some((joined, rest)) = guess.push(bytes, &mut sink) else {
                    return;
                };
                *shape = match joined {
                    Joined::Events(parser) => {
                        *is_stream = true;
                        Shape::Sse(parser)
                    }
                    Joined::Documents(parser) => Shape::Documents(parser),
                    Joined::Aws(parser) => {
                        *is_stream = true;
                        Shape::Aws(parser)
                    }
                };
                bytes = rest;
            }
            if let Shape::Grpc(messages) = shape {
                messages.push(bytes, &mut |part| {
                    *broken |= sink.message(part, lost_events);
                });
            }
            shape.push(bytes, &mut sink);
        });
        let in_a_row = match shape {
            Shape::Documents(parser) => !parser.is_array(),
            Shape::Unsure(_)
            | Shape::Sniff(_)
            | Shape::Sse(_)
            | Shape::Aws(_)
            | Shape::Headed(_)
            | Shape::Grpc(_)
            | Shape::Other => *joined_late,
        };
        *is_stream |= in_a_row && *events > 1;
        if decoding && !self.inflate.is_decoding() {
            self.lose();
        }
    }

    /// Bytes are missing here; 0: how many is not known.
    pub(super) fn gap(&mut self, len: u64) {
        self.inflate.gap();
        if let Shape::Grpc(_) = self.shape {
            self.broken = true;
            self.tokens.hole();
            self.told.lose();
            self.in_grpc(|messages, out| messages.gap(len, out));
            return;
        }
        self.lose();
    }

    fn in_grpc(&mut self, work: impl FnOnce(&mut GrpcMessages, &mut dyn FnMut(Part<'_>))) {
        let mut lost_events = self.lost_events;
        let broken = self.in_shape(|shape, sink| {
            let mut broken = false;
            if let Shape::Grpc(messages) = shape {
                work(messages, &mut |part| {
                    broken |= sink.message(part, &mut lost_events);
                });
            }
            broken
        });
        self.lost_events = lost_events;
        self.broken |= broken;
    }

    fn lose(&mut self) {
        self.broken = true;
        self.tokens.hole();
        self.told.lose();
        if let Shape::Sniff(sniff) = &self.shape {
            // The bytes can no longer tell, so that the type does.
            let found = sniff.by_type();
            self.joined |= sniff.declared().is_none();
            self.is_stream = is_stream_of(&found, sniff.declared(), self.asked);
            self.shape = match found {
                Found::Other => Shape::Unsure(Guess::behind_hole()),
                found @ (Found::Events | Found::Documents(_) | Found::Aws) => Shape::reading(found),
            };
        }
        self.in_shape(|shape, sink| match shape {
            Shape::Sse(parser) => parser.gap(sink),
            Shape::Documents(parser) => parser.gap(sink),
            Shape::Aws(parser) => parser.gap(sink),
            Shape::Headed(parser) => parser.gap(sink),
            Shape::Unsure(guess) => *guess = Guess::behind_hole(),
            Shape::Sniff(_) | Shape::Grpc(_) | Shape::Other => {}
        });
        if self.joined && matches!(self.shape, Shape::Documents(_)) {
            self.lost_before += self.end_shape();
            self.shape = Shape::Unsure(Guess::behind_hole());
        }
    }

    /// No more comes: what is under way means what it said.
    pub(super) fn end(&mut self) {
        if let Shape::Grpc(_) = self.shape {
            return self.in_grpc(|messages, out| messages.finish(out));
        }
        self.lost_events = self.lost_before + self.end_shape();
    }

    /// Gives the holes behind which something had to be passed over.
    fn end_shape(&mut self) -> u64 {
        self.in_shape(|shape, sink| match shape {
            Shape::Sse(parser) => {
                parser.finish(sink);
                parser.lost_events()
            }
            Shape::Documents(parser) => {
                parser.finish(sink);
                parser.lost_events()
            }
            Shape::Aws(parser) => {
                parser.finish(sink);
                parser.lost_events()
            }
            Shape::Headed(parser) => {
                parser.finish(sink);
                parser.lost_events()
            }
            Shape::Unsure(_) | Shape::Sniff(_) | Shape::Grpc(_) | Shape::Other => 0,
        })
    }

    /// For what no bytes end: what ends here came with the latest.
    fn in_shape<T>(&mut self, work: impl FnOnce(&mut Shape, &mut Events<'_>) -> T) -> T {
        let mut sink = Events {
            readers: &mut self.readers,
            tokens: &mut self.tokens,
            told: &mut self.told,
            last: &mut self.last,
            ts: self.latest,
            keep_points: self.keep_points,
            events: &mut self.events,
        };
        work(&mut self.shape, &mut sink)
    }
}

/// From events to readers, and from contents to times.
pub(super) struct Events<'a> {
    readers: &'a mut Readers,
    tokens: &'a mut TokenTimes,
    told: &'a mut Told,
    last: &'a mut Last,
    ts: MonoNs,
    keep_points: bool,
    events: &'a mut u64,
}

impl Events<'_> {
    /// A part of a message of gRPC, which is an event. True: something is missing.
    fn message(&mut self, part: Part<'_>, lost_events: &mut u64) -> bool {
        match part {
            Part::Data(bytes) => self.data(bytes),
            Part::End { read: true, .. } => self.end(EventEnd::Whole { name: "" }),
            Part::Hole => {
                *lost_events += 1;
                self.readers.gap();
                return true;
            }
            // Damaged, or compressed in a way that we cannot undo.
            Part::End { read: false, .. } => {
                self.end(EventEnd::Damaged);
                self.tokens.hole();
                return true;
            }
            Part::Lost => {
                *lost_events += 1;
                self.readers.gap();
                self.end(EventEnd::Damaged);
                self.tokens.hole();
                return true;
            }
        }
        false
    }
}

impl EventSink for Events<'_> {
    fn data(&mut self, bytes: &[u8]) {
        self.last.data(bytes);
        self.readers.push(bytes);
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.readers.raw(bytes);
    }

    fn element(&mut self, at: u64) {
        self.readers.element(at);
    }

    fn hole(&mut self) {
        self.readers.gap();
    }

    fn end(&mut self, end: EventEnd<'_>) {
        *self.events += 1;
        match end {
            EventEnd::Whole { name } => {
                let failed = self.readers.facts().error.is_some();
                let content = self.readers.finish(name);
                let fails = !failed && self.readers.facts().error.is_some();
                let said = fails || self.readers.is_last();
                self.last.end(self.ts, said, content.is_some());
                self.tokens.take(self.ts, content, self.keep_points);
                let facts = self.readers.facts();
                let (choices, reports) = (facts.finish.len(), facts.reports);
                self.last
                    .progress(self.ts, choices, reports, content.is_some());
                self.told.event(Some(self.ts), facts, self.tokens.count);
            }
            // What it said holds; when its content came, and whether it had more, is not known.
            EventEnd::Damaged => {
                self.last.drop_event();
                self.readers.finish("");
                let facts = self.readers.facts();
                self.told.event(None, facts, self.tokens.count);
            }
        }
    }
}
