//! Code that reading one instruction behind the other misreads. Each place below would be another one then, mostly inside
//! of an instruction.

use super::{bytes, emulated, ending_in, entry, stepped};
use cirron_common::operand::Convention;

use crate::probes::place::reached::MAX_INSTRUCTIONS;
use crate::probes::place::{
    Choice, Place, Refusal, Switch, SwitchTable, Ways, around_call, exits, returns, switch_tables,
};

fn left(code: &[u8]) -> Result<Vec<Place>, Refusal> {
    exits(code, &Ways::default(), Choice::Cheapest)
}

#[test]
fn data_that_is_jumped_over_is_no_code() {
    // jmp L; .byte 0x48; L: ret. Read on, `48 c3` is a return of its own.
    assert_eq!(left(&bytes("eb 01 48 c3")), Ok(vec![stepped(3)]));
    // jmp L; .byte 0x06, which is no instruction; L: ret
    assert_eq!(left(&bytes("eb 01 06 c3")), Ok(vec![stepped(3)]));
}

#[test]
fn data_behind_a_call_that_does_not_return_is_no_code() {
    // test %edi,%edi; je L; call abort; data; L: ret
    let code = |data: &str| bytes(&format!("85 ff 74 06 e8 00 10 00 00 {data} c3"));
    // No instruction; the beginning of one that goes over L.
    for data in ["06", "48", "b8"] {
        assert_eq!(left(&code(data)), Ok(vec![stepped(10)]), "{data}");
    }
    // It may be code: then it has a place.
    assert_eq!(left(&code("c3")), Ok(vec![stepped(9), stepped(10)]));
    // At the end of a function there is nothing behind it.
    assert_eq!(
        left(&bytes("85 ff 74 05 e8 00 10 00 00 c3")),
        Ok(vec![stepped(9)])
    );
    assert_eq!(left(&bytes("e8 00 10 00 00")), Err(Refusal::NoReturn));
}

#[test]
fn a_return_in_the_middle_of_an_instruction_is_refused() {
    // je into `mov $0xc3,%eax`, at its operand
    let code = bytes("74 01 b8 c3 00 00 00 c3");
    assert_eq!(left(&code), Err(Refusal::Inside));
    // An entry is the first instruction at worst; where somebody jumps into that, there is none.
    // mov $0x9090c3,%eax; jmp to its operand
    let code = bytes("b8 c3 90 90 00 eb fa");
    assert_eq!(left(&code), Err(Refusal::Inside));
}

#[test]
fn the_place_before_a_return_is_the_return_where_it_may_be_inside_of_an_instruction() {
    // test %edi,%edi; je into `mov $0x90,%cl`, at its operand; mov $0x90,%cl; ret
    let code = bytes("85 ff 74 01 b1 90 c3");
    assert_eq!(left(&code), Ok(vec![stepped(6)]));
}

#[test]
fn bytes_that_are_no_instruction_end_it() {
    assert_eq!(left(&bytes("90 06 c3")), Err(Refusal::NoCode));
    assert_eq!(left(&[]), Err(Refusal::NoReturn));
    // It goes on behind its last byte.
    assert_eq!(left(&bytes("90 90")), Err(Refusal::Leaves));
    assert_eq!(left(&bytes("74 01 c3")), Err(Refusal::Leaves));
}

#[test]
fn what_two_parts_of_a_function_do_to_each_other_is_seen() {
    // nop; ret; the part far away jumps to the return, past the nop.
    let code = bytes("74 3e 90 c3");
    let far = |jump: &str| ending_in(&[(0x40, bytes(jump))]);
    let places = |ways: &Ways| exits(&code, ways, Choice::Cheapest);
    assert_eq!(places(&far("c3")), Ok(vec![emulated(2, 0), stepped(0x40)]));
    assert_eq!(places(&far("eb c1")), Ok(vec![stepped(3)]));
}

#[test]
fn padding_and_what_lies_in_it_has_no_call() {
    // ret; nopl with the bytes of a call; another function's call
    let code = bytes("c3 0f 1f 80 e8 00 00 00 e8 00 00 00 00 c3");
    for at in [4, 8] {
        let place = around_call(&code, &[], at, Choice::Cheapest);
        assert_eq!(place, Err(Refusal::Unreached), "{at}");
    }
    // jmp over the first two bytes of a cut `nopl`; call; ret
    let code = bytes("eb 02 0f 1f e8 00 00 00 00 c3");
    assert_eq!(
        around_call(&code, &[], 4, Choice::Cheapest),
        Ok((emulated(4, 0), stepped(9)))
    );
}

#[test]
fn a_call_that_is_also_the_middle_of_an_instruction_is_refused() {
    // je into `mov $0x...e8,%eax`; the operand is a call, behind it a return.
    let code = bytes("74 01 b8 e8 00 00 00 00 c3");
    assert_eq!(
        around_call(&code, &[], 3, Choice::Cheapest),
        Err(Refusal::Inside)
    );
}

/// cmp $1,%edi; ja D; lea T,%rdx; mov %edi,%eax; movslq (%rdx,%rax,4),%rax; add %rdx,%rax; jmp *%rax;
/// T: .long A-T, B-T; A: ret; B: nop; ret; D: ret
pub(in crate::probes) const SWITCH: &str = "83 ff 01 77 1d 48 8d 15 0b 00 00 00 89 f8 48 63 04 82 48 01 d0 ff e0 08 00 00 00 09 00 00 00 c3 90 c3 c3";
/// What it is, read.
pub(in crate::probes) fn switch() -> Switch {
    Switch {
        jump: 21,
        targets: vec![31, 32],
    }
}

#[test]
fn a_switch_leads_to_its_cases() {
    let code = bytes(SWITCH);
    let table = SwitchTable {
        jump: 21,
        at: 23,
        len: 2,
    };
    assert_eq!(switch_tables(0, &code, &[]), [table]);
    assert_eq!(switch_tables(0, &code, &[switch()]), []);
    assert_eq!(left(&code), Err(Refusal::Switch), "its table was not read");
    let ways = Ways {
        switches: vec![switch()],
        ..Ways::default()
    };
    // The table between is no code. The nop is the second case's own.
    assert_eq!(
        exits(&code, &ways, Choice::Cheapest),
        Ok(vec![stepped(31), emulated(32, 0), stepped(34)])
    );
    // A case elsewhere is a way out.
    let ways = Ways {
        switches: vec![Switch {
            jump: 21,
            targets: vec![31, 32, 0x1000],
        }],
        ..Ways::default()
    };
    assert_eq!(exits(&code, &ways, Choice::Cheapest), Err(Refusal::Leaves));
}

#[test]
fn a_switch_whose_table_is_not_plain_to_see_is_not_understood() {
    let code = bytes(SWITCH);
    for (at, other, what) in [
        (3, 0x74, "`je` is no bound"),
        (0, 0x85, "`test` compares with nothing"),
        (6, 0x8b, "the table's address is read from memory"),
    ] {
        let mut code = code.clone();
        code[at] = other;
        assert_eq!(switch_tables(0, &code, &[]), [], "{what}");
    }
    // jae lets one less through than ja.
    let mut one = code;
    one[3] = 0x73;
    let tables = switch_tables(0, &one, &[]);
    assert_eq!(tables.iter().map(|t| t.len).collect::<Vec<_>>(), [1]);
}

#[test]
fn go_s_runtime_goes_on_where_its_table_says() {
    // ret; call deferreturn; ret
    let code = bytes("c3 e8 00 10 00 00 c3");
    assert_eq!(returns(&code, &Ways::default()), Ok(vec![stepped(0)]));
    let ways = Ways {
        entries: vec![1],
        ..Ways::default()
    };
    assert_eq!(returns(&code, &ways), Ok(vec![stepped(0), stepped(6)]));
    assert_eq!(
        returns(&bytes("ff e0 c3"), &Ways::default()),
        Err(Refusal::Pointer)
    );
}

#[test]
fn code_that_is_too_large_is_not_followed() {
    let mut code = vec![0x90; MAX_INSTRUCTIONS - 1];
    code.push(0xc3);
    assert!(left(&code).is_ok());
    code.insert(0, 0x90);
    assert_eq!(left(&code), Err(Refusal::TooLarge));
}

/// Functions of random blocks with junk between them: each place is where an instruction was put, and each return is found.
#[test]
fn whatever_lies_between_blocks_of_code() {
    const SIMPLE: [&str; 6] = [
        "53",
        "5b",
        "90",
        "b8 c3 e8 90 c3",
        "85 ff",
        "0f 1f 44 00 c3",
    ];
    let mut x = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 33) as usize % below
    };
    for _ in 0..2_000 {
        let (mut code, mut begins, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..4 {
            for _ in 0..random(4) {
                begins.push(code.len() as i64);
                code.extend(bytes(SIMPLE[random(SIMPLE.len())]));
            }
            let junk: Vec<u8> = (0..random(9)).map(|_| random(256) as u8).collect();
            let over = u8::try_from(junk.len()).unwrap();
            begins.push(code.len() as i64);
            match random(2) {
                // jmp over the junk
                0 => code.extend([0xeb, over]),
                // je over a return and the junk
                _ => {
                    code.extend([0x74, over + 1]);
                    begins.push(code.len() as i64);
                    ends.push(code.len() as i64);
                    code.push(0xc3);
                }
            }
            code.extend(junk);
        }
        begins.push(code.len() as i64);
        ends.push(code.len() as i64);
        code.push(0xc3);
        let found = left(&code).unwrap();
        assert!(
            found.iter().all(|p| begins.contains(&p.offset)),
            "{code:02x?} {found:?}"
        );
        let plain = exits(&code, &Ways::default(), Choice::Plain).unwrap();
        let plain: Vec<i64> = plain.iter().map(|p| p.offset).collect();
        assert_eq!(plain, ends, "{code:02x?}");
        let entry = entry(&code, Convention::SystemV, &[0], Choice::Cheapest);
        assert!(begins.contains(&entry.offset), "{code:02x?} {entry:?}");
    }
}
