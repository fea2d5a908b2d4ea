//! Tables that are written by hand, as an assembler and a linker bring them into a file: what they say is known.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;

use object::{Object as _, ObjectSymbol as _};

use super::*;
use crate::probes::source::Source;
use crate::testing::built;

/// A function with two pads, one with a table and no pad, one without a table. `@BASE@`: where pads are told from.
const PROGRAM: &str = r#"
__asm__(".text\n.globl personality, throws, first, second, behind, one_pad, two_pad, over, calm, calm_over, plain\n"
    "personality: ret\n"
    "throws:\n .cfi_startproc\n .cfi_personality 0x1b, personality\n .cfi_lsda 0x1b, .Ldata\n"
    " push %rbx\n .cfi_def_cfa_offset 16\n"
    "first: call personality\n"
    "second: call personality\n call personality\n"
    "behind: call personality\n pop %rbx\n .cfi_def_cfa_offset 8\n ret\n"
    "one_pad: pop %rbx\n ret\n"
    "two_pad: nop\n pop %rbx\n ret\n"
    "over: .cfi_endproc\n"
    ".skip 300, 0x90\n"
    "calm:\n .cfi_startproc\n .cfi_personality 0x1b, personality\n .cfi_lsda 0x1b, .Lcalm\n call personality\n ret\n"
    "calm_over: .cfi_endproc\n"
    "plain:\n .cfi_startproc\n ret\n .cfi_endproc\n"
    ".section .gcc_except_table,\"a\",@progbits\n.globl table, encoding\n"
    "table:\n.Ldata: .byte 0xff\n .byte 0xff\n"
    "encoding: .byte 0x01\n .uleb128 .Lend-.Lbegin\n"
    ".Lbegin:\n .uleb128 first-throws\n .uleb128 second-first\n .uleb128 one_pad-throws\n .uleb128 0\n"
    " .uleb128 second-throws\n .uleb128 behind-second\n .uleb128 two_pad-throws\n .uleb128 1\n"
    " .uleb128 behind-throws\n .uleb128 5\n .uleb128 0\n .uleb128 0\n"
    ".Lend:\n"
    ".Lcalm: .byte 0xff\n .byte 0xff\n .byte 0x01\n .uleb128 4\n .byte 0, 5, 0, 0\n"
    ".text\n");
int main(void) { return 0; }
"#;

struct Built {
    bytes: Vec<u8>,
    symbols: HashMap<String, u64>,
}

impl Built {
    fn new() -> Option<Built> {
        let bytes = built(PROGRAM, &[])?;
        let file = object::File::parse(&*bytes).unwrap();
        let symbols = file.symbols().filter_map(|symbol| {
            let name = symbol.name().ok()?.to_owned();
            Some((name, symbol.address()))
        });
        let symbols = symbols.collect();
        Some(Built { bytes, symbols })
    }

    fn at(&self, name: &str) -> u64 {
        self.symbols[name]
    }

    /// From the beginning of the function `throws`.
    fn offset_in(&self, name: &str) -> i64 {
        (self.at(name) - self.at("throws")).cast_signed()
    }

    fn offset(&self, name: &str) -> usize {
        let bytes: &[u8] = &self.bytes;
        let source = Source::new(&bytes);
        let elf = Elf::read(&source).unwrap();
        elf.offset_of(self.at(name)).unwrap().try_into().unwrap()
    }

    fn with<T>(&self, work: impl FnOnce(&Elf<'_>, &Extents) -> T) -> T {
        let bytes: &[u8] = &self.bytes;
        let source = Source::new(&bytes);
        let elf = Elf::read(&source).unwrap();
        let extents = elf.extents().unwrap();
        work(&elf, &extents)
    }

    fn pads(&self, name: &str) -> Vec<Pad> {
        let start = self.at(name);
        self.with(|elf, extents| read(elf, extents, start, start))
    }

    fn expected(&self) -> [Pad; 2] {
        let pad = |at, first, end| Pad {
            at: self.offset_in(at),
            calls: self.offset_in(first)..self.offset_in(end),
        };
        [
            pad("one_pad", "first", "second"),
            pad("two_pad", "second", "behind"),
        ]
    }
}

#[test]
fn each_pad_is_told_with_the_calls_that_lead_to_it() {
    let Some(built) = Built::new() else {
        return;
    };
    assert_eq!(built.pads("throws"), built.expected());
    assert_eq!(built.pads("calm"), []);
    assert_eq!(built.pads("plain"), []);
    // Where another part of the function is looked at, from there.
    let start = built.at("throws");
    let pads = built.with(|elf, extents| read(elf, extents, start, start + 0x40));
    let from_start = pads.iter().map(|pad| pad.at + 0x40);
    assert!(from_start.eq(built.expected().iter().map(|pad| pad.at)));
}

#[test]
fn a_function_is_as_long_as_its_description_says() {
    let Some(built) = Built::new() else {
        return;
    };
    for (name, end) in [("throws", "over"), ("calm", "calm_over")] {
        let found = built.with(|elf, extents| length(elf, extents, built.at(name)));
        assert_eq!(found, Some(built.at(end) - built.at(name)), "{name}");
    }
}

#[test]
fn of_an_encoding_that_no_compiler_writes_nothing_is_said() {
    let Some(mut built) = Built::new() else {
        return;
    };
    let places = [built.offset("table"), built.offset("encoding")];
    for at in places {
        for other in [0x00, 0x0b, 0x9b] {
            let before = std::mem::replace(&mut built.bytes[at], other);
            assert_eq!(built.pads("throws"), [], "{other:#x} at {at:#x}");
            built.bytes[at] = before;
        }
    }
    assert_eq!(built.pads("throws"), built.expected());
}

/// A table that is damaged says something else or nothing, and is bounded.
#[test]
fn no_byte_of_a_table_makes_it_fail() {
    let Some(mut built) = Built::new() else {
        return;
    };
    let (start, table) = (built.at("throws"), built.offset("table"));
    let description = built.with(|elf, extents| {
        let at = extents.description_of(start).unwrap();
        usize::try_from(elf.offset_of(at).unwrap()).unwrap()
    });
    for from in [table, description] {
        for at in from..from + 32 {
            for value in [0x00, 0x7f, 0x80, 0xff] {
                let before = std::mem::replace(&mut built.bytes[at], value);
                assert!(built.pads("throws").len() <= MAX_PADS);
                built.bytes[at] = before;
            }
        }
    }
}
