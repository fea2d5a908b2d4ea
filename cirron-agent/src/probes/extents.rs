//! Where functions begin and end that have no symbol: by the unwinder's search table.
//!
//! `.eh_frame_hdr` lists the beginning of every function, sorted; it stays in stripped files. Source:
//! the Linux Standard Base, "The .eh_frame_hdr section". Read by hand: `object` does not, and all
//! that is wanted are the beginnings.

/// `DW_EH_PE_sdata4 | DW_EH_PE_datarel`: the table's only encoding in practice.
const TABLE_ENCODING: u8 = 0x3b;
/// `DW_EH_PE_udata4`, of the number of entries.
const COUNT_ENCODING: u8 = 0x03;
/// Bytes before the table: version, three encodings, the frame's pointer, the count.
const HEADER_BYTES: usize = 12;
/// Bytes of an entry: a function's beginning, and its description's place.
const ENTRY_BYTES: usize = 8;

/// The beginnings of a file's functions.
#[derive(Clone, Debug)]
pub struct Extents {
    section: Vec<u8>,
    /// What the beginnings are relative to.
    base: u64,
}

impl Extents {
    /// `section`: the bytes of `.eh_frame_hdr`, which lies at `address`. `None` where it is of
    /// another make.
    pub fn new(mut section: Vec<u8>, address: u64) -> Option<Extents> {
        // The frame's pointer has 4 bytes in every encoding but the absolute one of 8.
        let [1, frame, COUNT_ENCODING, TABLE_ENCODING, ..] = section[..] else {
            return None;
        };
        if frame & 0x0f != 0x0b && frame & 0x0f != 0x03 {
            return None;
        }
        let count = u32::from_le_bytes(section.get(8..HEADER_BYTES)?.try_into().ok()?);
        let size = usize::try_from(count).ok()?.checked_mul(ENTRY_BYTES)?;
        let end = size.checked_add(HEADER_BYTES)?;
        section.get(HEADER_BYTES..end)?;
        section.truncate(end);
        Some(Extents {
            section,
            base: address,
        })
    }

    fn table(&self) -> &[[u8; ENTRY_BYTES]] {
        let entries = self.section.get(HEADER_BYTES..).unwrap_or_default();
        entries.as_chunks().0
    }

    fn start(&self, entry: &[u8; ENTRY_BYTES]) -> u64 {
        let [a, b, c, d, ..] = *entry;
        let relative = i32::from_le_bytes([a, b, c, d]);
        self.base.wrapping_add_signed(relative.into())
    }

    /// The function that `address` lies in: its beginning, and that of the next one.
    pub fn function_at(&self, address: u64) -> Option<(u64, u64)> {
        let table = self.table();
        let next = table.partition_point(|e| self.start(e) <= address);
        let start = self.start(table.get(next.checked_sub(1)?)?);
        let end = self.start(table.get(next)?);
        // A table that is not sorted is somebody's joke.
        (start <= address && address < end).then_some((start, end))
    }

    /// Where the unwinder's description of the function lies that begins there.
    pub fn description_of(&self, address: u64) -> Option<u64> {
        let table = self.table();
        let at = table
            .binary_search_by_key(&address, |e| self.start(e))
            .ok()?;
        let [.., a, b, c, d] = *table.get(at)?;
        let relative = i32::from_le_bytes([a, b, c, d]);
        Some(self.base.wrapping_add_signed(relative.into()))
    }

    /// Whether the last function begins there.
    pub fn is_last(&self, address: u64) -> bool {
        let last = self.table().last();
        last.is_some_and(|entry| self.start(entry) == address)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn section(starts: &[i32]) -> Vec<u8> {
        let mut out = vec![1, 0x1b, 0x03, 0x3b, 0, 0, 0, 0];
        out.extend_from_slice(&u32::try_from(starts.len()).unwrap().to_le_bytes());
        for start in starts {
            out.extend_from_slice(&start.to_le_bytes());
            out.extend_from_slice(&[0; 4]);
        }
        out
    }

    #[test]
    fn a_function_reaches_to_the_next_one() {
        let bytes = section(&[-0x100, -0x80, 0x40]);
        let extents = Extents::new(bytes, 0x1000).unwrap();
        assert_eq!(extents.function_at(0xf00), Some((0xf00, 0xf80)));
        assert_eq!(extents.function_at(0xf7f), Some((0xf00, 0xf80)));
        assert_eq!(extents.function_at(0xf80), Some((0xf80, 0x1040)));
        assert_eq!(extents.function_at(0xeff), None);
        assert!(extents.is_last(0x1040) && !extents.is_last(0xf80));
        assert_eq!(
            extents.function_at(0x1040),
            None,
            "the last one's end is not known"
        );
    }

    #[test]
    fn cut_and_foreign_tables_are_none() {
        let bytes = section(&[0, 16]);
        for cut in 0..bytes.len() {
            assert!(Extents::new(bytes[..cut].to_vec(), 0).is_none());
        }
        let mut other = bytes;
        other[3] = 0x1b;
        assert!(Extents::new(other, 0).is_none());
    }
}
