//! Where frames begin, in bytes of which nothing is known: joined late, or behind a hole.
//!
//! A frame's header says where the next one begins: a row of headers that each could be true does
//! not come about by chance. What begins and ends with a piece (a system call, most often) needs
//! one header, since its length fits exactly; in the middle it takes more. Frames that this leaves
//! out are lost and nothing else is: to take a body's bytes for frames would be worse.

use super::frame::{FRAME_HEADER_LEN, FrameHeader};
use crate::limits::MAX_CHAIN_FRAME_BYTES;

/// Headers in a row that need nothing else to be believed.
const SURE: usize = 3;

/// A row of headers, from some place on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Row {
    headers: usize,
    /// The last frame ends with the bytes.
    fits: bool,
    /// A header of it cannot be true.
    broken: bool,
}

fn row(mut bytes: &[u8]) -> Row {
    let mut row = Row::default();
    while let Some(header) = FrameHeader::parse(bytes) {
        if !header.is_plausible(MAX_CHAIN_FRAME_BYTES) {
            row.broken = true;
            return row;
        }
        row.headers += 1;
        match bytes.get(FRAME_HEADER_LEN + header.len..) {
            Some(rest) => bytes = rest,
            None => return row,
        }
    }
    row.fits = bytes.is_empty();
    row
}

/// The place in a piece where frames begin; `None` while it cannot be told.
pub(crate) fn find(piece: &[u8]) -> Option<usize> {
    let believed = |at: &usize| {
        let row = row(&piece[*at..]);
        let enough = match (*at, row.fits) {
            (0, true) => 1,
            (_, true) | (0, false) => 2,
            (_, false) => SURE,
        };
        !row.broken && row.headers >= enough
    };
    (0..piece.len().saturating_sub(FRAME_HEADER_LEN - 1)).find(believed)
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
    fn text_holds_no_frames() {
        let text = "{\"messages\":[{\"role\":\"user\",\"content\":\"".repeat(200);
        assert_eq!(find(text.as_bytes()), None);
        assert_eq!(find(&[0; 4096]), None);
    }
}
