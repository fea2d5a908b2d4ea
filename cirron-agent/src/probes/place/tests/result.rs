//! Where contexts of Python's are made: `PyContext_CopyCurrent` of builds as they are shipped; and code that is no such.

use cirron_common::operand::Register::{self, Rax, Rbx};

use super::{bytes, emulated, ending_in, stepped};
use crate::probes::place::{Place, Refusal, Ways, results};

/// CPython 3.9.18.
const V3_9: &str = "41 54 4c 8b 25 5f 1b 1a 00 55 53 49 8b 9c 24 38 02 00 00 48 8b 83 f0 00 00 00 48 85 c0 0f 84 bd 00 00 00 48 8b 68 18 8b 05 83 a8 1f 00 85 c0 75 7f 48 8b 3d c8 18 1a 00 e8 23 06 eb ff 48 89 c3 48 85 c0 0f 84 b7 00 00 00 48 c7 43 10 00 00 00 00 48 8d 4b f0 c7 43 28 00 00 00 00 48 c7 43 20 00 00 00 00 48 83 45 00 01 48 89 6b 18 49 8b 84 24 38 02 00 00 48 8b 40 10 48 8b 90 c8 02 00 00 48 8b 43 f8 48 8b 72 08 83 e0 03 66 48 0f 6e c2 48 09 f0 48 89 0e 66 48 0f 6e c8 66 0f 6c c1 0f 11 43 f0 48 89 4a 08 48 89 d8 5b 5d 41 5c c3 90 48 8b 1d 01 a8 1f 00 83 e8 01 89 05 f0 a7 1f 00 48 8b 43 20 48 c7 43 20 00 00 00 00 48 89 df 48 89 05 e2 a7 1f 00 e8 35 25 eb ff e9 69 ff ff ff e8 ab f6 ff ff 48 85 c0 74 16 48 89 83 f0 00 00 00 e9 2d ff ff ff 66 2e 0f 1f 84 00 00 00 00 00 31 db eb a3";
/// CPython 3.11.7; 3.10's is the same but for offsets.
const V3_11: &str = "41 54 55 48 8b 2d 36 8f 1d 00 53 48 8b 9d 40 02 00 00 48 8b 83 e0 00 00 00 48 85 c0 0f 84 ce 00 00 00 4c 8b 60 18 48 8b 85 40 02 00 00 48 8b 40 10 8b 90 d0 1b 00 00 85 d2 0f 85 81 00 00 00 48 8b 3d c2 8c 1d 00 e8 c5 c8 e8 ff 48 89 c3 48 85 c0 0f 84 b9 00 00 00 48 c7 43 10 00 00 00 00 48 8d 4b f0 c7 43 28 00 00 00 00 48 c7 43 20 00 00 00 00 49 83 04 24 01 4c 89 63 18 48 8b 85 40 02 00 00 48 8b 40 10 48 8b 90 e8 02 00 00 48 8b 43 f8 48 8b 72 08 83 e0 03 66 48 0f 6e c2 48 09 f0 48 89 0e 66 48 0f 6e c8 66 0f 6c c1 0f 11 43 f0 48 89 4a 08 48 89 d8 5b 5d 41 5c c3 0f 1f 40 00 48 8b 98 c8 1b 00 00 83 ea 01 89 90 d0 1b 00 00 48 8b 53 20 48 89 df 48 89 90 c8 1b 00 00 48 c7 43 20 00 00 00 00 e8 c5 e7 e8 ff e9 67 ff ff ff e8 fb f8 ff ff 48 85 c0 74 16 48 89 83 e0 00 00 00 e9 1c ff ff ff 66 2e 0f 1f 84 00 00 00 00 00 31 db eb a0";
/// CPython 3.12.1: counts references up to a bound.
const V3_12: &str = "41 54 55 53 66 48 8d 3d c4 68 2a 00 66 66 48 e8 ac af e6 ff 4c 8b 20 48 89 c3 49 8b 84 24 d0 00 00 00 48 85 c0 0f 84 e5 00 00 00 48 8b 68 18 49 8b 44 24 10 8b 90 f0 2b 04 00 85 d2 0f 85 96 00 00 00 48 8b 3d 6f 64 2a 00 e8 e2 b1 e6 ff 48 89 c3 48 85 c0 0f 84 d6 00 00 00 8b 45 00 48 c7 43 10 00 00 00 00 c7 43 28 00 00 00 00 48 c7 43 20 00 00 00 00 83 c0 01 74 03 89 45 00 48 89 6b 18 66 48 8d 3d 48 68 2a 00 66 66 48 e8 30 af e6 ff 48 8d 4b f0 48 8b 00 48 8b 40 10 48 8b 90 d0 00 00 00 48 8b 43 f8 48 8b 72 08 83 e0 03 66 48 0f 6e c2 48 09 f0 48 89 0e 66 48 0f 6e c8 66 0f 6c c1 0f 11 43 f0 48 89 4a 08 48 89 d8 5b 5d 41 5c c3 0f 1f 80 00 00 00 00 48 8b 98 e8 2b 04 00 83 ea 01 89 90 f0 2b 04 00 48 8b 53 20 48 89 df 48 89 90 e8 2b 04 00 48 c7 43 20 00 00 00 00 e8 7d d1 e6 ff e9 52 ff ff ff 0f 1f 84 00 00 00 00 00 e8 4b ed ff ff 48 85 c0 74 16 49 89 84 24 d0 00 00 00 4c 8b 23 e9 01 ff ff ff 66 0f 1f 44 00 00 31 db eb 95";
/// CPython 3.13.0: what it makes anew stands last.
const V3_13: &str = "41 54 55 53 66 48 8d 3d d4 ce 29 00 66 66 48 e8 3c a3 e3 ff 4c 8b 20 48 89 c3 49 8b 84 24 d0 00 00 00 48 85 c0 0f 84 dd 00 00 00 48 8b 68 18 49 8b 44 24 10 8b 90 70 33 00 00 85 d2 0f 8e a6 00 00 00 48 8b 98 68 33 00 00 83 ea 01 89 90 70 33 00 00 48 8b 53 20 48 89 df 48 89 90 68 33 00 00 48 c7 43 20 00 00 00 00 e8 a3 c3 e3 ff 8b 45 00 48 c7 43 10 00 00 00 00 c7 43 28 00 00 00 00 48 c7 43 20 00 00 00 00 83 c0 01 74 03 89 45 00 48 89 6b 18 66 48 8d 3d 45 ce 29 00 66 66 48 e8 ad a2 e3 ff 48 8d 4b f0 48 8b 00 48 8b 40 10 48 8b 90 48 1d 00 00 48 8b 43 f8 48 8b 72 08 83 e0 03 66 48 0f 6e c2 48 09 f0 48 89 0e 66 48 0f 6e c8 66 0f 6c c1 0f 11 43 f0 48 89 4a 08 48 89 d8 5b 5d 41 5c c3 0f 1f 40 00 48 8b 3d f9 c9 29 00 e8 dc a4 e3 ff 48 89 c3 48 85 c0 0f 85 6d ff ff ff 31 db eb d8 0f 1f 40 00 e8 63 ed ff ff 48 85 c0 74 ee 49 89 84 24 d0 00 00 00 4c 8b 23 e9 09 ff ff ff";
/// Debian 12's 3.11, inside its executable: it ends in another function, which makes the context, and in what is never run.
const DEBIAN: &str = "56 e8 1a 00 00 00 48 85 c0 0f 84 29 6c e0 ff 48 8b 78 18 59 e9 37 02 00 00";
const DEBIAN_MAKES: &str = "55 48 89 fd 53 51 e8 55 fe ff ff 48 89 c3 48 85 c0 74 11 48 83 45 00 01 48 89 c7 48 89 68 18 e8 7c 7f e6 ff 48 89 d8 5a 5b 5d c3";
const DEBIAN_FAILS: &str = "31 c0 5a c3";

fn found(code: &str, ways: &Ways) -> Result<Vec<(Place, Register)>, Refusal> {
    let found = results(&bytes(code), ways)?;
    Ok(found.iter().map(|r| (r.place, r.register)).collect())
}

fn plain(code: &str) -> Result<Vec<(Place, Register)>, Refusal> {
    found(code, &Ways::default())
}

#[test]
fn a_context_is_seen_at_the_jumps_behind_what_makes_it() {
    // One was freed before and is taken again, or it is made anew.
    let both = |first, second| Ok(vec![(emulated(first, 0), Rbx), (emulated(second, 0), Rbx)]);
    assert_eq!(plain(V3_9), both(0x43, 0xdb));
    assert_eq!(plain(V3_11), both(0x51, 0xeb));
    // Both ways come together before the last jump.
    assert_eq!(plain(V3_12), Ok(vec![(emulated(0x77, 0), Rbx)]));
    assert_eq!(plain(V3_13), Ok(vec![(emulated(0x8a, 0), Rbx)]));
}

#[test]
fn it_is_seen_in_the_function_that_makes_it() {
    let makes = (0x250, bytes(DEBIAN_MAKES));
    let fails = (0x49_a328 - 0x69_36f0, bytes(DEBIAN_FAILS));
    assert_eq!(
        found(DEBIAN, &ending_in(&[makes, fails])),
        Ok(vec![(emulated(0x261, 0), Rbx)])
    );
}

#[test]
fn a_result_without_a_cheap_place_is_had_at_the_exits() {
    let exit = |at| Ok(vec![(stepped(at), Rax)]);
    // call; ret
    assert_eq!(plain("e8 00 10 00 00 c3"), exit(5));
    // call; mov %rax,%r12; call; mov %r12,%rax; ret: a callee keeps r12, and no place is cheap.
    assert_eq!(
        plain("e8 00 10 00 00 49 89 c4 e8 00 10 00 00 4c 89 e0 c3"),
        exit(16)
    );
}

#[test]
fn a_place_is_cheap_and_holds_the_result_on_each_way() {
    let one = |at, register| Ok(vec![(emulated(at, 0), register)]);
    let exit = |at| Ok(vec![(stepped(at), Rax)]);
    // call; mov %rax,%rbx; push %rbx; call; mov %rbx,%rax; ret
    let code = |moved: &str| format!("e8 00 10 00 00 {moved} 53 e8 00 10 00 00 48 89 d8 c3");
    assert_eq!(plain(&code("48 89 c3")), one(8, Rbx));
    // mov %eax,%ebx: half of it.
    assert_eq!(plain(&code("89 c3")), one(7, Rbx));
    // A callee does not keep %rcx. push %rcx; call; mov %rcx,%rax; ret
    assert_eq!(plain("48 89 f9 51 e8 00 10 00 00 48 89 c8 c3"), exit(12));
    // test %rax,%rax; je to a return of something else; ret
    assert_eq!(
        plain("e8 00 10 00 00 48 85 c0 74 01 c3 e8 00 10 00 00 c3"),
        Ok(vec![(stepped(10), Rax), (stepped(16), Rax)])
    );
    // To one of null: whoever takes it has null in the register. je; ret; xor %eax,%eax; ret
    assert_eq!(
        plain("e8 00 10 00 00 48 85 c0 74 01 c3 31 c0 c3"),
        one(8, Rax)
    );
    // The same by another register's value. test %rcx,%rcx
    assert_eq!(
        plain("e8 00 10 00 00 48 85 c9 74 01 c3 31 c0 c3"),
        Ok(vec![(stepped(10), Rax), (stepped(13), Rax)])
    );
}

#[test]
fn a_place_that_is_passed_twice_is_none() {
    // call; mov %rax,%rbx; L: push %rbx; pop %rcx; dec %edi; jne L; mov %rbx,%rax; ret
    let code = "e8 00 10 00 00 48 89 c3 53 59 ff cf 75 fa 48 89 d8 c3";
    assert_eq!(plain(code), Ok(vec![(stepped(17), Rax)]));
}
