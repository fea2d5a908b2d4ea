#![expect(clippy::unwrap_used, reason = "tests")]

use cirron_common::tls::op;

use super::{Attach, Plan, summary};
use crate::probes::locate::Located;
use crate::probes::locate::call_site::HiddenCall;
use crate::probes::locate::symbol::Found;
use crate::probes::place::tests::call::OPENSSL_3_0_FILTER_READ;
use crate::probes::place::tests::{bytes, ending_in, real};
use crate::probes::place::{Choice, Ways};
use crate::probes::tls::functions::{HIDDEN, Moves, named};

fn found(name: &str, offset: u64, code: &str) -> Found {
    Found {
        function: named(name).unwrap(),
        address: offset,
        offset,
        code: bytes(code),
        ways: Ways::default(),
    }
}

fn decided(functions: &[Found], choice: Choice) -> Plan {
    let symbols = Located {
        functions: functions.to_vec(),
        ..Located::default()
    };
    super::decide(&symbols, choice).0
}

fn watched(plan: Plan) -> Vec<Attach> {
    match plan {
        Plan::Watch(functions) => functions,
        Plan::Nothing | Plan::Unfollowed => panic!("{plan:?}"),
    }
}

fn names(functions: &[Attach]) -> Vec<&str> {
    functions.iter().map(|a| a.function.name).collect()
}

/// As they lie in OpenSSL 3.6.
fn newest() -> Vec<Found> {
    let mut write_ex = found("SSL_write_ex", 0x3fdd0, real::OPENSSL_3_6_WRITE_EX);
    write_ex.ways = ending_in(&[(-0x30, bytes(real::OPENSSL_3_6_WRITE_EX2))]);
    vec![
        found("SSL_read_ex", 0x3f590, real::OPENSSL_3_6_READ_EX),
        write_ex,
        found("SSL_write_ex2", 0x3fda0, real::OPENSSL_3_6_WRITE_EX2),
    ]
}

#[test]
fn a_function_that_is_a_jump_to_another_is_left_to_that_one() {
    let functions = watched(decided(&newest(), Choice::Cheapest));
    assert_eq!(names(&functions), ["SSL_read_ex", "SSL_write_ex2"]);
    assert_eq!(
        summary(&functions),
        "4 places in 2 functions, 2 emulated, 2 single-stepped"
    );
    // Others watch every symbol.
    assert_eq!(watched(decided(&newest(), Choice::Plain)).len(), 3);
    // Alone, it is watched where it ends.
    let alone = newest()
        .into_iter()
        .filter(|f| f.function.name != "SSL_write_ex2");
    let functions = watched(decided(&alone.collect::<Vec<_>>(), Choice::Cheapest));
    assert_eq!(names(&functions), ["SSL_read_ex", "SSL_write_ex"]);
}

#[test]
fn half_a_conversation_is_not_watched_but_named() {
    let read = || found("SSL_read", 0x1000, real::OPENSSL_1_0_READ);
    let others = || vec![found("SSL_free", 0x2000, "53 5b c3")];
    let all = |more: Vec<Found>| [others(), more].concat();
    assert!(matches!(
        decided(&all(vec![read()]), Choice::Cheapest),
        Plan::Unfollowed
    ));
    let write = found("SSL_write_ex2", 0x3000, real::OPENSSL_3_6_WRITE_EX2);
    assert!(matches!(
        decided(&all(vec![read(), write.clone()]), Choice::Cheapest),
        Plan::Unfollowed
    ));
    // Another function that reads is enough: which one is called is not known.
    let ex = found("SSL_read_ex", 0x4000, real::OPENSSL_3_6_READ_EX);
    let functions = watched(decided(&all(vec![read(), write, ex]), Choice::Cheapest));
    assert_eq!(
        names(&functions),
        ["SSL_free", "SSL_write_ex2", "SSL_read_ex"]
    );
    assert!(matches!(decided(&[], Choice::Cheapest), Plan::Nothing));
}

/// OpenSSL's filter goes around the exported functions: it is watched where it calls what is behind
/// them.
#[test]
fn a_call_of_what_is_behind_the_exported_functions_is_watched() {
    let hidden = HIDDEN.iter().find(|h| h.door == "SSL_read_ex").unwrap();
    let call = |at| HiddenCall {
        function: &hidden.function,
        offset: 0x22db0,
        code: bytes(OPENSSL_3_0_FILTER_READ),
        switches: Vec::new(),
        at,
    };
    // The second is none: it was the operand of another instruction.
    let symbols = Located {
        functions: newest(),
        calls: vec![call(0x49), call(0x4a)],
        go: None,
    };
    let functions = watched(super::decide(&symbols, Choice::Cheapest).0);
    assert_eq!(
        names(&functions),
        ["SSL_read_ex", "SSL_write_ex2", "ssl_read_internal"]
    );
    let last = functions.last().unwrap();
    assert_eq!(last.offset, 0x22db0);
    assert_eq!(
        last.to_string(),
        "ssl_read_internal at +0x49 (emulated), 1 exits (0 single-stepped)"
    );
}

/// Its newest releases can be had nowhere where this was written: this is what its list of exported
/// symbols and its sources say. `SSL_read` ends in `ssl3_read`, another function of the file. For an
/// old release see `place::tests::methods`.
#[test]
fn libressl_has_openssl_s_symbols_and_ends_its_reads_in_a_function_of_its_own() {
    for (name, moves) in [
        ("SSL_read", Some(Moves::In)),
        ("SSL_read_ex", Some(Moves::In)),
        ("SSL_read_early_data", Some(Moves::In)),
        ("SSL_write", Some(Moves::Out)),
        ("SSL_write_ex", Some(Moves::Out)),
        ("SSL_write_early_data", Some(Moves::Out)),
        ("SSL_do_handshake", None),
        ("SSL_accept", None),
        ("SSL_connect", None),
        ("SSL_set_accept_state", None),
        ("SSL_set_connect_state", None),
        ("SSL_shutdown", None),
        ("SSL_clear", None),
        ("SSL_free", None),
    ] {
        assert_eq!(named(name).unwrap().direction(), moves, "{name}");
    }
    // test %edx,%edx; js; jmp to +0x40; mov $-1,%eax; ret
    let mut read = found(
        "SSL_read",
        0x1000,
        "85 d2 78 05 e9 37 00 00 00 b8 ff ff ff ff c3",
    );
    assert!(matches!(
        decided(std::slice::from_ref(&read), Choice::Cheapest),
        Plan::Unfollowed
    ));
    // push %rbx; pop %rbx; ret
    read.ways = ending_in(&[(0x40, bytes("53 5b c3"))]);
    assert_eq!(watched(decided(&[read], Choice::Cheapest)).len(), 1);
}

#[test]
fn sendfile_moves_bytes_out_by_its_returned_length() {
    let function = named("SSL_sendfile").unwrap();
    assert_eq!(function.signature.op, op::SENDFILE);
    assert_eq!(function.direction(), Some(Moves::Out));
    assert!(function.has_exit);
    assert!(function.signature.buffer.is_absent());
}
