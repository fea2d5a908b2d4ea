//! Where a function of the table goes that does not return by itself: compilers end a function in a
//! jump to another, and OpenSSL 1.0 and old LibreSSL in a jump through their objects' methods.

use std::fs::File;

use object::{Object as _, ObjectSymbol as _, ReadCache};

use super::elf::{Elf, behind_plt, bytes, extents, offset_of};
use super::functions::{Function, named};
use super::place::{self, Tails};

/// Functions that one ends in. A handful in practice: its cold part, the one that does the work, and
/// those that its object's methods hold.
const MAX_TAILS: usize = 16;

/// What `code` of `function` at `address` jumps to outside of itself, and what that jumps to.
pub fn of(
    elf: &Elf<'_>,
    cache: &ReadCache<&File>,
    function: &Function,
    address: u64,
    code: &[u8],
) -> Tails {
    let mut tails = Tails::default();
    let Some(extents) = extents(elf) else {
        return tails;
    };
    let mut open = place::leaves(0, code);
    if place::jumps_by_pointer(code) {
        let methods = methods(elf, function);
        tails.has_methods = !methods.is_empty();
        open.extend(
            methods
                .iter()
                .map(|m| m.wrapping_sub(address).cast_signed()),
        );
    }
    while let Some(to) = open.pop() {
        let target = address.wrapping_add_signed(to);
        if behind_plt(elf, target).is_some_and(|name| named(&name).is_some_and(|f| f.has_exit)) {
            tails.watched.push(to);
            continue;
        }
        let Some((start, end)) = extents.of(target) else {
            continue;
        };
        let at = start.wrapping_sub(address).cast_signed();
        let known = at == 0 || tails.code.iter().any(|(known, _)| *known == at);
        if known || tails.code.len() >= MAX_TAILS {
            continue;
        }
        let Some(code) = offset_of(elf, start).and_then(|offset| bytes(cache, offset, end - start))
        else {
            continue;
        };
        open.extend(place::leaves(at, code));
        tails.code.push((at, code.to_vec()));
    }
    tails
}

/// Addresses of the functions that the methods of the library's objects hold in the place that
/// `function` jumps through.
fn methods(elf: &Elf<'_>, function: &Function) -> Vec<u64> {
    let names = function.methods();
    let mut found: Vec<u64> = elf
        .dynamic_symbols()
        .chain(elf.symbols())
        .filter(|s| s.is_definition() && s.name().is_ok_and(|n| names.contains(&n)))
        .map(|s| s.address())
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}
