use cirron_common::operand::Spot;

use super::*;

const PLACE: u64 = 0x4000;

fn symbol(name: &str) -> Option<u64> {
    match name {
        "flag" => Some(0x5000),
        "a-b+c" => Some(0x6000),
        _ => None,
    }
}

fn read(text: &str) -> Vec<Argument> {
    let around = Around {
        place: PLACE,
        symbol: &symbol,
    };
    arguments(text.as_bytes(), &around)
}

fn one(text: &str) -> Argument {
    let all = read(text);
    let [one] = all[..] else {
        panic!("{text}: {all:?}")
    };
    one
}

#[test]
fn every_form_of_the_grammar_is_an_operand() {
    use Register as R;
    let memory = Operand::memory;
    for (text, operand, form) in [
        ("8@%rdi", Operand::register(R::Rdi), form::UINT),
        ("-8@%r15", Operand::register(R::R15).signed(8), form::INT),
        ("4@%eax", Operand::register(R::Rax).unsigned(4), form::UINT),
        ("-4@%r8d", Operand::register(R::R8).signed(4), form::INT),
        ("-2@%r10w", Operand::register(R::R10).signed(2), form::INT),
        ("2@%bp", Operand::register(R::Rbp).unsigned(2), form::UINT),
        ("1@%sil", Operand::register(R::Rsi).unsigned(1), form::UINT),
        ("-1@%r9b", Operand::register(R::R9).signed(1), form::INT),
        ("1@%al", Operand::register(R::Rax).unsigned(1), form::UINT),
        // Only its low byte is told.
        ("-4@%bl", Operand::register(R::Rbx).signed(1), form::INT),
        ("-4@%rax", Operand::register(R::Rax).signed(4), form::INT),
        ("4@$5", Operand::constant(5).unsigned(4), form::UINT),
        ("-4@$-5", Operand::constant(-5).signed(4), form::INT),
        ("8@$0xffffffffffffffff", Operand::constant(-1), form::UINT),
        ("8@(%rax)", memory(R::Rax, 0), form::UINT),
        ("-4@12(%rsp)", memory(R::Rsp, 12).signed(4), form::INT),
        ("8@-80(%rbx)", memory(R::Rbx, -80), form::UINT),
        ("2@0x10(%r12)", memory(R::R12, 16).unsigned(2), form::UINT),
        (
            "8@(%rax,%rbx)",
            memory(R::Rax, 0).indexed(R::Rbx, 0),
            form::UINT,
        ),
        (
            "8@(%rax,%rbx,1)",
            memory(R::Rax, 0).indexed(R::Rbx, 0),
            form::UINT,
        ),
        (
            "8@(%rax,%r9,2)",
            memory(R::Rax, 0).indexed(R::R9, 1),
            form::UINT,
        ),
        (
            "8@8(%rax, %r9, 4)",
            memory(R::Rax, 8).indexed(R::R9, 2),
            form::UINT,
        ),
        (
            "1@-1(%rdx,%rcx,8)",
            memory(R::Rdx, -1).indexed(R::Rcx, 3).unsigned(1),
            form::UINT,
        ),
        (
            "4@flag(%rip)",
            memory(R::Rip, 0x1000).unsigned(4),
            form::UINT,
        ),
        (
            "4@flag+4(%rip)",
            memory(R::Rip, 0x1004).unsigned(4),
            form::UINT,
        ),
        (
            "4@4+flag(%rip)",
            memory(R::Rip, 0x1004).unsigned(4),
            form::UINT,
        ),
        (
            "4@flag-4(%rip)",
            memory(R::Rip, 0xffc).unsigned(4),
            form::UINT,
        ),
        (
            "4@a-b+c(%rip)",
            memory(R::Rip, 0x2000).unsigned(4),
            form::UINT,
        ),
        (
            "4@a-b+c-1(%rip)",
            memory(R::Rip, 0x1fff).unsigned(4),
            form::UINT,
        ),
        ("8f@-8(%rbp)", memory(R::Rbp, -8), form::FLOAT),
        ("8f@%rax", Operand::register(R::Rax), form::FLOAT),
        // Without a width it has that of its name.
        ("%rdi", Operand::register(R::Rdi), form::UINT),
        ("%edi", Operand::register(R::Rdi).unsigned(4), form::UINT),
        ("(%rdi)", memory(R::Rdi, 0), form::UINT),
        ("$3", Operand::constant(3), form::UINT),
    ] {
        let read = one(text);
        assert_eq!(read.operand, operand, "{text}");
        assert_eq!((read.form, read.unread), (form, None), "{text}");
        assert!(operand.spot().is_some(), "{text}");
    }
}

#[test]
fn what_cannot_be_read_says_why() {
    for (text, why) in [
        ("8f@%xmm0", Unread::Register),
        ("8@%xmm1", Unread::Register),
        ("1@%ah", Unread::Register),
        ("4@%st", Unread::Register),
        ("8@%r16", Unread::Register),
        ("4f@-8(%rbp)", Unread::Form),
        ("3@%rax", Unread::Form),
        ("16@%rax", Unread::Form),
        ("@%rax", Unread::Form),
        ("8@", Unread::Form),
        ("8@$", Unread::Form),
        ("8@$flag", Unread::Form),
        ("8@$99999999999999999999", Unread::Form),
        ("8@flag", Unread::Form),
        ("8@%fs:-8(%rax)", Unread::Form),
        ("8@(,%rax,8)", Unread::Form),
        ("8@(%eax)", Unread::Form),
        ("8@(%rax,%rbx,3)", Unread::Form),
        ("8@(%rax,%rbx,8,1)", Unread::Form),
        ("8@(%rip,%rax)", Unread::Form),
        ("8@8(%rip)", Unread::Form),
        ("8@(%rip)", Unread::Form),
        ("8@(%rax", Unread::Form),
        ("8@other(%rip)", Unread::Symbol),
        ("8@other+4(%rip)", Unread::Symbol),
    ] {
        let read = one(text);
        assert_eq!(read.unread, Some(why), "{text}: {read:?}");
        assert!(read.operand.is_absent(), "{text}");
    }
}

#[test]
fn one_that_is_not_understood_does_not_move_the_others() {
    let all = read("8@%rdi  1@%ah ? -4@$-1 8@(%rax, %rbx, 8) ");
    let spots: Vec<Option<Spot>> = all.iter().map(|a| a.operand.spot()).collect();
    assert_eq!(spots.len(), 5);
    assert_eq!(spots[0], Some(Spot::Register(Register::Rdi)));
    assert_eq!(spots[1], Some(Spot::Absent));
    assert_eq!(spots[2], Some(Spot::Absent));
    assert_eq!(spots[3], Some(Spot::Constant(-1)));
    assert!(matches!(
        spots[4],
        Some(Spot::Memory {
            index: Some((Register::Rbx, 3)),
            ..
        })
    ));
    assert_eq!(read(""), []);
    let around = Around {
        place: 0,
        symbol: &symbol,
    };
    assert_eq!(arguments(b"8@%rdi \xff", &around), []);
}

/// Whatever a note says: an operand that the programs can read, or none.
#[test]
fn any_text_gives_operands_that_can_be_read_or_none() {
    const PARTS: [&str; 24] = [
        "8",
        "-4",
        "1",
        "f",
        "@",
        "$",
        "%",
        "rax",
        "eax",
        "r9d",
        "ah",
        "xmm0",
        "(",
        ")",
        ",",
        " ",
        "-",
        "+",
        "0x",
        "7",
        "flag",
        "%rip",
        "99999999999",
        "\u{e9}",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |most: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap_or(0) % most
    };
    let mut known = 0;
    for _ in 0..200_000 {
        let text: String = (0..next(9)).map(|_| PARTS[next(PARTS.len())]).collect();
        for argument in read(&text) {
            assert!(argument.operand.spot().is_some(), "{text}");
            assert_eq!(
                argument.operand.is_absent(),
                argument.unread.is_some(),
                "{text}"
            );
            known += usize::from(argument.unread.is_none());
        }
    }
    assert!(known > 100, "{known}");
}
