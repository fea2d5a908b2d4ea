//! Parts of bytes by places that may lie behind their end: nothing here can panic, whatever a peer sent.

/// The first `n` bytes, or all where there are fewer.
pub(crate) fn upto(bytes: &[u8], n: usize) -> &[u8] {
    bytes.get(..n).unwrap_or(bytes)
}

/// What follows the first `n` bytes; nothing where there are no more.
pub(crate) fn behind(bytes: &[u8], n: usize) -> &[u8] {
    bytes.get(n..).unwrap_or_default()
}

/// Writes `bytes` to `to`, from `at` on, as far as there is room.
pub(crate) fn fill(to: &mut [u8], at: usize, bytes: &[u8]) {
    for (slot, byte) in to.iter_mut().skip(at).zip(bytes) {
        *slot = *byte;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_behind_the_end_is_the_end() {
        assert_eq!(
            (upto(b"abc", 2), behind(b"abc", 2)),
            (&b"ab"[..], &b"c"[..])
        );
        assert_eq!(
            (upto(b"abc", 9), behind(b"abc", 9)),
            (&b"abc"[..], &b""[..])
        );
        let mut to = *b"....";
        fill(&mut to, 1, b"ab");
        fill(&mut to, 3, b"cdef");
        fill(&mut to, 9, b"g");
        assert_eq!(&to, b".abc");
    }
}
