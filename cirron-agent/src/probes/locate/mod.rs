//! Locators: ways to find functions in a file.
//!
//! ```text
//! LOCATORS, in order --locate--> Located: functions, and calls of functions that have no name --> plan
//! ```
//! Each adds to what those before it found; none knows another. One more is a file here and a row of [`LOCATORS`].
//! A locator names where a function begins; whether a probe may stand there the planner decides by its code.

pub mod call_site;
pub mod labels;
pub mod pads;
pub mod pclntab;
pub mod switches;
pub mod symbol;
pub mod tails;

use std::cell::OnceCell;

use call_site::HiddenCall;
use cirron_common::Signature;
use cirron_common::operand::{Convention, Operand};
use symbol::Found;

use crate::probes::elf::Elf;
use crate::probes::extents::Extents;
use crate::probes::go_build;
use crate::probes::names::Symbol;
use crate::probes::place::Ways;
use crate::probes::source::Source;
use crate::probes::tls::functions::Function;

/// What the planner is told of a function of which nothing is known but its convention.
static UNKNOWN: Function = Function {
    name: "",
    convention: Convention::SystemV,
    signature: Signature::event(0, Operand::ABSENT),
    has_exit: true,
};

/// A file as locators read it.
#[derive(Debug)]
pub struct Binary<'s> {
    /// Its headers.
    pub elf: Elf<'s>,
    extents: OnceCell<Option<Extents>>,
}

impl<'s> Binary<'s> {
    /// `None` where it is no 64-bit ELF.
    pub fn read(source: &'s Source<'s>) -> Option<Binary<'s>> {
        Some(Binary {
            elf: Elf::read(source)?,
            extents: OnceCell::new(),
        })
    }

    /// Where functions begin and end: a large table, read when it is asked for.
    pub fn extents(&self) -> Option<&Extents> {
        self.extents.get_or_init(|| self.elf.extents()).as_ref()
    }

    /// Ways in and out of a function at `address` that its bytes, `code`, do not tell.
    pub fn ways(&self, symbols: &[Symbol], of: &Function, address: u64, code: &[u8]) -> Ways {
        let switches = switches::read(&self.elf, address, 0, code);
        let extents = of.has_exit.then(|| self.extents()).flatten();
        match extents {
            Some(extents) => {
                tails::follow(&self.elf, symbols, extents, of, address, code, switches)
            }
            None => Ways {
                switches,
                ..Ways::default()
            },
        }
    }

    /// The same of a function of which nothing is known but its convention.
    pub fn ways_of_unknown(&self, address: u64, code: &[u8]) -> Ways {
        self.ways(&[], &UNKNOWN, address, code)
    }
}

/// What is in a file.
#[derive(Clone, Debug, Default)]
pub struct Located {
    /// Functions of the families' tables.
    pub functions: Vec<Found>,
    /// Calls that go around them.
    pub calls: Vec<HiddenCall>,
    /// It is a Go program ([`crate::probes::go_build::goid`]).
    pub go: Option<u8>,
}

/// A way to find functions.
pub trait Locator: Sync {
    /// Adds what it finds to what the locators before it found.
    fn locate(&self, binary: &Binary<'_>, located: &mut Located);
}

/// All of them. Call sites are those of functions that symbols name.
pub const LOCATORS: &[&dyn Locator] = &[
    &symbol::Symbols,
    &call_site::CallSites,
    &pclntab::Pclntab,
    &labels::Labels,
];

/// What `locators` find in a file; nothing where it is no 64-bit ELF.
pub fn locate(source: &Source<'_>, locators: &[&dyn Locator]) -> Located {
    let mut located = Located::default();
    if let Some(binary) = Binary::read(source) {
        located.go = go_build::goid(&binary.elf);
        for locator in locators {
            locator.locate(&binary, &mut located);
        }
    }
    located
}

#[cfg(test)]
mod tests;
