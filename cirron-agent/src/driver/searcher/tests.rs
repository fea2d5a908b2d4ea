//! The searcher on machines of the tests' own, and on this one.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Instant;

use super::allowance::tests::Still;
use super::allowance::{BURST_BYTES, BYTES_PER_S, HOUR, MAX_HOUR_BYTES};
use super::*;
use crate::driver::leases::{Known, LINGER};

/// Files of each process here.
const FILES: u64 = 300;
/// Bytes of each, all of them only read.
const SIZE: u64 = 256 * 1024;

/// An ELF file of one part, which is zeros behind its head.
struct Zeros {
    head: Vec<u8>,
}

impl Zeros {
    fn new() -> Zeros {
        let mut head = vec![0; 64];
        head[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        head[32] = 64;
        head[54] = 56;
        head[56] = 1;
        // PT_LOAD, readable, of this size.
        for word in [1 | 4 << 32, 0, 0, 0, SIZE, SIZE, 4096] {
            head.extend(u64::to_le_bytes(word));
        }
        Zeros { head }
    }
}

impl ReadAt for Zeros {
    fn size(&self) -> u64 {
        SIZE
    }
    fn read_at(&self, buffer: &mut [u8], at: u64) -> usize {
        let n = buffer
            .len()
            .min(usize::try_from(SIZE.saturating_sub(at)).unwrap());
        buffer[..n].fill(0);
        let head = (&self.head[..]).read_at(&mut buffer[..n], at);
        n.max(head)
    }
}

/// Every process maps the same files; counted is who asks for what.
#[derive(Clone, Default)]
struct Fleet {
    lists: Arc<Mutex<BTreeMap<u32, u32>>>,
    reads: Arc<Mutex<BTreeMap<u64, u32>>>,
}

impl Machine for Fleet {
    fn images(&self, pid: u32) -> io::Result<Vec<Image>> {
        *self.lists.lock().unwrap().entry(pid).or_default() += 1;
        let image = |n| Image {
            id: (1, n),
            name: format!("/lib/{n}.so").into(),
            pid,
            range: (0, SIZE),
            offset: 0,
        };
        Ok((0..FILES).map(image).collect())
    }
    fn read(&self, image: &Image, search: &mut dyn FnMut(&dyn ReadAt) -> Seen) -> Option<Seen> {
        *self.reads.lock().unwrap().entry(image.id.1).or_default() += 1;
        Some(search(&Zeros::new()))
    }
}

impl Fleet {
    fn reads(&self) -> u32 {
        self.reads.lock().unwrap().values().sum()
    }
    fn lists(&self) -> u32 {
        self.lists.lock().unwrap().values().sum()
    }
}

struct Rig {
    fleet: Fleet,
    clock: Still,
    files: Leases,
    counts: Arc<Counts>,
    searcher: Searcher,
}

fn rig() -> Rig {
    let (fleet, clock) = (Fleet::default(), Still::new());
    let (files, counts) = (Leases::default(), Arc::<Counts>::default());
    let (tell, _) = channel();
    let searcher = Searcher::on(
        Box::new(fleet.clone()),
        Box::new(clock.clone()),
        files.clone(),
        Arc::clone(&counts),
        tell,
    );
    Rig {
        fleet,
        clock,
        files,
        counts,
        searcher,
    }
}

/// The attach thread's look at a process, whose files have no function of the tables.
fn look(files: &Leases, pid: u32) {
    let names: Vec<_> = (0..FILES).map(|n| (1, n)).collect();
    files.begin(pid);
    for name in &names {
        if files.hold(pid, *name) != Known::Held {
            let key = FileKey::for_test(name.1);
            files.add(pid, *name, key, Seen::Unsearched, Vec::new());
        }
    }
    files.end(pid, Some(&names), Instant::now());
}

#[test]
fn a_thousand_processes_of_three_hundred_files_are_listed_once_and_their_files_read_once() {
    let mut rig = rig();
    let start = rig.clock.now();
    for pid in 1..=1_000 {
        look(&rig.files, pid);
        // Each goes on with connections that nobody reads.
        for _ in 0..3 {
            rig.searcher.search(pid);
        }
    }
    assert_eq!(rig.fleet.lists(), 1_000);
    assert_eq!(rig.fleet.reads(), 300);
    assert!(rig.fleet.reads.lock().unwrap().values().all(|n| *n == 1));
    let read = FILES * SIZE;
    assert!(read > BURST_BYTES);
    let slow = Duration::from_secs((read - BURST_BYTES) / BYTES_PER_S);
    let took = rig.clock.now() - start;
    assert!(
        took >= slow && took < slow * 2 + Duration::from_secs(1),
        "{took:?}"
    );
    assert_eq!(rig.counts.by_name()["processes_unsearched"], 0);
    // A process that maps something is listed again, and nothing of it read.
    look(&rig.files, 7);
    rig.searcher.search(7);
    assert_eq!((rig.fleet.lists(), rig.fleet.reads()), (1_001, 300));
    // All of them end, what is known of the files goes, and others come.
    let now = Instant::now();
    (1..=1_000).for_each(|pid| rig.files.end(pid, None, now));
    rig.files.take_idle(now + LINGER);
    assert_eq!(rig.files.get((1, 7)), None);
    look(&rig.files, 2_000);
    rig.searcher.search(2_000);
    assert_eq!((rig.fleet.lists(), rig.fleet.reads()), (1_002, 300));
    assert_eq!(rig.files.get((1, 7)).unwrap(), Seen::Nothing);
    assert!(rig.searcher.done.len() <= MAX_DONE);
}

#[test]
fn what_the_hour_has_no_room_for_is_counted_and_searched_in_the_next() {
    let mut rig = rig();
    look(&rig.files, 1);
    rig.searcher.allowance.take(MAX_HOUR_BYTES);
    rig.searcher.search(1);
    assert_eq!(rig.fleet.reads(), 0);
    assert_eq!(rig.counts.by_name()["processes_unsearched"], 1);
    rig.clock.sleep(HOUR);
    rig.searcher.search(1);
    assert_eq!(u64::from(rig.fleet.reads()), FILES);
    assert_eq!(rig.counts.by_name()["processes_unsearched"], 1);
}

#[test]
fn a_file_that_was_read_in_part_is_read_again() {
    let mut rig = rig();
    look(&rig.files, 1);
    rig.searcher.allowance.take(MAX_HOUR_BYTES - SIZE / 2);
    rig.searcher.search(1);
    assert_eq!(rig.fleet.reads(), 1);
    assert_eq!(rig.files.get((1, 0)).unwrap(), Seen::Unsearched);
    rig.clock.sleep(HOUR);
    rig.searcher.search(1);
    assert_eq!(u64::from(rig.fleet.reads()), FILES + 1);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut rig = rig();
    look(&rig.files, 1);
    for n in 0..MAX_REMEMBERED as u64 {
        let key = FileKey::for_test(1_000 + n);
        rig.searcher.searched.insert(key, Seen::Nothing);
    }
    rig.searcher.search(1);
    assert!(rig.searcher.searched.len() as u64 <= FILES);
    for pid in 10..10 + u32::try_from(MAX_DONE).unwrap() {
        rig.searcher
            .done
            .insert(pid, rig.files.last_look(1).unwrap());
    }
    look(&rig.files, 1);
    rig.searcher.search(1);
    assert_eq!(rig.searcher.done.len(), 1);
}

/// A process is asked for when it maps something, before the attach thread has come to it.
#[test]
fn files_that_were_not_looked_at_yet_are_waited_for_and_not_for_ever() {
    let mut rig = rig();
    let start = rig.clock.now();
    rig.searcher.search(1);
    assert_eq!((rig.fleet.lists(), rig.fleet.reads()), (1, 0));
    let waited = rig.clock.now() - start;
    assert_eq!(waited, BETWEEN_LOOKS * u32::try_from(LOOKS).unwrap());
    look(&rig.files, 1);
    rig.searcher.search(1);
    assert_eq!(u64::from(rig.fleet.reads()), FILES);
}

/// This program's own files: rustls is in none of them, and each is searched once.
#[test]
fn what_is_found_is_told() {
    let files = Leases::default();
    let (tell, told) = channel();
    let mut searcher = Searcher::new(files.clone(), Arc::default(), tell);
    let pid = std::process::id();
    let ours = images(pid).unwrap();
    let libc = |i: &&Image| i.name.to_string_lossy().contains("libc.so");
    let libc = ours.iter().find(libc).unwrap();
    for image in &ours {
        let key = FileKey::of_name(image.id);
        files.add(pid, image.id, key, Seen::Nothing, Vec::new());
    }
    files.set(libc.id, Seen::Unsearched);
    searcher.search(pid);
    assert_eq!(files.get(libc.id).unwrap(), Seen::Nothing);
    assert_eq!(told.try_recv().ok(), None);
    files.set(libc.id, Seen::Blind("rustls"));
    files.end(pid, Some(&[libc.id]), Instant::now());
    searcher.search(pid);
    let found = told.try_recv().unwrap();
    assert_eq!((found.tgid, found.name), (pid, short_name(pid)));
    let blind = found.libraries;
    assert!(blind[0].starts_with("rustls in libc.so"), "{blind:?}");
    assert_eq!(told.try_recv().ok(), None);
}
