//! TLS connections that nobody reads, and the libraries that may be why.
//!
//! That a library is in a process says nothing: gRPC's module brings BoringSSL into servers that speak
//! plain HTTP. So a process is searched when it has such a connection, and a library is named once, when
//! the connection is still unread a moment later.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use super::counts::Counts;

/// A connection may be found to be read after all: what its library moved is compared with what its
/// socket carries.
const SETTLED: Duration = Duration::from_secs(1);
/// A process that goes on with unread connections is searched again then: it may have loaded more.
const AGAIN: Duration = Duration::from_secs(10);
/// Libraries that are named. A fleet has a handful.
const MAX_SAID: usize = 64;
/// Libraries of a process that are kept for its session.
const MAX_LIBRARIES: usize = 16;

/// What a search has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The process.
    pub tgid: u32,
    /// Its name, to be said.
    pub name: Option<String>,
    /// Libraries in it that cannot be read.
    pub libraries: Vec<String>,
}

/// A library to be named, with a process that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    tgid: u32,
    name: Option<String>,
    library: String,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Named {
            tgid,
            name,
            library,
        } = self;
        write!(f, "pid {tgid}")?;
        if let Some(name) = name {
            write!(f, " ({name})")?;
        }
        write!(f, ": TLS cannot be read where it uses {library}")
    }
}

impl Found {
    fn named(&self) -> impl Iterator<Item = Named> {
        self.libraries.iter().map(|library| Named {
            tgid: self.tgid,
            name: self.name.clone(),
            library: library.clone(),
        })
    }
}

/// What is known of them.
#[derive(Default)]
pub struct Unread {
    ask: Option<SyncSender<u32>>,
    found: Option<Receiver<Found>>,
    counts: Arc<Counts>,
    /// When a process was searched first, and last.
    asked: HashMap<u32, (Instant, Instant)>,
    processes: BTreeMap<u32, Found>,
    said: HashSet<String>,
}

impl Unread {
    /// `ask`: takes processes to search. `found`: gives what is in them.
    pub fn new(ask: SyncSender<u32>, found: Receiver<Found>, counts: Arc<Counts>) -> Unread {
        Unread {
            ask: Some(ask),
            found: Some(found),
            counts,
            ..Unread::default()
        }
    }

    /// A process has one more unread connection.
    pub fn search(&mut self, tgid: u32, now: Instant) {
        let Some(ask) = &self.ask else {
            return;
        };
        let (_, last) = self.asked.entry(tgid).or_insert((now, now - AGAIN));
        if now.saturating_duration_since(*last) < AGAIN {
            return;
        }
        match ask.try_send(tgid) {
            Ok(()) => *last = now,
            Err(_) => Counts::add(&self.counts.unsearched),
        }
    }

    /// Takes what was found, and gives the processes that it is of.
    pub fn take(&mut self) -> Vec<u32> {
        let found = self.found.as_ref().map(Receiver::try_iter);
        let mut of = Vec::new();
        for mut found in found.into_iter().flatten() {
            // It may have ended meanwhile.
            if self.asked.contains_key(&found.tgid) {
                found.libraries.truncate(MAX_LIBRARIES);
                of.push(found.tgid);
                self.processes.insert(found.tgid, found);
            }
        }
        of
    }

    /// Libraries of a process that cannot be read.
    pub fn libraries(&self, tgid: u32) -> Vec<String> {
        let found = self.processes.get(&tgid);
        found.map_or_else(Vec::new, |found| found.libraries.clone())
    }

    /// Libraries that are to be named now. `is_unread`: the process has connections that nobody reads.
    pub fn due(&mut self, now: Instant, is_unread: impl Fn(u32) -> bool) -> Vec<Named> {
        let mut all = Vec::new();
        for (tgid, found) in &self.processes {
            let first = self.asked.get(tgid).map(|(first, _)| *first);
            let settled = first.is_some_and(|at| now.saturating_duration_since(at) >= SETTLED);
            if settled && is_unread(*tgid) {
                all.extend(found.named());
            }
        }
        self.new_ones(all)
    }

    /// The same of a process that has ended; it is forgotten.
    pub fn forget(&mut self, tgid: u32, is_unread: bool) -> Vec<Named> {
        self.asked.remove(&tgid);
        let found = self.processes.remove(&tgid).filter(|_| is_unread);
        let all = found.iter().flat_map(Found::named).collect();
        self.new_ones(all)
    }

    /// Processes whose libraries are known.
    pub fn processes(&self) -> Vec<u32> {
        self.processes.keys().copied().collect()
    }

    fn new_ones(&mut self, mut all: Vec<Named>) -> Vec<Named> {
        all.retain(|named| self.said.len() < MAX_SAID && self.said.insert(named.library.clone()));
        all
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::sync::mpsc::{Sender, channel, sync_channel};

    const LIBRARY: &str = "BoringSSL in cygrpc.so";

    type Tell = Sender<Found>;

    fn found(tgid: u32) -> Found {
        Found {
            tgid,
            name: Some("server".into()),
            libraries: vec![LIBRARY.to_owned()],
        }
    }

    fn named(tgid: u32) -> [Named; 1] {
        [Named {
            tgid,
            name: Some("server".into()),
            library: LIBRARY.to_owned(),
        }]
    }

    fn unread() -> (Unread, Receiver<u32>, Tell) {
        let (ask, asked) = sync_channel(2);
        let (tell, found) = channel();
        (Unread::new(ask, found, Arc::default()), asked, tell)
    }

    #[test]
    fn a_library_is_named_once_whichever_processes_have_it() {
        let (mut unread, _asked, tell) = unread();
        let start = Instant::now();
        for tgid in [1, 2] {
            unread.search(tgid, start);
            tell.send(found(tgid)).unwrap();
        }
        assert_eq!(unread.take(), [1, 2]);
        assert_eq!(unread.due(start, |_| true), [], "it may be read yet");
        let later = start + SETTLED;
        assert_eq!(unread.due(later, |tgid| tgid == 2), named(2));
        assert_eq!(
            named(2)[0].to_string(),
            format!("pid 2 (server): TLS cannot be read where it uses {LIBRARY}")
        );
        assert_eq!(unread.due(later, |_| true), []);
        assert_eq!(unread.forget(1, true), []);
        assert_eq!(unread.libraries(2), [LIBRARY]);
        assert_eq!(unread.libraries(1), [] as [&str; 0]);
    }

    #[test]
    fn a_process_whose_connections_are_all_read_has_nothing_named() {
        let (mut unread, _asked, tell) = unread();
        let start = Instant::now();
        unread.search(1, start);
        tell.send(found(1)).unwrap();
        unread.take();
        assert_eq!(unread.due(start + SETTLED * 5, |_| false), []);
        assert_eq!(unread.forget(1, false), []);
    }

    #[test]
    fn one_that_ends_soon_is_named_at_its_end() {
        let (mut unread, _asked, tell) = unread();
        unread.search(1, Instant::now());
        tell.send(found(1)).unwrap();
        unread.take();
        assert_eq!(unread.forget(1, true), named(1));
        tell.send(found(1)).unwrap();
        assert_eq!(unread.take(), [] as [u32; 0], "it has gone");
    }

    #[test]
    fn a_process_is_searched_seldom_and_a_queue_that_is_full_is_counted() {
        let (mut unread, asked, _tell) = unread();
        let start = Instant::now();
        for _ in 0..100 {
            unread.search(1, start);
        }
        unread.search(1, start + AGAIN);
        unread.search(2, start);
        assert_eq!(asked.try_iter().collect::<Vec<_>>(), [1, 1]);
        let counted = unread.counts.by_name()["processes_unsearched"];
        assert_eq!(counted, 1);
        unread.search(2, start);
        assert_eq!(asked.try_iter().collect::<Vec<_>>(), [2]);
    }
}
