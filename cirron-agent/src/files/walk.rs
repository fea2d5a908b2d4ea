//! A path, walked name by name from an open directory to the next.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{DIR_MODE, Users, refused};

/// Links followed on one path, as in the kernel.
const MAX_LINKS: usize = 40;

/// What a walk does where a directory is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It is an error.
    Refuse,
    /// It is made, with mode 0700.
    Make,
}

/// Opens a directory, to read its entries and to work relative to it.
pub fn open_dir(path: &Path, users: Users, missing: Missing) -> io::Result<File> {
    let mut todo: VecDeque<OsString> = names(path);
    let mut at = root(path)?;
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        let (next, stat) = match step(&at, &name) {
            Err(Errno::NOENT) if missing == Missing::Make => {
                make(&at, &name, users)?;
                step(&at, &name)?
            }
            other => other?,
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory {
            at = next;
            continue;
        }
        if kind != FileType::Symlink {
            return Err(Errno::NOTDIR.into());
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(Errno::LOOP.into());
        }
        // /proc/PID/root and its like lead where their text does not, and nobody but the kernel made
        // them.
        if is_of_proc(&at)? {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            at = rustix::fs::openat(&at, &name, flags, Mode::empty())?;
            continue;
        }
        let to = follow(&next, &stat, &name, users)?;
        if to.is_absolute() {
            at = root(&to)?;
        }
        for name in names(&to).into_iter().rev() {
            todo.push_front(name);
        }
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(&at, ".", flags, Mode::empty())?.into())
}

fn is_of_proc(dir: &OwnedFd) -> io::Result<bool> {
    Ok(rustix::fs::fstatfs(dir)?.f_type == rustix::fs::PROC_SUPER_MAGIC)
}

/// Refuses a directory in which anybody may replace what we write.
pub fn refuse_open_to_all(dir: &File, path: &Path) -> io::Result<()> {
    let mode = Mode::from_raw_mode(rustix::fs::fstat(dir)?.st_mode);
    if mode.contains(Mode::WOTH) && !mode.contains(Mode::SVTX) {
        let path = path.display();
        return Err(refused(
            format!("anybody may write to {path}, and replace what is in it"),
            &format!("chmod o-w {path}"),
        ));
    }
    Ok(())
}

/// Where a link of somebody whom we trust leads to.
pub(super) fn follow(
    link: &OwnedFd,
    stat: &Stat,
    name: &OsStr,
    users: Users,
) -> io::Result<PathBuf> {
    if !users.trusts(stat.st_uid) {
        return Err(refused(
            format!(
                "{} is a symbolic link of another user ({})",
                name.display(),
                stat.st_uid
            ),
            "name the place that it leads to, if that is meant",
        ));
    }
    let to = rustix::fs::readlinkat(link, "", Vec::new())?;
    Ok(PathBuf::from(OsString::from_vec(to.into_bytes())))
}

/// An entry of a directory as it is, a link as a link.
pub(super) fn step(at: &OwnedFd, name: &OsStr) -> Result<(OwnedFd, Stat), Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(at, name, flags, Mode::empty())?;
    let stat = rustix::fs::statat(&fd, "", AtFlags::EMPTY_PATH)?;
    Ok((fd, stat))
}

/// Makes a directory, unless somebody else is faster.
fn make(at: &OwnedFd, name: &OsStr, users: Users) -> io::Result<()> {
    match rustix::fs::mkdirat(at, name, DIR_MODE) {
        Ok(()) => {}
        Err(Errno::EXIST) => return Ok(()),
        Err(e) => return Err(e.into()),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = File::from(rustix::fs::openat(at, name, flags, Mode::empty())?);
    // Whoever may write here may have put another in its place: then it is theirs, and stays so.
    if rustix::fs::fstat(&made)?.st_uid != users.ours {
        return Ok(());
    }
    users.dress(&made, DIR_MODE)
}

fn root(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let name = if path.is_absolute() { "/" } else { "." };
    Ok(rustix::fs::openat(CWD, name, flags, Mode::empty())?)
}

fn names(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsStr::from_bytes(b"..").to_owned()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
