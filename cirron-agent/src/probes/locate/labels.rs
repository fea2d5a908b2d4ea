//! The function by which a TLS library announces its secrets, without symbols: by the texts that it is called with.
//!
//! ```text
//! read-only parts: texts --> code: instructions that load their addresses --> the next call of each
//!                                   the one function that is called with both kinds of texts is it; two, or none: none
//! ```
//! The names of secrets are the same in all libraries (draft-ietf-tls-keylogfile), since programs read them. A library calls
//! one function with all of them, whether or not anybody listens. The master secret of TLS 1.2 and the exporter's of TLS 1.3
//! are announced from different places of a library, and no other function is called with both: in 20 of 20 files of
//! OpenSSL 1.1 to 3.6, BoringSSL and GnuTLS exactly one. Of other files the read-only parts are searched, and no more.
//!
//! Where a probe may stand in it the planner decides, by following its code from its first byte.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use iced_x86::{Decoder, DecoderOptions, FlowControl};
use memchr::memchr_iter;
use memchr::memmem::Finder;

use super::symbol::Found;
use super::{Binary, Located, Locator};
use crate::probes::elf::{Elf, MAX_FUNCTION_BYTES};
use crate::probes::tls::functions::ANNOUNCER;

/// Texts that the function is called with, from different places. Where a text is the tail of a longer one, a linker may have
/// put them together.
const TEXTS: [&[u8]; 2] = [b"CLIENT_RANDOM\0", b"EXPORTER_SECRET\0"];
/// Bytes of the longest of them, and more.
const MAX_TEXT_BYTES: usize = 16;
/// Occurrences of one text: a library has it once, or once more as the tail of another; a file may have several libraries.
const MAX_OCCURRENCES: usize = 16;
/// Instructions from where the text's address is loaded to the call, at most: 12 were seen.
const MAX_INSTRUCTIONS: usize = 24;
/// Their bytes.
const BEHIND_BYTES: usize = MAX_INSTRUCTIONS * 15;
/// Bytes of a function whose end nobody tells. The longest that was seen has 600.
const UNKNOWN_END_BYTES: u64 = 2048;
/// Bytes of `lea r64, [rip + d]` and of `mov r32, d`.
const LEA_BYTES: usize = 7;
const MOV_BYTES: usize = 5;

/// By the names of secrets.
#[derive(Clone, Copy, Debug)]
pub struct Labels;

impl Locator for Labels {
    fn locate(&self, binary: &Binary<'_>, located: &mut Located) {
        // A Go program's are in its own table, and are called otherwise.
        if located.go.is_none() {
            located.functions.extend(announcer(binary));
        }
    }
}

/// The function, where exactly one is called with both kinds of texts.
fn announcer(binary: &Binary<'_>) -> Option<Found> {
    let elf = &binary.elf;
    let texts = texts(elf)?;
    let [of_master, of_exporter] = callees(elf, &texts);
    let mut both = of_master.intersection(&of_exporter);
    let (address, None) = (*both.next()?, both.next()) else {
        return None;
    };
    let size = match binary.extents() {
        // What the unwinder knows no function at, is none.
        Some(extents) => {
            let (start, end) = extents.function_at(address)?;
            (start == address).then(|| end - start)?
        }
        None => elf.code_behind(address)?.min(UNKNOWN_END_BYTES),
    };
    let offset = elf.code_offset_of(address)?;
    let code = elf.function(offset, size.min(MAX_FUNCTION_BYTES))?;
    let ways = binary.ways(&[], &ANNOUNCER, address, &code);
    Some(Found {
        function: &ANNOUNCER,
        address,
        offset,
        code,
        ways,
    })
}

/// Addresses of each of [`TEXTS`]; `None` where one is missing.
fn texts(elf: &Elf<'_>) -> Option<[Vec<u64>; 2]> {
    let finders = TEXTS.map(Finder::new);
    let mut found = [Vec::new(), Vec::new()];
    for part in elf.searched_parts() {
        let source = elf.source;
        source.blocks(part, MAX_TEXT_BYTES, |at, block| {
            for (finder, found) in finders.iter().zip(&mut found) {
                let offsets = finder.find_iter(block).map(|from| at + from as u64);
                let addresses = offsets.filter_map(|offset| elf.loaded_address_of(offset));
                note(found, addresses);
            }
            ControlFlow::<()>::Continue(())
        });
        if found.iter().all(|found| !found.is_empty()) {
            return Some(found);
        }
    }
    None
}

/// What overlapping blocks show twice counts once.
fn note(found: &mut Vec<u64>, addresses: impl Iterator<Item = u64>) {
    for address in addresses {
        if found.len() < MAX_OCCURRENCES && !found.contains(&address) {
            found.push(address);
        }
    }
}

/// Functions that are called behind instructions that load the address of one of each of `texts`.
fn callees(elf: &Elf<'_>, texts: &[Vec<u64>; 2]) -> [BTreeSet<u64>; 2] {
    let mut callees = [BTreeSet::new(), BTreeSet::new()];
    let is_fixed = elf.is_fixed();
    for part in elf.code_parts() {
        elf.source.blocks(part, BEHIND_BYTES, |at, block| {
            let Some(address) = elf.address_of(at) else {
                return ControlFlow::<()>::Continue(());
            };
            for (texts, callees) in texts.iter().zip(&mut callees) {
                let mut note = |from: usize| callees.extend(next_call(elf, block, address, from));
                loads_by_lea(block, address, texts).for_each(&mut note);
                if is_fixed {
                    loads_by_number(block, texts).for_each(&mut note);
                }
            }
            ControlFlow::Continue(())
        });
    }
    callees
}

/// Where `lea r64, [rip + d]` in `code` at `address` gives one of `texts`.
fn loads_by_lea<'c>(
    code: &'c [u8],
    address: u64,
    texts: &'c [u64],
) -> impl Iterator<Item = usize> + 'c {
    memchr_iter(0x8d, code).filter_map(move |at| {
        let from = at.checked_sub(1)?;
        let [0x48 | 0x4c, 0x8d, modrm, a, b, c, d] =
            *code.get(from..)?.first_chunk::<LEA_BYTES>()?
        else {
            return None;
        };
        let next = address.wrapping_add((from + LEA_BYTES) as u64);
        let to = next.wrapping_add_signed(i32::from_le_bytes([a, b, c, d]).into());
        (modrm & 0xc7 == 0x05 && texts.contains(&to)).then_some(from)
    })
}

/// Where `mov r32, d` does: of a program that is loaded at the addresses that it was linked for.
fn loads_by_number<'c>(code: &'c [u8], texts: &'c [u64]) -> impl Iterator<Item = usize> + 'c {
    let numbers = texts.iter().filter_map(|text| u32::try_from(*text).ok());
    numbers.flat_map(move |number| {
        let finder = Finder::new(&number.to_le_bytes()).into_owned();
        let found: Vec<usize> = finder.find_iter(code).collect();
        found.into_iter().filter_map(move |at| {
            let from = at.checked_sub(MOV_BYTES - size_of::<u32>())?;
            let is_mov = matches!(code.get(from), Some(0xb8..=0xbf));
            is_mov.then_some(from)
        })
    })
}

/// The function that the next call behind the instruction at `from` calls.
fn next_call(elf: &Elf<'_>, code: &[u8], address: u64, from: usize) -> Option<u64> {
    let code = code.get(from..)?;
    let at = address.wrapping_add(from as u64);
    let mut decoder = Decoder::with_ip(64, code, at, DecoderOptions::NONE);
    for instruction in decoder.iter().take(MAX_INSTRUCTIONS) {
        match instruction.flow_control() {
            FlowControl::Call => {
                let to = instruction.near_branch_target();
                return elf.code_offset_of(to).map(|_| to);
            }
            FlowControl::Next | FlowControl::ConditionalBranch => {}
            FlowControl::UnconditionalBranch
            | FlowControl::IndirectBranch
            | FlowControl::Return
            | FlowControl::IndirectCall
            | FlowControl::Interrupt
            | FlowControl::XbeginXabortXend
            | FlowControl::Exception => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `lea rsi, [rip + d]` at `at`, of `to`.
    fn lea(at: u64, to: u64) -> [u8; LEA_BYTES] {
        let operand = to.wrapping_sub(at + LEA_BYTES as u64) as u32;
        let [a, b, c, d] = operand.to_le_bytes();
        [0x48, 0x8d, 0x35, a, b, c, d]
    }

    #[test]
    fn the_address_of_a_text_is_found_in_the_instruction_that_loads_it() {
        let texts = [0x5000, 0x5008];
        let mut code = vec![0x90; 64];
        code[3..10].copy_from_slice(&lea(0x1003, 0x5008));
        code[20..27].copy_from_slice(&lea(0x1014, 0x5010));
        code[40..47].copy_from_slice(&lea(0x1028, 0x5000));
        // Another register's `mov` of the same bytes.
        code[41] = 0x8b;
        assert_eq!(loads_by_lea(&code, 0x1000, &texts).collect::<Vec<_>>(), [3]);
        for cut in 0..10 {
            assert_eq!(loads_by_lea(&code[..cut], 0x1000, &texts).count(), 0);
        }
    }

    #[test]
    fn a_number_counts_where_it_is_loaded_into_a_register() {
        let texts = [0x0040_1234, u64::MAX];
        // mov esi, 0x401234; add eax, 0x401234
        let code = [
            0xbe, 0x34, 0x12, 0x40, 0, 0x05, 0x34, 0x12, 0x40, 0, 0x34, 0x12,
        ];
        assert_eq!(loads_by_number(&code, &texts).collect::<Vec<_>>(), [0]);
        assert_eq!(loads_by_number(&code[1..], &texts).count(), 0);
    }

    #[test]
    fn what_is_seen_twice_counts_once_and_the_list_is_bounded() {
        let mut found = vec![7];
        note(&mut found, 0..100);
        assert_eq!(found.len(), MAX_OCCURRENCES);
        note(&mut found, [7].into_iter());
        assert_eq!(found.iter().filter(|at| **at == 7).count(), 1);
    }
}
