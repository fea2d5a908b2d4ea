//! A spool as it grows: the scopes that ended in its batches, each once.
//!
//! The first look takes the batches that were made within the window; then the kernel tells of each that is put in
//! place (inotify), and where events were lost, or nobody tells (no inotify left to this user), the directory is listed
//! again. A spool that is not there yet is waited for.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use cirron_look::joined::Joiner;
use cirron_look::request::{Detail, Request};
use cirron_spool::read::{Batches, Left, is_batch_name, parse};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

/// A batch is named when it is begun, and put in place up to a flush interval and a slow disk later.
const LATE_NS: u64 = 30_000_000_000;

/// Bytes of events that are read at once: a hundred names.
const EVENT_BYTES: usize = 8 * 1024;

/// One spool.
#[derive(Debug)]
pub struct Feed {
    path: PathBuf,
    /// The directory, once it is there, and which one that is.
    batches: Option<Batches>,
    identity: Option<(u64, u64)>,
    watch: Option<OwnedFd>,
    /// Names that were read, those older than [`Feed::from`] forgotten.
    done: BTreeSet<String>,
    /// Names before this one are not read.
    from: String,
    bytes: Vec<u8>,
    left: Left,
    joiner: Joiner,
}

impl Feed {
    /// Of the batches of `path` that were begun at `from_ns` or later.
    pub fn new(path: PathBuf, from_ns: u64) -> Feed {
        Feed {
            path,
            batches: None,
            identity: None,
            watch: None,
            done: BTreeSet::new(),
            from: first_name(from_ns.saturating_sub(LATE_NS)),
            bytes: Vec::new(),
            left: Left::default(),
            joiner: Joiner::new(Detail::Fields),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is there.
    pub fn is_there(&self) -> bool {
        self.batches.is_some()
    }

    /// What was not read.
    pub fn left(&self) -> Left {
        self.left
    }

    /// Hands on what came since the last call.
    pub fn read(&mut self, take: &mut dyn FnMut(Request)) {
        for name in self.new_names() {
            self.read_batch(&name, take);
        }
    }

    /// Names before this time will not come any more.
    pub fn forget_before(&mut self, wall_ns: u64) {
        let from = first_name(wall_ns.saturating_sub(LATE_NS));
        if from > self.from {
            self.done = self.done.split_off(&from);
            self.from = from;
        }
    }

    fn new_names(&mut self) -> Vec<String> {
        // The kernel does not tell that a directory is gone which we hold open.
        let is_same = self.identity.is_some() && identity(&self.path) == self.identity;
        let told = self.watch.as_ref().filter(|_| is_same).and_then(told);
        let names: Vec<String> = told.unwrap_or_else(|| self.listed());
        let new = names.into_iter().filter(|name| *name >= self.from);
        new.filter(|name| self.done.insert(name.clone())).collect()
    }

    fn listed(&mut self) -> Vec<String> {
        // Before the list, so that nothing falls between them.
        (self.watch, self.identity) = (watch(&self.path), identity(&self.path));
        let Ok(batches) = Batches::list(&self.path) else {
            (self.watch, self.identity, self.batches) = (None, None, None);
            return Vec::new();
        };
        let names = batches.names().filter(|name| *name >= &*self.from);
        let names = names.map(str::to_owned).collect();
        self.batches = Some(batches);
        names
    }

    fn read_batch(&mut self, name: &str, take: &mut dyn FnMut(Request)) {
        let Some(batches) = &self.batches else { return };
        if batches.load(name, &mut self.bytes, &mut self.left) {
            self.left.damaged += usize::from(parse(&self.bytes, &mut self.joiner).is_err());
            let ended = self.joiner.settle().into_iter();
            ended.map(|ended| ended.request).for_each(take);
        }
    }
}

/// The least name of a batch that was begun at this time.
fn first_name(wall_ns: u64) -> String {
    format!("{wall_ns:020}-")
}

fn watch(path: &Path) -> Option<OwnedFd> {
    let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok()?;
    inotify::add_watch(&watch, path, WatchFlags::MOVED_TO | WatchFlags::ONLYDIR).ok()?;
    Some(watch)
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let stat = std::fs::metadata(path).ok()?;
    Some((stat.dev(), stat.ino()))
}

/// The names that came; `None` where that is not known.
fn told(watch: &OwnedFd) -> Option<Vec<String>> {
    let mut buffer = [MaybeUninit::uninit(); EVENT_BYTES];
    let mut reader = inotify::Reader::new(watch.as_fd(), &mut buffer);
    let mut names = Vec::new();
    let gone = ReadFlags::QUEUE_OVERFLOW | ReadFlags::IGNORED;
    loop {
        match reader.next() {
            Ok(event) if event.events().intersects(gone) => return None,
            Ok(event) => {
                let name = event.file_name().and_then(|name| name.to_str().ok());
                names.extend(name.filter(|name| is_batch_name(name)).map(str::to_owned));
            }
            Err(Errno::WOULDBLOCK) => return Some(names),
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn put(dir: &Path, created_ns: u64, id: &str) {
        let text = format!(
            r#"{{"spans":[{{"id":"{id}","name":"request","parent_id":"s","index":null,"start_ns":1,"end_ns":null}},
                {{"id":"{id}","name":"request","parent_id":"s","index":null,"start_ns":1,"end_ns":9}}],
               "marks":[{{"span_id":"{id}","name":"output_tokens","value":7,"kind":"summary"}},
                {{"span_id":"x","name":"m","value":7,"kind":"summary"}}]}}"#
        );
        let temporary = dir.join("new.tmp");
        std::fs::write(&temporary, text).unwrap();
        std::fs::rename(temporary, dir.join(format!("{created_ns:020}-ab.json"))).unwrap();
    }

    fn read(feed: &mut Feed) -> Vec<(String, Option<u64>)> {
        let mut all = Vec::new();
        feed.read(&mut |request| all.push((request.id, request.figures.output_tokens)));
        all
    }

    #[test]
    fn each_batch_is_read_once_from_the_window_s_beginning_on() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("spool");
        let mut feed = Feed::new(dir.clone(), LATE_NS + 100);
        assert_eq!(read(&mut feed), []);
        assert!(!feed.is_there());
        std::fs::create_dir(&dir).unwrap();
        put(&dir, 99, "old");
        put(&dir, 100, "a");
        assert_eq!(read(&mut feed), [("a".to_owned(), Some(7))]);
        assert_eq!(read(&mut feed), []);
        put(&dir, 300, "c");
        put(&dir, 200, "b");
        let ids: Vec<String> = read(&mut feed).into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, ["c", "b"]);
        // Nobody tells any more: it is listed again, and nothing comes twice.
        feed.watch = None;
        put(&dir, 400, "d");
        assert_eq!(read(&mut feed), [("d".to_owned(), Some(7))]);
        feed.forget_before(LATE_NS + 350);
        assert_eq!(feed.done.len(), 1);
        // The directory goes and comes back.
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(read(&mut feed), []);
        assert!(!feed.is_there());
        std::fs::create_dir(&dir).unwrap();
        put(&dir, 500, "e");
        assert_eq!(read(&mut feed), [("e".to_owned(), Some(7))]);
    }

    #[test]
    fn marks_before_their_scope_are_its_and_what_is_written_twice_comes_once() {
        let tmp = tempfile::tempdir().unwrap();
        let text = r#"{"marks":[{"span_id":"a","name":"output_tokens","value":7,"kind":"summary"}],
            "spans":[{"id":"a","name":"request","parent_id":"s","index":null,"start_ns":1,"end_ns":9}]}"#;
        for n in 1..3 {
            std::fs::write(tmp.path().join(format!("{n:020}-ab.json")), text).unwrap();
        }
        let mut feed = Feed::new(tmp.path().to_owned(), 0);
        assert_eq!(read(&mut feed), [("a".to_owned(), Some(7))]);
    }

    #[test]
    fn what_is_no_batch_is_counted() {
        let tmp = tempfile::tempdir().unwrap();
        std::fs::write(tmp.path().join("00000000000000000007-ab.json"), "{").unwrap();
        std::fs::create_dir(tmp.path().join("00000000000000000008-ab.json")).unwrap();
        let mut feed = Feed::new(tmp.path().to_owned(), 0);
        assert_eq!(read(&mut feed), []);
        assert_eq!((feed.left().damaged, feed.left().irregular), (1, 1));
    }
}
