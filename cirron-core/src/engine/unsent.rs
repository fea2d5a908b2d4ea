//! What the kernel holds back of a connection, and what it tells of arrivals.

use std::collections::VecDeque;

use cirron_common::record::flag;

use super::conn::Conn;
use super::shared::Shared;
use crate::exchange::ExchangeEvent;
use crate::limits::MAX_TOLD;
use crate::record::Data;
use crate::scope::{Arrival, ExchangeScope};
use crate::stream::{Direction, Written};
use crate::time::MonoNs;

/// Nanoseconds of a microsecond.
const US: u64 = 1_000;

/// Which of an outbound record's bytes the kernel had sent by the end of its call: those before this position.
fn sent_pos(data: &Data<'_>) -> Option<u64> {
    if data.flags & flag::HELD == 0 {
        return None;
    }
    // The low half of a position that is not far from this one.
    let ahead = data.told.wrapping_sub(data.pos as u32).cast_signed();
    Some(data.pos.saturating_add_signed(i64::from(ahead)))
}

/// What was told of a connection's last records, by their times: the event that they make may come with a later one.
#[derive(Debug, Default)]
pub(super) struct Told {
    arrivals: VecDeque<(MonoNs, Arrival)>,
    /// Times that may be wrong.
    unsure: VecDeque<MonoNs>,
}

impl Told {
    /// An inbound record: when the last bytes came of those that its read found.
    pub(super) fn arrival(&mut self, ts: MonoNs, data: &Data<'_>) {
        if data.flags & flag::WAITED == 0 {
            return;
        }
        let arrival = Arrival {
            at: MonoNs(ts.0.saturating_sub(u64::from(data.told) * US)),
            within_ns: match data.flags & flag::COARSE {
                0 => 0,
                _ => u64::from(data.slack_us) * US,
            },
        };
        keep(&mut self.arrivals, (ts, arrival));
    }

    /// An exchange began with bytes that passed at `ts`.
    pub(super) fn begin(&self, ts: MonoNs, scope: &mut ExchangeScope) {
        if let Some((_, arrival)) = self.arrivals.iter().find(|(at, _)| *at == ts) {
            scope.note_arrival(*arrival);
        }
        if self.unsure.contains(&ts) {
            scope.began_unsure();
        }
    }

    /// Bytes that passed at `ts` made this event.
    pub(super) fn touch(&self, ts: MonoNs, event: &ExchangeEvent<'_>, scope: &mut ExchangeScope) {
        if self.unsure.contains(&ts) {
            scope.is_unsure(event);
        }
    }
}

fn keep<T: PartialEq>(list: &mut VecDeque<T>, last: T) {
    if list.back() == Some(&last) {
        return;
    }
    if list.len() == MAX_TOLD {
        list.pop_front();
    }
    list.push_back(last);
}

impl Conn {
    /// An outbound record. True: its bytes are taken care of here.
    pub(super) fn keep_unsent(&mut self, ts: MonoNs, data: &Data<'_>, shared: &mut Shared) -> bool {
        let sent = sent_pos(data);
        let behind = self.holding.first_pos().is_some_and(|p| data.pos >= p);
        if sent.is_none() && !behind {
            return false;
        }
        let Some(sent) = sent else {
            // The record that said so was lost: what was held has gone, or this could not have.
            let gone = self.holding.release_sent(data.pos, None, ts);
            self.send(gone, shared);
            return false;
        };
        let written = Written {
            pos: data.pos,
            ts,
            orig_len: data.len,
            bytes: data.bytes.to_vec(),
            unsure: false,
        };
        let gone = self.holding.hold(written, sent);
        self.send(gone, shared);
        true
    }

    /// The kernel has sent what lies before `upto`, the last of it at `at`, where that is known.
    pub(super) fn handle_sent(
        &mut self,
        upto: u64,
        at: Option<MonoNs>,
        now: MonoNs,
        shared: &mut Shared,
    ) {
        let gone = self.holding.release_sent(upto, at, now);
        self.send(gone, shared);
    }

    /// Event time has come to `now`.
    pub(super) fn send_overdue(&mut self, now: MonoNs, shared: &mut Shared) {
        let gone = self.holding.handle_timeout(now);
        self.send(gone, shared);
    }

    /// No more is told of what is held.
    pub(super) fn send_rest(&mut self, shared: &mut Shared) {
        let gone = self.holding.flush();
        self.send(gone, shared);
    }

    fn send(&mut self, gone: Vec<Written>, shared: &mut Shared) {
        for w in gone {
            if w.unsure {
                keep(&mut self.told.unsure, w.ts);
            }
            self.feed(Direction::Outbound, shared, |assembler, sink| {
                assembler.handle_record(w.pos, w.ts, &w.bytes, w.orig_len, sink);
            });
        }
    }
}
