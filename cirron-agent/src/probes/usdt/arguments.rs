//! Where the arguments of a probe stand, by the text of its note: what `sdt.h` has the compiler write, for x86-64.
//!
//! ```text
//! -4@12(%rsp)   width and sign @ place          8f@-8(%rbp)   a floating-point number
//! place: %reg | $number | [displacement](%base[,%index[,scale]]) | symbol[+number](%rip)
//! ```
//! What has no place among the saved registers (`%xmm0`, `%ah`), or a form that is not known, is unread, with the reason.

use std::fmt;

use cirron_common::Operand;
use cirron_common::hit::form;
use cirron_common::operand::Register;

/// An argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Where it stands; absent where it cannot be read.
    pub operand: Operand,
    /// How it is to be read: one of `cirron_common::hit::form`.
    pub form: u8,
    /// Why it cannot be read.
    pub unread: Option<Unread>,
}

/// Why an argument cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is in a register that a probe does not see.
    Register,
    /// Its text is none of the forms that we know.
    Form,
    /// Its address is that of a symbol that the file does not have.
    Symbol,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unread::Register => "it is in a register that a probe does not see",
            Unread::Form => "where it stands is told in a form that is not known",
            Unread::Symbol => "it lies at a symbol that the file does not have",
        })
    }
}

/// What else is to be known.
pub struct Around<'a> {
    /// Address of the probe's instruction.
    pub place: u64,
    /// Address of a symbol.
    pub symbol: &'a dyn Fn(&str) -> Option<u64>,
}

/// The arguments of a note, in their order.
pub fn arguments(text: &[u8], around: &Around<'_>) -> Vec<Argument> {
    let Ok(text) = std::str::from_utf8(text) else {
        return Vec::new();
    };
    let mut depth = 0_u32;
    let is_between = |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ' ' && depth == 0
    };
    let parts: Vec<&str> = text.split(is_between).collect();
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    parts.map(|part| argument(part, around)).collect()
}

fn argument(text: &str, around: &Around<'_>) -> Argument {
    let unread = |unread| Argument {
        operand: Operand::ABSENT,
        form: form::INT,
        unread: Some(unread),
    };
    let (kind, place) = match text.split_once('@') {
        Some((kind, place)) => match Kind::parse(kind) {
            Some(kind) => (Some(kind), place),
            None => return unread(Unread::Form),
        },
        None => (None, text),
    };
    match operand(place, around) {
        Ok((operand, natural_width)) => kind
            .unwrap_or(Kind {
                width: natural_width,
                is_signed: false,
                is_float: false,
            })
            .argument(operand, natural_width),
        Err(why) => unread(why),
    }
}

/// What stands before the `@`.
#[derive(Clone, Copy)]
struct Kind {
    width: u8,
    is_signed: bool,
    is_float: bool,
}

impl Kind {
    fn parse(text: &str) -> Option<Kind> {
        let (is_signed, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let (is_float, text) = match text.strip_suffix('f') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let width = match text {
            "1" => 1,
            "2" => 2,
            "4" => 4,
            "8" => 8,
            _ => return None,
        };
        // The programs do not make a long one of it.
        (!is_float || width == 8).then_some(Kind {
            width,
            is_signed,
            is_float,
        })
    }

    /// An operand that is of this kind.
    fn argument(self, operand: Operand, natural_width: u8) -> Argument {
        // Of a register that is named by fewer bytes no others are its value.
        let width = self.width.min(natural_width);
        let (operand, form) = match (self.is_float, self.is_signed) {
            (true, _) => (operand.unsigned(width), form::FLOAT),
            (false, true) => (operand.signed(width), form::INT),
            (false, false) => (operand.unsigned(width), form::UINT),
        };
        Argument {
            operand,
            form,
            unread: None,
        }
    }
}

/// Bytes of what has no width of its own.
const WORD: u8 = 8;

/// An operand, and the bytes that it has by itself.
fn operand(text: &str, around: &Around<'_>) -> Result<(Operand, u8), Unread> {
    if let Some(number) = text.strip_prefix('$') {
        let number = number_in(number).ok_or(Unread::Form)?;
        return Ok((Operand::constant(number), WORD));
    }
    if text.starts_with('%') && !text.contains(':') {
        let (register, width) = register(text).ok_or(Unread::Register)?;
        return Ok((Operand::register(register), width));
    }
    let (before, rest) = text.split_once('(').ok_or(Unread::Form)?;
    let inside = rest.strip_suffix(')').ok_or(Unread::Form)?;
    let mut parts = inside.split(',').map(str::trim);
    let base = parts.next().ok_or(Unread::Form)?;
    if base == "%rip" {
        if parts.next().is_some() {
            return Err(Unread::Form);
        }
        let address = address(before, around)?;
        let from_place = address.wrapping_sub(around.place).cast_signed();
        return Ok((Operand::memory(Register::Rip, from_place), WORD));
    }
    let displacement = match before {
        "" => 0,
        number => number_in(number).ok_or(Unread::Form)?,
    };
    let whole = |name: &str| match register(name) {
        Some((register, WORD)) => Ok(register),
        Some(_) | None => Err(Unread::Form),
    };
    let memory = Operand::memory(whole(base)?, displacement);
    let Some(index) = parts.next() else {
        return Ok((memory, WORD));
    };
    let scale = match parts.next() {
        None | Some("" | "1") => 0,
        Some("2") => 1,
        Some("4") => 2,
        Some("8") => 3,
        Some(_) => return Err(Unread::Form),
    };
    match parts.next() {
        None => Ok((memory.indexed(whole(index)?, scale), WORD)),
        Some(_) => Err(Unread::Form),
    }
}

/// `symbol`, `symbol+4`, `symbol-4`, `4+symbol`.
fn address(text: &str, around: &Around<'_>) -> Result<u64, Unread> {
    let find = |name: &str| (around.symbol)(name).ok_or(Unread::Symbol);
    if let Some((number, name)) = text.split_once('+')
        && let Some(number) = number_in(number)
    {
        return Ok(find(name)?.wrapping_add_signed(number));
    }
    // The last one: a symbol may have one in its name.
    let sign = text.rfind(['+', '-']).filter(|at| *at > 0);
    if let Some((name, number)) = sign.and_then(|at| text.split_at_checked(at))
        && let Some(number) = number_in(number.strip_prefix('+').unwrap_or(number))
    {
        return Ok(find(name)?.wrapping_add_signed(number));
    }
    match text.starts_with(|c: char| c.is_ascii_digit()) || text.is_empty() {
        true => Err(Unread::Form),
        false => find(text),
    }
}

/// A decimal or hexadecimal number of 64 bits, with a sign or without.
fn number_in(text: &str) -> Option<i64> {
    let (is_negative, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text),
    };
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None => text.parse().ok()?,
    };
    let number = number.cast_signed();
    Some(if is_negative {
        number.wrapping_neg()
    } else {
        number
    })
}

/// A register by its name, and the bytes that the name stands for. None of `%ah` and its like: it is no low part.
fn register(name: &str) -> Option<(Register, u8)> {
    use Register as R;
    let name = name.strip_prefix('%')?;
    let named: [(R, [&str; 4]); 9] = [
        (R::Rax, ["rax", "eax", "ax", "al"]),
        (R::Rbx, ["rbx", "ebx", "bx", "bl"]),
        (R::Rcx, ["rcx", "ecx", "cx", "cl"]),
        (R::Rdx, ["rdx", "edx", "dx", "dl"]),
        (R::Rsi, ["rsi", "esi", "si", "sil"]),
        (R::Rdi, ["rdi", "edi", "di", "dil"]),
        (R::Rbp, ["rbp", "ebp", "bp", "bpl"]),
        (R::Rsp, ["rsp", "esp", "sp", "spl"]),
        (R::Rip, ["rip", "eip", "", ""]),
    ];
    const WIDTHS: [u8; 4] = [8, 4, 2, 1];
    for (register, names) in named {
        let found = names.iter().zip(WIDTHS).find(|(n, _)| **n == name);
        if let Some((_, width)) = found {
            return Some((register, width));
        }
    }
    let numbered = [
        (R::R8, "r8"),
        (R::R9, "r9"),
        (R::R10, "r10"),
        (R::R11, "r11"),
        (R::R12, "r12"),
        (R::R13, "r13"),
        (R::R14, "r14"),
        (R::R15, "r15"),
    ];
    numbered.into_iter().find_map(|(register, stem)| {
        let width = match name.strip_prefix(stem)? {
            "" => 8,
            "d" => 4,
            "w" => 2,
            "b" => 1,
            _ => return None,
        };
        Some((register, width))
    })
}

#[cfg(test)]
#[path = "arguments_tests.rs"]
mod tests;
