//! Finding the way back: behind a hole, and on a connection that was joined late.
//!
//! Bytes are looked at where a piece begins and behind each CRLF, until something there can only be a
//! start line, a chunk, or the text of an event stream. What might still become one is kept, up to
//! [`MAX_CANDIDATE_BYTES`]; what is passed over is a gap of its length where it belonged to a response.

use memchr::memchr;

use super::{Parser, State};
use crate::cut::{behind, upto};
use crate::limits::MAX_CANDIDATE_BYTES;
use crate::proto::h1::chunk::Chunks;
use crate::proto::h1::start_line::{self, Plausible};
use crate::proto::h1::{Cursor, Event, Grammar, late};
use crate::proto::message::MessageEnd;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resync {
    /// A response whose end is not known yet.
    pub(super) open: bool,
    /// Its chunks may be found again, or those of one joined late.
    pub(super) chunks: bool,
    /// What `buf` holds began after a CRLF, not where a piece begins: only a start line will do.
    pub(super) line_only: bool,
}

impl Resync {
    /// Nothing is known but that something was lost.
    pub(super) const LOST: Resync = Resync {
        open: false,
        chunks: false,
        line_only: false,
    };
}

enum Found {
    Start,
    Chunks,
    Text,
    NeedMore,
    Nothing,
}

impl Parser {
    fn judge(&self, r: Resync, bytes: &[u8], line_only: bool) -> Found {
        let line = match self.grammar {
            Grammar::Request => start_line::known_request(bytes),
            Grammar::Response => start_line::response(bytes),
        };
        let chunk = match r.chunks && !line_only {
            true if late::event_stream(bytes) => return Found::Text,
            true => late::chunk(bytes, r.open),
            false => Plausible::No,
        };
        match (line, chunk) {
            (Plausible::Yes, _) => Found::Start,
            (_, Plausible::Yes) => Found::Chunks,
            (Plausible::NeedMore, _) | (_, Plausible::NeedMore) => Found::NeedMore,
            (Plausible::No, Plausible::No) => Found::Nothing,
        }
    }

    pub(super) fn resync<'i>(&mut self, r: Resync, cur: &mut Cursor<'i>) -> Option<Event<'i>> {
        if !self.buf.is_empty() {
            let old = self.buf.len();
            let room = MAX_CANDIDATE_BYTES.saturating_sub(old).min(cur.bytes.len());
            self.buf.extend_from_slice(upto(cur.bytes, room));
            let found = self.judge(r, &self.buf, r.line_only);
            // What is certain where this piece begins beats what may still become something.
            let better = cur.fresh
                && match self.judge(r, cur.bytes, false) {
                    Found::Start | Found::Chunks => true,
                    Found::Text | Found::NeedMore | Found::Nothing => false,
                };
            match found {
                Found::NeedMore if room == cur.bytes.len() && !better => {
                    cur.take(usize::MAX);
                    return None;
                }
                Found::Start | Found::Chunks => {
                    self.buf.truncate(old);
                    return self.take_up(r, &found);
                }
                // Text that began in an earlier piece: the next one that begins with it will do.
                Found::Text | Found::NeedMore | Found::Nothing => {
                    self.buf = Vec::new();
                    if r.open {
                        return Some(Event::BodyGap(old as u64));
                    }
                }
            }
        }
        // The place where the piece begins, then each place behind a CRLF.
        let mut at = if cur.fresh {
            cur.bytes
                .iter()
                .take_while(|b| matches!(b, b'\r' | b'\n'))
                .count()
        } else {
            next_line(cur.bytes, 0)
        };
        let mut line_only = !cur.fresh;
        while at < cur.bytes.len() {
            let found = self.judge(r, behind(cur.bytes, at), line_only);
            match found {
                Found::Start | Found::Chunks | Found::Text | Found::NeedMore => {
                    // What is before it is skipped first; if that is told, the rest comes next,
                    // and must be found again.
                    self.start = cur.ts;
                    let skipped = at as u64;
                    let fresh = cur.fresh;
                    cur.take(at);
                    cur.fresh = fresh && !line_only;
                    if let Found::NeedMore = found {
                        self.state = State::Resync(Resync { line_only, ..r });
                        self.buf = cur.take(usize::MAX).to_vec();
                        self.buf.truncate(MAX_CANDIDATE_BYTES);
                    } else if r.open && skipped > 0 {
                        cur.fresh = true;
                    } else {
                        return self.take_up(r, &found);
                    }
                    return (r.open && skipped > 0).then_some(Event::BodyGap(skipped));
                }
                Found::Nothing => {}
            }
            line_only = true;
            at = next_line(cur.bytes, at);
        }
        let skipped = cur.take(usize::MAX).len() as u64;
        r.open.then_some(Event::BodyGap(skipped))
    }

    /// Goes on with what was found at the cursor, whose beginning may be in `buf`.
    fn take_up<'i>(&mut self, r: Resync, found: &Found) -> Option<Event<'i>> {
        match found {
            Found::Start if r.open => {
                self.end(MessageEnd::Lost);
                None
            }
            Found::Start => {
                self.state = State::Head;
                Some(Event::Synced)
            }
            Found::Chunks => {
                self.replay = std::mem::take(&mut self.buf);
                self.state = State::Chunked(Chunks::new());
                (!r.open).then_some(Event::LateBody)
            }
            Found::Text => {
                self.buf = Vec::new();
                self.state = State::LateText;
                (!r.open).then_some(Event::LateBody)
            }
            Found::NeedMore | Found::Nothing => None,
        }
    }
}

/// Where the first line behind `at` begins, or the end of `bytes`.
fn next_line(bytes: &[u8], at: usize) -> usize {
    let mut from = at;
    while let Some(lf) = memchr(b'\n', behind(bytes, from)) {
        from += lf + 1;
        if upto(bytes, from).ends_with(b"\r\n") {
            return from;
        }
    }
    bytes.len()
}
