//! A file that a target has mapped: whatever is in it, looking at it ends and reads within bounds.

use std::cell::Cell;
use std::path::Path;

use cirron_agent::Choice;
use cirron_agent::blind_library;
use cirron_agent::plan;
use cirron_agent::{MAX_READ_BYTES, ReadAt};

/// Bytes with zeros behind them, as in a sparse file, that are counted when they are read.
struct File<'b> {
    bytes: &'b [u8],
    size: u64,
    read: Cell<u64>,
}

impl ReadAt for File<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> usize {
        let left = usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX);
        let n = left.min(buffer.len());
        if let Some(into) = buffer.get_mut(..n) {
            into.fill(0);
            self.bytes.read_at(into, at);
        }
        self.read.set(self.read.get() + n as u64);
        n
    }
}

/// As it is, and as if it were larger.
pub fn elf(input: &[u8]) {
    for more in [0, 1 << 20] {
        let file = File {
            bytes: input,
            size: input.len() as u64 + more,
            read: Cell::new(0),
        };
        plan(&file, Choice::Cheapest);
        assert!(file.read.get() <= MAX_READ_BYTES, "read too much");
        blind_library(&file, Path::new("/lib/x.so"));
        assert!(file.read.get() <= 2 * MAX_READ_BYTES, "read too much");
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use cirron_agent::Plan;

    /// The inputs of the corpus are what they are there for: libraries with functions of ours.
    #[test]
    fn functions_are_found_in_the_corpus() {
        for (name, functions) in [("openssl-like", 5), ("go-like", 3)] {
            let bytes = std::fs::read(crate::corpus_dir().join("elf").join(name)).unwrap();
            let plan = plan(&&bytes[..], Choice::Cheapest).plan;
            let Plan::Watch(found) = plan else {
                panic!("{name}: {plan:?}")
            };
            assert_eq!(found.len(), functions, "{name}: {found:#?}");
        }
    }
}
