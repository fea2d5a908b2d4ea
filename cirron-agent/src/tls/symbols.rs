//! Functions of the table in an ELF file: where they lie, and their bytes.
//!
//! Addresses become file offsets by the program headers, as the kernel maps the file; sections may
//! be stripped. A Go program is read by its own table, see [`super::golang`].

use std::fs::File;

use object::read::elf::{ElfFile64, ProgramHeader as _};
use object::{
    Endianness, Object as _, ObjectSection as _, ObjectSymbol as _, ReadCache, ReadRef as _,
    SymbolKind,
};

use super::extents::Extents;
use super::functions::{Function, named};
use super::{golang, place};

/// Bytes of one function that are looked at. The largest of the table has 3 KiB.
const MAX_FUNCTION_BYTES: u64 = 16 * 1024;

/// Functions that one ends in. A handful in practice: its cold part, the one that does the work.
const MAX_TAILS: usize = 8;

/// A function of the table in a file.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its row.
    pub function: &'static Function,
    /// Offset of its first byte in the file.
    pub offset: u64,
    /// Its bytes.
    pub code: Vec<u8>,
    /// Functions that it ends in by a jump: where they lie from its first byte, and their bytes.
    pub tails: Vec<(i64, Vec<u8>)>,
}

type Elf<'a> = ElfFile64<'a, Endianness, &'a ReadCache<&'a File>>;

/// The functions of the tables that the file defines, dynamic symbols first, each place once.
///
/// # Errors
/// Where the file cannot be read, or is no 64-bit ELF.
pub fn functions(file: &File) -> anyhow::Result<Vec<Found>> {
    let cache = ReadCache::new(file);
    let elf: Elf<'_> = ElfFile64::parse(&cache)?;
    let mut found: Vec<Found> = Vec::new();
    for symbol in elf.dynamic_symbols().chain(elf.symbols()) {
        if !symbol.is_definition() || symbol.kind() != SymbolKind::Text || symbol.size() == 0 {
            continue;
        }
        let Some(function) = symbol.name().ok().and_then(named) else {
            continue;
        };
        let Some(offset) = offset_of(&elf, symbol.address()) else {
            continue;
        };
        if found.iter().any(|f| f.offset == offset) {
            continue;
        }
        let Some(code) = read(&cache, offset, symbol.size()) else {
            continue;
        };
        let tails = match function.has_exit {
            true => tails(&elf, &cache, symbol.address(), code),
            false => Vec::new(),
        };
        found.push(Found {
            function,
            offset,
            code: code.to_vec(),
            tails,
        });
    }
    found.extend(go_functions(&elf, &cache));
    Ok(found)
}

/// Where an address of the code lies in the file.
fn offset_of(elf: &Elf<'_>, address: u64) -> Option<u64> {
    let endian = elf.endian();
    elf.elf_program_headers().iter().find_map(|segment| {
        let (start, size) = (segment.p_vaddr(endian), segment.p_filesz(endian));
        let executable = segment.p_type(endian) == object::elf::PT_LOAD;
        (executable && address >= start && address - start < size)
            .then(|| address - start + segment.p_offset(endian))
    })
}

fn read<'a>(cache: &'a ReadCache<&File>, offset: u64, size: u64) -> Option<&'a [u8]> {
    let size = size.min(MAX_FUNCTION_BYTES);
    cache.read_bytes_at(offset, size).ok()
}

/// What `code` at `address` jumps to outside of itself, and what that jumps to.
fn tails(
    elf: &Elf<'_>,
    cache: &ReadCache<&File>,
    address: u64,
    code: &[u8],
) -> Vec<(i64, Vec<u8>)> {
    let section = elf.section_by_name(".eh_frame_hdr");
    let Some(extents) = section
        .as_ref()
        .and_then(|s| Extents::new(s.data().ok()?, s.address()))
    else {
        return Vec::new();
    };
    let mut found: Vec<(i64, Vec<u8>)> = Vec::new();
    let mut open = place::leaves(0, code);
    while let Some(target) = open.pop() {
        let Some((start, end)) = extents.of(address.wrapping_add_signed(target)) else {
            continue;
        };
        let at = start.wrapping_sub(address).cast_signed();
        if at == 0 || found.len() >= MAX_TAILS || found.iter().any(|(known, _)| *known == at) {
            continue;
        }
        let Some(code) = offset_of(elf, start).and_then(|offset| read(cache, offset, end - start))
        else {
            continue;
        };
        open.extend(place::leaves(at, code));
        found.push((at, code.to_vec()));
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
        let code = read(cache, offset, f.end.checked_sub(f.start)?)?;
        Some(Found {
            function: f.function,
            offset,
            code: code.to_vec(),
            tails: Vec::new(),
        })
    };
    table.functions.iter().filter_map(of).collect()
}
