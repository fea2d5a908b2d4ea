//! Notes of USDT probes in a file: `.note.stapsdt`, which is not loaded and which stripping leaves.
//!
//! ```text
//! length of the owner, of the content, kind | owner | address, base, semaphore | provider 0 name 0 arguments 0
//! ```
//! Found by its section's name: a file without section headers has none. A prelinked file's addresses are moved by what
//! its section `.stapsdt.base` was. All lengths are a stranger's.

use crate::probes::elf::Elf;
use crate::probes::source::{u32_in, u64_in};

/// Bytes of a file's notes. The JVM's have 100 KiB.
const MAX_NOTES_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes of a provider, of a probe's name and of its arguments. A dozen arguments have 200.
const MAX_TEXT_BYTES: usize = 1024;
/// Before the owner of a note: two lengths and its kind.
const HEAD_BYTES: usize = 12;
/// Each part begins at a multiple of it.
const ALIGNMENT: usize = 4;
/// Kind of these notes (`NT_STAPSDT`).
const KIND: u32 = 3;

/// A probe as a file tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Who has made it.
    pub provider: String,
    /// Its name, unique with its provider; several places may have it.
    pub name: String,
    /// Where its values stand, as text.
    pub arguments: Vec<u8>,
    /// Address of its instruction, as the file counts them now.
    pub address: u64,
    /// Address of its semaphore; 0: it has none.
    pub semaphore: u64,
}

/// The notes of a file, in their order. What is no note of this kind is passed over; behind one that does not fit
/// there is nothing.
pub fn notes(elf: &Elf<'_>) -> Vec<Note> {
    let Some(section) = elf.section(".note.stapsdt") else {
        return Vec::new();
    };
    if section.size > MAX_NOTES_BYTES {
        elf.source.cut();
        return Vec::new();
    }
    let bytes = elf.source.piece(section.offset, section.size);
    let base = elf.section(".stapsdt.base").map(|section| section.address);
    read(&bytes.unwrap_or_default(), base)
}

/// `base`: where the section is now by whose address the notes were written.
fn read(mut bytes: &[u8], base: Option<u64>) -> Vec<Note> {
    let mut found = Vec::new();
    while let Some((note, rest)) = next(bytes) {
        found.extend(note.and_then(|content| in_content(content, base)));
        bytes = rest;
    }
    found
}

/// The content of the note that `bytes` begin with, if it is one of ours, and what is behind it.
fn next(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let length = |at| usize::try_from(u32_in(bytes, at)?).ok();
    let (owner_len, content_len, kind) = (length(0)?, length(4)?, u32_in(bytes, 8)?);
    let owner_end = HEAD_BYTES.checked_add(owner_len)?;
    let content_at = owner_end.checked_next_multiple_of(ALIGNMENT)?;
    let content_end = content_at.checked_add(content_len)?;
    let owner = bytes.get(HEAD_BYTES..owner_end)?;
    let content = bytes.get(content_at..content_end)?;
    let end = content_end.checked_next_multiple_of(ALIGNMENT)?;
    let is_ours = kind == KIND && owner == b"stapsdt\0";
    Some((
        is_ours.then_some(content),
        bytes.get(end..).unwrap_or_default(),
    ))
}

fn in_content(content: &[u8], base: Option<u64>) -> Option<Note> {
    let (address, written_base, semaphore) = (
        u64_in(content, 0)?,
        u64_in(content, 8)?,
        u64_in(content, 16)?,
    );
    let mut texts = content.get(24..)?.split(|byte| *byte == 0);
    let mut text = || texts.next().filter(|text| text.len() <= MAX_TEXT_BYTES);
    let (provider, name, arguments) = (text()?, text()?, text()?);
    let moved = match base {
        Some(base) if written_base != 0 => base.wrapping_sub(written_base),
        Some(_) | None => 0,
    };
    let semaphore = match semaphore {
        0 => 0,
        at => at.wrapping_add(moved),
    };
    // The linker leaves none where it has dropped the code.
    (address != 0).then_some(Note {
        provider: std::str::from_utf8(provider).ok()?.to_owned(),
        name: std::str::from_utf8(name).ok()?.to_owned(),
        arguments: arguments.to_vec(),
        address: address.wrapping_add(moved),
        semaphore,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(owner: &[u8], kind: u32, words: [u64; 3], texts: &[u8]) -> Vec<u8> {
        let mut content: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        content.extend(texts);
        let mut bytes = Vec::new();
        for length in [owner.len(), content.len()] {
            bytes.extend(u32::try_from(length).unwrap_or_default().to_le_bytes());
        }
        bytes.extend(kind.to_le_bytes());
        for part in [owner, &content] {
            bytes.extend(part);
            bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        }
        bytes
    }

    const OURS: &[u8] = b"stapsdt\0";

    #[test]
    fn notes_are_read_and_others_among_them_passed_over() {
        let bytes = [
            note(
                OURS,
                3,
                [0x1000, 0x9000, 0x8000],
                b"a\0one\x008@%rdi -4@$5\0",
            ),
            note(b"GNU\0", 3, [1, 2, 3], b"b\0two\0\0"),
            note(OURS, 4, [1, 2, 3], b"b\0two\0\0"),
            note(OURS, 3, [0, 2, 3], b"b\0dropped\0\0"),
            note(OURS, 3, [0x2000, 0x9000, 0], b"a\0none\0\0"),
        ]
        .concat();
        let one = Note {
            provider: "a".to_owned(),
            name: "one".to_owned(),
            arguments: b"8@%rdi -4@$5".to_vec(),
            address: 0x1000,
            semaphore: 0x8000,
        };
        let none = Note {
            name: "none".to_owned(),
            arguments: Vec::new(),
            address: 0x2000,
            semaphore: 0,
            ..one.clone()
        };
        assert_eq!(read(&bytes, None), [one.clone(), none]);
        let moved = read(&bytes, Some(0x9100));
        let at: Vec<(u64, u64)> = moved.iter().map(|n| (n.address, n.semaphore)).collect();
        assert_eq!(at, [(0x1100, 0x8100), (0x2100, 0)], "it was prelinked");
    }

    #[test]
    fn what_does_not_fit_ends_it_and_nothing_fails() {
        let good = note(OURS, 3, [0x1000, 0, 0], b"a\0one\0\0");
        for cut in 0..good.len() {
            assert!(read(&good[..cut], None).len() <= 1);
        }
        for at in 0..12 {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut bytes = [good.clone(), good.clone()].concat();
                bytes[at] = byte;
                assert!(read(&bytes, Some(7)).len() <= 2);
            }
        }
        for texts in [&b"a"[..], b"a\0b", b"\xff\0b\0\0", b""] {
            assert_eq!(read(&note(OURS, 3, [1, 0, 0], texts), None), []);
        }
        let long = [&[b'x'; MAX_TEXT_BYTES + 1][..], b"\0n\0\0"].concat();
        assert_eq!(read(&note(OURS, 3, [1, 0, 0], &long), None), []);
        assert_eq!(read(&note(OURS, 3, [1, 0, 0], &long[1..]), None).len(), 1);
    }
}
