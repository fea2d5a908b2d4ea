//! Ways to open a file that a process has mapped.
//!
//! `map_files` leads to the mapped file itself, deleted or replaced or in another mount namespace; it
//! asks for `CAP_CHECKPOINT_RESTORE`. Without it a path is tried: the process's own root before the
//! name, its executable, and the name as we see it. What a path leads to may be another file, which its
//! owner put there: it is taken only where it is the mapped one, by device and inode number.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::probes::images::{FileId, Image, mapped_here};

/// A right that would help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Right {
    /// To follow `map_files`.
    CheckpointRestore,
    /// To read a file that its mode keeps from us.
    DacReadSearch,
    /// To look into a process of another user.
    Ptrace,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Right::CheckpointRestore => "CAP_CHECKPOINT_RESTORE",
            Right::DacReadSearch => "CAP_DAC_READ_SEARCH",
            Right::Ptrace => "CAP_SYS_PTRACE",
        })
    }
}

/// Why a file was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unopened {
    /// With this right it would be.
    Missing(Right),
    /// The process is gone, or has unmapped it.
    Gone,
    /// It is no regular file: there is nothing to look at.
    NoFile,
}

impl Image {
    /// Opens it to be read.
    ///
    /// # Errors
    /// Where no way leads to it.
    pub fn open(&self) -> Result<File, Unopened> {
        let (start, end) = self.range;
        crate::discovery::asked();
        let mapped = format!("/proc/{}/map_files/{start:x}-{end:x}", self.pid);
        match regular(Path::new(&mapped)) {
            Ok(file) => Ok(file),
            Err(Failed::NoFile) => Err(Unopened::NoFile),
            Err(Failed::Read(e)) if denied(&e) => Err(Unopened::Missing(Right::DacReadSearch)),
            Err(Failed::Find(e)) if denied(&e) => self.open_by_path(),
            Err(Failed::Find(_) | Failed::Read(_)) => Err(Unopened::Gone),
        }
    }

    /// Without the right to follow `map_files`.
    fn open_by_path(&self) -> Result<File, Unopened> {
        let mut why = Unopened::Missing(Right::CheckpointRestore);
        for path in self.paths() {
            match regular(&path) {
                Ok(file) if is(&file, self.id) => return Ok(file),
                // The other right is no use where this one is not there.
                Err(Failed::Read(e)) if denied(&e) => {
                    why = Unopened::Missing(Right::DacReadSearch);
                }
                Ok(_) | Err(Failed::NoFile | Failed::Read(_) | Failed::Find(_)) => {}
            }
        }
        if !Path::new(&format!("/proc/{}", self.pid)).exists() {
            why = Unopened::Gone;
        }
        Err(why)
    }

    fn paths(&self) -> Vec<PathBuf> {
        let name = self.name.as_os_str().as_bytes();
        let mut root = format!("/proc/{}/root", self.pid).into_bytes();
        root.extend_from_slice(name);
        vec![
            std::ffi::OsStr::from_bytes(&root).into(),
            format!("/proc/{}/exe", self.pid).into(),
            self.name.clone(),
        ]
    }
}

fn denied(e: &io::Error) -> bool {
    e.kind() == io::ErrorKind::PermissionDenied
}

/// Why [`regular`] gave nothing.
enum Failed {
    /// The path leads nowhere, or may not be followed.
    Find(io::Error),
    /// It is a device, a pipe, a directory.
    NoFile,
    /// It may not be read.
    Read(io::Error),
}

/// Opens a regular file. Whatever else a stranger's path leads to is not opened: a pipe would wait, a
/// device would do something.
fn regular(path: &Path) -> Result<File, Failed> {
    let mut options = OpenOptions::new();
    let found = options.read(true).custom_flags(libc::O_PATH).open(path);
    let found = found.map_err(Failed::Find)?;
    if !found.metadata().is_ok_and(|m| m.is_file()) {
        return Err(Failed::NoFile);
    }
    File::open(format!("/proc/self/fd/{}", found.as_raw_fd())).map_err(Failed::Read)
}

fn is(file: &File, id: FileId) -> bool {
    let by_stat = file.metadata().is_ok_and(|m| (m.dev(), m.ino()) == id);
    by_stat || identity(file) == Some(id)
}

/// What the kernel would say of a mapping of this file, which is what it says of a target's. It is
/// asked by mapping a page, which is not touched.
pub fn identity(file: &File) -> Option<FileId> {
    /// Any length maps a page.
    const LENGTH: usize = 1;
    // SAFETY: a new mapping at a place of the kernel's choice, of an open file; it is unmapped below
    // and never read, so that it does not matter how long the file is.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            LENGTH,
            libc::PROT_READ,
            libc::MAP_PRIVATE,
            file.as_raw_fd(),
            0,
        )
    };
    if address == libc::MAP_FAILED {
        return None;
    }
    let id = mapped_here(address.addr() as u64);
    // SAFETY: the mapping made above, which nothing refers to.
    unsafe { libc::munmap(address, LENGTH) };
    id
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::probes::images::images;

    fn own(name: &str) -> Image {
        let found = images(std::process::id()).unwrap();
        let mut found = found.into_iter();
        found
            .find(|i| i.name.to_string_lossy().contains(name))
            .unwrap()
    }

    #[test]
    fn a_mapped_file_is_opened_by_its_mapping_and_by_its_path() {
        let image = own("libc.so");
        assert!(is(&image.open_by_path().unwrap(), image.id));
        // Only with the right.
        if let Ok(file) = image.open() {
            assert!(is(&file, image.id));
        }
        assert_eq!(identity(&File::open(&image.name).unwrap()), Some(image.id));
    }

    #[test]
    fn an_executable_that_was_replaced_is_opened_by_its_process() {
        let exe = std::fs::read_link("/proc/self/exe").unwrap();
        let mut image = own(&exe.file_name().unwrap().to_string_lossy());
        image.name = PathBuf::from("/no/such/file (deleted)");
        assert!(is(&image.open_by_path().unwrap(), image.id));
    }

    #[test]
    fn another_file_in_its_place_is_not_taken() {
        let mut image = own("libc.so");
        image.id.1 += 1;
        assert_eq!(
            image.open_by_path().unwrap_err(),
            Unopened::Missing(Right::CheckpointRestore)
        );
        image.pid = u32::MAX;
        assert_eq!(image.open_by_path().unwrap_err(), Unopened::Gone);
    }

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        // It would wait for a writer.
        for path in [pipe.as_path(), Path::new("/dev/zero"), dir.path()] {
            assert!(matches!(regular(path), Err(Failed::NoFile)));
        }
    }
}
