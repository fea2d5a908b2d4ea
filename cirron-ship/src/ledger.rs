//! What a destination has: which batches of the spool are settled, sent or given up.
//!
//! Batches are settled in the order of their names, but for those that come late: of another writer, or made after the
//! clock was set back. So it is enough to remember up to which name ([`Ledger::through`]) all are settled, and the
//! exceptions below it:
//!
//! ```text
//!  names, in order:   a  b  c  d  e  f | g  h  i
//!                        owed       through      unsettled: b, g, h, i
//! ```
//! Which of those below `through` came while nobody looked is told by the file itself: it got its name after `seen`.
//! `recent` has the settled ones of that time, so that those are not sent again. All three are short, however large
//! the spool is.
//!
//! It is kept in `DIR/ship/NAME.json`, replaced whole; what was given up, for people and `--again`, stands in
//! `DIR/ship/NAME.given-up`. One process at a time has them (`NAME.lock`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::batch::Name;
use crate::destination::Reason;
use crate::place::Place;

/// Of files that we make.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Names that a ledger may hold as exceptions: two seconds of a writer at its fastest (100 batches a second) many times over,
/// and half a MiB of file.
pub const MAX_EXCEPTIONS: usize = 8_192;

/// Names of given up batches that are remembered, the latest. At a batch a second that is an hour of a wrong key that
/// `--again` can mend from memory; `batches given up` counts all.
pub const MAX_GIVEN_UP: usize = 4_096;

/// The reason of the first one that is remembered, where earlier ones are forgotten.
const AND_BEFORE: &str = "and_before";

/// Bytes of either file that are read: more than [`MAX_EXCEPTIONS`] names take.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Why a ledger cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum NoLedger {
    /// Another process sends to the same destination.
    #[error(
        "another process sends this spool to {0} already\n  end it, or ship to another destination"
    )]
    Taken(String),
    /// The system said no.
    #[error("the ledger of {name} cannot be {done}: {why}")]
    Io {
        /// The destination's.
        name: String,
        /// What failed.
        done: &'static str,
        /// The system's word.
        why: io::Error,
    },
}

/// As it is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    /// All up to this name are settled, but for `owed`, and those that came after `seen_ns`.
    through: Option<Name>,
    /// Unsettled, though below `through`.
    owed: BTreeSet<Name>,
    /// Up to here it was seen which names came.
    seen_ns: i128,
    /// Settled, and came after that.
    recent: BTreeMap<Name, i128>,
}

/// The ledger of one destination.
#[derive(Debug)]
pub struct Ledger {
    name: String,
    place: Arc<Place>,
    kept: Kept,
    given_up: BTreeMap<Name, String>,
    /// The lock is held as long as this is open.
    _lock: File,
}

impl Ledger {
    /// Reads it, or begins an empty one. One that is damaged is begun anew, and that is said: everything is sent again.
    ///
    /// # Errors
    /// Where another process has it, or the system says no.
    pub fn open(place: Arc<Place>, name: &str) -> Result<Ledger, NoLedger> {
        let failed = |done| {
            move |why: io::Error| NoLedger::Io {
                name: name.to_owned(),
                done,
                why,
            }
        };
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let lock = rustix::fs::openat(place.ship(), format!("{name}.lock"), flags, FILE_MODE);
        let lock = File::from(lock.map_err(|e| failed("locked")(e.into()))?);
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(NoLedger::Taken(name.to_owned())),
            Err(TryLockError::Error(why)) => return Err(failed("locked")(why)),
        }
        let kept = read(&place, &format!("{name}.json")).map_err(failed("read"))?;
        let kept = kept.map_or(Ok(Kept::default()), |text| serde_json::from_slice(&text));
        let kept = kept.unwrap_or_else(|e| {
            tracing::warn!("the ledger of {name} is damaged ({e}); all of the spool is sent again");
            Kept::default()
        });
        let given_up = read(&place, &format!("{name}.given-up")).map_err(failed("read"))?;
        let given_up = String::from_utf8_lossy(&given_up.unwrap_or_default())
            .lines()
            .filter_map(|line| {
                let (name, reason) = line.split_once(' ')?;
                Some((Name::parse(name)?, reason.to_owned()))
            })
            .collect();
        Ok(Ledger {
            name: name.to_owned(),
            place,
            kept,
            given_up,
            _lock: lock,
        })
    }

    /// The destination's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The last name up to which all are settled, but for exceptions.
    pub fn through(&self) -> Option<&Name> {
        self.kept.through.as_ref()
    }

    /// Whether a name is below [`Ledger::through`], so that it is settled unless it is an exception.
    pub fn is_below(&self, name: &Name) -> bool {
        self.kept
            .through
            .as_ref()
            .is_some_and(|through| name <= through)
    }

    /// Whether a batch of which the system just told that it came was settled before.
    pub fn has_settled_lately(&self, name: &Name) -> bool {
        self.kept.recent.contains_key(name)
    }

    /// Whether a batch that is there is settled. `changed_ns` gives when it got its name, where that has to be known.
    pub fn is_settled(&self, name: &Name, changed_ns: impl FnOnce() -> Option<i128>) -> bool {
        if !self.is_below(name) || self.kept.owed.contains(name) {
            return false;
        }
        self.kept.recent.contains_key(name)
            || changed_ns().is_none_or(|changed| changed <= self.kept.seen_ns)
    }

    /// It is below [`Ledger::through`], and unsettled.
    pub fn owe(&mut self, name: &Name) {
        if self.is_below(name) {
            self.kept.owed.insert(name.clone());
        }
    }

    /// No more exceptions fit.
    pub fn is_full(&self) -> bool {
        self.kept.owed.len() >= MAX_EXCEPTIONS
    }

    /// All names that came up to then are known.
    pub fn saw(&mut self, seen_ns: i128) {
        self.kept.seen_ns = self.kept.seen_ns.max(seen_ns);
        let seen_ns = self.kept.seen_ns;
        self.kept.recent.retain(|_, changed| *changed > seen_ns);
    }

    /// It was sent, or is gone. The caller [saves](Ledger::save).
    pub fn settle(&mut self, name: &Name, changed_ns: Option<i128>) {
        self.kept.owed.remove(name);
        if !self.is_below(name) {
            self.kept.through = Some(name.clone());
        }
        if let Some(changed) = changed_ns.filter(|changed| *changed > self.kept.seen_ns) {
            self.kept.recent.insert(name.clone(), changed);
            // Past it the oldest may be sent again after a restart.
            if self.kept.recent.len() > MAX_EXCEPTIONS {
                self.kept.recent.pop_first();
            }
        }
    }

    /// It was given up.
    ///
    /// # Errors
    /// Where that cannot be written down.
    pub fn give_up(&mut self, name: &Name, reason: Reason) -> io::Result<()> {
        self.given_up.insert(name.clone(), reason.name().to_owned());
        if self.given_up.len() > MAX_GIVEN_UP {
            self.given_up.pop_first();
            if let Some(mut first) = self.given_up.first_entry() {
                first.insert(AND_BEFORE.to_owned());
            }
        }
        self.save_given_up()
    }

    /// Whether it was given up, or may have been so long ago that it is forgotten.
    pub fn was_given_up(&self, name: &Name) -> bool {
        let first = self.given_up.first_key_value();
        let is_before = first.is_some_and(|(first, why)| why == AND_BEFORE && name < first);
        is_before || self.given_up.contains_key(name)
    }

    /// What was given up is owed again; how many those are.
    ///
    /// # Errors
    /// Where that cannot be written down.
    pub fn again(&mut self) -> io::Result<usize> {
        let names: Vec<Name> = std::mem::take(&mut self.given_up).into_keys().collect();
        for name in &names {
            self.kept.recent.remove(name);
            self.owe(name);
        }
        self.save()?;
        self.save_given_up()?;
        Ok(names.len())
    }

    /// Names below [`Ledger::through`] that are to be sent.
    pub fn owed(&self) -> impl Iterator<Item = &Name> {
        self.kept.owed.iter()
    }

    /// Writes it down.
    ///
    /// # Errors
    /// Where the system says no; what it had stays.
    pub fn save(&self) -> io::Result<()> {
        self.put("json", &serde_json::to_vec(&self.kept)?)
    }

    fn save_given_up(&self) -> io::Result<()> {
        let lines = self.given_up.iter();
        let lines = lines.map(|(name, reason)| format!("{} {reason}\n", name.as_str()));
        self.put("given-up", lines.collect::<String>().as_bytes())
    }

    fn put(&self, kind: &str, text: &[u8]) -> io::Result<()> {
        let (name, ship) = (format!("{}.{kind}", self.name), self.place.ship());
        let tmp = format!("{name}.tmp");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(ship, &tmp, flags, FILE_MODE)?);
        let written = file.write_all(text);
        drop(file);
        match written.and_then(|()| Ok(rustix::fs::renameat(ship, &tmp, ship, &name)?)) {
            Ok(()) => Ok(()),
            Err(e) => {
                let _ = rustix::fs::unlinkat(ship, &tmp, AtFlags::empty());
                Err(e)
            }
        }
    }
}

fn read(place: &Place, name: &str) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(place.ship(), name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let mut text = Vec::new();
    file.take(MAX_FILE_BYTES).read_to_end(&mut text)?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::testing::Spool;

    fn name(time: u64) -> Name {
        Name::parse(&format!("{time:020}-0a.json")).unwrap()
    }

    #[test]
    fn a_ledger_is_what_it_was_after_it_is_opened_again_and_one_process_has_it() {
        let spool = Spool::new();
        let open = || Ledger::open(Arc::clone(&spool.place), "d");
        let mut ledger = open().unwrap();
        assert!(matches!(open(), Err(NoLedger::Taken(_))));
        ledger.saw(100);
        ledger.settle(&name(5), Some(50));
        ledger.settle(&name(7), Some(150));
        ledger.owe(&name(6));
        ledger.save().unwrap();
        ledger.give_up(&name(7), Reason::Refused).unwrap();
        let kept = ledger.kept.clone();
        drop(ledger);
        let mut ledger = open().unwrap();
        assert_eq!(ledger.kept, kept);
        assert!(ledger.was_given_up(&name(7)) && !ledger.was_given_up(&name(5)));
        assert_eq!(ledger.again().unwrap(), 1);
        assert_eq!(
            ledger.owed().cloned().collect::<Vec<_>>(),
            [name(6), name(7)]
        );
        assert!(!ledger.is_settled(&name(7), || Some(150)));
    }

    #[test]
    fn below_the_last_name_what_came_while_nobody_looked_is_unsettled() {
        let spool = Spool::new();
        let mut ledger = Ledger::open(Arc::clone(&spool.place), "d").unwrap();
        ledger.settle(&name(10), Some(90));
        ledger.saw(100);
        ledger.settle(&name(11), Some(110));
        for (time, changed, want) in [
            (9, Some(50), true),
            (9, Some(100), true),
            // The clock was set back, or another writer was slow.
            (9, Some(101), false),
            (11, Some(110), true),
            (12, Some(50), false),
            // Gone meanwhile.
            (9, None, true),
        ] {
            assert_eq!(
                ledger.is_settled(&name(time), || changed),
                want,
                "{time} {changed:?}"
            );
        }
        ledger.saw(110);
        assert!(ledger.kept.recent.is_empty());
        assert!(ledger.is_settled(&name(11), || Some(110)));
    }

    #[test]
    fn a_damaged_ledger_is_begun_anew() {
        let spool = Spool::new();
        std::fs::write(spool.dir.path().join("ship/d.json"), "{\"through\": 7").unwrap();
        let ledger = Ledger::open(Arc::clone(&spool.place), "d").unwrap();
        assert_eq!(ledger.kept, Kept::default());
    }

    #[test]
    fn it_stays_small() {
        let spool = Spool::new();
        let mut ledger = Ledger::open(Arc::clone(&spool.place), "d").unwrap();
        let many = MAX_EXCEPTIONS as u64 + 10;
        for time in 0..many {
            ledger.settle(&name(time), Some(1));
            ledger.given_up.insert(name(time), "x".to_owned());
        }
        assert_eq!(ledger.kept.recent.len(), MAX_EXCEPTIONS);
        (0..many).for_each(|time| ledger.owe(&name(time)));
        assert!(ledger.is_full());
        ledger.give_up(&name(many), Reason::Refused).unwrap();
        let first = ledger.given_up.first_key_value().unwrap();
        assert_eq!((first.0, first.1.as_str()), (&name(1), AND_BEFORE));
        assert!(ledger.was_given_up(&name(0)) && !ledger.was_given_up(&name(many + 1)));
        ledger.save().unwrap();
        let bytes = std::fs::metadata(spool.dir.path().join("ship/d.json"))
            .unwrap()
            .len();
        assert!(bytes < MAX_FILE_BYTES, "{bytes}");
    }
}
