//! Functions of the table in an ELF file: where they lie, and their bytes.
//!
//! Addresses become file offsets by the program headers, as the kernel maps the file; sections may
//! be stripped. A Go program is read by its own table, see [`crate::probes::locate::pclntab`].

use super::{pclntab, tails};
use crate::probes::elf::Elf;
use crate::probes::extents::Extents;
use crate::probes::locate::call_site::{self, HiddenCall};
use crate::probes::names::{self, Symbol};
use crate::probes::place::Tails;
use crate::probes::source::Source;
use crate::probes::tls::functions::{Function, named};

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

/// What the file has of the tables; nothing where it is no 64-bit ELF.
pub fn read(source: &Source<'_>) -> Symbols {
    let Some(elf) = Elf::read(source) else {
        return Symbols::default();
    };
    let symbols = names::functions(&elf);
    // The table of where functions end is large, and of use where a function of ours is only.
    let extents = (!symbols.is_empty()).then(|| elf.extents()).flatten();
    let mut functions = functions(&elf, &symbols, extents.as_ref());
    let calls = extents.map_or_else(Vec::new, |e| call_site::hidden(&elf, &functions, &e));
    functions.extend(go_functions(&elf));
    Symbols { functions, calls }
}

/// The functions of the table that the file defines, each place once.
fn functions(elf: &Elf<'_>, symbols: &[Symbol], extents: Option<&Extents>) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for symbol in symbols.iter().filter(|symbol| symbol.size > 0) {
        let Some(function) = named(symbol.name) else {
            continue;
        };
        let Some(offset) = elf.offset_of(symbol.address) else {
            continue;
        };
        if found.iter().any(|f| f.offset == offset) {
            continue;
        }
        let Some(code) = elf.function(offset, symbol.size) else {
            continue;
        };
        let tails = match extents {
            Some(extents) if function.has_exit => {
                tails::of(elf, symbols, extents, function, symbol.address, &code)
            }
            Some(_) | None => Tails::default(),
        };
        found.push(Found {
            function,
            address: symbol.address,
            offset,
            code,
            tails,
        });
    }
    found
}

/// Those of a Go program; none where it is none.
fn go_functions(elf: &Elf<'_>) -> Vec<Found> {
    let section = [".gopclntab", ".data.rel.ro.gopclntab"]
        .iter()
        .find_map(|name| elf.section(name));
    let table = section
        .and_then(|s| pclntab::read(elf.source, s.part()))
        .unwrap_or_default();
    if table.functions.is_empty() {
        return Vec::new();
    }
    let Some(text) = elf.section(".text") else {
        return Vec::new();
    };
    let part = text.part();
    // Of a section's address its bytes, as far as they go.
    let code = |address: u64, size: u64| {
        let at = part.start.checked_add(address.checked_sub(text.address)?)?;
        elf.source.piece(at, size.min(part.end.checked_sub(at)?))
    };
    let Some(start) = pclntab::text_of(&table, text.address, code) else {
        tracing::info!("a Go program whose code does not begin where its table fits");
        return Vec::new();
    };
    let of = |f: &pclntab::GoFunction| {
        let address = start.checked_add(f.start)?;
        let offset = elf.offset_of(address)?;
        let code = elf.function(offset, f.end.checked_sub(f.start)?)?;
        Some(Found {
            function: f.function,
            address,
            offset,
            code,
            tails: Tails::default(),
        })
    };
    table.functions.iter().filter_map(of).collect()
}
