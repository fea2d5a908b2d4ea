//! Functions of the table in an ELF file: where they lie, and their bytes.
//!
//! Addresses become file offsets by the program headers, as the kernel maps the file; sections may
//! be stripped. A Go program is read by its own table, see [`crate::probes::locate::pclntab`].

use super::{Binary, Located, Locator};
use crate::probes::names::{self, Symbol};
use crate::probes::place::Ways;
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
    /// Ways in and out of it that its bytes do not tell.
    pub ways: Ways,
}

/// By the symbols of a file.
#[derive(Clone, Copy, Debug)]
pub struct Symbols;

impl Locator for Symbols {
    fn locate(&self, binary: &Binary<'_>, located: &mut Located) {
        let symbols = names::functions(&binary.elf);
        located.functions.extend(functions(binary, &symbols));
    }
}

/// The functions of the table that the file defines, each place once.
fn functions(binary: &Binary<'_>, symbols: &[Symbol]) -> Vec<Found> {
    let elf = &binary.elf;
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
        let ways = binary.ways(symbols, function, symbol.address, &code);
        found.push(Found {
            function,
            address: symbol.address,
            offset,
            code,
            ways,
        });
    }
    found
}
