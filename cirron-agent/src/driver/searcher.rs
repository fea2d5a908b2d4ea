//! Searches the files of a process for a TLS library that cannot be read, on a thread of its own.
//!
//! It is asked where a process has a TLS connection that nobody reads, and never before anybody is told
//! that we are attached. It takes its time: a large process has gigabytes mapped. The first megabytes
//! are read at once, since a command may be over in a moment; then it goes slowly, and ends at a bound: of the
//! process, and of all in an hour (`allowance`).
//!
//! ```text
//! asked --> looked at by the attach thread since it was searched? --yes--> its list of mappings, once
//!               | no: nothing new                                             | each file
//!               v                                                             v
//!             done                              known, or searched before under any name? else read, and remembered
//! ```
//! A file is searched once, whoever maps it and whenever. What is read goes out of the machine's memory again
//! ([`crate::probes::quiet`]).

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use super::counts::Counts;
use super::leases::{Leases, LookId, Seen};
use super::unread::Found;
use crate::discovery::short_name;
use crate::probes::identity::FileKey;
use crate::probes::images::{Image, images};
use crate::probes::quiet::Quiet;
use crate::probes::source::ReadAt;
use crate::probes::tls::blind;

mod allowance;

use allowance::{Allowance, Clock, RealClock};

/// Processes that wait to be searched; past it they are counted, and asked for again with their next
/// connection.
pub const MAX_ASKED: usize = 256;
/// A process is asked for when it maps something, and so may be looked at by the other thread just now.
const LOOKS: usize = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// Files that are remembered as searched, as many as are known at a time. Past it all are forgotten: what is searched
/// again is bounded by the hour.
const MAX_REMEMBERED: usize = 16 * 1024;
/// Processes that are remembered as searched: the kernel side holds as many targets.
const MAX_DONE: usize = 8192;

/// Where files come from: the machine, or a test.
pub trait Machine: Send {
    /// The files that a process maps.
    fn images(&self, pid: u32) -> io::Result<Vec<Image>>;
    /// Calls `search` with the bytes of a file; `None` where it cannot be opened.
    fn read(&self, image: &Image, search: &mut dyn FnMut(&dyn ReadAt) -> Seen) -> Option<Seen>;
}

/// This one.
#[derive(Debug)]
pub struct ThisMachine;

impl Machine for ThisMachine {
    fn images(&self, pid: u32) -> io::Result<Vec<Image>> {
        images(pid)
    }

    fn read(&self, image: &Image, search: &mut dyn FnMut(&dyn ReadAt) -> Seen) -> Option<Seen> {
        let file = image.open().ok()?;
        Some(search(&Quiet::new(&file)))
    }
}

/// The thread's state.
pub struct Searcher {
    files: Leases,
    counts: Arc<Counts>,
    found: Sender<Found>,
    machine: Box<dyn Machine>,
    allowance: Allowance,
    /// Files that were searched, whether or not somebody maps them.
    searched: HashMap<FileKey, Seen>,
    /// Processes that were searched to the end, and the last look at them until then.
    done: HashMap<u32, LookId>,
}

/// How far a search came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Searched {
    Whole,
    /// Some of its files were not looked at by the attach thread yet.
    TooEarly,
    /// No more may be read.
    Cut,
}

impl Searcher {
    /// `found`: takes the libraries that cannot be read.
    pub fn new(files: Leases, counts: Arc<Counts>, found: Sender<Found>) -> Searcher {
        Searcher::on(
            Box::new(ThisMachine),
            Box::new(RealClock),
            files,
            counts,
            found,
        )
    }

    fn on(
        machine: Box<dyn Machine>,
        clock: Box<dyn Clock>,
        files: Leases,
        counts: Arc<Counts>,
        found: Sender<Found>,
    ) -> Searcher {
        Searcher {
            files,
            counts,
            found,
            machine,
            allowance: Allowance::new(clock),
            searched: HashMap::new(),
            done: HashMap::new(),
        }
    }

    /// Searches each process that is asked for, until nobody asks any more.
    pub fn run(mut self, asked: &Receiver<u32>) {
        while let Ok(pid) = asked.recv() {
            self.search(pid);
        }
    }

    /// Searches a process. Where the attach thread is at it, its list of mappings is read again with each of its looks.
    fn search(&mut self, pid: u32) {
        let mut before = None;
        for _ in 0..LOOKS {
            let look = self.files.last_look(pid);
            if look.is_some() && look == self.done.get(&pid).copied() {
                return;
            }
            if before != Some(look) {
                before = Some(look);
                match self.search_once(pid) {
                    Searched::Whole => return self.remember(pid, look),
                    Searched::Cut => return Counts::add(&self.counts.unsearched),
                    Searched::TooEarly => {}
                }
            }
            self.allowance.sleep(BETWEEN_LOOKS);
        }
    }

    fn remember(&mut self, pid: u32, look: Option<LookId>) {
        if self.done.len() >= MAX_DONE {
            let files = &self.files;
            self.done
                .retain(|pid, look| files.last_look(*pid) == Some(*look));
        }
        if let Some(look) = look.filter(|_| self.done.len() < MAX_DONE) {
            self.done.insert(pid, look);
        }
    }

    fn search_once(&mut self, pid: u32) -> Searched {
        self.allowance.begin_process();
        let Ok(images) = self.machine.images(pid) else {
            return Searched::Whole;
        };
        let mut how = Searched::Whole;
        let mut blind = Vec::new();
        for image in images {
            let seen = match self.files.get(image.id) {
                Some(Seen::Unsearched) if self.allowance.is_spent() => {
                    // What is known of the others is told all the same.
                    how = Searched::Cut;
                    continue;
                }
                Some(Seen::Unsearched) => self.search_file(&image),
                Some(seen) => seen,
                None => {
                    how = Searched::TooEarly;
                    continue;
                }
            };
            if let Seen::Blind(library) = seen {
                let name = image.name.file_name().unwrap_or(image.name.as_os_str());
                blind.push(format!("{library} in {}", name.to_string_lossy()));
                // Whoever asked for it may have ended.
                let found = Found {
                    tgid: pid,
                    name: short_name(pid),
                    libraries: blind.clone(),
                };
                let _ = self.found.send(found);
            }
        }
        if self.allowance.is_spent() {
            how = Searched::Cut;
        }
        how
    }

    fn search_file(&mut self, image: &Image) -> Seen {
        let key = self.files.key(image.id).filter(FileKey::lasts);
        let known = key.as_ref().and_then(|key| self.searched.get(key));
        let seen = match known {
            Some(seen) => Some(*seen),
            None => self.read(image),
        };
        // What was not read to the end is not known.
        let Some(seen) = seen.filter(|seen| *seen != Seen::Unsearched) else {
            return Seen::Unsearched;
        };
        self.files.set(image.id, seen);
        if let Some(key) = key {
            if self.searched.len() >= MAX_REMEMBERED {
                self.searched.clear();
            }
            self.searched.insert(key, seen);
        }
        seen
    }

    fn read(&self, image: &Image) -> Option<Seen> {
        let allowance = &self.allowance;
        let mut search = |file: &dyn ReadAt| {
            let file = Paced { file, allowance };
            match blind::library(&file, &image.name) {
                Some(library) => Seen::Blind(library),
                None if allowance.is_spent() => Seen::Unsearched,
                None => Seen::Nothing,
            }
        };
        // A stranger's file: where our code fails over it, the others are searched.
        let read = AssertUnwindSafe(|| self.machine.read(image, &mut search));
        catch_unwind(read).unwrap_or_else(|_| {
            Counts::add(&self.counts.panicked);
            Some(Seen::Nothing)
        })
    }
}

/// A file that is read slowly.
struct Paced<'b> {
    file: &'b dyn ReadAt,
    allowance: &'b Allowance,
}

impl ReadAt for Paced<'_> {
    fn size(&self) -> u64 {
        self.file.size()
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> usize {
        if self.allowance.is_spent() {
            return 0;
        }
        let n = self.file.read_at(buffer, at);
        self.allowance.take(n as u64);
        n
    }
}

#[cfg(test)]
mod tests;
