//! Where a function of the table goes that does not return by itself: compilers end a function in a
//! jump to another, and OpenSSL 1.0 and old LibreSSL in a jump through their objects' methods.

use std::collections::HashSet;

use super::switches;
use crate::probes::elf::Elf;
use crate::probes::extents::Extents;
use crate::probes::names::Symbol;
use crate::probes::place::{self, Switch, Ways};
use crate::probes::tls::functions::{Function, named};

/// Functions that one ends in. A handful in practice: its cold part, the one that does the work, and
/// those that its object's methods hold.
const MAX_TAILS: usize = 16;
/// Jumps that are looked at. A function of the tables has a few dozen in all that it ends in.
const MAX_JUMPS: usize = 1024;

/// What `code` of `function` at `address`, with its `switches`, jumps to outside of itself, and what that jumps to.
pub fn follow(
    elf: &Elf<'_>,
    symbols: &[Symbol],
    extents: &Extents,
    function: &Function,
    address: u64,
    code: &[u8],
    switches: Vec<Switch>,
) -> Ways {
    let mut open = place::leaves(0, code, &switches);
    let mut ways = Ways {
        switches,
        ..Ways::default()
    };
    if place::jumps_by_pointer(code) {
        let methods = methods(symbols, function);
        ways.has_methods = !methods.is_empty();
        open.extend(
            methods
                .iter()
                .map(|m| m.wrapping_sub(address).cast_signed()),
        );
    }
    let mut seen = HashSet::new();
    while let Some(to) = open.pop() {
        if seen.len() == MAX_JUMPS {
            elf.source.cut();
            break;
        }
        if !seen.insert(to) {
            continue;
        }
        let target = address.wrapping_add_signed(to);
        let behind = elf.behind_plt(target);
        if behind.is_some_and(|name| named(&name).is_some_and(|f| f.has_exit)) {
            ways.watched.push(to);
            continue;
        }
        let Some((start, end)) = extents.function_at(target) else {
            continue;
        };
        let at = start.wrapping_sub(address).cast_signed();
        let known = at == 0 || ways.code.iter().any(|(known, _)| *known == at);
        if known || ways.code.len() >= MAX_TAILS {
            continue;
        }
        let code = elf.offset_of(start);
        let Some(code) = code.and_then(|offset| elf.function(offset, end - start)) else {
            continue;
        };
        let switches = switches::read(elf, address, at, &code);
        open.extend(place::leaves(at, &code, &switches));
        ways.switches.extend(switches);
        ways.code.push((at, code));
    }
    ways
}

/// Addresses of the functions that the methods of the library's objects hold in the place that
/// `function` jumps through.
fn methods(symbols: &[Symbol], function: &Function) -> Vec<u64> {
    let names = function.methods();
    let mut found: Vec<u64> = symbols
        .iter()
        .filter(|symbol| names.contains(&symbol.name))
        .map(|symbol| symbol.address)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}
