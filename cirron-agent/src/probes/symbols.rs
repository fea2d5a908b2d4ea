//! Rows of a table of symbols, one after the other.
//!
//! Stands beneath whoever looks for symbols of a file ([`super::names`], [`super::symbol_at`], [`super::scopes`]): the table
//! is read in blocks, and nothing of it is kept. It knows no names: a row has the place of its own in a table of strings.

use std::mem::{offset_of, size_of};
use std::ops::{ControlFlow, Range};

use object::LittleEndian;
use object::elf::{self, Sym64};

use crate::probes::source::{Source, u32_in, u64_in};

type Row = Sym64<LittleEndian>;

/// A symbol that its file defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defined {
    /// Where its name begins in the table of strings.
    pub name: u32,
    /// Its address, as the file counts them.
    pub address: u64,
    /// Its bytes.
    pub size: u64,
    /// It is a function.
    pub is_function: bool,
}

impl Defined {
    fn read(row: &[u8]) -> Option<Defined> {
        let section = row.get(offset_of!(Row, st_shndx)..offset_of!(Row, st_value))?;
        if section == elf::SHN_UNDEF.0.to_le_bytes() {
            return None;
        }
        Some(Defined {
            name: u32_in(row, offset_of!(Row, st_name))?,
            address: u64_in(row, offset_of!(Row, st_value))?,
            size: u64_in(row, offset_of!(Row, st_size))?,
            is_function: row.get(offset_of!(Row, st_info))? & 0x0f == elf::STT_FUNC.0,
        })
    }
}

/// Hands out the symbols of `table`, a part of the file, that the file defines. Ends with the table, the file or its bound.
pub fn defined<B>(
    source: &Source<'_>,
    table: Range<u64>,
    mut take: impl FnMut(Defined) -> ControlFlow<B>,
) -> Option<B> {
    const ROW: usize = size_of::<Row>();
    let mut next = table.start;
    source.blocks(table, ROW - 1, |at, bytes| {
        let from = usize::try_from(next.saturating_sub(at)).unwrap_or(usize::MAX);
        for row in bytes.get(from..).unwrap_or_default().chunks_exact(ROW) {
            next += ROW as u64;
            if let Some(symbol) = Defined::read(row) {
                take(symbol)?;
            }
        }
        ControlFlow::Continue(())
    })
}
