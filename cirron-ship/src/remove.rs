//! Batches that every destination has are removed, where that is wished.
//!
//! A batch that a destination gave up stays: it was not sent. The spool's cap is its writers' matter. Who reads a spool
//! from which batches are removed finds scopes whose session is gone with them.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::AtFlags;

use crate::batch::Name;
use crate::ledger::Ledger;
use crate::place::{Place, changed_ns};

/// When a batch that was sent is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Remove {
    /// By the spool's cap alone, as in the SDK.
    #[default]
    Never,
    /// So long after it was made.
    After(Duration),
}

/// Between two looks at the directory, which is read whole each time; with this policy it is a small one.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Removes what all ledgers have. How many files that were.
///
/// # Errors
/// Where the directory cannot be read.
pub fn remove(
    place: &Place,
    ledgers: &[Arc<Mutex<Ledger>>],
    after: Duration,
    now: SystemTime,
) -> io::Result<u64> {
    if ledgers.is_empty() {
        return Ok(0);
    }
    let before = now
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .saturating_sub(after);
    let before_ns = u64::try_from(before.as_nanos()).unwrap_or(u64::MAX);
    let mut removed = 0;
    for entry in rustix::fs::Dir::read_from(place.spool())? {
        let entry = entry?;
        let Some(name) = entry.file_name().to_str().ok().and_then(Name::parse) else {
            continue;
        };
        if name.created_ns() > before_ns {
            continue;
        }
        let changed = || {
            let at = AtFlags::SYMLINK_NOFOLLOW;
            let stat = rustix::fs::statat(place.spool(), name.as_str(), at).ok();
            // What cannot be looked at is not removed.
            Some(stat.map_or(i128::MAX, |stat| changed_ns(&stat)))
        };
        let has = |ledger: &Arc<Mutex<Ledger>>| {
            let ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            ledger.is_settled(&name, changed) && !ledger.was_given_up(&name)
        };
        if ledgers.iter().all(has)
            && rustix::fs::unlinkat(place.spool(), name.as_str(), AtFlags::empty()).is_ok()
        {
            removed += 1;
        }
    }
    Ok(removed)
}
