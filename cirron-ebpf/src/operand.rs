//! Reads values of the thread that stands at a place, as operands say (`cirron_common::operand`).
//!
//! Stands behind the programs inside functions and reads the registers that the kernel saved for them, and the target's
//! memory. It knows no convention and no function: where a value is, the operand says. What cannot be read is not known.

use core::arch::asm;

use aya_ebpf::{bindings::pt_regs, helpers::generated};
use cirron_common::{
    Operand,
    operand::{NO_INDEX, Register, kind},
};

/// Bytes of an address.
const ADDRESS: u64 = 8;

/// A saved register. Each is read at an offset that is written into the instruction: the verifier
/// refuses one that is computed, which the compiler would make of reads that it may join.
macro_rules! word {
    ($regs:ident, $number:literal) => {{
        let value: u64;
        // SAFETY: the context of a program inside a function: the saved registers, of which this is one.
        unsafe {
            asm!(
                "{value} = *(u64 *)({regs} + {at})",
                value = out(reg) value,
                regs = in(reg) $regs,
                at = const $number * 8,
            );
        }
        value
    }};
}

/// The register of this number, a [`Register`]'s; of another one 0.
#[inline(always)]
pub fn register(regs: *const pt_regs, number: u8) -> u64 {
    match number {
        0 => word!(regs, 0),
        1 => word!(regs, 1),
        2 => word!(regs, 2),
        3 => word!(regs, 3),
        4 => word!(regs, 4),
        5 => word!(regs, 5),
        6 => word!(regs, 6),
        7 => word!(regs, 7),
        8 => word!(regs, 8),
        9 => word!(regs, 9),
        10 => word!(regs, 10),
        11 => word!(regs, 11),
        12 => word!(regs, 12),
        13 => word!(regs, 13),
        14 => word!(regs, 14),
        16 => word!(regs, 16),
        19 => word!(regs, 19),
        _ => 0,
    }
}

/// The saved registers, by their numbers: copied once, each is there by its number without a branch for each.
#[repr(C)]
pub struct Saved([u64; SAVED]);

/// Saved registers.
const SAVED: usize = 20;

impl Saved {
    #[inline(always)]
    pub fn copy(regs: *const pt_regs) -> Saved {
        let mut saved = Saved([0; SAVED]);
        saved.0[0] = word!(regs, 0);
        saved.0[1] = word!(regs, 1);
        saved.0[2] = word!(regs, 2);
        saved.0[3] = word!(regs, 3);
        saved.0[4] = word!(regs, 4);
        saved.0[5] = word!(regs, 5);
        saved.0[6] = word!(regs, 6);
        saved.0[7] = word!(regs, 7);
        saved.0[8] = word!(regs, 8);
        saved.0[9] = word!(regs, 9);
        saved.0[10] = word!(regs, 10);
        saved.0[11] = word!(regs, 11);
        saved.0[12] = word!(regs, 12);
        saved.0[13] = word!(regs, 13);
        saved.0[14] = word!(regs, 14);
        saved.0[16] = word!(regs, 16);
        saved.0[19] = word!(regs, 19);
        saved
    }

    #[inline(always)]
    fn register(&self, number: u8) -> u64 {
        // Opaque to the compiler, so that the bound stays where the verifier sees it.
        // SAFETY: a local.
        let number = unsafe { core::ptr::read_volatile(&(number as usize)) };
        match number {
            0..SAVED => self.0[number],
            _ => 0,
        }
    }
}

/// Where the stack pointer stood at the function's first instruction, at a place `depth` below.
#[inline(always)]
pub fn stack(regs: *const pt_regs, depth: u64) -> u64 {
    word!(regs, 19).wrapping_add(depth)
}

/// In a Go program the goroutine.
#[inline(always)]
pub fn goroutine(regs: *const pt_regs) -> u64 {
    word!(regs, 1)
}

/// The operand's value at this moment; of a pointer the address. What is absent is 0.
#[inline(always)]
pub fn value(regs: *const pt_regs, depth: u64, operand: &Operand) -> Option<u64> {
    // Nearly all of a library's are such, and a call would cost as much again.
    if operand.kind == kind::REGISTER && operand.base != Register::Rsp as u8 {
        return Some(as_said(operand, register(regs, operand.base)));
    }
    let mut value = 0;
    (read_value(regs, depth, operand, &mut value) == 0).then_some(value)
}

/// The same of registers that were copied.
#[inline(always)]
pub fn value_of(saved: &Saved, depth: u64, operand: &Operand) -> Option<u64> {
    stands(|number| saved.register(number), depth, operand)
}

/// At the exit, what [`value`] gave: of a pointer the value that it points at.
#[inline(always)]
pub fn followed(operand: &Operand, value: u64) -> Option<u64> {
    if operand.is_pointer == 0 {
        return Some(value);
    }
    let raw = read_memory(value, operand.width as u64)?;
    Some(operand.narrowed(raw))
}

/// As [`value`]; gives 0 if `to` has it. Apart, so that its many ways stand once in a program.
#[inline(never)]
fn read_value(regs: *const pt_regs, depth: u64, operand: &Operand, to: &mut u64) -> u64 {
    match stands(|number| register(regs, number), depth, operand) {
        Some(value) => {
            *to = value;
            0
        }
        None => 1,
    }
}

/// What stands where the operand says.
#[inline(always)]
fn stands(register: impl Fn(u8) -> u64, depth: u64, operand: &Operand) -> Option<u64> {
    let raw = match operand.kind {
        kind::ABSENT => return Some(0),
        kind::CONSTANT => operand.number as u64,
        _ => {
            let mut raw = register(operand.base);
            if operand.base == Register::Rsp as u8 {
                raw = raw.wrapping_add(depth);
            }
            if operand.kind == kind::MEMORY {
                if operand.index != NO_INDEX {
                    let index = register(operand.index);
                    raw = raw.wrapping_add(index << (operand.scale & 3));
                }
                raw = raw.wrapping_add(operand.number as u64);
                let bytes = match operand.is_pointer {
                    0 => operand.width as u64,
                    _ => ADDRESS,
                };
                raw = read_memory(raw, bytes)?;
            }
            raw
        }
    };
    Some(as_said(operand, raw))
}

/// An address is whole; width and sign are those of the value.
#[inline(always)]
fn as_said(operand: &Operand, raw: u64) -> u64 {
    match operand.is_pointer {
        0 => operand.narrowed(raw),
        _ => raw,
    }
}

/// 1 to 8 bytes of the target's memory.
#[inline(always)]
fn read_memory(address: u64, bytes: u64) -> Option<u64> {
    let mut word = 0_u64;
    let bounded = (bytes.wrapping_sub(1) & (ADDRESS - 1)) + 1;
    // SAFETY: `word` has room for as many bytes, and the helper checks the address.
    let rc = unsafe {
        generated::bpf_probe_read_user(
            (&raw mut word).cast(),
            bounded as u32,
            address as *const core::ffi::c_void,
        )
    };
    (rc == 0).then_some(word)
}
