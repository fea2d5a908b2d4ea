#![expect(clippy::unwrap_used, reason = "tests")]

use super::{Convention, NO_INDEX, Operand, Register, Spot};

fn memory(base: Register, index: Option<(Register, u8)>, displacement: i64) -> Option<Spot> {
    Some(Spot::Memory {
        base,
        index,
        displacement,
    })
}

#[test]
fn each_form_says_where_it_is() {
    assert_eq!(Operand::ABSENT.spot(), Some(Spot::Absent));
    assert_eq!(Operand::default(), Operand::ABSENT);
    for number in [i64::MIN, -1, 0, 5, i64::MAX] {
        assert_eq!(
            Operand::constant(number).spot(),
            Some(Spot::Constant(number))
        );
    }
    for register in Register::ALL {
        let plain = Operand::register(register);
        assert_eq!(plain.spot(), Some(Spot::Register(register)));
        let there = Operand::memory(register, -12);
        assert_eq!(there.spot(), memory(register, None, -12));
        for scale in 0..=3 {
            for index in Register::ALL {
                let spot = memory(register, Some((index, scale)), -12);
                assert_eq!(there.indexed(index, scale).spot(), spot);
            }
        }
    }
}

#[test]
fn width_sign_and_moment_leave_the_spot_as_it_is() {
    let plain = Operand::memory(Register::Rsp, 16);
    for bytes in [1, 2, 4, 8] {
        for operand in [plain.unsigned(bytes), plain.signed(bytes)] {
            for operand in [operand, operand.at_exit(), operand.pointee()] {
                assert_eq!(operand.spot(), plain.spot());
                assert_eq!(operand.width, bytes);
            }
        }
    }
    assert_eq!(
        (plain.is_late, plain.is_pointer, plain.is_signed),
        (0, 0, 0)
    );
    assert_eq!(plain.at_exit().is_late, 1);
    assert_eq!(plain.pointee().is_pointer, 1);
    assert_eq!(plain.signed(4).is_signed, 1);
    assert_eq!(plain.signed(4).unsigned(4), plain.unsigned(4));
}

#[test]
fn what_says_nothing_or_two_things_is_refused() {
    let register = Operand::register(Register::Rax);
    let memory = Operand::memory(Register::Rax, 8);
    let constant = Operand::constant(7);
    let refused = [
        Operand {
            kind: 4,
            ..register
        },
        Operand {
            base: 15,
            ..register
        },
        Operand {
            base: 17,
            ..register
        },
        Operand { base: 20, ..memory },
        Operand {
            index: 18,
            ..memory
        },
        memory.indexed(Register::Rbx, 4),
        Operand { scale: 1, ..memory },
        Operand {
            number: 1,
            ..register
        },
        register.indexed(Register::Rbx, 0),
        constant.indexed(Register::Rbx, 0),
        Operand {
            base: 1,
            ..constant
        },
        register.unsigned(0),
        register.unsigned(3),
        memory.unsigned(16),
        Operand {
            is_signed: 2,
            ..register
        },
        Operand {
            is_late: 2,
            ..register
        },
        Operand {
            is_pointer: 2,
            ..register
        },
        Operand {
            number: 1,
            ..Operand::ABSENT
        },
        Operand {
            index: NO_INDEX,
            ..Operand::ABSENT
        },
        Operand::ABSENT.at_exit(),
    ];
    for operand in refused {
        assert_eq!(operand.spot(), None, "{operand:?}");
    }
}

#[test]
fn a_register_s_number_is_its_word_in_the_saved_registers() {
    // `struct pt_regs`: 15 is the call's number, 17 the code segment, 18 the flags, 20 the stack segment.
    for number in 0..=u8::MAX {
        let known = Register::ALL.iter().find(|r| **r as u8 == number);
        assert_eq!(Register::from_number(number), known.copied(), "{number}");
    }
    assert_eq!((Register::Rdi as u8, Register::Rsp as u8), (14, 19));
}

#[test]
fn a_value_is_cut_to_its_width_and_keeps_its_sign() {
    let at = Operand::register(Register::Rax);
    let value = 0xffff_fff0_8081_82f3_u64;
    for (operand, is) in [
        (at.unsigned(1), 0xf3),
        (at.signed(1), -13_i64 as u64),
        (at.unsigned(2), 0x82f3),
        (at.signed(2), 0xffff_ffff_ffff_82f3),
        (at.unsigned(4), 0x8081_82f3),
        (at.signed(4), 0xffff_ffff_8081_82f3),
        (at.unsigned(8), value),
        (at.signed(8), value),
    ] {
        assert_eq!(operand.narrowed(value), is, "{operand:?}");
    }
    assert_eq!(at.signed(4).narrowed(0x1_0000_0005), 5);
}

#[test]
fn arguments_are_in_registers_and_then_on_the_stack() {
    let c = Convention::SystemV;
    assert_eq!(c.argument(0), Operand::register(Register::Rdi));
    assert_eq!(c.argument(5), Operand::register(Register::R9));
    assert_eq!(c.argument(6), Operand::memory(Register::Rsp, 8));
    assert_eq!(c.argument(8), Operand::memory(Register::Rsp, 24));
    let go = Convention::Go;
    assert_eq!(go.argument(0), Operand::register(Register::Rax));
    assert_eq!(go.argument(8), Operand::register(Register::R11));
    assert_eq!(go.argument(9), Operand::memory(Register::Rsp, 8));
    for convention in [c, go] {
        let result = convention.result();
        assert_eq!(result, Operand::register(Register::Rax).at_exit());
    }
}

/// Arguments of notes, as `readelf -n` shows them.
#[test]
fn arguments_of_usdt_notes_are_operands() {
    use Register::{R12, Rax, Rbp, Rbx, Rip, Rsp};
    let at = memory;
    let in_register = |register| Some(Spot::Register(register));
    let notes = [
        ("8@%rax", Operand::register(Rax), in_register(Rax)),
        (
            "-4@%eax",
            Operand::register(Rax).signed(4),
            in_register(Rax),
        ),
        (
            "1@%r12b",
            Operand::register(R12).unsigned(1),
            in_register(R12),
        ),
        (
            "-4@12(%rsp)",
            Operand::memory(Rsp, 12).signed(4),
            at(Rsp, None, 12),
        ),
        (
            "-4@$5",
            Operand::constant(5).signed(4),
            Some(Spot::Constant(5)),
        ),
        (
            "-8@$-1",
            Operand::constant(-1).signed(8),
            Some(Spot::Constant(-1)),
        ),
        ("8@-16(%rbp)", Operand::memory(Rbp, -16), at(Rbp, None, -16)),
        (
            "8@(%rax,%rbx,8)",
            Operand::memory(Rax, 0).indexed(Rbx, 3),
            at(Rax, Some((Rbx, 3)), 0),
        ),
        (
            "2@flag(%rip)",
            Operand::memory(Rip, 0x2f10).unsigned(2),
            at(Rip, None, 0x2f10),
        ),
    ];
    for (text, operand, spot) in notes {
        assert_eq!(operand.spot(), spot, "{text}");
        let (size, _) = text.split_once('@').unwrap();
        let size: i8 = size.parse().unwrap();
        assert_eq!(operand.width, size.unsigned_abs(), "{text}");
        assert_eq!(operand.is_signed == 1, size < 0, "{text}");
    }
}
