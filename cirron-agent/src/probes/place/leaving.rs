//! The ways out of a function that is a scope: its returns, and its jumps to other functions.
//!
//! ```text
//! instructions, depths --jumps out--> who knows functions: a part of this one, or a tail call --> Ways --places--> exits
//! ```
//! A tail call is the end: what it jumps to has the stack as this one found it, and returns to whom this one would. That is
//! one only where the stack pointer stands at its first place. A jump on a condition has no place: whether it jumps is not
//! known at it.
//!
//! Pure: bytes in, offsets out. x86-64.

use std::ops::Range;

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind,
    Register,
};

use super::depth::{Depths, is_call};
use super::exit::{MAX_EXITS, before, returning};
use super::reached::{Reached, next};
use super::{Choice, Class, Place, Refusal, Switch, Ways, is_emulated, switch, writes};

/// Instructions above a jump through a register in which what it holds is looked for.
const NEAR: usize = 16;

/// A jump out of a function and its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JumpOut {
    /// Where it stands, from the function's first byte.
    pub at: i64,
    /// Where it leads.
    pub to: i64,
    /// Bytes that the stack pointer stands there below its first place; `None`: not known.
    pub depth: Option<i64>,
    /// It may not jump.
    pub is_conditional: bool,
}

/// What code that is jumped to does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leads {
    /// It jumps back to behind the first byte of who jumped: it is a part of that one.
    pub back: bool,
    /// It returns, or goes on elsewhere.
    pub away: bool,
}

/// The jumps out of a function whose parts are in `ways`.
pub fn jumps_out(code: &[u8], ways: &Ways) -> Result<Vec<JumpOut>, Refusal> {
    let reached = Reached::follow(code, ways)?;
    let depths = Depths::follow(&reached, ways);
    let mut found = Vec::new();
    for i in reached.iter() {
        for to in reached.leaves_by(i, &ways.switches) {
            let goes_on = to == next(i) && i.flow_control() != FlowControl::UnconditionalBranch;
            if goes_on && !is_padding(&reached, i) {
                return Err(Refusal::Leaves);
            }
            if !goes_on {
                found.push(JumpOut {
                    at: i.ip().cast_signed(),
                    to,
                    depth: depths.before(i.ip().cast_signed()),
                    is_conditional: i.flow_control() != FlowControl::UnconditionalBranch,
                });
            }
        }
    }
    Ok(found)
}

/// What the code at `at`, which begins there, does with a function of `own` bytes that jumps to `to` in it.
pub fn leads((at, code): (i64, &[u8]), to: i64, own: i64, switches: &[Switch]) -> Leads {
    let nothing_known = Leads {
        back: false,
        away: true,
    };
    let Ok(reached) = Reached::from(vec![(at, code)], vec![to], switches) else {
        return nothing_known;
    };
    let leaves = reached.leaves(switches);
    let back = leaves.iter().any(|to| (1..own).contains(to));
    let returns = |i: &Instruction| i.flow_control() == FlowControl::Return;
    Leads {
        back,
        away: !leaves.is_empty()
            || reached.iter().any(returns)
            || reached.pointers(switches).next().is_some(),
    }
}

/// The exits of a function whose parts and tail calls are in `ways`.
pub fn leavings(code: &[u8], ways: &Ways, choice: Choice) -> Result<Vec<Place>, Refusal> {
    let reached = Reached::follow(code, ways)?;
    if reached.loops_to(0, &ways.switches) {
        return Err(Refusal::Loops);
    }
    let depths = Depths::follow(&reached, ways);
    let mut places: Vec<Place> = Vec::new();
    for i in reached.iter() {
        let at = i.ip().cast_signed();
        let Some(last) = last_of(&reached, &depths, i, (code, ways))? else {
            continue;
        };
        let better = (choice == Choice::Cheapest && last.class == Class::Stepped)
            .then(|| before(&reached, i))
            .flatten()
            .filter(|place| reached.begins_instruction(place.offset));
        if !reached.begins_instruction(at) {
            return Err(Refusal::Inside);
        }
        let place = better.unwrap_or(last);
        if !places.contains(&place) {
            places.push(place);
        }
        if places.len() > MAX_EXITS {
            return Err(Refusal::ManyExits);
        }
    }
    match places.is_empty() {
        true => Err(Refusal::NoReturn),
        false if is_left_unseen(&reached, code) => Err(Refusal::Unseen),
        false => Ok(places),
    }
}

/// Something of its own that nothing leads to may leave it.
fn is_left_unseen(reached: &Reached<'_>, code: &[u8]) -> bool {
    let len = i64::try_from(code.len()).unwrap_or(i64::MAX);
    unreached(reached, code)
        .iter()
        .flat_map(|gap| decoded(code, gap))
        .any(|i| {
            let flow = i.flow_control();
            let to = i.near_branch_target().cast_signed();
            let jumps = matches!(
                flow,
                FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch
            );
            matches!(flow, FlowControl::Return | FlowControl::IndirectBranch)
                || jumps && !(0..len).contains(&to)
        })
}

/// The place on an instruction with which a function is left.
fn last_of(
    reached: &Reached<'_>,
    depths: &Depths,
    i: &Instruction,
    (code, ways): (&[u8], &Ways),
) -> Result<Option<Place>, Refusal> {
    let at = i.ip().cast_signed();
    let is_out = || {
        reached
            .leaves_by(i, &ways.switches)
            .iter()
            .any(|to| *to != next(i))
    };
    let flow = i.flow_control();
    if flow == FlowControl::Return {
        return match depths.before(at) {
            None | Some(0) => Ok(Some(returning(i))),
            Some(_) => Err(Refusal::Depth),
        };
    }
    if flow == FlowControl::ConditionalBranch && is_out() {
        return Err(Refusal::Conditional);
    }
    if flow == FlowControl::UnconditionalBranch && is_out() {
        let class = match is_emulated(reached.bytes(i)) {
            true => Class::Emulated,
            false => Class::Stepped,
        };
        let place = Place {
            class,
            ..returning(i)
        };
        let is_tail = ways.tails.contains(&at);
        return is_tail.then_some(Some(place)).ok_or(Refusal::Leaves);
    }
    let is_known = ways.switches.iter().any(|s| s.jump == at);
    if flow != FlowControl::IndirectBranch || is_known {
        return Ok(None);
    }
    if switch::is_switch(reached, i) || !is_by_pointer(reached, i) {
        return Err(Refusal::Switch);
    }
    // Where it leads into the function itself, something of that is not reached.
    match depths.before(at) == Some(0) && is_whole(reached, code) {
        true => Ok(Some(returning(i))),
        false => Err(Refusal::Pointer),
    }
}

/// What it jumps to stands at one place, or was handed in: no table of this function's is looked into by a number.
fn is_by_pointer(reached: &Reached<'_>, jump: &Instruction) -> bool {
    let is_one = |i: &Instruction| i.memory_index() == Register::None;
    if jump.op0_kind() == OpKind::Memory {
        return is_one(jump);
    }
    let mut info = InstructionInfoFactory::new();
    let (mut register, mut at) = (jump.op0_register(), jump.ip().cast_signed());
    for _ in 0..NEAR {
        if at == 0 {
            return true;
        }
        if reached.is_target(at) {
            return false;
        }
        let Some(i) = reached.before(at) else {
            return false;
        };
        at = i.ip().cast_signed();
        if is_call(i) {
            return false;
        }
        if !writes(i, &mut info, register) {
            continue;
        }
        let is_moved = i.mnemonic() == Mnemonic::Mov && i.op0_register() == register;
        let is_copy = i.op1_kind() == OpKind::Register && i.op1_register().is_gpr64();
        if !is_moved || !is_copy {
            return is_moved && i.op1_kind() == OpKind::Memory && is_one(i);
        }
        register = i.op1_register();
    }
    false
}

/// All of its own bytes are reached, but for padding.
fn is_whole(reached: &Reached<'_>, code: &[u8]) -> bool {
    unreached(reached, code)
        .iter()
        .flat_map(|gap| decoded(code, gap))
        .all(|i| is_nothing(&i))
}

/// Its own bytes that nothing leads to.
fn unreached(reached: &Reached<'_>, code: &[u8]) -> Vec<Range<i64>> {
    let len = i64::try_from(code.len()).unwrap_or(i64::MAX);
    let mut from = 0;
    let mut gaps: Vec<Range<i64>> = Vec::new();
    for i in reached.iter() {
        let at = i.ip().cast_signed();
        if (0..len).contains(&at) {
            gaps.push(from..at);
            from = from.max(next(i));
        }
    }
    gaps.push(from..len);
    gaps.retain(|gap| !gap.is_empty());
    gaps
}

/// What a part of the bytes is, one behind the other.
fn decoded<'c>(code: &'c [u8], part: &Range<i64>) -> Decoder<'c> {
    let range = usize::try_from(part.start)
        .ok()
        .zip(usize::try_from(part.end).ok());
    let bytes = range.and_then(|(from, to)| code.get(from..to));
    let at = part.start.cast_unsigned();
    Decoder::with_ip(64, bytes.unwrap_or_default(), at, DecoderOptions::NONE)
}

fn is_nothing(i: &Instruction) -> bool {
    matches!(i.mnemonic(), Mnemonic::Nop | Mnemonic::Int3 | Mnemonic::Ud2)
}

/// It stands behind a call that does not return, which is the last of its function.
fn is_padding(reached: &Reached<'_>, last: &Instruction) -> bool {
    let mut i = last;
    while is_nothing(i) {
        match reached.before(i.ip().cast_signed()) {
            Some(above) => i = above,
            None => return false,
        }
    }
    is_call(i) && i.ip() != last.ip()
}
