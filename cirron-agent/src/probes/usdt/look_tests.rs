#![expect(clippy::unwrap_used, reason = "tests")]

use cirron_common::hit::role;
use cirron_common::operand::Register;
use cirron_common::shape::MAX_TEXT_BYTES;

use super::super::provider::PROBES;
use super::*;
use crate::testing::built;

/// A program with probes of another provider.
const ZOO: &str = include_str!("../../../../tests/servers/c/usdt_zoo.c");

fn looked(bytes: &[u8], rules: &[&str]) -> Look {
    let rules: Vec<Rule> = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    look(&bytes, &rules, &mut |name| {
        u32::try_from(name.len()).unwrap()
    })
}

#[test]
fn probes_of_ours_need_no_rule_and_are_read_as_the_document_says() {
    let source = "#include \"cirron.h\"\nint main(void) { cirron_scope s = CIRRON_BEGIN(\"a\"); \
                  CIRRON_MARK(CIRRON_POINT, cirron_int(\"n\", 1)); cirron_end(s); return 0; }";
    for args in [&[][..], &["-s"], &["-shared", "-fPIC"]] {
        let Some(bytes) = built(source, args) else {
            return;
        };
        let found = looked(&bytes, &[]);
        assert_eq!(found.refused, []);
        assert!(found.planned.len() > 3, "{found:?}");
        for planned in &found.planned {
            let known = PROBES.iter().find(|k| k.name == planned.name).unwrap();
            assert_eq!(planned.label, format!("cirron:{}", known.name));
            assert_eq!(usize::from(planned.shape.values), known.arguments.len());
            assert_eq!(
                (planned.role, planned.is_begin),
                (known.role, known.is_begin)
            );
            assert_eq!((planned.class, planned.rule), (Class::Emulated, None));
            assert!(planned.semaphore != 0 && planned.shape.is_valid());
        }
        let mark = found.planned.iter().find(|p| p.role == role::MARK).unwrap();
        assert_eq!(mark.shape.texts, 3);
        assert_eq!(mark.shape.operands[0], Operand::register(Register::Rdi));
        assert_eq!(mark.shape.operands[7], Operand::memory(Register::Rsp, 16));
        assert_eq!(
            mark.shape.text[1],
            TextAt {
                address: 4,
                length: 5
            }
        );
    }
}

#[test]
fn probes_of_others_are_told_by_rules_each_with_its_arguments() {
    let Some(bytes) = built(ZOO, &[]) else {
        return;
    };
    assert_eq!(looked(&bytes, &[]).planned, []);
    assert!(looked(&bytes, &[]).notes >= 4);
    let found = looked(
        &bytes,
        &[
            "zoo:step__start=begin:step(0,1:str)",
            "zoo:step__*=end:step",
            "zoo:none=mark",
        ],
    );
    assert_eq!(found.refused, []);
    let names: Vec<(&str, u8, Option<usize>)> = found
        .planned
        .iter()
        .map(|p| (p.label.as_str(), p.role, p.rule))
        .collect();
    assert_eq!(
        names,
        [
            ("zoo:step__start", role::BEGIN, Some(0)),
            ("zoo:step__start", role::END, Some(1)),
            ("zoo:step__done", role::END, Some(1)),
        ]
    );
    let begin = &found.planned[0];
    assert_eq!((begin.name.as_str(), begin.shape.pair), ("step", 4));
    assert_eq!(begin.shape.texts, 1);
    assert_eq!(
        begin.shape.text[0],
        TextAt {
            address: 1,
            length: 1
        }
    );
    assert_eq!(begin.shape.most[1], TEXT_BYTES);
    assert!(begin.semaphore != 0 && found.planned[2].semaphore == 0);
    let values = [
        (form::INT, "arg0".to_owned()),
        (form::TEXT, "arg1".to_owned()),
    ];
    assert_eq!(begin.values, values);
    let unread = looked(
        &bytes,
        &["zoo:step__done=mark(5,0)", "zoo:odd=mark(0:float)"],
    );
    assert_eq!(unread.planned[1].unread, ["it has no argument 5"]);
    assert_eq!(unread.planned[0].unread.len(), 1, "{:?}", unread.planned[0]);
    assert!(unread.planned.iter().all(|p| p.shape.is_valid()));
}

/// An address is a stranger's: what stands there decides.
#[test]
fn a_place_without_a_nop_or_outside_of_the_code_is_refused() {
    let Some(bytes) = built(ZOO, &[]) else {
        return;
    };
    let found = looked(&bytes, &["zoo:*=mark"]);
    let offset = usize::try_from(found.planned[0].offset).unwrap();
    let refused = |bytes: &[u8]| {
        let refused = looked(bytes, &["zoo:*=mark"]).refused;
        refused.into_iter().map(|(_, why)| why).collect::<Vec<_>>()
    };
    assert_eq!(refused(&bytes), []);
    let mut other = bytes.clone();
    other[offset] = 0xcc;
    assert_eq!(refused(&other), [Refusal::NoNop]);
    other[offset..offset + 5].copy_from_slice(LONG_NOP);
    let long = looked(&other, &["zoo:*=mark"]);
    assert_eq!(long.planned[0].class, Class::Stepped);
    // Every address that a note may have: in data, in a header, nowhere.
    let note = bytes.windows(8).position(|w| w == b"stapsdt\0").unwrap();
    for address in [1_u64, 0x10, 1 << 40, u64::MAX] {
        let mut other = bytes.clone();
        other[note + 8..note + 16].copy_from_slice(&address.to_le_bytes());
        // Its base says that nothing was moved.
        other[note + 16..note + 24].fill(0);
        let why = refused(&other);
        assert!(
            matches!(why[..], [Refusal::NoCode | Refusal::NoNop]),
            "{why:?}"
        );
    }
    let mut other = bytes.clone();
    let at = note + 24;
    other[at..at + 8].copy_from_slice(&(1_u64 << 40).to_le_bytes());
    assert_eq!(refused(&other), [Refusal::NoSemaphore]);
}

#[test]
fn who_says_to_be_ours_and_is_not_is_refused() {
    let source = ZOO
        .replace("\"zoo\"", "\"cirron\"")
        .replace("step__start", "mark");
    let Some(bytes) = built(&source, &[]) else {
        return;
    };
    let found = looked(&bytes, &[]);
    assert_eq!(found.planned, []);
    let why = |name: &str| {
        let found = found.refused.iter().find(|(label, _)| label == name);
        found.map(|(_, why)| *why)
    };
    assert_eq!(why("cirron:mark"), Some(Refusal::Arguments));
    assert_eq!(why("cirron:step__done"), Some(Refusal::Unknown));
}

#[test]
fn a_file_without_section_headers_says_so() {
    let Some(mut bytes) = built(ZOO, &[]) else {
        return;
    };
    // `e_shoff`, `e_shnum`.
    bytes[0x28..0x30].fill(0);
    bytes[0x3c..0x3e].fill(0);
    let found = looked(&bytes, &["zoo:*=mark"]);
    assert!(found.is_headless && found.planned.is_empty());
    assert!(
        !looked(b"\x7fELF", &[]).is_headless,
        "it is no file of this kind"
    );
}

#[test]
fn texts_have_room_in_the_largest_record() {
    let ours = PROBES.iter().map(|known| {
        let most = known.arguments.iter().map(|given| given.most);
        most.sum::<u16>()
    });
    assert!(ours.max() <= Some(MAX_TEXT_BYTES));
    const { assert!(3 * TEXT_BYTES <= MAX_TEXT_BYTES) };
}
