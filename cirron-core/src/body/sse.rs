//! Server-sent events: a push parser of the WHATWG event stream format.
//!
//! Bytes of a decoded body go in by [`SseParser::push`]; the data of events, in fragments as they
//! come, and the ends of events go out to an [`EventSink`]. The time of an event is that of the bytes
//! that completed it: [`EventSink::end`] is called within their `push`.
//!
//! Ours, because the parsers at hand collect an event before they give it, and know no holes. Here a
//! data line of 1 MB passes in fragments and is held nowhere, and what is left of an event behind a
//! hole is passed on, as such: usage may stand in it.
//!
//! ```text
//!            name ':'           rest of line
//!   +-> Name ---------> Space/Value ------+
//!   |     | end of line                   | end of line
//!   |     v                               v
//!   +-- empty line: end, if the event had a data field
//!   gap -> Skip (raw, until an empty line: end, damaged) -> Name
//! ```
//!
//! Source: WHATWG HTML, "Server-sent events", sections "Parsing an event stream" and "Interpreting
//! an event stream". `id` and `retry` are read past: nobody here reconnects. An `error` field is no
//! part of it; llama.cpp wrote its errors so in 2025: it is read as the data of an event of that name.

use memchr::memchr2;

use super::events::{EventEnd, EventSink};
use crate::cut::upto;

/// Bytes kept of a field's name: the longest known one is `event`, anything longer is unknown.
const MAX_FIELD_NAME: usize = 6;

/// Bytes kept of an event's name. `response.reasoning_summary_text.delta` has 37. Past it the name
/// is cut, which makes it an unknown one.
pub const MAX_EVENT_NAME_BYTES: usize = 128;

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Data,
    Event,
    /// Data of an error.
    Error,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Number of bytes of a byte order mark that were seen, at the very start.
    Bom(u8),
    /// In a field's name, or at the start of a line.
    Name,
    /// After the colon: one space may follow, which is not part of the value.
    Space(Field),
    Value(Field),
    /// Behind a hole. `empty`: nothing but the line's start was seen of this line.
    Skip {
        empty: bool,
    },
}

/// The parser. See the module.
#[derive(Debug)]
pub struct SseParser {
    state: State,
    /// The last byte was a CR: an LF now belongs to it.
    after_cr: bool,
    name: [u8; MAX_FIELD_NAME],
    name_len: usize,
    event: Vec<u8>,
    /// The event under way has a data field.
    has_data: bool,
    lost: u64,
}

impl Default for SseParser {
    fn default() -> Self {
        SseParser {
            state: State::Bom(0),
            after_cr: false,
            name: [0; MAX_FIELD_NAME],
            name_len: 0,
            event: Vec::new(),
            has_data: false,
            lost: 0,
        }
    }
}

impl SseParser {
    /// Holes behind which something had to be passed over to find the next event.
    pub fn lost_events(&self) -> u64 {
        self.lost
    }

    /// The next bytes.
    pub fn push<S: EventSink + ?Sized>(&mut self, mut bytes: &[u8], sink: &mut S) {
        while let Some((&b, rest)) = bytes.split_first() {
            if std::mem::take(&mut self.after_cr) && b == b'\n' {
                bytes = rest;
                continue;
            }
            match self.state {
                State::Bom(n) => {
                    if BOM.get(usize::from(n)) == Some(&b) {
                        bytes = rest;
                        self.state = if n == 2 {
                            State::Name
                        } else {
                            State::Bom(n + 1)
                        };
                    } else {
                        // No mark after all: its bytes began a field's name, no known one.
                        for &b in BOM.iter().take(usize::from(n)) {
                            self.name_byte(b);
                        }
                        self.state = State::Name;
                    }
                }
                State::Name => {
                    bytes = rest;
                    match b {
                        b'\n' | b'\r' => self.end_of_name(b, sink),
                        b':' => {
                            let field = self.field();
                            self.begin_value(field, sink);
                            self.state = State::Space(field);
                        }
                        _ => self.name_byte(b),
                    }
                }
                State::Space(field) => {
                    if b == b' ' {
                        bytes = rest;
                    }
                    self.state = State::Value(field);
                }
                State::Value(field) => {
                    let (value, rest) = line(bytes);
                    self.value(field, value, sink);
                    bytes = rest;
                    if self.takes_line_end(&mut bytes) {
                        self.next_line();
                    }
                }
                State::Skip { empty } => {
                    let (value, rest) = line(bytes);
                    let empty = empty && value.is_empty();
                    if !value.is_empty() {
                        sink.data(value);
                    }
                    bytes = rest;
                    self.state = State::Skip { empty };
                    if self.takes_line_end(&mut bytes) {
                        if empty {
                            sink.end(EventEnd::Damaged);
                            self.next_event();
                            self.next_line();
                        } else {
                            self.state = State::Skip { empty: true };
                        }
                    }
                }
            }
        }
    }

    /// Bytes are missing here: what is under way is damaged, up to the next empty line.
    pub fn gap<S: EventSink + ?Sized>(&mut self, sink: &mut S) {
        if !matches!(self.state, State::Skip { .. }) {
            self.lost += 1;
        }
        self.next_event();
        self.after_cr = false;
        self.state = State::Skip { empty: false };
        sink.hole();
    }

    /// The stream ended. An event without its empty line is none, by the standard: but it has said something, and all
    /// of it if its last line ended.
    pub fn finish<S: EventSink + ?Sized>(&mut self, sink: &mut S) {
        let ends_with_line = self.state == State::Name && self.name_len == 0;
        if self.has_data && ends_with_line {
            let name = std::str::from_utf8(&self.event).unwrap_or_default();
            sink.end(EventEnd::Whole { name });
        } else if self.has_data || matches!(self.state, State::Skip { .. }) {
            sink.end(EventEnd::Damaged);
        }
        *self = SseParser {
            lost: self.lost,
            ..SseParser::default()
        };
    }

    fn takes_line_end(&mut self, bytes: &mut &[u8]) -> bool {
        let Some((&b, rest)) = bytes.split_first() else {
            return false;
        };
        *bytes = rest;
        self.after_cr = b == b'\r';
        true
    }

    fn name_byte(&mut self, b: u8) {
        if let Some(slot) = self.name.get_mut(self.name_len) {
            *slot = b;
            self.name_len += 1;
        }
    }

    fn field(&self) -> Field {
        match upto(&self.name, self.name_len) {
            b"data" => Field::Data,
            b"event" => Field::Event,
            b"error" => Field::Error,
            _ => Field::Other,
        }
    }

    fn begin_value<S: EventSink + ?Sized>(&mut self, field: Field, sink: &mut S) {
        match field {
            Field::Data | Field::Error => {
                if self.has_data {
                    sink.data(b"\n");
                }
                self.has_data = true;
                if field == Field::Error {
                    self.event.clear();
                    self.event.extend_from_slice(b"error");
                }
            }
            Field::Event => self.event.clear(),
            Field::Other => {}
        }
    }

    fn value<S: EventSink + ?Sized>(&mut self, field: Field, value: &[u8], sink: &mut S) {
        match field {
            Field::Data | Field::Error if value.is_empty() => {}
            Field::Data | Field::Error => sink.data(value),
            Field::Event => {
                let room = MAX_EVENT_NAME_BYTES.saturating_sub(self.event.len());
                self.event.extend_from_slice(upto(value, room));
            }
            Field::Other => {}
        }
    }

    /// The end of a line that had no colon.
    fn end_of_name<S: EventSink + ?Sized>(&mut self, b: u8, sink: &mut S) {
        self.after_cr = b == b'\r';
        if self.name_len == 0 {
            if self.has_data {
                let name = std::str::from_utf8(&self.event).unwrap_or_default();
                sink.end(EventEnd::Whole { name });
            }
            self.next_event();
        } else {
            let field = self.field();
            self.begin_value(field, sink);
        }
        self.next_line();
    }

    fn next_line(&mut self) {
        self.name_len = 0;
        self.state = State::Name;
    }

    fn next_event(&mut self) {
        self.event.clear();
        self.has_data = false;
    }
}

/// Up to the end of the line, and the rest with it.
fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(memchr2(b'\n', b'\r', bytes).unwrap_or(bytes.len()))
}

#[cfg(test)]
mod tests;
