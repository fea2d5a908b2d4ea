//! Places around a call inside a function: for a function that is called from elsewhere and ends in a
//! jump through a pointer, so that it has no exits of its own.
//!
//! Pure: bytes in, offsets out. x86-64.

use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, Register};

use super::{Choice, Class, Place, decode, first_emulated, is_emulated, register, writes};
use crate::probes::tls::functions::{Abi, Argument};

/// Where the function calls another with its own arguments `needs`, before anything else: from its
/// first byte.
pub fn hands_to(code: &[u8], abi: Abi, needs: &[Argument]) -> Option<i64> {
    let mut info = InstructionInfoFactory::new();
    for i in decode(0, code) {
        if i.flow_control() == FlowControl::Call {
            return Some(i.near_branch_target().cast_signed());
        }
        if i.flow_control() != FlowControl::Next {
            return None;
        }
        let mut needed = needs.iter().filter_map(|n| register(abi, *n));
        if needed.any(|r| writes(&i, &mut info, r)) {
            return None;
        }
    }
    None
}

/// Around the call at `at` of a function: on the call itself, which the kernel emulates, and at the
/// first good place behind it. `None` where no call begins there.
pub fn around_call(code: &[u8], at: i64, choice: Choice) -> Option<(Place, Place)> {
    let all = decode(0, code);
    let n = all.iter().position(|i| i.ip().cast_signed() == at)?;
    if all[n].flow_control() != FlowControl::Call {
        return None;
    }
    let class_of = |i: &Instruction| match is_emulated(i, &all[0], code) {
        true => Class::Emulated,
        false => Class::Stepped,
    };
    let place = |i: &Instruction| Place {
        offset: i.ip().cast_signed(),
        class: class_of(i),
        depth: 0,
    };
    let behind = match choice {
        Choice::Cheapest => first_emulated(&all, n + 1, &[Register::RAX], code),
        Choice::Plain => None,
    };
    Some((place(&all[n]), behind.unwrap_or(place(all.get(n + 1)?))))
}
