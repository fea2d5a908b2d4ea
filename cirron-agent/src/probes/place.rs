//! Where in a function a probe sits. The place decides its price.
//!
//! The kernel runs an instruction under a uprobe in one of two ways: it emulates `push`, `nop` and
//! relative jumps and calls, or it single-steps everything else, which costs two exceptions
//! (`arch/x86/kernel/uprobes.c`: `branch_setup_xol_ops`, `push_setup_xol_ops`). In a virtual machine
//! that is a factor of 17. So an entry is moved down to the first instruction that is emulated while
//! the arguments are still in their registers, and an exit up to one after which the result does not
//! change.
//!
//! ```text
//! code, Ways --reached: control flow--> instructions --entry, exit, result, call--> places, or a refusal
//! ```
//! Where an instruction begins is followed from the function's first byte ([`reached`]), never guessed.
//!
//! Pure: bytes in, offsets out. x86-64.

use std::ops::Range;

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    OpKind, Register,
};

mod call;
mod depth;
mod exit;
mod go;
mod kept;
mod landing;
mod leaving;
mod moved;
mod reached;
mod refusal;
mod result;
mod switch;

pub use call::{around_call, hands_to};
pub use exit::{exits, returns};
pub use go::entry_once;
pub use kept::Kept;
pub use landing::landings;
pub use leaving::{JumpOut, Leads, jumps_out, leads, leavings};
pub use refusal::Refusal;
pub use result::results;
pub use switch::{Switch, SwitchTable};

use reached::{Reached, next};

/// How the kernel runs the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Cheap.
    Emulated,
    /// Single-stepped: two exceptions.
    Stepped,
}

/// How places are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// Where the kernel emulates, if there is such a place.
    #[default]
    Cheapest,
    /// At the first instruction and at the returns, as others do: for the benchmark.
    Plain,
}

/// A place of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From the function's first byte. An exit may lie in another function, that this one ends in.
    pub offset: i64,
    /// Its price.
    pub class: Class,
    /// Bytes that the stack pointer stands here below where it stood at the first instruction: a
    /// call and its exit are told by it from others.
    pub depth: u32,
}

/// A landing pad; from the function's first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pad {
    /// Where it begins.
    pub at: i64,
    /// What is called here may lead there.
    pub calls: Range<i64>,
}

/// Ways into a function and out of it that its own bytes do not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// Functions that it ends in: where they lie from its first byte, and their bytes.
    pub code: Vec<(i64, Vec<u8>)>,
    /// Its jumps, from its first byte, with which it is over: tail calls.
    pub tails: Vec<i64>,
    /// Targets of jumps, from its first byte, that lead to functions which are watched by themselves.
    pub watched: Vec<i64>,
    /// Its jumps through a pointer lead to some of `code`.
    pub has_methods: bool,
    /// Its `switch`es whose tables were read, and those of `code`.
    pub switches: Vec<Switch>,
    /// Where it goes on after an exception.
    pub pads: Vec<Pad>,
    /// Where others go on in it: Go's runtime, after a panic.
    pub entries: Vec<i64>,
}

/// The instructions that begin at the first byte, up to the first that does not go on to the next.
fn straight(code: &[u8]) -> impl Iterator<Item = Instruction> {
    let mut is_over = false;
    Decoder::with_ip(64, code, 0, DecoderOptions::NONE)
        .into_iter()
        .take_while(move |i| {
            let was_over = std::mem::replace(&mut is_over, i.flow_control() != FlowControl::Next);
            !was_over && !i.is_invalid()
        })
}

/// Whether the kernel emulates the instruction of these bytes. Prefixed forms are left out: which of them are differs by
/// kernel.
fn is_emulated(instruction: &[u8]) -> bool {
    match instruction {
        [0x50..=0x57] | [0x41, 0x50..=0x57] | [0x90] => true,
        [0xe8 | 0xe9, ..] => instruction.len() == 5,
        [0xeb | 0x70..=0x7f, _] => true,
        [0x0f, 0x80..=0x8f, ..] => instruction.len() == 6,
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

/// What an instruction adds to the stack pointer; `None` where that is not plain to see.
fn stack_change(i: &Instruction, info: &mut InstructionInfoFactory) -> Option<i64> {
    let on_stack =
        i.op_count() > 0 && i.op0_kind() == OpKind::Register && i.op0_register() == Register::RSP;
    let immediate = || {
        (i.op1_kind() != OpKind::Register && i.op1_kind() != OpKind::Memory)
            .then(|| i.immediate(1).cast_signed())
    };
    let mnemonic = i.mnemonic();
    if matches!(mnemonic, Mnemonic::Push | Mnemonic::Pop) && !on_stack {
        return Some(i.stack_pointer_increment().into());
    }
    if mnemonic == Mnemonic::Sub && on_stack {
        return Some(-immediate()?);
    }
    if mnemonic == Mnemonic::Add && on_stack {
        return immediate();
    }
    (!writes(i, info, Register::RSP)).then_some(0)
}

/// The entry: the first emulated instruction, on the way that every call takes once, before an
/// operand in `kept` is overwritten; else the first instruction, whatever it is.
pub fn entry(code: &[u8], ways: &Ways, kept: &Kept, choice: Choice) -> Result<Place, Refusal> {
    let reached = Reached::follow(code, ways)?;
    let better = match choice {
        Choice::Cheapest => first_emulated(&reached, 0, |i, info| kept.is_lost(i, info)),
        Choice::Plain => None,
    };
    let first = Place {
        offset: 0,
        class: Class::Stepped,
        depth: 0,
    };
    [better, Some(first)]
        .into_iter()
        .flatten()
        .find(|place| reached.begins_instruction(place.offset))
        .ok_or(Refusal::Inside)
}

/// The first emulated instruction from the one at `from` on, on the way that everybody who
/// passes that one goes once, before one behind which what is read there `is_lost`. Its depth is from there.
fn first_emulated(
    reached: &Reached<'_>,
    from: i64,
    mut is_lost: impl FnMut(&Instruction, &mut InstructionInfoFactory) -> bool,
) -> Option<Place> {
    let mut info = InstructionInfoFactory::new();
    let (mut at, mut depth) = (from, 0_i64);
    loop {
        let i = reached.get(at)?;
        // A jump back to here or before would pass twice.
        if reached.has_target(from.checked_add(1)?..=at) {
            return None;
        }
        if is_emulated(reached.bytes(i))
            && let Ok(depth) = u32::try_from(depth)
        {
            return Some(Place {
                offset: at,
                class: Class::Emulated,
                depth,
            });
        }
        if is_lost(i, &mut info) || i.flow_control() != FlowControl::Next {
            return None;
        }
        depth -= stack_change(i, &mut info)?;
        at = next(i);
    }
}

/// Where code at `at`, which begins there, leads outside of itself, from the function's first byte.
pub fn leaves(at: i64, code: &[u8], switches: &[Switch]) -> Vec<i64> {
    let reached = Reached::from(vec![(at, code)], vec![at], switches);
    let mut leaves = reached.map(|r| r.leaves(switches)).unwrap_or_default();
    leaves.dedup();
    leaves
}

/// Where a function jumps to that does nothing but jump: it returns nowhere, and leaves by that jump
/// only.
pub fn passes_on(code: &[u8]) -> Option<i64> {
    let last = straight(code).last()?;
    let jumps = last.flow_control() == FlowControl::UnconditionalBranch;
    let to = last.near_branch_target().cast_signed();
    (jumps && !(0..code.len() as i64).contains(&to)).then_some(to)
}

/// It has a jump through a pointer that is not a `switch`.
pub fn jumps_by_pointer(code: &[u8]) -> bool {
    let reached = Reached::from(vec![(0, code)], vec![0], &[]);
    reached.is_ok_and(|r| r.pointers(&[]).any(|jump| !switch::is_switch(&r, jump)))
}

/// The tables of the `switch`es in code at `at`, which begins there, that are not in `known`. Reading them may
/// lead to more.
pub fn switch_tables(at: i64, code: &[u8], known: &[Switch]) -> Vec<SwitchTable> {
    let Ok(reached) = Reached::from(vec![(at, code)], vec![at], known) else {
        return Vec::new();
    };
    let tables = reached
        .pointers(known)
        .filter_map(|jump| switch::table(&reached, jump));
    tables.collect()
}

#[cfg(test)]
pub(super) mod tests;
