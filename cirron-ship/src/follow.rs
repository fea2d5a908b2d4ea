//! Which batch is next: the names of a spool's directory, for one destination.
//!
//! ```text
//!  inotify: a name came --> queue (the least names, MAX_QUEUED) --> next()
//!  the directory, read  ---^   at the start; where names did not fit and the queue is empty; after an overflow
//! ```
//! A spool may have half a million files, so it is not read again while the system tells what comes. Where that cannot be
//! had (no inotify left to this user) it is read again when it has changed.

use std::collections::BTreeSet;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use crate::batch::Name;
use crate::ledger::{Ledger, MAX_EXCEPTIONS};
use crate::place::{Place, changed_ns};

/// Names that are held; the rest is found in the directory when these are done. Half a MiB.
pub const MAX_QUEUED: usize = 8_192;

/// What came so short before it was looked may be told later: files have the time of the kernel's last tick, and those of
/// another machine that machine's.
const MARGIN_NS: i128 = 2_000_000_000;

/// Bytes of events that are read at once: a hundred names.
const EVENT_BYTES: usize = 8 * 1024;

/// What is to be sent next.
#[derive(Debug)]
pub struct Follower {
    place: Arc<Place>,
    watch: Option<OwnedFd>,
    queue: BTreeSet<Name>,
    /// Names that are in the directory and did not fit.
    beyond: u64,
    /// The directory has to be read.
    to_scan: Option<Scan>,
    /// Without inotify: the directory's time when it was read, and when that was.
    scanned: (i128, i128),
    /// Names that came do not fit among the exceptions: what came until now is not known whole.
    overflowed: bool,
}

/// How the directory is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scan {
    /// Names below the ledger's last are known.
    Above,
    /// Some of those may have come while nobody looked.
    All,
}

impl Follower {
    /// Begins with what is there.
    pub fn new(place: Arc<Place>, output_dir: &Path) -> Follower {
        let watch = watch(&output_dir.join("spool"));
        if let Err(e) = &watch {
            tracing::info!("the spool is read again and again: no inotify ({e})");
        }
        Follower {
            place,
            watch: watch.ok(),
            queue: BTreeSet::new(),
            beyond: 0,
            to_scan: Some(Scan::All),
            scanned: (0, 0),
            overflowed: false,
        }
    }

    /// The next name, which stays the next until it is [done](Follower::done). `wall_ns`: now.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn next(&mut self, ledger: &mut Ledger, wall_ns: i128) -> io::Result<Option<Name>> {
        self.hear(ledger, wall_ns)?;
        if self.queue.is_empty() && self.beyond > 0 {
            self.to_scan = self.to_scan.or(Some(Scan::Above));
        }
        let scan = self.to_scan.take();
        if let Some(scan) = scan {
            self.scan(ledger, scan)
                .inspect_err(|_| self.to_scan = Some(scan))?;
        }
        let knows_all = self.watch.is_some() || scan.is_some();
        if knows_all && !self.overflowed {
            ledger.saw(wall_ns - MARGIN_NS);
        }
        Ok(self.queue.first().cloned())
    }

    /// It is settled.
    pub fn done(&mut self, name: &Name) {
        self.queue.remove(name);
    }

    /// Names that are not done.
    pub fn behind(&self) -> u64 {
        self.queue.len() as u64 + self.beyond
    }

    /// The next one, as far as it is known.
    pub fn first(&self) -> Option<&Name> {
        self.queue.first()
    }

    /// Waits for a name to come, not longer than `limit`.
    pub fn wait(&self, limit: Duration) {
        let Some(watch) = &self.watch else {
            std::thread::sleep(limit);
            return;
        };
        let limit = Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(1),
            tv_nsec: limit.subsec_nanos().into(),
        };
        // An interruption is as good as an event.
        let _ = rustix::event::poll(&mut [PollFd::new(watch, PollFlags::IN)], Some(&limit));
    }

    /// What came.
    fn hear(&mut self, ledger: &mut Ledger, wall_ns: i128) -> io::Result<()> {
        if let Some(watch) = self.watch.take() {
            let heard = self.read_events(&watch, ledger);
            self.watch = Some(watch);
            return heard;
        }
        if self.queue.is_empty() {
            let stat = rustix::fs::fstat(self.place.spool())?;
            let changed =
                i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec);
            let (then, looked_ns) = self.scanned;
            // The same tick of the kernel may have brought another one.
            if changed != then || changed + MARGIN_NS > looked_ns {
                self.to_scan = Some(Scan::All);
                self.scanned = (changed, wall_ns);
            }
        }
        Ok(())
    }

    fn read_events(&mut self, watch: &OwnedFd, ledger: &mut Ledger) -> io::Result<()> {
        let mut buffer = [MaybeUninit::uninit(); EVENT_BYTES];
        let mut reader = inotify::Reader::new(watch.as_fd(), &mut buffer);
        loop {
            match reader.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => {
                    self.to_scan = Some(Scan::All);
                }
                Ok(event) => {
                    let name = event.file_name().and_then(|name| name.to_str().ok());
                    if let Some(name) = name.and_then(Name::parse)
                        && !ledger.has_settled_lately(&name)
                    {
                        self.offer(name, ledger);
                    }
                }
                Err(Errno::WOULDBLOCK) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Puts it into the queue, of which the greatest name gives way.
    fn offer(&mut self, name: Name, ledger: &mut Ledger) {
        if ledger.is_below(&name) {
            if ledger.is_full() {
                self.overflowed = true;
                self.beyond += 1;
                return;
            }
            ledger.owe(&name);
        }
        // What is beyond is greater than what is here.
        let fits = self.beyond == 0 || self.queue.last().is_some_and(|last| name < *last);
        if !fits {
            self.beyond += 1;
        } else if self.queue.insert(name) && self.queue.len() > MAX_QUEUED {
            self.queue.pop_last();
            self.beyond += 1;
        }
    }

    fn scan(&mut self, ledger: &mut Ledger, scan: Scan) -> io::Result<()> {
        self.queue.clear();
        self.beyond = 0;
        let late = std::mem::take(&mut self.overflowed) || scan == Scan::All;
        for name in ledger.owed() {
            self.queue.insert(name.clone());
        }
        let place = Arc::clone(&self.place);
        for entry in rustix::fs::Dir::read_from(place.spool())? {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().ok().and_then(Name::parse) else {
                continue;
            };
            let is_settled = match late {
                true => ledger.is_settled(&name, || {
                    let stat =
                        rustix::fs::statat(place.spool(), name.as_str(), AtFlags::SYMLINK_NOFOLLOW);
                    let stat = stat.ok()?;
                    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
                    is_file.then(|| changed_ns(&stat))
                }),
                false => ledger.is_below(&name),
            };
            if !is_settled {
                self.offer(name, ledger);
            }
        }
        Ok(())
    }
}

const _: () = assert!(
    MAX_EXCEPTIONS <= MAX_QUEUED,
    "what is owed fits into the queue"
);

fn watch(path: &Path) -> io::Result<OwnedFd> {
    let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    // A writer of the SDK's kind renames; one that writes in place is done when it closes.
    let flags = WatchFlags::MOVED_TO | WatchFlags::CLOSE_WRITE | WatchFlags::ONLYDIR;
    inotify::add_watch(&watch, path, flags)?;
    Ok(watch)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;
    use crate::testing::Spool;

    fn now() -> i128 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        i128::try_from(since.as_nanos()).unwrap()
    }

    /// Takes all that there is, in order.
    fn take(follower: &mut Follower, ledger: &mut Ledger) -> Vec<u64> {
        let mut all = Vec::new();
        while let Some(name) = follower.next(ledger, now()).unwrap() {
            all.push(name.created_ns());
            ledger.settle(&name, Some(now()));
            follower.done(&name);
        }
        all
    }

    fn both(spool: &Spool) -> (Follower, Ledger) {
        let ledger = Ledger::open(Arc::clone(&spool.place), "d").unwrap();
        (
            Follower::new(Arc::clone(&spool.place), spool.dir.path()),
            ledger,
        )
    }

    #[test]
    fn what_is_there_comes_in_order_then_what_is_told_and_each_once() {
        let spool = Spool::new();
        for time in [3, 1, 2] {
            spool.batch(time);
        }
        std::fs::write(spool.dir.path().join("spool/notes.json"), "{}").unwrap();
        let (mut follower, mut ledger) = both(&spool);
        spool.batch(4);
        assert_eq!(take(&mut follower, &mut ledger), [1, 2, 3, 4]);
        assert_eq!(take(&mut follower, &mut ledger), [0; 0]);
        // One that is late: of a writer whose clock was set back.
        for time in [6, 5, 2_000] {
            spool.batch(time);
        }
        assert_eq!(
            follower
                .next(&mut ledger, now())
                .unwrap()
                .unwrap()
                .created_ns(),
            5
        );
        spool.batch(0);
        assert_eq!(take(&mut follower, &mut ledger), [0, 5, 6, 2_000]);
        assert_eq!((follower.behind(), follower.first()), (0, None));
    }

    #[test]
    fn after_a_restart_only_what_is_unsettled_comes_even_below_the_last_name() {
        let spool = Spool::new();
        (10..13).for_each(|time| drop(spool.batch(time)));
        let (mut follower, mut ledger) = both(&spool);
        assert_eq!(take(&mut follower, &mut ledger), [10, 11, 12]);
        ledger.save().unwrap();
        drop((follower, ledger));
        spool.batch(13);
        spool.batch(5);
        let (mut follower, mut ledger) = both(&spool);
        assert_eq!(take(&mut follower, &mut ledger), [5, 13]);
    }

    #[test]
    fn more_than_fits_is_found_again_and_none_is_left_out() {
        let spool = Spool::new();
        let many = MAX_QUEUED as u64 + 50;
        (0..many).for_each(|time| drop(spool.batch(time)));
        let (mut follower, mut ledger) = both(&spool);
        let first = follower.next(&mut ledger, now()).unwrap();
        assert_eq!(first.unwrap().created_ns(), 0);
        assert_eq!(
            (follower.behind(), follower.queue.len()),
            (many, MAX_QUEUED)
        );
        spool.batch(many);
        let want: Vec<u64> = (0..=many).collect();
        assert_eq!(take(&mut follower, &mut ledger), want);
    }

    #[test]
    fn more_late_ones_than_a_ledger_holds_are_not_left_out() {
        let spool = Spool::new();
        let late = MAX_EXCEPTIONS as u64 + 50;
        spool.batch(1_000_000);
        let (mut follower, mut ledger) = both(&spool);
        assert_eq!(take(&mut follower, &mut ledger), [1_000_000]);
        for time in 0..late {
            spool.batch(time);
            if time % 1_000 == 0 {
                follower.next(&mut ledger, now()).unwrap();
            }
        }
        let came = take(&mut follower, &mut ledger);
        let distinct: BTreeSet<u64> = came.iter().copied().filter(|time| *time < late).collect();
        assert_eq!(distinct.len() as u64, late);
    }

    #[test]
    fn without_inotify_the_directory_is_read_when_it_changes() {
        let spool = Spool::new();
        let (mut follower, mut ledger) = both(&spool);
        follower.watch = None;
        assert_eq!(take(&mut follower, &mut ledger), [0; 0]);
        spool.batch(2);
        spool.batch(1);
        assert_eq!(take(&mut follower, &mut ledger), [1, 2]);
        spool.batch(0);
        assert_eq!(take(&mut follower, &mut ledger), [0]);
    }
}
