//! Places around a call inside a function: for a function that is called from elsewhere and ends in a
//! jump through a pointer, so that it has no exits of its own.
//!
//! Pure: bytes in, offsets out. x86-64.

use iced_x86::{FlowControl, InstructionInfoFactory};

use super::reached::{Reached, next};
use super::{Choice, Class, Kept, Place, Refusal, Switch, first_emulated, is_emulated, straight};

/// Where the function calls another with its own arguments `kept`, before anything else: from its
/// first byte. Those on the stack are never the other one's.
pub fn hands_to(code: &[u8], kept: &Kept) -> Option<i64> {
    if kept.has_memory() {
        return None;
    }
    let mut info = InstructionInfoFactory::new();
    for i in straight(code) {
        if i.flow_control() == FlowControl::Call {
            return Some(i.near_branch_target().cast_signed());
        }
        if kept.is_lost(&i, &mut info) {
            return None;
        }
    }
    None
}

/// Around the call at `at` of a function: on the call itself, which the kernel emulates, and at the
/// first good place behind it.
pub fn around_call(
    code: &[u8],
    switches: &[Switch],
    at: i64,
    choice: Choice,
) -> Result<(Place, Place), Refusal> {
    let reached = Reached::from(vec![(0, code)], vec![0], switches)?;
    let call = reached.get(at).ok_or(Refusal::Unreached)?;
    if call.flow_control() != FlowControl::Call {
        return Err(Refusal::NoCall);
    }
    let place = |at: i64| {
        let i = reached.get(at).ok_or(Refusal::Unreached)?;
        let class = match is_emulated(reached.bytes(i)) {
            true => Class::Emulated,
            false => Class::Stepped,
        };
        let is_safe = reached.begins_instruction(at);
        let place = Place {
            offset: at,
            class,
            depth: 0,
        };
        is_safe.then_some(place).ok_or(Refusal::Inside)
    };
    let behind = match choice {
        Choice::Cheapest => {
            let kept = Kept::for_result();
            first_emulated(&reached, next(call), |i, info| kept.is_lost(i, info))
        }
        Choice::Plain => None,
    };
    let behind = behind.filter(|place| reached.begins_instruction(place.offset));
    Ok((place(at)?, behind.map_or_else(|| place(next(call)), Ok)?))
}
