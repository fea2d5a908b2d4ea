//! Which probes of a file are put to use, where, and what is read there.
//!
//! ```text
//! notes, rules --look--> Planned: place, semaphore, Shape for the programs, meaning for the core; or a refusal
//! ```
//! Pure: a file and rules in, a plan out.

use std::fmt;

use cirron_common::hit::{MAX_VALUES, form};
use cirron_common::shape::{TextAt, thinning};
use cirron_common::{Operand, Shape};
use thiserror::Error;

use super::arguments::{Argument, Around, arguments};
use super::notes::{Note, notes};
use super::provider::{self, Known};
use super::rule::Rule;
use crate::probes::elf::Elf;
use crate::probes::place::Class;
use crate::probes::source::{ReadAt, Source};
use crate::probes::symbol_at::SymbolAt;

/// Probes of a file that are put to use. PostgreSQL has 72 notes; a name with `*` of a JVM's would take 500.
const MAX_PROBES: usize = 1024;
/// Bytes of a text of a probe that is not ours.
const TEXT_BYTES: u16 = 256;
/// The instructions that may stand at a probe: what `sdt.h` writes, and what the kernel can turn into a call.
const NOP: &[u8] = &[0x90];
const LONG_NOP: &[u8] = &[0x0f, 0x1f, 0x44, 0x00, 0x00];

/// A probe that is put to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Provider and name.
    pub label: String,
    /// Offset of its instruction in the file.
    pub offset: u64,
    /// How deep in the frame of a function it lies, in bytes; else 0.
    pub depth: u32,
    /// Offset of its semaphore; 0: it has none.
    pub semaphore: u64,
    /// What it costs.
    pub class: Class,
    /// What is read there.
    pub shape: Shape,
    /// It begins what others end: attached behind them.
    pub is_begin: bool,
    /// One of `cirron_common::hit::role`.
    pub role: u8,
    /// Name of the scope or mark.
    pub name: String,
    /// Form and name of each value.
    pub values: Vec<(u8, String)>,
    /// Which rule it is by, by its number; `None`: ours.
    pub rule: Option<usize>,
    /// Values that cannot be read, and why, in words.
    pub unread: Vec<String>,
}

/// Why a probe is not put to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Its address is that of no code.
    #[error("its address is not in the code of the file")]
    NoCode,
    /// Something else stands there.
    #[error("no nop stands at its address")]
    NoNop,
    /// It is never reached where that is 0.
    #[error("its semaphore is not in the file")]
    NoSemaphore,
    /// It says that it is ours, and is not.
    #[error("its arguments are not those of cirron-probe")]
    Arguments,
    /// It is named as one of ours that there is none of.
    #[error("cirron-probe has no such probe, or a later one has")]
    Unknown,
    /// See [`MAX_PROBES`].
    #[error("more than {MAX_PROBES} probes of the file are asked for")]
    Many,
}

/// What is there of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// What is put to use.
    pub planned: Vec<Planned>,
    /// What is not, and why.
    pub refused: Vec<(String, Refusal)>,
    /// Notes in the file.
    pub notes: usize,
    /// It has no section headers, so that its notes cannot be found.
    pub is_headless: bool,
    /// A bound was met: there may be more in it.
    pub is_cut: bool,
}

/// Looks at a file. `pair`: the number of the beginnings and ends of a name.
pub fn look(file: &dyn ReadAt, rules: &[Rule], pair: &mut dyn FnMut(&str) -> u32) -> Look {
    let source = Source::new(file);
    let Some(elf) = Elf::read(&source) else {
        return Look::default();
    };
    let notes = notes(&elf);
    let symbols = SymbolAt::new(&elf);
    let mut found = Look {
        notes: notes.len(),
        is_headless: !elf.has_sections(),
        ..Look::default()
    };
    for note in &notes {
        for meaning in meanings(note, rules) {
            let label = || format!("{}:{}", note.provider, note.name);
            let planned = match found.planned.len() {
                MAX_PROBES => Err(Refusal::Many),
                _ => meaning.and_then(|meaning| plan(&elf, &symbols, note, meaning, pair)),
            };
            match planned {
                Ok(planned) => found.planned.push(planned),
                // Said once for each.
                Err(why) if found.refused.len() < MAX_PROBES => found.refused.push((label(), why)),
                Err(_) => {}
            }
        }
    }
    found.is_cut = source.is_cut();
    found
}

/// What a note is taken for.
#[derive(Clone, Copy)]
enum Meaning<'r> {
    Ours(&'static Known),
    By(usize, &'r Rule),
}

fn meanings<'r>(note: &Note, rules: &'r [Rule]) -> Vec<Result<Meaning<'r>, Refusal>> {
    if note.provider == provider::PROVIDER {
        let known = provider::named(&note.name);
        return vec![known.map(Meaning::Ours).ok_or(Refusal::Unknown)];
    }
    let of_note = |(_, rule): &(usize, &Rule)| rule.is_of(&note.provider, &note.name);
    let rules = rules.iter().enumerate().filter(of_note);
    rules.map(|(n, rule)| Ok(Meaning::By(n, rule))).collect()
}

fn plan(
    elf: &Elf<'_>,
    symbols: &SymbolAt<'_, '_>,
    note: &Note,
    meaning: Meaning<'_>,
    pair: &mut dyn FnMut(&str) -> u32,
) -> Result<Planned, Refusal> {
    let (offset, class) = place(elf, note.address)?;
    let semaphore = match note.semaphore {
        0 => 0,
        address => elf.offset_of(address).ok_or(Refusal::NoSemaphore)?,
    };
    let around = Around {
        place: note.address,
        symbol: &|name| symbols.find(name),
    };
    let given = arguments(&note.arguments, &around);
    let planned = Planned {
        label: format!("{}:{}", note.provider, note.name),
        offset,
        depth: 0,
        semaphore,
        class,
        shape: Shape::default(),
        is_begin: false,
        role: 0,
        name: String::new(),
        values: Vec::new(),
        rule: None,
        unread: Vec::new(),
    };
    match meaning {
        Meaning::Ours(known) => ours(known, &given, planned),
        Meaning::By(number, rule) => Ok(by_rule(number, rule, &note.name, &given, pair, planned)),
    }
}

/// Where it is in the file, and what it costs there.
fn place(elf: &Elf<'_>, address: u64) -> Result<(u64, Class), Refusal> {
    let offset = elf.code_offset_of(address).ok_or(Refusal::NoCode)?;
    let stands = |nop: &[u8]| elf.source.piece(offset, nop.len() as u64).as_deref() == Some(nop);
    if stands(NOP) {
        Ok((offset, Class::Emulated))
    } else if stands(LONG_NOP) {
        Ok((offset, Class::Stepped))
    } else {
        Err(Refusal::NoNop)
    }
}

fn ours(known: &Known, given: &[Argument], planned: Planned) -> Result<Planned, Refusal> {
    let mut shape = Shape {
        thinning: known.thinning,
        ..Shape::default()
    };
    // One that is later has more behind the last.
    let given = given.get(..known.arguments.len());
    let given = given.ok_or(Refusal::Arguments)?;
    for (n, (argument, is)) in given.iter().zip(known.arguments).enumerate() {
        if argument.unread.is_some() {
            return Err(Refusal::Arguments);
        }
        add(&mut shape, argument.operand);
        if is.form == form::TEXT {
            add_text(&mut shape, n, n + 1);
        }
        if let Some(most) = shape.most.get_mut(n) {
            *most = is.most;
        }
    }
    let values = known.arguments.iter();
    Ok(Planned {
        shape,
        is_begin: known.is_begin,
        role: known.role,
        name: known.name.to_owned(),
        values: values.map(|v| (v.form, v.name.to_owned())).collect(),
        ..planned
    })
}

fn by_rule(
    number: usize,
    rule: &Rule,
    probe: &str,
    given: &[Argument],
    pair: &mut dyn FnMut(&str) -> u32,
    planned: Planned,
) -> Planned {
    let name = rule.name(probe).to_owned();
    let (thinning, is_begin) = match rule.role {
        cirron_common::hit::role::BEGIN => (thinning::BEGIN, true),
        cirron_common::hit::role::END => (thinning::END, false),
        _ => (thinning::EACH, false),
    };
    let mut shape = Shape {
        thinning,
        pair: match thinning {
            thinning::EACH => 0,
            _ => pair(&name),
        },
        ..Shape::default()
    };
    let (mut values, mut unread) = (Vec::new(), Vec::new());
    for wanted in &rule.values {
        let argument = given.get(usize::from(wanted.index));
        match argument {
            None => unread.push(format!("it has no argument {}", wanted.index)),
            Some(argument) => {
                let why = argument.unread;
                unread.extend(why.map(|why| format!("argument {}: {why}", wanted.index)));
            }
        }
        let form = wanted
            .form
            .or(argument.map(|a| a.form))
            .unwrap_or(form::INT);
        let operand = argument.map_or(Operand::ABSENT, |a| a.operand);
        add_value(&mut shape, operand, form);
        values.push((form, wanted.name.clone()));
    }
    Planned {
        shape,
        is_begin,
        role: rule.role,
        name,
        values,
        rule: Some(number),
        unread,
        ..planned
    }
}

/// One more value; a text is ended by a 0.
pub fn add_value(shape: &mut Shape, operand: Operand, form: u8) {
    let n = usize::from(shape.values);
    add(shape, operand);
    if form == form::TEXT {
        add_text(shape, n, n);
        if let Some(most) = shape.most.get_mut(n) {
            *most = TEXT_BYTES;
        }
    }
}

/// The text whose address is the value at `address`, and whose length stands at `length`. `None`: it has no room.
pub fn add_counted_text(shape: &mut Shape, address: u8, length: Operand) -> Option<()> {
    let n = usize::from(shape.values);
    *shape.most.get_mut(n)? = TEXT_BYTES;
    add(shape, length);
    add_text(shape, address.into(), n);
    Some(())
}

/// One more value. Tables and rules have no more than there is room for.
fn add(shape: &mut Shape, operand: Operand) {
    if let Some(to) = shape.operands.get_mut(usize::from(shape.values)) {
        *to = operand;
        shape.values += 1;
    }
}

fn add_text(shape: &mut Shape, address: usize, length: usize) {
    let index = |n: usize| u8::try_from(n.min(MAX_VALUES)).unwrap_or(u8::MAX);
    if let Some(to) = shape.text.get_mut(usize::from(shape.texts)) {
        *to = TextAt {
            address: index(address),
            length: index(length),
        };
        shape.texts += 1;
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = match self.class {
            Class::Emulated => "emulated",
            Class::Stepped => "single-stepped",
        };
        write!(f, "probe {} at {:#x} ({class})", self.label, self.offset)?;
        if self.semaphore != 0 {
            write!(f, ", semaphore at {:#x}", self.semaphore)?;
        }
        for unread in &self.unread {
            write!(f, "; {unread}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "look_tests.rs"]
mod tests;
