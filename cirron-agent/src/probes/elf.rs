//! What is read of an ELF file beside its symbols: where its parts lie, bytes by address, where functions
//! end, what a slot of the procedure linkage table (PLT) leads to.
//!
//! The layouts are `object`'s, the reading is ours: every number in the file is its maker's choice, and
//! is met by a bound before anything is held or read because of it ([`crate::probes::source`]).

use std::mem::{offset_of, size_of};
use std::ops::{ControlFlow, Range};

use iced_x86::{Decoder, DecoderOptions, FlowControl};
use object::LittleEndian;
use object::elf::{self, FileHeader64, ProgramHeader64, Rela64, SectionHeader64, Sym64};

use crate::probes::extents::Extents;
use crate::probes::source::{Source, u32_in, u64_in};

/// Bytes of one function that are looked at. The largest of the table has 3 KiB.
pub const MAX_FUNCTION_BYTES: u64 = 16 * 1024;
/// Program headers. Linkers make a dozen.
const MAX_SEGMENTS: u64 = 1024;
/// Section headers. Linkers make some forty; objects that are not linked have more, and are not mapped.
const MAX_SECTIONS: u64 = 8192;
/// Bytes of a file in which texts are looked for, those that are only read first. Texts of a TLS library that is linked into
/// an executable of 120 MiB lie in its first 40.
const MAX_SEARCHED_BYTES: u64 = 96 * 1024 * 1024;
/// Bytes of the names of all sections.
const MAX_SECTION_NAMES_BYTES: u64 = 1024 * 1024;
/// Bytes of a symbol's name that is compared.
const MAX_NAME_BYTES: usize = 128;

type Header = FileHeader64<LittleEndian>;
type SegmentHeader = ProgramHeader64<LittleEndian>;
type SectionHeader = SectionHeader64<LittleEndian>;
type Symbol = Sym64<LittleEndian>;
type Relocation = Rela64<LittleEndian>;

/// A part of the file that is mapped.
#[derive(Clone, Copy, Debug)]
struct Segment {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    size: u64,
}

/// A section.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its name; empty where it cannot be read.
    pub name: Vec<u8>,
    /// `SHT_*`
    pub kind: u32,
    /// Where it is in memory.
    pub address: u64,
    /// Where it is in the file.
    pub offset: u64,
    /// Its size in both.
    pub size: u64,
    /// `sh_link`: the number of a section that it goes with.
    pub link: u32,
}

impl Section {
    /// Where it is in the file.
    pub fn part(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.size)
    }
}

/// A 64-bit file of this machine's byte order.
#[derive(Debug)]
pub struct Elf<'s> {
    /// Its bytes.
    pub source: &'s Source<'s>,
    segments: Vec<Segment>,
    sections: Vec<Section>,
}

impl<'s> Elf<'s> {
    /// Reads the headers. `None` where it is no such file. Headers of which there are too many, or which
    /// the file does not have, are none.
    pub fn read(source: &'s Source<'s>) -> Option<Elf<'s>> {
        let header = source.piece(0, size_of::<Header>() as u64)?;
        let [0x7f, b'E', b'L', b'F', class, order, ..] = header[..] else {
            return None;
        };
        if class != elf::ELFCLASS64.0 || order != elf::ELFDATA2LSB.0 {
            return None;
        }
        let mut file = Elf {
            source,
            segments: Vec::new(),
            sections: Vec::new(),
        };
        file.segments = file.read_segments(&header).unwrap_or_default();
        file.sections = file.read_sections(&header).unwrap_or_default();
        Some(file)
    }

    /// A table of `count` rows of `T`. `None` where there are more than `max`.
    fn table<T>(&self, at: u64, count: u64, max: u64) -> Option<Vec<u8>> {
        if count > max {
            self.source.cut();
            return None;
        }
        self.source.piece(at, count * size_of::<T>() as u64)
    }

    fn read_segments(&self, header: &[u8]) -> Option<Vec<Segment>> {
        let at = u64_in(header, offset_of!(Header, e_phoff))?;
        let count = u16_in(header, offset_of!(Header, e_phnum))?;
        let table = self.table::<SegmentHeader>(at, count.into(), MAX_SEGMENTS)?;
        let segment = |row: &[u8]| {
            Some(Segment {
                kind: u32_in(row, offset_of!(SegmentHeader, p_type))?,
                flags: u32_in(row, offset_of!(SegmentHeader, p_flags))?,
                offset: u64_in(row, offset_of!(SegmentHeader, p_offset))?,
                address: u64_in(row, offset_of!(SegmentHeader, p_vaddr))?,
                size: u64_in(row, offset_of!(SegmentHeader, p_filesz))?,
            })
        };
        table
            .chunks_exact(size_of::<SegmentHeader>())
            .map(segment)
            .collect()
    }

    fn read_sections(&self, header: &[u8]) -> Option<Vec<Section>> {
        let at = u64_in(header, offset_of!(Header, e_shoff))?;
        let count = u16_in(header, offset_of!(Header, e_shnum))?;
        let names = u16_in(header, offset_of!(Header, e_shstrndx))?;
        let table = self.table::<SectionHeader>(at, count.into(), MAX_SECTIONS)?;
        let section = |row: &[u8]| {
            Some(Section {
                name: Vec::new(),
                kind: u32_in(row, offset_of!(SectionHeader, sh_type))?,
                address: u64_in(row, offset_of!(SectionHeader, sh_addr))?,
                offset: u64_in(row, offset_of!(SectionHeader, sh_offset))?,
                size: u64_in(row, offset_of!(SectionHeader, sh_size))?,
                link: u32_in(row, offset_of!(SectionHeader, sh_link))?,
            })
        };
        let rows = table.chunks_exact(size_of::<SectionHeader>());
        let mut sections: Vec<Section> = rows.clone().map(section).collect::<Option<_>>()?;
        let strings = sections.get(usize::from(names)).and_then(|strings| {
            let size = strings.size.min(MAX_SECTION_NAMES_BYTES);
            self.source.piece(strings.offset, size)
        });
        let strings = strings.unwrap_or_default();
        for (section, row) in sections.iter_mut().zip(rows) {
            let at = u32_in(row, offset_of!(SectionHeader, sh_name))?;
            let rest = usize::try_from(at).ok().and_then(|at| strings.get(at..));
            let name = rest.and_then(|rest| rest.split(|b| *b == 0).next());
            let name = name.filter(|name| name.len() <= MAX_NAME_BYTES);
            section.name = name.unwrap_or_default().to_vec();
        }
        Some(sections)
    }

    /// The first section of that name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|s| s.name == name.as_bytes())
    }

    /// The first section of that kind, and the one that it goes with.
    pub fn linked(&self, kind: elf::SectionType) -> Option<(&Section, &Section)> {
        let section = self.sections.iter().find(|s| s.kind == kind.0)?;
        let link = self.sections.get(usize::try_from(section.link).ok()?)?;
        Some((section, link))
    }

    /// Where an address of the code lies in the file.
    pub fn offset_of(&self, address: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let at = address.checked_sub(segment.address)?;
            let is_loaded = segment.kind == elf::PT_LOAD.0;
            (is_loaded && at < segment.size)
                .then(|| segment.offset.checked_add(at))
                .flatten()
        })
    }

    /// The same of an address of code.
    pub fn code_offset_of(&self, address: u64) -> Option<u64> {
        let is_code = self.segments.iter().any(|segment| {
            let at = address.checked_sub(segment.address);
            segment.flags & elf::PF_X.0 != 0 && at.is_some_and(|at| at < segment.size)
        });
        self.offset_of(address).filter(|_| is_code)
    }

    /// The address of code at an offset in the file.
    pub fn address_of(&self, offset: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let at = offset.checked_sub(segment.offset)?;
            let is_code = segment.kind == elf::PT_LOAD.0 && segment.flags & elf::PF_X.0 != 0;
            (is_code && at < segment.size)
                .then(|| segment.address.checked_add(at))
                .flatten()
        })
    }

    /// The address that an offset in the file is loaded at.
    pub fn loaded_address_of(&self, offset: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let at = offset.checked_sub(segment.offset)?;
            let is_loaded = segment.kind == elf::PT_LOAD.0 && at < segment.size;
            is_loaded.then(|| segment.address.checked_add(at)).flatten()
        })
    }

    /// It is loaded at the addresses that it was linked for, so that code may have them as numbers.
    pub fn is_fixed(&self) -> bool {
        let mut loaded = self.segments.iter().filter(|s| s.kind == elf::PT_LOAD.0);
        loaded.all(|segment| segment.address != 0)
    }

    /// Parts of the file that are mapped to be executed.
    pub fn code_parts(&self) -> Vec<Range<u64>> {
        let is_code = |s: &&Segment| s.kind == elf::PT_LOAD.0 && s.flags & elf::PF_X.0 != 0;
        let segments = self.segments.iter().filter(is_code);
        segments
            .map(|s| s.offset..s.offset.saturating_add(s.size))
            .collect()
    }

    /// Bytes of code from an address on.
    pub fn code_behind(&self, address: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let at = address.checked_sub(segment.address)?;
            let is_code = segment.flags & elf::PF_X.0 != 0;
            segment.size.checked_sub(at).filter(|_| is_code)
        })
    }

    /// Bytes of the file that are loaded from an address on.
    pub fn loaded_behind(&self, address: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let at = address.checked_sub(segment.address)?;
            let is_loaded = segment.kind == elf::PT_LOAD.0;
            segment.size.checked_sub(at).filter(|_| is_loaded)
        })
    }

    /// Whether it has section headers that could be read.
    pub fn has_sections(&self) -> bool {
        !self.sections.is_empty()
    }

    /// Parts of the file that are mapped to be read and not to be executed: its texts lie there. The first of them,
    /// [`MAX_SEARCHED_BYTES`] in all.
    pub fn searched_parts(&self) -> Vec<Range<u64>> {
        let mut left = MAX_SEARCHED_BYTES;
        let mut parts = self.read_only_parts();
        for part in &mut parts {
            let size = part.end.saturating_sub(part.start).min(left);
            left -= size;
            part.end = part.start.saturating_add(size);
        }
        parts
    }

    fn read_only_parts(&self) -> Vec<Range<u64>> {
        let is_loaded = |s: &&Segment| s.kind == elf::PT_LOAD.0;
        let mut parts: Vec<(u32, Range<u64>)> = self
            .segments
            .iter()
            .filter(is_loaded)
            .map(|s| (s.flags & (elf::PF_X.0 | elf::PF_W.0), s))
            .map(|(flags, s)| (flags, s.offset..s.offset.saturating_add(s.size)))
            .collect();
        // Old linkers put them together with the code.
        parts.sort_by_key(|(flags, part)| (*flags, part.start));
        parts.into_iter().map(|(_, part)| part).collect()
    }

    /// Bytes of a function.
    pub fn function(&self, offset: u64, size: u64) -> Option<Vec<u8>> {
        self.source.piece(offset, size.min(MAX_FUNCTION_BYTES))
    }

    /// Where functions begin and end, symbols or not.
    pub fn extents(&self) -> Option<Extents> {
        let segment = self
            .segments
            .iter()
            .find(|s| s.kind == elf::PT_GNU_EH_FRAME.0)?;
        let bytes = self.source.piece(segment.offset, segment.size)?;
        Extents::new(bytes, segment.address)
    }

    /// The name of the symbol that a jump to `address` ends at, where that is a slot of the PLT.
    pub fn behind_plt(&self, address: u64) -> Option<String> {
        let plt = self.sections.iter().find(|section| {
            let at = address.checked_sub(section.address);
            at.is_some_and(|at| at < section.size) && section.name.starts_with(b".plt")
        })?;
        let at = plt.offset.checked_add(address - plt.address)?;
        let slot: [u8; SLOT_BYTES] = self.source.array(at)?;
        let symbol = self.relocated(pointer_of(&slot, address)?)?;
        let (symbols, names) = self.linked(elf::SHT_DYNSYM)?;
        let row = u64::from(symbol).checked_mul(size_of::<Symbol>() as u64)?;
        if row >= symbols.size {
            return None;
        }
        let row: [u8; size_of::<Symbol>()] = self.source.array(symbols.offset.checked_add(row)?)?;
        let name = u32_in(&row, offset_of!(Symbol, st_name))?;
        let part = names.part();
        let at = part.start.checked_add(name.into())?;
        let size = part.end.checked_sub(at)?.min(MAX_NAME_BYTES as u64);
        let bytes = self.source.piece(at, size)?;
        let name = bytes.split(|b| *b == 0).next()?;
        String::from_utf8(name.to_vec()).ok()
    }

    /// The symbol that is put into the pointer at `address` when the file is loaded.
    fn relocated(&self, address: u64) -> Option<u32> {
        let mut tables: Vec<&Section> = self
            .sections
            .iter()
            .filter(|s| s.kind == elf::SHT_RELA.0)
            .collect();
        // Theirs are in the small one.
        tables.sort_by_key(|s| s.size);
        tables.into_iter().find_map(|table| {
            let overlap = size_of::<Relocation>() - 1;
            let mut next = table.offset;
            self.source.blocks(table.part(), overlap, |at, bytes| {
                let from = usize::try_from(next.saturating_sub(at)).unwrap_or(usize::MAX);
                let rows = bytes.get(from..).unwrap_or_default();
                let rows = rows.chunks_exact(size_of::<Relocation>());
                for row in rows {
                    next += size_of::<Relocation>() as u64;
                    if u64_in(row, offset_of!(Relocation, r_offset)) == Some(address) {
                        // Its upper half.
                        let symbol = u32_in(row, offset_of!(Relocation, r_info) + 4);
                        return ControlFlow::Break(symbol);
                    }
                }
                ControlFlow::Continue(())
            })?
        })
    }
}

fn u16_in(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes(bytes.try_into().ok()?))
}

/// Bytes of a slot of the PLT: one that begins with `endbr64` jumps in its first eleven.
const SLOT_BYTES: usize = 16;

/// Where the pointer lies that a slot of the PLT, `code` at `address`, jumps through.
fn pointer_of(code: &[u8], address: u64) -> Option<u64> {
    // Some begin with `endbr64`.
    let jump = Decoder::with_ip(64, code, address, DecoderOptions::NONE)
        .iter()
        .take(2)
        .find(|i| i.flow_control() == FlowControl::IndirectBranch)?;
    jump.is_ip_rel_memory_operand()
        .then(|| jump.ip_rel_memory_address())
}

#[cfg(test)]
mod tests {
    use super::pointer_of;

    #[test]
    fn a_slot_of_the_plt_jumps_through_its_pointer() {
        // jmp *0x1000(%rip); push $0; jmp
        let old = [
            0xff, 0x25, 0, 0x10, 0, 0, 0x68, 0, 0, 0, 0, 0xe9, 0, 0, 0, 0,
        ];
        assert_eq!(pointer_of(&old, 0x400), Some(0x1406));
        // endbr64; bnd jmp *0x1000(%rip)
        let new = [0xf3, 0x0f, 0x1e, 0xfa, 0xf2, 0xff, 0x25, 0, 0x10, 0, 0];
        assert_eq!(pointer_of(&new, 0x400), Some(0x140b));
    }

    #[test]
    fn other_code_has_no_such_pointer() {
        // jmp *%rax
        assert_eq!(pointer_of(&[0xff, 0xe0], 0x400), None);
        // push; push; jmp *0(%rip)
        assert_eq!(
            pointer_of(&[0x53, 0x53, 0xff, 0x25, 0, 0, 0, 0], 0x400),
            None
        );
        assert_eq!(pointer_of(&[], 0x400), None);
    }
}
