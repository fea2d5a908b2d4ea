//! Server-sent events, by the WHATWG text (HTML standard, 9.2.6 "Interpreting an event stream").
//!
//! ```text
//!   [Line] --LF | CR | CRLF--> field --blank line--> dispatch --> [Line]
//!     | gap                                                         ^
//!     v                                                             |
//!   [Skipping] ------------- first blank line ----------------------+
//! ```
//! An event that a hole touched is never given out.

/// Bytes of one event's data that are kept. A completed response of the responses API repeats the
/// whole answer in one event, some hundred kilobytes. Past it the event is dropped and counted.
pub const MAX_EVENT_BYTES: usize = 4 * 1024 * 1024;

/// Pushes bytes in, takes events out.
#[derive(Debug, Default)]
pub struct SseParser {
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    event: String,
    after_cr: bool,
    started: bool,
    skipping: bool,
    oversize: bool,
    lost: u64,
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SseEvent<'a> {
    /// The `event` field; empty for `message`.
    pub name: &'a str,
    /// The data lines, joined by LF.
    pub data: &'a [u8],
}

impl SseParser {
    /// Events that a hole or the bound took.
    pub fn lost_events(&self) -> u64 {
        self.lost
    }

    /// Reads `bytes`; each event that they complete goes to `out`.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut dyn FnMut(SseEvent<'_>)) {
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            if bytes[0] == b'\n' {
                bytes = &bytes[1..];
            }
        }
        while let Some(at) = memchr::memchr2(b'\n', b'\r', bytes) {
            self.extend(&bytes[..at]);
            let cr = bytes[at] == b'\r';
            bytes = &bytes[at + 1..];
            if cr {
                match bytes.first() {
                    Some(b'\n') => bytes = &bytes[1..],
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            self.end_line(out);
        }
        self.extend(bytes);
    }

    /// Bytes were lost: the event under way is, and all up to the next blank line.
    pub fn gap(&mut self) {
        self.clear();
        self.line.clear();
        self.after_cr = false;
        self.started = true;
        self.skipping = true;
        self.lost += 1;
    }

    fn extend(&mut self, bytes: &[u8]) {
        if self.line.len() + self.data.len() + bytes.len() > MAX_EVENT_BYTES {
            self.oversize = true;
            // A non-empty line must stay one, or it would end the event.
            self.line.truncate(1);
            return;
        }
        self.line.extend_from_slice(bytes);
    }

    fn clear(&mut self) {
        self.data.clear();
        self.has_data = false;
        self.event.clear();
        self.oversize = false;
    }

    fn end_line(&mut self, out: &mut dyn FnMut(SseEvent<'_>)) {
        let mut line = std::mem::take(&mut self.line);
        if !std::mem::replace(&mut self.started, true) && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        if line.is_empty() {
            if self.skipping {
                self.skipping = false;
            } else if self.oversize {
                self.lost += 1;
            } else if self.has_data {
                out(SseEvent {
                    name: &self.event,
                    data: &self.data,
                });
            }
            self.clear();
        } else if !self.skipping && !self.oversize {
            self.field(&line);
        }
        line.clear();
        self.line = line;
    }

    fn field(&mut self, line: &[u8]) {
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or(&[]);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => self.event = String::from_utf8_lossy(value).into_owned(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(pieces: &[&[u8]]) -> Vec<(String, Vec<u8>)> {
        let mut parser = SseParser::default();
        let mut out = Vec::new();
        for piece in pieces {
            parser.push(piece, &mut |e| {
                out.push((e.name.to_owned(), e.data.to_vec()))
            });
        }
        out
    }

    const STREAM: &[u8] = b"\xef\xbb\xbfdata: a\r\n\r\n: ping\n\ndata:b\rdata: c\r\revent: x\ndata\n\ndata: d \xc3\xa9\n\n";

    #[test]
    fn a_stream_cut_anywhere_gives_the_same_events() {
        let whole = events(&[STREAM]);
        assert_eq!(whole.len(), 4);
        assert_eq!(whole[1], (String::new(), b"b\nc".to_vec()));
        assert_eq!(whole[2], ("x".to_owned(), Vec::new()));
        for cut in 0..=STREAM.len() {
            assert_eq!(
                events(&[&STREAM[..cut], &STREAM[cut..]]),
                whole,
                "cut at {cut}"
            );
        }
        let bytes: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(events(&bytes), whole);
    }

    #[test]
    fn an_event_that_a_hole_touched_is_not_given() {
        let mut parser = SseParser::default();
        let mut out = Vec::new();
        let mut take = |e: SseEvent<'_>| out.push(e.data.to_vec());
        parser.push(b"data: a\n\ndata: b", &mut take);
        parser.gap();
        parser.push(b"rest of c\n\ndata: d\n\n", &mut take);
        assert_eq!(out, [b"a".to_vec(), b"d".to_vec()]);
        assert_eq!(parser.lost_events(), 1);
    }

    #[test]
    fn an_unfinished_event_is_not_given() {
        assert!(events(&[b"data: a\n"]).is_empty());
    }

    #[test]
    fn an_event_past_the_bound_is_counted_and_the_next_is_given() {
        let mut parser = SseParser::default();
        let mut out = Vec::new();
        let huge = vec![b'x'; MAX_EVENT_BYTES];
        let mut take = |e: SseEvent<'_>| out.push(e.data.to_vec());
        parser.push(b"data: ", &mut take);
        parser.push(&huge, &mut take);
        parser.push(b"\n\ndata: z\n\n", &mut take);
        assert_eq!(out, [b"z".to_vec()]);
        assert_eq!(parser.lost_events(), 1);
    }
}
