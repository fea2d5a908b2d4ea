//! Byte streams: from positioned records to ordered pieces.
//!
//! [`Assembler`] takes the records of one direction and gives [`Piece`]s: in order, each byte at
//! most once, holes named as such. [`Holding`] keeps what the kernel has not sent yet. It knows nothing of what the bytes mean.

mod assembler;
mod holding;

pub(crate) use assembler::{Assembler, AssemblerStats};
pub(crate) use holding::{Holding, Written};

pub(crate) use crate::record::Direction;

use crate::time::MonoNs;

/// A piece of one direction of one connection: in order, never empty, times never going back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Bytes that passed.
    Data {
        /// When they passed.
        ts: MonoNs,
        /// At least one byte.
        bytes: &'a [u8],
    },
    /// Bytes that passed and that nobody will ever see here.
    Gap {
        /// When the hole became certain, or the bytes passed.
        ts: MonoNs,
        /// How many, at least 1.
        len: u64,
    },
    /// No more bytes in this direction.
    Eof {
        /// When that became known.
        ts: MonoNs,
    },
}

impl Piece<'_> {
    /// Its time.
    pub(crate) fn ts(&self) -> MonoNs {
        match *self {
            Piece::Data { ts, .. } | Piece::Gap { ts, .. } | Piece::Eof { ts } => ts,
        }
    }

    /// Bytes that it stands for.
    pub(crate) fn len(&self) -> u64 {
        match *self {
            Piece::Data { bytes, .. } => bytes.len() as u64,
            Piece::Gap { len, .. } => len,
            Piece::Eof { .. } => 0,
        }
    }
}
