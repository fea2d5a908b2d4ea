//! The entry of a function of Go's compiler, behind the check of the stack's end.
//!
//! ```text
//!  cmp %rsp, 0x10(%r14)   jbe more   [entry] push %rbp ...        more: call runtime.morestack; jmp first
//! ```
//! Where the stack is too short the function begins again on a larger one: a place before the check would be passed twice
//! by one call. Functions that need little have no check (Go's `src/cmd/internal/obj/x86/obj6.go`: `stacksplit`).
//!
//! Pure: bytes in, offsets out. x86-64.

use iced_x86::{Code, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, Register};

use super::reached::{Reached, next};
use super::{Choice, Class, Kept, Place, Refusal, Ways, entry, first_emulated, stack_change};

/// Where a goroutine has the end of its stack (`stackguard0`).
const STACK_GUARD: u64 = 0x10;
/// Instructions before the check's jump: those of the largest frames compare twice.
const MAX_BEFORE: usize = 8;

/// The entry that each call passes once, however often its stack grows.
pub fn entry_once(code: &[u8], ways: &Ways, kept: &Kept) -> Result<Place, Refusal> {
    let reached = Reached::follow(code, ways)?;
    let Some(behind) = behind_check(&reached, kept) else {
        return entry(code, ways, kept, Choice::Cheapest);
    };
    let first = Place {
        offset: behind,
        class: Class::Stepped,
        depth: 0,
    };
    [
        first_emulated(&reached, behind, |i, info| kept.is_lost(i, info)),
        Some(first),
    ]
    .into_iter()
    .flatten()
    .find(|place| reached.begins_instruction(place.offset))
    .ok_or(Refusal::Inside)
}

/// Where the function goes on whose stack is large enough, if it has a check and keeps its operands that far.
fn behind_check(reached: &Reached<'_>, kept: &Kept) -> Option<i64> {
    let mut info = InstructionInfoFactory::new();
    let (mut at, mut is_checked) = (0, false);
    for _ in 0..MAX_BEFORE {
        let i = reached.get(at)?;
        if is_checked {
            let jumps = matches!(i.code(), Code::Jbe_rel8_64 | Code::Jbe_rel32_64);
            return jumps.then(|| next(i));
        }
        is_checked = checks_stack(i);
        let goes_on = matches!(
            i.flow_control(),
            FlowControl::Next | FlowControl::ConditionalBranch
        );
        if !goes_on || kept.is_lost(i, &mut info) || stack_change(i, &mut info)? != 0 {
            return None;
        }
        at = next(i);
    }
    None
}

fn checks_stack(i: &Instruction) -> bool {
    i.mnemonic() == Mnemonic::Cmp
        && i.memory_base() == Register::R14
        && i.memory_displacement64() == STACK_GUARD
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn place(code: &[u8]) -> Place {
        entry_once(code, &Ways::default(), &Kept::default()).unwrap()
    }

    /// `cmp 0x10(%r14), %rsp; jbe +7; push %rbp; mov %rsp, %rbp; nop; pop %rbp; ret; call more; jmp first`
    const CHECKED: &[u8] = &[
        0x49, 0x3b, 0x66, 0x10, 0x76, 0x07, 0x55, 0x48, 0x89, 0xe5, 0x90, 0x5d, 0xc3, 0xe8, 0, 0,
        0, 0, 0xeb, 0xec,
    ];

    #[test]
    fn the_entry_is_behind_the_check_that_may_begin_the_function_again() {
        let first = place(CHECKED);
        assert_eq!((first.offset, first.depth), (6, 0));
        assert_eq!(first.class, Class::Emulated);
    }

    #[test]
    fn a_large_frame_s_check_compares_another_register() {
        // `lea -0x1000(%rsp), %r12; cmp 0x10(%r14), %r12; jbe +3; sub $8, %rsp ...`
        let mut code = vec![0x4c, 0x8d, 0xa4, 0x24, 0x00, 0xf0, 0xff, 0xff];
        code.extend([0x4d, 0x3b, 0x66, 0x10, 0x76, 0x09]);
        code.extend([0x48, 0x83, 0xec, 0x08, 0x48, 0x83, 0xc4, 0x08, 0xc3]);
        code.extend([0xe8, 0, 0, 0, 0, 0xeb, 0xdc]);
        let first = place(&code);
        assert_eq!((first.offset, first.depth), (14, 0));
        assert_eq!(first.class, Class::Stepped);
    }

    #[test]
    fn a_function_without_a_check_begins_at_its_first_byte() {
        // `mov %rbx, %rax; ret`
        assert_eq!(place(&[0x48, 0x89, 0xd8, 0xc3]).offset, 0);
    }
}
