//! A cursor over one piece, so that a parser can be stopped in the middle of it.

use super::message::MessageEnd;
use crate::stream::Piece;
use crate::time::MonoNs;

/// What is left of a piece.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'i> {
    /// Time of the piece.
    pub ts: MonoNs,
    pub(super) bytes: &'i [u8],
    pub(super) gap: u64,
    pub(super) eof: Option<MessageEnd>,
    /// Nothing was taken yet: this may be where a system call began.
    pub(super) fresh: bool,
}

impl<'i> Cursor<'i> {
    /// Over a piece. `at_eof` is how a close-delimited body ends if the piece is the end.
    pub(crate) fn new(piece: Piece<'i>, at_eof: MessageEnd) -> Cursor<'i> {
        let none = Cursor {
            ts: piece.ts(),
            bytes: &[],
            gap: 0,
            eof: None,
            fresh: true,
        };
        match piece {
            Piece::Data { bytes, .. } => Cursor { bytes, ..none },
            Piece::Gap { len, .. } => Cursor { gap: len, ..none },
            Piece::Eof { .. } => Cursor {
                eof: Some(at_eof),
                ..none
            },
        }
    }

    /// Nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.gap == 0 && self.eof.is_none()
    }

    /// Bytes that are left, lost ones too.
    pub(crate) fn left(&self) -> u64 {
        self.bytes.len() as u64 + self.gap
    }

    /// What is left, as a piece.
    pub(crate) fn rest(&self) -> Option<Piece<'i>> {
        let ts = self.ts;
        match (self.bytes, self.gap, self.eof) {
            ([_, ..], _, _) => Some(Piece::Data {
                ts,
                bytes: self.bytes,
            }),
            ([], 1.., _) => Some(Piece::Gap { ts, len: self.gap }),
            ([], 0, Some(_)) => Some(Piece::Eof { ts }),
            ([], 0, None) => None,
        }
    }

    /// The next bytes, at most `n`.
    pub(super) fn take(&mut self, n: usize) -> &'i [u8] {
        let (taken, rest) = self.bytes.split_at(n.min(self.bytes.len()));
        self.bytes = rest;
        self.fresh &= n == 0;
        taken
    }
}
