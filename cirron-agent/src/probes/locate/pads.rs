//! Where a function goes on after an exception or a panic: its landing pads, by the unwinder's tables.
//!
//! ```text
//! .eh_frame_hdr --beginning--> FDE --CIE: encodings--> language's data --calls of a range--> landing pad
//! ```
//! They stay in stripped files. Nothing else leads to these pads, and a function may return from them. Source: the Linux
//! Standard Base, "Exception Frames"; for the language's data the Itanium C++ ABI, which Rust follows. Only the encodings
//! that GCC and LLVM write for x86-64; where one is another, nothing is said.

use crate::probes::elf::Elf;
use crate::probes::extents::Extents;
use crate::probes::place::Pad;

/// `DW_EH_PE_omit`.
const OMITTED: u8 = 0xff;
/// `DW_EH_PE_pcrel | DW_EH_PE_sdata4`.
const RELATIVE: u8 = 0x1b;
/// `DW_EH_PE_uleb128`, of the calls' table.
const VARYING: u8 = 0x01;
/// Bytes of a description: theirs have some dozen.
const MAX_DESCRIPTION_BYTES: u64 = 4096;
/// Bytes of a language's data. A large function's has some KiB.
const MAX_DATA_BYTES: u64 = 64 * 1024;
/// Landing pads of a function.
const MAX_PADS: usize = 4096;

/// Bytes that are read one after the other, which lie at an address.
struct Bytes<'b> {
    all: &'b [u8],
    at: usize,
    address: u64,
}

impl Bytes<'_> {
    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let bytes = self.all.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn word(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    /// ULEB128.
    fn varying(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A pointer that is told from where it stands; 0 is none.
    fn relative(&mut self) -> Option<u64> {
        let here = self.address.checked_add(u64::try_from(self.at).ok()?)?;
        let word = self.word()?.cast_signed();
        Some(match word {
            0 => 0,
            word => here.wrapping_add_signed(word.into()),
        })
    }
}

/// How the descriptions that belong to a CIE are written.
struct Described {
    has_length: bool,
    data: u8,
}

/// The landing pads of a function that begins at `start`, from the first byte of one at `address`.
pub fn read(elf: &Elf<'_>, extents: &Extents, start: u64, address: u64) -> Vec<Pad> {
    pads(elf, extents, start, address).unwrap_or_default()
}

fn pads(elf: &Elf<'_>, extents: &Extents, start: u64, address: u64) -> Option<Vec<Pad>> {
    let data = Fde::read(elf, extents.description_of(start)?)?.data()?;
    let offset = elf.offset_of(data)?;
    let room = elf.loaded_behind(data)?.min(MAX_DATA_BYTES);
    let all = elf.source.piece(offset, room)?;
    let mut bytes = Bytes {
        all: &all,
        at: 0,
        address: data,
    };
    let base = match bytes.byte()? {
        OMITTED => start,
        RELATIVE => bytes.relative()?,
        _ => return None,
    };
    if bytes.byte()? != OMITTED {
        bytes.varying()?;
    }
    let encoding = bytes.byte()?;
    let len = usize::try_from(bytes.varying()?).ok()?;
    let end = bytes.at.checked_add(len)?;
    let number = |bytes: &mut Bytes<'_>| match encoding {
        VARYING => bytes.varying(),
        0x03 => bytes.word().map(u64::from),
        _ => None,
    };
    let mut found = Vec::new();
    let from_first = |at: u64| at.wrapping_sub(address).cast_signed();
    while bytes.at < end && found.len() < MAX_PADS {
        let first = start.wrapping_add(number(&mut bytes)?);
        let len = number(&mut bytes)?;
        let pad = number(&mut bytes)?;
        bytes.varying()?;
        if pad != 0 {
            found.push(Pad {
                at: from_first(base.wrapping_add(pad)),
                calls: from_first(first)..from_first(first.wrapping_add(len)),
            });
        }
    }
    Some(found)
}

/// Bytes of a function that begins at `start`: less than up to the next one, where padding or code without a description
/// lies between.
pub fn length(elf: &Elf<'_>, extents: &Extents, start: u64) -> Option<u64> {
    Fde::read(elf, extents.description_of(start)?).map(|fde| fde.length)
}

/// A function's description.
struct Fde {
    described: Described,
    /// Bytes of the function.
    length: u64,
    all: Vec<u8>,
    address: u64,
}

impl Fde {
    /// Bytes before what the language has: its length, how far its CIE is, where the function begins, the function's length.
    const HEAD_BYTES: usize = 16;

    fn read(elf: &Elf<'_>, address: u64) -> Option<Fde> {
        let all = description(elf, address)?;
        let mut bytes = Bytes {
            all: &all,
            at: 4,
            address,
        };
        let back = bytes.word()?;
        let described = described(elf, (address + 4).checked_sub(back.into())?)?;
        bytes.take(4)?;
        let length = bytes.word()?.into();
        Some(Fde {
            described,
            length,
            all,
            address,
        })
    }

    /// Where the language's data of the function lies.
    fn data(&self) -> Option<u64> {
        if !self.described.has_length || self.described.data != RELATIVE {
            return None;
        }
        let mut bytes = Bytes {
            all: &self.all,
            at: Fde::HEAD_BYTES,
            address: self.address,
        };
        bytes.varying()?;
        bytes.relative().filter(|data| *data != 0)
    }
}

/// What a CIE says.
fn described(elf: &Elf<'_>, cie: u64) -> Option<Described> {
    let all = description(elf, cie)?;
    let mut bytes = Bytes {
        all: &all,
        at: 8,
        address: cie,
    };
    let version = bytes.byte()?;
    let rest = all.get(bytes.at..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    let letters = rest.get(..end)?.to_vec();
    bytes.take(end + 1)?;
    bytes.varying()?;
    bytes.varying()?;
    match version {
        1 => {
            bytes.byte()?;
        }
        _ => {
            bytes.varying()?;
        }
    }
    let mut out = Described {
        has_length: letters.first() == Some(&b'z'),
        data: OMITTED,
    };
    if !out.has_length {
        return Some(out);
    }
    bytes.varying()?;
    for letter in letters.iter().skip(1) {
        match letter {
            b'P' => {
                let encoding = bytes.byte()?;
                let size = match encoding & 0x07 {
                    2 => 2,
                    3 => 4,
                    _ => 8,
                };
                bytes.take(size)?;
            }
            b'L' => out.data = bytes.byte()?,
            b'R' => {
                if bytes.byte()? != RELATIVE {
                    return None;
                }
            }
            b'S' | b'B' => {}
            _ => return None,
        }
    }
    Some(out)
}

/// A CIE or an FDE, with its length.
fn description(elf: &Elf<'_>, address: u64) -> Option<Vec<u8>> {
    let offset = elf.offset_of(address)?;
    let len: [u8; 4] = elf.source.array(offset)?;
    let len = u64::from(u32::from_le_bytes(len));
    (len <= MAX_DESCRIPTION_BYTES)
        .then(|| elf.source.piece(offset, len + 4))
        .flatten()
}

#[cfg(test)]
mod tests;
