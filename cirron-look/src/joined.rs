//! Requests that have ended, with their marks and their session, while a spool is written.
//!
//! Between the rows of batches, which come in the order they were sealed in, and what counts or sends exchanges.
//! [`crate::requests`] gives those of a spool that is there, by reading it twice; this gives each as soon as the
//! batch with its end is read. A span that is written twice, open and closed, or in a batch that is read twice, comes
//! out once. Memory is bounded whatever the spool holds, and what a bound costs is in [`Counts`].
//!
//! The agent writes a span's marks with it, and a child not before its parent has ended; the SDK writes marks before
//! or with the span's end. So nothing is waited for: what a span's batch and those before it say is what comes out.

use std::collections::HashMap;
use std::sync::Arc;

use cirron_spool::read::Take;
use cirron_spool::rows::{MarkRow, SpanRow};

use crate::key::Key;
use crate::recent::{Placed, Recent};
use crate::request::{Detail, Figures, Kind, Request};
use crate::semconv;
use crate::session::Session;

/// Ids of ended spans that are remembered. A span comes twice within a batch or two (a batch that is sent again, an
/// open scope that closes): at 1 000 requests a second this is a minute, in 3 MB.
pub const MAX_DONE: usize = 65_536;

/// Spans whose parent is remembered, so that a descendant finds its trace and its session.
pub const MAX_PARENTS: usize = 65_536;

/// Sessions that are remembered. A node has 300 targets that restart once a minute in the worst case that we look at:
/// this is most of an hour.
pub const MAX_SESSIONS: usize = 16_384;

/// Spans with marks whose end has not come. Only writers other than the agent have any, and few at once.
pub const MAX_OPEN: usize = 2_048;

/// Scopes within one another that are followed up to the session.
const MAX_DEPTH: usize = 64;

/// What has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// What it is, whole.
    pub request: Request,
    /// Whether the process served it; of a response of a WebSocket, whether it served that. `None` where this was not
    /// seen, and of what is no exchange.
    pub is_served: Option<bool>,
}

impl Ended {
    /// Its trace and its span as OpenTelemetry has them.
    pub fn ids(&self) -> Option<([u8; 16], [u8; 8])> {
        semconv::span(&self.request).map(|span| (span.trace_id, span.span_id))
    }
}

/// What the bounds cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Spans that ended and came out.
    pub ended: u64,
    /// Spans that had come out before.
    pub repeated: u64,
    /// Marks of spans that had come out before.
    pub marks_late: u64,
    /// Spans whose marks were forgotten before their end, since too many were open.
    pub forgotten: u64,
    /// Spans whose session was not seen.
    pub sessions_unknown: u64,
}

/// What knows the sessions, and joins.
#[derive(Debug)]
pub struct Joiner {
    sessions: Recent<Arc<Session>>,
    above: Recent<Above>,
    done: Recent<()>,
    /// Marks whose span's end has not come.
    open: Recent<Request>,
    /// What ended in this batch, and where each stands.
    closing: Vec<Request>,
    places: HashMap<Key, usize>,
    counts: Counts,
    primes: bool,
    detail: Detail,
}

/// What is remembered of a span for those that are part of it.
#[derive(Clone, Copy, Debug)]
struct Above {
    parent: Key,
    is_served: Option<bool>,
}

impl Default for Joiner {
    fn default() -> Joiner {
        Joiner::new(Detail::All)
    }
}

impl Joiner {
    /// One that keeps `detail` of each span.
    pub fn new(detail: Detail) -> Joiner {
        Joiner {
            sessions: Recent::new(MAX_SESSIONS),
            above: Recent::new(MAX_PARENTS),
            done: Recent::new(MAX_DONE),
            open: Recent::new(MAX_OPEN),
            closing: Vec::new(),
            places: HashMap::new(),
            counts: Counts::default(),
            primes: false,
            detail,
        }
    }

    /// While it is on, rows tell of sessions only: for batches from before the start.
    pub fn prime(&mut self, on: bool) {
        self.primes = on;
    }

    /// What the bounds cost so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What ended in the rows since the last call: to be asked for at the end of each batch.
    pub fn settle(&mut self) -> Vec<Ended> {
        self.places.clear();
        let mut closing = std::mem::take(&mut self.closing);
        for request in &mut closing {
            self.counts.ended += 1;
            self.done.put(Key::new(&request.id), ());
            self.find_above(request);
            self.counts.sessions_unknown += u64::from(request.session.is_none());
        }
        closing
            .into_iter()
            .map(|request| self.ended(request))
            .collect()
    }

    fn ended(&self, request: Request) -> Ended {
        let is_served = match request.kind {
            Kind::Response => {
                let parent = request.parent.as_deref().map(Key::new);
                let above = parent.and_then(|parent| self.above.get(&parent));
                above.and_then(|above| above.is_served)
            }
            kind @ (Kind::Request | Kind::HttpClient | Kind::NetClient | Kind::Scope) => {
                is_served(kind)
            }
        };
        Ended { request, is_served }
    }

    fn find_above(&self, request: &mut Request) {
        request.top = Key::new(&request.id);
        request.is_top = true;
        let mut next = request.parent.as_deref().map(Key::new);
        for _ in 0..MAX_DEPTH {
            let Some(above) = next else { return };
            if let Some(session) = self.sessions.get(&above) {
                request.session = Some(Arc::clone(session));
                return;
            }
            request.is_top = false;
            request.top = above;
            next = self.above.get(&above).map(|above| above.parent);
        }
    }
}

/// Whether what is of this kind was served; `None` of what does not say it.
fn is_served(kind: Kind) -> Option<bool> {
    match kind {
        Kind::Request => Some(true),
        Kind::HttpClient => Some(false),
        Kind::NetClient | Kind::Response | Kind::Scope => None,
    }
}

impl Take for Joiner {
    fn span(&mut self, row: &SpanRow<'_>) {
        let key = Key::new(&row.id.0);
        if Session::is_one(row) {
            self.sessions.put(key, Arc::new(Session::new(row)));
            return;
        }
        if self.primes {
            return;
        }
        if let Some(parent) = &row.parent_id {
            let above = Above {
                parent: Key::new(&parent.0),
                is_served: is_served(Kind::new(&row.name.0)),
            };
            self.above.put(key, above);
        }
        if row.end_ns.is_none() {
            return;
        }
        if self.done.has(&key) || self.places.contains_key(&key) {
            self.counts.repeated += 1;
            return;
        }
        let mut request = Request::new(row, self.detail);
        if let Some(held) = self.open.take(&key) {
            let of_attrs = std::mem::take(&mut request.figures);
            request.figures = Figures {
                cached_tokens: of_attrs.cached_tokens,
                reasoning_tokens: of_attrs.reasoning_tokens,
                ..held.figures
            };
            request.marks = held.marks;
        }
        self.places.insert(key, self.closing.len());
        self.closing.push(request);
    }

    fn mark(&mut self, row: &MarkRow<'_>) {
        if self.primes {
            return;
        }
        let key = Key::new(&row.span_id.0);
        let place = self.places.get(&key).copied();
        if let Some(request) = place.and_then(|place| self.closing.get_mut(place)) {
            request.take_mark(row, self.detail);
        } else if self.done.has(&key) {
            self.counts.marks_late += 1;
        } else if let Some(held) = self.open.get_mut(&key) {
            held.take_mark(row, self.detail);
        } else {
            let mut held = Request::default();
            held.take_mark(row, self.detail);
            let forgets = self.open.put(key, held) == Placed::ForAnother;
            self.counts.forgotten += u64::from(forgets);
        }
    }
}

#[cfg(test)]
#[path = "joined_tests.rs"]
mod tests;
