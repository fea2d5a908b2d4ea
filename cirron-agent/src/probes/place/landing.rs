//! Where a thread leaves frames in another way than by their returns: the last instruction of an unwinder, or of `longjmp`.
//!
//! ```text
//! mov %rcx,%rsp; pop %rcx; jmp *%rcx          the stack pointer is that of the frame that goes on; below it all is over
//! ```
//! Pure: bytes in, offsets out. x86-64.

use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register};

use super::reached::Reached;
use super::{Class, Place, Switch, stack_change};

/// Instructions between the stack pointer's change and the jump.
const BETWEEN: usize = 4;

/// The landings in a function, and where it calls others.
pub fn landings(code: &[u8], switches: &[Switch]) -> (Vec<Place>, Vec<i64>) {
    let Ok(reached) = Reached::from(vec![(0, code)], vec![0], switches) else {
        return (Vec::new(), Vec::new());
    };
    let found = reached.iter().filter_map(|i| landing(&reached, i));
    let calls = reached
        .iter()
        .filter(|i| i.flow_control() == FlowControl::Call)
        .map(|i| i.near_branch_target().cast_signed());
    (found.collect(), calls.collect())
}

fn landing(reached: &Reached<'_>, last: &Instruction) -> Option<Place> {
    let at = last.ip().cast_signed();
    let returns = last.flow_control() == FlowControl::Return;
    if !returns && last.flow_control() != FlowControl::IndirectBranch {
        return None;
    }
    let mut info = InstructionInfoFactory::new();
    let first = reached.before(at);
    let above = std::iter::successors(first, |i| reached.before(i.ip().cast_signed()));
    for i in above.take(BETWEEN) {
        if i.flow_control() != FlowControl::Next {
            return None;
        }
        if is_landing(i) {
            return reached.begins_instruction(at).then_some(Place {
                offset: at,
                class: Class::Stepped,
                depth: if returns { 8 } else { 0 },
            });
        }
        stack_change(i, &mut info)?;
    }
    None
}

/// The stack pointer gets what a register holds that is no frame's base.
fn is_landing(i: &Instruction) -> bool {
    i.mnemonic() == Mnemonic::Mov
        && i.op0_kind() == OpKind::Register
        && i.op0_register() == Register::RSP
        && i.op1_kind() == OpKind::Register
        && i.op1_register() != Register::RBP
}
