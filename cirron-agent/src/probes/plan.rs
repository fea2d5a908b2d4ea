//! What to attach to in a file: functions and their places.

use std::fmt;

use crate::probes::locate::call_site::HiddenCall;
use crate::probes::locate::symbol::Found;
use crate::probes::locate::{self, LOCATORS, Located, Locator};
use crate::probes::place::{self, Choice, Class, Place};
use crate::probes::source::{ReadAt, Source};
use crate::probes::tls::functions::{Abi, Function, Moves};

/// How a function's result is caught.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Nothing is to be caught.
    None,
    /// Probes inside the function.
    ///
    /// Never a return probe: from 6.11 on it makes a system call, and a process under a seccomp
    /// filter that does not know it is killed; and a probe is on the file, so that it would be every
    /// process with this library (systemd#34615).
    Places(Vec<Place>),
}

/// One function to attach to.
#[derive(Clone, Debug)]
pub struct Attach {
    /// Its row of the table.
    pub function: &'static Function,
    /// Offset of its first byte in the file.
    pub offset: u64,
    /// Where its entry sits, from there.
    pub entry: Place,
    /// And its exits.
    pub exit: Exit,
}

/// What to do with a file.
#[derive(Clone, Debug)]
pub enum Plan {
    /// Nothing of the tables is in it.
    Nothing,
    /// Its functions are watched.
    Watch(Vec<Attach>),
    /// What reads or what writes ends in code that is not known beforehand: half of a conversation,
    /// or none, would be seen.
    Unfollowed,
}

/// What was found in a file.
#[derive(Clone, Debug)]
pub struct Look {
    /// What to do with it.
    pub plan: Plan,
    /// A bound was met ([`crate::probes::source`]): there may be more in it.
    pub is_cut: bool,
}

/// What to attach to in a file.
pub fn plan(file: &dyn ReadAt, choice: Choice) -> Look {
    plan_with(file, choice, LOCATORS)
}

/// The same of what `locators` find.
pub(super) fn plan_with(file: &dyn ReadAt, choice: Choice, locators: &[&dyn Locator]) -> Look {
    let source = Source::new(file);
    let found = locate::locate(&source, locators);
    Look {
        plan: decide(&found, choice),
        is_cut: source.is_cut(),
    }
}

fn decide(located: &Located, choice: Choice) -> Plan {
    let found = &located.functions;
    let mut functions: Vec<Attach> = found
        .iter()
        .filter(|f| choice == Choice::Plain || !is_passed_on(f, found))
        .filter_map(|f| attach(f, choice))
        .collect();
    let has = |moves: Moves| {
        let watched = functions
            .iter()
            .any(|a| a.function.direction() == Some(moves));
        watched || !found.iter().any(|f| f.function.direction() == Some(moves))
    };
    if !has(Moves::In) || !has(Moves::Out) {
        return Plan::Unfollowed;
    }
    let calls = located.calls.iter();
    functions.extend(calls.filter_map(|c| attach_around(c, choice)));
    match functions.is_empty() {
        true => Plan::Nothing,
        false => Plan::Watch(functions),
    }
}

/// It is a jump to another function that is watched, and no more: `SSL_write_ex` to `SSL_write_ex2`
/// from OpenSSL 3.3 on. Its own places would be paid for and say nothing new.
fn is_passed_on(found: &Found, all: &[Found]) -> bool {
    let Some(to) = place::passes_on(&found.code) else {
        return false;
    };
    let at = found.offset.wrapping_add_signed(to);
    all.iter()
        .any(|other| other.offset == at && other.function.has_exit)
}

/// `None` where the result is needed and the function leaves in a way that we do not follow.
fn attach(found: &Found, choice: Choice) -> Option<Attach> {
    let Found {
        function,
        offset,
        code,
        tails,
        ..
    } = found;
    let entry = place::entry(code, function.abi, function.needs, choice);
    let exit = if function.has_exit {
        let places = match function.abi {
            Abi::SystemV => place::exits(code, tails, choice),
            Abi::Go => place::returns(code),
        };
        let Some(places) = places else {
            tracing::info!("{}: no exit that can be watched", function.name);
            return None;
        };
        Exit::Places(places)
    } else {
        Exit::None
    };
    Some(Attach {
        function,
        offset: *offset,
        entry,
        exit,
    })
}

/// Watches a function where it is called.
fn attach_around(call: &HiddenCall, choice: Choice) -> Option<Attach> {
    let (entry, exit) = place::around_call(&call.code, call.at, choice)?;
    Some(Attach {
        function: call.function,
        offset: call.offset,
        entry,
        exit: Exit::Places(vec![exit]),
    })
}

impl Attach {
    fn places(&self) -> impl Iterator<Item = &Place> {
        let exits = match &self.exit {
            Exit::None => &[][..],
            Exit::Places(places) => places,
        };
        std::iter::once(&self.entry).chain(exits)
    }
}

/// How many places of a file are watched, and what they cost, to show.
pub fn summary(functions: &[Attach]) -> String {
    let places: Vec<&Place> = functions.iter().flat_map(Attach::places).collect();
    let count = |class| places.iter().filter(|p| p.class == class).count();
    format!(
        "{} places in {} functions, {} emulated, {} single-stepped",
        places.len(),
        functions.len(),
        count(Class::Emulated),
        count(Class::Stepped)
    )
}

impl fmt::Display for Attach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = |place: &Place| match place.class {
            Class::Emulated => "emulated",
            Class::Stepped => "single-stepped",
        };
        write!(
            f,
            "{} at +{:#x} ({})",
            self.function.name,
            self.entry.offset,
            class(&self.entry)
        )?;
        match &self.exit {
            Exit::None => Ok(()),
            Exit::Places(places) => {
                let stepped = places.iter().filter(|p| p.class == Class::Stepped).count();
                write!(f, ", {} exits ({stepped} single-stepped)", places.len())
            }
        }
    }
}

#[cfg(test)]
mod tests;
