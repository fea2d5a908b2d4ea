//! What is read of an ELF file beside its symbols: bytes by address, where functions end, what a slot
//! of the procedure linkage table (PLT) leads to.

use std::fs::File;

use iced_x86::{Decoder, DecoderOptions, FlowControl};
use object::read::elf::{ElfFile64, ProgramHeader as _};
use object::{
    Endianness, Object as _, ObjectSection as _, ObjectSymbol as _, ObjectSymbolTable as _,
    ReadCache, ReadRef as _, RelocationTarget,
};

use super::extents::Extents;

/// Bytes of one function that are looked at. The largest of the table has 3 KiB.
const MAX_FUNCTION_BYTES: u64 = 16 * 1024;

/// A 64-bit file.
pub type Elf<'a> = ElfFile64<'a, Endianness, &'a ReadCache<&'a File>>;

/// Where an address of the code lies in the file.
pub fn offset_of(elf: &Elf<'_>, address: u64) -> Option<u64> {
    let endian = elf.endian();
    elf.elf_program_headers().iter().find_map(|segment| {
        let (start, size) = (segment.p_vaddr(endian), segment.p_filesz(endian));
        let executable = segment.p_type(endian) == object::elf::PT_LOAD;
        (executable && address >= start && address - start < size)
            .then(|| address - start + segment.p_offset(endian))
    })
}

/// Bytes of a function.
pub fn bytes<'a>(cache: &'a ReadCache<&File>, offset: u64, size: u64) -> Option<&'a [u8]> {
    let size = size.min(MAX_FUNCTION_BYTES);
    cache.read_bytes_at(offset, size).ok()
}

/// Where functions begin and end, symbols or not.
pub fn extents<'a>(elf: &Elf<'a>) -> Option<Extents<'a>> {
    let section = elf.section_by_name(".eh_frame_hdr")?;
    Extents::new(section.data().ok()?, section.address())
}

/// The symbol that a jump to `address` ends at, where that is a slot of the PLT.
pub fn behind_plt(elf: &Elf<'_>, address: u64) -> Option<String> {
    let plt = elf.sections().find(|section| {
        let range = section.address()..section.address().saturating_add(section.size());
        range.contains(&address) && section.name().is_ok_and(|n| n.starts_with(".plt"))
    })?;
    let from = usize::try_from(address - plt.address()).ok()?;
    let slot = plt.data().ok()?.get(from..)?;
    let pointer = pointer_of(slot, address)?;
    let (_, relocation) = elf.dynamic_relocations()?.find(|(at, _)| *at == pointer)?;
    let RelocationTarget::Symbol(symbol) = relocation.target() else {
        return None;
    };
    let symbol = elf.dynamic_symbol_table()?.symbol_by_index(symbol).ok()?;
    symbol.name().ok().map(str::to_owned)
}

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
