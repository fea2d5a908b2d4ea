//! The notes of a file, as a tracer reads them.

use std::collections::BTreeMap;
use std::path::Path;

use object::read::elf::{ElfFile64, FileHeader, ProgramHeader, SectionHeader};
use object::{Endianness, Object, ObjectSection};

/// A probe as a file tells of it.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(crate) provider: String,
    pub(crate) name: String,
    pub(crate) operands: Vec<String>,
    /// Virtual address of the first `nop`.
    pub(crate) address: u64,
    pub(crate) base: u64,
    /// Virtual address of the semaphore.
    pub(crate) semaphore: u64,
    /// The same two in the file.
    pub(crate) offset: u64,
    pub(crate) semaphore_offset: u64,
    /// The machine code at the address.
    pub(crate) code: Vec<u8>,
    /// Name and writability of the section that the semaphore lies in.
    pub(crate) semaphore_section: String,
    pub(crate) semaphore_writable: bool,
}

/// All notes of ours in a file, those that the linker left without an address too.
pub(crate) fn read(path: &Path) -> Vec<Note> {
    let bytes = std::fs::read(path).expect("the file");
    let file = ElfFile64::<Endianness>::parse(&*bytes).expect("an ELF file");
    let endian = file.endian();
    let header = file.elf_header();
    let segments = header.program_headers(endian, &*bytes).expect("segments");
    let offset = |address: u64| {
        segments
            .iter()
            .filter(|segment| segment.p_type(endian) == object::elf::PT_LOAD)
            .find(|segment| {
                (segment.p_vaddr(endian)..segment.p_vaddr(endian) + segment.p_filesz(endian))
                    .contains(&address)
            })
            .map_or(0, |segment| {
                address - segment.p_vaddr(endian) + segment.p_offset(endian)
            })
    };
    let sections = header.sections(endian, &*bytes).expect("sections");
    let mut found = Vec::new();
    for section in sections.iter() {
        let Some(mut notes) = section.notes(endian, &*bytes).expect("a section") else {
            continue;
        };
        while let Some(note) = notes.next().expect("a note") {
            if note.name() != b"stapsdt" || note.n_type(endian) != object::elf::NoteType(3) {
                continue;
            }
            let content = note.desc();
            let word = |i: usize| u64::from_ne_bytes(content[i * 8..i * 8 + 8].try_into().unwrap());
            let mut texts = content[24..]
                .split(|&byte| byte == 0)
                .map(|text| String::from_utf8(text.to_vec()).expect("text"));
            let mut text = || texts.next().expect("three texts");
            let (provider, name, operands) = (text(), text(), text());
            let (address, semaphore) = (word(0), word(2));
            let place = offset(address) as usize;
            let holder = file
                .sections()
                // Addresses of thread-local storage that is zero are nobody's.
                .filter(|section| section.kind() != object::SectionKind::UninitializedTls)
                .find(|section| {
                    (section.address()..section.address() + section.size()).contains(&semaphore)
                })
                .map_or_else(String::new, |section| section.name().unwrap().to_owned());
            let writable = sections.iter().any(|section| {
                let range =
                    section.sh_addr(endian)..section.sh_addr(endian) + section.sh_size(endian);
                range.contains(&semaphore)
                    && section.sh_flags(endian).contains(object::elf::SHF_WRITE)
            });
            found.push(Note {
                provider,
                name,
                operands: operands.split_whitespace().map(str::to_owned).collect(),
                address,
                base: word(1),
                semaphore,
                offset: place as u64,
                semaphore_offset: offset(semaphore),
                code: bytes.get(place..place + 8).unwrap_or(&[]).to_vec(),
                semaphore_section: holder,
                semaphore_writable: writable,
            });
        }
    }
    found.retain(|note| note.provider == "cirron");
    found
}

/// The same by name; each name is there once.
pub(crate) fn by_name(path: &Path) -> BTreeMap<String, Note> {
    let mut notes = BTreeMap::new();
    for note in read(path) {
        let name = note.name.clone();
        assert!(
            notes.insert(name.clone(), note).is_none(),
            "{name} is there twice"
        );
    }
    notes
}

/// What must be true of each note, wherever it was built.
pub(crate) fn check(path: &Path, expected: &[(&str, usize)]) {
    let notes = by_name(path);
    let names: Vec<&str> = notes.keys().map(String::as_str).collect();
    let expected_names: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, expected_names, "{}", path.display());
    let mut semaphores = std::collections::BTreeSet::new();
    for (name, arity) in expected {
        let note = &notes[*name];
        assert_eq!(note.operands.len(), *arity, "{note:?}");
        assert!(note.address != 0 && note.base != 0, "{note:?}");
        assert_eq!(note.semaphore % 2, 0, "{note:?}");
        assert_eq!(note.semaphore_section, ".probes", "{note:?}");
        assert!(note.semaphore_writable, "{note:?}");
        assert!(note.semaphore_offset != 0, "{note:?}");
        assert!(semaphores.insert(note.semaphore), "a semaphore of its own");
        if cfg!(target_arch = "x86_64") {
            assert_eq!(
                note.code[..7],
                [0x90, 0x0f, 0x1f, 0x44, 0x00, 0x00, 0xc3],
                "{note:?}"
            );
            assert_eq!(note.address % 16, 0, "the second nop crosses 16 bytes");
            assert_eq!(note.operands, OPERANDS[..*arity], "{note:?}");
        }
    }
}

const OPERANDS: [&str; 8] = [
    "8@%rdi",
    "8@%rsi",
    "8@%rdx",
    "8@%rcx",
    "8@%r8",
    "8@%r9",
    "8@8(%rsp)",
    "8@16(%rsp)",
];
