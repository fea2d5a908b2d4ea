//! Where the sockets are, and which of them are alive.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The directory of all agents of this machine.
const DIR: &str = "/run/cirron-agent";

/// Sockets that are looked at: agents of one machine.
const MAX_SOCKETS: usize = 100;

/// The directory; `CIRRON_RUN_DIR` names another one, for tests and containers.
pub fn dir() -> PathBuf {
    std::env::var_os("CIRRON_RUN_DIR").map_or_else(|| PathBuf::from(DIR), PathBuf::from)
}

/// Makes the directory, for its owner alone, and removes what killed agents left there.
pub(super) fn prepare(dir: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    let stat = std::fs::symlink_metadata(dir)?;
    let ours = rustix::process::geteuid().as_raw();
    if !stat.is_dir() || stat.uid() != ours || stat.mode() & 0o077 != 0 {
        return Err(io::Error::other(format!(
            "{} must be a directory that only its owner may enter, and its owner user {ours}\n  \
             remove it, or set its mode to 0700",
            dir.display()
        )));
    }
    for path in listed(dir) {
        // Nobody listens.
        if UnixStream::connect(&path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused) {
            let _ = std::fs::remove_file(&path);
        }
    }
    Ok(())
}

/// The sockets at which somebody listens, by name.
pub fn sockets(dir: &Path) -> Vec<PathBuf> {
    let mut all = listed(dir);
    all.retain(|path| UnixStream::connect(path).is_ok());
    all.sort();
    all
}

fn listed(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let named = paths.filter(|path| path.extension().is_some_and(|end| end == "sock"));
    named.take(MAX_SOCKETS).collect()
}
