//! Which request a child process was forked for: what it calls is part of that request.
//!
//! ```text
//!  a thread that works for a request forks --> [for it] --the child forks--> its child is, too
//!    the child calls somebody --> presumed to be the request's
//!    the request ends, the child is gone ----> as the request's own end says
//!    the request ends, the child lives on ---> unknown: a worker that was started in passing may work for others
//! ```
//! Stands beside [`super::serving`]: whether the thread worked for the request is decided there. A child that serves requests
//! itself is asked for its own. It promises no parent by time, and holds a bounded number of children and calls.

use std::collections::HashMap;

use crate::id::Id;
use crate::limits::{MAX_PROCESSES, MAX_WAITING_CHILDREN};
use crate::scope::{Place, evidence};

/// What a child was forked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A request that is open.
    Request(Id),
    /// It may be one, and nobody knows which, for this reason.
    Unknown(&'static str),
}

#[derive(Debug)]
struct Child {
    purpose: Purpose,
    /// Those that are presumed to be the request's.
    calls: Vec<Id>,
}

/// All children that live.
#[derive(Debug, Default)]
pub(super) struct Forks {
    children: HashMap<u32, Child>,
    /// By the request that they were forked for.
    by_request: HashMap<Id, Vec<u32>>,
    /// Number of calls of all of them.
    calls: usize,
}

impl Forks {
    /// `parent`, which stood at `place`, forked `child`.
    pub(super) fn forked(&mut self, parent: u32, place: Place, child: u32) {
        self.gone(child);
        let purpose = match place {
            Place::Request(id, _) => Some(Purpose::Request(id)),
            Place::Unknown(why) => Some(Purpose::Unknown(why)),
            Place::Nowhere => self.purpose(parent),
        };
        let Some(purpose) = purpose.filter(|_| self.children.len() < MAX_PROCESSES) else {
            return;
        };
        if let Purpose::Request(id) = purpose {
            self.by_request.entry(id).or_default().push(child);
        }
        let calls = Vec::new();
        self.children.insert(child, Child { purpose, calls });
    }

    /// What a process was forked for; `None`: it is no child, or its parent served nobody.
    pub(super) fn purpose(&self, pid: u32) -> Option<Purpose> {
        self.children.get(&pid).map(|child| child.purpose)
    }

    /// A call of a child is presumed to be part of the request. False: there is no room.
    pub(super) fn call(&mut self, pid: u32, call: Id) -> bool {
        let child = self.children.get_mut(&pid);
        let Some(child) = child.filter(|child| child.calls.len() < MAX_WAITING_CHILDREN) else {
            return false;
        };
        child.calls.push(call);
        self.calls += 1;
        true
    }

    /// A process has ended.
    pub(super) fn gone(&mut self, pid: u32) {
        self.release(pid);
    }

    fn unlist(&mut self, request: Id, pid: u32) {
        if let Some(pids) = self.by_request.get_mut(&request) {
            pids.retain(|other| *other != pid);
            if pids.is_empty() {
                self.by_request.remove(&request);
            }
        }
    }

    /// A process lives on, and is watched no more. The request that it was forked for, and the calls that are not known to be
    /// part of it.
    pub(super) fn release(&mut self, pid: u32) -> Option<(Id, Vec<Id>)> {
        let Child { purpose, calls } = self.children.remove(&pid)?;
        self.calls -= calls.len();
        let Purpose::Request(id) = purpose else {
            return None;
        };
        self.unlist(id, pid);
        Some((id, calls))
    }

    /// A request is over. The calls of its children that live on.
    pub(super) fn end(&mut self, request: Id) -> Vec<Id> {
        let mut calls = Vec::new();
        for pid in self.by_request.remove(&request).into_iter().flatten() {
            if let Some(child) = self.children.get_mut(&pid) {
                child.purpose = Purpose::Unknown(evidence::PARENT_ENDED);
                calls.append(&mut child.calls);
            }
        }
        self.calls -= calls.len();
        calls
    }

    /// Bytes that it holds, about.
    pub(super) fn held_bytes(&self) -> usize {
        let places = size_of::<(u32, Child)>() + size_of::<(Id, Vec<u32>)>() + size_of::<u32>();
        2 * (self.calls * size_of::<Id>() + self.children.len() * places)
    }
}
