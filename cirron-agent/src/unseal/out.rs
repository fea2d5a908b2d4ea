//! What is to be read instead of a record: records, one behind the other.

use cirron_core::record::{Body, Head, Record, encode};

/// Records in the order in which they are to be read.
#[derive(Debug, Default)]
pub struct Out {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Out {
    /// One as it came.
    pub fn pass(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.ends.push(self.bytes.len());
    }

    /// One of ours.
    pub fn tell(&mut self, head: Head, body: Body<'_>) {
        self.pass(&encode(&Record { head, body }));
    }

    /// Their bytes.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Each of them.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        let ranges = begins.zip(&self.ends);
        ranges.map(|(begin, end)| self.bytes.get(begin..*end).unwrap_or_default())
    }

    /// None of them any more.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}
