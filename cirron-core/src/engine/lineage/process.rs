//! The contexts of one process, who made whom, and in whose reads.
//!
//! ```text
//!  read of X in context c, version v
//!    made by c at v              (asyncio: the handle that reads)      --> made for X
//!    made by another one at v+1  (libuv: the first that is entered)    --> made for X
//!  a new X, on which nothing has passed, was accepted there, or got an option (`connection_made`)
//!    the same, but for an option by what is made at v alone            --> made for X
//!    any other version: something else ran in between                  --> nothing
//!  plaintext of X, of a TLS object, was read in context c, version v
//!    made by c at v              (the callback of its socket)          --> made for X
//!  made by a context that reads X and no other                         --> made for X
//!  made by one that was made for X                                     --> made for X
//!    unless that one has begun an answer, and the next request waits   --> nothing
//!
//!  made for X: for the connection while no request is in progress there, for the request while one is, for nothing that is
//!  known while several are
//! ```

use std::collections::HashMap;

use super::node::{Kind, Line, Node, Number, Of};
use super::{Connection, Moment, Read};
use crate::engine::Map;
use crate::id::Id;
use crate::limits::MAX_READERS;
use crate::time::MonoNs;

/// How a thread came to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// It read or accepted it. What it enters next is entered for that.
    Taken,
    /// It read plaintext in the callback of the connection, whatever else its context reads.
    CalledBack,
    /// It set an option of it. What it enters next is any other's.
    Tuned,
}

/// The last that a thread read, accepted, or set an option of.
#[derive(Clone, Copy, Debug)]
struct LastRead {
    context: u64,
    version: u64,
    /// `None`: of a connection that is not served, or of several in one go.
    connection: Option<Connection>,
    /// It was accepted, and something was made since.
    is_done: bool,
    seen: Seen,
}

/// Requests and contexts of one process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) kind: Kind,
    alive: Map<u64, Number>,
    pub(super) nodes: Map<Number, Node>,
    next: Number,
    /// Number of the next record of a context's life.
    expected: Option<u64>,
    threads: HashMap<u32, LastRead>,
    /// Requests in progress.
    pub(super) open: HashMap<Connection, Vec<Id>>,
}

impl Process {
    pub(super) fn new(kind: Kind) -> Process {
        Process {
            kind,
            alive: Map::default(),
            nodes: Map::default(),
            next: 0,
            expected: None,
            threads: HashMap::new(),
            open: HashMap::new(),
        }
    }

    /// The record of that number has come. One that did not is a life that is not known: what is known of others may be
    /// another's of the same address.
    pub(super) fn count(&mut self, number: u64) {
        if self.kind == Kind::Goroutines {
            return;
        }
        if self.expected.is_some_and(|expected| expected != number) {
            self.alive.clear();
            self.nodes.clear();
            self.threads.clear();
        }
        self.expected = Some(number.wrapping_add(1));
    }

    pub(super) fn number(&self, context: u64) -> Option<Number> {
        self.alive.get(&context).copied()
    }

    /// The number of a context that is alive, and perhaps was before we looked. `None`: there is none, or no room.
    pub(super) fn sight(&mut self, context: u64, has_room: bool) -> Option<Number> {
        if context == 0 {
            return None;
        }
        if let Some(number) = self.number(context) {
            return Some(number);
        }
        has_room.then(|| self.add(context, Node::default()))
    }

    fn add(&mut self, context: u64, node: Node) -> Number {
        let number = self.next;
        self.next += 1;
        self.alive.insert(context, number);
        self.nodes.insert(number, node);
        number
    }

    /// Of what made a context, and what made that: the outermost that was made for this request as well.
    pub(super) fn outermost(&self, inner: Number, request: Id) -> Option<Number> {
        let its = |number: &Number| {
            let line = self.nodes.get(number)?.line?;
            (line.request == Some(request)).then_some(*number)
        };
        let maker = |number: &Number| its(&self.nodes.get(number)?.maker?);
        std::iter::successors(its(&inner), maker).last()
    }

    /// The only request in progress there; `Err`: there are several.
    pub(super) fn in_progress(&self, connection: Connection) -> Result<Option<Id>, ()> {
        match self.open.get(&connection).map(Vec::as_slice) {
            None | Some([]) => Ok(None),
            Some([one]) => Ok(Some(*one)),
            Some(_) => Err(()),
        }
    }

    /// Bytes of a connection were read; `is_served`: of a client's.
    pub(super) fn read(&mut self, connection: Connection, what: Read, is_served: bool, at: Moment) {
        // What a goroutine reads of others' answers, databases' say, does not change for whom it works.
        if self.kind == Kind::Goroutines && !is_served {
            return;
        }
        // A loop gives an object the bytes of its socket, and takes its plaintext, in the callback of that socket: in a context
        // that may be that of many (uvloop), or of which it has made others meanwhile.
        let is_called_back = self.kind == Kind::Contexts && what == Read::Plaintext && is_served;
        let seen = if is_called_back {
            Seen::CalledBack
        } else {
            Seen::Taken
        };
        if let Some(number) = self.sight(at.context, at.has_room)
            && let Some(node) = self.nodes.get_mut(&number)
            && !is_called_back
        {
            let open = self.open.get(&connection);
            node.read(connection, open.map_or(&[], Vec::as_slice));
        }
        let before = self.threads.get(&at.tid);
        let other = before.filter(|b| b.version == at.version && b.connection != Some(connection));
        // A loop sets options of what it has accepted, and reads others before it enters a context: what is entered then is
        // not of the connection whose option was set.
        let is_alone = other.is_none_or(|other| other.seen == Seen::Tuned);
        let connection = Some(connection).filter(|_| is_served && is_alone);
        self.note_read(connection, seen, at);
    }

    /// A connection was accepted. Several may be in one go, each before what is made for the next.
    pub(super) fn accept(&mut self, connection: Connection, at: Moment) {
        let before = self.threads.get(&at.tid);
        let is_alone = before.is_none_or(|b| b.version != at.version || b.is_done);
        self.note_read(Some(connection).filter(|_| is_alone), Seen::Taken, at);
    }

    /// An option of a connection was set on which nothing had passed: what runs is told of it (`connection_made`). What is
    /// entered next is any other's.
    pub(super) fn tune(&mut self, connection: Connection, at: Moment) {
        let before = self.threads.get(&at.tid);
        let is_its = before.is_some_and(|b| b.connection == Some(connection));
        if before.is_none_or(|b| b.version != at.version) || !is_its {
            self.accept(connection, at);
        }
        if let Some(last) = self.threads.get_mut(&at.tid) {
            last.seen = Seen::Tuned;
        }
    }

    fn note_read(&mut self, connection: Option<Connection>, seen: Seen, at: Moment) {
        // A goroutine goes from thread to thread.
        if self.kind == Kind::Goroutines {
            return;
        }
        let last = LastRead {
            context: at.context,
            version: at.version,
            connection,
            is_done: false,
            seen,
        };
        if self.threads.len() >= MAX_READERS {
            // Threads end untold. One that reads on is known again.
            self.threads.clear();
        }
        self.threads.insert(at.tid, last);
    }

    /// `context` was made, by what ran there.
    pub(super) fn make(&mut self, context: u64, at: Moment) {
        if let Some(before) = self.alive.remove(&context) {
            // Its end was not told, and may have been at any time.
            self.end_of(before, MonoNs(u64::MAX));
        }
        if !at.has_room {
            return;
        }
        let maker = self.sight(at.context, true);
        let line = self.line(maker, at);
        let by = maker.and_then(|maker| self.nodes.get_mut(&maker));
        let told = by.and_then(|by| {
            by.needed_by += 1;
            by.told
        });
        let node = Node {
            maker,
            line,
            told,
            ..Node::default()
        };
        self.add(context, node);
    }

    fn line(&mut self, maker: Option<Number>, at: Moment) -> Option<Line> {
        let maker = maker.and_then(|maker| self.nodes.get(&maker));
        let reads = maker.map_or(Of::None, |maker| maker.reads);
        if self.kind == Kind::Goroutines && reads == Of::Several {
            return None;
        }
        let last = self.threads.get_mut(&at.tid).filter(|last| {
            let by_reader = last.context == at.context && last.version == at.version;
            let by_entered = last.context != at.context && last.version + 1 == at.version;
            let is_its = reads != Of::Several || last.seen == Seen::CalledBack;
            by_reader && is_its || by_entered && last.seen == Seen::Taken
        });
        let read = last.and_then(|last| {
            last.is_done = true;
            last.connection
        });
        let reader = match reads {
            Of::One(connection) => Some(connection),
            Of::None | Of::Several => None,
        };
        let top = read.or(reader);
        let line = match top {
            Some(connection) => Line {
                connection,
                request: None,
                is_top: true,
            },
            None => Line {
                is_top: false,
                ..maker?.line?
            },
        };
        let open = self.in_progress(line.connection).ok()?;
        let is_behind = |open| !line.is_top && maker.is_some_and(|maker| !maker.may_serve(open));
        match line.request {
            Some(request) if open != Some(request) => None,
            _ if open.is_some_and(is_behind) => None,
            _ => Some(Line {
                request: open,
                ..line
            }),
        }
    }

    /// A context has ended. Gives the request whose calls wait for that.
    pub(super) fn end(&mut self, context: u64, ts: MonoNs) -> Option<Id> {
        let number = self.alive.remove(&context)?;
        self.end_of(number, ts)
    }

    fn end_of(&mut self, number: Number, ts: MonoNs) -> Option<Id> {
        let node = self.nodes.get_mut(&number)?;
        node.ended = Some(ts);
        let awaited_by = node.awaited_by;
        self.tidy(number);
        awaited_by
    }

    /// Something of a context is not to be known any more.
    pub(super) fn let_go(&mut self, number: Number) {
        if let Some(node) = self.nodes.get_mut(&number) {
            node.needed_by = node.needed_by.saturating_sub(1);
            self.tidy(number);
        }
    }

    fn tidy(&mut self, number: Number) {
        let mut next = Some(number);
        while let Some(number) = next
            && self.nodes.get(&number).is_some_and(Node::is_over)
        {
            next = self.nodes.remove(&number).and_then(|node| node.maker);
            if let Some(maker) = next.and_then(|next| self.nodes.get_mut(&next)) {
                maker.needed_by = maker.needed_by.saturating_sub(1);
            }
        }
    }
}
