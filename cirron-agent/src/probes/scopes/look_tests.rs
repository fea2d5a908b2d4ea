#![expect(clippy::unwrap_used, reason = "tests")]

use cirron_common::operand::{Operand, Register};

use super::*;
use crate::testing;

const PROGRAM: &str = r#"
#include <stdio.h>
__attribute__((noipa)) long leaf(long n, const char *text) { return n > 2 ? n * 3 : text[0]; }
__attribute__((noipa)) long fact(long n) { if (n < 2) return leaf(n, "x") + 1; return n + 3 * fact(n - 1); }
__attribute__((noipa)) long tail(long n) { return leaf(n + 1, "y"); }
__attribute__((noipa)) long by_pointer(long (*f)(long), long n) { return f(n); }
__attribute__((noipa)) long far(long n, long *m) { if (n > 3) { *m = leaf(n, "z"); return tail(n); } return n; }
__asm__(".globl nothing, only_jumps, head, perhaps, forever\n"
    ".type nothing, @function\n nothing: ret\n.size nothing, .-nothing\n"
    ".type only_jumps, @function\n only_jumps: jmp leaf\n.size only_jumps, .-only_jumps\n"
    ".type head, @function\n head: dec %rdi\n jne head\n ret\n.size head, .-head\n"
    ".type perhaps, @function\n perhaps: test %rdi, %rdi\n jne leaf\n ret\n.size perhaps, .-perhaps\n"
    ".type forever, @function\n forever: nop\n 1: jmp 1b\n.size forever, .-forever\n");
int main(int argc, char **argv) { printf("%ld %ld %ld\n", fact(argc), tail(argc), by_pointer(fact, 3)); return far(argc, (long *)argv); }
"#;

fn built(args: &[&str]) -> Option<Vec<u8>> {
    testing::built(PROGRAM, args)
}

fn looked(bytes: &[u8], rules: &[&str]) -> Look {
    let rules: Vec<ScopeRule> = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    let mut pairs: Vec<String> = Vec::new();
    let mut pair = |name: &str| {
        pairs.push(name.to_owned());
        u32::try_from(pairs.len()).unwrap()
    };
    look((&bytes, Path::new("/opt/server")), (&rules, 5), &mut pair)
}

#[test]
fn a_function_has_an_entry_with_its_values_and_every_exit() {
    let Some(bytes) = built(&[]) else {
        return;
    };
    let found = looked(
        &bytes,
        &["server:leaf(n=0,1:str)=work", "server:fact", "other:tail"],
    );
    assert_eq!(found.refused, []);
    for (label, name, rule) in [("leaf", "work", 5), ("fact", "fact", 6)] {
        let of = found.planned.iter().filter(|p| p.label == label);
        let of: Vec<&Planned> = of.collect();
        let (enter, exits) = of.split_last().unwrap();
        assert_eq!((enter.role, enter.is_begin), (role::ENTER, true));
        assert!(!exits.is_empty());
        assert!(exits.iter().all(|p| p.role == role::EXIT && !p.is_begin));
        assert!(of.iter().all(|p| p.name == name && p.rule == Some(rule)));
        assert!(
            of.iter()
                .all(|p| p.shape.pair == enter.shape.pair && p.shape.is_valid())
        );
    }
    let leaf = found
        .planned
        .iter()
        .find(|p| p.role == role::ENTER)
        .unwrap();
    assert_eq!(
        leaf.values,
        [(form::INT, "n".to_owned()), (form::TEXT, "arg1".to_owned())]
    );
    assert_eq!(leaf.shape.operands[1], Operand::register(Register::Rsi));
    let pairs: std::collections::HashSet<u32> =
        found.planned.iter().map(|p| p.shape.pair).collect();
    assert_eq!(pairs.len(), 2, "each function is a pair of its own");
}

/// The bytes at the exits of a function of which `look` knows all.
fn exits_of(bytes: &[u8], name: &str) -> Vec<u8> {
    let found = looked(bytes, &[&format!("server:{name}")]);
    assert_eq!(found.refused, []);
    let exits = found.planned.iter().filter(|p| p.role == role::EXIT);
    let at = |p: &Planned| bytes[usize::try_from(p.offset).unwrap()];
    exits.map(at).collect()
}

#[test]
fn a_jump_to_another_function_is_an_exit() {
    let Some(bytes) = built(&[]) else {
        return;
    };
    // `jmp rel32`, `jmp rel8`; through a pointer one of two bytes or more.
    let tail = exits_of(&bytes, "tail");
    assert!(matches!(tail[..], [0xe9 | 0xeb]), "{tail:x?}");
    let by_pointer = exits_of(&bytes, "by_pointer");
    assert!(matches!(by_pointer[..], [0xff | 0x3e]), "{by_pointer:x?}");
    let far = exits_of(&bytes, "far");
    assert!(
        far.len() > 1 && far.iter().any(|b| matches!(b, 0xe9 | 0xeb)),
        "{far:x?}"
    );
}

#[test]
fn what_has_no_room_for_two_places_or_a_loop_at_its_head_is_refused() {
    let Some(bytes) = built(&[]) else {
        return;
    };
    for (name, why) in [
        ("nothing", place::Refusal::Empty),
        ("only_jumps", place::Refusal::Empty),
        ("head", place::Refusal::Loops),
        ("perhaps", place::Refusal::Conditional),
        ("forever", place::Refusal::NoReturn),
    ] {
        let found = looked(&bytes, &[&format!("server:{name}")]);
        assert_eq!(
            found.refused,
            [(name.to_owned(), Refusal::Place(why))],
            "{name}"
        );
        assert_eq!(found.planned, []);
    }
}

#[test]
fn names_with_a_star_and_an_offset_in_a_stripped_file_are_found() {
    let (Some(bytes), Some(stripped)) = (built(&[]), built(&["-s"])) else {
        return;
    };
    let star = looked(&bytes, &["*:*a*"]);
    let labels: std::collections::BTreeSet<&str> =
        star.planned.iter().map(|p| p.label.as_str()).collect();
    assert!(
        ["leaf", "main"].iter().all(|l| labels.contains(l)),
        "{labels:?}"
    );
    assert_eq!(looked(&stripped, &["server:leaf"]).planned, []);
    let file = &bytes[..];
    let source = Source::new(&file);
    let elf = Elf::read(&source).unwrap();
    let (named, _) = functions(&elf, &super::super::rule::Which::Named("leaf".to_owned()));
    let offset = elf.code_offset_of(named[0].address).unwrap();
    let by_offset = looked(&stripped, &[&format!("server:+{offset:#x}=leaf")]);
    assert!(by_offset.planned.len() > 1, "{by_offset:?}");
    assert_eq!(by_offset.planned[0].name, "leaf");
    let inside = looked(&stripped, &[&format!("server:+{:#x}", offset + 1)]);
    assert_eq!(inside.planned, [], "no function begins there");
}
