//! Files of ours in directories of others.
//!
//! A root process writes where a user says, and somebody else may have been there before. So a path
//! is walked name by name ([`walk`]), a link is followed only where root, we or whoever typed `sudo`
//! made it, and from then on everything is done relative to the open directory. What is there
//! already is never emptied, nor given another mode or owner ([`place`]).

pub mod place;
pub mod walk;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::discovery::owner::Owner;

/// Of files that we make: a batch says who asked which model what and when.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Of directories that we make.
const DIR_MODE: Mode = Mode::RWXU;

/// Whose links we follow, and whose our files are.
#[derive(Clone, Copy, Debug)]
pub struct Users {
    ours: u32,
    owner: Option<Owner>,
}

impl Users {
    /// We and whoever typed `sudo`.
    pub fn of_this_process() -> Users {
        Users::with(Owner::of_this_process())
    }

    /// We and `owner`.
    pub fn with(owner: Option<Owner>) -> Users {
        Users {
            ours: rustix::process::geteuid().as_raw(),
            owner,
        }
    }

    /// Root's own, ours, or those of whoever typed `sudo`.
    fn trusts(self, uid: u32) -> bool {
        uid == 0 || uid == self.ours || self.owner.is_some_and(|owner| owner.uid == uid)
    }

    /// Whether what we make is given to somebody else.
    pub fn give_away(self) -> bool {
        self.owner.is_some_and(|owner| owner.uid != self.ours)
    }

    /// Whether another user's directory is on the way: there, to be root does not suffice.
    pub fn is_foreign(self, path: &Path) -> bool {
        let there = path.ancestors().find_map(|path| path.canonicalize().ok());
        let there = there.unwrap_or_else(|| std::env::current_dir().unwrap_or_default());
        there
            .ancestors()
            .filter_map(|dir| std::fs::metadata(dir).ok())
            .any(|meta| meta.is_dir() && meta.uid() != self.ours)
    }

    /// Whether the way leads through a process, to its root for instance: that asks for the right to
    /// look at it.
    pub fn is_in_proc(path: &Path) -> bool {
        std::path::absolute(path).is_ok_and(|path| path.starts_with("/proc"))
    }

    /// Gives a file or directory that we made its mode, whatever the mask is, and its owner.
    fn dress(self, made: &File, mode: Mode) -> io::Result<()> {
        match rustix::fs::fchmod(made, mode) {
            // Of a file of ours that is the file system's answer: FAT and its like know no modes.
            Ok(()) | Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(e) => return Err(e.into()),
        }
        match self.owner {
            Some(owner) => owner.take_file(made),
            None => Ok(()),
        }
    }
}

/// What `--record`, `--summary-json` and the spool refuse, with what to do about it.
fn refused(what: String, fix: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, format!("{what}\n  {fix}"))
}

/// An error with what to do about it, for one line of the log.
pub fn in_one_line(e: &io::Error) -> String {
    e.to_string().replace("\n  ", "; ")
}

/// Makes a file that is not there yet, for its owner alone.
pub fn create_in(dir: &File, name: &OsStr, users: Users) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(dir, name, flags, FILE_MODE)?);
    users
        .dress(&file, FILE_MODE)
        .inspect_err(|_| remove_in(dir, name))?;
    Ok(file)
}

/// Gives a file another name in the same directory.
pub fn rename_in(dir: &File, from: &OsStr, to: &OsStr) -> io::Result<()> {
    Ok(rustix::fs::renameat(dir, from, dir, to)?)
}

/// Removes a name, where it is there.
fn remove_in(dir: &File, name: &OsStr) {
    let _ = rustix::fs::unlinkat(dir, name, AtFlags::empty());
}

/// Whether both are the same file, under whatever name.
pub fn is_same(one: &File, other: &File) -> io::Result<bool> {
    let (one, other) = (rustix::fs::fstat(one)?, rustix::fs::fstat(other)?);
    Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}
