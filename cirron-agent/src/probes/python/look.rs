//! What a file that carries Python's interpreter says of contexts: libpython, or an executable that exports the same.
//!
//! Pure: a file in, addresses and places out. Only exported names are looked for: they are what extensions are linked to, and
//! no build is without them.

use std::ops::ControlFlow;

use memchr::memmem::Finder;
use object::elf;

use crate::probes::elf::Elf;
use crate::probes::locate::Binary;
use crate::probes::place::{self, Choice, Kept};
use crate::probes::source::{MAX_PIECE_BYTES, ReadAt, Source};
use crate::probes::symbols::{self, Defined};
use cirron_common::operand::{Convention, Register};

const KIND: &[u8] = b"PyContext_Type\0";
const MAKE: &[u8] = b"PyContext_CopyCurrent\0";

/// What there is of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Address of `PyContext_Type`, as the file counts.
    pub kind: u64,
    /// Where a new context is there: offsets in the file, and the register that points to it.
    pub made: Vec<(u64, Register)>,
}

/// Looks at a file. `None`: it carries none, or not in a way that can be watched.
pub fn interpreter(file: &dyn ReadAt) -> Option<Found> {
    let source = Source::new(file);
    let binary = Binary::read(&source)?;
    let elf = &binary.elf;
    let kind = exported(elf, KIND)?;
    let make = exported(elf, MAKE).filter(|symbol| symbol.is_function && symbol.size > 0)?;
    let offset = elf.code_offset_of(make.address)?;
    let code = elf.function(offset, make.size)?;
    let ways = binary.ways_of_unknown(make.address, &code);
    let results = place::results(&code, &ways).ok()?;
    let made = results.iter().map(|result| {
        let at = offset.wrapping_add_signed(result.place.offset);
        (at, result.register)
    });
    Some(Found {
        kind: kind.address,
        made: made.collect(),
    })
}

/// Where a function that begins at an address begins to be watched, as an offset in the file, while its first argument stands
/// where it was handed over.
pub fn entry(file: &dyn ReadAt, address: u64) -> Option<u64> {
    let source = Source::new(file);
    let binary = Binary::read(&source)?;
    let (start, end) = binary.extents()?.function_at(address)?;
    if start != address {
        return None;
    }
    let offset = binary.elf.code_offset_of(address)?;
    let code = binary.elf.function(offset, end - start)?;
    let ways = binary.ways_of_unknown(address, &code);
    let argument = Convention::SystemV.argument(0);
    let kept = Kept::for_operands([&argument].into_iter());
    let place = place::entry(&code, &ways, &kept, Choice::Cheapest).ok()?;
    Some(offset.wrapping_add_signed(place.offset))
}

/// By how much addresses are higher than the file counts, in a process that has mapped its code from `offset` on at `start`.
pub fn bias(file: &dyn ReadAt, start: u64, offset: u64) -> Option<u64> {
    let source = Source::new(file);
    let elf = Elf::read(&source)?;
    // A part begins within a page, and is mapped from the page's beginning.
    let page = 4_096;
    let first = (offset..offset + page).find(|at| elf.address_of(*at).is_some())?;
    Some((start + (first - offset)).wrapping_sub(elf.address_of(first)?))
}

fn exported(elf: &Elf<'_>, name: &[u8]) -> Option<Defined> {
    let (rows, names) = elf.linked(elf::SHT_DYNSYM)?;
    if names.size > MAX_PIECE_BYTES {
        return None;
    }
    let names = elf.source.piece(names.offset, names.size)?;
    let places: Vec<u32> = Finder::new(name)
        .find_iter(&names)
        .filter_map(|at| u32::try_from(at).ok())
        .collect();
    if places.is_empty() {
        return None;
    }
    symbols::defined(elf.source, rows.part(), |row| {
        match places.contains(&row.name) {
            true => ControlFlow::Break(row),
            false => ControlFlow::Continue(()),
        }
    })
}
