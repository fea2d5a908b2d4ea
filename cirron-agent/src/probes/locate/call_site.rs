//! Calls of a function without a symbol, in a file's code: from whom, and where.
//!
//! Used for what OpenSSL's own filter (`BIO_f_ssl`) does: it goes around the exported functions. The
//! function behind them ends in a jump through a pointer, so that it is watched where it is called.
//! It looks for the bytes of a call, and takes it where following the caller from its beginning comes to an
//! instruction there. A call through a pointer is not found.

use memchr::memchr_iter;

use super::{Binary, Located, Locator, switches};
use crate::probes::elf::{Elf, MAX_FUNCTION_BYTES};
use crate::probes::extents::Extents;
use crate::probes::locate::symbol::Found;
use crate::probes::place::{self, Kept, Switch};
use crate::probes::tls::functions::{Function, HIDDEN};

/// How far from the function its callers are looked for. OpenSSL's own code has less than 1 MiB, and
/// lies in one piece in an executable of 60.
const NEAR_BYTES: u64 = 4 * 1024 * 1024;
/// Calls that are watched. OpenSSL's filter has two.
const MAX_CALLS: usize = 16;
/// A relative call, and its length.
const CALL: u8 = 0xe8;
const CALL_BYTES: u64 = 5;

/// A call of a function that has no symbol, by one that is not of the table.
#[derive(Clone, Debug)]
pub struct HiddenCall {
    /// What is called.
    pub function: &'static Function,
    /// Offset of the caller's first byte in the file.
    pub offset: u64,
    /// The caller's bytes.
    pub code: Vec<u8>,
    /// Its `switch`es.
    pub switches: Vec<Switch>,
    /// Where in them the call is.
    pub at: i64,
}

/// By the calls of what is behind the functions that were found.
#[derive(Clone, Copy, Debug)]
pub struct CallSites;

impl Locator for CallSites {
    fn locate(&self, binary: &Binary<'_>, located: &mut Located) {
        if targets(&located.functions).is_empty() {
            return;
        }
        if let Some(extents) = binary.extents() {
            let found = hidden(&binary.elf, &located.functions, extents);
            located.calls.extend(found);
        }
    }
}

/// Calls of the hidden functions by code that is not of `functions`. Of a file without their doors
/// nothing is read.
fn hidden(elf: &Elf<'_>, functions: &[Found], extents: &Extents) -> Vec<HiddenCall> {
    let mut found = Vec::new();
    for (function, target) in targets(functions) {
        let Some((address, code)) = near(elf, target) else {
            continue;
        };
        for call in calls_to(&code, address, target) {
            let Some((start, code)) = caller(extents, &code, address, call) else {
                continue;
            };
            let Some(offset) = elf.offset_of(start) else {
                continue;
            };
            if functions.iter().any(|f| f.address == start) {
                continue;
            }
            if found.len() == MAX_CALLS {
                elf.source.cut();
                return found;
            }
            found.push(HiddenCall {
                function,
                offset,
                switches: switches::read(elf, start, 0, code),
                code: code.to_vec(),
                at: call.wrapping_sub(start).cast_signed(),
            });
        }
    }
    found
}

/// The code around an address, as far as `.text` and [`NEAR_BYTES`] go, and where it begins.
fn near(elf: &Elf<'_>, target: u64) -> Option<(u64, Vec<u8>)> {
    let text = elf.section(".text")?;
    let start = target.saturating_sub(NEAR_BYTES).max(text.address);
    let end = text.address.saturating_add(text.size);
    let end = target.saturating_add(NEAR_BYTES).min(end);
    let at = text.offset.checked_add(start - text.address)?;
    let code = elf.source.piece(at, end.checked_sub(start)?)?;
    Some((start, code))
}

/// The hidden functions behind doors among `functions`, and their addresses, each once.
fn targets(functions: &[Found]) -> Vec<(&'static Function, u64)> {
    let mut found: Vec<(&'static Function, u64)> = Vec::new();
    for hidden in HIDDEN {
        let door = functions.iter().find(|f| f.function.name == hidden.door);
        let Some(target) = door.and_then(|door| {
            let kept = Kept::for_signature(&hidden.function.signature);
            let to = place::hands_to(&door.code, &kept)?;
            Some(door.address.wrapping_add_signed(to))
        }) else {
            continue;
        };
        let is_known = functions.iter().any(|f| f.address == target);
        if !is_known && found.iter().all(|(_, known)| *known != target) {
            found.push((&hidden.function, target));
        }
    }
    found
}

/// Addresses of calls of `target` in `text`, which lies at `address`; some may be other bytes.
fn calls_to(text: &[u8], address: u64, target: u64) -> Vec<u64> {
    let from = |at: u64| usize::try_from(at.saturating_sub(address)).unwrap_or(usize::MAX);
    let (start, end) = (
        from(target.saturating_sub(NEAR_BYTES)),
        from(target.saturating_add(NEAR_BYTES)).min(text.len()),
    );
    let near = text.get(start..end).unwrap_or_default();
    let is_call = |at: &usize| {
        let operand = near.get(at + 1..at + 5)?.try_into().ok()?;
        let next = address.checked_add((start + at) as u64 + CALL_BYTES)?;
        let to = next.wrapping_add_signed(i32::from_le_bytes(operand).into());
        (to == target).then_some(next - CALL_BYTES)
    };
    memchr_iter(CALL, near)
        .filter_map(|at| is_call(&at))
        .collect()
}

/// The function that the instruction at `address` lies in: its beginning, and its code.
fn caller<'a>(
    extents: &Extents,
    text: &'a [u8],
    text_address: u64,
    address: u64,
) -> Option<(u64, &'a [u8])> {
    let (start, end) = extents.function_at(address)?;
    if end - start > MAX_FUNCTION_BYTES {
        return None;
    }
    let at = |a: u64| usize::try_from(a.checked_sub(text_address)?).ok();
    Some((start, text.get(at(start)?..at(end)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `call` to `target` from `at`.
    fn call(at: u64, target: u64) -> [u8; 5] {
        let operand = target.wrapping_sub(at + CALL_BYTES) as u32;
        let [a, b, c, d] = operand.to_le_bytes();
        [CALL, a, b, c, d]
    }

    #[test]
    fn calls_are_found_on_both_sides_and_others_are_not() {
        let (address, target) = (0x1000, 0x1040);
        let mut text = vec![0x90; 0x100];
        for (at, to) in [(0x1000, target), (0x1020, 0x1041), (0x10fb, target)] {
            let from = usize::try_from(at - address).unwrap_or_default();
            text[from..from + 5].copy_from_slice(&call(at, to));
        }
        assert_eq!(calls_to(&text, address, target), [0x1000, 0x10fb]);
        // The last one's operand is cut off.
        assert_eq!(calls_to(&text[..0xff], address, target), [0x1000]);
        assert!(calls_to(&text, address, 0).is_empty());
        assert!(calls_to(&[], address, target).is_empty());
    }

    #[test]
    fn what_lies_far_away_is_left() {
        let target = 0x1000 + NEAR_BYTES + 0x10;
        let mut text = call(0x1000, target).to_vec();
        text.resize(0x40, 0x90);
        assert!(calls_to(&text, 0x1000, target).is_empty());
        assert_eq!(calls_to(&text, 0x1000, target - 0x10), Vec::<u64>::new());
        let near = call(0x1000, target - 0x10);
        assert_eq!(calls_to(&near, 0x1000, target - 0x10), [0x1000]);
    }
}
