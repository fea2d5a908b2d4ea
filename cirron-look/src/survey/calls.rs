//! One call as a few numbers: some 100 bytes, so that a spool of a million takes 100 MB.
//!
//! Figures are kept as `f32`: seven digits, more than two runs agree in. What is not known is not a number.

use crate::key::Key;

/// Bits of what is true of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(pub(crate) u32);

impl Flags {
    /// Its status or its body says that it failed.
    pub(crate) const FAILED: Flags = Flags(1);
    /// It ended before its answer was whole.
    pub(crate) const ABORTED: Flags = Flags(1 << 1);
    /// By its client.
    pub(crate) const BY_CLIENT: Flags = Flags(1 << 2);
    /// A hole, a late attach or an early end touched it.
    pub(crate) const PARTIAL: Flags = Flags(1 << 3);
    /// Its beginning was not seen.
    pub(crate) const LATE: Flags = Flags(1 << 4);
    /// It calls a model.
    pub(crate) const MODEL: Flags = Flags(1 << 5);
    /// Its times rest on bytes that the kernel held back.
    pub(crate) const HELD: Flags = Flags(1 << 6);
    /// Its events came all at once.
    pub(crate) const BURST: Flags = Flags(1 << 7);
    /// Its tokens were counted by the agent.
    pub(crate) const ESTIMATED: Flags = Flags(1 << 8);
    /// No body of its answer could be read.
    pub(crate) const UNREAD: Flags = Flags(1 << 9);
    /// The agent gave it up to keep its bound of memory.
    pub(crate) const GIVEN_UP: Flags = Flags(1 << 10);
    /// It stands for several: a rule samples.
    pub(crate) const SAMPLED: Flags = Flags(1 << 11);
    /// Another process that is watched made it.
    pub(crate) const CALLED_FROM_HERE: Flags = Flags(1 << 12);
    /// Its end was not seen.
    pub(crate) const END_LOST: Flags = Flags(1 << 13);
    /// Its answer is a stream.
    pub(crate) const STREAM: Flags = Flags(1 << 14);
    /// A number of its tokens is a lower bound.
    pub(crate) const LOWER_BOUND: Flags = Flags(1 << 15);

    pub(crate) fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) fn add(&mut self, other: Flags) {
        self.0 |= other.0;
    }
}

/// What kind of scope it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Marks came of it, and no span yet.
    #[default]
    Unknown,
    /// `request`: the process answered.
    Served,
    /// `http.client`: the process asked.
    Made,
    /// `response`: an answer on a WebSocket.
    Turn,
}

/// A name in [`super::names::Names`].
pub(crate) type NameId = u16;

/// What is read off a call; `None` where that is not known.
pub(crate) type Figure = fn(&Call) -> Option<f32>;

/// A call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) key: Key,
    pub(crate) parent: Key,
    pub(crate) start_ns: u64,
    /// 0 while it is open.
    pub(crate) end_ns: u64,
    pub(crate) ttft_ms: f32,
    pub(crate) tpot_ms: f32,
    /// `request_duration_ms`, which ends with the last event.
    pub(crate) latency_ms: f32,
    pub(crate) tokens_in: f32,
    pub(crate) tokens_out: f32,
    pub(crate) lost_bytes: u32,
    /// The file that its row was read from, counted over all spools.
    pub(crate) file: u32,
    pub(crate) flags: Flags,
    pub(crate) endpoint: NameId,
    pub(crate) model: NameId,
    pub(crate) kind: Kind,
}

impl Default for Call {
    fn default() -> Call {
        Call {
            key: Key::default(),
            parent: Key::default(),
            start_ns: 0,
            end_ns: 0,
            ttft_ms: f32::NAN,
            tpot_ms: f32::NAN,
            latency_ms: f32::NAN,
            tokens_in: f32::NAN,
            tokens_out: f32::NAN,
            lost_bytes: 0,
            file: 0,
            flags: Flags::default(),
            endpoint: 0,
            model: 0,
            kind: Kind::Unknown,
        }
    }
}

/// A number that a figure can be: a spool may be anybody's.
fn known(value: f32) -> Option<f32> {
    (value.is_finite() && value >= 0.0).then_some(value)
}

/// Flags that marks say, not the row.
const OF_MARKS: u32 = Flags::ESTIMATED.0 | Flags::LOWER_BOUND.0;

impl Call {
    /// Takes what another row of it says, which is the later one; a closed one stays where that is open.
    pub(crate) fn take_row(&mut self, later: &Call) {
        let is_closed = self.kind != Kind::Unknown && !self.is_open();
        if later.kind == Kind::Unknown || (is_closed && later.is_open()) {
            return;
        }
        *self = Call {
            key: self.key,
            ttft_ms: self.ttft_ms,
            tpot_ms: self.tpot_ms,
            latency_ms: self.latency_ms,
            tokens_in: self.tokens_in,
            tokens_out: self.tokens_out,
            flags: Flags(later.flags.0 & !OF_MARKS | self.flags.0 & OF_MARKS),
            ..*later
        };
    }

    /// Takes all that is known of it from later files.
    pub(crate) fn merge(&mut self, later: &Call) {
        self.take_row(later);
        let newer = |own: &mut f32, later: f32| {
            if later.is_finite() {
                *own = later;
            }
        };
        newer(&mut self.ttft_ms, later.ttft_ms);
        newer(&mut self.tpot_ms, later.tpot_ms);
        newer(&mut self.latency_ms, later.latency_ms);
        newer(&mut self.tokens_in, later.tokens_in);
        newer(&mut self.tokens_out, later.tokens_out);
        self.flags.add(Flags(later.flags.0 & OF_MARKS));
    }

    pub(crate) fn has(&self, flag: Flags) -> bool {
        self.flags.has(flag)
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.has(Flags::FAILED)
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.has(Flags::ABORTED)
    }

    pub(crate) fn is_partial(&self) -> bool {
        self.has(Flags::PARTIAL)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.end_ns == 0
    }

    pub(crate) fn ttft_ms(&self) -> Option<f32> {
        known(self.ttft_ms)
    }

    pub(crate) fn tpot_ms(&self) -> Option<f32> {
        known(self.tpot_ms)
    }

    pub(crate) fn tokens_in(&self) -> Option<f32> {
        known(self.tokens_in)
    }

    pub(crate) fn tokens_out(&self) -> Option<f32> {
        known(self.tokens_out)
    }

    /// Its first byte to its answer's end, of one whose both ends were seen.
    pub(crate) fn latency_ms(&self) -> Option<f32> {
        if self.has(Flags::LATE) || self.has(Flags::END_LOST) {
            return None;
        }
        known(self.latency_ms).or_else(|| {
            let ns = self.end_ns.checked_sub(self.start_ns)?;
            (!self.is_open()).then_some((ns as f64 / 1e6) as f32)
        })
    }
}
