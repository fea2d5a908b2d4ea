//! The address of one symbol of a file, by its exact name: for operands that name one.
//!
//! Seldom asked for: the tables are read each time, in blocks, and nothing of them is kept but what was found.

use std::cell::RefCell;
use std::collections::HashMap;
use std::mem::{offset_of, size_of};
use std::ops::ControlFlow;

use memchr::memmem::Finder;
use object::LittleEndian;
use object::elf::{self, Sym64};

use crate::probes::elf::Elf;
use crate::probes::source::{u32_in, u64_in};

/// Names that are looked for in a file. A table of symbols is read again for each.
const MAX_ASKED: usize = 32;
/// Bytes of a name.
const MAX_NAME_BYTES: usize = 256;
/// Bytes of a table that is read.
const MAX_TABLE_BYTES: u64 = 64 * 1024 * 1024;

type Row = Sym64<LittleEndian>;

/// Symbols of a file.
#[derive(Debug)]
pub struct SymbolAt<'e, 's> {
    elf: &'e Elf<'s>,
    asked: RefCell<HashMap<String, Option<u64>>>,
}

impl<'e, 's> SymbolAt<'e, 's> {
    /// Nothing is read yet.
    pub fn new(elf: &'e Elf<'s>) -> SymbolAt<'e, 's> {
        SymbolAt {
            elf,
            asked: RefCell::default(),
        }
    }

    /// Its address, as the file counts them.
    pub fn find(&self, name: &str) -> Option<u64> {
        let mut asked = self.asked.borrow_mut();
        if let Some(known) = asked.get(name) {
            return *known;
        }
        if asked.len() == MAX_ASKED || name.len() > MAX_NAME_BYTES {
            self.elf.source.cut();
            return None;
        }
        let found = [elf::SHT_DYNSYM, elf::SHT_SYMTAB]
            .into_iter()
            .find_map(|kind| self.find_in(kind, name));
        asked.insert(name.to_owned(), found);
        found
    }

    fn find_in(&self, kind: elf::SectionType, name: &str) -> Option<u64> {
        let (symbols, names) = self.elf.linked(kind)?;
        if symbols.size.max(names.size) > MAX_TABLE_BYTES {
            self.elf.source.cut();
            return None;
        }
        let ended = format!("{name}\0");
        let finder = Finder::new(ended.as_bytes());
        let start = names.offset;
        // It may be the end of a longer one: the symbol tells.
        let mut places: Vec<u32> = Vec::new();
        let source = self.elf.source;
        source.blocks(names.part(), ended.len(), |at, bytes| {
            for place in finder.find_iter(bytes) {
                places.extend(u32::try_from(at - start + place as u64).ok());
            }
            ControlFlow::<()>::Continue(())
        });
        places.sort_unstable();
        const ROW: usize = size_of::<Row>();
        let mut next = symbols.offset;
        source.blocks(symbols.part(), ROW - 1, |at, bytes| {
            let from = usize::try_from(next.saturating_sub(at)).unwrap_or(usize::MAX);
            for row in bytes.get(from..).unwrap_or_default().chunks_exact(ROW) {
                next += ROW as u64;
                if let Some(address) = defined(row, &places) {
                    return ControlFlow::Break(address);
                }
            }
            ControlFlow::Continue(())
        })
    }
}

/// The address of a symbol that the file defines and that has its name at one of `places`.
fn defined(row: &[u8], places: &[u32]) -> Option<u64> {
    let name = u32_in(row, offset_of!(Row, st_name))?;
    places.binary_search(&name).ok()?;
    let section = row.get(offset_of!(Row, st_shndx)..offset_of!(Row, st_value))?;
    let is_defined = section != elf::SHN_UNDEF.0.to_le_bytes();
    is_defined.then(|| u64_in(row, offset_of!(Row, st_value)))?
}
