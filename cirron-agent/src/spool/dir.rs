//! The spool directory: a batch appears in it whole or not at all, and it stays under its cap.
//!
//! What the SDK's `SpoolWriter` does, so that several writers can share a directory: the running
//! total is corrected by a scan whenever it passes the cap and every [`RESCAN_EVERY_WRITES`]
//! writes; temporary files count but only those older than [`TMP_STALE`] are swept, before any
//! batch is evicted; eviction is oldest first, by name. A directory that vanished is made again.
//!
//! All of it is done relative to the open directory, and to regular files with a batch's name alone.
//! The path is walked again for each batch: where it leads to another directory that one is taken,
//! unless somebody else's link leads there; then it stays with the one that it has.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cirron_core::id::Id;

use super::batch::Batch;
use super::entries::{Scan, is_there, remove};
use crate::discovery::owner::Owner;
use crate::files::walk::{Missing, open_dir, refuse_open_to_all};
use crate::files::{Users, create_in, in_one_line, is_same, rename_in};

/// Writes between two scans, the SDK's `SPOOL_RESCAN_EVERY_WRITES`.
pub const RESCAN_EVERY_WRITES: u32 = 256;

/// Age past which a temporary file is an orphan, the SDK's `SPOOL_TMP_STALE_SEC`.
pub const TMP_STALE: Duration = Duration::from_secs(3600);

/// What a write did besides writing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the batch.
    pub bytes: u64,
    /// The directory had vanished.
    pub recreated: bool,
    /// Batches removed to stay under the cap.
    pub evicted: u64,
    /// Orphans removed.
    pub swept: u64,
}

/// A spool directory that we write to.
#[derive(Debug)]
pub struct SpoolDir {
    path: PathBuf,
    dir: File,
    users: Users,
    max_bytes: u64,
    total_bytes: u64,
    writes_since_scan: u32,
    /// Temporary files alone meet the cap: nothing to be done until they age.
    cap_blocked: bool,
    said_led_away: bool,
}

impl SpoolDir {
    /// Makes the directory where it is missing; removes nothing. One that anybody may write to is
    /// refused, and so is its parent.
    pub fn open(path: PathBuf, max_bytes: u64, owner: Option<Owner>) -> io::Result<SpoolDir> {
        let users = Users::with(owner);
        let dir = open_checked(&path, users, Missing::Make)?;
        let total_bytes = Scan::take(&dir)?.total;
        Ok(SpoolDir {
            path,
            dir,
            users,
            max_bytes,
            total_bytes,
            writes_since_scan: 0,
            cap_blocked: false,
            said_led_away: false,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one batch under a temporary name and renames it, then keeps the cap.
    pub fn write(&mut self, batch: &Batch, created_ns: u64, id: Id) -> io::Result<Written> {
        let name = format!("{created_ns:020}-{id}.json");
        let mut written = Written {
            recreated: self.follow()?,
            bytes: self.write_once(batch, created_ns, id, &name)?,
            ..Written::default()
        };
        self.total_bytes = self.total_bytes.saturating_add(written.bytes);
        self.writes_since_scan += 1;
        let over = self.total_bytes > self.max_bytes && !self.cap_blocked;
        if over || self.writes_since_scan >= RESCAN_EVERY_WRITES {
            (written.evicted, written.swept) = self.enforce_cap()?;
        }
        Ok(written)
    }

    /// To where the path leads now; whether that is another directory.
    fn follow(&mut self) -> io::Result<bool> {
        let dir = match open_checked(&self.path, self.users, Missing::Refuse) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                open_checked(&self.path, self.users, Missing::Make)?
            }
            Err(e) => {
                if !std::mem::replace(&mut self.said_led_away, true) {
                    tracing::warn!(
                        "{} does not lead to the spool any more: {}; \
                         batches go on into the directory that was there",
                        self.path.display(),
                        in_one_line(&e)
                    );
                }
                return Ok(false);
            }
            Ok(dir) if is_same(&dir, &self.dir)? => return Ok(false),
            Ok(dir) => dir,
        };
        self.dir = dir;
        self.total_bytes = Scan::take(&self.dir)?.total;
        Ok(true)
    }

    fn write_once(&self, batch: &Batch, created_ns: u64, id: Id, name: &str) -> io::Result<u64> {
        let tmp = format!("{name}.tmp");
        let file = create_in(&self.dir, tmp.as_ref(), self.users)?;
        let put = |mut file: File| {
            let bytes = batch.write_to(&mut file, created_ns, id)?;
            drop(file);
            rename_in(&self.dir, tmp.as_ref(), name.as_ref())?;
            Ok(bytes)
        };
        put(file).inspect_err(|_| {
            // Half a batch helps nobody, and holds space where space may be what is missing.
            let _ = remove(&self.dir, &tmp);
        })
    }

    /// Scans, sweeps orphans, evicts the oldest batches. Returns (evicted, swept).
    pub fn enforce_cap(&mut self) -> io::Result<(u64, u64)> {
        let scan = Scan::take(&self.dir)?;
        let mut total = scan.total;
        let (mut evicted, mut swept, mut tmp_left) = (0, 0, 0);
        for (name, bytes, modified) in &scan.tmps {
            let age = SystemTime::now()
                .duration_since(*modified)
                .unwrap_or_default();
            if age < TMP_STALE {
                tmp_left += bytes;
                continue;
            }
            match remove(&self.dir, name) {
                Ok(()) => {
                    swept += 1;
                    total -= bytes;
                }
                // Another writer swept it, or finished it: then its bytes are a batch's now.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    if !is_there(&self.dir, name.trim_end_matches(".tmp")) {
                        total -= bytes;
                    }
                }
                Err(_) => tmp_left += bytes,
            }
        }
        // Files that another writer is writing cannot be removed, so no eviction would help.
        self.cap_blocked = tmp_left >= self.max_bytes;
        for (name, bytes) in scan.batches.iter().take_while(|_| !self.cap_blocked) {
            if total <= self.max_bytes {
                break;
            }
            match remove(&self.dir, name) {
                Ok(()) => {
                    evicted += 1;
                    total -= bytes;
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => total -= bytes,
                // Still on disk: try the next one.
                Err(_) => {}
            }
        }
        self.total_bytes = total;
        self.writes_since_scan = 0;
        Ok((evicted, swept))
    }
}

fn open_checked(path: &Path, users: Users, missing: Missing) -> io::Result<File> {
    let dir = open_dir(path, users, missing)?;
    refuse_open_to_all(&dir, path)?;
    if let Some(parent) = path.parent() {
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        // Whoever may write there may put another directory in this one's place.
        refuse_open_to_all(&open_dir(parent, users, Missing::Refuse)?, parent)?;
    }
    Ok(dir)
}

#[cfg(test)]
#[path = "dir_tests.rs"]
mod tests;
