//! Every scope that is open, by id.
//!
//! ```text
//!  producer --open--> [Opened] --get_mut, with--> [Changed]* --close--> [Closed]   a span and its marks
//!                         |                           |---forget--> [Forgotten]    nothing is written
//!                         |                           |---close, where withheld--> [Withheld]   the same, counted
//!                         +--a child is written------> [Shown]                     the span, still open
//! ```
//! A producer (an exchange, a turn of a WebSocket, later a probe) says once where its scope begins ([`Origin`]) and
//! leaves its state here ([`Content`]); the store writes the span, gives ids, and keeps the order: no child is
//! written before its parents. `Closed` and `Shown` cost a line of the spool. The other lives are told only while
//! somebody watches, `Changed` once until the scope's row was asked for. It promises nothing about the content,
//! which stays its producer's, and does not bound itself: what scopes hold is in the engine's budget. A parent that is
//! presumed ([`Join::Presumed`]) is written when its end has confirmed it: until then its children wait ([`waiting`]).

mod content;
mod hash;
mod row;
mod told_request;
mod traces;
mod verdict;
mod waiting;

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;

pub(crate) use content::{Closing, Content, Desk, ScopeFacts};
pub use content::{Join, Origin, Start};
pub use row::{About, Row, Rows};
pub(crate) use told_request::ToldRequest;

use self::hash::IdHasher;
use self::traces::{Ended, Ends};
pub(crate) use self::waiting::{Belongs, Call, NewMark};
use self::waiting::{Children, Finished, Settled};
use super::evidence;
use super::names;
use super::span::{Attrs, Mark, Span};
use crate::id::{Id, IdSource};
use crate::time::MonoNs;

/// Bytes of one scope besides its content: its place in a table that has just grown.
const ENTRY_BYTES: usize = 2 * size_of::<(Id, Entry)>();

/// By the ids of scopes.
type IdMap<V> = HashMap<Id, V, BuildHasherDefault<IdHasher>>;

/// What becomes of scopes, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Life {
    /// What costs no line of the spool. Only while somebody watches.
    Watched(Watched),
    /// It goes on, and a child of it is to be written: its span so far.
    Shown(Span),
    /// It is over, and a rule keeps it from being written.
    Withheld(ScopeFacts),
    /// It is over.
    Closed {
        /// Its span.
        span: Span,
        /// Its marks.
        marks: Vec<Mark>,
        /// What is counted of it.
        facts: ScopeFacts,
    },
}

/// A life that is told only while somebody watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// It began.
    Opened(Id),
    /// There is more to say of it; told once until its row was asked for.
    Changed(Id),
    /// It is over, and is not written.
    Forgotten(Id),
}

/// An open scope.
#[derive(Debug)]
struct Entry {
    origin: Origin,
    /// `None` while its producer works on it.
    content: Option<Box<dyn Content>>,
    /// Its span was written, still open.
    shown: bool,
    /// `Changed` was told, and its row was not asked for since.
    told: bool,
    /// It is not written, nor what is opened in it.
    withheld: Option<Withheld>,
    /// A scope was opened in it that may be written before it.
    is_parent: bool,
    /// Scopes that are open and surely part of it.
    open_parts: u32,
    /// The scope that counts it among those.
    part_of: Option<Id>,
    /// What waits for its end.
    children: Option<Box<Children>>,
    /// What it is joined to.
    ends: Option<Box<Ends>>,
}

/// Why a scope is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Withheld {
    /// A rule ignores it.
    Ignored,
    /// It was not among those that sampling takes.
    LeftOut,
}

/// All scopes that are open.
pub(crate) struct Store {
    ids: Box<dyn IdSource + Send>,
    open: IdMap<Entry>,
    /// Number of open scopes of each process that has any.
    processes: HashMap<u32, usize>,
    /// Ends that were told while a parent was worked on, with their times, and what makes them doubtful.
    closing: VecDeque<(Id, MonoNs, Option<&'static str>)>,
    /// Scopes that are over and wait, each with the open one at which it does.
    held: IdMap<Id>,
    /// Of scopes that are written.
    ended: Ended,
    /// Bytes of what waits.
    waiting_bytes: usize,
    /// Times that there was no room to wait.
    waiting_full: u64,
    lost_marks: u64,
    lives: VecDeque<Life>,
    watched: bool,
    /// Producers that work on a scope now, one within the other.
    at_work: usize,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("open", &self.open.len())
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Nothing is open. `ids` makes the ids of scopes, marks and requests.
    pub(crate) fn new(ids: Box<dyn IdSource + Send>) -> Store {
        Store {
            ids,
            open: HashMap::default(),
            processes: HashMap::new(),
            closing: VecDeque::new(),
            held: HashMap::default(),
            ended: Ended::default(),
            waiting_bytes: 0,
            waiting_full: 0,
            lost_marks: 0,
            lives: VecDeque::new(),
            watched: false,
            at_work: 0,
        }
    }

    /// Whether lives are told that cost no line of the spool.
    pub(crate) fn watch(&mut self, watched: bool) {
        self.watched = watched;
    }

    /// An id that nothing else has.
    pub(crate) fn next_id(&mut self) -> Id {
        self.ids.next_id()
    }

    /// A scope begins.
    pub(crate) fn open(&mut self, start: Start, content: Box<dyn Content>) -> Id {
        let id = self.ids.next_id();
        *self.processes.entry(start.pid).or_default() += 1;
        // What is presumed may turn out to be no child of it.
        let is_presumed = matches!(start.join, Join::Presumed(_));
        let parent = start.parent.filter(|_| !is_presumed);
        let parent = parent.and_then(|parent| self.open.get_mut(&parent));
        let mut part_of = None;
        let withheld = parent.and_then(|parent| {
            parent.is_parent = true;
            parent.open_parts += 1;
            part_of = start.parent;
            parent.withheld
        });
        let entry = Entry {
            origin: Origin { id, start },
            content: Some(content),
            shown: false,
            told: false,
            withheld,
            is_parent: false,
            open_parts: 0,
            part_of,
            children: None,
            ends: None,
        };
        self.open.insert(id, entry);
        if is_presumed {
            self.note_presumed(id, start.parent);
        }
        if self.watched {
            self.lives.push_back(Life::Watched(Watched::Opened(id)));
        }
        id
    }

    /// The content of an open scope; `None`: it is not open, or is another producer's.
    pub(crate) fn get<C: Content>(&self, id: Id) -> Option<&C> {
        let content: &dyn Any = self.open.get(&id)?.content.as_deref()?;
        content.downcast_ref()
    }

    /// The same, to be changed.
    pub(crate) fn get_mut<C: Content>(&mut self, id: Id) -> Option<&mut C> {
        let entry = self.open.get_mut(&id)?;
        if self.watched && !std::mem::replace(&mut entry.told, true) {
            self.lives.push_back(Life::Watched(Watched::Changed(id)));
        }
        let content: &mut dyn Any = entry.content.as_deref_mut()?;
        content.downcast_mut()
    }

    /// The same, where the work opens, changes or closes children of the scope: at the desk that it is given.
    pub(crate) fn with<C: Content, T>(
        &mut self,
        id: Id,
        work: impl FnOnce(&mut C, &mut Desk<'_>) -> T,
    ) -> Option<T> {
        let entry = self.open.get_mut(&id)?;
        let parent = entry.origin;
        let mut content = entry.content.take()?;
        self.at_work += 1;
        let any: &mut dyn Any = &mut *content;
        let done = any
            .downcast_mut()
            .map(|content| work(content, &mut Desk::new(self, parent)));
        self.at_work -= 1;
        if let Some(entry) = self.open.get_mut(&id) {
            entry.content = Some(content);
            if self.watched && !std::mem::replace(&mut entry.told, true) {
                self.lives.push_back(Life::Watched(Watched::Changed(id)));
            }
        }
        self.write_closed();
        done
    }

    /// It began earlier than was thought when it was opened.
    pub(crate) fn begin_at(&mut self, id: Id, start: MonoNs) {
        if let Some(entry) = self.open.get_mut(&id) {
            entry.origin.start.at = start;
        }
    }

    /// A scope is over. Its parents that are open are shown before it is written.
    pub(crate) fn close(&mut self, id: Id, end: MonoNs) {
        self.close_in_doubt(id, end, None);
    }

    /// The same. `doubt`: why what was presumed to be part of it may not be.
    pub(crate) fn close_in_doubt(&mut self, id: Id, end: MonoNs, doubt: Option<&'static str>) {
        self.closing.push_back((id, end, doubt));
        self.write_closed();
    }

    /// A scope is over, and is not to be written.
    pub(crate) fn forget(&mut self, id: Id) {
        let Some(mut entry) = self.take(id) else {
            return;
        };
        if self.watched {
            self.lives.push_back(Life::Watched(Watched::Forgotten(id)));
        }
        self.leave_callee(entry.ends.as_deref());
        let doubt = Some(evidence::BEGAN_BEFORE);
        let mut settled = self.settle(id, entry.children.take(), doubt, None);
        let callee = settled.finished.iter_mut();
        callee
            .filter(|one| one.ends.caller == Some(id))
            .for_each(|one| one.ends.caller = None);
        self.hand_on(None, settled.finished);
    }

    /// A rule keeps it from being written, with what is opened in it from now on. What was opened in it before may be
    /// written already, and then it is written too.
    pub(crate) fn withhold(&mut self, id: Id, why: Withheld) {
        if let Some(entry) = self.open.get_mut(&id).filter(|entry| !entry.is_parent) {
            entry.withheld = Some(why);
        }
    }

    /// Why an open scope is not going to be written, where that is so.
    pub(crate) fn withheld(&self, id: Id) -> Option<Withheld> {
        self.open.get(&id)?.withheld
    }

    /// The next life.
    pub(crate) fn next_life(&mut self) -> Option<Life> {
        self.lives.pop_front()
    }

    /// Whether it is open.
    pub(crate) fn is_open(&self, id: Id) -> bool {
        self.open.contains_key(&id)
    }

    /// Where an open scope began.
    pub(crate) fn origin(&self, id: Id) -> Option<&Origin> {
        self.open.get(&id).map(|entry| &entry.origin)
    }

    /// Whether an open scope is part of `around`, as far as is known or presumed.
    pub(crate) fn is_within(&self, id: Id, around: Id) -> bool {
        let mut next = Some(id);
        while let Some(id) = next
            && id != around
        {
            next = self.open.get(&id).and_then(|e| e.origin.start.parent);
        }
        next.is_some()
    }

    /// What is known of an open scope now. From here on `Changed` is told again.
    pub(crate) fn row(&mut self, id: Id) -> Option<Row> {
        let entry = self.open.get_mut(&id)?;
        entry.told = false;
        Row::new(&entry.origin, entry.content.as_deref()?)
    }

    /// The same of those that are open and began first, in that order, and how many others there are.
    pub(crate) fn rows(&mut self, at_most: usize) -> Rows {
        let mut all: Vec<(MonoNs, Id)> = Vec::new();
        let (mut served, mut made) = (0, 0);
        for entry in self.open.values() {
            let Some(content) = &entry.content else {
                continue;
            };
            all.push((entry.origin.start.at, entry.origin.id));
            match &*content.name() {
                names::REQUEST => served += 1,
                names::HTTP_CLIENT => made += 1,
                _ => {}
            }
        }
        let others = all.len().saturating_sub(at_most);
        if others > 0 {
            all.select_nth_unstable(at_most);
            all.truncate(at_most);
        }
        all.sort_unstable();
        let first = all.into_iter().filter_map(|(_, id)| self.row(id)).collect();
        Rows {
            first,
            others,
            served,
            made,
        }
    }

    /// Whether a scope of that process is open.
    pub(crate) fn serves(&self, pid: u32) -> bool {
        self.processes.contains_key(&pid)
    }

    /// Bytes that an open scope holds, about. Of its children its content may tell.
    pub(crate) fn held_bytes(&self, id: Id) -> usize {
        let content = self.open.get(&id).and_then(|e| e.content.as_deref());
        content.map_or(0, |content| ENTRY_BYTES + content.held_bytes())
    }

    fn take(&mut self, id: Id) -> Option<Entry> {
        let entry = self.open.remove(&id)?;
        if let Some(parent) = entry.part_of.and_then(|id| self.open.get_mut(&id)) {
            parent.open_parts -= 1;
        }
        let pid = entry.origin.start.pid;
        if let Some(count) = self.processes.get_mut(&pid) {
            *count -= 1;
            if *count == 0 {
                self.processes.remove(&pid);
            }
        }
        if self.open.is_empty() && self.open.capacity() > KEPT_CAPACITY {
            self.open = HashMap::default();
        }
        Some(entry)
    }

    /// Writes what was closed, unless somebody works on what may be its parent.
    fn write_closed(&mut self) {
        if self.at_work > 0 {
            return;
        }
        while let Some((id, end, doubt)) = self.closing.pop_front() {
            let Some(mut entry) = self.take(id) else {
                continue;
            };
            let children = entry.children.take();
            let mut settled = self.settle(id, children, doubt, entry.withheld);
            if let Some(why) = entry.withheld {
                self.leave_callee(entry.ends.as_deref());
                self.leave_out(entry, end, why);
                self.leave_out_children(id, settled.finished, why);
            } else {
                settled.fold(id);
                let own = self.finish(entry, end, &mut settled);
                self.hand_on(own, settled.finished);
            }
        }
    }

    /// Writes the open parents that were not, the outermost first.
    fn show(&mut self, parent: Option<Id>) {
        let Some(id) = parent else { return };
        let Some(entry) = self.open.get_mut(&id).filter(|entry| !entry.shown) else {
            return;
        };
        entry.shown = true;
        let grandparent = entry.origin.start.parent;
        self.show(grandparent);
        let Some(entry) = self.open.get(&id) else {
            return;
        };
        if let Some(content) = &entry.content {
            let mut attrs = Attrs::new();
            content.describe(&mut attrs);
            let span = entry.origin.span(&**content, None, attrs, Vec::new());
            self.lives.push_back(Life::Shown(span));
        }
    }

    /// What is left out by sampling is read as any other, so that it counts as any other.
    fn leave_out(&mut self, entry: Entry, end: MonoNs, why: Withheld) {
        let id = entry.origin.id;
        if let (Some(content), Withheld::LeftOut) = (entry.content, why) {
            let mut closing = Closing::new(entry.origin, end, self.ids.as_mut());
            content.finish(&mut closing);
            self.lives.push_back(Life::Withheld(closing.facts));
        }
        if self.watched {
            self.lives.push_back(Life::Watched(Watched::Forgotten(id)));
        }
    }

    fn finish(&mut self, entry: Entry, end: MonoNs, settled: &mut Settled) -> Option<Finished> {
        let call = entry.call(Some(end));
        let has_open_parts = entry.open_parts > 0 || settled.open_parts > 0;
        let ends = entry.ends.as_deref().copied().unwrap_or_default();
        let content = entry.content?;
        let said = content.trace();
        let told = content.told_request();
        let origin = entry.origin;
        let (name, index) = (content.name(), content.index());
        let mut closing = Closing::new(origin, end, self.ids.as_mut());
        settled.tell(&mut closing);
        content.finish(&mut closing);
        settled.write_marks(&mut closing);
        settled.write_folded(&mut closing);
        let Closing {
            attrs,
            facts,
            cpu_ns,
            marks,
            calls,
        } = closing;
        let marks = marks.finish();
        let mark_ids = marks.iter().map(|m| m.id).collect();
        let end = Some(end.max(origin.start.at));
        let span = Span {
            name,
            index,
            cpu_ns,
            ..origin.bare_span(end, attrs, mark_ids)
        };
        let is_presumed = matches!(origin.start.join, Join::Presumed(_));
        Some(Finished {
            span,
            marks,
            facts,
            calls: call.into_iter().chain(calls).collect(),
            is_presumed,
            told,
            has_open_parts,
            is_confirmed: false,
            ends,
            said,
        })
    }
}

/// Places of a table that is kept when nothing is open any more: a server that is at rest for a moment fills it again.
const KEPT_CAPACITY: usize = 1_024;

#[cfg(test)]
mod tests;
