//! JSON documents, one after the other: lines (NDJSON), elements of an array that is written piece
//! by piece, values with nothing between them.
//!
//! Decoded bytes go in by [`Documents::push`]; each document comes out as an event, in fragments. A
//! document ends with its last bracket, so that its time is not that of a line end that comes later.
//! Where the first element of an array is an array, its elements are documents as well (pipelines of Hugging
//! Face answer a list of prompts so). Only brackets and strings are looked at: whether it is JSON is the reader's to find out.
//!
//! ```text
//!                         first value is '['
//!  Between <------------------------------------------+
//!    |  ^ blank , [ ]                                 |
//!    |  +------ last bracket: end, whole ----+        |
//!    +--{ [--> Nested (depth, in a string?) -+        |
//!    +--else-> Word (number, string, other) --------- + blank , ]
//!  gap: lines -> Lost --LF: end, damaged--> Between;  values -> Lost until the body's end
//! ```
//! Behind a hole, a line end begins the next line, since JSON has none inside a string and these
//! documents none outside. So it is of values that were seen to have a line each. An array has no
//! such place: the rest is passed on as one damaged event. Where the first byte of all is missing, the
//! last one tells: what does not end as an object does may be the rest of an array.
//!
//! Source: RFC 8259; NDJSON 1.0; RFC 7464 (its record separator is read past, and so is the NUL of
//! vLLM's old demonstration server).

use memchr::{memchr, memchr2};

use super::events::{EventEnd, EventSink};
use crate::cut::{behind, upto};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Lines,
    Values,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Between,
    Nested {
        depth: u64,
    },
    Str {
        depth: u64,
        escaped: bool,
    },
    /// What has no brackets: no document that anybody here reads.
    Word {
        string: bool,
        escaped: bool,
    },
    Lost,
}

/// Whether documents that may stand anyhow have a line each.
#[derive(Debug, Default)]
struct Lines {
    /// A document ended.
    documents: bool,
    /// A line end followed it.
    ended: bool,
    /// Another began behind that.
    again: bool,
    /// One went past a line end.
    within: bool,
}

impl Lines {
    fn are(&self) -> bool {
        self.again && !self.within
    }
}

/// The splitter. See the module.
#[derive(Debug)]
pub struct Documents {
    state: State,
    style: Style,
    /// Nothing but blanks was seen.
    fresh: bool,
    /// The documents are elements of an array, or of arrays in one.
    array: bool,
    /// Arrays around each document, and how many of them are open.
    around: u32,
    open: u32,
    /// Nothing but the beginnings of these was seen.
    opening: bool,
    /// Documents that began in it.
    elements: u64,
    /// How they stand on lines, as far as it was seen.
    lines: Lines,
    lost: u64,
    /// Of values whose first byte is missing, the last byte that is not blank.
    headless: Option<u8>,
}

impl Documents {
    fn new(style: Style) -> Documents {
        Documents {
            state: State::Between,
            style,
            fresh: true,
            array: false,
            around: 0,
            open: 0,
            opening: false,
            elements: 0,
            lines: Lines::default(),
            lost: 0,
            headless: None,
        }
    }

    /// One document on each line.
    pub fn lines() -> Documents {
        Documents::new(Style::Lines)
    }

    /// One document, or several, or an array of them.
    pub fn values() -> Documents {
        Documents::new(Style::Values)
    }

    /// They are elements of an array, and no row of documents.
    pub fn is_array(&self) -> bool {
        self.array
    }

    /// Holes behind which something had to be passed over to find the next document.
    pub fn lost_events(&self) -> u64 {
        self.lost
    }

    /// The next bytes.
    pub fn push<S: EventSink + ?Sized>(&mut self, mut bytes: &[u8], sink: &mut S) {
        while let Some(&b) = bytes.first() {
            let taken = match self.state {
                State::Between => {
                    self.between(b, sink);
                    // A value's first byte is taken with the value.
                    usize::from(self.state == State::Between)
                }
                State::Nested { depth } => self.nested(bytes, depth, sink),
                State::Str { depth, escaped } => {
                    let (n, escaped, ended) = string(bytes, escaped);
                    sink.data(upto(bytes, n));
                    self.state = if ended {
                        State::Nested { depth }
                    } else {
                        State::Str { depth, escaped }
                    };
                    n
                }
                State::Word { string, escaped } => self.word(bytes, string, escaped),
                State::Lost => self.lost_line(bytes, sink),
            };
            bytes = bytes.get(taken..).unwrap_or_default();
        }
    }

    /// Bytes are missing here.
    pub fn gap<S: EventSink + ?Sized>(&mut self, sink: &mut S) {
        if self.state != State::Lost {
            self.lost += 1;
        }
        if self.headless.is_some() || self.fresh && self.style == Style::Values {
            self.headless = Some(0);
        }
        self.state = State::Lost;
        sink.hole();
    }

    /// The body's end.
    pub fn finish<S: EventSink + ?Sized>(&mut self, sink: &mut S) {
        match self.state {
            State::Between | State::Word { .. } => {}
            State::Nested { .. } | State::Str { .. } | State::Lost => {
                if self.headless.is_some_and(|last| last != b'}') {
                    sink.element(0);
                    sink.hole();
                }
                sink.end(EventEnd::Damaged);
            }
        }
        self.state = State::Between;
    }

    fn between<S: EventSink + ?Sized>(&mut self, b: u8, sink: &mut S) {
        match b {
            b'\n' => {
                self.lines.ended |= self.lines.documents;
                return;
            }
            // No body begins so: it is the rest of an array, of which at least one element is missing.
            b',' if self.fresh && self.style == Style::Values && !self.array => {
                self.array = true;
                (self.around, self.open) = (1, 1);
                self.fresh = false;
                self.elements = 1;
                sink.element(0);
                sink.hole();
                sink.end(EventEnd::Damaged);
                return;
            }
            b' ' | b'\t' | b'\r' | b',' | 0 | 0x1e => return,
            // Whatever ends a word is passed over here, also what closes nothing.
            b']' => self.open = self.open.saturating_sub(1),
            // An array of documents, or one in that.
            b'[' if (self.fresh || self.opening) && self.style == Style::Values => {
                self.around = self.around.saturating_add(1);
                self.open = self.around;
                self.opening = true;
                self.array = true;
                self.fresh = false;
                sink.element(0);
                return;
            }
            b'[' if self.open < self.around => self.open += 1,
            b'{' | b'[' => {
                self.lines.again |= self.lines.ended && !self.array;
                if self.array {
                    sink.element(self.elements);
                    self.elements += 1;
                }
                self.state = State::Nested { depth: 0 };
            }
            _ => {
                self.state = State::Word {
                    string: false,
                    escaped: false,
                }
            }
        }
        self.fresh = false;
        self.opening = false;
    }

    fn nested<S: EventSink + ?Sized>(
        &mut self,
        bytes: &[u8],
        mut depth: u64,
        sink: &mut S,
    ) -> usize {
        for (i, &b) in bytes.iter().enumerate() {
            match b {
                b'"' => {
                    self.state = State::Str {
                        depth,
                        escaped: false,
                    };
                    sink.data(upto(bytes, i + 1));
                    return i + 1;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        self.state = State::Between;
                        self.lines.documents = true;
                        sink.data(upto(bytes, i + 1));
                        sink.end(EventEnd::Whole { name: "" });
                        return i + 1;
                    }
                }
                // No document of lines goes past one: this one ended early.
                b'\n' if self.style == Style::Lines => {
                    self.state = State::Between;
                    if i > 0 {
                        sink.data(upto(bytes, i));
                    }
                    sink.end(EventEnd::Damaged);
                    return i + 1;
                }
                b'\n' => self.lines.within = true,
                _ => {}
            }
        }
        self.state = State::Nested { depth };
        sink.data(bytes);
        bytes.len()
    }

    fn word(&mut self, bytes: &[u8], in_string: bool, escaped: bool) -> usize {
        if in_string {
            let (n, escaped, ended) = string(bytes, escaped);
            self.state = State::Word {
                string: !ended,
                escaped,
            };
            return n;
        }
        match bytes.first() {
            Some(b' ' | b'\t' | b'\r' | b'\n' | b',' | b']' | 0 | 0x1e) => {
                self.state = State::Between;
                0
            }
            Some(b'"') => {
                self.state = State::Word {
                    string: true,
                    escaped: false,
                };
                1
            }
            _ => {
                let ends = |b: &u8| {
                    matches!(
                        b,
                        b' ' | b'\t' | b'\r' | b'\n' | b',' | b']' | b'"' | 0 | 0x1e
                    )
                };
                bytes.iter().position(ends).unwrap_or(bytes.len())
            }
        }
    }

    fn lost_line<S: EventSink + ?Sized>(&mut self, bytes: &[u8], sink: &mut S) -> usize {
        let by_line = self.style == Style::Lines || self.lines.are();
        let end = memchr(b'\n', bytes).filter(|_| by_line);
        let raw = end.map_or(bytes, |end| upto(bytes, end));
        if !raw.is_empty() {
            sink.data(raw);
        }
        if let Some(last) = &mut self.headless {
            let seen = raw.iter().rfind(|b| !b.is_ascii_whitespace());
            *last = seen.copied().unwrap_or(*last);
        }
        if end.is_some() {
            self.state = State::Between;
            sink.end(EventEnd::Damaged);
        }
        raw.len() + usize::from(end.is_some())
    }
}

/// How much of `bytes` belongs to the string under way, whether an escape is, and whether it ended.
fn string(bytes: &[u8], mut escaped: bool) -> (usize, bool, bool) {
    let mut at = 0;
    while at < bytes.len() {
        if std::mem::take(&mut escaped) {
            at += 1;
            continue;
        }
        let Some(n) = memchr2(b'"', b'\\', behind(bytes, at)) else {
            return (bytes.len(), false, false);
        };
        at += n + 1;
        if bytes.get(at - 1) == Some(&b'"') {
            return (at, false, true);
        }
        escaped = true;
    }
    (bytes.len(), escaped, false)
}

#[cfg(test)]
mod tests;
