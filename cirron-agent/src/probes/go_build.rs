//! What built a Go program, as the program itself says: the version, and what of the runtime follows from it.
//!
//! Stands beside the locators: a file in, a number out. The linker writes the version into `.go.buildinfo`, which stripping
//! leaves (Go's `src/debug/buildinfo`). Of a version that is not in the table nothing is said.

use super::elf::Elf;

/// How the section begins.
const MAGIC: &[u8; 14] = b"\xff Go buildinf:";
/// Bits of the byte behind the magic and the size of a pointer: the strings follow, as from Go 1.18 on.
const FLAGS_AT: usize = 15;
const INLINE: u8 = 2;
/// Where the version begins: its length, then its text.
const VERSION_AT: usize = 32;
/// Bytes that are read: a version has 10, with experiments named some more.
const HEAD_BYTES: u64 = 64;

/// Minor versions of Go 1, and where `goid` lies in `runtime.g`, in words (Go's `src/runtime/runtime2.go`): 1.23 added
/// `syscallbp` before it, 1.25 took `gobuf.ret` away.
const GOID: [(std::ops::RangeInclusive<u32>, u8); 3] =
    [(18..=22, 19), (23..=24, 20), (25..=27, 19)];

/// Where it lies which goroutine made a goroutine (`parentGoid`), in words: it came with 1.21, 1.23 added `syscallbp` before it, 1.25
/// took `gobuf.ret` away, 1.26 added fields before it.
const MAKER: [(std::ops::RangeInclusive<u32>, u8); 4] =
    [(21..=22, 34), (23..=24, 35), (25..=25, 34), (26..=27, 35)];

/// Where a goroutine has its number, in words of its `runtime.g`; 0: that is not known. `None` where it is no Go program.
pub fn goid(elf: &Elf<'_>) -> Option<u8> {
    let sections = [".gopclntab", ".data.rel.ro.gopclntab"];
    sections.iter().find_map(|name| elf.section(name))?;
    Some(built_by(elf).map_or(0, |minor| words(&GOID, minor)))
}

/// Where a goroutine has the number of the one that made it, in words of its `runtime.g`; `None` where that is not known.
pub fn maker(elf: &Elf<'_>) -> Option<u8> {
    let words = words(&MAKER, built_by(elf)?);
    (words != 0).then_some(words)
}

fn built_by(elf: &Elf<'_>) -> Option<u32> {
    let part = elf.section(".go.buildinfo")?.part();
    let size = HEAD_BYTES.min(part.end.checked_sub(part.start)?);
    minor(&elf.source.piece(part.start, size)?)
}

fn words(table: &[(std::ops::RangeInclusive<u32>, u8)], minor: u32) -> u8 {
    let row = table.iter().find(|(minors, _)| minors.contains(&minor));
    row.map_or(0, |(_, words)| *words)
}

/// Minor version of Go 1 of a release; `None` of anything else.
fn minor(head: &[u8]) -> Option<u32> {
    if !head.starts_with(MAGIC) || head.get(FLAGS_AT)? & INLINE == 0 {
        return None;
    }
    // Lengths of versions are one byte of the variable form.
    let len = usize::from(*head.get(VERSION_AT)?);
    let rest = head.get(VERSION_AT + 1..)?;
    let text = std::str::from_utf8(rest.get(..len).unwrap_or(rest)).ok()?;
    let digits = text.strip_prefix("go1.")?;
    let end = digits.find(|c: char| !c.is_ascii_digit());
    digits.get(..end.unwrap_or(digits.len()))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(flags: u8, version: &str) -> Vec<u8> {
        let mut head = MAGIC.to_vec();
        head.extend([8, flags]);
        head.resize(VERSION_AT, 0);
        head.push(u8::try_from(version.len()).unwrap_or(0));
        head.extend(version.as_bytes());
        head
    }

    #[test]
    fn the_version_of_a_release_is_read_and_no_other() {
        for (version, expected) in [
            ("go1.27.3", Some(27)),
            ("go1.18", Some(18)),
            ("go1.23.4 X:nocoverageredesign", Some(23)),
            ("devel go1.28-d8e1234", None),
            ("go2.1", None),
            ("", None),
        ] {
            assert_eq!(minor(&head(2, version)), expected, "{version}");
        }
        assert_eq!(minor(&head(0, "go1.17")), None, "of pointers");
        assert_eq!(minor(b"\xff Go"), None);
        assert_eq!(minor(&head(2, "go1.27.3")[..33]), None);
    }

    #[test]
    fn of_a_version_that_nobody_looked_at_nothing_is_said() {
        let places: Vec<u8> = (17..30).map(|minor| words(&GOID, minor)).collect();
        assert_eq!(places, [0, 19, 19, 19, 19, 19, 20, 20, 19, 19, 19, 0, 0]);
        let places: Vec<u8> = (17..30).map(|minor| words(&MAKER, minor)).collect();
        assert_eq!(places, [0, 0, 0, 0, 34, 34, 35, 35, 34, 35, 35, 0, 0]);
    }
}
