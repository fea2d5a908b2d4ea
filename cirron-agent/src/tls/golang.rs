//! Go's `crypto/tls` in an executable, by the function table that every Go program carries.
//!
//! Stripping takes the symbols away and leaves `pclntab`: the runtime needs it to unwind. It gives
//! each function's name, and its place relative to the start of Go's code. Where that start is, the
//! header says up to Go 1.25; later, and in position-independent executables, it says nothing. Then
//! it is looked for: there must be one place only at which each of our functions begins as the
//! compiler begins a function.
//!
//! Only tables of Go 1.18 and later are read: their functions pass arguments in registers. Source:
//! Go's `src/runtime/symtab.go` (`pcHeader`, `functab`, `_func`).

use super::functions::{Function, GO_FUNCTIONS};

/// `pcHeader.magic` of Go 1.18 and 1.19, and of 1.20 and later.
const MAGICS: [u32; 2] = [0xffff_fff0, 0xffff_fff1];

/// How far behind the start of `.text` Go's code may begin: C's start-up code stands before it.
const MAX_CODE_OFFSET: u64 = 64 * 1024;

/// Functions begin at multiples of this, on x86-64 (Go's `src/cmd/link/internal/amd64`:
/// `funcAlign`).
const ALIGNMENT: u64 = 32;

/// Bytes of a function's beginning that hold the check of the stack's end.
const PROLOGUE_BYTES: usize = 24;

/// `cmp 0x10(%r14), reg` without its prefix: the stack's end, in the goroutine.
const STACK_CHECK: [u8; 3] = [0x3b, 0x66, 0x10];

/// A function of the table, relative to the start of Go's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoFunction {
    /// Its row.
    pub function: &'static Function,
    /// Its first byte.
    pub start: u64,
    /// Where the next function begins.
    pub end: u64,
}

/// What a table says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoTable {
    /// Address of the start of Go's code, where the table has it.
    pub text: Option<u64>,
    /// Functions of ours.
    pub functions: Vec<GoFunction>,
}

fn u32_at(table: &[u8], at: usize) -> Option<u32> {
    let bytes = table.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

fn u64_at(table: &[u8], at: usize) -> Option<u64> {
    let bytes = table.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

fn offset_at(table: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64_at(table, at)?).ok()
}

/// Reads a `pclntab`. `None` where it is none, or one of another age.
pub fn read(table: &[u8]) -> Option<GoTable> {
    let magic = u32_at(table, 0)?;
    // Two bytes of zero, the instruction alignment of x86 and the size of a pointer.
    if !MAGICS.contains(&magic) || table.get(4..8)? != [0, 0, 1, 8] {
        return None;
    }
    let count = offset_at(table, 8)?;
    let text = u64_at(table, 24)?;
    let names = table.get(offset_at(table, 32)?..)?;
    let functions = table.get(offset_at(table, 64)?..)?;
    if count > functions.len() / 8 {
        return None;
    }
    let entry = |i: usize| u32_at(functions, i * 8);
    let mut found = Vec::new();
    for i in 0..count {
        let Some(info) = u32_at(functions, i * 8 + 4) else {
            continue;
        };
        // `_func`: entry offset, name offset.
        let name = usize::try_from(info)
            .ok()
            .and_then(|info| u32_at(functions, info.checked_add(4)?))
            .and_then(|at| names.get(usize::try_from(at).ok()?..));
        let Some(function) = name.and_then(named) else {
            continue;
        };
        let (Some(start), Some(end)) = (entry(i), entry(i + 1)) else {
            continue;
        };
        found.push(GoFunction {
            function,
            start: start.into(),
            end: end.into(),
        });
    }
    Some(GoTable {
        text: (text != 0).then_some(text),
        functions: found,
    })
}

/// The row whose name `bytes` begin with, up to a zero byte.
fn named(bytes: &[u8]) -> Option<&'static Function> {
    GO_FUNCTIONS.iter().find(|function| {
        let rest = bytes.strip_prefix(function.name.as_bytes());
        rest.and_then(<[u8]>::first) == Some(&0)
    })
}

/// Whether a function of the compiler may begin so.
pub fn is_prologue(code: &[u8]) -> bool {
    let head = code.get(..PROLOGUE_BYTES).unwrap_or(code);
    head.windows(STACK_CHECK.len()).any(|w| w == STACK_CHECK)
}

/// The address of the start of Go's code. `section`: the address of `.text`; `code`: the bytes of
/// an address, or nothing.
pub fn text_of<'a>(
    table: &GoTable,
    section: u64,
    code: impl Fn(u64) -> Option<&'a [u8]>,
) -> Option<u64> {
    let fits = |text: u64| {
        table
            .functions
            .iter()
            .all(|f| code(text.wrapping_add(f.start)).is_some_and(is_prologue))
    };
    if table.functions.is_empty() {
        return None;
    }
    if let Some(text) = table.text.filter(|text| fits(*text)) {
        return Some(text);
    }
    let mut places = (0..=MAX_CODE_OFFSET / ALIGNMENT)
        .map(|i| section.next_multiple_of(ALIGNMENT) + i * ALIGNMENT)
        .filter(|text| fits(*text));
    let first = places.next()?;
    places.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const READ: &str = "crypto/tls.(*Conn).Read";

    /// A table of `functions`: where each begins and its name; the last one ends the code.
    fn table(magic: u32, text: u64, functions: &[(u32, &str)]) -> Vec<u8> {
        let mut names = vec![0];
        let mut rows = Vec::new();
        let mut infos = Vec::new();
        let count = functions.len() - 1;
        let infos_at = count * 8 + 4;
        for (entry, name) in functions {
            rows.extend_from_slice(&entry.to_le_bytes());
            if rows.len() < infos_at {
                let info = u32::try_from(infos_at + infos.len()).unwrap();
                rows.extend_from_slice(&info.to_le_bytes());
                infos.extend_from_slice(&entry.to_le_bytes());
                infos.extend_from_slice(&u32::try_from(names.len()).unwrap().to_le_bytes());
                names.extend_from_slice(name.as_bytes());
                names.push(0);
            }
        }
        let mut out = magic.to_le_bytes().to_vec();
        out.extend_from_slice(&[0, 0, 1, 8]);
        let names_at = 72;
        let functions_at = names_at + names.len();
        for word in [
            count as u64,
            0,
            text,
            names_at as u64,
            0,
            0,
            0,
            functions_at as u64,
        ] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend([names, rows, infos].concat());
        out
    }

    #[test]
    fn functions_are_found_by_their_whole_names() {
        let bytes = table(
            0xffff_fff1,
            0x40_1000,
            &[
                (0, "main.main"),
                (32, READ),
                (64, "crypto/tls.(*Conn).ReadFrom"),
                (96, ""),
            ],
        );
        let read = read(&bytes).unwrap();
        assert_eq!(read.text, Some(0x40_1000));
        let [only] = read.functions[..] else {
            panic!("{read:?}")
        };
        assert_eq!((only.function.name, only.start, only.end), (READ, 32, 64));
    }

    #[test]
    fn tables_of_another_age_and_cut_ones_are_left_alone() {
        let functions = [(0, READ), (32, "")];
        assert_eq!(read(&table(0xffff_fffa, 0, &functions)), None);
        let whole = table(0xffff_fff0, 0, &functions);
        assert!(read(&whole).is_some());
        for cut in 0..whole.len() {
            let cut = read(&whole[..cut]);
            assert!(cut.is_none_or(|t| t.functions.len() <= 1));
        }
    }

    #[test]
    fn the_start_of_the_code_is_found_where_one_place_fits() {
        let found = read(&table(0xffff_fff1, 0, &[(0x20, READ), (0x60, "")])).unwrap();
        let mut code = vec![0x90_u8; 0x400];
        let at = |code: &[u8]| {
            let code = code.to_vec().leak();
            text_of(&found, 0x1000, |a| {
                code.get(usize::try_from(a - 0x1000).ok()?..)
            })
        };
        assert_eq!(at(&code), None);
        // Go's code begins 0x100 behind the section's start.
        code[0x120 + 21..0x120 + 24].copy_from_slice(&STACK_CHECK);
        assert_eq!(at(&code), Some(0x1100));
        code[0x320 + 21..0x320 + 24].copy_from_slice(&STACK_CHECK);
        assert_eq!(at(&code), None, "two places fit");
    }
}
