//! HTTP/2 frame headers (RFC 9113, section 4.1): what they say, and whether they can be true.

use crate::limits::MAX_CHAIN_FRAME_BYTES;

/// Bytes of a frame header.
pub(super) const FRAME_HEADER_LEN: usize = 9;

/// Types of frames (RFC 9113, section 6).
pub(super) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

/// Flags of frames.
pub(super) mod flag {
    /// On DATA and HEADERS.
    pub(crate) const END_STREAM: u8 = 0x1;
    /// On HEADERS, PUSH_PROMISE and CONTINUATION.
    pub(crate) const END_HEADERS: u8 = 0x4;
    /// On DATA, HEADERS and PUSH_PROMISE.
    pub(crate) const PADDED: u8 = 0x8;
    /// On HEADERS.
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// A frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// Bytes of the payload.
    pub(super) len: usize,
    /// One of [`kind`], or an extension's.
    pub(super) kind: u8,
    /// As [`flag`] names them, by kind.
    pub(super) flags: u8,
    /// Stream, without the reserved bit.
    pub(super) stream: u32,
    reserved: bool,
}

impl FrameHeader {
    /// From the first bytes of `bytes`, if they are enough.
    pub(super) fn parse(bytes: &[u8]) -> Option<FrameHeader> {
        let [a, b, c, kind, flags, w, x, y, z, ..] = *bytes else {
            return None;
        };
        let stream = u32::from_be_bytes([w, x, y, z]);
        Some(FrameHeader {
            len: usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c),
            kind,
            flags,
            stream: stream & 0x7fff_ffff,
            reserved: stream >> 31 != 0,
        })
    }

    /// One of `flag`.
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether a connection that is in step may carry it: streams and lengths as RFC 9113,
    /// section 6, demands. Unknown types are extensions (section 5.5).
    pub(super) fn is_valid(&self) -> bool {
        let of_stream = self.stream != 0;
        match self.kind {
            kind::DATA | kind::CONTINUATION => of_stream,
            kind::HEADERS => of_stream && self.len >= self.fixed_len(),
            kind::PUSH_PROMISE => of_stream && self.len >= self.fixed_len() + 4,
            kind::PRIORITY => of_stream && self.len == 5,
            kind::RST_STREAM => of_stream && self.len == 4,
            kind::SETTINGS => !of_stream && self.len.is_multiple_of(6),
            kind::PING => !of_stream && self.len == 8,
            kind::GOAWAY => !of_stream && self.len >= 8,
            kind::WINDOW_UPDATE => self.len == 4,
            // Nobody announces room for long extensions.
            _ => self.len <= MAX_CHAIN_FRAME_BYTES,
        }
    }

    /// Whether bytes of which nothing is known may be one: valid, a known type, no flag or bit set
    /// that has no meaning, a stream that a client began, a length that needs no announcement.
    pub(super) fn is_plausible(&self, max_len: usize) -> bool {
        let flags = match self.kind {
            kind::DATA => flag::END_STREAM | flag::PADDED,
            kind::HEADERS => flag::END_STREAM | flag::END_HEADERS | flag::PADDED | flag::PRIORITY,
            // ACK has the bit of END_STREAM.
            kind::SETTINGS | kind::PING => 1,
            kind::CONTINUATION => flag::END_HEADERS,
            kind::PRIORITY | kind::RST_STREAM | kind::GOAWAY | kind::WINDOW_UPDATE => 0,
            // Nobody pushes to clients of model servers, and extensions tell nothing.
            _ => return false,
        };
        let acknowledges = self.kind == kind::SETTINGS && self.has(1);
        // A run of zeros would be many of these, and nobody sends one.
        let says_nothing = self.kind == kind::DATA && self.len == 0 && !self.has(flag::END_STREAM);
        self.is_valid()
            && !self.reserved
            && self.flags & !flags == 0
            && (self.stream == 0 || self.stream % 2 == 1)
            && self.len <= max_len
            && !(acknowledges && self.len > 0)
            && !says_nothing
    }

    /// Bytes of HEADERS or PUSH_PROMISE that stand around the block, padding aside.
    pub(super) fn fixed_len(&self) -> usize {
        let priority = self.kind == kind::HEADERS && self.has(flag::PRIORITY);
        usize::from(self.has(flag::PADDED)) + if priority { 5 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: [u8; 9]) -> FrameHeader {
        FrameHeader::parse(&bytes).expect("nine bytes")
    }

    #[test]
    fn a_header_is_read_as_the_standard_lays_it_out() {
        let header = parse([1, 2, 3, kind::HEADERS, 0x25, 0x80, 0, 1, 5]);
        assert_eq!((header.len, header.stream), (0x010203, 261));
        assert!(header.has(flag::END_STREAM) && header.has(flag::PRIORITY));
        assert!(header.is_valid() && !header.is_plausible(1 << 20));
        assert!(FrameHeader::parse(&[0; 8]).is_none());
    }

    #[test]
    fn lengths_and_streams_that_the_standard_forbids_are_invalid() {
        for bytes in [
            [0, 0, 5, kind::PING, 0, 0, 0, 0, 0],
            [0, 0, 8, kind::PING, 0, 0, 0, 0, 1],
            [0, 0, 0, kind::DATA, 0, 0, 0, 0, 0],
            [0, 0, 7, kind::SETTINGS, 0, 0, 0, 0, 0],
            [0, 0, 5, kind::RST_STREAM, 0, 0, 0, 0, 1],
            [0, 0, 5, kind::HEADERS, 0x28, 0, 0, 0, 1],
            [0, 0, 7, kind::GOAWAY, 0, 0, 0, 0, 0],
        ] {
            assert!(!parse(bytes).is_valid(), "{bytes:?}");
        }
        assert!(parse([0, 0, 3, 0x10, 0, 0, 0, 0, 0]).is_valid());
    }

    #[test]
    fn zeros_and_text_are_no_frame() {
        for text in [
            &b"\0\0\0\0\0\0\0\0\0"[..],
            b"data: {\"a\"",
            b"{\"choices\":",
            b"POST /v1/x",
        ] {
            let header = FrameHeader::parse(text).expect("long enough");
            assert!(!header.is_plausible(16_384), "{text:?}");
        }
    }
}
