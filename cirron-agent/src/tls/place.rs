//! Where in a function a probe sits. The place decides its price.
//!
//! The kernel runs an instruction under a uprobe in one of two ways: it emulates `push`, `nop` and
//! relative jumps and calls, or it single-steps everything else, which costs two exceptions
//! (`arch/x86/kernel/uprobes.c`: `branch_setup_xol_ops`, `push_setup_xol_ops`). In a virtual machine
//! that is a factor of 17. So an entry is moved down to the first instruction that is emulated while
//! the arguments are still in their registers, and an exit up to one after which the result does not
//! change.
//!
//! Pure: bytes in, offsets out. x86-64.

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, OpAccess,
    Register,
};

use super::functions::Argument;

/// How the kernel runs the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Cheap.
    Emulated,
    /// Single-stepped: two exceptions.
    Stepped,
}

/// A place of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From the function's first byte.
    pub offset: u64,
    /// Its price.
    pub class: Class,
}

/// Registers of the arguments, by position.
const ARGUMENTS: [Register; 6] = [
    Register::RDI,
    Register::RSI,
    Register::RDX,
    Register::RCX,
    Register::R8,
    Register::R9,
];

fn decode(code: &[u8]) -> Vec<Instruction> {
    Decoder::with_ip(64, code, 0, DecoderOptions::NONE)
        .iter()
        .take_while(|i| !i.is_invalid())
        .collect()
}

/// Whether the kernel emulates it. Prefixed forms are left out: which of them are differs by kernel.
fn is_emulated(i: &Instruction, code: &[u8]) -> bool {
    let at = usize::try_from(i.ip()).unwrap_or(usize::MAX);
    match code.get(at..at + i.len()) {
        Some([0x50..=0x57] | [0x41, 0x50..=0x57] | [0x90]) => true,
        Some([0xe8 | 0xe9, ..]) => i.len() == 5,
        Some([0xeb | 0x70..=0x7f, _]) => true,
        Some([0x0f, 0x80..=0x8f, ..]) => i.len() == 6,
        _ => false,
    }
}

fn writes(i: &Instruction, info: &mut InstructionInfoFactory, register: Register) -> bool {
    info.info(i).used_registers().iter().any(|used| {
        used.register().full_register() == register
            && !matches!(
                used.access(),
                OpAccess::Read | OpAccess::CondRead | OpAccess::None
            )
    })
}

/// Targets of the function's own jumps.
fn jump_targets(all: &[Instruction]) -> Vec<u64> {
    all.iter()
        .filter(|i| {
            matches!(
                i.flow_control(),
                FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
            )
        })
        .map(Instruction::near_branch_target)
        .collect()
}

/// The entry: the first emulated instruction, on the way that every call takes once, before an
/// argument in `needs` is overwritten; else the first instruction, whatever it is.
pub fn entry(code: &[u8], needs: &[Argument]) -> Place {
    let all = decode(code);
    let targets = jump_targets(&all);
    let mut info = InstructionInfoFactory::new();
    for i in &all {
        // A jump back to here or before would pass twice.
        let again = targets.iter().any(|t| *t > 0 && *t <= i.ip());
        if again {
            break;
        }
        if is_emulated(i, code) {
            return Place {
                offset: i.ip(),
                class: Class::Emulated,
            };
        }
        let overwritten = needs
            .iter()
            .filter_map(|n| ARGUMENTS.get(usize::from(*n)))
            .any(|r| writes(i, &mut info, *r));
        if overwritten || i.flow_control() != FlowControl::Next {
            break;
        }
    }
    Place {
        offset: 0,
        class: Class::Stepped,
    }
}

/// The exits: a place for each way out, after which `rax` does not change. `None` where the
/// function leaves in a way that we do not follow (a jump into another function, an indirect one).
pub fn exits(code: &[u8]) -> Option<Vec<Place>> {
    let all = decode(code);
    let end = u64::try_from(code.len()).unwrap_or(u64::MAX);
    let targets = jump_targets(&all);
    let mut info = InstructionInfoFactory::new();
    let mut places = Vec::new();
    for (at, i) in all.iter().enumerate() {
        match i.flow_control() {
            FlowControl::Return => {
                let place = before(&all[..=at], &targets, code, &mut info);
                if !places.contains(&place) {
                    places.push(place);
                }
            }
            FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch
                if i.near_branch_target() >= end =>
            {
                return None;
            }
            FlowControl::IndirectBranch => return None,
            FlowControl::Next
            | FlowControl::UnconditionalBranch
            | FlowControl::ConditionalBranch
            | FlowControl::Call
            | FlowControl::IndirectCall
            | FlowControl::Interrupt
            | FlowControl::XbeginXabortXend
            | FlowControl::Exception => {}
        }
    }
    (!places.is_empty()).then_some(places)
}

/// The best place for the last instruction of `all`, a return: going up as long as every way to the
/// return passes, and nothing writes `rax`.
fn before(
    all: &[Instruction],
    targets: &[u64],
    code: &[u8],
    info: &mut InstructionInfoFactory,
) -> Place {
    let [rest @ .., last] = all else {
        return Place {
            offset: 0,
            class: Class::Stepped,
        };
    };
    let stepped = Place {
        offset: last.ip(),
        class: Class::Stepped,
    };
    let mut below = last.ip();
    for (at, i) in rest.iter().enumerate().rev() {
        // Somebody jumps in between: not every way passes what is above.
        if targets.contains(&below) {
            return stepped;
        }
        if is_emulated(i, code) && (i.flow_control() == FlowControl::Next || is_guard(&rest[..=at]))
        {
            return Place {
                offset: i.ip(),
                class: Class::Emulated,
            };
        }
        if i.flow_control() != FlowControl::Next || writes(i, info, Register::RAX) {
            return stepped;
        }
        below = i.ip();
    }
    stepped
}

/// The last one is the jump of the stack protector: `sub %fs:0x28, reg; jne __stack_chk_fail`.
fn is_guard(all: &[Instruction]) -> bool {
    let [.., check, jump] = all else { return false };
    matches!(jump.code(), Code::Jne_rel8_64 | Code::Jne_rel32_64)
        && check.segment_prefix() == Register::FS
        && check.memory_displacement64() == 0x28
}

#[cfg(test)]
mod tests;
