//! Keeps a program inside of functions on the stack of the thread that runs into it.
//!
//! From Linux 6.13 on a program of this kind gets a stack for each processor instead, as soon as one of
//! its functions needs 64 bytes. That is right where a program runs once at a time on a processor.
//! These do not: the kernel may preempt a thread in one, and the next thread that runs into the same
//! program writes over what the first has noted: bytes and lengths of connections get mixed.
//!
//! There is no flag to ask for the other. But a program in whose instructions a tail call stands gets no
//! such stack (`check_max_stack_depth` in `kernel/bpf/verifier.c`: the called program would need its own
//! room). So one is put in front, behind a condition that is never true. The verifier sees that, and takes
//! it out before the program is translated: nothing of it is left to run.

use aya_obj::Function;
use aya_obj::generated::bpf_func_id::BPF_FUNC_tail_call;
use aya_obj::generated::{BPF_ALU64, BPF_CALL, BPF_JEQ, BPF_JMP, BPF_K, BPF_MOV, bpf_insn};

/// `r0 = 0; if r0 == 0, over the next; call tail_call`. The context in `r1` stays as it is.
fn never() -> [bpf_insn; 3] {
    const R0: u8 = 0;
    let instruction = |code: u32, off: i16, imm: i32| bpf_insn {
        code: code as u8,
        _bitfield_align_1: [],
        _bitfield_1: bpf_insn::new_bitfield_1(R0, R0),
        off,
        imm,
    };
    [
        instruction(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0),
        instruction(BPF_JMP | BPF_JEQ | BPF_K, 1, 0),
        instruction(BPF_JMP | BPF_CALL, 0, BPF_FUNC_tail_call as i32),
    ]
}

/// `function`, a whole program with what it calls behind it, with a tail call that is never made.
///
/// Jumps and calls are relative and none crosses the front: only what is said of places moves.
pub(super) fn of_the_thread(function: &Function) -> Function {
    let mut function = function.clone();
    let never = never();
    let by = never.len() as u32;
    function.instructions.splice(0..0, never);
    // The first place of each table stays: a program begins at 0.
    for info in function.func_info.func_info.iter_mut().skip(1) {
        info.insn_off += by;
    }
    for info in function.line_info.line_info.iter_mut().skip(1) {
        info.insn_off += by;
    }
    function
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use aya_obj::Object;

    use super::super::UprobeProgram;
    use super::*;

    /// The programs of the agent, each with the functions that it calls behind it.
    fn programs() -> Vec<Function> {
        let mut object = Object::parse(crate::kernel::OBJECT).expect("the object");
        let text: HashSet<usize> = object.functions.keys().map(|(s, _)| *s).collect();
        object.relocate_calls(&text).expect("calls in it");
        let function = |which: UprobeProgram| {
            let key = object.programs[which.name()].function_key();
            object.functions[&key].clone()
        };
        UprobeProgram::ALL.map(function).into()
    }

    fn words(instructions: &[bpf_insn]) -> Vec<u64> {
        let word = |i: &bpf_insn| {
            u64::from(i.code)
                | u64::from(i.dst_reg()) << 8
                | u64::from(i.src_reg()) << 12
                | u64::from(i.off as u16) << 16
                | u64::from(i.imm as u32) << 32
        };
        instructions.iter().map(word).collect()
    }

    #[test]
    fn what_stands_in_front_goes_past_its_call() {
        // BPF_MOV64_IMM(0, 0), BPF_JMP_IMM(BPF_JEQ, 0, 0, 1) and BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, 12).
        let expected = [
            0x0000_0000_0000_00b7,
            0x0000_0000_0001_0015,
            0x0000_000c_0000_0085,
        ];
        assert_eq!(words(&never()), expected);
    }

    #[test]
    fn the_rest_of_each_program_is_what_it_was() {
        for plain in programs() {
            let ours = of_the_thread(&plain);
            assert_eq!(words(&ours.instructions)[..3], words(&never()));
            assert_eq!(words(&ours.instructions)[3..], words(&plain.instructions));
        }
    }

    #[test]
    fn functions_and_lines_are_named_where_they_went() {
        for plain in programs() {
            let ours = of_the_thread(&plain);
            let functions = |of: &Function| -> Vec<(u32, u32)> {
                let infos = &of.func_info.func_info;
                infos.iter().map(|i| (i.insn_off, i.type_id)).collect()
            };
            let lines = |of: &Function| -> Vec<u32> {
                of.line_info.line_info.iter().map(|i| i.insn_off).collect()
            };
            assert!(functions(&plain).len() > 1, "nothing is called");
            let moved = |at: u32| if at == 0 { 0 } else { at + 3 };
            let expected: Vec<_> = functions(&plain)
                .into_iter()
                .map(|(at, of)| (moved(at), of))
                .collect();
            assert_eq!(functions(&ours), expected);
            let expected: Vec<_> = lines(&plain).into_iter().map(moved).collect();
            assert_eq!(lines(&ours), expected);
        }
    }
}
