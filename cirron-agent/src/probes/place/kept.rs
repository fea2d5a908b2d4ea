//! What must be as the caller left it where an entry sits: the registers that its operands are in, and memory if one is there.

use cirron_common::Signature;
use cirron_common::operand::{self, Operand, Spot};
use iced_x86::{Instruction, InstructionInfoFactory, Mnemonic, OpAccess, Register};

use super::writes;

/// What an entry reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    registers: Vec<Register>,
    has_memory: bool,
}

impl Kept {
    /// For all that is read at the entry.
    pub fn for_signature(signature: &Signature) -> Kept {
        let operands = signature.operands();
        Kept::for_operands(operands.iter().filter(|operand| operand.is_late == 0))
    }

    /// For a result.
    pub fn for_result() -> Kept {
        Kept {
            registers: vec![Register::RAX],
            has_memory: false,
        }
    }

    /// For these.
    pub fn for_operands<'a>(operands: impl Iterator<Item = &'a Operand>) -> Kept {
        let mut kept = Kept::default();
        for operand in operands {
            match operand.spot() {
                Some(Spot::Register(register)) => kept.registers.extend(named(register)),
                Some(Spot::Memory { base, index, .. }) => {
                    kept.has_memory = true;
                    kept.registers.extend(named(base));
                    kept.registers.extend(index.and_then(|(r, _)| named(r)));
                }
                Some(Spot::Absent | Spot::Constant(_)) | None => {}
            }
        }
        kept
    }

    /// An operand is in memory.
    pub fn has_memory(&self) -> bool {
        self.has_memory
    }

    /// Whether behind the instruction an operand may be another one.
    pub(super) fn is_lost(&self, i: &Instruction, info: &mut InstructionInfoFactory) -> bool {
        self.registers.iter().any(|r| writes(i, info, *r))
            || self.has_memory && writes_memory(i, info)
    }
}

/// Other memory than what it pushes, which lies below all that a caller has put there.
fn writes_memory(i: &Instruction, info: &mut InstructionInfoFactory) -> bool {
    i.mnemonic() != Mnemonic::Push
        && info.info(i).used_memory().iter().any(|memory| {
            !matches!(
                memory.access(),
                OpAccess::Read | OpAccess::CondRead | OpAccess::None | OpAccess::NoMemAccess
            )
        })
}

/// The register by the decoder's name. None of the stack pointer, whose way is followed, and of the
/// instruction pointer, which is the place's own.
pub(super) fn named(register: operand::Register) -> Option<Register> {
    use operand::Register as R;
    Some(match register {
        R::R15 => Register::R15,
        R::R14 => Register::R14,
        R::R13 => Register::R13,
        R::R12 => Register::R12,
        R::Rbp => Register::RBP,
        R::Rbx => Register::RBX,
        R::R11 => Register::R11,
        R::R10 => Register::R10,
        R::R9 => Register::R9,
        R::R8 => Register::R8,
        R::Rax => Register::RAX,
        R::Rcx => Register::RCX,
        R::Rdx => Register::RDX,
        R::Rsi => Register::RSI,
        R::Rdi => Register::RDI,
        R::Rip | R::Rsp => return None,
    })
}

/// The same the other way round.
pub(super) fn operand_register(register: Register) -> Option<operand::Register> {
    let mut all = operand::Register::ALL.into_iter();
    all.find(|one| named(*one) == Some(register))
}
