//! Files that were made to cost us, and large ones that were not.
#![expect(clippy::unwrap_used, reason = "tests")]

use crate::probes::names::MAX_SYMBOLS;
use crate::probes::place::Choice;
use crate::probes::plan::{Look, Plan, plan};
use crate::probes::source::tests::Counted;
use crate::probes::source::{BLOCK_BYTES, ReadAt};

/// A function that both `SSL_read` and `SSL_write` may be: `push %rbx; pop %rbx; ret`.
const CODE: [u8; 3] = [0x53, 0x5b, 0xc3];
/// Where the code lies, in the file and in memory.
const TEXT: u64 = 0x1000;
/// Sections: none, names, code, dynamic symbols, their names.
const SECTIONS: [(&str, u32); 5] = [
    ("", 0),
    (".shstrtab", 3),
    (".text", 1),
    (".dynsym", 11),
    (".dynstr", 3),
];

/// A library that has functions of `names`, all of them [`CODE`].
pub(crate) struct Library {
    pub(crate) bytes: Vec<u8>,
    /// Offset of each section's header.
    headers: usize,
}

impl Library {
    pub(crate) fn new(names: &[String]) -> Library {
        let mut bytes = vec![0; usize::try_from(TEXT).unwrap()];
        bytes.extend(CODE.repeat(16));
        let mut strings = vec![0];
        let mut symbols = vec![0; 24];
        for name in names {
            symbols.extend(u32::try_from(strings.len()).unwrap().to_le_bytes());
            symbols.extend([0x12, 0, 2, 0]);
            symbols.extend(TEXT.to_le_bytes());
            symbols.extend((CODE.len() as u64).to_le_bytes());
            strings.extend(name.as_bytes());
            strings.push(0);
        }
        let names: String = SECTIONS.map(|(name, _)| format!("{name}\0")).concat();
        let parts: [&[u8]; 5] = [b"", names.as_bytes(), &CODE, &symbols, &strings];
        let mut headers = Vec::new();
        let mut name_at = 0_u32;
        for ((name, kind), part) in SECTIONS.iter().zip(parts) {
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            let is_text = *name == ".text";
            let at = if is_text { TEXT } else { bytes.len() as u64 };
            headers.extend(name_at.to_le_bytes());
            headers.extend(kind.to_le_bytes());
            headers.extend(0_u64.to_le_bytes());
            for word in [if is_text { TEXT } else { 0 }, at, part.len() as u64] {
                headers.extend(word.to_le_bytes());
            }
            headers.extend(4_u32.to_le_bytes());
            headers.resize(headers.len().next_multiple_of(64), 0);
            if !is_text {
                bytes.extend(part);
            }
            name_at += u32::try_from(name.len()).unwrap() + 1;
        }
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let at = bytes.len();
        bytes.extend(headers);
        let mut head = b"\x7fELF\x02\x01\x01".to_vec();
        head.resize(16, 0);
        head.extend([3, 0, 62, 0, 1, 0, 0, 0]);
        for word in [0, 64, at as u64] {
            head.extend(word.to_le_bytes());
        }
        head.extend([0; 4]);
        for half in [64_u16, 56, 1, 64, 5, 1] {
            head.extend(half.to_le_bytes());
        }
        // PT_LOAD, r-x
        head.extend([1, 0, 0, 0, 5, 0, 0, 0]);
        for word in [0, 0, 0, TEXT + 0x1000, TEXT + 0x1000, 0x1000] {
            head.extend(word.to_le_bytes());
        }
        bytes[..head.len()].copy_from_slice(&head);
        Library { bytes, headers: at }
    }

    /// Of `n` names of somebody's, and ours in their middle.
    fn large(n: usize) -> Library {
        let theirs =
            |n| format!("_ZN2at6native12_GLOBAL__N_1{n}kernel_of_some_lengthERKNS_6TensorE");
        let mut names: Vec<String> = (0..n).map(theirs).collect();
        names.insert(n / 2, "SSL_read".to_owned());
        names.insert(n / 3, "SSL_write".to_owned());
        Library::new(&names)
    }

    /// Says that a section has another size.
    fn resize(&mut self, name: &str, size: u64) {
        let n = SECTIONS.iter().position(|(n, _)| *n == name).unwrap();
        let at = self.headers + n * 64 + 32;
        self.bytes[at..at + 8].copy_from_slice(&size.to_le_bytes());
    }
}

fn look(file: &dyn ReadAt) -> Look {
    plan(file, Choice::Cheapest)
}

fn watched(look: &Look) -> usize {
    match &look.plan {
        Plan::Watch(functions) => functions.len(),
        Plan::Nothing | Plan::Unfollowed => 0,
    }
}

#[test]
fn a_library_of_many_symbols_is_read_in_few_pieces() {
    let library = Library::large(300_000);
    let file = Counted::new(&library.bytes);
    let look = look(&file);
    // Both names are one function.
    assert_eq!((watched(&look), look.is_cut), (1, false));
    let blocks = library.bytes.len() / BLOCK_BYTES;
    assert!(
        file.reads.get() < blocks + 20,
        "{} reads of {blocks} blocks",
        file.reads.get()
    );
    assert!(file.read.get() < library.bytes.len() as u64 * 11 / 10);
}

/// Of a library without our names its symbols are not read at all.
#[test]
fn where_no_name_is_ours_only_names_are_read() {
    let names: Vec<String> = (0..100_000).map(|n| format!("{n}SSL_readahead")).collect();
    let library = Library::new(&names);
    let file = Counted::new(&library.bytes);
    assert!(matches!(look(&file).plan, Plan::Nothing));
    assert!(file.read.get() < library.bytes.len() as u64 / 2);
}

#[test]
fn a_name_that_lies_in_two_blocks_or_ends_another_one_is_found() {
    for shift in 0..12 {
        let filler = "x".repeat(BLOCK_BYTES - shift);
        let library = Library::new(&[filler, "SSL_write".into(), "SSL_read".into()]);
        assert_eq!(watched(&look(&Counted::new(&library.bytes))), 1, "{shift}");
    }
    // Linkers share endings: `SSL_read` within `my_SSL_read`.
    let mut library = Library::new(&["my_SSL_read".into(), "SSL_write".into()]);
    let symbols = library
        .bytes
        .windows(8)
        .position(|w| w == b"\x01\0\0\0\x12\0\x02\0");
    library.bytes[symbols.unwrap()] = 4;
    assert_eq!(watched(&look(&Counted::new(&library.bytes))), 1);
}

#[test]
fn tables_of_any_size_in_a_sparse_file_are_not_believed() {
    for (section, size) in [
        (".dynsym", 4 << 30),
        (".dynstr", 4 << 30),
        (".dynsym", u64::MAX),
        (".dynstr", u64::MAX - 5),
        (".shstrtab", 4 << 30),
    ] {
        let mut library = Library::new(&["SSL_read".into(), "SSL_write".into()]);
        library.resize(section, size);
        let file = Counted::sparse(&library.bytes, 8 << 30);
        let look = look(&file);
        assert_eq!(look.is_cut, section != ".shstrtab");
        assert!(file.read.get() < 4 << 20, "{section} {size}");
    }
}

/// Each would be looked at, and so it ends.
#[test]
fn symbols_of_our_names_past_the_bound_are_left() {
    let names = vec!["SSL_read".to_owned(); MAX_SYMBOLS * 4];
    let mut library = Library::new(&names);
    // Each at a place of its own.
    let first = library
        .bytes
        .windows(8)
        .position(|w| w == b"\x01\0\0\0\x12\0\x02\0");
    for n in 0..names.len() {
        let at = first.unwrap() + n * 24;
        library.bytes[at..at + 4].copy_from_slice(&1_u32.to_le_bytes());
        library.bytes[at + 8] = n as u8;
        library.bytes[at + 16] = (n >> 8) as u8 + 1;
    }
    assert!(look(&Counted::new(&library.bytes)).is_cut);
}

#[test]
fn whatever_is_changed_gives_an_answer() {
    let library = Library::new(&["SSL_read".into(), "SSL_write".into(), "SSL_free".into()]);
    let size = library.bytes.len();
    let ours = (0..128).chain(usize::try_from(TEXT).unwrap()..size);
    for at in ours {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = library.bytes.clone();
            bytes[at] = value;
            look(&Counted::new(&bytes));
            let end = (at + 8).min(size);
            bytes[at..end].fill(value);
            look(&Counted::sparse(&bytes, size as u64 + 100));
        }
    }
    for end in 0..size {
        look(&Counted::new(&library.bytes[..end]));
    }
}
