//! Functions of a file that a rule names, by its symbols.
//!
//! Names are matched as they stand in the file, and demangled where they are Rust's or C++'s. All names of a table are held while
//! it is looked through, so that tables past a bound are not: the largest libraries have some MiB.

use std::ops::ControlFlow;

use object::elf;

use super::demangled::Names;
use super::rule::Which;
use crate::probes::elf::Elf;
use crate::probes::locate::pads;
use crate::probes::source::MAX_PIECE_BYTES;
use crate::probes::symbols::{self, Defined};

/// Functions that one rule makes scopes of in a file.
pub const MAX_FUNCTIONS: usize = 64;
/// Bytes of a name that is looked at, mangled or not.
const MAX_NAME_BYTES: usize = 512;

/// A function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name, demangled.
    pub name: String,
    /// Its address.
    pub address: u64,
    /// Its bytes.
    pub size: u64,
}

/// Those that a rule names, each once. `true`: there are more than there may be.
pub fn functions(elf: &Elf<'_>, which: &Which) -> (Vec<Named>, bool) {
    match which {
        Which::At(offset) => (at(elf, *offset).into_iter().collect(), false),
        Which::Named(pattern) => named(elf, pattern),
    }
}

/// The function that begins there, by the unwinder's table.
fn at(elf: &Elf<'_>, offset: u64) -> Option<Named> {
    let address = elf.address_of(offset)?;
    let extents = elf.extents()?;
    let size = match extents.function_at(address) {
        Some((start, end)) if start == address => end - start,
        Some(_) => return None,
        // Of the last one the end is not known: no more than the code has. What is not reached is not looked at.
        None if extents.is_last(address) => elf.code_behind(address)?,
        None => return None,
    };
    let length = pads::length(elf, &extents, address).filter(|length| *length > 0);
    let size = length.map_or(size, |length| length.min(size));
    Some(Named {
        name: format!("+{offset:#x}"),
        address,
        size,
    })
}

fn named(elf: &Elf<'_>, pattern: &str) -> (Vec<Named>, bool) {
    let mut found: Vec<Named> = Vec::new();
    for kind in [elf::SHT_SYMTAB, elf::SHT_DYNSYM] {
        let Some((rows, names)) = elf.linked(kind) else {
            continue;
        };
        if names.size > MAX_PIECE_BYTES {
            elf.source.cut();
            continue;
        }
        let Some(names) = elf.source.piece(names.offset, names.size) else {
            continue;
        };
        let many = symbols::defined(elf.source, rows.part(), |row| {
            let Some(function) = function(&row, &names, pattern) else {
                return ControlFlow::Continue(());
            };
            // Another name of the same.
            if found.iter().any(|f| f.address == function.address) {
                return ControlFlow::Continue(());
            }
            if found.len() == MAX_FUNCTIONS {
                return ControlFlow::Break(());
            }
            found.push(function);
            ControlFlow::Continue(())
        });
        if many.is_some() {
            return (found, true);
        }
    }
    (found, false)
}

/// A function, if the pattern is of it.
fn function(row: &Defined, names: &[u8], pattern: &str) -> Option<Named> {
    if !row.is_function || row.size == 0 {
        return None;
    }
    let at = usize::try_from(row.name).ok()?;
    let rest = names.get(at..)?;
    let rest = rest.get(..MAX_NAME_BYTES).unwrap_or(rest);
    let end = rest.iter().position(|byte| *byte == 0)?;
    let name = std::str::from_utf8(rest.get(..end)?).ok()?;
    let names = Names::read(name);
    names.fit(pattern).then_some(Named {
        name: names.shown,
        address: row.address,
        size: row.size,
    })
}
