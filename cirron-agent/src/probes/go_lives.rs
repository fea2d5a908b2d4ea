//! Where a Go program makes goroutines and ends them.
//!
//! Stands beside the functions by rules, and takes places from the same planner: a file in, places out. `runtime.newproc1` returns what it
//! made, and `runtime.goexit1` is the last that a goroutine calls. Of versions of Go of which it is not known where a
//! goroutine has its maker's number, nothing is said.

use super::elf::Elf;
use super::go_build;
use super::place::{Kept, Place};
use super::scopes::go;
use super::scopes::rule::Which;
use super::source::{ReadAt, Source};

/// What there is of it in one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoLives {
    /// As [`go_build::maker`].
    pub maker: u8,
    /// Offsets in the file of the places where a new goroutine is returned.
    pub made: Vec<u64>,
    /// The same of the place where one ends.
    pub ended: u64,
}

/// Looks at a file. `None`: it is no Go program, or its goroutines cannot be watched.
pub fn find(file: &dyn ReadAt) -> Option<GoLives> {
    let source = Source::new(file);
    let elf = Elf::read(&source)?;
    let maker = go_build::maker(&elf)?;
    let (offset, (_, returns)) = places(&elf, "runtime.newproc1")?;
    let at = |place: &Place| offset.wrapping_add_signed(place.offset);
    let made = returns.iter().map(at).collect();
    let (offset, (entry, _)) = places(&elf, "runtime.goexit1")?;
    let ended = offset.wrapping_add_signed(entry.offset);
    Some(GoLives { maker, made, ended })
}

/// Where a function begins in the file, and its places. A program has each once, and some a second time by the same name: what assembly
/// calls, which ends in the other one and so has no places of its own.
fn places(elf: &Elf<'_>, name: &str) -> Option<(u64, (Place, Vec<Place>))> {
    let (found, _) = go::named(elf, &Which::Named(name.to_owned()));
    let mut planned = found.iter().filter_map(|one| {
        let offset = elf.code_offset_of(one.function.address)?;
        let code = elf.function(offset, one.function.size)?;
        Some((offset, go::places(&code, one, &Kept::default()).ok()?))
    });
    planned.next().filter(|_| planned.next().is_none())
}
