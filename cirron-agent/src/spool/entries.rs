//! The entries of a spool directory: which are batches, and which are on their way to be one.

use std::fs::File;
use std::io;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, FileType};

/// What a batch is called while it is written.
const TMP: &str = ".tmp";

/// One pass over a directory.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Sealed batches, oldest first.
    pub(super) batches: Vec<(String, u64)>,
    pub(super) tmps: Vec<(String, u64, SystemTime)>,
    pub(super) total: u64,
}

impl Scan {
    pub(super) fn take(dir: &File) -> io::Result<Scan> {
        let mut scan = Scan::default();
        for entry in rustix::fs::Dir::read_from(dir)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            let is_tmp = name.strip_suffix(TMP).is_some_and(is_batch);
            if !is_tmp && !is_batch(name) {
                continue;
            }
            // It may be gone by now: another writer evicts too.
            let Ok(stat) = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                continue;
            }
            let bytes = u64::try_from(stat.st_size).unwrap_or(0);
            scan.total += bytes;
            if is_tmp {
                let since = Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or(0));
                let modified = SystemTime::UNIX_EPOCH + since;
                scan.tmps.push((name.to_owned(), bytes, modified));
            } else {
                scan.batches.push((name.to_owned(), bytes));
            }
        }
        scan.batches.sort_unstable();
        Ok(scan)
    }
}

/// The names that readers accept: `^\\d+-[0-9a-f]+\\.json$`.
fn is_batch(name: &str) -> bool {
    let parts = name
        .strip_suffix(".json")
        .and_then(|name| name.split_once('-'));
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    parts.is_some_and(|(time, id)| {
        !time.is_empty()
            && time.bytes().all(|b| b.is_ascii_digit())
            && !id.is_empty()
            && id.bytes().all(is_hex)
    })
}

/// Removes a name.
pub(super) fn remove(dir: &File, name: &str) -> io::Result<()> {
    Ok(rustix::fs::unlinkat(dir, name, AtFlags::empty())?)
}

/// Whether there is something of this name.
pub(super) fn is_there(dir: &File, name: &str) -> bool {
    rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_readers_accept_is_a_batch() {
        for name in [
            "00000000000000000001-0a.json",
            "1-f.json",
            "00000000000000000001-00000000000000000000000000000007.json",
        ] {
            assert!(is_batch(name), "{name}");
        }
        for name in [
            "config.json",
            "a-1.json",
            "1-.json",
            "-1.json",
            "1-g.json",
            "1-A.json",
            "1.json",
            "1-1.jsonl",
            "1-1.json.tmp",
            "1-1-1.json",
            "../1-1.json",
            "1-1.JSON",
        ] {
            assert!(!is_batch(name), "{name}");
        }
    }
}
