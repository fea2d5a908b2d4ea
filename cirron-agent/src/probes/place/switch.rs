//! `switch`es: jumps through a table of offsets, as compilers write them, and where their tables lie.
//!
//! ```text
//! cmp $last,%index; ja default; lea table(%rip),%base; movslq (%base,%index,4),%r; add %base,%r; jmp *%r
//! ```
//! The comparison bounds the table. Where it or the table's address is not plain to see, the `switch` is not understood, and
//! the function has unknown ways.
//!
//! Pure: instructions in, offsets out. x86-64.

use iced_x86::{Code, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register};

use super::reached::Reached;
use super::writes;

/// Instructions before the jump that are looked at. Compilers put some from elsewhere between.
const NEAR: usize = 32;
/// Cases of one. OpenSSL's have some dozen.
const MAX_CASES: u64 = 1024;

/// A `switch` whose table was read; from the function's first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// Where it jumps.
    pub jump: i64,
    /// Where to.
    pub targets: Vec<i64>,
}

/// Where the table of a `switch` lies, from the function's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchTable {
    /// The jump.
    pub jump: i64,
    /// The table. Its offsets are from here.
    pub at: i64,
    /// Number of its offsets, of 4 bytes each.
    pub len: u64,
}

/// It jumps to an offset that was read from a table by index shortly before.
pub(super) fn is_switch(reached: &Reached<'_>, jump: &Instruction) -> bool {
    load(&above(reached, jump)).is_some()
}

/// The table that `jump` reads.
pub(super) fn table(reached: &Reached<'_>, jump: &Instruction) -> Option<SwitchTable> {
    let above = above(reached, jump);
    let load = load(&above)?;
    Some(SwitchTable {
        jump: jump.ip().cast_signed(),
        at: base(&above, load.memory_base())?,
        len: cases(reached, &above)?,
    })
}

/// What stands before the jump, the nearest first.
fn above<'r>(reached: &'r Reached<'_>, jump: &Instruction) -> Vec<&'r Instruction> {
    let first = reached.before(jump.ip().cast_signed());
    std::iter::successors(first, |i| reached.before(i.ip().cast_signed()))
        .take(NEAR)
        .collect()
}

/// The read of the offset.
fn load<'r>(above: &[&'r Instruction]) -> Option<&'r Instruction> {
    const BETWEEN: usize = 6;
    above.iter().take(BETWEEN).copied().find(|i| {
        i.code() == Code::Movsxd_r64_rm32
            && i.op1_kind() == OpKind::Memory
            && i.memory_index_scale() == 4
            && i.memory_index() != Register::None
    })
}

/// The address that `register` holds: by the nearest instruction that writes it.
fn base(above: &[&Instruction], register: Register) -> Option<i64> {
    let mut info = InstructionInfoFactory::new();
    let address = |i: &Instruction| {
        (i.mnemonic() == Mnemonic::Lea && i.is_ip_rel_memory_operand())
            .then(|| i.ip_rel_memory_address().cast_signed())
    };
    // The read may write it itself.
    let behind_load = above.iter().position(|i| i.memory_base() == register)? + 1;
    let mut before = above.iter().skip(behind_load);
    address(before.find(|i| writes(i, &mut info, register))?)
}

/// How many cases the comparison before it lets through.
fn cases(reached: &Reached<'_>, above: &[&Instruction]) -> Option<u64> {
    let (jump, more) = above.iter().find_map(|i| {
        let more = [(Mnemonic::Jae, 0), (Mnemonic::Ja, 1)];
        let (_, more) = more.into_iter().find(|(is, _)| *is == i.mnemonic())?;
        Some((i, more))
    })?;
    let compared = reached.before(jump.ip().cast_signed())?;
    let is_plain = compared.mnemonic() == Mnemonic::Cmp
        && compared.op1_kind() != OpKind::Register
        && compared.op1_kind() != OpKind::Memory;
    let cases = is_plain.then(|| compared.immediate(1))?.checked_add(more)?;
    (1..=MAX_CASES).contains(&cases).then_some(cases)
}
