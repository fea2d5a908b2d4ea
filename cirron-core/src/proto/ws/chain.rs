//! Whether frames begin at a place of which nothing is known: joined late, or behind a hole.
//!
//! As for HTTP/2, a row of headers is believed, each where the one before it ends. A WebSocket header
//! is as short as two bytes, so only the beginning of a piece (a system call, most often) is looked
//! at, and frames count for more that tell by themselves: printable text, a close with a code, a long
//! length that leads to a header or to the end of the piece. A first frame that does not is passed
//! over: its short length may lead to the frames behind it by chance. What this leaves out is lost and
//! nothing else is: to take a payload's bytes for a message would be worse. What it cannot tell apart is
//! a payload that itself holds frames, and is cut right before them.

use super::frame::{FrameHeader, Opcode, is_close_code, unmask};
use crate::cut::{behind, upto};
use crate::limits::{MAX_WS_CHAIN_FRAME_BYTES, MAX_WS_CONTROL_BYTES};

/// Headers in a row that need nothing else to be believed.
const SURE: usize = 3;

/// The same, if the last frame ends with the piece.
const FITTING: usize = 2;

/// Bytes of text that tell.
const TELLING_TEXT_BYTES: usize = 8;

/// What is known of the direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Messages may be compressed.
    pub(super) deflate: bool,
    /// Frames are masked, or are not.
    pub(super) masked: Option<bool>,
}

/// What the beginning of some bytes looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    /// Frames begin `at` this place, at the latest.
    Frames {
        /// From the beginning of what was looked at.
        at: usize,
    },
    /// If frames begin where the last of these ends, too.
    Perhaps {
        /// Number of bytes behind the piece.
        beyond: u64,
    },
    /// No frames, or nobody can tell.
    Nothing,
}

/// Looks at the beginning of `bytes`.
pub(super) fn look(all: &[u8], mut known: Known) -> Row {
    let (mut bytes, mut headers, mut any_tells) = (all, 0, false);
    // Where the first frame that can be believed begins.
    let mut at = 0;
    // Whether a message is under way, once a frame told.
    let mut open = None;
    let beyond = loop {
        let header = match FrameHeader::parse(bytes) {
            Ok(Some(header)) => header,
            Ok(None) => break None,
            Err(_) => return Row::Nothing,
        };
        if !is_plausible(&header, known, open) {
            return Row::Nothing;
        }
        known.masked = Some(header.mask.is_some());
        if !header.opcode.is_control() {
            open = Some(!header.fin);
        }
        let payload = behind(bytes, header.header_len);
        let len = usize::try_from(header.len).unwrap_or(usize::MAX);
        let here = upto(payload, len);
        let Some(tells) = tells(&header, here) else {
            return Row::Nothing;
        };
        headers += 1;
        any_tells |= tells;
        if here.len() < len {
            break Some(header.len - here.len() as u64);
        }
        bytes = behind(payload, len);
        if headers == 1 && !tells {
            at = all.len() - bytes.len();
        }
        if header.opcode == Opcode::Close && !bytes.is_empty() {
            return Row::Nothing;
        }
    };
    let fits = beyond.is_none() && bytes.is_empty();
    let needed = if fits { FITTING } else { SURE };
    if headers + usize::from(any_tells) >= needed {
        return Row::Frames { at };
    }
    match beyond {
        Some(beyond) => Row::Perhaps { beyond },
        None if fits => Row::Perhaps { beyond: 0 },
        None => Row::Nothing,
    }
}

fn is_plausible(header: &FrameHeader, known: Known, open: Option<bool>) -> bool {
    let in_order = match (header.opcode, open) {
        (Opcode::Continuation, Some(open)) => open,
        (Opcode::Text | Opcode::Binary, Some(open)) => !open,
        (Opcode::Continuation | Opcode::Text | Opcode::Binary, None)
        | (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => true,
    };
    in_order
        && header.minimal
        && header.len <= MAX_WS_CHAIN_FRAME_BYTES
        // Zeros would be a row of these.
        && (header.fin || header.len > 0)
        && (!header.rsv1 || known.deflate)
        && known.masked.is_none_or(|masked| masked == header.mask.is_some())
}

/// Whether what is `here` of a payload tells that it is one; `None` if it cannot be the header's.
fn tells(header: &FrameHeader, here: &[u8]) -> Option<bool> {
    let whole = here.len() as u64 == header.len;
    let is_text = match header.opcode {
        Opcode::Text => !header.rsv1,
        Opcode::Close => true,
        Opcode::Continuation | Opcode::Binary | Opcode::Ping | Opcode::Pong => false,
    };
    let long = whole && header.len > u64::from(MAX_WS_CONTROL_BYTES);
    if !is_text {
        return Some(long);
    }
    let mut text = here.to_vec();
    if let Some(mask) = header.mask {
        unmask(&mut text, mask, 0);
    }
    let mut has_code = false;
    if header.opcode == Opcode::Close {
        match *text {
            [a, b, ..] if !is_close_code(u16::from_be_bytes([a, b])) => return None,
            [_, _, ..] => {
                text.drain(..2);
                has_code = true;
            }
            [_] | [] => text.clear(),
        }
    }
    match std::str::from_utf8(&text) {
        Ok(_) => {}
        // A character is cut by the end of what is there.
        Err(e) if e.error_len().is_none() && !(whole && header.fin) => {}
        Err(_) => return None,
    }
    // Masked ASCII taken for a mask and a payload gives ASCII again, but not of this kind.
    let is_written = |b: &u8| matches!(b, b'\t' | b'\n' | b'\r') || !b.is_ascii_control();
    let written = text.len() >= TELLING_TEXT_BYTES && text.iter().all(is_written);
    Some(long || has_code || written)
}
