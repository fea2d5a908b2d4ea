//! Places at which a register holds what a function is going to return, before its exits.
//!
//! ```text
//! return, rax --against control flow: moved from, kept by--> a cheap instruction on each way --else--> the exits
//! ```
//! The exits of a function are mostly `pop`s and a `ret`, none of which the kernel emulates, while its result stands in a
//! register since long: behind the call that gave it there is a `test` and a jump. Each call that returns a pointer passes one such
//! place, once; a call that returns null may pass one, where the register holds null, or none. A register that a callee
//! keeps is the same behind a call (System V's convention).
//!
//! Pure: bytes in, offsets out. x86-64.

use std::collections::{BTreeMap, BTreeSet};

use cirron_common::operand;
use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register};

use super::kept::operand_register;
use super::reached::{Reached, next};
use super::{Choice, Class, Place, Refusal, Ways, exit, is_emulated, writes};

/// Instructions of a function that is searched so. Those that make an object have some hundred, and the search may look at
/// each several times.
const MAX_SEARCHED: usize = 2_048;

/// A place, and what holds the result there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResultPlace {
    /// Its depth is told of exits alone.
    pub place: Place,
    /// The register.
    pub register: operand::Register,
}

/// A register in front of an instruction.
type State = (i64, Register);

/// What a register holds behind an instruction.
enum Origin {
    /// What this one holds in front of it.
    Same(Register),
    Null,
    /// Something new.
    Made,
}

/// Where the pointer that a function returns is to be had: at cheap places if there are such, else at its exits.
pub fn results(code: &[u8], ways: &Ways) -> Result<Vec<ResultPlace>, Refusal> {
    let reached = exit::whole(code, ways)?;
    if let Some(found) = early(&reached, ways) {
        return Ok(found);
    }
    let exits = exit::places(&reached, code, ways, Choice::Cheapest)?;
    let at_exit = |place| ResultPlace {
        place,
        register: operand::Register::Rax,
    };
    Ok(exits.into_iter().map(at_exit).collect())
}

fn early(reached: &Reached<'_>, ways: &Ways) -> Option<Vec<ResultPlace>> {
    if reached.iter().count() > MAX_SEARCHED {
        return None;
    }
    let search = Search::new(reached, ways);
    let found = search.places()?;
    let safe = found.iter().all(|(at, _)| reached.begins_instruction(*at));
    if found.is_empty() || !safe || search.passes_two(&found) {
        return None;
    }
    let place = |(at, register): &State| {
        Some(ResultPlace {
            place: Place {
                offset: *at,
                class: Class::Emulated,
                depth: 0,
            },
            register: operand_register(*register)?,
        })
    };
    found.iter().map(place).collect()
}

struct Search<'r, 'c> {
    reached: &'r Reached<'c>,
    ways: &'r Ways,
    /// Who goes on to an instruction.
    before: BTreeMap<i64, Vec<i64>>,
    returns: Vec<State>,
    /// Where a register holds what is returned.
    held: BTreeSet<State>,
}

impl<'r, 'c> Search<'r, 'c> {
    fn new(reached: &'r Reached<'c>, ways: &'r Ways) -> Search<'r, 'c> {
        let mut before: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        let mut returns = Vec::new();
        for i in reached.iter() {
            let at = i.ip().cast_signed();
            for to in reached.leads_to(i, &ways.switches) {
                before.entry(to).or_default().push(at);
            }
            if i.flow_control() == FlowControl::Return {
                returns.push((at, Register::RAX));
            }
        }
        let mut search = Search {
            reached,
            ways,
            before,
            returns,
            held: BTreeSet::new(),
        };
        let mut open = search.returns.clone();
        while let Some(state) = open.pop() {
            if search.held.insert(state) {
                open.extend(search.back(state).filter_map(|(_, from)| from));
            }
        }
        search
    }

    /// The instructions before a state, and the state in front of each that gives the same value. None is told of what gives null.
    fn back(&self, (at, register): State) -> impl Iterator<Item = (&Instruction, Option<State>)> {
        let before = self.before.get(&at).into_iter().flatten();
        before.filter_map(move |at| {
            let i = self.reached.get(*at)?;
            match origin(i, register) {
                Origin::Same(register) => Some((i, Some((*at, register)))),
                Origin::Made => Some((i, None)),
                Origin::Null => None,
            }
        })
    }

    /// Whoever comes there by any way has null in the register.
    fn is_null(&self, state: State) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![state];
        while let Some(state) = open.pop() {
            if !seen.insert(state) {
                continue;
            }
            if self.begins(state) {
                return false;
            }
            for (_, from) in self.back(state) {
                let Some(from) = from else { return false };
                open.push(from);
            }
        }
        true
    }

    /// Nothing that is known comes before it.
    fn begins(&self, (at, _): State) -> bool {
        at == 0 || self.ways.entries.contains(&at) || !self.before.contains_key(&at)
    }

    /// The last cheap place on each way to a return; `None`: there is a way without one.
    fn places(&self) -> Option<BTreeSet<State>> {
        let mut found = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut open = self.returns.clone();
        while let Some(state) = open.pop() {
            if !seen.insert(state) || self.is_null(state) {
                continue;
            }
            if self.begins(state) {
                return None;
            }
            for (i, from) in self.back(state) {
                let from = from?;
                if self.is_null(from) {
                    continue;
                }
                if self.is_place(i, state) {
                    found.insert(from);
                } else {
                    open.push(from);
                }
            }
        }
        Some(found)
    }

    /// The kernel emulates it, and whoever passes it returns what the register holds.
    fn is_place(&self, i: &Instruction, (to, register): State) -> bool {
        if !is_emulated(self.reached.bytes(i)) {
            return false;
        }
        match i.flow_control() {
            FlowControl::Next | FlowControl::UnconditionalBranch => true,
            FlowControl::ConditionalBranch => {
                let mut ways = self.reached.leads_to(i, &self.ways.switches).into_iter();
                ways.all(|way| self.held.contains(&(way, register)))
                    || self.tests(i, to, register)
                    || exit::is_guard(self.reached, i)
            }
            FlowControl::Call
            | FlowControl::IndirectCall
            | FlowControl::IndirectBranch
            | FlowControl::Return
            | FlowControl::Interrupt
            | FlowControl::XbeginXabortXend
            | FlowControl::Exception => false,
        }
    }

    /// `test reg,reg` and a jump, of which only the way to `to` is gone with something else than null.
    fn tests(&self, jump: &Instruction, to: i64, register: Register) -> bool {
        let branch = jump.near_branch_target().cast_signed();
        let is_way = jump.mnemonic() == Mnemonic::Je && next(jump) == to
            || jump.mnemonic() == Mnemonic::Jne && branch == to;
        let above = |i: &Instruction| {
            let at = i.ip().cast_signed();
            let only = (!self.reached.is_target(at)).then(|| self.reached.before(at));
            only.flatten()
        };
        let Some(test) = above(jump).filter(|i| i.mnemonic() == Mnemonic::Test && is_pair(i))
        else {
            return false;
        };
        let is_it = test.op0_register() == register;
        let is_copy = || {
            above(test).is_some_and(|i| {
                writes(i, &mut InstructionInfoFactory::new(), register)
                    && matches!(origin(i, register), Origin::Same(of) if of == test.op0_register())
            })
        };
        is_way && test.op0_register().is_gpr64() && (is_it || is_copy())
    }

    /// Whoever passes one may come to another one, or to the same again.
    fn passes_two(&self, found: &BTreeSet<State>) -> bool {
        let is_place = |at: i64| found.iter().any(|(place, _)| *place == at);
        let on = |at: i64| {
            let i = self.reached.get(at);
            i.map_or_else(Vec::new, |i| self.reached.leads_to(i, &self.ways.switches))
        };
        let mut seen = BTreeSet::new();
        let mut open: Vec<i64> = found.iter().flat_map(|(at, _)| on(*at)).collect();
        while let Some(at) = open.pop() {
            if is_place(at) {
                return true;
            }
            if seen.insert(at) {
                open.extend(on(at));
            }
        }
        false
    }
}

/// Both operands are one register.
fn is_pair(i: &Instruction) -> bool {
    i.op0_kind() == OpKind::Register
        && i.op1_kind() == OpKind::Register
        && i.op0_register() == i.op1_register()
}

fn origin(i: &Instruction, register: Register) -> Origin {
    const KEPT: [Register; 6] = [
        Register::RBX,
        Register::RBP,
        Register::R12,
        Register::R13,
        Register::R14,
        Register::R15,
    ];
    let is_call = matches!(
        i.flow_control(),
        FlowControl::Call | FlowControl::IndirectCall
    );
    let is_kept = match is_call {
        true => KEPT.contains(&register),
        false => !writes(i, &mut InstructionInfoFactory::new(), register),
    };
    if is_kept {
        return Origin::Same(register);
    }
    // What the lower half is written of, the upper one is cleared.
    let whole = |r: Register| r.is_gpr64() || r.is_gpr32();
    let is_whole = i.op0_kind() == OpKind::Register && whole(i.op0_register());
    let is_moved = is_whole && i.mnemonic() == Mnemonic::Mov;
    let from = i.op1_kind();
    if is_moved && from == OpKind::Register && i.op1_register().is_gpr64() {
        return Origin::Same(i.op1_register());
    }
    let is_cleared = matches!(i.mnemonic(), Mnemonic::Xor | Mnemonic::Sub) && is_pair(i);
    let is_constant = from != OpKind::Register && from != OpKind::Memory;
    let is_zero = is_moved && is_constant && i.immediate(1) == 0;
    match is_whole && is_cleared || is_zero {
        true => Origin::Null,
        false => Origin::Made,
    }
}
