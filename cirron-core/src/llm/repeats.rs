//! Text that was sent before: a last event may repeat the whole answer, and is no content.
//!
//! Kept of a text are its length and a hash, nothing of itself. Texts that are longer than what a
//! scanner keeps of a string are compared by their length.

use crate::body::json::Scalar;

/// Bytes from which on no piece of a text is by chance the same as all of it before.
const MIN_WHOLE_BYTES: u64 = 16;

/// A text, or the pieces of one so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    len: u64,
    /// Where each piece was kept whole, and before there is any.
    hash: u64,
    unhashed: bool,
}

impl Text {
    /// Nothing.
    pub(crate) fn is_empty(self) -> bool {
        self.len == 0
    }

    /// With what `value` says at its end.
    pub(crate) fn push(&mut self, value: Scalar<'_>) {
        if let Scalar::Str { prefix, len, cut } = value {
            self.append(Text {
                len,
                hash: prefix.bytes().fold(0, next),
                unhashed: cut,
            });
        }
    }

    fn append(&mut self, other: Text) {
        self.len = self.len.saturating_add(other.len);
        self.unhashed |= other.unhashed;
        let shift = BASE.wrapping_pow(u32::try_from(other.len).unwrap_or(u32::MAX));
        self.hash = self.hash.wrapping_mul(shift).wrapping_add(other.hash);
    }

    fn is(self, other: Text) -> bool {
        self.len == other.len && (self.unhashed || other.unhashed || self.hash == other.hash)
    }
}

const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

fn next(hash: u64, b: u8) -> u64 {
    hash.wrapping_mul(BASE).wrapping_add(u64::from(b) + 1)
}

/// The text of one answer, as its events bring it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Repeats {
    all: Text,
    last: Text,
    pieces: u64,
    /// Some text was shorter than the one before: they are no text so far.
    shrank: bool,
}

impl Repeats {
    /// A piece of the text, and whether it is new: not all that came before once more. `ends`: the
    /// answer ends with it.
    pub(crate) fn piece(&mut self, text: Text, ends: bool) -> bool {
        if text.is_empty() {
            return false;
        }
        let sure = ends || text.len >= MIN_WHOLE_BYTES;
        let new = !(sure && self.pieces > 1 && text.is(self.all));
        if new {
            self.take(text);
        }
        new
    }

    /// The text so far, and whether it is more than before. `ends`: the answer ends with it. Some
    /// servers send pieces where others do so: one that is shorter than the one before tells.
    pub(crate) fn so_far(&mut self, text: Text, ends: bool) -> bool {
        if text.is_empty() {
            return false;
        }
        self.shrank |= text.len < self.last.len;
        let new = !ends || self.shrank || self.pieces == 0 || !text.is(self.last);
        if new {
            self.take(text);
        }
        new
    }

    fn take(&mut self, text: Text) {
        self.all.append(text);
        self.last = text;
        self.pieces += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(of: &str) -> Text {
        let mut text = Text::default();
        text.push(Scalar::Str {
            prefix: of,
            len: of.len() as u64,
            cut: false,
        });
        text
    }

    fn new(pieces: &[&str], ends: bool) -> Vec<bool> {
        let mut repeats = Repeats::default();
        let last = pieces.len() - 1;
        let piece = |(i, p): (usize, &&str)| repeats.piece(text(p), ends && i == last);
        pieces.iter().enumerate().map(piece).collect()
    }

    #[test]
    fn the_whole_text_once_more_is_not_new() {
        assert_eq!(new(&["a", "b", "ab"], true), [true, true, false]);
        let long = ["twelve bytes", " and more", "twelve bytes and more"];
        assert_eq!(new(&long, false), [true, true, false]);
        // Another text of that length, and a short one that may be a token.
        assert_eq!(new(&["a", "b", "ba"], true), [true; 3]);
        assert_eq!(new(&["a", "b", "ab"], false), [true; 3]);
        // A token like the one before.
        assert_eq!(new(&["ha", "ha"], true), [true; 2]);
        assert_eq!(new(&["a", "", "b"], true), [true, false, true]);
    }

    #[test]
    fn a_text_that_was_not_kept_whole_is_compared_by_its_length() {
        let long = |prefix| {
            let (len, cut) = (1000, true);
            let mut text = Text::default();
            text.push(Scalar::Str { prefix, len, cut });
            text
        };
        let mut repeats = Repeats::default();
        let half = "x".repeat(500);
        assert!(repeats.piece(text(&half), false) && repeats.piece(text(&half), false));
        assert!(!repeats.piece(long("x"), false));
    }

    #[test]
    fn a_text_so_far_that_did_not_grow_is_not_new() {
        let mut repeats = Repeats::default();
        let mut grows = |of, ends| repeats.so_far(text(of), ends);
        assert!(grows("a", false) && grows("a b", false));
        // A step that made nothing to show, perhaps.
        assert!(grows("a b", false));
        assert!(!grows("a b", true) && !grows("", true));
        assert!(grows("a b c", true));
        // Pieces.
        assert!(grows("x", false) && grows("x", true));
    }
}
