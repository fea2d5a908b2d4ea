//! What to attach to in a file: functions and their places.

use std::fmt;

use cirron_common::Signature;
use cirron_common::operand::Convention;

use crate::probes::locate::call_site::HiddenCall;
use crate::probes::locate::symbol::Found;
use crate::probes::locate::{self, LOCATORS, Located, Locator};
use crate::probes::place::{self, Choice, Class, Kept, Place, Refusal};
use crate::probes::source::{ReadAt, Source};
use crate::probes::tls::functions::{Function, Moves};

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
    /// What it does, and where its values stand at the entry's place.
    pub signature: Signature,
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

/// How connections inside TLS are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Means {
    /// By plaintext where a library's functions are known, else by its secrets.
    #[default]
    Auto,
    /// By plaintext, at each call of a library's functions.
    Plaintext,
    /// By the secrets that a library announces, where it does; else by plaintext.
    Secrets,
}

impl Plan {
    /// Whether secrets could be read.
    pub fn announces(&self) -> bool {
        match self {
            Plan::Watch(functions) => functions.iter().any(|a| a.function.announces()),
            Plan::Nothing | Plan::Unfollowed => false,
        }
    }

    /// What of it is watched by these means. A file is read by one of them, so that nothing is read twice.
    #[must_use]
    pub fn by(self, means: Means) -> Plan {
        let Plan::Watch(mut functions) = self else {
            return self;
        };
        let has = |is: fn(&Function) -> bool| functions.iter().any(|a| is(a.function));
        let moves = |f: &Function| f.direction().is_some();
        let by_secrets = has(Function::announces)
            && match means {
                Means::Auto => !has(moves),
                Means::Plaintext => false,
                Means::Secrets => true,
            };
        functions.retain(|a| a.function.announces() == by_secrets);
        match functions.is_empty() {
            true => Plan::Nothing,
            false => Plan::Watch(functions),
        }
    }
}

/// A function, or a call of one, that is not watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its row of the table.
    pub function: &'static Function,
    /// Offset in the file: of its first byte, or of the call.
    pub offset: u64,
    /// Why.
    pub why: Refusal,
}

/// What was found in a file.
#[derive(Clone, Debug)]
pub struct Look {
    /// What to do with it.
    pub plan: Plan,
    /// What is not watched of it, and why.
    pub refused: Vec<Refused>,
    /// It is a Go program ([`crate::probes::go_build::goid`]).
    pub go: Option<u8>,
    /// A bound was met ([`crate::probes::source`]): there may be more in it.
    pub is_cut: bool,
}

/// What to attach to in a file.
pub fn plan(file: &dyn ReadAt, choice: Choice) -> Look {
    plan_with(file, choice, LOCATORS)
}

/// The same of what `locators` find.
pub fn plan_with(file: &dyn ReadAt, choice: Choice, locators: &[&dyn Locator]) -> Look {
    let source = Source::new(file);
    let found = locate::locate(&source, locators);
    let (plan, refused) = decide(&found, choice);
    Look {
        plan,
        refused,
        go: found.go,
        is_cut: source.is_cut(),
    }
}

fn decide(located: &Located, choice: Choice) -> (Plan, Vec<Refused>) {
    let found = &located.functions;
    let mut refused = Vec::new();
    let mut functions: Vec<Attach> = Vec::new();
    for f in found {
        if choice == Choice::Cheapest && is_passed_on(f, found) {
            continue;
        }
        match attach(f, choice) {
            Ok(attach) => functions.push(attach),
            Err(why) => refused.push(Refused {
                function: f.function,
                offset: f.offset,
                why,
            }),
        }
    }
    let has = |moves: Moves| {
        let watched = functions
            .iter()
            .any(|a| a.function.direction() == Some(moves));
        watched || !found.iter().any(|f| f.function.direction() == Some(moves))
    };
    if !has(Moves::In) || !has(Moves::Out) {
        functions.retain(|a| a.function.announces());
        let plan = match functions.is_empty() {
            true => Plan::Unfollowed,
            false => Plan::Watch(functions),
        };
        return (plan, refused);
    }
    for call in &located.calls {
        match attach_around(call, choice) {
            Ok(attach) => functions.push(attach),
            Err(why) => refused.push(Refused {
                function: call.function,
                offset: call.offset.wrapping_add_signed(call.at),
                why,
            }),
        }
    }
    let plan = match functions.is_empty() {
        true => Plan::Nothing,
        false => Plan::Watch(functions),
    };
    (plan, refused)
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

/// Refused where an instruction is not known to begin at each place, and where the result is needed and the function
/// leaves in a way that we do not follow.
fn attach(found: &Found, choice: Choice) -> Result<Attach, Refusal> {
    let Found {
        function,
        offset,
        code,
        ways,
        ..
    } = found;
    let kept = Kept::for_signature(&function.signature);
    let mut signature = function.signature;
    let mut entry = place::entry(code, ways, &kept, choice)?;
    if entry.class == Class::Stepped
        && choice == Choice::Cheapest
        && function.announces()
        && let Some((place, there)) = found.entry_moved()?
    {
        (entry, signature) = (place, there);
    }
    let exit = match (function.has_exit, function.convention) {
        (false, _) => Exit::None,
        (true, Convention::SystemV) => Exit::Places(place::exits(code, ways, choice)?),
        (true, Convention::Go) => Exit::Places(place::returns(code, ways)?),
    };
    Ok(Attach {
        function,
        offset: *offset,
        signature,
        entry,
        exit,
    })
}

/// Watches a function where it is called.
fn attach_around(call: &HiddenCall, choice: Choice) -> Result<Attach, Refusal> {
    let (entry, exit) = place::around_call(&call.code, &call.switches, call.at, choice)?;
    Ok(Attach {
        function: call.function,
        offset: call.offset,
        signature: call.function.signature,
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

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refused {
            function,
            offset,
            why,
        } = self;
        write!(f, "{} at {offset:#x} is not watched: {why}", function.name)
    }
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
