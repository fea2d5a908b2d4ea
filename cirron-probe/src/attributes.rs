//! Attributes of a scope, a request or a mark, packed into bytes that travel with one hit.
//!
//! ```text
//! entry:  kind u8 │ key length u8 │ value length u16 │ key │ value       numbers as the machine has them
//! kind:   1 int i64 │ 2 float f64 │ 3 bool u8 │ 4 text │ 5 uint u64 │ 6 index i64 │ 127 left out u32
//! ```
//!
//! Entries follow one another without padding, 512 bytes at most. An attribute that does not fit any
//! more is left out whole; a last entry of kind 127 then says how many were. The buffer lies on the
//! stack of whoever makes the hit, and is gone afterwards.

use crate::value::{cut, ToValue, Value, MAX_TEXT};

/// All attributes of one hit. It lies on the stack, and a tracer copies it in one piece.
pub(crate) const MAX_BYTES: usize = 512;

/// The longest key; the agent cuts names there.
pub(crate) const MAX_KEY: usize = 128;

const HEADER: usize = 4;
const INDEX: u8 = 6;
const LEFT_OUT: u8 = 127;

/// What the entry that tells of others takes: it always fits.
const LEFT_OUT_BYTES: usize = HEADER + 4;

/// Attributes that are being packed. The macros make it; it is public for them.
#[derive(Debug)]
pub struct Attributes {
    bytes: [u8; MAX_BYTES],
    len: usize,
    left_out: u32,
}

impl Default for Attributes {
    fn default() -> Self {
        Self::new()
    }
}

impl Attributes {
    /// None so far.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: [0; MAX_BYTES],
            len: 0,
            left_out: 0,
        }
    }

    /// Adds one, if it has a value.
    pub fn put<V: ToValue + ?Sized>(&mut self, key: &str, value: &V) {
        if let Some(value) = value.to_value() {
            self.put_value(key, value);
        }
    }

    /// Adds the index of a scope, which is no attribute of its own.
    pub fn index<V: Index>(&mut self, index: V) {
        match index.to_index() {
            Some(index) => self.entry(INDEX, "", &index.to_ne_bytes()),
            None => self.left_out += 1,
        }
    }

    pub(crate) fn put_value(&mut self, key: &str, value: Value<'_>) {
        let key = cut(key.strip_prefix("r#").unwrap_or(key), MAX_KEY);
        let code = value.code();
        match value {
            Value::Int(value) => self.entry(code, key, &value.to_ne_bytes()),
            Value::Uint(value) => self.entry(code, key, &value.to_ne_bytes()),
            Value::Float(value) => self.entry(code, key, &value.to_ne_bytes()),
            Value::Bool(value) => self.entry(code, key, &[u8::from(value)]),
            Value::Text(value) => self.entry(code, key, cut(value, MAX_TEXT).as_bytes()),
        }
    }

    /// The bytes of what there may be. Sites without attributes need no room for them.
    pub(crate) fn bytes_of(attributes: Option<&mut Self>) -> &[u8] {
        attributes.map_or(&[], |attributes| attributes.finish())
    }

    /// The bytes, and nothing to be added any more.
    fn finish(&mut self) -> &[u8] {
        if self.left_out > 0 {
            let left_out = self.left_out.to_ne_bytes();
            self.write(LEFT_OUT, "", &left_out);
            self.left_out = 0;
        }
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    fn entry(&mut self, kind: u8, key: &str, value: &[u8]) {
        let len = HEADER + key.len() + value.len();
        if self.len + len + LEFT_OUT_BYTES > MAX_BYTES {
            self.left_out += 1;
        } else {
            self.write(kind, key, value);
        }
    }

    /// Keys and values are short enough for their lengths, and there is room: the callers see to it.
    fn write(&mut self, kind: u8, key: &str, value: &[u8]) {
        let value_len = (value.len() as u16).to_ne_bytes();
        let header = [kind, key.len() as u8, value_len[0], value_len[1]];
        for part in [&header, key.as_bytes(), value] {
            if let Some(room) = self.bytes.get_mut(self.len..self.len + part.len()) {
                room.copy_from_slice(part);
                self.len += part.len();
            }
        }
    }
}

/// What can be the index of a scope: any integer that fits into 64 bits with a sign.
pub trait Index {
    /// The index, if it fits.
    fn to_index(&self) -> Option<i64>;
}

macro_rules! indices {
    ($($type:ty)+) => {
        $(impl Index for $type {
            fn to_index(&self) -> Option<i64> {
                i64::try_from(*self).ok()
            }
        })+
    };
}

indices!(i8 i16 i32 i64 isize u8 u16 u32 u64 usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_follow_one_another() {
        let mut attributes = Attributes::new();
        attributes.index(3_u8);
        attributes.put("r#type", "warm");
        attributes.put("absent", &None::<i64>);
        attributes.put("ok", &true);
        let mut expected = vec![6, 0];
        expected.extend(8_u16.to_ne_bytes());
        expected.extend(3_i64.to_ne_bytes());
        expected.extend([4, 4]);
        expected.extend(4_u16.to_ne_bytes());
        expected.extend(b"typewarm");
        expected.extend([3, 2]);
        expected.extend(1_u16.to_ne_bytes());
        expected.extend(b"ok\x01");
        assert_eq!(attributes.finish(), expected);
    }

    #[test]
    fn what_does_not_fit_is_left_out_whole_and_counted() {
        let mut attributes = Attributes::new();
        attributes.put("first", &"a".repeat(10_000));
        attributes.put("second", &"b".repeat(10_000));
        attributes.put("third", "c");
        attributes.index(u64::MAX);
        let bytes = attributes.finish();
        assert!(bytes.len() <= MAX_BYTES);
        // The first was cut at 256, the second did not fit, the third did, the index has no room
        // in 64 bits with a sign.
        let first = HEADER + 5 + MAX_TEXT;
        assert_eq!(bytes.get(HEADER..HEADER + 5), Some(&b"first"[..]));
        assert_eq!(
            bytes.get(first + HEADER..first + HEADER + 6),
            Some(&b"thirdc"[..])
        );
        let last = first + HEADER + 6;
        assert_eq!(bytes.get(last), Some(&LEFT_OUT));
        assert_eq!(bytes.get(last + HEADER..), Some(&2_u32.to_ne_bytes()[..]));
    }

    #[test]
    fn a_full_buffer_still_tells_what_is_missing() {
        let mut attributes = Attributes::new();
        for _ in 0..1_000 {
            attributes.put("k", &1);
        }
        let bytes = attributes.finish();
        assert!(bytes.len() <= MAX_BYTES);
        let kept = (bytes.len() - LEFT_OUT_BYTES) / (HEADER + 1 + 8);
        assert_eq!(
            bytes.get(bytes.len() - 4..),
            Some(&(1_000 - kept as u32).to_ne_bytes()[..])
        );
    }

    #[test]
    fn a_long_key_is_cut() {
        let mut attributes = Attributes::new();
        attributes.put(&"k".repeat(10_000), &1);
        let bytes = attributes.finish();
        assert_eq!(bytes.get(1), Some(&(MAX_KEY as u8)));
    }
}
