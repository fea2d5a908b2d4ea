//! Searches the files of a process for a TLS library that cannot be read, on a thread of its own.
//!
//! It is asked where a process has a TLS connection that nobody reads, and never before anybody is told
//! that we are attached. It takes its time: a large process has gigabytes mapped. The first megabytes
//! are read at once, since a command may be over in a moment; then it goes slowly, and ends at a bound.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use super::counts::Counts;
use super::leases::{Leases, Seen};
use super::unread::Found;
use crate::discovery::short_name;
use crate::probes::images::{Image, images};
use crate::probes::quiet::Quiet;
use crate::probes::source::ReadAt;
use crate::probes::tls::blind;

/// Processes that wait to be searched; past it they are counted, and asked for again with their next
/// connection.
pub const MAX_ASKED: usize = 256;
/// Bytes of a process that are read at once: an executable with its TLS library in it.
const BURST_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes in a second behind it: a hundredth of a processor, and of a disk.
const BYTES_PER_S: u64 = 32 * 1024 * 1024;
/// Bytes of a process that are read in all. PyTorch's libraries have 2.3 GB, and none of them has TLS.
const MAX_PROCESS_BYTES: u64 = 512 * 1024 * 1024;
/// A process is asked for when it maps something, and so may be looked at by the other thread just now.
const LOOKS: usize = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// The thread's state.
#[derive(Debug)]
pub struct Searcher {
    files: Leases,
    counts: Arc<Counts>,
    found: Sender<Found>,
}

impl Searcher {
    /// `found`: takes the libraries that cannot be read.
    pub fn new(files: Leases, counts: Arc<Counts>, found: Sender<Found>) -> Searcher {
        Searcher {
            files,
            counts,
            found,
        }
    }

    /// Searches each process that is asked for, until nobody asks any more.
    pub fn run(&self, asked: &Receiver<u32>) {
        while let Ok(pid) = asked.recv() {
            for look in 1.. {
                let all = self.search(pid, &std::thread::sleep);
                if all || look == LOOKS {
                    break;
                }
                std::thread::sleep(BETWEEN_LOOKS);
            }
        }
    }

    /// `false`: some of its files were not looked at by the attach thread yet.
    fn search(&self, pid: u32, sleep: &dyn Fn(Duration)) -> bool {
        let budget = Budget::new(sleep);
        let Ok(images) = images(pid) else {
            return true;
        };
        let (mut all, mut told) = (true, 0);
        let mut blind = Vec::new();
        for image in images {
            let seen = match self.files.get(image.id) {
                Some(Seen::Unsearched) => {
                    // A stranger's file: where our code fails over it, the others are searched.
                    let search = AssertUnwindSafe(|| self.search_file(&image, &budget));
                    catch_unwind(search).unwrap_or_else(|_| {
                        Counts::add(&self.counts.panicked);
                        self.files.set(image.id, Seen::Nothing);
                        Seen::Nothing
                    })
                }
                Some(seen) => seen,
                None => {
                    all = false;
                    continue;
                }
            };
            if let Seen::Blind(library) = seen {
                let name = image.name.file_name().unwrap_or(image.name.as_os_str());
                blind.push(format!("{library} in {}", name.to_string_lossy()));
            }
            if blind.len() > told {
                told = blind.len();
                // Whoever asked for it may have ended.
                let found = Found {
                    tgid: pid,
                    name: short_name(pid),
                    libraries: blind.clone(),
                };
                let _ = self.found.send(found);
            }
        }
        if budget.left.get() == 0 {
            Counts::add(&self.counts.unsearched);
        }
        all
    }

    fn search_file(&self, image: &Image, budget: &Budget<'_>) -> Seen {
        let Ok(file) = image.open() else {
            return Seen::Unsearched;
        };
        let file = Paced {
            file: Quiet::new(&file),
            budget,
        };
        let seen = blind::library(&file, &image.name).map_or(Seen::Nothing, Seen::Blind);
        if budget.left.get() > 0 || seen != Seen::Nothing {
            self.files.set(image.id, seen);
        }
        seen
    }
}

/// What may be read of a process, and how fast.
struct Budget<'s> {
    left: Cell<u64>,
    sleep: &'s dyn Fn(Duration),
}

impl<'s> Budget<'s> {
    fn new(sleep: &'s dyn Fn(Duration)) -> Budget<'s> {
        Budget {
            left: Cell::new(MAX_PROCESS_BYTES),
            sleep,
        }
    }
}

/// A file that is read slowly.
struct Paced<'b, F> {
    file: F,
    budget: &'b Budget<'b>,
}

impl<F: ReadAt> ReadAt for Paced<'_, F> {
    fn size(&self) -> u64 {
        self.file.size()
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> usize {
        let Budget { left, sleep } = self.budget;
        if left.get() == 0 {
            return 0;
        }
        let n = self.file.read_at(buffer, at);
        left.set(left.get().saturating_sub(n as u64));
        if left.get() < MAX_PROCESS_BYTES - BURST_BYTES {
            sleep(Duration::from_nanos(n as u64 * 1_000_000_000 / BYTES_PER_S));
        }
        n
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::probes::identity::FileKey;

    /// A file of any size, of zeros.
    struct Zeros;

    impl ReadAt for Zeros {
        fn size(&self) -> u64 {
            u64::MAX
        }
        fn read_at(&self, buffer: &mut [u8], _: u64) -> usize {
            buffer.len()
        }
    }

    #[test]
    fn a_process_is_read_at_once_at_first_then_slowly_and_then_no_more() {
        let slept = Cell::new(Duration::ZERO);
        let sleep = |time| slept.set(slept.get() + time);
        let budget = Budget::new(&sleep);
        let file = Paced {
            file: Zeros,
            budget: &budget,
        };
        let mut block = vec![0; 1024 * 1024];
        let mut read = 0_u64;
        while read < BURST_BYTES {
            read += file.read_at(&mut block, read) as u64;
        }
        assert_eq!(slept.get(), Duration::ZERO);
        loop {
            let n = file.read_at(&mut block, read);
            read += n as u64;
            if n == 0 {
                break;
            }
        }
        assert_eq!(read, MAX_PROCESS_BYTES);
        let slow = (MAX_PROCESS_BYTES - BURST_BYTES) / BYTES_PER_S;
        assert_eq!(slept.get().as_secs(), slow);
    }

    /// This program's own files: rustls is in none of them, and each is searched once.
    #[test]
    fn files_are_searched_once_and_what_is_found_is_told() {
        let files = Leases::default();
        let (tell, told) = std::sync::mpsc::channel();
        let searcher = Searcher::new(files.clone(), Arc::default(), tell);
        let pid = std::process::id();
        assert!(!searcher.search(pid, &|_| {}), "nobody has looked");
        assert_eq!(told.try_recv().ok(), None);
        let ours = images(pid).unwrap();
        let libc = ours
            .iter()
            .find(|i| i.name.to_string_lossy().contains("libc.so"))
            .unwrap();
        for image in &ours {
            let key = FileKey::of_name(image.id);
            files.add(pid, image.id, key, Seen::Nothing, Vec::new());
        }
        files.set(libc.id, Seen::Unsearched);
        assert!(searcher.search(pid, &|_| {}));
        assert_eq!(files.get(libc.id), Some(Seen::Nothing));
        files.set(libc.id, Seen::Blind("rustls"));
        assert!(searcher.search(pid, &|_| {}));
        let found = told.try_recv().unwrap();
        assert_eq!((found.tgid, found.name), (pid, short_name(pid)));
        let blind = found.libraries;
        assert!(blind[0].starts_with("rustls in libc.so"), "{blind:?}");
        assert_eq!(told.try_recv().ok(), None);
    }
}
