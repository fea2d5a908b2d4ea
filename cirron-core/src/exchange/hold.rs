//! Pieces kept for a while: until it is known what they are, or what they answer.

use std::collections::VecDeque;

use crate::limits::HELD_OVERHEAD_BYTES;
use crate::stream::Piece;
use crate::time::MonoNs;

#[derive(Debug)]
enum Kind {
    Data(Vec<u8>),
    Gap(u64),
    Eof,
}

/// A piece that owns its bytes.
#[derive(Debug)]
pub(super) struct HeldPiece {
    ts: MonoNs,
    kind: Kind,
}

impl HeldPiece {
    /// The piece.
    pub(super) fn piece(&self) -> Piece<'_> {
        let ts = self.ts;
        match &self.kind {
            Kind::Data(bytes) => Piece::Data { ts, bytes },
            Kind::Gap(len) => Piece::Gap { ts, len: *len },
            Kind::Eof => Piece::Eof { ts },
        }
    }

    /// Bytes that it counts for.
    pub(super) fn cost(&self) -> usize {
        match &self.kind {
            Kind::Data(bytes) => bytes.len() + HELD_OVERHEAD_BYTES,
            Kind::Gap(_) | Kind::Eof => HELD_OVERHEAD_BYTES,
        }
    }
}

impl From<Piece<'_>> for HeldPiece {
    fn from(piece: Piece<'_>) -> HeldPiece {
        let kind = match piece {
            Piece::Data { bytes, .. } => Kind::Data(bytes.to_vec()),
            Piece::Gap { len, .. } => Kind::Gap(len),
            Piece::Eof { .. } => Kind::Eof,
        };
        HeldPiece {
            ts: piece.ts(),
            kind,
        }
    }
}

/// Pieces of one direction, in order. Empty, it owns no memory.
#[derive(Debug, Default)]
pub(super) struct Hold {
    pieces: VecDeque<HeldPiece>,
    bytes: usize,
}

impl Hold {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Bytes held, with an overhead for each piece.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Time of the first piece.
    pub(super) fn since(&self) -> Option<MonoNs> {
        self.pieces.front().map(|p| p.ts)
    }

    pub(super) fn push_back(&mut self, piece: Piece<'_>) {
        let piece = HeldPiece::from(piece);
        self.bytes += piece.cost();
        self.pieces.push_back(piece);
    }

    pub(super) fn push_front(&mut self, piece: HeldPiece) {
        self.bytes += piece.cost();
        self.pieces.push_front(piece);
    }

    pub(super) fn pop_front(&mut self) -> Option<HeldPiece> {
        let piece = self.pieces.pop_front()?;
        self.bytes -= piece.cost();
        if self.pieces.is_empty() {
            self.pieces = VecDeque::new();
        }
        Some(piece)
    }
}
