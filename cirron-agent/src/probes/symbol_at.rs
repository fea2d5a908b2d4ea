//! The address of one symbol of a file, by its exact name: for operands that name one.
//!
//! Seldom asked for: the tables are read each time, in blocks, and nothing of them is kept but what was found.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::ControlFlow;

use memchr::memmem::Finder;
use object::elf;

use crate::probes::elf::Elf;
use crate::probes::symbols;

/// Names that are looked for in a file. A table of symbols is read again for each.
const MAX_ASKED: usize = 32;
/// Bytes of a name.
const MAX_NAME_BYTES: usize = 256;
/// Bytes of a table that is read.
const MAX_TABLE_BYTES: u64 = 64 * 1024 * 1024;

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
        let (rows, names) = self.elf.linked(kind)?;
        if rows.size.max(names.size) > MAX_TABLE_BYTES {
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
        symbols::defined(source, rows.part(), |row| {
            match places.binary_search(&row.name) {
                Ok(_) => ControlFlow::Break(row.address),
                Err(_) => ControlFlow::Continue(()),
            }
        })
    }
}
