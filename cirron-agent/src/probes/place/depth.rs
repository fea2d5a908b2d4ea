//! How far the stack pointer stands below its place at a function's first instruction, before each of its instructions.
//!
//! ```text
//! instructions --push, pop, sub, lea, leave--> depth before each; `None` where two ways disagree, or it is not plain to see
//! ```
//! A frame's base in `rbp` is followed as well: what is allotted at run time is given back by it. A call leaves both as they
//! were, which every convention of x86-64 asks for.
//!
//! Pure: instructions in, numbers out. x86-64.

use std::collections::BTreeMap;

use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register};

use super::reached::Reached;
use super::{Ways, stack_change, writes};

/// What is known before an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// Bytes that the stack pointer stands below its first place.
    stack: Option<i64>,
    /// The same of `rbp`, where it holds a place of the frame.
    base: Option<i64>,
}

impl State {
    /// What is known where two ways come together.
    fn joined(self, other: State) -> State {
        let same = |a: Option<i64>, b: Option<i64>| a.filter(|_| a == b);
        State {
            stack: same(self.stack, other.stack),
            base: same(self.base, other.base),
        }
    }

    fn behind(self, i: &Instruction, info: &mut InstructionInfoFactory) -> State {
        if is_call(i) {
            return self;
        }
        let base = match writes(i, info, Register::RBP) {
            false => self.base,
            true => self.placed(i, Register::RBP),
        };
        let by_base = match i.mnemonic() == Mnemonic::Leave {
            true => self.base.map(|base| base - WORD),
            false => self.placed(i, Register::RSP),
        };
        let stack = by_base.or_else(|| Some(self.stack? - stack_change(i, info)?));
        State { stack, base }
    }

    /// Where `register` stands behind `mov` or `lea` from a place of the frame.
    fn placed(self, i: &Instruction, register: Register) -> Option<i64> {
        if i.op0_kind() != OpKind::Register || i.op0_register() != register {
            return None;
        }
        let of = |register: Register| {
            let is_base = (register == Register::RBP).then_some(self.base);
            let is_stack = (register == Register::RSP).then_some(self.stack);
            is_base.or(is_stack).flatten()
        };
        let from = i.op1_kind();
        if i.mnemonic() == Mnemonic::Mov && from == OpKind::Register {
            return of(i.op1_register());
        }
        let is_plain = from == OpKind::Memory && i.memory_index() == Register::None;
        let disp = i.memory_displacement64().cast_signed();
        (i.mnemonic() == Mnemonic::Lea && is_plain)
            .then(|| of(i.memory_base())?.checked_sub(disp))
            .flatten()
    }
}

/// It calls, and goes on behind that.
pub(super) fn is_call(i: &Instruction) -> bool {
    matches!(
        i.flow_control(),
        FlowControl::Call | FlowControl::IndirectCall
    )
}

/// Bytes that `leave` pops.
const WORD: i64 = 8;

/// Depths before instructions.
#[derive(Clone, Debug, Default)]
pub(super) struct Depths(BTreeMap<i64, State>);

impl Depths {
    /// Follows `reached` from its first byte.
    pub(super) fn follow(reached: &Reached<'_>, ways: &Ways) -> Depths {
        let mut info = InstructionInfoFactory::new();
        let first = State {
            stack: Some(0),
            base: None,
        };
        let mut known = BTreeMap::from([(0, first)]);
        let mut open = vec![0_i64];
        // Each of the two is forgotten once at most: it ends.
        while let Some(at) = open.pop() {
            let (Some(i), Some(state)) = (reached.get(at), known.get(&at).copied()) else {
                continue;
            };
            let behind = state.behind(i, &mut info);
            let pads = ways
                .pads
                .iter()
                .filter(|pad| is_call(i) && pad.calls.contains(&at));
            // The unwinder gives back what the call had found.
            let thrown = pads.map(|pad| pad.at);
            for to in reached
                .leads_to(i, &ways.switches)
                .into_iter()
                .chain(thrown)
            {
                let before = known.get(&to).copied();
                let joined = before.map_or(behind, |before| before.joined(behind));
                if before != Some(joined) {
                    known.insert(to, joined);
                    open.push(to);
                }
            }
        }
        Depths(known)
    }

    /// That before the instruction at `at`; `None`: not known, or nothing that is followed comes there.
    pub(super) fn before(&self, at: i64) -> Option<i64> {
        self.0.get(&at)?.stack
    }
}
