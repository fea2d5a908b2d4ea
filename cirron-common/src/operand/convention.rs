//! Where a calling convention puts arguments and results: the [`Operand`] of each.

use super::{Operand, Register, WORD};

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
