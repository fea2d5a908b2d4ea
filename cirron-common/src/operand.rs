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

mod convention;

pub use convention::Convention;

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

    /// The same with this number of bytes, without a sign.
    #[must_use]
    pub const fn unsigned(self, bytes: u8) -> Operand {
        Operand {
            width: bytes,
            is_signed: 0,
            ..self
        }
    }

    /// The same with this number of bytes, with a sign.
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

#[cfg(test)]
mod tests;
