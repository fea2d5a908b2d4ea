//! Bytes of one direction that were not read yet, in order, with their holes.
//!
//! Almost always it holds less than a record. Bytes without a hole between them are a segment, and a record is read
//! out of the first one. Positions are those of the stream; bytes that come again are left out and counted.
//!
//! ```text
//!   front: [ bytes not read ] --hole--> [ bytes ] --hole--> [ bytes ]
//!            ^ position                                               ^ end
//! ```

use std::collections::VecDeque;

use crate::limits::KEPT_BUFFER_BYTES;

/// See the module.
pub(crate) struct Input<M> {
    /// The first one, which is always there.
    front: Segment<M>,
    /// Those behind holes.
    behind: VecDeque<Segment<M>>,
    /// Position behind the last byte; `None` before the first.
    end: Option<u64>,
    held: usize,
    last: Option<M>,
}

struct Segment<M> {
    bytes: Vec<u8>,
    /// Bytes of it that were read.
    read: usize,
    /// Position of the first byte that was not.
    at: u64,
    /// Where each piece ended, and its mark.
    marks: VecDeque<(u64, M)>,
    /// The hole before it, of which the front has none.
    hole: Option<(u64, M)>,
}

impl<M> Segment<M> {
    fn at(at: u64, hole: Option<(u64, M)>) -> Segment<M> {
        Segment {
            bytes: Vec::new(),
            read: 0,
            at,
            marks: VecDeque::new(),
            hole,
        }
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.read
    }
}

impl<M: Copy> Input<M> {
    /// Nothing yet; the first piece says where the stream begins.
    pub(crate) fn new() -> Input<M> {
        Input {
            front: Segment::at(0, None),
            behind: VecDeque::new(),
            end: None,
            held: 0,
            last: None,
        }
    }

    /// Bytes that it holds.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Bytes at `at`. What is missing before them is a hole; gives how many of them were there already.
    pub(crate) fn push(&mut self, at: u64, bytes: &[u8], mark: M) -> usize {
        self.last = Some(mark);
        let end = self.begin(at);
        if at > end {
            self.gap(end, at - end, mark);
        }
        let stale = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
        let new = bytes.get(stale..).unwrap_or_default();
        if new.is_empty() {
            return bytes.len();
        }
        let segment = self.behind.back_mut().unwrap_or(&mut self.front);
        if segment.read > 0 {
            segment.bytes.drain(..segment.read);
            segment.read = 0;
        }
        segment.bytes.extend_from_slice(new);
        self.held += new.len();
        let end = end.max(at) + new.len() as u64;
        segment.marks.push_back((end, mark));
        self.end = Some(end);
        stale
    }

    /// A hole at `at`; gives how much of it is none, since it came before.
    pub(crate) fn gap(&mut self, at: u64, len: u64, mark: M) -> u64 {
        self.last = Some(mark);
        let end = self.begin(at);
        let to = at.saturating_add(len);
        if to <= end {
            return len;
        }
        let missing = to - end;
        match self.behind.back_mut() {
            Some(last) if last.left() == 0 => {
                last.at = to;
                if let Some((known, _)) = &mut last.hole {
                    *known += missing;
                }
            }
            _ => self
                .behind
                .push_back(Segment::at(to, Some((missing, mark)))),
        }
        self.end = Some(to);
        len - missing.min(len)
    }

    fn begin(&mut self, at: u64) -> u64 {
        if self.end.is_none() {
            self.front.at = at;
        }
        *self.end.get_or_insert(at)
    }

    /// Position of the first byte that was not read.
    #[cfg(test)]
    pub(crate) fn position(&self) -> u64 {
        self.front.at
    }

    /// What can be read without a hole.
    pub(crate) fn front(&self) -> &[u8] {
        self.front.bytes.get(self.front.read..).unwrap_or_default()
    }

    /// The first `n` bytes of it, to be opened in place.
    pub(crate) fn front_mut(&mut self, n: usize) -> Option<&mut [u8]> {
        let read = self.front.read;
        self.front.bytes.get_mut(read..read + n)
    }

    /// Whether a hole is behind it.
    pub(crate) fn is_holed(&self) -> bool {
        !self.behind.is_empty()
    }

    /// The mark of the piece that the `n`th byte came with.
    pub(crate) fn mark_at(&self, n: usize) -> Option<M> {
        let end = self.front.at + n as u64;
        let mut marks = self.front.marks.iter();
        marks.find(|(to, _)| *to >= end).map(|(_, mark)| *mark)
    }

    /// The mark of the last piece that came.
    pub(crate) fn last_mark(&self) -> Option<M> {
        self.last
    }

    /// The first `n` bytes have been read.
    pub(crate) fn take(&mut self, n: usize) {
        let n = n.min(self.front.left());
        self.front.read += n;
        self.front.at += n as u64;
        self.held -= n;
        while self
            .front
            .marks
            .front()
            .is_some_and(|(to, _)| *to <= self.front.at)
        {
            self.front.marks.pop_front();
        }
        if self.front.left() == 0 {
            self.front.read = 0;
            if self.front.bytes.capacity() > KEPT_BUFFER_BYTES {
                self.front.bytes = Vec::new();
            } else {
                self.front.bytes.clear();
            }
        }
    }

    /// Goes behind the hole: what is before it cannot be read. Gives what was left out, the hole with it, and the
    /// hole's mark.
    pub(crate) fn cross(&mut self) -> Option<(u64, M)> {
        let mut next = self.behind.pop_front()?;
        let (len, mark) = next.hole.take()?;
        let left = self.front.left();
        self.held -= left;
        self.front = next;
        Some((left as u64 + len, mark))
    }

    /// Forgets all that it holds, and gives how many bytes that were.
    pub(crate) fn clear(&mut self) -> u64 {
        let held = self.held as u64;
        self.front = Segment::at(self.end.unwrap_or_default(), None);
        self.behind.clear();
        self.held = 0;
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_the_mark_of_the_piece_that_completed_it() {
        let mut input = Input::new();
        assert_eq!(input.push(10, b"abc", 'x'), 0);
        assert_eq!(input.push(13, b"de", 'y'), 0);
        assert_eq!(input.front(), b"abcde");
        assert_eq!((input.mark_at(3), input.mark_at(4)), (Some('x'), Some('y')));
        input.take(4);
        assert_eq!((input.front(), input.mark_at(1)), (&b"e"[..], Some('y')));
        assert_eq!((input.position(), input.held()), (14, 1));
    }

    #[test]
    fn bytes_that_come_again_are_left_out() {
        let mut input = Input::new();
        input.push(0, b"abcd", ());
        assert_eq!(input.push(2, b"cdef", ()), 2);
        assert_eq!(input.push(1, b"bc", ()), 2);
        assert_eq!(input.front(), b"abcdef");
        assert_eq!(input.gap(3, 3, ()), 3);
        assert!(!input.is_holed());
        assert_eq!(input.gap(3, 5, ()), 3);
        assert_eq!(input.cross(), Some((8, ())));
        assert_eq!(input.position(), 8);
    }

    #[test]
    fn what_is_missing_is_a_hole_of_exact_length() {
        let mut input = Input::new();
        input.push(0, b"ab", 1);
        input.gap(2, 3, 2);
        input.push(7, b"cd", 3);
        input.gap(9, 1, 4);
        assert!(input.is_holed());
        input.take(1);
        assert_eq!(input.cross(), Some((1 + 5, 2)));
        assert_eq!((input.front(), input.position()), (&b"cd"[..], 7));
        assert_eq!(input.cross(), Some((2 + 1, 4)));
        assert_eq!(
            (input.front(), input.position(), input.held()),
            (&b""[..], 10, 0)
        );
        assert_eq!(input.cross(), None);
        input.push(10, b"e", 5);
        assert_eq!(input.front(), b"e");
    }
}
