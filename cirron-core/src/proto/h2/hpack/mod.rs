//! HPACK (RFC 7541), one direction: from header blocks to header fields.
//!
//! Our own, because a decoder of a library must see a connection from its first byte: it ends with
//! the first reference that it cannot resolve. This one may be joined anywhere. A field that refers
//! to what was not seen is [`Field::Unknown`], never a guess; static and literal fields, and
//! references to what was inserted since, are known. It is tested against libraries.

mod huffman;
mod static_table;
mod table;

use bytes::Bytes;

use crate::limits::MAX_HEADER_LIST_BYTES;
use static_table::STATIC;
use table::Table;
#[cfg(test)]
pub(crate) use table::TableState;

/// A field of a header list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// Its name and value.
    Known {
        /// As sent, for instance `:path` or `content-type`.
        name: Bytes,
        /// As sent.
        value: Bytes,
    },
    /// It refers to an entry that was inserted before we looked.
    Unknown,
}

/// A header list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    /// In order, those that are known.
    pub known: Vec<(Bytes, Bytes)>,
    /// How many are not.
    pub unknown: usize,
}

/// Why a block gave no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockError {
    /// Not HPACK. The table is desynced.
    Invalid,
    /// The list is longer than [`MAX_HEADER_LIST_BYTES`]. The table is right.
    TooLong,
}

/// The decoder of one direction.
#[derive(Debug)]
pub(crate) struct Decoder {
    table: Table,
}

impl Decoder {
    /// `late`: blocks before were not seen.
    pub(crate) fn new(late: bool) -> Decoder {
        Decoder {
            table: Table::new(late),
        }
    }

    /// Bytes that its table holds, about.
    pub(crate) fn held_bytes(&self) -> usize {
        self.table.held_bytes()
    }

    /// A block, or a part of one, was lost.
    pub(crate) fn desync(&mut self) {
        self.table.desync();
    }

    /// Whether all of the table is known.
    #[cfg(test)]
    pub(crate) fn state(&self) -> TableState {
        self.table.state()
    }

    /// Decodes a whole block.
    ///
    /// # Errors
    /// When it is not HPACK, or longer than we keep.
    pub(crate) fn decode(&mut self, block: &[u8]) -> Result<Fields, BlockError> {
        let mut rest = Bytes::copy_from_slice(block);
        let mut fields = Fields::default();
        let mut bytes = 0;
        while !rest.is_empty() {
            let Some(field) = self.representation(&mut rest) else {
                self.desync();
                return Err(BlockError::Invalid);
            };
            match field {
                None => {}
                Some(Field::Unknown) => fields.unknown += 1,
                Some(Field::Known { name, value }) => {
                    // RFC 9113, section 6.5.2 counts so too.
                    bytes += name.len() + value.len() + 32;
                    if bytes <= MAX_HEADER_LIST_BYTES {
                        fields.known.push((name, value));
                    }
                }
            }
        }
        if bytes > MAX_HEADER_LIST_BYTES {
            return Err(BlockError::TooLong);
        }
        Ok(fields)
    }

    /// One representation (RFC 7541, section 6); the outer `None`: not one.
    fn representation(&mut self, rest: &mut Bytes) -> Option<Option<Field>> {
        let first = *rest.first()?;
        if first & 0x80 != 0 {
            let index = integer(rest, 7)?;
            return self.field(index).map(Some);
        }
        if first & 0xe0 == 0x20 {
            self.table.resize(integer(rest, 5)?);
            return Some(None);
        }
        let indexed = first & 0x40 != 0;
        let name = match integer(rest, if indexed { 6 } else { 4 })? {
            0 => Some(string(rest)?),
            index => match self.field(index)? {
                Field::Known { name, .. } => Some(name),
                Field::Unknown => None,
            },
        };
        let value = string(rest)?;
        let value_bytes = value.len();
        let field = match name {
            Some(name) => Field::Known { name, value },
            None => Field::Unknown,
        };
        if indexed {
            self.table.insert(field.clone(), value_bytes);
        }
        Some(Some(field))
    }

    /// By its index (RFC 7541, section 2.3.3).
    fn field(&self, index: usize) -> Option<Field> {
        let distance = index.checked_sub(1)?;
        match STATIC.get(distance) {
            Some((name, value)) => Some(Field::Known {
                name: Bytes::from_static(name.as_bytes()),
                value: Bytes::from_static(value.as_bytes()),
            }),
            None => self.table.get(distance - STATIC.len()),
        }
    }
}

/// An integer with a prefix of that many bits (RFC 7541, section 5.1); `None`: cut off, or absurd.
fn integer(rest: &mut Bytes, prefix: u32) -> Option<usize> {
    let take = |rest: &mut Bytes| {
        let byte = *rest.first()?;
        let _ = rest.split_to(1);
        Some(byte)
    };
    let mask = (1_u8 << prefix) - 1;
    let mut value = usize::from(take(rest)? & mask);
    if value < usize::from(mask) {
        return Some(value);
    }
    // 28 bits are more than any length that we keep.
    for shift in [0, 7, 14, 21] {
        let byte = take(rest)?;
        value += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A string (RFC 7541, section 5.2).
fn string(rest: &mut Bytes) -> Option<Bytes> {
    let coded = *rest.first()? & 0x80 != 0;
    let len = integer(rest, 7)?;
    if len > rest.len() {
        return None;
    }
    let bytes = rest.split_to(len);
    if coded {
        huffman::decode(&bytes).map(Bytes::from)
    } else {
        Some(bytes)
    }
}

#[cfg(test)]
mod tests;
