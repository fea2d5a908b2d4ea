//! A file that is read without changing what the machine keeps in memory.
//!
//! Names of symbols are read by us and hardly by anybody else: a hundred megabytes of a large target's
//! libraries would push out what its neighbours need. So each read first asks for what is there already;
//! what had to be fetched from the disk is given back at once, and nothing is read ahead. Pages that a
//! process has mapped stay in any case.

use std::cell::Cell;
use std::fs::File;
use std::io::IoSliceMut;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{Advice, fadvise};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use crate::probes::source::ReadAt;

/// Bytes that are fetched from the disk at once. Pages among them that were there already are given
/// back with the others, so that it is not more.
const FETCHED_BYTES: usize = 256 * 1024;
/// Of x86-64.
const PAGE_BYTES: u64 = 4096;

/// A file.
#[derive(Debug)]
pub struct Quiet<'f> {
    file: &'f File,
    /// The file system tells what is there already. Where it does not, nothing is given back.
    tells: Cell<bool>,
}

impl<'f> Quiet<'f> {
    /// Of an open file, whose position is not used.
    pub fn new(file: &'f File) -> Quiet<'f> {
        // Nothing is lost where it is not taken.
        let _ = fadvise(file, 0, None, Advice::Random);
        Quiet {
            file,
            tells: Cell::new(true),
        }
    }

    /// What is in memory already, from there on; `None` where nothing is.
    fn present(&self, buffer: &mut [u8], at: u64) -> Option<usize> {
        if !self.tells.get() {
            return self.file.read_at(buffer, at).ok();
        }
        let mut into = [IoSliceMut::new(buffer)];
        match preadv2(self.file, &mut into, at, ReadWriteFlags::NOWAIT) {
            Ok(n) => Some(n),
            Err(Errno::AGAIN | Errno::INTR) => None,
            Err(_) => {
                self.tells.set(false);
                self.file.read_at(buffer, at).ok()
            }
        }
    }

    fn fetched(&self, buffer: &mut [u8], at: u64) -> usize {
        let size = buffer.len().min(FETCHED_BYTES);
        let into = buffer.get_mut(..size).unwrap_or_default();
        let n = self.file.read_at(into, at).unwrap_or(0);
        let start = at - at % PAGE_BYTES;
        let end = at.saturating_add(n as u64);
        let end = end.checked_next_multiple_of(PAGE_BYTES).unwrap_or(end);
        if let Some(len) = NonZeroU64::new(end - start) {
            let _ = fadvise(self.file, start, Some(len), Advice::DontNeed);
        }
        n
    }
}

impl ReadAt for Quiet<'_> {
    /// 0 of what is no regular file: a device would say nothing of what reading it does.
    fn size(&self) -> u64 {
        let meta = self.file.metadata().ok();
        meta.filter(|m| m.is_file()).map_or(0, |m| m.len())
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> usize {
        match self.present(buffer, at) {
            Some(n) => n,
            None => self.fetched(buffer, at),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::probes::source::Source;
    use std::io::Write as _;
    use std::ops::ControlFlow;

    const SIZE: usize = 4 * 1024 * 1024;

    /// How many bytes of it are in memory, as far as can be told.
    fn present(file: &File) -> usize {
        let quiet = Quiet::new(file);
        let mut page = [0; 4096];
        let pages = (0..SIZE / page.len()).filter(|n| {
            let at = (n * page.len()) as u64;
            let into = &mut [IoSliceMut::new(&mut page)];
            preadv2(quiet.file, into, at, ReadWriteFlags::NOWAIT).is_ok_and(|n| n > 0)
        });
        pages.count() * 4096
    }

    /// A file of which `bytes` are on the disk and a quarter is in memory; `None` where the machine keeps or takes
    /// pages as it likes.
    fn with_a_quarter_in_memory(bytes: &[u8]) -> Option<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.sync_all().unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        fadvise(&file, 0, None, Advice::Random).unwrap();
        if present(&file) > 0 {
            return None;
        }
        let mut some = vec![0; SIZE / 4];
        file.read_exact_at(&mut some, (SIZE / 2) as u64).unwrap();
        (present(&file) >= SIZE / 4).then_some(file)
    }

    #[test]
    fn what_was_not_in_memory_is_not_afterwards_and_what_was_stays() {
        let bytes: Vec<u8> = (0..SIZE).map(|n| (n / 4096) as u8).collect();
        for _ in 0..20 {
            let Some(file) = with_a_quarter_in_memory(&bytes) else {
                continue;
            };
            // Nobody reads this one: it tells whether the machine takes pages away meanwhile, where memory is short.
            let Some(control) = with_a_quarter_in_memory(&bytes) else {
                continue;
            };
            let (before, of_control) = (present(&file), present(&control));
            let quiet = Quiet::new(&file);
            let source = Source::new(&quiet);
            let mut seen = Vec::new();
            source.blocks(0..u64::MAX, 0, |_, block| {
                seen.extend_from_slice(block);
                ControlFlow::<()>::Continue(())
            });
            assert!(seen == bytes);
            let after = present(&file);
            assert!(after <= before, "{before} {after}");
            if present(&control) == of_control {
                assert!(after + FETCHED_BYTES >= before, "{before} {after}");
                return;
            }
        }
        println!(
            "this file system keeps its pages, or memory is short: only what is read was compared"
        );
    }

    #[test]
    fn what_is_no_file_has_no_bytes() {
        for path in ["/dev/zero", "/", "/dev/null"] {
            let file = File::open(path).unwrap();
            assert_eq!(Quiet::new(&file).size(), 0);
        }
    }
}
