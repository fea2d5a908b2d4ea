//! Where a single file of ours goes: `--record`, `--summary-json`.
//!
//! A new file takes the place of a regular one: that one is neither emptied nor changed, whoever
//! else has it. Pipes and devices are written to as they are. Anything else is refused.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::walk::{Missing, follow, open_dir, step};
use super::{Users, create_in, refused, remove_in, rename_in};

/// A place that was looked at; nothing is made or changed yet.
#[derive(Debug)]
pub struct Place {
    dir: File,
    name: OsString,
    found: Found,
    users: Users,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Nothing, or a regular file.
    Room,
    /// A pipe or a device.
    Stream,
    /// One of our own descriptors, by its name in `/dev` or `/proc`.
    Descriptor(i32),
}

/// An open file.
#[derive(Debug)]
pub struct Opened {
    /// To be written to.
    pub file: File,
    /// Somebody reads at the other end, or does not: writing may wait.
    pub is_stream: bool,
    /// The name that it has until [`Opened::settle`].
    temporary: Option<Temporary>,
}

#[derive(Debug)]
struct Temporary {
    dir: File,
    name: OsString,
    to: OsString,
}

impl Place {
    /// Whether what is written takes the place of a file, whole.
    pub fn is_replaced(&self) -> bool {
        matches!(self.found, Found::Room)
    }

    /// Looks at what is there.
    pub fn look(path: &Path, users: Users) -> io::Result<Place> {
        let Some(name) = path.file_name() else {
            return Err(Errno::ISDIR.into());
        };
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            Some(_) | None => Path::new("."),
        };
        let descriptor = descriptor(path);
        let dir = if descriptor.is_some() {
            // It is of /proc, and of no interest.
            open_dir(Path::new("/"), users, Missing::Refuse)?
        } else {
            open_dir(parent, users, Missing::Refuse)?
        };
        let found = match descriptor {
            Some(number) => Found::Descriptor(number),
            None => found(&dir, name, users)?,
        };
        Ok(Place {
            dir,
            name: name.to_owned(),
            found,
            users,
        })
    }

    /// Opens it; a regular file is a new one, under a temporary name until it is settled.
    pub fn open(&self) -> io::Result<Opened> {
        match self.found {
            Found::Room => self.make(),
            Found::Stream => self.stream(),
            Found::Descriptor(number) => duplicate(number),
        }
    }

    fn make(&self) -> io::Result<Opened> {
        let name = OsString::from(format!(".cirron-{}.tmp", uuid::Uuid::new_v4().simple()));
        let dir = self.dir.try_clone()?;
        Ok(Opened {
            file: create_in(&dir, &name, self.users)?,
            is_stream: false,
            temporary: Some(Temporary {
                dir,
                name,
                to: self.name.clone(),
            }),
        })
    }

    fn stream(&self) -> io::Result<Opened> {
        // Neither made nor emptied; a pipe without a reader is an error at once.
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.dir, &self.name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NXIO) => {
                return Err(refused(
                    format!("nobody reads the pipe {}", self.name.display()),
                    "start its reader first",
                ));
            }
            Err(e) => return Err(e.into()),
        };
        // What is there may be another thing by now.
        let stat = rustix::fs::fstat(&file)?;
        if !is_stream(FileType::from_raw_mode(stat.st_mode)) {
            return Err(refused(
                format!("{} is no pipe and no device any more", self.name.display()),
                "name another file",
            ));
        }
        Ok(Opened {
            file,
            is_stream: true,
            temporary: None,
        })
    }
}

impl Opened {
    /// Gives a new file its name, in place of what had it.
    pub fn settle(&mut self) -> io::Result<()> {
        if let Some(Temporary { dir, name, to }) = &self.temporary {
            rename_in(dir, name, to).map_err(|e| not_replaced(e, to))?;
            self.temporary = None;
        }
        Ok(())
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(Temporary { dir, name, .. }) = &self.temporary {
            remove_in(dir, name);
        }
    }
}

/// Why no file could take the place of `name`.
fn not_replaced(e: io::Error, name: &OsStr) -> io::Error {
    if e.kind() != io::ErrorKind::ResourceBusy {
        return e;
    }
    refused(
        format!("{} is a mount point by itself", name.display()),
        "name another file beside it, or mount its directory",
    )
}

fn is_stream(kind: FileType) -> bool {
    matches!(kind, FileType::Fifo | FileType::CharacterDevice)
}

fn found(dir: &File, name: &OsStr, users: Users) -> io::Result<Found> {
    let dir = OwnedFd::from(dir.try_clone()?);
    let (fd, stat) = match step(&dir, name) {
        Ok(found) => found,
        Err(Errno::NOENT) => return Ok(Found::Room),
        Err(e) => return Err(e.into()),
    };
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind == FileType::RegularFile {
        return Ok(Found::Room);
    }
    if is_stream(kind) {
        return Ok(Found::Stream);
    }
    if kind == FileType::Symlink {
        let to = follow(&fd, &stat, name, users)?;
        let stat = rustix::fs::statat(&dir, name, AtFlags::empty());
        if stat.is_ok_and(|stat| is_stream(FileType::from_raw_mode(stat.st_mode))) {
            return Ok(Found::Stream);
        }
        return Err(refused(
            format!("{} is a symbolic link", name.display()),
            &format!("name the file itself: {}", to.display()),
        ));
    }
    let what = if kind == FileType::Directory {
        "a directory"
    } else {
        "no file and no pipe"
    };
    Err(refused(
        format!("{} is {what}", name.display()),
        "name a file",
    ))
}

/// `/dev/stdout`, `/dev/fd/63` (a shell's `>(command)`) and their like.
fn descriptor(path: &Path) -> Option<i32> {
    let path: PathBuf = path.components().collect();
    match path.to_str()? {
        "/dev/stdout" => Some(1),
        "/dev/stderr" => Some(2),
        path => path
            .strip_prefix("/dev/fd/")
            .or_else(|| path.strip_prefix("/proc/self/fd/"))?
            .parse()
            .ok()
            .filter(|number| *number >= 0),
    }
}

fn duplicate(number: i32) -> io::Result<Opened> {
    // By its name, so that a number that is not open is an error and no undefined behaviour.
    let (fd, stat) = {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let name = format!("/proc/self/fd/{number}");
        let fd = rustix::fs::openat(CWD, name, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&fd)?;
        (fd, stat)
    };
    drop(fd);
    let kind = FileType::from_raw_mode(stat.st_mode);
    if !is_stream(kind) && !matches!(kind, FileType::RegularFile | FileType::Socket) {
        return Err(Errno::BADF.into());
    }
    // SAFETY: it was open a moment ago, and nobody closes what the agent was started with.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    Ok(Opened {
        file: borrowed.try_clone_to_owned()?.into(),
        is_stream: kind != FileType::RegularFile,
        temporary: None,
    })
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
