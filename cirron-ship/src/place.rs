//! The two directories: `DIR/spool`, which others write, and `DIR/ship`, where ledgers are.
//!
//! Both are opened once, links are not followed, and all is done relative to them. A directory that is another one now
//! (wiped and made again) is noticed ([`Place::is_there`]); who started us starts us again.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, Stat};
use rustix::io::Errno;

/// Of ledgers: names of batches.
const DIR_MODE: Mode = Mode::RWXU;

/// Why there is nothing to ship from.
#[derive(Debug, thiserror::Error)]
pub enum NoPlace {
    /// No spool.
    #[error("there is no spool in {}: {why}\n  name its place with --output-dir DIR", .path.display())]
    NoSpool {
        /// Where it was looked for.
        path: PathBuf,
        /// The system's word.
        why: io::Error,
    },
    /// No room for ledgers.
    #[error("{} cannot be made: {why}\n  run as the user whose spool it is", .path.display())]
    NoLedgers {
        /// Where.
        path: PathBuf,
        /// The system's word.
        why: io::Error,
    },
}

/// The directories, open.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    spool: File,
    ship: File,
}

impl Place {
    /// Opens `DIR/spool`, and makes `DIR/ship` where it is missing.
    ///
    /// # Errors
    /// Where either cannot be had.
    pub fn open(output_dir: &Path) -> Result<Place, NoPlace> {
        let spool = open_spool(output_dir)?;
        let path = output_dir.join("ship");
        let no_ledgers = |why: Errno| NoPlace::NoLedgers {
            path: path.clone(),
            why: why.into(),
        };
        match rustix::fs::mkdirat(CWD, &path, DIR_MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(no_ledgers(e)),
        }
        let ship = open_dir(&path).map_err(no_ledgers)?;
        Ok(Place {
            path: output_dir.to_owned(),
            spool,
            ship,
        })
    }

    /// The directory of batches.
    pub fn spool(&self) -> &File {
        &self.spool
    }

    /// The directory of ledgers.
    pub fn ship(&self) -> &File {
        &self.ship
    }

    /// Whether the path leads there still.
    pub fn is_there(&self) -> bool {
        let same = |name: &str, open: &File| {
            let (Ok(there), Ok(open)) = (std::fs::metadata(self.path.join(name)), open.metadata())
            else {
                return false;
            };
            (there.dev(), there.ino()) == (open.dev(), open.ino())
        };
        same("spool", &self.spool) && same("ship", &self.ship)
    }
}

/// Opens `DIR/spool`.
///
/// # Errors
/// Where there is none.
pub fn open_spool(output_dir: &Path) -> Result<File, NoPlace> {
    let path = output_dir.join("spool");
    open_dir(&path).map_err(|why| NoPlace::NoSpool {
        path,
        why: why.into(),
    })
}

fn open_dir(path: &Path) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(CWD, path, flags, Mode::empty())?.into())
}

/// When a file came to be as it is, nanoseconds since the epoch: of a batch, when it got its name.
pub fn changed_ns(stat: &Stat) -> i128 {
    i128::from(stat.st_ctime) * 1_000_000_000 + i128::from(stat.st_ctime_nsec)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_spool_that_was_wiped_and_made_again_is_another() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            Place::open(dir.path()),
            Err(NoPlace::NoSpool { .. })
        ));
        std::fs::create_dir(dir.path().join("spool")).unwrap();
        let place = Place::open(dir.path()).unwrap();
        assert!(place.is_there());
        std::fs::rename(dir.path().join("spool"), dir.path().join("old")).unwrap();
        assert!(!place.is_there());
        std::fs::create_dir(dir.path().join("spool")).unwrap();
        assert!(!place.is_there());
    }
}
