//! The spool directory: a batch appears in it whole or not at all, and it stays under its cap.
//!
//! What the SDK's `SpoolWriter` does, so that several writers can share a directory: the running
//! total is corrected by a scan whenever it passes the cap and every [`RESCAN_EVERY_WRITES`]
//! writes; temporary files count but only those older than [`TMP_STALE`] are swept, before any
//! batch is evicted; eviction is oldest first, by name. A directory that vanished is made again.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cirron_core::id::Id;

use super::batch::Batch;
use crate::discovery::owner::Owner;

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
    owner: Option<Owner>,
    max_bytes: u64,
    total_bytes: u64,
    writes_since_scan: u32,
    /// Temporary files alone meet the cap: nothing to be done until they age.
    cap_blocked: bool,
}

impl SpoolDir {
    /// Makes the directory where it is missing; removes nothing.
    pub fn open(path: PathBuf, max_bytes: u64, owner: Option<Owner>) -> io::Result<SpoolDir> {
        create_dirs(&path, owner)?;
        let total_bytes = Scan::of(&path)?.total;
        Ok(SpoolDir {
            path,
            owner,
            max_bytes,
            total_bytes,
            writes_since_scan: 0,
            cap_blocked: false,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one batch under a temporary name and renames it, then keeps the cap.
    pub fn write(&mut self, batch: &Batch, created_ns: u64, id: Id) -> io::Result<Written> {
        let name = format!("{created_ns:020}-{id}.json");
        let mut written = Written::default();
        written.bytes = match self.write_once(batch, created_ns, id, &name) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                create_dirs(&self.path, self.owner)?;
                self.total_bytes = 0;
                written.recreated = true;
                self.write_once(batch, created_ns, id, &name)?
            }
            other => other?,
        };
        self.total_bytes = self.total_bytes.saturating_add(written.bytes);
        self.writes_since_scan += 1;
        let over = self.total_bytes > self.max_bytes && !self.cap_blocked;
        if over || self.writes_since_scan >= RESCAN_EVERY_WRITES {
            (written.evicted, written.swept) = self.enforce_cap()?;
        }
        Ok(written)
    }

    fn write_once(&self, batch: &Batch, created_ns: u64, id: Id, name: &str) -> io::Result<u64> {
        let path = self.path.join(name);
        let tmp = self.path.join(format!("{name}.tmp"));
        let file = OpenOptions::new().write(true).create_new(true).open(&tmp)?;
        let put = |mut file: File| {
            if let Some(owner) = self.owner {
                owner.take_file(&file)?;
            }
            let bytes = batch.write_to(&mut file, created_ns, id)?;
            drop(file);
            fs::rename(&tmp, &path)?;
            Ok(bytes)
        };
        put(file).inspect_err(|_| {
            // Half a batch helps nobody, and holds space where space may be what is missing.
            let _ = fs::remove_file(&tmp);
        })
    }

    /// Scans, sweeps orphans, evicts the oldest batches. Returns (evicted, swept).
    pub fn enforce_cap(&mut self) -> io::Result<(u64, u64)> {
        let scan = Scan::of(&self.path)?;
        let mut total = scan.total;
        let (mut evicted, mut swept, mut tmp_left) = (0, 0, 0);
        for (path, bytes, modified) in &scan.tmps {
            let age = SystemTime::now()
                .duration_since(*modified)
                .unwrap_or_default();
            if age < TMP_STALE {
                tmp_left += bytes;
                continue;
            }
            match fs::remove_file(path) {
                Ok(()) => {
                    swept += 1;
                    total -= bytes;
                }
                // Another writer swept it, or finished it: then its bytes are a batch's now.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    if !path.with_extension("").exists() {
                        total -= bytes;
                    }
                }
                Err(_) => tmp_left += bytes,
            }
        }
        // Files that another writer is writing cannot be removed, so no eviction would help.
        self.cap_blocked = tmp_left >= self.max_bytes;
        for (path, bytes) in scan.batches.iter().take_while(|_| !self.cap_blocked) {
            if total <= self.max_bytes {
                break;
            }
            match fs::remove_file(path) {
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

/// One pass over the directory.
struct Scan {
    /// Sealed batches, oldest first.
    batches: Vec<(PathBuf, u64)>,
    tmps: Vec<(PathBuf, u64, SystemTime)>,
    total: u64,
}

impl Scan {
    fn of(dir: &Path) -> io::Result<Scan> {
        let mut scan = Scan {
            batches: Vec::new(),
            tmps: Vec::new(),
            total: 0,
        };
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_tmp = name.ends_with(".json.tmp");
            if !is_tmp && !name.ends_with(".json") {
                continue;
            }
            // It may be gone by now: another writer evicts too.
            let Ok(meta) = entry.metadata() else { continue };
            if !meta.is_file() {
                continue;
            }
            scan.total += meta.len();
            if is_tmp {
                let modified = meta.modified().unwrap_or_else(|_| SystemTime::now());
                scan.tmps.push((entry.path(), meta.len(), modified));
            } else {
                scan.batches.push((entry.path(), meta.len()));
            }
        }
        scan.batches.sort_unstable();
        Ok(scan)
    }
}

/// Makes `path` and the parents that are missing; those that it makes belong to `owner`.
pub fn create_dirs(path: &Path, owner: Option<Owner>) -> io::Result<()> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|dir| !dir.as_os_str().is_empty() && !dir.is_dir())
        .collect();
    for dir in missing.into_iter().rev() {
        match fs::create_dir(dir) {
            Ok(()) => {
                if let Some(owner) = owner {
                    owner.take_path(dir)?;
                }
            }
            // Made by another writer since, or a file: opening a batch in it will tell.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "dir_tests.rs"]
mod tests;
