//! The text of one JSON string or number, built piece by piece: a bounded prefix and a length.

use memchr::memchr2;

use crate::cut::{behind, upto};
use crate::limits::MAX_JSON_SCALAR_BYTES;

/// Where in an escape sequence the text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    No,
    /// After the backslash.
    Begun,
    /// After `\u` and `n` digits.
    Hex { n: u8, value: u16 },
}

/// What a byte did to a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StringStep {
    More,
    End,
    Bad,
}

#[derive(Debug, Default)]
pub(super) struct Text {
    prefix: Vec<u8>,
    len: u64,
    escape: Escape,
    /// The first half of a surrogate pair.
    high: Option<u16>,
}

impl Text {
    pub(super) fn clear(&mut self) {
        self.prefix.clear();
        self.len = 0;
        self.escape = Escape::No;
        self.high = None;
    }

    /// The bytes that are kept, which are its first, and how many it has in all.
    pub(super) fn get(&self) -> (&[u8], u64) {
        (&self.prefix, self.len)
    }

    /// Nothing of it has come.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0 && self.escape == Escape::No && self.high.is_none()
    }

    /// Bytes that stand for themselves.
    #[inline]
    pub(super) fn plain(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.lone_surrogate();
        self.add(bytes);
    }

    #[inline]
    fn add(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        let room = MAX_JSON_SCALAR_BYTES - self.prefix.len();
        if room > 0 {
            self.keep(upto(bytes, room));
        }
    }

    /// Apart, so that a long text passes without it.
    #[inline(never)]
    fn keep(&mut self, bytes: &[u8]) {
        self.prefix.extend_from_slice(bytes);
    }

    fn add_char(&mut self, c: char) {
        self.add(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn lone_surrogate(&mut self) {
        if self.high.take().is_some() {
            self.add_char(char::REPLACEMENT_CHARACTER);
        }
    }

    /// Whether plain bytes may follow.
    pub(super) fn is_plain(&self) -> bool {
        self.escape == Escape::No
    }

    /// A backslash and what is behind it, in one piece: whether both were taken. What is no whole sequence of two bytes
    /// is [`Text::special`]'s.
    #[inline]
    pub(super) fn pair(&mut self, bytes: &[u8]) -> bool {
        let [b'\\', b, ..] = bytes else {
            return false;
        };
        let Some(c) = unescaped(*b) else {
            return false;
        };
        self.plain(&[c]);
        true
    }

    /// A quote, a backslash, or a byte of an escape sequence.
    pub(super) fn special(&mut self, b: u8) -> StringStep {
        match self.escape {
            Escape::No => {
                if b == b'"' {
                    self.lone_surrogate();
                    return StringStep::End;
                }
                self.escape = Escape::Begun;
            }
            Escape::Begun => {
                if b == b'u' {
                    self.escape = Escape::Hex { n: 0, value: 0 };
                    return StringStep::More;
                }
                let Some(c) = unescaped(b) else {
                    return StringStep::Bad;
                };
                self.escape = Escape::No;
                self.plain(&[c]);
            }
            Escape::Hex { n, value } => {
                let Some(digit) = (b as char).to_digit(16) else {
                    return StringStep::Bad;
                };
                // A hex digit is below 16.
                let value = (value << 4) | digit as u16;
                if n < 3 {
                    self.escape = Escape::Hex { n: n + 1, value };
                } else {
                    self.escape = Escape::No;
                    self.unit(value);
                }
            }
        }
        StringStep::More
    }

    /// One UTF-16 unit.
    fn unit(&mut self, unit: u16) {
        match (self.high, unit) {
            (Some(high), 0xDC00..=0xDFFF) => {
                self.high = None;
                let mut chars = char::decode_utf16([high, unit]);
                let c = chars.next().and_then(Result::ok);
                self.add_char(c.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            (_, 0xD800..=0xDBFF) => {
                self.lone_surrogate();
                self.high = Some(unit);
            }
            (_, _) => {
                self.lone_surrogate();
                let c = char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER);
                self.add_char(c);
            }
        }
    }
}

/// What a backslash and this byte stand for (RFC 8259, section 7); `None`: more bytes belong to it, or it is none.
#[inline]
fn unescaped(b: u8) -> Option<u8> {
    Some(match b {
        b'"' | b'\\' | b'/' => b,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return None,
    })
}

/// What [`Text::get`] gives for a text that is `bytes`, without a copy of them.
pub(super) fn whole(bytes: &[u8]) -> (&[u8], u64) {
    (upto(bytes, MAX_JSON_SCALAR_BYTES), bytes.len() as u64)
}

/// The text at the beginning of `bytes`.
pub(super) fn as_utf8(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(s) => s,
        Err(e) => std::str::from_utf8(upto(bytes, e.valid_up_to())).unwrap_or_default(),
    }
}

/// Bytes of a string before its end or its next escape sequence, all where neither is here.
pub(super) fn plain_bytes(bytes: &[u8]) -> usize {
    memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len())
}

/// The same of what a string begins with: most are keys and tokens, shorter than what a search by vectors takes to begin.
/// In a long text with many escape sequences that is not so.
pub(super) fn first_plain_bytes(bytes: &[u8]) -> usize {
    let is_special = |b: &u8| matches!(b, b'"' | b'\\');
    let near = upto(bytes, NEAR_BYTES);
    match near.iter().position(is_special) {
        Some(n) => n,
        None => near.len() + plain_bytes(behind(bytes, NEAR_BYTES)),
    }
}

/// Bytes of a string that are looked at one by one. Keys and tokens are shorter.
const NEAR_BYTES: usize = 16;

/// Whether `text` is a number by RFC 8259, section 6.
pub(super) fn is_number(text: &[u8]) -> bool {
    fn digits(text: &[u8]) -> (usize, &[u8]) {
        let n = text.iter().take_while(|b| b.is_ascii_digit()).count();
        (n, behind(text, n))
    }
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let (n, rest) = digits(text);
    if n == 0 || (n > 1 && text.starts_with(b"0")) {
        return false;
    }
    let rest = match rest.strip_prefix(b".") {
        Some(rest) => match digits(rest) {
            (0, _) => return false,
            (_, rest) => rest,
        },
        None => rest,
    };
    match rest {
        [] => true,
        [b'e' | b'E', rest @ ..] => {
            let rest = rest
                .strip_prefix(b"+")
                .or(rest.strip_prefix(b"-"))
                .unwrap_or(rest);
            matches!(digits(rest), (1.., []))
        }
        _ => false,
    }
}
