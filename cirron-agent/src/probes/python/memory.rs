//! The memory of another process, to be read.
//!
//! By its file in procfs, with the right that its list of mappings needs as well. Nothing there is to be trusted: it changes
//! while it is read, and a read may fail at any time.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// What can be read at addresses.
pub trait Memory {
    /// Fills `to` from `address` on. False: not all of it is there.
    fn read(&self, address: u64, to: &mut [u8]) -> bool;

    /// A word.
    fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)
            .then(|| u64::from_ne_bytes(bytes))
    }
}

/// That of a process.
#[derive(Debug)]
pub struct ProcessMemory(File);

impl ProcessMemory {
    /// `None`: it has gone, or may not be looked at.
    pub fn open(pid: u32) -> Option<ProcessMemory> {
        crate::discovery::asked();
        File::open(format!("/proc/{pid}/mem"))
            .ok()
            .map(ProcessMemory)
    }
}

impl Memory for ProcessMemory {
    fn read(&self, address: u64, to: &mut [u8]) -> bool {
        self.0.read_exact_at(to, address).is_ok()
    }
}
