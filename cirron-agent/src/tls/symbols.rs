//! Functions of the table in an ELF file: where they lie, and their bytes.
//!
//! Addresses become file offsets by the program headers, as the kernel maps the file; sections may
//! be stripped. A Go program is read by its own table, see [`super::golang`].

use std::fs::File;

use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, ReadCache, SymbolKind};

use super::calls::{self, HiddenCall};
use super::elf::{Elf, bytes, offset_of};
use super::functions::{Function, named};
use super::place::Tails;
use super::{golang, tails};

/// A function of the table in a file.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its row.
    pub function: &'static Function,
    /// Its address, as the file counts them.
    pub address: u64,
    /// Offset of its first byte in the file.
    pub offset: u64,
    /// Its bytes.
    pub code: Vec<u8>,
    /// Where it ends that is not in itself.
    pub tails: Tails,
}

/// What is in a file.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    /// Functions of the tables.
    pub functions: Vec<Found>,
    /// Calls that go around them.
    pub calls: Vec<HiddenCall>,
}

/// What the file has of the tables.
///
/// # Errors
/// Where the file cannot be read, or is no 64-bit ELF.
pub fn read(file: &File) -> anyhow::Result<Symbols> {
    let cache = ReadCache::new(file);
    let elf: Elf<'_> = ElfFile64::parse(&cache)?;
    let mut functions = functions(&elf, &cache);
    let calls = calls::hidden(&elf, &functions);
    functions.extend(go_functions(&elf, &cache));
    Ok(Symbols { functions, calls })
}

/// The functions of the table that the file defines, dynamic symbols first, each place once.
fn functions(elf: &Elf<'_>, cache: &ReadCache<&File>) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for symbol in elf.dynamic_symbols().chain(elf.symbols()) {
        if !symbol.is_definition() || symbol.kind() != SymbolKind::Text || symbol.size() == 0 {
            continue;
        }
        let Some(function) = symbol.name().ok().and_then(named) else {
            continue;
        };
        let Some(offset) = offset_of(elf, symbol.address()) else {
            continue;
        };
        if found.iter().any(|f| f.offset == offset) {
            continue;
        }
        let Some(code) = bytes(cache, offset, symbol.size()) else {
            continue;
        };
        let tails = match function.has_exit {
            true => tails::of(elf, cache, function, symbol.address(), code),
            false => Tails::default(),
        };
        found.push(Found {
            function,
            address: symbol.address(),
            offset,
            code: code.to_vec(),
            tails,
        });
    }
    found
}

/// Those of a Go program; none where it is none.
fn go_functions(elf: &Elf<'_>, cache: &ReadCache<&File>) -> Vec<Found> {
    let section = [".gopclntab", ".data.rel.ro.gopclntab"]
        .iter()
        .find_map(|name| elf.section_by_name(name));
    let table = section
        .and_then(|s| s.data().ok())
        .and_then(golang::read)
        .unwrap_or_default();
    if table.functions.is_empty() {
        return Vec::new();
    }
    let Some(text) = elf.section_by_name(".text") else {
        return Vec::new();
    };
    // The code in one piece: it is looked at in many places.
    let code = text.data().unwrap_or_default();
    let at = |address: u64| {
        let from = usize::try_from(address.checked_sub(text.address())?).ok()?;
        code.get(from..)
    };
    let Some(start) = golang::text_of(&table, text.address(), at) else {
        tracing::info!("a Go program whose code does not begin where its table fits");
        return Vec::new();
    };
    let of = |f: &golang::GoFunction| {
        let offset = offset_of(elf, start + f.start)?;
        let code = bytes(cache, offset, f.end.checked_sub(f.start)?)?;
        Some(Found {
            function: f.function,
            address: start + f.start,
            offset,
            code: code.to_vec(),
            tails: Tails::default(),
        })
    };
    table.functions.iter().filter_map(of).collect()
}
