//! The bytes of a file that somebody else made, within bounds.
//!
//! A target chooses the files that it maps, and so every number in them. What is read of one is held in
//! pieces of at most [`MAX_PIECE_BYTES`], and all that is read of it is at most [`MAX_READ_BYTES`]. Its
//! size is no evidence: a sparse file has any size for nothing. Nothing is mapped: a file that shrinks
//! would end us.

use std::cell::{Cell, RefCell};
use std::ops::{ControlFlow, Range};

/// Bytes that are held at once. The largest pieces are tables of where functions begin: 3 MiB in
/// libtorch's, 8 bytes a function.
pub const MAX_PIECE_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes that are read of one file, again ones included: both of its tables of symbols, if each is as
/// large as may be.
pub const MAX_READ_BYTES: u64 = 1024 * 1024 * 1024;
/// Bytes of a block of what is read from its beginning to its end.
pub const BLOCK_BYTES: usize = 512 * 1024;
/// Bytes that are read around a small value: the next one is near.
const WINDOW_BYTES: usize = 64 * 1024;

/// What a [`Source`] reads from.
pub trait ReadAt {
    /// Its size at this moment.
    fn size(&self) -> u64;
    /// Fills a buffer from a position, and gives how much; 0 at the end or where it cannot be read.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> usize;
}

impl ReadAt for &[u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> usize {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let rest = self.get(at..).unwrap_or_default();
        let n = rest.len().min(buffer.len());
        let (into, from) = (buffer.get_mut(..n), rest.get(..n));
        if let (Some(into), Some(from)) = (into, from) {
            into.copy_from_slice(from);
        }
        n
    }
}

/// Reads a file within the bounds.
pub struct Source<'f> {
    file: &'f dyn ReadAt,
    size: u64,
    /// Bytes that may still be read.
    left: Cell<u64>,
    /// Something was left out because of a bound.
    is_cut: Cell<bool>,
    window: RefCell<(u64, Vec<u8>)>,
}

impl std::fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("size", &self.size)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl<'f> Source<'f> {
    /// Nothing is read yet.
    pub fn new(file: &'f dyn ReadAt) -> Source<'f> {
        Source {
            file,
            size: file.size(),
            left: Cell::new(MAX_READ_BYTES),
            is_cut: Cell::new(false),
            window: RefCell::default(),
        }
    }

    /// All of it may be read, for tests that look at whole files.
    #[cfg(test)]
    pub fn unbounded(file: &'f dyn ReadAt) -> Source<'f> {
        Source {
            left: Cell::new(u64::MAX),
            ..Source::new(file)
        }
    }

    /// A bound was met: there may be more in the file than was found.
    pub fn is_cut(&self) -> bool {
        self.is_cut.get()
    }

    /// Something is left out because of a bound.
    pub fn cut(&self) {
        self.is_cut.set(true);
    }

    /// Takes from what may be read.
    fn may_read(&self, bytes: usize) -> bool {
        let Some(left) = self.left.get().checked_sub(bytes as u64) else {
            self.cut();
            return false;
        };
        self.left.set(left);
        true
    }

    /// Reads until the buffer is full or the file ends.
    fn fill(&self, buffer: &mut [u8], at: u64) -> usize {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, at.saturating_add(filled as u64)) {
                0 => break,
                n => filled += n,
            }
        }
        filled
    }

    /// Bytes that the file must have. `None` where it has not, or where they are too many.
    pub fn piece(&self, at: u64, size: u64) -> Option<Vec<u8>> {
        if at.checked_add(size)? > self.size {
            return None;
        }
        if size > MAX_PIECE_BYTES {
            self.cut();
            return None;
        }
        let size = usize::try_from(size).ok()?;
        if !self.may_read(size) {
            return None;
        }
        let mut bytes = vec![0; size];
        (self.fill(&mut bytes, at) == size).then_some(bytes)
    }

    /// Bytes that the file must have, of which more are near.
    pub fn array<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        let end = at.checked_add(N as u64)?;
        let mut window = self.window.borrow_mut();
        let (start, bytes) = &mut *window;
        if at < *start || end > start.saturating_add(bytes.len() as u64) {
            if end > self.size || !self.may_read(WINDOW_BYTES) {
                return None;
            }
            bytes.resize(WINDOW_BYTES, 0);
            let filled = self.fill(bytes, at);
            bytes.truncate(filled);
            *start = at;
        }
        let from = usize::try_from(at - *start).ok()?;
        bytes.get(from..from.checked_add(N)?)?.try_into().ok()
    }

    /// A little-endian number.
    pub fn u32(&self, at: u64) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    /// A little-endian number.
    pub fn u64(&self, at: u64) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }

    /// Hands out a part of the file block by block, each with where it begins and with the last
    /// `overlap` bytes of the one before. Ends with the part, the file or the bound.
    pub fn blocks<B>(
        &self,
        part: Range<u64>,
        overlap: usize,
        mut take: impl FnMut(u64, &[u8]) -> ControlFlow<B>,
    ) -> Option<B> {
        let end = part.end.min(self.size);
        let mut buffer = vec![0; BLOCK_BYTES.max(overlap * 2)];
        let (mut at, mut kept) = (part.start, 0);
        while at < end {
            let left = usize::try_from(end - at).unwrap_or(usize::MAX);
            let size = left.min(buffer.len() - kept);
            if !self.may_read(size) {
                return None;
            }
            let into = buffer.get_mut(kept..kept + size)?;
            let read = self.fill(into, at);
            if read == 0 {
                return None;
            }
            let seen = buffer.get(..kept + read)?;
            if let ControlFlow::Break(found) = take(at - kept as u64, seen) {
                return Some(found);
            }
            let have = seen.len();
            at += read as u64;
            kept = overlap.min(have);
            buffer.copy_within(have - kept..have, 0);
        }
        None
    }
}

/// A little-endian number in bytes.
pub fn u32_in(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// A little-endian number in bytes.
pub fn u64_in(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
pub(in crate::probes) mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// Bytes with a size of their own, zeros behind them, that count how often they are read.
    pub(in crate::probes) struct Counted<'b> {
        pub(in crate::probes) bytes: &'b [u8],
        pub(in crate::probes) size: u64,
        pub(in crate::probes) reads: Cell<usize>,
        pub(in crate::probes) read: Cell<u64>,
    }

    impl<'b> Counted<'b> {
        pub(in crate::probes) fn new(bytes: &'b [u8]) -> Counted<'b> {
            Counted::sparse(bytes, bytes.len() as u64)
        }

        pub(in crate::probes) fn sparse(bytes: &'b [u8], size: u64) -> Counted<'b> {
            Counted {
                bytes,
                size,
                reads: Cell::new(0),
                read: Cell::new(0),
            }
        }
    }

    impl ReadAt for Counted<'_> {
        fn size(&self) -> u64 {
            self.size
        }

        fn read_at(&self, buffer: &mut [u8], at: u64) -> usize {
            let n = usize::try_from(self.size.saturating_sub(at)).unwrap();
            let n = n.min(buffer.len());
            buffer[..n].fill(0);
            self.bytes.read_at(&mut buffer[..n], at);
            self.reads.set(self.reads.get() + 1);
            self.read.set(self.read.get() + n as u64);
            n
        }
    }

    #[test]
    fn blocks_overlap_and_end_with_the_part() {
        let bytes: Vec<u8> = (0..3 * BLOCK_BYTES + 5).map(|n| n as u8).collect();
        let file = &bytes[..];
        let source = Source::new(&file);
        let mut next = 7;
        let end = bytes.len() as u64 - 3;
        let none = source.blocks(7..end, 4, |at, seen| {
            let from = usize::try_from(at).unwrap();
            assert_eq!(&bytes[from..from + seen.len()], seen);
            assert_eq!(at, if next == 7 { 7 } else { next - 4 });
            next = at + seen.len() as u64;
            ControlFlow::<()>::Continue(())
        });
        assert_eq!((none, next), (None, end));
        let first = source.blocks(0..u64::MAX, 0, |at, seen| {
            ControlFlow::Break((at, seen.len()))
        });
        assert_eq!(first, Some((0, BLOCK_BYTES)));
        assert!(!source.is_cut());
    }

    #[test]
    fn a_piece_past_the_bound_is_not_held_however_large_the_file_says_it_is() {
        let file = Counted::sparse(b"x", 1 << 40);
        let source = Source::new(&file);
        assert!(source.piece(0, MAX_PIECE_BYTES).is_some());
        assert!(!source.is_cut());
        assert_eq!(source.piece(0, MAX_PIECE_BYTES + 1), None);
        assert!(source.is_cut());
        assert_eq!(file.read.get(), MAX_PIECE_BYTES);
        let file = &b"abc"[..];
        let source = Source::new(&file);
        assert_eq!(source.piece(1, 3), None);
        assert_eq!(source.piece(u64::MAX, 3), None);
        assert_eq!(source.piece(1, 2).unwrap(), b"bc");
        assert!(!source.is_cut());
    }

    #[test]
    fn what_is_read_of_a_file_ends_at_the_bound() {
        let file = Counted::sparse(b"", 1 << 50);
        let source = Source::new(&file);
        source.blocks(0..u64::MAX, 24, |_, _| ControlFlow::<()>::Continue(()));
        assert!(source.is_cut());
        assert!(file.read.get() <= MAX_READ_BYTES);
        let before = file.read.get();
        // A value here and a value there is paid for as well.
        let left = (MAX_READ_BYTES - before) / WINDOW_BYTES as u64;
        for n in 0..left + 10 {
            let _ = source.u32(n << 30);
        }
        assert!(file.read.get() <= MAX_READ_BYTES);
        assert_eq!(source.u64(1 << 45), None);
    }

    #[test]
    fn small_values_are_read_together() {
        let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
        let file = Counted::new(&bytes);
        let source = Source::new(&file);
        for at in 0..bytes.len() - 8 {
            let want = u64_in(&bytes, at);
            assert_eq!(source.u64(at as u64), want);
        }
        assert_eq!(source.u64(bytes.len() as u64 - 7), None);
        assert_eq!(source.u32(u64::MAX), None);
        assert!(file.reads.get() < 16, "{}", file.reads.get());
    }

    /// It was cut after its size was asked for.
    #[test]
    fn a_file_that_shrinks_gives_what_it_has() {
        struct Shrunk;
        impl ReadAt for Shrunk {
            fn size(&self) -> u64 {
                1000
            }
            fn read_at(&self, buffer: &mut [u8], at: u64) -> usize {
                buffer.len().min(10_usize.saturating_sub(at as usize))
            }
        }
        let source = Source::new(&Shrunk);
        assert_eq!(source.piece(0, 11), None);
        assert_eq!(source.piece(0, 10).map(|p| p.len()), Some(10));
        assert_eq!(source.u64(4), None);
        assert_eq!(source.u64(2), Some(0));
        let mut seen = 0;
        source.blocks(0..1000, 3, |_, bytes| {
            seen = bytes.len();
            ControlFlow::<()>::Continue(())
        });
        assert_eq!(seen, 10);
    }
}
