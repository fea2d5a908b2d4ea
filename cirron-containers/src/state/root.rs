//! Files below a directory that stands for the machine's root, read up to a bound.
//!
//! Directories of runtimes may be links: whoever moved `/var/lib/docker` to another disk made one, in a directory that is
//! root's, and it is followed as from that root. Behind them none is followed: there, containers may have written.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};

/// Bytes of one file. A container's description has 5 to 50 kB, the list of a machine's a few hundred.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// An open root.
#[derive(Debug)]
pub struct Root(OwnedFd);

impl Root {
    /// `None`: it cannot be opened.
    pub fn open(path: &Path) -> Option<Root> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).ok()?;
        Some(Root(root))
    }

    /// Reads a file below a runtime's directory; `None`: it is not there, no plain file, or too large.
    pub(super) fn read(&self, runtime: &str, file: &str) -> Option<Vec<u8>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let dir = rustix::fs::openat2(&self.0, runtime, flags, Mode::empty(), within).ok()?;
        // A pipe that somebody put there is not waited for.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let within =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let file = rustix::fs::openat2(&dir, file, flags, Mode::empty(), within).ok()?;
        let stat = rustix::fs::fstat(&file).ok()?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return None;
        }
        let mut bytes = Vec::new();
        let mut file = File::from(file).take(MAX_BYTES + 1);
        file.read_to_end(&mut bytes).ok()?;
        (bytes.len() as u64 <= MAX_BYTES).then_some(bytes)
    }

    /// Names in a runtime's directory, `at_most` of them.
    pub(super) fn names(&self, runtime: &str, at_most: usize) -> Vec<String> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let open = rustix::fs::openat2(&self.0, runtime, flags, Mode::empty(), within);
        let Ok(entries) = open.and_then(|dir| rustix::fs::Dir::read_from(&dir)) else {
            return Vec::new();
        };
        let names = entries.filter_map(|entry| {
            let name = entry.ok()?.file_name().to_str().ok()?.to_owned();
            (!name.starts_with('.')).then_some(name)
        });
        names.take(at_most).collect()
    }
}
