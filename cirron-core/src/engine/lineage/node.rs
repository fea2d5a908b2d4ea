//! One context of a process: what it descends from, and what it did.

use super::Connection;
use crate::id::Id;
use crate::scope::{ScopeKey, evidence};
use crate::time::MonoNs;

/// A context's own number, never given again: its address is.
pub(super) type Number = u64;

/// What the contexts of a process are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Python's `contextvars`.
    Contexts,
    /// Goroutines of Go.
    Goroutines,
}

impl Kind {
    /// How it is known what is done where the answer was begun.
    pub(super) fn own(self) -> &'static str {
        match self {
            Kind::Contexts => evidence::CONTEXT,
            Kind::Goroutines => evidence::GOROUTINE,
        }
    }

    /// The same of what descends.
    pub(super) fn descent(self) -> &'static str {
        match self {
            Kind::Contexts => evidence::CONTEXT_DESCENT,
            Kind::Goroutines => evidence::GOROUTINE_DESCENT,
        }
    }
}

/// The connections of which something was done in a context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Of {
    #[default]
    None,
    One(Connection),
    Several,
}

impl Of {
    pub(super) fn and(self, connection: Connection) -> Of {
        match self {
            Of::None => Of::One(connection),
            Of::One(before) if before == connection => self,
            Of::One(_) | Of::Several => Of::Several,
        }
    }
}

/// What a context was made for, as far as its descent says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) connection: Connection,
    /// `None`: nothing was in progress there when it was made.
    pub(super) request: Option<Id>,
    /// It was made where bytes of the connection were read, or in a context that reads them: what made it is of no interest.
    pub(super) is_top: bool,
}

#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) maker: Option<Number>,
    pub(super) line: Option<Line>,
    /// Connections that were read in it.
    pub(super) reads: Of,
    /// Connections on which the first byte of an answer was written in it.
    pub(super) answers: Of,
    /// The last request whose answer was begun in it.
    pub(super) answered: Option<Id>,
    /// It has read since that one was over.
    pub(super) has_read: bool,
    pub(super) ended: Option<MonoNs>,
    /// The scope that probes began in it last, or in what made it, until then.
    pub(super) told: Option<ScopeKey>,
    /// Contexts that it made, and calls in it, of which something is still to be known.
    pub(super) needed_by: usize,
    /// The request whose calls wait for its end.
    pub(super) awaited_by: Option<Id>,
}

impl Node {
    /// The answer to a request was begun in it.
    pub(super) fn answer(&mut self, request: Id, connection: Connection) {
        self.answers = self.answers.and(connection);
        (self.answered, self.has_read) = (Some(request), false);
    }

    /// Bytes of a connection were read in it, where these requests are in progress.
    pub(super) fn read(&mut self, connection: Connection, open: &[Id]) {
        self.reads = self.reads.and(connection);
        self.has_read |= self.answered.is_some_and(|before| !open.contains(&before));
    }

    /// Whether what is done in it now may be for a request that is in progress. False: perhaps for the one before, behind its
    /// answer.
    pub(super) fn may_serve(&self, request: Id) -> bool {
        let answered = self.answered;
        answered.is_none_or(|before| before == request || self.has_read)
    }

    /// Nothing more is to be known of it.
    pub(super) fn is_over(&self) -> bool {
        self.ended.is_some() && self.needed_by == 0
    }
}
