//! The requests of spools, one by one, in the order in which they were whole.
//!
//! ```text
//! first reading                       second reading, batch by batch
//!   ids seen (a filter of bits) --.      row, marks -> open -> whole with its last batch -> given
//!   ids of several batches -------+--->               (merged, joined with its session)
//!   sessions, parents ------------'
//! ```
//! A span may be written twice (open, then closed), and a mark may come in another batch than its span (the SDK's). The
//! first reading finds the ids that stand in more than one batch, and the last of these; so the second gives each
//! request once, whole, and holds only those of several batches. That an id was seen before a filter of bits tells: one
//! that it takes for seen by mistake is held for no batch longer. Memory is some 10 MB, and what sessions, parents and
//! ids of several batches take, each of which has its bound here; it does not grow with the spool otherwise.
//!
//! Of two rows with one id the closed one counts, else the later, as the SDK's readers have it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cirron_spool::read::{Batches, Left, Take};
use cirron_spool::rows::{MarkRow, SpanRow};

use crate::key::Key;
use crate::request::{Detail, Request};
use crate::seen::Seen;
use crate::session::Session;

/// Sessions that are known. A daemon of 300 targets, a third of them restarted each minute, makes 6 000 an hour.
pub const MAX_SESSIONS: usize = 50_000;

/// Scopes with children that are known, 40 bytes each and as much again while the table grows.
pub const MAX_PARENTS: usize = 500_000;

/// Ids of several batches that are known.
pub const MAX_SEVERAL: usize = 500_000;

/// Bytes of requests that wait for their last batch.
pub const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;

/// Depth to which a session is looked for. The agent nests some 5 deep, the SDK's scopes may more.
const MAX_DEPTH: usize = 64;

/// Scopes that are kept below the chosen ones, in sum.
pub const MAX_BELOW: usize = 100_000;

type Map<V> = HashMap<Key, V, foldhash::fast::RandomState>;

/// A directory that cannot be read as a spool.
#[derive(Debug, thiserror::Error)]
#[error("there is no spool in {path}: {error}")]
pub struct NoSpool {
    path: PathBuf,
    error: std::io::Error,
}

/// The batches of one or several spools, listed.
#[derive(Debug)]
pub struct Spools(Vec<Batches>);

impl Spools {
    /// Those of these directories: each a spool, or what holds one (`./.cirron`).
    pub fn list<P: AsRef<Path>>(paths: &[P]) -> Result<Spools, NoSpool> {
        let list = |path: &Path| {
            let below = path.join("spool");
            let path = if below.is_dir() { below } else { path.into() };
            Batches::list(&path).map_err(|error| NoSpool { path, error })
        };
        let all = paths.iter().map(|path| list(path.as_ref()));
        Ok(Spools(all.collect::<Result<_, _>>()?))
    }

    /// Those of a directory that was listed before.
    pub fn from_batches(batches: Batches) -> Spools {
        Spools(vec![batches])
    }

    /// Each spool's, in the order in which they are read.
    pub(crate) fn batches(&self) -> &[Batches] {
        &self.0
    }

    /// Hands all rows to `take`, of each spool the oldest batch first; `begin` is called before each file.
    pub(crate) fn read<T: Take>(&self, take: &mut T, mut begin: impl FnMut(&mut T)) -> Left {
        let mut left = Left::default();
        for batches in &self.0 {
            left += batches.read_oldest_first(take, &mut begin);
        }
        left
    }
}

/// What was lost of requests, for whatever reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Files.
    pub files: Left,
    /// Sessions past [`MAX_SESSIONS`]: what is below them has none.
    pub sessions: usize,
    /// Parents past [`MAX_PARENTS`]: what is below them may have no session.
    pub parents: usize,
    /// Ids past [`MAX_SEVERAL`]: these may be given more than once.
    pub several: usize,
    /// Rows that came when there was no room to wait ([`MAX_WAITING_BYTES`]).
    pub waiting: usize,
    /// Marks of spans that are not in the spool.
    pub marks: usize,
    /// Scopes below the chosen ones past [`MAX_BELOW`].
    pub below: usize,
}

impl Lost {
    /// A sentence for each that there is.
    pub fn sentences(&self) -> Vec<String> {
        let mut out = self.files.sentences();
        let own = [
            (
                self.sessions,
                format!("sessions past the first {MAX_SESSIONS}: their requests name none"),
            ),
            (
                self.parents,
                format!(
                    "scopes with children past the first {MAX_PARENTS}: those may name no session"
                ),
            ),
            (
                self.several,
                format!(
                    "ids in several batches past the first {MAX_SEVERAL}: they may be given twice"
                ),
            ),
            (
                self.waiting,
                "rows that came when too much waited for another batch".to_owned(),
            ),
            (
                self.marks,
                "left out: marks whose span is not in the spool".to_owned(),
            ),
            (
                self.below,
                format!("left out: scopes below the chosen ones, past {MAX_BELOW}"),
            ),
        ];
        out.extend(
            own.into_iter()
                .filter(|(n, _)| *n > 0)
                .map(|(n, what)| format!("{what}: {n}")),
        );
        out
    }
}

/// The first reading of spools, ready for the second.
#[derive(Debug)]
pub struct Requests {
    index: Index,
    lost: Lost,
}

impl Requests {
    /// Reads for the first time.
    pub fn index(spools: &Spools) -> Requests {
        Requests::index_as(spools, Index::default())
    }

    /// The same, so that each request is given with what is below it, as its children. What comes too late for that, or
    /// when there is no room to wait for it, is given by itself.
    pub fn index_grouped(spools: &Spools) -> Requests {
        let index = Index {
            is_grouped: true,
            ..Index::default()
        };
        Requests::index_as(spools, index)
    }

    fn index_as(spools: &Spools, mut index: Index) -> Requests {
        let files = spools.read(&mut index, |index| index.batch += 1);
        index.seen = Seen::default();
        let lost = Lost {
            files,
            ..index.lost
        };
        Requests { index, lost }
    }

    /// What the readings could not tell so far.
    pub fn lost(&self) -> Lost {
        self.lost
    }

    /// The sessions, by their start.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        let mut all: Vec<_> = self.index.sessions.values().cloned().collect();
        all.sort_by(|a, b| (a.start_ns, &a.id).cmp(&(b.start_ns, &b.id)));
        all
    }

    /// Gives each scope that is no session to `give`, without its children.
    pub fn each(&mut self, spools: &Spools, detail: Detail, give: impl FnMut(Request)) {
        let mut reading = Reading::new(&mut self.index, detail, give);
        spools.read(&mut reading, Reading::begin);
        reading.end();
        self.lost.waiting += reading.lost_waiting;
        self.lost.marks += reading.lost_marks;
    }

    /// The requests with these ids, with their children and all that is below these, in the order of `ids`.
    pub fn chosen(&mut self, spools: &Spools, ids: &[String], detail: Detail) -> Vec<Request> {
        let wanted: HashSet<Key> = ids.iter().map(|id| Key::new(id)).collect();
        let mut below: Map<Vec<Request>> = Map::default();
        let mut tops: Map<Request> = Map::default();
        let (mut kept, mut past) = (0, 0);
        let mut reading = Reading::new(&mut self.index, detail, |request: Request| {
            let key = Key::new(&request.id);
            if wanted.contains(&key) {
                tops.insert(key, request);
            } else if let Some(parent) = &request.parent {
                match kept < MAX_BELOW {
                    true => below.entry(Key::new(parent)).or_default().push(request),
                    false => past += 1,
                }
                kept += 1;
            }
        });
        reading.only_below = Some(&wanted);
        spools.read(&mut reading, Reading::begin);
        reading.end();
        self.lost.below += past;
        let found = ids.iter().filter_map(|id| tops.remove(&Key::new(id)));
        found.map(|top| with_children(top, &mut below, 0)).collect()
    }
}

/// Hangs what is below a request below it, by start.
fn with_children(mut request: Request, below: &mut Map<Vec<Request>>, depth: usize) -> Request {
    // A circle ends, since each list is taken once.
    if depth < MAX_DEPTH
        && let Some(mut children) = below.remove(&Key::new(&request.id))
    {
        children.sort_by_key(|child| child.start_ns);
        let children = children.into_iter();
        request.children = children
            .map(|child| with_children(child, below, depth + 1))
            .collect();
    }
    request
}

/// What the first reading leaves.
#[derive(Debug, Default)]
struct Index {
    batch: u32,
    seen: Seen,
    /// The last batch of each id that stands in several.
    several: Map<u32>,
    sessions: Map<Arc<Session>>,
    /// Each scope that has children, with its own parent once that is known.
    parents: Map<Option<Key>>,
    /// Scopes are given with what is below them: a child's row is one of its parent, which waits for it.
    is_grouped: bool,
    lost: Lost,
}

impl Index {
    /// An id stands in this batch.
    fn appear(&mut self, key: Key) {
        if let Some(last) = self.several.get_mut(&key) {
            *last = self.batch;
        } else if self.seen.was_in_another(key, self.batch) {
            if self.several.len() < MAX_SEVERAL {
                self.several.insert(key, self.batch);
            } else {
                self.lost.several += 1;
            }
        }
    }

    fn session(&mut self, key: Key, row: &SpanRow<'_>) {
        let has_room = self.sessions.len() < MAX_SESSIONS;
        match self.sessions.get_mut(&key) {
            Some(old) if old.end_ns.is_some() && row.end_ns.is_none() => {}
            Some(old) => *old = Arc::new(Session::new(row)),
            None if !has_room => self.lost.sessions += 1,
            None => {
                self.sessions.insert(key, Arc::new(Session::new(row)));
            }
        }
    }

    /// What is known of the parents of a row's.
    fn note_parents(&mut self, key: Key, row: &SpanRow<'_>, may_add: bool) {
        let Some(parent) = &row.parent_id else { return };
        let parent = Key::new(&parent.0);
        if let Some(known) = self.parents.get_mut(&key) {
            *known = Some(parent);
        }
        if may_add && !self.sessions.contains_key(&parent) && !self.parents.contains_key(&parent) {
            if self.parents.len() < MAX_PARENTS {
                self.parents.insert(parent, None);
            } else {
                self.lost.parents += 1;
            }
        }
    }

    /// Says of a request what it is below.
    fn place(&self, request: &mut Request) {
        request.top = Key::new(&request.id);
        let mut above = request.parent.as_ref().map(|id| Key::new(id));
        for depth in 0..MAX_DEPTH {
            let session = above.and_then(|key| self.sessions.get(&key));
            if above.is_none() || session.is_some() {
                request.is_top = depth == 0;
                request.session = session.map(Arc::clone);
                return;
            }
            let Some(key) = above else { return };
            request.top = key;
            above = self.parents.get(&key).copied().flatten();
        }
    }

    /// The parent of a row, where that is no session.
    fn scope_above(&self, row: &SpanRow<'_>) -> Option<Key> {
        let parent = row.parent_id.as_ref().map(|id| Key::new(&id.0));
        parent.filter(|key| !self.sessions.contains_key(key))
    }

    /// How many scopes a scope with children is within.
    fn depth(&self, key: Key) -> usize {
        let mut above = self.parents.get(&key).copied().flatten();
        let mut depth = 0;
        while let Some(key) = above.filter(|_| depth < MAX_DEPTH) {
            above = self.parents.get(&key).copied().flatten();
            depth += 1;
        }
        depth
    }

    /// Whether one of `wanted` is it, or above it.
    fn is_below(&self, key: Key, row: &SpanRow<'_>, wanted: &HashSet<Key>) -> bool {
        let mut above = row.parent_id.as_ref().map(|id| Key::new(&id.0));
        let mut is = wanted.contains(&key);
        for _ in 0..MAX_DEPTH {
            let Some(key) = above.filter(|_| !is) else {
                break;
            };
            is = wanted.contains(&key);
            above = self.parents.get(&key).copied().flatten();
        }
        is
    }
}

impl Take for Index {
    fn span(&mut self, row: &SpanRow<'_>) {
        let key = Key::new(&row.id.0);
        if Session::is_one(row) {
            self.session(key, row);
            return;
        }
        self.appear(key);
        self.note_parents(key, row, true);
        if let Some(parent) = self.scope_above(row).filter(|_| self.is_grouped) {
            self.appear(parent);
        }
    }

    fn mark(&mut self, row: &MarkRow<'_>) {
        self.appear(Key::new(&row.span_id.0));
    }
}

/// A request of which rows have come.
#[derive(Debug, Default)]
struct Open {
    /// Its row has come; before that there are its marks alone.
    has_row: bool,
    has_marks: bool,
    request: Request,
    /// Its part of what waits.
    waiting_bytes: usize,
    /// It is in the list of what this batch has added to.
    is_touched: bool,
}

/// The second reading.
struct Reading<'i, G> {
    index: &'i mut Index,
    detail: Detail,
    give: G,
    batch: u32,
    open: Map<Open>,
    /// What this batch has added to.
    touched: Vec<Key>,
    waiting_bytes: usize,
    only_below: Option<&'i HashSet<Key>>,
    lost_waiting: usize,
    lost_marks: usize,
}

impl<'i, G: FnMut(Request)> Reading<'i, G> {
    fn new(index: &'i mut Index, detail: Detail, give: G) -> Reading<'i, G> {
        Reading {
            index,
            detail,
            give,
            batch: 0,
            open: Map::default(),
            touched: Vec::new(),
            waiting_bytes: 0,
            only_below: None,
            lost_waiting: 0,
            lost_marks: 0,
        }
    }

    fn begin(&mut self) {
        self.settle();
        self.batch += 1;
    }

    /// Gives what is whole with this batch.
    fn settle(&mut self) {
        let mut touched = std::mem::take(&mut self.touched);
        if self.index.is_grouped {
            // What is within another is whole before it.
            touched.sort_by_cached_key(|key| std::cmp::Reverse(self.depth(*key)));
        }
        for key in touched {
            let last = self.index.several.get(&key).copied();
            if last.is_none_or(|last| last <= self.batch) {
                if let Some(open) = self.remove(key) {
                    self.close(open);
                }
            } else if let Some(open) = self.open.get_mut(&key) {
                open.is_touched = false;
                self.waiting_bytes -= open.waiting_bytes;
                open.waiting_bytes = open.request.bytes();
                self.waiting_bytes += open.waiting_bytes;
                if self.waiting_bytes > MAX_WAITING_BYTES {
                    self.give_up(key);
                }
            }
        }
    }

    /// How many scopes a request that is open is within, as far as that is known.
    fn depth(&self, key: Key) -> usize {
        let above = self
            .open
            .get(&key)
            .and_then(|open| open.request.parent.as_ref());
        above.map_or(0, |above| 1 + self.index.depth(Key::new(above)))
    }

    /// There is no room to wait for the rest of it.
    fn give_up(&mut self, key: Key) {
        let Some(mut open) = self.remove(key) else {
            return;
        };
        for child in std::mem::take(&mut open.request.children) {
            (self.give)(child);
        }
        self.lost_waiting += usize::from(open.has_row);
    }

    fn remove(&mut self, key: Key) -> Option<Open> {
        let open = self.open.remove(&key)?;
        self.waiting_bytes -= open.waiting_bytes;
        Some(open)
    }

    fn close(&mut self, mut open: Open) {
        if !open.has_row {
            // Below what was chosen marks are taken before it is known whose they are.
            let is_lost = open.has_marks && self.only_below.is_none();
            self.lost_marks += usize::from(is_lost);
            for child in open.request.children {
                (self.give)(child);
            }
            return;
        }
        self.index.place(&mut open.request);
        open.request.children.sort_by_key(|child| child.start_ns);
        let above = open.request.parent.as_ref().map(|id| Key::new(id));
        let above = above.filter(|_| self.index.is_grouped && !open.request.is_top);
        match above.and_then(|key| self.open.get_mut(&key)) {
            Some(above) => above.request.children.push(open.request),
            None => (self.give)(open.request),
        }
    }

    /// Gives what waits for a batch that was evicted meanwhile.
    fn end(&mut self) {
        self.settle();
        let mut rest: Vec<(Key, u64)> = Vec::new();
        rest.extend(
            self.open
                .iter()
                .map(|(key, open)| (*key, open.request.start_ns)),
        );
        rest.sort_by_cached_key(|(key, start_ns)| (std::cmp::Reverse(self.depth(*key)), *start_ns));
        for (key, _) in rest {
            if let Some(open) = self.remove(key) {
                self.close(open);
            }
        }
    }

    fn touch(&mut self, key: Key) -> &mut Open {
        let open = self.open.entry(key).or_default();
        if !std::mem::replace(&mut open.is_touched, true) {
            self.touched.push(key);
        }
        open
    }
}

impl<G: FnMut(Request)> Take for Reading<'_, G> {
    fn span(&mut self, row: &SpanRow<'_>) {
        if Session::is_one(row) {
            return;
        }
        let key = Key::new(&row.id.0);
        self.index.note_parents(key, row, false);
        if let Some(wanted) = self.only_below
            && !self.index.is_below(key, row, wanted)
        {
            return;
        }
        let above = self.index.scope_above(row);
        if let Some(above) = above.filter(|_| self.index.is_grouped) {
            self.touch(above);
        }
        let detail = self.detail;
        let open = self.touch(key);
        if open.has_row && open.request.end_ns.is_some() && row.end_ns.is_none() {
            return;
        }
        let old = std::mem::take(&mut open.request);
        let mut request = Request::new(row, detail);
        (request.marks, request.left_out) = (old.marks, request.left_out + old.left_out);
        request.children = old.children;
        let cached = (
            request.figures.cached_tokens,
            request.figures.reasoning_tokens,
        );
        request.figures = old.figures;
        (
            request.figures.cached_tokens,
            request.figures.reasoning_tokens,
        ) = cached;
        (open.has_row, open.request) = (true, request);
    }

    fn mark(&mut self, row: &MarkRow<'_>) {
        let key = Key::new(&row.span_id.0);
        let detail = self.detail;
        let open = self.touch(key);
        open.has_marks = true;
        open.request.take_mark(row, detail);
    }
}

#[cfg(test)]
#[path = "requests_tests.rs"]
mod tests;
