//! A call in the middle of a function that has no symbol.

use super::real::OPENSSL_3_6_WRITE_EX;
use super::{SSL_READ, SSL_READ_EX, bytes, emulated, kept, stepped};
use cirron_common::operand::Convention;

use crate::probes::place::{self, Choice, Place, Refusal, hands_to};

/// Of a caller without a `switch`.
fn around_call(code: &[u8], at: i64, choice: Choice) -> Result<(Place, Place), Refusal> {
    place::around_call(code, &[], at, choice)
}

/// `ssl_read` of OpenSSL's filter (`bio_ssl.c`), of Debian 12's `libssl.so.3` (3.0), whole: at +0x49 it
/// calls what `SSL_read_ex` calls.
pub(in crate::probes) const OPENSSL_3_0_FILTER_READ: &str = "41 57 41 56 41 55 41 54 55 31 ed 53 48 83 ec 18 48 89 54 24 08 48 85 f6 74 7e 49 89 f4 49 89 cd 48 89 fb e8 f8 e7 ff ff be 0f 00 00 00 48 89 df 4c 8b 30 49 89 c7 e8 95 e0 ff ff 48 8b 54 24 08 4c 89 e6 4c 89 e9 4c 89 f7 e8 92 24 01 00 4c 89 f7 89 c6 89 c5 e8 16 c7 ff ff 83 f8 08 77 29 48 8d 15 5a 94 05 00 89 c0 48 63 04 82 48 01 d0 ff e0 0f 1f 80 00 00 00 00 be 09 00 00 00 48 89 df e8 3b c4 ff ff 0f 1f 00 31 f6 66 0f 1f 44 00 00 48 89 df e8 88 c7 ff ff 48 83 c4 18 89 e8 5b 5d 41 5c 41 5d 41 5e 41 5f 31 d2 31 c9 31 f6 31 ff c3 0f 1f 80 00 00 00 00 49 8b 57 10 48 85 d2 0f 84 ab 00 00 00 49 8b 45 00 49 03 47 18 49 89 47 18 48 39 c2 0f 83 96 00 00 00 41 83 47 08 01 4c 89 f7 49 c7 47 18 00 00 00 00 e8 d1 da ff ff eb 97 0f 1f 80 00 00 00 00 be 0a 00 00 00 48 89 df e8 bb c3 ff ff eb 81 66 0f 1f 84 00 00 00 00 00 be 0c 00 00 00 48 89 df e8 a3 c3 ff ff be 01 00 00 00 e9 69 ff ff ff 66 0f 1f 84 00 00 00 00 00 be 0c 00 00 00 48 89 df e8 83 c3 ff ff be 02 00 00 00 e9 49 ff ff ff 66 0f 1f 84 00 00 00 00 00 be 0c 00 00 00 48 89 df e8 63 c3 ff ff be 03 00 00 00 e9 29 ff ff ff 66 0f 1f 84 00 00 00 00 00 49 83 7f 20 00 0f 84 0d ff ff ff 31 ff e8 5e d2 ff ff 49 8b 57 20 49 03 57 28 48 39 c2 0f 83 f5 fe ff ff 41 83 47 08 01 4c 89 f7 49 89 47 28 e8 1c da ff ff e9 df fe ff ff";

#[test]
fn what_a_function_hands_its_own_arguments_to_is_told() {
    let handed = |code: &str, needs| hands_to(&bytes(code), &kept(Convention::SystemV, needs));
    assert_eq!(handed(SSL_READ_EX, &[0, 1, 3]), Some(9 - 0x239));
    // `SSL_read` gives a count's place of its own.
    assert_eq!(handed(SSL_READ, &[0, 1, 3]), None);
    // A jump is no call.
    assert_eq!(handed(OPENSSL_3_6_WRITE_EX, &[0, 1]), None);
    // An argument on the stack is its own.
    assert_eq!(handed(SSL_READ_EX, &[0, 6]), None);
    assert_eq!(handed("53 5b c3", &[0]), None);
    assert_eq!(handed("", &[0]), None);
}

#[test]
fn a_call_is_entered_on_itself_and_left_at_the_next_call() {
    let code = bytes(OPENSSL_3_0_FILTER_READ);
    // Behind it: `mov %r14,%rdi; mov %eax,%esi; mov %eax,%ebp; call`.
    assert_eq!(
        around_call(&code, 0x49, Choice::Cheapest),
        Ok((emulated(0x49, 0), emulated(0x55, 0)))
    );
    assert_eq!(
        around_call(&code, 0x49, Choice::Plain),
        Ok((emulated(0x49, 0), stepped(0x4e)))
    );
}

#[test]
fn a_call_whose_result_is_overwritten_at_once_is_left_right_behind_it() {
    // call; mov $0,%eax; nop; ret
    let code = bytes("e8 00 00 00 00 b8 00 00 00 00 90 c3");
    assert_eq!(
        around_call(&code, 0, Choice::Cheapest),
        Ok((emulated(0, 0), stepped(5)))
    );
    // call; test %eax,%eax; jne back to the call
    let code = bytes("e8 00 00 00 00 85 c0 75 f7 c3");
    assert_eq!(
        around_call(&code, 0, Choice::Cheapest),
        Ok((emulated(0, 0), emulated(7, 0)))
    );
    // The same, but others jump in between.
    let code = bytes("e8 00 00 00 00 89 c3 85 c0 75 fc c3");
    assert_eq!(
        around_call(&code, 0, Choice::Cheapest),
        Ok((emulated(0, 0), stepped(5)))
    );
}

#[test]
fn where_no_call_begins_there_is_no_place() {
    let code = bytes(OPENSSL_3_0_FILTER_READ);
    for (at, why) in [
        (0, Refusal::NoCall),
        (0x48, Refusal::Unreached),
        (0x4a, Refusal::Unreached),
        (0x4e, Refusal::NoCall),
        (0x1000, Refusal::Unreached),
    ] {
        let place = around_call(&code, at, Choice::Cheapest);
        assert_eq!(place, Err(why), "{at:#x}");
    }
    // It is the last instruction: it does not return.
    assert_eq!(
        around_call(&bytes("90 e8 00 00 00 00"), 1, Choice::Cheapest),
        Err(Refusal::Unreached)
    );
}
