//! Ways out of a function that is a scope, and where its stack stands there.

use super::*;
use crate::probes::place::{Leads, jumps_out, landings, leads, leavings};

fn out(hex: &str) -> Vec<(i64, i64, Option<i64>, bool)> {
    let jumps = jumps_out(&bytes(hex), &Ways::default()).unwrap();
    let jumps = jumps.iter();
    jumps
        .map(|j| (j.at, j.to, j.depth, j.is_conditional))
        .collect()
}

fn left_by(hex: &str, tails: &[i64]) -> Result<Vec<Place>, Refusal> {
    let ways = Ways {
        tails: tails.to_vec(),
        ..Ways::default()
    };
    leavings(&bytes(hex), &ways, Choice::Cheapest)
}

#[test]
fn where_the_stack_stands_at_a_jump_is_followed() {
    // push %rbx; sub $16,%rsp; js out; add $16,%rsp; pop %rbx; jmp out
    let code = "53 48 83 ec 10 0f 88 00 01 00 00 48 83 c4 10 5b e9 00 01 00 00";
    assert_eq!(
        out(code),
        [(5, 0x10b, Some(24), true), (16, 0x115, Some(0), false)]
    );
    // push %rbp; mov %rsp,%rbp; sub %rax,%rsp; leave; jmp out
    assert_eq!(
        out("55 48 89 e5 48 29 c4 c9 e9 00 01 00 00"),
        [(8, 0x10d, Some(0), false)]
    );
    // The same by `lea -8(%rbp),%rsp; pop %rbx; pop %rbp`, with `push %rbx` behind the second.
    assert_eq!(
        out("55 48 89 e5 53 48 29 c4 48 8d 65 f8 5b 5d e9 00 01 00 00"),
        [(14, 0x113, Some(0), false)]
    );
    // and $-32,%rsp; jmp out
    assert_eq!(out("48 83 e4 e0 e9 00 01 00 00"), [(4, 0x109, None, false)]);
    // test; je over; push %rbx; over: jmp out: two ways disagree.
    assert_eq!(
        out("85 c0 74 01 53 e9 00 01 00 00"),
        [(5, 0x10a, None, false)]
    );
}

#[test]
fn a_tail_call_is_an_exit_where_it_is_known_as_one() {
    let code = "85 c0 74 06 90 e9 00 01 00 00 90 c3";
    assert_eq!(
        left_by(code, &[5]),
        Ok(vec![emulated(5, 0), emulated(10, 0)])
    );
    assert_eq!(left_by(code, &[]), Err(Refusal::Leaves));
    // je out; ret
    assert_eq!(left_by("74 40 c3", &[]), Err(Refusal::Conditional));
    // push; ret: no function does.
    assert_eq!(left_by("53 c3", &[]), Err(Refusal::Depth));
    // dec %edi; jne to the first byte; ret
    assert_eq!(left_by("ff cf 75 fc c3", &[]), Err(Refusal::Loops));
}

#[test]
fn a_jump_through_a_pointer_is_an_exit_where_the_pointer_is_one() {
    // mov 8(%rdi),%rax; jmp *%rax
    assert_eq!(left_by("48 8b 47 08 ff e0", &[]), Ok(vec![stepped(4)]));
    // jmp *%rsi; jmp *16(%rdi); jmp *0(%rip)
    for code in ["ff e6", "ff 67 10", "ff 25 00 00 00 00"] {
        assert_eq!(left_by(code, &[]), Ok(vec![stepped(0)]), "{code}");
    }
    // By a number: jmp *(%rdi,%rax,8); mov (%rdi,%rax,8),%rax; jmp *%rax
    for code in ["ff 24 c7", "48 8b 04 c7 ff e0"] {
        assert_eq!(left_by(code, &[]), Err(Refusal::Switch), "{code}");
    }
    // With something on the stack; with code behind it that nothing leads to.
    assert_eq!(left_by("53 ff e6", &[]), Err(Refusal::Pointer));
    assert_eq!(left_by("ff e6 31 c0 c3", &[]), Err(Refusal::Pointer));
    assert_eq!(left_by("ff e6 90 cc", &[]), Ok(vec![stepped(0)]));
}

#[test]
fn what_leads_back_is_a_part() {
    let part = |hex: &str| leads((0x100, &bytes(hex)), 0x100, 0x20, &[]);
    // jmp to +0x10; to +0; ret; call and a trap
    let to = |at: i32| {
        let [a, b, c, d] = (at - 0x105).to_le_bytes();
        format!("e9 {a:02x} {b:02x} {c:02x} {d:02x}")
    };
    let is = |back, away| Leads { back, away };
    assert_eq!(part(&to(0x10)), is(true, true));
    assert_eq!(part(&to(0)), is(false, true));
    assert_eq!(part("c3"), is(false, true));
    assert_eq!(part("e8 00 10 00 00 0f 0b"), is(false, false));
}

#[test]
fn the_end_of_an_unwinder_is_a_landing() {
    let at = |hex: &str| landings(&bytes(hex), &[]).0;
    // mov %rcx,%rsp; pop %rcx; jmp *%rcx, and mov %r8,%rsp; mov %r9,%rbp; jmp *%rdx: libgcc's, glibc's.
    assert_eq!(at("48 89 cc 59 ff e1"), [stepped(4)]);
    assert_eq!(at("4c 89 c4 4c 89 cd ff e2"), [stepped(6)]);
    let returning = Place {
        depth: 8,
        ..stepped(3)
    };
    assert_eq!(at("48 89 cc c3"), [returning]);
    // mov %rbp,%rsp; pop %rbp; ret
    assert_eq!(at("48 89 ec 5d c3"), []);
    assert_eq!(at("ff e1"), []);
}
