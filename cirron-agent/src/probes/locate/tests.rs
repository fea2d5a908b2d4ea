//! A locator that no room beside it knows of; tables that are read from a file.
#![expect(clippy::unwrap_used, reason = "tests")]

use cirron_common::Signature;
use cirron_common::operand::Convention;
use cirron_common::tls::op;

use super::*;
use crate::probes::hostile_tests::Library;
use crate::probes::place::tests::bytes;
use crate::probes::place::tests::reached::{SWITCH, switch};
use crate::probes::place::{Choice, Ways};
use crate::probes::plan::{Plan, plan_with};
use crate::probes::tls::functions::Function;

/// What it looks for: a function behind eight bytes that mark it.
const MARK: &[u8] = b"\x0f\x1f\x84\x00MARK";
const CODE: [u8; 3] = [0x53, 0x5b, 0xc3];

static MARKED: Function = Function {
    name: "marked",
    convention: Convention::SystemV,
    signature: Signature::event(op::FREE, Convention::SystemV.argument(0)),
    has_exit: false,
};

struct Marks;

impl Locator for Marks {
    fn locate(&self, binary: &Binary<'_>, located: &mut Located) {
        let Some(text) = binary.elf.section(".text") else {
            return;
        };
        let bytes = binary.elf.source.piece(text.offset, 48);
        let bytes = bytes.unwrap_or_default();
        let Some(at) = memchr::memmem::find(&bytes, MARK) else {
            return;
        };
        let at = (at + MARK.len()) as u64;
        located.functions.push(Found {
            function: &MARKED,
            address: text.address + at,
            offset: text.offset + at,
            code: CODE.to_vec(),
            ways: Ways::default(),
        });
    }
}

#[test]
fn one_more_locator_is_one_more_row() {
    let mut bytes = Library::new(&[]).bytes;
    let marked = [MARK, &CODE].concat();
    bytes[0x1003..0x1003 + marked.len()].copy_from_slice(&marked);
    let places =
        |locators: &[&dyn Locator]| match plan_with(&&bytes[..], Choice::Cheapest, locators).plan {
            Plan::Watch(functions) => functions.iter().map(|f| f.function.name).collect(),
            Plan::Nothing | Plan::Unfollowed => Vec::new(),
        };
    assert_eq!(places(LOCATORS), [""; 0]);
    let all = [LOCATORS, &[&Marks]].concat();
    assert_eq!(places(&all), ["marked"]);
}

#[test]
fn a_switch_s_table_is_read_from_the_file() {
    let code = bytes(SWITCH);
    let mut file = Library::new(&[]).bytes;
    file[0x1000..0x1000 + code.len()].copy_from_slice(&code);
    let read = |file: &[u8], code: &[u8]| {
        let source = Source::new(&file);
        let elf = Elf::read(&source).unwrap();
        switches::read(&elf, 0x1000, 0, code)
    };
    assert_eq!(read(&file, &code), [switch()]);
    // In a part of a function that lies elsewhere it is the same, from the function.
    let whole = &file[..];
    let source = Source::new(&whole);
    let elf = Elf::read(&source).unwrap();
    let [there] = &switches::read(&elf, 0x1100, -0x100, &code)[..] else {
        panic!("one")
    };
    assert_eq!(
        (there.jump, &there.targets[..]),
        (21 - 0x100, &[31 - 0x100, 32 - 0x100][..])
    );
    // The file ends before the table.
    let mut far = code.clone();
    far[8..12].copy_from_slice(&0x7000_0000_u32.to_le_bytes());
    assert_eq!(read(&file, &far), []);
}
