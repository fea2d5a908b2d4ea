//! Which functions of a file become scopes, where, and what is read there.
//!
//! ```text
//! file, rules --look--> for each function: an entry with its values, every exit, in one pair; or a refusal
//! ```
//! Pure: a file and rules in, a plan out.

use std::path::Path;

use cirron_common::Shape;
use cirron_common::hit::{MAX_VALUES, form, role};
use cirron_common::operand::Convention;
use cirron_common::shape::thinning;
use thiserror::Error;

use super::functions::{MAX_FUNCTIONS, Named, functions};
use super::go::{self, GoNamed};
use super::landings::{self, Landing};
use super::rule::ScopeRule;
use super::ways::ways_out;
use crate::probes::elf::Elf;
use crate::probes::go_build;
use crate::probes::locate::Binary;
use crate::probes::place::{self, Choice, Kept, Place, Ways};
use crate::probes::source::{ReadAt, Source};
use crate::probes::usdt::look::{Planned, add_value};

/// Why a function is no scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The planner has no place.
    #[error(transparent)]
    Place(#[from] place::Refusal),
    /// With the lengths of its texts there are more values than there is room for.
    #[error("more than {MAX_VALUES} values are asked for: a string of Go is two")]
    Values,
    /// Its bytes are not in the file.
    #[error("its code is not in the file")]
    NoCode,
    /// See [`MAX_FUNCTIONS`].
    #[error("more than {MAX_FUNCTIONS} functions of the file have such a name")]
    Many,
}

/// What is there of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// What is put to use: of each function its entry and its exits.
    pub planned: Vec<Planned>,
    /// What is not, and why.
    pub refused: Vec<(String, Refusal)>,
    /// A bound was met: there may be more in it.
    pub is_cut: bool,
}

/// Looks at a file; where there are rules for any, also at one that has landings. `pair`: the number of the beginnings and ends of a function. Rules are numbered from `first` on.
pub fn look(
    (file, path): (&dyn ReadAt, &Path),
    (rules, first): (&[ScopeRule], usize),
    pair: &mut dyn FnMut(&str) -> u32,
) -> Look {
    let mut found = Look::default();
    let path = path.to_string_lossy();
    // As the list of mappings says of one that was replaced.
    let path = path.strip_suffix(" (deleted)").unwrap_or(&path);
    if rules.is_empty() {
        return found;
    }
    let of_file = |(_, rule): &(usize, &ScopeRule)| rule.is_of(path);
    let rules: Vec<(usize, &ScopeRule)> = rules.iter().enumerate().filter(of_file).collect();
    if rules.is_empty() && !landings::is_library(path) {
        return found;
    }
    let source = Source::new(file);
    let Some(binary) = Binary::read(&source) else {
        return found;
    };
    let is_go = go_build::goid(&binary.elf).is_some();
    if !is_go {
        found
            .planned
            .extend(landings::find(&binary).iter().map(landed));
    }
    for (n, rule) in rules {
        let (functions, is_many) = match is_go {
            true => in_go(&binary, rule, pair),
            false => in_symbols(&binary, rule, pair),
        };
        if is_many {
            found.refused.push((rule.text.clone(), Refusal::Many));
        }
        for (name, planned) in functions {
            match planned {
                Ok(planned) => found
                    .planned
                    .extend(planned.into_iter().map(|planned| Planned {
                        rule: Some(first + n),
                        ..planned
                    })),
                Err(why) => found.refused.push((name, why)),
            }
        }
    }
    found.is_cut = source.is_cut();
    found
}

/// What is told at a landing: where the stack pointer stands.
fn landed(landing: &Landing) -> Planned {
    let Landing {
        name,
        offset,
        place,
    } = landing;
    Planned {
        label: (*name).to_owned(),
        offset: offset.wrapping_add_signed(place.offset),
        depth: place.depth,
        semaphore: 0,
        class: place.class,
        shape: Shape {
            thinning: thinning::LANDED,
            ..Shape::default()
        },
        is_begin: false,
        role: role::LANDED,
        name: String::new(),
        values: Vec::new(),
        rule: None,
        unread: Vec::new(),
    }
}

/// Names of functions, and what is planned for each.
type Functions = Vec<(String, Result<Vec<Planned>, Refusal>)>;

fn in_symbols(
    binary: &Binary<'_>,
    rule: &ScopeRule,
    pair: &mut dyn FnMut(&str) -> u32,
) -> (Functions, bool) {
    let (named, is_many) = functions(&binary.elf, &rule.which);
    let planned = named.into_iter().map(|function| {
        let read = |code: &[u8]| places(binary, &function, rule, code);
        let planned = plan(&binary.elf, &function, rule, pair, read);
        (function.name, planned)
    });
    (planned.collect(), is_many)
}

fn in_go(
    binary: &Binary<'_>,
    rule: &ScopeRule,
    pair: &mut dyn FnMut(&str) -> u32,
) -> (Functions, bool) {
    let (named, is_many) = go::named(&binary.elf, &rule.which);
    let planned = named.into_iter().map(|go| {
        let read = |code: &[u8]| places_of_go(&go, rule, code);
        let planned = plan(&binary.elf, &go.function, rule, pair, read);
        (go.function.name, planned)
    });
    (planned.collect(), is_many)
}

/// Where a function is entered and left, and what is read at its entry.
struct Places {
    entry: Place,
    exits: Vec<Place>,
    enter: Shape,
    values: Vec<(u8, String)>,
}

/// Plans a function, whose places `read` finds in its bytes.
fn plan(
    elf: &Elf<'_>,
    function: &Named,
    rule: &ScopeRule,
    pair: &mut dyn FnMut(&str) -> u32,
    read: impl FnOnce(&[u8]) -> Result<Places, Refusal>,
) -> Result<Vec<Planned>, Refusal> {
    let offset = elf
        .code_offset_of(function.address)
        .ok_or(Refusal::NoCode)?;
    let code = elf.function(offset, function.size).ok_or(Refusal::NoCode)?;
    let scope = Scope {
        function,
        offset,
        name: rule.name(&function.name),
        places: read(&code)?,
    };
    Ok(scope.planned(pair))
}

fn places(
    binary: &Binary<'_>,
    function: &Named,
    rule: &ScopeRule,
    code: &[u8],
) -> Result<Places, Refusal> {
    let ways = ways_out(binary, function.address, code)?;
    let mut enter = Shape::default();
    let mut values = Vec::new();
    for wanted in &rule.values {
        let form = wanted.form.unwrap_or(form::INT);
        add_value(&mut enter, Convention::SystemV.argument(wanted.index), form);
        values.push((form, wanted.name.clone()));
    }
    let read = enter.operands.iter();
    let kept = Kept::for_operands(read);
    let (entry, exits) = apart(code, &ways, &kept)?;
    Ok(Places {
        entry,
        exits,
        enter,
        values,
    })
}

/// An entry and exits, none of them at one place: in which order two probes there are told is not known.
fn apart(code: &[u8], ways: &Ways, kept: &Kept) -> Result<(Place, Vec<Place>), place::Refusal> {
    use Choice::{Cheapest, Plain};
    for (of_entry, of_exits) in [(Cheapest, Cheapest), (Cheapest, Plain), (Plain, Plain)] {
        let entry = place::entry(code, ways, kept, of_entry)?;
        let exits = place::leavings(code, ways, of_exits)?;
        if exits.iter().all(|exit| exit.offset != entry.offset) {
            return Ok((entry, exits));
        }
    }
    Err(place::Refusal::Empty)
}

fn places_of_go(go: &GoNamed, rule: &ScopeRule, code: &[u8]) -> Result<Places, Refusal> {
    let mut enter = Shape {
        of_goroutine: 1,
        ..Shape::default()
    };
    let values = go::add_values(&mut enter, rule)?;
    let kept = Kept::for_operands(enter.operands.iter());
    let (entry, exits) = go::places(code, go, &kept)?;
    Ok(Places {
        entry,
        exits,
        enter,
        values,
    })
}

/// A function that becomes a scope.
struct Scope<'a> {
    function: &'a Named,
    /// Of its first byte in the file.
    offset: u64,
    name: &'a str,
    places: Places,
}

impl Scope<'_> {
    fn planned(self, pair: &mut dyn FnMut(&str) -> u32) -> Vec<Planned> {
        let Places {
            entry,
            exits,
            enter,
            values,
        } = &self.places;
        let pair = pair(&format!("{}@{:x}", self.function.name, self.offset));
        let enter = Shape {
            thinning: thinning::ENTER,
            pair,
            ..*enter
        };
        let exit = Shape {
            thinning: thinning::EXIT,
            pair,
            of_goroutine: enter.of_goroutine,
            ..Shape::default()
        };
        let planned = |place: &Place, role: u8, shape: Shape| Planned {
            label: self.function.name.clone(),
            offset: self.offset.wrapping_add_signed(place.offset),
            depth: place.depth,
            semaphore: 0,
            class: place.class,
            shape,
            is_begin: role == role::ENTER,
            role,
            name: self.name.to_owned(),
            values: Vec::new(),
            rule: None,
            unread: Vec::new(),
        };
        let mut all: Vec<Planned> = exits
            .iter()
            .map(|place| planned(place, role::EXIT, exit))
            .collect();
        all.push(Planned {
            values: values.clone(),
            ..planned(entry, role::ENTER, enter)
        });
        all
    }
}

/// Why a function cannot be one, if it cannot.
#[cfg(test)]
pub(super) fn reason(binary: &Binary<'_>, function: &Named) -> Option<Refusal> {
    let read = |offset| binary.elf.function(offset, function.size);
    let code = binary.elf.code_offset_of(function.address).and_then(read);
    let Some(code) = code else {
        return Some(Refusal::NoCode);
    };
    let planned = ways_out(binary, function.address, &code)
        .and_then(|ways| apart(&code, &ways, &Kept::default()));
    planned.err().map(Refusal::Place)
}

#[cfg(test)]
#[path = "look_tests.rs"]
mod tests;
