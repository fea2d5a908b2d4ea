//! Where a value of a call stands: an [`Operand`], as data, so that a program reads any function's arguments.
//!
//! ```text
//! a family's table --> Signature of Operands --> map SIGNATURES <-- number in the attach cookie -- programs inside functions
//! ```
//! A value is a constant, a register, or memory at `base + (index << scale) + number`; it is 1, 2, 4 or 8 bytes wide, with or
//! without a sign. It is read at the entry or at the exit. One that is a pointer is the address of the value: an
//! out-pointer is noted at the entry, what it points at is read at the exit. The stack pointer is the one that
//! the function began with, wherever in the frame the place lies ([`crate::signature::cookie`]).
//!
//! Arguments of USDT notes are operands as well: `8@%rax` is a register, `-4@12(%rsp)` memory of four bytes with a sign,
//! `4@$5` a constant, `8@(%rax,%rbx,8)` has an index; of `4@flag(%rip)` the base is [`Register::Rip`], which at a place is the
//! place's address. A string is an operand whose value is the address of the text. What has no place in the saved
//! registers (`xmm`, `ah`) is no operand.
//!
//! It says where a value is, not what it means: that is [`crate::signature`]'s. Nothing is read here.

/// Registers that are saved for a program, x86-64. The number is the word's in `struct pt_regs`.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the processor's names")]
pub enum Register {
    R15 = 0,
    R14 = 1,
    R13 = 2,
    R12 = 3,
    Rbp = 4,
    Rbx = 5,
    R11 = 6,
    R10 = 7,
    R9 = 8,
    R8 = 9,
    Rax = 10,
    Rcx = 11,
    Rdx = 12,
    Rsi = 13,
    Rdi = 14,
    /// Of the place.
    Rip = 16,
    Rsp = 19,
}

impl Register {
    /// All of them.
    pub const ALL: [Register; 17] = [
        Register::R15,
        Register::R14,
        Register::R13,
        Register::R12,
        Register::Rbp,
        Register::Rbx,
        Register::R11,
        Register::R10,
        Register::R9,
        Register::R8,
        Register::Rax,
        Register::Rcx,
        Register::Rdx,
        Register::Rsi,
        Register::Rdi,
        Register::Rip,
        Register::Rsp,
    ];

    const fn from_number(number: u8) -> Option<Register> {
        let mut i = 0;
        while i < Register::ALL.len() {
            if Register::ALL[i] as u8 == number {
                return Some(Register::ALL[i]);
            }
            i += 1;
        }
        None
    }
}

/// Values of [`Operand::kind`].
pub mod kind {
    /// There is no such value.
    pub const ABSENT: u8 = 0;
    /// It is `number`.
    pub const CONSTANT: u8 = 1;
    /// It is in the register `base`.
    pub const REGISTER: u8 = 2;
    /// It is in the target's memory.
    pub const MEMORY: u8 = 3;
}

/// [`Operand::index`] where there is none: the number of no register.
pub const NO_INDEX: u8 = u8::MAX;

/// Bytes that a register holds.
const WORD: u8 = 8;

/// Largest [`Operand::scale`]: the processor knows no larger one.
const MAX_SCALE: u8 = 3;

/// Where a value stands, as the programs read it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operand {
    /// The constant, or what is added to an address.
    pub number: i64,
    /// One of [`kind`].
    pub kind: u8,
    /// A [`Register`].
    pub base: u8,
    /// A [`Register`], or [`NO_INDEX`].
    pub index: u8,
    /// Bits by which the index is shifted.
    pub scale: u8,
    /// Bytes: 1, 2, 4 or 8.
    pub width: u8,
    /// 1: the topmost bit is a sign.
    pub is_signed: u8,
    /// 1: it stands there at the exit, not at the entry.
    pub is_late: u8,
    /// 1: it is the address of the value, which is read at the exit.
    pub is_pointer: u8,
}

const _: () = {
    assert!(core::mem::size_of::<Operand>() == 16);
    assert!(core::mem::offset_of!(Operand, number) == 0);
    assert!(core::mem::offset_of!(Operand, kind) == 8);
    assert!(core::mem::offset_of!(Operand, base) == 9);
    assert!(core::mem::offset_of!(Operand, index) == 10);
    assert!(core::mem::offset_of!(Operand, scale) == 11);
    assert!(core::mem::offset_of!(Operand, width) == 12);
    assert!(core::mem::offset_of!(Operand, is_signed) == 13);
    assert!(core::mem::offset_of!(Operand, is_late) == 14);
    assert!(core::mem::offset_of!(Operand, is_pointer) == 15);
};

/// What an [`Operand`] says, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// There is no such value.
    Absent,
    /// A constant.
    Constant(i64),
    /// A register.
    Register(Register),
    /// Memory of the target.
    Memory {
        /// What the address begins with.
        base: Register,
        /// A register, and the bits by which it is shifted.
        index: Option<(Register, u8)>,
        /// What is added.
        displacement: i64,
    },
}

impl Operand {
    /// No value.
    pub const ABSENT: Operand = Operand {
        number: 0,
        kind: kind::ABSENT,
        base: 0,
        index: 0,
        scale: 0,
        width: 0,
        is_signed: 0,
        is_late: 0,
        is_pointer: 0,
    };

    const fn new(kind: u8) -> Operand {
        Operand {
            kind,
            index: NO_INDEX,
            width: WORD,
            ..Operand::ABSENT
        }
    }

    /// A value that is always the same.
    #[must_use]
    pub const fn constant(number: i64) -> Operand {
        Operand {
            number,
            ..Operand::new(kind::CONSTANT)
        }
    }

    /// What a register holds.
    #[must_use]
    pub const fn register(register: Register) -> Operand {
        Operand {
            base: register as u8,
            ..Operand::new(kind::REGISTER)
        }
    }

    /// What stands in memory at the address in `base`, and `displacement` from there.
    #[must_use]
    pub const fn memory(base: Register, displacement: i64) -> Operand {
        Operand {
            number: displacement,
            base: base as u8,
            ..Operand::new(kind::MEMORY)
        }
    }

    /// The same with `index << scale` added to the address.
    #[must_use]
    pub const fn indexed(self, index: Register, scale: u8) -> Operand {
        Operand {
            index: index as u8,
            scale,
            ..self
        }
    }

    /// Of so many bytes, without a sign.
    #[must_use]
    pub const fn unsigned(self, bytes: u8) -> Operand {
        Operand {
            width: bytes,
            is_signed: 0,
            ..self
        }
    }

    /// Of so many bytes, with a sign.
    #[must_use]
    pub const fn signed(self, bytes: u8) -> Operand {
        Operand {
            width: bytes,
            is_signed: 1,
            ..self
        }
    }

    /// It stands there at the exit: a result.
    #[must_use]
    pub const fn at_exit(self) -> Operand {
        Operand { is_late: 1, ..self }
    }

    /// What it points at at the exit: an out-pointer. Width and sign are those of what it points at.
    #[must_use]
    pub const fn pointee(self) -> Operand {
        Operand {
            is_pointer: 1,
            ..self
        }
    }

    /// There is no such value.
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        self.kind == kind::ABSENT
    }

    /// Where it stands; `None` where the bytes say nothing, or more than one thing: each operand has one form.
    #[must_use]
    pub const fn spot(&self) -> Option<Spot> {
        if self.kind == kind::ABSENT {
            return if self.is_nothing() {
                Some(Spot::Absent)
            } else {
                None
            };
        }
        let is_wide = matches!(self.width, 1 | 2 | 4 | WORD);
        if !is_wide || self.is_signed > 1 || self.is_late > 1 || self.is_pointer > 1 {
            return None;
        }
        let has_index = self.index != NO_INDEX;
        if !has_index && self.scale != 0 {
            return None;
        }
        match self.kind {
            kind::CONSTANT if !has_index && self.base == 0 => Some(Spot::Constant(self.number)),
            kind::REGISTER if !has_index && self.number == 0 => {
                match Register::from_number(self.base) {
                    Some(register) => Some(Spot::Register(register)),
                    None => None,
                }
            }
            kind::MEMORY => self.memory_spot(),
            _ => None,
        }
    }

    const fn memory_spot(&self) -> Option<Spot> {
        let Some(base) = Register::from_number(self.base) else {
            return None;
        };
        let index = if self.index == NO_INDEX {
            None
        } else {
            match Register::from_number(self.index) {
                Some(index) if self.scale <= MAX_SCALE => Some((index, self.scale)),
                _ => return None,
            }
        };
        Some(Spot::Memory {
            base,
            index,
            displacement: self.number,
        })
    }

    const fn is_nothing(&self) -> bool {
        let none = Operand::ABSENT;
        self.number == none.number
            && self.base == none.base
            && self.index == none.index
            && self.scale == none.scale
            && self.width == none.width
            && self.is_signed == none.is_signed
            && self.is_late == none.is_late
            && self.is_pointer == none.is_pointer
    }

    /// `value` as wide as this one, and with its sign.
    #[inline(always)]
    #[must_use]
    pub const fn narrowed(&self, value: u64) -> u64 {
        // 0 to 63, whatever the width is.
        let shift = 64_u32.wrapping_sub(self.width as u32 * 8) & 63;
        let high = value << shift;
        if self.is_signed == 0 {
            high >> shift
        } else {
            ((high as i64) >> shift) as u64
        }
    }
}

/// How arguments are passed and results returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convention {
    /// C's on x86-64: `rdi`, `rsi`, `rdx`, `rcx`, `r8`, `r9`, then the stack; the result in `rax`.
    SystemV,
    /// Go's since 1.17: `rax`, `rbx`, `rcx`, `rdi`, `rsi`, `r8` to `r11`, then the stack; the first result in `rax`, the
    /// goroutine in `r14`.
    Go,
}

/// Bytes of the return address, above which arguments lie at a function's first instruction.
const RETURN_ADDRESS: i64 = 8;

impl Convention {
    /// The argument of this position, where each before it is an integer or a pointer.
    #[must_use]
    pub const fn argument(self, position: u8) -> Operand {
        const C: [Register; 6] = [
            Register::Rdi,
            Register::Rsi,
            Register::Rdx,
            Register::Rcx,
            Register::R8,
            Register::R9,
        ];
        const GO: [Register; 9] = [
            Register::Rax,
            Register::Rbx,
            Register::Rcx,
            Register::Rdi,
            Register::Rsi,
            Register::R8,
            Register::R9,
            Register::R10,
            Register::R11,
        ];
        let registers: &[Register] = match self {
            Convention::SystemV => &C,
            Convention::Go => &GO,
        };
        let position = position as usize;
        if position < registers.len() {
            return Operand::register(registers[position]);
        }
        let slot = (position - registers.len()) as i64;
        Operand::memory(Register::Rsp, RETURN_ADDRESS + slot * WORD as i64)
    }

    /// The result, the first of several.
    #[must_use]
    pub const fn result(self) -> Operand {
        match self {
            Convention::SystemV | Convention::Go => Operand::register(Register::Rax).at_exit(),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
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
}
