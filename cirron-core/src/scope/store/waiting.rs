//! What waits for the end of an open scope: children that are over, and marks that others gave it.
//!
//! ```text
//!  child closes --its parent is presumed, or its parent's is--> [waits at the parent]
//!    parent closes, and confirms it --> By       written behind the parent, or waits on with it at that one's parent
//!    parent closes in doubt ----------> Unknown  written below the session, with the reason
//!    no room -------------------------> Unknown  the same
//! ```
//! A parent that is presumed is written of nobody before it is known to be true: a line that was written cannot be taken
//! back. What waits is bounded ([`MAX_WAITING_BYTES`], [`MAX_WAITING_CHILDREN`], [`MAX_SCOPE_MARKS`]). It decides nothing:
//! whether there is a doubt says who closes the parent.

use super::content::{Closing, Join};
use super::told_request::{Folded, ToldRequest};
use super::traces::Ends;
use super::{Entry, Store, Withheld};
use crate::id::Id;
use crate::limits::{MAX_SCOPE_MARKS, MAX_WAITING_BYTES, MAX_WAITING_CHILDREN};
use crate::scope::label::Label;
use crate::scope::span::{AttrValue, Attrs, Mark, MarkKind, MarkValue, Span};
use crate::scope::{ScopeFacts, evidence, names};
use crate::time::MonoNs;

use super::Life;

/// A call that was made for a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// When it began.
    pub start: MonoNs,
    /// `None`: it goes on.
    pub end: Option<MonoNs>,
    /// When its first token came, of a stream.
    pub first_token: Option<MonoNs>,
}

/// A mark that is none of the content's own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NewMark {
    /// Its name.
    pub name: Label,
    /// Its value.
    pub value: MarkValue,
    /// Its attributes.
    pub attrs: Attrs,
    /// When.
    pub ts: MonoNs,
    /// Point or summary.
    pub kind: MarkKind,
    /// Whether it is the scope's.
    pub belongs: Belongs,
}

/// How it is known that a mark is a scope's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Belongs {
    /// Its program said so, or nothing else can be.
    Surely,
    /// If that one's end confirms it.
    Presumed,
    /// The same, and it is asked for by this id ([`Store::decide`]).
    Judged(Id),
}

/// A scope that is over and not written.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) span: Span,
    pub(super) marks: Vec<Mark>,
    pub(super) facts: ScopeFacts,
    /// Itself, if it is a call, and those within it that no exchange took for its own.
    pub(super) calls: Vec<Call>,
    pub(super) is_presumed: bool,
    pub(super) told: Option<ToldRequest>,
    /// Something was open that is part of it.
    pub(super) has_open_parts: bool,
    /// The end of what it is presumed to be part of has confirmed it already.
    pub(super) is_confirmed: bool,
    pub(super) ends: Ends,
    /// The trace that a header of it names.
    pub(super) said: Option<Id>,
}

/// Bytes of an attribute or mark besides its own size, about: its texts.
const TEXT_BYTES: usize = 64;

fn attrs_bytes(attrs: &Attrs) -> usize {
    attrs.len() * (size_of::<(Label, AttrValue)>() + TEXT_BYTES)
}

impl Finished {
    /// Bytes that it holds, about.
    pub(super) fn held_bytes(&self) -> usize {
        let marks = self.marks.capacity() * (size_of::<Mark>() + TEXT_BYTES);
        let ids = self.span.mark_ids.capacity() * size_of::<Id>();
        let calls = self.calls.capacity() * size_of::<Call>();
        size_of::<Finished>() + attrs_bytes(&self.span.attrs) + marks + ids + calls
    }

    pub(super) fn settle(&mut self, doubt: Option<&'static str>) {
        let doubt = doubt.filter(|_| !self.is_confirmed);
        let presumed = std::mem::replace(&mut self.is_presumed, false);
        if let Some(why) = doubt.filter(|_| presumed) {
            self.span.parent_id = None;
            self.span.attrs.remove(names::PARENT_BY);
            self.span.attrs.insert(names::PARENT_UNKNOWN, why.into());
        }
    }
}

impl NewMark {
    pub(super) fn held_bytes(&self) -> usize {
        size_of::<NewMark>() + TEXT_BYTES + attrs_bytes(&self.attrs)
    }
}

/// What waits at one scope.
#[derive(Debug, Default)]
pub(super) struct Children {
    /// In the order of their ends, each before what is part of it.
    pub(super) finished: Vec<Finished>,
    /// Those that are open and presumed to be part of it.
    open: Vec<Id>,
    pub(super) marks: Vec<NewMark>,
}

/// What comes out when the scope closes.
#[derive(Debug, Default)]
pub(super) struct Settled {
    pub(super) calls: Vec<Call>,
    pub(super) marks: Vec<NewMark>,
    pub(super) finished: Vec<Finished>,
    /// Scopes that go on and are part of it, and those among them that are requests of a program.
    pub(super) open_parts: usize,
    pub(super) open_told: usize,
    /// What a request of its program adds to it.
    pub(super) folded: Option<Folded>,
}

impl Settled {
    /// What its content is to know.
    pub(super) fn tell(&mut self, closing: &mut Closing<'_>) {
        closing.calls = std::mem::take(&mut self.calls);
    }

    /// Writes the marks that others gave.
    pub(super) fn write_marks(&mut self, closing: &mut Closing<'_>) {
        for mark in self.marks.drain(..) {
            let NewMark {
                name,
                value,
                attrs,
                ts,
                kind,
                belongs: _,
            } = mark;
            closing.marks.push(name, value, attrs, ts, kind);
        }
    }
}

impl Store {
    /// A mark of an open scope. False: it is not open, or has no room.
    pub(crate) fn mark(&mut self, id: Id, mark: NewMark) -> bool {
        let bytes = mark.held_bytes();
        let Some(entry) = self.open.get_mut(&id) else {
            return false;
        };
        let children = entry.children.get_or_insert_default();
        let has_room = children.marks.len() < MAX_SCOPE_MARKS
            && self.waiting_bytes + bytes <= MAX_WAITING_BYTES;
        if has_room {
            self.waiting_bytes += bytes;
            children.marks.push(mark);
        }
        has_room
    }

    /// Bytes of what waits.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes + self.traces_bytes()
    }

    /// Marks that were presumed to be of a scope which closed in doubt.
    pub(crate) fn lost_marks(&self) -> u64 {
        self.lost_marks
    }

    /// Times that there was no room to wait.
    pub(crate) fn waiting_full(&self) -> u64 {
        self.waiting_full
    }

    /// What an open scope is part of is not known, for this reason, whatever was presumed.
    pub(crate) fn give_up_parent(&mut self, id: Id, why: &'static str) {
        if let Some(entry) = self.open.get_mut(&id) {
            let start = &mut entry.origin.start;
            match start.join {
                Join::Plain | Join::Unknown(_) => {}
                Join::By(_) | Join::Presumed(_) | Join::Confirmed(_) => {
                    (start.parent, start.join) = (None, Join::Unknown(why));
                }
            }
        }
    }

    /// An open scope has a parent that is presumed.
    pub(super) fn note_presumed(&mut self, id: Id, parent: Option<Id>) {
        if let Some(parent) = parent.and_then(|parent| self.open.get_mut(&parent)) {
            parent.children.get_or_insert_default().open.push(id);
        }
    }

    /// `id` closes: what waited at it is its, or not for the reason that `doubt` is. `withheld`: why it is not written, nor
    /// what is its.
    pub(super) fn settle(
        &mut self,
        id: Id,
        children: Option<Box<Children>>,
        doubt: Option<&'static str>,
        withheld: Option<Withheld>,
    ) -> Settled {
        let Some(children) = children else {
            return Settled::default();
        };
        let mut settled = Settled::default();
        for mut child in children.finished {
            self.waiting_bytes -= child.held_bytes();
            self.held.remove(&child.span.id);
            child.settle(doubt);
            if child.span.parent_id == Some(id) {
                settled.calls.extend_from_slice(&child.calls);
            }
            settled.finished.push(child);
        }
        for child in children.open {
            let Some(entry) = self.open.get_mut(&child) else {
                continue;
            };
            let start = &mut entry.origin.start;
            let (by, doubt) = match start.join {
                Join::Presumed(by) => (by, doubt),
                Join::Confirmed(by) => (by, None),
                Join::Plain | Join::By(_) | Join::Unknown(_) => continue,
            };
            if start.parent != Some(id) {
                continue;
            }
            match doubt {
                Some(why) => (start.parent, start.join) = (None, Join::Unknown(why)),
                None => {
                    start.join = Join::By(by);
                    entry.withheld = entry.withheld.or(withheld);
                    settled.calls.extend(entry.call(None));
                    settled.open_parts += 1;
                    settled.open_told += usize::from(entry.is_told());
                }
            }
        }
        for mark in children.marks {
            self.waiting_bytes -= mark.held_bytes();
            if mark.belongs != Belongs::Surely && doubt.is_some() {
                self.lost_marks += 1;
            } else {
                settled.marks.push(mark);
            }
        }
        settled
    }

    /// `id` is not written, nor what was part of it; what was not is.
    pub(super) fn leave_out_children(&mut self, id: Id, finished: Vec<Finished>, why: Withheld) {
        let mut gone = vec![id];
        for child in finished {
            if child.span.parent_id.is_some_and(|id| gone.contains(&id)) {
                gone.push(child.span.id);
                if why == Withheld::LeftOut {
                    self.lives.push_back(Life::Withheld(child.facts));
                }
            } else {
                let mut child = child;
                // Its call is not written.
                child.ends.caller = child.ends.caller.filter(|id| !gone.contains(id));
                self.write(child);
            }
        }
    }

    /// It is over, and what waited at it is decided: written, or waits on.
    pub(super) fn hand_on(&mut self, own: Option<Finished>, rest: Vec<Finished>) {
        let Some(mut own) = own else {
            rest.into_iter().for_each(|child| self.write(child));
            return;
        };
        let mut rest = rest;
        self.note_around(&mut own, &mut rest);
        match self.room_at_holder(&mut own) {
            Some(holder) => {
                for one in std::iter::once(own).chain(rest) {
                    let up = one.up();
                    if one.is_presumed || up.is_some_and(|up| self.waits(up)) {
                        self.wait(one, holder);
                    } else {
                        self.write(one);
                    }
                }
            }
            None => {
                self.show(own.span.parent_id);
                self.write(own);
                rest.into_iter().for_each(|child| self.write(child));
            }
        }
    }

    /// Where it is to wait; `None`: all of its parents are certain, or there is no room, and then they are unknown.
    fn room_at_holder(&mut self, own: &mut Finished) -> Option<Id> {
        let bytes = own.held_bytes();
        loop {
            let parent = own.up()?;
            if let Some(holder) = self.held.get(&parent) {
                return Some(*holder);
            }
            if !own.is_presumed && !self.is_presumed(parent) {
                return None;
            }
            let waiting = self.open.get(&parent)?.children.as_ref();
            let count = waiting.map_or(0, |children| children.finished.len());
            if count < MAX_WAITING_CHILDREN && self.waiting_bytes + bytes <= MAX_WAITING_BYTES {
                return Some(parent);
            }
            self.waiting_full += 1;
            if own.is_presumed {
                own.settle(Some(evidence::TOO_MANY));
            } else if !self.give_up_presumed(parent) {
                return Some(parent);
            }
        }
    }

    /// Of the scopes around, the first whose parent is presumed has none that is known from now on. False: it is over, and
    /// waits itself.
    fn give_up_presumed(&mut self, id: Id) -> bool {
        let mut next = Some(id);
        while let Some(entry) = next.and_then(|id| self.open.get_mut(&id)) {
            let start = &mut entry.origin.start;
            if let Join::Presumed(_) = start.join {
                (start.parent, start.join) = (None, Join::Unknown(evidence::TOO_MANY));
                return true;
            }
            next = entry.up();
        }
        false
    }

    /// A parent of an open scope is presumed, or that one's, or of who called.
    fn is_presumed(&self, id: Id) -> bool {
        let mut next = Some(id);
        while let Some(id) = next {
            let Some(entry) = self.open.get(&id) else {
                return self.held.contains_key(&id);
            };
            if let Join::Presumed(_) = entry.origin.start.join {
                return true;
            }
            next = entry.up();
        }
        false
    }

    fn waits(&self, id: Id) -> bool {
        self.open.contains_key(&id) && self.is_presumed(id) || self.held.contains_key(&id)
    }

    fn wait(&mut self, child: Finished, holder: Id) {
        if let Some(entry) = self.open.get_mut(&holder) {
            self.waiting_bytes += child.held_bytes();
            self.held.insert(child.span.id, holder);
            entry.children.get_or_insert_default().finished.push(child);
        }
    }

    fn write(&mut self, one: Finished) {
        let mut one = one;
        self.write_trace(&mut one);
        let Finished {
            span, marks, facts, ..
        } = one;
        self.lives.push_back(Life::Closed { span, marks, facts });
    }
}

impl Entry {
    /// It is a request of a program.
    pub(super) fn is_told(&self) -> bool {
        let content = self.content.as_deref();
        content.is_some_and(|content| content.told_request().is_some())
    }

    /// The call that it is, if it is one.
    pub(super) fn call(&self, end: Option<MonoNs>) -> Option<Call> {
        let content = self.content.as_deref()?;
        content.is_call().then(|| Call {
            start: self.origin.start.at,
            end,
            first_token: content.about().first_token,
        })
    }
}
