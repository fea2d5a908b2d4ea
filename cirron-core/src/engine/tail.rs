//! The tail of a connection: bytes that passed before an end that was told, and that have not come.
//!
//! Stands between the records of ends and what they do to a connection ([`Conn::apply_close`]). The kernel side tells with
//! an end how many bytes of each direction had passed. Where fewer have come, the ring was full, or the end has overtaken
//! them. So such an end waits for them, as long as one waits for the bytes of any hole; then what is missing is lost, as
//! an exact hole before the end, and the end is applied with its own time.
//!
//! ```text
//!            positions reached, or unknown
//!   end ───────────────────────────────────────────────────────────▶ applied
//!      └─ positions ahead, of one direction ──▶ waits ──reached──▶ applied
//!      │                                        └──REORDER_WINDOW_NS──▶ hole, applied
//!      └─ positions ahead, of the connection ─▶ noted, lingers as any (`Ending`) ──▶ hole, applied
//! ```
//!
//! A write that has not returned is in no position: its record comes behind the end, and is no part of a hole. Positions
//! of a connection that is not read (muted) say nothing, since its bytes pass untold.

use cirron_common::conn::Positions;
use cirron_common::record::close;

use super::conn::Conn;
use super::shared::Shared;
use crate::limits::REORDER_WINDOW_NS;
use crate::stream::Direction;
use crate::time::MonoNs;

/// An end of one direction that waits.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    why: u64,
    ts: MonoNs,
    at: Positions,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Tail {
    /// How far the connection had come when it ended.
    at: Positions,
    /// In the order in which they were told, at most one of each cause.
    waiting: Vec<Waiting>,
}

impl Default for Tail {
    fn default() -> Tail {
        Tail {
            at: Positions::START,
            waiting: Vec::new(),
        }
    }
}

impl Tail {
    fn note(&mut self, at: Positions) {
        self.at.inbound = self.at.inbound.max(at.inbound);
        self.at.outbound = self.at.outbound.max(at.outbound);
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// When the first that waits has waited for long enough.
    pub(super) fn poll_timeout(&self) -> Option<MonoNs> {
        let first = self.waiting.first()?;
        Some(first.ts.plus(REORDER_WINDOW_NS))
    }
}

/// It ends one direction, and is applied when it comes.
fn is_half(why: u64) -> bool {
    matches!(
        why,
        close::READ_EOF | close::PEER_FIN | close::LOCAL_SHUT_WRITE
    )
}

impl Conn {
    /// A `CONN_CLOSE` record: `why` is one of `cirron_common::record::close`, and `at` as many bytes as had passed.
    pub(super) fn handle_close_record(
        &mut self,
        why: u64,
        at: Option<Positions>,
        ts: MonoNs,
        shared: &mut Shared,
    ) {
        self.note_net_end(at);
        let ahead = at.filter(|at| !self.muted && why != close::HELD && self.is_behind(*at));
        let waits = self.tail.as_ref().is_some_and(|t| !t.waiting.is_empty());
        if !is_half(why) {
            if let Some(at) = ahead {
                self.tail.get_or_insert_default().note(at);
            }
        } else if ahead.is_some() || waits {
            self.note_half(why, ts);
            let at = ahead.unwrap_or(Positions::START);
            let tail = self.tail.get_or_insert_default();
            if tail.waiting.iter().all(|w| w.why != why) {
                tail.waiting.push(Waiting { why, ts, at });
            }
            return;
        }
        self.apply_close(why, ts, shared);
    }

    /// Not all came that had passed, or what came waits behind a hole.
    fn is_behind(&mut self, at: Positions) -> bool {
        // What the kernel holds back has come.
        let held = self.holding.first_pos().zip(self.holding.end_pos());
        let outbound = match held {
            Some((first, end)) => end < at.outbound || self.outbound.is_behind(first),
            None => self.outbound.is_behind(at.outbound),
        };
        self.inbound.is_behind(at.inbound) || outbound
    }

    /// Bytes came. What waited for them waits no more.
    pub(super) fn apply_ends_reached(&mut self, shared: &mut Shared) {
        while let Some(first) = self.first_waiting()
            && !self.is_behind(first.at)
        {
            self.apply_first(shared);
        }
    }

    /// Event time has come to `now`.
    pub(super) fn apply_ends_due(&mut self, now: MonoNs, shared: &mut Shared) {
        let due = |tail: &Tail| tail.poll_timeout().is_some_and(|at| at <= now);
        while self.tail.as_deref().is_some_and(due) {
            self.apply_first(shared);
        }
    }

    /// The connection is over: nothing waits any more.
    pub(super) fn lose_tail(&mut self, ts: MonoNs, shared: &mut Shared) {
        while self.first_waiting().is_some() {
            self.apply_first(shared);
        }
        if let Some(tail) = self.tail.take() {
            self.lose(Direction::Inbound, tail.at.inbound, ts, shared);
            self.lose(Direction::Outbound, tail.at.outbound, ts, shared);
        }
    }

    fn first_waiting(&self) -> Option<Waiting> {
        self.tail.as_ref()?.waiting.first().copied()
    }

    fn apply_first(&mut self, shared: &mut Shared) {
        let Some(tail) = self.tail.as_mut().filter(|t| !t.waiting.is_empty()) else {
            return;
        };
        let Waiting { why, ts, at } = tail.waiting.remove(0);
        if why == close::LOCAL_SHUT_WRITE {
            self.send_rest(shared);
        }
        self.lose(Direction::Inbound, at.inbound, ts, shared);
        // What is held back comes before the hole.
        if self.holding.first_pos().is_none() {
            self.lose(Direction::Outbound, at.outbound, ts, shared);
        }
        self.apply_close(why, ts, shared);
    }

    fn lose(&mut self, dir: Direction, end: u64, ts: MonoNs, shared: &mut Shared) {
        self.feed(dir, shared, |a, sink| a.close_holes_before(end, ts, sink));
    }
}
