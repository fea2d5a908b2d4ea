//! The scanner's state machine.
//!
//! ```text
//!            +--------------------------- ',' ---------------------------+
//!            v                                                           |
//!  Value --{--> KeyOrEnd --"--> Str(key) --> Colon --:--> Value -------> After --> Done
//!    |  [--> ValueOrEnd                                    (scalar)        ^ |
//!    +--> Str | Num | Lit ------------------------------------------------+ | '}' ']'
//!    +--> Skip (a container that is not wanted) ----------------------------+
//!
//!  gap, anywhere before Done -> Lost --known key--> KeyOrEnd ... its '}' -> Lost
//!  not JSON -> Bad (for good; inside a member found behind a hole: Lost)
//! ```

use super::resync::Resync;
use super::text::{StringStep, Text, as_utf8, first_plain_bytes, is_number, plain_bytes, whole};
use super::{Container, JsonSink, Path, Scalar, Walk};
use crate::cut::{behind, upto};
use crate::limits::MAX_JSON_DEPTH;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    After,
    Str { key: bool },
    Num,
    Lit { word: &'static [u8], at: usize },
    Skip { depth: u64 },
    SkipStr { depth: u64, escaped: bool },
    Done,
    Bad,
    Lost,
}

/// How a document ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// One whole value was seen.
    Complete,
    /// It ended early, or a hole took a part of it.
    Incomplete,
    /// It is not JSON.
    Bad,
}

/// The scanner. See the module's parent.
#[derive(Debug)]
pub struct Scanner {
    state: State,
    path: Path,
    text: Text,
    resync: Resync,
    /// Keys of top-level members, with objects as values, that are looked for behind a hole.
    keys: &'static [&'static str],
}

impl Scanner {
    /// At the start of a document. `resync_keys`: top-level members to look for behind a hole.
    pub fn new(resync_keys: &'static [&'static str]) -> Scanner {
        Scanner {
            state: State::Value,
            path: Path::default(),
            text: Text::default(),
            resync: Resync::new(),
            keys: resync_keys,
        }
    }

    /// At the start of the next document.
    pub fn reset(&mut self) {
        self.state = State::Value;
        self.path.clear();
        self.text.clear();
        self.resync = Resync::new();
    }

    /// Whether one whole value was seen, and nothing after it.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Bytes are missing here.
    pub fn gap(&mut self) {
        if !matches!(self.state, State::Done | State::Bad) {
            self.lose();
        }
    }

    fn lose(&mut self) {
        self.text.clear();
        self.path.clear();
        self.resync = Resync::new();
        self.state = State::Lost;
    }

    fn bad(&mut self) {
        if self.path.after_hole() {
            self.lose();
        } else {
            self.state = State::Bad;
        }
    }

    /// The document ends here.
    pub fn finish<S: JsonSink + ?Sized>(&mut self, sink: &mut S) -> Finish {
        if self.state == State::Num && self.path.depth() == 0 {
            self.end_number(sink);
        }
        match self.state {
            State::Done => Finish::Complete,
            State::Bad => Finish::Bad,
            State::Value
            | State::ValueOrEnd
            | State::Key
            | State::KeyOrEnd
            | State::Colon
            | State::After
            | State::Str { .. }
            | State::Num
            | State::Lit { .. }
            | State::Skip { .. }
            | State::SkipStr { .. }
            | State::Lost => Finish::Incomplete,
        }
    }

    /// The next bytes.
    pub fn push<S: JsonSink + ?Sized>(&mut self, bytes: &[u8], sink: &mut S) {
        let mut i = 0;
        while let Some(&b) = bytes.get(i) {
            match self.state {
                State::Bad => return,
                State::Str { key } => {
                    if self.text.is_plain() {
                        let rest = behind(bytes, i);
                        let is_first = self.text.is_empty();
                        let n = match is_first {
                            true => first_plain_bytes(rest),
                            false => plain_bytes(rest),
                        };
                        i += n;
                        if is_first && rest.get(n) == Some(&b'"') {
                            // It stands in these bytes as it is: most do.
                            i += 1;
                            self.string(key, whole(upto(rest, n)), sink);
                            continue;
                        }
                        self.text.plain(upto(rest, n));
                        if self.text.pair(behind(rest, n)) {
                            i += 2;
                            continue;
                        }
                    }
                    let Some(&b) = bytes.get(i) else {
                        return;
                    };
                    let step = self.text.special(b);
                    i += 1;
                    match step {
                        StringStep::More => {}
                        StringStep::Bad => self.bad(),
                        StringStep::End => self.end_string(key, sink),
                    }
                }
                State::Skip { depth } => {
                    i += 1;
                    self.skip(b, depth);
                }
                State::SkipStr { depth, escaped } => {
                    if escaped {
                        i += 1;
                        self.state = State::SkipStr {
                            depth,
                            escaped: false,
                        };
                        continue;
                    }
                    let rest = behind(bytes, i);
                    let n = plain_bytes(rest);
                    i += n + 1;
                    match rest.get(n) {
                        None => return,
                        Some(b'"') => self.state = State::Skip { depth },
                        Some(_) => {
                            self.state = State::SkipStr {
                                depth,
                                escaped: true,
                            }
                        }
                    }
                }
                State::Num => {
                    let rest = behind(bytes, i);
                    let is_num =
                        |b: &u8| matches!(b, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E');
                    let n = rest.iter().take_while(|b| is_num(b)).count();
                    i += n;
                    if self.text.is_empty() && n < rest.len() {
                        self.number(whole(upto(rest, n)), sink);
                        continue;
                    }
                    self.text.plain(upto(rest, n));
                    if n < rest.len() {
                        self.end_number(sink);
                    }
                }
                State::Lit { word, at } => {
                    let rest = behind(word, at);
                    let whole = behind(bytes, i).starts_with(rest);
                    let n = if whole { rest.len() } else { 1 };
                    i += n;
                    if word.get(at) != Some(&b) {
                        self.bad();
                    } else if at + n < word.len() {
                        self.state = State::Lit { word, at: at + n };
                    } else {
                        let value = match word {
                            b"true" => Scalar::Bool(true),
                            b"false" => Scalar::Bool(false),
                            _ => Scalar::Null,
                        };
                        sink.scalar(&self.path, value);
                        self.after_value();
                    }
                }
                State::Lost => match self.resync.push(behind(bytes, i), self.keys) {
                    None => return,
                    Some((n, used)) => {
                        i += used;
                        if let Some(key) = self.keys.get(n) {
                            self.path.assume(key);
                        }
                        self.open(Container::Object, sink);
                    }
                },
                State::Value
                | State::ValueOrEnd
                | State::Key
                | State::KeyOrEnd
                | State::Colon
                | State::After
                | State::Done => {
                    if matches!(b, b' ' | b'\t' | b'\n' | b'\r') {
                        i += 1;
                        continue;
                    }
                    self.structural(b, sink);
                    // A number begins with its first digit.
                    i += usize::from(self.state != State::Num);
                }
            }
        }
    }

    fn skip(&mut self, b: u8, depth: u64) {
        match b {
            b'"' => {
                self.state = State::SkipStr {
                    depth,
                    escaped: false,
                }
            }
            b'{' | b'[' => self.state = State::Skip { depth: depth + 1 },
            b'}' | b']' if depth == 1 => self.after_value(),
            b'}' | b']' => self.state = State::Skip { depth: depth - 1 },
            _ => {}
        }
    }

    fn structural<S: JsonSink + ?Sized>(&mut self, b: u8, sink: &mut S) {
        match (self.state, b) {
            (State::Value | State::ValueOrEnd, b'{') => self.open(Container::Object, sink),
            (State::Value | State::ValueOrEnd, b'[') => self.open(Container::Array, sink),
            (State::Value | State::ValueOrEnd, b'"') => self.state = State::Str { key: false },
            (State::Value | State::ValueOrEnd, b't') => self.literal(b"true"),
            (State::Value | State::ValueOrEnd, b'f') => self.literal(b"false"),
            (State::Value | State::ValueOrEnd, b'n') => self.literal(b"null"),
            (State::Value | State::ValueOrEnd, b'-' | b'0'..=b'9') => self.state = State::Num,
            (State::ValueOrEnd, b']') => self.close(Container::Array, sink),
            (State::Key | State::KeyOrEnd, b'"') => self.state = State::Str { key: true },
            (State::KeyOrEnd, b'}') => self.close(Container::Object, sink),
            (State::Colon, b':') => self.state = State::Value,
            (State::After, b',') => match self.path.container() {
                Some(Container::Object) => self.state = State::Key,
                Some(Container::Array) => {
                    self.path.next_index();
                    self.state = State::Value;
                }
                None => self.bad(),
            },
            (State::After, b'}') => self.close(Container::Object, sink),
            (State::After, b']') => self.close(Container::Array, sink),
            (_, _) => self.bad(),
        }
    }

    fn literal(&mut self, word: &'static [u8]) {
        self.state = State::Lit { word, at: 1 };
    }

    fn open<S: JsonSink + ?Sized>(&mut self, container: Container, sink: &mut S) {
        if self.path.depth() >= MAX_JSON_DEPTH || sink.begin(&self.path, container) == Walk::Skip {
            self.state = State::Skip { depth: 1 };
            return;
        }
        self.path.push(container);
        self.state = match container {
            Container::Object => State::KeyOrEnd,
            Container::Array => State::ValueOrEnd,
        };
    }

    fn close<S: JsonSink + ?Sized>(&mut self, container: Container, sink: &mut S) {
        if self.path.container() != Some(container) {
            self.bad();
            return;
        }
        self.path.pop();
        sink.end(&self.path, container);
        self.after_value();
    }

    /// A value is complete.
    fn after_value(&mut self) {
        self.text.clear();
        self.state = match (self.path.depth(), self.path.after_hole()) {
            (0, _) => State::Done,
            (1, true) => {
                self.lose();
                State::Lost
            }
            (_, _) => State::After,
        };
    }

    fn end_string<S: JsonSink + ?Sized>(&mut self, key: bool, sink: &mut S) {
        let mut text = std::mem::take(&mut self.text);
        self.string(key, text.get(), sink);
        // For its allocation.
        text.clear();
        self.text = text;
    }

    /// A string has ended: its first bytes, and how many it has.
    fn string<S: JsonSink + ?Sized>(
        &mut self,
        key: bool,
        (bytes, len): (&[u8], u64),
        sink: &mut S,
    ) {
        if key {
            self.path.set_key(bytes, bytes.len() as u64 != len);
            self.state = State::Colon;
        } else {
            let prefix = as_utf8(bytes);
            let cut = prefix.len() as u64 != len;
            sink.scalar(&self.path, Scalar::Str { prefix, len, cut });
            self.after_value();
        }
    }

    fn end_number<S: JsonSink + ?Sized>(&mut self, sink: &mut S) {
        let mut text = std::mem::take(&mut self.text);
        self.number(text.get(), sink);
        // For its allocation.
        text.clear();
        self.text = text;
    }

    /// A number has ended: its first bytes, and how many it has.
    fn number<S: JsonSink + ?Sized>(&mut self, (bytes, len): (&[u8], u64), sink: &mut S) {
        if bytes.len() as u64 == len && !is_number(bytes) {
            self.bad();
            return;
        }
        sink.scalar(&self.path, Scalar::Num(as_utf8(bytes)));
        self.after_value();
    }
}
