//! The state machine of one direction. The diagram is in the module above; the way back behind a hole
//! is in [`resync`].

use memchr::memchr;

use super::chunk::{ChunkStep, Chunks};
use super::framing::{self, Framing};
use super::head::{HeadStatus, parse_request, parse_response, parse_trailers};
use super::start_line::{self, Plausible};
use super::{AnswerTo, Cursor, Event, Grammar, late};
use crate::cut::{behind, upto};
use crate::limits::MAX_HEAD_BYTES;
use crate::proto::message::MessageEnd;
use crate::time::MonoNs;

mod resync;

use resync::Resync;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between messages, or inside a head (its beginning is in `buf`).
    Head,
    /// Content-Length: number of bytes to come, at least 1.
    Length { left: u64 },
    /// Chunked, trailers included.
    Chunked(Chunks),
    /// Until the connection ends.
    UntilEof,
    /// Text of an event stream whose framing was never seen.
    LateText,
    /// The message is over; saying so comes next, then `then`.
    Ended { end: MessageEnd, then: Then },
    /// Looking for a start line.
    Resync(Resync),
    /// Behind CONNECT, until the answer is known.
    Tunnel { skipped: bool },
    /// After the end of the direction.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Head,
    Resync,
    Tunnel,
    Closed,
}

/// Parses one direction of one connection. Idle, it owns no memory.
#[derive(Debug)]
pub(crate) struct Parser {
    grammar: Grammar,
    state: State,
    /// The beginning of a head, of trailers, or of a candidate in `Resync`.
    buf: Vec<u8>,
    /// The beginning of a chunk that was held until it was believed.
    replay: Vec<u8>,
    /// When the first byte of the head in hand passed.
    start: MonoNs,
}

impl Parser {
    /// A parser that begins at the first byte of a connection, or, `late`, somewhere in it.
    pub(crate) fn new(grammar: Grammar, late: bool) -> Parser {
        let chunks = grammar == Grammar::Response;
        let resync = State::Resync(Resync {
            open: false,
            chunks,
            line_only: false,
        });
        Parser {
            grammar,
            state: if late { resync } else { State::Head },
            buf: Vec::new(),
            replay: Vec::new(),
            start: MonoNs(0),
        }
    }

    /// Bytes that it holds of what is not complete.
    pub(crate) fn held_bytes(&self) -> usize {
        self.buf.capacity() + self.replay.capacity()
    }

    /// The next bytes belong to a head.
    pub(crate) fn awaits_head(&self) -> bool {
        self.state == State::Head
    }

    /// Between messages, with nothing of the next one seen.
    pub(crate) fn is_between_messages(&self) -> bool {
        self.state == State::Head && self.buf.is_empty()
    }

    /// When the head began that is not complete.
    pub(crate) fn head_begun(&self) -> Option<MonoNs> {
        (self.state == State::Head && !self.buf.is_empty()).then_some(self.start)
    }

    /// When the head began that goes on at `ts`.
    pub(crate) fn head_start(&self, ts: MonoNs) -> MonoNs {
        match self.buf.is_empty() {
            true => ts,
            false => self.start,
        }
    }

    /// A message may begin here: between messages, or looking for one.
    pub(crate) fn may_begin_message(&self) -> bool {
        self.is_between_messages() || matches!(self.state, State::Resync(_))
    }

    /// The body of a message goes on, and its framing tells how far.
    pub(crate) fn is_in_body(&self) -> bool {
        matches!(self.state, State::Length { .. } | State::Chunked(_))
    }

    /// The answer to CONNECT was no: HTTP goes on.
    pub(crate) fn leave_tunnel(&mut self) {
        match self.state {
            State::Tunnel { skipped: false } => self.state = State::Head,
            State::Tunnel { skipped: true } => self.state = State::Resync(Resync::LOST),
            State::Ended {
                end,
                then: Then::Tunnel,
            } => {
                self.state = State::Ended {
                    end,
                    then: Then::Head,
                };
            }
            State::Head
            | State::Length { .. }
            | State::Chunked(_)
            | State::UntilEof
            | State::LateText
            | State::Ended { .. }
            | State::Resync(_)
            | State::Closed => {}
        }
    }

    /// The framing of a response was lost before its end, and is looked for.
    pub(crate) fn has_lost_open(&self) -> bool {
        matches!(self.state, State::Resync(Resync { open: true, .. }))
    }

    /// What a hole took while a start line was looked for was an answer, or the beginning of one.
    pub(crate) fn lose_answer(&mut self) {
        self.buf = Vec::new();
        self.state = State::Resync(Resync {
            open: true,
            chunks: true,
            line_only: false,
        });
    }

    /// The response whose framing was lost is over, as another fact shows: it will not be taken up
    /// again. Says whether there was one; its end is the caller's to tell.
    pub(crate) fn give_up_lost(&mut self) -> bool {
        if let State::Resync(Resync { open: true, .. }) = self.state {
            self.state = State::Resync(Resync::LOST);
            self.buf = Vec::new();
            return true;
        }
        false
    }

    /// The sender will not send the body it announced (an answer to `Expect: 100-continue` that
    /// was not 100); the next bytes are a head. Only between messages and before any body byte.
    pub(crate) fn abandon_body(&mut self) {
        self.state = State::Head;
    }

    /// The next event, or `None` when the cursor is used up. `to`: what a response head, if one
    /// completes now, answers.
    pub(crate) fn next<'i>(&mut self, cur: &mut Cursor<'i>, to: AnswerTo) -> Option<Event<'i>> {
        loop {
            if let State::Ended { end, then } = self.state {
                self.state = match then {
                    Then::Head => State::Head,
                    Then::Resync => State::Resync(Resync::LOST),
                    Then::Tunnel => State::Tunnel { skipped: false },
                    Then::Closed => State::Closed,
                };
                return Some(Event::End(end));
            }
            if cur.is_empty() {
                return None;
            }
            let event = if let Some(end) = cur.eof.take() {
                self.at_eof(end)
            } else if cur.gap > 0 {
                self.at_gap(cur)
            } else {
                self.at_data(cur, to)
            };
            if event.is_some() {
                return event;
            }
        }
    }

    fn at_eof(&mut self, close_delimited: MessageEnd) -> Option<Event<'static>> {
        self.replay = Vec::new();
        let begun = !self.buf.is_empty();
        self.buf = Vec::new();
        let end = match self.state {
            State::Head if begun => {
                self.state = State::Ended {
                    end: MessageEnd::Aborted,
                    then: Then::Closed,
                };
                return Some(Event::HeadLost {
                    start: Some(self.start),
                    len: 0,
                });
            }
            State::Length { .. } | State::Chunked(_) => MessageEnd::Aborted,
            State::UntilEof => close_delimited,
            // Text without a head may have ended before its connection did.
            State::LateText | State::Resync(Resync { open: true, .. }) => MessageEnd::Lost,
            State::Head
            | State::Ended { .. }
            | State::Resync(_)
            | State::Tunnel { .. }
            | State::Closed => {
                self.state = State::Closed;
                return None;
            }
        };
        self.state = State::Ended {
            end,
            then: Then::Closed,
        };
        None
    }

    fn at_gap(&mut self, cur: &mut Cursor<'_>) -> Option<Event<'static>> {
        let len = cur.gap;
        let mut taken = len;
        let event = match &mut self.state {
            State::Head => {
                let start = (!self.buf.is_empty()).then_some(self.start);
                self.lose_head();
                if self.grammar == Grammar::Response {
                    let found_again = Resync {
                        open: true,
                        chunks: true,
                        line_only: false,
                    };
                    self.state = State::Resync(found_again);
                }
                Some(Event::HeadLost { start, len })
            }
            State::Length { left } => {
                taken = len.min(*left);
                *left -= taken;
                if *left == 0 {
                    self.end(MessageEnd::Complete);
                }
                Some(Event::BodyGap(taken))
            }
            State::Chunked(chunks) => {
                // The content of the open chunk first, then what took the framing.
                let (content, framing) = chunks.bridge(len);
                taken = content + framing;
                if taken == 0 {
                    taken = len;
                    self.lose_chunks();
                    Some(Event::BodyGap(len))
                } else {
                    (content > 0).then_some(Event::BodyGap(content))
                }
            }
            State::UntilEof | State::LateText => Some(Event::BodyGap(len)),
            State::Resync(r) => {
                self.buf = Vec::new();
                Some(if r.open {
                    Event::BodyGap(len)
                } else {
                    Event::Hole(len)
                })
            }
            State::Tunnel { skipped } => {
                *skipped = true;
                None
            }
            State::Ended { .. } | State::Closed => None,
        };
        cur.gap -= taken;
        cur.fresh = false;
        event
    }

    fn at_data<'i>(&mut self, cur: &mut Cursor<'i>, to: AnswerTo) -> Option<Event<'i>> {
        match self.state {
            State::Head => self.head(cur, to),
            State::Length { left } => {
                let bytes = cur.take(usize::try_from(left).unwrap_or(usize::MAX));
                match left - bytes.len() as u64 {
                    0 => self.end(MessageEnd::Complete),
                    left => self.state = State::Length { left },
                }
                Some(Event::Body(bytes))
            }
            State::Chunked(chunks) => self.chunked(chunks, cur),
            State::UntilEof => Some(Event::Body(cur.take(usize::MAX))),
            State::LateText => self.late_text(cur),
            State::Resync(r) => self.resync(r, cur),
            State::Tunnel { .. } => {
                self.state = State::Tunnel { skipped: true };
                cur.take(usize::MAX);
                None
            }
            State::Ended { .. } | State::Closed => {
                cur.take(usize::MAX);
                None
            }
        }
    }

    fn end(&mut self, end: MessageEnd) {
        self.state = State::Ended {
            end,
            then: Then::Head,
        };
    }

    fn lose_head(&mut self) {
        self.buf = Vec::new();
        self.state = State::Ended {
            end: MessageEnd::Lost,
            then: Then::Resync,
        };
    }

    /// A hole or an error took the chunk framing. A response may be taken up again.
    fn lose_chunks(&mut self) {
        self.buf = Vec::new();
        self.replay = Vec::new();
        self.state = match self.grammar {
            Grammar::Request => State::Ended {
                end: MessageEnd::Lost,
                then: Then::Resync,
            },
            Grammar::Response => State::Resync(Resync {
                open: true,
                chunks: true,
                line_only: false,
            }),
        };
    }

    fn head<'i>(&mut self, cur: &mut Cursor<'i>, to: AnswerTo) -> Option<Event<'i>> {
        if self.buf.is_empty() {
            let blank = cur
                .bytes
                .iter()
                .take_while(|b| matches!(b, b'\r' | b'\n'))
                .count();
            cur.take(blank);
            if cur.bytes.is_empty() {
                return None;
            }
            self.start = cur.ts;
        }
        let first = self.buf.first().or(cur.bytes.first()).copied();
        let status = match self.grammar {
            Grammar::Request => self.read(cur, parse_request).map(|head| {
                let framing = framing::of_request(&head);
                (
                    framing,
                    false,
                    Event::Request {
                        start: self.start,
                        head,
                    },
                )
            }),
            Grammar::Response => self.read(cur, parse_response).map(|head| {
                let informational = head.status < 200 && head.status != 101;
                let framing = framing::of_response(&head, to);
                let event = if informational {
                    Event::Informational(head)
                } else {
                    Event::Response {
                        start: self.start,
                        head,
                    }
                };
                (framing, informational, event)
            }),
        };
        match status {
            Read::Complete((framing, informational, event)) => {
                if !informational {
                    self.begin_body(framing);
                }
                Some(event)
            }
            Read::Partial => None,
            // More than the response before had announced, or a body where none may be: not the
            // next response, which is still to come.
            Read::Invalid if self.grammar == Grammar::Response && first != Some(b'H') => {
                self.state = State::Resync(Resync::LOST);
                None
            }
            Read::Invalid => {
                let start = Some(self.start);
                self.lose_head();
                Some(Event::HeadLost { start, len: 0 })
            }
        }
    }

    fn begin_body(&mut self, framing: Framing) {
        self.state = match framing {
            Framing::None => State::Ended {
                end: MessageEnd::Complete,
                then: Then::Head,
            },
            Framing::Length(left) => State::Length { left },
            Framing::Chunked => State::Chunked(Chunks::new()),
            Framing::UntilEof => State::UntilEof,
            Framing::Tunnel => State::Ended {
                end: MessageEnd::Complete,
                then: Then::Tunnel,
            },
            Framing::Unknown => State::Ended {
                end: MessageEnd::Lost,
                then: Then::Resync,
            },
        };
    }

    /// Reads a head-like block: in place when it is whole, else by way of `buf`.
    fn read<T>(&mut self, cur: &mut Cursor<'_>, parse: impl Fn(&[u8]) -> HeadStatus<T>) -> Read<T> {
        let old = self.buf.len();
        let status = if old == 0 {
            parse(cur.bytes)
        } else {
            let room = MAX_HEAD_BYTES.saturating_sub(old).min(cur.bytes.len());
            self.buf.extend_from_slice(upto(cur.bytes, room));
            // A head ends with a line: without one there is nothing new to find.
            match memchr(b'\n', behind(&self.buf, old)) {
                Some(_) => parse(&self.buf),
                None => HeadStatus::Partial,
            }
        };
        match status {
            HeadStatus::Complete(head, len) if len <= MAX_HEAD_BYTES => {
                cur.take(len - old);
                self.buf = Vec::new();
                Read::Complete(head)
            }
            HeadStatus::Partial if old == 0 && cur.bytes.len() < MAX_HEAD_BYTES => {
                self.buf = cur.take(usize::MAX).to_vec();
                Read::Partial
            }
            HeadStatus::Partial if old > 0 && self.buf.len() < MAX_HEAD_BYTES => {
                cur.take(usize::MAX);
                Read::Partial
            }
            HeadStatus::Complete(..) | HeadStatus::Partial | HeadStatus::Invalid => {
                if old == 0 {
                    // Past this line, or it would be tried again.
                    let line = memchr(b'\n', cur.bytes).map_or(cur.bytes.len(), |at| at + 1);
                    cur.take(line);
                }
                // Where this piece begins, a head was under way: that is no place to look.
                cur.fresh = false;
                self.buf = Vec::new();
                Read::Invalid
            }
        }
    }

    fn chunked<'i>(&mut self, mut chunks: Chunks, cur: &mut Cursor<'i>) -> Option<Event<'i>> {
        if !self.replay.is_empty() {
            return self.replayed(chunks);
        }
        if chunks.is_done() {
            return self.trailers(cur);
        }
        let (used, step) = chunks.step(cur.bytes);
        self.state = State::Chunked(chunks);
        cur.take(used);
        match step {
            ChunkStep::NeedMore | ChunkStep::Done => None,
            ChunkStep::Data(n) => Some(Event::Body(cur.take(n))),
            ChunkStep::Bad => {
                self.lose_chunks();
                None
            }
        }
    }

    /// Chunk framing that was held while it was not yet believed.
    fn replayed<'i>(&mut self, mut chunks: Chunks) -> Option<Event<'i>> {
        if chunks.is_done() {
            // Behind the last chunk only a part of the empty line can have been held.
            self.buf = std::mem::take(&mut self.replay);
            return None;
        }
        let (used, step) = chunks.step(&self.replay);
        self.state = State::Chunked(chunks);
        self.replay.drain(..used);
        match step {
            ChunkStep::Done => None,
            ChunkStep::NeedMore => {
                self.replay = Vec::new();
                None
            }
            ChunkStep::Data(n) => {
                let rest = self.replay.split_off(n);
                Some(Event::HeldBody(std::mem::replace(&mut self.replay, rest)))
            }
            ChunkStep::Bad => {
                self.lose_chunks();
                None
            }
        }
    }

    fn trailers<'i>(&mut self, cur: &mut Cursor<'i>) -> Option<Event<'i>> {
        match self.read(cur, parse_trailers) {
            Read::Complete(trailers) => {
                self.end(MessageEnd::Complete);
                (!trailers.fields.is_empty()).then_some(Event::Trailers(trailers))
            }
            Read::Partial => None,
            Read::Invalid => {
                self.state = State::Ended {
                    end: MessageEnd::Lost,
                    then: Then::Resync,
                };
                None
            }
        }
    }

    /// Event-stream text without known framing: each place where a piece begins may show some.
    fn late_text<'i>(&mut self, cur: &mut Cursor<'i>) -> Option<Event<'i>> {
        if cur.fresh {
            if start_line::response(cur.bytes) == Plausible::Yes {
                self.end(MessageEnd::Lost);
                return None;
            }
            if late::chunk(cur.bytes, true) == Plausible::Yes {
                self.state = State::Chunked(Chunks::new());
                return None;
            }
        }
        Some(Event::Body(cur.take(usize::MAX)))
    }
}

enum Read<T> {
    Complete(T),
    Partial,
    Invalid,
}

impl<T> Read<T> {
    fn map<U>(self, f: impl FnOnce(T) -> U) -> Read<U> {
        match self {
            Read::Complete(t) => Read::Complete(f(t)),
            Read::Partial => Read::Partial,
            Read::Invalid => Read::Invalid,
        }
    }
}
