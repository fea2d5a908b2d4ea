//! Times that only the kernel knows: when a request came, and whether those of what was sent can be relied on.

use super::exchange::ExchangeScope;
use super::marks::Marks;
use super::names as n;
use super::payload::ResponseBody;
use super::span::{AttrValue, Attrs};
use crate::exchange::{ExchangeEvent, Role};
use crate::time::{MS, MonoNs};

/// When the last bytes came of those that a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// When.
    pub at: MonoNs,
    /// It is the middle of a span of time so long; 0: it is exact.
    pub within_ns: u64,
}

impl ExchangeScope {
    /// The request's first bytes had come by then.
    pub(crate) fn note_arrival(&mut self, arrival: Arrival) {
        self.arrival = Some(arrival);
    }

    /// When its first bytes were sent is not known.
    pub(crate) fn began_unsure(&mut self) {
        self.unsure |= self.role == Role::Client;
    }

    /// When the bytes behind `event` were sent is not known: whether one of the scope's times is theirs.
    pub(crate) fn is_unsure(&mut self, event: &ExchangeEvent<'_>) {
        let is_stream = || {
            self.answer
                .body
                .as_ref()
                .is_some_and(ResponseBody::is_stream)
        };
        let touched = match event {
            ExchangeEvent::ResponseStart | ExchangeEvent::ResponseEnd(_) => {
                self.role == Role::Server
            }
            ExchangeEvent::ResponseBody(_) => self.role == Role::Server && is_stream(),
            ExchangeEvent::WebSocket { .. } => true,
            ExchangeEvent::Start { .. }
            | ExchangeEvent::RequestHead(_)
            | ExchangeEvent::RequestBody(_)
            | ExchangeEvent::RequestGap(_)
            | ExchangeEvent::RequestEnd(_)
            | ExchangeEvent::Informational(_)
            | ExchangeEvent::ResponseHead(_)
            | ExchangeEvent::ResponseGap(_)
            | ExchangeEvent::ResponseTrailers(_)
            | ExchangeEvent::ClientLeaving { .. }
            | ExchangeEvent::ClientStayed
            | ExchangeEvent::End(_) => false,
        };
        self.unsure |= touched;
    }

    /// Writes how long the request lay in the socket before the target read it.
    pub(super) fn time_in_queue(&self, marks: &mut Marks<'_>) {
        let Some(arrival) = self
            .arrival
            .filter(|_| self.role == Role::Server && !self.late)
        else {
            return;
        };
        let mut attrs = Attrs::new();
        if arrival.within_ns > 0 {
            let within = arrival.within_ns as f64 / MS as f64;
            attrs.insert(n::RESOLUTION, AttrValue::from(within));
        }
        let waited = self.start.ms_since(arrival.at);
        marks.float(n::TIME_IN_QUEUE, waited, attrs, self.start);
    }
}
