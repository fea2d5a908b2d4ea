//! Where frames begin, in bytes of which nothing is known: joined late, or behind a hole.
//!
//! A frame's header says where the next one begins: a row of headers that each could be true does
//! not come about by chance. What begins and ends with a piece (a system call, most often) needs
//! one header, since its length fits exactly; in the middle it takes more. Frames that this leaves
//! out are lost and nothing else is: to take a body's bytes for frames would be worse.
//!
//! A row proves less of its first header than of the others: bytes that look like one, with a length
//! that ends by chance where a frame does, stand in front of a true row. So a first frame inside which
//! another begins that ends at the same place is left out.

use super::frame::{FRAME_HEADER_LEN, FrameHeader};
use crate::cut::behind;
use crate::limits::MAX_CHAIN_FRAME_BYTES;

/// Headers in a row that need nothing else to be believed.
const SURE: usize = 3;

/// A row of headers, from some place on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Row {
    headers: usize,
    /// Where its first frame ends, if that is in the piece.
    first_end: Option<usize>,
    /// The last frame ends with the bytes.
    fits: bool,
    /// A header of it cannot be true.
    broken: bool,
}

/// The rows of a piece.
struct Rows {
    /// From each place on.
    from: Vec<Row>,
    /// The last place from which a frame ends at each place.
    last_to: Vec<Option<usize>>,
}

impl Rows {
    /// From the end on, so that each row is known where another comes to it.
    fn read(piece: &[u8]) -> Rows {
        let mut rows = Rows {
            from: vec![Row::default(); piece.len() + 1],
            last_to: vec![None; piece.len() + 1],
        };
        if let Some(last) = rows.from.last_mut() {
            last.fits = true;
        }
        for at in (0..piece.len()).rev() {
            let Some(header) = FrameHeader::parse(behind(piece, at)) else {
                continue;
            };
            let row = if header.is_plausible(MAX_CHAIN_FRAME_BYTES) {
                rows.with(at, at + FRAME_HEADER_LEN + header.len)
            } else {
                Row {
                    broken: true,
                    ..Row::default()
                }
            };
            if let Some(here) = rows.from.get_mut(at) {
                *here = row;
            }
        }
        rows
    }

    /// The row that begins with a frame from `at` to `end`.
    fn with(&mut self, at: usize, end: usize) -> Row {
        let Some(rest) = self.from.get(end) else {
            return Row {
                headers: 1,
                ..Row::default()
            };
        };
        if let Some(last) = self.last_to.get_mut(end) {
            last.get_or_insert(at);
        }
        Row {
            headers: rest.headers + 1,
            first_end: Some(end),
            ..*rest
        }
    }

    /// Whether another frame begins inside the first one of the row from `at`, and ends where that does.
    fn is_rivalled(&self, at: usize) -> bool {
        let end = self.from.get(at).and_then(|row| row.first_end);
        let last = end.and_then(|end| *self.last_to.get(end)?);
        last.is_some_and(|last| last > at)
    }
}

/// The place in a piece where frames begin; `None` while it cannot be told.
pub(crate) fn find(piece: &[u8]) -> Option<usize> {
    let rows = Rows::read(piece);
    let believed = |at: &usize| {
        let row = rows.from.get(*at).copied().unwrap_or_default();
        let enough = match (*at, row.fits) {
            (0, true) => 1,
            (_, true) => 2,
            (_, false) => SURE,
        };
        !row.broken && row.headers >= enough && !rows.is_rivalled(*at)
    };
    (0..piece.len()).find(believed)
}

/// Whether a piece of which nothing is known begins as a frame does, whole or not.
pub(crate) fn may_begin(piece: &[u8]) -> bool {
    FrameHeader::parse(piece).is_some_and(|header| header.is_plausible(MAX_CHAIN_FRAME_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    const DATA: [u8; 11] = [0, 0, 2, 0, 0, 0, 0, 0, 1, b'o', b'k'];

    #[test]
    fn a_piece_that_is_one_frame_is_one() {
        assert_eq!(find(&DATA), Some(0));
        assert_eq!(find(&DATA[..10]), None);
        let more = [&DATA[..], b"x"].concat();
        assert_eq!(find(&more), None);
    }

    #[test]
    fn in_the_middle_of_a_piece_it_takes_more() {
        let two = [b"rest", &DATA[..], &PING].concat();
        assert_eq!(find(&two), Some(4));
        let one = [b"rest", &DATA[..]].concat();
        assert_eq!(find(&one), None);
        let cut = [b"rest", &DATA[..], &PING, &PING[..12]].concat();
        assert_eq!(find(&cut), Some(4));
        assert_eq!(find(&cut[..cut.len() - 12]), Some(4));
    }

    #[test]
    fn what_looks_like_a_frame_and_ends_with_a_true_one_is_left_out() {
        // The payload of SETTINGS and a length behind it: DATA of 256 bytes, and a stream 57.
        let lookalike = [0, 1, 0, 0, 1, 0];
        let headers = [&[0, 0, 57, 1, 4, 0, 0, 0, 1][..], &[0x88; 57]].concat();
        let mut bytes = [&lookalike[..], &headers].concat();
        let left = FRAME_HEADER_LEN + 256 - bytes.len() - FRAME_HEADER_LEN;
        bytes.extend([0, 0, u8::try_from(left).expect("short"), 0, 0, 0, 0, 0, 1]);
        bytes.extend(vec![b'x'; left]);
        bytes.extend([DATA, DATA, DATA].concat());
        assert!(FrameHeader::parse(&bytes).is_some_and(|h| h.is_plausible(16_384)));
        assert_eq!(find(&bytes), Some(lookalike.len()));
    }

    #[test]
    fn text_holds_no_frames() {
        let text = "{\"messages\":[{\"role\":\"user\",\"content\":\"".repeat(200);
        assert_eq!(find(text.as_bytes()), None);
        assert_eq!(find(&[0; 4096]), None);
    }
}
