//! Tables of `switch`es, read from the file: where a function goes on that its own bytes do not tell.

use crate::probes::elf::Elf;
use crate::probes::place::{self, Switch};

/// `switch`es of a function. Those of the tables have one, or none.
const MAX_SWITCHES: usize = 64;

/// Those of `code`, which lies `at` bytes from the first byte of a function at `address` and begins there.
pub fn read(elf: &Elf<'_>, address: u64, at: i64, code: &[u8]) -> Vec<Switch> {
    let mut found: Vec<Switch> = Vec::new();
    loop {
        let tables = place::switch_tables(at, code, &found);
        let more: Vec<Switch> = tables
            .iter()
            .filter_map(|table| {
                let offset = elf.offset_of(address.wrapping_add_signed(table.at))?;
                let bytes = elf.source.piece(offset, table.len.checked_mul(4)?)?;
                let (offsets, _) = bytes.as_chunks();
                let target =
                    |offset: &[u8; 4]| table.at.checked_add(i32::from_le_bytes(*offset).into());
                Some(Switch {
                    jump: table.jump,
                    targets: offsets.iter().map(target).collect::<Option<_>>()?,
                })
            })
            .collect();
        // Each round knows more than the one before.
        if more.is_empty() || found.len() + more.len() > MAX_SWITCHES {
            return found;
        }
        found.extend(more);
    }
}
