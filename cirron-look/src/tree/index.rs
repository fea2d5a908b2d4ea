//! The first reading: of each span only where it hangs, when it was and what it was called.
//!
//! Some 100 bytes a span, so that a spool of 1 GB takes 40 MB. The rest is read again for what
//! is drawn ([`super::rows`]). Batches come newest first, so that the oldest spans are those for
//! which there is no room.

use std::collections::HashMap;

use crate::endpoint::{EndpointId, Endpoints};
use crate::filter::{Filter, has_failed};
use crate::key::Key;
use cirron_spool::read::Take;
use cirron_spool::rows::{MarkRow, Scalar, SpanRow};

/// Spans that are kept; past it the oldest batches' are. A default spool (1 GB) holds fewer
/// exchanges than this.
pub(super) const MAX_SPANS: usize = 1_000_000;

/// Where a span is in [`Index::spans`].
pub(super) type At = u32;

/// What is known of a span.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Its id.
    pub(super) key: Key,
    /// Its parent's, where it has one.
    pub(super) parent: Option<Key>,
    /// That of the call which it answers, where one is known.
    pub(super) caller: Option<Key>,
    /// Wall clock.
    pub(super) start_ns: u64,
    /// The batch that it is taken from, counted in the order of reading.
    pub(super) batch: u32,
    /// Not open.
    pub(super) is_closed: bool,
    /// A session's root, by its name.
    pub(super) is_session: bool,
    /// Something of a session's own to say, though nothing hangs below.
    pub(super) has_note: bool,
    /// It went wrong.
    pub(super) has_failed: bool,
    /// The filter wants it.
    pub(super) is_wanted: bool,
    /// What was called.
    pub(super) endpoint: EndpointId,
}

/// The spans of a spool.
#[derive(Debug)]
pub(super) struct Index {
    /// In the order first read.
    pub(super) spans: Vec<Entry>,
    /// What was called.
    pub(super) endpoints: Endpoints,
    places: HashMap<Key, At>,
    max: usize,
    filter: Filter,
    /// Batches begun.
    batch: u32,
    /// Rows that came when there was no room.
    pub(super) past: usize,
}

impl Index {
    /// An empty one of at most `max` spans.
    pub(super) fn new(max: usize, filter: Filter) -> Index {
        Index {
            spans: Vec::new(),
            endpoints: Endpoints::default(),
            places: HashMap::new(),
            max,
            filter,
            batch: 0,
            past: 0,
        }
    }

    /// The next batch begins.
    pub(super) fn begin(&mut self) {
        self.batch += 1;
    }

    /// Whether it is drawn: a session, or what the filter wants.
    fn is_drawn(&self, at: usize) -> bool {
        self.spans
            .get(at)
            .is_some_and(|span| span.is_session || span.is_wanted)
    }

    /// Whether something was asked for.
    pub(super) fn is_filtered(&self) -> bool {
        self.filter.is_any()
    }

    /// The place of the call that a request answers, below which it is drawn instead of its session: one tree goes from a
    /// gateway to the model's server. Not where a filter may leave out what is around the call.
    pub(super) fn answered(&self, span: &Entry) -> Option<At> {
        let caller = span.caller.filter(|_| !self.is_filtered())?;
        let at = self.place(caller)?;
        let call = self.spans.get(at as usize)?;
        (!call.is_session && !span.is_session).then_some(at)
    }

    /// The session of a span that is drawn below a call of another process.
    pub(super) fn session_elsewhere(&self, at: At) -> Option<At> {
        let span = self.spans.get(at as usize)?;
        let parent = span.parent.filter(|_| self.answered(span).is_some())?;
        self.place(parent)
    }

    /// The place above each span: that of the call that it answers, else its parent's, behind all of them for a root, and
    /// behind that for what the filter leaves out below a session or at the top.
    pub(super) fn above(&self) -> Vec<usize> {
        let count = self.spans.len();
        let above = |(at, span): (usize, &Entry)| {
            if let Some(call) = self.answered(span) {
                return call as usize;
            }
            let parent = span
                .parent
                .and_then(|key| self.place(key))
                .map(|at| at as usize);
            let is_below = parent
                .and_then(|at| self.spans.get(at))
                .is_some_and(|above| !above.is_session);
            match parent {
                _ if !is_below && !self.is_drawn(at) => count + 1,
                Some(at) => at,
                None => count,
            }
        };
        self.spans.iter().enumerate().map(above).collect()
    }

    /// Where a span is.
    pub(super) fn place(&self, key: Key) -> Option<At> {
        self.places.get(&key).copied()
    }
}

/// Attributes of a session that are said though nothing hangs below it.
pub(super) const NOTES: [&str; 3] = [
    "cirron.tls.blind",
    "cirron.tls.unread_connections",
    "cirron.tls.silent_connections",
];

impl Take for Index {
    fn span(&mut self, row: &SpanRow<'_>) {
        let key = Key::new(&row.id.0);
        let place = self.place(key);
        // Of two with one id the closed one, else the later, as the SDK's readers have it. Another
        // batch's is the earlier.
        if let Some(old) = place.and_then(|at| self.spans.get(at as usize)) {
            let closes = row.end_ns.is_some() && !old.is_closed;
            let keeps_open = row.end_ns.is_none() && old.is_closed;
            if !closes && (keeps_open || old.batch != self.batch) {
                return;
            }
        }
        if place.is_none() && self.spans.len() >= self.max {
            self.past += 1;
            return;
        }
        let entry = Entry {
            key,
            parent: row.parent_id.as_ref().map(|id| Key::new(&id.0)),
            caller: row
                .attrs
                .get("cirron.caller.span_id")
                .and_then(Scalar::as_text)
                .map(Key::new),
            start_ns: row.start_ns,
            batch: self.batch,
            is_closed: row.end_ns.is_some(),
            is_session: row.parent_id.is_none() && row.name.0 == "cirron.session",
            has_note: NOTES.iter().any(|name| row.attrs.get(name).is_some()),
            has_failed: has_failed(row),
            is_wanted: self.filter.wants(row),
            endpoint: self.endpoints.add(row),
        };
        match place.and_then(|at| self.spans.get_mut(at as usize)) {
            Some(old) => *old = entry,
            None => {
                self.places.insert(key, self.spans.len() as At);
                self.spans.push(entry);
            }
        }
    }

    fn mark(&mut self, _: &MarkRow<'_>) {}
}
