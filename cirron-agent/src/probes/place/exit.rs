//! The exits of a function: a place for each way out, on the return or up to where the result does not change any more.
//!
//! Pure: bytes in, offsets out. x86-64.

use iced_x86::{Code, FlowControl, Instruction, InstructionInfoFactory, Register};

use super::reached::Reached;
use super::{Choice, Class, Place, Refusal, Ways, is_emulated, stack_change, switch, writes};

/// Exits of a function that are watched. Those of the table have a dozen, with all that they end in;
/// what has more was made to cost us.
pub(super) const MAX_EXITS: usize = 256;

/// The exits: a place for each way out, after which `rax` does not change. Refused where the function
/// leaves in a way that we do not follow: a jump to anywhere but `ways`, or one through a pointer.
pub fn exits(code: &[u8], ways: &Ways, choice: Choice) -> Result<Vec<Place>, Refusal> {
    places(&whole(code, ways)?, code, ways, choice)
}

/// All of a function whose ways out are known.
pub(super) fn whole<'c>(code: &'c [u8], ways: &'c Ways) -> Result<Reached<'c>, Refusal> {
    let reached = Reached::follow(code, ways)?;
    let leaves = reached.leaves(&ways.switches);
    if leaves.iter().any(|to| !ways.watched.contains(to)) {
        return Err(Refusal::Leaves);
    }
    for jump in reached.pointers(&ways.switches) {
        if switch::is_switch(&reached, jump) {
            return Err(Refusal::Switch);
        }
        if !ways.has_methods {
            return Err(Refusal::Pointer);
        }
    }
    Ok(reached)
}

/// The exits of a function of Go's compiler: it has its returns, and nothing else.
pub fn returns(code: &[u8], ways: &Ways) -> Result<Vec<Place>, Refusal> {
    let reached = Reached::follow(code, ways)?;
    if !reached.leaves(&ways.switches).is_empty() {
        return Err(Refusal::Leaves);
    }
    if reached.pointers(&ways.switches).next().is_some() {
        return Err(Refusal::Pointer);
    }
    places(&reached, code, ways, Choice::Cheapest)
}

pub(super) fn places(
    reached: &Reached<'_>,
    code: &[u8],
    ways: &Ways,
    choice: Choice,
) -> Result<Vec<Place>, Refusal> {
    let own = (0, code.len());
    let others = ways.code.iter().map(|(at, code)| (*at, code.len()));
    let mut places = Vec::new();
    for (at, len) in std::iter::once(own).chain(others) {
        let part = at..at.saturating_add_unsigned(len as u64);
        let returns = reached.iter().filter(|i| {
            i.flow_control() == FlowControl::Return && part.contains(&i.ip().cast_signed())
        });
        for i in returns {
            // In the middle of another function, only the return says whose it is.
            let better = (at == 0 && choice == Choice::Cheapest)
                .then(|| before(reached, i))
                .flatten()
                .filter(|place| reached.begins_instruction(place.offset));
            let place = better.unwrap_or(returning(i));
            if !reached.begins_instruction(place.offset) {
                return Err(Refusal::Inside);
            }
            if !places.contains(&place) {
                places.push(place);
            }
            if places.len() > MAX_EXITS {
                return Err(Refusal::ManyExits);
            }
        }
    }
    match (places.is_empty(), ways.watched.is_empty()) {
        (false, _) => Ok(places),
        (true, false) => Err(Refusal::Watched),
        (true, true) => Err(Refusal::NoReturn),
    }
}

/// On the return itself.
pub(super) fn returning(i: &Instruction) -> Place {
    Place {
        offset: i.ip().cast_signed(),
        class: Class::Stepped,
        depth: 0,
    }
}

/// The best place for a return that is not the return: going up as long as every way to the return passes, and nothing
/// writes `rax`.
pub(super) fn before(reached: &Reached<'_>, last: &Instruction) -> Option<Place> {
    let mut info = InstructionInfoFactory::new();
    let (mut below, mut depth) = (last.ip().cast_signed(), 0_i64);
    loop {
        // Somebody jumps in between: not every way passes what is above.
        if reached.is_target(below) {
            return None;
        }
        let i = reached.before(below)?;
        depth += stack_change(i, &mut info)?;
        let goes_on = i.flow_control() == FlowControl::Next;
        if is_emulated(reached.bytes(i)) && (goes_on || is_guard(reached, i)) {
            return Some(Place {
                offset: i.ip().cast_signed(),
                class: Class::Emulated,
                depth: u32::try_from(depth).ok()?,
            });
        }
        if !goes_on || writes(i, &mut info, Register::RAX) {
            return None;
        }
        below = i.ip().cast_signed();
    }
}

/// It is the jump of the stack protector: `sub %fs:0x28, reg; jne __stack_chk_fail`.
pub(super) fn is_guard(reached: &Reached<'_>, jump: &Instruction) -> bool {
    let Some(check) = reached.before(jump.ip().cast_signed()) else {
        return false;
    };
    matches!(jump.code(), Code::Jne_rel8_64 | Code::Jne_rel32_64)
        && check.segment_prefix() == Register::FS
        && check.memory_displacement64() == 0x28
}
