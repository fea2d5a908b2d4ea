//! Go's `crypto/tls` and HTTP client in an executable, by the function table that every Go program carries.
//!
//! Stripping takes the symbols away and leaves `pclntab`: the runtime needs it to unwind. It gives
//! each function's name, and its place relative to the start of Go's code. Where that start is, the
//! header says up to Go 1.25; later, and in position-independent executables, it says nothing. Then
//! it is looked for: there must be one place only at which each of our functions begins as the
//! compiler begins a function.
//!
//! Only tables of Go 1.18 and later are read: their functions pass arguments in registers. Source:
//! Go's `src/runtime/symtab.go` (`pcHeader`, `functab`, `_func`).

use std::ops::{ControlFlow, Range};

use memchr::memmem::Finder;

use super::symbol::Found;
use super::{Binary, Located, Locator};
use crate::probes::elf::{Elf, Section};
use crate::probes::place::Ways;
use crate::probes::source::{Source, u32_in};
use crate::probes::tls::functions::{Function, GO_FUNCTIONS};

/// How the names of [`GO_FUNCTIONS`] begin.
const STEMS: [&[u8]; 3] = [
    b"crypto/tls.(*Conn).",
    b"net/http.(*persistConn).",
    b"net/http.persistConnWriter.",
];
/// Bytes of the longest of them, and more.
const MAX_NAME_BYTES: usize = 48;
/// Functions of those names. A program has each once.
const MAX_FUNCTIONS: usize = 64;
/// Bytes of a row of the table of functions, and of an entry alone, which ends it.
const ROW_BYTES: u64 = 8;
const ENTRY_BYTES: u64 = 4;

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
    /// Where the runtime goes on in it when a call that it deferred has recovered from a panic.
    pub recovered: Option<u64>,
}

/// What a table says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoTable {
    /// Address of the start of Go's code, where the table has it.
    pub text: Option<u64>,
    /// Functions of ours.
    pub functions: Vec<GoFunction>,
}

/// Where the parts of a table lie in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoTableParts {
    /// Address of the start of Go's code, where the table has it.
    text: Option<u64>,
    names: Range<u64>,
    functions: u64,
    rows: Range<u64>,
}

/// A function of a table, relative to the start of Go's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'n> {
    /// Its name.
    pub name: &'n str,
    /// Its first byte.
    pub start: u64,
    /// Where the next function begins.
    pub end: u64,
    /// As [`GoFunction::recovered`].
    pub recovered: Option<u64>,
}

/// What a row of a table says: entry, place of its `_func`, the next one's entry.
struct Entry {
    name: u32,
    start: u64,
    end: u64,
    recovered: Option<u64>,
}

impl GoTableParts {
    /// `None` where it is none, or one of another age.
    fn read(source: &Source<'_>, table: Range<u64>) -> Option<GoTableParts> {
        let at = |offset: u64| {
            let at = table
                .start
                .checked_add(source.u64(table.start.checked_add(offset)?)?)?;
            (at <= table.end).then_some(at)
        };
        let word = |offset: u64| source.u32(table.start.checked_add(offset)?);
        // Two bytes of zero, the instruction alignment of x86 and the size of a pointer.
        if !MAGICS.contains(&word(0)?) || word(4)? != u32::from_le_bytes([0, 0, 1, 8]) {
            return None;
        }
        let count = source.u64(table.start.checked_add(8)?)?;
        let text = source.u64(table.start.checked_add(24)?)?;
        let (names, units, functions) = (at(32)?, at(40)?, at(64)?);
        if count > (table.end - functions) / ROW_BYTES {
            return None;
        }
        // What lies behind the names is that of compilation units.
        let end = if units > names { units } else { table.end };
        Some(GoTableParts {
            text: (text != 0).then_some(text),
            names: names..end,
            functions,
            rows: functions..functions + count * ROW_BYTES + ENTRY_BYTES,
        })
    }

    /// Hands out what each row says. `Some`: `take` has ended it.
    fn entries(
        &self,
        source: &Source<'_>,
        mut take: impl FnMut(Entry) -> ControlFlow<()>,
    ) -> Option<()> {
        let mut next = self.rows.start;
        let overlap = (ROW_BYTES + ENTRY_BYTES) as usize;
        source.blocks(self.rows.clone(), overlap, |at, bytes| {
            while let Some(row) = usize::try_from(next - at)
                .ok()
                .and_then(|from| bytes.get(from..from.checked_add(overlap)?))
            {
                next += ROW_BYTES;
                if let Some(entry) = self.entry(source, row)
                    && take(entry).is_break()
                {
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })
    }

    /// `_func`: entry offset, name offset, size of arguments, offset of the call of `deferreturn` or 0.
    fn entry(&self, source: &Source<'_>, row: &[u8]) -> Option<Entry> {
        let info = self.functions.checked_add(u32_in(row, 4)?.into())?;
        let recovered = source.u32(info.checked_add(3 * ENTRY_BYTES)?)?;
        Some(Entry {
            name: source.u32(info.checked_add(ENTRY_BYTES)?)?,
            start: u32_in(row, 0)?.into(),
            end: u32_in(row, 8)?.into(),
            recovered: (recovered != 0).then_some(recovered.into()),
        })
    }

    /// Hands out each function by its name. `Some`: `take` has ended it.
    pub fn rows(
        &self,
        source: &Source<'_>,
        mut take: impl FnMut(&Row<'_>) -> ControlFlow<()>,
    ) -> Option<()> {
        let names = source.piece(self.names.start, self.names.end - self.names.start)?;
        self.entries(source, |entry| {
            let Entry {
                name,
                start,
                end,
                recovered,
            } = entry;
            match usize::try_from(name)
                .ok()
                .and_then(|at| text_at(&names, at))
            {
                Some(name) => take(&Row {
                    name,
                    start,
                    end,
                    recovered,
                }),
                None => ControlFlow::Continue(()),
            }
        })
    }
}

/// The text that begins there and that a 0 ends.
fn text_at(bytes: &[u8], at: usize) -> Option<&str> {
    let rest = bytes.get(at..)?;
    let end = memchr::memchr(0, rest)?;
    std::str::from_utf8(rest.get(..end)?).ok()
}

/// Reads the `pclntab` in a part of a file. `None` where it is none, or one of another age.
pub fn read(source: &Source<'_>, table: Range<u64>) -> Option<GoTable> {
    Some(watched(source, &GoTableParts::read(source, table)?))
}

/// The functions of ours in a table.
fn watched(source: &Source<'_>, parts: &GoTableParts) -> GoTable {
    let places = places(source, parts.names.clone());
    let mut found = Vec::new();
    let is_named = |entry: &Entry| {
        let at = places.binary_search_by_key(&entry.name, |(at, _)| *at).ok();
        at.and_then(|at| places.get(at))
            .map(|(_, function)| *function)
    };
    let mut take = |entry: Entry| {
        let Some(function) = is_named(&entry) else {
            return ControlFlow::Continue(());
        };
        if found.len() == MAX_FUNCTIONS {
            source.cut();
            return ControlFlow::Break(());
        }
        found.push(GoFunction {
            function,
            start: entry.start,
            end: entry.end,
            recovered: entry.recovered,
        });
        ControlFlow::Continue(())
    };
    if !places.is_empty() {
        parts.entries(source, &mut take);
    }
    GoTable {
        text: parts.text,
        functions: found,
    }
}

/// The table of a Go program, and the address of the start of its code: where our functions fit, or as the table says.
pub fn table(elf: &Elf<'_>) -> Option<(GoTableParts, u64)> {
    let parts = GoTableParts::read(elf.source, section(elf)?.part())?;
    let start = start_of(elf, &watched(elf.source, &parts)).or(parts.text)?;
    Some((parts, start))
}

/// Where among names those of [`GO_FUNCTIONS`] begin, in order.
fn places(source: &Source<'_>, names: Range<u64>) -> Vec<(u32, &'static Function)> {
    let stems = STEMS.map(Finder::new);
    let mut found: Vec<(u32, &'static Function)> = Vec::new();
    let start = names.start;
    source.blocks(names, MAX_NAME_BYTES + 1, |at, bytes| {
        for place in stems.iter().flat_map(|stem| stem.find_iter(bytes)) {
            let Some(function) = bytes.get(place..).and_then(named) else {
                continue;
            };
            if let Ok(place) = u32::try_from(at - start + place as u64) {
                found.push((place, function));
            }
        }
        if found.len() > MAX_FUNCTIONS {
            source.cut();
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    found.sort_unstable_by_key(|(at, _)| *at);
    found.dedup();
    found
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

/// The address of the start of Go's code. `section`: the address of `.text`; `code` gives
/// the bytes at an address: at most as many as are asked for, and none where there are none.
pub fn text_of(
    table: &GoTable,
    section: u64,
    code: impl Fn(u64, u64) -> Option<Vec<u8>>,
) -> Option<u64> {
    let functions = &table.functions;
    if functions.is_empty() {
        return None;
    }
    let begins = |address: u64| {
        let head = code(address, PROLOGUE_BYTES as u64);
        head.is_some_and(|head| is_prologue(&head))
    };
    let fits = |text: &u64| {
        let mut starts = functions.iter().map(|f| text.checked_add(f.start));
        starts.all(|start| start.is_some_and(begins))
    };
    if let Some(text) = table.text.filter(fits) {
        return Some(text);
    }
    let lowest = section.checked_next_multiple_of(ALIGNMENT)?;
    // Where each function is if the code begins at the lowest place, and all that may be instead.
    let size = MAX_CODE_OFFSET + PROLOGUE_BYTES as u64;
    let near: Vec<Vec<u8>> = functions
        .iter()
        .map(|f| code(lowest.checked_add(f.start)?, size))
        .collect::<Option<_>>()?;
    let fits = |offset: &u64| {
        let at = usize::try_from(*offset).unwrap_or(usize::MAX);
        let mut heads = near.iter().map(|code| code.get(at..));
        heads.all(|head| head.is_some_and(is_prologue))
    };
    let mut places = (0..=MAX_CODE_OFFSET / ALIGNMENT)
        .map(|i| i * ALIGNMENT)
        .filter(fits);
    let first = places.next()?;
    places
        .next()
        .is_none()
        .then(|| lowest.checked_add(first))
        .flatten()
}

/// By the table that a Go program carries.
#[derive(Clone, Copy, Debug)]
pub struct Pclntab;

impl Locator for Pclntab {
    fn locate(&self, binary: &Binary<'_>, located: &mut Located) {
        located.functions.extend(functions(&binary.elf));
    }
}

fn section<'e>(elf: &'e Elf<'_>) -> Option<&'e Section> {
    [".gopclntab", ".data.rel.ro.gopclntab"]
        .iter()
        .find_map(|name| elf.section(name))
}

/// The address of the start of Go's code, where the functions of a table fit.
fn start_of(elf: &Elf<'_>, table: &GoTable) -> Option<u64> {
    let text = elf.section(".text")?;
    let part = text.part();
    // Of a section's address its bytes, as far as they go.
    let code = |address: u64, size: u64| {
        let at = part.start.checked_add(address.checked_sub(text.address)?)?;
        elf.source.piece(at, size.min(part.end.checked_sub(at)?))
    };
    text_of(table, text.address, code)
}

/// Those of a Go program; none where it is none.
fn functions(elf: &Elf<'_>) -> Vec<Found> {
    let table = section(elf)
        .and_then(|s| read(elf.source, s.part()))
        .unwrap_or_default();
    if table.functions.is_empty() || elf.section(".text").is_none() {
        return Vec::new();
    }
    let Some(start) = start_of(elf, &table) else {
        tracing::info!("a Go program whose code does not begin where its table fits");
        return Vec::new();
    };
    let attach = |f: &GoFunction| {
        let address = start.checked_add(f.start)?;
        let offset = elf.offset_of(address)?;
        let code = elf.function(offset, f.end.checked_sub(f.start)?)?;
        Some(Found {
            function: f.function,
            address,
            offset,
            code,
            ways: Ways {
                entries: f.recovered.into_iter().map(u64::cast_signed).collect(),
                ..Ways::default()
            },
        })
    };
    table.functions.iter().filter_map(attach).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const READ: &str = "crypto/tls.(*Conn).Read";

    fn read_table(bytes: &[u8]) -> Option<GoTable> {
        read(&Source::new(&bytes), 0..bytes.len() as u64)
    }

    #[test]
    fn every_name_is_looked_for_by_the_stem_and_held_by_a_block() {
        for function in GO_FUNCTIONS {
            let name = function.name.as_bytes();
            assert!(STEMS.iter().any(|stem| name.starts_with(stem)));
            assert!(function.name.len() < MAX_NAME_BYTES);
        }
    }

    /// Of each function of a table.
    const RECOVERED: u32 = 7;

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
                infos.extend_from_slice(&[0; 4]);
                infos.extend_from_slice(&RECOVERED.to_le_bytes());
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
        let read = read_table(&bytes).unwrap();
        assert_eq!(read.text, Some(0x40_1000));
        let [only] = read.functions[..] else {
            panic!("{read:?}")
        };
        assert_eq!((only.function.name, only.start, only.end), (READ, 32, 64));
        assert_eq!(only.recovered, Some(u64::from(RECOVERED)));
    }

    #[test]
    fn tables_of_another_age_and_cut_ones_are_left_alone() {
        let functions = [(0, READ), (32, "")];
        assert_eq!(read_table(&table(0xffff_fffa, 0, &functions)), None);
        let whole = table(0xffff_fff0, 0, &functions);
        assert!(read_table(&whole).is_some());
        for cut in 0..whole.len() {
            let cut = read_table(&whole[..cut]);
            assert!(cut.is_none_or(|t| t.functions.len() <= 1));
        }
    }

    #[test]
    fn the_start_of_the_code_is_found_where_one_place_fits() {
        let found = read_table(&table(0xffff_fff1, 0, &[(0x20, READ), (0x60, "")])).unwrap();
        let mut code = vec![0x90_u8; 0x400];
        let at = |code: &[u8]| {
            text_of(&found, 0x1000, |a, size| {
                let rest = code.get(usize::try_from(a - 0x1000).ok()?..)?;
                let size = usize::try_from(size).ok()?;
                Some(rest.get(..size).unwrap_or(rest).to_vec())
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
