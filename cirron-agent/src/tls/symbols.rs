//! Functions of the table in an ELF file: where they lie, and their bytes.
//!
//! Addresses become file offsets by the program headers, as the kernel maps the file; sections may
//! be stripped.

use std::fs::File;

use object::read::elf::{ElfFile64, ProgramHeader as _};
use object::{Endianness, Object as _, ObjectSymbol as _, ReadCache, ReadRef as _, SymbolKind};

use super::functions::{Function, named};

/// Bytes of one function that are looked at. The largest of the table has 2 KiB.
const MAX_FUNCTION_BYTES: u64 = 16 * 1024;

/// A function of the table in a file.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its row.
    pub function: &'static Function,
    /// Offset of its first byte in the file.
    pub offset: u64,
    /// Its bytes.
    pub code: Vec<u8>,
}

/// The functions of the table that the file defines, dynamic symbols first, each place once.
///
/// # Errors
/// Where the file cannot be read, or is no 64-bit ELF.
pub fn functions(file: &File) -> anyhow::Result<Vec<Found>> {
    let cache = ReadCache::new(file);
    let elf: ElfFile64<'_, Endianness, &ReadCache<&File>> = ElfFile64::parse(&cache)?;
    let endian = elf.endian();
    let offset_of = |address: u64| {
        elf.elf_program_headers().iter().find_map(|segment| {
            let (start, size) = (segment.p_vaddr(endian), segment.p_filesz(endian));
            let executable = segment.p_type(endian) == object::elf::PT_LOAD;
            (executable && address >= start && address - start < size)
                .then(|| address - start + segment.p_offset(endian))
        })
    };
    let mut found: Vec<Found> = Vec::new();
    for symbol in elf.dynamic_symbols().chain(elf.symbols()) {
        if !symbol.is_definition() || symbol.kind() != SymbolKind::Text || symbol.size() == 0 {
            continue;
        }
        let Some(function) = symbol.name().ok().and_then(named) else {
            continue;
        };
        let Some(offset) = offset_of(symbol.address()) else {
            continue;
        };
        if found.iter().any(|f| f.offset == offset) {
            continue;
        }
        let size = symbol.size().min(MAX_FUNCTION_BYTES);
        let Ok(code) = (&cache).read_bytes_at(offset, size) else {
            continue;
        };
        found.push(Found {
            function,
            offset,
            code: code.to_vec(),
        });
    }
    Ok(found)
}
