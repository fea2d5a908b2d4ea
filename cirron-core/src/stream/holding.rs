//! Bytes that the target has written and the kernel has not sent: they wait here for the record that says
//! when it did, and go on with that time.
//!
//! Stands before the assembler of the outbound direction, and is empty unless the kernel holds something
//! back (`MSG_MORE`, `TCP_CORK`, Nagle, a closed window). It promises that each byte comes out once, stamped not
//! before it was written, and that none waits longer than [`MAX_UNSENT_NS`] or with more than
//! [`MAX_UNSENT_BYTES`] of others; whose time is not known comes out as unsure.

use std::collections::VecDeque;

use crate::limits::{HELD_OVERHEAD_BYTES, MAX_UNSENT_BYTES, MAX_UNSENT_NS, UNSURE_NS};
use crate::time::MonoNs;

/// Bytes of one record, as the assembler takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// Position of the first.
    pub pos: u64,
    /// When the kernel sent them or, `unsure`, when they were written or seen to have gone.
    pub ts: MonoNs,
    /// Bytes that passed.
    pub orig_len: u64,
    /// The first of them.
    pub bytes: Vec<u8>,
    /// `ts` may be wrong by more than [`UNSURE_NS`].
    pub unsure: bool,
}

impl Written {
    fn end(&self) -> u64 {
        self.pos.saturating_add(self.orig_len)
    }

    fn cost(&self) -> usize {
        self.bytes.len() + HELD_OVERHEAD_BYTES
    }

    /// Takes off what lies before `pos`, which is within.
    fn split(&mut self, pos: u64) -> Written {
        let len = pos - self.pos;
        let rest = match usize::try_from(len) {
            Ok(len) if len < self.bytes.len() => self.bytes.split_off(len),
            _ => Vec::new(),
        };
        let first = Written {
            pos: self.pos,
            ts: self.ts,
            orig_len: len,
            bytes: std::mem::replace(&mut self.bytes, rest),
            unsure: self.unsure,
        };
        self.pos = pos;
        self.orig_len -= len;
        first
    }
}

/// What is held back of one direction, in order of position.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    held: VecDeque<Written>,
    bytes: usize,
    /// When it was last known to be held.
    looked: MonoNs,
}

impl Holding {
    /// Nothing is held.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Bytes that it costs.
    pub(crate) fn held_bytes(&self) -> usize {
        self.bytes
    }

    /// Position of the first byte that is held.
    pub(crate) fn first_pos(&self) -> Option<u64> {
        self.held.front().map(|w| w.pos)
    }

    /// Position behind the last byte that is held.
    pub(crate) fn end_pos(&self) -> Option<u64> {
        self.held.back().map(Written::end)
    }

    /// A write of which the kernel has sent what lies before `sent`. Gives what need not wait.
    pub(crate) fn hold(&mut self, mut written: Written, sent: u64) -> Vec<Written> {
        self.looked = self.looked.max(written.ts);
        let mut out = Vec::new();
        if sent >= written.end() {
            return vec![written];
        }
        if sent > written.pos {
            out.push(written.split(sent));
        }
        self.bytes += written.cost();
        let at = self.held.partition_point(|w| w.pos <= written.pos);
        self.held.insert(at, written);
        while self.bytes > MAX_UNSENT_BYTES {
            out.extend(self.give_up());
        }
        out
    }

    /// The kernel has sent what lies before `upto`: the last of it at `at` or, where that is not known, by `now`.
    pub(crate) fn release_sent(
        &mut self,
        upto: u64,
        at: Option<MonoNs>,
        now: MonoNs,
    ) -> Vec<Written> {
        let mut out = Vec::new();
        let unsure = at.is_none() && now.since(self.looked) > UNSURE_NS;
        // Not just then, when what follows passes: times tell which bytes are unsure.
        let at = at.unwrap_or(MonoNs(now.0.saturating_sub(u64::from(unsure))));
        while let Some(first) = self.held.front_mut().filter(|w| w.pos < upto) {
            let mut gone = if first.end() <= upto {
                self.bytes -= first.cost();
                match self.held.pop_front() {
                    Some(whole) => whole,
                    None => break,
                }
            } else {
                let before = first.cost();
                let part = first.split(upto);
                self.bytes = self.bytes + first.cost() - before;
                part
            };
            gone.ts = gone.ts.max(at);
            gone.unsure = unsure;
            out.push(gone);
        }
        self.looked = self.looked.max(now);
        out
    }

    /// Event time has come to `now`: what has waited for too long goes on.
    pub(crate) fn handle_timeout(&mut self, now: MonoNs) -> Vec<Written> {
        let mut out = Vec::new();
        while self.poll_timeout().is_some_and(|at| at <= now) {
            out.extend(self.give_up());
        }
        out
    }

    /// When [`Holding::handle_timeout`] wants to be called, at the latest.
    pub(crate) fn poll_timeout(&self) -> Option<MonoNs> {
        self.held.front().map(|w| w.ts.plus(MAX_UNSENT_NS))
    }

    /// Nothing more will be told of what is held.
    pub(crate) fn flush(&mut self) -> Vec<Written> {
        let mut out = Vec::new();
        while let Some(first) = self.give_up() {
            out.push(first);
        }
        out
    }

    fn give_up(&mut self) -> Option<Written> {
        let mut first = self.held.pop_front()?;
        self.bytes -= first.cost();
        first.unsure = true;
        Some(first)
    }
}

#[cfg(test)]
mod tests;
