#![expect(clippy::unwrap_used, reason = "tests")]

pub(in crate::probes) mod call;
mod leaving;
mod methods;
pub(in crate::probes) mod reached;
pub(in crate::probes) mod real;
mod result;

use cirron_common::operand::{Convention, Operand};

use super::{Choice, Class, Kept, Place, Refusal, Ways, exits, returns};

/// What an entry keeps that reads the arguments of these positions.
fn kept(convention: Convention, needs: &[u8]) -> Kept {
    let operands: Vec<Operand> = needs.iter().map(|n| convention.argument(*n)).collect();
    Kept::for_operands(operands.iter())
}

/// The entry of a function whose own bytes tell all.
fn entry(code: &[u8], convention: Convention, needs: &[u8], choice: Choice) -> Place {
    super::entry(code, &Ways::default(), &kept(convention, needs), choice).unwrap()
}

/// Where code without a `switch` leads.
fn leaves(at: i64, code: &[u8]) -> Vec<i64> {
    super::leaves(at, code, &[])
}

pub(in crate::probes) fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}

pub(in crate::probes) fn ending_in(code: &[(i64, Vec<u8>)]) -> Ways {
    Ways {
        code: code.to_vec(),
        ..Ways::default()
    }
}

fn emulated(offset: i64, depth: u32) -> Place {
    Place {
        offset,
        class: Class::Emulated,
        depth,
    }
}

fn stepped(offset: i64) -> Place {
    Place {
        offset,
        class: Class::Stepped,
        depth: 0,
    }
}

/// Debian 12's `libssl.so.3` (3.0): `sub`, the stack protector, `js` at +0x16; its `jne` at +0x38.
const SSL_READ: &str = "48 83 ec 18 64 48 8b 04 25 28 00 00 00 48 89 44 24 08 31 c0 85 d2 78 2f 48 89 e1 48 63 d2 e8 3d fe ff ff 85 c0 7e 03 8b 04 24 48 8b 54 24 08 64 48 2b 14 25 28 00 00 00 75 44 48 83 c4 18 31 d2 31 c9 31 f6 31 ff c3 e8 44 9f fe ff 48 8d 15 05 d5 04 00 be 4c 07 00 00 48 8d 3d 62 cc 04 00 e8 2c a6 fe ff 31 c0 31 d2 be 0f 01 00 00 bf 14 00 00 00 e8 49 a4 fe ff b8 ff ff ff ff eb ac e8 3d b1 fe ff";

/// The same: a `call` at +4, and nothing cheap behind it.
const SSL_READ_EX: &str =
    "48 83 ec 08 e8 c7 fd ff ff 31 d2 85 c0 0f 48 c2 48 83 c4 08 31 d2 31 c9 31 f6 31 ff c3";

/// The same: begins with `push %rbx`, ends with a jump into another function.
const SSL_SET_ACCEPT_STATE: &str = "53 48 89 fb c7 47 38 01 00 00 00 c7 47 44 00 00 00 00 e8 19 cf 02 00 48 8b 43 08 48 89 df 48 8b 40 28 48 89 43 30 e8 25 ea ff ff 48 8d bb 60 08 00 00 e8 a9 fc ff ff 48 8d bb 90 08 00 00 5b e9 9c fc ff ff";

#[test]
fn openssl_s_read_is_entered_at_its_first_jump_and_left_at_its_stack_guard() {
    let code = bytes(SSL_READ);
    assert_eq!(
        entry(&code, Convention::SystemV, &[0, 1], Choice::Cheapest),
        emulated(0x16, 0x18)
    );
    assert_eq!(
        exits(&code, &Ways::default(), Choice::Cheapest).unwrap(),
        [emulated(0x38, 0x18)]
    );
}

#[test]
fn openssl_s_read_ex_is_entered_at_its_call_and_left_at_its_return() {
    let code = bytes(SSL_READ_EX);
    assert_eq!(
        entry(&code, Convention::SystemV, &[0, 1, 3], Choice::Cheapest),
        emulated(4, 8)
    );
    assert_eq!(
        exits(&code, &Ways::default(), Choice::Cheapest).unwrap(),
        [stepped(0x1c)]
    );
}

#[test]
fn a_push_at_the_start_is_taken_and_a_tail_call_is_no_exit() {
    let code = bytes(SSL_SET_ACCEPT_STATE);
    assert_eq!(
        entry(&code, Convention::SystemV, &[0], Choice::Cheapest),
        emulated(0, 0)
    );
    assert_eq!(
        exits(&code, &Ways::default(), Choice::Cheapest),
        Err(Refusal::Leaves)
    );
}

/// Go 1.27's `crypto/tls.(*Conn).Read`, its beginning and its end: the check of the stack's end comes first, and what gets
/// more stack stands last.
const GO_READ: &str =
    "49 3b 66 10 0f 86 09 00 00 00 55 48 89 e5 48 83 ec 58 c3 e8 00 10 00 00 eb e6";

#[test]
fn a_go_function_is_entered_at_its_stack_check_and_left_at_each_return() {
    let code = bytes(GO_READ);
    assert_eq!(
        entry(&code, Convention::Go, &[0, 1], Choice::Cheapest),
        emulated(4, 0)
    );
    assert_eq!(returns(&code, &Ways::default()).unwrap(), [stepped(0x12)]);
}

/// Debian 12's libgnutls (3.7): a `je` at +0xe, a `ret` at +0x2c, a jump into another function.
const GNUTLS_RECORD_RECV: &str = "48 83 ec 08 80 bf b8 06 00 00 00 48 89 d1 74 40 f6 87 68 11 00 00 01 74 17 48 89 f2 be 17 00 00 00 e8 5a 73 05 00 48 98 48 83 c4 08 c3 0f 1f 00 44 8b 8f 70 07 00 00 48 89 f2 45 31 c0 be 17 00 00 00 48 83 c4 08 e9 25 ee ff ff 0f 1f 44 00 00 eb fe";

#[test]
fn a_function_that_ends_in_another_is_left_there_too() {
    let code = bytes(GNUTLS_RECORD_RECV);
    assert_eq!(
        entry(&code, Convention::SystemV, &[0, 1], Choice::Cheapest),
        emulated(0xe, 8)
    );
    assert_eq!(leaves(0, &code), [-0x1190]);
    assert_eq!(
        exits(&code, &Ways::default(), Choice::Cheapest),
        Err(Refusal::Leaves)
    );
    // push %rbx; pop %rbx; ret: nothing but the return tells whose it is.
    let tail = (-0x1190, bytes("53 5b c3"));
    assert_eq!(
        exits(&code, &ending_in(&[tail]), Choice::Cheapest).unwrap(),
        [stepped(0x2c), stepped(-0x118e)]
    );
}

#[test]
fn an_indirect_jump_leaves_the_function() {
    // mov (%rdi),%rax; jmp *%rax; ret
    assert_eq!(
        exits(
            &bytes("48 8b 07 ff e0 c3"),
            &Ways::default(),
            Choice::Cheapest
        ),
        Err(Refusal::Pointer)
    );
}

#[test]
fn the_plain_places_are_the_symbol_and_the_returns() {
    let code = bytes(SSL_READ);
    assert_eq!(
        entry(&code, Convention::SystemV, &[0, 1], Choice::Plain),
        stepped(0)
    );
    assert_eq!(
        exits(&code, &Ways::default(), Choice::Plain).unwrap(),
        [stepped(0x46)]
    );
}

#[test]
fn endbr64_is_passed_over() {
    // endbr64; push %rbp; ret
    assert_eq!(
        entry(
            &bytes("f3 0f 1e fa 55 c3"),
            Convention::SystemV,
            &[0],
            Choice::Cheapest
        ),
        emulated(4, 0)
    );
}

#[test]
fn an_argument_that_is_overwritten_keeps_the_probe_at_the_symbol() {
    // mov %rsi,%rdi; push %rbx; ret
    let code = bytes("48 89 f7 53 c3");
    assert_eq!(
        entry(&code, Convention::SystemV, &[0], Choice::Cheapest),
        stepped(0)
    );
    assert_eq!(
        entry(&code, Convention::SystemV, &[1], Choice::Cheapest),
        emulated(3, 0)
    );
    // xor %edi,%edi clears the whole register.
    assert_eq!(
        entry(
            &bytes("31 ff 53 c3"),
            Convention::SystemV,
            &[0],
            Choice::Cheapest
        ),
        stepped(0)
    );
}

#[test]
fn an_argument_on_the_stack_keeps_the_probe_before_what_may_write_there() {
    let at = |code: &str, needs| entry(&bytes(code), Convention::SystemV, needs, Choice::Cheapest);
    // push %rbx; mov %rdi,0x10(%rsp); push %rbp; ret
    assert_eq!(at("53 48 89 7c 24 10 55 c3", &[6]), emulated(0, 0));
    // mov %rdi,0x8(%rsp); push %rbx; ret: home of the seventh argument, or of nothing.
    assert_eq!(at("48 89 7c 24 08 53 c3", &[6]), stepped(0));
    assert_eq!(at("48 89 7c 24 08 53 c3", &[0]), emulated(5, 0));
    // sub $8,%rsp; mov 0x10(%rsp),%rax; push %rbx: memory is read only, and the stack pointer's way is known.
    assert_eq!(at("48 83 ec 08 48 8b 44 24 10 53 c3", &[6]), emulated(9, 8));
}

#[test]
fn what_an_operand_in_memory_is_found_by_is_kept_as_well() {
    use cirron_common::operand::Register::{Rbx, Rdi, Rip};
    let place = |code: &str, operand: Operand| {
        let kept = Kept::for_operands([operand].iter());
        super::entry(&bytes(code), &Ways::default(), &kept, Choice::Cheapest).unwrap()
    };
    // xor %ebx,%ebx; push %rbx; ret
    let code = "31 db 53 c3";
    let indexed = Operand::memory(Rdi, 8).indexed(Rbx, 3);
    assert_eq!(place(code, indexed), stepped(0));
    for operand in [
        Operand::memory(Rdi, 8),
        Operand::memory(Rip, 8),
        Operand::constant(1),
    ] {
        assert_eq!(place(code, operand), emulated(2, 0));
    }
}

#[test]
fn a_place_in_a_loop_is_not_taken() {
    // xor %eax,%eax; L: push %rbx; pop %rbx; jne L; ret
    assert_eq!(
        entry(
            &bytes("31 c0 53 5b 75 fc c3"),
            Convention::SystemV,
            &[0],
            Choice::Cheapest
        ),
        stepped(0)
    );
}

#[test]
fn a_return_that_others_jump_to_keeps_its_own_place() {
    // test %edi,%edi; je L; push %rax; nop; L: ret
    let code = bytes("85 ff 74 02 50 90 c3");
    assert_eq!(
        exits(&code, &Ways::default(), Choice::Cheapest).unwrap(),
        [stepped(6)]
    );
    // Without the jump the nop does.
    assert_eq!(
        exits(&bytes("85 ff 50 90 c3"), &Ways::default(), Choice::Cheapest).unwrap(),
        [emulated(3, 0)]
    );
}

#[test]
fn a_result_that_is_written_late_keeps_the_return() {
    // nop; mov $1,%eax; ret
    assert_eq!(
        exits(
            &bytes("90 b8 01 00 00 00 c3"),
            &Ways::default(),
            Choice::Cheapest
        )
        .unwrap(),
        [stepped(6)]
    );
}

#[test]
fn any_bytes_give_an_answer() {
    for seed in 0_u64..2000 {
        let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let code: Vec<u8> = (0..40)
            .map(|_| {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                x.to_le_bytes()[3]
            })
            .collect();
        let ways = Ways::default();
        let entry = super::entry(
            &code,
            &ways,
            &kept(Convention::SystemV, &[0, 1, 2]),
            Choice::Cheapest,
        );
        assert!(entry.is_ok_and(|place| place.offset < 40) || entry.is_err());
        let exits = exits(&code, &ways, Choice::Cheapest).unwrap_or_default();
        assert!(exits.iter().all(|place| (0..40).contains(&place.offset)));
    }
}
