//! A client that may have left before its answer was over, and what was written to it since.
//!
//! A FIN says only that nothing more is sent: some clients shut that side and read on. Whether it was
//! a close is told by the peer's kernel, which answers the first bytes behind it with RST.
//! ```text
//!   No --FIN--> May --RST, soon behind the first bytes written since--> Sure
//!    |           |--written on for longer than an RST takes; over, and no RST--> Stayed
//!    +--RST_STREAM of the client----------------------------------------------> Sure
//! ```
//! Nothing is decided here about an exchange whose server gives up behind the FIN: that is
//! [`super::Ends`]' matter, as for every early end.

use super::super::open::Exchange;
use super::super::{ExchangeEvent, ExchangeSink};
use crate::limits::{LEFT_RESET_WINDOW_NS, LEFT_WRITE_SLACK_NS};
use crate::time::MonoNs;

/// What is known. See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::exchange) enum Leaving {
    /// Nothing speaks for it.
    #[default]
    No,
    /// Its FIN came.
    May {
        /// What is stamped later was written behind it.
        from: MonoNs,
        /// When body bytes were first written behind it.
        wrote: Option<MonoNs>,
    },
    /// It has.
    Sure {
        /// What is stamped later was written behind it.
        from: MonoNs,
        /// Body bytes were.
        wrote: bool,
    },
    /// It had only shut its sending side.
    Stayed,
}

impl Leaving {
    /// Body bytes of the response were written. True: they show that the client is still there.
    fn written(&mut self, ts: MonoNs) -> bool {
        match self {
            Leaving::No | Leaving::Stayed => {}
            Leaving::Sure { from, wrote } => *wrote |= ts > *from,
            Leaving::May { from, wrote } if ts > *from => {
                let first = *wrote.get_or_insert(ts);
                if ts.since(first) > LEFT_RESET_WINDOW_NS {
                    *self = Leaving::Stayed;
                    return true;
                }
            }
            Leaving::May { .. } => {}
        }
        false
    }
}

impl Exchange {
    /// Looks at an event of it before it is said.
    pub(in crate::exchange) fn look(
        &mut self,
        ts: MonoNs,
        event: &ExchangeEvent<'_>,
        sink: &mut dyn ExchangeSink,
    ) {
        let is_body = matches!(
            event,
            ExchangeEvent::ResponseBody(_) | ExchangeEvent::ResponseGap(_)
        );
        if is_body && self.leaving.written(ts) {
            sink.on_event(self.id, ts, ExchangeEvent::ClientStayed);
        }
    }

    /// The client's FIN came, or with `sure` its RST_STREAM.
    pub(in crate::exchange) fn leave(
        &mut self,
        ts: MonoNs,
        sure: bool,
        sink: &mut dyn ExchangeSink,
    ) {
        let known = match self.leaving {
            Leaving::No => false,
            Leaving::May { .. } | Leaving::Stayed => !sure,
            Leaving::Sure { .. } => true,
        };
        if known || self.is_answered() {
            return;
        }
        let from = ts.plus(LEFT_WRITE_SLACK_NS);
        self.leaving = if sure {
            Leaving::Sure { from, wrote: false }
        } else {
            Leaving::May { from, wrote: None }
        };
        self.emit(ts, ExchangeEvent::ClientLeaving { from }, sink);
    }

    /// The client's RST came.
    pub(in crate::exchange) fn reset(&mut self, ts: MonoNs, sink: &mut dyn ExchangeSink) {
        let Leaving::May {
            from,
            wrote: Some(wrote),
        } = self.leaving
        else {
            return;
        };
        if ts.since(wrote) <= LEFT_RESET_WINDOW_NS {
            self.leaving = Leaving::Sure { from, wrote: true };
        } else {
            self.stay(ts, sink);
        }
    }

    /// It is known by now that the client had only shut its sending side.
    pub(in crate::exchange) fn stay(&mut self, ts: MonoNs, sink: &mut dyn ExchangeSink) {
        if let Leaving::May { .. } = self.leaving {
            self.leaving = Leaving::Stayed;
            sink.on_event(self.id, ts.max(self.last), ExchangeEvent::ClientStayed);
        }
    }

    /// It is over, but for whether the client was there: known then at the latest.
    pub(in crate::exchange) fn verdict_due(&self) -> Option<MonoNs> {
        match self.leaving {
            Leaving::May {
                wrote: Some(wrote), ..
            } if self.is_over() => Some(wrote.plus(LEFT_RESET_WINDOW_NS)),
            Leaving::May { .. } | Leaving::No | Leaving::Sure { .. } | Leaving::Stayed => None,
        }
    }

    /// The client has left, without doubt.
    pub(in crate::exchange) fn has_left(&self) -> bool {
        matches!(self.leaving, Leaving::Sure { .. })
    }

    /// ... and body bytes were written all the same.
    pub(in crate::exchange) fn was_written_to_nobody(&self) -> bool {
        matches!(self.leaving, Leaving::Sure { wrote: true, .. })
    }
}
