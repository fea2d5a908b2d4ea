//! The dynamic table of one direction (RFC 7541, section 2.3.2), which may have been joined late.
//!
//! ```text
//!   [Whole] --late join, a hole in a header block, our own bound--> [Desynced]
//!      ^                                                                |
//!      +---- size update to 0, or no unknown entry fits any more -------+
//! ```
//! An entry is addressed by its distance from the newest. So what was inserted since we joined is
//! known whatever lies beneath, as long as we saw every insertion; what is older is unknown. A
//! valid encoder never names what was evicted, so that an entry that we keep for too long does no
//! harm, and one that we forget too early is an unknown one.

use std::collections::VecDeque;

use bytes::Bytes;

use super::Field;
use crate::limits::MAX_HPACK_TABLE_BYTES;

/// What an entry counts for besides its name and value (RFC 7541, section 4.1).
const ENTRY_OVERHEAD_BYTES: usize = 32;

/// Size of the table until an update says another (RFC 9113, section 6.5.2).
const INITIAL_BYTES: usize = 4_096;

/// Whether all of the table is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableState {
    /// Every entry is known.
    Whole,
    /// Beneath the entries that are known may lie others.
    Desynced,
}

/// Entries, newest first.
#[derive(Debug)]
pub(super) struct Table {
    entries: VecDeque<(Field, usize)>,
    bytes: usize,
    /// The size that the encoder keeps to; `None`: it said so before we looked.
    max: Option<usize>,
    state: TableState,
}

impl Table {
    /// Of a connection that was seen from its first byte, or joined late.
    pub(super) fn new(late: bool) -> Table {
        let mut table = Table {
            entries: VecDeque::new(),
            bytes: 0,
            max: Some(INITIAL_BYTES),
            state: TableState::Whole,
        };
        if late {
            table.desync();
        }
        table
    }

    /// Bytes that it holds, about: of an entry, name and value are shared slices with a header each.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes + self.entries.capacity() * size_of::<(Field, usize)>()
    }

    #[cfg(test)]
    pub(super) fn state(&self) -> TableState {
        self.state
    }

    /// Insertions may have been missed: the place of no entry is known any more.
    pub(super) fn desync(&mut self) {
        self.entries = VecDeque::new();
        self.bytes = 0;
        self.max = None;
        self.state = TableState::Desynced;
    }

    /// The entry at a distance from the newest; `None`: there is none, the encoder is not valid.
    pub(super) fn get(&self, distance: usize) -> Option<Field> {
        match (self.entries.get(distance), self.state) {
            (Some((field, _)), _) => Some(field.clone()),
            (None, TableState::Desynced) => Some(Field::Unknown),
            (None, TableState::Whole) => None,
        }
    }

    /// A size update (RFC 7541, section 6.3).
    pub(super) fn resize(&mut self, max: usize) {
        self.max = Some(max);
        self.evict();
    }

    /// A new entry. `value_bytes`: the length of its value, which is known where its name is not.
    pub(super) fn insert(&mut self, field: Field, value_bytes: usize) {
        let size = ENTRY_OVERHEAD_BYTES
            + match &field {
                Field::Known { name, value } => name.len() + value.len(),
                // At least.
                Field::Unknown => value_bytes,
            };
        let kept = match field {
            Field::Known { name, value } => Field::Known {
                // A copy: the entry must not keep alive the block that it came from.
                name: Bytes::copy_from_slice(&name),
                value: Bytes::copy_from_slice(&value),
            },
            Field::Unknown => Field::Unknown,
        };
        self.entries.push_front((kept, size));
        self.bytes += size;
        self.evict();
    }

    fn evict(&mut self) {
        if let Some(max) = self.max {
            self.shrink(max);
            // Sizes are lower bounds: where these leave no room, nothing older is left.
            if self.bytes + ENTRY_OVERHEAD_BYTES > max {
                self.state = TableState::Whole;
            }
        }
        if self.bytes > MAX_HPACK_TABLE_BYTES {
            self.shrink(MAX_HPACK_TABLE_BYTES);
            self.state = TableState::Desynced;
        }
    }

    fn shrink(&mut self, max: usize) {
        while self.bytes > max {
            let Some((_, size)) = self.entries.pop_back() else {
                return;
            };
            self.bytes -= size;
            // With this entry went all that was older.
            self.state = TableState::Whole;
        }
    }
}
