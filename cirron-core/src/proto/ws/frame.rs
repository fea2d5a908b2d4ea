//! WebSocket frame headers (RFC 6455, section 5.2): what they say, and whether they are allowed.

use crate::cut::behind;
use crate::limits::MAX_WS_CONTROL_BYTES;

/// Bytes of the longest frame header: two, the 64-bit length, the mask.
pub(super) const MAX_FRAME_HEADER_LEN: usize = 14;

/// Kinds of frames (RFC 6455, section 11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn from_number(number: u8) -> Option<Opcode> {
        Some(match number {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xa => Opcode::Pong,
            _ => return None,
        })
    }

    /// Whether it may stand between the fragments of a message.
    pub(super) fn is_control(self) -> bool {
        match self {
            Opcode::Close | Opcode::Ping | Opcode::Pong => true,
            Opcode::Continuation | Opcode::Text | Opcode::Binary => false,
        }
    }
}

/// A frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) opcode: Opcode,
    /// The last frame of its message.
    pub(super) fin: bool,
    /// RSV1: with permessage-deflate, the message is compressed (RFC 7692, section 6).
    pub(super) rsv1: bool,
    pub(super) mask: Option<[u8; 4]>,
    /// Bytes of the payload.
    pub(super) len: u64,
    /// Bytes of the header.
    pub(super) header_len: usize,
    /// No shorter form of the length would do, as section 5.2 demands.
    pub(super) minimal: bool,
}

/// No frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Invalid;

/// How long the header is that begins with `bytes`, as far as they tell.
pub(super) fn header_len(bytes: &[u8]) -> usize {
    let [_, second, ..] = *bytes else {
        return 2;
    };
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + extended + if second & 0x80 == 0 { 0 } else { 4 }
}

impl FrameHeader {
    /// From the first bytes of `bytes`; `None` if they are not enough. Tells what is invalid whatever
    /// was agreed on, as soon as two bytes show it. Not the order of fragments.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<FrameHeader>, Invalid> {
        let [first, second, ..] = *bytes else {
            return Ok(None);
        };
        let opcode = Opcode::from_number(first & 0x0f).ok_or(Invalid)?;
        let (fin, rsv1, short) = (first & 0x80 != 0, first & 0x40 != 0, second & 0x7f);
        let of_control = !opcode.is_control() || (fin && short <= MAX_WS_CONTROL_BYTES);
        // A reason stands behind a code, never alone.
        let of_close = opcode != Opcode::Close || short != 1;
        let of_rsv1 = !rsv1 || matches!(opcode, Opcode::Text | Opcode::Binary);
        if first & 0x30 != 0 || !of_control || !of_close || !of_rsv1 {
            return Err(Invalid);
        }
        let header_len = header_len(bytes);
        let Some(header) = bytes.get(..header_len) else {
            return Ok(None);
        };
        let masked = second & 0x80 != 0;
        let (extended, mask) =
            behind(header, 2).split_at(header_len - 2 - if masked { 4 } else { 0 });
        let number = extended.iter().fold(0, |n, b| n << 8 | u64::from(*b));
        let (len, minimal) = match extended.len() {
            0 => (u64::from(short), true),
            2 => (number, number > 125),
            _ => (number, number > 0xffff),
        };
        if len >> 63 != 0 {
            return Err(Invalid);
        }
        Ok(Some(FrameHeader {
            opcode,
            fin,
            rsv1,
            mask: mask.first_chunk().copied(),
            len,
            header_len,
            minimal,
        }))
    }
}

/// Unmasks `bytes`, the first of which is the payload's byte `at` (RFC 6455, section 5.3).
pub(super) fn unmask(bytes: &mut [u8], mask: [u8; 4], at: u64) {
    let phase = (at % 4) as usize;
    let key = mask.iter().cycle().skip(phase);
    bytes.iter_mut().zip(key).for_each(|(b, k)| *b ^= k);
}

/// Whether a close frame may carry it (RFC 6455, section 7.4).
pub(super) fn is_close_code(code: u16) -> bool {
    (1000..5000).contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Option<FrameHeader>, Invalid> {
        FrameHeader::parse(bytes)
    }

    #[test]
    fn lengths_have_three_forms() {
        for (bytes, len, minimal) in [
            (&[0x81, 125][..], 125, true),
            (&[0x81, 126, 0, 126], 126, true),
            (&[0x81, 126, 0, 125], 125, false),
            (&[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0], 65_536, true),
            (&[0x81, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], 65_535, false),
        ] {
            let header = parse(bytes).expect("valid").expect("whole");
            assert_eq!((header.len, header.minimal), (len, minimal));
            assert_eq!(header.header_len, bytes.len());
            for cut in 0..bytes.len() {
                assert_eq!(parse(&bytes[..cut]), Ok(None));
            }
        }
    }

    #[test]
    fn a_mask_stands_behind_the_length() {
        let header = parse(&[0x02, 0x83, 1, 2, 3, 4, 9]).expect("valid");
        let header = header.expect("whole");
        assert_eq!((header.mask, header.fin), (Some([1, 2, 3, 4]), false));
        assert_eq!((header.header_len, header.opcode), (6, Opcode::Binary));
        let mut bytes = *b"bcd";
        unmask(&mut bytes, [1, 2, 3, 4], 6);
        assert_eq!(bytes, [b'b' ^ 3, b'c' ^ 4, b'd' ^ 1]);
    }

    #[test]
    fn what_the_standard_reserves_or_forbids_is_invalid() {
        for bytes in [
            &[0x83, 0][..],                          // an opcode without meaning
            &[0x8b, 0],                              // the same, of a control frame
            &[0xa1, 0],                              // RSV2
            &[0x91, 0],                              // RSV3
            &[0x09, 0],                              // a control frame in fragments
            &[0xc9, 0],                              // a compressed control frame
            &[0xc0, 0],                              // RSV1 on a continuation
            &[0x89, 126, 0, 126],                    // a long control frame
            &[0x88, 1],                              // half a code
            &[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], // a negative length
        ] {
            assert_eq!(parse(bytes), Err(Invalid), "{bytes:x?}");
        }
    }
}
