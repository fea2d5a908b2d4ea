//! Symbols of an ELF file that have one of the names that we look for.
//!
//! A large library has hundreds of thousands of symbols, and some 30 names are of interest. So the names
//! are looked for first: a string table is read in large blocks from its beginning to its end, and only
//! where one of them is in it, the symbols that point there. Nothing of either is kept.

use std::mem::{offset_of, size_of};
use std::ops::{ControlFlow, Range};

use memchr::memmem::Finder;
use object::LittleEndian;
use object::elf::{self, Sym64};

use crate::probes::elf::Elf;
use crate::probes::source::{Source, u32_in, u64_in};
use crate::probes::tls::functions::{MAX_NAME_BYTES, STEMS, wanted};

/// Symbols of such names in a file. Of each there are one or two, and as many copies of each as a file
/// has of the library.
pub const MAX_SYMBOLS: usize = 256;
/// Places of such names in a string table; linkers put each name in once.
const MAX_PLACES: usize = 1024;

/// Bytes of a table that is read. Chromium's executable with all of its symbols has 0.4 GiB of names;
/// without, the largest libraries have a tenth.
const MAX_TABLE_BYTES: u64 = 512 * 1024 * 1024;

type Row = Sym64<LittleEndian>;

/// A symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Its name.
    pub name: &'static str,
    /// Its address.
    pub address: u64,
    /// Its size.
    pub size: u64,
}

/// Functions of the names that we look for that the file defines, dynamic symbols first.
pub fn functions(elf: &Elf<'_>) -> Vec<Symbol> {
    let mut found = Vec::new();
    for kind in [elf::SHT_DYNSYM, elf::SHT_SYMTAB] {
        let Some((symbols, names)) = elf.linked(kind) else {
            continue;
        };
        if symbols.size.max(names.size) > MAX_TABLE_BYTES {
            elf.source.cut();
            continue;
        }
        let places = places(elf.source, names.part());
        if !places.is_empty() {
            take(elf.source, symbols.part(), &places, &mut found);
        }
    }
    found
}

/// Where in a string table names begin that we look for: from its beginning, in order.
fn places(source: &Source<'_>, table: Range<u64>) -> Vec<(u32, &'static str)> {
    let stems = STEMS.map(Finder::new);
    let mut found: Vec<(u32, &'static str)> = Vec::new();
    let start = table.start;
    source.blocks(table, MAX_NAME_BYTES + 1, |at, bytes| {
        for stem in &stems {
            for place in stem.find_iter(bytes) {
                let Some(name) = bytes.get(place..).and_then(name_at) else {
                    continue;
                };
                if let Ok(place) = u32::try_from(at - start + place as u64) {
                    found.push((place, name));
                }
            }
        }
        if found.len() > MAX_PLACES {
            source.cut();
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    // What lies in two blocks was found twice.
    found.sort_unstable();
    found.dedup();
    found
}

/// The name that `bytes` begin with, up to a zero byte.
fn name_at(bytes: &[u8]) -> Option<&'static str> {
    wanted().find(|name| {
        let rest = bytes.strip_prefix(name.as_bytes());
        rest.and_then(<[u8]>::first) == Some(&0)
    })
}

/// Adds the functions whose names begin at one of `places`.
fn take(
    source: &Source<'_>,
    table: Range<u64>,
    places: &[(u32, &'static str)],
    found: &mut Vec<Symbol>,
) {
    const ROW: usize = size_of::<Row>();
    let mut next = table.start;
    source.blocks(table, ROW - 1, |at, bytes| {
        let from = usize::try_from(next.saturating_sub(at)).unwrap_or(usize::MAX);
        let rows = bytes.get(from..).unwrap_or_default().chunks_exact(ROW);
        for row in rows {
            next += ROW as u64;
            let Some(symbol) = symbol(row, places) else {
                continue;
            };
            if found.len() == MAX_SYMBOLS {
                source.cut();
                return ControlFlow::Break(());
            }
            if !found.contains(&symbol) {
                found.push(symbol);
            }
        }
        ControlFlow::Continue(())
    });
}

/// A function that the file defines.
fn symbol(row: &[u8], places: &[(u32, &'static str)]) -> Option<Symbol> {
    let name = u32_in(row, offset_of!(Row, st_name))?;
    let at = places.binary_search_by_key(&name, |(at, _)| *at).ok()?;
    let (_, name) = places.get(at)?;
    let kind = row.get(offset_of!(Row, st_info))? & 0x0f;
    let section = row.get(offset_of!(Row, st_shndx)..offset_of!(Row, st_value))?;
    let is_defined = section != elf::SHN_UNDEF.0.to_le_bytes();
    (kind == elf::STT_FUNC.0 && is_defined).then_some(Symbol {
        name,
        address: u64_in(row, offset_of!(Row, st_value))?,
        size: u64_in(row, offset_of!(Row, st_size))?,
    })
}
