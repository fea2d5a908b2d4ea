//! The stack that the programs need, as the kernel's verifier adds it up: before Linux 6.13 a program and the functions
//! below it have 512 bytes together (`check_max_stack_depth` in `kernel/bpf/verifier.c`). The kernel that tests
//! run on may allow more; so it is added up here.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{HashMap, HashSet};

use aya_obj::generated::{
    BPF_ADD, BPF_ALU64, BPF_CALL, BPF_JMP, BPF_K, BPF_LDX, BPF_MOV, BPF_ST, BPF_STX, BPF_X,
    bpf_insn,
};
use aya_obj::{Function, Object};

/// What all frames may have together, and to what each is rounded up.
const MAX_STACK: usize = 512;
const FRAME_STEP: usize = 32;

/// The frame pointer, and what marks a call of a function of our own (`BPF_PSEUDO_CALL`).
const FRAME: u8 = 10;
const OWN: u8 = 1;

/// Each program, with the functions that it calls behind it.
fn programs() -> Vec<(String, Function)> {
    let mut object = Object::parse(super::OBJECT).unwrap();
    let text: HashSet<usize> = object.functions.keys().map(|(s, _)| *s).collect();
    object.relocate_calls(&text).unwrap();
    let whole = |(name, program): (&String, &aya_obj::Program)| {
        let function = &object.functions[&program.function_key()];
        (name.clone(), function.clone())
    };
    object.programs.iter().map(whole).collect()
}

/// Bytes below the frame pointer that these instructions use.
fn frame(instructions: &[bpf_insn]) -> usize {
    let mut lowest = 0;
    let mut before: Option<bpf_insn> = None;
    for i in instructions {
        let code = u32::from(i.code);
        let from_memory = code & 7 == BPF_LDX && i.src_reg() == FRAME;
        let to_memory = matches!(code & 7, BPF_ST | BPF_STX) && i.dst_reg() == FRAME;
        if from_memory || to_memory {
            lowest = lowest.min(i32::from(i.off));
        }
        let of_frame = before.is_some_and(|b| {
            u32::from(b.code) == (BPF_ALU64 | BPF_MOV | BPF_X)
                && b.src_reg() == FRAME
                && b.dst_reg() == i.dst_reg()
        });
        if code == (BPF_ALU64 | BPF_ADD | BPF_K) && of_frame {
            lowest = lowest.min(i.imm);
        }
        before = Some(*i);
    }
    lowest.unsigned_abs() as usize
}

/// What the function that begins at `at` needs, and all that it calls.
fn depth(
    at: usize,
    all: &[bpf_insn],
    starts: &[usize],
    known: &mut HashMap<usize, usize>,
) -> usize {
    if let Some(depth) = known.get(&at) {
        return *depth;
    }
    let end = starts.iter().copied().find(|s| *s > at);
    let own = &all[at..end.unwrap_or(all.len())];
    let mut below = 0;
    for (n, i) in own.iter().enumerate() {
        if u32::from(i.code) == BPF_JMP | BPF_CALL && i.src_reg() == OWN {
            let callee = (at + n + 1).checked_add_signed(i.imm as isize).unwrap();
            assert!(
                starts.contains(&callee),
                "a call into the middle of a function"
            );
            below = below.max(depth(callee, all, starts, known));
        }
    }
    let needed = frame(own).max(1).next_multiple_of(FRAME_STEP) + below;
    known.insert(at, needed);
    needed
}

#[test]
fn every_program_fits_into_the_stack_of_old_kernels() {
    let programs = programs();
    assert!(programs.len() >= 13, "{}", programs.len());
    let mut deepest = 0;
    for (name, function) in programs {
        let infos = &function.func_info.func_info;
        let starts: Vec<usize> = infos.iter().map(|info| info.insn_off as usize).collect();
        let needed = depth(0, &function.instructions, &starts, &mut HashMap::new());
        assert!(needed <= MAX_STACK, "{name} needs {needed} bytes of stack");
        deepest = deepest.max(needed);
    }
    // Nearly all of it is used: a sum that comes out small is wrong.
    assert!(deepest > 400, "{deepest}");
}
