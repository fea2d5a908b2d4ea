//! Verdicts on single scopes and marks that are presumed to be part of one which ends: by who made them, whatever that end
//! says of others.
//!
//! ```text
//!  Ok, by evidence --part of it at once-----> confirmed
//!     |------------part of something in it--> its evidence is that; what is around it confirms it by its own end
//!  Err, the reason ------------------------> below the session, with the reason; a mark is lost and counted
//! ```
//! Stands beside [`super::waiting`], where all of them wait. It decides nothing.

use super::content::Join;
use super::waiting::{Belongs, Call};
use super::{Id, Store};
use crate::scope::names;

impl Store {
    /// Of a scope or a mark that is presumed to be part of `parent`, or of something in it, and whose end comes next: whether it
    /// is.
    pub(crate) fn decide(
        &mut self,
        id: Id,
        parent: Id,
        verdict: Result<&'static str, &'static str>,
    ) {
        if let Some(entry) = self.open.get_mut(&id) {
            let start = &mut entry.origin.start;
            if let Join::Presumed(_) = start.join {
                (start.parent, start.join) = match verdict {
                    Ok(by) if start.parent == Some(parent) => (Some(parent), Join::Confirmed(by)),
                    Ok(by) => (start.parent, Join::Presumed(by)),
                    Err(why) => (None, Join::Unknown(why)),
                };
            }
        } else if let Some(holder) = self.held.get(&id).copied() {
            self.decide_finished(id, (holder, parent), verdict);
        } else {
            self.decide_mark(id, parent, verdict);
        }
    }

    fn decide_finished(
        &mut self,
        id: Id,
        (holder, parent): (Id, Id),
        verdict: Result<&'static str, &'static str>,
    ) {
        let waiting = self.open.get_mut(&holder);
        let Some(all) = waiting.and_then(|e| e.children.as_mut()) else {
            return;
        };
        let all = &mut all.finished;
        let Some(child) = all.iter_mut().find(|child| child.span.id == id) else {
            return;
        };
        let around = child.span.parent_id;
        let is_inside = around.is_some_and(|around| around != parent);
        if !child.is_presumed && !is_inside {
            return;
        }
        let before = child.held_bytes();
        let call = child.calls.first().copied();
        match verdict {
            Ok(by) => {
                child.is_confirmed = !is_inside;
                child.span.attrs.insert(names::PARENT_BY, by.into());
            }
            Err(why) => {
                child.is_presumed = true;
                child.settle(Some(why));
            }
        }
        self.waiting_bytes = self.waiting_bytes - before + child.held_bytes();
        if let (true, Err(_), Some(call)) = (is_inside, verdict, call) {
            // Its time is none of what was around it.
            let is_it = |other: &Call| *other == call;
            let mut next = around;
            while let Some(one) = all.iter_mut().find(|one| Some(one.span.id) == next) {
                next = one.span.parent_id;
                if let Some(at) = one.calls.iter().position(is_it) {
                    one.calls.remove(at);
                }
            }
        }
    }

    fn decide_mark(&mut self, id: Id, parent: Id, verdict: Result<&'static str, &'static str>) {
        let entry = self.open.get_mut(&parent);
        let Some(marks) = entry
            .and_then(|e| e.children.as_mut())
            .map(|c| &mut c.marks)
        else {
            return;
        };
        let Some(at) = marks.iter().position(|m| m.belongs == Belongs::Judged(id)) else {
            return;
        };
        match verdict {
            Ok(_) => {
                if let Some(mark) = marks.get_mut(at) {
                    mark.belongs = Belongs::Surely;
                }
            }
            Err(_) => {
                self.waiting_bytes -= marks.remove(at).held_bytes();
                self.lost_marks += 1;
            }
        }
    }

    /// An open scope is a request as its program tells it.
    pub(crate) fn is_told_request(&self, id: Id) -> bool {
        self.open.get(&id).is_some_and(super::Entry::is_told)
    }
}
