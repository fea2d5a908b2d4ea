//! The assembler: one direction's records, put in order by position.
//!
//! Stands between the connection table and the protocol parser. It promises pieces in order, never
//! empty, times never going back; an overlap is delivered once, a tail that was not captured is a
//! [`Piece::Gap`] of the right length, and a hole is final once [`REORDER_WINDOW_NS`] of event time
//! or [`MAX_REORDER_BYTES`] have passed. It does not look at the bytes.
//!
//! ```text
//!                 pos == next                      +--> Data, and Gap for a tail not captured
//!   record --> pos < next: trim what was delivered-+
//!                 pos > next: hold --> filled in time: drain in order
//!                                 \--> window past: Gap up to the first held, then drain
//!   end at a position that was not reached: Gap up to it
//! ```

use super::Piece;
use crate::cut::upto;
use crate::limits::{HELD_OVERHEAD_BYTES, MAX_REORDER_BYTES, REORDER_WINDOW_NS};
use crate::time::MonoNs;

/// Counts of one direction, all since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AssemblerStats {
    /// Bytes delivered as data.
    pub delivered_bytes: u64,
    /// Bytes delivered as [`Piece::Gap`]: tails not captured and holes.
    pub lost_bytes: u64,
    /// Holes between records that became final.
    pub holes: u64,
    /// Records that came before an earlier one and were held.
    pub reordered_records: u64,
    /// Bytes that came again, or after their place had been given up.
    pub stale_bytes: u64,
}

#[derive(Debug)]
struct Held {
    pos: u64,
    ts: MonoNs,
    orig_len: u64,
    bytes: Vec<u8>,
}

impl Held {
    fn cost(&self) -> usize {
        self.bytes.len() + HELD_OVERHEAD_BYTES
    }
}

/// Puts the records of one direction in order.
#[derive(Debug)]
pub(crate) struct Assembler {
    /// Position of the next byte to deliver; `None` until the first record of a joined stream.
    next: Option<u64>,
    last_ts: MonoNs,
    /// By position. Almost always empty.
    held: Vec<Held>,
    held_bytes: usize,
    ended: bool,
    stats: AssemblerStats,
}

impl Assembler {
    /// An assembler whose first byte is at `start_pos`; `None` begins at whatever comes first, and
    /// what was before it is no loss.
    pub(crate) fn new(start_pos: Option<u64>) -> Assembler {
        Assembler {
            next: start_pos,
            last_ts: MonoNs(0),
            held: Vec::new(),
            held_bytes: 0,
            ended: false,
            stats: AssemblerStats::default(),
        }
    }

    /// Bytes that it holds out of order.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Counts so far.
    pub(crate) fn stats(&self) -> AssemblerStats {
        self.stats
    }

    /// Time of the last piece that it gave.
    pub(crate) fn last_ts(&self) -> MonoNs {
        self.last_ts
    }

    /// Position of the next byte, once one is known.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn position(&self) -> Option<u64> {
        self.next
    }

    /// One record: `orig_len` bytes passed at `pos`, of which `bytes` are the first.
    pub(crate) fn handle_record(
        &mut self,
        pos: u64,
        ts: MonoNs,
        bytes: &[u8],
        orig_len: u64,
        sink: &mut (impl FnMut(Piece<'_>) + ?Sized),
    ) {
        if orig_len == 0 {
            return;
        }
        if self.ended {
            self.stats.stale_bytes = self.stats.stale_bytes.saturating_add(orig_len);
            return;
        }
        let bytes = upto(bytes, usize::try_from(orig_len).unwrap_or(usize::MAX));
        let next = *self.next.get_or_insert(pos);
        if pos > next {
            self.hold(Held {
                pos,
                ts,
                orig_len,
                bytes: bytes.to_vec(),
            });
            self.handle_timeout(ts, sink);
            while self.held_bytes > MAX_REORDER_BYTES {
                self.close_first_hole(sink);
            }
            return;
        }
        self.deliver(next, pos, ts, bytes, orig_len, sink);
        self.drain(sink);
    }

    /// Event time has come to `now`: holes older than the window become final.
    pub(crate) fn handle_timeout(
        &mut self,
        now: MonoNs,
        sink: &mut (impl FnMut(Piece<'_>) + ?Sized),
    ) {
        while self.poll_timeout().is_some_and(|at| at <= now) {
            self.close_first_hole(sink);
        }
    }

    /// When [`Assembler::handle_timeout`] wants to be called, at the latest.
    pub(crate) fn poll_timeout(&self) -> Option<MonoNs> {
        self.held
            .iter()
            .map(|h| h.ts)
            .min()
            .map(|ts| ts.plus(REORDER_WINDOW_NS))
    }

    /// Nothing more will fill the holes: all are final, all that is held comes out.
    pub(crate) fn flush(&mut self, sink: &mut (impl FnMut(Piece<'_>) + ?Sized)) {
        while !self.held.is_empty() {
            self.close_first_hole(sink);
        }
    }

    /// The direction ended. Flushes, then says [`Piece::Eof`], once; later records are stale.
    pub(crate) fn handle_eof(&mut self, ts: MonoNs, sink: &mut (impl FnMut(Piece<'_>) + ?Sized)) {
        if self.ended {
            return;
        }
        self.flush(sink);
        self.ended = true;
        let ts = self.advance_time(ts);
        sink(Piece::Eof { ts });
    }

    /// `end` bytes have passed in all: the beginning is known with it. True: some of them have not come, or wait behind
    /// a hole.
    pub(crate) fn is_behind(&mut self, end: u64) -> bool {
        if end > 0 {
            self.next.get_or_insert(0);
        }
        !self.ended && self.next.is_some_and(|next| next < end)
    }

    /// Nothing more will come of the bytes before `end`, which passed before `ts`: what is missing of them is lost.
    pub(crate) fn close_holes_before(
        &mut self,
        end: u64,
        ts: MonoNs,
        sink: &mut (impl FnMut(Piece<'_>) + ?Sized),
    ) {
        while self.held.first().is_some_and(|h| h.pos < end) {
            self.close_first_hole(sink);
        }
        if self.is_behind(end) {
            self.stats.holes += 1;
            self.gap(ts, end - self.next.unwrap_or(end), sink);
            self.next = Some(end);
            self.drain(sink);
        }
    }

    fn hold(&mut self, held: Held) {
        self.stats.reordered_records += 1;
        self.held_bytes += held.cost();
        let at = self.held.partition_point(|h| h.pos <= held.pos);
        self.held.insert(at, held);
    }

    /// Gives up the bytes before the first held record.
    fn close_first_hole(&mut self, sink: &mut (impl FnMut(Piece<'_>) + ?Sized)) {
        let Some((pos, ts)) = self.held.first().map(|h| (h.pos, h.ts)) else {
            return;
        };
        let len = pos.saturating_sub(self.next.unwrap_or(pos));
        if len > 0 {
            self.stats.holes += 1;
            // They passed before the bytes that follow them: that time, not the time of giving up,
            // or the bytes behind the hole would be told late.
            self.gap(ts, len, sink);
            self.next = Some(pos);
        }
        self.drain(sink);
    }

    fn drain(&mut self, sink: &mut (impl FnMut(Piece<'_>) + ?Sized)) {
        let mut done = 0;
        while let Some(h) = self.held.get_mut(done) {
            let next = self.next.unwrap_or(h.pos);
            if h.pos > next {
                break;
            }
            self.held_bytes -= h.cost();
            let (pos, ts, orig_len, bytes) =
                (h.pos, h.ts, h.orig_len, std::mem::take(&mut h.bytes));
            done += 1;
            self.deliver(next, pos, ts, &bytes, orig_len, sink);
        }
        if done == self.held.len() {
            self.held = Vec::new();
        } else {
            self.held.drain(..done);
        }
    }

    /// Delivers what of this record lies at or after `next`; `pos <= next`.
    fn deliver(
        &mut self,
        next: u64,
        pos: u64,
        ts: MonoNs,
        bytes: &[u8],
        orig_len: u64,
        sink: &mut (impl FnMut(Piece<'_>) + ?Sized),
    ) {
        let seen = (next - pos).min(orig_len);
        self.stats.stale_bytes = self.stats.stale_bytes.saturating_add(seen);
        if seen == orig_len {
            return;
        }
        let fresh = bytes
            .get(usize::try_from(seen).unwrap_or(usize::MAX)..)
            .unwrap_or_default();
        if !fresh.is_empty() {
            self.stats.delivered_bytes += fresh.len() as u64;
            let ts = self.advance_time(ts);
            sink(Piece::Data { ts, bytes: fresh });
        }
        let missing = orig_len - seen - fresh.len() as u64;
        if missing > 0 {
            self.gap(ts, missing, sink);
        }
        self.next = Some(pos.saturating_add(orig_len));
    }

    fn gap(&mut self, ts: MonoNs, len: u64, sink: &mut (impl FnMut(Piece<'_>) + ?Sized)) {
        self.stats.lost_bytes = self.stats.lost_bytes.saturating_add(len);
        let ts = self.advance_time(ts);
        sink(Piece::Gap { ts, len });
    }

    fn advance_time(&mut self, ts: MonoNs) -> MonoNs {
        self.last_ts = self.last_ts.max(ts);
        self.last_ts
    }
}

#[cfg(test)]
mod tests;
