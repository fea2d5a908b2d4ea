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
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic,
    OpAccess, OpKind, Register,
};

use crate::probes::tls::functions::{Abi, Argument};

mod call;

pub use call::{around_call, hands_to};

/// Exits of a function that are watched. Those of the table have a dozen, with all that they end in;
/// what has more was made to cost us.
const MAX_EXITS: usize = 256;

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

/// Where a function goes that does not return by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tails {
    /// Functions that it ends in: where they lie from its first byte, and their bytes.
    pub code: Vec<(i64, Vec<u8>)>,
    /// Targets of jumps, from its first byte, that lead to functions which are watched by themselves.
    pub watched: Vec<i64>,
    /// Its jumps through a pointer lead to some of `code`.
    pub has_methods: bool,
}

/// The register of an argument.
fn register(abi: Abi, argument: Argument) -> Option<Register> {
    use Register::{R8, R9, RAX, RBX, RCX, RDI, RDX, RSI};
    let all = match abi {
        Abi::SystemV => [RDI, RSI, RDX, RCX, R8, R9],
        Abi::Go => [RAX, RBX, RCX, RDI, RSI, R8],
    };
    all.get(usize::from(argument)).copied()
}

/// `at`: where the code lies from the function's first byte; addresses are relative to that.
fn decode(at: i64, code: &[u8]) -> Vec<Instruction> {
    Decoder::with_ip(64, code, at.cast_unsigned(), DecoderOptions::NONE)
        .iter()
        .take_while(|i| !i.is_invalid())
        .collect()
}

/// Whether the kernel emulates it. Prefixed forms are left out: which of them are differs by kernel.
fn is_emulated(i: &Instruction, first: &Instruction, code: &[u8]) -> bool {
    let at = usize::try_from(i.ip().wrapping_sub(first.ip())).unwrap_or(usize::MAX);
    match code.get(at..at.saturating_add(i.len())) {
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
/// argument in `needs` is overwritten; else the first instruction, whatever it is.
pub fn entry(code: &[u8], abi: Abi, needs: &[Argument], choice: Choice) -> Place {
    let all = match choice {
        Choice::Cheapest => decode(0, code),
        Choice::Plain => Vec::new(),
    };
    let keep: Vec<Register> = needs.iter().filter_map(|n| register(abi, *n)).collect();
    first_emulated(&all, 0, &keep, code).unwrap_or(Place {
        offset: 0,
        class: Class::Stepped,
        depth: 0,
    })
}

/// The first emulated instruction from the one with number `from` on, on the way that everybody who
/// passes that one goes once, before a register in `keep` is overwritten. Its depth is from there.
fn first_emulated(
    all: &[Instruction],
    from: usize,
    keep: &[Register],
    code: &[u8],
) -> Option<Place> {
    let targets = jump_targets(all);
    let start = all.get(from)?.ip();
    let mut info = InstructionInfoFactory::new();
    let mut depth = 0_i64;
    for i in &all[from..] {
        // A jump back to here or before would pass twice.
        let again = targets.iter().any(|t| *t > start && *t <= i.ip());
        if again {
            return None;
        }
        if is_emulated(i, &all[0], code)
            && let Ok(depth) = u32::try_from(depth)
        {
            return Some(Place {
                offset: i.ip().cast_signed(),
                class: Class::Emulated,
                depth,
            });
        }
        let overwritten = keep.iter().any(|r| writes(i, &mut info, *r));
        if overwritten || i.flow_control() != FlowControl::Next {
            return None;
        }
        depth -= stack_change(i, &mut info)?;
    }
    None
}

/// A jump through a table of a `switch`, as compilers write it: an offset is read from the table by
/// index shortly before. It stays in the function.
fn is_switch(all: &[Instruction]) -> bool {
    const NEAR: usize = 6;
    let from = all.len().saturating_sub(NEAR);
    all[from..].iter().any(|i| {
        i.code() == Code::Movsxd_r64_rm32
            && i.op1_kind() == OpKind::Memory
            && i.memory_index_scale() == 4
            && i.memory_index() != Register::None
    })
}

/// Where code at `at` jumps to outside of itself, from the function's first byte.
pub fn leaves(at: i64, code: &[u8]) -> Vec<i64> {
    let all = decode(at, code);
    let end = at.saturating_add_unsigned(code.len() as u64);
    jump_targets(&all)
        .into_iter()
        .map(u64::cast_signed)
        .filter(|target| !(at..end).contains(target))
        .collect()
}

/// Where a function jumps to that does nothing but jump: it returns nowhere, and leaves by that jump
/// only.
pub fn passes_on(code: &[u8]) -> Option<i64> {
    let all = decode(0, code);
    let [to] = leaves(0, code)[..] else {
        return None;
    };
    let is_straight = |i: &Instruction| i.flow_control() == FlowControl::Next;
    let [body @ .., last] = &all[..] else {
        return None;
    };
    let jumps = last.flow_control() == FlowControl::UnconditionalBranch;
    (jumps && body.iter().all(is_straight)).then_some(to)
}

/// It has a jump through a pointer that is not a `switch`.
pub fn jumps_by_pointer(code: &[u8]) -> bool {
    let all = decode(0, code);
    let mut jumps = all.iter().enumerate();
    jumps.any(|(n, i)| i.flow_control() == FlowControl::IndirectBranch && !is_switch(&all[..n]))
}

/// The exits: a place for each way out, after which `rax` does not change. `None` where the function
/// leaves in a way that we do not follow: a jump to anywhere but `tails`, or one through a pointer.
pub fn exits(code: &[u8], tails: &Tails, choice: Choice) -> Option<Vec<Place>> {
    let own = std::iter::once((0, code));
    let others = tails.code.iter().map(|(at, code)| (*at, code.as_slice()));
    let parts: Vec<(i64, &[u8])> = own.chain(others).collect();
    let followed = |target: u64| {
        let inside = |(at, code): &(i64, &[u8])| {
            (*at..at.saturating_add_unsigned(code.len() as u64)).contains(&target.cast_signed())
        };
        parts.iter().any(inside) || tails.watched.contains(&target.cast_signed())
    };
    let mut places = Vec::new();
    for (at, code) in &parts {
        let all = decode(*at, code);
        let targets = jump_targets(&all);
        for (n, i) in all.iter().enumerate() {
            match i.flow_control() {
                FlowControl::Return => {
                    // In the middle of another function, only the return says whose it is.
                    let place = if *at == 0 && choice == Choice::Cheapest {
                        before(&all[..=n], &targets, code)
                    } else {
                        returning(i)
                    };
                    if !places.contains(&place) {
                        places.push(place);
                    }
                    if places.len() > MAX_EXITS {
                        return None;
                    }
                }
                FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch
                    if !followed(i.near_branch_target()) =>
                {
                    return None;
                }
                FlowControl::IndirectBranch if !tails.has_methods && !is_switch(&all[..n]) => {
                    return None;
                }
                FlowControl::Next
                | FlowControl::IndirectBranch
                | FlowControl::UnconditionalBranch
                | FlowControl::ConditionalBranch
                | FlowControl::Call
                | FlowControl::IndirectCall
                | FlowControl::Interrupt
                | FlowControl::XbeginXabortXend
                | FlowControl::Exception => {}
            }
        }
    }
    (!places.is_empty()).then_some(places)
}

/// The exits of a function of Go's compiler: it has its returns, and nothing else.
pub fn returns(code: &[u8]) -> Option<Vec<Place>> {
    let all = decode(0, code);
    let targets = jump_targets(&all);
    let places: Vec<Place> = (0..all.len())
        .filter(|at| all[*at].flow_control() == FlowControl::Return)
        .take(MAX_EXITS + 1)
        .map(|at| before(&all[..=at], &targets, code))
        .collect();
    (1..=MAX_EXITS).contains(&places.len()).then_some(places)
}

/// On the return itself.
fn returning(i: &Instruction) -> Place {
    Place {
        offset: i.ip().cast_signed(),
        class: Class::Stepped,
        depth: 0,
    }
}

/// The best place for the last instruction of `all`, a return: going up as long as every way to the
/// return passes, and nothing writes `rax`.
fn before(all: &[Instruction], targets: &[u64], code: &[u8]) -> Place {
    let mut info = InstructionInfoFactory::new();
    let [rest @ .., last] = all else {
        return Place {
            offset: 0,
            class: Class::Stepped,
            depth: 0,
        };
    };
    let stepped = returning(last);
    let (mut below, mut depth) = (last.ip(), 0_i64);
    for (at, i) in rest.iter().enumerate().rev() {
        // Somebody jumps in between: not every way passes what is above.
        if targets.contains(&below) {
            return stepped;
        }
        let Some(change) = stack_change(i, &mut info) else {
            return stepped;
        };
        depth += change;
        if is_emulated(i, &all[0], code)
            && (i.flow_control() == FlowControl::Next || is_guard(&rest[..=at]))
        {
            let Ok(depth) = u32::try_from(depth) else {
                return stepped;
            };
            return Place {
                offset: i.ip().cast_signed(),
                class: Class::Emulated,
                depth,
            };
        }
        if i.flow_control() != FlowControl::Next || writes(i, &mut info, Register::RAX) {
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
pub(super) mod tests;
