//! Symbols of an ELF file that have one of the names that we look for.
//!
//! A large library has hundreds of thousands of symbols, and some 30 names are of interest. So the names
//! are looked for first: a string table is read in large blocks from its beginning to its end, and only
//! where one of them is in it, the symbols that point there. Nothing of either is kept.

use std::ops::{ControlFlow, Range};

use memchr::memmem::Finder;
use object::elf;

use crate::probes::elf::Elf;
use crate::probes::source::Source;
use crate::probes::symbols::{self, Defined};
use crate::probes::tls::functions::{MAX_NAME_BYTES, STEMS, wanted};

/// Symbols of such names in a file. Of each there are one or two, and as many copies of each as a file
/// has of the library.
pub const MAX_SYMBOLS: usize = 256;
/// Places of such names in a string table; linkers put each name in once.
const MAX_PLACES: usize = 1024;

/// Bytes of a table that is read. Chromium's executable with all of its symbols has 0.4 GiB of names;
/// without, the largest libraries have a tenth.
const MAX_TABLE_BYTES: u64 = 512 * 1024 * 1024;

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
    symbols::defined(source, table, |row| {
        let Some(symbol) = symbol(&row, places) else {
            return ControlFlow::Continue(());
        };
        if found.len() == MAX_SYMBOLS {
            source.cut();
            return ControlFlow::Break(());
        }
        if !found.contains(&symbol) {
            found.push(symbol);
        }
        ControlFlow::Continue(())
    });
}

/// A function of one of those names.
fn symbol(row: &Defined, places: &[(u32, &'static str)]) -> Option<Symbol> {
    let at = places.binary_search_by_key(&row.name, |(at, _)| *at);
    let (_, name) = places.get(at.ok()?)?;
    row.is_function.then_some(Symbol {
        name,
        address: row.address,
        size: row.size,
    })
}
