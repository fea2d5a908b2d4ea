//! Places of a file at which a thread goes on in a frame further up, by an exception, a panic or `longjmp`: what is below is over.
//!
//! ```text
//! libgcc_s, libc, the files of rules: unwinder's functions by name, and what they call --place::landings--> places
//! ```
//! Without them a frame that was left so would seem to be around what is called next, deeper in the stack. An unwinder that
//! is part of a stripped file has no name, and is not found.

use super::functions::{self, Named};
use super::rule::Which;
use crate::probes::locate::{Binary, switches};
use crate::probes::place::{self, Place};

/// What ends in a landing: libgcc's functions, and glibc's.
const NAMES: [&str; 6] = [
    "_Unwind_RaiseException",
    "_Unwind_Resume",
    "_Unwind_Resume_or_Rethrow",
    "_Unwind_ForcedUnwind",
    "longjmp",
    "__longjmp_chk",
];
/// How the files that have them are called, whatever the rules say.
const LIBRARIES: [&str; 2] = ["libgcc_s.so.", "libc.so."];

/// A landing: what it is called, its function's first byte in the file, its place from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landing {
    /// The function's name.
    pub name: &'static str,
    /// Of the first byte of what has it, in the file.
    pub offset: u64,
    /// From there.
    pub place: Place,
}

/// Whether a file of that path has landings.
pub fn is_library(path: &str) -> bool {
    let base = path.rsplit('/').next().unwrap_or(path);
    LIBRARIES.iter().any(|name| base.starts_with(name))
}

/// Those of a file.
pub fn find(binary: &Binary<'_>) -> Vec<Landing> {
    let mut found: Vec<Landing> = Vec::new();
    for name in NAMES {
        let which = Which::Named(name.to_owned());
        let (named, _) = functions::functions(&binary.elf, &which);
        for function in named {
            let calls = add(binary, name, &function, &mut found);
            // A local one that does the work, in assembly.
            for to in calls {
                let address = function.address.wrapping_add_signed(to);
                let extents = binary.extents();
                let extent = extents.and_then(|extents| extents.function_at(address));
                if let Some((start, end)) = extent
                    && start == address
                {
                    let called = Named {
                        name: String::new(),
                        address,
                        size: end - start,
                    };
                    add(binary, name, &called, &mut found);
                }
            }
        }
    }
    found
}

/// Adds those in a function, and gives where it calls others, from its first byte.
fn add(
    binary: &Binary<'_>,
    name: &'static str,
    function: &Named,
    found: &mut Vec<Landing>,
) -> Vec<i64> {
    let elf = &binary.elf;
    let Some(offset) = elf.code_offset_of(function.address) else {
        return Vec::new();
    };
    let Some(code) = elf.function(offset, function.size) else {
        return Vec::new();
    };
    let switches = switches::read(elf, function.address, 0, &code);
    let (places, calls) = place::landings(&code, &switches);
    for place in places {
        let at = offset.wrapping_add_signed(place.offset);
        let known = |l: &Landing| l.offset.wrapping_add_signed(l.place.offset) == at;
        if !found.iter().any(known) {
            found.push(Landing {
                name,
                offset,
                place,
            });
        }
    }
    calls
}

#[cfg(test)]
mod tests;
