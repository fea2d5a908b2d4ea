//! The instructions of a function, by following its control flow from where it is known to begin.
//!
//! ```text
//! beginnings --next, jump, switch--> instructions --calls that return--> more of them --> places
//! ```
//! A probe inside of an instruction corrupts its target, and bytes alone do not tell where instructions begin: between and in
//! functions lie padding, tables, code that is jumped into. So nothing is decoded one behind the other; what control flow does
//! not come to has no place.
//!
//! That a call returns is an assumption, tested last: what stands behind a call is no code if following it comes to bytes
//! that are no instruction, or into the middle of one that is known. A jump through a pointer ends the way, unless it is a
//! `switch` whose targets were read ([`super::switch`]).
//!
//! Pure: bytes in, offsets out. x86-64.

use std::collections::{BTreeMap, BTreeSet};

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic};

use super::{Refusal, Ways, switch::Switch};

/// Instructions of a function and of what it ends in, 3 MiB of them. OpenSSL's have some hundred.
pub(super) const MAX_INSTRUCTIONS: usize = 32 * 1024;
/// Bytes of the longest instruction.
const MAX_INSTRUCTION_BYTES: i64 = 15;

/// Bytes of code: where they lie from the function's first byte, and they.
pub(super) type Part<'c> = (i64, &'c [u8]);

/// What is reached of a function. Addresses are from its first byte.
#[derive(Clone, Debug, Default)]
pub(super) struct Reached<'c> {
    parts: Vec<Part<'c>>,
    instructions: BTreeMap<i64, Instruction>,
    /// Where jumps lead, in and out of it, and where it begins.
    targets: BTreeSet<i64>,
}

/// What following a way came to.
enum Way {
    /// It is code.
    Code,
    /// Bytes that are no instruction.
    NoCode,
    /// There is more of it than we hold.
    TooLarge,
}

impl<'c> Reached<'c> {
    /// Follows `code`, which begins at 0, with all that it ends in.
    pub(super) fn follow(code: &'c [u8], ways: &'c Ways) -> Result<Reached<'c>, Refusal> {
        let tails = ways.code.iter().map(|(at, code)| (*at, code.as_slice()));
        let parts: Vec<Part<'c>> = std::iter::once((0, code)).chain(tails).collect();
        let mut begins: Vec<i64> = parts.iter().map(|(at, _)| *at).collect();
        begins.extend(&ways.entries);
        begins.extend(ways.pads.iter().map(|pad| pad.at));
        Reached::from(parts, begins, &ways.switches)
    }

    /// Follows `parts` from each of `begins`.
    pub(super) fn from(
        parts: Vec<Part<'c>>,
        mut begins: Vec<i64>,
        switches: &[Switch],
    ) -> Result<Reached<'c>, Refusal> {
        let mut reached = Reached {
            parts,
            instructions: BTreeMap::new(),
            targets: begins.iter().copied().collect(),
        };
        let mut returns = Vec::new();
        match reached.walk(&mut begins, switches, &mut returns, &mut Vec::new()) {
            Way::Code => {}
            Way::NoCode => return Err(Refusal::NoCode),
            Way::TooLarge => return Err(Refusal::TooLarge),
        }
        while let Some(next) = returns.pop() {
            let (mut added, mut more) = (Vec::new(), Vec::new());
            match reached.walk(&mut vec![next], switches, &mut more, &mut added) {
                Way::Code if added.iter().all(|at| reached.is_apart(*at)) => returns.extend(more),
                Way::Code | Way::NoCode => added.iter().for_each(|at| {
                    reached.instructions.remove(at);
                }),
                Way::TooLarge => return Err(Refusal::TooLarge),
            }
        }
        reached.targets = reached.all_targets(switches);
        Ok(reached)
    }

    /// Adds what `open` leads to, and says what it added and where calls would return to.
    fn walk(
        &mut self,
        open: &mut Vec<i64>,
        switches: &[Switch],
        returns: &mut Vec<i64>,
        added: &mut Vec<i64>,
    ) -> Way {
        while let Some(at) = open.pop() {
            if self.instructions.contains_key(&at) {
                continue;
            }
            let Some(bytes) = self.bytes_from(at) else {
                // Outside: see `leaves`.
                continue;
            };
            let mut decoder = Decoder::with_ip(64, bytes, at.cast_unsigned(), DecoderOptions::NONE);
            let i = decoder.decode();
            if i.is_invalid() {
                return Way::NoCode;
            }
            if self.instructions.len() == MAX_INSTRUCTIONS {
                return Way::TooLarge;
            }
            self.instructions.insert(at, i);
            added.push(at);
            match i.flow_control() {
                FlowControl::Call | FlowControl::IndirectCall => returns.push(next(&i)),
                FlowControl::IndirectBranch => open.extend(targets_of(&i, switches)),
                FlowControl::UnconditionalBranch => open.push(target(&i)),
                FlowControl::ConditionalBranch | FlowControl::XbeginXabortXend => {
                    open.extend(branch(&i));
                    open.push(next(&i));
                }
                // Padding, or a trap.
                FlowControl::Interrupt if i.mnemonic() == Mnemonic::Int3 => {}
                FlowControl::Next | FlowControl::Interrupt => open.push(next(&i)),
                FlowControl::Return | FlowControl::Exception => {}
            }
        }
        Way::Code
    }

    fn all_targets(&self, switches: &[Switch]) -> BTreeSet<i64> {
        let jumps = self.instructions.values().flat_map(|i| {
            let of_switch = targets_of(i, switches);
            branch(i).into_iter().chain(of_switch)
        });
        self.targets.iter().copied().chain(jumps).collect()
    }

    fn bytes_from(&self, at: i64) -> Option<&'c [u8]> {
        self.parts.iter().find_map(|(start, code)| {
            let from = usize::try_from(at.checked_sub(*start)?).ok()?;
            code.get(from..).filter(|rest| !rest.is_empty())
        })
    }

    /// It begins and ends apart from the instructions around it.
    fn is_apart(&self, at: i64) -> bool {
        let ends_between = self.instructions.get(&at).is_some_and(|i| {
            let inside = at.saturating_add(1)..next(i);
            self.instructions.range(inside).next().is_none()
        });
        ends_between && self.begins_instruction(at)
    }

    /// An instruction that is reached begins there, and none that is reached goes over it.
    pub(super) fn begins_instruction(&self, at: i64) -> bool {
        let before = at.saturating_sub(MAX_INSTRUCTION_BYTES)..at;
        let mut before = self.instructions.range(before);
        self.instructions.contains_key(&at) && before.all(|(_, i)| next(i) <= at)
    }

    /// The instruction that begins there.
    pub(super) fn get(&self, at: i64) -> Option<&Instruction> {
        self.instructions.get(&at)
    }

    /// The one that ends where this one begins.
    pub(super) fn before(&self, at: i64) -> Option<&Instruction> {
        let (_, i) = self.instructions.range(..at).next_back()?;
        (next(i) == at).then_some(i)
    }

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Instruction> {
        self.instructions.values()
    }

    /// The bytes of one.
    pub(super) fn bytes(&self, i: &Instruction) -> &'c [u8] {
        let rest = self.bytes_from(i.ip().cast_signed());
        rest.and_then(|rest| rest.get(..i.len()))
            .unwrap_or_default()
    }

    /// Whether control comes there in another way than from the instruction before it.
    pub(super) fn is_target(&self, at: i64) -> bool {
        self.targets.contains(&at)
    }

    /// Whether somebody jumps to one of these.
    pub(super) fn has_target(&self, places: std::ops::RangeInclusive<i64>) -> bool {
        !places.is_empty() && self.targets.range(places).next().is_some()
    }

    /// Which of the instructions here may come behind this one; behind a call the one that it returns to.
    pub(super) fn leads_to(&self, i: &Instruction, switches: &[Switch]) -> Vec<i64> {
        let ends = matches!(
            i.flow_control(),
            FlowControl::Return
                | FlowControl::Exception
                | FlowControl::UnconditionalBranch
                | FlowControl::IndirectBranch
        );
        let ahead = (!ends).then(|| next(i));
        let jumps = branch(i).into_iter().chain(targets_of(i, switches));
        let ways = jumps.chain(ahead);
        ways.filter(|to| self.instructions.contains_key(to))
            .collect()
    }

    /// Where it goes that is not here: by jumps, in their order, and by going on behind the last byte. What calls
    /// do not come back to is none of that.
    pub(super) fn leaves(&self, switches: &[Switch]) -> Vec<i64> {
        let ways = self.iter().flat_map(|i| self.leaves_by(i, switches));
        ways.collect()
    }

    /// The same by one instruction.
    pub(super) fn leaves_by(&self, i: &Instruction, switches: &[Switch]) -> Vec<i64> {
        let goes_on = matches!(
            i.flow_control(),
            FlowControl::Next | FlowControl::ConditionalBranch
        );
        let ahead = goes_on.then(|| next(i));
        let jumps = branch(i).into_iter().chain(targets_of(i, switches));
        let ways = jumps.chain(ahead);
        ways.filter(|to| self.bytes_from(*to).is_none()).collect()
    }

    /// Whether something of it jumps to there.
    pub(super) fn loops_to(&self, at: i64, switches: &[Switch]) -> bool {
        let to = |i: &Instruction| branch(i) == Some(at) || targets_of(i, switches).contains(&at);
        self.iter().any(to)
    }

    /// Jumps through a pointer that lead nobody knows where.
    pub(super) fn pointers(&self, switches: &[Switch]) -> impl Iterator<Item = &Instruction> {
        self.iter().filter(|i| {
            i.flow_control() == FlowControl::IndirectBranch
                && switches.iter().all(|s| s.jump != i.ip().cast_signed())
        })
    }
}

/// Where the instruction behind this one begins.
pub(super) fn next(i: &Instruction) -> i64 {
    i.next_ip().cast_signed()
}

fn target(i: &Instruction) -> i64 {
    i.near_branch_target().cast_signed()
}

/// Where it jumps to, if it does.
fn branch(i: &Instruction) -> Option<i64> {
    let jumps = matches!(
        i.flow_control(),
        FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
    );
    (jumps || i.mnemonic() == Mnemonic::Xbegin).then(|| target(i))
}

fn targets_of(i: &Instruction, switches: &[Switch]) -> Vec<i64> {
    let switch = switches.iter().find(|s| s.jump == i.ip().cast_signed());
    switch.map(|s| s.targets.clone()).unwrap_or_default()
}
